// Judges a verdict by a policy: one function per rule, each records its check.
#include <algorithm>
#include <array>
#include <charconv>

#include "attestation/policy.h"
#include "base/encoding.h"
#include "base/utf8.h"

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

/// Of long values in messages.
constexpr std::size_t kShownBytes = 200;

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
  if (const Claim* claim = e.verdict().claim("attester_tcb_date"); !tcb && claim != nullptr) {
    const auto date = base::parse_rfc3339(claim->value);
    return e.judge(CheckId::policy_tcb_date, date.ok() && *date >= least, expected, claim->value);
  }
  if (!tcb) return e.absent(CheckId::policy_tcb_date, expected, "its TCB");
  e.judge(CheckId::policy_tcb_date, tcb->date && *tcb->date >= least, expected,
          tcb->date ? base::to_rfc3339(*tcb->date) : "none");
}

/// One result when all hold, else one for each that does not, so that a verdict names them all.
void judge_conditions(Evaluation& e, const PolicyRules& rules, std::span<const ListInForce> lists) {
  const auto& conditions = rules.conditions;
  if (e.verdict().claims.empty()) {
    return e.absent(CheckId::policy_condition, std::to_string(conditions.size()) + " conditions", "claims");
  }
  const ClaimIndex claims(e.verdict(), lists);
  const bool believe = rules.trust_log_labels || fixes_boot(rules);
  bool all = true;
  for (const Condition& condition : conditions) {
    if (condition.holds(claims, believe)) continue;
    all = false;
    std::string found = condition.found(claims, believe);
    std::string detail = condition.explain(claims, believe);
    if (condition.lacks_input(claims, believe)) {
      detail.append(detail.empty() ? "" : "; ").append("a signed list or a boot event log was not given");
      e.missing(CheckId::policy_condition, condition.text(), std::move(found), std::move(detail));
    } else {
      e.judge(CheckId::policy_condition, false, condition.text(), std::move(found), std::move(detail));
    }
  }
  if (all) e.judge(CheckId::policy_condition, true, "all conditions", std::to_string(conditions.size()) + " hold");
}

std::string in_words(const ListRule& rule) {
  return rule.name + " signed by " + std::to_string(rule.threshold) + " of " + std::to_string(rule.keys.size()) +
         (rule.keys.size() == 1 ? " key" : " keys");
}

/// Of several lists of one name the newest that may be believed counts. What is wrong with the others is told when
/// there is none.
void judge_list(Evaluation& e, const ListRule& rule, std::span<const SignedList> given,
                std::vector<ListInForce>& in_force) {
  const SignedList* best = nullptr;
  std::string wrong;
  for (const SignedList& list : given) {
    if (list.name() != rule.name) continue;
    const std::size_t voices = list.signers(rule.keys).size();
    if (voices < rule.threshold) {
      wrong = "signed by " + std::to_string(voices) + " of them";
    } else if (!list.in_force(e.verdict().at)) {
      const bool early = list.not_before() && e.verdict().at < *list.not_before();
      wrong = early ? "in force from " + base::to_rfc3339(*list.not_before())
                    : "in force until " + base::to_rfc3339(list.not_after());
    } else if (best == nullptr || best->version() < list.version()) {
      best = &list;
    }
  }
  if (best != nullptr) {
    in_force.push_back({rule.name, best});
    return e.judge(CheckId::policy_list, true, in_words(rule),
                   "version " + std::to_string(best->version()) + ", sha256 " + base::hex(best->sha256()));
  }
  if (!wrong.empty()) return e.judge(CheckId::policy_list, false, in_words(rule), std::move(wrong));
  e.missing(CheckId::policy_list, in_words(rule), "not given", "the list was not given to this evaluation");
}

