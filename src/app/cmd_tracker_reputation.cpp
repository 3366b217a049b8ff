// `attestry tracker reputation`: an operator has a tracker write its members' sums on its chain
// (docs/how-to/run-a-tracker.md).
#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "app/admin_client.h"
#include "app/settings_reader.h"
#include "app/tables.h"
#include "app/tracker_commands.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/reason.h"
#include "net/client.h"
#include "net/problem.h"
#include "net/url.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;

namespace {

/// Longer than a tracker waits for its chain.
constexpr std::chrono::seconds kPatience{150};

struct Options {
  std::string server = "http://127.0.0.1:8000";
  std::string token_file, ca, user, referrer;
  std::string format = "text";
  /// Registration is free, and receipts among own members are: what one writes for strangers has its bounds.
  std::int64_t least = 1 << 20, most = 1000;
};
using Shared = std::shared_ptr<Options>;
using Document = std::shared_ptr<const base::JsonDocument>;

Code code_of(int status) {
  switch (status) {
    case 400:
      return Code::malformed;
    case 401:
      return Code::unauthenticated;
    case 403:
      return Code::denied;
    case 404:
      return Code::not_found;
    case 409:
      return Code::conflict;
    default:
      return Code::unavailable;
  }
}

std::string text_of(const JsonValue& object, std::string_view name) {
  const auto found = object.find(name);
  const auto text = found ? found->string(name) : Result<std::string>{std::string{}};
  return text.ok() ? *text : std::string{};
}
/// For a terminal: names are what members chose for themselves, and the rest is what a tracker, or who answers in its
/// place, and its chain say.
std::string shown(const JsonValue& object, std::string_view name) { return printable(text_of(object, name)); }
Error shown(const Error& error) {
  return {error.code, printable(error.what), printable(error.expected), printable(error.found),
          printable(error.remedy)};
}
std::int64_t number_of(const JsonValue& object, std::string_view name) {
  const auto found = object.find(name);
  const auto number = found ? found->integer(name, 0, INT64_MAX) : Result<std::int64_t>{0};
  return number.ok() ? *number : 0;
}

/// The tracker's routes of one command.
class TrackerSession {
 public:
  static Result<std::unique_ptr<TrackerSession>> open(const Options& options) {
    std::unique_ptr<TrackerSession> out{new TrackerSession{options.server}};
    while (out->server_.ends_with('/')) out->server_.pop_back();
    TRY_OK(net::check_http_url(out->server_), "--server");
    if (!options.token_file.empty()) {
      constexpr std::size_t kMostToken = 4096;
      TRY(out->token_, SettingsReader::read_file(options.token_file, kMostToken), "--token-file");
      while (out->token_.ends_with('\n') || out->token_.ends_with('\r')) out->token_.pop_back();
      if (out->server_.starts_with("http:") && !is_here(out->server_)) {
        return Error{Code::usage, "--server " + out->server_, "https for another machine, since the token is a secret",
                     "http", "Let the tracker or a proxy speak TLS, or run this on its machine."};
      }
    }
    TRY(out->http_, net::HttpClient::make({.ca_file = options.ca}), "--ca");
    return out;
  }
  ~TrackerSession() { net::wipe_text(token_); }
  TrackerSession(const TrackerSession&) = delete;
  TrackerSession& operator=(const TrackerSession&) = delete;

