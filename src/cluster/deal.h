// One node's part in a new epoch: a polynomial, committed to before everybody, and its values, each encrypted to the
// member that it is for. Whoever gets a wrong value can prove it to everybody. docs/formats/threshold.md
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "cluster/plan.h"
#include "cluster/sharing.h"
#include "crypto/ec.h"
#include "crypto/random.h"
#include "curves/bls12_381.h"

namespace attestry::cluster {

/// Proofs of knowledge: challenge and answers, 32 bytes each, big-endian.
struct SchnorrProof {
  base::FixedBytes<32> challenge{}, answer{};
  bool operator==(const SchnorrProof&) const = default;
};
/// Of two scalars at once: what is dealt, and what it is encrypted with.
struct DealerProof {
  base::FixedBytes<32> challenge{}, secret{}, ephemeral{};
  bool operator==(const DealerProof&) const = default;
};

/// Immutable after it is made or parsed, thread-safe.
class Deal {
 public:
  /// Signed with the dealer's own key. The polynomial's threshold must be the plan's.
  static base::Result<Deal> make(const Plan& plan, std::uint32_t dealer, const Polynomial& polynomial,
                                 const crypto::Ed25519PrivateKey& key, crypto::Random& random);
  /// The form only: `malformed` otherwise, or for a threshold above `most_threshold`, before its points are decoded.
  static base::Result<Deal> parse(base::ByteView bytes, std::size_t most_threshold = kMostNodes);
  const base::Bytes& bytes() const noexcept { return bytes_; }
  base::Digest32 digest() const;

  std::uint32_t dealer() const noexcept { return dealer_; }
  const Commitments& commitments() const noexcept { return commitments_; }

  /// What everybody can see: it is of this plan, signed by `dealer_key`, has the plan's threshold and a value for each
  /// member, and its dealer knows what it shares. `constant`: what it has to share, where that is known (the dealer's
  /// public share of the epoch before). Error `evidence_false`, which names the dealer and what is wrong.
  base::Status check(const Plan& plan, base::ByteView dealer_key, const std::optional<curves::bls::G2>& constant) const;
  /// Member `receiver`'s value. Error `evidence_false` when it does not open or does not fit the commitments: complain.
  base::Result<curves::bls::Scalar> open(const Plan& plan, std::uint32_t receiver,
                                         const curves::bls::Scalar& box_secret) const;

 private:
  friend class Complaint;
  struct Value {
    std::uint32_t receiver = 0;
    base::FixedBytes<48> sealed{};
  };
  explicit Deal(Commitments commitments) : commitments_(std::move(commitments)) {}
  base::Bytes unsigned_bytes() const;
  /// With the point that dealer and receiver have in common.
  base::Result<curves::bls::Scalar> open_with(const Member& receiver, const curves::bls::G1& common) const;

  base::Digest32 plan_{};
  std::uint32_t dealer_ = 0;
  Commitments commitments_;
  DealerProof knowledge_;
  curves::bls::G1::Encoded ephemeral_{};
  std::vector<Value> values_;
  base::FixedBytes<64> signature_{};
  base::Bytes bytes_;
};

/// "The value that this deal has for me is wrong": opens that one value to everybody, with the proof that it is the one
/// that was encrypted. The value is then no secret any more, which is right: its dealer is out. Immutable after it is
/// made or parsed, thread-safe; nothing blocks.
class Complaint {
 public:
  /// Error `usage` when the deal's value is right.
  static base::Result<Complaint> make(const Plan& plan, const Deal& deal, std::uint32_t receiver,
                                      const curves::bls::Scalar& box_secret, const crypto::Ed25519PrivateKey& key,
                                      crypto::Random& random);
  static base::Result<Complaint> parse(base::ByteView bytes);
  const base::Bytes& bytes() const noexcept { return bytes_; }
  std::uint32_t receiver() const noexcept { return receiver_; }
  std::uint32_t dealer() const noexcept { return dealer_; }

  /// Whoever is at fault, by everybody's own look: the dealer, or the one who complains without reason. Error
  /// `evidence_false` for a complaint that is not the receiver's, or about another deal.
  enum class Fault : std::uint8_t { dealer, receiver };
  base::Result<Fault> judge(const Plan& plan, const Deal& deal) const;

 private:
  base::Bytes unsigned_bytes() const;
  base::Digest32 deal_{};
  std::uint32_t dealer_ = 0;
  std::uint32_t receiver_ = 0;
  curves::bls::G1::Encoded common_{};
  SchnorrProof proof_;
  base::FixedBytes<64> signature_{};
  base::Bytes bytes_;
};

}  // namespace attestry::cluster
