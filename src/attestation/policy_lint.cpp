#include "attestation/policy_lint.h"

#include <algorithm>
#include <array>
#include <map>

#include "attestation/policy.h"

namespace attestry::attestation {
namespace {

using base::Code;
using base::Error;
using Severity = PolicyFinding::Severity;

/// Platforms as bits, in the order of kPlatforms.
using PlatformSet = unsigned;
constexpr std::array<std::string_view, 5> kPlatforms{"sgx", "tdx", "snp", "nitro", "maa"};
constexpr PlatformSet kAll = (1u << kPlatforms.size()) - 1;
/// Whose evidence says when it was made.
constexpr PlatformSet kWithTime = 1u << 3 | 1u << 4;

PlatformSet platforms_in(std::string_view words) {
  PlatformSet out = 0;
  for (std::size_t i = 0; i < kPlatforms.size(); ++i) {
    for (std::size_t at = words.find(kPlatforms[i]); at != std::string_view::npos;
         at = words.find(kPlatforms[i], at + 1)) {
      const std::size_t end = at + kPlatforms[i].size();
      if ((at == 0 || words[at - 1] == ' ') && (end == words.size() || words[end] == ' ')) out |= 1u << i;
    }
  }
  return out;
}

std::string in_words(PlatformSet set) {
  std::string out;
  for (std::size_t i = 0; i < kPlatforms.size(); ++i) {
    if ((set >> i & 1u) != 0) out.append(out.empty() ? "" : ", ").append(kPlatforms[i]);
  }
  return out.empty() ? "none" : out;
}

/// Whose evidence could meet the condition.
PlatformSet reach(const Condition& condition) {
  if (condition.claim() != nullptr) return platforms_in(condition.claim()->platforms);
  const bool any = condition.op() == Condition::Operator::any_of;
  PlatformSet out = any ? 0 : kAll;
  for (const Condition& member : condition.group()) {
    if (any) {
      out |= reach(member);
    } else {
      out &= reach(member);
    }
  }
  return out;
}

PlatformSet reach(const IdentityRule& identity) {
  PlatformSet out = kAll;
  for (const auto& [name, values] : identity.claims) {
    if (const ClaimInfo* claim = find_claim(name)) out &= platforms_in(claim->platforms);
  }
  return out;
}

bool is_bound(const Condition& c) {
  return c.op() == Condition::Operator::at_least || c.op() == Condition::Operator::at_most;
}

bool is_mask(const Condition& c) {
  return c.op() == Condition::Operator::bits_set || c.op() == Condition::Operator::bits_clear;
}

bool masks_meet(std::string_view a, std::string_view b) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if ((digit(a[i]) & digit(b[i])) != 0) return true;
  }
  return false;
}

/// Whether the bits that a mask asks for can follow this beginning.
bool prefix_meets(const Condition& mask, std::string_view prefix) {
  std::string masked = mask.mask().substr(0, prefix.size());
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i < masked.size(); ++i) {
    const int wanted = mask.op() == Condition::Operator::bits_set ? digit(masked[i]) : 0;
    if ((digit(prefix[i]) & digit(masked[i])) != wanted) return false;
  }
  return true;
}

/// Two conditions on one claim that no value meets together. What needs a third condition to clash is not looked for.
bool clash(const Condition& a, const Condition& b) {
  using enum Condition::Operator;
  if (a.op() == in_list || b.op() == in_list) return false;
  if (a.op() == one_of) {
    return std::ranges::none_of(a.values(), [&](const std::string& value) { return b.admits(value); });
  }
  if (b.op() == one_of) return clash(b, a);
  if (is_bound(a) && is_bound(b) && a.op() != b.op()) {
    const Condition& least = a.op() == at_least ? a : b;
    const Condition& most = a.op() == at_least ? b : a;
    return least.number() > most.number();
  }
  if (is_mask(a) && is_mask(b)) return a.op() != b.op() && masks_meet(a.mask(), b.mask());
  if (a.op() == prefix && b.op() == prefix) {
    const std::string& x = a.values().front();
    const std::string& y = b.values().front();
    return !x.starts_with(y) && !y.starts_with(x);
  }
  if (a.op() == prefix && is_mask(b)) return !prefix_meets(b, a.values().front());
  if (b.op() == prefix && is_mask(a)) return !prefix_meets(a, b.values().front());
  return false;
}

/// A single condition with its place.
struct Placed {
  const Condition* condition;
  std::string path;
};

class Linter {
 public:
  Linter(const PolicyRules& rules, base::UtcTime now, PolicyFindings& findings)
      : rules_(rules), now_(now), findings_(findings) {}

  void run() {
    PlatformSet listed = 0;
    for (const std::string& name : rules_.platforms) listed |= platforms_in(name);
    listed_ = listed == 0 ? kAll : listed;  // none, or none that is known
    platforms();
    conditions();
    identities();
    log_words();
    tcb();
    minimum();
    lists();
    age();
  }

