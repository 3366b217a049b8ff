#include "client/registration.h"

#include <algorithm>

#include "attestation/sealed_reply.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/hash.h"
#include "crypto/hpke.h"
#include "crypto/x509.h"
#include "net/problem.h"

namespace attestry::client {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMaxRelease = 8u << 20;
constexpr std::size_t kMaxAnswer = 2 * kMaxRelease;  // the sealed release as base64url, and the receipt

Result<std::string> text_member(const base::JsonValue& object, std::string_view key) {
  TRY(const auto value, object.get(key));
  return value.string(key);
}

Result<base::Bytes> bytes_member(const base::JsonValue& object, std::string_view key) {
  TRY(const auto text, text_member(object, key));
  auto bytes = base::base64url_decode(text);
  if (!bytes) bytes.error().at(key);
  return bytes;
}

Result<crypto::Secret> secret_of(const base::JsonValue& value, std::string_view what) {
  TRY(auto text, value.string(what));
  auto bytes = base::base64url_decode(text);
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  if (!bytes) return std::move(bytes).error().at(what);
  return crypto::Secret::absorb(*bytes);
}

/// Names become file names on the workload's side, so nothing but plain words may come in.
base::Status check_name(std::string_view name, std::string_view what) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
  if (name.empty() || name.size() > 64 || name.front() == '.' ||
      name.find_first_not_of(kPlain) != std::string_view::npos) {
    return Error{Code::malformed, std::string{what}, "1 to 64 letters, digits, _ . - and no leading dot",
                 std::string{name}};
  }
  return base::done();
}

Result<ReceivedKey> key_of(const base::JsonValue& value) {
  ReceivedKey key;
  TRY(key.purpose, text_member(value, "purpose"));
  TRY_OK(check_name(key.purpose, "purpose of a key"));
  TRY(key.algorithm, text_member(value, "algorithm"));
  TRY_OK(check_name(key.algorithm, "algorithm of a key"));
  TRY(key.path, text_member(value, "path"));
  TRY(const auto private_value, value.get("private"));
  TRY(key.private_key, secret_of(private_value, "private"));
  TRY(key.public_key, bytes_member(value, "public"));
  return key;
}

/// The answer's JSON, or the server's problem document as an error with every failed check in its text.
Result<std::shared_ptr<const base::JsonDocument>> read_answer(const net::Response& response, std::string_view what) {
  if (response.status >= 200 && response.status < 300) {
    auto doc = base::JsonDocument::parse(response.body, {.max_bytes = kMaxAnswer});
    if (!doc) return std::move(doc).error().at(what);
    return doc;
  }
  if (auto error = net::error_from_problem(response)) return std::move(error->at(what));
  return Error{Code::unavailable, std::string{what} + ": the server answered " + std::to_string(response.status)};
}

/// The id goes to a terminal and into a command line: nothing but a digest is taken from the other side.
std::string appraisal_of(const net::Response& refusal) {
  const auto doc = base::JsonDocument::parse(refusal.body);
  if (!doc || !(*doc)->root().is_object()) return {};
  const auto member = (*doc)->root().find("appraisal");
  const auto id = member && member->is_string() ? member->string("appraisal") : Result<std::string>{std::string{}};
  if (!id || id->size() != 64 || id->find_first_not_of("0123456789abcdef") != std::string::npos) return {};
  return *id;
}

Result<base::Bytes> challenge(net::HttpTransport& http, const RegistrationRequest& request) {
  TRY(const auto response,
      http.post(request.url + "/v1/challenges", "{\"purpose\":1}", "application/json", request.deadline));
  TRY(const auto doc, read_answer(response, "challenge"));
  return bytes_member(doc->root(), "nonce");
}

base::JsonOutArray event_logs(const RegistrationRequest& request, const attestation::Evidence& evidence) {
  base::JsonOutArray out;
  for (const auto& log : request.event_logs) out.emplace_back(base::base64url(log.bytes));
  for (const auto& log : evidence.supplements) {
    const bool replaced =
        std::ranges::find(request.event_logs, log.kind, &attestation::Supplement::kind) != request.event_logs.end();
    if (!replaced) out.emplace_back(base::base64url(log.bytes));
  }
  return out;
}

}  // namespace

