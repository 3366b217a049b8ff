// Signed lists of claim values: the chips of a data centre, the platforms of a customer. Conditions of a policy look
// into them; the policy pins who may sign. Pure: a list is an argument of evaluate(), nobody fetches one here.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/claim_dictionary.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/dsse.h"

namespace attestry::attestation {

inline constexpr std::string_view kSignedListPayloadType = "application/vnd.attestry.list.v1+json";

/// `[a-z0-9][a-z0-9._-]{0,62}`: names of lists and of measurement sets.
base::Result<std::string> parse_reference_name(std::string_view text);

/// A DSSE envelope (FORMATS 1) over `{"format": 1, "name", "version", "not_before"?, "not_after", "note"?, "claims":
/// {claim: [values]}}`, with at most 16 signatures. Parsed, but believed only as far as signers() says. Immutable.
class SignedList {
 public:
  /// Strict: unknown members, unknown claims, values of another form and empty lists are `malformed`.
  static base::Result<SignedList> parse(std::string_view envelope_json);
  static base::Result<SignedList> from_envelope(crypto::Envelope envelope);
  /// What may be signed: the same rules for the payload alone.
  static base::Status check_document(std::string_view payload);

  const std::string& name() const noexcept { return name_; }
  std::uint64_t version() const noexcept { return version_; }
  bool in_force(base::UtcTime at) const noexcept { return (!not_before_ || *not_before_ <= at) && at <= not_after_; }
  base::UtcTime not_after() const noexcept { return not_after_; }
  std::optional<base::UtcTime> not_before() const noexcept { return not_before_; }
  /// Of the signed payload.
  const base::Digest32& sha256() const noexcept { return sha256_; }
  const crypto::Envelope& envelope() const noexcept { return envelope_; }
  std::size_t size() const noexcept;

  /// Those of `keys` whose signature over the payload verifies.
  std::vector<base::FixedBytes<32>> signers(const std::vector<base::FixedBytes<32>>& keys) const {
    return envelope_.valid_signers(keys);
  }
  /// `value` as verdicts show it.
  bool contains(const ClaimInfo& claim, std::string_view value) const noexcept;

 private:
  struct Values {
    const ClaimInfo* claim;
    std::vector<std::string> values;  ///< sorted
  };
  SignedList() = default;
  base::Status read(std::string_view payload);
  crypto::Envelope envelope_;
  std::string name_;
  std::uint64_t version_ = 0;
  std::optional<base::UtcTime> not_before_;
  base::UtcTime not_after_;
  base::Digest32 sha256_{};
  std::vector<Values> claims_;
};

/// What evaluate() may look into beside the evidence. Views: valid during the call.
struct References {
  std::span<const SignedList> lists{};
  /// The nonce that the evidence must bear (policy.nonce). One without bytes satisfies nothing.
  std::optional<base::ByteView> nonce{};
};

}  // namespace attestry::attestation
