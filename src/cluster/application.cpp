#include "cluster/application.h"

#include <utility>

#include "attestation/event_logs.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/reader.h"
#include "base/utf8.h"
#include "cluster/sharing.h"
#include "crypto/hash.h"

namespace attestry::cluster {

using base::ByteView;
using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view kTag = "attestry/threshold-application/1";
constexpr std::string_view kLeafTag = "attestry/threshold-application/1/leaf";
constexpr std::string_view kWhat = "threshold request";
constexpr std::uint16_t kRecipientKind = 0xFF01;
constexpr std::size_t kMostTenant = 63;
constexpr std::size_t kMostAppRef = 128;
constexpr std::size_t kMostLogs = 2;  // one of a kind

bool of_near(const base::AppRef& app) { return app.kind() == base::AppRef::Kind::near; }

Status check_derivable(const base::Tenant& tenant, const base::AppRef& app, std::uint32_t epoch,
                       std::string_view path) {
  if (!of_near(app)) {
    if (path.empty()) return base::done();
    return Error{Code::malformed, "derivation path", "none: only apps of NEAR accounts have one", std::string{path}};
  }
  if (path.size() > kMostPath || !base::is_utf8(path)) {
    return Error{Code::malformed, "derivation path", "at most " + std::to_string(kMostPath) + " bytes of UTF-8",
                 std::to_string(path.size()) + " bytes"};
  }
  if (epoch != 0) {
    return Error{Code::malformed, "epoch", "0: keys of NEAR accounts have no epochs", std::to_string(epoch)};
  }
  if (tenant == base::Tenant::standard()) return base::done();
  return Error{Code::denied, "keys of NEAR accounts are the same for every tenant and are derived for one alone",
               base::Tenant::standard().text(), tenant.text(), "Use the app in the tenant \"default\"."};
}

Status check_nonces(std::span<const NodeNonce> nonces) {
  TRY([[maybe_unused]] const auto combined, combined_nonce(nonces));
  // Ids ascend: the last one is the greatest.
  if (nonces.back().id < kMostNodes) return base::done();
  return Error{Code::malformed, "nonces", "ids below " + std::to_string(kMostNodes), std::to_string(nonces.back().id)};
}

Result<std::vector<NodeNonce>> read_nonces(const JsonValue& array) {
  std::vector<NodeNonce> out;
  if (!array.is_array()) {
    return Error{Code::malformed, "nonces", "an array of {\"node\",\"nonce\"}",
                 std::string{array.source().substr(0, 80)}};
  }
  for (auto value = array.first(); value; value = value->next()) {
    TRY_OK(value->only({"node", "nonce"}), "nonces");
    NodeNonce one;
    TRY(const auto node, value->get("node"), "nonces");
    TRY(const auto id, node.integer("node", 0, kMostNodes - 1), "nonces");
    one.id = static_cast<std::uint32_t>(id);
    TRY(const auto nonce, value->get("nonce"), "nonces");
    TRY(const auto text, nonce.string("nonce"), "nonces");
    TRY(const auto bytes, base::base64url_decode(text), "nonces");
    if (bytes.size() != one.nonce.size()) {
      return Error{Code::malformed, "nonces", std::to_string(one.nonce.size()) + " bytes each",
                   std::to_string(bytes.size())};
    }
    std::ranges::copy(bytes, one.nonce.begin());
    out.push_back(one);
  }
  return out;
}

struct Wanted {
  AppKey key;
  std::string path;
};

Result<Wanted> read_wanted(const JsonValue& root) {
  Wanted out;
  if (const auto request = root.find("request")) {
    if (root.find("app_public_key") || root.find("derivation_path")) {
      return Error{Code::malformed, std::string{kWhat}, "either `request`, or `app_public_key` and `derivation_path`",
                   "both"};
    }
    TRY(auto mpc, MpcRequest::read(*request));
    TRY_OK(mpc.check_domain());
    return Wanted{mpc.key, std::move(mpc.derivation_path)};
  }
  TRY(const auto key, root.get("app_public_key"));
  TRY(out.key, AppKey::read(key));
  if (const auto path = root.find("derivation_path")) {
    TRY(out.path, path->string("derivation_path"));
  }
  return out;
}

Result<std::uint32_t> read_epoch(const JsonValue& root, const base::AppRef& app) {
  if (of_near(app) && !root.find("epoch")) return 0u;
  TRY(const auto value, root.get("epoch"));
  TRY(const auto epoch, value.integer("epoch", 0, UINT32_MAX));
  return static_cast<std::uint32_t>(epoch);
}

}  // namespace

