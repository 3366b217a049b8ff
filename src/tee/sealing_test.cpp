// One door, many devices: what every sealing device must do, on a TPM that runs (swtpm), on files as Gramine shows
// them, on a guest agent's socket, and on a key file.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "base/encoding.h"
#include "net/router.h"
#include "net/server.h"
#include "tee/keyed_sealing.h"
#include "tee/tpm_sealing.h"

extern char** environ;

namespace attestry::tee {
namespace {

using base::Code;
using ::testing::HasSubstr;

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "attestry-tee-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// A TPM of its own, a process that ends with the object.
class SoftTpm {
 public:
  SoftTpm() {
    ::setenv("TSS2_LOG", "all+NONE", 0);  // it logs every connection that is tried
    for (int attempt = 0; attempt < 50 && pid_ == 0; ++attempt) start();
    if (pid_ == 0) std::abort();
  }
  SoftTpm(const SoftTpm&) = delete;
  SoftTpm& operator=(const SoftTpm&) = delete;
  ~SoftTpm() { stop(); }
  std::string tcti() const { return "swtpm:host=127.0.0.1,port=" + std::to_string(port_); }
  void stop() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  void extend(unsigned pcr) {
    with([pcr](ESYS_CONTEXT* esys) {
      TPML_DIGEST_VALUES values{};
      values.count = 1;
      values.digests[0].hashAlg = TPM2_ALG_SHA256;
      values.digests[0].digest.sha256[0] = 1;
      return Esys_PCR_Extend(esys, ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &values);
    });
  }
  /// As firmware does it: from the next start on, PCRs have no other bank.
  void allocate_sha384_alone() {
    with([](ESYS_CONTEXT* esys) {
      TPML_PCR_SELECTION banks{};
      for (const TPM2_ALG_ID hash : {TPM2_ALG_SHA1, TPM2_ALG_SHA256, TPM2_ALG_SHA384, TPM2_ALG_SHA512}) {
        auto& bank = banks.pcrSelections[banks.count++];
        bank.hash = hash;
        bank.sizeofSelect = 3;
        std::fill_n(bank.pcrSelect, 3, hash == TPM2_ALG_SHA384 ? 0xFF : 0);
      }
      TPMI_YES_NO done = 0;
      UINT32 most = 0, needed = 0, available = 0;
      const auto rc = Esys_PCR_Allocate(esys, ESYS_TR_RH_PLATFORM, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &banks,
                                        &done, &most, &needed, &available);
      EXPECT_EQ(done, TPM2_YES);
      return rc;
    });
    stop();
    start();
  }
  void set_owner_password() {
    with([](ESYS_CONTEXT* esys) {
      TPM2B_AUTH password{};
      password.size = 1;
      password.buffer[0] = 'x';
      return Esys_HierarchyChangeAuth(esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &password);
    });
  }

