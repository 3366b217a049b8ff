// Every backend behind one face, for tests that hold for all of them.
#pragma once
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include "blobs/internal/layout.h"
#include "blobs/internal/test_ipfs_stand_in.h"
#include "blobs/testing/chain_stand_in.h"
#include "blobs/testing/github_stand_in.h"
#include "blobs/testing/s3_stand_in.h"
#include "blobs/testing/support.h"
#include "blobs/testing/vault_stand_in.h"

namespace attestry::blobs::testing {

/// A folder that goes away with it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "attestry-blobs-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

inline std::string read_whole(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}
inline void write_whole(const std::filesystem::path& path, const std::string& content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream{path, std::ios::binary} << content;
}
inline std::string own_name(const Place& place, const base::Digest32& id) {
  return place_folder(place) + "/" + base::hex(id);
}

/// One backend with a server behind it.
class Rig {
 public:
  virtual ~Rig() = default;
  virtual std::string uri() const = 0;
  virtual void prepare(StoreContext& context) = 0;
  /// Puts something else where the blob stands.
  virtual void damage(const Place& place, const base::Digest32& id) = 0;
  virtual void break_down() = 0;
  virtual bool writes() const { return true; }
  virtual bool lists() const { return true; }
  virtual bool seals() const { return true; }
  /// Puts a blob there for a backend that this program cannot write to.
  virtual base::Digest32 plant(const Place& place, const std::string& content) {
    auto store = open(place.app.text(), place.tenant.text());
    return store->put(place, base::as_bytes(content), soon()).value();
  }

  StoreContext context(std::string_view app, std::string_view tenant = "default") {
    auto out = context_for(app, tenant);
    out.clock = &clock;
    prepare(out);
    return out;
  }
  std::unique_ptr<BlobStore> open(std::string_view app, std::string_view tenant = "default") {
    auto opened = open_store(uri(), context(app, tenant));
    if (!opened) ADD_FAILURE() << opened.error().text();
    return opened ? *std::move(opened) : nullptr;
  }
  FixedClock clock;
};

class FileRig final : public Rig {
 public:
  std::string uri() const override { return "file://" + folder.path() + "/store/"; }
  void prepare(StoreContext& context) override { context.file_root = folder.path(); }
  void damage(const Place& place, const base::Digest32& id) override {
    write_whole(folder.path() + "/store/" + own_name(place, id), "something else");
  }
  void break_down() override { std::filesystem::remove_all(folder.path() + "/store"); }
  TemporaryFolder folder;
};

class S3Rig final : public Rig {
 public:
  std::string uri() const override {
    return "s3://AKIATEST:sec%2Fret%2Bkey%3D@bucket/some%20prefix/?endpoint=http://s3.test:9000";
  }
  void prepare(StoreContext& context) override { connect_to(context, server); }
  void damage(const Place& place, const base::Digest32& id) override {
    server->objects["some prefix/" + own_name(place, id)] = "something else";
  }
  void break_down() override { server->broken = 500; }
  std::shared_ptr<S3StandIn> server = std::make_shared<S3StandIn>();
};

class IpfsRig final : public Rig {
 public:
  std::string uri() const override { return "ipfs://node.test/"; }
  void prepare(StoreContext& context) override { connect_to(context, server); }
  void damage(const Place&, const base::Digest32& id) override { server->blocks[raw_cid(id)] = "something else"; }
  void break_down() override { server->broken = 502; }
  bool lists() const override { return false; }
  bool seals() const override { return false; }
  std::shared_ptr<IpfsStandIn> server = std::make_shared<IpfsStandIn>();
};

class OnchainRig final : public Rig {
 public:
  OnchainRig() { chain->artifacts[contract]; }
  std::string uri() const override { return "onchain://0x" + base::hex(contract); }
  void prepare(StoreContext& context) override {
    context.chain.reader = chain;
    context.chain.send = [this](const base::FixedBytes<20>& to, base::ByteView data, base::Deadline) {
      return chain->send(to, base::to_bytes(data));
    };
  }
  void damage(const Place&, const base::Digest32& id) override {
    chain->artifacts[contract][id] = base::to_bytes("something else");
  }
  void break_down() override { chain->down = true; }
  bool lists() const override { return false; }
  bool seals() const override { return false; }
  chain::Address contract{0x01, 0x23, 0x45};
  std::shared_ptr<ChainStandIn> chain = std::make_shared<ChainStandIn>();
};

class GithubRig final : public Rig {
 public:
  std::string uri() const override { return "github://owner/repo"; }
  void prepare(StoreContext& context) override { connect_to(context, server); }
  void damage(const Place& place, const base::Digest32& id) override {
    server->files[own_name(place, id)] = "something else";
  }
  void break_down() override { server->broken = 503; }
  bool writes() const override { return false; }
  bool seals() const override { return false; }
  base::Digest32 plant(const Place& place, const std::string& content) override {
    server->files[own_name(place, id_of(content))] = content;
    return id_of(content);
  }
  std::shared_ptr<GithubStandIn> server = std::make_shared<GithubStandIn>();
};

class VaultRig final : public Rig {
 public:
  VaultRig() { server->certificates["PEM of the app"] = {"app", "data/"}; }
  std::string uri() const override { return "vault://vault.test:8200/secret/data"; }
  void prepare(StoreContext& context) override {
    connect_to(context, server);
    context.vault = VaultCredentials{.certificate_pem = "PEM of the app",
                                     .key_pem = crypto::Secret::copy_of(base::as_bytes("key"))};
  }
  void damage(const Place& place, const base::Digest32& id) override {
    server->documents["data/" + own_name(place, id)] = R"({"content":"something else"})";
  }
  void break_down() override { server->sealed = true; }
  std::shared_ptr<VaultStandIn> server = std::make_shared<VaultStandIn>();
};

}  // namespace attestry::blobs::testing
