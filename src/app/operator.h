// What an operator's commands share: where the server is, who signs, and signed approvals that follow the last one.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "app/cli.h"
#include "base/ids.h"
#include "base/result.h"
#include "client/api_client.h"
#include "crypto/ec.h"
#include "curves/secp256k1.h"
#include "governance/approval.h"
#include "net/client.h"

namespace attestry::app {

/// Flags --server, --token-file, --ca, --tenant, --key of every operator command.
struct OperatorOptions {
  std::string server = "https://127.0.0.1:8444";
  std::string token_file;
  std::string ca;
  std::string tenant = "default";
  std::string key;
  std::string format = "text";
};
/// --server, --token-file, --ca, --tenant.
void add_server_options(CLI::App& command, OperatorOptions& options);
/// Those, --format, and with `signs` --key.
void add_operator_options(CLI::App& command, OperatorOptions& options, bool signs);

/// Time within which an approval that is submitted at once is accepted.
inline constexpr std::int64_t kApprovalSeconds = 3600;

/// A connection of one command.
class OperatorSession {
 public:
  static base::Result<std::unique_ptr<OperatorSession>> open(const OperatorOptions& options);
  const client::ApiClient& api() const noexcept { return *api_; }
  const base::Tenant& tenant() const noexcept { return tenant_; }
  /// "/v1/tenants/<tenant>" + rest
  std::string path(std::string_view rest) const;

  /// Reads the app's state and builds the approval that follows it, to be accepted for `seconds`. Not signed yet.
  base::Result<governance::Envelope> approval(const base::AppRef& app, governance::Action action,
                                              std::string_view subject, base::UtcTime now, std::int64_t seconds) const;
  /// The server's answer.
  base::Result<std::string> submit(const governance::Envelope& envelope) const;
  /// Builds, signs and submits.
  base::Result<std::string> approve(const base::AppRef& app, governance::Action action, std::string_view subject,
                                    const crypto::Ed25519PrivateKey& key, base::UtcTime now) const;

 private:
  OperatorSession() = default;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<client::ApiClient> api_;
  base::Tenant tenant_ = base::Tenant::standard();
};

/// Operator keys are files of their own: one line "attestry-operator-key-1 <base64url seed>", mode 0600.
base::Result<crypto::Ed25519PrivateKey> read_operator_key(const std::string& path);
/// That, or the key of an EVM account as wallets export it: one line of 64 hex digits, with or without 0x, mode 0600.
using OperatorKey = std::variant<crypto::Ed25519PrivateKey, curves::Secp256k1PrivateKey>;
base::Result<OperatorKey> read_any_operator_key(const std::string& path);
/// `conflict` when the key has signed the envelope already.
base::Status sign_with_key(governance::Envelope& envelope, const std::string& path);
/// For a private key, mode 0600. Never another's file: the name is taken in one step with the making of the file, and a
/// link that stands there is not followed. What cannot be written whole does not stay.
base::Status write_new_file(const std::string& path, base::ByteView bytes);
/// The same with one line, of a header and a key's `text`; no copy of either is left in memory.
base::Status write_key_file(const std::string& path, std::string_view header, std::string text);
/// `conflict` when anything of that name is there already, be it a link to nowhere: nothing is ever overwritten.
base::Result<crypto::Ed25519PrivateKey> create_operator_key(const std::string& path, crypto::Random& random);
/// The same for an EVM account.
base::Result<curves::Secp256k1PrivateKey> create_wallet_key(const std::string& path, crypto::Random& random);

}  // namespace attestry::app
