// `attestry keystore seal-status|rotate|walk|recrypted|retire|backup|open-share|restore|bans|unban`: the masters of a
// keystore, and the vaults that it does not serve.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <ostream>

#include "app/admin_client.h"
#include "app/cli.h"
#include "app/keystore_commands.h"
#include "app/operator.h"
#include "app/outputs.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "secrets/keystore_backup.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;

namespace {

constexpr const char* kBackupName = "keystore-backup.json";

struct Options {
  OperatorOptions server;
  AdminFiles admin;
  std::vector<std::string> owners;
  bool accept_loss = false, replace = false;
  std::string to, recipients = "shamir-admins.json", backup, out, vault;
  unsigned threshold = 2;
  std::vector<std::string> shares;
};

std::string shown(const base::JsonValue& value) {
  if (value.is_null()) return "none";
  return value.is_string() ? value.string("text").value_or("") : std::string{value.source()};
}

/// "epoch 2, key_id ab12…" for an object.
std::string members_in_a_line(const base::JsonValue& value) {
  if (!value.is_object()) return shown(value);
  std::string out;
  for (auto one = value.first(); one; one = one->next()) {
    out += (out.empty() ? "" : ", ") + one->key() + " " + shown(*one);
  }
  return out;
}

/// The server's JSON as it is, or each of its members on a line.
void print(Context& context, const Options& options, const std::string& answer) {
  const auto document = base::JsonDocument::parse(answer);
  if (options.server.format == "json" || !document || !(*document)->root().is_object()) {
    context.out << answer << "\n";
    return;
  }
  for (auto value = (*document)->root().first(); value; value = value->next()) {
    std::string name = value->key();
    const auto line = [&](const std::string& shown) {
      context.out << name << std::string(name.size() < 16 ? 16 - name.size() : 1, ' ') << shown << "\n";
      name.clear();
    };
    if (!value->is_array()) {
      line(shown(*value));
      continue;
    }
    for (auto one = value->first(); one; one = one->next()) line(members_in_a_line(*one));
    if (!name.empty()) line("none");
  }
}

Result<int> call(Context& context, const Options& options, net::Method method, std::string_view path,
                 JsonOutObject body = {}) {
  TRY(const auto session, OperatorSession::open(options.server));
  TRY(const auto answer,
      session->api().call(method, "/v1/keystore/" + std::string{path},
                          method == net::Method::get ? std::string{} : JsonOut{std::move(body)}.compact()));
  print(context, options, answer);
  return kExitOk;
}

JsonOutObject owners_of(const Options& options) {
  JsonOutArray owners;
  for (const auto& owner : options.owners) owners.emplace_back(owner);
  return {{"owners", std::move(owners)}};
}

/// One line of JSON for each secret: what its owner writes to where it is kept.
Result<int> recrypted(Context& context, const Options& options) {
  if (!options.out.empty()) TRY_OK(check_output(options.out), "--out");
  TRY(const auto session, OperatorSession::open(options.server));
  std::string lines, after;
  std::uint64_t number = 0;
  for (;;) {
    const std::string query = after.empty() ? "" : "?after=" + after;
    TRY(const auto page, session->api().json(net::Method::get, "/v1/keystore/recrypted" + query));
    TRY(const auto secrets, page->root().get("secrets"));
    for (auto value = secrets.first(); value; value = value->next()) {
      lines += std::string{value->source()} + "\n";
      ++number;
    }
    TRY(const auto next, page->root().get("next"));
    if (!next.is_string()) break;
    TRY(after, next.string("next"));
  }
  if (options.out.empty()) {
    context.out << lines;
    return kExitOk;
  }
  TRY_OK(write_once(options.out, lines));
  context.out << number << " secrets in " << options.out << "\n";
  return kExitOk;
}

Result<int> back_up(Context& context, const Options& options) {
  TRY(const auto file, read_whole(options.recipients));
  TRY(const auto admins, base::JsonDocument::parse(file), options.recipients);
  TRY(const auto list, admins->root().get("admins"), options.recipients);
  TRY(const auto session, OperatorSession::open(options.server));
  std::error_code made;
  std::filesystem::create_directories(options.to, made);
  const std::string path = options.to + "/" + kBackupName;
  if (std::filesystem::exists(path)) {
    return Error{
        Code::conflict, path + " is there already", {}, {}, "Give another folder: backups are never replaced."};
  }
  JsonOutObject body{{"admins", JsonOut::Raw{std::string{list.source()}}}, {"threshold", options.threshold}};
  TRY(const auto answer, session->api().call(net::Method::post, "/v1/keystore/backup", JsonOut{body}.compact()));
  TRY(const auto backup, secrets::parse_backup(answer), "the server's answer");
  TRY_OK(write_once(path, answer));
  context.out << path << ": epochs " << backup.oldest << " to " << backup.oldest + backup.key_ids.size() - 1 << ", "
              << backup.threshold << " of " << backup.shares.size() << " administrators open it\n";
  return kExitOk;
}

Result<int> open_share(Context& context, const Options& options) {
  TRY_OK(check_output(options.out), "--out");
  TRY(const auto text, read_whole(options.backup));
  TRY(const auto backup, secrets::parse_backup(text), options.backup);
  TRY(const auto admin, read_admin(options.admin));
  TRY(const auto share, secrets::open_backup_share(backup, admin.id, admin.key));
  TRY_OK(write_once(options.out, base::base64(share.reveal()) + "\n"));
  context.out << options.out << ": share of " << admin.id.substr(0, 8) << ", to be kept as a key is\n";
  return kExitOk;
}

/// A share as open-share wrote it. The server numbers shares; who gives them knows files.
Result<std::string> share_in(const std::string& path, const secrets::KeystoreBackup& backup) {
  TRY(auto text, read_whole(path));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  auto bytes = base::base64_decode(text);
  if (bytes) {
    const auto share = crypto::Secret::absorb(*bytes);
    if (secrets::is_share_of(backup, share)) return text;
  }
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return Error{Code::wrong_key, path + " is no share of this backup", "a file that open-share wrote for this backup",
               bytes ? "a share of another backup, or another file" : "another file",
               "attestry keystore open-share --backup FILE --out SHARE, by one of its administrators"};
}

Result<int> restore(Context& context, const Options& options) {
  TRY(const auto text, read_whole(options.backup));
  TRY(const auto backup, base::JsonDocument::parse(text), options.backup);
  TRY(const auto sealed, secrets::parse_backup(text), options.backup);
  JsonOutArray shares;
  for (const auto& path : options.shares) {
    TRY(auto share, share_in(path, sealed));
    shares.emplace_back(std::move(share));
  }
  return call(context, options, net::Method::post, "restore",
              {{"backup", JsonOut::Raw{std::string{backup->root().source()}}},
               {"shares", std::move(shares)},
               {"replace", options.replace}});
}

using Run = Result<int> (*)(Context&, const Options&);

std::shared_ptr<Options> command(CLI::App& group, Context& context, const char* name, const char* help, Run run,
                                 const std::function<void(CLI::App&, Options&)>& more = {}) {
  auto options = std::make_shared<Options>();
  auto* out = group.add_subcommand(name, help);
  if (run != open_share) add_operator_options(*out, options->server, false);
  if (more) more(*out, *options);
  out->callback([&context, options, run] { finish(context, [&] { return run(context, *options); }); });
  return options;
}

void add_owners(CLI::App& command, Options& options) {
  command.add_option("--owners", options.owners, "Accounts whose secrets are walked over, with commas between them")
      ->delimiter(',');
}

}  // namespace

