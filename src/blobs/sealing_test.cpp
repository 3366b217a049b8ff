#include "blobs/sealing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "blobs/internal/test_rigs.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

namespace attestry::blobs::testing {
namespace {

using base::Code;

const base::Tenant kTenant = base::Tenant::standard();
const base::Tenant kOther = *base::Tenant::parse("other");

base::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(30); }
base::Bytes bytes(std::string_view text) { return base::to_bytes(text); }

class Epochs final : public SealerEpochs {
 public:
  mutable std::uint32_t now = 0;
  std::uint32_t oldest = 0;
  mutable std::uint32_t changes = 0;  ///< so many times it changes directly after it was asked
  base::Result<std::uint32_t> current(const base::Tenant&) const override {
    if (changes == 0) return now;
    --changes;
    return now++;
  }
  base::Status readable(const base::Tenant&, std::uint32_t epoch) const override {
    if (epoch < oldest) return base::Error{Code::denied, "retired"};
    return base::done();
  }
  base::Result<crypto::Secret> key(const base::Tenant&, std::uint32_t epoch) const override {
    return crypto::Secret::copy_of(base::Bytes(32, static_cast<std::uint8_t>(epoch)));
  }
};

class SealingTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  Epochs epochs_;
  std::string keys_ = folder_.path() + "/keys";
  std::unique_ptr<Sealer> sealer_ =
      *open_tenant_sealer(keys_, crypto::Secret::copy_of(base::Bytes(32, 9)), crypto::system_random(), &epochs_);

  std::string opened(const base::Tenant& tenant, std::string_view record, base::ByteView sealed) const {
    const auto plain = sealer_->open(tenant, base::as_bytes(record), sealed);
    return plain ? std::string{base::as_text(plain->reveal())} : std::string{base::slug(plain.error().code)};
  }
};

TEST_F(SealingTest, EveryEpochIsReadableUntilItIsRetired) {
  const auto first = *sealer_->seal(kTenant, base::as_bytes("r"), bytes("plain"));
  epochs_.now = 3;
  const auto later = *sealer_->seal(kTenant, base::as_bytes("r"), bytes("plain"));
  EXPECT_EQ(sealed_epoch(first), 0U);
  EXPECT_EQ(sealed_epoch(later), 3U);
  EXPECT_EQ(sealed_epoch(bytes("plain")), std::nullopt);
  EXPECT_FALSE(sealed_for_another(later, kTenant));
  EXPECT_TRUE(sealed_for_another(later, kOther));
  EXPECT_EQ(opened(kTenant, "r", first), "plain");
  EXPECT_EQ(opened(kTenant, "r", later), "plain");
  EXPECT_EQ(opened(kTenant, "another", later), "corrupt");
  EXPECT_EQ(opened(kOther, "r", later), "corrupt");
  for (std::size_t i = 0; i < later.size(); ++i) {
    auto changed = later;
    changed[i] ^= 1;
    EXPECT_NE(opened(kTenant, "r", changed), "plain") << i;
  }
  epochs_.oldest = 3;
  EXPECT_EQ(opened(kTenant, "r", first), "denied");
  EXPECT_EQ(opened(kTenant, "r", later), "plain");
}

/// As it was: a random nonce under the key itself.
base::Bytes sealed_before(base::Bytes head, base::ByteView key, base::ByteView plain, base::ByteView aad) {
  const base::Bytes nonce(12, 5);
  base::append(head, nonce);
  base::append(head, *crypto::aes256gcm_seal(key, nonce, plain, aad));
  return head;
}

