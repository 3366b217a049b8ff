#include "api/registry_public.h"

#include <algorithm>
#include <string>

#include "api/registry_wire.h"
#include "base/encoding.h"
#include "base/log.h"
#include "provision/registry_pki.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;
using governance::Voucher;
using provision::RegistryOutcome;
using provision::RegistryRefusal;
using provision::RegistryRelease;
using provision::RegistryStep;

namespace {

constexpr std::size_t kMaxCsr = 1u << 20;  // evidence is in it

enum class Generation : std::uint8_t { first, second };

std::string base64_of(std::string_view text) { return base::base64(base::as_bytes(text)); }

// ---- what went wrong, in the words of the wire

/// An authority's reason is a revert's.
std::string words_of_denial(const RegistryRefusal& refusal) {
  const std::string& reason = refusal.error.what;
  if (reason == "identity not allowed" || reason.starts_with("application not allowed")) return reason;
  if (reason == "Operator not authorized") return "could not verify identity is allowed: execution reverted: " + reason;
  return "identity not allowed: " + base::reason(refusal.error);
}

std::string words_of(const RegistryRefusal& refusal) {
  // Storage is what the app's contract names for everybody to read; its troubles are the app's to mend.
  const bool storage = refusal.step == RegistryStep::storage || refusal.step == RegistryStep::config_fetch ||
                       refusal.step == RegistryStep::config_render;
  const std::string inner = storage ? base::reason(refusal.error) : outward(refusal.error);
  switch (refusal.step) {
    case RegistryStep::measurements:
      return "could not parse identity from request: " +
             (inner.find("invalid measurements") == std::string::npos ? "invalid measurements: " + inner : inner);
    case RegistryStep::csr:
      return "could not parse identity from request: csr parsing error: " + inner;
    case RegistryStep::operator_signature:
      return "could not parse identity from request: operator signature verification error: " + inner;
    case RegistryStep::allowed:
      return "could not verify identity is allowed: " + inner;
    case RegistryStep::denied:
      return words_of_denial(refusal);
    case RegistryStep::policy:
      return "could not verify identity is allowed: policy of the contract: " + inner;
    case RegistryStep::key:
      return "key retrieval error: " + inner;
    case RegistryStep::certificate:
      return "certificate signing error: " + inner;
    case RegistryStep::config_lookup:
      return "config lookup error for " + refusal.subject + ": execution reverted: " + refusal.error.what;
    case RegistryStep::storage:
      return "could not process config: storage backend retrieval error: " + inner;
    case RegistryStep::config_fetch:
      return "could not process config: config template retrieval error: " + inner;
    case RegistryStep::config_render:
      return "could not process config: config processing error: " + inner;
    case RegistryStep::record:
      return "could not record the release: " + inner;
  }
  return "Internal server error";
}

/// What a backend lacks or spoils is the server's trouble and not the caller's mistake.
int status_of(const RegistryRefusal& refusal) {
  const Code code = refusal.error.code;
  const int own = base::http_status(code);
  if (own == 503) return own;
  switch (refusal.step) {
    case RegistryStep::allowed:
      // A contract that answers nonsense, or is none of its kind.
      return code == Code::malformed || code == Code::configuration ? 502 : own;
    case RegistryStep::policy:
      return 502;
    case RegistryStep::storage:
    case RegistryStep::config_fetch:
    case RegistryStep::config_render:
      return code == Code::not_found || code == Code::corrupt || code == Code::denied ? 502 : 500;
    case RegistryStep::key:
      return 500;
    case RegistryStep::certificate:
      return code == Code::denied ? 403 : own;
    default:
      return own;
  }
}

/// docs/formats/registry.md, "Old status codes".
int old_status_of(const RegistryRefusal& refusal, const std::string& words, Generation generation) {
  if (generation == Generation::first) return words.find("invalid") != std::string::npos ? 400 : 500;
  switch (refusal.step) {
    case RegistryStep::measurements:
    case RegistryStep::operator_signature:
      return 400;
    case RegistryStep::csr:
    case RegistryStep::allowed:
    case RegistryStep::denied:
    case RegistryStep::policy:
    case RegistryStep::key:
    case RegistryStep::certificate:
      return 401;
    default:
      return 500;
  }
}

net::Response refused(const RegistryPublicRules& rules, const RegistryRefusal& refusal, Generation generation) {
  const std::string words = words_of(refusal);
  auto response =
      registry_error(rules.old_status ? old_status_of(refusal, words, generation) : status_of(refusal), words);
  if (!refusal.appraisal.empty()) response.headers.set("X-Attestry-Appraisal", refusal.appraisal);
  // The text is the seed's, which names no identity.
  const std::string& found = refusal.error.found;
  if (refusal.step == RegistryStep::denied && !refusal.subject.empty() && found.starts_with(refusal.subject)) {
    response.headers.set("X-Attestry-Identity", found);
  }
  return response;
}

// ---- what is released

std::string first_body(const RegistryRelease& release) {
  JsonOutObject out{
      {"app_privkey", base::base64(release.app_privkey_pem.reveal())},
      {"config", release.configuration ? JsonOut{base::base64(release.configuration->reveal())} : JsonOut{}},
      {"tls_cert", base64_of(release.leaf_pem)}};
  return JsonOut{std::move(out)}.compact() + "\n";
}

JsonOutArray numbers(base::ByteView bytes) {
  JsonOutArray out;
  for (const std::uint8_t byte : bytes) out.emplace_back(static_cast<int>(byte));
  return out;
}

std::string second_body(const RegistryRelease& release, const base::Bytes& attestation,
                        const curves::Address& kms_operator) {
  return JsonOut{JsonOutObject{{"app_privkey", base::base64(release.app_privkey_pem.reveal())},
                               {"attestation", base::base64(attestation)},
                               {"operator", numbers(kms_operator)},
                               {"tls_cert", base64_of(release.leaf_pem)}}}
             .compact() +
         "\n";
}

net::Response released(provision::RegistryReply reply) {
  auto response = net::json_response(200, std::move(reply.body));
  response.headers.set("Cache-Control", "no-store");
  // For who wants to prove the release: the leaf, and the key of what it commits to (docs/formats/log.md).
  response.headers.set("X-Attestry-Leaf", std::to_string(reply.leaf_index));
  response.headers.set("X-Attestry-Leaf-Key", base::base64url(reply.leaf_key.reveal()));
  return response;
}

// ---- the handlers

struct Handlers {
  RegistryPublicDeps deps;

