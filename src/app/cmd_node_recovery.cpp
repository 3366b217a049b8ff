// `attestry node holders|holder-key|export|import`: nodes that are lost with their disks, and their way back
// (docs/how-to/recover-a-threshold-cluster.md).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <ostream>

#include "app/cli.h"
#include "app/node_commands.h"
#include "app/operator.h"
#include "app/paths.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "cluster/recovery.h"
#include "crypto/hpke.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMostHolders = 256 * 1024;

Status write_new(const std::string& path, base::ByteView bytes) {
  TRY(const bool there, present(path));
  if (there) return Error{Code::conflict, path + " exists already", {}, {}, "Choose another name."};
  return state::replace_file(state::system_files(), path, bytes);
}

Result<int> holder_key(Context& context, const std::string& path) {
  const auto pair = crypto::hpke_generate(crypto::system_random());
  std::string text = base::hex(pair.private_key.reveal()) + "\n";
  const auto written = write_new(path, base::as_bytes(text));
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  TRY_OK(written, path);
  context.out << base::hex(pair.public_key) << "\n";
  context.err << "The private key is in " << path << ": keep it away from the nodes, and a copy of it.\n";
  return kExitOk;
}

struct HoldersOptions {
  OperatorOptions server;
  std::vector<std::string> holders, keys;
  std::string from, out;
  std::uint32_t number = 1;
};

/// "3:HEX"
Result<cluster::Holders::Holder> holder_of(const std::string& text) {
  cluster::Holders::Holder out;
  const auto colon = text.find(':');
  const auto number = text.substr(0, colon);
  const bool good = colon != std::string::npos && !number.empty() && number.size() <= 3 &&
                    std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; }) &&
                    std::stoul(number) < cluster::kMostNodes &&
                    base::hex_decode_into(text.substr(colon + 1), out.key).ok();
  if (!good) {
    return Error{Code::usage, "--holder", "ID:KEY, a node's id and 64 hex digits", text,
                 "The holder makes the key: attestry node holder-key FILE"};
  }
  out.node = static_cast<std::uint32_t>(std::stoul(number));
  return out;
}

Result<cluster::Holders> list_of(Context& context, const HoldersOptions& options) {
  if (!options.from.empty()) {
    TRY(const auto bytes, read_input(context, options.from, kMostHolders));
    return cluster::Holders::parse(bytes);
  }
  TRY(const auto session, OperatorSession::open(options.server));
  TRY(const auto node, session->api().json(net::Method::get, "/v1/node"));
  const auto root = node->root();
  const auto cluster_id = root.find("cluster");
  if (!cluster_id) return Error{Code::conflict, "this node is in no cluster yet", {}, {}, "attestry node reshare"};
  cluster::Holders out;
  TRY(const auto hex, cluster_id->string("cluster"));
  TRY_OK(base::hex_decode_into(hex, out.cluster), "cluster");
  TRY(const auto realm, root.get("realm"));
  TRY(const auto realm_text, realm.string("realm"));
  TRY(out.realm, base::realm_from(realm_text));
  out.number = options.number;
  for (const std::string& text : options.holders) {
    TRY(const auto one, holder_of(text));
    out.holders.push_back(one);
  }
  std::ranges::sort(out.holders);
  const auto twice = std::ranges::unique(out.holders);
  out.holders.erase(twice.begin(), twice.end());
  return out;
}

Result<int> holders(Context& context, const HoldersOptions& options) {
  if (options.from.empty() == options.holders.empty()) {
    return Error{Code::usage, "whose list", "--holder ID:KEY for each, or --from FILE of another operator", ""};
  }
  TRY(auto list, list_of(context, options));
  for (const std::string& path : options.keys) {
    TRY(const auto key, read_operator_key(path));
    const auto signature = list.sign(key);
    std::erase_if(list.signatures, [&](const auto& one) { return one.key == signature.key; });
    list.signatures.push_back(signature);
  }
  TRY_OK(state::replace_file(state::system_files(), options.out, list.bytes()), options.out);
  context.err << "list " << list.number << ", signed by " << list.signatures.size() << ":\n";
  for (const auto& one : list.holders) context.err << "  node " << one.node << "  " << base::hex(one.key) << "\n";
  context.out << "wrote " << options.out << "\n";
  return kExitOk;
}

