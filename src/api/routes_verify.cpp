// POST /v1/verify and the catalogue of checks.
#include <memory>
#include <optional>
#include <utility>

#include "api/handlers.h"
#include "appraisal/replay.h"
#include "attestation/catalogue.h"
#include "attestation/event_logs.h"
#include "attestation/policy.h"
#include "attestation/policy_schema.h"
#include "base/encoding.h"
#include "collateral/bundle.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kVerifyBody = 8u << 20;

struct VerifyRequest {
  attestation::Evidence evidence;
  std::shared_ptr<const attestation::Collateral> collateral;  ///< null: the server gets it
  std::optional<base::UtcTime> at;
  std::optional<attestation::Policy> own_policy;
  const attestation::Policy* policy = &attestation::Policy::standard();
  std::optional<base::Bytes> report_data;
  std::vector<attestation::SignedList> lists;
  bool store = false;
  base::Tenant tenant = base::Tenant::standard();  ///< whose appraisal it becomes
};

Status read_policy(const base::JsonValue& value, VerifyRequest& out) {
  if (value.is_object()) {
    TRY(out.own_policy, attestation::Policy::parse(value.source()), "policy");
    out.policy = &*out.own_policy;
    return base::done();
  }
  TRY(const auto name, value.string("policy"));
  out.policy = attestation::Policy::builtin(name);
  if (out.policy == nullptr)
    return Error{Code::malformed, "policy", "genuine, default, strict or a policy document", name};
  return base::done();
}

/// Every signature of every list is checked, so their number is bounded.
Status read_lists(const base::JsonValue& value, VerifyRequest& out) {
  constexpr std::size_t kMaxLists = 4;
  if (!value.is_array() || value.size() > kMaxLists) {
    return Error{Code::malformed, "lists", "an array of at most 4 signed lists", {}};
  }
  for (auto item = value.first(); item; item = item->next()) {
    TRY(auto list, attestation::SignedList::parse(item->source()), "lists");
    out.lists.push_back(std::move(list));
  }
  return base::done();
}

Status read_options(const base::JsonValue& root, VerifyRequest& out) {
  if (const auto collateral = root.find("collateral")) {
    if (!collateral->is_object()) return Error{Code::malformed, "collateral", "an object (QuoteCollateralV3)", {}};
    // Everything else of a bundle is signed up to a root of ours; a key set is believed for where it came from. A
    // caller who brings one would verify a token of their own making.
    if (collateral->find("jwks")) {
      return Error{.code = Code::malformed,
                   .what = "collateral: a key set (jwks) is not taken from a request",
                   .expected = "a token alone",
                   .found = "collateral.jwks",
                   .remedy =
                       "The server uses the keys of the issuers that its operator has configured. To judge a token "
                       "with keys of your own choice, use `attestry verify --issuer URL` on your machine."};
    }
    out.collateral = collateral::read_bundle(base::as_bytes(collateral->source()), "collateral").collateral();
  }
  if (const auto at = root.find("at")) {
    TRY(const auto text, at->string("at"));
    TRY(out.at, base::parse_rfc3339(text), "at");
  }
  if (const auto data = root.find("report_data")) {
    TRY(const auto text, data->string("report_data"));
    TRY(out.report_data, base::hex_decode(text), "report_data");
  }
  if (const auto logs = root.find("event_logs")) TRY_OK(attestation::read_event_logs(*logs, out.evidence.supplements));
  if (const auto lists = root.find("lists")) TRY_OK(read_lists(*lists, out));
  if (const auto policy = root.find("policy")) TRY_OK(read_policy(*policy, out));
  if (const auto store = root.find("store")) {
    TRY(out.store, store->boolean("store"));
  }
  if (const auto tenant = root.find("tenant")) {
    TRY(const auto text, tenant->string("tenant"));
    TRY(out.tenant, base::Tenant::parse(text));
  }
  return base::done();
}

/// Anybody may verify; only an administrator may fill this server's disk.
Status may_store(const Deps& deps, const net::Request& request) {
  if (!deps.authenticate) return Error{Code::denied, "this server stores no verifications"};
  TRY([[maybe_unused]] const auto who, deps.authenticate(request, net::Auth::admin), "store");
  return base::done();
}

Status read_request(net::Request& request, VerifyRequest& input) {
  TRY(const auto doc, net::json_body(request, {.max_bytes = kVerifyBody}));
  const auto root = doc->root();
  TRY_OK(root.only({"evidence", "collateral", "at", "policy", "report_data", "event_logs", "lists", "store", "tenant"}),
         "request body");
  TRY(const auto evidence, root.get("evidence"));
  if (const auto plain = evidence.plain_string()) {
    TRY(input.evidence.bytes, base::base64url_decode(*plain), "evidence");
  } else {
    return Error{Code::malformed, "evidence", "base64url without padding", {}};
  }
  input.evidence.format = attestation::detect_format(input.evidence.bytes);
  return read_options(root, input);
}

/// With the id of what was stored, when something was.
net::Response response(const attestation::Verdict& verdict, const std::string& appraisal) {
  std::string body = attestation::to_json(verdict);
  if (!appraisal.empty()) {
    body.pop_back();
    body.append(",\"appraisal\":\"").append(appraisal).append("\"}");
  }
  return net::json_response(200, std::move(body));
}

