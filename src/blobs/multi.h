// Several backends as one: the first good answer wins, a slow one costs a hedge delay, a lying one is named and passed
// over, and what was read once stays in a cache by its hash.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "blobs/cache.h"
#include "blobs/lanes.h"
#include "blobs/store.h"

namespace attestry::blobs {

struct MultiOptions {
  std::shared_ptr<Lanes> lanes{};       ///< shared by every multi store of the process; empty: its own
  std::shared_ptr<BlobCache> cache{};   ///< empty: none
  std::chrono::milliseconds hedge{50};  ///< how long one backend may think before the next is asked as well
  std::chrono::milliseconds backend_deadline{5000};
  std::chrono::milliseconds negative{2000};  ///< how long "not found everywhere" is believed; 0: never
  const base::Clock* clock = &base::system_clock();
};

/// What a put did, backend by backend.
struct PutOutcome {
  std::string name;
  std::string uri;
  base::Status status = base::done();
};

/// get: `not_found` only when every backend says so; `corrupt` when none is away and one holds something else under the
/// id; else `unavailable`. Each error lists every backend. put writes to all and succeeds when one has taken it.
class MultiStore : public BlobStore {
 public:
  /// Outcomes in the order of the backends. Error when no backend has taken the blob.
  virtual base::Result<std::vector<PutOutcome>> put_all(const Place& place, base::ByteView bytes,
                                                        base::Deadline deadline) = 0;
};

/// `stores` in the order of preference, all opened for the same tenant and app. Error `configuration` when there is
/// none.
base::Result<std::unique_ptr<MultiStore>> make_multi(std::vector<std::unique_ptr<BlobStore>> stores,
                                                     MultiOptions options = {});

struct OpenedStores {
  std::vector<std::unique_ptr<BlobStore>> stores;
  std::vector<std::pair<std::string, base::Error>> refused;  ///< URI (without secrets) and why
};
/// Opens all that can be opened: one bad URI among good ones is reported and left out.
/// `prepare`, if any, puts into the context what belongs to a URI before that is opened.
OpenedStores open_all(std::span<const std::string> uris, StoreContext& context,
                      const std::function<void(std::string_view uri, StoreContext&)>& prepare = {});

}  // namespace attestry::blobs
