// What holds for every backend.
#include <gtest/gtest.h>

#include "blobs/internal/test_rigs.h"
#include "blobs/sealing.h"

namespace attestry::blobs::testing {
namespace {

using base::Code;

struct Backend {
  const char* name;
  std::function<std::unique_ptr<Rig>()> make;
};
template <class R>
Backend backend(const char* name) {
  return {name, [] { return std::unique_ptr<Rig>{std::make_unique<R>()}; }};
}

class Conformance : public ::testing::TestWithParam<Backend> {
 protected:
  std::unique_ptr<Rig> rig = GetParam().make();
  static constexpr std::string_view kApp = "name:web";
  const std::string kContent{"binary \0\xff\xfe content\r\n--x", 24};
};

TEST_P(Conformance, GivesBackWhatWasStored) {
  const auto id = rig->plant(config_of(kApp), kContent);
  EXPECT_EQ(id, id_of(kContent));
  const auto got = rig->open(kApp)->get(config_of(kApp), id, soon());
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(text_of(*got), kContent);
}

TEST_P(Conformance, StoringTwiceIsOneBlob) {
  const auto id = rig->plant(config_of(kApp), kContent);
  EXPECT_EQ(rig->plant(config_of(kApp), kContent), id);
  EXPECT_TRUE(rig->open(kApp)->get(config_of(kApp), id, soon()));
}

TEST_P(Conformance, SaysNotFoundForWhatIsNotThere) {
  rig->plant(config_of(kApp), kContent);
  const auto got = rig->open(kApp)->get(config_of(kApp), id_of("absent"), soon());
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::not_found) << got.error().text();
}

TEST_P(Conformance, KeepsTypesAppsAndTenantsApart) {
  const auto id = rig->plant(secret_of(kApp), kContent);
  rig->plant(config_of("name:other"), "mine");
  rig->plant(config_of(kApp, "acme"), "mine too");
  const auto as_config = rig->open(kApp)->get(config_of(kApp), id, soon());
  const auto by_other = rig->open("name:other")->get(secret_of("name:other"), id, soon());
  const auto by_tenant = rig->open(kApp, "acme")->get(secret_of(kApp, "acme"), id, soon());
  for (const auto* got : {&as_config, &by_other, &by_tenant}) {
    ASSERT_FALSE(*got);
    EXPECT_EQ(got->error().code, Code::not_found) << got->error().text();
  }
  EXPECT_TRUE(rig->open(kApp)->get(secret_of(kApp), id, soon()));
}

TEST_P(Conformance, ServesOnlyWhomItWasOpenedFor) {
  const auto id = rig->plant(config_of(kApp), kContent);
  auto other = rig->open("name:other");
  const auto got = other->get(config_of(kApp), id, soon());
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::denied);
  const auto put = other->put(config_of(kApp, "acme"), base::as_bytes("x"), soon());
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, Code::denied);
  EXPECT_FALSE(other->list(config_of(kApp), soon()));
}

TEST_P(Conformance, NamesWhatIsCorrupt) {
  const auto id = rig->plant(config_of(kApp), kContent);
  rig->damage(config_of(kApp), id);
  const auto got = rig->open(kApp)->get(config_of(kApp), id, soon());
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::corrupt) << got.error().text();
}

TEST_P(Conformance, AFailureIsNotAnAnswer) {
  const auto id = rig->plant(config_of(kApp), kContent);
  rig->break_down();
  auto store = rig->open(kApp);
  const auto got = store->get(config_of(kApp), id, soon());
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::unavailable) << got.error().text();
  const auto checked = store->check(soon());
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, Code::unavailable) << checked.error().text();
}

TEST_P(Conformance, ChecksItsHealth) {
  rig->plant(config_of(kApp), kContent);
  const auto checked = rig->open(kApp)->check(soon());
  EXPECT_TRUE(checked) << checked.error().text();
}

TEST_P(Conformance, TakesNoForgedRecordOfOwnership) {
  if (!rig->writes()) return;
  // Otherwise one app could claim another's blob by storing the record's text as a blob of its own.
  const auto marker = marker_of(config_of("name:thief"), id_of(kContent));
  const auto put = rig->open("name:thief")->put(config_of("name:thief"), marker, soon());
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, Code::denied);
}

TEST_P(Conformance, RefusesWhatIsTooLarge) {
  if (!rig->writes()) return;
  auto context = rig->context(kApp);
  context.max_bytes = 10;
  const auto put = (*open_store(rig->uri(), context))->put(config_of(kApp), base::as_bytes("eleven bytes"), soon());
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, Code::too_large);
}

TEST_P(Conformance, ListsItsOwnIdsOrSaysThatItCannot) {
  const auto one = rig->plant(config_of(kApp), "one");
  const auto two = rig->plant(config_of(kApp), "two");
  rig->plant(secret_of(kApp), "three");
  rig->plant(config_of("name:other"), "four");
  auto listed = rig->open(kApp)->list(config_of(kApp), soon());
  if (!rig->lists()) {
    ASSERT_FALSE(listed);
    EXPECT_EQ(listed.error().code, Code::usage);
    return;
  }
  ASSERT_TRUE(listed) << listed.error().text();
  std::vector<base::Digest32> expected{one, two};
  std::sort(expected.begin(), expected.end());
  std::sort(listed->begin(), listed->end());
  EXPECT_EQ(*listed, expected);
}

TEST_P(Conformance, AnEmptyPlaceListsNothing) {
  rig->plant(config_of("name:other"), "something");
  const auto listed = rig->open(kApp)->list(config_of(kApp), soon());
  if (rig->lists()) {
    ASSERT_TRUE(listed) << listed.error().text();
    EXPECT_TRUE(listed->empty());
  }
}

TEST_P(Conformance, KeepsSealedBytesOrRefuses) {
  if (!rig->writes()) return;
  TemporaryFolder keys;
  auto sealer = open_tenant_sealer(keys.path(), crypto::Secret{32}, crypto::system_random());
  ASSERT_TRUE(sealer);
  auto context = rig->context(kApp);
  context.sealer = sealer->get();
  auto store = open_store(rig->uri(), context);
  ASSERT_TRUE(store);
  const auto put = (*store)->put(config_of(kApp), base::as_bytes(kContent), soon());
  if (!rig->seals()) {
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, Code::usage);
    return;
  }
  ASSERT_TRUE(put) << put.error().text();
  const auto got = (*store)->get(config_of(kApp), *put, soon());
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(text_of(*got), kContent);
  // Without the keys it is there, and cannot be read.
  const auto bare = rig->open(kApp)->get(config_of(kApp), *put, soon());
  ASSERT_FALSE(bare);
  EXPECT_EQ(bare.error().code, Code::configuration);
}

INSTANTIATE_TEST_SUITE_P(Backends, Conformance,
                         ::testing::Values(backend<FileRig>("File"), backend<S3Rig>("S3"), backend<IpfsRig>("Ipfs"),
                                           backend<OnchainRig>("Onchain"), backend<GithubRig>("Github"),
                                           backend<VaultRig>("Vault")),
                         [](const auto& each) { return std::string{each.param.name}; });

}  // namespace
}  // namespace attestry::blobs::testing
