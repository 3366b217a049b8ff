// `attestry measurement` and `attestry place-list`: what policies refer to by name, over /v1.
#include <CLI/CLI.hpp>
#include <ostream>

#include "app/cli.h"
#include "app/measurement_document.h"
#include "app/operator.h"
#include "app/tables.h"
#include "attestation/signed_list.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "governance/measurement.h"

namespace attestry::app {
namespace {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;
using governance::MeasurementAction;
using governance::MeasurementVerb;

constexpr std::size_t kMaxDocument = 1u << 20;
constexpr std::size_t kMaxList = 16u << 20;
constexpr std::int64_t kActionSeconds = 3600;
constexpr std::size_t kShortestId = 8;

struct MeasurementOptions {
  OperatorOptions connection;
  MeasurementDocumentOptions document;
  std::string file;
  std::string set;
  std::string id;
  std::string confirm;
  bool yes = false;
  bool dry_run = false;
};
using Options = std::shared_ptr<MeasurementOptions>;

Result<std::string> text_of(const JsonValue& object, std::string_view key) {
  TRY(const auto value, object.get(key));
  return value.string(key);
}

std::string set_path(const std::string& set) { return "/measurements/" + net::percent_encode(set); }

/// Full id of the entry that begins with what was typed.
Result<std::string> resolve_id(const OperatorSession& session, const MeasurementOptions& options) {
  TRY(const auto set, session.api().json(net::Method::get, session.path(set_path(options.set))), "set");
  TRY(const auto entries, set->root().get("entries"));
  std::string found;
  std::string all;
  for (auto entry = entries.first(); entry; entry = entry->next()) {
    TRY(std::string id, text_of(*entry, "id"));
    all.append(all.empty() ? "" : ", ").append(id.substr(0, 16));
    if (options.id.size() < kShortestId || !id.starts_with(options.id)) continue;
    if (!found.empty()) {
      return Error{Code::usage, "several entries begin like this", "more digits", options.id};
    }
    found = std::move(id);
  }
  if (!found.empty()) return found;
  return Error{Code::not_found, "the set " + options.set + " has no entry that begins like this", all, options.id,
               "Give at least 8 digits of an id: attestry measurement show " + options.set};
}

/// The change that would come next in the set, signed and submitted; the server's answer.
Result<std::string> change(const OperatorSession& session, const MeasurementOptions& options, const std::string& set,
                           MeasurementVerb verb, const std::string& id, const std::string& preview, base::UtcTime now) {
  TRY(const auto key, read_operator_key(options.connection.key));
  TRY(const auto server, session.api().json(net::Method::get, "/v1/admin/server"), "server");
  MeasurementAction action{.audience = {},
                           .tenant = session.tenant(),
                           .set = set,
                           .verb = verb,
                           .subject = {},
                           .preview = preview,
                           .seq = 1,
                           .prev = {},
                           .expires = now + kActionSeconds};
  TRY(action.audience, text_of(server->root(), "origin"));
  TRY(const auto realm, text_of(server->root(), "realm"));
  TRY(action.realm, base::realm_from(realm));
  TRY_OK(base::hex_decode_into(id, action.subject), "id");
  const auto present = session.api().json(net::Method::get, session.path(set_path(set)));
  if (!present && present.error().code != Code::not_found) return present.error();
  if (present) {
    TRY(const auto seq, (*present)->root().get("seq"));
    TRY(const auto last, seq.integer("seq", 0, std::int64_t{1} << 52));
    action.seq = static_cast<std::uint64_t>(last) + 1;
    TRY(action.prev, text_of((*present)->root(), "prev"));
  }
  governance::Envelope envelope{
      .payload_type = std::string{governance::kMeasurementPayloadType}, .payload = action.payload(), .signatures = {}};
  envelope.sign(key);
  return session.api().call(net::Method::post, "/v1/measurements", envelope.to_json());
}

/// "web 1.5, web 1.6"
std::string names_of(const JsonValue& entry) {
  std::string out;
  const auto identities = entry.find("identities");
  if (!identities) return out;
  for (auto item = identities->first(); item; item = item->next()) {
    const auto name = item->find("name");
    out.append(out.empty() ? "" : ", ").append(name ? name->plain_string().value_or("?") : "?");
  }
  return out;
}

std::string member(const JsonValue& object, std::string_view key) {
  const auto value = object.find(key);
  if (!value || value->is_null()) return "-";
  return std::string{value->plain_string().value_or(value->source())};
}

std::size_t count(const JsonValue& object, std::string_view key) {
  const auto value = object.find(key);
  return value ? value->size() : 0;
}

void print_entry(std::ostream& out, const JsonValue& entry) {
  out << "  " << member(entry, "id").substr(0, 16) << "  " << member(entry, "state") << ", " << count(entry, "voices")
      << (count(entry, "voices") == 1 ? " operator\n" : " operators\n");
  out << "    " << member(entry, "platform") << ", " << member(entry, "role") << ": " << names_of(entry) << "\n";
  if (member(entry, "not_before") != "-" || member(entry, "not_after") != "-") {
    out << "    valid from " << member(entry, "not_before") << " until " << member(entry, "not_after") << "\n";
  }
  if (const auto provenance = entry.find("provenance")) {
    for (const char* key : {"source", "commit", "statement_sha256", "by"}) {
      const std::string value = member(*provenance, key);
      if (!value.empty() && value != "-") out << "    " << key << " " << value << "\n";
    }
  }
}

Result<int> print_accepted(Context& context, const MeasurementOptions& options, const std::string& answer,
                           const std::string& set) {
  if (options.connection.format == "json") {
    context.out << answer << "\n";
    return kExitOk;
  }
  TRY(const auto doc, base::JsonDocument::parse(answer, {.max_bytes = 64u << 20}));
  TRY(const auto entry, doc->root().get("entry"));
  context.out << set << "\n";
  print_entry(context.out, entry);
  if (member(entry, "state") == "proposed") {
    context.err << "Proposed; it counts when " << member(doc->root(), "required")
                << " distinct operators stand for it:\n  attestry measurement approve " << set << " "
                << member(entry, "id").substr(0, 16) << "\n";
  }
  return kExitOk;
}

Result<int> add_entry(Context& context, const MeasurementOptions& options) {
  if (options.file.empty() == options.document.evidence.empty()) {
    return Error{.code = Code::usage, .what = "what should be added?", .expected = "FILE or --from-evidence FILE"};
  }
  std::string text;
  if (options.file.empty()) {
    TRY(text, make_measurement_document(context, options.document));
  } else {
    TRY(const auto bytes, read_input(context, options.file, kMaxDocument));
    text = base::as_text(bytes);
  }
  TRY(const auto document, governance::Measurement::parse(text), options.file.empty() ? "document" : options.file);
  if (options.dry_run) {
    context.out << text;
    context.err << "Nothing was sent. Keep this as a file, or run the same without --dry-run.\n";
    return kExitOk;
  }
  if (options.connection.key.empty()) {
    return Error{.code = Code::usage, .what = "--key is required", .expected = "operator's key file"};
  }
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto stored, session->api().json(net::Method::post, session->path("/blobs"), text));
  TRY(const auto id, text_of(stored->root(), "id"));
  TRY(const auto answer, change(*session, options, document.set, MeasurementVerb::add, id, {}, context.clock.now()));
  return print_accepted(context, options, answer, document.set);
}

Result<int> approve_entry(Context& context, const MeasurementOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto id, resolve_id(*session, options));
  TRY(const auto answer, change(*session, options, options.set, MeasurementVerb::approve, id, {}, context.clock.now()));
  return print_accepted(context, options, answer, options.set);
}

