// The verdict for a person at a terminal, perhaps at three in the morning: what was decided, why, and what to do.
#include <algorithm>
#include <array>

#include "attestation/verdict.h"
#include "base/encoding.h"

namespace attestry::attestation {
namespace {

constexpr std::string_view kRed = "\x1b[1;31m";
constexpr std::string_view kGreen = "\x1b[1;32m";
constexpr std::string_view kYellow = "\x1b[1;33m";
constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kDim = "\x1b[2m";
constexpr std::string_view kReset = "\x1b[0m";

/// Values come out of evidence: nothing in them may reach the terminal as a control sequence.
std::string printable(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out.push_back(c);
    } else {
      out.append("\\x").push_back(kDigits[byte >> 4]);
      out.push_back(kDigits[byte & 15]);
    }
  }
  return out;
}

class Report {
 public:
  explicit Report(bool colour) : colour_(colour) {}

  Report& text(std::string_view s) {
    out_.append(s);
    return *this;
  }
  Report& value(std::string_view s) { return text(printable(s)); }
  Report& paint(std::string_view colour, std::string_view s) {
    if (!colour_) return text(s);
    return text(colour).text(s).text(kReset);
  }
  Report& padded(std::string_view s, std::size_t width) {
    text(s);
    out_.append(s.size() < width ? width - s.size() : 0, ' ');
    return *this;
  }
  void heading(std::string_view s) { text("\n").paint(kBold, s).text("\n"); }
  /// "  name      value", with nothing printed for an empty value.
  void field(std::string_view name, std::string_view shown, std::string_view indent = "  ", std::size_t width = 11) {
    if (shown.empty()) return;
    text(indent).padded(name, width).text(" ").value(shown).text("\n");
  }
  std::string take() { return std::move(out_); }

 private:
  bool colour_;
  std::string out_;
};

std::string_view platform_name(Platform platform) {
  switch (platform) {
    case Platform::sgx:
      return "Intel SGX";
    case Platform::tdx:
      return "Intel TDX";
    case Platform::snp:
      return "AMD SEV-SNP";
    case Platform::nitro:
      return "AWS Nitro Enclave";
    case Platform::maa:
      return "Azure Attestation";
    case Platform::unknown:
      return "unknown platform";
  }
  return "unknown platform";
}

std::string_view evidence_sentence(Genuineness evidence) {
  switch (evidence) {
    case Genuineness::genuine:
      return "the evidence is genuine";
    case Genuineness::not_genuine:
      return "the evidence is NOT genuine";
    case Genuineness::undecided:
      return "it cannot be decided whether the evidence is genuine";
  }
  return "";
}

/// Checks of the documents around the evidence. Where they alone fail, nothing was found against the evidence itself.
bool is_about_collateral(std::string_view id) {
  if (id.ends_with(".revoked")) return false;  // good collateral that speaks against the evidence
  for (const std::string_view group : {"dcap.collateral", "dcap.tcb_info", "dcap.qe_identity.", "dcap.crl"}) {
    if (id.starts_with(group)) return true;
  }
  return false;
}

bool only_collateral_failed(const Verdict& verdict) {
  bool any = false;
  for (const CheckResult& result : verdict.checks) {
    const std::string_view id = info(result.check).id;
    if (result.status != CheckStatus::fail || id.starts_with("policy.")) continue;
    if (!is_about_collateral(id)) return false;
    any = true;
  }
  return any;
}

void write_headline(Report& r, const Verdict& verdict) {
  switch (verdict.outcome) {
    case Outcome::accepted:
      r.paint(kGreen, "ACCEPTED");
      break;
    case Outcome::refused:
      r.paint(kRed, "REFUSED");
      break;
    case Outcome::undecided:
      r.paint(kYellow, "UNDECIDED");
      break;
  }
  r.text("  ").text(platform_name(verdict.platform)).text(": ");
  const CheckResult* cause = verdict.root_cause();
  if (verdict.evidence == Genuineness::not_genuine && cause != nullptr && only_collateral_failed(verdict)) {
    r.text("the evidence cannot be shown to be genuine, because of its collateral (failed: ");
    r.text(info(cause->check).title).text(")");
  } else {
    r.text(evidence_sentence(verdict.evidence));
  }
  if (verdict.tcb && !verdict.tcb->status.empty()) r.text(", TCB ").value(verdict.tcb->status);
  r.text(", judged at ").text(base::to_rfc3339(verdict.at)).text("\n");
  if (verdict.simulated) {
    r.paint(kYellow, "SIMULATED").text(" Made under a test root: this proves nothing about any hardware.\n");
  }
  if (verdict.token_keys_unvouched) {
    r.paint(kYellow, "UNVOUCHED").text(" The token's keys came beside it: whoever made it may have made them.\n");
  }
  if (verdict.collateral_stale_seconds) {
    r.paint(kYellow, "STALE").text(" Collateral is ").text(std::to_string(*verdict.collateral_stale_seconds));
    r.text(" s past its refresh, because its source was away.\n");
  }
}

