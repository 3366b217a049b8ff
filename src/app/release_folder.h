// The folder that `attestry instance --out` writes what a workload received into.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "client/registration.h"

namespace attestry::app {

/// PURPOSE.ALGORITHM.key; for a key with a path, and where a dot in a word would make two keys look the same,
/// PURPOSE.ALGORITHM.DIGEST.key with 32 hex digits of the SHA-256 of LP(purpose), LP(algorithm), LP(path). Different
/// keys have different names. The first two are plain words (client::ReceivedRelease refuses others); the path may be
/// anything.
std::string key_file_name(std::string_view purpose, std::string_view algorithm, std::string_view path);

/// The same for a key of an earlier epoch: "epoch-N." before it.
std::string former_key_file_name(const client::FormerKey& former);

/// certificate.pem, key.pem, configuration, receipt, secret.NAME and the keys, each of mode 0600 in a folder of mode
/// 0700. Replaces what is there of an earlier registration. `malformed`, before anything is written, when two things
/// would be the same file.
base::Status write_release(const std::string& folder, const client::Registered& registered);

}  // namespace attestry::app
