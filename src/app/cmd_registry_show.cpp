// `attestry registry show`: everything public of a contract, at one block that a quorum of endpoints agrees on.
#include <CLI/CLI.hpp>
#include <ostream>

#include "app/cli.h"
#include "app/registry_chain.h"
#include "app/registry_commands.h"
#include "app/registry_refusals.h"
#include "app/typed_text.h"
#include "base/encoding.h"
#include "chain/registry_abi.h"
#include "crypto/hash.h"

namespace attestry::app {
namespace {

using base::Bytes;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
namespace abi = chain::registry;

constexpr std::pair<const char*, const char*> kRoles[] = {{"operator", "ROLE_OPERATOR"},
                                                          {"metadata", "ROLE_METADATA"},
                                                          {"instance", "ROLE_INSTANCE"},
                                                          {"guardian", "ROLE_GUARDIAN"},
                                                          {"admin", ""}};

struct ShowOptions {
  ChainOptions chain;
  std::vector<std::string> accounts;
  std::vector<std::string> identities;
};

struct Identity {
  base::Digest32 identity{};
  bool allowed = false;
  std::optional<base::Digest32> configuration;
};

struct Account {
  curves::Address address{};
  std::vector<std::string> roles;
};

/// What a contract does not have stays empty: older ones know no policy, no freeze and no second step of ownership.
struct Shown {
  chain::BlockRef block;
  Bytes code;
  std::optional<ContractKind> kind;
  std::optional<curves::Address> owner, pending_owner;
  std::optional<bool> frozen;
  std::optional<chain::Word> policy;
  std::optional<std::vector<std::string>> storage, domains;
  std::optional<abi::AppPki> pki;
  std::optional<std::vector<curves::Address>> applications;
  std::vector<Account> accounts;
  std::vector<Identity> identities;
};

template <class R, class... A>
std::optional<R> value_of(const abi::Function<R, A...>& function, const chain::CallOutcome& outcome) {
  auto value = function.result(outcome);
  return value.ok() ? std::optional<R>{*std::move(value)} : std::nullopt;
}
template <class R>
std::optional<R> either(const abi::Function<R>& function, const chain::CallOutcome& outcome,
                        const abi::Function<R>& older, const chain::CallOutcome& older_outcome) {
  auto value = value_of(function, outcome);
  return value ? value : value_of(older, older_outcome);
}

Result<std::vector<Account>> read_roles(ChainSession& session, const chain::BlockRef& block,
                                        std::vector<curves::Address> accounts) {
  std::vector<chain::Call> calls;
  for (const auto& account : accounts) {
    for (const auto& [name, constant] : kRoles) {
      const chain::Word role = *constant == '\0' ? chain::Word{} : abi::role(constant);
      calls.push_back(abi::kHasRole.at(session.contract(), role, account));
    }
  }
  TRY(const auto outcomes, session.reader().call(block, calls, session.deadline()), "roles");
  std::vector<Account> out;
  std::size_t i = 0;
  for (const auto& account : accounts) {
    Account entry{account, {}};
    for (const auto& [name, constant] : kRoles) {
      const auto has = abi::kHasRole.result(outcomes[i++]);
      if (has.ok() && *has) entry.roles.emplace_back(name);
    }
    out.push_back(std::move(entry));
  }
  return out;
}

/// Whether each is set, whoever its operator is.
Result<std::vector<Identity>> read_identities(ChainSession& session, const chain::BlockRef& block,
                                              const std::vector<std::string>& texts) {
  std::vector<Identity> out;
  std::vector<chain::Call> calls;
  for (const std::string& text : texts) {
    TRY(const auto identity, parse_word(text, "--identity"));
    out.push_back({.identity = identity, .allowed = false, .configuration = std::nullopt});
    calls.push_back(abi::kIdentityConfigMap.at(session.contract(), identity));
    calls.push_back(abi::kAllowlistedIdentities.at(session.contract(), identity));
  }
  if (calls.empty()) return out;
  TRY(const auto outcomes, session.reader().call(block, calls, session.deadline()), "identities");
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto configuration = value_of(abi::kIdentityConfigMap, outcomes[2 * i]);
    if (configuration && *configuration != chain::Word{}) out[i].configuration = *configuration;
    out[i].allowed = out[i].configuration || value_of(abi::kAllowlistedIdentities, outcomes[2 * i + 1]).value_or(false);
  }
  return out;
}

Result<Shown> read_all(ChainSession& session, const ShowOptions& options, const std::vector<curves::Address>& asked) {
  Shown out;
  TRY(out.block, session.reader().head(session.deadline()));
  TRY(out.code, session.code(session.contract(), out.block));
  if (out.code.empty()) {
    return no_contract_at(session.contract(), options.chain.chain_id, out.block, options.chain.finality,
                          session.reader().newest_number());
  }
  TRY(out.kind, recognise_contract(out.code));
  const auto& at = session.contract();
  const std::vector<chain::Call> calls{abi::kOwner.at(at),
                                       abi::kPendingOwner.at(at),
                                       abi::kPaused.at(at),
                                       abi::kPolicy.at(at),
                                       abi::kStorageBackends.at(at),
                                       abi::older::kStorageBackends.at(at),
                                       abi::kInstanceDomainNames.at(at),
                                       abi::older::kInstanceDomainNames.at(at),
                                       abi::kPki.at(at),
                                       abi::older::kPki.at(at),
                                       abi::kAllowlistedApplications.at(at)};
  TRY(const auto got, session.reader().call(out.block, calls, session.deadline()));
  out.owner = value_of(abi::kOwner, got[0]);
  out.pending_owner = value_of(abi::kPendingOwner, got[1]);
  out.frozen = value_of(abi::kPaused, got[2]);
  out.policy = value_of(abi::kPolicy, got[3]);
  out.storage = either(abi::kStorageBackends, got[4], abi::older::kStorageBackends, got[5]);
  out.domains = either(abi::kInstanceDomainNames, got[6], abi::older::kInstanceDomainNames, got[7]);
  out.pki = either(abi::kPki, got[8], abi::older::kPki, got[9]);
  out.applications = value_of(abi::kAllowlistedApplications, got[10]);
  std::vector<curves::Address> accounts;
  if (out.owner) accounts.push_back(*out.owner);
  accounts.push_back({});  // who holds a role as the zero address lets unsigned workloads in
  accounts.insert(accounts.end(), asked.begin(), asked.end());
  TRY(out.accounts, read_roles(session, out.block, std::move(accounts)));
  std::erase_if(out.accounts, [](const Account& one) { return one.address == curves::Address{} && one.roles.empty(); });
  TRY(out.identities, read_identities(session, out.block, options.identities));
  return out;
}

JsonOut names(const std::optional<std::vector<std::string>>& list) {
  if (!list) return nullptr;
  return JsonOutArray(list->begin(), list->end());
}

JsonOut address_or_null(const std::optional<curves::Address>& address) {
  if (!address || *address == curves::Address{}) return nullptr;
  return curves::address_checksum_text(*address);
}

JsonOut pki_json(const std::optional<abi::AppPki>& pki) {
  if (!pki || pki->ca.empty()) return nullptr;
  return JsonOutObject{{"ca_sha256", base::hex(crypto::sha256(pki->ca))},
                       {"app_pubkey_sha256", base::hex(crypto::sha256(pki->pubkey))},
                       {"attestation_bytes", static_cast<std::uint64_t>(pki->attestation.size())},
                       {"ca_cert", base::as_text(pki->ca)},
                       {"app_pubkey", base::as_text(pki->pubkey)}};
}

JsonOut json_of(const Shown& shown, const curves::Address& contract, std::uint64_t chain_id) {
  JsonOutArray accounts;
  for (const Account& account : shown.accounts) {
    accounts.emplace_back(JsonOutObject{{"address", curves::address_checksum_text(account.address)},
                                        {"roles", JsonOutArray(account.roles.begin(), account.roles.end())}});
  }
  JsonOutArray identities;
  for (const Identity& one : shown.identities) {
    identities.emplace_back(
        JsonOutObject{{"identity", base::hex(one.identity)},
                      {"allowed", one.allowed},
                      {"configuration", one.configuration ? JsonOut{base::hex(*one.configuration)} : JsonOut{}}});
  }
  JsonOut applications;
  if (shown.applications) {
    JsonOutArray list;
    for (const auto& application : *shown.applications) list.emplace_back(curves::address_checksum_text(application));
    applications = std::move(list);
  }
  return JsonOutObject{
      {"contract", curves::address_checksum_text(contract)},
      {"chain_id", chain_id},
      {"block", JsonOutObject{{"number", shown.block.number},
                              {"hash", base::hex(shown.block.hash)},
                              {"time", base::to_rfc3339(shown.block.time)}}},
      {"kind", shown.kind ? JsonOut{to_text(*shown.kind)} : JsonOut{}},
      {"code_verified", shown.kind.has_value()},
      {"code_sha256", base::hex(crypto::sha256(shown.code))},
      {"owner", address_or_null(shown.owner)},
      {"pending_owner", address_or_null(shown.pending_owner)},
      {"frozen", shown.frozen ? JsonOut{*shown.frozen} : JsonOut{}},
      {"policy", shown.policy && *shown.policy != chain::Word{} ? JsonOut{base::hex(*shown.policy)} : JsonOut{}},
      {"storage", names(shown.storage)},
      {"domains", names(shown.domains)},
      {"applications", std::move(applications)},
      {"pki", pki_json(shown.pki)},
      {"accounts", std::move(accounts)},
      {"identities", std::move(identities)}};
}

void line(std::ostream& out, std::string_view name, std::string_view value) {
  out << "  " << name << std::string(name.size() < 15 ? 16 - name.size() : 1, ' ') << value << "\n";
}

void print_lists(std::ostream& out, const Shown& shown) {
  if (shown.storage) {
    for (const auto& uri : *shown.storage) line(out, "storage", uri);
  }
  if (shown.domains) {
    for (const auto& name : *shown.domains) line(out, "domain", name);
  }
  if (shown.applications) {
    for (const auto& one : *shown.applications) line(out, "application", curves::address_checksum_text(one));
  }
  for (const Identity& one : shown.identities) {
    const std::string what = one.configuration ? "allowed, configuration " + base::hex(*one.configuration)
                                               : std::string{one.allowed ? "allowed" : "not allowed"};
    line(out, "identity", base::hex(one.identity) + ": " + what);
  }
  for (const Account& account : shown.accounts) {
    if (account.roles.empty()) continue;
    std::string text = curves::address_checksum_text(account.address) + ":";
    for (const auto& role : account.roles) text += " " + role;
    line(out, "roles", text);
  }
}

void print_text(std::ostream& out, const Shown& shown, const curves::Address& contract) {
  out << "contract " << curves::address_checksum_text(contract) << " at block " << shown.block.number << "\n";
  line(out, "code",
       shown.kind ? std::string{to_text(*shown.kind)} + ", verified: exactly this program's"
                  : "not this program's, SHA-256 " + base::hex(crypto::sha256(shown.code)));
  if (shown.owner) line(out, "owner", curves::address_checksum_text(*shown.owner));
  if (shown.pending_owner && *shown.pending_owner != curves::Address{}) {
    line(out, "offered to", curves::address_checksum_text(*shown.pending_owner));
  }
  if (shown.frozen) line(out, "frozen", *shown.frozen ? "yes: nothing is released" : "no");
  if (shown.policy) line(out, "policy", *shown.policy == chain::Word{} ? "none" : base::hex(*shown.policy));
  const bool published = shown.pki && !shown.pki->ca.empty();
  line(out, "app key", published ? "SHA-256 " + base::hex(crypto::sha256(shown.pki->pubkey)) : "not published");
  print_lists(out, shown);
}

Result<int> show(Context& context, const ShowOptions& options) {
  TRY(const auto session, ChainSession::open(options.chain, context));
  std::vector<curves::Address> asked;
  for (const std::string& text : options.accounts) {
    TRY(const auto address, typed_address(text), "--account");
    asked.push_back(address);
  }
  TRY(const Shown shown, read_all(*session, options, asked));
  if (options.chain.format == "json") {
    context.out << json_of(shown, session->contract(), options.chain.chain_id).pretty() << "\n";
  } else {
    print_text(context.out, shown, session->contract());
  }
  return kExitOk;
}

}  // namespace

void add_registry_show(CLI::App& group, Context& context) {
  auto options = std::make_shared<ShowOptions>();
  auto* command = group.add_subcommand("show", "Everything public of a contract, read at one block");
  add_chain_options(*command, options->chain);
  add_contract_option(*command, options->chain);
  command->add_option("--finality", options->chain.finality, "depth:N, safe or finalized")->capture_default_str();
  command->add_option("--account", options->accounts, "show the roles of this account too; may be given again")
      ->type_name("ADDRESS")
      ->allow_extra_args(false);
  command->add_option("--identity", options->identities, "show whether this one is allowed; may be given again")
      ->type_name("HEX")
      ->allow_extra_args(false);
  command->callback([options, &context] { finish(context, [&] { return show(context, *options); }); });
}

}  // namespace attestry::app
