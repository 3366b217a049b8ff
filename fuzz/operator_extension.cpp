// An operator's signature counts for the key and the statement that it was made over, and no other text of it passes.
// The first byte chooses: 'S' makes a statement of the rest and signs it; anything else reads the rest as the
// extension.
#include <algorithm>

#include "provision/registry_operator.h"
#include "require.h"

using namespace attestry;
using provision::OperatorRules;
using provision::OperatorStatement;

namespace {

constexpr base::UtcTime kNow{1'800'000'000};
const base::Bytes kSpki(91, 7);

base::Result<provision::Operator> recover(base::Bytes value, const OperatorRules& rules) {
  crypto::CsrFull csr{.spki = kSpki, .subject_der = {}, .common_name = {}, .dns = {}, .ips = {}, .extensions = {}};
  csr.extensions.emplace_back(std::string{provision::kOperatorSignatureOid}, std::move(value));
  return provision::recover_operator(csr, rules);
}

OperatorRules rules() { return {.v1 = true, .chain_id = 1, .contract = {}, .now = kNow}; }

void reads(base::ByteView value) {
  const auto who = recover(base::to_bytes(value), rules());
  if (!who) return;
  REQUIRE(who->version == (value.size() == 65 ? 1 : 2));
  base::Bytes longer = base::to_bytes(value);
  longer.push_back(0);
  REQUIRE(!recover(std::move(longer), rules()).ok());
  REQUIRE(!recover(base::to_bytes(value.first(value.size() - 1)), rules()).ok());
  // The other of the two signatures that ECDSA would take, and Ethereum's own numbers of v.
  base::Bytes other = base::to_bytes(value);
  other.back() = static_cast<std::uint8_t>(other.back() + 27);
  REQUIRE(!recover(std::move(other), rules()).ok());
  auto strict = rules();
  strict.v1 = false;
  REQUIRE(recover(base::to_bytes(value), strict).ok() == (who->version == 2));
}

void signs(base::ByteView rest) {
  static const curves::Secp256k1PrivateKey key = *curves::Secp256k1PrivateKey::from_scalar(base::Bytes(32, 1));
  static const curves::Address signer = curves::ethereum_address(key.public_key_raw());
  if (rest.empty()) return;
  OperatorStatement said{.chain_id = 1, .contract = {}, .use = "instance", .not_before = kNow, .not_after = kNow + 60};
  said.use = base::as_text(rest.subspan(1));
  said.not_before = kNow + (rest[0] % 16 - 8) * 60;
  said.not_after = said.not_before + (rest[0] / 16 + 1) * 60;
  const auto value = provision::sign_operator_v2(key, kSpki, said);
  REQUIRE(value.ok() == (said.use.size() <= 64));
  if (!value) return;
  const auto who = recover(*value, rules());
  const bool now = kNow + 120 >= said.not_before && kNow < said.not_after;
  REQUIRE(who.ok() == (said.use == "instance" && now));
  REQUIRE(!who || (who->address == signer && who->version == 2));
  // Whatever is changed names somebody else, or nobody.
  base::Bytes changed = *value;
  changed[rest[0] % changed.size()] ^= static_cast<std::uint8_t>(1U << (rest.size() % 8));
  const auto instead = recover(std::move(changed), rules());
  REQUIRE(!instead || instead->address != signer);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const base::ByteView rest(data + 1, size - 1);
  if (data[0] == 'S') {
    signs(rest);
  } else {
    reads(rest);
  }
  return 0;
}
