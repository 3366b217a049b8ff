// Where masters of a keystore come from: the root, a setting, chance, or many others together (keystore_ckd.md 7).
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "keys/threshold_root.h"

namespace attestry::secrets {

inline constexpr std::size_t kKeystoreMasterBytes = 32;

/// Thread-safe.
class MasterSource {
 public:
  virtual ~MasterSource() = default;
  /// For status and logs: "derived", "imported", "generated", "ckd", "threshold", "ckd-nodes:…".
  virtual std::string_view name() const noexcept = 0;
  /// The default master of epoch 1 or of a later one; 32 bytes. Asked for once per epoch, since what it gives is kept.
  /// May wait for others: never call it from a server's worker.
  virtual base::Result<crypto::Secret> default_master(std::uint32_t epoch) = 0;
  /// The master of a vault under the default master of an epoch. May wait for others unless local(); after an outage,
  /// `deadline` among them, the next call goes on where this one ended. `conflict`: the vault cannot pay for it.
  virtual base::Result<crypto::Secret> vault_master(const crypto::Secret& default_master, std::string_view vault,
                                                    base::Deadline deadline) = 0;
  /// vault_master() is a function of its arguments alone, so that nothing of it needs to be kept.
  virtual bool local() const noexcept { return true; }
  /// Whether a keystore that has another master of epoch 1 must not start with this source.
  virtual bool binding() const noexcept { return false; }
  /// Whether a keystore with this source may have epochs after the first.
  virtual bool rotates() const noexcept { return true; }
  /// Whether others decide which servers have these masters, and give them to each: then none leaves in a backup.
  virtual bool given() const noexcept { return false; }
  /// default_master() may take long: it is asked in the background, while a server says that it is not ready.
  virtual bool waits() const noexcept { return false; }
  /// How long to wait before default_master() is asked again that gave no master.
  virtual std::chrono::milliseconds again_in() const { return std::chrono::seconds(1); }
};

/// keystore_ckd.md 7.3: hex of HMAC(default master, "secret-path:vault-master:" ‖ vault). 64 characters. Not secret
/// once it was used on a chain, and not to be guessed before.
std::string vault_master_path(const crypto::Secret& default_master, std::string_view vault);
/// HKDF-SHA256(ikm = default master, info = LP("keystore vault master") ‖ LP(vault_master_path)); 32 bytes.
crypto::Secret local_vault_master(const crypto::Secret& default_master, std::string_view vault);

/// Epoch 1 is `legacy`, 32 bytes (keys::legacy_master of "keystore"); later ones are random: a master that leaked says
/// nothing about those that come after it. `random` outlives it.
std::unique_ptr<MasterSource> derived_source(crypto::Secret legacy, crypto::Random& random);
/// The same, where epoch 1 has to be asked for: by others' word, which may take its time and fail (`unavailable`).
std::unique_ptr<MasterSource> threshold_source(std::function<base::Result<crypto::Secret>()> legacy,
                                               crypto::Random& random);
/// Where name() begins so, a store keeps its masters for the same name alone: they are of that account and those nodes.
inline constexpr std::string_view kNodesSource = "ckd-nodes:";
/// Epoch 1, the only one, and each vault's master is what NEAR's scheme gives under the nodes' master, for the account
/// `dao` with an empty path, and for the vault's account with vault_master_path() (keystore_ckd.md 7.3). name() is
/// kNodesSource ‖ dao ‖ "@" ‖ the first 16 hex digits of SHA-256 of `network`, the master public key. Whatever keeps
/// nodes from answering is `unavailable`. `nodes` outlives it.
std::unique_ptr<MasterSource> nodes_source(const keys::ThresholdRoot& nodes, std::string dao, base::ByteView network);
/// Epoch 1 is what an operator brings, 32 bytes (KEYSTORE_MASTER_SECRET); later ones are random.
std::unique_ptr<MasterSource> imported_source(crypto::Secret master, crypto::Random& random);
/// Random; `announce` gets the master of epoch 1 once, before it is kept: to be printed or written to a file. Its error
/// is the source's.
std::unique_ptr<MasterSource> generated_source(crypto::Random& random,
                                               std::function<base::Status(const crypto::Secret&)> announce);

}  // namespace attestry::secrets
