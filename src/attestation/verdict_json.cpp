// The JSON form of a verdict, written straight into one reserved string: it is made for every request of /v1/verify.
#include <algorithm>
#include <array>
#include <charconv>

#include "attestation/verdict.h"
#include "base/encoding.h"
#include "base/json_writer.h"

namespace attestry::attestation {
namespace {

constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x7f; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

class Writer {
 public:
  explicit Writer(std::size_t reserve) { out_.reserve(reserve); }

  void raw(std::string_view text) { out_.append(text); }
  void string(std::string_view text) {
    const bool plain = std::ranges::all_of(text, [](char c) { return kPlain[static_cast<unsigned char>(c)]; });
    if (!plain) {
      base::append_json_string(out_, text);
      return;
    }
    out_.push_back('"');
    out_.append(text);
    out_.push_back('"');
  }
  void integer(std::int64_t value) {
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    out_.append(digits.data(), end);
  }
  void hex(base::ByteView bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    out_.push_back('"');
    for (const std::uint8_t b : bytes) {
      out_.push_back(kDigits[b >> 4]);
      out_.push_back(kDigits[b & 15]);
    }
    out_.push_back('"');
  }
  void time(const std::optional<base::UtcTime>& at) {
    if (at) {
      string(base::to_rfc3339(*at));
    } else {
      raw("null");
    }
  }
  void comma_unless_first(bool& first) {
    if (!first) out_.push_back(',');
    first = false;
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

bool is_number(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const bool digits = !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  return digits && (text == "0" || text.front() != '0');
}

void write_root_cause(Writer& w, const Verdict& verdict) {
  const CheckResult* cause = verdict.outcome == Outcome::accepted ? nullptr : verdict.root_cause();
  if (cause == nullptr) {
    w.raw("null");
    return;
  }
  const CheckInfo& check = info(cause->check);
  w.raw("{\"id\":");
  w.string(check.id);
  w.raw(",\"title\":");
  w.string(check.title);
  w.raw(",\"expected\":");
  w.string(cause->expected);
  w.raw(",\"actual\":");
  w.string(cause->actual);
  w.raw(",\"detail\":");
  w.string(cause->detail);
  w.raw(",\"meaning\":");
  w.string(check.meaning);
  w.raw(",\"remedy\":");
  w.string(check.remedy);
  w.raw("}");
}

void write_tcb(Writer& w, const std::optional<TcbSummary>& tcb) {
  if (!tcb) {
    w.raw("null");
    return;
  }
  w.raw("{\"status\":");
  w.string(tcb->status);
  w.raw(",\"advisory_ids\":[");
  bool first = true;
  for (const std::string& id : tcb->advisory_ids) {
    w.comma_unless_first(first);
    w.string(id);
  }
  w.raw("],\"date\":");
  w.time(tcb->date);
  w.raw(",\"evaluation_number\":");
  if (tcb->evaluation_number) {
    w.integer(*tcb->evaluation_number);
  } else {
    w.raw("null");
  }
  w.raw("}");
}

void write_claims(Writer& w, const std::vector<Claim>& claims) {
  w.raw("{");
  bool first = true;
  for (const Claim& claim : claims) {
    w.comma_unless_first(first);
    w.string(claim.name);
    w.raw(":");
    if (claim.is_number && is_number(claim.value)) {
      w.raw(claim.value);
    } else if (claim.value == "true" || claim.value == "false") {
      w.raw(claim.value);
    } else {
      w.string(claim.value);
    }
  }
  w.raw("}");
}

void write_checks(Writer& w, const std::vector<CheckResult>& checks) {
  w.raw("[");
  bool first = true;
  for (const CheckResult& result : checks) {
    w.comma_unless_first(first);
    w.raw("{\"id\":\"");
    w.raw(info(result.check).id);
    w.raw("\",\"status\":\"");
    w.raw(to_text(result.status));
    w.raw("\",\"expected\":");
    w.string(result.expected);
    w.raw(",\"actual\":");
    w.string(result.actual);
    w.raw(",\"detail\":");
    w.string(result.detail);
    w.raw(",\"remedy\":");
    w.string(result.status == CheckStatus::fail ? info(result.check).remedy : std::string_view{});
    w.raw("}");
  }
  w.raw("]");
}

void write_collateral(Writer& w, const std::vector<CollateralUsed>& collateral) {
  w.raw("[");
  bool first = true;
  for (const CollateralUsed& item : collateral) {
    w.comma_unless_first(first);
    w.raw("{\"kind\":");
    w.string(to_text(item.kind));
    w.raw(",\"sha256\":");
    w.hex(item.sha256);
    w.raw(",\"issued\":");
    w.time(item.issued);
    w.raw(",\"expires\":");
    w.time(item.expires);
    w.raw("}");
  }
  w.raw("]");
}

void write_identity(Writer& w, const Verdict& verdict) {
  w.raw("{\"format\":1,\"catalogue\":");
  w.string(kCatalogueVersion);
  w.raw(",\"verdict\":");
  w.string(to_text(verdict.outcome));
  w.raw(",\"evidence\":");
  w.string(to_text(verdict.evidence));
  w.raw(",\"platform\":");
  w.string(to_text(verdict.platform));
  w.raw(verdict.simulated ? ",\"simulated\":true" : ",\"simulated\":false");
  w.raw(",\"at\":");
  w.time(verdict.at);
  w.raw(",\"evidence_sha256\":");
  w.hex(verdict.evidence_sha256);
  w.raw(",\"policy_sha256\":");
  if (verdict.policy_sha256) {
    w.hex(*verdict.policy_sha256);
  } else {
    w.raw("null");
  }
  w.raw(",\"anchors_sha256\":");
  w.hex(verdict.anchors_sha256);
}

/// Indents JSON that this file wrote: no white space between tokens. Empty arrays and objects stay on their line.
std::string indented(std::string_view compact) {
  std::string out;
  out.reserve(compact.size() * 2);
  std::size_t depth = 0;
  const auto new_line = [&] { out.append(1, '\n').append(2 * depth, ' '); };
  for (std::size_t i = 0; i < compact.size(); ++i) {
    const char c = compact[i];
    if (c == '"') {
      const std::size_t begin = i;
      for (++i; compact[i] != '"'; ++i) {
        if (compact[i] == '\\') ++i;
      }
      out.append(compact.substr(begin, i - begin + 1));
      continue;
    }
    const bool closes = c == '}' || c == ']';
    const bool empty = closes && (compact[i - 1] == '{' || compact[i - 1] == '[');
    if (closes) --depth;
    if (closes && !empty) new_line();
    out.push_back(c);
    if (c == ':') out.push_back(' ');
    if (c == '{' || c == '[') ++depth;
    const bool opens_filled = (c == '{' || c == '[') && compact[i + 1] != '}' && compact[i + 1] != ']';
    if (c == ',' || opens_filled) new_line();
  }
  return out;
}

}  // namespace

std::string to_json(const Verdict& verdict, bool pretty) {
  constexpr std::size_t kFixedBytes = 4096;
  constexpr std::size_t kBytesPerCheck = 224;
  Writer w(kFixedBytes + kBytesPerCheck * verdict.checks.size());
  write_identity(w, verdict);
  w.raw(",\"root_cause\":");
  write_root_cause(w, verdict);
  w.raw(",\"tcb\":");
  write_tcb(w, verdict.tcb);
  w.raw(",\"claims\":");
  write_claims(w, verdict.claims);
  w.raw(",\"checks\":");
  write_checks(w, verdict.checks);
  w.raw(",\"collateral\":");
  write_collateral(w, verdict.collateral);
  w.raw(",\"collateral_stale_seconds\":");
  if (verdict.collateral_stale_seconds) {
    w.integer(*verdict.collateral_stale_seconds);
  } else {
    w.raw("null");
  }
  w.raw(",\"valid_until\":");
  w.time(verdict.valid_until);
  w.raw("}");
  std::string compact = w.take();
  return pretty ? indented(compact) : compact;
}

}  // namespace attestry::attestation
