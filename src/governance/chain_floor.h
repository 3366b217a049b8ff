// The newest final block that this server has seen, kept over restarts: endpoints that show an older chain to a server
// that has just started would bring back what was revoked since.
#pragma once
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "chain/rpc.h"
#include "state/store.h"

namespace attestry::governance {

/// Thread-safe; the store outlives it.
class ChainFloor {
 public:
  ChainFloor(state::Store& store, std::uint64_t chain_id) : state_(std::make_shared<State>(store, chain_id)) {}

  /// nullopt: none was seen yet.
  base::Result<std::optional<chain::BlockRef>> stored() const;
  /// For a chain that was begun anew, or when another block was believed by mistake.
  base::Status forget(base::Deadline deadline);
  /// Waits for nothing: the newest of many is written, one write after the other. A block below the stored one is
  /// passed over.
  void saw(const chain::BlockRef& block);

 private:
  struct State {
    State(state::Store& its, std::uint64_t id) : store(its), chain_id(id) {}
    state::Store& store;
    const std::uint64_t chain_id;
    base::Mutex mutex;
    bool writing ATTESTRY_GUARDED_BY(mutex) = false;
    std::optional<chain::BlockRef> next ATTESTRY_GUARDED_BY(mutex){};
  };
  static void write_next(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_;  ///< shared with writes that are under way
};

}  // namespace attestry::governance
