// `attestry secret profile`: what the contract of NEAR OutLayer stores for an owner. Values stay encrypted.
#include <CLI/CLI.hpp>

#include <ostream>

#include "app/cli.h"
#include "app/cmd_secret_keystore.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "chain/near_rpc.h"
#include "net/client.h"
#include "secrets/keystore_access.h"
#include "secrets/keystore_ciphertext.h"

namespace attestry::app {
namespace {

namespace keystore = secrets::keystore;
namespace near = chain::near;
using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;

constexpr std::chrono::seconds kTime{30};
constexpr std::size_t kMaxReply = 20u << 20;

struct ProfileOptions {
  AccessorOptions what{};
  std::vector<std::string> rpc{};
  std::string network = "mainnet";
  std::string contract{};
  std::string format = "text";
};

/// A view of the contract, at a final block on which most of the endpoints agree.
Result<std::string> view(Context& context, const ProfileOptions& options, std::string method, std::string args) {
  const std::string name = !options.contract.empty()
                               ? options.contract
                               : (options.network == "mainnet" ? "outlayer.near" : "outlayer.testnet");
  TRY(const auto contract, near::AccountId::parse(name), "--contract");
  TRY(const auto http, net::HttpClient::make());
  near::ReaderOptions with;
  with.chain_id = options.network;
  with.clock = &context.clock;
  for (const std::string& url : options.rpc) with.endpoints.push_back({.url = url, .max_bytes = kMaxReply});
  TRY(const auto reader, near::QuorumReader::make(*http, std::move(with)), "--near-rpc");
  const base::Deadline deadline = context.clock.steady() + kTime;
  TRY(const auto at, reader->head(deadline));
  TRY(const auto bytes, reader->call(at, contract, std::move(method), base::to_bytes(args), deadline), name);
  return std::string{base::as_text(bytes)};
}

Result<int> list(Context& context, const ProfileOptions& options) {
  TRY(const auto owner, owner_of(options.what));
  TRY(std::string reply,
      view(context, options, "list_user_secrets", JsonOut{JsonOutObject{{"account_id", owner.text()}}}.compact()));
  TRY(const auto document, base::JsonDocument::parse(std::move(reply)), "list_user_secrets");
  const base::JsonValue all = document->root();
  if (!all.is_array()) return Error{Code::unavailable, "list_user_secrets", "an array", std::string{all.source()}};
  if (options.format == "json") {
    context.out << JsonOut{JsonOut::Raw{std::string{all.source()}}}.pretty() << "\n";
    return kExitOk;
  }
  for (auto entry = all.first(); entry; entry = entry->next()) {
    const auto profile = entry->find("profile");
    const auto accessor = entry->find("accessor");
    context.out << (profile ? profile->string("profile").value_or("?") : "?") << "  "
                << (accessor ? accessor->source() : entry->source()) << "\n";
  }
  return kExitOk;
}

std::string_view kind_of(const base::Bytes& blob) {
  if (keystore::is_blob_v3(blob)) return "version 3";
  if (blob.size() >= keystore::kEciesV1Overhead && blob[0] == 1) return "ECIES v1";
  return "none of today's: its key may be public";
}

Result<int> show(Context& context, const ProfileOptions& options) {
  TRY(const auto owner, owner_of(options.what));
  TRY(const auto accessor, accessor_of(options.what));
  if (!accessor) {
    return Error{Code::usage, "which secret?", "one of --repo, --wasm-hash, --project and --payment-key"};
  }
  TRY(std::string reply, view(context, options, "get_secret_with_vault",
                              keystore::secret_query(*accessor, profile_of(options.what), owner)));
  TRY(const auto found, keystore::parse_stored_secret(std::move(reply)));
  if (!found) return Error{Code::not_found, "Secrets not found in contract"};
  const auto condition = keystore::AccessCondition::parse(found->access);
  if (options.format == "json") {
    JsonOutObject out{{"accessor", keystore::chain_json(found->accessor)},
                      {"access", JsonOut::Raw{found->access}},
                      {"access_valid", condition.has_value()},
                      {"vault", found->vault ? JsonOut{found->vault->text()} : JsonOut{}},
                      {"bytes", static_cast<std::int64_t>(found->blob.size())},
                      {"cipher", kind_of(found->blob)}};
    context.out << JsonOut{std::move(out)}.pretty() << "\n";
    return kExitOk;
  }
  context.out << "accessor  " << keystore::chain_json(found->accessor).compact() << "\n"
              << "access    " << found->access << "\n"
              << "vault     " << (found->vault ? found->vault->text() : "none") << "\n"
              << "blob      " << found->blob.size() << " bytes, " << kind_of(found->blob) << "\n";
  if (!condition) context.err << "attestry: warning: nobody can read it: " << condition.error().text() << "\n";
  return kExitOk;
}

using Command = Result<int> (*)(Context&, const ProfileOptions&);
CLI::App* add(CLI::App& group, Context& context, const char* name, const char* help, Command run,
              std::shared_ptr<ProfileOptions>& options) {
  options = std::make_shared<ProfileOptions>();
  auto* command = group.add_subcommand(name, help);
  command->add_option("--near-rpc", options->rpc, "RPC endpoint of NEAR; several must agree")
      ->type_name("URL")
      ->required();
  command->add_option("--network", options->network, "mainnet, testnet, or a private chain's name")
      ->capture_default_str();
  command->add_option("--contract", options->contract, "instead of outlayer.near and outlayer.testnet")
      ->type_name("ACCOUNT");
  command->add_option("--format", options->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->callback([options, run, &context] { finish(context, [&] { return run(context, *options); }); });
  return command;
}

}  // namespace

void add_secret_profile(CLI::App& group, Context& context) {
  auto* profile = group.add_subcommand("profile", "What the contract stores for an owner; values stay encrypted");
  profile->require_subcommand(1);
  std::shared_ptr<ProfileOptions> options;
  auto* all = add(*profile, context, "list", "The owner's profiles", list, options);
  all->add_option("--owner", options->what.owner, "NEAR account")->type_name("ACCOUNT")->required();
  auto* one = add(*profile, context, "show", "Access condition, vault and cipher of one", show, options);
  add_accessor_options(*one, options->what);
}

}  // namespace attestry::app
