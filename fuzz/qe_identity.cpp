// Text is no enclave identity, or one whose levels stand strictly highest first, so that every SVN has one level.
#include <algorithm>

#include "attestation/dcap/qe_identity.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  namespace dcap = attestation::dcap;
  const std::string text{base::as_text({data, size})};
  const auto identity = dcap::parse_qe_identity(text);
  if (!identity) return 0;
  REQUIRE(!dcap::parse_qe_identity(text + "{"));
  REQUIRE(!identity->levels.empty());
  for (std::size_t i = 1; i < identity->levels.size(); ++i) {
    REQUIRE(identity->levels[i - 1].isvsvn > identity->levels[i].isvsvn);
  }
  REQUIRE(dcap::find_isv_level(identity->levels, 0xffff) == identity->levels.data());
  for (const auto& level : identity->levels) {
    REQUIRE(dcap::find_isv_level(identity->levels, level.isvsvn) == &level);
    REQUIRE(level.status <= dcap::TcbStatus::revoked);
  }
  return 0;
}
