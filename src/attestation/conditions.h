// Conditions of a policy on claims: equal, one of, at least, at most, bits set or clear, prefix, in a signed list, and
// alternatives.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "attestation/claim_dictionary.h"
#include "attestation/policy_finding.h"
#include "attestation/verdict.h"
#include "base/result.h"

namespace attestry::base {
class JsonValue;
}

namespace attestry::attestation {

class SignedList;

/// A list that is there, signed by whom the policy names, and within its dates.
struct ListInForce {
  std::string_view name;
  const SignedList* list = nullptr;
};

/// The claims of one verdict by dictionary place: what 50 conditions look at is looked up once. Refers to the verdict
/// and to the lists.
class ClaimIndex {
 public:
  explicit ClaimIndex(const Verdict& verdict, std::span<const ListInForce> lists = {});
  /// nullptr when the evidence does not say.
  const Claim* find(const ClaimInfo& claim) const noexcept;
  /// nullptr when no such list is in force.
  const SignedList* list(std::string_view name) const noexcept;
  /// A TD's quote without a log of its boot: what the log would say is not known, rather than not so.
  bool lacks_event_log() const noexcept { return lacks_event_log_; }

 private:
  bool lacks_event_log_ = false;
  std::vector<const Claim*> claims_;
  std::span<const ListInForce> lists_;
};

inline constexpr int kMaxConditionDepth = 4;

/// Claims that may be only an event log's word (Claim::log_word), and why such a claim does not count by itself.
bool may_be_log_word(std::string_view claim) noexcept;
inline constexpr std::string_view kLogWordText =
    "only the log's word: constrain rtmr2 beside it, or set require.event_log.trust_log_labels";

/// One condition, parsed. `{"claim": NAME, OPERATOR: VALUE}` with one operator of equals, one_of, at_least, at_most,
/// bits_set, bits_clear, prefix, in_list; or {"any_of": [...]} or {"all_of": [...]}. Values are checked against the
/// claim's type and size, and normalised, when the policy is read. Immutable.
class Condition {
 public:
  enum class Operator : std::uint8_t {
    one_of,
    at_least,
    at_most,
    bits_set,
    bits_clear,
    prefix,
    in_list,
    any_of,
    all_of
  };

  /// `depth`: how many any_of and all_of may still be nested. Error `malformed` names the member.
  static base::Result<Condition> parse(const base::JsonValue& value, int depth = kMaxConditionDepth);
  /// The same, with every mistake and its place; nullopt when there was one.
  static std::optional<Condition> read(const base::JsonValue& value, const std::string& path, PolicyFindings& findings,
                                       int depth = kMaxConditionDepth);

  /// A claim that the evidence does not have holds nothing. Neither does one that is only an event log's word, unless
  /// what must hold together fixes RTMR2 (fixes_boot()), here or, with `believe_log`, around this condition.
  bool holds(const ClaimIndex& claims, bool believe_log = false) const;
  /// Of a condition that does not hold: only because a signed list or a boot event log was not given. Who asks again
  /// with them may hear something else.
  bool lacks_input(const ClaimIndex& claims, bool believe_log = false) const;
  /// Whether it admits only listed values of RTMR2, the register of what the boot loader and the EFI stub measured.
  bool fixes_boot() const;
  /// "isvsvn at least 3", for the verdict.
  const std::string& text() const noexcept { return text_; }
  /// "isvsvn 2": what the evidence says of the claims that the condition names.
  std::string found(const ClaimIndex& claims, bool believe_log = false) const;
  /// Of alternatives of which none holds: what each asked for and what it found. Empty for a single condition.
  std::string explain(const ClaimIndex& claims, bool believe_log = false) const;

  Operator op() const noexcept { return operator_; }
  const ClaimInfo* claim() const noexcept { return claim_; }  ///< null for groups
  const std::vector<Condition>& group() const noexcept { return group_; }
  const std::string& list() const noexcept { return list_; }
  /// one_of (equals has one) and prefix.
  const std::vector<std::string>& values() const noexcept { return values_; }
  std::uint64_t number() const noexcept { return number_; }
  /// bits_set, bits_clear: lower-case hex.
  const std::string& mask() const noexcept { return mask_; }
  /// Whether a claim of this value meets a single condition that is not in_list.
  bool admits(std::string_view value) const;

 private:
  Condition() = default;
  base::Status read_values(const base::JsonValue& value);
  base::Status read_list_of_values(const base::JsonValue& list);
  base::Status read_bound(std::string_view key, const base::JsonValue& bound);
  base::Status read_mask(std::string_view key, const base::JsonValue& mask);
  base::Status read_prefix(const base::JsonValue& prefix);
  base::Status read_in_list(const base::JsonValue& list);
  bool read_group(const base::JsonValue& list, const std::string& path, PolicyFindings& findings, int depth);

  Operator operator_ = Operator::one_of;
  const ClaimInfo* claim_ = nullptr;
  std::vector<std::string> values_;  ///< normalised as claims are; sorted
  std::string mask_;
  std::uint64_t number_ = 0;
  std::string list_;
  std::vector<Condition> group_;
  std::string text_;
};

/// A claim's value as a policy writes it, normalised as verdicts show it: hex in lower case, numbers in decimal. Error
/// `malformed` says what the claim's type and size ask for.
base::Result<std::string> parse_claim_value(const ClaimInfo& claim, const base::JsonValue& value);
/// The claim of that name; an unknown one is `malformed` with a suggestion.
base::Result<const ClaimInfo*> parse_claim_name(std::string_view name);

}  // namespace attestry::attestation
