// `attestry collateral`: what a server's vault or a folder holds of the vendors' documents, getting more of it, and
// carrying it to machines without a network.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <ostream>

#include "app/cli.h"
#include "app/collateral_commands.h"
#include "app/evidence_files.h"
#include "app/outputs.h"
#include "app/shelf_files.h"
#include "app/tables.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "collateral/artefacts.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMaxAnswer = 2 * collateral::kMaxShelfBytes;
constexpr std::size_t kDigits = 12;

using Options = std::shared_ptr<CollateralOptions>;
using Command = Result<int> (*)(Context&, const CollateralOptions&);

// -- list
// --------------------------------------------------------------------------------------------------------------

std::string text_or(const base::JsonValue& item, std::string_view name, std::string otherwise) {
  const auto value = item.find(name);
  if (!value || value->is_null()) return otherwise;
  const auto text = value->string(name);
  return text.ok() ? *text : std::string{value->source()};
}

/// The digest of the artefact's first document, shortened: enough to compare two lists by eye.
std::string short_digest(const base::JsonValue& item) {
  const auto documents = item.find("documents");
  const auto first = documents ? documents->first() : std::nullopt;
  return first ? text_or(*first, "sha256", "-").substr(0, kDigits) : "-";
}

Result<int> list_server(Context& context, const CollateralOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto answer, session->api().call(net::Method::get, "/v1/collateral"));
  TRY(const auto doc, base::JsonDocument::parse(answer, {.max_bytes = kMaxAnswer, .max_nodes = 4'000'000}));
  TRY(const auto items, doc->root().get("artefacts"));
  Table table{{"artefact", "issued", "expires", "refresh", "stale", "source", "sha256"}, {}};
  base::JsonOutArray rows;
  for (auto item = items.first(); item; item = item->next()) {
    TRY(const auto artefact, attestation::parse_artefact(text_or(*item, "artefact", "")));
    if (!is_chosen(artefact, options.names)) continue;
    rows.emplace_back(base::JsonOut::Raw{std::string{item->source()}});
    const std::string stale = text_or(*item, "stale_seconds", "");
    table.rows.push_back({to_text(artefact), text_or(*item, "issued", "-"), text_or(*item, "expires", "-"),
                          text_or(*item, "refresh_at", "never"), stale.empty() ? "no" : stale + " s",
                          text_or(*item, "source", "-"), short_digest(*item)});
  }
  if (options.connection.format == "json") {
    context.out << base::JsonOut{base::JsonOutObject{{"artefacts", std::move(rows)}}}.compact() << "\n";
  } else {
    table.print(context.out, "collateral");
  }
  return kExitOk;
}

/// A folder is judged as it is listed: what it says of itself is worth nothing.
Result<int> list_folder(Context& context, const CollateralOptions& options) {
  TRY(const auto shelf, read_shelf(options.folder));
  auto issuers = options.issuers;
  if (issuers.empty()) issuers = shelf.issuers();
  TRY(auto anchors, read_anchors(context, options.trust, issuers));
  const attestation::Verifier verifier{std::move(anchors)};
  TRY(const auto at, time_of(context, options.at));
  Table table{{"artefact", "issued", "expires", "source", "sha256", "problem"}, {}};
  base::JsonOutArray rows;
  for (const auto& [artefact, item] : shelf.items) {
    if (!is_chosen(artefact, options.names)) continue;
    const auto documents = attestation::Collateral::make(shelf.with_signer(artefact));
    const auto accepted = judge(shelf, artefact, verifier, at);
    const std::string issued = accepted.ok() ? base::to_rfc3339(accepted->issued) : "-";
    const std::string expires = accepted.ok() ? base::to_rfc3339(accepted->expires) : "-";
    const std::string problem = accepted.ok() ? "-" : accepted.error().text();
    const std::string digest = base::hex(documents->items().front().sha256);
    table.rows.push_back({to_text(artefact), issued, expires, item.source, digest.substr(0, kDigits), problem});
    rows.emplace_back(base::JsonOutObject{{"artefact", to_text(artefact)},
                                          {"issued", accepted.ok() ? base::JsonOut{issued} : base::JsonOut{}},
                                          {"expires", accepted.ok() ? base::JsonOut{expires} : base::JsonOut{}},
                                          {"source", item.source},
                                          {"sha256", digest},
                                          {"problem", accepted.ok() ? base::JsonOut{} : base::JsonOut{problem}}});
  }
  if (options.connection.format == "json") {
    context.out << base::JsonOut{base::JsonOutObject{{"artefacts", std::move(rows)}}}.compact() << "\n";
  } else {
    table.print(context.out, "collateral");
  }
  return kExitOk;
}

