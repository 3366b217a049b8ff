// What is particular to each backend.
#include <gtest/gtest.h>

#include "blobs/internal/test_rigs.h"
#include "blobs/sealing.h"

namespace attestry::blobs::testing {
namespace {

using base::Code;

constexpr std::string_view kApp = "name:web";

base::Result<base::Bytes> fetch(const std::string& uri, const StoreContext& context, const base::Digest32& id) {
  TRY(auto store, open_store(uri, context));
  return store->get(config_of(kApp), id, soon());
}

Code code_of(const base::Result<base::Bytes>& result) {
  EXPECT_FALSE(result);
  return result ? Code::internal : result.error().code;
}

// -- URIs

TEST(OpenStore, RefusesWhatIsNoStore) {
  for (const char* uri : {"",
                          "x",
                          "ftp://host/",
                          "s3://",
                          "s3://ab",
                          "s3://bucket/../x",
                          "s3://bucket/?region=eu/x",
                          "s3://bucket/?endpoint=https://a@b/",
                          "s3://bucket/?endpoint=https://h/path",
                          "ipfs://",
                          "ipfs://host/path",
                          "ipfs://host:99999/",
                          "ipfs://host/?timeout=soon",
                          "onchain://12",
                          "file://",
                          "onchain://0x"
                          "zz23456789012345678901234567890123456789",
                          "github://owner",
                          "github://owner/..",
                          "github://own er/repo",
                          "vault://host",
                          "vault://host/mount",
                          "vault://host/mount/../x"}) {
    auto context = context_for(kApp);
    context.chain.reader = std::make_shared<ChainStandIn>();
    context.vault = VaultCredentials{.certificate_pem = "c", .key_pem = crypto::Secret::copy_of(base::as_bytes("k"))};
    const auto store = open_store(uri, context);
    ASSERT_FALSE(store) << uri;
    EXPECT_EQ(store.error().code, Code::malformed) << uri << ": " << store.error().text();
  }
}

TEST(OpenStore, NeverShowsSecrets) {
  auto context = context_for(kApp);
  const auto store = open_store("s3://AKIAX:to%2Fpsecret@bucket/p/?region=eu-1&session_token=hidden", context);
  ASSERT_TRUE(store) << store.error().text();
  EXPECT_EQ((*store)->uri(), "s3://bucket/p/?region=eu-1");
  EXPECT_EQ(shown_uri("s3://AKIAX:to/psecret@bucket/"), "s3://…@bucket/");
  EXPECT_EQ(shown_uri("no uri:pass@host?x=topsecret").find("secret"), std::string::npos);
  const auto bad = open_store("s3://AKIAX:topsecret@b/", context);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().text().find("topsecret"), std::string::npos);
  EXPECT_EQ(bad.error().text().find("AKIAX"), std::string::npos);
}

// -- file

class Files : public ::testing::Test {
 protected:
  FileRig rig;
  std::filesystem::path root = rig.folder.path() + "/store";
  base::Digest32 id = id_of("hello");
  StoreContext seed() {
    auto out = rig.context(kApp);
    out.dialect = Dialect::seed;
    return out;
  }
};

TEST_F(Files, AreReadableByTheirOwnerOnly) {
  rig.plant(config_of(kApp), "hello");
  for (const auto& entry : std::filesystem::recursive_directory_iterator{root}) {
    const auto expected = entry.is_directory() ? 0700u : 0600u;
    EXPECT_EQ(static_cast<unsigned>(entry.status().permissions()), expected) << entry.path();
  }
  EXPECT_EQ(read_whole(root / own_name(config_of(kApp), id)), "hello");
}

TEST_F(Files, ReadsBothNamesOfTheFirstRegistry) {
  write_whole(root / "configs" / base::hex(id), "hello");
  EXPECT_TRUE(fetch(rig.uri(), seed(), id));
  EXPECT_EQ(code_of(fetch(rig.uri(), rig.context(kApp), id)), Code::not_found) << "only in its dialect";
  std::filesystem::rename(root / "configs" / base::hex(id),
                          root / "configs" / base::hex(base::as_bytes(base::hex(id))));
  EXPECT_TRUE(fetch(rig.uri(), seed(), id));
  const auto listed = (*open_store(rig.uri(), seed()))->list(config_of(kApp), soon());
  EXPECT_EQ(listed.value(), std::vector{id});
  EXPECT_FALSE((*open_store(rig.uri(), seed()))->get(secret_of(kApp), id, soon()));
}

TEST_F(Files, ACorruptNameDoesNotHideAGoodOne) {
  write_whole(root / "configs" / base::hex(id), "tampered");
  rig.plant(config_of(kApp), "hello");
  EXPECT_TRUE(fetch(rig.uri(), seed(), id));
  std::filesystem::remove(root / own_name(config_of(kApp), id));
  EXPECT_EQ(code_of(fetch(rig.uri(), seed(), id)), Code::corrupt);
}

TEST_F(Files, StayInTheFolderThatIsAllowed) {
  TemporaryFolder outside;
  std::filesystem::create_directory_symlink(outside.path(), rig.folder.path() + "/link");
  for (const auto& uri :
       {"file://" + outside.path(), "file://" + rig.folder.path() + "/../x", "file://" + rig.folder.path() + "/link/x",
        std::string{"file://../x"}, "file://" + rig.folder.path() + "-beside"}) {
    const auto store = open_store(uri, rig.context(kApp));
    ASSERT_FALSE(store) << uri;
    EXPECT_EQ(store.error().code, Code::denied) << uri;
  }
  auto relative = open_store("file://./inner/", rig.context(kApp));
  ASSERT_TRUE(relative);
  ASSERT_TRUE((*relative)->put(config_of(kApp), base::as_bytes("hello"), soon()));
  EXPECT_TRUE(std::filesystem::exists(rig.folder.path() + "/inner/" + own_name(config_of(kApp), id)));
}

TEST_F(Files, FollowNoLinkInPlaceOfABlob) {
  write_whole(rig.folder.path() + "/elsewhere", "hello");
  std::filesystem::create_directories(root / place_folder(config_of(kApp)));
  std::filesystem::create_symlink(rig.folder.path() + "/elsewhere", root / own_name(config_of(kApp), id));
  EXPECT_FALSE(fetch(rig.uri(), rig.context(kApp), id));
}

// -- S3

class S3 : public ::testing::Test {
 protected:
  S3Rig rig;
  base::Digest32 id = rig.plant(config_of(kApp), "hello");
  base::Result<base::Bytes> get(const std::string& uri) { return fetch(uri, rig.context(kApp), id); }
  static constexpr const char* kEndpoint = "?endpoint=http://s3.test:9000";
};

TEST_F(S3, IsRefusedWithAWrongSignature) {
  EXPECT_TRUE(get(rig.uri()));
  for (const auto& [uri, reason] : std::map<std::string, std::string>{
           {"s3://AKIATEST:wrong@bucket/some%20prefix/", "SignatureDoesNotMatch"},
           {"s3://AKIANOBODY:sec%2Fret%2Bkey%3D@bucket/some%20prefix/", "InvalidAccessKeyId"},
           {"s3://bucket/some%20prefix/", "AccessDenied"}}) {
    const auto got = get(uri + kEndpoint);
    EXPECT_EQ(code_of(got), Code::unavailable) << uri;
    EXPECT_NE(got.error().found.find(reason), std::string::npos) << got.error().text();
  }
  EXPECT_NE(get(rig.uri() + "&region=eu-1").error().found.find("AuthorizationHeaderMalformed"), std::string::npos);
  rig.clock.set(kTime + 1000);
  EXPECT_NE(get(rig.uri()).error().found.find("RequestTimeTooSkewed"), std::string::npos);
}

TEST_F(S3, TheStandInRefusesWhatWasAltered) {
  auto request = rig.server->seen().front();
  ASSERT_EQ(request.method, net::Method::put);
  EXPECT_EQ(rig.server->answer(request, {}).status, 200);
  auto altered = request;
  altered.body.back() ^= 1;
  EXPECT_EQ(rig.server->answer(altered, {}).status, 403);
  altered = request;
  altered.url.back() ^= 1;
  EXPECT_EQ(rig.server->answer(altered, {}).status, 403);
  altered = request;
  altered.url.replace(0, 14, "http://s3.evil");
  EXPECT_EQ(rig.server->answer(altered, {}).status, 403);
  altered = request;
  altered.headers.add("x-amz-acl", "public-read");
  EXPECT_EQ(rig.server->answer(altered, {}).status, 403);
  altered = request;
  altered.method = net::Method::get;
  EXPECT_EQ(rig.server->answer(altered, {}).status, 403);
}

TEST_F(S3, WritesNothingPublic) {
  for (const auto& request : rig.server->seen()) {
    for (const char* name : {"x-amz-acl", "x-amz-grant-read", "x-amz-grant-full-control"}) {
      EXPECT_FALSE(request.headers.find(name)) << name;
    }
  }
}

TEST_F(S3, TellsAMissFromAMissingBucketAndARefusal) {
  const std::string credentials = "s3://AKIATEST:sec%2Fret%2Bkey%3D@";
  EXPECT_EQ(code_of(get(credentials + "bucket/other/" + kEndpoint)), Code::not_found);
  const auto no_bucket = get(credentials + "nobucket/" + kEndpoint);
  EXPECT_EQ(code_of(no_bucket), Code::unavailable);
  EXPECT_NE(no_bucket.error().found.find("NoSuchBucket"), std::string::npos);
}

TEST_F(S3, ReadsPublicBucketsWithoutCredentials) {
  rig.server->public_read = true;
  EXPECT_TRUE(get(std::string{"s3://bucket/some%20prefix/"} + kEndpoint));
  EXPECT_TRUE(get(rig.uri() + "&anonymous=true"));
  auto store = open_store(rig.uri() + "&anonymous=true", rig.context(kApp));
  EXPECT_FALSE((*store)->put(config_of(kApp), base::as_bytes("x"), soon()));
}

TEST_F(S3, UsesTheContextsCredentialsAndToken) {
  rig.server->keys["AKIACTX"] = "ctx";
  rig.server->session_token = "session";
  auto context = rig.context(kApp);
  context.s3 = S3Credentials{.access_key = "AKIACTX",
                             .secret_key = crypto::Secret::copy_of(base::as_bytes("ctx")),
                             .session_token = "session"};
  EXPECT_TRUE(fetch(std::string{"s3://bucket/some%20prefix"} + kEndpoint, context, id));
  context.s3->session_token = "stale";
  EXPECT_FALSE(fetch(std::string{"s3://bucket/some%20prefix"} + kEndpoint, context, id));
}

TEST_F(S3, ReadsTheFirstRegistrysNames) {
  rig.server->objects = {{"some prefix/" + base::hex(base::as_bytes(base::hex(id))), "hello"}};
  auto context = rig.context(kApp);
  context.dialect = Dialect::seed;
  auto store = open_store(rig.uri(), context);
  EXPECT_TRUE((*store)->get(config_of(kApp), id, soon()));
  const auto before = rig.server->calls.load();
  EXPECT_TRUE((*store)->get(config_of(kApp), id, soon()));
  EXPECT_EQ(rig.server->calls, before + 1) << "the name that was right is tried first";
}

TEST_F(S3, ListsPageByPage) {
  rig.server->page = 2;
  for (const char* content : {"a", "b", "c", "d"}) rig.plant(config_of(kApp), content);
  EXPECT_EQ(rig.open(kApp)->list(config_of(kApp), soon())->size(), 5u);
}

TEST_F(S3, PutsTheBucketIntoTheHostOfAmazonsOwnServers) {
  auto context = rig.context(kApp);
  for (const auto& [uri, url] : std::map<std::string, std::string>{
           {"s3://my-bucket/p?region=eu-west-1", "https://my-bucket.s3.eu-west-1.amazonaws.com/p/"},
           {"s3://my.bucket/p", "https://s3.us-east-1.amazonaws.com/my.bucket/p/"},
           {"s3://my-bucket/p?endpoint=minio:443", "https://minio/my-bucket/p/"},
           {"s3://my-bucket/p?endpoint=minio&path_style=no", "https://my-bucket.minio/p/"}}) {
    EXPECT_FALSE(fetch(uri, context, id));
    EXPECT_TRUE(rig.server->seen().back().url.starts_with(url)) << rig.server->seen().back().url;
  }
}

TEST_F(S3, ACopyOfASealedBucketShowsNothing) {
  TemporaryFolder keys;
  const auto sealer = open_tenant_sealer(keys.path(), crypto::Secret{32}, crypto::system_random()).value();
  auto context = rig.context(kApp);
  context.sealer = sealer.get();
  auto store = open_store(rig.uri(), context).value();
  rig.server->objects.clear();
  ASSERT_TRUE(store->put(config_of(kApp), base::as_bytes("a canary in a configuration"), soon()));
  ASSERT_TRUE(store->get(config_of(kApp), id_of("a canary in a configuration"), soon()));
  ASSERT_EQ(rig.server->objects.size(), 1u);
  const auto object = rig.server->objects.begin();
  EXPECT_EQ(object->second.find("canary"), std::string::npos);
  // Moved to another id it does not open there.
  const auto moved = id_of("another");
  rig.server->objects["some prefix/" + own_name(config_of(kApp), moved)] = object->second;
  EXPECT_EQ(code_of(store->get(config_of(kApp), moved, soon())), Code::corrupt);
}

// -- IPFS

TEST(Ipfs, FindsBlocksByTheirCid) {
  EXPECT_EQ(raw_cid(id_of("hello")), "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq");
  EXPECT_EQ(sha256_of_cid("bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"), id_of("hello"));
  for (const char* bad : {"", "b", "QmY", "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yer",
                          "bafybeibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq",
                          "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeqa"}) {
    EXPECT_FALSE(sha256_of_cid(bad)) << bad;
  }
}

TEST(Ipfs, ReadsWhatOthersAddedInTheSeedsDialect) {
  IpfsRig rig;
  rig.server->blocks[raw_cid(id_of("hello"))] = "hello";
  EXPECT_EQ(code_of(fetch(rig.uri(), rig.context(kApp), id_of("hello"))), Code::not_found);
  auto context = rig.context(kApp);
  context.dialect = Dialect::seed;
  EXPECT_TRUE(fetch(rig.uri(), context, id_of("hello")));
  rig.server->only_cat = true;
  EXPECT_TRUE(fetch(rig.uri(), context, id_of("hello")));
}

TEST(Ipfs, ReadsFromGatewaysAndChecksWhatTheySay) {
  IpfsRig rig;
  const auto id = rig.plant(config_of(kApp), "hello");
  rig.server->gateway = true;
  EXPECT_TRUE(fetch("ipfs://gateway.test/?gateway=true&tls=1", rig.context(kApp), id));
  EXPECT_TRUE(rig.server->seen().back().url.starts_with("https://gateway.test/ipfs/bafkrei"));
  rig.damage(config_of(kApp), id);
  EXPECT_EQ(code_of(fetch("ipfs://gateway.test/?gateway=true", rig.context(kApp), id)), Code::corrupt);
  auto store = open_store("ipfs://gateway.test/?gateway=true", rig.context(kApp));
  EXPECT_EQ((*store)->put(config_of(kApp), base::as_bytes("x"), soon()).error().code, Code::usage);
}

TEST(Ipfs, BelievesNoOtherCid) {
  IpfsRig rig;
  rig.server->wrong_key = raw_cid(id_of("other"));
  EXPECT_FALSE(rig.open(kApp)->put(config_of(kApp), base::as_bytes("hello"), soon()));
}

TEST(Ipfs, TakesBlocksThatNodesExchangeOnly) {
  IpfsRig rig;
  const std::string big((1u << 20) + 1, 'x');
  EXPECT_EQ(rig.open(kApp)->put(config_of(kApp), base::as_bytes(big), soon()).error().code, Code::too_large);
}

TEST(Ipfs, HonoursItsTimeout) {
  IpfsRig rig;
  const auto got = fetch("ipfs://node.test/?timeout=0s", rig.context(kApp), id_of("hello"));
  EXPECT_EQ(code_of(got), Code::deadline_exceeded);
  EXPECT_EQ(rig.server->calls, 0);
}

TEST(Ipfs, TheStandInIsStrict) {
  IpfsStandIn node;
  const auto ask = [&node](net::Method method, const char* path) {
    return node.answer({.method = method, .url = std::string{"http://n/api/v0/"} + path, .deadline = soon()}, {})
        .status;
  };
  EXPECT_EQ(ask(net::Method::get, "version"), 405);
  EXPECT_EQ(ask(net::Method::post, "version"), 200);
  EXPECT_EQ(ask(net::Method::post, "nothing"), 404);
  EXPECT_EQ(ask(net::Method::post, "block/get?arg=2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
            500);
  EXPECT_EQ(ask(net::Method::post, "block/put?mhtype=sha2-256&cid-codec=raw"), 400);
  EXPECT_EQ(ask(net::Method::post, "block/put"), 500);
}

// -- chain

TEST(Onchain, BindsTheContractToItsApp) {
  OnchainRig rig;
  const auto own = "evm:1:0x" + base::hex(rig.contract);
  const auto other = "evm:1:0x" + base::hex(chain::Address{0x99});
  EXPECT_TRUE(open_store(rig.uri(), rig.context(own)));
  const auto refused = open_store(rig.uri(), rig.context(other));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::denied);
}

TEST(Onchain, SendsNoTransactionForWhatIsThere) {
  OnchainRig rig;
  rig.plant(config_of(kApp), "hello");
  EXPECT_EQ(rig.chain->transactions, 2);  // the blob and the record of whose it is
  rig.plant(config_of(kApp), "hello");
  EXPECT_EQ(rig.chain->transactions, 2);
}

TEST(Onchain, AsksOnce) {
  OnchainRig rig;
  const auto id = rig.plant(config_of(kApp), "hello");
  const auto before = rig.chain->batches.load();
  EXPECT_TRUE(fetch(rig.uri(), rig.context(kApp), id));
  EXPECT_EQ(rig.chain->batches, before + 1);
}

TEST(Onchain, HasLimitsAndNeedsAnAccount) {
  OnchainRig rig;
  const std::string big(chain::registry::kMaxArtifactBytes + 1, 'x');
  EXPECT_EQ(rig.open(kApp)->put(config_of(kApp), base::as_bytes(big), soon()).error().code, Code::too_large);
  auto context = rig.context(kApp);
  context.chain.send = nullptr;
  auto reading = open_store(rig.uri(), context);
  EXPECT_EQ((*reading)->put(config_of(kApp), base::as_bytes("x"), soon()).error().code, Code::usage);
  context.chain.reader = nullptr;
  EXPECT_EQ(open_store(rig.uri(), context).error().code, Code::configuration);
}

TEST(Onchain, AnAddressWithoutAContractKnowsNothing) {
  OnchainRig rig;
  rig.chain->artifacts.clear();
  EXPECT_EQ(code_of(fetch(rig.uri(), rig.context(kApp), id_of("x"))), Code::unavailable);
  EXPECT_FALSE(rig.open(kApp)->check(soon()));
}

TEST(Onchain, ReadsWithoutRecordsInTheSeedsDialect) {
  OnchainRig rig;
  rig.chain->artifacts[rig.contract][id_of("hello")] = base::to_bytes("hello");
  EXPECT_EQ(code_of(fetch(rig.uri(), rig.context(kApp), id_of("hello"))), Code::not_found);
  auto context = rig.context(kApp);
  context.dialect = Dialect::seed;
  EXPECT_TRUE(fetch(rig.uri(), context, id_of("hello")));
}

// -- GitHub

class Github : public ::testing::Test {
 protected:
  GithubRig rig;
  base::Digest32 id = rig.plant(config_of(kApp), "hello");
};

TEST_F(Github, SendsItsTokenToItsOwnServerOnly) {
  rig.server->token = "ghp_secret";
  EXPECT_EQ(code_of(fetch(rig.uri(), rig.context(kApp), id)), Code::not_found) << "a private repository looks absent";
  auto context = rig.context(kApp);
  context.github_token = crypto::Secret::copy_of(base::as_bytes("ghp_secret"));
  context.github_api = "https://github.corp.test/api/v3/";
  rig.server->base = "/api/v3";
  EXPECT_TRUE(fetch(rig.uri(), context, id));
  EXPECT_TRUE(rig.server->seen().back().url.starts_with("https://github.corp.test/api/v3/repos/owner/repo/contents/"));
  context.github_token = crypto::Secret::copy_of(base::as_bytes("ghp_wrong"));
  const auto refused = fetch(rig.uri(), context, id);
  EXPECT_EQ(code_of(refused), Code::unavailable);
  EXPECT_EQ(refused.error().text().find("ghp_"), std::string::npos);
}

TEST_F(Github, ARateLimitIsNoAnswer) {
  rig.server->limited = true;
  const auto got = fetch(rig.uri(), rig.context(kApp), id);
  EXPECT_EQ(code_of(got), Code::unavailable);
  EXPECT_NE(got.error().found.find("rate limit"), std::string::npos);
}

TEST_F(Github, ReadsTheJsonFormAsWell) {
  rig.server->json_only = true;
  const std::string long_text(3000, 'y');
  const auto id_long = rig.plant(config_of(kApp), long_text);
  const auto got = fetch(rig.uri(), rig.context(kApp), id_long);
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(text_of(*got), long_text);
  const auto large = rig.plant(config_of(kApp), std::string((1u << 20) + 1, 'z'));
  EXPECT_EQ(code_of(fetch(rig.uri(), rig.context(kApp), large)), Code::unavailable) << "left out, not corrupt";
}

TEST_F(Github, ReadsFoldersBranchesAndTheSeedsLayout) {
  rig.server->files = {{"deploy/configs/" + base::hex(id), "hello"}};
  auto context = rig.context(kApp);
  context.dialect = Dialect::seed;
  EXPECT_TRUE(fetch("github://owner/repo/deploy?ref=v1%2Ftest", context, id));
  EXPECT_TRUE(rig.server->seen().front().url.ends_with("?ref=v1%2Ftest"));
  EXPECT_EQ(rig.open(kApp)->put(config_of(kApp), base::as_bytes("x"), soon()).error().code, Code::usage);
}

TEST_F(Github, AMissingRepositoryFailsItsCheck) {
  EXPECT_FALSE((*open_store("github://owner/none", rig.context(kApp)))->check(soon()));
}

// -- Vault

class Vault : public ::testing::Test {
 protected:
  VaultRig rig;
  base::Digest32 id = rig.plant(config_of(kApp), "hello");
};

TEST_F(Vault, KeepsTextAsTheFirstRegistryDidAndBytesBesideIt) {
  const auto& document = rig.server->documents.begin()->second;
  EXPECT_EQ(document, R"({"content_base64":"aGVsbG8=","content":"hello"})");
  EXPECT_TRUE(rig.server->documents.begin()->first.starts_with("data/tenants/default/name-web/configs/"));
}

TEST_F(Vault, ReadsTheFirstRegistrysPathAndText) {
  rig.server->documents = {{"data/" + base::hex(id), R"({"content":"hello"})"}};
  auto context = rig.context(kApp);
  context.dialect = Dialect::seed;
  EXPECT_TRUE(fetch(rig.uri(), context, id));
  EXPECT_EQ(code_of(fetch(rig.uri(), rig.context(kApp), id)), Code::not_found);
}

TEST_F(Vault, LogsInWithItsOwnCertificateOnly) {
  rig.server->certificates["PEM of another"] = {"other", "data/tenants/default/name-other/"};
  auto context = rig.context(kApp);
  context.vault->certificate_pem = "PEM of another";
  const auto foreign = fetch(rig.uri(), context, id);
  EXPECT_EQ(code_of(foreign), Code::unavailable);
  EXPECT_NE(foreign.error().found.find("403"), std::string::npos) << foreign.error().text();
  context.vault->certificate_pem = "PEM of nobody";
  EXPECT_NE(fetch(rig.uri(), context, id).error().found.find("400"), std::string::npos);
  EXPECT_TRUE(fetch(rig.uri(), rig.context(kApp), id)) << "the other contexts changed nothing for this one";
}

TEST_F(Vault, TwoStoresNeverShareALogin) {
  rig.server->certificates["PEM of another"] = {"other", "data/tenants/default/name-other/"};
  auto mine = rig.open(kApp);
  auto context = rig.context("name:other");
  context.vault->certificate_pem = "PEM of another";
  auto theirs = open_store(rig.uri(), context);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(mine->get(config_of(kApp), id, soon()));
    EXPECT_EQ(code_of((*theirs)->get(config_of("name:other"), id, soon())), Code::not_found);
  }
  for (const auto& request : rig.server->seen()) {
    const auto token = request.headers.get("x-vault-token");
    if (request.url.find("name-other") != std::string::npos) {
      EXPECT_TRUE(token.starts_with("hvs.other.")) << token;
    }
    if (request.url.find("name-web") != std::string::npos) {
      EXPECT_TRUE(token.starts_with("hvs.app.")) << token;
    }
  }
}