TEST_F(SealingTest, WhatWasSealedUnderTheKeyItselfOpensAndIsWrittenAnew) {
  const base::Bytes key(32, 4);
  const auto labelled = [](std::string_view label) {
    base::LpWriter out;
    out.lp(label);
    return out;
  };
  std::filesystem::create_directories(keys_);
  const auto wrapped =
      sealed_before(bytes("ATB1"), base::Bytes(32, 9), key,
                    labelled("attestry-blob-key-v1").lp(kTenant.text()).lp(std::string_view{}).bytes());
  std::ofstream(keys_ + "/" + kTenant.text() + ".key", std::ios::binary) << base::as_text(wrapped);
  const auto first = sealed_before(bytes("ATB1"), key, bytes("plain"),
                                   labelled("attestry-blob-v1").lp(kTenant.text()).lp(std::string_view{"r"}).bytes());
  EXPECT_EQ(sealed_epoch(first), 0U);
  EXPECT_EQ(opened(kTenant, "r", first), "plain");
  EXPECT_EQ(opened(kTenant, "another", first), "corrupt");
  base::LpWriter head;
  head.raw(bytes("ATB2")).u32(3).raw(base::ByteView{crypto::sha256(base::as_bytes(kTenant.text()))}.first(8));
  const auto later =
      sealed_before(base::to_bytes(head.bytes()), base::Bytes(32, 3), bytes("plain"),
                    labelled("attestry-blob-v2").u32(3).lp(kTenant.text()).lp(std::string_view{"r"}).bytes());
  EXPECT_EQ(sealed_epoch(later), 3U);
  EXPECT_TRUE(sealed_for_another(later, kOther));
  EXPECT_EQ(opened(kTenant, "r", later), "plain");
  const auto now = *sealer_->seal(kTenant, base::as_bytes("r"), bytes("plain"));
  ASSERT_EQ(base::as_text(now).substr(0, 4), "ATB3");
  base::LpWriter info;
  info.lp("attestry/sealed-blob/2");
  const auto one = crypto::hkdf_sha256(base::ByteView{now}.subspan(4, 24), key, info.bytes(), 44);
  const auto plain =
      crypto::aes256gcm_open(one.reveal().first(32), one.reveal().subspan(32), base::ByteView{now}.subspan(28),
                             labelled("attestry-blob-v1").lp(kTenant.text()).lp(std::string_view{"r"}).bytes());
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(base::as_text(plain->reveal()), "plain");
}

TEST_F(SealingTest, FilesAreSealedAnewInOrderAndEachOnce) {
  const base::AppRef app = *base::AppRef::parse("name:a-web-app");
  const StoreContext context{.tenant = kTenant, .app = app, .file_root = folder_.path(), .sealer = sealer_.get()};
  const auto files = folder_.path() + "/blobs";
  std::filesystem::create_directories(files);
  const auto store = *open_store("file://./blobs/", context);
  std::vector<base::Digest32> ids;
  for (int i = 0; i < 5; ++i)
    ids.push_back(*store->put({kTenant, app, i % 2 == 0 ? Type::config : Type::secret},
                              bytes("blob " + std::to_string(i)), soon()));
  EXPECT_EQ(*files_older_than(files, kTenant, 0), 0U);
  epochs_.now = 1;
  EXPECT_EQ(*files_older_than(files, kTenant, 1), 5U);
  EXPECT_EQ(*files_older_than(files, kOther, 1), 0U);
  const auto all = *files_of(files, kTenant);
  ASSERT_EQ(all.size(), 5U);
  EXPECT_TRUE(std::ranges::is_sorted(all));
  EXPECT_EQ(files_of(files, kOther)->size(), 0U);
  EXPECT_EQ(*reseal_files(files, kTenant, *sealer_, 1, std::span{all}.first(2)), 2U);
  const auto rest = *files_of(files, kTenant, all[1]);
  EXPECT_EQ(rest, std::vector<std::string>(all.begin() + 2, all.end()));
  EXPECT_EQ(*files_older_than(files, kTenant, 1), 3U);
  EXPECT_EQ(*reseal_files(files, kTenant, *sealer_, 1, rest), 3U);
  EXPECT_EQ(*files_older_than(files, kTenant, 1), 0U);
  EXPECT_EQ(*reseal_files(files, kTenant, *sealer_, 1, all), 0U) << "what is done is passed over";
  epochs_.oldest = 1;
  ASSERT_TRUE(erase_tenant_key(keys_, kTenant).ok());
  ASSERT_TRUE(erase_tenant_key(keys_, kTenant).ok()) << "it may be gone already";
  EXPECT_FALSE(std::filesystem::exists(keys_ + "/default.key"));
  for (int i = 0; i < 5; ++i) {
    const auto found =
        store->get({kTenant, app, i % 2 == 0 ? Type::config : Type::secret}, ids[static_cast<std::size_t>(i)], soon());
    ASSERT_TRUE(found.ok()) << found.error().text();
    EXPECT_EQ(*found, bytes("blob " + std::to_string(i)));
  }
}

