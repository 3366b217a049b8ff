#include "api/registry_operator.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "api/registry_wire.h"
#include "base/encoding.h"
#include "base/log.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;
using provision::OnboardRefusal;
using provision::OnboardStep;
using provision::PendingRequest;

namespace {

constexpr std::size_t kMaxSignature = 65;
constexpr std::size_t kMaxUrl = 2048;
constexpr std::size_t kMaxBlob = 4096;
constexpr std::string_view kRequestPath = "/api/operator/onboard_request/{operator}";
constexpr std::string_view kOnboardPath = "/api/operator/onboard";
constexpr std::string_view kChannel = "channel:";
constexpr std::string_view kGeneratePath = "/api/operator/generate";

net::Response bytes_response(base::ByteView bytes) {
  net::Response out;
  out.content_type = "application/octet-stream";
  out.body = std::string{base::as_text(bytes)};
  out.headers.set("Cache-Control", "no-store");
  return out;
}

net::Response nothing() { return bytes_response({}); }

int right_status(const Error& error) {
  // Evidence or a chain of another world is a refusal, not a defect of this server.
  if (error.code == Code::realm_mismatch) return 403;
  // No key service's contract at the address, or a policy of it that is none: not the caller's mistake either.
  if (error.code == Code::configuration) return 502;
  return base::http_status(error.code);
}

std::string words_of(const OnboardRefusal& refusal) {
  const Error& error = refusal.error;
  switch (refusal.step) {
    case OnboardStep::request:
      return error.code == Code::not_found ? error.what : "could not fetch onboard request: " + outward(error);
    case OnboardStep::attestation:
      return "invalid attestation: " + outward(error);
    case OnboardStep::measurements:
      return "invalid measurements: " + outward(error);
    case OnboardStep::identity:
      return error.code == Code::denied ? outward(error) : "could not map identity: " + outward(error);
    case OnboardStep::policy:
      return "policy of the key service's contract: " + outward(error);
    case OnboardStep::process:
      break;
  }
  return "could not process onboard request: " + outward(error);
}

int old_status_of(OnboardStep step) {
  switch (step) {
    case OnboardStep::attestation:
    case OnboardStep::measurements:
      return 400;
    case OnboardStep::request:
    case OnboardStep::identity:
    case OnboardStep::policy:
      return 401;
    case OnboardStep::process:
      break;
  }
  return 500;
}

/// The wire's number; nonces of ours have 63 bits.
std::int64_t small(const chain::Word& nonce) {
  std::int64_t out = 0;
  for (const std::uint8_t byte : base::ByteView{nonce}.last(8)) out = out << 8 | byte;
  return out;
}

std::string json_of(const PendingRequest& pending) {
  const auto& request = pending.request;
  return JsonOut{JsonOutObject{{"Pubkey", base::base64(request.pubkey)},
                               {"Nonce", small(request.nonce)},
                               {"Operator", "0x" + curves::address_hex(request.operator_address)},
                               {"Attestation", base::base64(request.attestation)}}}
      .compact();
}

struct Handlers {
  RegistryOperatorDeps deps;

  net::Response failed(const Error& error, std::string_view prefix, int old) const {
    return registry_error(deps.old_status ? old : right_status(error), std::string{prefix} + outward(error));
  }

  /// The same to the operator, who has signed: he is told all of it.
  net::Response failed_for_operator(const Error& error, std::string_view prefix, int old) const {
    const int status = deps.old_status ? old : right_status(error);
    if (status >= 500) base::log(base::LogLevel::error, "an operator's request failed", {{"reason", error.text()}});
    return registry_error(status, std::string{prefix} + base::reason(error));
  }

  /// Empty when it is none of this listener's.
  std::string_view own_host(const net::Request& request) const {
    const std::string_view host = request.headers.get("Host");
    return is_own_host(host, deps.hosts, deps.own_port ? deps.own_port() : 0) ? host : std::string_view{};
  }

  Status checked(const net::Request& request, std::string_view path) const {
    const provision::KmsRequest asked{.host = own_host(request), .path = path, .body = request.body};
    const auto header = request.headers.find(kOperatorSignatureHeader);
    if (!header) return deps.kms_operator.check(asked, std::nullopt, request.deadline);
    TRY(const auto signature, base::hex_decode(*header), kOperatorSignatureHeader);
    return deps.kms_operator.check(asked, signature, request.deadline);
  }