/// When the evidence was made, as far as it says so itself. A report of hardware bears no time.
std::optional<base::UtcTime> made_at(const Verdict& verdict) {
  const auto number = [&](std::string_view name) -> std::optional<std::int64_t> {
    const Claim* claim = verdict.claim(name);
    if (claim == nullptr) return std::nullopt;
    std::int64_t out = 0;
    const char* const end = claim->value.data() + claim->value.size();
    const auto [at, error] = std::from_chars(claim->value.data(), end, out);
    if (error != std::errc{} || at != end) return std::nullopt;
    return out;
  };
  if (const auto milliseconds = number("timestamp_ms")) return base::UtcTime{*milliseconds / 1000};
  if (const auto seconds = number("iat")) return base::UtcTime{*seconds};
  return std::nullopt;
}

void judge_age(Evaluation& e, std::int64_t most) {
  // Clocks of two machines differ; evidence from further ahead comes from one that cannot be trusted with ages.
  constexpr std::int64_t kMostAhead = 300;
  const std::string expected = "made at most " + std::to_string(most) + " s ago";
  const auto made = made_at(e.verdict());
  if (!made) {
    if (e.verdict().evidence != Genuineness::genuine) return e.absent(CheckId::policy_age, expected, "its time");
    return e.judge(CheckId::policy_age, false, expected, "no time",
                   "evidence of " + std::string{to_text(e.verdict().platform)} +
                       " bears no time; only a fresh nonce in its report data bounds its age");
  }
  const std::int64_t age = e.verdict().at.seconds - made->seconds;
  e.judge(CheckId::policy_age, age <= most && age >= -kMostAhead, expected,
          age >= 0 ? std::to_string(age) + " s ago" : std::to_string(-age) + " s ahead of the clock");
}

void judge_minimum_versions(Evaluation& e, const TcbMinimum& minimum) {
  auto judged = judge_minimum(minimum, e.verdict());
  if (!judged) return;
  if (!judged->known) return e.absent(CheckId::policy_tcb_minimum, std::move(judged->expected), "its TCB");
  e.judge(CheckId::policy_tcb_minimum, judged->ok, std::move(judged->expected), std::move(judged->actual),
          std::move(judged->detail));
}

/// Of a TD its event log says it, of an Azure virtual machine its token, as the service judged the boot. How a machine
/// was configured does not say how it booted.
void judge_secure_boot(Evaluation& e) {
  constexpr std::array<std::string_view, 2> kNames{"eventlog.secure_boot", "secureboot"};
  for (const std::string_view name : kNames) {
    const Claim* claim = e.verdict().claim(name);
    if (claim == nullptr) continue;
    return e.judge(CheckId::policy_secure_boot, claim->value == "true", "on", claim->value == "true" ? "on" : "off");
  }
  const Verdict& verdict = e.verdict();
  const bool log_given = verdict.claim("eventlog.registers") != nullptr;
  if (verdict.platform == Platform::tdx && verdict.evidence == Genuineness::genuine && !log_given) {
    return e.missing(CheckId::policy_secure_boot, "on", "not known", "no event log was given beside the quote");
  }
  e.absent(CheckId::policy_secure_boot, "on", "Secure Boot");
}

/// A log that leaves registers out (dstack's certificates have only RTMR3) says nothing about what is in them.
void judge_event_log(Evaluation& e, const std::vector<std::string>& registers) {
  const std::string expected = "for " + joined(registers, "");
  if (const Claim* claim = e.verdict().claim("eventlog.registers")) {
    const auto accounted = [&](const std::string& name) { return claim->value.find(name) != std::string::npos; };
    if (std::ranges::all_of(registers, accounted)) {
      return e.judge(CheckId::policy_event_log, true, expected, "for " + claim->value);
    }
    return e.missing(CheckId::policy_event_log, expected, "for " + claim->value,
                     "the event log accounts only for " + claim->value);
  }
  if (e.verdict().evidence != Genuineness::genuine) return e.absent(CheckId::policy_event_log, expected, "its boot");
  const bool can_have_one = e.verdict().platform == Platform::tdx;
  if (!can_have_one) return e.absent(CheckId::policy_event_log, expected, "its boot");
  e.missing(CheckId::policy_event_log, expected, "not given", "no event log was given beside the quote");
}