Result<int> list(Context& context, const CollateralOptions& options) {
  return options.folder.empty() ? list_server(context, options) : list_folder(context, options);
}

// -- export
// ------------------------------------------------------------------------------------------------------------

/// Part by part, as the names say: a server gives out no more at once than a bundle may have.
Result<collateral::Shelf> shelf_of_server(const CollateralOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  std::vector<std::string> targets;
  for (const auto& name : options.names) {
    targets.push_back("/v1/collateral/export?artefact=" + net::percent_encode(name));
  }
  if (targets.empty()) targets.emplace_back("/v1/collateral/export");
  collateral::Shelf all;
  for (const auto& target : targets) {
    TRY(const auto answer, session->api().call(net::Method::get, target));
    TRY(collateral::Shelf shelf, collateral::Shelf::parse(answer), "answer of the server");
    shelf.items.merge(all.items);
    all = std::move(shelf);
  }
  return all;
}

Result<int> export_bundle(Context& context, const CollateralOptions& options) {
  TRY(const auto key, read_operator_key(options.connection.key));
  collateral::Shelf all;
  if (options.folder.empty()) {
    TRY(all, shelf_of_server(options));
  } else {
    TRY(all, read_shelf(options.folder));
  }
  all.created = context.clock.now();
  const auto chosen = all.chosen([&](const attestation::Artefact& a) { return is_chosen(a, options.names); });
  if (chosen.items.empty()) {
    return Error{.code = Code::not_found,
                 .what = "there is nothing to export",
                 .expected = "an artefact whose name begins so",
                 .found = std::to_string(all.items.size()) + " others",
                 .remedy = "`attestry collateral list` names what there is; `attestry collateral fetch` gets more."};
  }
  if (chosen.to_json().size() > collateral::kMaxShelfBytes) {
    return Error{.code = Code::too_large,
                 .what = "this is too much for one bundle",
                 .expected = "at most 64 MiB",
                 .found = std::to_string(chosen.items.size()) + " artefacts",
                 .remedy =
                     "Make several, by the beginning of the names: `… export tcb_info`, `… export vcek/Milan/0`, "
                     "`… export vcek/Milan/1`, and so on."};
  }
  const std::string bundle = sign_bundle(chosen, key);
  TRY_OK(check_output(options.out), "--out");
  TRY_OK(state::replace_file(*context.files, options.out, base::as_bytes(bundle)), "--out");
  context.out << "Wrote " << chosen.items.size() << (chosen.items.size() == 1 ? " artefact" : " artefacts") << " to "
              << options.out << ".\n"
              << "On the other machine:  attestry collateral import " << options.out << " --signer "
              << base::hex(key.public_key()) << " --out collateral\n";
  return kExitOk;
}

// -- import
// ------------------------------------------------------------------------------------------------------------

base::Status check_realm(base::Realm bundle, base::Realm here) {
  if (bundle == here) return base::done();
  return Error{.code = Code::realm_mismatch,
               .what = "the bundle is of another realm",
               .expected = std::string{base::to_text(here)},
               .found = std::string{base::to_text(bundle)},
               .remedy =
                   "What simulated vendors signed is taken under their root only: --trust root.pem, and --issuer URL "
                   "for tokens."};
}

/// Its own documents were fetched with it, its signer's with that. An Intel chain beside the root's list is that of any
/// other artefact: the time of its own is not of interest.
base::UtcTime fetched_at(const collateral::Shelf& from, const attestation::Artefact& artefact,
                         const attestation::CollateralItem& item) {
  const auto& own = from.items.at(artefact);
  if (std::ranges::find(own.documents, item.kind, &attestation::CollateralItem::kind) != own.documents.end()) {
    return own.fetched_at;
  }
  const auto signer = collateral::signer_of(artefact);
  const auto found = signer ? from.items.find(*signer) : from.items.end();
  return found != from.items.end() ? found->second.fetched_at : own.fetched_at;
}

