// `attestry admin`: those who hold shares of the registry's master key. The flags are those of the seed's tool.
#include <CLI/CLI.hpp>
#include <ostream>

#include "app/admin_ceremony.h"
#include "app/admin_client.h"
#include "app/cli.h"
#include "base/json_writer.h"
#include "crypto/random.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;

namespace {

struct AdminOptions {
  AdminServer::Options server;
  AdminFiles files;
  std::vector<std::string> public_key_files;
  std::optional<unsigned> threshold, total;
  std::string format = "text";
  CeremonyOptions ceremony;
};

std::string next_step(const std::string& state, bool has_shares) {
  if (state == "complete") return "Nothing: the server has its key.";
  if (state == "recovering") return "Admins bring their shares: attestry admin submit-share";
  if (state == "generating_shares") return "Every admin fetches his share: attestry admin fetch-share";
  if (has_shares) return "One admin says `attestry admin init-recovery`; then admins bring their shares.";
  return "One admin says `attestry admin init-generate`, or all of them run `attestry admin ceremony`.";
}

Result<int> status(Context& context, const AdminOptions& options) {
  TRY(const auto server, AdminServer::open(options.server, context.clock));
  TRY(const auto now, server->status());
  // A server of the seed's has no commitments to show.
  const auto known = server->commitments();
  const auto* set = known && known->set ? &*known->set : nullptr;
  if (options.format == "json") {
    JsonOutObject out{{"state", now.state}};
    if (now.threshold) out.emplace_back("threshold", *now.threshold);
    if (now.total) out.emplace_back("total_shares", *now.total);
    out.emplace_back("has_shares", set != nullptr);
    context.out << JsonOut{std::move(out)}.pretty() << "\n";
    return kExitOk;
  }
  context.out << "state       " << now.state << "\n";
  if (set != nullptr) {
    context.out << "shares      " << set->threshold << " of " << set->shares.size() << " give the master key\n";
    for (std::size_t i = 0; i < set->shares.size(); ++i) {
      const auto& share = set->shares[i];
      context.out << "  share " << i << "   "
                  << (share.received  ? "with its admin  "
                      : share.fetched ? "fetched         "
                                      : "not fetched yet ")
                  << share.admin << "\n";
    }
  }
  context.out << "what to do  " << next_step(now.state, set != nullptr) << "\n";
  return kExitOk;
}

Result<int> generate_admin(Context& context, const AdminOptions& options) {
  TRY(const auto id, make_admin_keys(options.files, crypto::system_random()));
  context.out << "id           " << id << "\n"
              << "private key  " << options.files.private_key << "  (keep it; nobody else may have it)\n"
              << "public key   " << options.files.public_key << "  (for the file of admins)\n";
  return kExitOk;
}

Result<int> generate_config(Context& context, const AdminOptions& options) {
  TRY(const auto json, admins_json(options.public_key_files));
  TRY_OK(write_once(options.files.admins, json));
  context.out << options.files.admins << " names " << options.public_key_files.size()
              << " admins; the server's setting registry.admins takes it\n";
  return kExitOk;
}

/// The oldest servers want the numbers; ours holds them against its settings.
std::string numbers(const AdminOptions& options, bool with_total) {
  JsonOutObject out;
  if (options.threshold) out.emplace_back("threshold", *options.threshold);
  if (with_total && options.total) out.emplace_back("total_shares", *options.total);
  return out.empty() ? std::string{} : JsonOut{std::move(out)}.compact();
}

Result<int> init(Context& context, const AdminOptions& options, bool recovery) {
  TRY(const auto server, AdminServer::open(options.server, context.clock));
  TRY(const auto admin, read_admin(options.files));
  TRY(const auto answer,
      server->call(admin, net::Method::post, recovery ? "/admin/init/recover" : "/admin/init/generate",
                   numbers(options, !recovery)));
  context.out << answer;
  return kExitOk;
}

Result<int> fetch(Context& context, const AdminOptions& options) {
  TRY(const auto server, AdminServer::open(options.server, context.clock));
  TRY(const auto admin, read_admin(options.files));
  TRY(const auto index, fetch_share(*server, admin, options.files.share));
  context.out << "share " << index << " is in " << options.files.share << ", encrypted to this admin's key\n"
              << "Keep it and the private key apart from the server; both are needed to bring it.\n";
  return kExitOk;
}

Result<int> submit(Context& context, const AdminOptions& options) {
  TRY(const auto server, AdminServer::open(options.server, context.clock));
  TRY(const auto admin, read_admin(options.files));
  TRY(const auto message, submit_share(*server, admin, options.files.share));
  context.out << message << "\n";
  return kExitOk;
}

Result<int> ceremony(Context& context, const AdminOptions& options) {
  TRY(const auto server, AdminServer::open(options.server, context.clock));
  if (options.server.seed_dialect)
    return Error{Code::usage, "the ceremony is for servers that know the second version of signed requests"};
  CeremonyOptions ceremony = options.ceremony;
  if (options.threshold) ceremony.threshold = *options.threshold;
  if (options.total) ceremony.admins = *options.total;
  return run_ceremony(context, ceremony, *server);
}

void add_options(CLI::App& group, AdminOptions& options) {
  group.add_option("--provisioning-server-addr,--server", options.server.url, "the admins' listener of the server")
      ->capture_default_str();
  group.add_option("--ca", options.server.ca, "PEM certificate to trust for https (tls.pem of the data folder)");
  group.add_option("--admin-privkey-file", options.files.private_key, "this admin's private key")
      ->capture_default_str();
  group.add_option("--admin-pubkey-file", options.files.public_key, "this admin's public key")->capture_default_str();
  group.add_option("--shamir-admins-file", options.files.admins, "the file of admins")->capture_default_str();
  group.add_option("--shamir-share-file", options.files.share, "this admin's share, encrypted")->capture_default_str();
  group.add_option("--shamir-threshold", options.threshold, "admins who are needed (default: the server's setting)");
  group.add_option("--shamir-total-shares", options.total, "shares to make (default: one for each admin)");
  group.add_flag("--seed-dialect", options.server.seed_dialect,
                 "requests and shares of the first version, for servers that know no others; they can be replayed, and "
                 "a share goes to the server in clear");
  group.add_option("--format", options.format, "text or json (status)")->check(CLI::IsMember({"text", "json"}));
}

constexpr const char* kFooter =
    "Without a subcommand: status.\n"
    "Three admins, of whom two are enough, at one table:\n"
    "  attestry admin ceremony --folder ceremony\n"
    "Each at his own machine:\n"
    "  attestry admin generate-admin                                 (each)\n"
    "  attestry admin generate-config --admin-pubkey-files a,b,c     (one)\n"
    "  attestry admin init-generate                                  (one)\n"
    "  attestry admin fetch-share                                    (each)\n"
    "After a restart of the server:\n"
    "  attestry admin init-recovery                                  (one)\n"
    "  attestry admin submit-share                                   (two)";

}  // namespace

