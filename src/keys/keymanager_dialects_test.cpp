#include "keys/keymanager_dialects.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "curves/ethereum_signature.h"
#include "curves/keccak.h"
#include "curves/secp256k1.h"

namespace attestry::keys {
namespace {

using base::as_bytes;
using base::Digest32;
using curves::SignatureLayout;

base::Bytes unhex(std::string_view text) { return base::hex_decode(text).value(); }

template <std::size_t N>
base::FixedBytes<N> fixed(std::string_view text) {
  base::FixedBytes<N> out{};
  EXPECT_TRUE(base::hex_decode_into(text, out).ok()) << text;
  return out;
}

template <std::size_t N>
base::FixedBytes<N> filled(std::uint8_t byte) {
  base::FixedBytes<N> out{};
  out.fill(byte);
  return out;
}

crypto::Secret master() { return crypto::Secret::copy_of(filled<32>(0x46)); }

curves::Secp256k1PrivateKey wallet(base::ByteView scalar) {
  return curves::Secp256k1PrivateKey::from_scalar(scalar).value();
}

curves::Address address_of(const curves::Secp256k1PrivateKey& key) {
  return curves::ethereum_address(key.public_key_raw());
}

std::string signed_vrs(const curves::Secp256k1PrivateKey& key, const Digest32& digest) {
  return base::hex(curves::ethereum_sign(key, digest, SignatureLayout::vrs).value());
}

// The vectors of docs/formats/keymanager.md: master 46 x 32, payer 47 x 32, newcomer 48 x 32, its X25519 key 49 x 32.
constexpr std::string_view kHost = "10-42-0-7.dstack.svc.cluster.local";
constexpr std::string_view kAppData = "000000000000000000000000000000000000000000000000000000000000002a";
constexpr std::string_view kBoxKey = "51c76caf97b8a36e21513eab8b23a1a90126ddf9823deee64c8ffb2954fd4975";
constexpr std::string_view kResponse =
    "07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c5178fe697e64a22ec2647bb854b67efd9f032f0cc5594f2f9e"
    "b11040fd488613b4a1d0966d5b0ec1afefe5ced4b413bf";
constexpr std::string_view kAuditedMrtd =
    "47a1cc074b914df8596bad0ed13d50d561ad1effc7f7cc530ab86da7ea49ffc03e57e7da829f8cba9c629c3970505323";

class KeyManagerDialects : public ::testing::Test {
 protected:
  curves::Secp256k1PrivateKey master_ = wallet(filled<32>(0x46));
  curves::Secp256k1PrivateKey payer_ = wallet(filled<32>(0x47));
  curves::Secp256k1PrivateKey newcomer_ = wallet(filled<32>(0x48));
  /// Wallets of the known contracts' own tests.
  curves::Secp256k1PrivateKey test_master_ = wallet(curves::keccak256(as_bytes("masterkey")));
  curves::Secp256k1PrivateKey test_newcomer_ = wallet(curves::keccak256(as_bytes("ephem")));
  Digest32 cafe_ = fixed<32>("3078636166650000000000000000000000000000000000000000000000000000");  // "0xcafe"
};

TEST_F(KeyManagerDialects, KnownAddresses) {
  EXPECT_EQ(curves::address_checksum_text(address_of(master_)), "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F");
  EXPECT_EQ(curves::address_checksum_text(address_of(payer_)), "0xb595B18c88b1f651cA387489067f855b5C8E6720");
  EXPECT_EQ(curves::address_checksum_text(address_of(newcomer_)), "0x1999BEC693CfC3FFa9727070f9e2B8091EC563Bf");
  EXPECT_EQ(curves::address_checksum_text(address_of(test_master_)), "0x283A0E93Fe2b77E60f278b1CdC0Ad1AA8e0aCdBA");
  EXPECT_EQ(curves::address_checksum_text(address_of(test_newcomer_)), "0x14425d302C5dff5E27C78C7eb6c590f5E71B6930");
}

/// The keys of those wallets as their publishers print them.
TEST_F(KeyManagerDialects, KnownKeysOfTests) {
  EXPECT_EQ(base::hex(curves::keccak256(as_bytes("masterkey"))),
            "86a959116d8c1e34462783937331296e65bec1c97ea6fb33da4adafee72680e5");
  EXPECT_EQ(base::hex(curves::keccak256(as_bytes("ephem"))),
            "19ef73f991f070b8f0dee30ea64b43e7824ce40d1cc4352085e39c378bde6796");
  const auto owner = wallet(curves::keccak256(as_bytes("KeyManager.t.sol")));
  EXPECT_EQ(curves::address_checksum_text(address_of(owner)), "0xb9582A3c6Ad5030714eEaAc7A4df8Ea0371f8648");
}

// The first generation

TEST_F(KeyManagerDialects, V1SealingKeys) {
  EXPECT_EQ(base::hex(keymanager_v1::sealing_key(master(), kHost).value().reveal()),
            "a94880516d274678b076eb72457ec0f0ab87d495261b904ed4ebcc9d3125b382");
  EXPECT_EQ(base::hex(keymanager_v1::sealing_key(master(), "unknown").value().reveal()),
            "424c1c2b72fa3b264c6bfe0e55d62691ee26c847134a855612846c29c67e6949");
}

TEST_F(KeyManagerDialects, V1BootstrapHead) {
  EXPECT_EQ(base::hex(keymanager_v1::bootstrap_head(address_of(master_))),
            "22a8108ea20bd0ca8b8d1d5db40e0e2e8358556f726f43a001d0a57e717b501b");
}

TEST_F(KeyManagerDialects, V1EmittedAttestation) {
  const Digest32 half = keymanager_v1::emitted_app_data(kAppData, kHost).value();
  EXPECT_EQ(base::hex(half), "6b2e8403cd9ae4498d38609cc273c5ba94ec18a3a4ec5190636bcf280d3951eb");
  const Digest32 digest = keymanager_v1::emitted_digest(half);
  EXPECT_EQ(base::hex(digest), "643d391457040c0cfcaafe0cc1c48991a70a814d08981a251e2f7205aec61f14");
  EXPECT_EQ(base::hex(curves::ethereum_sign(master_, digest, SignatureLayout::rsv).value()),
            "2b77174d0f483e1af8678d248c89725cc4b06ad12cda5f2fbf3270069909fd971030d33878cc31de48c25443946d77d450143773"
            "46e9c28850ab979bbc41beec1b");
  EXPECT_EQ(base::hex(keymanager_v1::guest_app_data(kHost, kAppData).value()),
            "bff3f6c8b5f890ad95d194e5503c3acfce2d1ad1e49d914e3f41cdf861fb9330");
}

TEST_F(KeyManagerDialects, V1TheLettersOfAppDataAreHashedAsTheyCame) {
  const std::string upper = "000000000000000000000000000000000000000000000000000000000000002A";
  EXPECT_NE(keymanager_v1::emitted_app_data(upper, kHost).value(),
            keymanager_v1::emitted_app_data(kAppData, kHost).value());
}

TEST_F(KeyManagerDialects, V1AttestationsOfTheContract) {
  const Digest32 digest = keymanager_v1::attest_digest(kHost, fixed<32>(kAppData)).value();
  EXPECT_EQ(base::hex(digest), "8bfdb93a73e70f2bc78bca09566e064716e177e5920ecf9f69ec5aea36f6c331");
  EXPECT_EQ(signed_vrs(master_, digest),
            "1bad1445428eae884b23a7c70cb4449aea49cb754a5c3ac7d44adfa9dd6f9817042a15510f93a87539b030ca81261a127b4b06f0"
            "10cc60151fff98a83418a5e0b9");
  const Digest32 wallets = keymanager_v1::attest_digest("dstack", cafe_).value();
  EXPECT_EQ(base::hex(wallets), "e175c8b6b70be0e9e8e9b18952a00f3add3fe3984ae84f9882d42a2ba70a3a68");
  EXPECT_EQ(signed_vrs(test_master_, wallets),
            "1c383c6908ece59ba9e486c68c0b7b79ecd448f8d150f38d45ceda0a87ee35fc3179cc0759e3552cadbdbf785bb9295263278ee2"
            "96f6146c1a679cf99f98e231a4");
}

TEST_F(KeyManagerDialects, V1OnboardDigest) {
  EXPECT_EQ(base::hex(keymanager_v1::onboard_digest(filled<32>(0x11), unhex("010203"))),
            "00b4b08fe0b1600314b6db5df93b7a1d2604c305635266654002d9df39884145");
}

TEST_F(KeyManagerDialects, V1NamesThatSpeakForTheKeyManagerAreRefused) {
  for (const std::string_view name : {"attest", "dstack-keymanager"}) {
    const auto refused = keymanager_v1::attest_digest(name, fixed<32>(kAppData));
    ASSERT_FALSE(refused.ok()) << name;
    EXPECT_EQ(refused.error().code, base::Code::denied);
  }
  // Why: without the check, these would be the digests that the other generation and onboarding take.
  const Digest32 data = fixed<32>(kAppData);
  base::Bytes ran_together = base::to_bytes("attest");
  base::append(ran_together, data);
  EXPECT_EQ(curves::keccak256(ran_together), keymanager_v2::attest_digest(data));
  EXPECT_TRUE(keymanager_v1::attest_digest("attest.example", data).ok());
}

TEST_F(KeyManagerDialects, V1NamesAreHostNames) {
  const std::string longest(253, 'a');
  EXPECT_TRUE(keymanager_v1::sealing_key(master(), longest).ok());
  for (const std::string& name : {std::string{}, longest + "a", std::string("a b"), std::string("a/b"),
                                  std::string("a\0b", 3), std::string("\xc3\xa4")}) {
    EXPECT_FALSE(keymanager_v1::sealing_key(master(), name).ok()) << name;
    EXPECT_FALSE(keymanager_v1::attest_digest(name, fixed<32>(kAppData)).ok()) << name;
    EXPECT_FALSE(keymanager_v1::emitted_app_data(kAppData, name).ok()) << name;
    EXPECT_FALSE(keymanager_v1::guest_app_data(name, kAppData).ok()) << name;
  }
}

TEST_F(KeyManagerDialects, V1AppDataIs64HexDigits) {
  const std::string good{kAppData};
  for (const std::string& text :
       {std::string{}, good.substr(2), good + "00", "0x" + good.substr(2), good.substr(1) + "g"}) {
    EXPECT_FALSE(keymanager_v1::emitted_app_data(text, kHost).ok()) << text;
    EXPECT_FALSE(keymanager_v1::guest_app_data(kHost, text).ok()) << text;
  }
}

// The second generation

TEST_F(KeyManagerDialects, V2SealingKeys) {
  EXPECT_EQ(base::hex(keymanager_v2::sealing_key(master(), "unstoppable_tls").value().reveal()),
            "6e539f520ee0881ef398a2a52103d863eaeedd5e470ad3d6492ce6d1ba186257");
  EXPECT_EQ(base::hex(keymanager_v2::sealing_key(master(), "mytag").value().reveal()),
            "60996e61e34c73cdcbe63f10d9fbbe0cb7277c8e090dd3a174358a8ea850bd86");
}

TEST_F(KeyManagerDialects, V2Attestations) {
  const Digest32 data = keymanager_v2::app_data("unstoppable_tls", fixed<32>(kAppData));
  EXPECT_EQ(base::hex(data), "d5cbe6033ff715478ef9a8c0ec142950080b0a64adc687086c72433a5e76149a");
  const Digest32 digest = keymanager_v2::attest_digest(data);
  EXPECT_EQ(base::hex(digest), "ad703ea2ae917ba810534508858d66a2562b4da2cc5938a06714c398a1f42ca4");
  EXPECT_EQ(signed_vrs(master_, digest),
            "1cb01492701a3a36a4997c02772cf57e10ed5d3e1bf61351493b8793859dc5135e7adcad5993ae4d05cde18d421863cd9cf8f1b1"
            "86a8db32aa0bcfa940ac26d9b3");
  const Digest32 wallets = keymanager_v2::attest_digest(cafe_);
  EXPECT_EQ(base::hex(wallets), "2a98da1b5e97e42c6113cbc884646674d006eadd1aec3daaad9ed5e3784bf753");
  EXPECT_EQ(signed_vrs(test_master_, wallets),
            "1cc37203d0b021c3427ad999d0f3f52f4ea6d6ca7a5318b4b0fb680bb3bf6df4521b9b98c419c176f295a719ca5e6ac8ca53cede"
            "47b8c3128e513d7311061d7314");
}

TEST_F(KeyManagerDialects, V2Registration) {
  const Digest32 digest = keymanager_v2::register_digest(address_of(payer_));
  EXPECT_EQ(base::hex(digest), "708cfc18d6833efa1d30e844b83695cb894fa3488645c42a87e64b8bf2992d27");
  EXPECT_EQ(signed_vrs(newcomer_, digest),
            "1bf5152409c69158ff821d7f9017d4561b310ada055d8dfbdac8521c6b433541fb02a2dfdf79141ef5eb1cc62dce99f236e5582a"
            "37c0c643f3151e58df092a1517");
  const auto foundry = curves::parse_address("0x7FA9385bE102ac3EAc297483Dd6233D62b3e1496").value();
  EXPECT_EQ(base::hex(keymanager_v2::register_digest(foundry)),
            "5fe9ce1adfde1233a07b5fb9c9597cbafdfe67bcaaaf3300edeb53772a2af29c");
}

TEST_F(KeyManagerDialects, V2ReportDataHeads) {
  EXPECT_EQ(base::hex(keymanager_v2::register_head(fixed<32>(kBoxKey), address_of(newcomer_))),
            "a745fb21681f55f6d923943c20adcedf5fc4711d3fa867198d75d2a1cad5d15b");
  EXPECT_EQ(base::hex(keymanager_v2::bootstrap_head(address_of(master_))),
            "3843d05f398fc97089a6069e72eac664ac0998a256cbe1edbdbca67321fe255b");
}

TEST_F(KeyManagerDialects, V2Onboarding) {
  const Digest32 measurement = keymanager_v2::measurement(fixed<48>(kAuditedMrtd));
  EXPECT_EQ(base::hex(measurement), "3727cf9f3eb168fed51b6c08b9ae195235bb922d3c9d7345c8f6cb616a32dd79");
  const auto fmspc = keymanager_v2::fmspc_word(fixed<6>("00806f050000"));
  EXPECT_EQ(base::hex(fmspc), "00806f05000000000000000000000000");
  const Digest32 digest = keymanager_v2::onboard_digest(address_of(newcomer_), fmspc, measurement, unhex(kResponse));
  EXPECT_EQ(base::hex(digest), "26842a9a9aad8b7516bdc4f65db5d3e3db3777bd8255a7a4bd74d64799bea3f6");
  EXPECT_EQ(signed_vrs(master_, digest),
            "1ba408ba6c4b25271562c4afaeb525db74e5f14f3c26b606b13c83607d7df975ff31c78dca9706e0007e3880ac2a0092231443e4"
            "807de60668b570e1af2cd065d6");
  const Digest32 wallets =
      keymanager_v2::onboard_digest(address_of(test_newcomer_), fixed<16>("31000000000000000000000000000000"),
                                    fixed<32>("3233343234000000000000000000000000000000000000000000000000000000"), {});
  EXPECT_EQ(base::hex(wallets), "dbb3ea695c8ce649a33a9af10e0488fbda65fd06c14d3a202412d1d2154d7d93");
  EXPECT_EQ(signed_vrs(test_master_, wallets),
            "1bfb37e11ad6056f2715b1b91d9f8374a6373b0a2b397e49b3cddbfc51402c0d151308a6b082126f8e74934d275dd5594d7330ac"
            "708811ade54fad308648d87d32");
}

// What is wrong with the dialect, so that nobody takes it for an oversight here.
TEST_F(KeyManagerDialects, V2TagsAndDataRunTogether) {
  EXPECT_EQ(keymanager_v2::app_data("ab", as_bytes("c")), keymanager_v2::app_data("a", as_bytes("bc")));
}

TEST_F(KeyManagerDialects, AMasterHas32Bytes) {
  for (const std::size_t size : {0u, 31u, 33u}) {
    const auto other = crypto::Secret::copy_of(base::Bytes(size, 1));
    EXPECT_FALSE(keymanager_v1::sealing_key(other, kHost).ok()) << size;
    EXPECT_FALSE(keymanager_v2::sealing_key(other, "tag").ok()) << size;
  }
}

// Replicatoor

TEST_F(KeyManagerDialects, ReplicatoorReportData) {
  const Digest32 head = replicatoor::request_head(fixed<32>(kBoxKey));
  EXPECT_EQ(base::hex(head), "e5d4cf73ddb1f2eb46d662df9429ad145f88b90e11114c02d97b261a8834dc17");
  EXPECT_EQ(base::hex(replicatoor::quoted_report_data(head)),
            "418fdee35545d15e270c19925c84654c639b263ef9bae728c265864a60eab0512d64754634b172f8fa37bdf7cde18cdbfad43710"
            "58a41336f329df5d55026a31");
}

TEST_F(KeyManagerDialects, ReplicatoorRegisterAndList) {
  const std::vector<std::pair<std::string_view, std::string_view>> steps = {
      {"bf06bf167df2d81dd54095e8a540e802dc634a31a96e1a448a20201a63d0bd21",
       "3615644a3b75e18b01521b36fe41affdacdc4f98636a71f61a87a538a99a251683aeeb7151d289d4bf27ac92a2c56a27"},
      {"3327603e03f5bd1f830812ca4a789277fc31f577573ed149f47e0e2f3558e99e",
       "3998c34db78cd28ae27aae747f9a059adb494f7f2ce286e9999d0371361c195083686297e27695ff42a0c846d9fe4d6d"},
      {"663a81d65c1c749fd4ae4634fa0452553396eb9e956c90b903d47d45ae10d719",
       "3c30787034cd9aabff0347bc8f08b9f24a0f6ae914bbca0f9aba681e857aa57a7a7cc5b0b67231779cdc345f107707c5"},
  };
  base::FixedBytes<48> rtmr3{};
  for (const auto& [item, expected] : steps) {
    rtmr3 = replicatoor::extend(rtmr3, unhex(item)).value();
    EXPECT_EQ(base::hex(rtmr3), expected);
  }
  const Digest32 key = replicatoor::machine_key(
      fixed<32>(steps[0].first),
      fixed<48>("7ba9e262ce6979087e34632603f354dd8f8a870f5947d116af8114db6c9d0d74c48bec4280e5b4f4a37025a10905bb29"),
      fixed<48>("698a1e5764ff07840695fb46c809949cca352e6c9d26fc37dce872402adc071b3b069b0b217c1dcda68cf914253b6842"),
      rtmr3);
  EXPECT_EQ(base::hex(key), "5f8d66650cefa750bfd3b101655f55b9e443b91750d668b3f829c5a4b1f276bf");
  EXPECT_TRUE(replicatoor::extend(rtmr3, base::Bytes(48, 1)).ok());
  EXPECT_FALSE(replicatoor::extend(rtmr3, base::Bytes(49, 1)).ok());
}

// Report data

TEST_F(KeyManagerDialects, ReportDataIsPaddedOrDoubled) {
  const Digest32 head = filled<32>(0x5a);
  const auto padded = report_data(head, ReportDataForm::padded);
  const auto doubled = report_data(head, ReportDataForm::doubled);
  EXPECT_EQ(base::hex(padded), base::hex(head) + std::string(64, '0'));
  EXPECT_EQ(base::hex(doubled), base::hex(head) + base::hex(head));
  EXPECT_EQ(report_data_form(padded, head), ReportDataForm::padded);
  EXPECT_EQ(report_data_form(doubled, head), ReportDataForm::doubled);
}

// The known verifiers compare only the first half.
TEST_F(KeyManagerDialects, OtherReportDataWithTheRightBeginningIsRefused) {
  const Digest32 head = filled<32>(0x5a);
  for (std::size_t at = 0; at < 64; ++at) {
    auto found = report_data(head, ReportDataForm::padded);
    found[at] ^= 1;
    EXPECT_EQ(report_data_form(found, head), std::nullopt) << at;
    found = report_data(head, ReportDataForm::doubled);
    found[at] ^= 1;
    EXPECT_EQ(report_data_form(found, head), std::nullopt) << at;
  }
  EXPECT_EQ(report_data_form(head, head), std::nullopt);
  EXPECT_EQ(report_data_form({}, head), std::nullopt);
}

}  // namespace
}  // namespace attestry::keys
