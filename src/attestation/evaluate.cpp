// Judges a verdict by a policy: one function per rule, each records its check.
#include <algorithm>
#include <array>
#include <charconv>

#include "attestation/policy.h"
#include "base/encoding.h"

namespace attestry::attestation {
namespace {

// Intel TDX Module 1.5 ABI, TD ATTRIBUTES.
constexpr std::uint64_t bit(unsigned n) { return std::uint64_t{1} << n; }
constexpr std::uint64_t kTdDebug = bit(0);
constexpr std::uint64_t kTdSeptVeDisable = bit(28);
constexpr std::uint64_t kTdMigratable = bit(29);
// DEBUG has its own check; ICSSD, LASS, SEPT_VE_DISABLE, MIGRATABLE, PKS, KL, TPA, PERFMON are documented. Bits 1 to 7
// make a TD untrusted like DEBUG (TUD) and count as reserved.
constexpr std::uint64_t kTdKnown =
    kTdDebug | bit(16) | bit(27) | kTdSeptVeDisable | kTdMigratable | bit(30) | bit(31) | bit(62) | bit(63);
// Intel SDM vol. 3D, 35.7.1: INIT, DEBUG, MODE64BIT, PROVISIONKEY, EINITTOKEN_KEY, CET, KSS, AEXNOTIFY.
constexpr std::uint64_t kSgxKnown = bit(0) | bit(1) | bit(2) | bit(4) | bit(5) | bit(6) | bit(7) | bit(10);

constexpr auto kByCheck = &CheckResult::check;

// AMD 56860, GUEST_POLICY: ABI version, SMT, the bit that is always one, and the switches up to PAGE_SWAP_DISABLE.
constexpr std::uint64_t kSnpKnown = (std::uint64_t{1} << 26) - 1;
constexpr std::uint64_t kSnpMigrateMa = bit(18);

/// The policy's checks are the last ones of the catalogue (catalogue_test proves it).
constexpr bool is_policy_check(CheckId check) { return check >= CheckId::policy_platform; }

std::string joined(const std::vector<std::string>& words, std::string_view otherwise) {
  std::string out;
  for (const std::string& word : words) out.append(out.empty() ? "" : ", ").append(word);
  return out.empty() ? std::string{otherwise} : out;
}

std::string hex_of(std::uint64_t bits) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), bits, 16).ptr;
  return "0x" + std::string(digits.data(), end);
}

/// The first eight bytes of a claim in lower-case hex, little-endian as in the report.
std::optional<std::uint64_t> leading_u64(const Claim* claim) {
  constexpr std::size_t kDigits = 16;
  if (claim == nullptr || claim->value.size() < kDigits) return std::nullopt;
  const auto bytes = base::hex_decode(std::string_view{claim->value}.substr(0, kDigits));
  if (!bytes.ok()) return std::nullopt;
  std::uint64_t bits = 0;
  for (std::size_t i = bytes->size(); i-- > 0;) bits = bits << 8 | (*bytes)[i];
  return bits;
}

bool all_zero_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c == '0'; });
}

}  // namespace

/// What evaluate() works with: the verdict, and its policy checks as they come.
class Evaluation {
 public:
  explicit Evaluation(Verdict& verdict) : v_(verdict) {
    std::erase_if(v_.checks, [](const CheckResult& r) { return is_policy_check(r.check); });
  }

  const Verdict& verdict() const { return v_; }

  void judge(CheckId check, bool ok, std::string expected, std::string actual, std::string detail = {}) {
    v_.checks.push_back({.check = check,
                         .status = ok ? CheckStatus::pass : CheckStatus::fail,
                         .expected = std::move(expected),
                         .actual = std::move(actual),
                         .detail = std::move(detail)});
  }

  /// The question stays open for want of something that could be had.
  void missing(CheckId check, std::string expected, std::string actual, std::string detail) {
    judge(check, false, std::move(expected), std::move(actual), std::move(detail));
    v_.checks.back().undecided = true;
  }

  /// What the rule looks at is not in the verdict: a matter of course while the evidence is unreadable or false, a
  /// failure when it is genuine (a rule must never pass for want of a claim).
  void absent(CheckId check, std::string expected, std::string_view what) {
    std::string detail = "the evidence says nothing about " + std::string{what};
    if (v_.evidence == Genuineness::genuine) {
      judge(check, false, std::move(expected), "absent", std::move(detail));
      return;
    }
    v_.checks.push_back({.check = check, .status = CheckStatus::skipped, .detail = std::move(detail)});
  }

