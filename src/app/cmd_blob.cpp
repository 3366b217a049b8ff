// `attestry blob`: content-addressed documents in the server, or with --store in storage backends directly; scrub and
// repair between backends.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>
#include <set>
#include <sstream>

#include "app/blob_stores.h"
#include "app/cli.h"
#include "app/operator.h"
#include "app/outputs.h"
#include "app/tables.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/hash.h"
#include "state/file.h"

namespace attestry::app {
namespace {

using base::Code;
using base::Error;

constexpr std::size_t kMaxServerBlob = 1u << 20;
constexpr std::size_t kMaxBlob = 16u << 20;
constexpr std::size_t kMaxIds = 64u << 20;
constexpr std::size_t kProgressStep = 50;

struct BlobOptions {
  OperatorOptions connection;
  BlobStoreOptions storage;
  std::string subject;
  std::string out;
  std::vector<std::string> ids;
  std::string ids_file;
  bool allow_empty = false;
  bool of_app = false;  ///< --app was given
};
using Options = std::shared_ptr<BlobOptions>;

base::Result<base::Bytes> content(Context& context, const std::string& path, std::size_t limit) {
  TRY(auto bytes, read_input(context, path, limit));
  if (bytes.size() > limit) {
    return Error{Code::too_large, path, "at most " + std::to_string(limit >> 20) + " MiB"};
  }
  return bytes;
}

base::Result<base::Digest32> id_from(std::string_view text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  base::Digest32 id{};
  if (text.size() != 2 * id.size() || !base::hex_decode_into(text, id)) {
    return Error{Code::usage, "not the id of a blob", "64 hex digits", std::string{text.substr(0, 80)}};
  }
  return id;
}

void print_refused(Context& context, const BlobStores& stores) {
  for (const auto& [uri, error] : stores.refused()) {
    context.err << "left out: " << uri << ": " << error.what << "\n";
  }
}

// -- put and get

base::Result<int> put_to_server(Context& context, const BlobOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto bytes, content(context, options.subject, kMaxServerBlob));
  // With an app: into the storage that this server keeps for it ("local://"), where its registrations look.
  const std::string path = options.of_app
                               ? "/apps/" + net::percent_encode(options.storage.app) + "/blobs/" + options.storage.type
                               : "/blobs";
  TRY(const auto answer, session->api().call(net::Method::post, session->path(path), std::string{base::as_text(bytes)},
                                             "application/octet-stream"));
  TRY(const auto document, base::JsonDocument::parse(answer));
  TRY(const auto id, document->root().get("id"));
  TRY(const auto text, id.string("id"));
  context.out << text << "\n";
  return kExitOk;
}

base::Result<int> blob_put(Context& context, const BlobOptions& options) {
  if (options.storage.stores.empty()) return put_to_server(context, options);
  TRY(const auto bytes, content(context, options.subject, kMaxBlob));
  TRY(auto stores, BlobStores::open(context, options.storage, options.connection.tenant));
  print_refused(context, stores);
  const auto deadline = stores.deadline_of_all();
  const auto place = stores.place();
  TRY(const auto multi, stores.together());
  TRY(const auto outcomes, multi->put_all(place, bytes, deadline));
  const auto id = base::hex(crypto::sha256(bytes));
  base::JsonOutArray list;
  for (const auto& outcome : outcomes) {
    if (!outcome.status) context.err << outcome.name << ": not stored: " << outcome.status.error().text() << "\n";
    list.push_back(base::JsonOutObject{
        {"name", outcome.name},
        {"uri", outcome.uri},
        {"stored", outcome.status.ok()},
        {"error", outcome.status ? base::JsonOut{} : base::JsonOut{outcome.status.error().text()}}});
  }
  if (options.connection.format == "json") {
    context.out << base::JsonOut{base::JsonOutObject{{"id", id}, {"backends", std::move(list)}}}.pretty() << "\n";
  } else {
    context.out << id << "\n";
  }
  return kExitOk;
}

base::Result<int> blob_get(Context& context, const BlobOptions& options) {
  std::string bytes;
  if (options.storage.stores.empty()) {
    TRY(const auto session, OperatorSession::open(options.connection));
    TRY(bytes, session->api().call(net::Method::get, session->path("/blobs/" + options.subject)));
  } else {
    TRY(const auto id, id_from(options.subject));
    TRY(auto stores, BlobStores::open(context, options.storage, options.connection.tenant));
    print_refused(context, stores);
    const auto deadline = stores.deadline_of_all();
    const auto place = stores.place();
    TRY(const auto multi, stores.together());
    TRY(const auto got, multi->get(place, id, deadline));
    bytes = base::as_text(got);
  }
  if (options.out.empty()) {
    context.out << bytes;
    return kExitOk;
  }
  TRY_OK(check_output(options.out), "--out");
  TRY_OK(state::replace_file(*context.files, options.out, base::as_bytes(bytes)));
  return kExitOk;
}

// -- list-backends

base::Result<int> list_backends(Context& context, const BlobOptions& options) {
  TRY(auto stores, BlobStores::open(context, options.storage, options.connection.tenant));
  Table table{.columns = {"name", "state", "uri", "error"}, .rows = {}};
  base::JsonOutArray list;
  bool all = true;
  const auto add = [&](const std::string& name, const std::string& uri, const char* state, const std::string& error) {
    table.rows.push_back({name, state, uri, error.empty() ? "-" : error});
    list.push_back(base::JsonOutObject{{"name", name.empty() ? base::JsonOut{} : base::JsonOut{name}},
                                       {"uri", uri},
                                       {"state", state},
                                       {"error", error.empty() ? base::JsonOut{} : base::JsonOut{error}}});
    all = all && std::string_view{state} == "ok";
  };
  for (const auto& store : stores.stores()) {
    const auto status = store->check(stores.deadline());
    add(store->name(), store->uri(), status ? "ok" : "unavailable", status ? "" : status.error().text());
  }
  for (const auto& [uri, error] : stores.refused()) add("-", uri, "invalid", error.text());
  if (options.connection.format == "json") {
    context.out << base::JsonOut{base::JsonOutObject{{"backends", std::move(list)}}}.pretty() << "\n";
  } else {
    table.print(context.out, "backends");
  }
  return all ? kExitOk : kExitUndecided;
}

// -- scrub and repair

enum class State : std::uint8_t { ok, missing, corrupt, unavailable, repaired, not_repaired };
constexpr const char* kStates[] = {"ok", "missing", "corrupt", "unavailable", "repaired", "not repaired"};

struct Finding {
  State state = State::ok;
  std::string error{};
};
struct Report {
  std::vector<std::string> names, uris;
  std::vector<std::pair<base::Digest32, std::vector<Finding>>> rows{};
  std::vector<std::string> notes{};  ///< what could not be listed or opened
  std::string place{};               ///< whose blobs, for people
  bool unknown = false;              ///< a backend did not say what it holds, or could not be opened