  net::Response authorize(const net::Request& request) const {
    const auto done = deps.kms_operator.authorize(base::as_bytes(request.body), own_host(request), request.deadline);
    if (done) return nothing();
    const bool malformed = base::http_status(done.error().code) == 400 || done.error().code == Code::crypto;
    if (malformed) return registry_error(400, "signature not valid: " + outward(done.error()));
    const bool decided = done.error().code == Code::denied || done.error().code == Code::conflict;
    return failed(done.error(), decided ? "" : "could not verify operator: ", decided ? 400 : 500);
  }

  net::Response onboard_request(const net::Request& request) const {
    const auto account = curves::parse_address(request.parameter("operator"));
    if (!account) return registry_error(400, "invalid contract address: " + outward(account.error()));
    // Evidence costs something, and a request that nobody may bring to the chain is of no use.
    if (const auto may = deps.kms_operator.may_run(*account, request.deadline); !may)
      return failed(may.error(), "could not make onboard request: ", 500);
    const auto pending = deps.receiver->request(*account);
    if (!pending) return failed(pending.error(), "could not make onboard request: ", 500);
    return registry_json(json_of(**pending));
  }

  /// The first line of what the giving server answers when it refuses.
  Result<base::Bytes> fetch(const std::string& url, const PendingRequest& pending, base::Deadline deadline) const {
    const std::string whole = url + "/api/attested/onboard/" + base::hex(pending.hash);
    TRY(const auto answer, deps.http->send({.url = whole, .deadline = deadline, .max_bytes = kMaxBlob}));
    if (answer.status == 200) return base::to_bytes(base::as_bytes(answer.body));
    const auto line = answer.body.substr(0, std::min<std::size_t>(answer.body.find('\n'), 300));
    const Code code = answer.status == 404 ? Code::not_found : answer.status < 500 ? Code::denied : Code::unavailable;
    return Error{code, "the giving server refuses", "200", std::to_string(answer.status) + " " + line};
  }

  /// Body: "channel:HOST:PORT <130 hex digits>", the operator's permit for the giving server (docs/formats/channel.md).
  net::Response onboard_by_channel(const net::Request& request) const {
    if (const auto his = checked(request, kOnboardPath); !his) return failed(his.error(), "", 401);
    const auto words = provision::parse_channel_permit(std::string_view{request.body}.substr(kChannel.size()),
                                                       deps.kms_operator.nonce());
    if (!words) return registry_error(400, "could not read the permit from body: " + outward(words.error()));
    // Another operator's was made for a server of his, whoever shows it here.
    const auto signer = deps.channel->signer(*words);
    if (!signer || *signer != deps.kms_operator.address()) {
      return registry_error(403, "the permit is not that of the operator of this server");
    }
    const auto kept = deps.channel->fetch(words->peer, *words, request.deadline);
    if (!kept) return failed_for_operator(kept.error(), "could not get kms seed: ", 500);
    return nothing();
  }

  net::Response onboard(const net::Request& request) const {
    if (deps.channel != nullptr && request.body.starts_with(kChannel)) return onboard_by_channel(request);
    std::string url = request.body;
    while (url.ends_with('/') || url.ends_with('\n') || url.ends_with('\r')) url.pop_back();
    if (!url.starts_with("http://") && !url.starts_with("https://"))
      return registry_error(deps.old_status ? 500 : 400, "could not read onboarded kms url from body");
    if (const auto his = checked(request, kOnboardPath); !his) return failed(his.error(), "", 401);
    const auto pending = deps.receiver->pending(deps.kms_operator.address());
    if (pending == nullptr) {
      return registry_error(deps.old_status ? 500 : 409,
                            "could not hash onboard request: this process has made none for its operator; ask for it "
                            "and bring it to the chain first");
    }
    const auto blob = fetch(url, *pending, request.deadline);
    if (!blob) return failed_for_operator(blob.error(), "could not get kms seed: ", 500);
    const auto kept = deps.receiver->accept(*pending, *blob, request.deadline);
    if (!kept) return failed_for_operator(kept.error(), "", 500);
    return nothing();
  }

