#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "audit/testing/support.h"
#include "base/encoding.h"
#include "secrets/keystore_masters.h"
#include "secrets/testing/keystore_device.h"

namespace attestry::secrets {
namespace {

using base::Code;
using curves::bls::G2;
using curves::bls::Scalar;
using keys::ckd::AccountPath;
using state::testing::patient;
using ::testing::HasSubstr;
using ::testing::StartsWith;
namespace ckd = keys::ckd;

constexpr std::string_view kDao = "dao.outlayer.near", kVault = "alice.vaults.near";
// Made by another implementation (py_ecc, Python's hmac) of the master scalar of keystore_ckd.md 8.6, vector 1.
constexpr std::string_view kDefault = "8ac950a436e62a4b2bdd649aadacd75f368088d7f40a8d4348a89fda3ce4f77b";
constexpr std::string_view kPath = "d3af20823f369e4b3794f9d0104e8e72da1a1335d1bd7589af36c48eb9423aab";
constexpr std::string_view kVaultMaster = "2b7b55827bb662685145464a8db94067b08a6116ba0fe463d7fc9f8c386126d6";

Scalar scalar(std::string_view hex) { return *Scalar::from_big_endian(*base::hex_decode(hex)); }

/// Two nodes with the shares of the worked example of keystore_ckd.md 8.6, of which none has the master.
class Nodes final : public keys::CkdSource {
 public:
  base::Result<crypto::Secret> derive(base::ByteView app_id, base::ByteView said, base::Deadline) override {
    if (away) return base::Error{Code::unavailable, "1 of 2 nodes"};
    TRY(const auto whose, AccountPath::parse(said));
    EXPECT_TRUE(base::equal(whose.app_id(), app_id));
    asked.push_back(whose.account + "," + whose.path);
    if (whose.account == refused) return base::Error{Code::denied, "this account"};
    const auto point = ckd::hash_point(key, app_id);
    const auto blinding = ckd::Blinding::random(random);
    constexpr std::uint32_t ids[] = {0, 2};
    std::vector<ckd::Ciphertext> shares;
    for (const auto& [id, share] : {std::pair{0U, &first}, {2U, &second}}) {
      shares.push_back(
          ckd::share(*share, *ckd::lagrange(ids, id), Scalar::random(random), point, blinding.public_key()).encode());
    }
    return blinding.open(*ckd::combine(shares), key, point);
  }
  bool away = false;
  std::string refused;
  std::vector<std::string> asked;
  crypto::SeededRandom random{base::as_bytes("nodes")};
  const Scalar first = scalar("5c29321f5b240324b1b5b37d4d0d8aeddd64fca617dcf162ee508bc4c62f4ad0");
  const Scalar second = scalar("04debccc36d7fdc5bdaaae4a29e222e485f1ae6f07fb69fc20b72ba57ac8bc7e");
  const ckd::MasterPublicKey key{
      G2::times_generator(scalar("13e0c575c3ac888bf8815e0ed50166ed3560ffbe9fcf5917551d3bd56be291f8"))};
};

class KeystoreNodesSourceTest : public ::testing::Test {
 protected:
  state::testing::TempFolder folder_;
  std::unique_ptr<state::Store> store_ =
      *state::Store::open({.path = folder_.file("store.db"), .realm = base::Realm::simulated});
  std::unique_ptr<audit::Log> log_ =
      *audit::Log::open(*store_, audit::testing::log_key(),
                        {.origin = audit::testing::kOrigin, .checkpoint_path = folder_.file("checkpoint")});
  keys::SealingEpochs epochs_{*store_, crypto::Secret::copy_of(base::Bytes(32, 7)), crypto::system_random()};
  Nodes nodes_;
  std::unique_ptr<keys::ThresholdRoot> root_;  ///< with nothing in memory, as after a start

