#include "secrets/keystore_service_chain.h"

#include <utility>

namespace attestry::secrets {

using base::Result;
using base::Status;

std::string KeystoreChain::arguments(const KeystoreSecretName& name) {
  return keystore::secret_query(name.accessor, name.profile, name.owner);
}

std::optional<KeystoreView> KeystoreChain::at_hand(const std::string& arguments) const {
  const auto now = clock_.steady();
  const base::MutexLock lock(mutex_);
  const auto found = entries_.find(arguments);
  if (found == entries_.end() || found->second.until <= now) return std::nullopt;
  return found->second.view;
}

Result<KeystoreView> KeystoreChain::read(const std::string& arguments, base::Deadline deadline) {
  if (auto view = at_hand(arguments)) return *std::move(view);
  // Taken before the head: what the head says is that old when it arrives.
  const auto until = clock_.steady() + rules_.ttl;
  TRY(const auto head, reader_.head(deadline));
  {
    // The chain has not moved: the answer stands.
    const base::MutexLock lock(mutex_);
    const auto found = entries_.find(arguments);
    if (found != entries_.end() && found->second.view.at == head) {
      found->second.until = until;
      return found->second.view;
    }
  }
  TRY(const auto bytes, reader_.call(head, contract_, "get_secret_with_vault", base::to_bytes(arguments), deadline));
  TRY(auto stored, keystore::parse_stored_secret(std::string{base::as_text(bytes)}));
  KeystoreView view{.secret = nullptr, .at = head};
  if (stored) {
    auto access = keystore::AccessCondition::parse(stored->access, rules_.access);
    view.secret = std::make_shared<const KeystoreSecret>(KeystoreSecret{*std::move(stored), std::move(access)});
  }
  const base::MutexLock lock(mutex_);
  if (entries_.size() >= rules_.most) entries_.clear();
  entries_.insert_or_assign(arguments, Entry{view, until});
  return view;
}

Status KeystoreChain::has_key(const chain::near::AccountId& account, const chain::near::PublicKey& key,
                              base::Deadline deadline) {
  TRY(const auto head, reader_.head(deadline));
  TRY_OK(reader_.access_key(head, account, key, deadline));
  return base::done();
}

}  // namespace attestry::secrets
