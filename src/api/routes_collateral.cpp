// The vault for its operators: what is held, fetching, taking in and giving out.
#include <algorithm>
#include <optional>

#include "api/handlers.h"
#include "attestation/artefact.h"
#include "base/encoding.h"
#include "collateral/shelf.h"

namespace attestry::api {

using attestation::Artefact;
using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kImportBody = 16u << 20;
constexpr std::size_t kEvidenceBody = 8u << 20;

JsonOut optional_text(const std::string& text) { return text.empty() ? JsonOut{} : JsonOut{text}; }

JsonOut holding_json(const collateral::Holding& held) {
  JsonOutArray documents;
  for (const auto& document : held.documents) {
    documents.emplace_back(JsonOutObject{
        {"kind", to_text(document.kind)}, {"sha256", base::hex(document.sha256)}, {"size", document.size}});
  }
  JsonOutObject out{
      {"artefact", to_text(held.artefact)},
      {"kind", kind_of(held.artefact)},
      {"issued", base::to_rfc3339(held.issued)},
      {"expires", base::to_rfc3339(held.expires)},
      {"fetched_at", base::to_rfc3339(held.fetched_at)},
      {"refresh_at", held.refresh_at < held.expires ? JsonOut{base::to_rfc3339(held.refresh_at)} : JsonOut{}},
      {"usable_until", base::to_rfc3339(held.usable_until)},
      {"stale_seconds", held.stale_seconds ? JsonOut{*held.stale_seconds} : JsonOut{}},
      {"number", held.number},
      {"source", held.source},
      {"problem", optional_text(held.problem)}};
  out.emplace_back("documents", std::move(documents));
  return out;
}

Result<net::Response> list(const Deps& deps, const net::Request& request) {
  const auto beginning = request.query_value("artefact").value_or("");
  TRY(const auto holdings, deps.vault->list());
  JsonOutArray rows;
  for (const auto& held : holdings) {
    if (collateral::name_begins(held.artefact, beginning)) rows.push_back(holding_json(held));
  }
  return net::json_response(
      200, JsonOut{JsonOutObject{{"at", base::to_rfc3339(deps.store.now())}, {"artefacts", std::move(rows)}}});
}

Error too_much() {
  return {.code = Code::too_large,
          .what = "the export is too large for one bundle",
          .expected = "at most 64 MiB",
          .found = "more",
          .remedy =
              "Ask for it in parts, by the beginning of the names: ?artefact=tcb_info, ?artefact=vcek/Milan/0, "
              "?artefact=vcek/Milan/1, and so on."};
}

/// With the signers of what was chosen, without which nobody could judge it.
Result<net::Response> give_out(const Deps& deps, const net::Request& request) {
  const auto beginning = request.query_value("artefact").value_or("");
  const auto now = deps.store.now();
  // Of chips there may be very many; anything else may be a signer of what was chosen.
  const auto wanted = [&](const Artefact& artefact) {
    return collateral::name_begins(artefact, beginning) || !std::holds_alternative<attestation::VcekOf>(artefact);
  };
  const auto held = deps.vault->held(wanted, now, collateral::kMaxShelfBytes);
  if (!held.ok()) return held.error().code == Code::too_large ? too_much() : held.error();
  collateral::Shelf all{
      .realm = deps.registry.realm(), .created = now, .origin = deps.registry.audience(), .items = {}};
  for (const auto& one : *held) {
    collateral::ShelfItem item{.source = one.about.source, .fetched_at = one.about.fetched_at, .documents = {}};
    const auto own = documents_of(one.about.artefact);
    for (const auto& document : one.documents->items()) {
      const bool is_own = std::ranges::find(own, document.kind) != own.end();
      (is_own ? item.documents : item.context).push_back(document);
    }
    all.items.emplace(one.about.artefact, std::move(item));
  }
  std::string json = all.chosen([&](const Artefact& a) { return collateral::name_begins(a, beginning); }).to_json();
  if (json.size() > collateral::kMaxShelfBytes) return too_much();
  return net::json_response(200, std::move(json));
}

Result<attestation::CollateralItem> read_document(const base::JsonValue& value, collateral::TimesOfKinds& fetched_at) {
  TRY_OK(value.only({"kind", "bytes", "fetched_at"}), "document");
  TRY(const auto name, text_member(value, "kind"));
  const auto kind = collateral::collateral_kind_from(name);
  if (!kind) return Error{Code::malformed, "documents", "a kind of collateral", name};
  TRY(const auto bytes, value.get("bytes"));
  const auto encoded = bytes.plain_string();
  if (!encoded) return Error{Code::malformed, "documents", "base64url without padding", {}};
  attestation::CollateralItem item{.kind = *kind, .bytes = {}};
  TRY(item.bytes, base::base64url_decode(*encoded), "documents");
  if (value.find("fetched_at")) {
    TRY(const auto text, text_member(value, "fetched_at"));
    TRY(fetched_at[item.kind], base::parse_rfc3339(text), "documents: fetched_at");
  }
  return item;
}

/// A key set says nothing of whose it is, and is believed for where it came from: the operator says so, and the server
/// believes its tokens only if its settings name that issuer too.
Status check_issuer(const Deps& deps, const std::string& issuer) {
  const auto& issuers = deps.appraiser.verifier().anchors().token_issuers();
  if (std::ranges::find(issuers, issuer) != issuers.end()) return base::done();
  return Error{
      .code = Code::not_found,
      .what = "this server believes no tokens of that issuer",
      .expected = "an issuer of the setting collateral.issuers",
      .found = issuer,
      .remedy = "Add it to collateral.issuers, exactly as `iss` of its tokens says it, and restart the server."};
}

Result<net::Response> take_in(const Deps& deps, net::Request& request) {
  TRY(const auto doc, net::json_body(request, {.max_bytes = kImportBody}));
  const auto root = doc->root();
  TRY_OK(root.only({"documents", "source", "issuer"}), "request body");
  TRY(const auto given, root.get("documents"));
  if (!given.is_array() || given.size() == 0) return Error{Code::malformed, "documents", "an array, not empty", {}};
  std::vector<attestation::CollateralItem> documents;
  collateral::Provenance from{.source = "import"};
  for (auto one = given.first(); one; one = one->next()) {
    TRY(auto item, read_document(*one, from.fetched_at));
    const bool twice = std::ranges::any_of(documents, [&](const auto& known) { return known.kind == item.kind; });
    if (twice) return Error{Code::malformed, "documents: " + std::string{to_text(item.kind)} + " is given twice"};
    documents.push_back(std::move(item));
  }
  if (root.find("source")) {
    TRY(const auto text, text_member(root, "source"));
    if (text.size() > 256) return Error{Code::malformed, "source", "at most 256 bytes", {}};
    from.source += " " + text;
  }
  if (root.find("issuer")) {
    TRY(from.issuer, text_member(root, "issuer"));
    TRY_OK(check_issuer(deps, from.issuer));
  }
  TRY(const auto imported, deps.vault->import(documents, from, deps.store.now(), request.deadline));
  JsonOutArray outcomes;
  for (const auto& one : imported) {
    outcomes.emplace_back(JsonOutObject{
        {"artefact", one.name}, {"outcome", to_text(one.outcome)}, {"reason", optional_text(one.reason)}});
  }
  return net::json_response(200, JsonOut{JsonOutObject{{"imported", std::move(outcomes)}}});
}

Result<net::Response> needs(const Deps& deps, net::Request& request) {
  TRY(const auto doc, net::json_body(request, {.max_bytes = kEvidenceBody}));
  TRY_OK(doc->root().only({"evidence"}), "request body");
  TRY(const auto value, doc->root().get("evidence"));
  const auto encoded = value.plain_string();
  if (!encoded) return Error{Code::malformed, "evidence", "base64url without padding", {}};
  attestation::Evidence evidence;
  TRY(evidence.bytes, base::base64url_decode(*encoded), "evidence");
  evidence.format = attestation::detect_format(evidence.bytes);
  JsonOutArray ways;
  for (const auto& way : needs_of(evidence, deps.appraiser.verifier().anchors().token_issuers())) {
    JsonOutArray artefacts;
    for (const auto& artefact : way.artefacts) artefacts.emplace_back(to_text(artefact));
    JsonOutArray problems;
    for (const auto& problem : way.problems) problems.emplace_back(problem.what);
    ways.emplace_back(JsonOutObject{{"artefacts", std::move(artefacts)}, {"problems", std::move(problems)}});
  }
  return net::json_response(200, JsonOut{JsonOutObject{{"ways", std::move(ways)}}});
}

struct FetchRequest {
  Artefact artefact;
  bool refresh = false;
};

Result<FetchRequest> read_fetch(const Deps& deps, net::Request& request) {
  TRY(const auto doc, net::json_body(request));
  TRY_OK(doc->root().only({"artefact", "refresh"}), "request body");
  FetchRequest out;
  TRY(const auto name, text_member(doc->root(), "artefact"));
  TRY(out.artefact, attestation::parse_artefact(name), "artefact");
  if (const auto refresh = doc->root().find("refresh")) {
    TRY(out.refresh, refresh->boolean("refresh"));
  }
  if (const auto* keys = std::get_if<attestation::JwksOf>(&out.artefact)) TRY_OK(check_issuer(deps, keys->issuer));
  return out;
}

void fetch(const Deps& deps, net::Request request, net::Responder responder) {
  auto asked = read_fetch(deps, request);
  if (!asked.ok()) return responder.send(asked.error());
  const auto deadline = std::min(request.deadline, deps.clock->steady() + deps.patience);
  auto shared = std::make_shared<net::Responder>(std::move(responder));
  SlowLane::Task task = [&deps, asked = *std::move(asked), deadline, shared] {
    const auto held = asked.refresh ? deps.vault->refresh(asked.artefact, deadline)
                                    : deps.vault->get(asked.artefact, deps.store.now(), deadline, true);
    if (!held.ok()) return shared->send(held.error());
    shared->send(net::json_response(200, holding_json(held->about)));
  };
  if (!deps.operators->run(task)) shared->send(Error{Code::unavailable, "too many requests wait for the vendors"});
}

net::Route admin_route(net::Method method, std::string path, std::string id, std::string summary, std::string schema,
                       net::Handler handler) {
  return {.method = method,
          .path = std::move(path),
          .role = net::Role::admin,
          .auth = net::Auth::admin,
          .operation_id = std::move(id),
          .summary = std::move(summary),
          .response_schema = std::move(schema),
          .tag = "collateral",
          .handler = std::move(handler)};
}

net::QueryParameter beginning() {
  return {.name = "artefact", .description = "only those whose names begin so: tcb_info, vcek/Milan, vcek/Milan/0, …"};
}

}  // namespace

