// `attestry appraisal`: stored appraisals of a server, of a folder, or in files: list, show, replay, diff, export,
// import.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <ostream>

#include "app/appraisal_files.h"
#include "app/tables.h"
#include "app/verify_inputs.h"
#include "appraisal/diff.h"
#include "appraisal/explain.h"
#include "appraisal/replay.h"
#include "base/encoding.h"
#include "base/json.h"
#include "net/http.h"

namespace attestry::app {
namespace {

using base::Result;

constexpr std::size_t kShownId = 16;

struct AppraisalOptions {
  AppraisalPlace place;
  std::string first;
  std::string second;
  std::vector<std::string> files;
  std::string policy;
  std::string key_set;
  std::string out = "-";
  std::string app;
  std::string verdict;
  std::string evidence;
  std::string platform;
  std::string cause;
  std::string origin;
  std::string since;
  std::string until;
  std::string cursor;
  unsigned limit = 50;
  const std::string& format() const { return place.connection.format; }
  bool json() const { return format() == "json"; }
};
using Options = std::shared_ptr<AppraisalOptions>;
using Command = Result<int> (*)(Context&, const AppraisalOptions&);

// ---- list

std::string query_of(const AppraisalOptions& options, const std::string& tenant) {
  std::string out = "?tenant=" + net::percent_encode(tenant) + "&limit=" + std::to_string(options.limit);
  const auto add = [&out](std::string_view name, const std::string& value) {
    if (!value.empty()) out.append("&").append(name).append("=").append(net::percent_encode(value));
  };
  add("app", options.app);
  add("verdict", options.verdict);
  add("evidence", options.evidence);
  add("platform", options.platform);
  add("root_cause", options.cause);
  add("origin", options.origin);
  add("since", options.since);
  add("until", options.until);
  add("cursor", options.cursor);
  return out;
}

void shorten_ids(Table& table) {
  for (auto& row : table.rows) {
    if (!row.empty() && row.front().size() > kShownId) row.front().resize(kShownId);
  }
}

Result<int> list_of_server(Context& context, const AppraisalOptions& options) {
  TRY(const auto session, OperatorSession::open(options.place.connection));
  const std::string path = "/v1/appraisals" + query_of(options, session->tenant().text());
  if (options.json()) {
    TRY(const auto text, session->api().call(net::Method::get, path));
    context.out << text << "\n";
    return kExitOk;
  }
  TRY(const auto doc, session->api().json(net::Method::get, path));
  TRY(const auto items, doc->root().get("appraisals"));
  TRY(Table table, table_of(items, {"id", "stored", "origin", "app", "platform", "verdict", "root_cause"}));
  shorten_ids(table);
  table.print(context.out, "appraisals");
  if (const auto next = doc->root().find("next"); next && !next->is_null()) {
    context.err << "There may be more: --cursor " << next->plain_string().value_or("") << "\n";
  }
  return kExitOk;
}

bool wanted(const AppraisalOptions& options, const appraisal::Summary& summary, const std::string& app) {
  const auto same = [](const std::string& given, const std::string& found) { return given.empty() || given == found; };
  return same(options.verdict, summary.verdict) && same(options.evidence, summary.evidence) &&
         same(options.platform, summary.platform) && same(options.cause, summary.root_cause) && same(options.app, app);
}

Result<int> list_of_folder(Context& context, const AppraisalOptions& options) {
  if (!options.origin.empty() || !options.since.empty() || !options.until.empty() || !options.cursor.empty()) {
    return base::Error{base::Code::usage, "--origin, --since, --until and --cursor are for the list of a server",
                       "--app, --verdict, --evidence, --platform, --cause with --in"};
  }
  TRY(const auto ids, ids_in_folder(options.place.folder));
  Table table{{"id", "at", "app", "platform", "verdict", "root_cause"}, {}};
  base::JsonOutArray rows;
  for (const auto& id : ids) {
    TRY(const auto one, load_from_folder(options.place.folder, base::hex(id)));
    TRY(const auto summary, appraisal::summary_of(one.verdict_json()));
    const auto& binding = one.inputs().binding;
    const std::string app = binding ? binding->app.text() : std::string{};
    if (!wanted(options, summary, app)) continue;
    const std::string at = base::to_rfc3339(one.inputs().at);
    table.rows.push_back({base::hex(id), at, app.empty() ? "-" : app, summary.platform, summary.verdict,
                          summary.root_cause.empty() ? "-" : summary.root_cause});
    rows.emplace_back(base::JsonOutObject{{"id", base::hex(id)},
                                          {"at", at},
                                          {"app", app.empty() ? base::JsonOut{nullptr} : base::JsonOut{app}},
                                          {"platform", summary.platform},
                                          {"verdict", summary.verdict},
                                          {"evidence", summary.evidence},
                                          {"root_cause", summary.root_cause}});
  }
  if (options.json()) {
    context.out << base::JsonOut{base::JsonOutObject{{"appraisals", std::move(rows)}}}.compact() << "\n";
    return kExitOk;
  }
  shorten_ids(table);
  table.print(context.out, "appraisals");
  return kExitOk;
}

Result<int> list(Context& context, const AppraisalOptions& options) {
  return options.place.folder.empty() ? list_of_server(context, options) : list_of_folder(context, options);
}

// ---- show

void line(Context& context, std::string_view name, const std::string& value) {
  if (value.empty()) return;
  context.out << "  " << name << std::string(name.size() < 12 ? 12 - name.size() : 1, ' ');
  for (const char c : value) context.out << (static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
  context.out << "\n";
}

void show_inputs(Context& context, const appraisal::StoredAppraisal& whole) {
  const auto& in = whole.inputs();
  line(context, "catalogue", whole.catalogue());
  line(context, "evidence",
       std::string{attestation::to_text(in.evidence.format)} + ", " + std::to_string(in.evidence.bytes.size()) +
           " bytes");
  for (const auto& item : in.collateral->items()) {
    line(context, "collateral",
         std::string{attestation::to_text(item.kind)} + ", " + std::to_string(item.bytes.size()) + " bytes, sha256 " +
             base::hex(item.sha256));
  }
  for (const auto& problem : in.collateral->problems()) line(context, "collateral", problem.what);
  line(context, "policy", in.policy.name() + ", sha256 " + base::hex(in.policy.sha256()));
  line(context, "realm", std::string{base::to_text(in.anchors.realm())});
  for (const auto& issuer : in.anchors.token_issuers()) {
    line(context, "issuer", issuer + " (believed as the appraisal says; its keys come with it)");
  }
  if (in.binding) line(context, "made for", in.binding->tenant.text() + "/" + in.binding->app.text());
  if (in.report_data) line(context, "report data", base::hex(*in.report_data));
  if (in.nonce) line(context, "nonce", base::hex(*in.nonce));
}

Result<int> show(Context& context, const AppraisalOptions& options) {
  TRY(const auto found, find_appraisal(context, options.first, options.place));
  if (options.json()) {
    const auto raw = [](std::string text) { return base::JsonOut{base::JsonOut::Raw{std::move(text)}}; };
    context.out << base::JsonOut{base::JsonOutObject{
                                     {"id", found.id.empty() ? base::JsonOut{nullptr} : base::JsonOut{found.id}},
                                     {"appraisal",
                                      found.appraisal ? raw(found.appraisal->document()) : base::JsonOut{nullptr}},
                                     {"verdict", raw(found.verdict_json)}}}
                       .compact()
                << "\n";
    return kExitOk;
  }
  TRY(const auto verdict, appraisal::read_verdict(found.verdict_json));
  context.out << "appraisal " << (found.id.empty() ? "(only its verdict)" : found.id) << "\n";
  line(context, "", found.note);
  line(context, "verdict", verdict.verdict + (verdict.simulated ? " (simulated)" : ""));
  line(context, "evidence is", verdict.evidence == "false" ? "not genuine" : verdict.evidence);
  line(context, "platform", verdict.platform);
  line(context, "at", verdict.at);
  line(context, "root cause", verdict.root_cause);
  if (found.appraisal) show_inputs(context, *found.appraisal);
  context.out << "`attestry why` explains it, `attestry appraisal replay` judges it again.\n";
  return kExitOk;
}

// ---- replay, diff

/// The issuer whose keys nobody here vouches for, with a word about it.
Result<std::optional<std::string>> unvouched_issuer(Context& context, const AppraisalOptions& options,
                                                    const WholeAppraisal& found) {
  auto issuer = appraisal::issuer_of_keys(found.appraisal);
  if (!issuer || found.judged_there) return std::optional<std::string>{};
  if (!options.key_set.empty()) {
    TRY(base::Bytes keys, read_input(context, options.key_set, kMaxKeySetBytes), "--jwks");
    TRY(const bool good, appraisal::signed_under(found.appraisal, std::move(keys)), "--jwks");
    if (good) return std::optional<std::string>{};
    context.err << "warning: no key of " << options.key_set << " signed this token.\n";
    return issuer;
  }
  context.err
      << "warning: the keys that the token was judged by came with the appraisal, and only it says that they are\n"
      << "those of " << *issuer << ". Fetch " << *issuer << "/certs yourself and give it with --jwks.\n";
  return issuer;
}

/// Replayed as it was stored: exit code of the verdict only when it is the same, else a defect or another catalogue.
/// Undecided while nobody vouches for the keys of a token: the verdict may be the same, and forged both times.
Result<int> replay(Context& context, const AppraisalOptions& options) {
  TRY(const auto found, find_whole(context, options.first, options.place));
  const appraisal::StoredAppraisal& whole = found.appraisal;
  std::optional<attestation::Policy> other;
  if (!options.policy.empty()) {
    TRY(other, policy_named(context, options.policy));
  }
  TRY(const auto again, appraisal::replay(whole, other ? &*other : nullptr));
  TRY(const auto before, appraisal::read_verdict(whole.verdict_json()));
  TRY(const auto after, appraisal::read_verdict(again.verdict_json));
  const auto changes = appraisal::diff(before, after);
  TRY(const auto unvouched, unvouched_issuer(context, options, found));
  if (options.json()) {
    context.out << base::JsonOut{base::JsonOutObject{{"appraisal", base::hex(whole.id())},
                                                     {"same", again.same},
                                                     {"same_catalogue", again.same_catalogue},
                                                     {"same_anchors", again.same_anchors},
                                                     {"token_keys_unvouched", unvouched.has_value()},
                                                     {"diff", appraisal::diff_json(changes)},
                                                     {"verdict", base::JsonOut::Raw{again.verdict_json}}}}
                       .compact()
                << "\n";
  } else {
    context.out << "appraisal " << base::hex(whole.id()) << "\n";
    context.out << (again.same ? "the same verdict, byte for byte: " : "another verdict: ") << after.verdict;
    if (!after.root_cause.empty()) context.out << " (" << after.root_cause << ")";
    context.out << "\n";
    if (!again.same_catalogue) {
      context.out << "judged by catalogue " << whole.catalogue() << ", replayed by " << attestation::kCatalogueVersion
                  << "\n";
    }
    if (!again.same_anchors) context.out << "this program has other production roots than the one that judged\n";
    if (!again.same) context.out << appraisal::diff_text(changes, context.colour);
  }
  // The question of a replay without another policy is whether it is the same.
  if (!other && !again.same) return kExitRefused;
  const bool believed = !other || after.verdict == "accepted";
  if (unvouched && believed) return kExitUndecided;
  return other ? exit_code_of(after.verdict) : kExitOk;
}

Result<int> compare(Context& context, const AppraisalOptions& options) {
  TRY(const auto a, find_appraisal(context, options.first, options.place));
  TRY(const auto b, find_appraisal(context, options.second, options.place));
  TRY(const auto before, appraisal::read_verdict(a.verdict_json));
  TRY(const auto after, appraisal::read_verdict(b.verdict_json));
  const auto changes = appraisal::diff(before, after);
  if (options.json()) {
    context.out << appraisal::diff_json(changes).compact() << "\n";
  } else {
    context.out << appraisal::diff_text(changes, context.colour);
  }
  return changes.empty() ? kExitOk : kExitRefused;
}

// ---- export, import

Result<int> take_out(Context& context, const AppraisalOptions& options) {
  TRY(const auto whole, find_whole(context, options.first, options.place));
  TRY_OK(write_export_file(context, options.out, whole.appraisal), "--out");
  if (options.out != "-") context.err << base::hex(whole.appraisal.id()) << " is in " << options.out << "\n";
  return kExitOk;
}

Result<int> bring_in(Context& context, const AppraisalOptions& options) {
  std::unique_ptr<OperatorSession> session;
  if (options.place.folder.empty()) {
    TRY(session, OperatorSession::open(options.place.connection));
  }
  for (const std::string& file : options.files) {
    TRY(const auto found, find_whole(context, file, {}));
    const appraisal::StoredAppraisal& whole = found.appraisal;
    if (session) {
      TRY([[maybe_unused]] const auto answer,
          session->api().call(net::Method::post,
                              "/v1/appraisals?tenant=" + net::percent_encode(session->tenant().text()),
                              appraisal::write_export(whole)),
          file);
    } else {
      TRY_OK(keep_in_folder(options.place.folder, whole), file);
    }
    context.out << base::hex(whole.id()) << "\n";
  }
  return kExitOk;
}

struct Sub {
  CLI::App* command;
  Options options;
};

Sub add(CLI::App& parent, Context& context, const char* name, const char* help, Command command) {
  Sub sub{parent.add_subcommand(name, help), std::make_shared<AppraisalOptions>()};
  sub.command
      ->add_option("--in", sub.options->place.folder,
                   "folder of appraisals (attestry verify --store FOLDER) instead of a server")
      ->type_name("FOLDER");
  add_operator_options(*sub.command, sub.options->place.connection, false);
  sub.command->callback(
      [options = sub.options, command, &context] { finish(context, [&] { return command(context, *options); }); });
  return sub;
}

void add_list(CLI::App& group, Context& context) {
  const auto sub = add(group, context, "list", "Stored appraisals, newest first", list);
  auto& o = *sub.options;
  sub.command->add_option("--app", o.app, "registrations of this app");
  sub.command->add_option("--verdict", o.verdict, "accepted, refused or undecided");
  sub.command->add_option("--evidence", o.evidence, "genuine, false or undecided");
  sub.command->add_option("--platform", o.platform, "sgx, tdx, snp, nitro or maa");
  sub.command->add_option("--cause", o.cause, "id of the check that is the root cause");
  sub.command->add_option("--origin", o.origin, "release, refusal, attempt, verification or import");
  sub.command->add_option("--since", o.since, "stored at this time or later, for example 2026-06-15T00:00:00Z");
  sub.command->add_option("--until", o.until, "stored at this time or before");
  sub.command->add_option("--limit", o.limit, "rows, 1 to 500")->check(CLI::Range(1, 500))->capture_default_str();
  sub.command->add_option("--cursor", o.cursor, "go on where the page before ended");
}

constexpr const char* kNamed = "id (8 digits of it are enough), an exported file, or a verdict's JSON";

}  // namespace

void add_appraisal(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("appraisal", "Stored appraisals: what was judged, by what, and judged again");
  group->require_subcommand(1);
  group->footer(
      "Examples:\n"
      "  attestry verify quote.bin --collateral collateral.json --store appraisals\n"
      "  attestry appraisal list --in appraisals\n"
      "  attestry appraisal replay 1f3a9c52 --policy new-policy.json\n"
      "  attestry appraisal export 1f3a9c52 --out appraisal.json\n"
      "Appraisals of a server are asked for at its admin listener (--server, --token-file).");
  add_list(*group, context);
  const auto shown = add(*group, context, "show", "What one appraisal rests on and what came out", show);
  shown.command->add_option("APPRAISAL", shown.options->first, kNamed)->required();
  const auto again =
      add(*group, context, "replay", "Judge again: the same verdict byte for byte, or what is different now", replay);
  again.command->add_option("APPRAISAL", again.options->first, kNamed)->required();
  again.command
      ->add_option("--policy", again.options->policy,
                   "another policy (a built-in one's name or a file): what would it say?")
      ->type_name("NAME|FILE");
  again.command
      ->add_option(
          "--jwks", again.options->key_set,
          "of an Azure token: the issuer's key set as you fetched it from ISSUER/certs over TLS. The one in an "
          "appraisal that another machine made proves nothing")
      ->type_name("FILE");
  const auto two = add(*group, context, "diff", "What is different between two, by component", compare);
  two.command->add_option("A", two.options->first, kNamed)->required();
  two.command->add_option("B", two.options->second, kNamed)->required();
  const auto out = add(*group, context, "export", "Write one self-contained file, for another machine", take_out);
  out.command->add_option("APPRAISAL", out.options->first, kNamed)->required();
  out.command->add_option("--out", out.options->out, "file to write; - for standard output")->capture_default_str();
  const auto in = add(*group, context, "import", "Keep exported files, on a server or in a folder", bring_in);
  in.command->add_option("FILE", in.options->files, "exported appraisals")->required();
}

}  // namespace attestry::app
