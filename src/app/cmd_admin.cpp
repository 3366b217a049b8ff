// `attestry admin`: those who hold shares of the registry's master key. The flags are those of the seed's tool.
#include <CLI/CLI.hpp>
#include <ostream>

#include "app/admin_ceremony.h"
#include "app/admin_client.h"
#include "app/cli.h"
#include "app/registry_metadata.h"
#include "app/verify_inputs.h"
#include "base/encoding.h"
#include "base/json.h"
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
  VerifyInputs verify{};  ///< no policy is the default here
  std::vector<std::string> public_key_files, names;
  std::optional<unsigned> threshold, total;
  std::string format = "text";
  std::string curve = "p256";
  CeremonyOptions ceremony;
};

std::string next_step(const std::string& state, bool has_shares) {
  if (state == "complete") return "Nothing: the server has its key.";
  if (state == "recovering") return "Admins bring their shares: attestry admin submit-share";
  if (state == "generating_shares") return "Every admin fetches his share: attestry admin fetch-share";
  if (has_shares) return "One admin says `attestry admin init-recovery`; then admins bring their shares.";
  return "One admin says `attestry admin init-generate`, or all of them run `attestry admin ceremony`.";
}

/// The connection of one command. With --policy the server must show evidence that it is what the policy says.
Result<std::unique_ptr<AdminServer>> connect(Context& context, const AdminOptions& options) {
  AdminServer::Options server = options.server;
  if (!options.verify.policy.empty()) {
    if (server.seed_dialect)
      return Error{Code::usage, "--policy is for servers that show evidence over their key, not with --seed-dialect"};
    server.check_evidence = [&context, &options](base::ByteView evidence,
                                                 const base::FixedBytes<64>& report_data) -> base::Status {
      if (base::as_text(evidence).starts_with("Attestation for ")) {
        return Error{Code::evidence_false,
                     "its evidence is a dummy",
                     "evidence of a TEE",
                     {},
                     "This server runs outside of a TEE. Without --policy it is believed as it is."};
      }
      TRY_OK(judge_bytes(context, options.verify, evidence, base::hex(report_data)));
      return base::done();
    };
  }
  return AdminServer::open(std::move(server), context.clock);
}