  bool served(const curves::Address& contract) const {
    return deps.rules.applications != nullptr || !deps.rules.contracts || deps.rules.contracts->contains(contract);
  }

  /// For what anybody may see. nullopt: the key service's contract lists the app, or is not asked.
  std::optional<net::Response> not_listed(const curves::Address& contract, base::Deadline deadline,
                                          Generation generation) const {
    if (deps.rules.applications == nullptr) return std::nullopt;
    const auto allowed = deps.rules.applications->application_allowed(contract, deadline);
    if (allowed) return std::nullopt;
    if (allowed.error().code == Code::denied) return not_served(generation);
    return unavailable("could not verify application is allowed", allowed.error());
  }

  /// In the words of the second generation, which has such a list on the chain.
  net::Response not_served(Generation generation) const {
    const int old = generation == Generation::first ? 500 : 401;
    return registry_error(deps.rules.old_status ? old : 403, "application not allowed");
  }

  /// nullopt: `out` has what may be asked; otherwise the answer.
  std::optional<net::Response> read(const net::Request& request, net::Role role, Generation generation,
                                    provision::RegistryRegistration& out) const {
    const auto contract = curves::parse_address(request.parameter("contract"), generation == Generation::first
                                                                                   ? curves::AddressPrefix::refused
                                                                                   : curves::AddressPrefix::optional);
    if (!contract) {
      return registry_error(400, generation == Generation::first
                                     ? "Invalid contract address format"
                                     : "invalid contract address: " + base::reason(contract.error()));
    }
    if (!served(*contract)) return not_served(generation);
    out.contract = *contract;
    out.with_configuration = generation == Generation::first;
    out.client_certificate = request.peer.certificate;
    if (const auto answer = read_headers(request, role, generation, out)) return answer;
    if (request.body.empty()) return registry_error(400, "Empty CSR in request body");
    out.csr = base::to_bytes(request.body);
    return std::nullopt;
  }

