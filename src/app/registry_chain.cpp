#include "app/registry_chain.h"

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <ostream>

#include "app/registry_refusals.h"
#include "app/typed_text.h"
#include "base/encoding.h"
#include "net/http.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMaxKeyFile = 4096;

Result<curves::Secp256k1PrivateKey> key_of_text(std::string text, const std::string& where) {
  std::string_view digits{text};
  while (!digits.empty() && (digits.back() == '\n' || digits.back() == '\r' || digits.back() == ' ')) {
    digits.remove_suffix(1);
  }
  if (digits.starts_with("0x")) digits.remove_prefix(2);
  base::Digest32 scalar{};
  const bool good = digits.size() == 64 && base::hex_decode_into(digits, scalar).ok();
  net::wipe_text(text);
  if (!good) {
    return Error{Code::malformed, where + " holds no key", "64 hex digits", {}, "It is never shown; check the file."};
  }
  auto key = curves::Secp256k1PrivateKey::from_scalar(scalar);
  crypto::wipe(scalar);
  return key;
}

base::JsonOutObject call_object(const curves::Address& from, const std::optional<curves::Address>& to,
                                base::ByteView data, const chain::BlobSidecar* blob) {
  base::JsonOutObject out{{"from", chain::hex_data(from)}, {"data", chain::hex_data(data)}};
  if (to) out.emplace_back("to", chain::hex_data(*to));
  if (blob != nullptr) {
    out.emplace_back("blobVersionedHashes", base::JsonOutArray{chain::hex_data(blob->versioned_hash)});
    out.emplace_back("maxFeePerBlobGas", chain::quantity(1'000'000'000'000));
  }
  return out;
}

}  // namespace

