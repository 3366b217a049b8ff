#include <array>

#include "blobs/internal/checked.h"
#include "blobs/store.h"

namespace attestry::blobs {
namespace {

struct Scheme {
  std::string_view name;
  Opened (*open)(Uri uri, const StoreContext& context);
};
constexpr std::array kSchemes{Scheme{"file", open_file},     Scheme{"s3", open_s3},
                              Scheme{"ipfs", open_ipfs},     Scheme{"onchain", open_onchain},
                              Scheme{"github", open_github}, Scheme{"vault", open_vault}};

}  // namespace

base::Result<std::unique_ptr<BlobStore>> open_store(std::string_view uri, const StoreContext& context) {
  TRY(auto parsed, parse_uri(uri));
  for (const auto& scheme : kSchemes) {
    if (scheme.name == parsed.scheme) return scheme.open(std::move(parsed), context);
  }
  return base::Error{base::Code::malformed, "unsupported storage scheme: " + parsed.scheme,
                     "file, s3, ipfs, onchain, github or vault", parsed.shown()};
}

}  // namespace attestry::blobs