 private:
  void with(const std::function<TSS2_RC(ESYS_CONTEXT*)>& command) {
    TSS2_TCTI_CONTEXT* tcti = nullptr;
    ESYS_CONTEXT* esys = nullptr;
    ASSERT_EQ(Tss2_TctiLdr_Initialize(this->tcti().c_str(), &tcti), TSS2_RC_SUCCESS);
    ASSERT_EQ(Esys_Initialize(&esys, tcti, nullptr), TSS2_RC_SUCCESS);
    EXPECT_EQ(command(esys), TSS2_RC_SUCCESS);
    Esys_Finalize(&esys);
    Tss2_TctiLdr_Finalize(&tcti);
  }
  /// Two free ports in a row: the one for commands, and the one after it for control, as the TCTI expects them.
  static unsigned free_ports() {
    const auto bind_to = [](unsigned port, unsigned& got) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      address.sin_port = htons(static_cast<std::uint16_t>(port));
      socklen_t size = sizeof address;
      const bool good = fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
      got = ntohs(address.sin_port);
      return std::pair{fd, good};
    };
    for (;;) {
      unsigned port = 0, next = 0;
      const auto [first, good] = bind_to(0, port);
      const auto [second, also] = bind_to(port + 1, next);
      ::close(first);
      ::close(second);
      if (good && also && port < 65535) return port;
    }
  }
  void start() {
    port_ = free_ports();
    const std::string state = "dir=" + folder_.file("");
    const std::string server = "type=tcp,port=" + std::to_string(port_) + ",bindaddr=127.0.0.1";
    const std::string control = "type=tcp,port=" + std::to_string(port_ + 1) + ",bindaddr=127.0.0.1";
    std::vector<std::string> words{"setpriv",
                                   "--pdeathsig",
                                   "KILL",  // it ends with this process, however that ends
                                   "swtpm",
                                   "socket",
                                   "--tpm2",
                                   "--tpmstate",
                                   state,
                                   "--server",
                                   server,
                                   "--ctrl",
                                   control,
                                   "--flags",
                                   "not-need-init,startup-clear"};
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ASSERT_EQ(::posix_spawnp(&pid_, "setpriv", nullptr, nullptr, argv.data(), environ), 0) << "install swtpm";
    // It answers, or has ended because somebody else took a port.
    for (;;) {
      TSS2_TCTI_CONTEXT* tcti = nullptr;
      if (Tss2_TctiLdr_Initialize(this->tcti().c_str(), &tcti) == TSS2_RC_SUCCESS) {
        Tss2_TctiLdr_Finalize(&tcti);
        return;
      }
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) break;
      std::this_thread::yield();
    }
    pid_ = 0;
  }
  Folder folder_;
  pid_t pid_ = 0;
  unsigned port_ = 0;
};

/// A machine with one kind of device, which can be taken away; `other` is another machine of that kind.
class Machine {
 public:
  virtual ~Machine() = default;
  virtual std::unique_ptr<crypto::SealingDevice> device() = 0;
  virtual void take_away() = 0;
};

class TpmMachine final : public Machine {
 public:
  std::unique_ptr<crypto::SealingDevice> device() override {
    return std::move(*tpm_sealing({.pcrs = {0, 7}, .tcti = tpm.tcti()}));
  }
  void take_away() override { tpm.stop(); }
  SoftTpm tpm;
};

class SgxMachine final : public Machine {
 public:
  explicit SgxMachine(std::uint8_t number = 1) {
    std::ofstream(folder_.file("_sgx_mrenclave")) << std::string(16, static_cast<char>(number));
  }
  std::unique_ptr<crypto::SealingDevice> device() override {
    return keyed_sealing("sgx-mrenclave", "this enclave", sgx_source(SgxSealing::mrenclave, folder_.file("")),
                         crypto::system_random());
  }
  void take_away() override { std::filesystem::remove(folder_.file("_sgx_mrenclave")); }

 private:
  Folder folder_;
};

class FileMachine final : public Machine {
 public:
  std::unique_ptr<crypto::SealingDevice> device() override {
    return keyed_sealing("key-file", "a file", key_file_source(path(), crypto::system_random()),
                         crypto::system_random());
  }
  void take_away() override { std::filesystem::rename(path(), path() + ".away"); }
  std::string path() const { return folder_.file("key"); }

 private:
  Folder folder_;
};

