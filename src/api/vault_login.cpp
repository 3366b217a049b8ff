// auth/attestry/…: challenges, logins with evidence, and the roles that they are for.
#include "api/vault_wire.h"
#include "attestation/event_logs.h"
#include "base/encoding.h"
#include "crypto/x509.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

Result<base::Bytes> bytes_member(const VaultCall& call, std::string_view name) {
  TRY(const auto text, text_of(call, name));
  if (!text) return Error{Code::malformed, "missing " + std::string{name}};
  auto out = base::base64url_decode(*text);
  if (!out) return std::move(out.error().at(name));
  return out;
}

/// A key that a TLS client may have, and that fits into the token's record.
Status check_key(base::ByteView spki) {
  constexpr std::size_t kMost = 1024;
  constexpr std::string_view kEd25519{"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", 12};
  const bool ed25519 = spki.size() == kEd25519.size() + 32 && base::as_text(spki).starts_with(kEd25519);
  const bool good = spki.size() <= kMost && (ed25519 || crypto::EcPublicKey::from_spki(spki).ok() ||
                                             crypto::RsaPublicKey::from_spki(spki).ok());
  if (good) return base::done();
  return Error{Code::malformed, "public_key",
               "SubjectPublicKeyInfo (DER) of P-256, P-384, P-521, Ed25519 or RSA, at most 1024 bytes",
               std::to_string(spki.size()) + " bytes"};
}

/// The key that the token will be bound to: that of a request for a certificate, or a bare one.
Result<base::Bytes> key_of(const VaultCall& call) {
  if (call.member("csr")) {
    TRY(const auto der, bytes_member(call, "csr"));
    TRY(auto csr, crypto::parse_csr(der), "csr");
    return std::move(csr.spki);
  }
  TRY(auto spki, bytes_member(call, "public_key"));
  TRY_OK(check_key(spki));
  return spki;
}

Result<secrets::LoginRequest> login_request(const VaultCall& call) {
  if (!call.body) return Error{Code::malformed, "request body", "role, evidence, nonce and csr or public_key"};
  TRY_OK(call.body->root().only({"role", "evidence", "nonce", "csr", "public_key", "event_logs"}), "request body");
  TRY(auto role, text_of(call, "role"));
  TRY(auto evidence, bytes_member(call, "evidence"));
  TRY(auto nonce, bytes_member(call, "nonce"));
  TRY(auto spki, key_of(call));
  std::vector<attestation::Supplement> logs;
  if (const auto sent = call.member("event_logs")) TRY_OK(attestation::read_event_logs(*sent, logs));
  const std::string name = role.value_or("");
  TRY(const auto view, call.deps.store.read());
  auto known = secrets::read_role(*view, call.space->path, name);
  if (!known && known.error().code == Code::not_found) {
    return Error{Code::malformed, "invalid role name", {}, name.substr(0, 64)};
  }
  TRY(auto wanted, std::move(known));
  const auto format = attestation::detect_format(evidence);
  return secrets::LoginRequest{.evidence = {format, std::move(evidence), std::move(logs)},
                               .nonce = std::move(nonce),
                               .spki = std::move(spki),
                               .body = base::to_bytes(call.body->text()),
                               .space = call.space->path,
                               .space_id = call.space->id,
                               .role_name = name,
                               .role = std::move(wanted),
                               .tenant = call.space->tenant};
}

void challenge(const CallPtr& call) {
  const auto made = call->deps.login.challenge();
  call->send(vault_data(*call,
                        JsonOut{JsonOutObject{{"nonce", base::base64url(made.nonce)},
                                              {"audience", call->deps.log.origin()},
                                              {"tenant", call->space->tenant.text()},
                                              {"expires", base::to_rfc3339(made.expires)}}}
                            .compact(),
                        "attestry"));
}

