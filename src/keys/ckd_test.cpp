#include "keys/ckd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::keys::ckd {
namespace {

using base::ByteView;
using base::Code;
using base::hex;
using curves::bls::G1;
using curves::bls::G2;
using curves::bls::Scalar;
using ::testing::HasSubstr;

base::Bytes unhex(std::string_view text) { return base::hex_decode(text).value(); }
Scalar scalar(std::string_view text) { return Scalar::from_big_endian(unhex(text)).value(); }
G1 g1(std::string_view text) { return G1::decode(unhex(text)).value(); }
G2 g2(std::string_view text) { return G2::decode(unhex(text)).value(); }
G1::Encoded bytes48(std::string_view text) {
  G1::Encoded out{};
  EXPECT_TRUE(base::hex_decode_into(text, out).ok());
  return out;
}
G2::Encoded bytes96(std::string_view text) {
  G2::Encoded out{};
  EXPECT_TRUE(base::hex_decode_into(text, out).ok());
  return out;
}

// NEAR's library and command line: one master, one application, their keys and one answer of the network.
struct Vector {
  const char *msk, *a, *app_id, *pk, *app_pk1, *app_pk2, *hash_point, *big_y, *big_c, *opened, *key, *command_line_key;
};
const Vector kVectors[] = {
    {"13e0c575c3ac888bf8815e0ed50166ed3560ffbe9fcf5917551d3bd56be291f8",
     "03eb678530e40762c0e94bad392207830268e73379c460f09ae7a621c9120bfd",
     "c7dba29ba7ae16fd28796c2f508bc11d571c38341ce55d243b3c72cf02e0a2fd",
     "acd353f38a555fa11a929f391a19240d6b24d4f721db16db3fad73a3d29ce7220142cd69b8665d51"
     "0af239b91f8c98140f651de3bd6be6061f03c9b21438f444f965fd6e1d0afdc44b66f16cd217fb02"
     "ad2f0409b51b98af54551781a48a6707",
     "863b7e3f9a763be4adbe64f9b52ba862c615339dfbaf0fb9bbf5e971c21a7d8eed17b1b16ff88fde"
     "7bac8aa6eee77360",
     "98d17141587188804194d33c8cf0796807c13e4f0c9210eeed84ce36acce75c07b4a2ccf348a9238"
     "dc9c013434ce10ff0a99ac62280c8583ff2cc7675431fac6fac71974be1c2d9e67efdf46a92feb92"
     "444bad2ce6be7d6adf5410a5f0aa6a4f",
     "98b23f055df341e3695cb2f4da75e5b7354b2a0b90e9df5483823c1bc02476ca897afddb4615e630"
     "715c6c0d463d744b",
     "8c17ae06c27665ea865ab90226fa869c442238451f3cfc8e15ed49e8843c0a69a9949faecd0291c2"
     "849893b386ae2d12",
     "8967b5a379290b42c371a312d5c824f47c4c1b0ab09cc09da60fe4155448e6fbd77f134c5f66ca75"
     "45e4457baffd269e",
     "b7a83185c068fe7098766c005cef35a794e37311cdf989e183e0364262953e58eb225cd31e0d8c2c"
     "166aa3276e668362",
     "33822e831b341a7ea0d87eb08db77155327776e9ec7dd569d52fd202fe0f9c27",
     "2519bf73dd850ec1e8ef189a8bbcc9a871bffb00221f4330b5ce1f86aa43c872"},
    {"1ee0729668b57795835ac73858caaea42fe55bffaff87858c8660e25e9aa82f9",
     "2fd63125daad01d7ab684bd9d609239a916e830b9d267dd79e9cd6329fa3bc74",
     "2fe536e8d0e35b933b8fc4671a3cd2e299f6c819b76059a4edeac6d7846b0baa",
     "a1e12f26474ae475cd6ce1907495c55fc378155584a15d6fd01afd7dbbad6f4696cb23825c33e7e7"
     "f5329fd2a0af633808123f1462f38ee537296b78a844bf664a11fb9a7180e7474aa52a7c0afd8bba"
     "d9dd6bacde24ea2b7edcd84f3f94f1c0",
     "a4d0167bbe6c2da369532014e6381afd7a60956579040e3dadba57c3aa42dfd40b3f6b91d75ec345"
     "8560b3d025896f15",
     "91df2fb777ebd4cfabe1dafc90e49cf278cd5895e0b9bf8f4cd3f2363ea2b6ce105737a281212c87"
     "160eeabe9cc597f400f4b019a991acf4ed56972ead9aee331f9bb31bc066980a6507cf49dbf60170"
     "cdd9714caa3aa758d3bb0f041a3542c4",
     "abc29db80d99dd83cb457de7622377159493eb913331216461f804ce4cdf06c9a78936c1d58876b1"
     "8232f601734e2fc4",
     "a6700fa718604d1274f2a2db5d66e4d71857b63b03f7849e978807a17ef366d08fecd7c405c95a2f"
     "ef92ed2ed5129844",
     "822bcacf234432650628f0323acc9cbeffc98c2f7c3de5cefb9942751f9601d77cebf2eab82156a7"
     "cd6b4099e2e99365",
     "ad2c30aaf5b3b5933c39b05d6c6998718f06794b1175026596f04e3437bac38003463a20000adc36"
     "99b5447a2db9b758",
     "e75949a1c93d247c9b106159d3f14a2dcd49b99785e0b7a58d810fe1ba19a993",
     "201e9d77a22c57b8609a0a8ec908be89ba54d108c46a5deeb805cc5755d67ae7"},
    {"0000000000000000000000000000000000000000000000000000000000000001",
     "0000000000000000000000000000000000000000000000000000000000000001",
     "58ce3721caa04d083ef9772913645ff629150785940980c8a8acebcd7c6c758e",
     "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57"
     "e5ac7d055d042b7e024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d177"
     "0bac0326a805bbefd48056c8c121bdb8",
     "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aef"
     "fb3af00adb22c6bb",
     "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57"
     "e5ac7d055d042b7e024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d177"
     "0bac0326a805bbefd48056c8c121bdb8",
     "a7c7fb7c53fab570eede125656aa63f43d71ad23575b72597b113088180158b8ffd29a7cf1d3482d"
     "0076cfc90063cd98",
     "ac36ca9d17dee36633c2143455fa0733d50a9c46a9a9695b6e8824ce02a8c1f41bcc005a8c57e464"
     "aed7a6f0a9f92e5f",
     "945e879dfbd73484ecd132cb82a541166c9feefde17e31f519f2642e875f17e962bcfcd9349320e6"
     "d1f6c5997c7f1b86",
     "a7c7fb7c53fab570eede125656aa63f43d71ad23575b72597b113088180158b8ffd29a7cf1d3482d"
     "0076cfc90063cd98",
     "9b2f121054a04deba51d49fd6d97c55812d312643744e63ac9c022dcece9806c",
     "acf4a2b101a445bf76da5af99f9a968328a001a4268547b5f0c14089bde97b97"},
    {"73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000",
     "6fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
     "95bbca4fb3a1779c7a65c009f20ed43b6a9f010ad104622587d7688bfa11e5a9",
     "b3e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57"
     "e5ac7d055d042b7e024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d177"
     "0bac0326a805bbefd48056c8c121bdb8",
     "a7f551e0604db27e8cee10742ba2d4a2f5677e82e6eeb76e5370b6983c32598b69809d989d1052ff"
     "bd497435b9c12632",
     "89d810c5e27dc2bd9b36c411eaae9b5b3efc241fd8072d465a47b512a32f372561cb648d6e8151fc"
     "2fef3e8ecf9af37b0109feddee5a7f7c91e1252adda25b3face9e4dde22f7bd3974f183354d9dfd4"
     "0b8987883c8a4c78cf496fa05279a199",
     "8a669fc02e7e1b7573a90a4773bb7d01e7f03f85743d782faff6079782cb7c342b235cac201e5b0c"
     "d3abcf52017f389b",
     "97afb64cb3e15a24abbcda409d9e618a3af8b195b2ead79a6b079f5b3d577ea5230581881da90216"
     "8d4bf2f3fa7d504b",
     "8759d40af0b24a066eedb33a26863aefcc1f896d0a01d2993978ab4f6ff36c810afd4cf923b4b677"
     "85026d462486aafe",
     "aa669fc02e7e1b7573a90a4773bb7d01e7f03f85743d782faff6079782cb7c342b235cac201e5b0c"
     "d3abcf52017f389b",
     "4a0704466f3205a526dabad39bc19bc37cdde4e79ee68b415dc6c9455e67e911",
     "b8aae0367328387b7266a60c19e512698565d5d440d7c79eb327ed99eeb90a3b"},
};

TEST(Ckd, AppIdsOfNear) {
  const struct {
    const char *account, *path, *id;
  } known[] = {
      {"dwefqwg", "frwewegwegweg", "b8177b00468f97c337b3f921fbef7aaa959e9a49005aaa59768b795152f4c989"},
      {"dwefqwg", "fwei2.3f230", "16ac7db8b7c3ad2c5e8fe7d1a9e91ca6634cf9baf84952f85795f515e29cd275"},
      {"dwefqwg", "f23fjwef8232", "f1d47585609f34fd18fc109340e78c0822c9a010fae30b7e1ca83df48c994986"},
      {"dwefqwg", "fwefwo23fewfw", "55591d35775cabb829df65ae7dbd415554a7690657962952555fabf9eb8462e1"},
      {"qfweqwgwegqw", "frwewegwegweg", "2116717ccc7b1fd0053d96c975d6d2d39321012ff2cf66a328be6707f5d0f48c"},
      {"qfweqwgwegqw", "fwei2.3f230", "6042862796895d3b0e5678f5bc2da01b245fb8bf7e3515d261a7e93a963e25e3"},
      {"qfweqwgwegqw", "f23fjwef8232", "344162da86554a281123d58406ce4ba28518113fe1d66405924c9e9b1545e012"},
      {"qfweqwgwegqw", "fwefwo23fewfw", "90aae886b2533bd33464d922d3ccd1ed1a4d05786b39598ba79a04d0186bd2a4"},
      {"fqwerijqw385", "frwewegwegweg", "c26434220286c5878fac6d374492b0be520d80f08bdb2504126360e09ba082dc"},
      {"fqwerijqw385", "fwei2.3f230", "5ef85af87983f28e2b0bc1f2a5ce4d17c8814f86959bb4e1f2d288eafe9c337a"},
      {"fqwerijqw385", "f23fjwef8232", "b6c7c1cde6185ddb26eb497a2742eac4a05107ce687deaf44ef409c8ba483312"},
      {"fqwerijqw385", "fwefwo23fewfw", "086cb2e83885d66cd034010d7944e8b29e616be0f378eefa902672898df7b90c"},
      {"fnwef0942534", "frwewegwegweg", "fe4c1e1948e2716f208ed94d63fa528181d8224234d0f5a22850b58580f84940"},
      {"fnwef0942534", "fwei2.3f230", "55bd75937a299f9adebd9e12c095fd3479085b097c1456b393cc35a2909b1498"},
      {"fnwef0942534", "f23fjwef8232", "82b56d55c9876ed6bf79af7a4a7bd21187aa16731d4c033bdb81921d698c6a5d"},
      {"fnwef0942534", "fwefwo23fewfw", "411fbc46a494fe9a2f8c9cc9c82baee1a634df9578af381901561541ad6f32f3"},
      {"alice.near", "", "e8419b477ad2ac3cc147c5040422548c10cb7b3db6cbb5acab9455a2004f95fc"},
      {"dao.outlayer.near", "", "3932923183c0eb4e6b94390d3edfebe33b3656329571d3f56fa019cc84d32429"},
      {"frodo.test.near", "mykey", "ce08a1efe09cb56623aa8ee8d8a36e6c0d1ce45d80e64514cba4fbe8aed75208"},
  };
  for (const auto& [account, path, id] : known) EXPECT_EQ(hex(app_id(account, path)), id) << account << " " << path;
}

TEST(Ckd, VectorsOfNear) {
  for (const Vector& v : kVectors) {
    const Blinding blinding{scalar(v.a)};
    const MasterPublicKey pk{G2::times_generator(scalar(v.msk))};
    EXPECT_EQ(hex(pk.encoded()), v.pk);
    EXPECT_EQ(hex(blinding.public_key().encode()), v.app_pk1);
    EXPECT_EQ(hex(blinding.public_key2().encode()), v.app_pk2);
    EXPECT_EQ(hex(hash_point(pk, unhex(v.app_id)).encode()), v.hash_point);
    EXPECT_TRUE(AppPublicKey::decode(unhex(v.app_pk1), unhex(v.app_pk2)).ok());

    const Ciphertext answer{bytes48(v.big_y), bytes48(v.big_c)};
    EXPECT_TRUE(*publicly_valid(answer, hash_point(pk, unhex(v.app_id)), pk, g2(v.app_pk2)));
    const auto opened = blinding.open(answer, pk, hash_point(pk, unhex(v.app_id)));
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    EXPECT_EQ(hex(opened->reveal()), v.opened);
    EXPECT_EQ(hex(application_key(*opened).reveal()), v.key);
    EXPECT_EQ(hex(application_key(*opened, kCommandLineSalt, kCommandLineInfo).reveal()), v.command_line_key);
  }
}

TEST(Ckd, HashesOfTheContractAndOfItsTestNetwork) {
  EXPECT_EQ(hex(hash_point(MasterPublicKey{G2::generator()}, base::Bytes(32, 0)).encode()),
            "91a9e23bb0a79b6c542b80e8ee10c102a4903ffb8e8bd5592bc4aba557742dd352417b686c0d0677"
            "14818275c22c886a");
  const auto pk = g2_from_text(
      "bls12381g2:25sFv4K1oJxLxY3t1s6oPWXUx9nEq6a5LjDg8Gajp5NjaHoTq5Dm3CNXmmbnGHsWHjLQ1"
      "RRvZ3z8By6TMU8TWexXjwDvqefnpCMTPAEiFiCZ2cDZypBRoskefLrLeFq35Mx5");
  ASSERT_TRUE(pk.ok());
  EXPECT_EQ(hex(hash_point(MasterPublicKey::decode(*pk).value(), app_id("frodo.test.near", "mykey")).encode()),
            "956e7558293c77059a9c625b6b0083af206d5b97bf85327359bb0d8519ae916b22d97cacd97429dd"
            "7e8e06114e60be5a");
}

/// keystore_ckd.md 7.1: MPC_PUBLIC_KEY of the test network.
TEST(Ckd, TheKeyOfTheTestNetworkIsTaken) {
  const auto pk = g2_from_text(
      "bls12381g2:xeYho48G2Sr9oJz4gw9sLGZGspeeKpHZvMDAwWvoNTRnVMFJH96GxX98TT2MRhTtsot1w"
      "cGR1Ti2Xh8PCsbYJ2enbLNdJXDvTYSK8aTE3nJ5NZXU7Kt1F6mFtReWs5pR4kj");
  ASSERT_TRUE(pk.ok());
  EXPECT_EQ(hex(*pk),
            "a18ae5dd0ddb30510816de1ee82464ab02e0712355e0f4bb7b85b18be73e4aab41fedac4e8f42945"
            "8689fbdddffa501e0c66c4dec1d33fc7c432797314dd8bc7bffe9ba255f13e46a080769f3302bd72"
            "4cbd540906c982e7335a0583c83efb84");
  const auto key = MasterPublicKey::decode(*pk);
  ASSERT_TRUE(key.ok()) << "a point of the subgroup";
  EXPECT_EQ(key->encoded(), *pk);
}

TEST(Ckd, PointsAsText) {
  const Vector& v = kVectors[0];
  EXPECT_EQ(to_text(bytes48(v.app_pk1)),
            "bls12381g1:5vbGFPB1ExRSscQPVtzL2QXK9DDs1eBktUJ9jaQeUrKGFLub8B9tELtPfWMLUk7kTq");
  EXPECT_EQ(to_text(bytes48(v.big_y)), "bls12381g1:694Q9YwnZNpoYPVwd75REs2FWWinKUd6MAE6fSsaPofKQjZf6LCcERh3y4a2p425ER");
  EXPECT_EQ(to_text(bytes48(v.big_c)), "bls12381g1:63Ln2CuoyxhZdggoz797pgcL2AFnqp1MFeoRKFuL6fFuW1V2juA7m8Hi86PwFRWb7s");
  EXPECT_EQ(to_text(bytes96(v.pk)),
            "bls12381g2:22XyWpmZiZrx945VsdG63EpuoWh1Steaf16sEEjp7U8CcKnMYVL54yxomPf2ZkppTYeg4"
            "7FQZAoeY9eMYpWDSenMY6ndyzDVNri96upxWopmY25vd7C3x3gDrX2zsRbJVQhC");
  EXPECT_EQ(to_text(bytes96(v.app_pk2)),
            "bls12381g2:ueEiBdSMzQiRikfTxc3pvXtvcaf5rxZfGfmMB7hGYBhcVQcHRmF3YXtpP4qYi9AvHmK8A"
            "PAShjgcWRwQwPTCxa712czwGGWVqNDmnGYA2kUKxDiNkqCv2M8U789L9eStfDQ");
  EXPECT_EQ(*g1_from_text(to_text(bytes48(v.big_y))), bytes48(v.big_y));
  EXPECT_EQ(*g2_from_text(to_text(bytes96(v.pk))), bytes96(v.pk));
}

// A keystore that others wrote cuts what is too long and falls over what is too short.
TEST(Ckd, TextsOfAnotherSizeOrGroupAreRefused) {
  const std::string text = to_text(G1::generator().encode());
  EXPECT_FALSE(g1_from_text(text + "1").ok());
  EXPECT_FALSE(g1_from_text(std::string_view{text}.substr(0, text.size() - 2)).ok());
  EXPECT_FALSE(g1_from_text("bls12381g1:").ok());
  EXPECT_FALSE(g1_from_text("").ok());
  EXPECT_FALSE(g1_from_text(text.substr(11)).ok()) << "no prefix";
  EXPECT_FALSE(g1_from_text("bls12381g2:" + text.substr(11)).ok());
  EXPECT_FALSE(g2_from_text(text).ok());
  EXPECT_FALSE(g1_from_text("BLS12381G1:" + text.substr(11)).ok());
  EXPECT_FALSE(g1_from_text("bls12381g1:0" + text.substr(12)).ok()) << "0 is not in the alphabet";
}

TEST(Ckd, AKeyOfTheWrongOrderIsRefused) {
  const auto outside = unhex(
      "80000000000000000000000000000000000000000000000000000000000000000000000000000000"
      "0000000000000004");
  const auto decoded = AppPublicKey::decode(outside);
  ASSERT_FALSE(decoded.ok());
  EXPECT_THAT(decoded.error().text(), HasSubstr("outside the subgroup"));
}

TEST(Ckd, TheIdentityIsNoKey) {
  const auto first = g1_from_text("bls12381g1:83VnBdpeT9ioHuUTBD2zcitXg7JqNiebUs5yxDaYaLgZYDLLk2gayHrJKNyRt4vBQB");
  const auto second = g2_from_text(
      "bls12381g2:2995BcogDeU9PQxbssLWhG9J76ubezYVpjbceWnwcmRs9ypA2vYDikf8mpuzankQX6WMs"
      "DockieKarmDerS2xTPzR1dktiHiGkjvPpRYpDip6unu4WgtPqeCPtxqppMzuGwy");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_THAT(AppPublicKey::decode(*first).error().text(), HasSubstr("the identity"));
  EXPECT_THAT(AppPublicKey::decode(*first, *second).error().text(), HasSubstr("the identity"));
  EXPECT_THAT(AppPublicKey::decode(G1::generator().encode(), *second).error().text(), HasSubstr("the identity"));
}

TEST(Ckd, TwoKeysOfTwoScalarsAreRefused) {
  // As printed in the contract's description, where they are an illustration.
  const auto pk1 = unhex(
      "912eb13752ed6a5f83e081782e96a6470753ab01c44a084e9cecb4aca1a6defc40632bf4c22a1c4e"
      "d552b9d17b5861ed");
  const auto pk2 = unhex(
      "abc2863bdceab7728c2b099956c32b61c3c202e6a85851e512b71e5ea2b9e2e06339659c33f0cd92"
      "c15f9f22443aebbc18c4f5f13cce816033448526dfec4ba89e4fae1c39cd5aa2d9b7720543348fc6"
      "2ac71a665c4f9b2436fee83bfc68b4a0");
  EXPECT_THAT(AppPublicKey::decode(pk1, pk2).error().text(), HasSubstr("app public key check failed"));
  EXPECT_THAT(AppPublicKey::decode(unhex(kVectors[0].app_pk1), unhex(kVectors[1].app_pk2)).error().text(),
              HasSubstr("app public key check failed"));
}

// NEAR's example: participants 0 and 2 of three, degree 1, the first vector's master.
TEST(Ckd, TwoOfThreeNodes) {
  const struct {
    std::uint32_t id;
    const char *x, *y, *lambda, *big_y, *big_c;
  } nodes[] = {
      {0, "5c29321f5b240324b1b5b37d4d0d8aeddd64fca617dcf162ee508bc4c62f4ad0",
       "024e614ea428a74b57d30c413c876b25fba8e301a47a5981c79e2e496c94e447",
       "39f6d3a994cebea4199cec0404d0ec02a9ded2017fff2dff7fffffff80000002",
       "b797392fcb3d9a1e6d8cdbe28be011d46de276865d8519399739bbfe9fea46559b17f6166aa02098"
       "9ab3b12826ab4cfd",
       "8ac0cbc8956d713b80f3b76976b86ed605f6d89b25cace56aab4170fec37001c151ab723d7c900f8"
       "b5182475657d5731"},
      {2, "04debccc36d7fdc5bdaaae4a29e222e485f1ae6f07fb69fc20b72ba57ac8bc7e",
       "3952bc6a4ef06e260089aa6f79dfbf9b472cc84994ec7bfc948da1f7bac447ed",
       "39f6d3a994cebea4199cec0404d0ec02a9ded2017fff2dff7fffffff80000000",
       "a83d07ad6bfd509d4e4911ba3110b9de1972b3d57be9d3945e1c7aec9c9a93ddc28b79661a45f355"
       "32d0f89aab7f64dd",
       "9894fb014491c750b9dc219320c7406d2e9ca300c431685dc97787e4b2d8ceb071559a834a2c5229"
       "20fd64a11e91e188"},
  };
  const Vector& v = kVectors[0];
  const G1 point = g1(v.hash_point);
  const std::uint32_t ids[] = {0, 2};
  std::vector<Share> shares;
  for (const auto& node : nodes) {
    const auto lambda = lagrange(ids, node.id);
    ASSERT_TRUE(lambda.ok());
    EXPECT_EQ(hex(lambda->big_endian().reveal()), node.lambda);
    shares.push_back(share(scalar(node.x), *lambda, scalar(node.y), point, g1(v.app_pk1)));
    EXPECT_EQ(hex(shares.back().big_y.encode()), node.big_y);
    EXPECT_EQ(hex(shares.back().encode().big_c), node.big_c);
  }
  const Ciphertext other = shares[1].encode();
  const auto sum = combine({&other, 1}, &shares[0]);
  ASSERT_TRUE(sum.ok());
  EXPECT_EQ(hex(sum->big_y),
            "8d6e06a1a64a9869b215d8445f889ecbb07ead4aed733f04082fc9f0878cd501262fe8b90a5541d0"
            "896e53173e2c7d39");
  EXPECT_EQ(hex(sum->big_c),
            "b3b0844c5d8daec9d7c3f2e0e4117002e3dcba41fe55fafce11f4737d90405946ab89a8a751f0e01"
            "1e090e4bbe72d5dd");
  EXPECT_EQ(hex(Blinding{scalar(v.a)}.open(*sum, MasterPublicKey{g2(v.pk)}, point)->reveal()), v.opened);
}

TEST(Ckd, ParticipantsThatMakeNoSense) {
  const std::uint32_t one[] = {3};
  const std::uint32_t twice[] = {1, 2, 1};
  const std::uint32_t others[] = {1, 2};
  EXPECT_THAT(lagrange(one, 3).error().text(), HasSubstr("NotEnoughParticipants"));
  EXPECT_THAT(lagrange(twice, 1).error().text(), HasSubstr("DuplicateParticipants"));
  EXPECT_THAT(lagrange(others, 3).error().text(), HasSubstr("MissingParticipant"));
  // The greatest id there is: its x coordinate does not wrap around.
  const std::uint32_t far[] = {0, 0xffffffff};
  const Scalar sum = *lagrange(far, 0) + *lagrange(far, 0xffffffff);
  EXPECT_TRUE(sum == Scalar::from_u32(1));
}

struct Network {
  static constexpr std::uint32_t kIds[] = {0, 1, 5};
  crypto::SeededRandom random{base::as_bytes("a network of three")};
  Scalar master = Scalar::random(random), slope = Scalar::random(random), bend = Scalar::random(random);
  MasterPublicKey pk{G2::times_generator(master)};
  base::Digest32 id = app_id("alice.near", "");
  Blinding blinding = Blinding::random(random);
  G1 point = hash_point(pk, id);

