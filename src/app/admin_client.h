// What an admin of the registry's master key does at his own machine: keys, the file of admins, signed requests, and
// shares that are looked at before they are believed.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/cli.h"
#include "base/result.h"
#include "crypto/ec.h"
#include "crypto/secret.h"
#include "keys/share_set.h"
#include "net/client.h"

namespace attestry::app {

struct AdminFiles {
  std::string private_key = "admin-private.pem";
  std::string public_key = "admin-public.pem";
  std::string admins = "shamir-admins.json";
  std::string share = "shamir-share.json";
};

/// An admin who is here with his key. The id is the hex SHA-256 of his public key's file (docs/formats/registry.md).
struct AdminIdentity {
  std::string id;
  crypto::EcPrivateKey key;
};
/// A new key: SEC 1 and SPKI PEM, both 0600. `conflict` when either file is there. The id.
base::Result<std::string> make_admin_keys(const AdminFiles& files, crypto::Curve curve, crypto::Random& random);
/// `configuration` when others may read the private key, or when the two are no pair.
base::Result<AdminIdentity> read_admin(const AdminFiles& files);
/// The file of admins for these public keys' files, in this order, with as many names as are given.
base::Result<std::string> admins_json(const std::vector<std::string>& public_key_files,
                                      std::vector<std::string> names = {});
/// A file that no one else can read. `conflict` when there is one with other content.
base::Status write_once(const std::string& path, std::string_view text);
base::Result<std::string> read_whole(const std::string& path);
/// "http://registry.example:80/" -> "registry.example": what the transport puts into Host.
std::string host_of(std::string_view url);
/// Whether the URL names this machine by an address of loopback.
bool is_here(std::string_view url);

/// What GET /admin/commitments says.
struct ServerCommitments {
  std::optional<keys::ShareSet> set;  ///< none when the server knows of no shares
  std::string recovery_key;           ///< PEM
  std::string json;
  std::vector<std::string> names;      ///< of the admins, by index of their shares; empty where the server has none
  std::vector<bool> submitted;         ///< by index
  std::optional<keys::ShareSet> next;  ///< to come, once its admins have fetched
  std::vector<std::string> next_names;
  std::string next_who(std::size_t index) const;
  /// "admin-1 (a8154a98)", or the id of an admin without a name.
  std::string who(std::size_t index) const;
};

/// The bootstrap's listener. A refusal is an Error whose `what` is the server's line.
class AdminServer {
 public:
  struct Options {
    std::string url = "http://127.0.0.1:8081";
    std::string ca;
    bool seed_dialect = false;  ///< first-version requests and shares, for servers that know no others
    bool insecure = false;      ///< http to another machine is allowed
    /// Judges the server's evidence over that report data before anything is asked of it or given to it; null: the
    /// server is believed.
    std::function<base::Status(base::ByteView evidence, const base::FixedBytes<64>& report_data)> check_evidence{};
  };
  /// `usage` for plain http to another machine without `insecure`.
  static base::Result<std::unique_ptr<AdminServer>> open(Options options, const base::Clock& clock);

  struct State {
    std::string state;
    std::optional<std::int64_t> threshold, total;
  };
  base::Result<State> status() const;
  /// `not_found` from a server of the seed's. Its evidence is judged.
  base::Result<ServerCommitments> commitments() const;
  /// A signed request; the body of the answer. `body` is wiped.
  base::Result<std::string> call(const AdminIdentity& admin, net::Method method, std::string_view path,
                                 std::string body = {}) const;
  bool seed_dialect() const noexcept { return options_.seed_dialect; }
  const std::string& url() const noexcept { return options_.url; }

 private:
  AdminServer(Options options, const base::Clock& clock, std::unique_ptr<net::HttpClient> http)
      : options_(std::move(options)), clock_(clock), http_(std::move(http)) {}
  base::Result<std::string> send(net::HttpRequest request) const;
  base::Status check(const ServerCommitments& known) const;
  Options options_;
  mutable std::string checked_;  ///< report data that evidence held for
  const base::Clock& clock_;
  std::unique_ptr<net::HttpClient> http_;
};

/// A share as its admin keeps it: still encrypted to him.
struct ShareFile {
  unsigned index = 0;
  base::Bytes blob;
  std::optional<base::FixedBytes<16>> set_id;  ///< none in files of the seed's tools
};
base::Result<ShareFile> read_share_file(const std::string& path);
/// Opens it with the admin's key and, where a commitment is known, compares. `wrong_key` or `corrupt` say what is
/// wrong.
base::Result<crypto::Secret> open_share(const ShareFile& share, const AdminIdentity& admin, const keys::ShareSet* set);

/// Fetches the admin's share, opens and checks it, stores it durably, and only then tells the server that it need not
/// keep it. Its index.
base::Result<unsigned> fetch_share(const AdminServer& server, const AdminIdentity& admin, const std::string& path);
struct ReshareState {
  std::string proposal;  ///< hex: the same for everybody who asks for the same
  std::int64_t agreed = 0, needed = 0;
  bool split = false;
};
/// Asks for these admins and that threshold in the place of the present ones.
base::Result<ReshareState> ask_reshare(const AdminServer& server, const AdminIdentity& admin,
                                       const keys::AdminSet& next, unsigned threshold);

struct SubmitAnswer {
  std::string message;                     ///< the server's
  bool already = false;                    ///< this share was there before
  std::optional<std::int64_t> in, needed;  ///< shares; none once it is unlocked, or from a server of the seed's
  std::string text() const;                ///< for people
};
/// Opens the share, checks it, and submits it.
base::Result<SubmitAnswer> submit_share(const AdminServer& server, const AdminIdentity& admin, const std::string& path);

}  // namespace attestry::app
