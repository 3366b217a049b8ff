// `attestry node holders|holder-key|export|import`: nodes that are lost with their disks, and their way back
// (docs/how-to/recover-a-threshold-cluster.md).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <ostream>
#include <set>

#include "app/cli.h"
#include "app/holder_key.h"
#include "app/node_commands.h"
#include "app/operator.h"
#include "app/outputs.h"
#include "app/paths.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "cluster/recovery.h"
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
constexpr std::size_t kMostExport = 20u << 20;

Status write_new(const std::string& path, base::ByteView bytes) {
  TRY_OK(check_output(path));
  TRY(const bool there, present(path));
  if (there) return Error{Code::conflict, path + " exists already", {}, {}, "Choose another name."};
  return state::replace_file(state::system_files(), path, bytes);
}

struct HolderKeyOptions {
  std::string path, format = "text";
};

Result<int> holder_key(Context& context, const HolderKeyOptions& options) {
  const std::string& path = options.path;
  TRY(const auto pair, create_holder_key(path, crypto::system_random()));
  if (options.format == "json") {
    context.out << JsonOut{JsonOutObject{{"key", path}, {"holder", base::hex(pair.public_key)}}}.compact() << "\n";
    return kExitOk;
  }
  context.out << base::hex(pair.public_key) << "\n";
  context.err << "The private key is in " << path << ": keep it away from the nodes, and a copy of it.\n"
              << "The public key again: attestry operator show " << path << "\n";
  return kExitOk;
}

struct HoldersOptions {
  OperatorOptions server;
  std::vector<std::string> holders, keys;
  std::string from, out;
  std::uint32_t number = 0;  ///< 0: one more than the node's last
};

/// "3:HEX"
Result<cluster::Holders::Holder> holder_of(const std::string& text) {
  cluster::Holders::Holder out;
  const auto colon = text.find(':');
  const auto number = text.substr(0, colon);
  const bool named = colon != std::string::npos && !number.empty() && number.size() <= 3 &&
                     std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; }) &&
                     std::stoul(number) < cluster::kMostNodes;
  if (!named || !base::hex_decode_into(text.substr(colon + 1), out.key)) {
    const std::string key = colon == std::string::npos ? text : text.substr(colon + 1);
    const bool good_key = base::hex_decode_into(key, out.key).ok();
    return Error{Code::usage, "--holder", "ID:KEY, a node's id and 64 hex digits",
                 named ? "node " + number + " and " + not_a_public_key(key)
                       : (good_key ? "a key without a node's id below 255" : not_a_public_key(text)),
                 "The holder makes the key, and has its public half again: attestry operator show FILE"};
  }
  out.node = static_cast<std::uint32_t>(std::stoul(number));
  return out;
}

/// What a list is checked against: what the node that is asked says of itself.
struct Cluster {
  cluster::Holders empty;  ///< its cluster and realm, with the number that comes next
  std::uint32_t last = 0;
  std::set<std::uint32_t> nodes;  ///< members, and those that have joined
  std::vector<base::FixedBytes<32>> operators;
};

Result<Cluster> cluster_at(const OperatorSession& session) {
  TRY(const auto node, session.api().json(net::Method::get, "/v1/node"));
  const auto root = node->root();
  const auto cluster_id = root.find("cluster");
  if (!cluster_id) return Error{Code::conflict, "this node is in no cluster yet", {}, {}, "attestry node reshare"};
  Cluster out;
  TRY(const auto hex, cluster_id->string("cluster"));
  TRY_OK(base::hex_decode_into(hex, out.empty.cluster), "cluster");
  TRY(const auto realm, root.get("realm"));
  TRY(const auto realm_text, realm.string("realm"));
  TRY(out.empty.realm, base::realm_from(realm_text));
  TRY(const auto last, root.get("last_holders"));
  TRY(const auto number, last.integer("last_holders", 0, UINT32_MAX - 1));
  out.last = static_cast<std::uint32_t>(number);
  out.empty.number = out.last + 1;
  for (const char* name : {"members", "candidates"}) {
    TRY(const auto list, root.get(name));
    for (auto value = list.first(); value; value = value->next()) {
      TRY(const auto id, value->get("id"));
      TRY(const auto said, id.integer("id", 0, cluster::kMostNodes - 1));
      out.nodes.insert(static_cast<std::uint32_t>(said));
    }
  }
  TRY(const auto operators, root.get("operators"));
  for (auto value = operators.first(); value; value = value->next()) {
    TRY(const auto key, value->string("operators"));
    TRY_OK(base::hex_decode_into(key, out.operators.emplace_back()), "operators");
  }
  return out;
}