/// One call for each artefact, so that no size limit of the server's is met.
Result<std::vector<Outcome>> put_in_server(const CollateralOptions& options, const collateral::Shelf& from,
                                           const std::string& source) {
  TRY(const auto session, OperatorSession::open(options.connection));
  std::vector<Outcome> out;
  for (const auto& artefact : in_order_of_trust(from)) {
    base::JsonOutArray documents;
    for (const auto& item : from.with_signer(artefact)) {
      documents.emplace_back(base::JsonOutObject{{"kind", to_text(item.kind)},
                                                 {"bytes", base::base64url(item.bytes)},
                                                 {"fetched_at", base::to_rfc3339(fetched_at(from, artefact, item))}});
    }
    base::JsonOutObject body{{"documents", std::move(documents)}, {"source", source}};
    if (const auto* keys = std::get_if<attestation::JwksOf>(&artefact)) body.emplace_back("issuer", keys->issuer);
    const auto doc =
        session->api().json(net::Method::post, "/v1/collateral/import", base::JsonOut{std::move(body)}.compact());
    Outcome outcome{.artefact = to_text(artefact), .outcome = "refused", .reason = "it is another one than it says"};
    if (!doc.ok() && doc.error().code != Code::not_found && doc.error().code != Code::malformed) return doc.error();
    if (!doc.ok()) outcome.reason = doc.error().text();
    const auto list = doc.ok() ? (*doc)->root().find("imported") : std::nullopt;
    for (auto one = list ? list->first() : std::nullopt; one; one = one->next()) {
      if (text_or(*one, "artefact", "") != outcome.artefact) continue;
      outcome.outcome = text_or(*one, "outcome", "refused");
      outcome.reason = text_or(*one, "reason", "");
    }
    out.push_back(std::move(outcome));
  }
  return out;
}

Result<base::Realm> realm_of_server(const CollateralOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto doc, session->api().json(net::Method::get, "/v1/admin/server"));
  TRY(const auto value, doc->root().get("realm"));
  TRY(const auto text, value.string("realm"));
  return base::realm_from(text);
}

struct Given {
  collateral::Shelf shelf;
  std::vector<Outcome> left;  ///< what nobody can tell what it is
};

/// A bundle as its signer made it, or documents as their vendors made them.
Result<Given> read_given(Context& context, const CollateralOptions& options, const std::string& path) {
  Given out;
  if (!is_folder(path)) {
    TRY(const auto bytes, read_input(context, path, 2 * collateral::kMaxShelfBytes));
    if (looks_like_bundle(bytes)) {
      TRY(out.shelf, open_bundle(bytes, options.signers), path);
      return out;
    }
  } else if (has_shelf(path)) {
    TRY(out.shelf, read_shelf(path));
    return out;
  }
  if (!options.signers.empty()) {
    return Error{Code::malformed, path + " is no signed bundle", "a bundle of `attestry collateral export`",
                 "documents", "Leave --signer away to import documents as their vendors made them."};
  }
  TRY(const auto documents, read_documents(context, path));
  if (options.issuers.size() > 1) return Error{Code::usage, "--issuer: a key set belongs to one issuer", "one", "more"};
  const std::string issuer = options.issuers.empty() ? std::string{} : options.issuers.front();
  const auto now = context.clock.now();
  for (const auto& why : out.shelf.add(documents.items, "file " + path, documents.modified, now, issuer)) {
    out.left.push_back({.artefact = path, .outcome = "refused", .reason = why});
  }
  return out;
}

/// A revocation list of AMD's root given as a file stands for both chains of a product. Where only one of these is held
/// it counts there, and that there is nothing to judge the other by is no refusal of the list.
void drop_other_chain(std::vector<Outcome>& outcomes) {
  constexpr std::string_view kList = "amd_crl/";
  const auto product = [](const Outcome& one) { return one.artefact.substr(0, one.artefact.rfind('/')); };
  std::vector<std::string> taken;
  for (const Outcome& one : outcomes) {
    if (one.artefact.starts_with(kList) && one.outcome != "refused") taken.push_back(product(one));
  }
  std::erase_if(outcomes, [&](const Outcome& one) {
    return one.outcome == "refused" && one.artefact.starts_with(kList) &&
           std::ranges::find(taken, product(one)) != taken.end();
  });
}