void log_in(const CallPtr& call) {
  auto request = login_request(*call);
  if (!request) return call->fail(request.error());
  call->deps.login.log_in(*std::move(request), call->request.deadline, [call](Result<secrets::LoggedIn> done) {
    if (!done) return call->fail(done.error());
    const SecretText secret{std::move(done->secret)};
    call->send(vault_auth(*call, done->token, secret.view()));
  });
}

void write_role(const CallPtr& call, const std::string& name) {
  auto role = [&]() -> Result<secrets::LoginRole> {
    TRY(const auto app_text, text_of(*call, "app"));
    if (!app_text) return Error{Code::malformed, "missing app"};
    TRY(auto app, base::AppRef::parse(*app_text));
    secrets::LoginRole out{.app = std::move(app)};
    TRY(const auto policies, texts_of(*call, call->member("token_policies") ? "token_policies" : "policies"));
    out.policies = policies.value_or(std::vector<std::string>{});
    TRY(const auto ttl, seconds_of(*call, call->member("token_ttl") ? "token_ttl" : "ttl"));
    out.ttl = ttl.value_or(0);
    if (out.ttl < 0 || out.ttl > secrets::kLongestTokenSeconds) return Error{Code::malformed, "ttl", "0 to 32 days"};
    return out;
  }();
  if (!role) return call->fail(role.error());
  commit(call, [call, name, role = *std::move(role)](state::WriteTxn& txn) -> Answer {
    const auto there = secrets::read_role(txn, call->space->path, name);
    if (!there && there.error().code != Code::not_found) return there.error();
    TRY_OK(may_change(*call, there.ok()));
    TRY_OK(secrets::put_role(txn, call->space->path, name, role));
    auto response = net::empty_response();
    TRY_OK(add_leaf(*call, txn, {.type = "vault.role", .subject = name}, response));
    return response;
  });
}

void drop_role(const CallPtr& call, const std::string& name) {
  commit(call, [call, name](state::WriteTxn& txn) -> Answer {
    TRY_OK(secrets::erase_role(txn, call->space->path, name));
    auto response = net::empty_response();
    TRY_OK(add_leaf(*call, txn, {.type = "vault.role", .subject = name}, response));
    return response;
  });
}

void read_role(const CallPtr& call, std::string_view name) {
  answer(call, [&](const state::ReadView& view) -> Answer {
    TRY(const auto role, secrets::read_role(view, call->space->path, name));
    return vault_data(
        *call,
        JsonOut{JsonOutObject{
                    {"app", role.app.text()}, {"token_policies", json_texts(role.policies)}, {"token_ttl", role.ttl}}}
            .compact(),
        "attestry");
  });
}

}  // namespace

bool vault_login(const CallPtr& call) {
  if (call->verb != VaultVerb::write) return false;
  if (call->path == "auth/attestry/challenge") {
    challenge(call);
  } else if (call->path == "auth/attestry/login") {
    log_in(call);
  } else {
    return false;
  }
  return true;
}

void vault_roles(const CallPtr& call, std::string_view rest) {
  const bool role = rest.starts_with("role/");
  if (const auto may = role ? allowed_to_try(*call) : allowed(*call); !may) return call->fail(may.error());
  if (rest == "role" && call->verb == VaultVerb::list) {
    return answer(call, [&](const state::ReadView& view) -> Answer {
      TRY(const auto names, secrets::list_roles(view, call->space->path));
      if (names.empty()) return vault_errors(404, {});
      return vault_data(*call, JsonOut{JsonOutObject{{"keys", json_texts(names)}}}.compact(), "attestry");
    });
  }
  if (!role) return call->fail(unsupported_path(*call));
  const std::string name{rest.substr(5)};
  switch (call->verb) {
    case VaultVerb::write:
      return write_role(call, name);
    case VaultVerb::delete_:
      return drop_role(call, name);
    case VaultVerb::read:
      return read_role(call, name);
    case VaultVerb::list:
    case VaultVerb::patch:
      break;
  }
  call->fail(Error{Code::method_not_allowed, "unsupported operation"});
}

}  // namespace attestry::api
