// One release of the keystore: closed for its recipient, in the log, and only then given away. Private to secrets.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "secrets/keystore_service.h"

namespace attestry::secrets {

struct ReleaseParts {
  state::Store& store;
  audit::Log& log;
  crypto::Random& random;
};
struct ReleaseOf {
  std::string type;                         ///< of the leaf
  std::map<std::string, std::string> what;  ///< label -> value: what the leaf commits to besides the plaintext
  std::optional<chain::near::Block> at;     ///< as of which the chain was read
};

/// `done` runs on the store's committer, or here when something fails before.
void release_with_leaf(const ReleaseParts& parts, ReleaseOf what, KeystoreRecipient to, crypto::Secret plaintext,
                       KeystoreDone done);

/// Whether a record says that evidence was used: what keeps it from being shown again.
bool is_used_evidence(base::ByteView key);

/// Erases what is remembered of evidence that is too old to be shown again; at most `most`. In a write closure.
base::Status forget_used_evidence(state::WriteTxn& txn, base::UtcTime now, std::size_t most);

}  // namespace attestry::secrets
