// A receipt and a leaf that are accepted have one spelling only, and a receipt verifies only with its own leaf at its
// index.
#include "audit/receipt.h"
#include "crypto/hash.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  static const auto key = crypto::Ed25519PrivateKey::from_seed(crypto::sha256(base::as_bytes("fuzz log")));
  static const audit::LogTrust trust{"log.example/fuzz",
                                     {{"log.example/fuzz", audit::NoteKeyType::ed25519, key->public_key()}}};
  const auto text = base::as_text({data, size});
  const auto leaf = audit::Leaf::parse(text);
  if (leaf) REQUIRE(leaf->encode().value() == text);

  const auto receipt = audit::Receipt::parse(text);
  const auto verified = audit::verify_receipt(text, trust);
  if (!receipt) {
    REQUIRE(!verified.ok());
    return 0;
  }
  REQUIRE(receipt->encode() == text);
  if (verified) {
    REQUIRE(verified->leaf.encode().value() == receipt->leaf);
    REQUIRE(verified->index < verified->head.size);
    auto moved = *receipt;
    moved.index ^= 1;
    REQUIRE(!audit::verify_receipt(moved.encode(), trust).ok());
  }
  // With a root that fits, any proof of the right shape is accepted at one place only.
  const auto hash = audit::leaf_hash(base::as_bytes(receipt->leaf));
  const audit::TreeHead head{receipt->index + 1, hash};
  REQUIRE(audit::verify_inclusion(hash, receipt->index, head, receipt->proof) ==
          (receipt->index == 0 && receipt->proof.empty()));
  return 0;
}
