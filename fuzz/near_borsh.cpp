// NEAR transactions that are accepted have one spelling, with and without their signature.
#include "base/base58.h"
#include "chain/near_transaction.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  namespace near = chain::near;
  const base::ByteView bytes{data, size};

  const auto plain = near::decode_transaction(bytes);
  if (plain) {
    const auto again = near::encode(*plain);
    REQUIRE(again.has_value() && base::equal(*again, bytes));
  }
  const auto with_signature = near::decode_signed_transaction(bytes);
  if (with_signature) {
    const auto& signature = with_signature->signature;
    auto again = near::encode(with_signature->transaction);
    REQUIRE(again.has_value());
    again->push_back(signature.kind() == near::KeyKind::ed25519 ? 0 : 1);
    base::append(*again, signature.bytes());
    REQUIRE(base::equal(*again, bytes));
    REQUIRE(!plain.has_value());
  }

  const auto text = base::as_text(bytes.first(std::min<std::size_t>(size, 200)));
  const auto decoded = base::base58_decode(text, 160);
  if (decoded) REQUIRE(base::base58(*decoded) == text);
  const auto key = near::PublicKey::parse(text);
  if (key) REQUIRE(key->text() == text);
  const auto amount = near::U128::parse(text);
  if (amount) REQUIRE(amount->text() == text);
  const auto account = near::AccountId::parse(text);
  if (account) REQUIRE(account->text() == text);
  return 0;
}
