// Signed lists: one that is accepted says the same after a round trip, nobody's signature counts without his key, and
// what may be signed is what is accepted with a signature.
#include "attestation/signed_list.h"
#include "crypto/hash.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  using attestation::SignedList;
  static const auto key = crypto::Ed25519PrivateKey::from_seed(crypto::sha256(base::as_bytes("fuzz operator")));
  const auto text = base::as_text({data, size});

  crypto::Envelope envelope{
      .payload_type = std::string{attestation::kSignedListPayloadType}, .payload = std::string{text}, .signatures = {}};
  envelope.sign(*key);
  const auto made = SignedList::from_envelope(envelope);
  REQUIRE(made.ok() == SignedList::check_document(text).ok());
  if (made.ok()) {
    REQUIRE(made->size() > 0 && made->version() > 0);
    REQUIRE(made->signers({key->public_key()}).size() == 1);
  }

  const auto list = SignedList::parse(text);
  if (!list.ok()) return 0;
  const auto again = SignedList::parse(list->envelope().to_json());
  REQUIRE(again.ok());
  REQUIRE(again->sha256() == list->sha256() && again->name() == list->name() && again->version() == list->version());
  REQUIRE(list->signers({key->public_key()}).empty());
  return 0;
}