  std::optional<net::Response> read_headers(const net::Request& request, net::Role role, Generation generation,
                                            provision::RegistryRegistration& out) const {
    const bool proxy = role == net::Role::registry_proxy;
    const bool has_headers =
        request.headers.find(provision::kAttestationTypeHeader) || request.headers.find(provision::kMeasurementHeader);
    if (!proxy && !deps.rules.believe_headers_of_anybody) {
      // As the proxies do that write these headers: a client that brings its own is refused and not ignored.
      if (has_headers) return registry_error(403, "measurement headers are believed from an authenticated proxy only");
      return std::nullopt;
    }
    if (!proxy && !has_headers) return std::nullopt;
    if (request.headers.count(provision::kAttestationTypeHeader) > 1 ||
        request.headers.count(provision::kMeasurementHeader) > 1) {
      return registry_error(400,
                            "could not parse identity from request: invalid measurements: a header is there twice");
    }
    auto measured =
        provision::measurements_from_headers(request.headers.get(provision::kAttestationTypeHeader),
                                             request.headers.get(provision::kMeasurementHeader), deps.rules.legacy_maa);
    if (!measured) {
      return refused(deps.rules, {.step = RegistryStep::measurements, .error = std::move(measured).error()},
                     generation);
    }
    out.vouched = *measured;
    out.voucher = proxy ? Voucher::proxy : Voucher::anybody;
    return std::nullopt;
  }

  void attested(const net::Request& request, net::Responder responder, net::Role role, Generation generation) const {
    provision::RegistryRegistration registration;
    if (auto answer = read(request, role, generation, registration)) return responder.send(*std::move(answer));
    const curves::Address contract = registration.contract;
    const bool believed = registration.vouched && registration.voucher == Voucher::anybody;
    registration.encode = [this, contract, generation](const RegistryRelease& release) -> Result<std::string> {
      if (generation == Generation::first) return first_body(release);
      const curves::Address kms_operator =
          deps.rules.kms_operator != nullptr ? deps.rules.kms_operator->address() : curves::Address{};
      TRY(const auto attestation, deps.pki.attest(provision::secrets_report_data(
                                      contract, kms_operator, release.leaf_pem, release.app_privkey_pem.reveal())));
      return second_body(release, attestation, kms_operator);
    };
    // Where the key service's contract lists the apps, the authority asks it together with the app's own.
    deps.provisioner.provision(
        std::move(registration), request.deadline,
        [this, generation, contract, believed, responder = std::move(responder)](RegistryOutcome outcome) mutable {
          if (believed && outcome) {
            base::log(base::LogLevel::warning, "keys are released on the word of whoever asked",
                      {{"contract", curves::address_checksum_text(contract)},
                       {"because", "registry.believe_headers_of_anybody"}});
          }
          responder.send(outcome ? released(*std::move(outcome)) : refused(deps.rules, outcome.error(), generation));
        });
  }

  net::Response unavailable(std::string_view prefix, const Error& error) const {
    const int status = error.code == Code::configuration ? 502 : base::http_status(error.code);
    return registry_error(deps.rules.old_status ? 500 : status, std::string{prefix} + ": " + outward(error));
  }

  net::Response metadata(const net::Request& request) const {
    const auto contract = curves::parse_address(request.parameter("contract"));
    if (!contract) return registry_error(400, "Invalid contract address format");
    if (!served(*contract)) return not_served(Generation::first);
    if (auto answer = not_listed(*contract, request.deadline, Generation::first)) return *std::move(answer);
    // Whether there is such a contract comes first: evidence for addresses that anybody makes up costs a quote.
    const auto facts = deps.facts.get(*contract, request.deadline);
    if (!facts->ok()) {
      const Error& error = facts->error();
      return unavailable(error.code == Code::not_found ? "Failed to get registry" : "Failed to get domain names",
                         error);
    }
    const auto pki = deps.pki.get(*contract);
    if (!pki) return unavailable("Failed to get PKI", pki.error());
    JsonOutArray domains;
    for (const std::string& name : (*facts)->domain_names) domains.emplace_back(name);
    const std::string attestation = base::base64((*pki)->attestation);
    // The first generation misspells it, and its clients read only that.
    return registry_json(JsonOut{JsonOutObject{{"app_pubkey", base64_of((*pki)->app_pubkey_pem)},
                                               {"attestaion", attestation},
                                               {"attestation", attestation},
                                               {"ca_cert", base64_of((*pki)->ca_pem)},
                                               {"domain_names", std::move(domains)}}}
                             .compact());
  }

