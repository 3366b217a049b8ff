// Private to the key manager's files: what they look at together.
#pragma once
#include <map>

#include "base/encoding.h"
#include "curves/address.h"
#include "provision/keymanager.h"

namespace attestry::provision {

/// A master that waits for the owner's word.
struct KeyManager::Pending {
  Master master;
  base::Bytes evidence{};
};

/// What this server asked to join with, and by which the contract knows it.
struct KeyManager::Own {
  explicit Own(KeyManagerRequest made)
      : request(std::move(made)),
        peer{curves::ethereum_address(request.member.public_key_raw()), request.box.public_key()} {}
  KeyManagerRequest request;
  KeyManagerPeer peer;
};

/// A whole picture, replaced and never changed.
struct KeyManager::State {
  std::map<std::uint32_t, Master> masters{};
  std::map<std::uint32_t, std::shared_ptr<const Pending>> pending{};  ///< by epoch; also what lost, until that is final
  std::shared_ptr<const Own> own{};
  std::optional<KeyManagerSaid> said{};
  base::Deadline believed_until{};

  /// The newest one that may still be put in force.
  std::shared_ptr<const Pending> waiting() const {
    if (pending.empty() || (said && pending.rbegin()->first <= said->epoch)) return nullptr;
    return pending.rbegin()->second;
  }
};

template <class F>
void KeyManager::change(F&& edit) {
  const base::MutexLock lock(mutex_);
  auto next = std::make_shared<State>(*state_);
  std::forward<F>(edit)(*next);
  state_ = std::move(next);
}

inline std::string text_of(const curves::Address& address) { return curves::address_checksum_text(address); }

}  // namespace attestry::provision
