// What the MPC network answers opens no question that it was not
// made for; a proposal is one of four, and its number reads back the same; a quote's registers are 96 digits.
#include "require.h"
#include "secrets/keystore_ckd.h"

namespace {

using namespace attestry;
namespace keystore = secrets::keystore;

const keys::ckd::MasterPublicKey& network() {
  static const keys::ckd::MasterPublicKey key{curves::bls::G2::generator()};
  return key;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text{base::as_text({data, size})};
  if (keys::ckd::parse_mpc_answer(text)) {
    const keystore::CkdQuestion question{*chain::near::AccountId::parse("dao.near"), "", 2, crypto::system_random()};
    REQUIRE(!question.open(text, network()));
  }
  if (const auto id = keystore::parse_proposal_id(text))
    REQUIRE(keystore::parse_proposal_id(std::to_string(*id)).value_or(*id + 1) == *id);
  [[maybe_unused]] const auto proposal = keystore::parse_proposal(text);
  if (const auto measured = keystore::TdMeasurements::of_quote({data, size}))
    REQUIRE(measured->mrtd.size() == 96 && measured->rtmr3.size() == 96);
  return 0;
}
