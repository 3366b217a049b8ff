#include "keys/root_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/encoding.h"
#include "state/testing/support.h"

namespace attestry::keys {
namespace {

using base::Code;
using base::Realm;
using ::testing::HasSubstr;

constexpr const char* kOrigin = "log.example/attestry";

template <class T>
void refused(const base::Result<T>& result, Code code, std::string_view reason) {
  ASSERT_FALSE(result.ok()) << "expected: " << reason;
  EXPECT_EQ(result.error().code, code) << result.error().text();
  EXPECT_THAT(result.error().text(), HasSubstr(std::string{reason}));
}

Unlock key_file(std::uint8_t byte = 0x2a) {
  return {Unlock::Kind::key_file, crypto::Secret::copy_of(base::Bytes(32, byte))};
}
Unlock passphrase(std::string_view text) {
  return {Unlock::Kind::passphrase, crypto::Secret::copy_of(base::as_bytes(text))};
}

std::string all_keys(const ServiceKeys& keys) {
  std::string out;
  for (const auto* key : {&keys.root, &keys.challenge_mac, &keys.log_seed, &keys.token_seed, &keys.sealing})
    out += base::hex(key->reveal()) + " ";
  return out;
}

class RootFileTest : public ::testing::Test {
 protected:
  std::string read() const {
    std::ifstream in{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  void write(const std::string& name, std::string_view text, ::mode_t mode = 0600) const {
    std::ofstream{name, std::ios::binary} << text;
    ASSERT_EQ(::chmod(name.c_str(), mode), 0);
  }
  base::Result<RootFile> create(const Unlock& unlock, Realm realm = Realm::production) {
    return create_root_file(path, realm, kOrigin, unlock, random);
  }

  state::testing::TempFolder folder;
  std::string path = folder.file("root.json");
  crypto::SeededRandom random{base::as_bytes("root file")};
};

TEST_F(RootFileTest, GivesTheSameKeysAgain) {
  const auto made = create(key_file());
  ASSERT_TRUE(made.ok()) << made.error().text();
  const auto opened = open_root_file(path, Realm::production, key_file());
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  EXPECT_EQ(opened->origin, kOrigin);
  EXPECT_EQ(opened->realm, Realm::production);
  EXPECT_EQ(all_keys(opened->keys), all_keys(made->keys));
  // Five keys, all random, no two alike.
  EXPECT_NE(all_keys(made->keys).substr(0, 64), all_keys(made->keys).substr(65, 64));
  EXPECT_EQ(all_keys(made->keys).find(base::hex(base::Bytes(32))), std::string::npos);
}

// Both files were made by Python (hmac, hashlib.scrypt, cryptography's AESGCM): keys 01…01 to 05…05, salt 00 01 …,
// nonce 00 01 ….
constexpr std::string_view kHead = R"({"format":1,"nonce":"AAECAwQFBgcICQoL","origin":"log.example/attestry",)"
                                   R"("realm":"production","salt":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",)";
constexpr std::string_view kKeyFileSealed =
    "qdDx1rukaOmMfRVP1z6cOroQaSGLgNu83eyANtylqmFTWCkWN5yhTc4eE9P01KSnXDy3o4eSxSsIZv2BdcJVMNkQv8oabepVBUNf"
    "r64SlIHIGyhAD5yrdmX9LhghZjYasaRAn6eun6SBdawNe5EurjYTUnalRVcJ_tb0Mxim4VOz7VDfCDAfDZpSZnyQ4GaSOmL4jGJ_"
    "2ZQEbdZlsADmIcdmccIkDbaGGLvQ4kc4TIs";
constexpr std::string_view kScryptSealed =
    "LNopMEGnvmkUsvpslGkLS78ykshcUEkTxXCkMIV_CelQ87zdIzG86aiQCmgjWZwzdwZ6LYP6BR3XuzSbFLp49NDJVjWhaQ8MLy9N"
    "IWX9s4WtzlFLxL1bduVi-ydY5-GRsdG2mqrJHPNK8f4VFMddWWs4vx7cs-6q17VrpGoIDgZlbRmrqhY5XFg0Twvmplmmuh8i2Hth"
    "Ou9BAhFM8tR8p6KjIDjKoH_M5i3OfRBXDms";

std::string made_by_python(std::string_view kind, std::string_view sealed) {
  return std::string{kHead} + R"("kind":")" + std::string{kind} + R"(","sealed":")" + std::string{sealed} + "\"}";
}

TEST_F(RootFileTest, OpensFilesThatAnotherProgramMade) {
  std::string expected;
  for (std::uint8_t i = 1; i <= 5; ++i) expected += base::hex(base::Bytes(32, i)) + " ";
  write(path, made_by_python("key-file", kKeyFileSealed));
  const auto by_key = open_root_file(path, Realm::production, key_file());
  ASSERT_TRUE(by_key.ok()) << by_key.error().text();
  EXPECT_EQ(all_keys(by_key->keys), expected);
  write(path, made_by_python("scrypt", kScryptSealed));
  const auto by_passphrase = open_root_file(path, Realm::production, passphrase("correct horse"));
  ASSERT_TRUE(by_passphrase.ok()) << by_passphrase.error().text();
  EXPECT_EQ(all_keys(by_passphrase->keys), expected);
  refused(open_root_file(path, Realm::production, passphrase("correct horsE")), Code::wrong_key,
          "does not open with this passphrase");
}

TEST_F(RootFileTest, OpensOnlyWithItsOwnKey) {
  ASSERT_TRUE(create(key_file()).ok());
  const auto before = read();
  refused(open_root_file(path, Realm::production, key_file(0x2b)), Code::wrong_key, "does not open with this key file");
  refused(open_root_file(path, Realm::production, passphrase("x")), Code::wrong_key, "wrapped another way");
  const Unlock short_key{Unlock::Kind::key_file, crypto::Secret::copy_of(base::Bytes(31, 0x2a))};
  refused(open_root_file(path, Realm::production, short_key), Code::configuration, "too short");
  EXPECT_EQ(read(), before);
}

TEST_F(RootFileTest, BelongsToOneRealmForEver) {
  ASSERT_TRUE(create(key_file(), Realm::simulated).ok());
  refused(open_root_file(path, Realm::production, key_file()), Code::realm_mismatch, "another realm");
  // Writing the other realm into the file does not help: the header is authenticated.
  auto text = read();
  text.replace(text.find("simulated"), 9, "production");
  write(path, text);
  refused(open_root_file(path, Realm::production, key_file()), Code::wrong_key, "does not open");
}

TEST_F(RootFileTest, IsNeverOverwritten) {
  ASSERT_TRUE(create(key_file()).ok());
  const auto before = read();
  refused(create(key_file(1)), Code::conflict, "cannot create");
  EXPECT_EQ(read(), before);
  // Nor is whatever else has the name, and no draft stays behind.
  const auto empty = folder.file("empty");
  write(empty, "");
  refused(create_root_file(empty, Realm::production, kOrigin, key_file(), random), Code::conflict, "cannot create");
  const auto dangling = folder.file("dangling");
  ASSERT_EQ(::symlink("nowhere", dangling.c_str()), 0);
  refused(create_root_file(dangling, Realm::production, kOrigin, key_file(), random), Code::conflict, "cannot create");
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator{folder.path()}) ++files;
  EXPECT_EQ(files, 3u);
}

TEST_F(RootFileTest, IsMadeOnceWhenManyTry) {
  std::atomic<int> made = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      if (create(key_file(static_cast<std::uint8_t>(i))).ok()) ++made;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
}

TEST_F(RootFileTest, IsForItsOwnerAlone) {
  ASSERT_TRUE(create(key_file()).ok());
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  for (const ::mode_t mode : {0640u, 0604u, 0620u, 0601u}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    refused(open_root_file(path, Realm::production, key_file()), Code::configuration,
            "can be read or written by others");
  }
}

TEST_F(RootFileTest, WhatIsNoRegularFileIsRefused) {
  refused(open_root_file(path, Realm::production, key_file()), Code::not_found, "cannot open");
  refused(open_root_file(folder.path(), Realm::production, key_file()), Code::io, "not a regular file");
  ASSERT_TRUE(create(key_file()).ok());
  const auto link = folder.file("link");
  ASSERT_EQ(::symlink(path.c_str(), link.c_str()), 0);
  refused(open_root_file(link, Realm::production, key_file()), Code::io, "cannot open");
  const auto pipe = folder.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  refused(open_root_file(pipe, Realm::production, key_file()), Code::io, "not a regular file");
}

TEST_F(RootFileTest, NoAlteredByteOpens) {
  const auto made = create(key_file());
  ASSERT_TRUE(made.ok());
  const auto good = read();
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int flip : {0x01, 0x20}) {
      auto altered = good;
      altered[i] = static_cast<char>(altered[i] ^ flip);
      write(path, altered);
      const auto opened = open_root_file(path, Realm::production, key_file());
      if (opened.ok()) {
        // Only the white space around members is not under the authentication.
        EXPECT_TRUE(good[i] == ' ' || good[i] == '\n') << i << ": " << altered;
        EXPECT_EQ(all_keys(opened->keys), all_keys(made->keys));
        continue;
      }
      const auto code = opened.error().code;
      EXPECT_TRUE(code == Code::corrupt || code == Code::wrong_key || code == Code::realm_mismatch)
          << i << ": " << opened.error().text();
    }
  }
  write(path, good.substr(0, good.size() / 2));
  refused(open_root_file(path, Realm::production, key_file()), Code::corrupt, "json");
  write(path, "");
  refused(open_root_file(path, Realm::production, key_file()), Code::corrupt, "json");
  write(path, std::string(64 * 1024 + 1, ' '));
  refused(open_root_file(path, Realm::production, key_file()), Code::too_large, "too large");
}

