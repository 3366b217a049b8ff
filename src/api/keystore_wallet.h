// Shared pieces of the routes of wallets. Private to api.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "api/keystore_handlers.h"
#include "secrets/keystore_wallet_service.h"

namespace attestry::api {

/// What every request to a wallet has: a coordinator, a vault in the header, a body with `wallet_id`.
struct WalletRequest {
  secrets::KeystoreRecipient to;
  std::shared_ptr<const base::JsonDocument> body;
  secrets::WalletAsked asked;
  base::Deadline deadline;
};
/// Also reads `approval_info` and `policy`, which are optional everywhere.
KeystoreAnswer<WalletRequest> read_wallet_request(const KeystoreShared& handlers, net::Request& request);
/// The wallet's key on NEAR, as the contract names it.
KeystoreAnswer<secrets::WalletNearKey> near_key(const KeystoreShared& handlers, const secrets::WalletName& wallet);

/// Signs when the wallet's policy allows it, and answers with what `make` makes.
void sign_for_wallet(const KeystoreShared& handlers, WalletRequest asked, secrets::WalletMake make,
                     net::Responder responder);
/// The operation of something that has no `op` in its request: its hash is that of {"kind", "digest"}.
secrets::keystore::WalletOp plain_op(std::string kind, secrets::keystore::OpClass op_class, base::ByteView digest);

/// Routes that sign for EVM chains and Solana.
base::Status add_keystore_wallet_chain_routes(net::Router& router, const KeystoreShared& handlers);

}  // namespace attestry::api