void add_chain_options(CLI::App& command, ChainOptions& options) {
  command.add_option("--rpc,--rpc-addr", options.rpc, "JSON-RPC endpoint; again for each further one")
      ->envname("ATTESTRY_RPC")
      ->allow_extra_args(false)
      ->capture_default_str();
  command.add_option("--rpc-ca", options.ca, "PEM certificate to trust for https endpoints")->type_name("FILE");
  command.add_option("--chain-id", options.chain_id, "the chain that every endpoint must serve")
      ->envname("ATTESTRY_CHAIN_ID")
      ->check(CLI::PositiveNumber)
      ->required();
  command.add_option("--timeout", options.timeout, "seconds")->check(CLI::Range(1, 86400))->capture_default_str();
  command.add_option("--format", options.format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

void add_contract_option(CLI::App& command, ChainOptions& options, bool required) {
  command.add_option("--contract,--app-contract", options.contract, "address of the contract")
      ->envname("ATTESTRY_CONTRACT")
      ->required(required);
}

void refuse_key_argument(CLI::App& command, const char* flag) {
  const std::string name = flag;
  command
      .add_option_function<std::string>(name,
                                        [name](const std::string&) {
                                          throw CLI::ValidationError(
                                              name,
                                              "everybody on the machine can read a flag: write the key into a file of "
                                              "mode 0600 and give --key FILE");
                                        })
      ->group("");
}

void add_key_options(CLI::App& command, ChainOptions& options) {
  auto* file =
      command.add_option("--key", options.key_file, "file of mode 0600 with the account's key as 64 hex digits");
  file->type_name("FILE");
  command.add_option("--key-env", options.key_env, "or the variable of the environment that holds it")
      ->type_name("NAME")
      ->excludes(file);
}

void add_sending_options(CLI::App& command, ChainOptions& options) {
  add_key_options(command, options);
  command.add_flag("--dry-run", options.dry_run, "show the transaction and its cost, and send nothing");
  command
      .add_option("--max-cost", options.max_cost, "ether (the chain's own coin) that the transaction may cost at most")
      ->type_name("NUMBER")
      ->capture_default_str();
}

Result<curves::Secp256k1PrivateKey> read_chain_key(const std::string& file, const std::string& env) {
  if (file.empty() == env.empty()) {
    return Error{Code::usage, "whose key signs?", "--key FILE or --key-env NAME", {}, "A key is never an argument."};
  }
  if (!env.empty()) {
    const char* value = std::getenv(env.c_str());
    if (value == nullptr) return Error{Code::not_found, "--key-env: the environment has no " + env};
    return key_of_text(value, "the variable " + env);
  }
  struct stat info{};
  if (::stat(file.c_str(), &info) == 0 && (info.st_mode & 077) != 0) {
    return Error{
        Code::configuration, "the key can be read by others: " + file, "mode 0600", {}, "Run chmod 600 " + file};
  }
  TRY(auto bytes, state::system_files().read(file, kMaxKeyFile), "--key");
  if (!bytes) return Error{Code::not_found, "--key: there is no file " + file};
  std::string text{base::as_text(*bytes)};
  crypto::wipe(*bytes);
  return key_of_text(std::move(text), file);
}

/// "0.25", in wei; at most 18, because that is what 64 bits hold.
static Result<std::uint64_t> parse_ether(const std::string& text) {
  constexpr std::size_t kDigits = 18;
  const auto dot = std::min(text.find('.'), text.size());
  const std::string whole = text.substr(0, dot);
  std::string part = dot < text.size() ? text.substr(dot + 1) : "0";
  const std::string all = whole + part;
  const bool digits = std::ranges::all_of(all, [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || whole.empty() || whole.size() > 2 || part.empty() || part.size() > kDigits || std::stoi(whole) > 18) {
    return Error{Code::usage, "not an amount of ether", "a number from 0 to 18, as 0.25", text};
  }
  part.append(kDigits - part.size(), '0');
  return static_cast<std::uint64_t>(std::stoull(whole)) * 1'000'000'000'000'000'000 + std::stoull(part);
}

Result<chain::Word> parse_word(std::string_view text, std::string_view what) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  chain::Word word{};
  TRY_OK(base::hex_decode_into(text, word), what);
  return word;
}

Result<std::unique_ptr<ChainSession>> ChainSession::open(const ChainOptions& options, Context& context) {
  std::unique_ptr<ChainSession> session{new ChainSession(options, context)};
  if (!options.contract.empty()) {
    TRY(session->contract_, typed_address(options.contract), "--contract");
  }
  TRY(session->http_, net::HttpClient::make({.ca_file = options.ca}), "--rpc-ca");
  chain::QuorumOptions quorum{.chain_id = options.chain_id, .max_head_age = 0, .max_final_age = 0};
  TRY(quorum.finality, chain::Finality::parse(options.finality), "--finality");
  for (const std::string& url : options.rpc) {
    quorum.endpoints.push_back({.url = url});
    session->endpoints_.push_back(
        std::make_unique<chain::Endpoint>(*session->http_, chain::EndpointOptions{.url = url}));
  }
  TRY(session->reader_, chain::QuorumReader::make(*session->http_, std::move(quorum)));
  TRY_OK(session->check_chain_id());
  return session;
}

std::vector<chain::Endpoint*> ChainSession::endpoints() const {
  std::vector<chain::Endpoint*> out;
  for (const auto& endpoint : endpoints_) out.push_back(endpoint.get());
  return out;
}

base::Deadline ChainSession::deadline() const {
  return std::chrono::steady_clock::now() + std::chrono::seconds{options_.timeout};
}

/// Before anything is signed: a transaction for the wrong chain may be valid there.
Status ChainSession::check_chain_id() {
  for (const auto& endpoint : endpoints_) {
    const auto answer = endpoint->ask({"eth_chainId", {}}, deadline());
    if (!answer) continue;  // a dead endpoint does not hinder the others; the reader counts them
    TRY(const auto found, chain::parse_quantity(*answer->answers[0].result, "eth_chainId"), endpoint->name());
    if (found == options_.chain_id) continue;
    return Error{Code::configuration, endpoint->name() + " serves another chain", std::to_string(options_.chain_id),
                 std::to_string(found), "Correct --chain-id or --rpc; nothing was signed."};
  }
  return base::done();
}

Result<base::Bytes> ChainSession::code(const curves::Address& address, const chain::BlockRef& at) {
  std::map<base::Bytes, std::size_t> votes;
  std::string trouble = "no endpoint";
  for (const auto& endpoint : endpoints_) {
    const auto answer =
        endpoint->ask({"eth_getCode", {chain::hex_data(address), chain::quantity(at.number)}}, deadline());
    if (!answer) {
      trouble = answer.error().text();
      continue;
    }
    TRY(auto bytes, chain::parse_data(*answer->answers[0].result, "eth_getCode"), endpoint->name());
    if (++votes[bytes] > endpoints_.size() / 2) return bytes;
  }
  return Error{Code::unavailable, "the endpoints do not agree on the contract's code", {}, trouble};
}

Result<std::uint64_t> ChainSession::estimate(const curves::Address& from, const std::optional<curves::Address>& to,
                                             base::ByteView data, const chain::BlobSidecar* blob) {
  const chain::RpcRequest request{"eth_estimateGas", {call_object(from, to, data, blob)}};
  Error last{Code::unavailable, "no endpoint answers"};
  for (const auto& endpoint : endpoints_) {
    const auto answers = endpoint->batch({&request, 1}, deadline());
    if (!answers) {
      last = answers.error();
      continue;
    }
    const auto& answer = answers->answers[0];
    if (answer.result) return chain::parse_quantity(*answer.result, "eth_estimateGas");
    if (const auto revert = chain::revert_of(*answer.error)) {
      return Error{Code::denied, "the contract refuses", {}, revert->reason};
    }
    last = Error{Code::unavailable, "eth_estimateGas fails", {}, answer.error->message};
  }
  return last;
}

Result<chain::BlockRef> ChainSession::find_contract() {
  TRY(const auto at, reader_->head(deadline()));
  TRY(const auto found, code(contract_, at));
  if (!found.empty()) return at;
  return no_contract_at(contract_, options_.chain_id, at, options_.finality, reader_->newest_number());
}

/// Whoever is needed instead is asked of the contract; without an answer the remedy says less.
Error ChainSession::explain(Error error, const std::optional<curves::Address>& to, const curves::Address& sender,
                            std::string_view function) {
  RefusedCall call{.function = function, .sender = sender, .chain_id = options_.chain_id};
  if (to && error.code == Code::denied) {
    if (auto owner = ask(chain::registry::kOwner); owner.ok()) call.owner = *owner;
    if (auto pending = ask(chain::registry::kPendingOwner); pending.ok()) call.pending_owner = *pending;
  }
  return explain_refusal(std::move(error), call);
}

Result<Sent> ChainSession::estimate_only(const curves::Address& from, const std::optional<curves::Address>& to,
                                         base::ByteView data, const chain::BlobSidecar* blob) {
  Sent sent;
  TRY(sent.gas, estimate(from, to, data, blob));
  return sent;
}

Result<Sent> ChainSession::send(const std::optional<curves::Address>& to, base::ByteView data, const Facts& facts,
                                std::string_view function, const chain::BlobSidecar* blob) {
  TRY(const auto key, read_chain_key(options_.key_file, options_.key_env));
  TRY(const std::uint64_t most, parse_ether(options_.max_cost), "--max-cost");
  chain::Sender sender(endpoints(), key,
                       {.chain_id = options_.chain_id,
                        .max_cost = most,
                        .on_plan = [this](const chain::Transaction&, std::uint64_t wei) {
                          context_.err << "  at most         " << chain::ether_text(wei) << " ether\n";
                        }});
  context_.err << "transaction on chain " << options_.chain_id << "\n  from            "
               << curves::address_checksum_text(sender.address()) << "\n  to              "
               << (to ? curves::address_checksum_text(*to) : "a new contract") << "\n";
  for (const auto& [name, value] : facts) {
    context_.err << "  " << name << std::string(name.size() < 15 ? 16 - name.size() : 1, ' ') << value << "\n";
  }
  if (options_.dry_run) {
    auto estimated = estimate_only(sender.address(), to, data, blob);
    if (!estimated) return explain(std::move(estimated).error(), to, sender.address(), function);
    return estimated;
  }
  if (blob != nullptr && !to) return Error{Code::usage, "a blob needs a contract that it is for"};
  auto receipt = blob != nullptr ? sender.send_blob(*to, data, *blob, deadline())
                                 : sender.send(to, data, chain::Word{}, deadline());
  if (!receipt) return explain(std::move(receipt).error(), to, sender.address(), function);
  return Sent{.receipt = *receipt, .gas = receipt->gas_used};
}

void ChainSession::print_sent(const Sent& sent, JsonOutObject extra) {
  if (options_.format == "json") {
    JsonOutObject out{{"sent", sent.receipt.has_value()}, {"gas", sent.gas}};
    if (sent.receipt) {
      out.emplace_back("transaction", chain::hex_data(sent.receipt->transaction));
      out.emplace_back("block", sent.receipt->block.number);
    }
    for (auto& item : extra) out.push_back(std::move(item));
    context_.out << JsonOut{std::move(out)}.pretty() << "\n";
    return;
  }
  if (!sent.receipt) {
    context_.out << "would use " << sent.gas << " gas; nothing was sent\n";
    return;
  }
  context_.out << "done in block " << sent.receipt->block.number << ", " << sent.gas << " gas, transaction "
               << chain::hex_data(sent.receipt->transaction) << "\n";
}

int ChainSession::print_unchanged(std::string_view how) {
  if (options_.format == "json") {
    context_.out << JsonOut{JsonOutObject{{"sent", false}, {"already", true}}}.pretty() << "\n";
  } else {
    context_.out << curves::address_checksum_text(contract_) << " " << how << "; nothing was sent\n";
  }
  return kExitOk;
}

Result<std::optional<bool>> ChainSession::shows(const chain::Receipt& receipt, const Effect& effect) {
  if (effect.event) {
    const auto number = receipt.block.number;
    TRY(const auto logs,
        reader_->logs({.address = contract_, .from = number, .to = number, .events = {effect.event->topic}},
                      deadline()));
    const bool written = std::ranges::any_of(logs, [&](const chain::LogRecord& log) {
      return log.transaction == receipt.transaction && effect.event->is(log);
    });
    if (!written || effect.views.empty()) return std::optional{written};
  }
  std::vector<chain::Call> questions;
  for (const auto& view : effect.views) questions.push_back(view.question(contract_));
  TRY(const auto outcomes, reader_->call(receipt.block, questions, deadline()));
  for (std::size_t i = 0; i < effect.views.size(); ++i) {
    if (const auto held = effect.views[i].holds(outcomes[i])) return held;
  }
  return std::optional<bool>{};
}

Status ChainSession::check_effect(const chain::Receipt& receipt, const Effect& effect) {
  const std::string where = "the transaction " + chain::hex_data(receipt.transaction) + " is in block " +
                            std::to_string(receipt.block.number);
  const auto shown = shows(receipt, effect);
  if (!shown) {
    return Error{Code::unavailable, where + ", and the endpoints do not say what it did", effect.says,
                 shown.error().text(), "Ask the contract (show) before you rely on it or send it again."};
  }
  if (*shown == true) return base::done();
  if (!*shown) {
    return Error{Code::conflict,
                 where + ", but the contract has no function that shows what it did",
                 effect.says,
                 {},
                 "It is of a generation that keeps this to itself, or not the contract that you mean."};
  }
  return Error{Code::conflict,
               where + ", but the contract does not say what it should then",
               effect.says,
               {},
               "Look whether --contract is the one that you mean, and ask other endpoints."};
}

Result<int> ChainSession::send_and_print(base::ByteView data, std::string_view function, Facts facts,
                                         const Effect& effect, JsonOutObject extra, const chain::BlobSidecar* blob) {
  facts.insert(facts.begin(), {"call", std::string{function}});
  TRY_OK(find_contract());  // a call of nothing would succeed, and change nothing
  TRY(const Sent sent, send(contract_, data, facts, function, blob));
  if (sent.receipt) {
    TRY_OK(check_effect(*sent.receipt, effect));
    extra.emplace_back("effect", effect.says);
  }
  print_sent(sent, std::move(extra));
  if (sent.receipt && options_.format == "text") context_.out << "seen there: " << effect.says << "\n";
  return kExitOk;
}

}  // namespace attestry::app