/// What is to be put away, in this order. Of vendors' own documents there is one shelf, and another one only for what
/// is given twice under one name; each bundle stays its own, for it says where it came from.
std::vector<collateral::Shelf> shelves_of(std::vector<Given>& given, const CollateralOptions& options) {
  std::vector<collateral::Shelf> out;
  for (Given& one : given) {
    if (!options.signers.empty()) {
      out.push_back(std::move(one.shelf));
      continue;
    }
    one.shelf.realm = realm_of(options);
    for (auto& shelf : out) shelf.items.merge(one.shelf.items);
    if (!one.shelf.items.empty() || out.empty()) out.push_back(std::move(one.shelf));
  }
  return out;
}

/// One shelf brings its signers along. Of several, what others are judged by comes first, whichever of them has it.
std::vector<collateral::Shelf> in_turn(std::vector<collateral::Shelf> shelves) {
  if (shelves.size() < 2) return shelves;
  std::vector<collateral::Shelf> out;
  for (const bool judged_by_others : {false, true}) {
    for (const auto& shelf : shelves) {
      collateral::Shelf part{.realm = shelf.realm, .created = shelf.created, .origin = shelf.origin, .items = {}};
      for (const auto& [artefact, item] : shelf.items) {
        const bool leaf = collateral::signer_of(artefact) || std::holds_alternative<attestation::RootCrlOf>(artefact);
        if (leaf == judged_by_others) part.items.emplace(artefact, item);
      }
      if (!part.items.empty()) out.push_back(std::move(part));
    }
  }
  return out;
}

/// Everything is read before anything is put away, and signers are judged before what they signed: the order of the
/// arguments means nothing.
Result<int> import_files(Context& context, const CollateralOptions& options) {
  const bool bundle = !options.signers.empty();
  std::vector<Given> given;
  for (const auto& path : options.names) {
    TRY(Given one, read_given(context, options, path));
    given.push_back(std::move(one));
  }
  const auto shelves = shelves_of(given, options);
  if (bundle && options.out.empty()) {
    TRY(const auto realm, realm_of_server(options));
    for (const auto& shelf : shelves) TRY_OK(check_realm(shelf.realm, realm));
  }
  std::vector<Outcome> all;
  for (const auto& shelf : in_turn(shelves)) {
    std::vector<Outcome> outcomes;
    if (!options.out.empty()) {
      TRY(outcomes, put_in_folder(context, options, options.out, shelf));
    } else {
      TRY(outcomes, put_in_server(options, shelf, bundle ? "bundle of " + shelf.origin : "file"));
    }
    all.insert(all.end(), outcomes.begin(), outcomes.end());
  }
  if (!bundle) drop_other_chain(all);
  for (const Given& one : given) all.insert(all.end(), one.left.begin(), one.left.end());
  return print_outcomes(context, options, "imported", all);
}

// -- Flags
// -------------------------------------------------------------------------------------------------------------

struct Sub {
  CLI::App* command;
  Options options;
};

Sub add(CLI::App& parent, Context& context, const char* name, const char* help, Command command, bool signs = false) {
  Sub sub{parent.add_subcommand(name, help), std::make_shared<CollateralOptions>()};
  add_operator_options(*sub.command, sub.options->connection, signs);
  sub.command->callback(
      [options = sub.options, command, &context] { finish(context, [&] { return command(context, *options); }); });
  return sub;
}

void add_trust(const Sub& sub, const char* whose) {
  sub.command->add_option("--trust", sub.options->trust, "certificate of a test root that replaces the vendors' roots")
      ->type_name("FILE")
      ->allow_extra_args(false);
  sub.command->add_option("--issuer", sub.options->issuers, whose)->type_name("URL")->allow_extra_args(false);
}

void add_folder(const Sub& sub) {
  sub.command->add_option("--folder", sub.options->folder, "a folder of `import` or `fetch` instead of a server")
      ->type_name("FOLDER");
}

