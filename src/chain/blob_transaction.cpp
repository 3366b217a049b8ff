#include "chain/blob_transaction.h"

#include <algorithm>
#include <charconv>

#include "base/encoding.h"
#include "chain/blob_data.h"
#include "chain/internal/median.h"
#include "chain/rlp.h"
#include "curves/keccak.h"

namespace attestry::chain {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

namespace {

constexpr std::uint8_t kType = 3;             // EIP-2718
constexpr std::uint8_t kWrapperVersion = 1;   // EIP-7594
constexpr std::size_t kMaxAnswer = 8u << 20;  // bytes; a block has at most some dozens of blobs, in hex

std::vector<Bytes> unsigned_fields(const BlobTransaction& t) {
  const Bytes hashes = rlp_bytes(t.sidecar.versioned_hash);
  return {rlp_integer(t.call.chain_id),
          rlp_integer(t.call.nonce),
          rlp_integer(t.call.max_priority_fee),
          rlp_integer(t.call.max_fee),
          rlp_integer(t.call.gas_limit),
          rlp_bytes(t.call.to ? ByteView{*t.call.to} : ByteView{}),
          rlp_integer(t.call.value),
          rlp_bytes(t.call.data),
          rlp_list({}),
          rlp_integer(t.max_fee_per_blob),
          rlp_list({&hashes, 1})};
}

Bytes typed(ByteView rlp) {
  Bytes out;
  out.reserve(rlp.size() + 1);
  out.push_back(kType);
  base::append(out, rlp);
  return out;
}

/// What nodes take: the transaction and its sidecar, one list.
Bytes wrapped(ByteView body, const BlobSidecar& sidecar) {
  std::vector<Bytes> proofs;
  proofs.reserve(sidecar.proofs.size());
  for (const KzgProof& proof : sidecar.proofs) proofs.push_back(rlp_bytes(proof));
  const Bytes blob = rlp_bytes(sidecar.blob);
  const Bytes commitment = rlp_bytes(sidecar.commitment);
  std::vector<Bytes> parts{base::to_bytes(body)};
  if (sidecar.form == SidecarForm::cell_proofs) parts.push_back(rlp_integer(std::uint64_t{kWrapperVersion}));
  parts.push_back(rlp_list({&blob, 1}));
  parts.push_back(rlp_list({&commitment, 1}));
  parts.push_back(rlp_list(proofs));
  return typed(rlp_list(parts));
}

}  // namespace

Result<BlobSidecar> make_sidecar(ByteView data, SidecarForm form) {
  BlobSidecar out{.form = form};
  TRY(out.blob, blob_pack(data));
  TRY(out.commitment, kzg_commitment(out.blob));
  out.versioned_hash = blob_versioned_hash(out.commitment);
  if (form == SidecarForm::cell_proofs) {
    TRY(out.proofs, kzg_cell_proofs(out.blob));
  } else {
    TRY(const auto proof, kzg_blob_proof(out.blob, out.commitment));
    out.proofs.push_back(proof);
  }
  return out;
}

base::Digest32 signing_hash(const BlobTransaction& transaction) {
  return curves::keccak256(typed(rlp_list(unsigned_fields(transaction))));
}

Result<SignedTransaction> sign(const BlobTransaction& transaction, const curves::Secp256k1PrivateKey& key) {
  if (!transaction.call.to) return Error{Code::usage, "a transaction with a blob has no recipient"};
  TRY(const auto signature, key.sign_recoverable(signing_hash(transaction)));
  const ByteView view{signature};
  auto fields = unsigned_fields(transaction);
  fields.push_back(rlp_integer(std::uint64_t{signature[64]}));
  fields.push_back(rlp_integer(view.first(32)));
  fields.push_back(rlp_integer(view.subspan(32, 32)));
  const Bytes body = rlp_list(fields);
  SignedTransaction out;
  out.raw = wrapped(body, transaction.sidecar);
  out.hash = curves::keccak256(typed(body));
  return out;
}

// -- sending

Result<std::uint64_t> Sender::blob_fee(base::Deadline deadline) {
  const RpcRequest question{"eth_blobBaseFee", {}};
  Error last{Code::unavailable, "there is no endpoint"};
  std::vector<std::uint64_t> fees;
  constexpr std::uint64_t kMost = 1ULL << 60;
  for (const RpcAnswers& answers : ask_all({&question, 1}, deadline, last)) {
    if (!answers.answers[0].result) {
      last = Error{.code = Code::unavailable,
                   .what = "the endpoint names no fee for blobs",
                   .found = answers.answers[0].error->message,
                   .remedy = "The chain may take no blobs: send the evidence in the call data."};
      continue;
    }
    const auto fee = parse_quantity(*answers.answers[0].result, "eth_blobBaseFee");
    if (!fee || *fee > kMost) {
      last = Error{Code::malformed, "transaction: impossible fees for blobs"};
      continue;
    }
    fees.push_back(*fee);
  }
  if (fees.empty()) return last;
  return internal::median(std::move(fees));
}

Result<Receipt> Sender::send_blob(const Address& to, ByteView data, const BlobSidecar& sidecar,
                                  base::Deadline deadline) {
  const base::MutexLock lock{sending_};
  BlobTransaction t{.sidecar = sidecar};
  TRY(t.call, plan(to, data, Word{}, &sidecar.versioned_hash, deadline));
  TRY(const std::uint64_t fee, blob_fee(deadline));
  t.max_fee_per_blob = std::max<std::uint64_t>(2 * fee, 1);
  if (options_.max_fee_limit > 0 && t.max_fee_per_blob > options_.max_fee_limit) {
    return Error{.code = Code::conflict,
                 .what = "the fees of blobs are above the limit",
                 .expected = "at most " + std::to_string(options_.max_fee_limit) + " wei per gas",
                 .found = std::to_string(t.max_fee_per_blob),
                 .remedy = "Wait until the chain is calmer, or send the evidence in the call data."};
  }
  TRY_OK(check_cost(t.call, t.max_fee_per_blob));
  TRY(const SignedTransaction made, sign(t, key_));
  return deliver(t.call, made, deadline);
}

// -- fetching

namespace {

/// The body of an answer of status 200; nothing for 404.
Result<std::optional<std::string>> get(const BlobSources& sources, std::string url, base::Deadline deadline) {
  const net::HttpRequest request{.url = std::move(url),
                                 .headers = {{"Accept", "application/json"}},
                                 .deadline = deadline,
                                 .max_bytes = kMaxAnswer};
  TRY(auto response, sources.http->send(request));
  if (response.status == 404) return std::optional<std::string>{};
  if (response.status != 200) {
    return Error{Code::unavailable, "the beacon node answers with status " + std::to_string(response.status)};
  }
  return std::optional{std::move(response.body)};
}

Result<std::shared_ptr<const base::JsonDocument>> document(std::string body) {
  base::JsonLimits limits;
  limits.max_bytes = kMaxAnswer;
  auto parsed = base::JsonDocument::parse(std::move(body), limits);
  if (!parsed.ok()) return Error{.code = Code::unavailable, .what = "the beacon node", .found = parsed.error().what};
  return parsed;
}

/// A decimal number, in quotes as the beacon's interface writes them.
Result<std::uint64_t> number_at(const JsonValue& object, std::string_view name) {
  TRY(const JsonValue value, object.get(name));
  const auto text = value.plain_string().value_or("");
  std::uint64_t out = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || failure != std::errc{} || end != text.data() + text.size()) {
    return Error{Code::malformed, "the beacon node's " + std::string{name} + " is no number"};
  }
  return out;
}

/// The slot of a block by its time. Development nodes have neither slots nor a specification: there it is the number.
Result<std::uint64_t> slot_of(const BlobSources& sources, const std::string& beacon, const BlockRef& block,
                              base::Deadline deadline) {
  TRY(auto spec, get(sources, beacon + "/eth/v1/config/spec", deadline));
  if (!spec) return block.number;
  TRY(const auto spec_json, document(*std::move(spec)));
  TRY(auto genesis, get(sources, beacon + "/eth/v1/beacon/genesis", deadline));
  if (!genesis) return Error{Code::unavailable, "the beacon node names no genesis"};
  TRY(const auto genesis_json, document(*std::move(genesis)));
  TRY(const JsonValue spec_data, spec_json->root().get("data"));
  TRY(const std::uint64_t seconds, number_at(spec_data, "SECONDS_PER_SLOT"));
  TRY(const JsonValue genesis_data, genesis_json->root().get("data"));
  TRY(const std::uint64_t began, number_at(genesis_data, "genesis_time"));
  const auto time = static_cast<std::uint64_t>(std::max<std::int64_t>(block.time.seconds, 0));
  if (seconds == 0 || time < began) return Error{Code::unavailable, "the beacon node is of another chain"};
  return (time - began) / seconds;
}

/// The one of the blobs that has that hash; nothing when none has.
std::optional<Bytes> matching(const JsonValue& blobs, const base::Digest32& versioned_hash) {
  if (!blobs.is_array()) return std::nullopt;
  for (auto item = blobs.first(); item; item = item->next()) {
    auto blob = parse_data(*item, "blob");
    if (blob.ok() && check_blob(*blob, versioned_hash).ok()) return *std::move(blob);
  }
  return std::nullopt;
}

Result<std::optional<Bytes>> from_beacon(const BlobSources& sources, const std::string& beacon, const BlockRef& block,
                                         const base::Digest32& versioned_hash, base::Deadline deadline) {
  TRY(const std::uint64_t slot, slot_of(sources, beacon, block, deadline));
  TRY(auto body,
      get(sources,
          beacon + "/eth/v1/beacon/blobs/" + std::to_string(slot) + "?versioned_hashes=" + hex_data(versioned_hash),
          deadline));
  if (!body) return std::optional<Bytes>{};
  TRY(const auto json, document(*std::move(body)));
  TRY(const JsonValue data, json->root().get("data"));
  return matching(data, versioned_hash);
}

Result<std::optional<Bytes>> from_anvil(Endpoint& endpoint, const base::Digest32& versioned_hash,
                                        base::Deadline deadline) {
  const RpcRequest question{"anvil_getBlobByHash", {hex_data(versioned_hash)}};
  TRY(const RpcAnswers answers, endpoint.batch({&question, 1}, deadline));
  const auto& found = answers.answers[0].result;
  if (!found || found->is_null()) return std::optional<Bytes>{};
  auto blob = parse_data(*found, "blob");
  if (!blob.ok() || !check_blob(*blob, versioned_hash).ok()) return std::optional<Bytes>{};
  return std::optional{*std::move(blob)};
}

}  // namespace

