// The source over nodes of which none holds the root: t of n derive what this server needs, blinded on the way
// (docs/formats/threshold.md). This server unblinds, so it sees every app_root that it asks for, and keeps them: nodes
// protect the root from a server, and not apps' keys from the server that hands them out.
#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include "attestation/lru_cache.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/secret.h"
#include "keys/ckd.h"
#include "keys/derivation.h"

namespace attestry::keys {

/// Thread-safe.
class CkdSource {
 public:
  virtual ~CkdSource() = default;
  /// The 48 bytes of a confidential key derivation for `app_id`, unblinded and checked against the master public key
  /// (ckd::Blinding::open). `said`: what `app_id` is a digest of (ckd::AccountPath::bytes), which nodes have to be
  /// told; otherwise empty. Returns by `deadline`. `unavailable` or `deadline_exceeded` for an outage; anything else
  /// says what the nodes have against this server, or that one of them answered wrongly. Where something is `said` and
  /// a node refused it, it is no outage, whoever else is away: others may be given all the same.
  virtual base::Result<crypto::Secret> derive(base::ByteView app_id, base::ByteView said, base::Deadline deadline) = 0;
};

struct ThresholdRootOptions {
  std::size_t kept = 4096;                    ///< results in memory, 48 bytes each; the least recently used goes first
  std::chrono::milliseconds patience{5'000};  ///< that one derivation may take at most
  std::chrono::milliseconds rest{1'000};      ///< after an outage nodes are not asked for so long
  /// Called, on whatever thread saw it, when an outage begins or tells another reason, and with done() when it is over
  /// or the nodes have answered for the first time. Must not call the root.
  std::function<void(const base::Status&)> on_change{};
};

/// Thread-safe. Results, but for accounts', stay in memory until others take their place, so that what was asked for
/// before is answered through an outage. Whoever asks for the same thing at the same time waits for one question. Every
/// error of the source is `unavailable` here: the workload is denied nothing.
class ThresholdRoot final : public AppRootSource, public LegacyMasters {
 public:
  /// Both outlive it.
  ThresholdRoot(CkdSource& source, const base::Clock& clock, ThresholdRootOptions options = {})
      : source_(source), clock_(clock), options_(std::move(options)), kept_(options_.kept) {}

  using AppRootSource::app_root;
  base::Result<crypto::Secret> app_root(const governance::Grant& grant, std::uint32_t epoch,
                                        base::Deadline deadline) const override;
  base::Result<crypto::Secret> legacy_master(std::string_view dialect, base::Deadline deadline) const override;
  bool waits() const noexcept override { return true; }
  /// The key that NEAR's scheme gives an account under the nodes' master (keystore_ckd.md 7.3): HKDF-SHA-256 without
  /// salt and info of the signature for ckd::app_id(account, path); 32 bytes. Nodes that give this server no key of
  /// that account are no outage for what else it asks. Not kept here: each call asks the nodes anew.
  base::Result<crypto::Secret> account_key(const ckd::AccountPath& whose, base::Deadline deadline) const;

  /// Asks the nodes, whatever is kept and however short ago they did not answer, for what nothing is derived of.
  base::Status check(base::Deadline deadline) const;
  /// Whether the last question was answered. Cheap.
  bool answers() const;

 private:
  using Result48 = std::shared_ptr<const crypto::Secret>;
  struct Flight {
    bool over = false;
    bool cut = false;  ///< it failed because whoever asked had no more time
    Result48 result;
    std::optional<base::Error> error;
  };
  struct Outage {
    base::Error why;
    base::Deadline until;
    bool probed = false;  ///< somebody looks whether it is over
  };
  using Lock = std::unique_lock<std::mutex>;
  base::Result<crypto::Secret> derived(base::ByteView info, base::Deadline deadline) const;
  base::Result<Result48> result_of(base::ByteView app_id, base::ByteView said, base::Deadline deadline) const;
  base::Result<Result48> wait_for(Lock& lock, const std::shared_ptr<Flight>& flight, base::Deadline deadline) const;
  base::Status may_ask() const;
  base::Result<crypto::Secret> ask(base::ByteView app_id, base::ByteView said, base::Deadline deadline) const;
  void land(Lock& lock, const base::Digest32& name, Flight& flight, base::Result<crypto::Secret> answer, bool cut,
            bool one_account) const;
  void note(Lock& lock, const base::Status& status, bool cut) const;

  CkdSource& source_;
  const base::Clock& clock_;
  const ThresholdRootOptions options_;
  mutable attestation::LruCache<crypto::Secret> kept_;
  mutable std::mutex mutex_;  // std::mutex: a condition variable waits on it
  mutable std::condition_variable landed_;
  mutable std::map<base::Digest32, std::shared_ptr<Flight>> flights_;
  mutable std::optional<Outage> outage_;
  mutable bool answered_ = false;  ///< ever
};

}  // namespace attestry::keys
