// Text is no TCB info, or one whose levels stand strictly highest first, so that "the first that matches" has one
// meaning; and a platform with the highest SVNs always matches the first.
#include <algorithm>
#include <tuple>

#include "attestation/dcap/tcb_info.h"
#include "attestation/dcap/tcb_level.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  namespace dcap = attestation::dcap;
  const std::string text{base::as_text({data, size})};
  const auto info = dcap::parse_tcb_info(text);
  if (!info) return 0;
  REQUIRE(!dcap::parse_tcb_info(text + "x"));
  REQUIRE(!info->levels.empty() && (info->version == 2 || info->version == 3));
  for (std::size_t i = 1; i < info->levels.size(); ++i) {
    const auto& a = info->levels[i - 1];
    const auto& b = info->levels[i];
    REQUIRE(std::tie(a.sgx, a.pcesvn, a.tdx) > std::tie(b.sgx, b.pcesvn, b.tdx));
  }
  for (const auto& level : info->levels) REQUIRE(level.status <= dcap::TcbStatus::revoked);
  for (const auto& identity : info->tdx_module_identities) {
    REQUIRE(!identity.levels.empty());
    REQUIRE(std::ranges::is_sorted(identity.levels, std::ranges::greater{}, &dcap::IsvLevel::isvsvn));
  }

  dcap::PckExtension highest;
  highest.components.fill(0xff);
  highest.pcesvn = 0xffff;
  dcap::TeeTcbSvn svn{};
  svn.fill(0xff);
  REQUIRE(dcap::match_level(*info, highest, svn) == info->levels.data());
  REQUIRE(dcap::match_level(*info, highest, {}) == info->levels.data());
  // A level that is matched is reached in every component.
  dcap::PckExtension some;
  for (std::size_t i = 0; i < some.components.size(); ++i) some.components[i] = i < size ? data[i] : 0;
  some.pcesvn = 7;
  if (const dcap::TcbLevel* level = dcap::match_level(*info, some, {})) {
    for (std::size_t i = 0; i < 16; ++i) REQUIRE(some.components[i] >= level->sgx[i]);
    REQUIRE(some.pcesvn >= level->pcesvn);
  }
  return 0;
}
