// AWS Signature Version 4 for S3: the Authorization header of one request.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "net/http.h"

namespace attestry::blobs {

struct SigV4Request {
  std::string_view method;
  std::string_view host;                                     ///< as the Host field says it
  std::string_view path;                                     ///< percent-encoded once; S3 does not encode again
  std::vector<std::pair<std::string, std::string>> query{};  ///< decoded
  base::ByteView body{};
  std::string_view region;
  base::UtcTime now;
};

/// "a=b&c=d": sorted and encoded, as it is both signed and sent.
std::string canonical_query(std::vector<std::pair<std::string, std::string>> query);

/// Host, x-amz-date, x-amz-content-sha256, x-amz-security-token where there is a token, and Authorization.
net::Headers sign_v4(const SigV4Request& request, std::string_view access_key, base::ByteView secret_key,
                     std::string_view session_token);

/// Without a signature, for public buckets.
net::Headers unsigned_v4(const SigV4Request& request);

}  // namespace attestry::blobs
