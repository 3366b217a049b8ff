#include "app/cmd_keystore_standby.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <ostream>
#include <thread>

#include "app/operator.h"
#include "base/json.h"
#include "base/json_writer.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::JsonOut;
using base::Result;

namespace {

constexpr std::string_view kPath = "/v1/keystore/standby";
constexpr std::chrono::milliseconds kLookAgain{200};

struct StandbyView {
  std::string role, reason, listens, peer, problem;
  std::int64_t term = 0, behind = 0, takeover = 0;
  std::optional<std::int64_t> silent_ms;
  bool serves = false, complete = false, followed = false, handover = false, sync = false;
};

Result<StandbyView> parse(const std::string& answer) {
  TRY(const auto document, base::JsonDocument::parse(answer), "the server's answer");
  const auto root = document->root();
  StandbyView out;
  const auto text = [&](std::string_view name, std::string& to) -> base::Status {
    TRY(const auto value, root.get(name));
    TRY(to, value.string(name));
    return base::done();
  };
  const auto flag = [&](std::string_view name, bool& to) -> base::Status {
    TRY(const auto value, root.get(name));
    TRY(to, value.boolean(name));
    return base::done();
  };
  const auto number = [&](std::string_view name, std::int64_t& to) -> base::Status {
    TRY(const auto value, root.get(name));
    TRY(to, value.integer(name, 0, INT64_MAX));
    return base::done();
  };
  TRY_OK(text("role", out.role));
  TRY_OK(text("reason", out.reason));
  TRY_OK(text("listens", out.listens));
  TRY_OK(text("peer", out.peer));
  TRY_OK(text("problem", out.problem));
  TRY_OK(number("term", out.term));
  TRY_OK(number("behind", out.behind));
  TRY_OK(number("takeover_seconds", out.takeover));
  TRY_OK(flag("serves", out.serves));
  TRY_OK(flag("complete", out.complete));
  TRY_OK(flag("followed", out.followed));
  TRY_OK(flag("handover", out.handover));
  TRY_OK(flag("sync", out.sync));
  if (const auto silent = root.find("silent_ms"); silent && !silent->is_null()) {
    TRY(out.silent_ms, silent->integer("silent_ms", 0, INT64_MAX));
  }
  return out;
}

std::string next_step(const StandbyView& now) {
  if (now.handover) return "Nothing: the primary is asked to hand over.";
  if (now.role == "stood-down") return "attestry keystore standby follow   (makes this keystore the standby)";
  if (now.role == "standby") {
    if (!now.complete) return "Nothing, unless it stays so: the standby has not got everything yet.";
    return "Nothing. `attestry keystore standby promote` makes this keystore the primary.";
  }
  if (now.serves) return now.followed ? "Nothing." : "Start the standby: nobody follows this keystore.";
  return "See why it does not serve.";
}

void print(Context& context, const StandbyView& now) {
  auto& out = context.out;
  out << "role        " << now.role << ", term " << now.term << "\n"
      << "serves      " << (now.serves ? "yes" : "no: " + now.reason) << "\n";
  if (now.role == "standby") {
    out << "copy        " << (now.complete ? "whole" : "not whole yet") << "\n"
        << "takeover    "
        << (now.takeover == 0 ? std::string{"by an operator"}
                              : "after " + std::to_string(now.takeover) + " s of silence")
        << "\n";
  }
  if (now.role == "primary" && now.followed) {
    out << "behind      " << now.behind << " changes that the standby has not confirmed"
        << (now.sync ? ", none of them acknowledged" : "") << "\n";
  }
  out << "heard       "
      << (now.silent_ms ? std::to_string(*now.silent_ms / 1000) + " s ago" : std::string{"not since the start"})
      << "\n";
  if (!now.problem.empty()) out << "problem     " << now.problem << "\n";
  out << "what to do  " << next_step(now) << "\n";
}

Result<StandbyView> call(const OperatorSession& session, net::Method method, std::string_view rest, std::string body,
                         std::string& raw) {
  TRY(raw, session.api().call(method, std::string{kPath} + std::string{rest}, std::move(body)));
  return parse(raw);
}

int show(Context& context, const OperatorOptions& options, const StandbyView& now, const std::string& raw) {
  if (options.format == "json") {
    context.out << raw << "\n";
  } else {
    print(context, now);
  }
  return kExitOk;
}

Result<int> status(Context& context, const OperatorOptions& options) {
  TRY(const auto session, OperatorSession::open(options));
  std::string raw;
  TRY(const auto now, call(*session, net::Method::get, "", {}, raw));
  return show(context, options, now, raw);
}

/// A primary that answers hands over first; that takes as long as its last changes need.
Result<int> promote(Context& context, const OperatorOptions& options, bool force, std::int64_t wait) {
  TRY(const auto session, OperatorSession::open(options));
  std::string raw;
  const std::string body = JsonOut{base::JsonOutObject{{"force", force}}}.compact();
  TRY(auto now, call(*session, net::Method::post, "/promote", body, raw));
  const auto until = context.clock.steady() + std::chrono::seconds(wait);
  while (!(now.role == "primary" && now.serves) && context.clock.steady() < until) {
    std::this_thread::sleep_for(kLookAgain);
    TRY(now, call(*session, net::Method::get, "", {}, raw));
  }
  if (now.role == "primary") return show(context, options, now, raw);
  return Error{Code::unavailable, "the primary has not handed over", "role primary", now.role,
               "When you have made sure that it is off: attestry keystore standby promote --force"};
}

Result<int> follow(Context& context, const OperatorOptions& options, bool discard) {
  TRY(const auto session, OperatorSession::open(options));
  std::string raw;
  const std::string body = JsonOut{base::JsonOutObject{{"discard", discard}}}.compact();
  TRY(const auto now, call(*session, net::Method::post, "/follow", body, raw));
  return show(context, options, now, raw);
}

constexpr const char* kFooter =
    "Examples, at the server that is meant:\n"
    "  attestry keystore standby status\n"
    "  attestry keystore standby promote           # at the standby: the primary hands over, and nothing is lost\n"
    "  attestry keystore standby promote --force   # the other one is off for good: you have made sure\n"
    "  attestry keystore standby follow            # at a keystore that has stood down: it is the standby now\n"
    "docs/how-to/run-a-standby-keystore.md";

}  // namespace