/// dstack's guest agent as far as GetKey goes: 32 bytes that hang on the path alone (dstack.md 2.1), on a unix socket.
class AgentMachine final : public Machine {
 public:
  explicit AgentMachine(std::uint8_t number) {
    auto router = std::make_shared<net::Router>();
    net::Route route{.method = net::Method::post,
                     .path = "/GetKey",
                     .auth = net::Auth::none,
                     .operation_id = "get_key",
                     .summary = "GetKey"};
    route.handler = [number](const net::Request& request, net::Responder responder) {
      if (request.body.find(R"("path":"attestry/keystore")") == std::string::npos) {
        return responder.send(base::Error{Code::malformed, "path"});
      }
      net::Response out;
      out.body = R"({"key":")" + base::hex(base::Bytes(32, number)) + R"(","signature_chain":[]})";
      responder.send(std::move(out));
    };
    EXPECT_TRUE(router->add(std::move(route)).ok());
    net::ServerOptions options;
    options.listeners.push_back({"unix:" + socket(), {net::Role::public_}, nullptr});
    auto server = net::Server::start(std::move(options), router);
    EXPECT_TRUE(server.ok()) << server.error().text();
    server_ = std::move(*server);
  }
  std::unique_ptr<crypto::SealingDevice> device() override {
    auto http = std::move(*net::HttpClient::make());
    return keyed_sealing("dstack", "this app",
                         dstack_source(std::move(http), socket(), std::chrono::seconds(20), base::system_clock()),
                         crypto::system_random());
  }
  void take_away() override { server_.reset(); }

 private:
  std::string socket() const { return folder_.file("dstack.sock"); }
  Folder folder_;
  std::unique_ptr<net::Server> server_;
};

using MakeMachine = std::unique_ptr<Machine> (*)(std::uint8_t number);
struct Kind {
  const char* name;
  MakeMachine make;
};

class SealingDevices : public ::testing::TestWithParam<Kind> {
 protected:
  std::unique_ptr<Machine> machine_ = GetParam().make(1);
  const crypto::Secret secret_ = crypto::Secret::copy_of(base::as_bytes("a master of thirty-two bytes, so"));
  const base::Bytes context_ = base::to_bytes("what it is");
};

TEST_P(SealingDevices, WhatItSealsItOpensAfterARestartToo) {
  const auto sealed = machine_->device()->seal(secret_, context_);
  ASSERT_TRUE(sealed.ok()) << sealed.error().text();
  const auto opened = machine_->device()->unseal(*sealed, context_);
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  EXPECT_TRUE(base::equal(opened->reveal(), secret_.reveal()));
  EXPECT_EQ(std::search(sealed->begin(), sealed->end(), secret_.reveal().begin(), secret_.reveal().end()),
            sealed->end());
  EXPECT_NE(*machine_->device()->seal(secret_, context_), *sealed) << "no two are alike";
}

TEST_P(SealingDevices, AnotherContextDoesNotOpenIt) {
  const auto device = machine_->device();
  const auto sealed = *device->seal(secret_, context_);
  EXPECT_EQ(device->unseal(sealed, base::as_bytes("something else")).error().code, Code::wrong_key);
}

TEST_P(SealingDevices, AnotherMachineDoesNotOpenIt) {
  const auto sealed = *machine_->device()->seal(secret_, context_);
  const auto other = GetParam().make(2);
  EXPECT_EQ(other->device()->unseal(sealed, context_).error().code, Code::wrong_key);
}

TEST_P(SealingDevices, ADeviceThatIsAwayIsAnOutageAndNoWrongKey) {
  const auto device = machine_->device();
  const auto sealed = *device->seal(secret_, context_);
  machine_->take_away();
  EXPECT_EQ(device->unseal(sealed, context_).error().code, Code::unavailable);
  EXPECT_EQ(device->seal(secret_, context_).error().code, Code::unavailable);
}

TEST_P(SealingDevices, DamageIsCalledDamage) {
  const auto device = machine_->device();
  const auto sealed = *device->seal(secret_, context_);
  for (const std::size_t at : {std::size_t{0}, sealed.size() / 2, sealed.size() - 1}) {
    auto damaged = sealed;
    damaged[at] ^= 1;
    const auto said = device->unseal(damaged, context_);
    ASSERT_FALSE(said.ok());
    // A key's id or a context that is damaged looks like another key's: either way it does not open.
    EXPECT_THAT(said.error().code, ::testing::AnyOf(Code::corrupt, Code::wrong_key)) << at;
  }
  auto last = sealed;
  last.back() ^= 1;
  EXPECT_EQ(device->unseal(last, context_).error().code, Code::corrupt);
  EXPECT_EQ(device->unseal(base::ByteView{sealed}.first(sealed.size() - 1), context_).error().code, Code::corrupt);
  EXPECT_EQ(device->unseal({}, context_).error().code, Code::corrupt);
}