/// What an export would be refused for is said before anybody signs it.
Status check_list(const cluster::Holders& list, const Cluster& there) {
  if (list.cluster != there.empty.cluster || list.realm != there.empty.realm) {
    return Error{Code::denied, "list of holders", "the cluster of this node", "another's"};
  }
  if (list.number <= there.last) {
    return Error{Code::usage, "--number", std::to_string(there.last + 1) + " or more", std::to_string(list.number),
                 "This node has exported under list " + std::to_string(there.last) +
                     " already; without --number the next one is taken."};
  }
  for (const auto& one : list.holders) {
    if (there.nodes.contains(one.node)) continue;
    std::string known;
    for (const auto id : there.nodes) known += (known.empty() ? "" : " ") + std::to_string(id);
    return Error{Code::usage, "--holder", "a member, or a node that has joined: " + known,
                 "node " + std::to_string(one.node), "attestry node status lists them."};
  }
  return base::done();
}

Status check_signer(const base::FixedBytes<32>& key, const std::string& path, const Cluster& there) {
  if (std::ranges::find(there.operators, key) != there.operators.end()) return base::done();
  std::string known;
  for (const auto& one : there.operators) known += (known.empty() ? "" : " or ") + base::hex(one);
  return Error{Code::usage, "--key " + path, "of the key " + known + " (node.operators)", base::hex(key),
               "Nodes count signatures of their own operators only."};
}

Result<cluster::Holders> list_of(Context& context, const HoldersOptions& options, const Cluster& there) {
  if (!options.from.empty()) {
    TRY(const auto bytes, read_input(context, options.from, kMostHolders));
    TRY(auto given, cluster::Holders::parse(bytes), options.from);
    return given;
  }
  cluster::Holders out = there.empty;
  if (options.number != 0) out.number = options.number;
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
  TRY_OK(check_output(options.out), "--out");
  if (options.from.empty() == options.holders.empty()) {
    return Error{Code::usage, "whose list", "--holder ID:KEY for each, or --from FILE of another operator", ""};
  }
  for (const std::string& text : options.holders) {
    TRY([[maybe_unused]] const auto readable, holder_of(text));
  }
  TRY(const auto session, OperatorSession::open(options.server));
  TRY(const auto there, cluster_at(*session));
  TRY(auto list, list_of(context, options, there));
  TRY_OK(check_list(list, there));
  for (const std::string& path : options.keys) {
    TRY(const auto key, read_operator_key(path));
    const auto signature = list.sign(key);
    TRY_OK(check_signer(signature.key, path, there));
    std::erase_if(list.signatures, [&](const auto& one) { return one.key == signature.key; });
    list.signatures.push_back(signature);
  }
  if (options.out == options.from) {
    TRY_OK(state::replace_file(state::system_files(), options.out, list.bytes()), options.out);
  } else {
    TRY_OK(write_new(options.out, list.bytes()), options.out);
  }
  if (options.server.format == "json") {
    base::JsonOutArray all;
    for (const auto& one : list.holders) {
      all.emplace_back(JsonOutObject{{"node", one.node}, {"holder", base::hex(one.key)}});
    }
    context.out << JsonOut{JsonOutObject{{"list", options.out},
                                         {"number", list.number},
                                         {"signatures", list.signatures.size()},
                                         {"holders", std::move(all)}}}
                       .compact()
                << "\n";
    return kExitOk;
  }
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
  TRY_OK(check_output(options.out), "--out");
  TRY(const auto list, read_input(context, options.holders, kMostHolders));
  TRY([[maybe_unused]] const auto readable, cluster::Holders::parse(list), options.holders);
  TRY(const auto session, OperatorSession::open(options.server));
  const JsonOut body{JsonOutObject{{"holders", base::base64url(list)}, {"holder", options.holder}}};
  TRY(const auto answer, session->api().json(net::Method::post, "/v1/node/export", body.compact()));
  TRY(const auto value, answer->root().get("export"));
  TRY(const auto text, value.string("export"));
  TRY(const auto bytes, base::base64url_decode(text));
  TRY(const auto made, cluster::NodeExport::parse(bytes));
  TRY_OK(write_new(options.out, bytes), options.out);
  if (options.server.format == "json") {
    context.out << JsonOut{JsonOutObject{{"export", options.out},
                                         {"node", made.node()},
                                         {"epoch", made.epoch().plan.epoch},
                                         {"holder", base::hex(made.holder())}}}
                       .compact()
                << "\n";
    return kExitOk;
  }
  context.out << "node " << made.node() << ", epoch " << made.epoch().plan.epoch << ": " << options.out << "\n";
  context.err << "Only " << base::hex(made.holder()) << " opens it. Make it anew after each change of the cluster, and "
              << "destroy the old one:\nas many as " << made.epoch().plan.threshold
              << " of one epoch, opened together, are the master.\n";
  return kExitOk;
}

