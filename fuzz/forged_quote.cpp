// A forged quote with any edits: refused, or (where bytes are unsigned, as line ends of the PEM chain) the same claims.
// Each three bytes of input are one edit: position (big-endian), value to be xored in.
#include <algorithm>

#include "attestation/verifier.h"
#include "forge/scenario.h"
#include "require.h"

namespace {

using namespace attestry;

struct World {
  forge::ForgePki pki = forge::ForgePki::make(base::as_bytes("fuzz")).value();
  forge::Case good =
      forge::make_case(pki, {forge::default_quote(pki, forge::QuoteKind::tdx_v5), {}, {1'795'261'432}, {}}).value();
  attestation::Verifier verifier{attestation::TrustAnchors::simulated(
      {attestation::TestRoot::from_certificate(base::as_bytes(good.root_pem)).value()})};
  std::shared_ptr<const attestation::Collateral> collateral = good.collateral.collateral();
  attestation::Verdict expected = verify(good.evidence());

  attestation::Verdict verify(const attestation::Evidence& evidence) const {
    return verifier.verify(evidence, *collateral, good.scenario.at).value();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  auto evidence = world.good.evidence();
  for (std::size_t i = 0; i + 2 < size; i += 3) {
    const std::size_t at = (static_cast<std::size_t>(data[i]) << 8 | data[i + 1]) % evidence.bytes.size();
    evidence.bytes[at] ^= data[i + 2];
  }
  const auto verdict = world.verify(evidence);
  if (evidence.bytes == world.good.quote) {
    REQUIRE(verdict.evidence == attestation::Genuineness::genuine);
  }
  if (verdict.evidence != attestation::Genuineness::genuine) {
    REQUIRE(verdict.root_cause() != nullptr);
    return 0;
  }
  REQUIRE(verdict.root_cause() == nullptr);
  REQUIRE(std::ranges::equal(verdict.claims, world.expected.claims,
                             [](const auto& a, const auto& b) { return a.name == b.name && a.value == b.value; }));
  return 0;
}