  net::Response pki(const net::Request& request) const {
    const auto contract = curves::parse_address(request.parameter("contract"));
    if (!contract) return registry_error(400, "Invalid contract address format");
    const bool own = deps.rules.kms_contract == *contract;
    if (!own && !served(*contract)) return not_served(Generation::second);
    if (!own) {
      if (auto answer = not_listed(*contract, request.deadline, Generation::second)) return *std::move(answer);
      if (auto answer = made_up(*contract, request.deadline)) return *std::move(answer);
    }
    const auto pki = deps.pki.get(*contract);
    if (!pki) return unavailable("Failed to get PKI", pki.error());
    return registry_json(JsonOut{JsonOutObject{{"app_pubkey", base64_of((*pki)->app_pubkey_pem)},
                                               {"attestation", base::base64((*pki)->attestation)},
                                               {"ca_cert", base64_of((*pki)->ca_pem)}}}
                             .compact());
  }

  /// Evidence costs a quote, and addresses are made up for nothing. nullopt: there is such a contract, somebody has
  /// listed it, or the answer costs nothing.
  std::optional<net::Response> made_up(const curves::Address& contract, base::Deadline deadline) const {
    if (!deps.rules.quotes_need_contract || deps.rules.contracts || deps.rules.applications != nullptr)
      return std::nullopt;
    if (!deps.pki.makes_evidence() || deps.pki.known(contract)) return std::nullopt;
    const auto facts = deps.facts.get(contract, deadline);
    if (facts->ok()) return std::nullopt;
    return unavailable("Failed to get PKI", facts->error());
  }

  /// None of the server's workers waits for a chain or a quote provider on behalf of anybody at all.
  void answer_stranger(const net::Request& request, net::Responder responder,
                       net::Response (Handlers::*answer)(const net::Request&) const) const {
    const auto contract = curves::parse_address(request.parameter("contract"));
    const bool needs_facts = answer != &Handlers::pki;
    const bool own = contract.ok() && deps.rules.kms_contract == *contract;
    const bool at_hand = contract.ok() && deps.rules.applications == nullptr && deps.pki.known(*contract) &&
                         (!needs_facts || deps.facts.known(*contract));
    if (!contract || (!served(*contract) && !own) || at_hand) {
      return responder.send((this->*answer)(request));
    }
    auto shared = std::make_shared<net::Responder>(std::move(responder));
    std::move_only_function<void()> task = [this, shared, answer, asked = request]() mutable {
      shared->send((this->*answer)(asked));
    };
    if (deps.run_strangers(task)) return;
    shared->send(unavailable("Failed to get registry", {Code::unavailable, "too many ask at the same time"}));
  }

