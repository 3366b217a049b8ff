#include "secrets/keystore_service_chain.h"

#include <utility>

namespace attestry::secrets {

using base::Result;
using base::Status;

namespace {

constexpr std::size_t kEntryBytes = 256;

}  // namespace

std::size_t memory_of(const KeystoreSecret& secret) noexcept {
  return secret.stored.blob.size() + secret.stored.access.size() + (secret.access ? secret.access->memory() : 0);
}

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
  if (!contract_) return base::Error{base::Code::configuration, "NEAR client not configured"};
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
  TRY(const auto bytes, reader_.call(head, *contract_, "get_secret_with_vault", base::to_bytes(arguments), deadline));
  TRY(auto stored, keystore::parse_stored_secret(std::string{base::as_text(bytes)}));
  KeystoreView view{.secret = nullptr, .at = head};
  if (stored) {
    auto access = keystore::AccessCondition::parse(stored->access, rules_.access);
    view.secret = std::make_shared<const KeystoreSecret>(KeystoreSecret{*std::move(stored), std::move(access)});
  }
  keep(arguments, view, until);
  return view;
}

void KeystoreChain::keep(const std::string& arguments, const KeystoreView& view, base::Deadline until) {
  const std::size_t bytes = kEntryBytes + 2 * arguments.size() + (view.secret ? memory_of(*view.secret) : 0);
  const base::MutexLock lock(mutex_);
  if (const auto found = entries_.find(arguments); found != entries_.end()) {
    bytes_ -= found->second.bytes;
    entries_.erase(found);
  }
  if (entries_.size() >= rules_.most || bytes_ + bytes > rules_.most_bytes) {
    entries_.clear();
    bytes_ = 0;
  }
  if (bytes > rules_.most_bytes) return;
  bytes_ += bytes;
  entries_.emplace(arguments, Entry{view, until, bytes});
}

Status KeystoreChain::has_key(const chain::near::AccountId& account, const chain::near::PublicKey& key,
                              base::Deadline deadline) {
  TRY(const auto head, reader_.head(deadline));
  return has_key(head, account, key, deadline);
}

Status KeystoreChain::has_key(const chain::near::Block& at, const chain::near::AccountId& account,
                              const chain::near::PublicKey& key, base::Deadline deadline) {
  TRY_OK(reader_.access_key(at, account, key, deadline));
  return base::done();
}

}  // namespace attestry::secrets
