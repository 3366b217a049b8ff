#include "app/blob_stores.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ostream>

#include "base/encoding.h"
#include "chain/quorum.h"
#include "chain/transaction.h"

namespace attestry::app {
namespace {

using base::Code;
using base::Error;

constexpr std::size_t kMaxPem = 1u << 20;
constexpr double kLongest = 86'400;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

base::Result<std::string> text_file(Context& context, const std::string& path, const char* what) {
  TRY(const auto bytes, read_input(context, path, kMaxPem), what);
  if (bytes.size() > kMaxPem) return Error{Code::too_large, std::string{what} + ": " + path, "at most 1 MiB"};
  return std::string{base::as_text(bytes)};
}

/// A connection to the chain and, with a key, an account that pays for artifacts.
struct Chain {
  std::unique_ptr<net::HttpClient> http;
  std::unique_ptr<chain::QuorumReader> reader;
  std::vector<std::unique_ptr<chain::Endpoint>> endpoints;
  std::optional<curves::Secp256k1PrivateKey> key;
  std::unique_ptr<chain::Sender> sender;
};

base::Result<std::optional<curves::Secp256k1PrivateKey>> account_key(Context& context, const std::string& path) {
  if (path.empty()) return std::optional<curves::Secp256k1PrivateKey>{};
  TRY(auto text, text_file(context, path, "--account-key"));
  std::string_view digits = text;
  while (!digits.empty() && (digits.back() == '\n' || digits.back() == '\r')) digits.remove_suffix(1);
  if (digits.starts_with("0x")) digits.remove_prefix(2);
  crypto::Secret scalar{32};
  const auto decoded = base::hex_decode_into(digits, scalar.writable());
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  if (!decoded) return Error{Code::usage, "--account-key: not a key", "a file with 64 hex digits", path};
  TRY(auto key, curves::Secp256k1PrivateKey::from_scalar(scalar.reveal()), "--account-key");
  return std::optional<curves::Secp256k1PrivateKey>{std::move(key)};
}

std::uint64_t chain_of(const BlobStoreOptions& options, const base::AppRef& app) {
  if (options.chain_id != 0 || app.kind() != base::AppRef::Kind::evm) return options.chain_id;
  std::uint64_t out = 0;  // kind u8 ‖ chain id u64be ‖ address (base/ids.h)
  for (std::size_t i = 1; i <= sizeof out; ++i) out = out << 8 | app.bytes()[i];
  return out;
}

base::Result<blobs::ChainAccess> chain_access(Context& context, const BlobStoreOptions& options,
                                              const base::AppRef& app) {
  if (options.rpc.empty()) return blobs::ChainAccess{};
  const auto chain_id = chain_of(options, app);
  if (chain_id == 0) {
    return Error{Code::usage, "which chain is meant is not said", "--chain-id N, or an app of the form evm:N:0x…"};
  }
  auto all = std::make_shared<Chain>();
  TRY(all->http, net::HttpClient::make({.clock = &context.clock}));
  chain::QuorumOptions quorum;
  quorum.chain_id = chain_id;
  quorum.clock = &context.clock;
  quorum.max_head_age = 0;  // the age of blocks is a matter for servers; here a person looks at the answer
  quorum.max_final_age = 0;
  TRY(quorum.finality, chain::Finality::parse(options.finality), "--finality");
  for (const auto& url : options.rpc) quorum.endpoints.push_back({.name = {}, .url = url});
  for (const auto& endpoint : quorum.endpoints) {
    all->endpoints.push_back(std::make_unique<chain::Endpoint>(*all->http, endpoint));
  }
  TRY(all->reader, chain::QuorumReader::make(*all->http, std::move(quorum)), "--rpc");
  TRY(all->key, account_key(context, options.account_key));
  blobs::ChainAccess out;
  out.reader = std::shared_ptr<chain::ChainReader>{all, all->reader.get()};
  if (!all->key) return out;
  std::vector<chain::Endpoint*> endpoints;
  for (const auto& endpoint : all->endpoints) endpoints.push_back(endpoint.get());
  chain::SenderOptions sending;
  sending.chain_id = chain_id;
  sending.clock = &context.clock;
  all->sender = std::make_unique<chain::Sender>(std::move(endpoints), *all->key, sending);
  out.send = [all](const base::FixedBytes<20>& contract, base::ByteView data, base::Deadline deadline) -> base::Status {
    TRY_OK(all->sender->send(contract, data, chain::Word{}, deadline));
    return base::done();
  };
  return out;
}

base::Result<std::optional<blobs::VaultCredentials>> vault_credentials(Context& context,
                                                                       const BlobStoreOptions& options) {
  blobs::VaultCredentials out;
  if (options.vault_certificate.empty() != options.vault_key.empty()) {
    return Error{Code::usage, "--vault-certificate and --vault-key belong together"};
  }
  if (!options.vault_certificate.empty()) {
    TRY(out.certificate_pem, text_file(context, options.vault_certificate, "--vault-certificate"));
    TRY(auto key, text_file(context, options.vault_key, "--vault-key"));
    out.key_pem = crypto::Secret::absorb({reinterpret_cast<std::uint8_t*>(key.data()), key.size()});
    out.role = options.vault_role;
    return std::optional{std::move(out)};
  }
  if (options.vault_token_file.empty()) return std::optional<blobs::VaultCredentials>{};
  // FILE@HOST:PORT: a token belongs to one server.
  const auto at = options.vault_token_file.rfind('@');
  if (at == std::string::npos) {
    return Error{Code::usage, "--vault-token-file does not say which server the token is for", "FILE@HOST:PORT",
                 options.vault_token_file};
  }
  out.token_file = options.vault_token_file.substr(0, at);
  out.token_host = options.vault_token_file.substr(at + 1);
  return std::optional{std::move(out)};
}

std::optional<blobs::S3Credentials> s3_credentials() {
  const auto access = environment("AWS_ACCESS_KEY_ID");
  const auto secret = environment("AWS_SECRET_ACCESS_KEY");
  if (access.empty() || secret.empty()) return std::nullopt;
  return blobs::S3Credentials{.access_key = access,
                              .secret_key = crypto::Secret::copy_of(base::as_bytes(secret)),
                              .session_token = environment("AWS_SESSION_TOKEN")};
}

}  // namespace

void add_blob_store_options(CLI::App& command, BlobStoreOptions& options, bool required) {
  auto* stores = command.add_option("--store", options.stores,
                                    "storage URI (file, s3, ipfs, onchain, github, vault); again for each further one");
  stores->allow_extra_args(false)->required(required);
  command.add_option("--app", options.app, "app that the blobs belong to")->capture_default_str();
  command.add_option("--type", options.type, "config or secret")
      ->check(CLI::IsMember({"config", "secret"}))
      ->capture_default_str();
  command.add_flag("--seed-layout", options.seed_layout, "also read the first registry's names, which know no apps");
  command.add_option("--storage-ca", options.ca_file, "PEM certificates to trust for https backends");
  command.add_option("--github-api", options.github_api, "address of GitHub's API; GITHUB_TOKEN is sent only there")
      ->capture_default_str();
  command.add_option("--vault-certificate", options.vault_certificate, "PEM client certificate for Vault");
  command.add_option("--vault-key", options.vault_key, "its PEM key");
  command.add_option("--vault-role", options.vault_role, "role of Vault's certificate login");
  command.add_option("--vault-token-file", options.vault_token_file, "FILE@HOST:PORT: a token for that Vault");
  command.add_option("--rpc", options.rpc, "JSON-RPC endpoint of the chain; more than half of them must agree")
      ->allow_extra_args(false);
  command.add_option("--chain-id", options.chain_id, "of the chain, where the app's name does not say it");
  command.add_option("--finality", options.finality, "finalized, safe or depth:N")->capture_default_str();
  command.add_option("--account-key", options.account_key, "file with the key that pays for artifacts: 64 hex digits");
  command.add_option("--timeout", options.timeout, "seconds that one backend may take")
      ->check(CLI::Range(0.001, kLongest))
      ->capture_default_str();
}

base::Result<BlobStores> BlobStores::open(Context& context, const BlobStoreOptions& options,
                                          const std::string& tenant) {
  TRY(auto parsed_tenant, base::Tenant::parse(tenant));
  TRY(auto app, base::AppRef::parse(options.app));
  TRY(const auto type, blobs::type_from(options.type));
  blobs::StoreContext store{.tenant = parsed_tenant, .app = app};
  if (options.seed_layout) store.dialect = blobs::Dialect::seed;
  store.clock = &context.clock;
  store.s3 = s3_credentials();
  store.github_api = options.github_api;
  store.github_token = crypto::Secret::copy_of(base::as_bytes(environment("GITHUB_TOKEN")));
  TRY(store.vault, vault_credentials(context, options));
  TRY(store.chain, chain_access(context, options, app));
  if (!options.ca_file.empty()) {
    TRY(store.ca_pem, text_file(context, options.ca_file, "--storage-ca"));
  }
  BlobStores out{blobs::Place{std::move(parsed_tenant), std::move(app), type}};
  out.clock_ = &context.clock;
  out.timeout_ = std::chrono::milliseconds{std::llround(options.timeout * 1000)};
  out.opened_ = blobs::open_all(options.stores, store);
  return out;
}

base::Result<std::unique_ptr<blobs::MultiStore>> BlobStores::together() {
  if (opened_.stores.empty() && opened_.refused.size() == 1) return opened_.refused.front().second;
  blobs::MultiOptions options;
  options.backend_deadline = timeout_;
  options.clock = clock_;
  return blobs::make_multi(std::move(opened_.stores), std::move(options));
}

}  // namespace attestry::app
