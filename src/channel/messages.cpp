#include "channel/messages.h"

#include <algorithm>

#include "base/reader.h"

namespace attestry::channel {

using attestation::Evidence;
using attestation::Supplement;
using attestation::SupplementKind;
using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::string_view kVersion = "attestry/channel/1";
constexpr std::size_t kLp = 4;
constexpr std::size_t kMaxLogs = 2;
constexpr std::size_t kHelloFixed = kLp + kVersion.size() + kLp + kLp + kNonceBytes;

bool printable(char c) { return c >= 0x20 && c < 0x7f; }

std::size_t longest(Kind kind) {
  switch (kind) {
    case Kind::client_hello:
    case Kind::server_hello:
      return kHelloFixed + kMaxAudience;
    case Kind::evidence:
      return kLp + kMaxEvidence + 1 + kMaxLogs * (1 + kLp + kMaxLog);
    case Kind::refused:
      return 1 + kLp + kMaxReason;
    case Kind::data:
      break;
  }
  return kMaxData;
}

std::uint8_t number_of(SupplementKind kind) { return kind == SupplementKind::tcg_event_log ? 1 : 2; }

}  // namespace

std::string_view to_text(Kind kind) noexcept {
  switch (kind) {
    case Kind::client_hello:
      return "the caller's hello";
    case Kind::server_hello:
      return "the called one's hello";
    case Kind::evidence:
      return "evidence";
    case Kind::refused:
      return "a refusal";
    case Kind::data:
      break;
  }
  return "data";
}

Result<Header> parse_header(base::ByteView bytes) {
  base::Reader in(bytes);
  TRY(const auto kind, in.u8("kind"));
  TRY(const auto size, in.u32be("size"));
  TRY_OK(in.finish("header"));
  if (kind < static_cast<std::uint8_t>(Kind::client_hello) || kind > static_cast<std::uint8_t>(Kind::data))
    return Error{Code::malformed, "kind of message", "1 to 5", std::to_string(kind)};
  const Header out{.kind = static_cast<Kind>(kind), .size = size};
  if (size <= longest(out.kind)) return out;
  return Error{Code::malformed, "size of a message", "at most " + std::to_string(longest(out.kind)),
               std::to_string(size)};
}

base::FixedBytes<kHeaderBytes> header(Kind kind, std::size_t size) {
  base::LpWriter out;
  out.u8(static_cast<std::uint8_t>(kind)).u32(static_cast<std::uint32_t>(size));
  base::FixedBytes<kHeaderBytes> bytes{};
  std::ranges::copy(out.bytes(), bytes.begin());
  return bytes;
}

base::Bytes encode(const Hello& hello) {
  base::LpWriter out;
  out.lp(kVersion).lp(hello.audience).lp(base::ByteView{hello.nonce});
  return std::move(out).take();
}

Result<Hello> parse_hello(base::ByteView body) {
  base::Reader in(body);
  TRY(const auto version, in.lp("version", kVersion.size()));
  if (base::as_text(version) != kVersion) {
    return Error{Code::malformed, "version of the channel", std::string{kVersion}, {}};
  }
  Hello out;
  TRY(const auto audience, in.lp("audience", kMaxAudience));
  out.audience = std::string{base::as_text(audience)};
  if (!std::ranges::all_of(out.audience, printable)) return Error{Code::malformed, "audience", "printable ASCII"};
  TRY(const auto nonce, in.lp("nonce", kNonceBytes));
  if (nonce.size() != kNonceBytes) return Error{Code::malformed, "nonce", "32 bytes", std::to_string(nonce.size())};
  std::ranges::copy(nonce, out.nonce.begin());
  TRY_OK(in.finish("hello"));
  return out;
}

Result<base::Bytes> encode(const Evidence& evidence) {
  const bool fits =
      !evidence.bytes.empty() && evidence.bytes.size() <= kMaxEvidence && evidence.supplements.size() <= kMaxLogs &&
      std::ranges::all_of(evidence.supplements, [](const Supplement& one) { return one.bytes.size() <= kMaxLog; });
  if (!fits) return Error{Code::too_large, "evidence for a channel", "at most 64 KiB, and two logs of 256 KiB"};
  base::LpWriter out;
  out.lp(evidence.bytes).u8(static_cast<std::uint8_t>(evidence.supplements.size()));
  for (const Supplement& one : evidence.supplements) out.u8(number_of(one.kind)).lp(one.bytes);
  return std::move(out).take();
}

Result<Evidence> parse_evidence(base::ByteView body) {
  base::Reader in(body);
  TRY(const auto bytes, in.lp("evidence", kMaxEvidence));
  if (bytes.empty()) return Error{Code::malformed, "evidence", "some", "none"};
  Evidence out{.format = attestation::detect_format(bytes), .bytes = base::to_bytes(bytes), .supplements = {}};
  TRY(const auto logs, in.u8("number of logs"));
  if (logs > kMaxLogs) return Error{Code::malformed, "number of logs", "at most 2", std::to_string(logs)};
  std::uint8_t before = 0;
  for (std::uint8_t i = 0; i < logs; ++i) {
    TRY(const auto kind, in.u8("kind of log"));
    // Ascending: at most one of a kind, and one way to write them.
    if (kind <= before || kind > 2) return Error{Code::malformed, "kind of log", "1, then 2", std::to_string(kind)};
    before = kind;
    TRY(const auto log, in.lp("log", kMaxLog));
    out.supplements.push_back({.kind = kind == 1 ? SupplementKind::tcg_event_log : SupplementKind::dstack_event_log,
                               .bytes = base::to_bytes(log)});
  }
  TRY_OK(in.finish("evidence"));
  return out;
}

base::Bytes encode(const Refused& refused) {
  base::LpWriter out;
  out.u8(refused.denied ? 1 : 2).lp(refused.reason);
  return std::move(out).take();
}

Result<Refused> parse_refused(base::ByteView body) {
  base::Reader in(body);
  TRY(const auto kind, in.u8("kind of refusal"));
  if (kind != 1 && kind != 2) return Error{Code::malformed, "kind of refusal", "1 or 2", std::to_string(kind)};
  Refused out{.denied = kind == 1, .reason = {}};
  TRY(const auto reason, in.lp("reason", kMaxReason));
  out.reason = std::string{base::as_text(reason)};
  if (!std::ranges::all_of(out.reason, printable)) return Error{Code::malformed, "reason", "printable ASCII"};
  TRY_OK(in.finish("refusal"));
  return out;
}

Refused refusal_of(const Error& error) {
  const int status = base::http_status(error.code);
  const bool trouble = status >= 500 || status == 429;
  // A mistake in this end's settings, or evidence of another world, is not the other end's to wait for.
  const bool decided = error.code == Code::configuration || error.code == Code::realm_mismatch;
  Refused out{.denied = !trouble || decided, .reason = error.text()};
  std::erase_if(out.reason, [](char c) { return !printable(c); });
  if (out.reason.size() > kMaxReason) out.reason.resize(kMaxReason);
  return out;
}

}  // namespace attestry::channel
