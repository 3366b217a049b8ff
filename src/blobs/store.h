// Content-addressed storage of configurations and secrets (docs/reference/storage.md): a blob's id is the SHA-256 of
// its bytes, every read is checked against it, and every backend keeps a name space of its own for each app and type.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/secret.h"
#include "net/client.h"

namespace attestry::chain {
class ChainReader;
}

namespace attestry::blobs {

enum class Type : std::uint8_t { config, secret };
std::string_view to_text(Type type) noexcept;  ///< "config", "secret"
base::Result<Type> type_from(std::string_view text);

/// Where a blob belongs. The same id at another place is another blob, which reading this place never finds.
struct Place {
  base::Tenant tenant;
  base::AppRef app;
  Type type = Type::config;
  friend auto operator<=>(const Place&, const Place&) = default;
};

/// One of several blobs that are read together.
struct Wanted {
  Place place;
  base::Digest32 id{};
};

/// Thread-safe. Errors of a read are three different answers: `not_found` (the backend answered and has no such blob
/// here), `unavailable` or `deadline_exceeded` (nobody knows: no answer, refused credentials, rate limit, failure), and
/// `corrupt` (what stands there has another hash). `denied`: a place of another tenant or app than the store was opened
/// for. `too_large`: beyond StoreContext::max_bytes or what the backend can hold.
class BlobStore {
 public:
  virtual ~BlobStore() = default;
  virtual base::Result<base::Bytes> get(const Place& place, const base::Digest32& id, base::Deadline deadline) = 0;
  /// As get(), in the order asked; a store over several backends fetches them at the same time.
  virtual std::vector<base::Result<base::Bytes>> get_many(std::span<const Wanted> wanted, base::Deadline deadline);
  /// Durable when it returns. Storing the same bytes again is a success and changes nothing.
  virtual base::Result<base::Digest32> put(const Place& place, base::ByteView bytes, base::Deadline deadline) = 0;
  /// Whether the backend answers and takes our credentials.
  virtual base::Status check(base::Deadline deadline) = 0;
  /// Ids that stand at the place, in no order. `usage` where the backend cannot list.
  virtual base::Result<std::vector<base::Digest32>> list(const Place& place, base::Deadline deadline);
  /// Apps of the store's tenant that something may be kept of, in no order. `usage` where the backend cannot tell.
  virtual base::Result<std::vector<base::AppRef>> apps(base::Deadline deadline);
  virtual std::string name() const = 0;  ///< "s3-bucket"
  virtual std::string uri() const = 0;   ///< never shows a secret
};

/// Seals what is kept on a disk or in a bucket, under keys of the tenant. Thread-safe; outlives the stores that use it.
class Sealer {
 public:
  virtual ~Sealer() = default;
  /// `record` names the place and id: sealed bytes that are moved to another record do not open.
  virtual base::Result<base::Bytes> seal(const base::Tenant& tenant, base::ByteView record, base::ByteView plain) = 0;
  virtual base::Result<crypto::Secret> open(const base::Tenant& tenant, base::ByteView record,
                                            base::ByteView sealed) = 0;
  /// Drops from memory what it keeps of the tenant's keys: what was erased on the disk is not to be had here.
  virtual void forget(const base::Tenant& /*tenant*/) {}
  /// Whether seal() would use a newer key by now: what was written in between may be passed over by a change of keys,
  /// and has to be sealed again before anybody is told that it is stored.
  virtual base::Result<bool> outdated(const base::Tenant& tenant, base::ByteView sealed) const = 0;
};

/// Layout of names. Both write and read tenants/<tenant>/<app>/configs|secrets/<id>; `seed` also reads the first
/// registry's layout, where one URI belongs to one app and most backends kept no types apart.
enum class Dialect : std::uint8_t { native, seed };

struct S3Credentials {
  std::string access_key;
  crypto::Secret secret_key;
  std::string session_token{};
};

struct VaultCredentials {
  std::string certificate_pem{};  ///< chain of the client certificate; with it auth/cert/login is called
  crypto::Secret key_pem{};
  std::string role{};        ///< of the certificate login; empty: any that fits
  std::string token_file{};  ///< read anew at every login; never sent to another host than token_host
  std::string token_host{};  ///< "vault.example:8200"
};

/// Access to contracts' artifacts. `send` signs and sends a transaction and waits until it is mined; empty: read only.
struct ChainAccess {
  std::shared_ptr<chain::ChainReader> reader{};
  std::function<base::Status(const base::FixedBytes<20>& contract, base::ByteView call_data, base::Deadline)> send{};
};

/// What one store may use, for one app of one tenant. Stores copy what they need; nothing is shared between contexts,
/// so that no request ever uses the credentials of another tenant.
struct StoreContext {
  base::Tenant tenant;
  base::AppRef app;
  Dialect dialect = Dialect::native;
  std::size_t max_bytes = 16u << 20;  ///< of one blob
  /// file: stores lie beneath this folder, and relative URIs start there. Empty: anywhere (the command line). Set it
  /// wherever URIs come from somebody else, such as a contract.
  std::string file_root{};
  /// file: nobody but this app keeps anything beneath file_root, so names that know no apps lead to none of another and
  /// are read whatever the dialect is.
  bool file_root_is_own = false;
  std::optional<S3Credentials> s3{};  ///< where the URI has none
  std::optional<VaultCredentials> vault{};
  crypto::Secret github_token{};  ///< sent to github_api only
  std::string github_api = "https://api.github.com";
  std::string ca_pem{};  ///< what https trusts; empty: the system's roots
  ChainAccess chain{};
  Sealer* sealer = nullptr;  ///< file, s3 and vault keep sealed bytes; stores that cannot refuse to write
  const base::Clock* clock = &base::system_clock();
  /// Makes the HTTP client of one store; tests put stand-ins here.
  std::function<base::Result<std::shared_ptr<net::HttpTransport>>(net::ClientOptions)> connect{};
};

/// Opens what the URI names: file, s3, ipfs, onchain, github, vault (docs/reference/storage.md). Makes no call.
/// Errors: `malformed` (not such a URI), `configuration` (something that the context must have is not there), `denied`.
base::Result<std::unique_ptr<BlobStore>> open_store(std::string_view uri, const StoreContext& context);

/// The URI without its secrets, for logs and lists; also of text that is no URI.
std::string shown_uri(std::string_view uri);

}  // namespace attestry::blobs
