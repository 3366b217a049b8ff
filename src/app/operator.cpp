#include "app/operator.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "app/outputs.h"
#include "base/encoding.h"
#include "governance/operators.h"
#include "net/http.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::string_view kKeyHeader = "attestry-operator-key-1 ";

Result<std::string> read_line(const std::string& path, std::string_view what) {
  TRY(auto bytes, state::system_files().read(path, 64 * 1024), what);
  if (!bytes)
    return Error{Code::not_found,
                 std::string{what} + ": there is no file " + path,
                 {},
                 {},
                 what == "--token-file" ? "The token is admin.token in the server's data folder; name that file."
                                        : "Correct the name, or make a key: attestry operator keygen FILE"};
  std::string text{base::as_text(*bytes)};
  crypto::wipe(*bytes);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

Error cannot(const char* step, const std::string& path) {
  return Error{
      Code::io, std::string{"key file: cannot "} + step + " " + path, {}, std::generic_category().message(errno)};
}

}  // namespace

base::Status write_new_file(const std::string& path, base::ByteView bytes) {
  TRY_OK(check_output(path));
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0 && errno == EEXIST)
    return Error{Code::conflict, path + " exists already", {}, {}, "Choose another name; nothing was overwritten."};
  if (fd < 0) return cannot("create", path);
  const auto write_all = [&]() -> base::Status {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return cannot("write", path);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    if (::fsync(fd) != 0) return cannot("sync", path);
    return base::done();
  };
  auto written = write_all();
  if (::close(fd) != 0 && written.ok()) written = cannot("close", path);
  if (!written) {
    ::unlink(path.c_str());
    return written;
  }
  const auto folder = std::filesystem::path{path}.parent_path().string();
  return state::system_files().sync_folder(folder.empty() ? "." : folder);
}

void add_server_options(CLI::App& command, OperatorOptions& options) {
  command.add_option("--server", options.server, "admin listener: https://HOST:PORT, http://HOST:PORT or unix:PATH")
      ->envname("ATTESTRY_SERVER")
      ->capture_default_str();
  command
      .add_option("--token-file", options.token_file,
                  "file with the administrator's token (admin.token of the data folder)")
      ->envname("ATTESTRY_TOKEN_FILE");
  command.add_option("--ca", options.ca, "PEM certificate to trust for the server (tls.pem of the data folder)")
      ->envname("ATTESTRY_CA");
  command.add_option("--tenant", options.tenant, "tenant")->envname("ATTESTRY_TENANT")->capture_default_str();
}

void add_operator_options(CLI::App& command, OperatorOptions& options, bool signs) {
  add_server_options(command, options);
  command.add_option("--format", options.format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  if (signs)
    command.add_option("--key", options.key, "operator's key file (attestry operator keygen)")
        ->envname("ATTESTRY_OPERATOR_KEY")
        ->required();
}

Result<std::unique_ptr<OperatorSession>> OperatorSession::open(const OperatorOptions& options) {
  std::string token;
  if (!options.token_file.empty()) {
    TRY(token, read_line(options.token_file, "--token-file"));
  }
  std::unique_ptr<OperatorSession> session{new OperatorSession};
  TRY(session->tenant_, base::Tenant::parse(options.tenant), "--tenant");
  TRY(session->http_, net::HttpClient::make({.ca_file = options.ca}), "--ca");
  session->api_ = std::make_unique<client::ApiClient>(*session->http_, options.server, std::move(token));
  return session;
}

std::string OperatorSession::path(std::string_view rest) const {
  return "/v1/tenants/" + tenant_.text() + std::string{rest};
}

Result<governance::Envelope> OperatorSession::approval(const base::AppRef& app, governance::Action action,
                                                       std::string_view subject, base::UtcTime now,
                                                       std::int64_t seconds) const {
  TRY(const auto server, api_->json(net::Method::get, "/v1/admin/server"), "server");
  governance::Approval approval{.audience = {},
                                .tenant = tenant_,
                                .app = app,
                                .action = action,
                                .subject = std::string{subject},
                                .policy_sha256 = {},
                                .prev = {},
                                .expires = now + seconds};
  TRY(const auto origin, server->root().get("origin"));
  TRY(approval.audience, origin.string("origin"));
  TRY(const auto realm, server->root().get("realm"));
  TRY(const auto realm_text, realm.string("realm"));
  TRY(approval.realm, base::realm_from(realm_text));
  if (action != governance::Action::app_create) {
    TRY(const auto state, api_->json(net::Method::get, path("/apps/" + net::percent_encode(app.text()))), "app");
    TRY(const auto seq, state->root().get("seq"));
    TRY(const auto last, seq.integer("seq", 0, std::int64_t{1} << 52));
    approval.seq = static_cast<std::uint64_t>(last) + 1;
    TRY(const auto prev, state->root().get("prev"));
    TRY(approval.prev, prev.string("prev"));
    TRY(const auto policy, state->root().get("policy"));
    if (!policy.is_null()) {
      TRY(approval.policy_sha256, policy.string("policy"));
    }
  }
  return governance::Envelope{
      .payload_type = std::string{governance::kApprovalPayloadType}, .payload = approval.payload(), .signatures = {}};
}

Result<std::string> OperatorSession::submit(const governance::Envelope& envelope) const {
  return api_->call(net::Method::post, "/v1/approvals", envelope.to_json());
}

Result<std::string> OperatorSession::approve(const base::AppRef& app, governance::Action action,
                                             std::string_view subject, const crypto::Ed25519PrivateKey& key,
                                             base::UtcTime now) const {
  TRY(auto envelope, approval(app, action, subject, now, kApprovalSeconds));
  envelope.sign(key);
  return submit(envelope);
}

namespace {

/// Of a file that nobody else can read.
Result<std::string> read_key_line(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0) {
    return Error{Code::configuration,
                 "the operator's key can be read by others: " + path,
                 "mode 0600",
                 {},
                 "Run chmod 600 " + path};
  }
  return read_line(path, "operator's key");
}

Result<crypto::Ed25519PrivateKey> own_key(const std::string& path, std::string_view line) {
  if (!line.starts_with(kKeyHeader))
    return Error{Code::malformed, path + " is no operator's key", "what `attestry operator keygen` made",
                 "another file", "Correct the name, or make a key: attestry operator keygen FILE"};
  auto seed = base::base64url_decode(line.substr(kKeyHeader.size()));
  if (!seed) return std::move(seed.error().at("operator's key"));
  auto key = crypto::Ed25519PrivateKey::from_seed(*seed);
  crypto::wipe(*seed);
  return key;
}

Result<curves::Secp256k1PrivateKey> wallet_key(std::string_view line) {
  base::FixedBytes<32> scalar{};
  TRY_OK(base::hex_decode_into(line.substr(line.starts_with("0x") ? 2 : 0), scalar), "key of a wallet");
  auto key = curves::Secp256k1PrivateKey::from_scalar(scalar);
  crypto::wipe(scalar);
  return key;
}

Error signed_already(const std::string& path, std::string who) {
  return {Code::conflict, "this key has signed the approval already: " + path, "another key", std::move(who),
          "Have another operator sign it; attestry approve submit FILE submits it as it is."};
}

}  // namespace

