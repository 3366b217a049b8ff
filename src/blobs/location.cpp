#include "blobs/location.h"

#include <algorithm>
#include <array>

#include "blobs/internal/uri.h"

namespace attestry::blobs {

base::Result<Location> read_location(std::string_view text) {
  constexpr std::array<std::string_view, 6> kSchemes{"file", "s3", "ipfs", "onchain", "github", "vault"};
  TRY(const Uri uri, parse_uri(text));
  if (std::ranges::find(kSchemes, uri.scheme) == kSchemes.end()) {
    return base::Error{base::Code::malformed, "no storage has the scheme " + uri.scheme,
                       "file, s3, ipfs, onchain, github or vault", hide_user_info(text)};
  }
  Location out{.scheme = uri.scheme, .shown = uri.shown()};
  const bool hidden = std::ranges::any_of(uri.query, [](const auto& one) { return !is_shown_parameter(one.first); });
  out.credentials = uri.user || uri.password || hidden;
  out.relative = uri.scheme == "file" && (!uri.host.empty() || !uri.path.starts_with('/'));
  return out;
}

}  // namespace attestry::blobs