JsonOut shares_json(const ServerCommitments& known) {
  base::JsonOutArray list;
  for (std::size_t i = 0; i < known.set->shares.size(); ++i) {
    const auto& share = known.set->shares[i];
    JsonOutObject one{{"share_index", static_cast<std::uint64_t>(i)},
                      {"admin_id", share.admin},
                      {"fetched", share.fetched},
                      {"received", share.received},
                      {"submitted", static_cast<bool>(known.submitted[i])}};
    if (!known.names[i].empty()) one.emplace_back("admin_name", known.names[i]);
    list.emplace_back(std::move(one));
  }
  return JsonOut{std::move(list)};
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

void print_shares(std::ostream& out, const ServerCommitments& known, bool recovering) {
  const auto& set = *known.set;
  out << "shares      " << set.threshold << " of " << set.shares.size() << " give the master key\n";
  std::vector<std::string> in, missing;
  for (std::size_t i = 0; i < set.shares.size(); ++i) {
    const auto& share = set.shares[i];
    (known.submitted[i] ? in : missing).push_back(known.who(i));
    out << "  share " << i << "   "
        << (known.submitted[i] ? "is in           "
            : share.received   ? "with its admin  "
            : share.fetched    ? "fetched         "
                               : "not fetched yet ")
        << known.who(i) << "\n";
  }
  if (known.next) {
    out << "to come     " << known.next->threshold << " of " << known.next->shares.size()
        << " others, when each of them has his share\n";
    for (std::size_t i = 0; i < known.next->shares.size(); ++i) {
      out << "  share " << i << "   " << (known.next->shares[i].received ? "with its admin  " : "not fetched yet ")
          << known.next_who(i) << "\n";
    }
  }
  if (!recovering) return;
  out << "in          " << in.size() << " of " << set.threshold << (in.empty() ? "" : ": " + joined(in)) << "\n"
      << "missing     " << set.threshold - in.size() << " more, of " << joined(missing) << "\n";
}

Result<int> status(Context& context, const AdminOptions& options) {
  TRY(const auto server, connect(context, options));
  TRY(const auto now, server->status());
  // A server of the seed's has no commitments to show.
  const auto known = server->commitments();
  if (!known && !options.verify.policy.empty()) return known.error();
  const bool has_set = known && known->set;
  if (options.format == "json") {
    JsonOutObject out{{"state", now.state}};
    if (now.threshold) out.emplace_back("threshold", *now.threshold);
    if (now.total) out.emplace_back("total_shares", *now.total);
    out.emplace_back("has_shares", has_set);
    if (has_set) out.emplace_back("shares", shares_json(*known));
    context.out << JsonOut{std::move(out)}.pretty() << "\n";
    return kExitOk;
  }
  if (!options.verify.policy.empty()) context.out << "evidence    accepted under " << options.verify.policy << "\n";
  context.out << "state       " << now.state << "\n";
  if (has_set) print_shares(context.out, *known, now.state == "recovering");
  context.out << "what to do  " << next_step(now.state, has_set) << "\n";
  return kExitOk;
}

/// The option takes no other names.
crypto::Curve curve_named(std::string_view name) {
  if (name == "p384") return crypto::Curve::p384;
  return name == "p521" ? crypto::Curve::p521 : crypto::Curve::p256;
}

void add_curve(CLI::App& command, AdminOptions& options) {
  command
      .add_option("--curve", options.curve, "of new keys: p256, p384 or p521 (ECDSA, and what shares are sealed to)")
      ->check(CLI::IsMember({"p256", "p384", "p521"}))
      ->capture_default_str();
}

Result<int> generate_admin(Context& context, const AdminOptions& options) {
  TRY(const auto id, make_admin_keys(options.files, curve_named(options.curve), crypto::system_random()));
  context.out << "id           " << id << "\n"
              << "private key  " << options.files.private_key << "  (keep it; nobody else may have it)\n"
              << "public key   " << options.files.public_key << "  (for the file of admins)\n";
  return kExitOk;
}

Result<int> generate_config(Context& context, const AdminOptions& options) {
  if (!options.names.empty() && options.names.size() != options.public_key_files.size()) {
    return Error{Code::usage, "--admin-names", "a name for each of --admin-pubkey-files",
                 std::to_string(options.names.size()) + " for " + std::to_string(options.public_key_files.size())};
  }
  TRY(const auto json, admins_json(options.public_key_files, options.names));
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

/// What a bootstrap's or a recovery's begin means for those who stand there.
Result<std::string> begun(const std::string& answer, bool recovery) {
  TRY(const auto document, base::JsonDocument::parse(answer), "the server's answer");
  TRY(const auto value, document->root().get("threshold"));
  TRY(const auto threshold, value.integer("threshold", 0, 255));
  if (recovery) {
    return "The server asks for shares: " + std::to_string(threshold) +
           " admins bring theirs, each with `attestry admin submit-share`.\n";
  }
  TRY(const auto total_value, document->root().get("total_shares"));
  TRY(const auto total, total_value.integer("total_shares", 0, 255));
  return "The master key is made and split: " + std::to_string(threshold) + " of " + std::to_string(total) +
         " shares give it back.\nEvery admin fetches his, with `attestry admin fetch-share`; until the last one has, "
         "the server does not work.\n";
}

Result<int> init(Context& context, const AdminOptions& options, bool recovery) {
  TRY(const auto server, connect(context, options));
  TRY(const auto admin, read_admin(options.files));
  TRY(const auto answer,
      server->call(admin, net::Method::post, recovery ? "/admin/init/recover" : "/admin/init/generate",
                   numbers(options, !recovery)));
  if (options.format == "json") {
    context.out << answer;
    return kExitOk;
  }
  TRY(const auto text, begun(answer, recovery));
  context.out << text;
  return kExitOk;
}

Result<int> fetch(Context& context, const AdminOptions& options) {
  TRY(const auto server, connect(context, options));
  TRY(const auto admin, read_admin(options.files));
  TRY(const auto index, fetch_share(*server, admin, options.files.share));
  context.out << "share " << index << " is in " << options.files.share << ", encrypted to this admin's key\n"
              << "Keep it and the private key apart from the server; both are needed to bring it.\n";
  return kExitOk;
}

Result<int> submit(Context& context, const AdminOptions& options) {
  TRY(const auto server, connect(context, options));
  TRY(const auto admin, read_admin(options.files));
  TRY(const auto answer, submit_share(*server, admin, options.files.share));
  context.out << answer.text() << "\n";
  return kExitOk;
}

/// Every present admin whose word is needed runs it with the same file and threshold.
Result<int> reshare(Context& context, const AdminOptions& options) {
  if (!options.threshold) {
    return Error{Code::usage, "how many of the new admins shall be needed?", "--shamir-threshold NUMBER", "none"};
  }
  if (options.server.seed_dialect)
    return Error{Code::usage, "the admins of a server of the seed's are changed by its own tools"};
  TRY(const auto json, read_whole(options.files.admins));
  TRY(const auto next, keys::AdminSet::parse(base::as_bytes(json)), options.files.admins);
  TRY(const auto server, connect(context, options));
  TRY(const auto admin, read_admin(options.files));
  context.out << "Asking for " << *options.threshold << " of these " << next.admins().size() << " admins ("
              << options.files.admins << "):\n";
  for (const auto& one : next.admins())
    context.out << "  " << (one.name.empty() ? one.id : one.name + " (" + one.id.substr(0, 8) + ")") << "\n";
  TRY(const auto state, ask_reshare(*server, admin, next, *options.threshold));
  context.out << "proposal    " << state.proposal << "\n"
              << "agreed      " << state.agreed << " of the " << state.needed << " present admins who must\n";
  if (!state.split) {
    context.out << "what to do  The others read the list above and run the same command.\n";
    return kExitUndecided;
  }
  context.out << "The master key is split anew. Every new admin fetches his share (attestry admin fetch-share, into a "
                 "new file);\nuntil the last one has it, the old shares are those that count.\n"
                 "Put "
              << options.files.admins << " and the threshold into the server's settings before its next start.\n"
              << "The old shares still give the key to whoever brings enough of them together: have them destroyed.\n";
  return kExitOk;
}

Result<int> ceremony(Context& context, const AdminOptions& options) {
  TRY(const auto server, connect(context, options));
  if (options.server.seed_dialect)
    return Error{Code::usage, "the ceremony is for servers that know the second version of signed requests"};
  CeremonyOptions ceremony = options.ceremony;
  ceremony.curve = curve_named(options.curve);
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
  group.add_flag("--insecure", options.server.insecure,
                 "allow http:// to another machine: whoever is on the way can take the server's place");
  group.add_option("--format", options.format, "text or json (status, init-*)")->check(CLI::IsMember({"text", "json"}));
  options.verify.policy.clear();
  add_verify_inputs(group, options.verify);
  group.get_option("--policy")
      ->description("what the server must prove to be, by evidence over its key, before it is given anything");
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
    "Other admins, or another threshold:\n"
    "  attestry admin reshare --shamir-admins-file new.json --shamir-threshold 3   (two)\n"
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
  add_curve(*add("generate-admin", "Make this admin's key pair", generate_admin), *options);
  auto* config = add("generate-config", "Make the file of admins from their public keys", generate_config);
  config->add_option("--admin-pubkey-files", options->public_key_files, "public keys' files, comma-separated")
      ->delimiter(',')
      ->required();
  config->add_option("--admin-names", options->names, "names of these admins, in the same order")->delimiter(',');
  add("init-generate", "Have the server make its master key and split it",
      [](Context& c, const AdminOptions& o) { return init(c, o, false); });
  add("init-recovery", "Have the server ask for shares",
      [](Context& c, const AdminOptions& o) { return init(c, o, true); });
  add("fetch-share", "Fetch this admin's share, check it, and store it encrypted", fetch);
  add("submit-share", "Bring this admin's share to a server that recovers", submit);
  add("reshare",
      "Ask for other admins or another threshold (--shamir-admins-file, --shamir-threshold), for the same key",
      reshare);
  auto* guided =
      add("ceremony", "Generate, distribute, verify and recover, step by step; goes on where it stopped", ceremony);
  guided->add_option("--folder", options->ceremony.folder, "a folder for each admin goes in here")
      ->capture_default_str();
  add_curve(*guided, *options);
  guided->add_flag("--yes", options->ceremony.yes, "take every default instead of asking");
  guided->add_flag("--dry-run", options->ceremony.dry_run,
                   "only try the shares in the folder against its commitments; asks no server");
  group->callback([options, &context, group] {
    if (group->get_subcommands().empty()) finish(context, [&] { return status(context, *options); });
  });
}

}  // namespace attestry::app