Result<base::Bytes> app_id_of(base::Realm realm, const base::Tenant& tenant, const base::AppRef& app,
                              std::uint32_t epoch, std::string_view path) {
  TRY_OK(check_derivable(tenant, app, epoch, path));
  if (of_near(app)) {
    const auto account = base::as_text(ByteView{app.bytes()}.subspan(1));
    return base::to_bytes(keys::ckd::app_id(account, path));
  }
  base::LpWriter out;
  out.lp("app-root").lp(base::to_text(realm)).lp(tenant.text()).lp(app.bytes()).u32(epoch);
  return std::move(out).take();
}

crypto::Secret key_of(const base::AppRef& app, base::ByteView app_id, const crypto::Secret& opened) {
  if (app.kind() == base::AppRef::Kind::near) return keys::ckd::application_key(opened);
  return crypto::hkdf_sha256(crypto::sha256(base::as_bytes("attestry/kdf/2")), opened.reveal(), app_id, 32);
}

std::string audience_of(const curves::bls::G2::Encoded& master) { return "threshold:" + keys::ckd::to_text(master); }

base::Bytes Application::bytes() const {
  base::LpWriter out;
  out.lp(kTag).u16(static_cast<std::uint16_t>(nonces.size()));
  for (const NodeNonce& one : nonces) out.u32(one.id).raw(one.nonce);
  out.lp(tenant.text()).lp(app.bytes()).u32(epoch).lp(path).lp(recipient()).lp(evidence.bytes);
  out.u8(static_cast<std::uint8_t>(evidence.supplements.size()));
  for (const auto& log : evidence.supplements) out.lp(log.bytes);
  return std::move(out).take();
}

namespace {

Result<AppKey> key_of(ByteView recipient) {
  base::Reader reader{recipient};
  AppKey out;
  TRY(const std::uint16_t kind, reader.u16be("kind of recipient"));
  if (kind != kRecipientKind) {
    return Error{Code::malformed, "recipient", std::to_string(kRecipientKind), std::to_string(kind)};
  }
  TRY(out.pk1, reader.take_array<48>("A"));
  if (reader.remaining() > 0) {
    TRY(out.pk2, reader.take_array<96>("A2"));
  }
  TRY_OK(reader.finish("recipient"));
  return out;
}

Result<attestation::Evidence> read_evidence(base::Reader& reader) {
  TRY(const ByteView bytes, reader.lp("evidence", Application::kMaxBytes));
  attestation::Evidence out{attestation::detect_format(bytes), base::to_bytes(bytes), {}};
  TRY(const std::uint8_t count, reader.u8("number of event logs"));
  if (count > kMostLogs) {
    return Error{Code::malformed, "event logs", "at most " + std::to_string(kMostLogs), std::to_string(count)};
  }
  for (std::uint8_t i = 0; i < count; ++i) {
    TRY(const ByteView log, reader.lp("event log", Application::kMaxBytes));
    TRY_OK(attestation::add_event_log(out.supplements, base::to_bytes(log)));
  }
  return out;
}

Status check_size(std::size_t size) {
  if (size <= Application::kMaxBytes) return base::done();
  return Error{Code::too_large, std::string{kWhat}, "at most " + std::to_string(Application::kMaxBytes) + " bytes",
               std::to_string(size)};
}

Result<Application> checked(Application application) {
  TRY_OK(check_nonces(application.nonces));
  TRY_OK(check_derivable(application.tenant, application.app, application.epoch, application.path));
  return application;
}

}  // namespace

Result<Application> Application::parse(ByteView bytes) {
  TRY_OK(check_size(bytes.size()));
  base::Reader reader{bytes};
  TRY(const ByteView tag, reader.lp("tag", kTag.size()));
  if (base::as_text(tag) != kTag) {
    return Error{Code::malformed, std::string{kWhat}, std::string{kTag}, "another tag"};
  }
  TRY(const std::uint16_t count, reader.u16be("number of nonces"));
  if (count > appraisal::kMostNodeNonces) {
    return Error{Code::malformed, "nonces", "at most " + std::to_string(appraisal::kMostNodeNonces),
                 std::to_string(count)};
  }
  std::vector<NodeNonce> nonces(count);
  for (NodeNonce& one : nonces) {
    TRY(one.id, reader.u32be("node"));
    TRY(one.nonce, reader.take_array<appraisal::kNonceBytes>("nonce"));
  }
  TRY(const ByteView tenant_text, reader.lp("tenant", kMostTenant));
  TRY(auto tenant, base::Tenant::parse(base::as_text(tenant_text)));
  TRY(const ByteView app_bytes, reader.lp("app", kMostAppRef));
  TRY(auto app, base::AppRef::from_bytes(app_bytes));
  TRY(const std::uint32_t epoch, reader.u32be("epoch"));
  TRY(const ByteView path, reader.lp("derivation path", kMostPath));
  TRY(const ByteView recipient, reader.lp("recipient", 2 + 48 + 96));
  TRY(const AppKey key, key_of(recipient));
  TRY(auto evidence, read_evidence(reader));
  TRY_OK(reader.finish(kWhat));
  return checked({.nonces = std::move(nonces),
                  .evidence = std::move(evidence),
                  .key = key,
                  .tenant = std::move(tenant),
                  .app = std::move(app),
                  .epoch = epoch,
                  .path = std::string{base::as_text(path)}});
}