Result<crypto::Ed25519PrivateKey> read_operator_key(const std::string& path) {
  TRY(auto line, read_key_line(path));
  auto key = own_key(path, line);
  net::wipe_text(line);
  return key;
}

Result<OperatorKey> read_any_operator_key(const std::string& path) {
  TRY(auto line, read_key_line(path));
  const bool wallet = line.size() == (line.starts_with("0x") ? 66u : 64u);
  const auto parse = [&]() -> Result<OperatorKey> {
    if (wallet) {
      TRY(auto key, wallet_key(line));
      return OperatorKey{std::move(key)};
    }
    TRY(auto key, own_key(path, line));
    return OperatorKey{std::move(key)};
  };
  auto key = parse();
  net::wipe_text(line);
  return key;
}

base::Status sign_with_key(governance::Envelope& envelope, const std::string& path) {
  TRY(const auto key, read_any_operator_key(path));
  if (const auto* own = std::get_if<crypto::Ed25519PrivateKey>(&key)) {
    if (envelope.count_valid({own->public_key()}) > 0) return signed_already(path, base::hex(own->public_key()));
    envelope.sign(*own);
    return base::done();
  }
  const auto& wallet = std::get<curves::Secp256k1PrivateKey>(key);
  const auto address = curves::ethereum_address(wallet.public_key_raw());
  const auto before = governance::wallet_signers(envelope);
  if (std::ranges::find(before, address) != before.end()) return signed_already(path, "0x" + base::hex(address));
  return governance::sign_as_wallet(envelope, wallet);
}

base::Status write_key_file(const std::string& path, std::string_view header, std::string text) {
  std::string line;
  line.reserve(header.size() + text.size() + 1);  // no copy is left behind in a buffer that was outgrown
  line.append(header).append(text).push_back('\n');
  net::wipe_text(text);
  auto written = write_new_file(path, base::as_bytes(line));
  net::wipe_text(line);
  return written;
}

Result<crypto::Ed25519PrivateKey> create_operator_key(const std::string& path, crypto::Random& random) {
  auto key = crypto::Ed25519PrivateKey::generate(random);
  TRY_OK(write_key_file(path, kKeyHeader, base::base64url(key.seed().reveal())));
  return key;
}

Result<curves::Secp256k1PrivateKey> create_wallet_key(const std::string& path, crypto::Random& random) {
  const auto wide = random.secret(48);
  TRY(auto key, curves::Secp256k1PrivateKey::from_wide(wide.reveal()));
  TRY_OK(write_key_file(path, "0x", base::hex(key.scalar().reveal())));
  return key;
}

}  // namespace attestry::app
