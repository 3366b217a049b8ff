// What a storage URI says, for who is about to write it where everybody reads it.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace attestry::blobs {

struct Location {
  std::string scheme;
  bool credentials = false;  ///< a user, a password, or parameters that may hold a secret
  bool relative = false;     ///< a file store that begins wherever its reader lets it begin
  std::string shown;         ///< without the credentials
};
/// `malformed` for what no server could open: no URI, or a scheme that is none of file, s3, ipfs, onchain, github and
/// vault.
base::Result<Location> read_location(std::string_view uri);

}  // namespace attestry::blobs
