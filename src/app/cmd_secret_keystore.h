// The commands of the group `attestry secret` that concern keystores of the OutLayer family.
#pragma once
#include <optional>
#include <string>

#include "app/cli.h"
#include "chain/near_types.h"
#include "secrets/keystore_accessor.h"

namespace attestry::app {

/// encrypt and decrypt.
void add_secret_keystore(CLI::App& group, Context& context);
/// profile list and profile show.
void add_secret_profile(CLI::App& group, Context& context);

/// What a secret is for, as options.
struct AccessorOptions {
  std::string repo{}, branch{}, wasm_hash{}, project{}, payment_key{};
  std::string owner{};
  std::string profile = "default";
  bool colons = false;
};
void add_accessor_options(CLI::App& command, AccessorOptions& options);
/// Nothing when none of the options is there. Error `usage` for more than one.
base::Result<std::optional<secrets::keystore::Accessor>> accessor_of(const AccessorOptions& options);
base::Result<chain::near::AccountId> owner_of(const AccessorOptions& options);
/// The payment key's number, where the accessor is one.
const std::string& profile_of(const AccessorOptions& options);

}  // namespace attestry::app