void print_impact(std::ostream& out, const std::string& sha256, const JsonValue& impact) {
  out << "Removing " << member(impact, "id").substr(0, 16) << " from " << member(impact, "set") << " ends\n";
  out << "  instances  " << count(impact, "instances") << "\n";
  constexpr std::size_t kShown = 20;
  std::size_t shown = 0;
  if (const auto instances = impact.find("instances")) {
    for (auto one = instances->first(); one && shown < kShown; one = one->next(), ++shown) {
      out << "    " << member(*one, "app") << " " << member(*one, "instance") << ", until " << member(*one, "expires")
          << "\n";
    }
    if (instances->size() > kShown) out << "    and " << instances->size() - kShown << " more\n";
  }
  out << "and concerns\n  apps       " << count(impact, "apps") << "\n";
  if (const auto apps = impact.find("apps")) {
    for (auto one = apps->first(); one; one = one->next()) {
      const std::string left = member(*one, "identities_left");
      out << "    " << member(*one, "app") << ", " << left << " identities left"
          << (left == "0" ? ": nobody could register any more" : "") << "\n";
    }
  }
  out << "  policies   " << count(impact, "policies") << "\n";
  out << "preview " << sha256.substr(0, 16) << "\n";
}

Result<int> remove_entry(Context& context, const MeasurementOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto id, resolve_id(*session, options));
  TRY(const auto preview,
      session->api().call(net::Method::get, session->path(set_path(options.set) + "/" + id + "/impact")));
  TRY(const auto doc, base::JsonDocument::parse(preview, {.max_bytes = 64u << 20}));
  TRY(const auto sha256, text_of(doc->root(), "sha256"));
  TRY(const auto impact, doc->root().get("impact"));
  if (options.connection.format == "json" && options.dry_run) {
    context.out << preview << "\n";
    return kExitOk;
  }
  print_impact(options.dry_run ? context.out : context.err, sha256, impact);
  if (options.dry_run) return kExitOk;
  if (!options.yes && options.confirm.empty()) {
    return Error{Code::usage,
                 "the removal was not confirmed",
                 "--confirm " + sha256.substr(0, 16) + ", or --yes",
                 {},
                 "Read whom it hits, above; then run it again with --confirm."};
  }
  if (!options.yes && (options.confirm.size() < kShortestId || !sha256.starts_with(options.confirm))) {
    return Error{Code::conflict, "--confirm: the removal would hit others than you saw", sha256.substr(0, 16),
                 options.confirm, "Read the preview again."};
  }
  if (options.connection.key.empty()) {
    return Error{.code = Code::usage, .what = "--key is required", .expected = "operator's key file"};
  }
  TRY(const auto answer, change(*session, options, options.set, MeasurementVerb::remove, id,
                                options.yes ? std::string{} : sha256, context.clock.now()));
  if (options.connection.format == "json") {
    context.out << answer << "\n";
    return kExitOk;
  }
  context.out << "removed; " << count(impact, "instances") << " instances ended\n";
  context.err << "Keys that an ended instance holds it keeps. Move its app to new ones:\n"
              << "  attestry approve epoch APP NEXT\n";
  return kExitOk;
}

