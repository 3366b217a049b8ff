// The two S3 answers that are read: errors and lists of objects. Not an XML parser: it finds elements by name, which is
// enough because nothing in them is trusted and every blob is checked by its hash.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace attestry::blobs {

/// Text of the first <Code>, with entities decoded; empty when there is none.
std::string s3_error_code(std::string_view xml);

struct S3Listing {
  std::vector<std::string> keys;
  std::string next;  ///< continuation token; empty at the end
};
/// Error `unavailable`: not a ListBucketResult, truncated without a token, an unknown entity.
base::Result<S3Listing> parse_s3_listing(std::string_view xml);

}  // namespace attestry::blobs
