#include "api/registry_admin.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "api/registry_admin_body.h"
#include "api/registry_wire.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/mutex.h"
#include "crypto/hash.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;
using keys::AdminAccess;

namespace {

constexpr std::size_t kMaxBody = 64 * 1024;
constexpr std::string_view kInternal = "Internal server error";

net::Response json_line(const JsonOut& value) { return registry_json(value.compact()); }

/// The caller's mistakes say what they are; the server's own say so in its log only.
net::Response error_response(const Error& error, std::string_view prefix, std::string_view otherwise) {
  switch (error.code) {
    case Code::not_found:
      return registry_error(404, error.what);
    case Code::conflict:
    case Code::usage:
      return registry_error(400, std::string{prefix} + error.what);
    case Code::unauthenticated:
    case Code::replayed:
      return registry_error(401, "Unauthorized");
    default:
      base::log(base::LogLevel::error, "an admin's request failed", {{"reason", error.text()}});
      return registry_error(base::http_status(error.code) == 503 ? 503 : 500, otherwise);
  }
}

/// Evidence over the key of this run: made once for each set of shares, and asked for by one caller at a time, so that
/// strangers at the listener neither hold its threads nor the quoting enclave.
class RecoveryEvidence {
 public:
  Result<base::Bytes> get(const RegistryAdminDeps& deps) {
    const auto report_data = deps.bootstrap.recovery_report_data();
    {
      const base::MutexLock lock(mutex_);
      if (made_for_ == report_data) return made_;
      if (making_ || deps.clock->steady() < failed_until_)
        return Error{Code::unavailable, "this server's evidence is not there yet", {}, {}, "Ask again in a second."};
      making_ = true;
    }
    auto evidence = deps.attest(report_data);
    const base::MutexLock lock(mutex_);
    making_ = false;
    if (evidence) {
      made_for_ = report_data;
      made_ = *evidence;
    } else {
      failed_until_ = deps.clock->steady() + kRetry;
    }
    return evidence;
  }

 private:
  static constexpr std::chrono::seconds kRetry{2};
  base::Mutex mutex_;
  std::optional<base::FixedBytes<64>> made_for_ ATTESTRY_GUARDED_BY(mutex_);
  base::Bytes made_ ATTESTRY_GUARDED_BY(mutex_);
  bool making_ ATTESTRY_GUARDED_BY(mutex_) = false;
  base::Deadline failed_until_ ATTESTRY_GUARDED_BY(mutex_){};
};

/// A first-version signature is a constant of its request, so what makes one use of it different from the next is the
/// signature itself; of that only r, because (r, n - s) is as good as (r, s). Short DER: the verifier took it already.
base::Digest32 v1_replay_key(const base::Digest32& request, base::ByteView signature) {
  base::ByteView r;
  if (signature.size() > 4 && signature.size() >= 4U + signature[3]) r = signature.subspan(4, signature[3]);
  return crypto::sha256({request, r});
}

struct Handlers {
  RegistryAdminDeps deps;
  std::shared_ptr<RecoveryEvidence> evidence_of_key = std::make_shared<RecoveryEvidence>();

  keys::Bootstrap& bootstrap() const { return deps.bootstrap; }