  Share share_of(std::uint32_t node) {
    const Scalar x = Scalar::from_u32(node + 1);
    const Scalar value = master + slope * x + bend * x * x;
    return share(value, *lagrange(kIds, node), Scalar::random(random), point, blinding.public_key());
  }
  std::vector<Ciphertext> others() { return {share_of(1).encode(), share_of(5).encode()}; }
  base::Result<Ciphertext> sum(std::span<const Ciphertext> others) {
    const Share own = share_of(0);
    return combine(others, &own);
  }
};

TEST(Ckd, ThreeNodesAndTheKeyIsTheMastersAlone) {
  Network network;
  const auto first = network.blinding.open(*network.sum(network.others()), network.pk, network.point);
  const auto again = network.blinding.open(*network.sum(network.others()), network.pk, network.point);
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_EQ(hex(first->reveal()), hex((network.point * network.master).encode()));
  EXPECT_EQ(hex(first->reveal()), hex(again->reveal()));
}

TEST(Ckd, AWrongShareIsFoundByWhoeverOpensAndByEverybodyWithASecondKey) {
  Network network;
  std::vector<Ciphertext> others = network.others();
  EXPECT_TRUE(*publicly_valid(*network.sum(others), network.point, network.pk, network.blinding.public_key2()));
  others[1].big_c = others[0].big_c;
  const auto sum = network.sum(others);
  ASSERT_TRUE(sum.ok());
  EXPECT_FALSE(*publicly_valid(*sum, network.point, network.pk, network.blinding.public_key2()));
  const auto opened = network.blinding.open(*sum, network.pk, network.point);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::crypto);
  EXPECT_THAT(opened.error().text(), HasSubstr("MPC signature verification failed"));
}

