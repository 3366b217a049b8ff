// Text is no token, or one whose decoded parts stand for exactly this text; and its header and claims are objects that
// strict JSON takes, or nothing.
#include "attestation/maa/jwt.h"
#include "base/encoding.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  namespace maa = attestation::maa;
  const std::string text{base::as_text({data, size})};
  const auto jws = maa::parse_jws(text);
  if (!jws) return 0;
  const std::string signed_text = base::base64url(jws->header) + "." + base::base64url(jws->payload);
  REQUIRE(jws->signed_text == signed_text);
  REQUIRE(signed_text + "." + base::base64url(jws->signature) == text);
  REQUIRE(!jws->header.empty() && !jws->payload.empty() && !jws->signature.empty());
  REQUIRE(!maa::parse_jws(text + "\n") && !maa::parse_jws(text + ".") && !maa::parse_jws("." + text));

  const auto header = maa::parse_jws_header(jws->header);
  if (header && header->alg) REQUIRE(base::as_text(jws->header).find('{') != std::string_view::npos);
  if (const auto claims = maa::parse_claims(jws->payload)) REQUIRE((*claims)->root().is_object());
  return 0;
}
