#include "chain/json_rpc.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "base/utf8.h"
#include "chain/abi.h"

namespace attestry::chain {
namespace {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::size_t kMaxMessage = 300;  // bytes of a node's own words that go into an error

Error malformed(std::string_view field, std::string_view what) {
  return {Code::malformed, "JSON-RPC: " + std::string{field} + ": " + std::string{what}};
}

Error not_rpc(std::string what) { return {Code::unavailable, "not an answer of JSON-RPC: " + std::move(what)}; }

/// The digits after 0x of a quantity.
Result<std::string> quantity_digits(const JsonValue& value, std::size_t most, std::string_view field) {
  const auto text = value.plain_string();
  if (!text || !text->starts_with("0x") || text->size() < 3) return malformed(field, "not 0x and hex digits");
  const std::string_view digits = text->substr(2);
  if (digits.size() > 1 && digits[0] == '0') return malformed(field, "a number with leading zeros");
  if (digits.size() > most) return malformed(field, "a number that is too large");
  std::string even(digits.size() % 2, '0');
  even += digits;
  return even;
}

std::string lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

/// The bytes that a node gives with an error: hex, "Reverted 0x…" (OpenEthereum), or an object with `data` (Hardhat),
/// also one keyed by the transaction (Ganache).
std::optional<Bytes> error_data(const JsonValue& value, int depth = 0) {
  if (const auto text = value.plain_string()) {
    std::string_view hex = *text;
    if (const auto at = hex.find("0x"); at != std::string_view::npos && (at == 0 || hex.starts_with("Reverted "))) {
      if (auto bytes = base::hex_decode(hex.substr(at + 2)); bytes.ok()) return *std::move(bytes);
    }
    return std::nullopt;
  }
  if (!value.is_object() || depth > 2) return std::nullopt;
  for (const std::string_view name : {"data", "result", "return"}) {
    if (const auto member = value.find(name)) {
      if (auto bytes = error_data(*member, depth + 1)) return bytes;
    }
  }
  for (auto member = value.first(); member; member = member->next()) {
    if (!member->is_object()) continue;
    if (auto bytes = error_data(*member, depth + 1)) return bytes;
  }
  return std::nullopt;
}

Result<RpcError> parse_error(const JsonValue& value) {
  RpcError out;
  TRY(const JsonValue code, value.get("code"));
  constexpr std::int64_t kMost = 1LL << 53;
  TRY(out.code, code.integer("code", -kMost, kMost));
  TRY(const JsonValue message, value.get("message"));
  TRY(out.message, message.string("message"));
  if (const auto data = value.find("data")) out.data = error_data(*data);
  return out;
}

Result<RpcAnswer> parse_answer(const JsonValue& value) {
  RpcAnswer out;
  out.result = value.find("result");
  const auto error = value.find("error");
  const bool failed = error && !error->is_null();
  if (failed) {
    if (out.result && !out.result->is_null()) return not_rpc("both a result and an error");
    out.result.reset();
    TRY(out.error, parse_error(*error));
  } else if (!out.result) {
    return not_rpc("neither a result nor an error");
  }
  return out;
}

base::Status check_version(const JsonValue& value) {
  const auto version = value.find("jsonrpc");
  if (!version || version->plain_string() != "2.0") return not_rpc("another version than 2.0");
  return base::done();
}

/// The node's answer to the batch as a whole.
Error batch_error(const JsonValue& root) {
  const auto error = root.find("error");
  if (!error || !error->is_object()) return not_rpc("no array");
  const auto parsed = parse_error(*error);
  if (!parsed.ok()) return not_rpc("an error of another form");
  return {Code::unavailable, "the node refuses the batch: " + shown(parsed->message)};
}

}  // namespace

std::string shown(std::string_view text) {
  std::string out{base::utf8_prefix(text, kMaxMessage)};
  std::ranges::replace_if(out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return out;
}

std::string endpoint_name(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  return std::string{url.substr(url.rfind('@') + 1)};
}

std::string quantity(std::uint64_t value) {
  std::array<char, 16> digits{};
  std::size_t at = digits.size();
  do {
    digits[--at] = "0123456789abcdef"[value & 0xf];
    value >>= 4;
  } while (value != 0);
  return "0x" + std::string{digits.begin() + static_cast<std::ptrdiff_t>(at), digits.end()};
}

std::string hex_data(ByteView bytes) { return "0x" + base::hex(bytes); }

Result<std::uint64_t> parse_quantity(const JsonValue& value, std::string_view field) {
  TRY(const std::string digits, quantity_digits(value, 16, field));
  TRY(const Bytes bytes, base::hex_decode(digits), field);
  std::uint64_t out = 0;
  for (const std::uint8_t byte : bytes) out = out << 8 | byte;
  return out;
}

Result<Word> parse_quantity_word(const JsonValue& value, std::string_view field) {
  TRY(const std::string digits, quantity_digits(value, 64, field));
  TRY(const Bytes bytes, base::hex_decode(digits), field);
  Word out{};
  std::ranges::copy(bytes, out.end() - static_cast<std::ptrdiff_t>(bytes.size()));
  return out;
}

Result<Bytes> parse_data(const JsonValue& value, std::string_view field) {
  const auto text = value.plain_string();  // hex digits need no escapes
  if (!text || !text->starts_with("0x")) return malformed(field, "not 0x and hex digits");
  TRY(auto bytes, base::hex_decode(text->substr(2)), field);
  return bytes;
}

Result<base::Digest32> parse_hash(const JsonValue& value, std::string_view field) {
  TRY(const Bytes bytes, parse_data(value, field));
  base::Digest32 out{};
  if (bytes.size() != out.size()) return malformed(field, "not 32 bytes");
  std::ranges::copy(bytes, out.begin());
  return out;
}

Result<Address> parse_address(const JsonValue& value, std::string_view field) {
  TRY(const Bytes bytes, parse_data(value, field));
  Address out{};
  if (bytes.size() != out.size()) return malformed(field, "not 20 bytes");
  std::ranges::copy(bytes, out.begin());
  return out;
}

std::string rpc_batch(std::span<const RpcRequest> requests) {
  base::JsonOutArray batch;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    batch.emplace_back(base::JsonOutObject{
        {"jsonrpc", "2.0"}, {"id", i + 1}, {"method", requests[i].method}, {"params", requests[i].params}});
  }
  return base::JsonOut{std::move(batch)}.compact();
}

Result<RpcAnswers> parse_rpc_batch(std::string body, std::size_t expected, std::size_t max_bytes) {
  auto parsed = base::JsonDocument::parse(std::move(body), {.max_bytes = max_bytes});
  if (!parsed.ok()) return not_rpc(parsed.error().what);
  RpcAnswers out;
  out.documents.push_back(*parsed);
  const JsonValue root = out.documents.back()->root();
  if (!root.is_array()) return batch_error(root);
  if (root.size() != expected) return not_rpc("another number of answers than of requests");
  out.answers.resize(expected);
  for (auto item = root.first(); item; item = item->next()) {
    TRY_OK(check_version(*item));
    const auto id = item->find("id");
    if (!id) return not_rpc("an answer without id");
    const auto number = id->integer("id", 1, static_cast<std::int64_t>(expected));
    if (!number.ok()) return not_rpc("an id that was not asked");
    RpcAnswer& slot = out.answers[static_cast<std::size_t>(*number) - 1];
    if (slot.result || slot.error) return not_rpc("the same id twice");
    TRY(slot, parse_answer(*item));
  }
  return out;
}

std::optional<CallOutcome> revert_of(const RpcError& error) {
  const std::string text = lower(error.message);
  // Not the word alone: "the request was reverted by the rate limit" is an outage and no contract's answer.
  const bool says_so = text.find("execution reverted") != std::string::npos ||
                       text.find("vm exception while processing transaction: revert") != std::string::npos ||
                       (error.data && text.find("revert") != std::string::npos);
  // Frontier's own failures are answers of the contract too: the same in every node, and they carry no data.
  const bool aborted =
      text.starts_with("invalid opcode") || text.starts_with("invalid jump") || text.starts_with("stack underflow");
  constexpr std::int64_t kVmError = -32015;  // OpenEthereum, Nethermind
  constexpr std::int64_t kGethRevert = 3;
  if (!says_so && !aborted && !(error.code == kVmError && error.data) && error.code != kGethRevert) return std::nullopt;
  CallOutcome out{.reverted = true, .data = error.data.value_or(Bytes{}), .reason = {}};
  // A node that has only words for it: the same bytes as the others', so that they can agree.
  for (const std::string_view before : {"execution reverted: ", "reverted with reason string '"}) {
    const auto at = error.message.find(before);
    if (error.data || at == std::string::npos) continue;
    std::string reason = error.message.substr(at + before.size());
    if (before.back() == '\'' && reason.ends_with('\'')) reason.pop_back();
    out.data = encode_error_string(reason);
  }
  out.reason = shown(revert_reason(out.data));
  return out;
}

Endpoint::Endpoint(net::HttpTransport& transport, EndpointOptions options)
    : transport_(transport), options_(std::move(options)) {
  if (options_.name.empty()) options_.name = endpoint_name(options_.url);
  options_.max_batch = std::max<std::size_t>(1, options_.max_batch);
}

Result<RpcAnswers> Endpoint::batch(std::span<const RpcRequest> requests, base::Deadline deadline) {
  RpcAnswers all;
  while (!requests.empty()) {
    const auto part = requests.first(std::min(options_.max_batch, requests.size()));
    requests = requests.subspan(part.size());
    net::HttpRequest request{.method = net::Method::post,
                             .url = options_.url,
                             .headers = options_.headers,
                             .body = rpc_batch(part),
                             .deadline = deadline,
                             .max_bytes = options_.max_bytes,
                             .shown_as = options_.name};
    request.headers.set("Content-Type", "application/json");
    TRY(net::Response response, transport_.send(request));
    if (response.status != 200) {
      return Error{Code::unavailable, options_.name + " answers with status " + std::to_string(response.status)};
    }
    auto some = parse_rpc_batch(std::move(response.body), part.size(), options_.max_bytes);
    if (!some.ok()) {
      some.error().code = Code::unavailable;  // whose input it was is no question here: a part that we need is broken
      return some.error().at(options_.name);
    }
    std::ranges::move(some->documents, std::back_inserter(all.documents));
    std::ranges::move(some->answers, std::back_inserter(all.answers));
  }
  return all;
}

Result<RpcAnswers> Endpoint::ask(RpcRequest request, base::Deadline deadline) {
  const std::string method = request.method;
  TRY(RpcAnswers answers, batch({&request, 1}, deadline));
  if (const auto& error = answers.answers.front().error) {
    return Error{
        .code = Code::unavailable, .what = options_.name + ": " + method + " fails", .found = shown(error->message)};
  }
  return answers;
}

}  // namespace attestry::chain
