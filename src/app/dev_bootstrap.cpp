#include "app/dev_bootstrap.h"

#include <filesystem>

#include "app/operator.h"
#include "attestation/policy.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "client/trust.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view kConfiguration =
    "# Configuration of ${app} (tenant ${tenant}), instance ${instance}\n"
    "listen = \"0.0.0.0:8080\"\n"
    "database_password = \"${secret:database-password}\"\n"
    "session_key = \"${key:session:hmac256:v1}\"\n";

Result<std::string> put_blob(const OperatorSession& session, std::string body) {
  TRY(auto text,
      session.api().call(net::Method::post, session.path("/blobs"), std::move(body), "application/octet-stream"));
  TRY(const auto doc, base::JsonDocument::parse(std::move(text)));
  TRY(const auto id, doc->root().get("id"));
  return id.string("id");
}

Result<std::string> put_secret(const OperatorSession& session, std::string_view name, base::ByteView value) {
  const std::string body = base::JsonOut{base::JsonOutObject{{"value", base::base64url(value)}}}.compact();
  TRY(const auto doc,
      session.api().json(net::Method::put,
                         session.path("/apps/" + net::percent_encode(kDevApp) + "/secrets/" + std::string{name}),
                         body));
  TRY(const auto id, doc->root().get("id"));
  return id.string("id");
}

Status approve(const OperatorSession& session, const base::AppRef& app, governance::Action action,
               std::string_view subject, const crypto::Ed25519PrivateKey& key, base::UtcTime now) {
  TRY([[maybe_unused]] const auto answer, session.approve(app, action, subject, key, now), governance::to_text(action));
  return base::done();
}

Status approve_everything(const OperatorSession& session, const std::string& data, const std::string& mrtd,
                          base::UtcTime now) {
  TRY(const auto key, create_operator_key(data + "/operator.key", crypto::system_random()));
  TRY([[maybe_unused]] const auto added,
      session.api().call(net::Method::put, session.path("/operators/" + base::hex(key.public_key())),
                         R"({"name":"dev operator"})"));
  TRY(const auto app, base::AppRef::parse(kDevApp));
  TRY_OK(approve(session, app, governance::Action::app_create, app.text(), key, now));
  TRY(const auto policy, put_blob(session, attestation::Policy::standard().document()), "policy");
  TRY_OK(approve(session, app, governance::Action::policy_approve, policy, key, now));
  TRY(const auto identity,
      put_blob(session, R"j({"name":"hello 1.0 (simulated)","claims":{"mrtd":[")j" + mrtd + R"("]}})"), "identity");
  TRY_OK(approve(session, app, governance::Action::identity_approve, identity, key, now));
  TRY(const auto configuration, put_blob(session, std::string{kConfiguration}), "configuration");
  TRY_OK(approve(session, app, governance::Action::configuration_approve, configuration, key, now));
  const std::string password = base::base64url(crypto::system_random().bytes<18>());
  TRY(const auto secret, put_secret(session, "database-password", base::as_bytes(password)), "secret");
  return approve(session, app, governance::Action::secret_approve, secret, key, now);
}

}  // namespace

Status bootstrap_dev(const RunningServer& server, const std::string& data, const std::string& mrtd, base::UtcTime now) {
  OperatorOptions options;
  options.server = server.admin_url();
  options.token_file = server.admin_token_file();
  if (!server.own_certificate().empty()) options.ca = data + "/tls.pem";
  TRY(const auto session, OperatorSession::open(options));
  client::Trust trust;
  trust.log.origin = server.origin();
  TRY(auto log_key, audit::NoteKey::parse(server.log_vkey()));
  trust.log.log_keys = {std::move(log_key)};
  trust.allow_simulated = true;
  TRY_OK(state::replace_file(state::system_files(), data + "/trust.json", base::as_bytes(trust.to_json())),
         "trust settings");
  TRY(const auto apps, session->api().json(net::Method::get, session->path("/apps")));
  TRY(const auto list, apps->root().get("apps"));
  if (list.size() != 0) return base::done();
  return approve_everything(*session, data, mrtd, now);
}

}  // namespace attestry::app
