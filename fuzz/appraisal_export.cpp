// Any bytes are an exported appraisal or an error; what was read is written and read back to the same, and its id is
// the digest of its document. Judging it again never fails for want of anything in it.
#include "appraisal/replay.h"
#include "base/bytes.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  const auto first = appraisal::read_export(base::as_text({data, size}));
  if (!first) return 0;
  REQUIRE(first->id() == crypto::sha256(base::as_bytes(first->document())));
  const std::string written = appraisal::write_export(*first);
  const auto second = appraisal::read_export(written);
  REQUIRE(second.ok());
  REQUIRE(second->id() == first->id());
  REQUIRE(appraisal::write_export(*second) == written);
  const auto one = appraisal::replay(*first);
  const auto two = appraisal::replay(*second);
  REQUIRE(one.ok() == two.ok());
  if (one) REQUIRE(one->verdict_json == two->verdict_json);
  return 0;
}
