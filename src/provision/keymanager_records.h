// What a key manager keeps over restarts, sealed: its masters by epoch, one that waits for the contract, and what it
// has asked to join with.
#pragma once
#include <map>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "curves/nacl_box.h"
#include "curves/secp256k1.h"
#include "state/sealed.h"
#include "state/store.h"

namespace attestry::provision {

struct KeyManagerKept {
  crypto::Secret master;  ///< 32 bytes
  bool joined = false;    ///< it came from another member, whom the contract has let hand it on
};
/// Made here, and not yet in force: the contract's owner decides.
struct KeyManagerPending {
  std::uint32_t epoch = 0;  ///< that begins with it
  crypto::Secret master;
  base::Bytes evidence;  ///< the quote for its address
};
/// With what this server asked to join in an epoch.
struct KeyManagerRequest {
  std::uint32_t epoch = 0;
  curves::BoxPrivateKey box;
  curves::Secp256k1PrivateKey member;
  base::Bytes evidence;
};

/// Thread-safe.
class KeyManagerRecords {
 public:
  /// `sealing` has 32 bytes; random outlives it.
  static base::Result<KeyManagerRecords> create(crypto::Secret sealing, crypto::Random& random);

  /// All that is there; `corrupt` when something does not open.
  struct All {
    std::map<std::uint32_t, KeyManagerKept> masters{};
    std::optional<KeyManagerPending> pending{};
    std::optional<KeyManagerRequest> request{};
  };
  base::Result<All> read(const state::ReadView& view) const;

  /// `conflict` when the epoch has another master: one is never replaced.
  base::Status keep(state::WriteTxn& txn, std::uint32_t epoch, const KeyManagerKept& kept) const;
  base::Status put(state::WriteTxn& txn, const KeyManagerPending& pending) const;
  base::Status put(state::WriteTxn& txn, const KeyManagerRequest& request) const;
  /// The one of that epoch, if it is still there: another may have been made meanwhile.
  base::Status forget_pending(state::WriteTxn& txn, std::uint32_t epoch) const;

 private:
  explicit KeyManagerRecords(state::SealedValues values) : values_(std::move(values)) {}
  base::Status put(state::WriteTxn& txn, base::ByteView key, base::ByteView plain) const;
  base::Result<crypto::Secret> open(base::ByteView key, base::ByteView stored) const;
  state::SealedValues values_;
};

}  // namespace attestry::provision
