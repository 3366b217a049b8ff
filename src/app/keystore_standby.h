// One of two keystores, as a running server has it: the store that its rooms write to, whether it may serve, and the
// threads that follow the other one, tell it, and take over (docs/how-to/run-a-standby-keystore.md).
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "api/slow_lane.h"
#include "app/keystore_standby_settings.h"
#include "app/own_attester.h"
#include "app/service.h"
#include "app/settings.h"
#include "channel/server.h"
#include "net/peer.h"
#include "net/router.h"
#include "provision/keystore_standby.h"
#include "secrets/keystore_copy.h"
#include "secrets/keystore_feed.h"
#include "secrets/keystore_masters.h"
#include "secrets/keystore_replica.h"

namespace attestry::app {

/// How sessions of workers travel, and how what is stored of them becomes what is used.
struct KeystoreSessionHooks {
  std::function<base::Result<crypto::Secret>(base::ByteView key, base::ByteView value)> carry;
  std::function<base::Result<base::Bytes>(base::ByteView key, base::ByteView carried)> take;
  std::function<base::Status()> reload;
};

/// open(); then the masters and the sessions on store(), with gate(); then start(). Thread-safe from then on.
class KeystoreStandbyService {
 public:
  /// Null when this keystore is the only one, and always was. `parts` outlive it.
  static base::Result<std::unique_ptr<KeystoreStandbyService>> open(const Settings& settings,
                                                                    const ServiceParts& parts);
  ~KeystoreStandbyService();
  KeystoreStandbyService(const KeystoreStandbyService&) = delete;
  KeystoreStandbyService& operator=(const KeystoreStandbyService&) = delete;

  /// The store for everything of the keystore; outlives its users as this object does.
  state::Store& store() noexcept { return *feed_; }
  /// KeystoreMastersOptions::gate: `unavailable`, and why, unless this keystore serves.
  std::function<base::Status()> gate();
  /// KeystoreMastersOptions::wait_for_import
  bool waits_for_masters() const;

  /// Both outlive it.
  base::Status start(secrets::KeystoreMasters& masters, KeystoreSessionHooks sessions);
  base::Status add_routes(net::Router& router);
  void update_metrics() const;
  /// Lets no change wait for the standby any more.
  void stop_waiting() { feed_->stop(); }
  /// Ends its threads; may be called again.
  void stop();

 private:
  KeystoreStandbyService(const ServiceParts& parts, KeystoreStandbySettings said);
  base::Status open_fence();
  base::Status open_attester(const Settings& settings);
  base::Status listen();
  base::Status may_serve() const;
  base::JsonOutObject status() const;
  base::Status promote(bool force);
  base::Status follow(bool discard);

  void watch();      ///< a thread: takes over, gets ready to serve, says how things are
  void look_once();  ///< one of its rounds
  void try_to_load(std::uint64_t term);
  base::Status load(std::uint64_t term);
  void end_call();
  void keep_calling();  ///< a thread: follows, or tells
  base::Result<bool> call_once();
  bool rest(std::chrono::milliseconds time);
  void note(std::string problem);

  const ServiceParts parts_;
  const KeystoreStandbySettings said_;
  std::unique_ptr<OwnAttester> attester_;
  std::unique_ptr<secrets::ReplicaFence> fence_;
  std::unique_ptr<secrets::KeystoreFeed> feed_;
  std::unique_ptr<secrets::KeystoreCopy> copy_;
  std::unique_ptr<provision::KeystoreStandby> standby_;
  secrets::KeystoreMasters* masters_ = nullptr;
  KeystoreSessionHooks sessions_;
  std::unique_ptr<channel::Server> server_;
  std::atomic<std::uint64_t> loaded_term_{0};  ///< what is in memory is good for serving in this term
  mutable std::mutex mutex_;                   // std::mutex: a condition variable waits on it
  std::condition_variable wake_;
  bool stopping_ = false;
  std::shared_ptr<net::PeerStop> call_;
  std::string problem_;
  std::chrono::steady_clock::time_point handover_until_{};
  std::chrono::steady_clock::time_point next_prepare_{}, next_load_{};
  std::string load_trouble_;     ///< the watching thread's: said already
  std::uint64_t told_term_ = 0;  ///< the calling thread's: the other one knows of this term
  std::thread watching_, calling_;
  api::SlowLane lane_{1, 8};  ///< for operators, who wait for the store
};

/// The same parts on another store.
ServiceParts with_store(const ServiceParts& parts, state::Store& store);

}  // namespace attestry::app