  /// Who asks, by a signature that has not been used before. `path` is the route's own.
  Result<AdminAccess> authenticate(const net::Request& request, std::string_view path) const {
    const keys::AdminHeaders headers{.id = std::string{request.headers.get(keys::kAdminIdHeader)},
                                     .signature = std::string{request.headers.get(keys::kAdminSignatureHeader)},
                                     .time = std::string{request.headers.get(keys::kAdminTimeHeader)},
                                     .nonce = std::string{request.headers.get(keys::kAdminNonceHeader)},
                                     .signature_v2 = std::string{request.headers.get(keys::kAdminSignatureV2Header)}};
    const bool v2 = !headers.signature_v2.empty() || !headers.time.empty() || !headers.nonce.empty();
    const std::string_view host = request.headers.get("Host");
    if (request.method == net::Method::head ||
        (v2 && !is_own_host(host, deps.hosts, deps.own_port ? deps.own_port() : 0)))
      return Error{Code::unauthenticated, "not a request to this server"};
    const auto server = keys::server_id(bootstrap().recovery_key());
    const keys::AdminRequestParts parts{.method = net::to_text(request.method),
                                        .host = host,
                                        .server = server,
                                        .path = v2 ? std::string_view{request.target} : path,
                                        .body = base::as_bytes(request.body)};
    const auto versions =
        bootstrap().options().seed_dialect ? keys::AdminVersions::v1_and_v2 : keys::AdminVersions::v2_only;
    TRY(auto access, keys::verify_admin_request(bootstrap().admins(), headers, parts, deps.clock->now(), versions));
    auto key = access.replay_key;
    if (access.version == 1) {
      TRY(const auto signature, base::base64_decode(headers.signature));
      key = v1_replay_key(key, signature);
    }
    TRY_OK(bootstrap().use_request(access.who->id, key, access.forget_after, request.deadline));
    return access;
  }

  net::Response status() const {
    const auto now = bootstrap().status();
    JsonOutObject out{{"state", to_text(now.state)}};
    if (now.state == keys::BootstrapState::generating_shares || now.state == keys::BootstrapState::recovering) {
      out.emplace_back("threshold", now.threshold);
      out.emplace_back("total_shares", now.total_shares);
    }
    return json_line(JsonOut{std::move(out)});
  }

  net::Response commitments() const {
    auto response = net::json_response(200, bootstrap().commitments_json() + "\n");
    response.headers.set("Cache-Control", "no-store");
    return response;
  }

  net::Response evidence() const {
    if (!deps.attest) return registry_error(404, "This server has no source of evidence of its own");
    const auto made = evidence_of_key->get(deps);
    if (!made) return error_response(made.error(), "", "This server's evidence cannot be made now");
    auto response = json_line(JsonOut{JsonOutObject{{"evidence", base::base64(*made)}}});
    response.headers.set("Cache-Control", "no-store");
    return response;
  }