class UnlockTest : public RootFileTest {};

TEST_F(UnlockTest, ReadsFilesDescriptorsAndCredentials) {
  const auto file = folder.file("secret");
  write(file, "hunter2\r\n");
  const auto source = "file:" + file;
  EXPECT_EQ(base::as_text(read_unlock(Unlock::Kind::passphrase, source)->secret.reveal()), "hunter2");
  // A key file is bytes: nothing is cut.
  EXPECT_EQ(base::as_text(read_unlock(Unlock::Kind::key_file, source)->secret.reveal()), "hunter2\r\n");

  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  const auto by_fd = read_unlock(Unlock::Kind::passphrase, "fd:" + std::to_string(fd));
  ASSERT_TRUE(by_fd.ok()) << by_fd.error().text();
  EXPECT_EQ(base::as_text(by_fd->secret.reveal()), "hunter2");
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1) << "the descriptor is closed once it was read";

  ASSERT_EQ(::setenv("CREDENTIALS_DIRECTORY", folder.path().c_str(), 1), 0);
  EXPECT_EQ(base::as_text(read_unlock(Unlock::Kind::passphrase, "credential:secret")->secret.reveal()), "hunter2");
  refused(read_unlock(Unlock::Kind::passphrase, "credential:../secret"), Code::configuration, "systemd credential");
  refused(read_unlock(Unlock::Kind::passphrase, "credential:other"), Code::not_found, "cannot open");
  ASSERT_EQ(::unsetenv("CREDENTIALS_DIRECTORY"), 0);
  refused(read_unlock(Unlock::Kind::passphrase, "credential:secret"), Code::configuration, "systemd credential");
}

TEST_F(UnlockTest, RefusesWhatIsNoSecret) {
  const auto file = folder.file("secret");
  write(file, "\n");
  refused(read_unlock(Unlock::Kind::passphrase, "file:" + file), Code::configuration, "empty");
  write(file, "hunter2", 0644);
  refused(read_unlock(Unlock::Kind::passphrase, "file:" + file), Code::configuration, "can be read or written");
  write(file, std::string(64 * 1024 + 1, 'x'));
  refused(read_unlock(Unlock::Kind::key_file, "file:" + file), Code::too_large, "too large");
  for (const char* bad : {"", "file:", "hunter2", "env:HOME", "fd:", "fd:x", "fd:-1", "fd:3x", "fd:99999999999"})
    refused(read_unlock(Unlock::Kind::passphrase, bad), Code::configuration, "");
  refused(read_unlock(Unlock::Kind::passphrase, "file:" + folder.file("nothing")), Code::not_found, "cannot open");
}

}  // namespace
}  // namespace attestry::keys