TEST_P(SealingDevices, TooMuchIsRefused) {
  const auto device = machine_->device();
  EXPECT_EQ(device->seal(crypto::Secret(129), context_).error().code, Code::too_large);
  EXPECT_EQ(device->seal(secret_, base::Bytes(1025, 1)).error().code, Code::too_large);
  EXPECT_TRUE(device->seal(crypto::system_random().secret(128), base::Bytes(1024, 1)).ok());
}

INSTANTIATE_TEST_SUITE_P(
    All, SealingDevices,
    ::testing::Values(
        Kind{"tpm2", [](std::uint8_t) -> std::unique_ptr<Machine> { return std::make_unique<TpmMachine>(); }},
        Kind{"sgx", [](std::uint8_t n) -> std::unique_ptr<Machine> { return std::make_unique<SgxMachine>(n); }},
        Kind{"dstack", [](std::uint8_t n) -> std::unique_ptr<Machine> { return std::make_unique<AgentMachine>(n); }},
        Kind{"file", [](std::uint8_t) -> std::unique_ptr<Machine> { return std::make_unique<FileMachine>(); }}),
    [](const auto& one) { return std::string{one.param.name}; });

class TpmSealingTest : public ::testing::Test {
 protected:
  SoftTpm tpm_;
  const crypto::Secret secret_ = crypto::Secret::copy_of(base::Bytes(32, 9));
  std::unique_ptr<crypto::SealingDevice> device(std::vector<unsigned> pcrs) {
    return std::move(*tpm_sealing({.pcrs = std::move(pcrs), .tcti = tpm_.tcti()}));
  }
};

TEST_F(TpmSealingTest, AnExtendedPcrDoesNotOpenIt) {
  const auto sealed = *device({0, 7})->seal(secret_, {});
  tpm_.extend(8);
  EXPECT_TRUE(device({0, 7})->unseal(sealed, {}).ok()) << "that one was not named";
  tpm_.extend(7);
  const auto said = device({0, 7})->unseal(sealed, {});
  ASSERT_FALSE(said.ok());
  EXPECT_EQ(said.error().code, Code::wrong_key);
  EXPECT_THAT(said.error().text(), HasSubstr("PCRs are not what it was sealed to"));
}

TEST(TpmWithoutTheBank, NothingIsSealedToNothing) {
  SoftTpm tpm;
  tpm.allocate_sha384_alone();
  const auto device = std::move(*tpm_sealing({.pcrs = {0, 7}, .tcti = tpm.tcti()}));
  const auto said = device->seal(crypto::Secret::copy_of(base::Bytes(32, 9)), {});
  ASSERT_FALSE(said.ok());
  EXPECT_EQ(said.error().code, Code::configuration);
  EXPECT_THAT(said.error().text(), HasSubstr("no SHA-256 bank"));
}