  void finish(const base::Digest32& policy_sha256) {
    const auto first = std::ranges::find_if(v_.checks, is_policy_check, kByCheck);
    std::ranges::sort(first, v_.checks.end(), {}, kByCheck);
    v_.policy_sha256 = policy_sha256;
    v_.outcome = outcome();
  }

 private:
  Outcome outcome() const {
    const auto any = [this](auto predicate) { return std::ranges::any_of(v_.checks, predicate); };
    const auto failed = [](const CheckResult& r) { return r.status == CheckStatus::fail && !r.undecided; };
    const auto missing = [](const CheckResult& r) { return r.status == CheckStatus::fail && r.undecided; };
    const auto skipped = [](const CheckResult& r) {
      return r.status == CheckStatus::skipped && is_policy_check(r.check);
    };
    if (v_.evidence == Genuineness::not_genuine || any(failed)) return Outcome::refused;
    if (v_.evidence == Genuineness::undecided || any(missing) || any(skipped)) return Outcome::undecided;
    return Outcome::accepted;
  }

  Verdict& v_;
};

namespace {

void judge_platform(Evaluation& e, const std::vector<std::string>& allowed) {
  const Platform platform = e.verdict().platform;
  if (platform == Platform::unknown) return e.absent(CheckId::policy_platform, joined(allowed, "any"), "its platform");
  const bool ok = allowed.empty() || std::ranges::find(allowed, to_text(platform)) != allowed.end();
  e.judge(CheckId::policy_platform, ok, joined(allowed, "any"), std::string{to_text(platform)});
}

void judge_debug(Evaluation& e, bool allowed) {
  const Verdict& v = e.verdict();
  if (v.claims.empty()) return e.absent(CheckId::policy_debug, "off", "debugging");
  e.judge(CheckId::policy_debug, allowed || !v.debug, allowed ? "on or off" : "off", v.debug ? "on" : "off");
}

/// Only Intel publishes a status for a TCB. Evidence that could not be read yet counts as Intel's: its rule is skipped.
bool has_tcb_status(Platform platform) {
  return platform == Platform::sgx || platform == Platform::tdx || platform == Platform::unknown;
}

void judge_tcb_status(Evaluation& e, const std::vector<std::string>& accepted) {
  const auto& tcb = e.verdict().tcb;
  if (!tcb) return e.absent(CheckId::policy_tcb_status, joined(accepted, ""), "its TCB status");
  const bool ok = std::ranges::find(accepted, tcb->status) != accepted.end();
  e.judge(CheckId::policy_tcb_status, ok, joined(accepted, ""), tcb->status);
}

void judge_advisories(Evaluation& e, const std::vector<std::string>& allowed,
                      const std::vector<AdvisoryWaiver>& waivers) {
  const auto& tcb = e.verdict().tcb;
  if (!tcb) return e.absent(CheckId::policy_tcb_advisories, joined(allowed, "none"), "its advisories");
  std::vector<std::string> others;
  for (const std::string& id : tcb->advisory_ids) {
    const auto waived = [&](const AdvisoryWaiver& w) { return w.id == id && e.verdict().at <= w.until; };
    if (std::ranges::find(allowed, id) != allowed.end() || std::ranges::any_of(waivers, waived)) continue;
    others.push_back(id);
  }
  std::string detail = others.empty() ? "" : "not allowed: " + joined(others, "");
  e.judge(CheckId::policy_tcb_advisories, others.empty(), joined(allowed, "none"), joined(tcb->advisory_ids, "none"),
          std::move(detail));
}

void judge_evaluation_number(Evaluation& e, std::uint32_t least) {
  const auto& tcb = e.verdict().tcb;
  const std::string expected = "at least " + std::to_string(least);
  if (!tcb) return e.absent(CheckId::policy_tcb_evaluation_number, expected, "its TCB");
  // A document without a number is not number 0: nobody knows which recovery it belongs to.
  const bool ok = tcb->evaluation_number && *tcb->evaluation_number >= least;
  e.judge(CheckId::policy_tcb_evaluation_number, ok, expected,
          tcb->evaluation_number ? std::to_string(*tcb->evaluation_number) : "none");
}

void judge_tcb_date(Evaluation& e, base::UtcTime least) {
  const auto& tcb = e.verdict().tcb;
  const std::string expected = base::to_rfc3339(least) + " or later";
  if (!tcb) return e.absent(CheckId::policy_tcb_date, expected, "its TCB");
  e.judge(CheckId::policy_tcb_date, tcb->date && *tcb->date >= least, expected,
          tcb->date ? base::to_rfc3339(*tcb->date) : "none");
}

/// One result when all hold, else one for each that does not, so that a verdict names them all.
void judge_conditions(Evaluation& e, const std::vector<Condition>& conditions) {
  if (e.verdict().claims.empty()) {
    return e.absent(CheckId::policy_condition, std::to_string(conditions.size()) + " conditions", "claims");
  }
  const ClaimIndex claims(e.verdict());
  bool all = true;
  for (const Condition& condition : conditions) {
    if (condition.holds(claims)) continue;
    all = false;
    e.judge(CheckId::policy_condition, false, condition.text(), condition.found(claims));
  }
  if (all) e.judge(CheckId::policy_condition, true, "all conditions", std::to_string(conditions.size()) + " hold");
}

void judge_td_attributes(Evaluation& e, bool allow_migratable, bool require_sept_ve_disable) {
  const auto attributes = leading_u64(e.verdict().claim("td_attributes"));
  if (!attributes) {
    e.absent(CheckId::policy_migratable, "not migratable", "TD attributes");
    if (require_sept_ve_disable) e.absent(CheckId::policy_sept_ve_disable, "set", "TD attributes");
    return;
  }
  const bool migratable = (*attributes & kTdMigratable) != 0;
  e.judge(CheckId::policy_migratable, allow_migratable || !migratable, allow_migratable ? "any" : "not migratable",
          migratable ? "migratable" : "not migratable");
  if (!require_sept_ve_disable) return;
  const bool set = (*attributes & kTdSeptVeDisable) != 0;
  e.judge(CheckId::policy_sept_ve_disable, set, "set", set ? "set" : "not set");
}

/// MRSERVICETD is the hash at creation; the extended TD report also has the present one, which may differ.
void judge_service_td(Evaluation& e, bool allowed) {
  if (e.verdict().claims.empty()) return e.absent(CheckId::policy_service_td, "none", "service TDs");
  constexpr std::array<std::string_view, 3> kBound{"mrservicetd", "init_servtd_hash", "cur_servtd_hash"};
  std::string bound;
  for (const std::string_view name : kBound) {
    const Claim* claim = e.verdict().claim(name);
    if (claim == nullptr || all_zero_hex(claim->value)) continue;
    bound.append(bound.empty() ? "" : ", ").append(name).append(" ").append(claim->value);
  }
  const bool none = bound.empty();
  e.judge(CheckId::policy_service_td, allowed || none, allowed ? "any" : "none", none ? "none" : bound);
}

void judge_migrate_ma(Evaluation& e, bool allowed) {
  const auto policy = leading_u64(e.verdict().claim("guest_policy"));
  if (!policy) return e.absent(CheckId::policy_migratable, "not migratable", "the guest's policy");
  const bool migratable = (*policy & kSnpMigrateMa) != 0;
  e.judge(CheckId::policy_migratable, allowed || !migratable, allowed ? "any" : "not migratable",
          migratable ? "migratable (MIGRATE_MA)" : "not migratable");
}

void judge_vmpl(Evaluation& e, const std::vector<std::uint32_t>& allowed) {
  std::vector<std::string> levels;
  for (const std::uint32_t level : allowed) levels.push_back(std::to_string(level));
  const Claim* vmpl = e.verdict().claim("vmpl");
  if (vmpl == nullptr) return e.absent(CheckId::policy_vmpl, joined(levels, ""), "its VMPL");
  e.judge(CheckId::policy_vmpl, std::ranges::find(levels, vmpl->value) != levels.end(), joined(levels, ""),
          vmpl->value);
}

/// A list that fails its own checks makes the evidence not genuine; here only whether there was one counts.
void judge_revocation(Evaluation& e, CheckId revoked) {
  const auto& checks = e.verdict().checks;
  const auto found = std::ranges::find(checks, revoked, kByCheck);
  if (found != checks.end() && found->status == CheckStatus::pass) {
    return e.judge(CheckId::policy_revocation, true, "checked", "checked");
  }
  if (e.verdict().evidence != Genuineness::genuine) {
    return e.absent(CheckId::policy_revocation, "checked", "revocation");
  }
  e.missing(CheckId::policy_revocation, "checked", "not checked", "no revocation list was given");
}

void judge_reserved(Evaluation& e, std::string_view claim, std::uint64_t known, bool allowed) {
  const auto attributes = leading_u64(e.verdict().claim(claim));
  if (!attributes) return e.absent(CheckId::policy_reserved_attributes, "none", "attributes");
  const std::uint64_t reserved = *attributes & ~known;
  e.judge(CheckId::policy_reserved_attributes, allowed || reserved == 0, allowed ? "any" : "none",
          reserved == 0 ? "none" : hex_of(reserved));
}

bool matches(const IdentityRule& rule, const Verdict& verdict, std::string& why_not) {
  for (const auto& [name, values] : rule.claims) {
    const Claim* claim = verdict.claim(name);
    if (claim != nullptr && std::ranges::find(values, claim->value) != values.end()) continue;
    why_not.append(why_not.empty() ? "" : "; ").append(rule.name).append(": ").append(name);
    why_not.append(claim == nullptr ? " absent" : " differs");
    return false;
  }
  return !rule.claims.empty();
}

void judge_identity(Evaluation& e, const std::vector<IdentityRule>& identities) {
  const std::string expected = "one of " + std::to_string(identities.size()) + " approved identities";
  if (e.verdict().claims.empty()) return e.absent(CheckId::policy_measurement_allowed, expected, "measurements");
  constexpr std::size_t kExplained = 512;
  std::string why_not;
  for (const IdentityRule& rule : identities) {
    std::string reason;
    if (matches(rule, e.verdict(), reason)) {
      return e.judge(CheckId::policy_measurement_allowed, true, expected, rule.name);
    }
    if (why_not.size() < kExplained) why_not.append(why_not.empty() ? "" : "; ").append(reason);
  }
  const Claim* main = e.verdict().claim("mrtd");
  if (main == nullptr) main = e.verdict().claim("mrenclave");
  if (main == nullptr) main = e.verdict().claim("measurement");
  if (main == nullptr) main = e.verdict().claim("pcr0");
  if (identities.empty()) why_not = "the policy approves no identity yet";
  e.judge(CheckId::policy_measurement_allowed, false, expected,
          main == nullptr ? "" : std::string{main->name} + " " + main->value, std::move(why_not));
}

void judge_report_data(Evaluation& e, base::ByteView expected) {
  const base::Bytes& actual = e.verdict().report_data;
  if (actual.empty()) return e.absent(CheckId::policy_report_data, base::hex(expected), "report data");
  base::Bytes padded = base::to_bytes(expected);
  std::string detail;
  // The reports of hardware have one size; a Nitro document carries exactly what the enclave gave.
  if (padded.size() < actual.size() && e.verdict().platform != Platform::nitro) {
    padded.resize(actual.size(), 0);
    detail = "the expected value was padded with zeros";
  }
  e.judge(CheckId::policy_report_data, base::equal(padded, actual), base::hex(padded), base::hex(actual),
          std::move(detail));
}

void judge_staleness(Evaluation& e, std::optional<std::int64_t> most) {
  const auto& stale = e.verdict().collateral_stale_seconds;
  const bool ok = !most || !stale || *stale <= *most;
  e.judge(CheckId::policy_collateral_staleness, ok, most ? "at most " + std::to_string(*most) + " s" : "any",
          stale ? std::to_string(*stale) + " s" : "not stale");
}

}  // namespace