  /// The answer, and its status: an outage in the midst of a publication says what was published before.
  Result<std::pair<int, Document>> ask(net::Method method, std::string_view path, const std::string& body = {}) const {
    net::HttpRequest request{.method = method,
                             .url = server_ + std::string{path},
                             .body = body,
                             .deadline = std::chrono::steady_clock::now() + kPatience};
    if (!body.empty()) request.headers.set("Content-Type", "application/json");
    if (!token_.empty()) request.headers.set("Authorization", "Bearer " + token_);
    auto sent = http_->send(request);
    if (!sent && sent.error().code == Code::unavailable && sent.error().remedy.empty()) {
      sent.error().remedy =
          "Is the tracker running, and is " + server_ + " its listener? --server or ATTESTRY_TRACKER names it.";
    }
    TRY(const auto response, std::move(sent));
    if (auto problem = net::error_from_problem(response)) return *std::move(problem);
    auto document = base::JsonDocument::parse(response.body);
    if (!document || !(*document)->root().is_object()) {
      return Error{Code::unavailable,
                   server_ + " answered " + std::to_string(response.status) + " and no JSON",
                   {},
                   {},
                   "Is that a tracker's listener? --server or ATTESTRY_TRACKER names it."};
    }
    return std::pair{response.status, *std::move(document)};
  }
  static Error error_of(int status, const JsonValue& root) {
    const std::string detail = text_of(root, "detail");
    Error out{code_of(status), detail.empty() ? text_of(root, "error") : detail, {}, {}, text_of(root, "remedy")};
    if (out.remedy.empty() && out.code == Code::denied) out.remedy = "That is the contract's or the tracker's rule.";
    return out;
  }
  /// Only what was done.
  Result<Document> call(net::Method method, std::string_view path, const std::string& body = {}) const {
    TRY(auto answer, ask(method, path, body));
    if (answer.first < 200 || answer.first > 299) return error_of(answer.first, answer.second->root());
    return std::move(answer.second);
  }

 private:
  explicit TrackerSession(std::string server) : server_(std::move(server)) {}
  std::string server_, token_;
  std::unique_ptr<net::HttpClient> http_;
};

std::string body_of(JsonOutObject members) { return JsonOut{std::move(members)}.compact(); }

Result<int> init(Context& context, const Options& options) {
  TRY(const auto session, TrackerSession::open(options));
  JsonOutObject body;
  if (!options.referrer.empty()) body.emplace_back("referrer_address", options.referrer);
  TRY(const auto done, session->call(net::Method::post, "/contract/init", body_of(std::move(body))));
  const auto root = done->root();
  if (options.format == "json") {
    context.out << root.source() << "\n";
    return kExitOk;
  }
  context.out << shown(root, "message") << "\n"
              << "contract " << shown(root, "reputation_address") << "\n"
              << "referrer " << shown(root, "referrer_address") << "\n";
  return kExitOk;
}

/// "alice  49152 up, 0 down  0x…" for each.
void print_published(Context& context, const JsonValue& root) {
  if (const auto list = root.find("published"); list) {
    for (auto one = list->first(); one; one = one->next()) {
      context.out << shown(*one, "username") << "  " << number_of(*one, "upload_size") << " up, "
                  << number_of(*one, "download_size") << " down  " << shown(*one, "tx_hash") << "\n";
    }
  }
  if (const auto list = root.find("refused"); list) {
    for (auto one = list->first(); one; one = one->next()) {
      context.out << shown(*one, "username") << "  refused: " << shown(*one, "detail") << "\n";
    }
  }
}

std::int64_t count_of(const JsonValue& root, std::string_view name) {
  std::int64_t out = 0;
  const auto list = root.find(name);
  if (!list) return out;
  for (auto one = list->first(); one; one = one->next()) ++out;
  return out;
}

/// Until nobody is left, or as many are written as may be; 1 where a member was refused.
Result<int> publish(Context& context, const Options& options) {
  TRY(const auto session, TrackerSession::open(options));
  bool refused = false, any = false;
  std::string after;
  for (std::int64_t left = options.most; left > 0;) {
    JsonOutObject body{{"least", options.least}, {"most", left}};
    if (!options.user.empty()) body.emplace_back("username", options.user);
    if (!after.empty()) body.emplace_back("after", after);
    TRY(const auto answer, session->ask(net::Method::post, "/contract/publish", body_of(std::move(body))));
    const auto root = answer.second->root();
    if (options.format == "json") {
      context.out << root.source() << "\n";
    } else {
      print_published(context, root);
    }
    if (answer.first < 200 || answer.first > 299) return TrackerSession::error_of(answer.first, root);
    const auto published = count_of(root, "published");
    refused = refused || count_of(root, "refused") != 0;
    any = any || refused || published != 0;
    left -= published;
    after = text_of(root, "next");
    if (after.empty()) break;
    if (left <= 0 && options.format == "text")
      context.out << "written for " << options.most << " members (--most); there may be more\n";
  }
  if (!any && options.format == "text") {
    context.out << "the contract has what the tracker has"
                << (options.least > 1 && options.user.empty()
                        ? ", but for members with less than " + std::to_string(options.least) + " bytes since (--least)"
                        : "")
                << "\n";
  }
  return refused ? kExitRefused : kExitOk;
}

Result<int> migrate(Context& context, const Options& options) {
  TRY(const auto session, TrackerSession::open(options));
  TRY(const auto done, session->call(net::Method::post, "/contract/migrate", body_of({{"username", options.user}})));
  if (options.format == "json") {
    context.out << done->root().source() << "\n";
  } else {
    context.out << printable(options.user) << " was taken over from the referrer  " << shown(done->root(), "tx_hash")
                << "\n";
  }
  return kExitOk;
}

Result<int> show(Context& context, const Options& options) {
  TRY(const auto session, TrackerSession::open(options));
  const bool all = options.user.empty();
  TRY(const auto done, session->call(net::Method::get,
                                     all ? "/contract/status" : "/contract/user/" + net::percent_encode(options.user)));
  const auto root = done->root();
  if (options.format == "json") {
    context.out << root.source() << "\n";
    return kExitOk;
  }
  if (all) {
    const auto or_none = [&root](std::string_view name) {
      const auto text = shown(root, name);
      return text.empty() ? std::string{"none"} : text;
    };
    const auto connected = root.find("connected");
    const bool there = connected && connected->boolean("connected").ok() && *connected->boolean("connected");
    context.out << "chain    " << or_none("rpc_url") << (there ? "" : ", which does not answer") << "\n"
                << "account  " << or_none("account_address") << "\n"
                << "factory  " << or_none("factory_address") << "\n"
                << "contract " << or_none("reputation_address") << "\n";
    return kExitOk;
  }
  TRY(const auto user, root.get("user"));
  context.out << shown(user, "username") << "  " << number_of(user, "uploadSize") << " up, "
              << number_of(user, "downloadSize") << " down, at " << shown(root, "contract_address") << "\n";
  return kExitOk;
}

constexpr const char* kFooter =
    "Examples:\n"
    "  attestry tracker reputation init --token-file admin.token\n"
    "  attestry tracker reputation publish --token-file admin.token\n"
    "  attestry tracker reputation show alice";

}  // namespace

