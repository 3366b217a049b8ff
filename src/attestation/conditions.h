// Conditions of a policy on claims: equal, one of, at least, at most, bits set or clear, prefix, and alternatives.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "attestation/claim_dictionary.h"
#include "attestation/verdict.h"
#include "base/result.h"

namespace attestry::base {
class JsonValue;
}

namespace attestry::attestation {

/// The claims of one verdict by dictionary place: what 50 conditions look at is looked up once. Refers to the verdict.
class ClaimIndex {
 public:
  explicit ClaimIndex(const Verdict& verdict);
  /// nullptr when the evidence does not say.
  const Claim* find(const ClaimInfo& claim) const noexcept;

 private:
  std::vector<const Claim*> claims_;
};

/// One condition, parsed. `{"claim": NAME, OPERATOR: VALUE}` with one operator of equals, one_of, at_least, at_most,
/// bits_set, bits_clear, prefix; or {"any_of": [...]} or {"all_of": [...]}. Values are checked against the claim's type
/// and size when the policy is read. Immutable.
class Condition {
 public:
  /// `depth`: how many any_of and all_of may still be nested. Error `malformed` names the member.
  static base::Result<Condition> parse(const base::JsonValue& value, int depth = 4);

  /// A claim that the evidence does not have holds nothing.
  bool holds(const ClaimIndex& claims) const;
  /// "isvsvn at least 3", for the verdict.
  const std::string& text() const noexcept { return text_; }
  /// "isvsvn 2": what the evidence says of the claims that the condition names.
  std::string found(const ClaimIndex& claims) const;

 private:
  enum class Operator : std::uint8_t { one_of, at_least, at_most, bits_set, bits_clear, prefix, any_of, all_of };
  Condition() = default;
  base::Status read_values(const base::JsonValue& value);
  base::Status read_group(const base::JsonValue& list, int depth);
  Operator operator_ = Operator::one_of;
  const ClaimInfo* claim_ = nullptr;  ///< null for groups
  std::vector<std::string> values_;   ///< normalised as claims are
  base::Bytes mask_;
  std::uint64_t number_ = 0;
  std::vector<Condition> group_;
  std::string text_;
};

/// A claim's value as a policy writes it, normalised as verdicts show it: hex in lower case, numbers in decimal. Error
/// `malformed` says what the claim's type and size ask for.
base::Result<std::string> parse_claim_value(const ClaimInfo& claim, const base::JsonValue& value);
/// The claim of that name; an unknown one is `malformed` with a suggestion.
base::Result<const ClaimInfo*> parse_claim_name(std::string_view name);

}  // namespace attestry::attestation
