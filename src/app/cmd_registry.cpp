// `attestry registry`: contracts that govern apps, for their owners and operators. What is public is read at one block
// that a quorum agrees on; what is sent is shown first.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <ostream>

#include "app/cli.h"
#include "app/cmd_registry_csr.h"
#include "app/registry_chain.h"
#include "app/registry_commands.h"
#include "app/typed_text.h"
#include "base/encoding.h"
#include "blobs/location.h"
#include "chain/registry_abi.h"
#include "crypto/hash.h"

namespace attestry::app {
namespace {

using base::Bytes;
using base::Code;
using base::Error;
using base::Result;
namespace abi = chain::registry;

struct Options {
  ChainOptions chain;
  std::string kind = "registry";
  std::string first;   ///< of two positional arguments
  std::string second;  ///< of two positional arguments
  bool kms = false;
  bool publish_credentials = false;
  bool relative = false;
};
using Shared = std::shared_ptr<Options>;
using Command = Result<int> (*)(Context&, const Options&);

Result<chain::Word> role_of(const std::string& name) {
  if (name == "admin") {
    return Error{Code::usage, "the admin of all roles is the owner, and nobody else",
                 "operator, metadata, instance or guardian", name,
                 "To hand the contract over: attestry registry owner transfer ADDRESS."};
  }
  static const std::map<std::string, std::string> kRoles{{"operator", "ROLE_OPERATOR"},
                                                         {"metadata", "ROLE_METADATA"},
                                                         {"instance", "ROLE_INSTANCE"},
                                                         {"guardian", "ROLE_GUARDIAN"}};
  const auto found = kRoles.find(name);
  if (found == kRoles.end()) {
    return Error{Code::usage, "there is no role " + name, "operator, metadata, instance or guardian"};
  }
  return abi::role(found->second);
}

Result<int> deploy(Context& context, const Options& options) {
  TRY(const auto code, contract_code(options.kind == "kms" ? ContractKind::kms : ContractKind::registry));
  TRY(const auto session, ChainSession::open(options.chain, context));
  TRY(const Sent sent,
      session->send(std::nullopt, code.creation,
                    {{"creates", std::string{to_text(code.kind)} + " contract, which belongs to the sender"},
                     {"code", std::to_string(code.creation.size()) + " bytes, SHA-256 " +
                                  base::hex(crypto::sha256(code.creation))}}));
  base::JsonOutObject extra{{"kind", to_text(code.kind)}};
  std::string address;
  if (sent.receipt) {
    if (!sent.receipt->contract) return Error{Code::unavailable, "the receipt names no contract"};
    TRY(const Bytes found, session->code(*sent.receipt->contract, sent.receipt->block), "deployed code");
    if (!base::equal(found, code.deployed)) {
      return Error{Code::denied, "what stands on the chain is not what was sent",
                   base::hex(crypto::sha256(code.deployed)), base::hex(crypto::sha256(found)),
                   "Do not use this contract; ask another endpoint."};
    }
    address = curves::address_checksum_text(*sent.receipt->contract);
    extra.emplace_back("contract", address);
    extra.emplace_back("code_verified", true);
  }
  session->print_sent(sent, std::move(extra));
  if (!address.empty() && options.chain.format == "text") {
    context.out << "contract " << address << ", its code is this program's\n";
  }
  return kExitOk;
}

// -- what a transaction must have done

/// A list that is read as a whole.
template <class T>
Effect has_in_list(const abi::Function<std::vector<T>>& list, const T& entry, const std::string& shown, bool listed) {
  return Effect::that(
      list,
      [entry, listed](const std::vector<T>& found) {
        return (std::ranges::find(found, entry) != found.end()) == listed;
      },
      std::string{list.signature} + (listed ? " has " : " no longer has ") + shown);
}
Effect has_storage(const std::string& uri, bool listed) {
  return has_in_list(abi::kStorageBackends, uri, uri, listed)
      .or_else(has_in_list(abi::older::kStorageBackends, uri, uri, listed));
}
Effect has_domain(const std::string& name, bool listed) {
  return has_in_list(abi::kInstanceDomainNames, name, name, listed)
      .or_else(has_in_list(abi::older::kInstanceDomainNames, name, name, listed));
}

Effect has_configuration(const chain::Word& identity, const chain::Word& config) {
  return Effect::of(abi::kIdentityConfigMap, config,
                    "identityConfigMap(0x" + base::hex(identity) + ") is 0x" + base::hex(config), identity);
}
Effect has_identity(const chain::Word& identity, bool allowed) {
  return Effect::of(abi::kAllowlistedIdentities, allowed,
                    "allowlistedIdentities(0x" + base::hex(identity) + ") is " + (allowed ? "true" : "false"),
                    identity);
}
/// Contracts that are not attestry's have no list that could be read, and a frozen one of ours answers the list alone.
Effect has_application(const curves::Address& application, bool allowed) {
  const auto shown = curves::address_checksum_text(application);
  return has_in_list(abi::kAllowlistedApplications, application, shown, allowed)
      .or_else(Effect::of(abi::kApplicationAllowed, allowed, {}, application));
}
/// `content`: empty once it was removed.
Effect has_artifact(const chain::Word& id, const Bytes& content) {
  return Effect::of(abi::kArtifacts, content,
                    "artifacts(0x" + base::hex(id) + ") is " +
                        (content.empty() ? "empty" : std::to_string(content.size()) + " bytes as sent"),
                    id);
}

Result<int> change_role(Context& context, const Options& options, bool grants) {
  TRY(const auto role, role_of(options.first));
  TRY(const auto account, typed_address(options.second), "ADDRESS");
  TRY(const auto session, ChainSession::open(options.chain, context));
  Facts facts{{"role", options.first}, {"account", curves::address_checksum_text(account)}};
  if (grants && options.first == "operator" && account == curves::Address{}) {
    facts.emplace_back("note", "the zero address as operator: workloads then need no operator's signature");
  }
  const auto& function = grants ? abi::kGrantRole : abi::kRevokeRole;
  const Effect effect = Effect::of(abi::kHasRole, grants,
                                   "hasRole(" + options.first + ", " + curves::address_checksum_text(account) +
                                       ") is " + (grants ? "true" : "false"),
                                   role, account);
  return session->send_and_print(function(role, account), function.signature, std::move(facts), effect);
}
Result<int> grant(Context& context, const Options& options) { return change_role(context, options, true); }
Result<int> revoke(Context& context, const Options& options) { return change_role(context, options, false); }

template <class... A>
Result<int> call(Context& context, const Options& options, const abi::Function<abi::Nothing, A...>& function,
                 Facts facts, const Effect& effect, const std::type_identity_t<A>&... arguments) {
  TRY(const auto session, ChainSession::open(options.chain, context));
  return session->send_and_print(function(arguments...), function.signature, std::move(facts), effect);
}

Result<int> allow(Context& context, const Options& options) {
  TRY(const auto identity, parse_word(options.first, "IDENTITY"));
  Facts facts{{"identity", base::hex(identity)}};
  if (options.kms) {
    if (!options.second.empty()) return Error{Code::usage, "a KMS contract knows no configurations: --config"};
    return call(context, options, abi::kAllowlistIdentity, std::move(facts), has_identity(identity, true), identity);
  }
  if (options.second.empty()) {
    return Error{Code::usage, "which configuration?", "--config HASH, or --kms for a KMS contract"};
  }
  TRY(const auto config, parse_word(options.second, "--config"));
  facts.emplace_back("configuration", base::hex(config));
  return call(context, options, abi::kSetConfigForIdentity, std::move(facts), has_configuration(identity, config),
              identity, config);
}
/// A slip in what is taken back would look like a revocation that happened.
Error not_there(std::string what, std::string found) {
  return {Code::not_found, std::move(what), {}, std::move(found), "Nothing was sent. Compare it, digit by digit."};
}

Result<int> disallow(Context& context, const Options& options) {
  TRY(const auto identity, parse_word(options.first, "IDENTITY"));
  TRY(const auto session, ChainSession::open(options.chain, context));
  bool known_not = false;
  if (options.kms) {
    TRY(const auto allowed, session->ask(abi::kAllowlistedIdentities, identity));
    known_not = allowed == false;
  } else {
    TRY(const auto configuration, session->ask(abi::kIdentityConfigMap, identity));
    known_not = configuration == chain::Word{};
  }
  if (known_not) return not_there("this identity was not allowed", base::hex(identity));
  const auto& function = options.kms ? abi::kRemoveAllowlistedIdentity : abi::kRemoveConfigMapForIdentity;
  const Effect effect = options.kms ? has_identity(identity, false) : has_configuration(identity, {});
  return session->send_and_print(function(identity), function.signature, {{"identity", base::hex(identity)}}, effect);
}
Result<int> config(Context& context, const Options& options) { return allow(context, options); }

Result<int> storage_add(Context& context, const Options& options) {
  TRY(const auto location, blobs::read_location(options.first), "URI");
  if (location.credentials && !options.publish_credentials) {
    return Error{Code::usage, "this location holds credentials, and everybody reads what is on a chain, for ever",
                 "a location without them", location.shown,
                 "Keep them with the server that reads the storage; --publish-credentials writes them all the same."};
  }
  if (location.relative && !options.relative) {
    return Error{Code::usage, "this folder begins somewhere else on every server", "file:///FOLDER/", options.first,
                 "--relative means it: each server reads it beneath the folder that it keeps for the app."};
  }
  return call(context, options, abi::kSetStorageBackend, {{"location", options.first}},
              has_storage(options.first, true), options.first);
}
Result<int> storage_remove(Context& context, const Options& options) {
  TRY(const auto session, ChainSession::open(options.chain, context));
  TRY(const auto named, session->ask(abi::kStorageBackends));
  if (named && std::ranges::find(*named, options.first) == named->end()) {
    return not_there("the contract names no such storage", options.first);
  }
  return session->send_and_print(abi::kRemoveStorageBackend(options.first), abi::kRemoveStorageBackend.signature,
                                 {{"location", options.first}}, has_storage(options.first, false));
}
Result<int> domain_add(Context& context, const Options& options) {
  TRY_OK(check_domain_name(options.first), "NAME");
  return call(context, options, abi::kRegisterInstanceDomainName, {{"name", options.first}},
              has_domain(options.first, true), options.first);
}
Result<int> domain_remove(Context& context, const Options& options) {
  return call(context, options, abi::kRemoveInstanceDomainName, {{"name", options.first}},
              has_domain(options.first, false), options.first);
}

Result<int> artifact_add(Context& context, const Options& options) {
  TRY(const Bytes content, read_input(context, options.first, abi::kMaxArtifactBytes));
  if (content.size() > abi::kMaxArtifactBytes) {
    return Error{Code::too_large, options.first, std::to_string(abi::kMaxArtifactBytes) + " bytes"};
  }
  const chain::Word hash = crypto::sha256(content);
  const auto id = base::hex(hash);
  TRY(const auto session, ChainSession::open(options.chain, context));
  return session->send_and_print(
      abi::kAddArtifact(content), abi::kAddArtifact.signature,
      {{"artifact", id}, {"bytes", std::to_string(content.size())}, {"note", "everybody may read it"}},
      has_artifact(hash, content), {{"id", id}});
}
Result<int> artifact_remove(Context& context, const Options& options) {
  TRY(const auto id, parse_word(options.first, "ID"));
  return call(context, options, abi::kRemoveArtifact, {{"artifact", base::hex(id)}}, has_artifact(id, {}), id);
}
Result<int> artifact_get(Context& context, const Options& options) {
  TRY(const auto id, parse_word(options.first, "ID"));
  TRY(const auto session, ChainSession::open(options.chain, context));
  TRY(const auto head, session->reader().head(session->deadline()));
  const chain::Call question = abi::kGetArtifact.at(session->contract(), id);
  TRY(const auto outcomes, session->reader().call(head, {&question, 1}, session->deadline()));
  TRY(const Bytes content, abi::kGetArtifact.result(outcomes[0]));
  if (crypto::sha256(content) != id) return Error{Code::corrupt, "the artifact is not what its name says"};
  context.out << base::as_text(content);
  return kExitOk;
}

Result<int> application_allow(Context& context, const Options& options) {
  TRY(const auto application, typed_address(options.first), "ADDRESS");
  return call(context, options, abi::kAllowApplication, {{"application", curves::address_checksum_text(application)}},
              has_application(application, true), application);
}
Result<int> application_disallow(Context& context, const Options& options) {
  TRY(const auto application, typed_address(options.first), "ADDRESS");
  return call(context, options, abi::kRemoveAllowlistedApplication,
              {{"application", curves::address_checksum_text(application)}}, has_application(application, false),
              application);
}

Result<int> application_policy(Context& context, const Options& options) {
  TRY(const auto application, typed_address(options.first), "ADDRESS");
  chain::Word digest{};
  if (options.second != "none") {
    TRY(digest, parse_word(options.second, "DIGEST"));
  }
  const auto shown = curves::address_checksum_text(application);
  return call(context, options, abi::kSetApplicationPolicy, {{"application", shown}, {"policy", options.second}},
              Effect::of(abi::kApplicationPolicy, digest, "applicationPolicy(" + shown + ") is 0x" + base::hex(digest),
                         application),
              application, digest);
}

/// In a hurry somebody types it twice, or two do at once.
Result<int> freeze(Context& context, const Options& options) {
  TRY(const auto session, ChainSession::open(options.chain, context));
  TRY(const auto frozen, session->ask(abi::kPaused));
  if (frozen == true) return session->print_unchanged("is frozen already");
  const Effect effect = Effect::of(abi::kPaused, true, "paused() is true");
  return session->send_and_print(abi::kFreeze(), abi::kFreeze.signature,
                                 {{"effect", "nothing is released until the owner lifts it"}}, effect);
}
Result<int> unfreeze(Context& context, const Options& options) {
  TRY(const auto session, ChainSession::open(options.chain, context));
  TRY(const auto frozen, session->ask(abi::kPaused));
  if (frozen == false) return session->print_unchanged("is not frozen");
  const Effect effect = Effect::of(abi::kPaused, false, "paused() is false");
  return session->send_and_print(abi::kUnfreeze(), abi::kUnfreeze.signature, {}, effect);
}
Result<int> policy(Context& context, const Options& options) {
  chain::Word digest{};
  if (options.first != "none") {
    TRY(digest, parse_word(options.first, "DIGEST"));
  }
  return call(context, options, abi::kSetPolicy, {{"policy", options.first}},
              Effect::of(abi::kPolicy, digest, "policy() is 0x" + base::hex(digest)), digest);
}
Result<int> owner_transfer(Context& context, const Options& options) {
  TRY(const auto account, typed_address(options.first), "ADDRESS");
  const auto shown = curves::address_checksum_text(account);
  return call(context, options, abi::kTransferOwnership,
              {{"new owner", shown}, {"note", "nothing changes until it accepts"}},
              Effect::of(abi::kPendingOwner, account, "pendingOwner() is " + shown), account);
}
Result<int> owner_accept(Context& context, const Options& options) {
  TRY(const auto session, ChainSession::open(options.chain, context));
  // Nobody else's call succeeds.
  TRY(const auto offered, session->ask(abi::kPendingOwner));
  const curves::Address owner = offered.value_or(curves::Address{});
  return session->send_and_print(abi::kAcceptOwnership(), abi::kAcceptOwnership.signature, {},
                                 Effect::of(abi::kOwner, owner, "owner() is " + curves::address_checksum_text(owner)));
}

enum class Shape : std::uint8_t { reads, sends };

Shared add(CLI::App& parent, Context& context, const char* name, const char* help, Command command,
           Shape shape = Shape::sends) {
  auto options = std::make_shared<Options>();
  auto* sub = parent.add_subcommand(name, help);
  add_chain_options(*sub, options->chain);
  if (shape == Shape::sends) add_sending_options(*sub, options->chain);
  sub->callback([options, command, &context] { finish(context, [&] { return command(context, *options); }); });
  return options;
}

Shared with_contract(CLI::App& parent, Context& context, const char* name, const char* help, Command command,
                     Shape shape = Shape::sends) {
  auto options = add(parent, context, name, help, command, shape);
  add_contract_option(*parent.get_subcommand(name), options->chain);
  return options;
}

Shared with_one(CLI::App& parent, Context& context, const char* name, const char* help, Command command,
                const char* argument, const char* about, Shape shape = Shape::sends) {
  auto options = with_contract(parent, context, name, help, command, shape);
  parent.get_subcommand(name)->add_option(argument, options->first, about)->required();
  return options;
}

CLI::App& group_of(CLI::App& parent, const char* name, const char* help) {
  auto* group = parent.add_subcommand(name, help);
  group->require_subcommand(1);
  return *group;
}

void add_access(CLI::App& group, Context& context) {
  for (const bool grants : {true, false}) {
    const char* name = grants ? "grant" : "revoke";
    auto options = with_one(group, context, name, grants ? "Give a role to an account" : "Take a role from an account",
                            grants ? grant : revoke, "ROLE", "operator, metadata, instance or guardian");
    group.get_subcommand(name)->add_option("ADDRESS", options->second, "the account")->required();
  }
  auto allowing = with_one(group, context, "allow", "Let an identity have keys and a configuration", allow, "IDENTITY",
                           "64 hex digits (attestry registry identity)");
  group.get_subcommand("allow")->add_option("--config", allowing->second, "SHA-256 of the configuration template");
  auto denying =
      with_one(group, context, "disallow", "Take that from an identity", disallow, "IDENTITY", "64 hex digits");
  for (const auto& [name, options] : {std::pair{"allow", allowing}, std::pair{"disallow", denying}}) {
    group.get_subcommand(name)->add_flag("--kms", options->kms, "the contract is a KMS contract");
  }
  auto setting =
      with_one(group, context, "config", "Give an identity its configuration", config, "IDENTITY", "64 hex digits");
  group.get_subcommand("config")->add_option("HASH", setting->second, "SHA-256 of the template")->required();
  with_contract(group, context, "freeze", "Stop every release at once (guardian or owner)", freeze);
  with_contract(group, context, "unfreeze", "Lift the freeze (owner)", unfreeze);
  with_one(group, context, "policy", "Name the policy that workloads are appraised by", policy, "DIGEST",
           "its SHA-256, or none");
  auto& owner = group_of(group, "owner", "Who owns the contract");
  with_one(owner, context, "transfer", "Offer the contract to another owner", owner_transfer, "ADDRESS", "its account");
  with_contract(owner, context, "accept", "Take over a contract that was offered", owner_accept);
}

void add_content(CLI::App& group, Context& context) {
  auto& storage = group_of(group, "storage", "Where templates and secrets are kept");
  auto adding = with_one(storage, context, "add", "Name a storage backend", storage_add, "URI", "its location");
  auto* add_command = storage.get_subcommand("add");
  add_command->add_flag("--publish-credentials", adding->publish_credentials,
                        "write the URI's credentials on the chain, for everybody and for ever");
  add_command->add_flag("--relative", adding->relative,
                        "a relative file: URI is meant: it begins in the folder that each server keeps for the app");
  with_one(storage, context, "remove", "Take its name back", storage_remove, "URI", "its location");
  auto& artifact = group_of(group, "artifact", "Small content on the chain itself, readable for everybody");
  with_one(artifact, context, "add", "Store a file", artifact_add, "FILE", "at most 20480 bytes, or -");
  with_one(artifact, context, "remove", "Remove one (owner)", artifact_remove, "ID", "64 hex digits");
  with_one(artifact, context, "get", "Print one", artifact_get, "ID", "64 hex digits", Shape::reads);
  auto& domain = group_of(group, "domain", "Names under which instances are found");
  with_one(domain, context, "add", "Register a name", domain_add, "NAME", "host name");
  with_one(domain, context, "remove", "Remove a name", domain_remove, "NAME", "host name");
  auto& application = group_of(group, "application", "Apps that a KMS contract serves");
  with_one(application, context, "allow", "Serve an app", application_allow, "ADDRESS", "its registry contract");
  with_one(application, context, "disallow", "Serve it no more", application_disallow, "ADDRESS", "its contract");
  auto named = with_one(application, context, "policy", "Name the policy that an app's workloads are appraised by",
                        application_policy, "ADDRESS", "its contract");
  application.get_subcommand("policy")->add_option("DIGEST", named->second, "its SHA-256, or none")->required();
}

constexpr const char* kFooter =
    "Examples:\n"
    "  attestry registry deploy registry --rpc URL --chain-id 1 --key owner.key\n"
    "  attestry registry allow IDENTITY --config HASH --contract ADDRESS --rpc URL --chain-id 1 --key owner.key\n"
    "  attestry registry show --contract ADDRESS --rpc URL --chain-id 1 --format json\n"
    "Keys are read from files or the environment; add --dry-run to see a transaction and its cost first.";

}  // namespace

void add_registry(CLI::App& app, Context& context) {
  auto& group = group_of(app, "registry", "Contracts that say which workloads may run: deploy, read, change");
  group.footer(kFooter);
  auto deploying = add(group, context, "deploy", "Create a contract and compare its code on the chain", deploy);
  group.get_subcommand("deploy")
      ->add_option("KIND", deploying->kind, "registry (one app) or kms (a key server)")
      ->check(CLI::IsMember({"registry", "kms"}))
      ->capture_default_str();
  add_registry_show(group, context);
  add_access(group, context);
  add_content(group, context);
  add_registry_publish(group, context);
  add_registry_csr(group, context);
  add_registry_client(group, context);
  add_registry_disk_key(group, context);
}

}  // namespace attestry::app