TEST(Ckd, ANodeProvesItsShareAndAWrongOneCannotBeProved) {
  Network network;
  const base::ByteView context = base::as_bytes("request 1");
  const Scalar x = Scalar::random(network.random), y = Scalar::random(network.random);
  const Scalar lambda = *lagrange(Network::kIds, 1);
  const G1 key = network.blinding.public_key();
  const G2 public_share = G2::times_generator(x);
  const Ciphertext right = share(x, lambda, y, network.point, key).encode();
  const ShareProof proof = prove(x, lambda, y, network.point, key, context, network.random);
  const auto holds = [&](const ShareProof& shown, const Ciphertext& about, const G2& node, std::string_view request) {
    return *proved(shown, about, lambda, node, network.point, key, base::as_bytes(request));
  };
  EXPECT_TRUE(holds(proof, right, public_share, "request 1"));
  EXPECT_FALSE(holds(proof, right, public_share, "request 2"));
  EXPECT_FALSE(holds(proof, right, G2::times_generator(y), "request 1")) << "another node's share";
  Ciphertext wrong = right;
  wrong.big_c = network.point.encode();
  EXPECT_FALSE(holds(proof, wrong, public_share, "request 1"));
  // With another x: what a node that lost its share, or lies about it, can prove is not about its public share.
  const Scalar other = Scalar::random(network.random);
  EXPECT_FALSE(holds(prove(other, lambda, y, network.point, key, context, network.random),
                     share(other, lambda, y, network.point, key).encode(), public_share, "request 1"));
  ShareProof changed = proof;
  changed.second[31] ^= 1;
  EXPECT_FALSE(holds(changed, right, public_share, "request 1"));
  changed.second.fill(0xff);
  EXPECT_FALSE(proved(changed, right, lambda, public_share, network.point, key, context).ok()) << "no scalar";
}