struct ImportOptions {
  std::string folder, from, key, format = "text";
};

std::string absolute(const std::string& path) { return std::filesystem::absolute(path).lexically_normal().string(); }

Result<int> import_one(Context& context, const ImportOptions& options, const std::vector<std::string>& more) {
  std::vector<std::string> rest{"--set", "node.import=" + absolute(options.from), "--set",
                                "node.import_key=" + absolute(options.key)};
  rest.insert(rest.end(), more.begin(), more.end());
  if (options.format != "json") return run_node(context, options.folder, rest);
  TRY(const auto bytes, state::system_files().read(options.from, kMostExport));
  if (!bytes) return Error{Code::not_found, "there is no file " + options.from};
  TRY(const auto from, cluster::NodeExport::parse(*bytes), options.from);
  // What a server says as it starts is for people; the document comes when the import has held and the node serves.
  Context beside{.clock = context.clock, .in = context.in, .out = context.err, .err = context.err};
  beside.files = context.files;
  beside.serving = [&](const Serving& at) {
    context.out << JsonOut{JsonOutObject{{"import", options.from},
                                         {"node", from.node()},
                                         {"epoch", from.epoch().plan.epoch},
                                         {"server", at.server},
                                         {"operators", at.operators},
                                         {"metrics", at.metrics}}}
                       .compact()
                << "\n";
    context.out.flush();
  };
  return run_node(beside, options.folder, rest);
}

}  // namespace

void add_node_recovery(CLI::App& group, Context& context) {
  {
    auto options = std::make_shared<HolderKeyOptions>();
    auto* command = group.add_subcommand("holder-key", "Make a holder's key in a new file; prints the public key");
    command->add_option("file", options->path, "where to put the private key (never overwritten)")->required();
    add_node_format(*command, options->format);
    command->callback([&context, options] { finish(context, [&] { return holder_key(context, *options); }); });
  }
  {
    auto options = std::make_shared<HoldersOptions>();
    auto* command = group.add_subcommand("holders", "Sign the list of who may hold what nodes are, to bring them back");
    add_operator_options(*command, options->server, false);
    command->add_option("--holder", options->holders, "ID:KEY, a node and its holder's public key; again for each");
    command->add_option("--number", options->number,
                        "of this list, greater than that of any before; default: one more than this node knows");
    command->add_option("--from", options->from, "a list that another operator has signed");
    command->add_option("--key", options->keys, "operator's key file; again for each operator")->required();
    command->add_option("--out", options->out, "where to put the list; overwrites --from alone")->required();
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
  add_node_format(*command, options->format);
  command->allow_extras();
  command->callback([&context, options, command] {
    finish(context, [&] { return import_one(context, *options, command->remaining()); });
  });
}

}  // namespace attestry::app