Result<int> list_sets(Context& context, const MeasurementOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto answer, session->api().call(net::Method::get, session->path("/measurements")));
  if (options.connection.format == "json") {
    context.out << answer << "\n";
    return kExitOk;
  }
  TRY(const auto doc, base::JsonDocument::parse(answer, {.max_bytes = 64u << 20}));
  TRY(const auto sets, doc->root().get("measurements"));
  Table table{.columns = {"set", "id", "state", "operators", "platform", "role", "identities"}, .rows = {}};
  for (auto set = sets.first(); set; set = set->next()) {
    const auto entries = set->find("entries");
    if (!entries) continue;
    for (auto entry = entries->first(); entry; entry = entry->next()) {
      table.rows.push_back({member(*set, "set"), member(*entry, "id").substr(0, 16), member(*entry, "state"),
                            std::to_string(count(*entry, "voices")), member(*entry, "platform"), member(*entry, "role"),
                            names_of(*entry)});
    }
  }
  table.print(context.out, "measurements");
  return kExitOk;
}

Result<int> show_set(Context& context, const MeasurementOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto answer, session->api().call(net::Method::get, session->path(set_path(options.set))));
  if (options.connection.format == "json") {
    context.out << answer << "\n";
    return kExitOk;
  }
  TRY(const auto doc, base::JsonDocument::parse(answer, {.max_bytes = 64u << 20}));
  TRY(const auto entries, doc->root().get("entries"));
  context.out << options.set << ", " << entries.size() << (entries.size() == 1 ? " entry\n" : " entries\n");
  for (auto entry = entries.first(); entry; entry = entry->next()) print_entry(context.out, *entry);
  return kExitOk;
}

// --- signed lists ---------------------------------------------------------------------------------------------------

std::string list_path(const std::string& name) { return "/lists/" + net::percent_encode(name); }

Result<int> put_list(Context& context, const MeasurementOptions& options) {
  TRY(const auto bytes, read_input(context, options.file, kMaxList));
  const std::string text{base::as_text(bytes)};
  TRY(const auto list, attestation::SignedList::parse(text), options.file);
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY([[maybe_unused]] const auto answer,
      session->api().call(net::Method::put, session->path(list_path(list.name())), text));
  context.out << list.name() << " version " << list.version() << ", " << list.size() << " values, until "
              << base::to_rfc3339(list.not_after()) << "\n";
  return kExitOk;
}

Result<int> list_lists(Context& context, const MeasurementOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto doc, session->api().json(net::Method::get, session->path("/lists")));
  if (options.connection.format == "json") {
    context.out << doc->root().source() << "\n";
    return kExitOk;
  }
  TRY(const auto items, doc->root().get("lists"));
  TRY(const Table table, table_of(items, {"name", "version", "values", "signatures", "not_after", "sha256"}));
  table.print(context.out, "lists");
  return kExitOk;
}

Result<int> show_list(Context& context, const MeasurementOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto answer, session->api().call(net::Method::get, session->path(list_path(options.set))));
  context.out << answer << "\n";
  return kExitOk;
}

