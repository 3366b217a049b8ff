// A folder of content in the layout of the registry's file storage: configs/<id> and secrets/<id>, where the id is the
// SHA-256 of the file's bytes.
#pragma once
#include <string>
#include <vector>

#include "app/cli.h"
#include "provision/registry_template.h"

namespace attestry::app {

struct FoundContent {
  base::Bytes bytes;
  std::string path;
};

/// From the first of `folders` that has it. Errors: `not_found`, with a hint when it is there under the other type;
/// `corrupt` when the bytes have another hash.
base::Result<FoundContent> read_content(Context& context, const std::vector<std::string>& folders,
                                        const provision::RegistryReference& reference);

/// Writes `bytes` under their id, making the folders that are missing; the path. Errors: `io`.
base::Result<std::string> write_content(Context& context, const std::string& folder,
                                        const provision::RegistryReference& reference, base::ByteView bytes);

}  // namespace attestry::app
