// Documents of Vault's KV version 2 engine, as this program and the first registry write them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::blobs {

/// {"data":{"content_base64":…}} and, where the bytes are UTF-8, also the first registry's {"content":"<text>"}.
std::string vault_document(base::ByteView bytes);

/// The bytes of a read's answer: content_base64 before content. Error `corrupt`: neither, or damaged.
base::Result<base::Bytes> vault_content(std::string body);

struct VaultLogin {
  std::string token;
  long long lease_seconds = 0;
};
/// Error `unavailable` when the answer holds no token.
base::Result<VaultLogin> vault_login(std::string body);

/// data.keys of a LIST.
base::Result<std::vector<std::string>> vault_names(std::string body);

/// errors[0], or empty.
std::string vault_error(std::string_view body);

}  // namespace attestry::blobs