Result<Bytes> fetch_blob(const BlobSources& sources, const BlockRef& block, const base::Digest32& versioned_hash,
                         base::Deadline deadline) {
  std::optional<Error> trouble;
  bool answered = false;
  const auto take = [&](Result<std::optional<Bytes>> found) -> std::optional<Bytes> {
    if (!found.ok()) {
      trouble = found.error();
      return std::nullopt;
    }
    answered = true;
    return *std::move(found);
  };
  for (const std::string& beacon : sources.beacons) {
    if (auto blob = take(from_beacon(sources, beacon, block, versioned_hash, deadline))) return *std::move(blob);
  }
  for (Endpoint* endpoint : sources.endpoints) {
    if (auto blob = take(from_anvil(*endpoint, versioned_hash, deadline))) return *std::move(blob);
  }
  if (!answered && trouble)
    return Error{.code = Code::unavailable, .what = "no source of blobs answers", .found = trouble->text()};
  return Error{
      .code = Code::not_found,
      .what = "nobody has the blob 0x" + base::hex(versioned_hash) + " of block " + std::to_string(block.number),
      .found = trouble ? trouble->text() : "",
      .remedy = "Nodes keep blobs for about 18 days: name an archive of blobs, or audit what was saved before."};
}

}  // namespace attestry::chain