TEST_F(SealingTest, AKeyThatWasErasedIsForgotten) {
  const auto first = *sealer_->seal(kTenant, base::as_bytes("r"), bytes("plain"));
  const auto others = *sealer_->seal(kOther, base::as_bytes("r"), bytes("plain"));
  ASSERT_TRUE(erase_tenant_key(keys_, kTenant).ok());
  ASSERT_TRUE(erase_tenant_key(keys_, kOther).ok());
  EXPECT_EQ(opened(kTenant, "r", first), "plain") << "from memory";
  sealer_->forget(kTenant);
  EXPECT_EQ(opened(kTenant, "r", first), "corrupt");
  EXPECT_EQ(opened(kOther, "r", others), "plain");
}

// A write that hangs while the keys change twice: the sweep has not seen its file, and the old key is gone.
TEST_F(SealingTest, WhatWasWrittenUnderAnOldKeyIsSealedAgainBeforeItCounts) {
  const base::AppRef app = *base::AppRef::parse("name:web");
  const StoreContext context{.tenant = kTenant, .app = app, .file_root = folder_.path(), .sealer = sealer_.get()};
  std::filesystem::create_directories(folder_.path() + "/blobs");
  const auto store = *open_store("file://./blobs/", context);
  epochs_.now = 1;
  epochs_.changes = 1;
  const auto id = store->put({kTenant, app, Type::config}, bytes("late"), soon());
  ASSERT_TRUE(id.ok());
  EXPECT_EQ(epochs_.now, 2U);
  epochs_.oldest = 2;
  const auto found = store->get({kTenant, app, Type::config}, *id, soon());
  ASSERT_TRUE(found.ok()) << found.error().text();
  EXPECT_EQ(*found, bytes("late"));
}

TEST_F(SealingTest, FilesOfAnySizeAreCountedByTheirHeads) {
  const auto folder = folder_.path() + "/tenants/default/name-web/configs";
  std::filesystem::create_directories(folder);
  epochs_.now = 1;
  auto sealed = *sealer_->seal(kTenant, base::as_bytes("r"), bytes("x"));
  const auto path = folder + "/" + std::string(64, 'a');
  std::ofstream{path, std::ios::binary}.write(reinterpret_cast<const char*>(sealed.data()),
                                              static_cast<std::streamsize>(sealed.size()));
  std::filesystem::resize_file(path, std::uintmax_t{1} << 32);  // nobody reads four gibibytes
  EXPECT_EQ(*files_older_than(folder_.path(), kTenant, 1), 0U);
  EXPECT_EQ(*files_older_than(folder_.path(), kTenant, 2), 1U);
  epochs_.now = 2;
  const auto all = *files_of(folder_.path(), kTenant);
  EXPECT_EQ(*reseal_files(folder_.path(), kTenant, *sealer_, 2, all), 0U) << "too large to be one, and logged";
}

TEST_F(SealingTest, CachesForgetOnlyWhatIsOlderAndNotAnothers) {
  const auto cache = folder_.path() + "/cache";
  std::filesystem::create_directories(cache);
  const auto write = [&](const std::string& name, const base::Bytes& content) {
    std::ofstream{cache + "/" + name} << base::as_text(content);
  };
  write("nobodys", *sealer_->seal(kTenant, base::as_bytes("r"), bytes("x")));
  epochs_.now = 1;
  write("older", *sealer_->seal(kTenant, base::as_bytes("r"), bytes("x")));
  write("anothers", *sealer_->seal(kOther, base::as_bytes("r"), bytes("x")));
  epochs_.now = 2;
  write("present", *sealer_->seal(kTenant, base::as_bytes("r"), bytes("x")));
  ASSERT_TRUE(drop_cached(cache, kTenant, 2).ok());
  ASSERT_TRUE(drop_cached(folder_.path() + "/absent", kTenant, 2).ok());
  EXPECT_FALSE(std::filesystem::exists(cache + "/nobodys"));
  EXPECT_FALSE(std::filesystem::exists(cache + "/older"));
  EXPECT_TRUE(std::filesystem::exists(cache + "/anothers"));
  EXPECT_TRUE(std::filesystem::exists(cache + "/present"));
}

}  // namespace
}  // namespace attestry::blobs::testing
