// vault://host[:port]/mount/path: Vault's KV version 2 engine over TLS, logged in with the app's own certificate or a
// token from a file.
#include <algorithm>
#include <fstream>

#include "base/encoding.h"
#include "base/json_writer.h"
#include "base/mutex.h"
#include "blobs/internal/checked.h"
#include "blobs/internal/vault_secret.h"

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;

constexpr std::size_t kMaxAnswer = 1u << 20;
constexpr std::size_t kMaxToken = 4096;
constexpr long long kTokenFileSeconds = 60;  // how long a token from a file is used before the file is read again

/// A percent-encoded path without empty and dot segments; nullopt where it has dot segments.
std::optional<std::string> clean_path(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    const auto segment = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (segment.empty()) continue;
    if (segment == "." || segment == "..") return std::nullopt;
    out.append(out.empty() ? "" : "/").append(net::percent_encode(segment));
  }
  return out;
}

/// What one store proves itself with; never shared, never printed.
struct Login {
  bool certificate = false;
  std::string role;
  std::string token_file;
};

class VaultStore final : public NamedStore {
 public:
  VaultStore(Uri uri, const StoreContext& context, std::string mount, std::string folder, Login login,
             std::shared_ptr<net::HttpTransport> http)
      : NamedStore(std::move(uri), context, SeedLayout::flat),
        base_("https://" + location().authority() + "/v1/"),
        mount_(std::move(mount)),
        folder_(std::move(folder)),
        login_(std::move(login)),
        http_(std::move(http)) {}

  std::string name() const override { return "vault-" + location().authority() + "/" + mount_; }

  base::Status check(base::Deadline deadline) override {
    TRY(const auto health, send(net::Method::get, "sys/health", {}, nullptr, deadline));
    // 429 and 473 are standby nodes that forward what they are asked.
    if (health.status != 200 && health.status != 429 && health.status != 473) return failure("the health call", health);
    TRY_OK(token(deadline, false));
    return base::done();
  }

 protected:
  base::Result<base::Bytes> read(const std::string& name, const base::Digest32& id, base::Deadline deadline) override {
    TRY(auto answer, authorized(net::Method::get, path("data", name), {}, deadline));
    // A path that no engine serves is a 404 as well, but with an error in it.
    if (answer.status == 404 && vault_error(answer.body).empty()) return absent(this->name(), id);
    if (answer.status != 200) return failure("a read", answer);
    auto content = vault_content(std::move(answer.body));
    if (!content) return corrupted(this->name(), name, id, content.error().what);
    return content;
  }

  base::Status write(const std::string& name, base::ByteView bytes, base::Deadline deadline) override {
    TRY(const auto answer, authorized(net::Method::post, path("data", name), vault_document(bytes), deadline));
    if (answer.status != 200 && answer.status != 204) return failure("a write", answer);
    return base::done();
  }

  base::Result<std::vector<std::string>> names_in(const std::string& folder, base::Deadline deadline) override {
    TRY(auto answer, authorized(net::Method::get, path("metadata", folder) + "?list=true", {}, deadline));
    if (answer.status == 404 && vault_error(answer.body).empty()) return std::vector<std::string>{};
    if (answer.status != 200) return failure("a list", answer);
    return vault_names(std::move(answer.body));
  }

 private:
  std::string path(std::string_view kind, const std::string& name) const {
    auto out = mount_ + "/" + std::string{kind} + "/" + folder_;
    if (!name.empty()) out.append("/").append(name);
    return out;
  }

  Error failure(std::string_view step, const net::Response& answer) const {
    const auto reason = vault_error(answer.body);
    if (answer.status == 503) {
      return refusal(name(), step, 503, reason.empty() ? "Vault is sealed" : reason, "Unseal the Vault.");
    }
    if (answer.status == 501) return refusal(name(), step, 501, "not initialized", "Initialize the Vault.");
    if (answer.status == 403) {
      return refusal(name(), step, 403, reason, "Check the policy of the certificate's role or of the token.");
    }
    return refusal(name(), step, answer.status, reason);
  }