  net::Response generate(net::Request& request) const;
  net::Response recover(net::Request& request) const;
  net::Response fetch(net::Request& request) const;
  net::Response submit(net::Request& request) const;
  net::Response received(net::Request& request) const;
  net::Response reshare(net::Request& request) const;
};

net::Response Handlers::generate(net::Request& request) const {
  const auto access = authenticate(request, "/admin/init/generate");
  if (!access) return error_response(access.error(), "", kInternal);
  const auto state = bootstrap().status();
  if (state.state != keys::BootstrapState::initial || state.has_shares)
    return registry_error(400, "Bootstrap already in progress or complete");
  const auto numbers = admin_numbers(request.body);
  if (!numbers) return registry_error(400, "Invalid request body");
  const auto made = bootstrap().generate(numbers->threshold, numbers->total, request.deadline);
  if (!made) return error_response(made.error(), "", "Failed to create KMS: " + std::string{slug(made.error().code)});
  JsonOutArray assignments;
  for (const auto& one : made->assignments)
    assignments.emplace_back(JsonOutObject{{"admin_id", one.admin}, {"share_index", one.index}});
  return json_line(
      JsonOut{JsonOutObject{{"instructions", "Each admin must retrieve their share using GET /admin/share"},
                            {"message", "KMS initialized and shares generated successfully"},
                            {"share_assignments", std::move(assignments)},
                            {"threshold", made->threshold},
                            {"total_shares", static_cast<std::uint64_t>(made->assignments.size())}}});
}

net::Response Handlers::recover(net::Request& request) const {
  const auto access = authenticate(request, "/admin/init/recover");
  if (!access) return error_response(access.error(), "", kInternal);
  const auto numbers = admin_numbers(request.body);
  if (!numbers) return registry_error(400, "Invalid request body");
  const auto threshold = bootstrap().begin_recovery(access->who->id, numbers->threshold, request.deadline);
  if (!threshold) return error_response(threshold.error(), "", kInternal);
  return json_line(JsonOut{JsonOutObject{{"instructions", "Admins must submit their shares using POST /admin/share"},
                                         {"message", "Recovery mode initiated"},
                                         {"threshold", *threshold}}});
}

net::Response Handlers::fetch(net::Request& request) const {
  const auto access = authenticate(request, "/admin/share");
  if (!access) return error_response(access.error(), "", kInternal);
  const auto format = access->version == 1 ? keys::ShareFormat::v1 : keys::ShareFormat::v2;
  const auto share = bootstrap().fetch(access->who->id, format, request.deadline);
  if (!share) return error_response(share.error(), "", kInternal);
  return json_line(
      JsonOut{JsonOutObject{{"share_index", share->index}, {"encrypted_share", base::base64(share->blob)}}});
}

Result<keys::Submitted> take_share(keys::Bootstrap& bootstrap, const AdminAccess& access, AdminSubmission submission,
                                   base::Deadline deadline) {
  if (!submission.sealed.empty())
    return bootstrap.submit_sealed(access.who->id, submission.index, submission.sealed, deadline);
  if (!bootstrap.options().seed_dialect) {
    return Error{Code::usage, "shares in clear are not taken; seal it to the recovery_key of GET /admin/commitments"};
  }
  if (!keys::verify_share_signature(*access.who, submission.share.reveal(), submission.signature))
    return Error{Code::usage, "invalid signature"};
  return bootstrap.submit(access.who->id, submission.index, std::move(submission.share), deadline);
}

net::Response Handlers::submit(net::Request& request) const {
  const auto access = authenticate(request, "/admin/share");
  if (!access) return error_response(access.error(), "", kInternal);
  if (bootstrap().status().state != keys::BootstrapState::recovering)
    return registry_error(400, "KMS not in recovery mode");
  auto submission = admin_submission(std::move(request.body));
  if (!submission) return registry_error(400, submission.error().what);
  const auto taken = take_share(bootstrap(), *access, *std::move(submission), request.deadline);
  if (!taken) return error_response(taken.error(), "Share submission failed: ", kInternal);
  const bool unlocked = *taken == keys::Submitted::unlocked;
  JsonOutObject out{{"message", unlocked ? "KMS unlocked successfully - recovery complete"
                                         : "Share accepted, waiting for more shares"}};
  if (access->version != 1 && !unlocked) {
    const auto now = bootstrap().status();
    out.emplace_back("already", *taken == keys::Submitted::again);
    out.emplace_back("submitted", now.submitted);
    out.emplace_back("threshold", now.threshold);
  }
  return json_line(JsonOut{std::move(out)});
}

net::Response Handlers::received(net::Request& request) const {
  const auto access = authenticate(request, "/admin/share/received");
  if (!access) return error_response(access.error(), "", kInternal);
  // A constant signature shows nothing about who has what now.
  if (access->version == 1) return registry_error(401, "Unauthorized");
  const auto document = base::JsonDocument::parse(request.body);
  base::Digest32 commitment{};
  const auto value = document ? (*document)->root().find("commitment") : std::nullopt;
  const auto text = value ? value->plain_string() : std::nullopt;
  if (!text || !base::hex_decode_into(*text, commitment)) return registry_error(400, "Invalid request body");
  const auto done = bootstrap().confirm(access->who->id, commitment, request.deadline);
  if (!done) return error_response(done.error(), "", kInternal);
  return json_line(JsonOut{JsonOutObject{{"message", "Share received"}}});
}

struct NewAdmins {
  keys::AdminSet admins;
  unsigned threshold = 0;
};

Result<NewAdmins> new_admins_in(const std::string& body) {
  TRY(const auto document, base::JsonDocument::parse(body));
  const auto root = document->root();
  TRY_OK(root.only({"admins", "threshold"}));
  TRY(const auto list, root.get("admins"));
  TRY(auto admins, keys::AdminSet::parse(base::as_bytes("{\"admins\":" + std::string{list.source()} + "}")));
  TRY(const auto value, root.get("threshold"));
  TRY(const auto threshold, value.integer("threshold", 0, 255));
  return NewAdmins{std::move(admins), static_cast<unsigned>(threshold)};
}

net::Response Handlers::reshare(net::Request& request) const {
  const auto access = authenticate(request, "/admin/reshare");
  if (!access) return error_response(access.error(), "", kInternal);
  // A constant signature shows nothing about what its admin wants now.
  if (access->version == 1) return registry_error(401, "Unauthorized");
  auto wanted = new_admins_in(request.body);
  if (!wanted) return registry_error(400, "Invalid request body: " + wanted.error().what);
  const auto answer =
      bootstrap().reshare(access->who->id, std::move(wanted->admins), wanted->threshold, request.deadline);
  if (!answer) return error_response(answer.error(), "", kInternal);
  return json_line(JsonOut{JsonOutObject{{"proposal", base::hex(answer->proposal)},
                                         {"agreed", answer->agreed},
                                         {"needed", answer->needed},
                                         {"split", answer->split}}});
}

net::Route route(net::Method method, std::string path, std::string id, std::string summary, net::Auth auth,
                 std::function<net::Response(net::Request&)> handler) {
  net::Route out;
  out.method = method;
  out.path = std::move(path);
  out.role = net::Role::bootstrap;
  out.auth = auth;
  out.operation_id = std::move(id);
  out.summary = std::move(summary);
  out.tag = "registry admin";
  out.consumes = {};
  out.body_limit = method == net::Method::post ? kMaxBody : 0;
  out.handler = [handler = std::move(handler)](net::Request request, net::Responder responder) {
    responder.send(handler(request));
  };
  return out;
}

}  // namespace