 private:
  void say(Severity severity, std::string path, std::string what, std::string expected, std::string found,
           std::string remedy = {}) {
    findings_.push_back({.severity = severity,
                         .path = std::move(path),
                         .error = {.code = Code::malformed,
                                   .what = std::move(what),
                                   .expected = std::move(expected),
                                   .found = std::move(found),
                                   .remedy = std::move(remedy)}});
  }

  void platforms() {
    for (std::size_t i = 0; i < rules_.platforms.size(); ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        if (rules_.platforms[i] == rules_.platforms[k]) {
          say(Severity::warning, path_of("platforms", i), "named twice", "", rules_.platforms[i]);
        }
      }
    }
    only_for("tdx", rules_.require_sept_ve_disable, "require.sept_ve_disable");
    only_for("tdx", rules_.require_event_log, "require.event_log");
    only_for("tdx maa", rules_.require_secure_boot, "require.secure_boot");
    only_for("snp", rules_.require_committed_firmware, "require.committed_firmware");
    only_for("sgx", rules_.minimum.sgx.has_value(), "tcb.minimum.sgx");
    only_for("tdx", rules_.minimum.tdx.has_value(), "tcb.minimum.tdx");
    only_for("snp", rules_.minimum.snp.has_value(), "tcb.minimum.snp");
  }

  void only_for(std::string_view platforms, bool there, const std::string& path) {
    if (!there || (platforms_in(platforms) & listed_) != 0) return;
    say(Severity::warning, path, "concerns no platform that the policy lists", in_words(platforms_in(platforms)),
        in_words(listed_));
  }

  void conditions() {
    PlatformSet together = listed_;
    for (std::size_t i = 0; i < rules_.conditions.size(); ++i) {
      const std::string path = path_of("conditions", i);
      walk(rules_.conditions[i], path);
      together &= reach(rules_.conditions[i]);
    }
    std::vector<Placed> all;
    for (std::size_t i = 0; i < rules_.conditions.size(); ++i) {
      flatten(rules_.conditions[i], path_of("conditions", i), all);
    }
    clashes(all);
    if (together == 0) {
      say(Severity::error, "conditions", "no evidence can meet all conditions", "claims of one platform",
          "claims of several, or of none that the policy lists",
          "Put what belongs to each platform into an all_of, and these into one any_of.");
    } else if (together != listed_ && !rules_.platforms.empty()) {
      say(Severity::warning, "conditions", "some platforms that the policy lists cannot meet the conditions",
          in_words(listed_), in_words(together));
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        if (all[i].condition->claim() == all[k].condition->claim() &&
            all[i].condition->text() == all[k].condition->text() &&
            all[i].condition->values() == all[k].condition->values()) {
          say(Severity::warning, all[i].path, "the same condition twice", all[k].path, all[i].condition->text());
        }
      }
    }
    conjunction_ = std::move(all);
  }

  /// Names every condition on a claim that no listed platform has, and what contradicts itself within an alternative.
  void walk(const Condition& condition, const std::string& path) {
    if (const ClaimInfo* claim = condition.claim()) {
      if ((platforms_in(claim->platforms) & listed_) == 0) {
        say(Severity::error, path, "no platform that the policy lists has the claim " + std::string{claim->name},
            "a claim of " + in_words(listed_), "a claim of " + std::string{claim->platforms});
      }
      return;
    }
    const bool any = condition.op() == Condition::Operator::any_of;
    for (std::size_t i = 0; i < condition.group().size(); ++i) {
      const std::string here = path_of(path_of(path, any ? "any_of" : "all_of"), i);
      walk(condition.group()[i], here);
      if (any) alternative(condition.group()[i], here);
    }
  }

  void alternative(const Condition& condition, const std::string& path) {
    std::vector<Placed> together;
    flatten(condition, path, together);
    clashes(together);
    if (condition.claim() == nullptr && reach(condition) == 0) {
      say(Severity::error, path, "no evidence can meet this alternative", "claims of one platform",
          "claims of several platforms together");
    }
  }

  /// What must hold together: all_of is opened, alternatives are left out.
  static void flatten(const Condition& condition, const std::string& path, std::vector<Placed>& out) {
    if (condition.claim() != nullptr) return out.push_back({&condition, path});
    if (condition.op() == Condition::Operator::any_of) return;
    for (std::size_t i = 0; i < condition.group().size(); ++i) {
      flatten(condition.group()[i], path_of(path_of(path, "all_of"), i), out);
    }
  }

  void clashes(const std::vector<Placed>& all) {
    std::map<const ClaimInfo*, std::vector<const Placed*>> by_claim;
    for (const Placed& placed : all) by_claim[placed.condition->claim()].push_back(&placed);
    for (const Placed& placed : all) {
      for (const Placed* other : by_claim[placed.condition->claim()]) {
        if (other == &placed) break;  // each pair once, named at the later one
        if (!clash(*other->condition, *placed.condition)) continue;
        say(Severity::error, placed.path, "contradicts another condition: no value meets both",
            other->path + ": " + other->condition->text(), placed.condition->text(),
            "Keep one of them, or make alternatives with any_of.");
      }
    }
  }

  void identities() {
    const auto unread = [](const PolicyFinding& f) { return f.path.starts_with("identities"); };
    const bool none = rules_.require_identity && rules_.identities.empty() && rules_.identities_from.empty();
    if (none && std::ranges::none_of(findings_, unread)) {
      say(Severity::error, "identities", "an empty list of identities accepts nothing",
          "at least one identity, or no member `identities`", "none",
          "For an app the approved identities are added by the server: leave the member out.");
    }
    for (std::size_t i = 0; i < rules_.identities.size(); ++i) {
      const std::string path = path_of("identities", i);
      identity(rules_.identities[i], path);
      for (std::size_t k = 0; k < i; ++k) {
        if (rules_.identities[i].claims == rules_.identities[k].claims) {
          say(Severity::warning, path, "the same identity twice", path_of("identities", k), rules_.identities[i].name);
        }
      }
    }
    for (std::size_t i = 0; i < rules_.identities_from.size(); ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        if (rules_.identities_from[i].name == rules_.identities_from[k].name) {
          say(Severity::warning, path_of("identities_from", i), "the same set twice", "",
              rules_.identities_from[i].name);
        }
      }
    }
  }

  void identity(const IdentityRule& rule, const std::string& path) {
    const PlatformSet own = reach(rule);
    if ((own & listed_) == 0) {
      say(Severity::error, path, "no evidence can match the identity " + rule.name,
          "claims of one platform that the policy lists: " + in_words(listed_), in_words(own));
      return;
    }
    for (const auto& [name, values] : rule.claims) {
      for (const Placed& placed : conjunction_) {
        if (values.empty() || placed.condition->claim()->name != name) continue;
        if (placed.condition->op() == Condition::Operator::in_list) continue;
        const auto admitted = [&](const std::string& value) { return placed.condition->admits(value); };
        if (std::ranges::any_of(values, admitted)) continue;
        say(Severity::error, path_of(path_of(path, "claims"), name),
            "contradicts a condition: the identity " + rule.name + " can never be accepted",
            placed.path + ": " + placed.condition->text(), values.front().substr(0, 120));
      }
    }
  }

  /// What is only an event log's word holds nothing by itself.
  void log_words() {
    if (rules_.trust_log_labels) return;
    const bool fixed = fixes_boot(rules_);
    for (std::size_t i = 0; i < rules_.conditions.size(); ++i) {
      log_word(rules_.conditions[i], path_of("conditions", i), fixed);
    }
    for (std::size_t i = 0; i < rules_.identities.size(); ++i) {
      const IdentityRule& rule = rules_.identities[i];
      if (fixes_boot(rules_, rule)) continue;
      for (const auto& [name, values] : rule.claims) {
        log_word(name, path_of(path_of(path_of("identities", i), "claims"), name));
      }
    }
  }

  void log_word(const Condition& condition, const std::string& path, bool fixed) {
    if (condition.claim() != nullptr) {
      if (!fixed) log_word(condition.claim()->name, path);
      return;
    }
    const bool any = condition.op() == Condition::Operator::any_of;
    for (std::size_t i = 0; i < condition.group().size(); ++i) {
      log_word(condition.group()[i], path_of(path_of(path, any ? "any_of" : "all_of"), i),
               fixed || (!any && condition.fixes_boot()));
    }
  }

  /// The kernel may be proved, where the firmware itself started it; and the identities of a measurement set, which
  /// only a server knows, may fix the register.
  void log_word(std::string_view claim, const std::string& path) {
    if (!may_be_log_word(claim)) return;
    const bool perhaps = claim == "eventlog.kernel" || !rules_.identities_from.empty();
    say(perhaps ? Severity::warning : Severity::error, path,
        perhaps ? "may be only an event log's word, which is never accepted by itself"
                : "is only an event log's word, which is never accepted by itself",
        "a condition on rtmr2 beside it, with equals, one_of or in_list", std::string{claim},
        "The labels of a log are not measured. Constrain rtmr2, too; or set require.event_log.trust_log_labels to true "
        "if every guest that mrtd, rtmr0 and rtmr1 admit is trusted to tell the truth.");
  }

  void tcb() {
    for (std::size_t i = 0; i < rules_.waivers.size(); ++i) {
      const AdvisoryWaiver& waiver = rules_.waivers[i];
      const std::string path = path_of("tcb.waive_advisories", i);
      if (waiver.until < now_) {
        say(Severity::error, path, "the waiver of " + waiver.id + " is past",
            "until " + base::to_rfc3339(now_) + " or later", base::to_rfc3339(waiver.until),
            "Remove it; or read the advisory again, and give it another date.");
      }
      if (!rules_.allow_advisories) continue;
      const auto& allowed = *rules_.allow_advisories;
      if (std::ranges::find(allowed, waiver.id) != allowed.end()) {
        say(Severity::warning, path, "the advisory is allowed without a waiver", "", waiver.id);
      }
    }
    if (rules_.min_tcb_date && now_ < *rules_.min_tcb_date) {
      say(Severity::error, "tcb.min_date", "lies ahead: no TCB of today reaches it",
          "at most " + base::to_rfc3339(now_), base::to_rfc3339(*rules_.min_tcb_date));
    }
  }

  PlatformSet with_minimum() const {
    const TcbMinimum& m = rules_.minimum;
    const std::array<bool, kPlatforms.size()> named{m.sgx.has_value(), m.tdx.has_value(), m.snp.has_value(), m.nitro,
                                                    m.maa};
    PlatformSet out = 0;
    for (std::size_t i = 0; i < named.size(); ++i) out |= static_cast<PlatformSet>(named[i]) << i;
    return out;
  }

  /// Evidence that the minima pass over is refused: who writes them for one platform should know.
  void minimum() {
    if (!rules_.minimum.stated()) return;
    const std::string remedy = "Name it there, with versions or with \"any\"; or list in `platforms` what is meant.";
    const PlatformSet named = with_minimum();
    if ((listed_ & named) == 0) {
      say(Severity::error, "tcb.minimum", "names no platform that the policy lists: nothing is accepted",
          in_words(listed_), in_words(named), remedy);
    } else if ((listed_ & ~named) != 0) {
      say(Severity::warning, "tcb.minimum", "evidence of a platform that it does not name is refused",
          in_words(listed_), in_words(named), remedy);
    }
    if (!rules_.minimum.snp || (listed_ & platforms_in("snp")) == 0) return;
    std::string missing;
    for (std::size_t i = 0; i < kSnpFamilies.size(); ++i) {
      if (!(*rules_.minimum.snp)[i]) missing.append(missing.empty() ? "" : ", ").append(kSnpFamilies[i]);
    }
    if (missing.empty()) return;
    say(Severity::warning, "tcb.minimum.snp", "a processor family that it does not name is refused: " + missing,
        "milan, genoa, turin", "not " + missing, "Name it there, with versions or with \"any\".");
  }

  void collect_lists(const Condition& condition, std::vector<std::string>& used) const {
    if (condition.op() == Condition::Operator::in_list) used.push_back(condition.list());
    for (const Condition& member : condition.group()) collect_lists(member, used);
  }

  void lists() {
    std::vector<std::string> used;
    for (const Condition& condition : rules_.conditions) collect_lists(condition, used);
    for (std::size_t i = 0; i < rules_.lists.size(); ++i) {
      if (std::ranges::find(used, rules_.lists[i].name) != used.end()) continue;
      say(Severity::warning, path_of("lists", i), "no condition looks into this list",
          R"({"claim": ..., "in_list": ...})", rules_.lists[i].name);
    }
  }

  void age() {
    if (!rules_.max_age_seconds || (listed_ & ~kWithTime) == 0) return;
    const bool never = (listed_ & kWithTime) == 0;
    say(never ? Severity::error : Severity::warning, "max_age_seconds",
        "this evidence bears no time, so its age is never accepted", "platforms: " + in_words(kWithTime),
        in_words(listed_ & ~kWithTime), "A fresh nonce in the report data bounds the age of such evidence.");
  }

  const PolicyRules& rules_;
  base::UtcTime now_;
  PolicyFindings& findings_;
  PlatformSet listed_ = kAll;
  std::vector<Placed> conjunction_;
};

}  // namespace

PolicyFindings lint_policy(std::string_view json, base::UtcTime now) {
  PolicyFindings findings;
  const auto document = base::JsonDocument::parse(std::string{json}, {.max_bytes = kMaxPolicyDocumentBytes});
  if (!document.ok()) {
    add_finding(findings, "", document.error());
    return findings;
  }
  const PolicyRules rules = read_policy_rules((*document)->root(), findings);
  // What could be read is judged too: who corrects a document should need one round.
  Linter(rules, now, findings).run();
  return findings;
}

bool is_sound(const PolicyFindings& findings) noexcept {
  return std::ranges::none_of(findings, [](const PolicyFinding& f) { return f.severity == Severity::error; });
}

std::string_view to_text(Severity severity) noexcept { return severity == Severity::error ? "error" : "warning"; }

}  // namespace attestry::attestation