  std::size_t count(State state) const {
    std::size_t out = 0;
    for (const auto& [id, findings] : rows) {
      for (const auto& finding : findings) out += finding.state == state ? 1 : 0;
    }
    return out;
  }
};

base::Result<std::set<base::Digest32>> ids_to_look_at(Context& context, const BlobOptions& options, BlobStores& stores,
                                                      Report& report) {
  std::set<base::Digest32> ids;
  for (const auto& text : options.ids) {
    TRY(const auto id, id_from(text), "--id");
    ids.insert(id);
  }
  if (!options.ids_file.empty()) {
    TRY(const auto bytes, content(context, options.ids_file, kMaxIds));
    std::istringstream lines{std::string{base::as_text(bytes)}};
    for (std::string line; lines >> line;) {
      TRY(const auto id, id_from(line), "--ids");
      ids.insert(id);
    }
  }
  if (!ids.empty()) return ids;
  bool listed = false;
  for (const auto& store : stores.stores()) {
    const auto found = store->list(stores.place(), stores.deadline());
    listed = listed || found.ok();
    if (found) ids.insert(found->begin(), found->end());
    if (found) continue;
    report.notes.push_back(store->name() + ": not listed: " + found.error().what);
    // Some never can; what the others hold is looked at there too.
    report.unknown = report.unknown || found.error().code != Code::usage;
  }
  if (!listed) {
    return Error{
        report.unknown ? Code::unavailable : Code::usage,
        "no backend says what it holds",
        {},
        report.notes.empty() ? "" : report.notes.front(),
        report.unknown ? "Look at the backends: attestry blob list-backends." : "Name the ids: --id ID or --ids FILE."};
  }
  return ids;
}

/// A misspelt app must not look like one whose blobs are all right.
Error nothing_there(const BlobOptions& options, BlobStores& stores) {
  std::set<std::string> others;
  for (const auto& store : stores.stores()) {
    const auto apps = store->apps(stores.deadline());
    if (!apps) continue;
    for (const auto& app : *apps) others.insert(app.text());
  }
  std::string found;
  for (const auto& app : others) found += (found.empty() ? "" : ", ") + app;
  return Error{Code::not_found,
               "there are no blobs of " + options.storage.app + ", type " + options.storage.type,
               {},
               found.empty() ? "" : "these backends hold something of " + found,
               "Check --app, --tenant and --type; or say that there may be none: --allow-empty."};
}

Finding look_at(blobs::BlobStore& store, const BlobStores& stores, const base::Digest32& id,
                std::optional<base::Bytes>& good) {
  auto got = store.get(stores.place(), id, stores.deadline());
  if (got) {
    good = *std::move(got);
    return {};
  }
  const auto code = got.error().code;
  const auto state = code == Code::not_found ? State::missing
                     : code == Code::corrupt ? State::corrupt
                                             : State::unavailable;
  return {state, got.error().text()};
}

Finding repair(blobs::BlobStore& store, const BlobStores& stores, const base::Digest32& id, const base::Bytes& good) {
  const auto put = store.put(stores.place(), good, stores.deadline());
  if (!put) return {State::not_repaired, put.error().text()};
  const auto got = store.get(stores.place(), id, stores.deadline());
  if (!got) return {State::not_repaired, "written, and still not readable: " + got.error().text()};
  return {State::repaired, {}};
}

void progress(Context& context, std::size_t done, std::size_t all) {
  if (all > kProgressStep && (done % kProgressStep == 0 || done == all)) {
    context.err << done << " of " << all << "\n" << std::flush;
  }
}

base::Result<Report> look_everywhere(Context& context, const BlobOptions& options, bool repairing) {
  TRY(auto stores, BlobStores::open(context, options.storage, options.connection.tenant));
  Report report;
  report.place = options.storage.app + ", type " + options.storage.type;
  for (const auto& [uri, error] : stores.refused()) report.notes.push_back(uri + ": left out: " + error.what);
  report.unknown = !stores.refused().empty();
  if (stores.stores().empty()) return stores.together().error();
  for (const auto& store : stores.stores()) {
    report.names.push_back(store->name());
    report.uris.push_back(store->uri());
  }
  TRY(const auto ids, ids_to_look_at(context, options, stores, report));
  if (ids.empty() && !report.unknown && !options.allow_empty) return nothing_there(options, stores);
  for (const auto& id : ids) {
    std::vector<Finding> findings;
    std::optional<base::Bytes> good;
    for (const auto& store : stores.stores()) findings.push_back(look_at(*store, stores, id, good));
    for (std::size_t i = 0; repairing && good && i < findings.size(); ++i) {
      if (findings[i].state != State::missing && findings[i].state != State::corrupt) continue;
      findings[i] = repair(*stores.stores()[i], stores, id, *good);
    }
    report.rows.emplace_back(id, std::move(findings));
    progress(context, report.rows.size(), ids.size());
  }
  return report;
}

std::string report_json(const Report& report) {
  base::JsonOutArray ids;
  for (const auto& [id, findings] : report.rows) {
    base::JsonOutArray backends;
    for (std::size_t i = 0; i < findings.size(); ++i) {
      backends.push_back(base::JsonOutObject{
          {"name", report.names[i]},
          {"uri", report.uris[i]},
          {"state", kStates[static_cast<std::size_t>(findings[i].state)]},
          {"error", findings[i].error.empty() ? base::JsonOut{} : base::JsonOut{findings[i].error}}});
    }
    ids.push_back(base::JsonOutObject{{"id", base::hex(id)}, {"backends", std::move(backends)}});
  }
  base::JsonOutObject summary;
  for (std::size_t i = 0; i < std::size(kStates); ++i) {
    summary.emplace_back(kStates[i], static_cast<std::int64_t>(report.count(static_cast<State>(i))));
  }
  base::JsonOutArray notes{report.notes.begin(), report.notes.end()};
  return base::JsonOut{
      base::JsonOutObject{{"ids", std::move(ids)}, {"summary", std::move(summary)}, {"notes", std::move(notes)}}}
      .pretty();
}

void report_text(Context& context, const Report& report) {
  Table table{.columns = {"id", "backend", "state", "error"}, .rows = {}};
  for (const auto& [id, findings] : report.rows) {
    for (std::size_t i = 0; i < findings.size(); ++i) {
      if (findings[i].state == State::ok) continue;
      table.rows.push_back({base::hex(id).substr(0, 16), report.names[i],
                            kStates[static_cast<std::size_t>(findings[i].state)],
                            findings[i].error.empty() ? "-" : findings[i].error});
    }
  }
  for (const auto& note : report.notes) context.err << note << "\n";
  if (!table.rows.empty()) table.print(context.out, "findings");
  context.out << report.rows.size() << " blobs of " << report.place << ", on " << report.names.size() << " backends";
  for (std::size_t i = 0; i < std::size(kStates); ++i) {
    const auto count = report.count(static_cast<State>(i));
    if (count > 0) context.out << ", " << count << " " << kStates[i];
  }
  context.out << "\n";
}

int report_code(const Report& report) {
  if (report.count(State::missing) + report.count(State::corrupt) + report.count(State::not_repaired) > 0) {
    return kExitRefused;
  }
  return report.unknown || report.count(State::unavailable) > 0 ? kExitUndecided : kExitOk;
}

base::Result<int> look(Context& context, const BlobOptions& options, bool repairing) {
  TRY(const auto report, look_everywhere(context, options, repairing));
  if (options.connection.format == "json") {
    context.out << report_json(report) << "\n";
  } else {
    report_text(context, report);
  }
  return report_code(report);
}

base::Result<int> blob_scrub(Context& context, const BlobOptions& options) { return look(context, options, false); }
base::Result<int> blob_repair(Context& context, const BlobOptions& options) { return look(context, options, true); }

// -- the commands

struct Sub {
  CLI::App* command;
  Options options;
};

Sub add(CLI::App& group, Context& context, const char* name, const char* help,
        base::Result<int> (*command)(Context&, const BlobOptions&), bool storage_only) {
  Sub sub{group.add_subcommand(name, help), std::make_shared<BlobOptions>()};
  auto& connection = sub.options->connection;
  if (storage_only) {
    sub.command->add_option("--tenant", connection.tenant, "tenant")->envname("ATTESTRY_TENANT")->capture_default_str();
    sub.command->add_option("--format", connection.format, "text or json")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
  } else {
    add_operator_options(*sub.command, connection, false);
  }
  add_blob_store_options(*sub.command, sub.options->storage, storage_only);
  sub.command->callback(
      [options = sub.options, command, &context] { finish(context, [&] { return command(context, *options); }); });
  return sub;
}

void add_ids(const Sub& sub) {
  sub.command->add_option("--id", sub.options->ids, "look at this blob only; again for each further one")
      ->allow_extra_args(false);
  sub.command->add_option("--ids", sub.options->ids_file, "file with ids, one a line; - for standard input");
  sub.command->add_flag("--allow-empty", sub.options->allow_empty, "that there are no blobs of the app is all right");
}

}  // namespace

void add_blob(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand(
      "blob", "Content-addressed documents: policies, identities, templates; in the server, or in storage (--store)");
  group->require_subcommand(1);
  const auto put = add(*group, context, "put", "Store a file; prints its SHA-256", blob_put, false);
  put.command->add_option("FILE", put.options->subject, "file or -")->required();
  put.command->get_option("--app")->each([options = put.options](const std::string&) { options->of_app = true; });
  const auto get = add(*group, context, "get", "Print a stored blob", blob_get, false);
  get.command->add_option("ID", get.options->subject, "64 hex digits")->required();
  get.command->add_option("--out", get.options->out, "write it to this file, readable by its owner only");
  add(*group, context, "list-backends", "Whether storage backends answer", list_backends, true);
  add_ids(add(*group, context, "scrub", "Read every blob on every backend and name what is missing or corrupt",
              blob_scrub, true));
  add_ids(add(*group, context, "repair", "Copy what is missing or corrupt from a backend that has it right",
              blob_repair, true));
}

}  // namespace attestry::app
