#include "tee/dstack_agent.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"

namespace attestry::tee {

using base::Bytes;
using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kSignatureBytes = 65;
constexpr std::size_t kMostSignatures = 4;
constexpr std::size_t kMostQuote = 64 * 1024;
constexpr std::size_t kMostKeyAnswer = 64 * 1024;
constexpr std::size_t kMostAnswer = 2u << 20;  // event log and compose file
constexpr std::size_t kShown = 300;

/// `unavailable`, whatever is wrong: the agent's answer says nothing about who waits for it.
Error unreadable(std::string_view method, const Error& why) {
  return Error{Code::unavailable, "answer of dstack's guest agent to " + std::string{method},
               why.expected.empty() ? "what its interface promises" : why.expected, why.what};
}

Result<Bytes> hex_member(const JsonValue& body, std::string_view name) {
  TRY(const auto found, body.get(name));
  TRY(const auto digits, found.string(name));
  TRY(auto out, base::hex_decode(digits), name);
  return out;
}

Result<DstackKey> read_key(const JsonValue& body) {
  TRY(const auto found, body.get("key"));
  TRY(auto text, found.string("key"));
  const auto digits = crypto::Secret::absorb({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  auto bytes = base::hex_decode(base::as_text(digits.reveal()));
  // Its error would show what stands there.
  if (!bytes) return Error{Code::malformed, "key: no hexadecimal"};
  DstackKey out{.key = crypto::Secret::absorb(*bytes)};
  if (out.key.size() != kKeyBytes) {
    return Error{Code::malformed, "key", "32 bytes", std::to_string(out.key.size())};
  }
  TRY(const auto chain, body.get("signature_chain"));
  if (!chain.is_array() || chain.size() > kMostSignatures) {
    return Error{Code::malformed, "signature_chain", "an array of at most 4"};
  }
  for (auto one = chain.first(); one; one = one->next()) {
    TRY(const auto signature_text, one->string("signature_chain"));
    TRY(auto signature, base::hex_decode(signature_text), "signature_chain");
    if (signature.empty()) continue;  // without a key service
    if (signature.size() != kSignatureBytes || signature.back() > 1) {
      return Error{Code::malformed, "signature_chain", "65 bytes that end in 0 or 1", std::to_string(signature.size())};
    }
    out.signature_chain.push_back(std::move(signature));
  }
  return out;
}

Result<DstackQuote> read_quote(const JsonValue& body, const base::FixedBytes<64>& asked) {
  DstackQuote out{.quote = {}, .report_data = asked};
  TRY(out.quote, hex_member(body, "quote"));
  if (out.quote.empty() || out.quote.size() > kMostQuote) {
    return Error{Code::malformed, "quote", "1 to 65536 bytes", std::to_string(out.quote.size())};
  }
  TRY(const auto log, body.get("event_log"));
  TRY(out.event_log, log.string("event_log"));
  const auto repeated = body.find("report_data");
  if (!repeated || repeated->is_null()) return out;
  TRY(const auto text, repeated->string("report_data"));
  if (text.empty()) return out;
  TRY(const auto bytes, base::hex_decode(text), "report_data");
  if (!base::equal(bytes, asked)) {
    return Error{Code::malformed, "report_data", base::hex(asked), text.substr(0, kShown)};
  }
  return out;
}

Result<DstackInfo> read_info(const JsonValue& body) {
  DstackInfo out;
  TRY(const auto app, hex_member(body, "app_id"));
  if (app.size() != out.app_id.size()) return Error{Code::malformed, "app_id", "20 bytes", std::to_string(app.size())};
  std::ranges::copy(app, out.app_id.begin());
  TRY(out.instance_id, hex_member(body, "instance_id"));
  if (!out.instance_id.empty() && out.instance_id.size() != out.app_id.size()) {
    return Error{Code::malformed, "instance_id", "20 bytes, or none", std::to_string(out.instance_id.size())};
  }
  TRY(const auto name, body.get("app_name"));
  TRY(out.app_name, name.string("app_name"));
  if (!body.find("compose_hash")) return out;
  TRY(out.compose_hash, hex_member(body, "compose_hash"));
  if (!out.compose_hash.empty() && out.compose_hash.size() != 32) {
    return Error{Code::malformed, "compose_hash", "32 bytes, or none", std::to_string(out.compose_hash.size())};
  }
  return out;
}

template <class Read>
auto parse(std::string_view method, std::string body, bool wipe, Read read)
    -> decltype(read(std::declval<const JsonValue&>())) {
  const auto document = base::JsonDocument::parse(std::move(body), {.max_bytes = kMostAnswer, .wipe = wipe});
  // What failed to parse may be a key, and stays out of the error.
  if (!document) return unreadable(method, Error{Code::malformed, "no JSON"});
  auto out = read((*document)->root());
  if (!out) return unreadable(method, out.error());
  return out;
}

}  // namespace

Result<DstackKey> parse_dstack_key(std::string body) { return parse("GetKey", std::move(body), true, read_key); }

Result<DstackQuote> parse_dstack_quote(std::string body, const base::FixedBytes<64>& asked) {
  return parse("GetQuote", std::move(body), false,
               [&](const JsonValue& root) -> Result<DstackQuote> { return read_quote(root, asked); });
}

Result<DstackInfo> parse_dstack_info(std::string body) { return parse("Info", std::move(body), false, read_info); }

Result<std::string> DstackAgent::call(std::string_view method, std::string body, std::size_t most) const {
  auto answer = http_.send({.method = net::Method::post,
                            .url = "http://localhost/" + std::string{method},
                            .headers = {{"Content-Type", "application/json"}},
                            .body = std::move(body),
                            .deadline = clock_.steady() + patience_,
                            .max_bytes = most,
                            .unix_socket = socket_});
  if (!answer) {
    return Error{Code::unavailable, "dstack's guest agent does not answer", "status 200", answer.error().what,
                 "See whether " + socket_ + " is mounted into this container."};
  }
  if (answer->status != 200) {
    return Error{Code::unavailable, "dstack's guest agent refuses " + std::string{method}, "status 200",
                 std::to_string(answer->status) + ": " + answer->body.substr(0, kShown)};
  }
  return std::move(answer->body);
}

Result<DstackKey> DstackAgent::key(std::string_view path, std::string_view purpose) const {
  const base::JsonOut asked{base::JsonOutObject{{"path", path}, {"purpose", purpose}}};
  TRY(auto body, call("GetKey", asked.compact(), kMostKeyAnswer));
  return parse_dstack_key(std::move(body));
}

Result<DstackQuote> DstackAgent::quote(const base::FixedBytes<64>& report_data) const {
  TRY(auto body, call("GetQuote", R"({"report_data":")" + base::hex(report_data) + R"("})", kMostAnswer));
  return parse_dstack_quote(std::move(body), report_data);
}

Result<DstackInfo> DstackAgent::info() const {
  TRY(auto body, call("Info", "{}", kMostAnswer));
  return parse_dstack_info(std::move(body));
}

Result<attestation::Evidence> DstackAgent::attest(const base::FixedBytes<64>& report_data) {
  TRY(auto made, quote(report_data));
  const auto format = attestation::detect_format(made.quote);
  return attestation::Evidence{.format = format, .bytes = std::move(made.quote)};
}

}  // namespace attestry::tee