void add_keystore_operations(CLI::App& keystore, Context& context) {
  command(keystore, context, "seal-status", "What seals the keystore's masters, and which epochs there are",
          [](Context& c, const Options& o) { return call(c, o, net::Method::get, "masters"); });
  command(
      keystore, context, "rotate", "Begin an epoch with a new master; with owners, walk over their secrets",
      [](Context& c, const Options& o) { return call(c, o, net::Method::post, "rotate", owners_of(o)); }, add_owners);
  command(
      keystore, context, "walk", "Walk over owners' secrets; without owners, how far the last walk is",
      [](Context& c, const Options& o) {
        if (o.owners.empty()) return call(c, o, net::Method::get, "walk");
        return call(c, o, net::Method::post, "walk", owners_of(o));
      },
      add_owners);
  command(keystore, context, "recrypted", "What the walk encrypted anew, a line of JSON for each secret", recrypted,
          [](CLI::App& c, Options& o) { c.add_option("--out", o.out, "File; default: standard output"); });
  command(
      keystore, context, "retire", "Erase the masters of all epochs before the present one",
      [](Context& c, const Options& o) {
        return call(c, o, net::Method::post, "retire", {{"accept_loss", o.accept_loss}});
      },
      [](CLI::App& c, Options& o) {
        c.add_flag("--accept-loss", o.accept_loss, "Although a walk did not show that nothing needs them");
      });
  command(keystore, context, "backup", "The masters, sealed for so many administrators together", back_up,
          [](CLI::App& c, Options& o) {
            c.add_option("--to", o.to, "Folder")->required();
            c.add_option("--recipients", o.recipients, "File of administrators, as `attestry admin` makes it")
                ->capture_default_str();
            c.add_option("--threshold", o.threshold, "How many of them open it")->capture_default_str();
          });
  command(keystore, context, "open-share", "An administrator opens his share of a backup, anywhere", open_share,
          [](CLI::App& c, Options& o) {
            c.add_option("--backup", o.backup, "The backup's file")->required();
            c.add_option("--admin-privkey-file", o.admin.private_key, "His private key");
            c.add_option("--admin-pubkey-file", o.admin.public_key, "His public key");
            c.add_option("--out", o.out, "File for the share")->required();
          });
  command(keystore, context, "bans", "Vaults that are banned here, and why",
          [](Context& c, const Options& o) { return call(c, o, net::Method::get, "bans"); });
  command(
      keystore, context, "unban", "Serve a vault again that was banned here",
      [](Context& c, const Options& o) { return call(c, o, net::Method::post, "unban", {{"vault", o.vault}}); },
      [](CLI::App& c, Options& o) { c.add_option("VAULT", o.vault, "Its account")->required(); });
  command(keystore, context, "restore", "Give a keystore the masters of a backup", restore,
          [](CLI::App& c, Options& o) {
            c.add_option("--backup", o.backup, "The backup's file")->required();
            c.add_option("--share", o.shares, "Files that open-share wrote")->required();
            c.add_flag("--replace", o.replace, "Although this keystore has other masters, which are lost then");
          });
}

}  // namespace attestry::app