TEST(Ckd, AShareMissing) {
  Network network;
  std::vector<Ciphertext> others = network.others();
  others.pop_back();
  EXPECT_FALSE(network.blinding.open(*network.sum(others), network.pk, network.point).ok());
  others.pop_back();
  EXPECT_THAT(network.sum(others).error().text(), HasSubstr("NotEnoughParticipants"));
}

TEST(Ckd, AShareOutsideTheSubgroupIsFoundInTheSum) {
  Network network;
  std::vector<Ciphertext> others = network.others();
  others[1].big_y = bytes48(
      "80000000000000000000000000000000000000000000000000000000000000000000000000000000"
      "0000000000000004");
  EXPECT_THAT(network.sum(others).error().text(), HasSubstr("subgroup"));
}

TEST(Ckd, AnotherApplicationsAnswerDoesNotOpen) {
  Network network;
  const auto sum = network.sum(network.others());
  EXPECT_FALSE(network.blinding.open(*sum, network.pk, hash_point(network.pk, app_id("alice.near", "other"))).ok());
  EXPECT_FALSE(network.blinding.open(*sum, MasterPublicKey{G2::generator()}, network.point).ok()) << "another master";
  EXPECT_FALSE(Blinding::random(network.random).open(*sum, network.pk, network.point).ok()) << "another blinding";
}

TEST(Ckd, AnAnswerThatOpensToTheIdentityIsRefused) {
  // Y = G1, C = a G1: what a network whose master is zero would say.
  Network network;
  const Ciphertext nothing{G1::generator().encode(), network.blinding.public_key().encode()};
  EXPECT_FALSE(network.blinding.open(nothing, network.pk, network.point).ok());
  EXPECT_FALSE(network.blinding.open(nothing, MasterPublicKey{G2{}}, network.point).ok())
      << "its public key is the identity";
  EXPECT_FALSE(MasterPublicKey::decode(G2{}.encode()).ok());
}

}  // namespace
}  // namespace attestry::keys::ckd
