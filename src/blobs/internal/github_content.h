// Answers of GitHub's contents API.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::blobs {

/// The file's bytes: the body, or what its JSON form carries in base64 where a proxy or an older server answers in that
/// form although the raw one was asked for. Bytes with the right hash are taken as they are. Error `unavailable`: a
/// JSON form whose content is left out, as it is beyond 1 MB.
base::Result<base::Bytes> github_content(std::string body, std::string_view content_type, const base::Digest32& id);

/// Names of the files in the listing of a folder. Error `unavailable` for any other JSON.
base::Result<std::vector<std::string>> github_names(std::string body);

}  // namespace attestry::blobs
