#include "chain/near_reply.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/base58.h"
#include "base/encoding.h"
#include "chain/json_rpc.h"

namespace attestry::chain::near {
namespace {

using base::Bytes;
using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::int64_t kRequestId = 1;
/// The bytes that a call returns are an array of numbers: as many values as half of the text's bytes.
constexpr std::size_t nodes_of(std::size_t bytes) { return bytes / 2 + 1000; }

Error no_answer(std::string what) { return {Code::unavailable, "not an answer of NEAR's RPC: " + std::move(what)}; }

/// What a value's own reader complains about is the node's doing.
template <class T>
Result<T> of_node(Result<T> read) {
  if (!read.ok()) return no_answer(shown(read.error().text()));
  return read;
}

/// JSON numbers up to 2^64 - 1, in digits.
Result<std::uint64_t> read_u64(const JsonValue& value, std::string_view field) {
  const std::string_view text = value.source();
  std::uint64_t out = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (failure != std::errc{} || end != text.data() + text.size()) {
    return Error{Code::malformed, std::string{field} + ": not a whole number", {}, shown(text.substr(0, 32))};
  }
  return out;
}

Result<std::uint64_t> get_u64(const JsonValue& object, std::string_view name) {
  TRY(const JsonValue value, object.get(name));
  return read_u64(value, name);
}

Result<std::string> get_string(const JsonValue& object, std::string_view name) {
  TRY(const JsonValue value, object.get(name));
  return value.string(name);
}

Result<U128> get_amount(const JsonValue& object, std::string_view name) {
  TRY(const std::string text, get_string(object, name));
  TRY(const U128 amount, U128::parse(text), name);
  return amount;
}

Result<base::Digest32> get_hash(const JsonValue& object, std::string_view name) {
  TRY(const std::string text, get_string(object, name));
  return parse_hash(text, name);
}

std::string string_or_nothing(const JsonValue& object, std::string_view name) {
  const auto value = object.find(name);
  return value ? value->string(name).value_or("") : "";
}

// -- errors

struct Meaning {
  std::string_view cause;
  Code code;
  std::string_view what;
};
/// Everything that is not in here is an outage: a node that does not know what it should know says nothing about the
/// chain.
constexpr std::array kMeanings{
    Meaning{"UNKNOWN_ACCOUNT", Code::not_found, "there is no such account"},
    Meaning{"UNKNOWN_ACCESS_KEY", Code::not_found, "the account has no such key"},
    Meaning{"NO_CONTRACT_CODE", Code::not_found, "the account has no contract"},
    Meaning{"NO_GLOBAL_CONTRACT_CODE", Code::not_found, "the account's contract is not there"},
    Meaning{"UNKNOWN_TRANSACTION", Code::not_found, "no such transaction is known"},
    Meaning{"TIMEOUT_ERROR", Code::deadline_exceeded, "the node waited in vain"},
};

/// What the virtual machine said. Only its own words at the beginning decide: what follows may be the contract's.
Error vm_error(std::string_view text) {
  const std::string found = shown(text);
  for (const std::string_view before : {"wasm execution failed with error: ", "FunctionCallError("}) {
    if (text.starts_with(before)) text.remove_prefix(before.size());
  }
  const auto begins = [&](std::string_view with) { return text.starts_with(with); };
  // How much a view may burn is a node's setting, and no property of the contract.
  const bool out_of_gas = begins("HostError(GasLimitExceeded") || begins("HostError(GasExceeded");
  if (begins("MethodResolveError(") || begins("CompilationError(CodeDoesNotExist")) {
    return {Code::not_found, "the contract has no such method", {}, found};
  }
  if (!out_of_gas && (begins("HostError(") || begins("WasmTrap(") || begins("CompilationError("))) {
    return {Code::denied, "the contract refuses the call", {}, found};
  }
  return {Code::unavailable, "the node could not run the contract", {}, found};
}

Result<Failure> read_failure(const JsonValue& value) {
  if (!value.is_object()) return no_answer("an error that is no object");
  Failure out;
  out.name = string_or_nothing(value, "name");
  if (const auto cause = value.find("cause")) {
    out.cause = string_or_nothing(*cause, "name");
    out.info = cause->find("info");
  }
  out.data = value.find("data");
  out.text = out.cause.empty() ? string_or_nothing(value, "message") : out.cause;
  if (out.data) out.text += ": " + out.data->string("data").value_or(std::string{out.data->source()});
  out.text = shown(out.text);
  return out;
}

}  // namespace

std::string rpc_request(std::string_view method, base::JsonOut params) {
  const base::JsonOutObject out{
      {"jsonrpc", "2.0"}, {"id", kRequestId}, {"method", method}, {"params", std::move(params)}};
  return base::JsonOut{out}.compact();
}

Result<Reply> parse_reply(std::string body, std::size_t max_bytes) {
  Reply out;
  auto parsed = base::JsonDocument::parse(std::move(body), {.max_bytes = max_bytes, .max_nodes = nodes_of(max_bytes)});
  if (!parsed.ok()) return no_answer(parsed.error().what);
  out.document = *std::move(parsed);
  const JsonValue root = out.document->root();
  const auto version = root.find("jsonrpc");
  if (!version || version->plain_string() != "2.0") return no_answer("another version than 2.0");
  const auto id = root.find("id");
  if (!id || !id->integer("id", kRequestId, kRequestId).ok()) return no_answer("to another request");
  const auto error = root.find("error");
  out.result = root.find("result");
  if (error && !error->is_null()) {
    if (out.result && !out.result->is_null()) return no_answer("both a result and an error");
    out.result.reset();
    TRY(out.failure, read_failure(*error));
  } else if (!out.result) {
    return no_answer("neither a result nor an error");
  }
  return out;
}

Error error_of(const Failure& failure) {
  const bool handler = failure.name == "HANDLER_ERROR";
  if (handler && failure.cause == "CONTRACT_EXECUTION_ERROR") {
    return vm_error(failure.info ? string_or_nothing(*failure.info, "vm_error") : "");
  }
  const auto* meaning = std::ranges::find(kMeanings, failure.cause, &Meaning::cause);
  if (handler && meaning != kMeanings.end()) return {meaning->code, std::string{meaning->what}, {}, failure.text};
  return {Code::unavailable, "the node gives no answer", {}, failure.text};
}

// -- blocks

namespace {

Result<Block> read_header(const JsonValue& result) {
  TRY(const JsonValue header, result.get("header"));
  Block out;
  TRY(out.height, get_u64(header, "height"));
  TRY(out.hash, get_hash(header, "hash"));
  TRY(const std::uint64_t nanoseconds, get_u64(header, "timestamp"));
  out.time.seconds = static_cast<std::int64_t>(nanoseconds / 1'000'000'000);
  return out;
}

}  // namespace

Result<Block> read_block(const Reply& reply) {
  if (reply.failure) return error_of(*reply.failure);
  return of_node(read_header(*reply.result));
}

Result<std::string> read_chain_id(const Reply& reply) {
  if (reply.failure) return error_of(*reply.failure);
  return of_node(get_string(*reply.result, "chain_id"));
}

// -- the state at a block

namespace {

base::JsonOutObject about(std::string_view type, const AccountId& account) {
  return {{"request_type", type}, {"account_id", account.text()}};
}

base::JsonOutObject params_of(const ViewAccount& question) { return about("view_account", question.account); }

base::JsonOutObject params_of(const ViewCall& question) {
  auto out = about("call_function", question.contract);
  out.emplace_back("method_name", question.method);
  out.emplace_back("args_base64", base::base64(question.args));
  return out;
}

base::JsonOutObject params_of(const ViewAccessKey& question) {
  auto out = about("view_access_key", question.account);
  out.emplace_back("public_key", question.key.text());
  return out;
}

base::JsonOutObject params_of(const ViewAccessKeys& question) {
  return about("view_access_key_list", question.account);
}

/// The block that a reply names, where it names one. An answer must; a failure may.
base::Status check_block(const JsonValue& value, const Block& at) {
  TRY(const std::uint64_t height, get_u64(value, "block_height"));
  TRY(const base::Digest32 hash, get_hash(value, "block_hash"));
  if (height == at.height && hash == at.hash) return base::done();
  return Error{Code::malformed, "an answer for another block", base::base58(at.hash), base::base58(hash)};
}

Result<Account> read_account(const JsonValue& value) {
  Account out;
  TRY(out.amount, get_amount(value, "amount"));
  TRY(out.locked, get_amount(value, "locked"));
  TRY(out.code_hash, get_hash(value, "code_hash"));
  TRY(out.storage_usage, get_u64(value, "storage_usage"));
  const auto given = [&](std::string_view name) {
    const auto member = value.find(name);
    return member && !member->is_null();
  };
  if (given("global_contract_hash")) {
    TRY(out.global_contract_hash, get_hash(value, "global_contract_hash"));
  }
  if (given("global_contract_account_id")) {
    TRY(out.global_contract_account, get_string(value, "global_contract_account_id"));
  }
  return out;
}

Result<Bytes> read_byte_array(const JsonValue& value) {
  if (!value.is_array()) return Error{Code::malformed, "result: not an array of bytes"};
  Bytes out;
  out.reserve(value.size());
  for (auto item = value.first(); item; item = item->next()) {
    TRY(const std::int64_t byte, item->integer("a byte of the result", 0, 255));
    out.push_back(static_cast<std::uint8_t>(byte));
  }
  return out;
}

Result<AccessKey> read_function_call(const JsonValue& value, std::uint64_t nonce) {
  AccessKey out{.nonce = nonce, .permission = AccessKey::Permission::function_call};
  const auto allowance = value.find("allowance");
  if (allowance && !allowance->is_null()) {
    TRY(out.allowance, get_amount(value, "allowance"));
  }
  TRY(out.receiver, get_string(value, "receiver_id"));
  TRY(const JsonValue methods, value.get("method_names"));
  if (!methods.is_array()) return Error{Code::malformed, "method_names: not an array"};
  for (auto method = methods.first(); method; method = method->next()) {
    TRY(out.methods.emplace_back(), method->string("method_names"));
  }
  return out;
}

Result<AccessKey> read_access_key(const JsonValue& value) {
  TRY(const std::uint64_t nonce, get_u64(value, "nonce"));
  TRY(const JsonValue permission, value.get("permission"));
  if (permission.plain_string() == "FullAccess") {
    return AccessKey{.nonce = nonce, .permission = AccessKey::Permission::full_access};
  }
  const auto call = permission.find("FunctionCall");
  if (call && permission.size() == 1) return read_function_call(*call, nonce);
  return AccessKey{.nonce = nonce, .permission = AccessKey::Permission::other};
}

Result<std::vector<AccountKey>> read_access_keys(const JsonValue& value) {
  TRY(const JsonValue keys, value.get("keys"));
  if (!keys.is_array()) return Error{Code::malformed, "keys: not an array"};
  std::vector<AccountKey> out;
  for (auto item = keys.first(); item; item = item->next()) {
    TRY(std::string key, get_string(*item, "public_key"));
    TRY(const JsonValue access, item->get("access_key"));
    TRY(AccessKey read, read_access_key(access));
    out.push_back({std::move(key), std::move(read)});
  }
  std::ranges::sort(out, {}, &AccountKey::key);
  if (std::ranges::adjacent_find(out, {}, &AccountKey::key) != out.end()) {
    return Error{Code::malformed, "keys: the same one twice"};
  }
  return out;
}

/// The no in a node's error, if it is one.
Result<Answer> as_refusal(const Error& error) {
  if (error.code != Code::not_found && error.code != Code::denied) return error;
  return Refusal{error.code, error.what, error.found};
}

/// `result.error`, which older nodes give in place of an error: a text, about a call or about a missing key.
Result<Answer> old_refusal(const Question& question, std::string_view text) {
  if (std::holds_alternative<ViewCall>(question)) return as_refusal(vm_error(text));
  const auto* asked = std::get_if<ViewAccessKey>(&question);
  if (asked != nullptr && text == "access key " + asked->key.text() + " does not exist while viewing") {
    return Refusal{Code::not_found, "the account has no such key", {}};
  }
  return Error{Code::malformed, "an error of another form", {}, shown(text)};
}

Result<Answer> read_result(const Question& question, const JsonValue& result, const Block& at) {
  TRY_OK(check_block(result, at));
  if (const auto error = result.find("error")) {
    TRY(const std::string text, error->string("error"));
    return old_refusal(question, text);
  }
  if (std::holds_alternative<ViewAccount>(question)) return read_account(result);
  if (std::holds_alternative<ViewAccessKey>(question)) return read_access_key(result);
  if (std::holds_alternative<ViewAccessKeys>(question)) return read_access_keys(result);
  TRY(const JsonValue value, result.get("result"));
  return read_byte_array(value);
}

}  // namespace

base::JsonOut query_params(const Question& question, const Block& at) {
  auto out = std::visit([](const auto& one) { return params_of(one); }, question);
  out.emplace_back("block_id", base::base58(at.hash));
  return out;
}

Result<Answer> read_answer(const Question& question, const Reply& reply, const Block& at) {
  if (!reply.failure) {
    auto read = read_result(question, *reply.result, at);
    return !read.ok() && read.error().code == Code::malformed ? of_node(std::move(read)) : read;
  }
  const Error error = error_of(*reply.failure);
  const auto& info = reply.failure->info;
  if (info && info->find("block_hash")) TRY_OK(of_node(check_block(*info, at)));
  // About a transaction: no answer to any of these questions.
  if (reply.failure->cause == "UNKNOWN_TRANSACTION") return no_answer(reply.failure->text);
  return as_refusal(error);
}

// -- transactions

namespace {

/// The name of a Rust enum's variant in JSON: a string, or the one member of an object.
std::string variant_name(const JsonValue& value) {
  if (value.is_string()) return value.string("variant").value_or("");
  const auto member = value.is_object() && value.size() == 1 ? value.first() : std::nullopt;
  return member ? member->key() : "";
}

struct Reason {
  std::string_view name;
  Problem problem;
};
/// Variants of nearcore's InvalidTxError, and below of its InvalidAccessKeyError. What is not in here says nothing
/// about the transaction: the node's storage is broken, a shard is busy (ShardCongested, ShardStuck), or the node is
/// newer.
constexpr std::array kReasons{
    Reason{"InvalidNonce", Problem::nonce},
    Reason{"NonceTooLarge", Problem::nonce},
    Reason{"Expired", Problem::expired},
    Reason{"InvalidChain", Problem::expired},
    Reason{"NotEnoughBalance", Problem::balance},
    Reason{"LackBalanceForState", Problem::balance},
    Reason{"SignerDoesNotExist", Problem::access_key},
    Reason{"InvalidSignature", Problem::invalid},
    Reason{"InvalidSignerId", Problem::invalid},
    Reason{"InvalidReceiverId", Problem::invalid},
    Reason{"InvalidTransactionVersion", Problem::invalid},
    Reason{"ActionsValidation", Problem::invalid},
    Reason{"TransactionSizeExceeded", Problem::invalid},
    Reason{"CostOverflow", Problem::invalid},
};
constexpr std::array kKeyReasons{
    Reason{"AccessKeyNotFound", Problem::access_key},       Reason{"ReceiverMismatch", Problem::access_key},
    Reason{"MethodNameMismatch", Problem::access_key},      Reason{"RequiresFullAccess", Problem::access_key},
    Reason{"DepositWithFunctionCall", Problem::access_key}, Reason{"NotEnoughAllowance", Problem::balance},
};

Problem problem_of(const JsonValue& invalid) {
  const std::string name = variant_name(invalid);
  const auto among = [](const auto& reasons, std::string_view wanted) {
    const auto* reason = std::ranges::find(reasons, wanted, &Reason::name);
    return reason == reasons.end() ? Problem::none : reason->problem;
  };
  if (name != "InvalidAccessKeyError") return among(kReasons, name);
  const auto inner = invalid.find(name);
  return inner ? among(kKeyReasons, variant_name(*inner)) : Problem::none;
}

Result<Outcome> refused(const JsonValue& invalid) {
  const std::string text = shown(invalid.source());
  const Problem problem = problem_of(invalid);
  if (problem == Problem::none) return Error{Code::unavailable, "not taken", {}, text};
  return Outcome{.kind = Outcome::Kind::refused, .problem = problem, .text = text};
}

/// {"TxExecutionError": {"InvalidTxError": …}} or what is inside, wherever this node puts it.
std::optional<JsonValue> find_invalid(const std::optional<JsonValue>& value) {
  if (!value) return std::nullopt;
  if (const auto outer = value->find("TxExecutionError")) return outer->find("InvalidTxError");
  return value->find("InvalidTxError");
}

Result<Outcome> failed_before(const Failure& failure) {
  if (failure.name == "HANDLER_ERROR" && failure.cause == "INVALID_TRANSACTION") {
    auto invalid = find_invalid(failure.data);
    if (!invalid) invalid = find_invalid(failure.info);
    if (!invalid) return Error{Code::unavailable, "not taken", {}, failure.text};
    return refused(*invalid);
  }
  const Error error = error_of(failure);
  if (failure.cause == "TIMEOUT_ERROR" && error.code == Code::deadline_exceeded) return Outcome{};
  if (failure.cause == "UNKNOWN_TRANSACTION" || error.code == Code::unavailable) return error;
  return no_answer(failure.text);
}

Result<Outcome> read_status(const JsonValue& status) {
  if (status.is_string()) {
    TRY(const std::string word, status.string("status"));
    if (word == "NotStarted" || word == "Started") return Outcome{};
    return Error{Code::malformed, "status: an unknown word", {}, shown(word)};
  }
  if (const auto value = status.find("SuccessValue"); value && status.size() == 1) {
    TRY(const std::string text, value->string("SuccessValue"));
    TRY(Bytes bytes, base::base64_decode(text), "SuccessValue");
    return Outcome{.kind = Outcome::Kind::succeeded, .value = std::move(bytes)};
  }
  const auto failure = status.find("Failure");
  if (!failure || status.size() != 1) return Error{Code::malformed, "status: of an unknown form"};
  if (const auto invalid = failure->find("InvalidTxError")) return refused(*invalid);
  return Outcome{.kind = Outcome::Kind::failed, .text = shown(failure->source())};
}

Result<Outcome> read_execution(const JsonValue& result, const base::Digest32& hash) {
  // Nodes that were asked to wait for less leave these two out until there is something to show.
  const auto transaction = result.find("transaction");
  const auto status = result.find("status");
  if (!transaction && !status && result.find("final_execution_status")) return Outcome{};
  TRY(const JsonValue named, result.get("transaction"));
  TRY(const base::Digest32 about, get_hash(named, "hash"));
  if (about != hash)
    return Error{Code::malformed, "about another transaction", base::base58(hash), base::base58(about)};
  TRY(const JsonValue state, result.get("status"));
  return read_status(state);
}

}  // namespace

Result<Outcome> read_outcome(const Reply& reply, const base::Digest32& hash) {
  if (reply.failure) return failed_before(*reply.failure);
  return of_node(read_execution(*reply.result, hash));
}

Error error_of(const Outcome& outcome) {
  const bool again = outcome.problem == Problem::nonce || outcome.problem == Problem::expired;
  return {
      .code = again ? Code::conflict : Code::denied,
      .what = outcome.kind == Outcome::Kind::failed ? "the transaction failed" : "the chain refuses the transaction",
      .found = outcome.text};
}

}  // namespace attestry::chain::near