void add_beginnings(const Sub& sub) {
  sub.command
      ->add_option("ARTEFACT", sub.options->names,
                   "only those whose names begin so: tcb_info, vcek/Milan, jwks, … (default: all)")
      ->type_name("NAME");
}

void add_fetch(CLI::App& group, Context& context) {
  const auto sub =
      add(group, context, "fetch", "Get collateral: into a server, or with --out into a folder", collateral_fetch);
  auto& o = *sub.options;
  auto& c = *sub.command;
  c.add_option("EVIDENCE", o.names, "what this evidence needs: a file, a folder, or - ")->type_name("FILE|FOLDER|-");
  c.add_option("--artefact", o.artefacts, "by name, as `collateral list` shows it; may be given again")
      ->type_name("NAME")
      ->allow_extra_args(false);
  c.add_option("--fmspc", o.fmspc, "Intel: everything for quotes of such machines")->type_name("HEX");
  c.add_option("--tee", o.tee, "Intel: tdx or sgx")->check(CLI::IsMember({"tdx", "sgx"}))->capture_default_str();
  c.add_option("--pck-ca", o.ca, "Intel: platform or processor")
      ->check(CLI::IsMember({"platform", "processor"}))
      ->capture_default_str();
  c.add_option("--product", o.product, "AMD: Milan, Genoa or Turin; chain and revocation list")->type_name("NAME");
  c.add_option("--hwid", o.hwid, "AMD: and the certificate of that chip, with --tcb")->type_name("HEX");
  c.add_option("--tcb", o.tcb, "AMD: bl3-tee0-snp8-ucode115; Turin has fmc1- before it")->type_name("TCB");
  c.add_flag("--refresh", o.refresh, "get it again although it is held");
  c.add_option("--wait", o.wait_seconds, "seconds to wait for a vendor that allows only so many requests")
      ->capture_default_str();
  c.add_option("--out", o.out, "without a server: ask the vendors and keep it in this folder")->type_name("FOLDER");
  c.add_option("--pcs", o.pcs, "with --out: Intel's service or a PCCS")->type_name("URL");
  c.add_option("--kds", o.kds, "with --out: AMD's service or a cache of it")->type_name("URL");
  c.add_option("--vendor-ca", o.vendor_ca, "with --out: CA certificate of these services")->type_name("FILE");
  c.add_option("--at", o.at, "with --out: judge what comes as of this time (default: now)")->type_name("TIME");
  add_trust(sub, "a token issuer; with --out its keys are got from ISSUER/certs");
}

void add_forecast(CLI::App& group, Context& context) {
  const auto sub = add(group, context, "forecast", "Which workloads turn red on which day, why, and what can be done",
                       collateral_forecast);
  auto& o = *sub.options;
  auto& c = *sub.command;
  c.add_option("EVIDENCE", o.names,
               "without a server: this evidence, each a file or a folder, judged as `attestry verify` would with the "
               "flags of that command")
      ->type_name("FILE|FOLDER");
  c.add_option("--days", o.days, "how far to look")->check(CLI::Range(1, 366))->capture_default_str();
  add_verify_inputs(c, o.evidence);
}

constexpr const char* kFooter =
    "Examples:\n"
    "  attestry collateral list                                      what the server holds, and until when\n"
    "  attestry collateral fetch report.bin                          have the server get what this needs\n"
    "  attestry collateral export --out all.bundle --key me.key      for a machine without a network\n"
    "  attestry collateral import all.bundle --signer 07ab… --out collateral\n"
    "  attestry verify report.bin --collateral collateral            on that machine\n"
    "  attestry collateral forecast --days 60                        which workloads turn red, and when\n";

}  // namespace

bool is_chosen(const attestation::Artefact& artefact, const std::vector<std::string>& beginnings) {
  const auto begins = [&artefact](const std::string& part) { return collateral::name_begins(artefact, part); };
  return beginnings.empty() || std::ranges::any_of(beginnings, begins);
}