  net::Response ready() const {
    if (!deps.health.draining && !deps.rules.old_status && deps.waits_for) {
      const std::string reason = deps.waits_for();
      if (!reason.empty()) {
        return net::text_response(503,
                                  JsonOut{JsonOutObject{{"status", "not ready"}, {"reason", reason}}}.compact() + "\n");
      }
    }
    if (!deps.health.draining) return registry_json(R"({"status":"ready"})");
    auto response = net::text_response(503, "{\"status\":\"not ready\"}\n");
    return response;
  }
  /// Whoever may stop traffic is an administrator, and these paths know no signatures: only this machine may.
  static bool from_this_machine(const net::Request& request) {
    const std::string& peer = request.peer.address;
    return request.peer.uid.has_value() || peer.starts_with("127.") || peer.starts_with("[::1]");
  }
  net::Response drain() const {
    return registry_json(deps.health.draining.exchange(true) ? R"({"status":"already draining"})"
                                                             : R"({"status":"draining"})");
  }
  net::Response undrain() const {
    return registry_json(deps.health.draining.exchange(false) ? R"({"status":"ready"})"
                                                              : R"({"status":"already ready"})");
  }
};

using Shared = std::shared_ptr<const Handlers>;
using Answer = net::Response (Handlers::*)(const net::Request&) const;
using Say = net::Response (Handlers::*)() const;

net::Route route(net::Role role, net::Method method, std::string path, std::string_view id, std::string summary) {
  return {.method = method,
          .path = std::move(path),
          .role = role,
          .auth = net::Auth::none,
          .operation_id = std::string{net::to_text(role)} + "_" + std::string{id},
          .summary = std::move(summary),
          .tag = "registry",
          .any_query = true,
          .consumes = {}};
}

Status add_attested(net::Router& router, const Shared& handlers, net::Role role, Generation generation) {
  const bool first = generation == Generation::first;
  auto r =
      route(role, net::Method::post, first ? "/api/attested/register/{contract}" : "/api/attested/secrets/{contract}",
            first ? "register" : "secrets",
            first ? "App key, certificate and configuration for an allowed workload"
                  : "App key and certificate for an allowed workload");
  r.auth = net::Auth::evidence;
  r.body_limit = kMaxCsr;
  r.handler = [handlers, role, generation](const net::Request& request, net::Responder responder) {
    handlers->attested(request, std::move(responder), role, generation);
  };
  return router.add(std::move(r));
}

Status add_get(net::Router& router, const Shared& handlers, net::Role role, std::string path, std::string_view id,
               std::string summary, Answer answer) {
  auto r = route(role, net::Method::get, std::move(path), id, std::move(summary));
  r.handler = [handlers, answer](const net::Request& request, net::Responder responder) {
    handlers->answer_stranger(request, std::move(responder), answer);
  };
  return router.add(std::move(r));
}

Status add_say(net::Router& router, const Shared& handlers, net::Role role, std::string path, std::string_view id,
               std::string summary, Say say) {
  auto r = route(role, net::Method::get, std::move(path), id, std::move(summary));
  r.immediate = true;
  const bool changes = say != &Handlers::ready;
  r.handler = [handlers, say, changes](const net::Request& request, net::Responder responder) {
    if (changes && !Handlers::from_this_machine(request)) {
      return responder.send(registry_error(403, "from this machine only"));
    }
    responder.send(((*handlers).*say)());
  };
  return router.add(std::move(r));
}

}  // namespace

Status register_registry_public(net::Router& router, const RegistryPublicDeps& deps) {
  const auto handlers = std::make_shared<const Handlers>(Handlers{deps});
  for (const net::Role role : {net::Role::registry, net::Role::registry_proxy}) {
    TRY_OK(add_attested(router, handlers, role, Generation::first));
    TRY_OK(add_attested(router, handlers, role, Generation::second));
    TRY_OK(add_get(router, handlers, role, "/api/public/app_metadata/{contract}", "app_metadata",
                   "CA, public key, names and evidence of an app", &Handlers::metadata));
    TRY_OK(add_get(router, handlers, role, "/api/public/pki/{contract}", "pki", "CA, public key and evidence of an app",
                   &Handlers::pki));
  }
  for (const net::Role role : {net::Role::registry, net::Role::registry_proxy, net::Role::bootstrap}) {
    auto alive = route(role, net::Method::get, "/livez", "livez", "Answers while the process lives");
    alive.immediate = true;
    alive.handler = [](const net::Request&, net::Responder responder) {
      responder.send(registry_json(R"({"status":"alive"})"));
    };
    TRY_OK(router.add(std::move(alive)));
    TRY_OK(add_say(router, handlers, role, "/readyz", "readyz", "503 while drained", &Handlers::ready));
  }
  TRY_OK(add_say(router, handlers, net::Role::bootstrap, "/drain", "drain", "Says not ready from now on",
                 &Handlers::drain));
  return add_say(router, handlers, net::Role::bootstrap, "/undrain", "undrain", "Says ready again", &Handlers::undrain);
}

}  // namespace attestry::api