Result<int> remove_list(Context& context, const MeasurementOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY([[maybe_unused]] const auto answer,
      session->api().call(net::Method::delete_, session->path(list_path(options.set))));
  context.out << "removed; policies that look into it let nothing in\n";
  return kExitOk;
}

using Command = Result<int> (*)(Context&, const MeasurementOptions&);

struct Sub {
  CLI::App* command;
  Options options;
};

Sub add(CLI::App& parent, Context& context, const char* name, const char* help, Command command) {
  Sub sub{parent.add_subcommand(name, help), std::make_shared<MeasurementOptions>()};
  add_operator_options(*sub.command, sub.options->connection, false);
  sub.command->callback(
      [options = sub.options, command, &context] { finish(context, [&] { return command(context, *options); }); });
  return sub;
}

/// Not required by the parser: a dry run signs nothing.
void add_key(const Sub& sub) {
  sub.command->add_option("--key", sub.options->connection.key, "operator's key file (attestry operator keygen)")
      ->envname("ATTESTRY_OPERATOR_KEY");
}

void add_set_and_id(const Sub& sub) {
  sub.command->add_option("SET", sub.options->set, "name of the set")->required();
  sub.command->add_option("ID", sub.options->id, "id of the entry, or its first 8 digits and more")->required();
}

void add_document_options(const Sub& sub) {
  auto& d = sub.options->document;
  auto& c = *sub.command;
  c.add_option(
      "FILE", sub.options->file,
      R"(document {"format":1,"set","platform","role","not_before"?,"not_after"?,"provenance"?,"identities"})");
  c.add_option("--from-evidence", d.evidence,
               "instead of FILE: take the values from a verdict (attestry verify --format json), or from evidence with "
               "--unverified");
  c.add_flag("--unverified", d.unverified, "take them although nothing shows that the evidence is genuine");
  c.add_option("--claim", d.claims, "which claims; without it those that identify code on the platform")
      ->allow_extra_args(false);
  c.add_option("--set", d.set, "name of the set");
  c.add_option("--role", d.role, "what the measured code is for");
  c.add_option("--name", d.name, "name of this version (default: the role)");
  c.add_option("--not-before", d.not_before, "counts from this time on");
  c.add_option("--not-after", d.not_after, "counts until this time");
  c.add_option("--source", d.source, "provenance: where it was built from, a URI");
  c.add_option("--commit", d.commit, "provenance: commit");
  c.add_option("--statement", d.statement, "provenance: file with the build's signed statement, kept by its SHA-256");
  c.add_option("--by", d.by, "provenance: who built it");
  c.add_flag("--dry-run", sub.options->dry_run, "print the document and send nothing");
}

}  // namespace

void add_measurement(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("measurement", "Measurement sets: reference values that policies name");
  group->require_subcommand(1);
  const auto entry = add(*group, context, "add", "Propose an entry of a set", add_entry);
  add_document_options(entry);
  add_key(entry);
  add(*group, context, "list", "All sets with their entries", list_sets);
  const auto show = add(*group, context, "show", "One set", show_set);
  show.command->add_option("SET", show.options->set, "name of the set")->required();
  const auto approve = add(*group, context, "approve", "Stand for an entry that was proposed", approve_entry);
  add_set_and_id(approve);
  add_key(approve);
  const auto remove = add(*group, context, "remove", "Remove an entry, and end what rests on it at once", remove_entry);
  add_set_and_id(remove);
  add_key(remove);
  remove.command->add_flag("--dry-run", remove.options->dry_run, "say whom it would hit, and change nothing");
  remove.command->add_option("--confirm", remove.options->confirm, "digest of the preview that you have read");
  remove.command->add_flag("--yes", remove.options->yes, "remove whatever it hits");
  remove.command->footer(
      "Examples:\n"
      "  attestry measurement remove web 1a2b3c4d --dry-run          whom it hits, and the preview's digest\n"
      "  attestry measurement remove web 1a2b3c4d --key me.key --confirm 5e6f7a8b9c0d1e2f");
}

void add_place_list(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("place-list", "Signed lists on the server that policies look into");
  group->require_subcommand(1);
  const auto put = add(*group, context, "put", "Store a list that attestry policy sign-list made", put_list);
  put.command->add_option("FILE", put.options->file, "signed list")->required();
  add(*group, context, "list", "Stored lists", list_lists);
  const auto show = add(*group, context, "show", "Print a stored list", show_list);
  show.command->add_option("NAME", show.options->set, "name of the list")->required();
  const auto remove = add(*group, context, "remove", "Remove a stored list", remove_list);
  remove.command->add_option("NAME", remove.options->set, "name of the list")->required();
}

}  // namespace attestry::app
