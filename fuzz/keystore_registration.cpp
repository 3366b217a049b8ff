// What the MPC network answers is two texts that stand for exactly these bytes, and opens no question that it was not
// made for; a proposal is one of four, and its number reads back the same; a quote's registers are 96 digits.
#include "base/json_writer.h"
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
  if (const auto answer = keystore::parse_ckd_answer(text)) {
    const std::string again = base::JsonOut{base::JsonOutObject{{"big_y", keys::ckd::to_text(answer->big_y)},
                                                                {"big_c", keys::ckd::to_text(answer->big_c)}}}
                                  .compact();
    const auto same = keystore::parse_ckd_answer(again);
    REQUIRE(same && *same == *answer);
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