  base::Result<net::Response> send(net::Method method, const std::string& path, std::string body,
                                   const crypto::Secret* token, base::Deadline deadline) {
    net::HttpRequest request{.method = method,
                             .url = base_ + path,
                             .body = std::move(body),
                             .deadline = deadline,
                             // base64 and text of the same bytes, each with what JSON escapes
                             .max_bytes = 8 * max_bytes() + kMaxAnswer};
    request.headers.add("X-Vault-Request", "true");
    if (!request.body.empty()) request.headers.add("Content-Type", "application/json");
    if (token != nullptr) request.headers.add("X-Vault-Token", base::as_text(token->reveal()));
    return http_->send(request);
  }

  base::Result<net::Response> authorized(net::Method method, const std::string& path, const std::string& body,
                                         base::Deadline deadline) {
    TRY(const auto first, token(deadline, false));
    TRY(auto answer, send(method, path, body, &first, deadline));
    if (answer.status != 403) return answer;
    // The token may have been revoked before its time: one new login tells that from a policy that forbids it.
    TRY(const auto second, token(deadline, true));
    return send(method, path, body, &second, deadline);
  }

  base::Result<crypto::Secret> token(base::Deadline deadline, bool anew) {
    const auto now = clock().steady();
    {
      const base::MutexLock lock{mutex_};
      if (!anew && !token_.empty() && now < token_until_) return token_.clone();
    }
    TRY(auto login, login_.certificate ? certificate_login(deadline) : file_login());
    auto fresh = crypto::Secret::absorb({reinterpret_cast<std::uint8_t*>(login.token.data()), login.token.size()});
    const base::MutexLock lock{mutex_};
    token_ = fresh.clone();
    token_until_ = now + std::chrono::seconds{login.lease_seconds - login.lease_seconds / 5};
    return fresh;
  }

  base::Result<VaultLogin> certificate_login(base::Deadline deadline) {
    base::JsonOutObject body;
    if (!login_.role.empty()) body.emplace_back("name", login_.role);
    TRY(auto answer,
        send(net::Method::post, "auth/cert/login", base::JsonOut{std::move(body)}.compact(), nullptr, deadline));
    if (answer.status != 200) return failure("the login", answer);
    TRY(auto login, vault_login(std::move(answer.body)), name());
    return login;
  }

  base::Result<VaultLogin> file_login() const {
    std::ifstream in{login_.token_file, std::ios::binary};
    std::string text(kMaxToken, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(std::max<std::streamsize>(in.gcount(), 0)));
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
    if (text.empty()) {
      return Error{Code::unavailable, name() + ": no token in the file", login_.token_file};
    }
    return VaultLogin{.token = std::move(text), .lease_seconds = kTokenFileSeconds};
  }

  const std::string base_;
  const std::string mount_;
  const std::string folder_;
  const Login login_;
  const std::shared_ptr<net::HttpTransport> http_;
  base::Mutex mutex_;
  crypto::Secret token_ ATTESTRY_GUARDED_BY(mutex_);
  base::Deadline token_until_ ATTESTRY_GUARDED_BY(mutex_){};
};

Error no_credentials(const Uri& uri) {
  return Error{Code::configuration, "client certificate and key are required for Vault backend",
               "a client certificate with its key, or a token file for this host", uri.shown()};
}

}  // namespace

Opened open_vault(Uri uri, const StoreContext& context) {
  const auto path = clean_path(uri.path);
  const auto slash = path ? path->find('/') : std::string::npos;
  if (uri.host.empty() || slash == std::string::npos) {
    return Error{Code::malformed, "invalid Vault URI format", "vault://host:port/mount/path", uri.shown()};
  }
  if (!context.vault) return no_credentials(uri);
  const auto& given = *context.vault;
  net::ClientOptions options;
  Login login;
  if (!given.certificate_pem.empty() && !given.key_pem.empty()) {
    options.certificate_pem = given.certificate_pem;
    options.key_pem = std::make_shared<const crypto::Secret>(given.key_pem.clone());
    login = {.certificate = true, .role = given.role, .token_file = {}};
  } else if (!given.token_file.empty() && given.token_host == uri.authority()) {
    // The host is part of the credential: a URI from elsewhere must not choose who gets the token.
    login = {.certificate = false, .role = {}, .token_file = given.token_file};
  } else {
    return no_credentials(uri);
  }
  TRY(auto http, connect(context, std::move(options)));
  auto mount = path->substr(0, slash);
  auto folder = path->substr(slash + 1);
  return std::unique_ptr<BlobStore>{std::make_unique<VaultStore>(std::move(uri), context, std::move(mount),
                                                                 std::move(folder), std::move(login), std::move(http))};
}

}  // namespace attestry::blobs