void add_tracker_reputation(CLI::App& group, Context& context) {
  auto* commands = group.add_subcommand("reputation", "Have a running tracker write its members' sums on its chain");
  commands->require_subcommand(1);
  commands->footer(kFooter);
  const auto add = [&](const char* name, const char* what, Result<int> (*run)(Context&, const Options&), bool writes) {
    auto options = std::make_shared<Options>();
    auto* command = commands->add_subcommand(name, what);
    command->add_option("--server", options->server, "the tracker's listener: https://HOST:PORT, http on this machine")
        ->envname("ATTESTRY_TRACKER")
        ->capture_default_str();
    if (writes) {
      command
          ->add_option("--token-file", options->token_file,
                       "file with the administrator's token (admin.token of the data folder)")
          ->envname("ATTESTRY_TOKEN_FILE")
          ->required();
    }
    command->add_option("--ca", options->ca, "PEM certificate to trust for the tracker")->envname("ATTESTRY_CA");
    command->add_option("--format", options->format, "text or json")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
    command->callback([options, run, &context] {
      finish(context, [&]() -> Result<int> {
        auto done = run(context, *options);
        if (!done) return shown(done.error());
        return done;
      });
    });
    return std::pair{command, options};
  };
  {
    const auto [command, options] = add("init", "Make the tracker's contract, or take it over", init, true);
    command->add_option("--referrer", options->referrer, "contract of a former tracker, which governance has attested");
  }
  {
    const auto [command, options] =
        add("publish", "Write what the ledger has of members and the contract has not", publish, true);
    command->add_option("USER", options->user, "one member only, whatever he has");
    command
        ->add_option("--least", options->least, "bytes that a member has since he was written last; who has less waits")
        ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 52))
        ->capture_default_str();
    command->add_option("--most", options->most, "members to write at most, each a transaction that costs gas")
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}))
        ->capture_default_str();
  }
  {
    const auto [command, options] = add("migrate", "Take a member over from the referrer", migrate, true);
    command->add_option("USER", options->user, "the member")->required();
  }
  const auto [command, options] = add("show", "The contract, or a member as it stands there", show, false);
  command->add_option("USER", options->user, "the member");
}

}  // namespace attestry::app
