// `attestry sealing`: epochs of the keys that what a server keeps of a tenant is sealed under.
#include <CLI/CLI.hpp>
#include <ostream>

#include "app/cli.h"
#include "app/operator.h"
#include "base/json.h"

namespace attestry::app {

using base::Result;

namespace {

struct Numbers {
  std::int64_t epoch = 0, oldest = 0, values = 0, files = 0, values_left = 0, files_left = 0;
  std::string phase, since;
};

Result<Numbers> parse(const std::string& answer) {
  TRY(const auto document, base::JsonDocument::parse(answer), "the server's answer");
  const auto root = document->root();
  const auto number = [&root](std::string_view name) -> Result<std::int64_t> {
    TRY(const auto value, root.get(name));
    return value.integer(name, 0, INT64_MAX);
  };
  Numbers out;
  TRY(out.epoch, number("epoch"));
  TRY(out.oldest, number("oldest"));
  TRY(out.values, number("values"));
  TRY(out.files, number("files"));
  TRY(out.values_left, number("values_left"));
  TRY(out.files_left, number("files_left"));
  TRY(const auto phase, root.get("phase"));
  TRY(out.phase, phase.string("phase"));
  if (const auto since = root.find("since")) out.since = since->plain_string().value_or("");
  return out;
}

std::string next_step(const Numbers& now) {
  if (now.phase == "values" || now.phase == "files")
    return "Nothing: the server goes on by itself, after a restart too. `attestry sealing status` shows how far it is.";
  if (now.phase == "erasing") return "Nothing: the server erases what is left of the old keys.";
  if (now.oldest < now.epoch)
    return "attestry sealing retire   (erases the old keys; backups that need them then cannot be read)";
  return "Nothing. `attestry sealing rotate` begins a new epoch.";
}

void print(Context& context, const OperatorOptions& options, const Numbers& now) {
  auto& out = context.out;
  out << "tenant      " << options.tenant << "\n"
      << "epoch       " << now.epoch << (now.since.empty() ? "" : ", since " + now.since) << "\n"
      << "readable    from epoch " << now.oldest << "\n"
      << "state       " << now.phase << "\n";
  if (now.epoch != 0) {
    out << "values      " << now.values << " sealed anew, " << now.values_left << " left\n"
        << "files       " << now.files << " sealed anew, " << now.files_left << " left\n";
  }
  out << "what to do  " << next_step(now) << "\n";
}

Result<int> ask(Context& context, const OperatorOptions& options, net::Method method, std::string_view rest) {
  TRY(const auto session, OperatorSession::open(options));
  TRY(const auto answer, session->api().call(method, session->path(rest)));
  if (options.format == "json") {
    context.out << answer << "\n";
    return kExitOk;
  }
  TRY(const auto now, parse(answer));
  print(context, options, now);
  return kExitOk;
}

constexpr const char* kFooter =
    "Examples:\n"
    "  attestry sealing status\n"
    "  attestry sealing rotate --tenant acme   # new key; what is stored is sealed anew in the background\n"
    "  attestry sealing retire --tenant acme   # once that is done: the old keys are erased\n"
    "This is about what lies on the server's disk. Keys that apps are given have epochs of their own: attestry "
    "approve\n"
    "epoch.";

}  // namespace

void add_sealing(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("sealing", "Keys that stored secrets and blobs are sealed under: rotate and retire");
  group->require_subcommand(1);
  group->footer(kFooter);
  const auto add = [&](const char* name, const char* help, net::Method method, const char* rest) {
    auto options = std::make_shared<OperatorOptions>();
    auto* command = group->add_subcommand(name, help);
    add_operator_options(*command, *options, false);
    command->callback(
        [&context, options, method, rest] { finish(context, [&] { return ask(context, *options, method, rest); }); });
  };
  add("status", "Which epochs there are, and how far a rotation is", net::Method::get, "/sealing");
  add("rotate", "Begin a new epoch", net::Method::post, "/sealing/rotate");
  add("retire", "Erase the keys of all epochs before the present one; refused while anything needs them",
      net::Method::post, "/sealing/retire");
}

}  // namespace attestry::app