  net::Response generate(const net::Request& request) const {
    if (const auto his = checked(request, kGeneratePath); !his) return failed(his.error(), "", 401);
    const auto done = deps.receiver->generate(request.deadline);
    return done ? nothing() : failed_for_operator(done.error(), "could not generate kms seed: ", 500);
  }

  void give(const net::Request& request, net::Responder responder) const {
    base::Digest32 hash{};
    std::string_view id = request.parameter("id");
    if (id.starts_with("0x")) id.remove_prefix(2);
    if (const auto good = base::hex_decode_into(id, hash); !good)
      return responder.send(registry_error(400, "invalid contract address: " + outward(good.error())));
    deps.onboarding.give(
        hash, request.deadline,
        [old = deps.old_status, responder = std::move(responder)](provision::OnboardOutcome outcome) mutable {
          if (outcome) return responder.send(bytes_response(*outcome));
          const auto& refusal = outcome.error();
          responder.send(
              registry_error(old ? old_status_of(refusal.step) : right_status(refusal.error), words_of(refusal)));
        });
  }
};

using Shared = std::shared_ptr<const Handlers>;
using Answer = net::Response (Handlers::*)(const net::Request&) const;

net::Route route(net::Role role, net::Method method, std::string_view path, std::string_view id, std::string summary) {
  return {.method = method,
          .path = std::string{path},
          .role = role,
          .auth = net::Auth::none,
          .operation_id = "registry_operator_" + std::string{id},
          .summary = std::move(summary),
          .tag = "registry operator",
          .any_query = true,
          .consumes = {},
          .produces = "application/octet-stream"};
}

/// What a handler waits for holds none of the server's workers.
net::Handler elsewhere(const Shared& handlers, Answer answer) {
  return [handlers, answer](net::Request request, net::Responder responder) {
    struct Work {
      net::Request request;
      net::Responder responder;
    };
    auto work = std::make_shared<Work>(Work{std::move(request), std::move(responder)});
    std::move_only_function<void()> task = [handlers, answer, work] {
      work->responder.send(((*handlers).*answer)(work->request));
    };
    if (handlers->deps.run_waiting(task)) return;
    work->responder.send(registry_error(503, "too many requests wait for the chain"));
  };
}

Status add(net::Router& router, const Shared& handlers, net::Route one, Answer answer, std::size_t body = 0) {
  one.body_limit = body;
  if (one.method == net::Method::post) one.auth = net::Auth::signature;
  one.handler = elsewhere(handlers, answer);
  return router.add(std::move(one));
}

}  // namespace

Status register_registry_operator(net::Router& router, const RegistryOperatorDeps& deps) {
  using net::Method;
  constexpr auto kRole = net::Role::bootstrap;
  const auto handlers = std::make_shared<const Handlers>(Handlers{deps});
  auto nonce = route(kRole, Method::get, provision::kKmsAuthPath, "nonce", "32 bytes for the operator to sign");
  nonce.immediate = true;
  nonce.handler = [handlers](const net::Request&, net::Responder responder) {
    responder.send(bytes_response(handlers->deps.kms_operator.nonce()));
  };
  TRY_OK(router.add(std::move(nonce)));
  TRY_OK(add(router, handlers, route(kRole, Method::post, provision::kKmsAuthPath, "auth", "Whose server this is"),
             &Handlers::authorize, kMaxSignature));
  auto giving = route(net::Role::registry, Method::get, "/api/attested/onboard/{id}", "give",
                      "The master, for a new server that the chain allows");
  giving.auth = net::Auth::evidence;
  giving.handler = [handlers](const net::Request& request, net::Responder responder) {
    handlers->give(request, std::move(responder));
  };
  TRY_OK(router.add(std::move(giving)));
  if (deps.receiver == nullptr) return base::done();
  auto asking = route(kRole, Method::get, kRequestPath, "onboard_request", "This server's request for the master");
  asking.produces = "application/json";
  TRY_OK(add(router, handlers, std::move(asking), &Handlers::onboard_request));
  TRY_OK(add(router, handlers,
             route(kRole, Method::post, kOnboardPath, "onboard", "Get the master from another server"),
             &Handlers::onboard, kMaxUrl));
  return add(router, handlers,
             route(kRole, Method::post, kGeneratePath, "generate", "Make the master of a new service"),
             &Handlers::generate);
}

}  // namespace attestry::api
