// A node that is lost with its disk comes back out of what it gave its holder: a person or an organisation with an
// X25519 key that operators have approved for this node. docs/formats/threshold.md, "Exports"
//
// What exports cannot do: the shares of as many of them as the threshold, of one epoch, are the master. No resharing
// changes that for exports that were made before it, so holders keep them apart and destroy old ones.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "audit/log.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "cluster/node.h"
#include "cluster/signatures.h"
#include "crypto/secret.h"
#include "curves/bls12_381.h"
#include "state/sealed.h"
#include "state/store.h"

namespace attestry::cluster {

/// Operators' word for who may hold what a node is. Of no epoch: it stays good through resharing, until nodes have seen
/// a list with a greater number.
struct Holders {
  struct Holder {
    std::uint32_t node = 0;
    base::FixedBytes<32> key{};  ///< X25519
    auto operator<=>(const Holder&) const = default;
  };
  base::FixedBytes<32> cluster{};
  base::Realm realm = base::Realm::production;
  std::uint32_t number = 1;     ///< of this list; the next one has a greater one
  std::vector<Holder> holders;  ///< ascending by node and key; a node may have several, or none
  std::vector<Approval::Signature> signatures;

  Approval::Signature sign(const crypto::Ed25519PrivateKey& key) const;
  /// At least `needed` different ones of `operators` have signed. Error `denied`, which says how many have.
  base::Status check(std::span<const base::FixedBytes<32>> operators, std::size_t needed) const;
  bool has(std::uint32_t node, const base::FixedBytes<32>& key) const noexcept;
  base::Bytes bytes() const;
  /// Error `malformed`.
  static base::Result<Holders> parse(base::ByteView bytes);
};

/// What only the holder sees.
struct Recovered {
  crypto::Secret seed;  ///< 32 bytes, for Node::open
  curves::bls::Scalar share;
};

/// A sealed export. Immutable, thread-safe.
class NodeExport {
 public:
  /// The form only: `malformed` otherwise.
  static base::Result<NodeExport> parse(base::ByteView bytes);
  base::Bytes bytes() const;

  std::uint32_t node() const noexcept { return node_; }
  const base::FixedBytes<32>& holder() const noexcept { return holder_; }
  const Epoch& epoch() const noexcept { return epoch_; }

  /// What anybody can check: the node that it names is a member of the epoch and has signed it, and the epoch is one
  /// that operators have approved and members have stored. Errors: `evidence_false`, `denied`, `realm_mismatch`.
  base::Status check(base::Realm realm, std::span<const base::FixedBytes<32>> operators, std::size_t needed) const;
  /// With the holder's private key. Errors: `wrong_key` for another one or a changed export; `evidence_false`, which
  /// names the node, for a seed that is not the node's or a share that is not its share of the epoch.
  base::Result<Recovered> open(const crypto::Secret& holder_private) const;

 private:
  friend class Recovery;
  explicit NodeExport(Epoch epoch) : epoch_(std::move(epoch)) {}
  static base::Result<NodeExport> seal(const Epoch& epoch, std::uint32_t node, const base::FixedBytes<32>& holder,
                                       const Recovered& recovered, const crypto::Ed25519PrivateKey& key);
  base::Bytes unsigned_bytes() const;
  base::Bytes info() const;

  std::uint32_t node_ = 0;
  base::FixedBytes<32> holder_{};
  Epoch epoch_;
  base::FixedBytes<32> enc_{};
  base::FixedBytes<80> sealed_{};
  base::FixedBytes<64> signature_{};
};

/// Seals what the node is: its seed, which must be the one that it was opened with, its share of the epoch in force and
/// that epoch. A leaf "node.export" of `log`, if there is one, is durable before it returns. Errors: `denied` for a
/// holder without enough operators' word, `conflict` for a list that a later one has replaced or that is not the one of
/// its number, `unavailable` without a share.
base::Result<NodeExport> export_node(Node& node, const crypto::Secret& seed, const Holders& holders,
                                     const base::FixedBytes<32>& holder, audit::Log* log);

/// Number of the list under which the node of this store has exported last; 0: none.
base::Result<std::uint32_t> last_holders(const state::Store& store);

/// Makes a store, in which no node ever was, that of the node again: Node::open() with the seed of `recovered`, which
/// Node::seed_in() gives from then on, is it. `log` as above, a leaf "node.import". The export is checked. Errors:
/// those of NodeExport::check(), `conflict` for a store that has a node, `usage` for options of another node.
///
/// The lost node must never run again: two that deal with the same key look like one that cheats.
base::Status import_node(const NodeExport& from, const Recovered& recovered, const NodeOptions& options,
                         state::Store& store, const state::SealedValues& sealed, audit::Log* log);

}  // namespace attestry::cluster
