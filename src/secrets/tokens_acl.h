// Policies of clients: which paths of a namespace a token may use, and how. Nothing is allowed that no rule allows.
// The documents are Vault's: path blocks in HCL, or the same as JSON (docs/formats/vault.md).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace attestry::secrets {

inline constexpr std::size_t kMaxPolicyBytes = 64 * 1024;
inline constexpr std::size_t kMaxPolicyRules = 512;

enum class Capability : std::uint8_t { create, read, update, patch, delete_, list, sudo, deny };
std::string_view to_text(Capability capability) noexcept;

class Capabilities {
 public:
  constexpr Capabilities() = default;
  constexpr void add(Capability capability) noexcept { bits_ |= bit(capability); }
  constexpr void add(Capabilities other) noexcept { bits_ |= other.bits_; }
  constexpr bool has(Capability capability) const noexcept { return (bits_ & bit(capability)) != 0; }
  constexpr bool has_any(Capabilities other) const noexcept { return (bits_ & other.bits_) != 0; }
  constexpr bool empty() const noexcept { return bits_ == 0; }
  /// In Vault's order; {"deny"} when nothing is allowed.
  std::vector<std::string> names() const;
  friend constexpr bool operator==(Capabilities, Capabilities) = default;

 private:
  static constexpr unsigned bit(Capability capability) noexcept { return 1u << static_cast<unsigned>(capability); }
  unsigned bits_ = 0;
};

struct PolicyRule {
  std::string path;  ///< without the `*` at its end; parts that are `+` stand for any one part
  bool prefix = false;
  Capabilities capabilities{};
};

/// What a document says. Immutable.
class AccessPolicy {
 public:
  /// `malformed` names the line. Everything that this server would not obey (allowed_parameters, …) is refused, so that
  /// no policy allows more than it says.
  static base::Result<AccessPolicy> parse(std::string_view document);
  const std::vector<PolicyRule>& rules() const noexcept { return rules_; }

 private:
  explicit AccessPolicy(std::vector<PolicyRule> rules) : rules_(std::move(rules)) {}
  std::vector<PolicyRule> rules_;
};

/// What several policies together allow on a path, as Vault decides: an exact path before patterns; of patterns the one
/// whose first wildcard comes last, then one without `*` at the end, then fewer `+`, then the longer, then the greater
/// text. Rules with the same path add up, and a `deny` among them wins.
Capabilities capabilities_on(const std::vector<const AccessPolicy*>& policies, std::string_view path);

/// What every token may do: look at itself, renew and revoke itself.
std::string_view default_policy_document() noexcept;

}  // namespace attestry::secrets