void evaluate(const Policy& policy, Verdict& verdict, std::optional<base::ByteView> expected_report_data) {
  Evaluation e(verdict);
  judge_platform(e, policy.platforms_);
  judge_debug(e, policy.allow_debug_);
  if (has_tcb_status(verdict.platform)) judge_tcb_status(e, policy.accept_tcb_);
  if (policy.allow_advisories_) judge_advisories(e, *policy.allow_advisories_, policy.waivers_);
  if (policy.min_evaluation_number_) judge_evaluation_number(e, *policy.min_evaluation_number_);
  if (policy.min_tcb_date_) judge_tcb_date(e, *policy.min_tcb_date_);
  switch (verdict.platform) {
    case Platform::tdx:
      judge_td_attributes(e, policy.allow_migratable_, policy.require_sept_ve_disable_);
      judge_service_td(e, policy.allow_service_td_);
      judge_reserved(e, "td_attributes", kTdKnown, policy.allow_reserved_attributes_);
      break;
    case Platform::sgx:
      judge_reserved(e, "attributes", kSgxKnown, policy.allow_reserved_attributes_);
      break;
    case Platform::snp:
      judge_migrate_ma(e, policy.allow_migratable_);
      judge_reserved(e, "guest_policy", kSnpKnown, policy.allow_reserved_attributes_);
      judge_vmpl(e, policy.vmpl_);
      if (policy.require_revocation_) judge_revocation(e, CheckId::snp_crl_revoked);
      break;
    case Platform::nitro:
    case Platform::maa:
    case Platform::unknown:
      break;
  }
  if (policy.require_identity_) judge_identity(e, policy.identities_);
  if (!policy.conditions_.empty()) judge_conditions(e, policy.conditions_);
  if (expected_report_data) judge_report_data(e, *expected_report_data);
  if (policy.max_staleness_seconds_ || verdict.collateral_stale_seconds)
    judge_staleness(e, policy.max_staleness_seconds_);
  e.finish(policy.sha256_);
}

}  // namespace attestry::attestation