Result<ReceivedRelease> ReceivedRelease::parse(base::ByteView json) {
  // Clients ignore members they do not know (FORMATS 12).
  TRY(const auto doc,
      base::JsonDocument::parse(std::string{base::as_text(json)}, {.max_bytes = kMaxRelease, .wipe = true}), "release");
  const auto root = doc->root();
  ReceivedRelease release;
  TRY(release.tenant, text_member(root, "tenant"));
  TRY(release.app, text_member(root, "app"));
  TRY(release.instance, text_member(root, "instance"));
  TRY(release.certificate_chain_pem, text_member(root, "certificate_chain"));
  TRY(release.configuration_id, text_member(root, "configuration_id"));
  TRY(const auto expires, text_member(root, "expires"));
  TRY(release.expires, base::parse_rfc3339(expires), "expires");
  TRY(const auto list, root.get("keys"));
  for (auto item = list.first(); item; item = item->next()) {
    TRY(auto key, key_of(*item), "key");
    release.keys.push_back(std::move(key));
  }
  // Servers before these had none.
  if (const auto former = root.find("former_keys")) {
    for (auto item = former->first(); item; item = item->next()) {
      FormerKey one;
      TRY(one.key, key_of(*item), "former key");
      TRY(const auto epoch, item->get("epoch"));
      TRY(const auto number, epoch.integer("epoch", 0, UINT32_MAX));
      one.epoch = static_cast<std::uint32_t>(number);
      release.former_keys.push_back(std::move(one));
    }
  }
  TRY(const auto configuration, root.get("configuration"));
  TRY(release.configuration, secret_of(configuration, "configuration"));
  TRY(const auto secrets, root.get("secrets"));
  for (auto item = secrets.first(); item; item = item->next()) {
    TRY_OK(check_name(item->key(), "name of a secret"));
    TRY(auto value, secret_of(*item, "secret"));
    release.secrets.emplace_back(item->key(), std::move(value));
  }
  return release;
}

Result<audit::VerifiedReceipt> check_reply(std::string_view receipt, base::ByteView sealed, const Trust& trust,
                                           const attestation::BindingStatement& statement) {
  constexpr const char* kDoNotOpen =
      "Do not use this server: somebody else may be answering. The reply was not opened.";
  TRY(auto verified, audit::verify_receipt(receipt, trust.log), "receipt");
  const audit::Leaf& leaf = verified.leaf;
  const auto differs = [&](std::string_view what, std::string expected, std::string found) {
    return Error{Code::denied, "the receipt is for something else: " + std::string{what}, std::move(expected),
                 std::move(found), kDoNotOpen};
  };
  if (leaf.type != "release") return differs("type", "release", leaf.type);
  const std::string binding = base::hex(statement.binding());
  if (leaf.binding != binding) return differs("binding", binding, leaf.binding);
  if (leaf.tenant != statement.tenant) return differs("tenant", statement.tenant.text(), leaf.tenant.text());
  if (leaf.app != statement.app.text()) return differs("app", statement.app.text(), leaf.app);
  const std::string reply = base::hex(crypto::sha256(sealed));
  if (leaf.reply != reply) return differs("sealed reply", leaf.reply, reply);
  if (leaf.realm == base::Realm::simulated && !trust.allow_simulated) {
    return Error{Code::realm_mismatch, "the server is simulated", "production", "simulated",
                 "Only for trying out: set \"simulated\": true in the trust settings."};
  }
  return verified;
}

Result<Registered> register_instance(net::HttpTransport& http, attestation::Attester& attester, const Trust& trust,
                                     const RegistrationRequest& request, crypto::Random& random) {
  const auto signing_key = crypto::EcPrivateKey::generate(crypto::Curve::p256, random);
  TRY(const auto csr, crypto::make_csr(signing_key, request.app.text()), "CSR");
  const auto recipient_key = crypto::hpke_generate(random);
  base::LpWriter recipient;
  recipient.u16(crypto::kHpkeKemX25519).raw(recipient_key.public_key);

  TRY(auto nonce, challenge(http, request));
  const attestation::BindingStatement statement{.purpose = base::Purpose::instance_release,
                                                .audience = trust.log.origin,
                                                .nonce = std::move(nonce),
                                                .tenant = request.tenant,
                                                .app = request.app,
                                                .csr_spki = signing_key.public_key().spki(),
                                                .recipient = recipient.bytes()};
  TRY(const auto evidence, attester.attest(statement.binding()), "evidence");
  base::JsonOutObject members{{"evidence", base::base64url(evidence.bytes)},
                              {"csr", base::base64url(csr)},
                              {"recipient", base::base64url(statement.recipient)},
                              {"nonce", base::base64url(statement.nonce)},
                              {"tenant", request.tenant.text()},
                              {"app", request.app.text()}};
  // A server of before knows no such member: it is there only when a log is.
  auto logs = event_logs(request, evidence);
  if (!logs.empty()) members.emplace_back("event_logs", std::move(logs));
  std::string body = base::JsonOut{std::move(members)}.compact();
  net::HttpRequest post{.method = net::Method::post,
                        .url = request.url + "/v1/instances",
                        .body = std::move(body),
                        .deadline = request.deadline,
                        .max_bytes = kMaxAnswer};
  post.headers.set("Content-Type", "application/json");
  TRY(const auto response, http.send(post));
  if (request.refused_appraisal != nullptr && response.status >= 400) {
    *request.refused_appraisal = appraisal_of(response);
  }
  TRY(const auto doc, read_answer(response, "registration"));
  TRY(const auto sealed, bytes_member(doc->root(), "sealed"));
  Registered done;
  TRY(done.receipt_text, text_member(doc->root(), "receipt"));
  TRY(done.receipt, check_reply(done.receipt_text, sealed, trust, statement));
  TRY(const auto plain, attestation::open_reply(sealed, recipient_key.private_key, statement.binding()),
      "sealed reply");
  TRY(done.release, ReceivedRelease::parse(plain.reveal()));
  done.signing_key_pkcs8 = signing_key.pkcs8();
  return done;
}

}  // namespace attestry::client
