#include "app/examples.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <string_view>

namespace attestry::app {
namespace {

struct Example {
  std::string_view command;  ///< without "attestry"
  std::string_view lines;    ///< each with its newline
};

/// Where a server is, and who asks, is in the environment; the pages in docs/how-to say so, too.
constexpr std::string_view kAdmin =
    "The server is that of ATTESTRY_SERVER, its token in the file of ATTESTRY_TOKEN_FILE and its certificate in that "
    "of\n"
    "ATTESTRY_CA, or --server, --token-file and --ca.\n";

constexpr Example kExamples[] = {
    {"node init",
     "  attestry node init DIR --id 0 --listen 10.0.0.1:9447 --operator PUBLIC_KEY \\\n"
     "      --attestation http://127.0.0.1:8500 --unlock file:/etc/attestry/root.key\n"
     "  attestry node init DIR --id 0 --listen 127.0.0.1:19440 --operator PUBLIC_KEY --simulated\n"
     "  attestry node init DIR1 --id 1 --listen 127.0.0.1:19441 --operator PUBLIC_KEY --simulated \\\n"
     "      --seed DIR/data/forge.seed\n"},
    {"node run",
     "  attestry node run DIR\n"
     "  attestry node run DIR --admin-listen 127.0.0.1:18444\n"},
    {"node status",
     "  attestry node status\n"
     "  attestry node status --format json   # for monitoring; ends with 3 when the quorum is lost\n"},
    {"node join", "  attestry node join 10.0.0.1:9447   # at the new node; the address is one of the cluster\n"},
    {"node reshare",
     "  attestry node reshare --threshold 4 --add 0 1 2 3 4 5 6 --key OPERATOR.key   # the first epoch\n"
     "  attestry node reshare --add 7 --remove 2 --key OPERATOR.key\n"
     "  attestry node reshare --key OPERATOR.key   # new shares for the same members\n"
     "  attestry node reshare --add 7 --key ADA.key --out proposal.json   # where two operators must sign\n"
     "  attestry node reshare --from proposal.json --key BOB.key\n"
     "  attestry node reshare --key NEW.key --compared   # a new operator, who has compared the members' keys\n"},
    {"node retire", "  attestry node retire 2 --key OPERATOR.key\n"},
    {"node derive",
     "  attestry node derive --server https://10.0.0.1:8443 --ca tls.pem --master-key bls12381g2:… --app name:hello "
     "\\\n"
     "      --provider http://127.0.0.1:8500 --out disk.key\n"
     "  attestry node derive --server http://127.0.0.1:18443 --master-key bls12381g2:… --app name:hello \\\n"
     "      --simulated-tee DIR/data/forge.seed\n"},
    {"node holder-key", "  attestry node holder-key holder.key   # prints the public key for `node holders`\n"},
    {"node holders",
     "  attestry node holders --holder 0:PUBLIC_KEY --holder 1:PUBLIC_KEY --key OPERATOR.key --out holders.list\n"
     "  attestry node holders --from holders.list --key BOB.key --out holders.list   # the next operator\n"},
    {"node export",
     "  attestry node export --holders holders.list --holder PUBLIC_KEY --out node0.export   # at node 0\n"},
    {"node import",
     "  attestry node init DIR --id 0 --listen 10.0.0.1:9447 --operator PUBLIC_KEY --attestation "
     "http://127.0.0.1:8500\n"
     "  attestry node import DIR --from node0.export --holder-key holder.key   # in place of the first `node run`\n"},

    {"keystore",
     "  attestry keystore --env-file worker.env --show   # which settings it stands for; --format json\n"
     "  attestry keystore --env-file worker.env --data DIR --with=--unlock=file:/etc/attestry/root.key\n"
     "  attestry keystore --env-file worker.env --data DIR --simulated   # to try it out\n"
     "docs/how-to/run-a-keystore.md\n"},
    {"keystore seal-status", "  attestry keystore seal-status --format json\n"},
    {"keystore rotate",
     "  attestry keystore rotate\n"
     "  attestry keystore rotate --owners alice.near,bob.near\n"},
    {"keystore walk",
     "  attestry keystore walk --owners alice.near,bob.near\n"
     "  attestry keystore walk   # how far it is\n"},
    {"keystore recrypted", "  attestry keystore recrypted --out recrypted.jsonl\n"},
    {"keystore retire", "  attestry keystore retire   # after a walk; what still needs an old master stops it\n"},
    {"keystore backup",
     "  attestry keystore backup --to backup-monday --recipients shamir-admins.json --threshold 2\n"},
    {"keystore open-share",
     "  attestry keystore open-share --backup keystore-backup.json --admin-privkey-file ada.pem \\\n"
     "      --admin-pubkey-file ada.pub.pem --out ada.share\n"},
    {"keystore bans", "  attestry keystore bans\n"},
    {"keystore unban", "  attestry keystore unban vault.alice.near\n"},
    {"keystore restore",
     "  attestry keystore restore --backup keystore-backup.json --share ada.share bob.share\n"
     "  attestry keystore restore --backup keystore-backup.json --share ada.share bob.share --replace\n"},
    {"keystore publish-key",
     "  attestry keystore publish-key --rpc https://NODE --network mainnet --contract outlayer.near \\\n"
     "      --account owner.near --key owner.key --pubkey HEX\n"},

    {"keymanager deploy", "  attestry keymanager deploy --network sepolia --rpc URL --key owner.key\n"},
    {"keymanager show", "  attestry keymanager show --contract ADDRESS --network sepolia --rpc URL\n"},
    {"keymanager profiles", "  attestry keymanager profiles\n"},
    {"keymanager bootstrap",
     "  attestry keymanager bootstrap KEY --evidence quote.bin --contract ADDRESS --network sepolia --rpc URL \\\n"
     "      --key owner.key\n"},
    {"keymanager rotate",
     "  attestry keymanager rotate KEY --signature HEX --evidence quote.bin --contract ADDRESS --network sepolia \\\n"
     "      --rpc URL --key owner.key\n"},
    {"keymanager post-evidence",
     "  attestry keymanager post-evidence SUBJECT --evidence quote.bin --carrier blob --contract ADDRESS \\\n"
     "      --network sepolia --rpc URL --key host.key\n"},
    {"keymanager join",
     "  attestry keymanager join MEMBER --box-key HEX --signature HEX --evidence quote.bin --contract ADDRESS \\\n"
     "      --network sepolia --rpc URL --key host.key\n"},
    {"keymanager onboard",
     "  attestry keymanager onboard MEMBER --fmspc 00906ED50000 --measurement HEX --response HEX --signature HEX \\\n"
     "      --contract ADDRESS --network sepolia --rpc URL --key host.key\n"},
    {"keymanager deregister",
     "  attestry keymanager deregister MEMBER --contract ADDRESS --network sepolia --rpc URL --key owner.key\n"},
    {"keymanager resign",
     "  attestry keymanager resign MEMBER --signature HEX --contract ADDRESS --network sepolia --rpc URL --key "
     "host.key\n"},

    {"secret put",
     "  attestry secret put name:hello password password.txt\n"
     "  openssl rand -hex 32 | tr -d '\\n' | attestry secret put name:hello token -\n"
     "  attestry approve secret name:hello ID --key OPERATOR.key   # ID as it was printed: only then is it released\n"},
    {"secret list", "  attestry secret list name:hello\n"},
    {"secret remove", "  attestry secret remove name:hello password ID   # ID as `secret list` shows it\n"},
    {"secret decrypt",
     "  attestry secret decrypt blob.txt --key master --repo github.com/alice/project --owner alice.near\n"
     "  attestry secret decrypt - --key keystore.key < blob.txt   # one of the first generation, ed25519:…\n"},
    {"secret profile list", "  attestry secret profile list --near-rpc https://NODE --owner alice.near\n"},
    {"secret profile show",
     "  attestry secret profile show --near-rpc https://NODE --owner alice.near --repo github.com/alice/project\n"},
};

constexpr Example kLists[] = {{"mrtd", "MRTD"},
                              {"mrenclave", "MRENCLAVE"},
                              {"machine", "--rootfs HEX --mrtd HEX --rtmr0 HEX --rtmr3 HEX"},
                              {"tcb", "00906ED50000"}};

CLI::App* find(CLI::App& app, std::string_view path) {
  CLI::App* out = &app;
  while (!path.empty() && out != nullptr) {
    const auto end = std::min(path.find(' '), path.size());
    const auto below =
        out->get_subcommands([&](const CLI::App* one) { return one->get_name() == path.substr(0, end); });
    out = below.empty() ? nullptr : below.front();
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return out;
}

void set(CLI::App& app, std::string_view command, std::string_view lines) {
  CLI::App* const found = find(app, command);
  if (found == nullptr) return;
  const bool asks_a_server = found->get_option_no_throw("--token-file") != nullptr;
  const bool one = lines.find("\n  attestry") == std::string_view::npos;
  found->footer((one ? "Example:\n" : "Examples:\n") + std::string{lines} +
                (asks_a_server ? std::string{kAdmin} : std::string{}));
}

}  // namespace

void add_examples(CLI::App& app) {
  for (const auto& [command, lines] : kExamples) set(app, command, lines);
  for (const std::string verb : {"allow", "disallow"}) {
    for (const auto& [list, entry] : kLists) {
      const std::string command = "keymanager " + verb + " " + std::string{list};
      const bool rule = verb == "allow" && list == "tcb";
      set(app, command,
          "  attestry " + command + " " + std::string{entry} + (rule ? " --status UpToDate --min-evaluation 17" : "") +
              " \\\n      --contract ADDRESS --network sepolia --rpc URL --key owner.key\n");
    }
  }
}

}  // namespace attestry::app