TEST_F(TpmSealingTest, MorePcrsThanOneAnswerHoldsAreAllBound) {
  const std::vector<unsigned> many{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const auto sealed = *device(many)->seal(secret_, {});
  EXPECT_TRUE(device(many)->unseal(sealed, {}).ok());
  tpm_.extend(11);
  EXPECT_EQ(device(many)->unseal(sealed, {}).error().code, Code::wrong_key);
}

TEST_F(TpmSealingTest, AnOwnerHierarchyWithAPasswordIsNamed) {
  const auto sealed = *device({0})->seal(secret_, {});
  tpm_.set_owner_password();
  for (const auto& error : {device({0})->seal(secret_, {}).error(), device({0})->unseal(sealed, {}).error()}) {
    EXPECT_EQ(error.code, Code::configuration);
    EXPECT_THAT(error.text(), HasSubstr("owner hierarchy has a password"));
  }
}

TEST_F(TpmSealingTest, OtherPcrsThanTheSettingsAreRefused) {
  const auto sealed = *device({0, 7})->seal(secret_, {});
  EXPECT_EQ(device({7})->unseal(sealed, {}).error().code, Code::wrong_key);
}

TEST_F(TpmSealingTest, TheTpmItselfBindsTheContext) {
  const auto sealed = *device({0})->seal(secret_, base::as_bytes("one"));
  // As who may write the file would do it: the digest of another context put in, and the sum made anew.
  auto parts = *parse_tpm_sealed(sealed);
  parts.context = parse_tpm_sealed(*device({0})->seal(secret_, base::as_bytes("two")))->context;
  EXPECT_EQ(device({0})->unseal(encode_tpm_sealed(parts), base::as_bytes("two")).error().code, Code::wrong_key);
}

TEST_F(TpmSealingTest, TheTpmItselfFindsAnAlteredArea) {
  const auto sealed = *device({0})->seal(secret_, {});
  auto parts = *parse_tpm_sealed(sealed);
  auto altered = base::to_bytes(parts.private_area);
  altered.back() ^= 1;
  parts.private_area = altered;
  EXPECT_EQ(device({0})->unseal(encode_tpm_sealed(parts), {}).error().code, Code::corrupt);
}

TEST_F(TpmSealingTest, ManyCommandsLeaveNothingBehindInTheTpm) {
  // Without a resource manager a TPM has room for three objects and three sessions.
  const auto device = this->device({0});
  const auto sealed = *device->seal(secret_, {});
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(device->unseal(sealed, {}).ok()) << i;
    ASSERT_FALSE(device->unseal(*this->device({1})->seal(secret_, {}), {}).ok()) << i;
  }
}

TEST(TpmSettings, PcrsAreNumbersFromNoughtTo23) {
  EXPECT_THAT(*parse_pcrs("7,0,4"), ::testing::ElementsAre(0U, 4U, 7U));
  for (const char* wrong : {"", "24", "0,", ",0", "0,0", "0;7", " 0", "-1", "a"}) {
    EXPECT_EQ(parse_pcrs(wrong).error().code, Code::configuration) << wrong;
  }
  EXPECT_EQ(tpm_sealing({}).error().code, Code::configuration);
  EXPECT_EQ(tpm_sealing({.pcrs = {24}}).error().code, Code::configuration);
  EXPECT_EQ(tpm_sealing({.pcrs = {16, 23}}).error().code, Code::configuration) << "any process may reset those";
  EXPECT_TRUE(tpm_sealing({.pcrs = {7, 23}}).ok());
}

TEST(KeyFile, IsMadeOnceAndReadOnlyByItsOwner) {
  FileMachine machine;
  const auto device = machine.device();
  const auto sealed = *device->seal(crypto::Secret(32), {});
  struct stat info{};
  ASSERT_EQ(::stat(machine.path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_TRUE(machine.device()->unseal(sealed, {}).ok());
  ::chmod(machine.path().c_str(), 0640);
  EXPECT_EQ(device->unseal(sealed, {}).error().code, Code::configuration);
  ::chmod(machine.path().c_str(), 0600);
  std::filesystem::resize_file(machine.path(), 31);
  EXPECT_EQ(device->unseal(sealed, {}).error().code, Code::configuration);
}

TEST(SnpKey, AMachineWithoutTheDeviceIsAnOutage) {
  EXPECT_EQ(snp_source("/nonexistent/sev-guest")().error().code, Code::unavailable);
  EXPECT_EQ(snp_source("/dev/null")().error().code, Code::unavailable) << "an ioctl that nobody answers";
}

TEST(SgxKey, ATruncatedKeyIsRefused) {
  Folder folder;
  std::ofstream(folder.file("_sgx_mrsigner")) << std::string(15, 'x');
  EXPECT_EQ(sgx_source(SgxSealing::mrsigner, folder.file(""))().error().code, Code::configuration);
}

}  // namespace
}  // namespace attestry::tee
