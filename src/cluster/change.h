// Leads nodes from one epoch to the next. Whoever leads is trusted with nothing: it can only hinder, and another one,
// or the same one again, goes on. docs/formats/threshold.md
//
// Thread-safe: several may lead at a time. Each call blocks until every node that it asks has answered, or was silent
// for its peer's patience: rounds one after the other, of each all nodes at once, in threads of their own. All
// references must live until the call returns.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/node.h"
#include "cluster/peers.h"
#include "crypto/random.h"

namespace attestry::cluster {

/// A node that did not do its part, and why: "it was not there", or what it is guilty of.
struct Failing {
  std::uint32_t id = 0;
  std::string step;  ///< "offer", "deal", "check", "store"
  base::Error error;
  bool guilty = false;  ///< proved by what it signed, or by its silence where it had to complain rightly
};

struct ChangeOptions {
  /// Called before each step with what is about to happen: for people who wait. A round waits for it.
  std::function<void(const std::string& step)> say = [](const std::string&) {};
  /// Called for each node that does not do its part, also when the change comes to nothing. Both on the caller's
  /// thread.
  std::function<void(const Failing& failing)> failed = [](const Failing&) {};
};

struct Changed {
  Epoch epoch;
  std::vector<Failing> failing;  ///< of all steps
  std::vector<std::uint32_t>
      not_told;  ///< nodes, of this epoch and the one before, that have not put it in force: they hold old shares
};

/// The first epoch, of `intended`, a plan whose session and box keys are not set yet. All members must take part. Its
/// session comes from the intent, so that an attempt that was interrupted is gone on with.
base::Result<Changed> generate(Plan intended, const Approval& approval, Peers& peers,
                               const ChangeOptions& options = {});

/// From `before`, which is in force, to `intended`, whose members must be there to begin with; nodes that go away later
/// do not stop it as long as enough remain: the threshold of the epoch before to deal, quorum_of() the new one to
/// store.
base::Result<Changed> reshare(const Epoch& before, Plan intended, const Approval& approval, Peers& peers,
                              crypto::Random& random, const ChangeOptions& options = {});

/// Tells the nodes that have not heard of an epoch yet. The ids that still have not.
std::vector<std::uint32_t> tell(const Epoch& epoch, std::span<const Member> members, Peers& peers);

}  // namespace attestry::cluster
