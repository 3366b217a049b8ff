// Requests as a registry reads them. The requests in hex were made with OpenSSL's command line.
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/internal/testing.h"
#include "crypto/x509.h"

namespace attestry::crypto {
namespace {

using internal::test_key;

constexpr std::string_view kP521Sha512 =
    "308201a03082010202010030213110300e060355040a0c074578616d706c65310d300b06035504030c047065657230819b301006072a"
    "8648ce3d020106052b810400230381860004010af4ded16a5944945df9e37c52291912e5735dff01adaed5a29db885fdd1143d1ecdae"
    "512857e519b6d8c47ad3b74c5b44c2d016cbd3f0508b88917efffa7b50f6013fa1f339c5f59efb91beb2162bcaf0bffccbec8165dcc9"
    "ff3477b720fe94bba773231996d2d4859db6239f0e97bc4f801715c79755ab4674db574a8f674acce5bfa03c303a06092a864886f70d"
    "01090e312d302b30290603551d11042230208209612e6578616d706c658704c0000201810d78406578616d706c652e636f6d300a0608"
    "2a8648ce3d04030403818b003081870242008887cf444c70f2b27039d77df7deadf4ab1f2e1ab754180cf1a077800b63e0df6e6c347b"
    "5f0501b84eda7fe2dbbf4fcbce83fd979791c7f28df8b4b45487021f22024175f44a46d91530be15f92f24c8002f9fcccac9027e348b"
    "958ce615cdec9da1f885f1606df0fc05eddd1ab967c7a71ee35ac88c19b8de5cd84ba1f5600dd0cd7737";
constexpr std::string_view kP224 =
    "308201063081b402010030213110300e060355040a0c074578616d706c65310d300b06035504030c0470656572304e301006072a8648"
    "ce3d020106052b81040021033a0004fa94f5dbdf43422638e94c2e43a96c2f6820201ca902d0aaa4463a2403f7f169c2ed38909f9a7b"
    "aff0461a53d5442cc42606a37fb3ad0419a03c303a06092a864886f70d01090e312d302b30290603551d11042230208209612e657861"
    "6d706c658704c0000201810d78406578616d706c652e636f6d300a06082a8648ce3d040302034100303e021d00dd8fde5db87d96dc8f"
    "f6eaae655d1f8df100683e386eaf3bd688e109021d00c5cc8e1c92dfc79c82fe7dec68dbd18299ac0af7ed265e91b501c6eb";
constexpr std::string_view kP256Sha384 =
    "308201193081bf02010030213110300e060355040a0c074578616d706c65310d300b06035504030c04706565723059301306072a8648"
    "ce3d020106082a8648ce3d03010703420004efbfc6a0c1cc3973f7d4ebbd038bdbe09ce864f37e44d06a0e24fcbd82967837be444d4a"
    "863b14f46748b5ba970c9c6d95c888bfca9dfac5daa97e9eb264b4e5a03c303a06092a864886f70d01090e312d302b30290603551d11"
    "042230208209612e6578616d706c658704c0000201810d78406578616d706c652e636f6d300a06082a8648ce3d040303034900304602"
    "210085721e09418ed5a144c801c3504a230f391c9b4fc6c60734e6b1fe0cd734618a022100a528ea8f9b46be946bb9eaa52c9e3012a9"
    "6d9148ef11e8c0622911b0ecf480c9";
constexpr std::string_view kRsaPss =
    "308202d63082018a02010030213110300e060355040a0c074578616d706c65310d300b06035504030c047065657230820122300d0609"
    "2a864886f70d01010105000382010f003082010a02820101009bb38b0d0bc74c6c4761402bdbe1b15a708d638eaead97a29e58892d01"
    "3102797166e01807a765c24134aac41ab0b326074abd7fdb831121f6c28a50d458c54764c7b55cc63fe2c676db47b7ff27f3175d3185"
    "32c3dc9f647afd0948e0d560ff4b645a07d9453ee68373026a752dc7b7146b4f2aa2adbeb1e092e4b786c51322eba346622a5b152b39"
    "676f8f75db3a7d6b44c8cd008a815f4169770a856a824291fed6c241b896b3781266951cda8860d52feabbe2e0b297edea4a717e3bea"
    "325a3c257b72cafc20986853eed62fda1002f757c30464fb44ced33678e980be8139a7311cc4c6b1ad0f6ae6d87959c7ba3f3f06285c"
    "64d4a88a74def6ae08d2c10203010001a03c303a06092a864886f70d01090e312d302b30290603551d11042230208209612e6578616d"
    "706c658704c0000201810d78406578616d706c652e636f6d304106092a864886f70d01010a3034a00f300d0609608648016503040201"
    "0500a11c301a06092a864886f70d010108300d06096086480165030402010500a20302012003820101007af8dc2b8a3099ad7ad65e1f"
    "effb1701e6184927e099ad2cbeeed3dfed89c2727cc677bc12c856bf963ab9541f39a023d70e4ccf7ff4d8aeaae38fb242e4dec92934"
    "e76cf1b619ef7f010dc69f56b187c08456d76feaa4df28cb620fecf20ccc4530b0ec387af25d85d70061cd36b2faa04d549a08ef478a"
    "cfd77bd5bf28e9d9d01bee36153201c331c785b16cfd8b2e7cd3a25ff94b7a2a517d05c4e7f24c2a2ae69761cc597a6a184e1c3a4d7f"
    "60c8e0b996af9f78c22bfeed76fdab2a47649e5daa7fe08cbe5150431c09886deda87058745a6fbd8f12df925d6691c6d589ee024ca7"
    "d7204ed45faa773b24a02d80f60be43a69c730f0dd5a26fe37aa76b6";
constexpr std::string_view kRsaSha512 =
    "308202a23082018a02010030213110300e060355040a0c074578616d706c65310d300b06035504030c047065657230820122300d0609"
    "2a864886f70d01010105000382010f003082010a02820101009bb38b0d0bc74c6c4761402bdbe1b15a708d638eaead97a29e58892d01"
    "3102797166e01807a765c24134aac41ab0b326074abd7fdb831121f6c28a50d458c54764c7b55cc63fe2c676db47b7ff27f3175d3185"
    "32c3dc9f647afd0948e0d560ff4b645a07d9453ee68373026a752dc7b7146b4f2aa2adbeb1e092e4b786c51322eba346622a5b152b39"
    "676f8f75db3a7d6b44c8cd008a815f4169770a856a824291fed6c241b896b3781266951cda8860d52feabbe2e0b297edea4a717e3bea"
    "325a3c257b72cafc20986853eed62fda1002f757c30464fb44ced33678e980be8139a7311cc4c6b1ad0f6ae6d87959c7ba3f3f06285c"
    "64d4a88a74def6ae08d2c10203010001a03c303a06092a864886f70d01090e312d302b30290603551d11042230208209612e6578616d"
    "706c658704c0000201810d78406578616d706c652e636f6d300d06092a864886f70d01010d0500038201010051eeaff40ad471aaf9ea"
    "bb6fbdda92592609cb1cf12132084eebe9bc5e5292a3a629e8c0dc45826fbc085ab90148859b05784552f7d705c468d7b53420695602"
    "e9827fcc8f28c1e78ef1a52393084653258519a8c02baa74ffaf435a5fb9d709e42f758b7b5ce584690609fdf4d931d018eb8a5be1d5"
    "7b5cdf10b514e1dd828c682fbd974a58aff2c9def463f42fe31b49da3caca9d81342842e95882962c69a2e480553f671dff3ddd8a1db"
    "4cb2280991a6914ff2429af560940e195cf3e287a7a254fc239bea4e19bae02b89f28f9e4b9b5afa27ef6d6bc2dceaac1de5a08b6aa3"
    "836b25220e9089b966110c360d8c0063fd28d1552003ea3de5ebe671caec";
constexpr std::string_view kSecp256k1 =
    "308201163081bc02010030213110300e060355040a0c074578616d706c65310d300b06035504030c04706565723056301006072a8648"
    "ce3d020106052b8104000a03420004aab577ffd3753cd6dcea6d1af9f46ddb713e0cea26333a4eda1731800d65e6f8d8a5bd9386053e"
    "86257a6da132bb5a365fc7fbcb950352fc4f8d559fdc4076c8a03c303a06092a864886f70d01090e312d302b30290603551d11042230"
    "208209612e6578616d706c658704c0000201810d78406578616d706c652e636f6d300a06082a8648ce3d040302034900304602210093"
    "17f5ad720b7a0d96b0d71d1831dc26af50744c4bc81ff0b7c40662a4db38a2022100c8250568e4f763c7cedc7ca8cce06dcaa164795d"
    "edf862f969fd8a591312ec21";
constexpr std::string_view kSha1 =
    "308201173081bf02010030213110300e060355040a0c074578616d706c65310d300b06035504030c04706565723059301306072a8648"
    "ce3d020106082a8648ce3d03010703420004efbfc6a0c1cc3973f7d4ebbd038bdbe09ce864f37e44d06a0e24fcbd82967837be444d4a"
    "863b14f46748b5ba970c9c6d95c888bfca9dfac5daa97e9eb264b4e5a03c303a06092a864886f70d01090e312d302b30290603551d11"
    "042230208209612e6578616d706c658704c0000201810d78406578616d706c652e636f6d300906072a8648ce3d040103480030450220"
    "604a945448897489ec4ce4732af89322647336f1db14d07d7ebe9723038321ea022100929277e48c30a6b00cc2ec898efe8b76e0e1ab"
    "62cb20d62b98558112e4114f83";
constexpr std::string_view kRsa1024 =
    "3082019d3082010602010030213110300e060355040a0c074578616d706c65310d300b06035504030c047065657230819f300d06092a"
    "864886f70d010101050003818d0030818902818100c399575aad06c96fe216d20976dbc93f4db786368cdd510c01ae9355206025e2a4"
    "73834eb2e2581dbc614f8ad65ba83d8e6b94cc6150a1626c8d44e7964f6f365d213d711ce73479ae9df2870e5c52801697a53742c8bc"
    "a88e5528db6ba8fd888878b1537d2f23afa82f93137d069ce51c3ab449d676ee073df2714fc5f057cb0203010001a03c303a06092a86"
    "4886f70d01090e312d302b30290603551d11042230208209612e6578616d706c658704c0000201810d78406578616d706c652e636f6d"
    "300d06092a864886f70d01010b0500038181004163c5af81d2d73ceaf5ac26452f0718298ed85b66843c0976bbfb013d6df029d7d02a"
    "8c352800e0960726fb6dd1b44d238017c186721cda80debb53f80e0f496c91a980ba951852e665bf3d990812942bcded841fa8b8a850"
    "a7f38ca930fc1dd0842635fe7c8d74d8558010261c6aa0dc03218ddf2c9c7522713a734da020ed";

const std::string kOid = "1.3.6.1.4.1.66704.98670.17";

base::Bytes unhex(std::string_view text) { return base::hex_decode(text).value(); }

CsrSpec full_spec() {
  return {.subject = {{"2.5.4.10", "Example", true}, {"2.5.4.3", "peer", false}},
          .dns = {"a.example", "b.example"},
          .ips = {{192, 0, 2, 1}, base::Bytes(16, 7)},
          .extensions = {{kOid, false, {1, 2, 3}}, {kOid, false, {4}}}};
}

void expect_full(const base::Result<CsrFull>& csr) {
  ASSERT_TRUE(csr.ok()) << csr.error().text();
  EXPECT_EQ(csr->common_name, "peer");
  EXPECT_EQ(csr->subject_der, der::name(full_spec().subject));
  EXPECT_EQ(csr->dns, full_spec().dns);
  EXPECT_EQ(csr->ips, full_spec().ips);
  ASSERT_EQ(csr->extensions.size(), 3u);
  EXPECT_EQ(csr->extensions[0].first, "2.5.29.17");
  EXPECT_EQ(csr->extensions[1], (std::pair<std::string, base::Bytes>{kOid, {1, 2, 3}}));
  EXPECT_EQ(csr->extensions[2], (std::pair<std::string, base::Bytes>{kOid, {4}}));
}

TEST(CsrFull, GivesBackWhatWasAskedFor) {
  for (const Curve curve : {Curve::p256, Curve::p384}) {
    const EcPrivateKey key = test_key(curve, "full");
    const base::Bytes der = make_csr(full_spec(), key).value();
    const auto csr = parse_csr_full(der);
    expect_full(csr);
    EXPECT_EQ(csr->spki, key.public_key().spki());
    expect_full(parse_csr_full(base::as_bytes(base::pem_encode("CERTIFICATE REQUEST", der))));
  }
}

TEST(CsrFull, TakesEd25519AndRsaKeys) {
  SeededRandom random(base::as_bytes("csr"));
  expect_full(parse_csr_full(make_csr(full_spec(), Ed25519PrivateKey::generate(random)).value()));
  expect_full(parse_csr_full(make_csr(full_spec(), RsaPrivateKey::generate(2048, random)).value()));
}

TEST(CsrFull, TakesWhatOtherWritersMake) {
  for (const std::string_view hex : {kP521Sha512, kP224, kP256Sha384, kRsaPss, kRsaSha512}) {
    const auto csr = parse_csr_full(unhex(hex));
    ASSERT_TRUE(csr.ok()) << csr.error().text();
    EXPECT_EQ(csr->common_name, "peer");
    EXPECT_EQ(csr->dns, std::vector<std::string>{"a.example"});
    EXPECT_EQ(csr->ips, (std::vector<base::Bytes>{{192, 0, 2, 1}}));
  }
}

TEST(CsrFull, RefusesOtherCurvesShortKeysAndSha1) {
  for (const std::string_view hex : {kSecp256k1, kSha1, kRsa1024}) EXPECT_FALSE(parse_csr_full(unhex(hex)).ok());
}

TEST(CsrFull, EveryFlippedByteAndEveryTruncationIsRefused) {
  const base::Bytes ours = make_csr(full_spec(), test_key(Curve::p256, "full")).value();
  for (const base::Bytes& der : {ours, unhex(kRsaPss), unhex(kP521Sha512)}) {
    for (std::size_t i = 0; i < der.size(); ++i) {
      base::Bytes wrong = der;
      wrong[i] ^= 0x01;
      EXPECT_FALSE(parse_csr_full(wrong).ok()) << i;
      EXPECT_FALSE(parse_csr_full(base::ByteView(der).first(i)).ok()) << i;
    }
  }
}

TEST(CsrFull, AForeignKeyIsRefused) {
  const EcPrivateKey key = test_key(Curve::p256, "full");
  const base::Bytes other = test_key(Curve::p256, "another").public_key().spki();
  const base::Bytes content = der::sequence({der::integer(0), der::name({}), other, der::tlv(0xa0, {})});
  EXPECT_FALSE(parse_csr_full(internal::sign_by_hand(content, key)).ok());
}

/// A request whose extensionRequest attribute has these contents.
base::Result<CsrFull> with_values(base::ByteView values) {
  const EcPrivateKey key = test_key(Curve::p256, "full");
  const base::Bytes attribute = der::sequence({der::oid("1.2.840.113549.1.9.14"), values});
  return parse_csr_full(internal::sign_by_hand(
      der::sequence({der::integer(0), der::name({}), key.public_key().spki(), der::tlv(0xa0, attribute)}), key));
}

base::Bytes extension(std::string_view oid, base::ByteView value) {
  return der::sequence({der::oid(oid), der::octet_string(value)});
}

TEST(CsrFull, MalformedExtensionsAreRefused) {
  const base::Bytes good = der::tlv(0x31, der::sequence({extension(kOid, {})}));
  EXPECT_TRUE(with_values(good).ok());
  EXPECT_FALSE(with_values(der::tlv(0x31, {})).ok());
  EXPECT_FALSE(with_values(der::tlv(0x31, der::integer(1))).ok());
  base::Bytes twice = der::sequence({extension(kOid, {})});
  base::append(twice, twice);
  EXPECT_FALSE(with_values(der::tlv(0x31, twice)).ok());
  base::Bytes many;
  for (int i = 0; i < 65; ++i) base::append(many, extension(kOid, {}));
  EXPECT_FALSE(with_values(der::tlv(0x31, der::tlv(0x30, many))).ok());
}

TEST(CsrFull, NamesThatAreNoneAreRefused) {
  const auto with_names = [](std::initializer_list<base::Bytes> names) {
    base::Bytes content;
    for (const base::Bytes& one : names) base::append(content, one);
    return with_values(der::tlv(0x31, der::sequence({extension("2.5.29.17", der::tlv(0x30, content))})));
  };
  EXPECT_TRUE(with_names({der::tlv(0x82, base::as_bytes("a"))}).ok());
  EXPECT_TRUE(with_names({der::tlv(0x81, base::as_bytes("a@b"))})->dns.empty());
  EXPECT_FALSE(with_names({der::tlv(0x82, {})}).ok());
  EXPECT_FALSE(with_names({der::tlv(0x82, base::as_bytes("a b"))}).ok());
  EXPECT_FALSE(with_names({der::tlv(0x82, base::as_bytes(std::string_view("a\0b", 3)))}).ok());
  EXPECT_FALSE(with_names({der::tlv(0x82, base::as_bytes(std::string(254, 'a')))}).ok());
  EXPECT_FALSE(with_names({der::tlv(0x87, base::Bytes(5, 1))}).ok());
  const base::Bytes one = extension("2.5.29.17", der::subject_alt_name({"a"}, {}));
  EXPECT_FALSE(with_values(der::tlv(0x31, der::sequence({one, one}))).ok());
  std::vector<std::string> many(129, "a");
  EXPECT_FALSE(
      with_values(der::tlv(0x31, der::sequence({extension("2.5.29.17", der::subject_alt_name(many, {}))}))).ok());
}

}  // namespace
}  // namespace attestry::crypto
