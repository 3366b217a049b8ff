// An envelope that is accepted says the same after a round trip, and nobody's signature counts without his key. An
// approval that is accepted is the same after its canonical form was read again.
#include "crypto/hash.h"
#include "governance/approval.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  static const auto key = crypto::Ed25519PrivateKey::from_seed(crypto::sha256(base::as_bytes("fuzz operator")));
  const auto text = base::as_text({data, size});

  if (const auto approval = governance::Approval::parse(text)) {
    const auto again = governance::Approval::parse(approval->payload());
    REQUIRE(again.ok());
    REQUIRE(again->payload() == approval->payload());
  }

  auto envelope = governance::Envelope::parse(text);
  if (!envelope) return 0;
  REQUIRE(!envelope->signatures.empty());
  const auto again = governance::Envelope::parse(envelope->to_json());
  REQUIRE(again.ok());
  REQUIRE(again->to_json() == envelope->to_json());
  REQUIRE(again->pre_authentication() == envelope->pre_authentication());
  REQUIRE(envelope->count_valid({key->public_key()}) == 0);
  envelope->sign(*key);
  REQUIRE(envelope->count_valid({key->public_key(), key->public_key()}) == 1);
  envelope->payload += ' ';
  REQUIRE(envelope->count_valid({key->public_key()}) == 0);
  return 0;
}