Result<Application> Application::parse_json(std::string body) {
  TRY(const auto doc, base::JsonDocument::parse(std::move(body), {.max_bytes = kMaxBody}), "request body");
  const auto root = doc->root();
  TRY_OK(root.only({"nonces", "evidence", "event_logs", "tenant", "app", "epoch", "app_public_key", "derivation_path",
                    "request"}),
         "request body");
  TRY(const auto nonces_value, root.get("nonces"));
  TRY(auto nonces, read_nonces(nonces_value));
  TRY(const auto evidence_value, root.get("evidence"));
  TRY(const auto evidence_text, evidence_value.string("evidence"));
  TRY(auto evidence, base::base64url_decode(evidence_text), "evidence");
  std::vector<attestation::Supplement> logs;
  if (const auto value = root.find("event_logs")) TRY_OK(attestation::read_event_logs(*value, logs));
  auto tenant = base::Tenant::standard();
  if (const auto value = root.find("tenant")) {
    TRY(const auto text, value->string("tenant"));
    TRY(tenant, base::Tenant::parse(text));
  }
  TRY(const auto app_value, root.get("app"));
  TRY(const auto app_text, app_value.string("app"));
  TRY(auto app, base::AppRef::parse(app_text));
  TRY(const std::uint32_t epoch, read_epoch(root, app));
  TRY(auto wanted, read_wanted(root));
  const auto format = attestation::detect_format(evidence);
  TRY(auto out, checked({.nonces = std::move(nonces),
                         .evidence = {format, std::move(evidence), std::move(logs)},
                         .key = wanted.key,
                         .tenant = std::move(tenant),
                         .app = std::move(app),
                         .epoch = epoch,
                         .path = std::move(wanted.path)}));
  TRY_OK(check_size(out.bytes().size()));
  return out;
}

std::string Application::json() const {
  base::JsonOutArray all, logs;
  for (const NodeNonce& one : nonces) {
    all.emplace_back(base::JsonOutObject{{"node", one.id}, {"nonce", base::base64url(one.nonce)}});
  }
  for (const auto& log : evidence.supplements) logs.emplace_back(base::base64url(log.bytes));
  base::JsonOutObject out{{"nonces", std::move(all)},
                          {"evidence", base::base64url(evidence.bytes)},
                          {"tenant", tenant.text()},
                          {"app", app.text()},
                          {"app_public_key", key.json()}};
  if (!logs.empty()) out.emplace_back("event_logs", std::move(logs));
  if (of_near(app)) {
    out.emplace_back("derivation_path", path);
  } else {
    out.emplace_back("epoch", epoch);
  }
  return base::JsonOut{std::move(out)}.compact();
}

base::Bytes Application::recipient() const {
  base::LpWriter out;
  out.u16(kRecipientKind).raw(key.pk1);
  if (key.pk2) out.raw(*key.pk2);
  return std::move(out).take();
}

Result<attestation::BindingStatement> Application::statement(const curves::bls::G2::Encoded& master) const {
  return statement_for(audience_of(master));
}

Result<attestation::BindingStatement> Application::statement_for(std::string audience) const {
  TRY(const base::Digest32 nonce, combined_nonce(nonces));
  return attestation::BindingStatement{.purpose = base::Purpose::confidential_key_derivation,
                                       .audience = std::move(audience),
                                       .nonce = base::to_bytes(nonce),
                                       .tenant = tenant,
                                       .app = app,
                                       .csr_spki = {},
                                       .recipient = recipient()};
}

crypto::Secret Application::leaf_key() const {
  base::LpWriter out;
  out.lp(kLeafTag).raw(bytes());
  return crypto::Secret::copy_of(crypto::sha256(out.bytes()));
}

}  // namespace attestry::cluster