/// Judges by the policy and answers; what is stored is durable before it is answered.
void judge_and_store(const Deps& deps, const VerifyRequest& input, appraisal::Examined examined,
                     net::Responder responder) {
  const auto now = deps.store.now();
  appraisal::AppraisalInputs inputs{.evidence = input.evidence,
                                    .collateral = std::move(examined.collateral),
                                    .at = examined.verdict.at,
                                    .anchors = deps.appraiser.verifier().anchors(),
                                    .policy = *input.policy,
                                    .report_data = input.report_data,
                                    .lists = input.lists};
  const auto judged = appraisal::judge(std::move(examined.verdict), inputs);
  auto stored = std::make_shared<const appraisal::StoredAppraisal>(
      appraisal::StoredAppraisal::make(std::move(inputs), attestation::to_json(judged.verdict)));
  const appraisal::Entry entry{
      .origin = appraisal::Origin::verification, .stored = now, .summary = appraisal::summary_of(judged.verdict)};
  auto reply = response(judged.verdict, base::hex(stored->id()));
  deps.store.write([stored, entry, tenant = input.tenant, &appraisals = deps.appraisals](
                       state::WriteTxn& txn) { return appraisals.put(txn, tenant, *stored, entry); },
                   [reply = std::move(reply), responder = std::move(responder)](Status status) mutable {
                     if (!status) return responder.send(status.error());
                     responder.send(std::move(reply));
                   });
}

net::Response judged(const VerifyRequest& input, attestation::Verdict verdict) {
  std::optional<base::ByteView> expected;
  if (input.report_data) expected = *input.report_data;
  attestation::evaluate(*input.policy, verdict, expected, {.lists = input.lists});
  return response(verdict, {});
}

/// Answers on this thread when the collateral is at hand; no thread of the server's waits for it.
void verify(const Deps& deps, net::Request request, net::Responder responder) {
  auto input = std::make_shared<VerifyRequest>();
  if (const auto read = read_request(request, *input); !read) return responder.send(read.error());
  if (input->store) {
    if (const auto may = may_store(deps, request); !may) return responder.send(may.error());
  }
  const auto now = deps.store.now();
  const auto at = input->at.value_or(now);
  const attestation::Evidence& evidence = input->evidence;
  auto answer = [&deps, input, responder = std::move(responder)](Result<appraisal::Examined> examined) mutable {
    if (!examined) return responder.send(examined.error());
    if (!input->store) return responder.send(judged(*input, std::move(examined->verdict)));
    judge_and_store(deps, *input, *std::move(examined), std::move(responder));
  };
  if (!input->collateral) {
    return deps.appraiser.examine_when_ready(evidence, at, now, request.deadline, std::move(answer));
  }
  auto verdict = deps.appraiser.verifier().verify(evidence, *input->collateral, at);
  if (!verdict) return answer(std::move(verdict).error());
  answer(appraisal::Examined{*std::move(verdict), input->collateral});
}

base::JsonOut check_json(const attestation::CheckInfo& check) {
  base::JsonOutArray needs;
  for (const auto need : check.needs) needs.emplace_back(attestation::info(need).id);
  return base::JsonOutObject{{"id", check.id},           {"title", check.title},   {"specification", check.spec},
                             {"meaning", check.meaning}, {"remedy", check.remedy}, {"needs", std::move(needs)}};
}

Result<net::Response> list_checks() {
  base::JsonOutArray checks;
  for (const auto& check : attestation::catalogue()) checks.push_back(check_json(check));
  return net::json_response(200, base::JsonOut{base::JsonOutObject{{"catalogue", attestation::kCatalogueVersion},
                                                                   {"checks", std::move(checks)}}});
}

Result<net::Response> show_check(const net::Request& request) {
  const auto check = attestation::find_check(request.parameter("id"));
  if (!check)
    return Error{
        Code::not_found, "no check of that id", {}, std::string{request.parameter("id")}, "GET /v1/checks lists them."};
  return net::json_response(200, check_json(attestation::info(*check)));
}

}  // namespace

Status add_verify_routes(net::Router& router, const Deps& deps) {
  TRY_OK(router.add({.path = "/v1/policy-schema",
                     .auth = net::Auth::none,
                     .operation_id = "policy_schema",
                     .summary = "JSON Schema of policy documents",
                     .response_schema = "PolicySchema",
                     .tag = "verify",
                     .handler = sync([](net::Request&) -> Result<net::Response> {
                       return net::json_response(200, attestation::policy_schema_json());
                     })}));
  TRY_OK(router.add(
      {.method = net::Method::post,
       .path = "/v1/verify",
       .auth = net::Auth::none,
       .operation_id = "verify_evidence",
       .summary = "Verify evidence and explain the verdict check by check",
       .description =
           "Refused evidence is a verdict with status 200; only a request that cannot be read is a problem. "
           "`report_data` is compared with the whole field, shorter values padded with zeros: an empty one asks "
           "for a field of zeros (of a Nitro document, for none). `event_logs` are boot event logs that lead to "
           "the evidence: of each kind, TCG and dstack's JSON, at most one. "
           "With `store` (an administrator's token) the appraisal is kept, and the answer names it.",
       .request_schema = "VerifyRequest",
       .response_schema = "Verdict",
       .tag = "verify",
       .body_limit = kVerifyBody,
       .handler = [&deps](net::Request request, net::Responder responder) {
         verify(deps, std::move(request), std::move(responder));
       }}));
  TRY_OK(router.add({.path = "/v1/checks",
                     .auth = net::Auth::none,
                     .operation_id = "list_checks",
                     .summary = "The catalogue of checks",
                     .response_schema = "CheckCatalogue",
                     .tag = "verify",
                     .handler = sync([](net::Request&) { return list_checks(); })}));
  return router.add({.path = "/v1/checks/{id}",
                     .auth = net::Auth::none,
                     .operation_id = "show_check",
                     .summary = "One check: what it means when it fails, and what to do",
                     .response_schema = "Check",
                     .tag = "verify",
                     .handler = sync([](net::Request& request) { return show_check(request); })});
}

}  // namespace attestry::api