struct ExportOptions {
  OperatorOptions server;
  std::string holders, holder, out;
};

Result<int> export_one(Context& context, const ExportOptions& options) {
  TRY(const auto list, read_input(context, options.holders, kMostHolders));
  TRY(const auto session, OperatorSession::open(options.server));
  const JsonOut body{JsonOutObject{{"holders", base::base64url(list)}, {"holder", options.holder}}};
  TRY(const auto answer, session->api().json(net::Method::post, "/v1/node/export", body.compact()));
  TRY(const auto value, answer->root().get("export"));
  TRY(const auto text, value.string("export"));
  TRY(const auto bytes, base::base64url_decode(text));
  TRY(const auto made, cluster::NodeExport::parse(bytes));
  TRY_OK(write_new(options.out, bytes), options.out);
  context.out << "node " << made.node() << ", epoch " << made.epoch().plan.epoch << ": " << options.out << "\n";
  context.err << "Only " << base::hex(made.holder()) << " opens it. Make it anew after each change of the cluster, and "
              << "destroy the old one:\nas many as " << made.epoch().plan.threshold
              << " of one epoch, opened together, are the master.\n";
  return kExitOk;
}

struct ImportOptions {
  std::string folder, from, key;
};

std::string absolute(const std::string& path) { return std::filesystem::absolute(path).lexically_normal().string(); }

}  // namespace

void add_node_recovery(CLI::App& group, Context& context) {
  {
    auto path = std::make_shared<std::string>();
    auto* command = group.add_subcommand("holder-key", "Make a holder's key in a new file; prints the public key");
    command->add_option("file", *path, "where to put the private key (never overwritten)")->required();
    command->callback([&context, path] { finish(context, [&] { return holder_key(context, *path); }); });
  }
  {
    auto options = std::make_shared<HoldersOptions>();
    auto* command = group.add_subcommand("holders", "Sign the list of who may hold what nodes are, to bring them back");
    add_operator_options(*command, options->server, false);
    command->add_option("--holder", options->holders, "ID:KEY, a node and its holder's public key; again for each");
    command->add_option("--number", options->number, "of this list: one more than that of the last")
        ->capture_default_str();
    command->add_option("--from", options->from, "a list that another operator has signed");
    command->add_option("--key", options->keys, "operator's key file; again for each operator")->required();
    command->add_option("--out", options->out, "where to put the list")->required();
    command->callback([&context, options] { finish(context, [&] { return holders(context, *options); }); });
  }
  {
    auto options = std::make_shared<ExportOptions>();
    auto* command = group.add_subcommand("export", "Seal everything that this node is to its holder");
    add_operator_options(*command, options->server, false);
    command->add_option("--holders", options->holders, "the list that operators have signed")->required();
    command->add_option("--holder", options->holder, "public key of the holder, 64 hex digits")->required();
    command->add_option("--out", options->out, "where to put the export (never overwritten)")->required();
    command->callback([&context, options] { finish(context, [&] { return export_one(context, *options); }); });
  }
  auto options = std::make_shared<ImportOptions>();
  auto* command = group.add_subcommand(
      "import", "Run a new folder's node as the one that was lost; later it runs by `attestry node run`");
  command->add_option("folder", options->folder, "as `init` made it, with the lost node's id; never run")->required();
  command->add_option("--from", options->from, "the export")->required();
  command->add_option("--holder-key", options->key, "file with the holder's private key")->required();
  command->allow_extras();
  command->callback([&context, options, command] {
    finish(context, [&] {
      std::vector<std::string> rest{"--set", "node.import=" + absolute(options->from), "--set",
                                    "node.import_key=" + absolute(options->key)};
      for (const std::string& more : command->remaining()) rest.push_back(more);
      return run_node(context, options->folder, rest);
    });
  });
}

}  // namespace attestry::app
