// Who holds the shares of an epoch, and by which threshold: what all nodes agree on before a share is dealt.
// docs/formats/threshold.md. Values; functions are pure and thread-safe, and nothing blocks.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "cluster/sharing.h"
#include "crypto/ec.h"
#include "curves/bls12_381.h"

namespace attestry::cluster {

/// A key that a node offers for one plan, signed with the key that the others know it by: whoever leads cannot put in
/// another.
struct Offer {
  base::FixedBytes<32> cluster{}, session{};
  std::uint32_t member = 0;
  curves::bls::G1::Encoded box_key{};
  base::FixedBytes<64> signature{};

  static Offer sign(const base::FixedBytes<32>& cluster, const base::FixedBytes<32>& session, std::uint32_t member,
                    const curves::bls::G1::Encoded& box_key, const crypto::Ed25519PrivateKey& key);
  /// Error `evidence_false`, which names the node.
  base::Status check(base::ByteView signing_key) const;
};

/// A node as the others know it.
struct Member {
  std::uint32_t id = 0;                ///< below kMostNodes, for ever
  base::FixedBytes<32> signing_key{};  ///< Ed25519
  curves::bls::G1::Encoded box_key{};  ///< shares are encrypted to it; its secret is a scalar
  base::FixedBytes<64> offer{};        ///< the node's signature over the box key (Offer)
  std::string address;                 ///< "host:port" of its channel, printable ASCII, at most 255 bytes
  bool operator==(const Member&) const = default;
};

/// A new epoch: the first one generates a master that nobody knows, each later one moves the same master to other
/// shares. The same nodes and threshold again make shares that were stolen before worthless.
struct Plan {
  base::FixedBytes<32> cluster{};  ///< random, of the cluster for ever
  base::Realm realm = base::Realm::production;
  std::uint32_t epoch = 1;
  base::FixedBytes<32> session{};  ///< random: another attempt at the same epoch is another plan
  base::Digest32 previous{};       ///< digest of the outcome of epoch - 1; zeros for the first
  std::uint16_t threshold = 0;
  std::vector<Member> members;  ///< ids ascending

  /// Whether it makes sense: 2 <= threshold <= members, ids ascending, keys that are points and offered by their
  /// members for this very plan, no key twice. Error: `malformed`, which names the member.
  base::Status check() const;
  const Member* find(std::uint32_t id) const noexcept;
  base::Bytes bytes() const;
  /// Checked, too.
  static base::Result<Plan> parse(base::ByteView bytes);
  base::Digest32 digest() const;
  /// What operators approve: all but the session and the box keys, so that another attempt needs no other approval.
  base::Digest32 intent() const;
};

/// So many members must say that they have stored what a later epoch gives them before the one before it is forgotten:
/// if threshold - 1 of them lie, as many as the threshold allows to be corrupt, a threshold of others still has it. All
/// members where there are fewer. (The first epoch needs all: there is no other copy of its master.)
std::size_t quorum_of(std::size_t members, std::size_t threshold) noexcept;

}  // namespace attestry::cluster