Status register_registry_admin(net::Router& router, const RegistryAdminDeps& deps) {
  const Handlers handlers{deps};
  using net::Auth;
  using net::Method;
  using net::Request;
  TRY_OK(router.add(route(Method::get, "/admin/status", "registry_admin_status", "State of the bootstrap", Auth::none,
                          [handlers](Request&) { return handlers.status(); })));
  TRY_OK(router.add(route(Method::get, "/admin/commitments", "registry_admin_commitments",
                          "Commitments of the admins' shares", Auth::none,
                          [handlers](Request&) { return handlers.commitments(); })));
  TRY_OK(router.add(route(Method::get, "/admin/evidence", "registry_admin_evidence",
                          "This server's evidence over its recovery key", Auth::none,
                          [handlers](Request&) { return handlers.evidence(); })));
  TRY_OK(router.add(route(Method::post, "/admin/init/generate", "registry_admin_generate",
                          "Make a master key and split it", Auth::signature,
                          [handlers](Request& request) { return handlers.generate(request); })));
  TRY_OK(router.add(route(Method::post, "/admin/init/recover", "registry_admin_recover", "Ask admins for their shares",
                          Auth::signature, [handlers](Request& request) { return handlers.recover(request); })));
  TRY_OK(
      router.add(route(Method::get, "/admin/share", "registry_admin_fetch", "The admin's own share, encrypted to him",
                       Auth::signature, [handlers](Request& request) { return handlers.fetch(request); })));
  TRY_OK(router.add(route(Method::post, "/admin/share", "registry_admin_submit", "A share for the recovery",
                          Auth::signature, [handlers](Request& request) { return handlers.submit(request); })));
  TRY_OK(router.add(route(Method::post, "/admin/reshare", "registry_admin_reshare",
                          "Ask for other admins, or another threshold, for the same key", Auth::signature,
                          [handlers](Request& request) { return handlers.reshare(request); })));
  return router.add(route(Method::post, "/admin/share/received", "registry_admin_received",
                          "The admin has opened his share", Auth::signature,
                          [handlers](Request& request) { return handlers.received(request); }));
}

}  // namespace attestry::api
