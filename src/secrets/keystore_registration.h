// Masters that a keystore has from NEAR's MPC network, once its DAO has approved it (keystore_ckd.md 7.2, 7.3;
// docs/formats/keystore-registration.md): it shows the DAO what it is, waits for the votes, and asks the network
// through the DAO's contract; vaults' masters it asks for through their own contracts.
//
// Before anything is paid for, the MPC contract is asked for the network's key, and nothing is when it names another
// than the pinned one. The answer is not believed in that key's place: who lies about it stops this keystore, and no
// more.
//
// Submissions are counted in the store until there is a master: a server that is started again and again in a TEE, with
// another key each time, pays ever less often, too.
//
// Nothing here gives up: what a network that is away, a contract or a vote keeps from going on is tried again, ever
// less often where it costs gas. A proposal that was rejected, or that nobody voted on in time, is not submitted a
// second time; the DAO may still approve the key.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "attestation/binding.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "chain/near_rpc.h"
#include "crypto/random.h"
#include "keys/ckd.h"
#include "secrets/keystore_ckd.h"
#include "secrets/keystore_masters_source.h"
#include "state/store.h"

namespace attestry::secrets {

struct RegistrationRules {
  chain::near::AccountId dao;
  chain::near::AccountId init;  ///< the account that may submit registrations, and pays for one
  chain::near::AccountId mpc;   ///< the network's contract, asked for its key before gas is paid
  keys::ckd::MasterPublicKey network;
  std::uint64_t domain = 2;
  std::chrono::milliseconds poll{5000};          ///< between two looks at the DAO
  std::chrono::milliseconds patience{1800'000};  ///< for the votes
  std::chrono::milliseconds lookup{3000};        ///< between two looks for the access key that the DAO has just given
  unsigned lookups = 5;                          ///< before that is a trouble, and looked at as often as the DAO
  std::chrono::milliseconds slice{12'000};       ///< of waiting for a transaction, before a server that stops is heeded
  std::size_t most_vaults = 4096;                ///< whose masters are asked for, or were not to be had a moment ago
};

/// What it refers to outlives the source.
struct RegistrationParts {
  chain::near::ChainReader& reader;
  chain::near::Sender& sender;
  crypto::Random& random;
  const base::Clock& clock;
  state::Store& store;                        ///< where it is kept how often was submitted in vain, and when
  attestation::Attester* attester = nullptr;  ///< null: no TEE
  chain::near::SecretKey key;                 ///< that is registered
  chain::near::SecretKey init_key;            ///< of RegistrationRules::init
};

/// `name()` is "ckd". Epoch 1 is the only one: its master is a function of the DAO's account and the network's key.
/// default_master() takes one step and is `unavailable` or `denied` until the last one is done.
std::unique_ptr<MasterSource> registered_source(RegistrationParts parts, RegistrationRules rules);

}  // namespace attestry::secrets