TEST_F(Vault, LogsInOnceAndAgainAfterARevocation) {
  auto store = rig.open(kApp);
  const int before = rig.server->logins;
  EXPECT_TRUE(store->get(config_of(kApp), id, soon()));
  EXPECT_TRUE(store->get(config_of(kApp), id, soon()));
  EXPECT_EQ(rig.server->logins, before + 1);
  rig.server->tokens.clear();
  EXPECT_TRUE(store->get(config_of(kApp), id, soon()));
  EXPECT_EQ(rig.server->logins, before + 2);
}

TEST_F(Vault, ReadsTokensForTheHostTheyAreFor) {
  TemporaryFolder folder;
  write_whole(folder.path() + "/token", "hvs.file\n");
  rig.server->tokens["hvs.file"] = "data/";
  auto context = rig.context(kApp);
  context.vault = VaultCredentials{.token_file = folder.path() + "/token", .token_host = "vault.test:8200"};
  EXPECT_TRUE(fetch(rig.uri(), context, id));
  context.vault->token_host = "other.test:8200";
  EXPECT_EQ(code_of(fetch(rig.uri(), context, id)), Code::configuration);
  context.vault.reset();
  EXPECT_EQ(code_of(fetch(rig.uri(), context, id)), Code::configuration);
}

TEST_F(Vault, TellsAMissFromAMissingEngine) {
  EXPECT_EQ(code_of(fetch("vault://vault.test:8200/nothing/data", rig.context(kApp), id)), Code::unavailable);
  EXPECT_EQ(code_of(fetch(rig.uri(), rig.context(kApp), id_of("absent"))), Code::not_found);
}

TEST_F(Vault, TheStandInRefusesWithoutATokenAndOutsideAPolicy) {
  const auto ask = [this](const char* path, const char* token) {
    net::HttpRequest request{.url = std::string{"https://vault.test:8200/v1/secret/"} + path, .deadline = soon()};
    request.headers.add("X-Vault-Token", token);
    return rig.server->answer(request, {}).status;
  };
  rig.server->tokens["narrow"] = "data/tenants/default/name-web/";
  EXPECT_EQ(ask("data/data/x", ""), 403);
  EXPECT_EQ(ask("data/data/x", "unknown"), 403);
  EXPECT_EQ(ask("data/data/x", "narrow"), 403);
  EXPECT_EQ(ask("data/data/tenants/default/name-web/x", "narrow"), 404);
  EXPECT_EQ(ask("metadata/data/tenants/default/name-web/x?list=true", "narrow"), 404);
}

}  // namespace
}  // namespace attestry::blobs::testing
