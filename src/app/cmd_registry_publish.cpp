// `attestry registry publish-pki` and `identity`: what a server or a workload says is verified before the chain, or a
// person, is told of it.
#include <CLI/CLI.hpp>
#include <ostream>

#include "app/cli.h"
#include "app/registry_chain.h"
#include "app/registry_commands.h"
#include "app/registry_metadata.h"
#include "app/typed_text.h"
#include "base/encoding.h"
#include "chain/registry_abi.h"
#include "crypto/hash.h"
#include "provision/registry_measurements.h"

namespace attestry::app {
namespace {

using base::JsonOut;
using base::JsonOutObject;
using base::Result;
namespace abi = chain::registry;

constexpr std::size_t kMaxQuote = 1u << 20;

struct PublishOptions {
  ChainOptions chain;
  std::string server;
  std::string server_ca;
  bool unverified = false;
  VerifyInputs verify{};
};

Result<int> publish(Context& context, const PublishOptions& options) {
  TRY(const auto session, ChainSession::open(options.chain, context));
  TRY(const auto http, net::HttpClient::make({.ca_file = options.server_ca}), "--ca");
  TRY(const auto metadata, fetch_registry_metadata(*http, options.server, session->contract(), session->deadline()));
  std::string why = "evidence accepted under policy " + options.verify.policy;
  if (options.unverified) {
    why = "not verified";
    context.err << "attestry: warning: nobody has verified this key: whoever answered for " << options.server
                << " becomes the app's authority\n";
  } else {
    TRY_OK(check_registry_metadata(context, options.verify, session->contract(), metadata));
  }
  const abi::AppPki pki{base::to_bytes(base::as_bytes(metadata.ca_pem)),
                        base::to_bytes(base::as_bytes(metadata.pubkey_pem)), metadata.attestation};
  const auto ca = base::hex(crypto::sha256(pki.ca));
  const auto key = base::hex(crypto::sha256(pki.pubkey));
  const std::string says = "PKI() is the CA " + ca + " and the key " + key;
  return session->send_and_print(abi::kSetPki(pki), abi::kSetPki.signature,
                                 {{"CA", "SHA-256 " + ca}, {"app key", "SHA-256 " + key}, {"verified", why}},
                                 Effect::of(abi::kPki, pki, says).or_else(Effect::of(abi::older::kPki, pki, says)),
                                 {{"ca_sha256", ca}, {"app_pubkey_sha256", key}, {"verified", !options.unverified}});
}

struct IdentityOptions {
  std::string quote;
  std::string contract;
  std::uint64_t chain_id = 0;
  std::string format = "text";
  VerifyInputs verify{};
};

Result<int> identity(Context& context, const IdentityOptions& options) {
  TRY(const auto contract, typed_address(options.contract), "--contract");
  TRY(const auto quote, read_input(context, options.quote, kMaxQuote));
  TRY(const auto judged, judge_bytes(context, options.verify, quote, {}));
  TRY(const auto measured, provision::measurements_of_workload(judged.verdict));
  const auto known = base::hex(measured.identity(contract));
  const auto facts = provision::tdx_facts(judged.verdict, options.chain_id, contract);
  const std::string extended = facts ? base::hex(provision::extended_identity(*facts)) : std::string{};
  if (options.format == "json") {
    context.out << JsonOut{JsonOutObject{{"contract", curves::address_checksum_text(contract)},
                                         {"chain_id", options.chain_id},
                                         {"identity", known},
                                         {"extended", extended.empty() ? JsonOut{} : JsonOut{extended}},
                                         {"policy", options.verify.policy}}}
                       .pretty()
                << "\n";
    return kExitOk;
  }
  context.out << "identity  " << known << "\n";
  if (!extended.empty()) context.out << "extended  " << extended << "\n";
  context.err << "accepted under policy " << options.verify.policy
              << ". The first leaves out the firmware and the debug bit; the second leaves out nothing.\n";
  return kExitOk;
}

/// What the evidence must carry follows from the answer.
void drop_bound_data(CLI::App& command) {
  for (const char* fixed : {"--report-data", "--nonce-hex", "--nonce"}) {
    command.remove_option(command.get_option(fixed));
  }
}

void add_publish(CLI::App& group, Context& context) {
  auto options = std::make_shared<PublishOptions>();
  auto* command = group.add_subcommand("publish-pki", "Put the CA and key that a server has for the app on the chain");
  add_chain_options(*command, options->chain);
  add_contract_option(*command, options->chain);
  add_sending_options(*command, options->chain);
  command->add_option("--server", options->server, "registry that serves the app")->type_name("URL")->required();
  command->add_option("--ca", options->server_ca, "PEM certificate to trust for TLS to it")->type_name("FILE");
  command->add_flag("--unverified", options->unverified, "publish whatever the server says (tests only)");
  options->verify.policy.clear();
  add_verify_inputs(*command, options->verify);
  drop_bound_data(*command);
  command->callback([options, &context] { finish(context, [&] { return publish(context, *options); }); });
}

}  // namespace

void add_registry_publish(CLI::App& group, Context& context) {
  add_publish(group, context);
  auto options = std::make_shared<IdentityOptions>();
  auto* command =
      group.add_subcommand("identity", "The identity that a contract knows a workload by, from its evidence");
  command->add_option("EVIDENCE", options->quote, "a quote or a token (tdxvm), or - for standard input")->required();
  command->add_option("--contract,--app-contract", options->contract, "address of the app's contract")
      ->envname("ATTESTRY_CONTRACT")
      ->required();
  command->add_option("--chain-id", options->chain_id, "chain of the contract, for the extended identity")
      ->envname("ATTESTRY_CHAIN_ID")
      ->required();
  command->add_option("--format", options->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  options->verify.policy = "genuine";
  add_verify_inputs(*command, options->verify);
  drop_bound_data(*command);
  command->callback([options, &context] { finish(context, [&] { return identity(context, *options); }); });
}

}  // namespace attestry::app
