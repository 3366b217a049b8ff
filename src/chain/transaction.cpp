#include "chain/transaction.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <map>
#include <tuple>

#include "base/encoding.h"
#include "chain/internal/median.h"
#include "chain/internal/receipt.h"
#include "chain/rlp.h"
#include "curves/keccak.h"

namespace attestry::chain {
namespace {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::uint8_t kType = 2;  // EIP-2718
constexpr std::size_t kUnsignedFields = 9;
constexpr std::size_t kSignedFields = 12;

/// Half the group's order: a signature with a higher s is another spelling of the same (EIP-2).
constexpr base::FixedBytes<32> kHalfOrder{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                          0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4,
                                          0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0};

std::vector<Bytes> unsigned_fields(const Transaction& t) {
  return {rlp_integer(t.chain_id), rlp_integer(t.nonce),     rlp_integer(t.max_priority_fee),
          rlp_integer(t.max_fee),  rlp_integer(t.gas_limit), t.to ? rlp_bytes(*t.to) : rlp_bytes({}),
          rlp_integer(t.value),    rlp_bytes(t.data),        rlp_list({})};
}

Bytes typed(std::span<const Bytes> fields) {
  Bytes out{kType};
  base::append(out, rlp_list(fields));
  return out;
}

Error malformed(std::string what) { return {Code::malformed, "transaction: " + std::move(what)}; }

Result<Transaction> read_fields(std::span<const RlpItem> items) {
  Transaction t;
  TRY(t.chain_id, rlp_u64(items[0], "chain id"));
  TRY(t.nonce, rlp_u64(items[1], "nonce"));
  TRY(t.max_priority_fee, rlp_u64(items[2], "priority fee"));
  TRY(t.max_fee, rlp_u64(items[3], "fee"));
  TRY(t.gas_limit, rlp_u64(items[4], "gas"));
  if (items[5].is_list) return malformed("a list in place of the recipient");
  if (!items[5].payload.empty()) {
    TRY(const ByteView to, rlp_fixed(items[5], std::tuple_size_v<Address>, "recipient"));
    t.to.emplace();
    std::ranges::copy(to, t.to->begin());
  }
  TRY(t.value, rlp_word(items[6], "value"));
  if (items[7].is_list) return malformed("a list in place of the data");
  t.data = base::to_bytes(items[7].payload);
  if (!items[8].is_list || !items[8].payload.empty()) return malformed("an access list that is not empty");
  return t;
}

}  // namespace

base::Digest32 signing_hash(const Transaction& transaction) {
  return curves::keccak256(typed(unsigned_fields(transaction)));
}

Result<SignedTransaction> sign(const Transaction& transaction, const curves::Secp256k1PrivateKey& key) {
  TRY(const auto signature, key.sign_recoverable(signing_hash(transaction)));
  const ByteView view{signature};
  auto fields = unsigned_fields(transaction);
  fields.push_back(rlp_integer(std::uint64_t{signature[64]}));
  fields.push_back(rlp_integer(view.first(32)));
  fields.push_back(rlp_integer(view.subspan(32, 32)));
  SignedTransaction out;
  out.raw = typed(fields);
  out.hash = curves::keccak256(out.raw);
  return out;
}

Result<std::pair<Transaction, Address>> decode_transaction(ByteView raw) {
  if (raw.empty() || raw[0] != kType) return malformed("not of type 2");
  TRY(const RlpItem whole, rlp_decode(raw.subspan(1)), "transaction");
  TRY(const auto items, rlp_items(whole, kSignedFields), "transaction");
  if (items.size() != kSignedFields) return malformed("not twelve fields");
  TRY(const Transaction transaction, read_fields(std::span{items}.first(kUnsignedFields)), "transaction");
  TRY(const std::uint64_t parity, rlp_u64(items[9], "y parity"));
  TRY(const Word r, rlp_word(items[10], "r"));
  TRY(const Word s, rlp_word(items[11], "s"));
  if (parity > 1) return malformed("a y parity above 1");
  if (s > kHalfOrder) return malformed("a high s");
  base::FixedBytes<65> signature{};
  std::ranges::copy(r, signature.begin());
  std::ranges::copy(s, signature.begin() + 32);
  signature[64] = static_cast<std::uint8_t>(parity);
  TRY(const auto key, curves::secp256k1_recover(signing_hash(transaction), signature), "transaction");
  return std::pair{transaction, curves::ethereum_address(key)};
}

Address created_address(const Address& sender, std::uint64_t nonce) {
  const std::array<Bytes, 2> fields{rlp_bytes(sender), rlp_integer(nonce)};
  const base::Digest32 hash = curves::keccak256(rlp_list(fields));
  Address out{};
  std::copy(hash.begin() + 12, hash.end(), out.begin());
  return out;
}

// -- sending

Result<Receipt> internal::read_receipt(const JsonValue& value) {
  Receipt out;
  TRY(const JsonValue hash, value.get("transactionHash"));
  TRY(out.transaction, parse_hash(hash, "transactionHash"));
  TRY(const JsonValue status, value.get("status"));
  TRY(const std::uint64_t status_number, parse_quantity(status, "status"));
  out.succeeded = status_number == 1;
  TRY(const JsonValue number, value.get("blockNumber"));
  TRY(out.block.number, parse_quantity(number, "blockNumber"));
  TRY(const JsonValue block, value.get("blockHash"));
  TRY(out.block.hash, parse_hash(block, "blockHash"));
  TRY(const JsonValue gas, value.get("gasUsed"));
  TRY(out.gas_used, parse_quantity(gas, "gasUsed"));
  const auto contract = value.find("contractAddress");
  if (contract && !contract->is_null()) {
    TRY(const Address address, parse_address(*contract, "contractAddress"));
    out.contract = address;
  }
  return out;
}

namespace {

/// Wei per gas of blobs that an estimate may suppose; nothing is paid.
constexpr std::uint64_t kEstimatedBlobFee = 1'000'000'000'000;

base::JsonOutObject call_object(const Address& from, const std::optional<Address>& to, ByteView data,
                                const Word& value) {
  base::JsonOutObject out{{"from", hex_data(from)}, {"data", hex_data(data)}};
  if (to) out.emplace_back("to", hex_data(*to));
  const auto digits = base::hex(value);
  const auto first = digits.find_first_not_of('0');
  if (first != std::string::npos) out.emplace_back("value", "0x" + digits.substr(first));
  return out;
}

Error reverted(const CallOutcome& outcome) {
  return {.code = Code::denied,
          .what = "the contract refuses the transaction",
          .found = outcome.reason.empty() ? "a revert without a reason" : outcome.reason};
}

/// What nodes say when they have the transaction already, which is as good as taking it. Only at the beginning:
/// "unknown transaction type" says the contrary.
bool is_known(const RpcError& error) {
  std::string said = error.message;
  std::ranges::transform(said, said.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  constexpr std::array<std::string_view, 4> kKnown{"already known", "alreadyknown", "known transaction",
                                                   "transaction with the same hash was already imported"};
  return std::ranges::any_of(kKnown, [&said](std::string_view words) { return said.starts_with(words); });
}

/// What one endpoint says for a plan.
struct Estimate {
  std::uint64_t nonce = 0, base_fee = 0, priority_fee = 0, gas = 0;
};

constexpr std::array<const char*, 5> kPlanMethods{"eth_chainId", "eth_getTransactionCount", "eth_getBlockByNumber",
                                                  "eth_maxPriorityFeePerGas", "eth_estimateGas"};

Result<Estimate> read_estimate(const RpcAnswers& answers, std::uint64_t chain_id) {
  for (std::size_t i = 0; i < answers.answers.size(); ++i) {
    const auto& error = answers.answers[i].error;
    if (!error) continue;
    if (const auto refusal = revert_of(*error)) return reverted(*refusal);
    return Error{
        .code = Code::unavailable, .what = std::string{kPlanMethods.at(i)} + " fails", .found = error->message};
  }
  TRY(const std::uint64_t chain, parse_quantity(*answers.answers[0].result, "chain id"));
  if (chain != chain_id) {
    return Error{.code = Code::configuration,
                 .what = "the endpoint serves another chain",
                 .expected = std::to_string(chain_id),
                 .found = std::to_string(chain)};
  }
  Estimate out;
  TRY(out.nonce, parse_quantity(*answers.answers[1].result, "nonce"));
  const JsonValue& block = *answers.answers[2].result;
  TRY(const JsonValue base_fee, block.get("baseFeePerGas"));
  TRY(out.base_fee, parse_quantity(base_fee, "baseFeePerGas"));
  TRY(out.priority_fee, parse_quantity(*answers.answers[3].result, "priority fee"));
  TRY(out.gas, parse_quantity(*answers.answers[4].result, "gas"));
  constexpr std::uint64_t kMost = 1ULL << 60;
  if (out.base_fee > kMost || out.priority_fee > kMost || out.gas > kMost) return malformed("impossible fees");
  if (const auto limit = block.find("gasLimit")) {
    TRY(const std::uint64_t most, parse_quantity(*limit, "gasLimit"));
    if (out.gas > most) return malformed("an estimate of more gas than a block has");
  }
  return out;
}

/// Waits until `until` or `deadline`; false when that is `deadline`.
bool pause(std::chrono::milliseconds time, base::Deadline deadline) {
  base::Mutex mutex;
  std::condition_variable_any never;
  const auto until = std::chrono::steady_clock::now() + time;
  const base::MutexLock lock{mutex};
  while (std::chrono::steady_clock::now() < std::min(until, deadline))
    never.wait_until(mutex, std::min(until, deadline));
  return until <= deadline;
}

}  // namespace

Sender::Sender(std::vector<Endpoint*> endpoints, const curves::Secp256k1PrivateKey& key, SenderOptions options)
    : endpoints_(std::move(endpoints)),
      key_(key),
      options_(options),
      address_(curves::ethereum_address(key.public_key_raw())) {}

Result<RpcAnswers> Sender::ask_first(std::span<const RpcRequest> requests, base::Deadline deadline) {
  Error last{Code::unavailable, "there is no endpoint"};
  for (Endpoint* endpoint : endpoints_) {
    auto answers = endpoint->batch(requests, deadline);
    if (answers.ok()) return answers;
    last = answers.error();
  }
  return last;
}

std::vector<RpcAnswers> Sender::ask_all(std::span<const RpcRequest> requests, base::Deadline deadline, Error& last) {
  std::vector<RpcAnswers> out;
  for (Endpoint* endpoint : endpoints_) {
    auto answers = endpoint->batch(requests, deadline);
    if (answers.ok()) {
      out.push_back(*std::move(answers));
    } else {
      last = answers.error();
    }
  }
  return out;
}

Result<Transaction> Sender::plan(const std::optional<Address>& to, ByteView data, const Word& value,
                                 const base::Digest32* blob, base::Deadline deadline) {
  base::JsonOutObject call = call_object(address_, to, data, value);
  if (blob != nullptr) {
    call.emplace_back("blobVersionedHashes", base::JsonOutArray{hex_data(*blob)});
    call.emplace_back("maxFeePerBlobGas", quantity(kEstimatedBlobFee));
  }
  const std::array<RpcRequest, 5> requests{
      RpcRequest{kPlanMethods[0], {}},
      RpcRequest{kPlanMethods[1], {hex_data(address_), "pending"}},
      RpcRequest{kPlanMethods[2], {"latest", false}},
      RpcRequest{kPlanMethods[3], {}},
      RpcRequest{kPlanMethods[4], {std::move(call)}},
  };
  Error last{Code::unavailable, "there is no endpoint"};
  Error refusal;
  std::size_t refusals = 0;
  std::vector<std::uint64_t> nonces, base_fees, priority_fees, gas;
  for (const RpcAnswers& answers : ask_all(requests, deadline, last)) {
    const auto said = read_estimate(answers, options_.chain_id);
    if (!said) {
      last = said.error();
      if (last.code == Code::configuration) return last;
      if (last.code == Code::denied) refusal = last, ++refusals;
      continue;
    }
    nonces.push_back(said->nonce);
    base_fees.push_back(said->base_fee);
    priority_fees.push_back(said->priority_fee);
    gas.push_back(said->gas);
  }
  if (refusals > nonces.size()) return refusal;
  if (nonces.empty()) return last;
  Transaction t{.chain_id = options_.chain_id, .to = to, .value = value, .data = base::to_bytes(data)};
  t.nonce = internal::median(std::move(nonces));
  t.max_priority_fee = internal::median(std::move(priority_fees));
  t.max_fee =
      2 * internal::median(std::move(base_fees)) + t.max_priority_fee;  // six full blocks in a row raise it so far
  const std::uint64_t estimate = internal::median(std::move(gas));
  t.gas_limit = estimate / 100 * options_.gas_percent + estimate % 100 * options_.gas_percent / 100;
  if (options_.max_fee_limit > 0 && t.max_fee > options_.max_fee_limit) {
    return Error{.code = Code::conflict,
                 .what = "the fees are above the limit",
                 .expected = "at most " + std::to_string(options_.max_fee_limit) + " wei per gas",
                 .found = std::to_string(t.max_fee),
                 .remedy = "Wait until the chain is calmer, or raise the limit."};
  }
  return t;
}

std::string ether_text(std::uint64_t wei) {
  constexpr std::uint64_t kEther = 1'000'000'000'000'000'000;
  std::string part = std::to_string(wei % kEther);
  part.insert(0, 18 - part.size(), '0');
  part.erase(std::max<std::size_t>(part.find_last_not_of('0') + 1, 1));
  return std::to_string(wei / kEther) + "." + part;
}

base::Status Sender::check_cost(const Transaction& t, std::uint64_t blob_fee) const {
  constexpr std::uint64_t kBlobGas = 1 << 17;  // EIP-4844: GAS_PER_BLOB
  std::uint64_t call = 0, blob = 0, cost = 0;
  const bool over = __builtin_mul_overflow(t.max_fee, t.gas_limit, &call) ||
                    __builtin_mul_overflow(blob_fee, kBlobGas, &blob) || __builtin_add_overflow(call, blob, &cost);
  if (over || cost > options_.max_cost) {
    return Error{.code = Code::conflict,
                 .what = "the transaction may cost more than the limit",
                 .expected = "at most " + ether_text(options_.max_cost) + " ether",
                 .found = over ? "more than all there is" : ether_text(cost) + " ether",
                 .remedy = "Wait until the chain is calmer, look at what the endpoints say, or raise the limit."};
  }
  if (options_.on_plan) options_.on_plan(t, cost);
  return base::done();
}

base::Status Sender::broadcast(const SignedTransaction& transaction, base::Deadline deadline) {
  std::optional<Error> last;
  bool taken = false;
  for (Endpoint* endpoint : endpoints_) {
    const RpcRequest request{"eth_sendRawTransaction", {hex_data(transaction.raw)}};
    const auto answers = endpoint->batch({&request, 1}, deadline);
    const auto* error = answers.ok() && answers->answers[0].error ? &*answers->answers[0].error : nullptr;
    const bool fine = answers.ok() && (error == nullptr || is_known(*error));
    taken = taken || fine;
    if (fine) continue;
    last = answers.ok() ? Error{.code = Code::unavailable,
                                .what = endpoint->name() + " does not take the transaction",
                                .found = error->message}
                        : answers.error();
  }
  if (taken) return base::done();
  return last.value_or(Error{Code::unavailable, "there is no endpoint"});
}

/// One endpoint's receipt, old enough; nothing when it has none, or says what cannot be.
static std::optional<Receipt> receipt_in(const RpcAnswers& answers, const base::Digest32& hash,
                                         std::uint64_t confirmations) {
  const auto& found = answers.answers[0].result;
  const auto& newest = answers.answers[1].result;
  if (!found || found->is_null() || !newest) return std::nullopt;
  auto receipt = internal::read_receipt(*found);
  const auto height = parse_quantity(*newest, "eth_blockNumber");
  if (!receipt.ok() || !height.ok() || receipt->transaction != hash) return std::nullopt;
  if (*height < receipt->block.number || *height - receipt->block.number < confirmations) return std::nullopt;
  return *std::move(receipt);
}

std::optional<Receipt> Sender::find_receipt(const base::Digest32& hash, base::Deadline deadline) {
  const std::array<RpcRequest, 2> requests{RpcRequest{"eth_getTransactionReceipt", {hex_data(hash)}},
                                           RpcRequest{"eth_blockNumber", {}}};
  std::map<std::tuple<base::Digest32, bool, std::optional<Address>>, std::size_t> votes;
  Error last;
  for (const RpcAnswers& answers : ask_all(requests, deadline, last)) {
    const auto receipt = receipt_in(answers, hash, options_.confirmations);
    if (!receipt) continue;
    const std::size_t same = ++votes[{receipt->block.hash, receipt->succeeded, receipt->contract}];
    if (2 * same > endpoints_.size()) return receipt;
  }
  return std::nullopt;
}

Result<Receipt> Sender::wait(const SignedTransaction& transaction, base::Deadline deadline) {
  for (;;) {
    const auto receipt = find_receipt(transaction.hash, deadline);
    if (receipt) return *receipt;
    if (!pause(options_.poll, deadline)) break;
  }
  return Error{.code = Code::deadline_exceeded,
               .what = "the transaction 0x" + base::hex(transaction.hash) +
                       " was sent, and more than half of the endpoints do not have the same receipt yet",
               .remedy = "Look for its receipt before sending another: it may still be taken."};
}

/// Runs the same call on the block before: the transaction itself left no words.
std::string Sender::reason_of(const Transaction& t, const Receipt& receipt, base::Deadline deadline) {
  const RpcRequest request{"eth_call",
                           {call_object(address_, t.to, t.data, t.value),
                            quantity(receipt.block.number - std::min<std::uint64_t>(receipt.block.number, 1))}};
  const auto answers = ask_first({&request, 1}, deadline);
  if (!answers.ok() || !answers->answers[0].error) return "reverted in its block";
  const auto outcome = revert_of(*answers->answers[0].error);
  return outcome && !outcome->reason.empty() ? outcome->reason : "a revert without a reason";
}

Result<Receipt> Sender::send(const std::optional<Address>& to, ByteView data, const Word& value,
                             base::Deadline deadline) {
  const base::MutexLock lock{sending_};  // two at once would take the same nonce
  TRY(const Transaction transaction, plan(to, data, value, nullptr, deadline));
  TRY_OK(check_cost(transaction, 0));
  TRY(const SignedTransaction signed_transaction, sign(transaction, key_));
  return deliver(transaction, signed_transaction, deadline);
}

Result<Receipt> Sender::deliver(const Transaction& transaction, const SignedTransaction& made,
                                base::Deadline deadline) {
  if (options_.before_sending) TRY_OK(options_.before_sending(made));
  TRY_OK(broadcast(made, deadline));
  TRY(const Receipt receipt, wait(made, deadline));
  if (!receipt.succeeded) {
    Error error{Code::denied, "the contract refuses the transaction 0x" + base::hex(receipt.transaction)};
    error.found = reason_of(transaction, receipt, deadline);
    return error;
  }
  return receipt;
}

}  // namespace attestry::chain
