// A node that looks around: it asks the others for their epoch, follows a later one and tells those that are behind.
// Until it has a place in a cluster it says again and again that it is there (docs/formats/threshold.md, "Looking
// around").
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/mutex.h"
#include "base/result.h"
#include "cluster/coordinator.h"
#include "cluster/node.h"
#include "state/store.h"

namespace attestry::cluster {

/// look() is for one thread at a time; everything else is thread-safe. All block as long as the other nodes may.
class Lookout {
 public:
  /// Says to the node at an address that this one is there: the epoch in force there.
  using SayJoin = std::function<base::Result<std::optional<Epoch>>(const std::string& peer)>;

  /// What it is made of outlives it. Errors: those of the store.
  static base::Result<std::unique_ptr<Lookout>> open(Node& node, FindColleague find, SayJoin say_join,
                                                     state::Store& store);

  /// Joins there: at once, and, also after a restart, with every look() until this node has a place. Errors: those of
  /// the node there; nothing is kept then.
  base::Status join(const std::string& peer);

  /// Where it joined, while this node has no place.
  std::optional<std::string> joined() const;

  /// One round: all members at the start and after a change, later one at a time and those that are behind.
  void look();

  /// Members that did not answer when they were last looked at.
  std::size_t away() const;

 private:
  Lookout(Node& node, FindColleague find, SayJoin say_join, state::Store& store)
      : node_(node), find_(std::move(find)), say_join_(std::move(say_join)), store_(store) {}
  using EpochPtr = std::shared_ptr<const Epoch>;
  bool has_place() const;
  base::Status keep(const std::optional<std::string>& peer);
  void come_again();
  void look_at(const EpochPtr& now, const Member& member);
  bool meet(Colleague& colleague, const EpochPtr& there);

  Node& node_;
  const FindColleague find_;
  const SayJoin say_join_;
  state::Store& store_;
  std::size_t round_ = 0;           // of look() alone, like the next three
  bool heard_ = true;               ///< of the node where this one joined
  EpochPtr looked_at_;              ///< in force in the round before
  std::set<std::uint32_t> behind_;  ///< or not heard of
  mutable base::Mutex mutex_;
  std::optional<std::string> joined_ ATTESTRY_GUARDED_BY(mutex_);  ///< where, while there is no place; as in the store
  std::set<std::uint32_t> away_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::cluster
