// Shared pieces of the keystore's route files. Private to api.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "api/keystore_routes.h"

namespace attestry::api {

/// Answers one request: once, from any thread; counts what became of it.
class KeystoreHandlers : public std::enable_shared_from_this<KeystoreHandlers> {
 public:
  static base::Result<std::shared_ptr<KeystoreHandlers>> make(KeystoreRouteDeps deps);

  /// 401 in the words of the wire, 429 over the token's rate.
  KeystoreAnswer<KeystorePrincipal> caller(const net::Request& request, KeystoreCaller who) const;
  /// 403; null with tee mode none, which asks for no session.
  KeystoreAnswer<std::shared_ptr<const secrets::KeystoreSession>> session(const net::Request& request) const;
  /// The other end of attested TLS; nothing when it showed no certificate, or one that says nothing here. 401 for
  /// evidence that is there twice.
  KeystoreAnswer<std::optional<secrets::ShownPeer>> peer(const net::Request& request) const;
  /// 429 over the owner's rate.
  KeystoreAnswer<base::Done> owner_may(std::string_view owner) const;
  KeystoreAnswer<base::Done> stranger_may(const net::Request& request) const;
  /// 429 over the token's rate of challenges and registrations.
  KeystoreAnswer<base::Done> may_register(const KeystorePrincipal& principal) const;
  /// A vault's account or empty, from the header or from a body's member; 400 for one that is none.
  KeystoreAnswer<std::string> vault_header(const net::Request& request) const;
  KeystoreAnswer<std::string> vault_member(const std::optional<std::string>& value) const;

  net::Response refused(const secrets::KeystoreRefusal& refusal) const;
  /// What is released, under `member`, or "sealed_…" when it is closed for the worker.
  net::Response released(secrets::KeystoreReply reply, std::string_view member, std::string_view sealed_member) const;
  /// `what`: one of those that the constructor knows.
  void count_release(std::string_view what) const;
  /// Who the reply of a request goes to.
  secrets::KeystoreRecipient recipient(const net::Request& request, const base::Digest32& body,
                                       const KeystorePrincipal& principal,
                                       std::shared_ptr<const secrets::KeystoreSession> session) const;

  const KeystoreRouteDeps& deps() const noexcept { return deps_; }
  secrets::KeystoreService& service() const noexcept { return deps_.service; }

 private:
  struct Limiters {
    net::RateLimiter tokens, owners, strangers, registrations;
  };
  KeystoreHandlers(KeystoreRouteDeps deps, Limiters limiters);
  void count_refusal(std::string_view reason) const;
  KeystoreAnswer<base::Done> within(net::RateLimiter& limiter, unsigned rate, const net::ClientNetwork& whose,
                                    std::string_view what) const;

  const KeystoreRouteDeps deps_;
  mutable Limiters limiters_;
  /// Looked up once: a name costs more than what is counted.
  std::map<std::string, net::Counter, std::less<>> refusals_;
  std::map<std::string, net::Counter, std::less<>> releases_;
};
/// Names the leaf of a release, and the key of what it commits to (docs/formats/log.md).
void set_leaf(net::Response& response, std::uint64_t leaf, const crypto::Secret& leaf_key);
using KeystoreShared = std::shared_ptr<const KeystoreHandlers>;

using KeystoreHandle = void (*)(const KeystoreShared&, net::Request, net::Responder);
struct KeystoreRoute {
  net::Method method;
  std::string_view path;
  std::string_view id;
  std::string_view summary;
  KeystoreHandle handle;
};
base::Status add_keystore_route(net::Router& router, const KeystoreShared& handlers, const KeystoreRoute& route);

/// Whether a route uses keys of a vault that its request names. `route` as the router has it: a request may spell its
/// path with escapes.
bool uses_vaults(std::string_view route);
/// Calls such a route when every vault that the request names has been looked at on the chain, where a DAO says which
/// are served.
void call_with_vaults(const KeystoreShared& handlers, KeystoreHandle handle, net::Request request,
                      net::Responder responder);
/// Of a vault that this server has banned: tells the DAO, where one is set, and answers.
void answer_ban(const KeystoreShared& handlers, const std::string& vault_id, const std::string& reason, bool already,
                base::Deadline deadline, net::Responder responder);

/// Leaves first, then an answer that is no secret by itself.
void answer_with_leaf(const KeystoreShared& handlers, std::string_view type, std::map<std::string, std::string> what,
                      secrets::KeystoreRecipient to, base::JsonOutObject body, net::Responder responder);

base::Status add_keystore_worker_routes(net::Router& router, const KeystoreShared& handlers);
base::Status add_keystore_key_routes(net::Router& router, const KeystoreShared& handlers);
base::Status add_keystore_authoring_routes(net::Router& router, const KeystoreShared& handlers);
base::Status add_keystore_admin_routes(net::Router& router, const KeystoreShared& handlers);
base::Status add_keystore_wallet_routes(net::Router& router, const KeystoreShared& handlers);
base::Status add_keystore_vault_routes(net::Router& router, const KeystoreShared& handlers);

}  // namespace attestry::api