  std::shared_ptr<MasterSource> source(std::string_view dao = kDao) {
    root_ = std::make_unique<keys::ThresholdRoot>(nodes_, base::system_clock(),
                                                  keys::ThresholdRootOptions{.rest = std::chrono::milliseconds(0)});
    return nodes_source(*root_, std::string{dao}, nodes_.key.encoded());
  }
  std::unique_ptr<KeystoreMasters> open(std::shared_ptr<MasterSource> from) {
    auto out = KeystoreMasters::open(
        {*store_, *log_, epochs_, crypto::system_random()},
        {.first = crypto::Secret::copy_of(base::Bytes(32, 9)), .source = std::move(from), .device = nullptr});
    EXPECT_TRUE(out.ok()) << out.error().text();
    return std::move(*out);
  }
  static std::string hex(const base::Result<MasterPtr>& master) {
    return master ? base::hex((*master)->reveal()) : std::string{base::slug(master.error().code)};
  }
};

TEST_F(KeystoreNodesSourceTest, GivesWhatNearsSchemeGives) {
  const auto masters = open(source());
  ASSERT_TRUE(masters->prepare(patient()).ok());
  EXPECT_EQ(hex(masters->master()), kDefault);
  EXPECT_EQ(hex(masters->master(kVault)), "not-found") << "the default master alone does not give it";
  ASSERT_TRUE(masters->load_vault(kVault, patient()).ok());
  EXPECT_EQ(hex(masters->master(kVault)), kVaultMaster);
  EXPECT_NE(base::hex(local_vault_master(**masters->master(), kVault).reveal()), kVaultMaster);
  EXPECT_THAT(nodes_.asked,
              ::testing::ElementsAre(std::string{kDao} + ",", std::string{kVault} + "," + std::string{kPath}));
}

TEST_F(KeystoreNodesSourceTest, KeepsWhatItHasThroughAnOutage) {
  nodes_.away = true;
  {
    const auto masters = open(source());
    EXPECT_EQ(masters->prepare(patient()).error().code, Code::unavailable);
    EXPECT_THAT(masters->ready().error().text(), HasSubstr("1 of 2 nodes"));
    nodes_.away = false;
    ASSERT_TRUE(masters->prepare(patient()).ok());
    ASSERT_TRUE(masters->load_vault(kVault, patient()).ok());
  }
  nodes_.away = true;
  const auto masters = open(source());
  ASSERT_TRUE(masters->prepare(patient()).ok());
  EXPECT_EQ(hex(masters->master()), kDefault);
  EXPECT_EQ(hex(masters->master(kVault)), kVaultMaster);
  EXPECT_EQ(masters->load_vault("bob.vaults.near", patient()).error().code, Code::unavailable);
  nodes_.away = false;
  EXPECT_TRUE(masters->load_vault("bob.vaults.near", patient()).ok());
}

TEST_F(KeystoreNodesSourceTest, AnAccountThatNodesRefuseIsNoDenialAndStopsNobodyElse) {
  const auto masters = open(source());
  ASSERT_TRUE(masters->prepare(patient()).ok());
  nodes_.refused = "mallory.vaults.near";
  EXPECT_EQ(masters->load_vault(nodes_.refused, patient()).error().code, Code::unavailable);
  EXPECT_TRUE(root_->answers());
  EXPECT_TRUE(masters->load_vault(kVault, patient()).ok());
}

TEST_F(KeystoreNodesSourceTest, AStoreKeepsItsSource) {
  const auto refusal = [&](std::shared_ptr<MasterSource> from) {
    const auto masters = open(std::move(from));
    const auto done = masters->prepare(patient());
    return done ? "none" : std::string{base::slug(done.error().code)} + ": " + done.error().expected;
  };
  ASSERT_EQ(refusal(source()), "none");
  EXPECT_THAT(std::string{source()->name()}, StartsWith("ckd-nodes:dao.outlayer.near@"));
  const auto before = "configuration: " + std::string{source()->name()};
  EXPECT_EQ(refusal(source("other.near")), before);
  const std::shared_ptr<MasterSource> derived =
      derived_source(crypto::Secret::copy_of(base::Bytes(32, 6)), crypto::system_random());
  EXPECT_EQ(refusal(derived), before) << "vaults would have other masters";
  EXPECT_EQ(refusal(nodes_source(*root_, std::string{kDao}, base::Bytes(96, 1))), before) << "of another cluster";
  EXPECT_EQ(refusal(source()), "none");
}

TEST_F(KeystoreNodesSourceTest, TakesNoStoreOfAnotherSource) {
  ASSERT_TRUE(open(derived_source(crypto::Secret::copy_of(base::Bytes(32, 6)), crypto::system_random()))->ready().ok());
  const auto masters = open(source());
  EXPECT_EQ(masters->prepare(patient()).error().code, Code::configuration);
  EXPECT_TRUE(nodes_.asked.empty());
}

TEST_F(KeystoreNodesSourceTest, HasOneEpochAndNoBackup) {
  const auto from = source();
  EXPECT_EQ(from->default_master(2).error().code, Code::usage);
  const auto masters = open(from);
  ASSERT_TRUE(masters->prepare(patient()).ok());
  EXPECT_FALSE(masters->begin_epoch(patient()).ok());
  EXPECT_EQ(masters->bundle().error().code, Code::denied);
}

/// What a primary's copy, or a file that says that it is a backup, has of these nodes' masters.
KeystoreBundle bundle_of(const MasterSource& source, std::string_view master) {
  const auto of = [](std::string_view hex) { return crypto::Secret::copy_of(*base::hex_decode(hex)); };
  KeystoreBundle out;
  out.current = out.oldest = 1;
  out.source = source.name();
  out.masters.push_back({.vault = {}, .epoch = 1, .since = {}, .master = of(master)});
  out.masters.push_back({.vault = std::string{kVault}, .epoch = 1, .since = {}, .master = of(std::string(64, 'b'))});
  return out;
}

TEST_F(KeystoreNodesSourceTest, TakesNoMasterThatNodesDoNotGive) {
  const auto from = source();
  const auto masters = open(from);
  const auto planted = bundle_of(*from, std::string(64, 'a'));
  for (const bool replace : {false, true}) {
    EXPECT_EQ(masters->import(planted, replace, patient()).error().code, Code::conflict);
  }
  EXPECT_FALSE(masters->ready().ok());
  ASSERT_TRUE(masters->prepare(patient()).ok());
  EXPECT_EQ(hex(masters->master()), kDefault);
  nodes_.away = true;
  EXPECT_EQ(masters->import(planted, true, patient()).error().code, Code::unavailable);
  EXPECT_EQ(hex(masters->master()), kDefault);
}

TEST_F(KeystoreNodesSourceTest, TakesNoCopyThatNodesWouldNotGiveIt) {
  const auto from = source();
  const auto masters = open(from);
  nodes_.refused = kDao;
  EXPECT_EQ(masters->import(bundle_of(*from, kDefault), false, patient()).error().code, Code::unavailable);
  EXPECT_FALSE(masters->ready().ok());
  nodes_.refused.clear();
  EXPECT_TRUE(masters->import(bundle_of(*from, kDefault), false, patient()).ok());
  EXPECT_EQ(hex(masters->master()), kDefault);
}

TEST_F(KeystoreNodesSourceTest, AsksItselfForVaultsMastersOfACopy) {
  const auto from = source();
  const auto masters = open(from);
  const auto copy = bundle_of(*from, kDefault);
  ASSERT_TRUE(masters->import(copy, false, patient()).ok());
  EXPECT_EQ(hex(masters->master(kVault)), "not-found");
  EXPECT_TRUE(masters->needs_loading(kVault));
  ASSERT_TRUE(masters->load_vault(kVault, patient()).ok());
  // The same master again needs no nodes, and what was asked for here stays.
  nodes_.away = true;
  for (const bool replace : {false, true}) {
    ASSERT_TRUE(masters->import(copy, replace, patient()).ok());
    EXPECT_EQ(hex(masters->master(kVault)), kVaultMaster);
  }
  auto evicted = bundle_of(*from, kDefault);
  evicted.masters.pop_back();
  ASSERT_TRUE(masters->import(evicted, true, patient()).ok());
  EXPECT_EQ(hex(masters->master(kVault)), "not-found") << "the primary has forgotten it";
}

}  // namespace
}  // namespace attestry::secrets