void add_keystore_standby(CLI::App& keystore, Context& context) {
  auto* group = keystore.add_subcommand("standby", "Two keystores: which one serves, and who is to");
  group->require_subcommand(1);
  group->footer(kFooter);
  const auto add = [&](const char* name, const char* help) {
    auto options = std::make_shared<OperatorOptions>();
    auto* command = group->add_subcommand(name, help);
    add_operator_options(*command, *options, false);
    return std::pair{command, options};
  };
  {
    auto [command, options] = add("status", "Which part this keystore has, and whether it serves");
    command->callback([&context, options] { finish(context, [&] { return status(context, *options); }); });
  }
  {
    auto [command, options] = add("promote", "Make this keystore the one that serves");
    auto force = std::make_shared<bool>(false);
    auto wait = std::make_shared<std::int64_t>(20);
    command->add_flag("--force", *force, "without the other one, which is off: you have made sure of it");
    command->add_option("--wait", *wait, "seconds for the primary to hand over")->capture_default_str();
    command->callback([&context, options, force, wait] {
      finish(context, [&] { return promote(context, *options, *force, *wait); });
    });
  }
  auto [command, options] = add("follow", "Make this keystore the standby of the other one");
  auto discard = std::make_shared<bool>(false);
  command->add_flag("--discard", *discard, "masters that only this keystore has may go");
  command->callback(
      [&context, options, discard] { finish(context, [&] { return follow(context, *options, *discard); }); });
}

}  // namespace attestry::app
