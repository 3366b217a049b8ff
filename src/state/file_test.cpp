#include "state/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "state/testing/support.h"

namespace attestry::state {
namespace {

using base::as_bytes;
using base::Code;

TEST(ReplaceFile, WritesAndReplaces) {
  const testing::TempFolder folder;
  const std::string path = folder.file("checkpoint");
  Files& files = system_files();
  auto none = files.read(path, 100);
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->has_value());
  ASSERT_TRUE(replace_file(files, path, as_bytes("one, longer")).ok());
  ASSERT_TRUE(replace_file(files, path, as_bytes("two")).ok());
  const auto found = files.read(path, 100);
  ASSERT_TRUE(found.ok() && *found);
  EXPECT_EQ(base::as_text(**found), "two");
  EXPECT_EQ(files.read(path, 2).error().code, Code::too_large);
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
}

/// What lies at `path`.new, by content; "" when nothing does.
std::string content_of(const std::string& path) {
  const auto found = system_files().read(path, 100);
  return found.ok() && *found ? std::string{base::as_text(**found)} : std::string{};
}

TEST(ReplaceFile, LeavesNothingBeside) {
  const testing::TempFolder folder;
  const std::string path = folder.file("secret");
  ASSERT_TRUE(replace_file(system_files(), path, as_bytes("one")).ok());
  ASSERT_TRUE(replace_file(system_files(), path, as_bytes("two")).ok());
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

TEST(AlternateFile, TwoFilesTakeTurns) {
  const testing::TempFolder folder;
  const std::string path = folder.file("checkpoint");
  for (const char* text : {"1", "2, longer", "3", "4"}) {
    ASSERT_TRUE(alternate_file(system_files(), path, as_bytes(text)).ok());
    EXPECT_EQ(content_of(path), text);
  }
  EXPECT_EQ(content_of(path + ".new"), "3");
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms{0600});
}

TEST(AlternateFile, NothingOfALongerContentStays) {
  const testing::TempFolder folder;
  const std::string path = folder.file("checkpoint");
  for (const std::size_t size : {90U, 30U, 30U, 30U, 20U, 95U, 0U, 0U, 7U, 7U, 1U}) {
    const std::string content(size, static_cast<char>('a' + size % 26));
    ASSERT_TRUE(alternate_file(system_files(), path, as_bytes(content)).ok());
    EXPECT_EQ(content_of(path), content);
  }
}

TEST(AlternateFile, WhoHasTheFileOpenReadsOnUndisturbed) {
  const testing::TempFolder folder;
  const std::string path = folder.file("checkpoint");
  ASSERT_TRUE(alternate_file(system_files(), path, as_bytes("one")).ok());
  std::ifstream reader(path);
  ASSERT_TRUE(alternate_file(system_files(), path, as_bytes("two")).ok());
  ASSERT_TRUE(alternate_file(system_files(), path, as_bytes("three")).ok());
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(reader), {}), "one");
  EXPECT_EQ(content_of(path), "three");
}

TEST(AlternateFile, NeverWritesThroughWhatSomebodyElsePutThere) {
  const testing::TempFolder folder;
  const std::string path = folder.file("checkpoint"), draft = path + ".new", theirs = folder.file("theirs");
  const auto put_theirs = [&] {
    std::ofstream{theirs} << "theirs";
    std::filesystem::permissions(theirs, std::filesystem::perms{0600});
    std::filesystem::remove(draft);
  };
  put_theirs();
  std::filesystem::create_symlink(theirs, draft);
  ASSERT_TRUE(alternate_file(system_files(), path, as_bytes("one")).ok());
  put_theirs();
  std::filesystem::create_hard_link(theirs, draft);
  ASSERT_TRUE(alternate_file(system_files(), path, as_bytes("two")).ok());
  EXPECT_EQ(content_of(theirs), "theirs");
  EXPECT_EQ(content_of(path), "two");
  // Readable by others: that file would show the next content to them.
  std::filesystem::remove(draft);
  std::ofstream{draft} << "open";
  std::filesystem::permissions(draft, std::filesystem::perms{0644});
  ASSERT_TRUE(alternate_file(system_files(), path, as_bytes("three")).ok());
  EXPECT_EQ(content_of(path), "three");
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms{0600});
}

TEST(ReplaceFile, SaysWhereItFailed) {
  const testing::TempFolder folder;
  const auto status = replace_file(system_files(), folder.file("absent/checkpoint"), as_bytes("x"));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::io);
  EXPECT_NE(status.error().text().find("absent/checkpoint"), std::string::npos);
}

/// Fails at the n-th operation and notes what was asked.
class FailingFiles final : public Files {
 public:
  explicit FailingFiles(int fail_at) : left_(fail_at) {}
  base::Result<std::optional<base::Bytes>> read(const std::string&, std::size_t) override {
    return std::optional<base::Bytes>{};
  }
  base::Result<std::unique_ptr<OutputFile>> create(const std::string&) override {
    TRY_OK(next("create"));
    return std::unique_ptr<OutputFile>(std::make_unique<File>(*this));
  }
  base::Status rename(const std::string&, const std::string&) override { return next("rename"); }
  base::Status sync_folder(const std::string&) override { return next("sync_folder"); }
  std::vector<std::string> log;

 private:
  struct File final : OutputFile {
    explicit File(FailingFiles& o) : owner(o) {}
    base::Status write(base::ByteView) override { return owner.next("write"); }
    base::Status sync() override { return owner.next("sync"); }
    FailingFiles& owner;
  };
  base::Status next(const char* what) {
    log.emplace_back(what);
    if (left_-- == 0) return base::Error{Code::io, what};
    return base::done();
  }
  int left_;
};

TEST(ReplaceFile, SyncsTheBytesBeforeTheNameAndTheFolderLast) {
  FailingFiles files(99);
  ASSERT_TRUE(replace_file(files, "/data/checkpoint", as_bytes("x")).ok());
  EXPECT_EQ(files.log, (std::vector<std::string>{"create", "write", "sync", "rename", "sync_folder"}));
}

TEST(ReplaceFile, EveryFailureIsReported) {
  for (int at = 0; at < 5; ++at) {
    FailingFiles files(at);
    EXPECT_FALSE(replace_file(files, "/data/checkpoint", as_bytes("x")).ok()) << at;
    EXPECT_EQ(files.log.size(), static_cast<std::size_t>(at) + 1) << at;
  }
}

}  // namespace
}  // namespace attestry::state
