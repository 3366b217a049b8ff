// A signed note that is accepted has one spelling only, and so has the checkpoint in it; only a trusted key's verifies.
#include "audit/checkpoint.h"
#include "crypto/hash.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  static const auto key = crypto::Ed25519PrivateKey::from_seed(crypto::sha256(base::as_bytes("fuzz log")));
  static const audit::LogTrust trust{"log.example/fuzz",
                                     {{"log.example/fuzz", audit::NoteKeyType::ed25519, key->public_key()}}};
  const auto text = base::as_text({data, size});
  const auto note = audit::parse_note(text);
  const auto verified = audit::verify_checkpoint(text, trust);
  if (!note) {
    REQUIRE(!verified.ok());
    return 0;
  }
  REQUIRE(note->encode() == text);
  REQUIRE(!note->signatures.empty());
  const auto checkpoint = audit::Checkpoint::parse(note->text);
  if (checkpoint) REQUIRE(checkpoint->text() == note->text);
  if (verified) {
    REQUIRE(checkpoint.ok() && verified->checkpoint == *checkpoint && checkpoint->origin == trust.origin);
    REQUIRE(audit::check_signature(*note, trust.log_keys[0]) == audit::NoteCheck::good);
    REQUIRE(!verified->witnessed);
  }
  // A verifier key that is accepted is written the same way again.
  const auto vkey = audit::NoteKey::parse(text);
  if (vkey) REQUIRE(vkey->vkey() == text);
  return 0;
}
