// What wallets have done so far, counted in the store: what their policies' limits are measured by, and which approvals
// are used up. In the UTC hour, day and month of now.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "secrets/keystore_wallet_policy.h"
#include "state/store.h"

namespace attestry::secrets {

/// Whose: two vaults' wallets of one name are two wallets.
struct WalletName {
  std::string vault{};  ///< empty: the default one
  std::string id{};
};

/// Of the operation's token. Errors: `corrupt` and those of the store.
base::Result<keystore::WalletUsage> read_wallet_usage(const state::ReadView& view, const WalletName& wallet,
                                                      const keystore::WalletOp& op, base::UtcTime now);
/// Adds the operation. In the write closure that also appends its leaf.
base::Status add_wallet_usage(state::WriteTxn& txn, const WalletName& wallet, const keystore::WalletOp& op,
                              const keystore::WalletUsage& before, base::UtcTime now);
/// An approval is good for one signature. Error `replayed` the second time.
base::Status use_wallet_approval(state::WriteTxn& txn, const WalletName& wallet, std::string_view approval,
                                 std::string_view request_hash, base::UtcTime now);

}  // namespace attestry::secrets
