// What a node that lies says to others: for tests of clusters with such nodes, in the simulated realm alone
// (`node.faults`). Everything is signed with the node's own key, as by somebody who has the machine.
#pragma once
#include <set>
#include <span>
#include <string>

#include "base/result.h"
#include "cluster/messages.h"
#include "crypto/random.h"

namespace attestry::cluster {

/// A value; thread-safe, nothing blocks.
class Faults {
 public:
  Faults() = default;
  /// `offer` (a key that it did not sign), `deal` (a wrong value for one member), `complaint` (without reason),
  /// `stored` (another's word), `share` (of a derivation), `proof` (of that share). Error `configuration` for another.
  static base::Result<Faults> parse(std::span<const std::string> names);
  bool any() const noexcept { return !names_.empty(); }
  /// In place of what an honest node says. `id` and `key`: the liar's.
  Answer instead_of(Answer honest, const Question& question, std::uint32_t id, const crypto::Ed25519PrivateKey& key,
                    crypto::Random& random) const;

 private:
  bool has(const char* name) const { return names_.contains(name); }
  std::set<std::string, std::less<>> names_;
};

}  // namespace attestry::cluster
