// All registration in one place: builds a running server out of the rooms. A new platform, collateral source, key
// source or dialect is one line in wire.cpp.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/settings.h"
#include "attestation/anchors.h"
#include "base/result.h"
#include "base/time.h"
#include "collateral/source.h"
#include "keys/threshold_root.h"
#include "state/file.h"

namespace attestry::app {

/// What `dev` and tests replace.
struct Seams {
  attestation::TrustAnchors anchors = attestation::TrustAnchors::production();
  const base::Clock* clock = &base::system_clock();
  state::Files* files = &state::system_files();  ///< for the checkpoint outside the store
  keys::CkdSource* nodes = nullptr;  ///< in the place of those that threshold.nodes names; outlives the server
};

/// A server from start() to stop() or destruction.
class RunningServer {
 public:
  /// Creates the data folder's files on first start (and says so in the log), opens them afterwards.
  static base::Result<std::unique_ptr<RunningServer>> start(const Settings& settings, Seams seams);
  ~RunningServer();
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  std::string url() const;  ///< public listener
  std::string admin_url() const;
  std::string metrics_url() const;  ///< empty when there is none
  /// Of dialects, with whom each is for: "registry", "registry proxy", "registry admins", "registry channel", "key
  /// manager", "keystore", ….
  std::vector<std::pair<std::string, std::string>> dialect_urls() const;
  /// The registry's administrators, or its operator, still have to bring the master key.
  bool awaits_master() const;
  std::chrono::seconds bootstrap_timeout() const;  ///< 0: they may take any time
  const std::string& origin() const;
  std::string log_vkey() const;
  /// PEM of the own certificate when tls.mode is auto; empty otherwise.
  const std::string& own_certificate() const;
  std::string admin_token_file() const;

  /// Stops accepting, finishes what has begun; true when everything finished by itself.
  bool stop(base::Deadline deadline);

 private:
  struct Impl;
  explicit RunningServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// That something other than the data folder opens the root file: who reads the one must not have the other. Simulated
/// data alone may have its key file beside it. A server refuses only its first start over a key file inside the folder.
base::Status check_unlock(const Settings& settings);

}  // namespace attestry::app
