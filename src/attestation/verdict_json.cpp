// The JSON form of a verdict, written straight into one reserved string: it is made for every request of /v1/verify.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "attestation/claim_dictionary.h"
#include "attestation/verdict.h"
#include "base/encoding.h"
#include "base/json_writer.h"

namespace attestry::attestation {
namespace {

constexpr bool is_plain(unsigned char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

/// True when no byte of the eight needs escaping in JSON. Looks at all of them at once: hex is most of a verdict.
bool eight_plain(const char* text) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kHighs = 0x8080808080808080;
  std::uint64_t word = 0;
  std::memcpy(&word, text, sizeof word);
  const auto has_zero = [](std::uint64_t v) { return (v - kOnes) & ~v & kHighs; };
  const std::uint64_t control = (word - kOnes * 0x20) & ~word & kHighs;
  const std::uint64_t quote = has_zero(word ^ (kOnes * '"'));
  const std::uint64_t backslash = has_zero(word ^ (kOnes * '\\'));
  const std::uint64_t deleted = has_zero(word ^ (kOnes * 0x7f));
  return (control | quote | backslash | deleted | (word & kHighs)) == 0;
}

bool all_plain(std::string_view text) {
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    if (!eight_plain(text.data() + i)) return false;
  }
  for (; i < text.size(); ++i) {
    if (!is_plain(static_cast<unsigned char>(text[i]))) return false;
  }
  return true;
}

class Writer {
 public:
  explicit Writer(std::size_t reserve) { out_.reserve(reserve); }

  void raw(std::string_view text) { out_.append(text); }
  void string(std::string_view text) {
    if (!all_plain(text)) {
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
    std::size_t at = out_.size();
    out_.resize(at + 2 * bytes.size() + 2, '"');
    for (const std::uint8_t b : bytes) {
      out_[++at] = kDigits[b >> 4];
      out_[++at] = kDigits[b & 15];
    }
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

/// A text that reads "true" is still a text.
bool is_boolean(const Claim& claim) {
  if (claim.value != "true" && claim.value != "false") return false;
  const ClaimInfo* known = find_claim(claim.name);
  return known != nullptr && known->type == ClaimType::boolean;
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
    } else if (is_boolean(claim)) {
      w.raw(claim.value);
    } else {
      w.string(claim.value);
    }
  }
  w.raw("}");
}

/// A check that passed and says nothing more, in one piece: most of a verdict's checks.
const std::string& bare_pass(CheckId check) {
  static const std::vector<std::string>* const pieces = [] {
    auto* all = new std::vector<std::string>;
    for (const CheckInfo& c : catalogue()) {
      all->push_back("{\"id\":\"" + std::string{c.id} +
                     R"(","status":"pass","expected":"","actual":"","detail":"","remedy":""})");
    }
    return all;
  }();
  return (*pieces)[static_cast<std::size_t>(check)];
}

void write_check(Writer& w, const CheckResult& result) {
  const bool bare = result.expected.empty() && result.actual.empty() && result.detail.empty();
  if (bare && result.status == CheckStatus::pass) {
    w.raw(bare_pass(result.check));
    return;
  }
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

void write_checks(Writer& w, const std::vector<CheckResult>& checks) {
  w.raw("[");
  bool first = true;
  for (const CheckResult& result : checks) {
    w.comma_unless_first(first);
    write_check(w, result);
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
  if (verdict.token_keys_unvouched) w.raw(",\"token_keys_unvouched\":true");
  w.raw(",\"valid_until\":");
  w.time(verdict.valid_until);
  w.raw("}");
  std::string compact = w.take();
  return pretty ? indented(compact) : compact;
}

}  // namespace attestry::attestation