/// SNP ABI: SNP_COMMIT; attestation_checks 2.2, 10. The version and the TCB are committed together, but only the TCB
/// has the microcode, and only the version its build: the host can go back in whichever differs.
void judge_committed_firmware(Evaluation& e) {
  struct Pair {
    std::string_view running;
    std::string_view committed;
    std::string_view what;
  };
  constexpr std::array<Pair, 2> kPairs{
      {{"current_firmware", "committed_firmware", "committed "}, {"current_tcb", "committed_tcb", "committed TCB "}}};
  std::string expected;
  std::string actual;
  bool same = true;
  for (const auto& pair : kPairs) {
    const Claim* running = e.verdict().claim(pair.running);
    const Claim* committed = e.verdict().claim(pair.committed);
    if (running == nullptr || committed == nullptr) {
      return e.absent(CheckId::policy_committed_firmware, "committed", "its firmware");
    }
    same = same && running->value == committed->value;
    expected.append(expected.empty() ? "" : ", ").append(pair.what).append(running->value);
    actual.append(actual.empty() ? "" : ", ").append(pair.what).append(committed->value);
  }
  e.judge(CheckId::policy_committed_firmware, same, std::move(expected), std::move(actual));
}

void judge_td_attributes(Evaluation& e, std::string_view claim, bool allow_migratable, bool require_sept_ve_disable) {
  const auto attributes = leading_u64(e.verdict().claim(claim));
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

void judge_vmpl(Evaluation& e, std::string_view claim, const std::vector<std::uint32_t>& allowed) {
  std::vector<std::string> levels;
  for (const std::uint32_t level : allowed) levels.push_back(std::to_string(level));
  const Claim* vmpl = e.verdict().claim(claim);
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

bool matches(const IdentityRule& rule, const PolicyRules& rules, const Verdict& verdict, std::string& why_not) {
  const bool believe = rules.trust_log_labels || fixes_boot(rules, rule);
  for (const auto& [name, values] : rule.claims) {
    const Claim* claim = verdict.claim(name);
    const bool equal = claim != nullptr && std::ranges::find(values, claim->value) != values.end();
    if (equal && (believe || !claim->log_word)) continue;
    why_not.append(why_not.empty() ? "" : "; ").append(rule.name).append(": ").append(name);
    if (equal) why_not.append(" is ").append(kLogWordText);
    if (!equal) why_not.append(claim == nullptr ? " absent" : " differs");
    return false;
  }
  return !rule.claims.empty();
}

const Claim* main_measurement(const Verdict& verdict) {
  for (const std::string_view name : {"mrtd", "mrenclave", "measurement", "pcr0"}) {
    if (const Claim* claim = verdict.claim(name)) return claim;
  }
  return nullptr;
}

void judge_identity(Evaluation& e, const PolicyRules& rules) {
  const auto& identities = rules.identities;
  const std::string expected = "one of " + std::to_string(identities.size()) + " approved identities";
  if (e.verdict().claims.empty()) return e.absent(CheckId::policy_measurement_allowed, expected, "measurements");
  constexpr std::size_t kExplained = 512;
  std::string why_not;
  for (const IdentityRule& rule : identities) {
    std::string reason;
    if (matches(rule, rules, e.verdict(), reason)) {
      return e.judge(CheckId::policy_measurement_allowed, true, expected, rule.name, rule.source);
    }
    if (why_not.size() < kExplained) why_not.append(why_not.empty() ? "" : "; ").append(reason);
  }
  if (identities.empty()) why_not = "the policy approves no identity yet";
  if (!rules.identities_from.empty()) {
    why_not.append("; of its measurement sets, which only a server knows, nothing is known here");
  }
  const Claim* main = main_measurement(e.verdict());
  e.judge(CheckId::policy_measurement_allowed, false, expected,
          main == nullptr ? "" : std::string{main->name} + " " + main->value, std::move(why_not));
}

void judge_report_data(Evaluation& e, base::ByteView expected) {
  const base::Bytes& actual = e.verdict().report_data;
  // A Nitro document says that the enclave gave none; whoever expects none is answered.
  if (actual.empty() && expected.empty() && e.verdict().platform == Platform::nitro && !e.verdict().claims.empty()) {
    return e.judge(CheckId::policy_report_data, true, "none", "none");
  }
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

/// The client library of Azure's guests writes the nonce in base64; others put it there as it is.
bool is_nonce(const Claim& claim, Platform platform, base::ByteView expected) {
  if (platform == Platform::nitro) return claim.value == base::hex(expected);
  const auto decoded = base::base64_decode(claim.value);
  return (decoded.ok() && base::equal(*decoded, expected)) || base::equal(base::as_bytes(claim.value), expected);
}

void judge_nonce(Evaluation& e, base::ByteView expected) {
  const Platform platform = e.verdict().platform;
  const Claim* claim = nullptr;
  if (platform == Platform::nitro) claim = e.verdict().claim("nonce");
  if (platform == Platform::maa) claim = e.verdict().claim("x-ms-runtime.client-payload.nonce");
  std::string wanted = base::hex(expected);
  if (claim == nullptr) return e.absent(CheckId::policy_nonce, std::move(wanted), "a nonce");
  // An empty one is in real tokens, and would be as good tomorrow.
  const bool fresh = !expected.empty() && !claim->value.empty() && is_nonce(*claim, platform, expected);
  std::string actual = claim->value.empty() ? "empty" : std::string{base::utf8_prefix(claim->value, kShownBytes)};
  e.judge(CheckId::policy_nonce, fresh, std::move(wanted), std::move(actual),
          platform == Platform::nitro ? "in hex" : "expected in hex, actual as the token has it, usually base64");
}

void judge_staleness(Evaluation& e, std::optional<std::int64_t> most) {
  const auto& stale = e.verdict().collateral_stale_seconds;
  const bool ok = !most || !stale || *stale <= *most;
  e.judge(CheckId::policy_collateral_staleness, ok, most ? "at most " + std::to_string(*most) + " s" : "any",
          stale ? std::to_string(*stale) + " s" : "not stale");
}

bool says(const Verdict& verdict, std::string_view claim, std::string_view value) {
  const Claim* found = verdict.claim(claim);
  return found != nullptr && found->value == value;
}

/// A token of a virtual machine names the TEE below it at a level of its own.
bool token_is_of(const Verdict& verdict, std::string_view tee) {
  return says(verdict, "x-ms-attestation-type", tee) || says(verdict, "x-ms-isolation-tee.x-ms-attestation-type", tee);
}

void judge_token_tcb(Evaluation& e, const PolicyRules& rules) {
  const Claim* status = e.verdict().claim("attester_tcb_status");
  // Only tokens of the newer TDX profile have one; the service has judged the TCB before it issued any.
  if (status == nullptr) return;
  const bool ok = std::ranges::find(rules.accept_tcb, status->value) != rules.accept_tcb.end();
  e.judge(CheckId::policy_tcb_status, ok, joined(rules.accept_tcb, ""), status->value);
}

/// What is signed with a key of nobody proves nothing; a policy for tests and vectors may pass over it.
void judge_token_keys(Evaluation& e, bool required) {
  const std::string expected = required ? "keys that somebody vouches for" : "any";
  if (e.verdict().evidence != Genuineness::genuine) {
    return e.absent(CheckId::policy_token_keys, expected, "whose keys signed it");
  }
  if (!e.verdict().token_keys_unvouched) return e.judge(CheckId::policy_token_keys, true, expected, "of the issuer");
  std::string detail = "the key set came beside the token: whoever made the one may have made the other";
  if (required) return e.missing(CheckId::policy_token_keys, expected, "of nobody knows whom", std::move(detail));
  e.judge(CheckId::policy_token_keys, true, expected, "of nobody knows whom", std::move(detail));
}

void judge_token(Evaluation& e, const PolicyRules& rules) {
  judge_token_keys(e, rules.require_token_keys);
  if (token_is_of(e.verdict(), "sevsnpvm")) {
    judge_vmpl(e, "x-ms-sevsnpvm-vmpl", rules.vmpl);
    const Claim* migration = e.verdict().claim("x-ms-sevsnpvm-migration-allowed");
    if (migration == nullptr) return e.absent(CheckId::policy_migratable, "not migratable", "migration");
    const bool migratable = migration->value != "false";
    e.judge(CheckId::policy_migratable, rules.allow_migratable || !migratable,
            rules.allow_migratable ? "any" : "not migratable", migratable ? "migratable" : "not migratable");
  } else if (token_is_of(e.verdict(), "tdxvm")) {
    judge_token_tcb(e, rules);
    judge_td_attributes(e, "tdx_td_attributes", rules.allow_migratable, rules.require_sept_ve_disable);
    judge_reserved(e, "tdx_td_attributes", kTdKnown, rules.allow_reserved_attributes);
  }
}

void judge_tcb(Evaluation& e, const PolicyRules& rules) {
  if (has_tcb_status(e.verdict().platform)) {
    judge_tcb_status(e, rules.accept_tcb);
    if (rules.allow_advisories) judge_advisories(e, *rules.allow_advisories, rules.waivers);
  }
  if (rules.min_evaluation_number) judge_evaluation_number(e, *rules.min_evaluation_number);
  if (rules.min_tcb_date) judge_tcb_date(e, *rules.min_tcb_date);
  judge_minimum_versions(e, rules.minimum);
}

void judge_by_platform(Evaluation& e, const PolicyRules& rules) {
  switch (e.verdict().platform) {
    case Platform::tdx:
      judge_td_attributes(e, "td_attributes", rules.allow_migratable, rules.require_sept_ve_disable);
      judge_service_td(e, rules.allow_service_td);
      judge_reserved(e, "td_attributes", kTdKnown, rules.allow_reserved_attributes);
      break;
    case Platform::sgx:
      judge_reserved(e, "attributes", kSgxKnown, rules.allow_reserved_attributes);
      break;
    case Platform::snp:
      judge_migrate_ma(e, rules.allow_migratable);
      judge_reserved(e, "guest_policy", kSnpKnown, rules.allow_reserved_attributes);
      judge_vmpl(e, "vmpl", rules.vmpl);
      if (rules.require_revocation) judge_revocation(e, CheckId::snp_crl_revoked);
      if (rules.require_committed_firmware) judge_committed_firmware(e);
      break;
    case Platform::maa:
      judge_token(e, rules);
      break;
    case Platform::nitro:
    case Platform::unknown:
      break;
  }
}

}  // namespace

void evaluate(const Policy& policy, Verdict& verdict, std::optional<base::ByteView> expected_report_data,
              const References& references) {
  const PolicyRules& rules = policy.rules();
  Evaluation e(verdict);
  judge_platform(e, rules.platforms);
  judge_debug(e, rules.allow_debug);
  if (rules.max_age_seconds) judge_age(e, *rules.max_age_seconds);
  judge_tcb(e, rules);
  judge_by_platform(e, rules);
  if (rules.require_secure_boot) judge_secure_boot(e);
  if (rules.require_event_log) judge_event_log(e, rules.event_log_registers);
  std::vector<ListInForce> lists;
  for (const ListRule& rule : rules.lists) judge_list(e, rule, references.lists, lists);
  if (rules.require_identity) judge_identity(e, rules);
  if (!rules.conditions.empty()) judge_conditions(e, rules, lists);
  if (expected_report_data) judge_report_data(e, *expected_report_data);
  if (references.nonce) judge_nonce(e, *references.nonce);
  if (rules.max_staleness_seconds || verdict.collateral_stale_seconds) judge_staleness(e, rules.max_staleness_seconds);
  e.finish(policy.sha256());
}

}  // namespace attestry::attestation