int print_outcomes(Context& context, const CollateralOptions& options, std::string_view list,
                   const std::vector<Outcome>& outcomes) {
  const bool bad = std::ranges::any_of(
      outcomes, [](const Outcome& one) { return one.outcome == "refused" || one.outcome == "failed"; });
  if (options.connection.format == "json") {
    base::JsonOutArray rows;
    for (const auto& one : outcomes) {
      rows.emplace_back(
          base::JsonOutObject{{"artefact", one.artefact},
                              {"outcome", one.outcome},
                              {"reason", one.reason.empty() ? base::JsonOut{} : base::JsonOut{one.reason}}});
    }
    context.out << base::JsonOut{base::JsonOutObject{{std::string{list}, std::move(rows)}}}.compact() << "\n";
  } else {
    Table table{{"outcome", "artefact", "reason"}, {}};
    for (const auto& one : outcomes) {
      table.rows.push_back({one.outcome, one.artefact, one.reason.empty() ? "-" : one.reason});
    }
    table.print(context.out, "collateral");
  }
  return bad ? kExitRefused : kExitOk;
}

base::Realm realm_of(const CollateralOptions& options) {
  const bool simulated =
      !options.trust.empty() || std::ranges::any_of(options.issuers, attestation::TrustAnchors::is_simulated_issuer);
  return simulated ? base::Realm::simulated : base::Realm::production;
}

Result<std::vector<Outcome>> put_in_folder(Context& context, const CollateralOptions& options,
                                           const std::string& folder, const collateral::Shelf& from) {
  TRY(const auto lock, lock_folder(folder));
  collateral::Shelf into{.realm = from.realm, .created = {}, .origin = "folder", .items = {}};
  if (has_shelf(folder)) {
    TRY(into, read_shelf(folder));
  }
  TRY_OK(check_realm(from.realm, into.realm));
  // The signer says whose a key set is; whether the issuer's tokens are believed is said when they are judged.
  auto issuers = from.issuers();
  TRY(auto anchors, read_anchors(context, options.trust, issuers));
  if (!from.items.empty()) TRY_OK(check_realm(from.realm, realm_of(options)));
  const attestation::Verifier verifier{std::move(anchors)};
  TRY(const auto at, time_of(context, options.at));
  std::vector<Outcome> out;
  for (const auto& one : put(into, from, verifier, at)) {
    out.push_back({.artefact = one.name, .outcome = std::string{to_text(one.outcome)}, .reason = one.reason});
  }
  into.created = context.clock.now();
  TRY_OK(write_shelf(context, folder, into));
  return out;
}

void add_collateral(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("collateral", "The vendors' documents that evidence is judged by");
  group->require_subcommand(1);
  group->footer(kFooter);
  const auto listing = add(*group, context, "list", "What is held, from where, and until when", list);
  add_beginnings(listing);
  add_folder(listing);
  listing.command->add_option("--at", listing.options->at, "with --folder: judge as of this time")->type_name("TIME");
  add_trust(listing, "with --folder: an issuer whose key sets count (default: those in the folder)");
  add_fetch(*group, context);
  const auto exporting =
      add(*group, context, "export", "Write a bundle for machines without a network, signed with your key",
          export_bundle, true);
  add_beginnings(exporting);
  add_folder(exporting);
  exporting.command->add_option("--out", exporting.options->out, "the bundle")->type_name("FILE")->required();
  const auto importing =
      add(*group, context, "import",
          "Take in a bundle, or a vendor's own documents: into a server, or with --out into a folder", import_files);
  importing.command
      ->add_option("FILE", importing.options->names,
                   "bundle of `collateral export`; or a certificate, revocation list, collateral or key set; or a "
                   "folder of these")
      ->type_name("FILE|FOLDER")
      ->required();
  importing.command
      ->add_option("--signer", importing.options->signers,
                   "public key of whoever exported the bundle (64 hex digits); may be given again")
      ->type_name("HEX")
      ->allow_extra_args(false);
  importing.command
      ->add_option("--out", importing.options->out, "without a server: keep it in this folder, for verify --collateral")
      ->type_name("FOLDER");
  importing.command->add_option("--at", importing.options->at, "with --out: judge it as of this time (default: now)")
      ->type_name("TIME");
  add_trust(importing, "whose key set it is, when the file is one (jwks.json)");
  add_forecast(*group, context);
}

}  // namespace attestry::app