void add_admin(CLI::App& app, Context& context) {
  auto options = std::make_shared<AdminOptions>();
  auto* group = app.add_subcommand("admin", "Hold shares of the registry's master key: bootstrap and recovery");
  group->footer(kFooter);
  group->require_subcommand(0, 1);
  add_options(*group, *options);
  const auto add = [&](const char* name, const char* help, Result<int> (*command)(Context&, const AdminOptions&)) {
    auto* made = group->add_subcommand(name, help);
    made->fallthrough();  // the flags may stand before and after the subcommand
    made->callback([options, &context, command] { finish(context, [&] { return command(context, *options); }); });
    return made;
  };
  add("status", "State of the server's bootstrap, and what to do next", status);
  add("generate-admin", "Make this admin's key pair", generate_admin);
  auto* config = add("generate-config", "Make the file of admins from their public keys", generate_config);
  config->add_option("--admin-pubkey-files", options->public_key_files, "public keys' files, comma-separated")
      ->delimiter(',')
      ->required();
  add("init-generate", "Have the server make its master key and split it",
      [](Context& c, const AdminOptions& o) { return init(c, o, false); });
  add("init-recovery", "Have the server ask for shares",
      [](Context& c, const AdminOptions& o) { return init(c, o, true); });
  add("fetch-share", "Fetch this admin's share, check it, and store it encrypted", fetch);
  add("submit-share", "Bring this admin's share to a server that recovers", submit);
  auto* guided =
      add("ceremony", "Generate, distribute, verify and recover, step by step; goes on where it stopped", ceremony);
  guided->add_option("--folder", options->ceremony.folder, "a folder for each admin goes in here")
      ->capture_default_str();
  guided->add_flag("--yes", options->ceremony.yes, "take every default instead of asking");
  guided->add_flag("--dry-run", options->ceremony.dry_run,
                   "only try the shares in the folder against its commitments; asks no server");
  group->callback([options, &context, group] {
    if (group->get_subcommands().empty()) finish(context, [&] { return status(context, *options); });
  });
}

}  // namespace attestry::app
