// What storage servers answer is read or refused, never half: the first byte says which reader the rest is for.
#include "base/encoding.h"
#include "blobs/internal/cid.h"
#include "blobs/internal/github_content.h"
#include "blobs/internal/s3_xml.h"
#include "blobs/internal/vault_secret.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  if (size == 0) return 0;
  const base::ByteView rest{data + 1, size - 1};
  const std::string text{base::as_text(rest)};
  switch (data[0] % 6) {
    case 0: {
      const auto listing = blobs::parse_s3_listing(text);
      if (listing) {
        for (const auto& key : listing->keys) REQUIRE(key.size() <= 4096);
      }
      REQUIRE(blobs::s3_error_code(text).size() <= 4096);
      break;
    }
    case 1:
      if (const auto id = blobs::sha256_of_cid(text)) REQUIRE(blobs::raw_cid(*id) == text);
      break;
    case 2: {
      // What is written is read back, whatever it is.
      const auto back = blobs::vault_content(R"({"data":)" + blobs::vault_document(rest) + "}");
      REQUIRE(back && base::equal(*back, rest));
      break;
    }
    case 3: {
      static_cast<void>(blobs::vault_content(text));
      const auto login = blobs::vault_login(text);
      if (login) REQUIRE(!login->token.empty() && login->lease_seconds >= 0);
      static_cast<void>(blobs::vault_names(text));
      static_cast<void>(blobs::vault_error(text));
      break;
    }
    case 4: {
      const auto content = blobs::github_content(text, "application/json", {});
      if (content) REQUIRE(content->size() <= text.size());
      REQUIRE(base::equal(blobs::github_content(text, "text/plain", {}).value(), rest));
      break;
    }
    default:
      static_cast<void>(blobs::github_names(text));
  }
  return 0;
}