Status add_collateral_routes(net::Router& router, const Deps& deps) {
  if (deps.vault == nullptr) return base::done();
  auto listing = admin_route(net::Method::get, "/v1/collateral", "list_collateral", "What the vault holds",
                             "CollateralList", sync([&deps](net::Request& r) { return list(deps, r); }));
  listing.query = {beginning()};
  TRY_OK(router.add(std::move(listing)));
  auto exported = admin_route(net::Method::get, "/v1/collateral/export", "export_collateral",
                              "What the vault holds with all bytes, for a bundle", "CollateralShelf",
                              sync([&deps](net::Request& r) { return give_out(deps, r); }));
  exported.query = {beginning()};
  TRY_OK(router.add(std::move(exported)));
  auto importing = admin_route(net::Method::post, "/v1/collateral/import", "import_collateral",
                               "Take in documents, one of a kind; only what is authentic is kept", "CollateralImported",
                               sync([&deps](net::Request& r) { return take_in(deps, r); }));
  importing.request_schema = "CollateralImport";
  importing.body_limit = kImportBody;
  TRY_OK(router.add(std::move(importing)));
  auto needing = admin_route(net::Method::post, "/v1/collateral/needs", "collateral_needs",
                             "What a piece of evidence needs, by name", "CollateralNeeds",
                             sync([&deps](net::Request& r) { return needs(deps, r); }));
  needing.request_schema = "CollateralNeedsRequest";
  needing.body_limit = kEvidenceBody;
  TRY_OK(router.add(std::move(needing)));
  auto fetching = admin_route(net::Method::post, "/v1/collateral/fetch", "fetch_collateral",
                              "Get an artefact from its vendor, or again although it is held", "CollateralHolding",
                              [&deps](net::Request r, net::Responder to) { fetch(deps, std::move(r), std::move(to)); });
  fetching.request_schema = "CollateralFetch";
  return router.add(std::move(fetching));
}

}  // namespace attestry::api
