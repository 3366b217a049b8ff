// Private to the key manager's files: what they look at together.
#pragma once
#include <map>

#include "base/encoding.h"
#include "curves/address.h"
#include "provision/keymanager.h"

namespace attestry::provision {

/// A whole picture, replaced and never changed.
struct KeyManager::State {
  std::map<std::uint32_t, Master> masters{};
  std::shared_ptr<const KeyManagerPending> pending{};
  std::shared_ptr<const KeyManagerRequest> request{};
  std::optional<KeyManagerSaid> said{};
  base::Deadline believed_until{};
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