void write_root_cause(Report& r, const Verdict& verdict) {
  const CheckResult* cause = verdict.outcome == Outcome::accepted ? nullptr : verdict.root_cause();
  if (cause == nullptr) return;
  const CheckInfo& check = info(cause->check);
  r.text("\n").paint(kBold, "Root cause: ").paint(kRed, check.id).text("\n");
  r.field("check", check.title);
  r.field("expected", cause->expected);
  r.field("actual", cause->actual);
  r.field("detail", cause->detail);
  r.field("meaning", check.meaning);
  r.field("what to do", check.remedy);
}

std::size_t count(const Verdict& verdict, CheckStatus status) {
  return static_cast<std::size_t>(std::ranges::count(verdict.checks, status, &CheckResult::status));
}

void write_failed(Report& r, const Verdict& verdict, std::size_t width) {
  const std::size_t failed = count(verdict, CheckStatus::fail);
  if (failed == 0) return;
  r.heading("Failed checks (" + std::to_string(failed) + ")");
  for (const CheckResult& result : verdict.checks) {
    if (result.status != CheckStatus::fail) continue;
    const CheckInfo& check = info(result.check);
    r.text("  ").paint(kRed, result.undecided ? "miss" : "FAIL").text("  ").padded(check.id, width).text("  ");
    r.text(check.title).text("\n");
    r.field("expected", result.expected, "        ");
    r.field("actual", result.actual, "        ");
    r.field("detail", result.detail, "        ");
  }
}

/// CheckRecorder words it so.
bool waits_for_another(const CheckResult& result) { return result.detail.starts_with("needs "); }

void write_skipped(Report& r, const Verdict& verdict, std::size_t width, bool waiting, std::string_view why) {
  const auto wanted = [waiting](const CheckResult& result) {
    return result.status == CheckStatus::skipped && waits_for_another(result) == waiting;
  };
  const auto number = std::ranges::count_if(verdict.checks, wanted);
  if (number == 0) return;
  r.heading("Skipped checks (" + std::to_string(number) + "), " + std::string{why});
  for (const CheckResult& result : verdict.checks) {
    if (!wanted(result)) continue;
    r.text("  ").paint(kYellow, "skip").text("  ").padded(info(result.check).id, width).text("  ");
    r.value(result.detail).text("\n");
  }
}

void write_others(Report& r, const Verdict& verdict, std::size_t width) {
  write_skipped(r, verdict, width, true, "because a check that they need did not pass");
  write_skipped(r, verdict, width, false, "each for a reason of its own");
  if (const std::size_t passed = count(verdict, CheckStatus::pass); passed != 0) {
    r.heading("Passed checks (" + std::to_string(passed) + ")");
    for (const CheckResult& result : verdict.checks) {
      if (result.status != CheckStatus::pass) continue;
      r.text("  ").paint(kGreen, "pass").text("  ").padded(info(result.check).id, width).text("  ");
      r.text(info(result.check).title);
      if (!result.actual.empty()) {
        r.text(": ").value(result.actual);
      }
      r.text("\n");
    }
  }
}

void write_tcb(Report& r, const TcbSummary& tcb) {
  r.heading("TCB");
  r.field("status", tcb.status);
  std::string advisories;
  for (const std::string& id : tcb.advisory_ids) advisories.append(advisories.empty() ? "" : ", ").append(id);
  r.field("advisories", advisories.empty() ? "none" : advisories);
  if (tcb.date) r.field("date", base::to_rfc3339(*tcb.date));
  if (tcb.evaluation_number) r.field("evaluation", std::to_string(*tcb.evaluation_number));
}

void write_claims(Report& r, const Verdict& verdict) {
  std::size_t width = 0;
  for (const Claim& claim : verdict.claims) width = std::max(width, claim.name.size());
  r.heading(verdict.evidence == Genuineness::genuine ? "Claims" : "Claims, not proved to be true");
  for (const Claim& claim : verdict.claims) r.field(claim.name, claim.value, "  ", width);
}

void write_collateral(Report& r, const Verdict& verdict) {
  r.heading("Collateral used");
  for (const CollateralUsed& item : verdict.collateral) {
    r.text("  ").padded(to_text(item.kind), 22);
    r.text(" issued ").padded(item.issued ? base::to_rfc3339(*item.issued) : "-", 20);
    r.text("  expires ").padded(item.expires ? base::to_rfc3339(*item.expires) : "-", 20);
    r.text("  ").paint(kDim, "sha256 " + base::hex(item.sha256)).text("\n");
  }
}

}  // namespace

std::string to_text_report(const Verdict& verdict, bool colour, bool all_checks) {
  Report r(colour);
  std::size_t width = 0;
  for (const CheckResult& result : verdict.checks) width = std::max(width, info(result.check).id.size());
  write_headline(r, verdict);
  write_root_cause(r, verdict);
  write_failed(r, verdict, width);
  if (all_checks) write_others(r, verdict, width);
  if (verdict.tcb) write_tcb(r, *verdict.tcb);
  if (!verdict.claims.empty()) write_claims(r, verdict);
  if (!verdict.collateral.empty()) write_collateral(r, verdict);
  if (verdict.valid_until) {
    r.text("\nValid until ").text(base::to_rfc3339(*verdict.valid_until));
    r.text(", when the first certificate or document used here expires.\n");
  }
  return r.take();
}

}  // namespace attestry::attestation
