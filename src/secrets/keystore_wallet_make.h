// What /wallet/sign gives back, by the kind of the operation: transactions and intents that are built here, and
// signatures under what others have built (keystore_ckd.md 3.6, docs/formats/keystore-wire.md).
#pragma once
#include <optional>

#include "base/json.h"
#include "secrets/keystore_wallet_service.h"

namespace attestry::secrets {

/// `op` is what `parsed` was read from; `artifact` is what others have built. Errors: `malformed`; `not_found` for a
/// wallet that has no account on NEAR yet; outages.
base::Result<WalletMade> make_wallet_signature(KeystoreWallets& wallets, const WalletMaking& with,
                                               const std::string& wallet_id, const keystore::WalletOp& parsed,
                                               const base::JsonValue& op,
                                               const std::optional<base::JsonValue>& artifact, crypto::Random& random);

}  // namespace attestry::secrets
