// `attestry kms`: for who runs the servers of a key service, and for its workloads
// (docs/how-to/add-a-second-server.md).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ostream>

#include "app/admin_client.h"
#include "app/cli.h"
#include "app/cmd_kms.h"
#include "app/registry_chain.h"
#include "app/registry_metadata.h"
#include "app/signals.h"
#include "app/typed_text.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "chain/registry_abi.h"
#include "curves/secp256k1.h"
#include "provision/registry_channel.h"
#include "provision/registry_kms_operator.h"
#include "provision/registry_pki.h"

namespace attestry::app {
namespace {

using base::Bytes;
using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;
namespace abi = chain::registry;

constexpr std::size_t kMaxAnswer = 1u << 20;
constexpr const char* kOldKeyVariable = "OPERATOR_KEY";
constexpr std::string_view kSignatureHeader = "X-Attestry-Operator-Signature";

/// The administrators' listener of the server that is new.
struct KmsOptions {
  ChainOptions chain;
  std::string server = "http://127.0.0.1:8081";
  std::string ca;
  std::string giving;       ///< URL of the server that has the master
  std::string channel;      ///< or its registry.channel_listen: HOST:PORT
  std::string csr;          ///< file
  std::string type;         ///< header of a proxy
  std::string measurement;  ///< header of a proxy
  bool seed_dialect = false;
};

std::string trimmed(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

base::Deadline until(const KmsOptions& options) {
  return std::chrono::steady_clock::now() + std::chrono::seconds(options.chain.timeout);
}

/// The old commands took the key from this variable when nothing else was said.
Result<curves::Secp256k1PrivateKey> operator_key(const KmsOptions& options) {
  const bool named = !options.chain.key_file.empty() || !options.chain.key_env.empty();
  return read_chain_key(options.chain.key_file, named ? options.chain.key_env : kOldKeyVariable);
}

/// One key server, asked as its operator asks.
class KeyServer {
 public:
  static Result<KeyServer> open(const KmsOptions& options) {
    TRY(auto http, net::HttpClient::make({.ca_file = options.ca}), "--ca");
    return KeyServer(std::move(http), trimmed(options.server), until(options));
  }
  /// To sign for it.
  static Result<KeyServer> open_as_operator(const KmsOptions& options) {
    if (!options.seed_dialect && (options.chain.contract.empty() || options.chain.chain_id == 0)) {
      return Error{Code::usage,
                   "a server of which key service?",
                   "--contract KMS --chain-id ID",
                   {},
                   "What an operator signs is for the servers of one key service."};
    }
    TRY(auto out, open(options));
    if (options.seed_dialect) return out;
    TRY(out.contract_, typed_address(options.chain.contract), "--contract");
    out.chain_id_ = options.chain.chain_id;
    return out;
  }

  Result<net::Response> get(const std::string& path) const {
    TRY(auto answer, http_->send({.url = url_ + path, .deadline = deadline_, .max_bytes = kMaxAnswer}), url_);
    return answer;
  }

  /// Signed for this process of the server.
  Result<net::Response> post_signed(const std::string& path, std::string body,
                                    const curves::Secp256k1PrivateKey& key) const {
    TRY(const auto digest, this->digest(path, body));
    TRY(const auto signature, key.sign_recoverable(digest));
    net::Headers headers{{kSignatureHeader, base::hex(signature)}};
    return post(path, std::move(body), std::move(headers));
  }
  Result<net::Response> post(const std::string& path, std::string body, net::Headers headers = {}) const {
    headers.set("Content-Type", "application/octet-stream");
    TRY(auto answer,
        http_->send({.method = net::Method::post,
                     .url = url_ + path,
                     .headers = std::move(headers),
                     .body = std::move(body),
                     .deadline = deadline_,
                     .max_bytes = kMaxAnswer}),
        url_);
    return answer;
  }

  Result<base::Digest32> nonce() const {
    TRY(const auto answer, get(std::string{provision::kKmsAuthPath}));
    base::Digest32 out{};
    if (answer.status != 200 || answer.body.size() != out.size()) {
      return Error{Code::not_found, url_ + " shows no nonce: it is not the operators' side of a key server",
                   "200 and 32 bytes",
                   std::to_string(answer.status) + " and " + std::to_string(answer.body.size()) + " bytes",
                   "Take its registry.admin_listen; it needs registry.kms_contract."};
    }
    std::ranges::copy(base::as_bytes(answer.body), out.begin());
    return out;
  }

  /// What its operator signs for this process of it, and for nobody who passes its words on.
  Result<base::Digest32> digest(std::string_view path, std::string_view body) const {
    TRY(const auto nonce, this->nonce());
    return provision::kms_operator_digest(
        {.chain_id = chain_id_, .contract = contract_, .nonce = nonce, .host = host_of(url_)}, path, body);
  }

  base::Deadline deadline() const noexcept { return deadline_; }
  net::HttpTransport& http() const noexcept { return *http_; }
  const std::string& url() const noexcept { return url_; }

 private:
  KeyServer(std::unique_ptr<net::HttpClient> http, std::string url, base::Deadline deadline)
      : http_(std::move(http)), url_(std::move(url)), deadline_(deadline) {}
  std::unique_ptr<net::HttpClient> http_;
  std::string url_;
  base::Deadline deadline_;
  curves::Address contract_{};
  std::uint64_t chain_id_ = 0;
};

Status accepted(const net::Response& answer, std::string what, std::string remedy) {
  if (answer.status == 200) return base::done();
  const auto line = answer.body.substr(0, std::min<std::size_t>(answer.body.find('\n'), 500));
  const Code code = answer.status == 404   ? Code::not_found
                    : answer.status == 409 ? Code::conflict
                    : answer.status < 500  ? Code::denied
                                           : Code::unavailable;
  return Error{code, std::move(what), "200", std::to_string(answer.status) + " " + line, std::move(remedy)};
}

Result<int> authorize(Context& context, const KmsOptions& options) {
  TRY(const auto key, operator_key(options));
  TRY(const auto server, KeyServer::open_as_operator(options));
  // The bare nonce is what the first servers want signed; 32 bytes of a stranger's may as well be a transaction.
  TRY(const auto digest, options.seed_dialect ? server.nonce() : server.digest(provision::kKmsAuthPath, {}));
  TRY(const auto signature, key.sign_recoverable(digest));
  TRY(const auto answer, server.post(std::string{provision::kKmsAuthPath}, std::string{base::as_text(signature)}));
  TRY_OK(accepted(answer, "the server does not take this operator",
                  "Its contract's ROLE_OPERATOR, or its registry.operators, must have the account."));
  context.out << "operator " << curves::address_checksum_text(curves::ethereum_address(key.public_key_raw()))
              << " runs " << server.url() << "\n";
  return kExitOk;
}

Result<int> generate(Context& context, const KmsOptions& options) {
  TRY(const auto server, KeyServer::open_as_operator(options));
  const std::string path = "/api/operator/generate";
  net::Response answer;
  if (options.seed_dialect) {
    TRY(answer, server.post(path, {}));
  } else {
    TRY(const auto key, operator_key(options));
    TRY(answer, server.post_signed(path, {}, key));
  }
  TRY_OK(accepted(answer, "the server makes no master key", "Authorize first: attestry kms authorize."));
  context.out << server.url() << " has a new master key\n"
              << "what to do  publish its key, so that further servers know the master: attestry registry publish-pki "
                 "--contract KMS --server URL\n";
  return kExitOk;
}

Result<Bytes> member(const base::JsonValue& root, std::string_view name) {
  TRY(const auto value, root.get(name));
  TRY(const std::string text, value.string(name));
  TRY(Bytes bytes, base::base64_decode(text), name);
  return bytes;
}

Result<abi::OnboardRequest> parse_request(const std::string& body) {
  TRY(const auto document, base::JsonDocument::parse(body));
  const auto root = document->root();
  abi::OnboardRequest out;
  TRY(out.pubkey, member(root, "Pubkey"));
  TRY(out.attestation, member(root, "Attestation"));
  TRY(const auto nonce, root.get("Nonce"));
  TRY(const auto number, nonce.integer("Nonce", 1, INT64_MAX));
  out.nonce = provision::onboard_nonce(static_cast<std::uint64_t>(number));
  TRY(const auto account, root.get("Operator"));
  TRY(const std::string text, account.string("Operator"));
  TRY(out.operator_address, typed_address(text), "Operator");
  return out;
}

Result<abi::OnboardRequest> fetch_request(const KeyServer& server, const curves::Address& account) {
  TRY(const auto answer, server.get("/api/operator/onboard_request/" + curves::address_hex(account)));
  TRY_OK(accepted(answer, "the new server makes no request",
                  "It needs registry.kms onboard and registry.attestation; and the account the operator's role."));
  TRY(auto request, parse_request(answer.body), "onboard request");
  if (request.operator_address != account) {
    return Error{Code::denied, "the request is another operator's", curves::address_checksum_text(account),
                 curves::address_checksum_text(request.operator_address)};
  }
  return request;
}

Result<bool> on_chain(ChainSession& session, const base::Digest32& hash) {
  TRY(const auto head, session.reader().head(session.deadline()));
  const chain::Call question = abi::kFetchOnboardRequest.at(session.contract(), hash);
  TRY(const auto outcomes, session.reader().call(head, {&question, 1}, session.deadline()));
  TRY(const auto found, abi::kFetchOnboardRequest.result(outcomes[0]));
  return std::ranges::any_of(found.nonce, [](std::uint8_t byte) { return byte != 0; });
}

/// The giving server believes a block only when it is final, which may take minutes.
Result<net::Response> bring(Context& context, const KeyServer& server, const KmsOptions& options,
                            const curves::Secp256k1PrivateKey& key) {
  constexpr std::chrono::seconds kBetween{3};
  bool told = false;
  while (true) {
    TRY(auto answer, server.post_signed("/api/operator/onboard", trimmed(options.giving), key));
    if (answer.status != 404 || std::chrono::steady_clock::now() + kBetween >= server.deadline()) return answer;
    if (!told) context.err << "waiting until the giving server sees the request on the chain\n";
    told = true;
    if (wait_for_stop_signal(kBetween)) {
      return Error{Code::unavailable,
                   "stopped while the giving server did not see the request yet",
                   {},
                   {},
                   "Call it again later: the request is on the chain, and is not sent twice."};
    }
  }
}

void print_onboarded(Context& context, const KmsOptions& options, const std::string& server, const std::string& giver,
                     base::JsonOutObject json) {
  if (options.chain.format == "json") {
    json.emplace_back("onboarded", true);
    context.out << JsonOut{std::move(json)}.pretty() << "\n";
    return;
  }
  context.out << server << " has the master of " << giver << " now\n";
}

/// No transaction: the operator's permit goes to the giving server inside the session of the two.
Result<int> onboard_by_channel(Context& context, const KmsOptions& options) {
  if (!options.giving.empty() || options.chain.dry_run || options.chain.chain_id == 0) {
    return Error{Code::usage, "--channel goes by no transaction", "--channel, --contract and --chain-id",
                 "--kms-onboarded-addr or --dry-run, or no --chain-id"};
  }
  TRY(const auto key, operator_key(options));
  TRY(const auto contract, typed_address(options.chain.contract), "--contract");
  TRY(const auto server, KeyServer::open_as_operator(options));
  TRY(const auto nonce, server.nonce());
  TRY(const auto permit,
      key.sign_recoverable(provision::channel_permit_digest(options.chain.chain_id, contract, nonce, options.channel)));
  TRY(const auto answer,
      server.post_signed("/api/operator/onboard", "channel:" + options.channel + " " + base::hex(permit), key));
  TRY_OK(accepted(answer, "the new server did not get the master",
                  "Both need registry.attestation; the giving one registry.channel_listen. The contract must allow the "
                  "new server's identity (attestry registry allow --kms), and publish the service's key (attestry "
                  "registry publish-pki)."));
  print_onboarded(context, options, server.url(), options.channel, {{"channel", options.channel}});
  return kExitOk;
}

Result<int> onboard(Context& context, const KmsOptions& given) {
  KmsOptions options = given;
  if (options.chain.key_file.empty() && options.chain.key_env.empty()) options.chain.key_env = kOldKeyVariable;
  if (!options.channel.empty()) return onboard_by_channel(context, options);
  if (options.giving.empty()) {
    return Error{Code::usage,
                 "which server has the master?",
                 "--kms-onboarded-addr URL, or --channel HOST:PORT",
                 {},
                 "The first goes by the chain, the second by an attested session of the two servers."};
  }
  block_signals();  // bring() takes them
  TRY(const auto key, operator_key(options));
  const auto account = curves::ethereum_address(key.public_key_raw());
  TRY(const auto server, KeyServer::open_as_operator(options));
  TRY(const auto session, ChainSession::open(options.chain, context));
  TRY(const auto request, fetch_request(server, account));
  const auto hash =
      provision::onboard_request_hash(request.pubkey, request.nonce, request.operator_address, request.attestation);
  TRY(const bool known, on_chain(*session, hash));
  if (!known) {
    TRY([[maybe_unused]] const auto sent,
        session->send(session->contract(), abi::kRequestOnboard(request),
                      {{"call", std::string{abi::kRequestOnboard.signature}},
                       {"request", base::hex(hash)},
                       {"evidence", std::to_string(request.attestation.size()) + " bytes"}}));
    if (options.chain.dry_run) {
      session->print_sent(sent, {});
      return kExitOk;
    }
  }
  if (options.chain.dry_run) {
    context.out << "the request is on the chain already; nothing was sent\n";
    return kExitOk;
  }
  TRY(const auto answer, bring(context, server, options, key));
  TRY_OK(accepted(answer, "the new server did not get the master",
                  "The contract must allow the new server's identity (attestry registry allow --kms), and publish the "
                  "service's key (attestry registry publish-pki)."));
  print_onboarded(context, options, server.url(), trimmed(options.giving), {{"request", base::hex(hash)}});
  if (options.chain.format != "json") context.out << "request " << base::hex(hash) << "\n";
  return kExitOk;
}

Result<int> pki(Context& context, const KmsOptions& options) {
  TRY(const auto contract, typed_address(options.chain.contract), "--app-contract");
  TRY(const auto server, KeyServer::open(options));
  TRY(const auto found, fetch_registry_metadata(server.http(), server.url(), contract, server.deadline()));
  context.out << JsonOut{JsonOutObject{{"Ca", base::base64(base::as_bytes(found.ca_pem))},
                                       {"Pubkey", base::base64(base::as_bytes(found.pubkey_pem))},
                                       {"Attestation", base::base64(found.attestation)}}}
                     .compact()
              << "\n";
  context.err << "not verified; attestry secret seal and attestry registry publish-pki verify it\n";
  return kExitOk;
}

Result<int> secrets(Context& context, const KmsOptions& options) {
  TRY(const auto contract, typed_address(options.chain.contract), "--app-contract");
  if (options.csr.empty()) {
    return Error{Code::usage,
                 "which certificate request?",
                 "--csr FILE",
                 {},
                 "attestry registry csr makes one, with the workload's evidence in it."};
  }
  TRY(const Bytes csr, read_input(context, options.csr, kMaxAnswer), "--csr");
  TRY(const auto server, KeyServer::open(options));
  net::Headers headers;
  if (!options.type.empty()) headers.set("X-Flashbots-Attestation-Type", options.type);
  if (!options.measurement.empty()) headers.set("X-Flashbots-Measurement", options.measurement);
  TRY(const auto answer, server.post("/api/attested/secrets/" + curves::address_hex(contract),
                                     std::string{base::as_text(csr)}, std::move(headers)));
  TRY_OK(accepted(answer, "the key server gives this workload nothing", {}));
  context.out << answer.body;
  return kExitOk;
}

using Command = Result<int> (*)(Context&, const KmsOptions&);

std::shared_ptr<KmsOptions> add(CLI::App& group, Context& context, const char* name, const char* help,
                                const char* footer, Command command) {
  auto options = std::make_shared<KmsOptions>();
  auto* sub = group.add_subcommand(name, help);
  sub->footer(footer);
  sub->add_option("--ca", options->ca, "PEM certificate to trust for https to the server (tls.pem of its data folder)")
      ->type_name("FILE");
  sub->callback([options, command, &context] { finish(context, [&] { return command(context, *options); }); });
  return options;
}

void add_timeout(CLI::App& sub, KmsOptions& options) {
  sub.add_option("--timeout", options.chain.timeout, "seconds")->check(CLI::Range(1, 86400))->capture_default_str();
}

void add_new_server(CLI::App& sub, KmsOptions& options) {
  sub.add_option("--kms-onboarding-addr,--server", options.server, "registry.admin_listen of the new server")
      ->type_name("URL")
      ->capture_default_str();
}

void add_service(CLI::App& sub, KmsOptions& options) {
  add_contract_option(sub, options.chain, false);
  sub.add_option("--chain-id", options.chain.chain_id, "the chain that the key service's contract is on")
      ->envname("ATTESTRY_CHAIN_ID")
      ->check(CLI::PositiveNumber);
}

void add_seed_dialect(CLI::App& sub, KmsOptions& options, const char* help) {
  sub.add_flag("--seed-dialect", options.seed_dialect, help);
}

void add_app(CLI::App& sub, KmsOptions& options, const char* address_flag) {
  add_contract_option(sub, options.chain);
  options.server = "http://127.0.0.1:8080";
  sub.add_option(address_flag, options.server, "registry.listen of a server")->type_name("URL")->capture_default_str();
  add_timeout(sub, options);
}

void add_operator_commands(CLI::App& group, Context& context) {
  auto authorizing = add(group, context, "authorize", "Say that this account runs a key server",
                         "Example:\n  attestry kms authorize --contract KMS --chain-id 1 --kms-onboarding-addr "
                         "http://127.0.0.1:8081 --key operator.key",
                         authorize);
  auto* sub = group.get_subcommand("authorize");
  add_new_server(*sub, *authorizing);
  add_service(*sub, *authorizing);
  add_key_options(*sub, authorizing->chain);
  refuse_key_argument(*sub, "--operator-key");
  add_timeout(*sub, *authorizing);
  add_seed_dialect(*sub, *authorizing,
                   "sign the bare 32 bytes that the server shows, be they a transaction of this account");

  auto generating = add(group, context, "generate", "Let the first server of a new key service make its master key",
                        "Example:\n  attestry kms generate --contract KMS --chain-id 1 --kms-onboarding-addr "
                        "http://127.0.0.1:8081 --key operator.key",
                        generate);
  sub = group.get_subcommand("generate");
  add_new_server(*sub, *generating);
  add_service(*sub, *generating);
  add_key_options(*sub, generating->chain);
  refuse_key_argument(*sub, "--operator-key");
  add_timeout(*sub, *generating);
  add_seed_dialect(*sub, *generating, "an unsigned request, as the first servers take it");

  auto onboarding = add(group, context, "onboard", "Bring the master of a running server to a new one, by the chain",
                        "Example:\n  attestry kms onboard --contract KMS --kms-onboarded-addr https://old.example:8080 "
                        "--kms-onboarding-addr http://127.0.0.1:8081 --rpc URL --chain-id 1 --key operator.key",
                        onboard);
  sub = group.get_subcommand("onboard");
  add_chain_options(*sub, onboarding->chain);
  add_contract_option(*sub, onboarding->chain);
  add_sending_options(*sub, onboarding->chain);
  refuse_key_argument(*sub, "--operator-key");
  add_new_server(*sub, *onboarding);
  sub->add_option("--kms-onboarded-addr", onboarding->giving,
                  "registry.listen of the server that has the master, as the new one reaches it")
      ->type_name("URL");
  sub->add_option(
         "--channel", onboarding->channel,
         "registry.channel_listen of the server that has the master, as the new one reaches it: by an attested "
         "session of the two, without a transaction")
      ->type_name("HOST:PORT");
}

void add_workload_commands(CLI::App& group, Context& context) {
  auto showing =
      add(group, context, "pki", "CA, key and evidence that a server has for an app",
          "Example:\n  attestry kms pki --app-contract ADDRESS --pki-server-addr http://127.0.0.1:8080", pki);
  add_app(*group.get_subcommand("pki"), *showing, "--pki-server-addr,--server");

  auto asking = add(group, context, "secrets", "An app's key and a certificate, for a workload's request",
                    "Example:\n  attestry kms secrets --app-contract ADDRESS --kms-server-addr http://127.0.0.1:8080 "
                    "--csr instance.csr\nThe answer holds the app's private key.",
                    secrets);
  auto* sub = group.get_subcommand("secrets");
  add_app(*sub, *asking, "--kms-server-addr,--server");
  sub->add_option("--csr", asking->csr, "the request (attestry registry csr)")->type_name("FILE");
  sub->add_option("--debug-set-attestation-type-header", asking->type,
                  "as a proxy says it; refused by servers that do not believe anybody");
  sub->add_option("--debug-set-attestation-measurement-header", asking->measurement, "likewise, JSON");
}

}  // namespace

void add_kms(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("kms", "Servers of a key service: who runs them, and the way of their master key");
  group->require_subcommand(1);
  group->footer(
      "Examples:\n"
      "  attestry kms authorize --contract KMS --chain-id 1 --kms-onboarding-addr http://127.0.0.1:8081 --key "
      "operator.key\n"
      "  attestry kms generate --contract KMS --chain-id 1 --kms-onboarding-addr http://127.0.0.1:8081 --key "
      "operator.key\n"
      "  attestry kms onboard --contract KMS --kms-onboarded-addr https://old.example:8080 --rpc URL --chain-id 1 "
      "--key "
      "operator.key\n"
      "Keys are files of mode 0600, variables of the environment (--key-env), or OPERATOR_KEY.");
  add_operator_commands(*group, context);
  add_workload_commands(*group, context);
}

}  // namespace attestry::app
