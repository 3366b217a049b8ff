#include "secrets/keystore_derivation.h"

#include <gtest/gtest.h>

#include <string>

#include "base/base58.h"
#include "base/encoding.h"
#include "curves/ethereum_signature.h"

namespace attestry::secrets::keystore {
namespace {

using crypto::Secret;

Secret fixture() { return Secret::copy_of(base::as_bytes("M-1 regression fixture .........")); }
Secret second() {
  return Secret::copy_of(*base::hex_decode("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"));
}
std::string ab() {
  std::string out;
  for (int i = 0; i < 32; ++i) out += "ab";
  return out;
}
std::string cd() {
  std::string out;
  for (int i = 0; i < 32; ++i) out += "cd";
  return out;
}

TEST(KeystoreDerivation, KeysOfSeedsAsOthersDeriveThem) {
  struct Row {
    base::Result<Seed> seed;
    std::string scalar, x25519, ed25519;
  };
  const Row rows[] = {
      {Seed::repo("github.com/alice/project", "alice.near"),
       "3ebd9d2242a046353af04bd2a72394180f4839c8b1a46826a61fe4dac5062ec3",
       "3ecefb99c39f7f9820cb0740e0f6fd77d5ed50db0669dba9116fb95902b8ac46",
       "9980cac6b7ea65a1cb9165e225ceb76b34dc0e9c282b9a3e34341ac7b7c5bada"},
      {Seed::repo("https://github.com/alice/project.git", "alice.near", "main"),
       "15d491ad449396c7f7071a0c0b1bbb647dcb63eac7684ba65e453dae1117bb80",
       "663837a4d23f3e34f45a435d13b239302378db37223747d196e94b20328b6153",
       "a8666927bf5e6a856c5ffdf4eb2296fa690a5cf5cfde13f6f6ffd9d4488052d2"},
      {Seed::wasm_hash(ab(), "alice.near"), "7774ef63a219d408307aa9a0ac4ee2fcee4cfabfedf1a0a46498ba1261375205",
       "ea61fbfffc9cb3a45ad5efff0ff228c950d093ca20d1cc0d8533db130aae7d0b",
       "d110b37b0532ec7745965b2ed9e402013cb4c807e506633546086e97e160618c"},
      {Seed::project("alice.near/app", "alice.near"),
       "a74ded33f038d84a436eda4328c50eacbcfb2b939ae199cad8105b969702ec88",
       "bcbe875079d1646cba48194dc532a5ffcc3b2332cb624001a79486bdb1ecb17a",
       "54ce9a4654011400f0eb1da9ae9521352737ab661c5e923867cc2881dd05bd76"},
      {Seed::payment_key("alice.near", "1"), "ab6b92d74a78a5d41e77c8cdd5354523db73a3f6b7547166dbcecc3435ce24c5",
       "a6bba8114439b58f484c22cf7e02feee7533a81375b389a0b35629a694e2254c",
       "476434be285fa2b1ab9c478386028be870f202fbaf46466cdcb6d9b88c71b280"},
      {Seed::storage(std::nullopt, cd(), "alice.near"),
       "84724f856ab7ee8ec6a0857c3797ff33a5ac4e73ecbb813da1f2df7d31499eba",
       "5120320450a13dc9ff77366dd6ef995facf4784f5cd9a2ea57f600ccf0967455",
       "40955e4daeb3f9f1a53b260174918146cb381a4ef03151a5fca8553baf07503b"},
      {Seed::vrf(), "3132f8517669a8848a570726e28281758f0539f9e72849a172b82041dc0676b7",
       "0fca47aaf179e7c2cad8878b78cfba11c91f12e96da872ae55750ba8f5635b22",
       "2af7d0053484472c0323cacc30cf5d430d2e1ac700683c88515a625efe717637"}};
  for (const Row& row : rows) {
    ASSERT_TRUE(row.seed.ok()) << row.seed.error().text();
    const SealingKey key = ecies_key(fixture(), *row.seed);
    EXPECT_EQ(base::hex(key.scalar.reveal()), row.scalar) << row.seed->text();
    EXPECT_EQ(base::hex(key.public_key), row.x25519) << row.seed->text();
    EXPECT_EQ(base::hex(ed25519_key(fixture(), *row.seed).public_key()), row.ed25519) << row.seed->text();
  }
}

TEST(KeystoreDerivation, KeysOfWallets) {
  const auto near = ed25519_key(fixture(), *Seed::wallet("fixed", "near"));
  EXPECT_EQ(base::hex(near.seed().reveal()), "cba3179dcc6dd460f87b29cea33b2fa4fe303c5ae84f2a2e5e81ef7d5a15bb91");
  EXPECT_EQ(base::hex(near.public_key()), "124d4dc445d7e1699bc95e94461540a21e605acf993b04e86da59cb046059f13");
  EXPECT_EQ(base::hex(near.sign(base::as_bytes("hello"))),
            "5700234607dca92f05ce9de10fe0ae8be294021cbf0f491e7424acc84951da98"
            "138db6297a7e9954ce620302b165c48e67c18317645d4f19ff7efdd8b124e90a");
  // The fixture's seed is `eth`, which a wallet of today would write `evm`.
  const auto eth = secp256k1_key(fixture(), *Seed::from_text("wallet:fixed:eth"));
  ASSERT_TRUE(eth.ok());
  EXPECT_EQ(base::hex(eth->scalar().reveal()), "d65fdc8da20ae14b48edd397263af0aa50169400889f8f74dfe146fe85ae92e7");
  EXPECT_EQ(base::hex(eth->public_key_compressed()),
            "03ffd4869b507336699943453906991fe29fac4764f5a77410cbffea9496a6b420");

  const auto solana = ed25519_key(second(), *Seed::wallet("test-wallet-1", "solana"));
  EXPECT_EQ(base::hex(solana.seed().reveal()), "772f42ea93d47aafab5442a0def4f89fb5b82341a4c94ad5957b67e7582bba10");
  EXPECT_EQ(base::hex(solana.public_key()), "d90a9d612724d2d3d300cd981f525f49c76a5cd7dd9c96d149bae1806607db43");
  EXPECT_EQ(base::base58(solana.public_key()), "FcErmsHqwNYsA3d1YkU5js9YuV1GUrkiHrteibncyg8a");
  EXPECT_EQ(base::base58(solana.sign(*base::base64_decode("QPJNzwbzJNBNn9bvrOfR6iWlC2dQJ/x8e4rsZBkYJ8c="))),
            "58Yit74SVnrX1b2qe2wCW151vDc4s31Bo4Cxqvqi3DxTdXB7JTk2AjX3fqb9huFsNuCuuoCZF9XuVRp5axyxmWwp");

  const auto evm = secp256k1_key(second(), *Seed::wallet("test-wallet-1", "polygon"));
  ASSERT_TRUE(evm.ok());
  EXPECT_EQ(base::hex(evm->scalar().reveal()), "5f05c90d6d4910c5fa09f3a2bcb8b4c5e965769ac708a306391dd4343bcb5227");
  EXPECT_EQ(base::hex(evm->public_key_compressed()),
            "038ac65a280d33f83ca7b0065ffc1a403e7a9da36f332c3c596ce80f9b753ebc2f");
  EXPECT_EQ(curves::address_checksum_text(curves::ethereum_address(evm->public_key_raw())),
            "0xF57953073d42d30dfBbb64C1673FEaf2c3176C38");
  base::Digest32 mail{};
  ASSERT_TRUE(base::hex_decode_into("be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2", mail));
  EXPECT_EQ(base::hex(*curves::ethereum_sign(*evm, mail, curves::SignatureLayout::rsv)),
            "311ec12ad582d109d6af69f0da7f76687b02e2ec5b103905ca614afc95881b91"
            "3900497b6e0128758b11614051ed8b87fa8e2f0d15ea81b4e90a0108b939ee431c");
}

TEST(KeystoreDerivation, SecretPathAndDocumentedLabel) {
  EXPECT_EQ(base::as_text(secret_path(fixture(), *Seed::vault_master("acme.near")).reveal()),
            "1af4a64e1daecdc51a21e084171fccb1aa45be06f01ecb61f2549372cc8badc3");
  // The label that the first documents name was never used; the bare seed is.
  EXPECT_EQ(base::hex(derive(fixture(), "keystore-ckd:github.com/alice/project:alice.near").reveal()),
            "70efd31b74c563184f747d490418d097911095bacfd45c3ded7fe2afc6078107");
  EXPECT_EQ(base::hex(derive(fixture(), Seed::repo("github.com/alice/project", "alice.near")->text()).reveal()),
            "b565cbc3a00da346ab72365a7c7bfd7a6efb685c47c5507308550ea9289bb078");
}

TEST(KeystoreDerivation, Vrf) {
  const auto proof = vrf_prove(fixture(), "vrf:12345:alice.near:coin-flip");
  ASSERT_TRUE(proof.ok());
  EXPECT_EQ(base::hex(proof->signature),
            "1270cb7dcb4569406a7badd833c4b30ad33b2ae6931723755262fa09533f18f3"
            "9568201c8431199cdc78b5a0dbfb20d93a24d91ee25caf14d496a6330b5e8801");
  EXPECT_EQ(base::hex(proof->output), "ebd38d661e381babe71330cb8310b8f1046f6969ed8c0cde6be29998b4fd8cc9");
  const auto key = ed25519_key(fixture(), Seed::vrf()).public_key();
  EXPECT_TRUE(vrf_verify(key, "vrf:12345:alice.near:coin-flip", *proof));
  EXPECT_FALSE(vrf_verify(key, "vrf:12345:alice.near:coin-flop", *proof));
  VrfProof other = *proof;
  other.output[0] ^= 1;
  EXPECT_FALSE(vrf_verify(key, "vrf:12345:alice.near:coin-flip", other));
  const auto empty = vrf_prove(fixture(), "");
  ASSERT_FALSE(empty.ok());
  EXPECT_EQ(empty.error().what, "alpha must not be empty");
}

TEST(KeystoreDerivation, OurKeysAreNoneOfTheirs) {
  const auto seed = Seed::project("alice.near/app", "alice.near");
  EXPECT_NE(base::hex(sealing_key_v3(fixture(), *seed).public_key), base::hex(ecies_key(fixture(), *seed).public_key));
  // Owner and repository that swap a component have one text and two keys.
  const SeedRules colons{.colons = true};
  const auto a = Seed::repo("host:8443/x", "alice.near", "main", colons);
  const auto b = Seed::from_text("host:8443/x:alice.near:main");
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->text(), b->text());
  EXPECT_NE(base::hex(sealing_key_v3(fixture(), *a).public_key), base::hex(sealing_key_v3(fixture(), *b).public_key));
}

TEST(KeystoreKeyCache, RemembersByScopeSeedAndFormatAndIsBounded) {
  SealingKeyCache cache{4};
  const auto seed = Seed::project("alice.near/app", "alice.near");
  const auto first = cache.get("default/1", fixture(), *seed);
  EXPECT_EQ(cache.get("default/1", fixture(), *seed), first);
  EXPECT_EQ(base::hex(first->public_key), base::hex(ecies_key(fixture(), *seed).public_key));
  const auto other = cache.get("default/2", second(), *seed);
  EXPECT_EQ(base::hex(other->public_key), base::hex(ecies_key(second(), *seed).public_key));
  const auto v3 = cache.get("default/1", fixture(), *seed, SealingKeyCache::Format::v3);
  EXPECT_EQ(base::hex(v3->public_key), base::hex(sealing_key_v3(fixture(), *seed).public_key));
  for (int i = 0; i < 40; ++i) {
    (void)cache.get("default/1", fixture(), *Seed::project("p" + std::to_string(i), "alice.near"));
    EXPECT_LE(cache.size(), 8u);
  }
  EXPECT_EQ(cache.get("default/1", fixture(), *seed)->public_key, first->public_key);
  cache.clear();
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_NE(cache.get("default/1", fixture(), *seed), first);
}

}  // namespace
}  // namespace attestry::secrets::keystore
