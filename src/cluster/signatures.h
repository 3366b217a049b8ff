// What operators and nodes sign about an epoch. docs/formats/threshold.md. Values; functions are pure and thread-safe.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/reader.h"
#include "base/result.h"
#include "cluster/outcome.h"
#include "cluster/plan.h"
#include "crypto/ec.h"

namespace attestry::cluster {

/// Operators' word for a plan's intent: who is in, and by which threshold.
struct Approval {
  struct Signature {
    base::FixedBytes<32> key{};  ///< Ed25519, of an operator
    base::FixedBytes<64> signature{};
    bool operator==(const Signature&) const = default;
  };
  std::vector<Signature> signatures;

  static Signature sign(const Plan& plan, const crypto::Ed25519PrivateKey& key);
  /// How many different ones of `operators` have signed.
  std::size_t signers(const Plan& plan, std::span<const base::FixedBytes<32>> operators) const;
  /// At least `needed` different ones of `operators` have signed. Error `denied`, which says how many have.
  base::Status check(const Plan& plan, std::span<const base::FixedBytes<32>> operators, std::size_t needed) const;
  base::Bytes bytes() const;
  static base::Result<Approval> read(base::Reader& reader);
};

/// A member's word that it holds its share of an outcome, on its disk.
struct Stored {
  std::uint32_t member = 0;
  base::FixedBytes<64> signature{};
  bool operator==(const Stored&) const = default;

  static Stored sign(const Plan& plan, const Outcome& outcome, std::uint32_t member,
                     const crypto::Ed25519PrivateKey& key);
  /// Error `evidence_false`, which names the node.
  base::Status check(const Plan& plan, const Outcome& outcome) const;
};

/// The words of so many members that the epoch before may be forgotten.
struct Certificate {
  std::vector<Stored> stored;  ///< members ascending
  /// All members for the first epoch, quorum_of() of a later one. Errors: `denied` for too few, `evidence_false`.
  base::Status check(const Plan& plan, const Outcome& outcome) const;
  base::Bytes bytes() const;
  static base::Result<Certificate> read(base::Reader& reader);
};
/// How many a certificate needs.
std::size_t needed_for(const Plan& plan) noexcept;

}  // namespace attestry::cluster
