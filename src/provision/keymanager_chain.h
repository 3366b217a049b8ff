// What the contract KeyManager says that a key manager rests on, pinned to one block (contracts/KeyManager.sol).
#pragma once
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "chain/keymanager_abi.h"
#include "chain/rpc.h"
#include "curves/nacl_box.h"
#include "keys/keymanager_digests.h"

namespace attestry::provision {

/// By which the contract knows a newcomer or a member: its address, or in the first generation its X25519 key alone.
struct KeyManagerPeer {
  curves::Address address{};  ///< zeros: known by its key
  curves::BoxPublicKey box_key{};
};

/// What every release rests on.
struct KeyManagerSaid {
  chain::BlockRef block{};
  curves::Address xpub{};   ///< zeros: before the bootstrap
  std::uint32_t epoch = 0;  ///< 0: before the bootstrap
  bool frozen = false;
  /// Of the member that was asked about: how far it has come, and whether it may have the key.
  chain::keymanager::Membership membership = chain::keymanager::Membership::not_yet;
  bool member_allowed = false;
};

/// And what an onboarding rests on besides.
struct KeyManagerLists {
  KeyManagerSaid said;
  bool mrtd = false, mrenclave = false, machine = false;  ///< each false where no such measurement was asked about
  chain::keymanager::TcbRule tcb{};
};

struct KeyManagerMeasured {
  std::optional<base::Digest32> mrtd{}, mrenclave{}, machine{};  ///< as the contract's lists have them
  base::FixedBytes<16> fmspc{};
};

/// Thread-safe; the reader outlives it. Errors: the reader's, and `configuration` when there is no such contract.
class KeyManagerChain {
 public:
  KeyManagerChain(chain::ChainReader& reader, const keys::KeyManagerContract& contract)
      : reader_(reader), contract_(contract) {}
  /// `own` may be known by either.
  base::Result<KeyManagerSaid> present(const std::optional<KeyManagerPeer>& own, base::Deadline deadline) const;
  base::Result<KeyManagerLists> lists(const KeyManagerPeer& newcomer, const KeyManagerMeasured& measured,
                                      base::Deadline deadline) const;

 private:
  base::Result<std::vector<chain::CallOutcome>> read(std::vector<chain::Call> calls, chain::BlockRef& block,
                                                     base::Deadline deadline) const;
  void ask(std::vector<chain::Call>& calls, const KeyManagerPeer& peer) const;

  chain::ChainReader& reader_;
  const keys::KeyManagerContract contract_;
};

}  // namespace attestry::provision
