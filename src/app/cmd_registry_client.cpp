// `attestry registry register|metadata`: what a workload asks a registry for, and what anybody may ask
// (docs/formats/registry.md). For looking and for scripts; a workload's own agent does the same.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ostream>

#include "app/admin_client.h"
#include "app/cli.h"
#include "app/registry_commands.h"
#include "app/registry_metadata.h"
#include "app/typed_text.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "crypto/ec.h"
#include "crypto/key_pem.h"
#include "crypto/random.h"
#include "crypto/x509.h"
#include "provision/registry_pki.h"

namespace attestry::app {
namespace {

using base::Bytes;
using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;

constexpr std::size_t kMaxAnswer = 8u << 20;
constexpr std::size_t kMaxRequest = 1u << 20;

struct ClientOptions {
  std::string contract;
  std::string server = "http://127.0.0.1:8080";
  std::string ca;
  int timeout = 30;
  std::string csr;          ///< file
  std::string key_out;      ///< file
  std::string type;         ///< header of a proxy
  std::string measurement;  ///< header of a proxy
  bool unverified = false;
  VerifyInputs verify{};
};

/// What is asked of one server, until one deadline.
struct Server {
  std::unique_ptr<net::HttpClient> http;
  std::string url;
  base::Deadline deadline;
  curves::Address contract{};

  static Result<Server> open(const ClientOptions& options) {
    TRY(const auto contract, typed_address(options.contract), "--app-contract");
    TRY(auto http, net::HttpClient::make({.ca_file = options.ca}), "--ca");
    std::string url = options.server;
    while (url.ends_with('/')) url.pop_back();
    return Server{.http = std::move(http),
                  .url = std::move(url),
                  .deadline = std::chrono::steady_clock::now() + std::chrono::seconds(options.timeout),
                  .contract = contract};
  }
};

/// A request that carries nothing but a key: enough where a proxy vouches for the workload.
Result<std::string> bare_request(const ClientOptions& options, const curves::Address& contract) {
  const auto key = crypto::EcPrivateKey::generate(crypto::Curve::p256, crypto::system_random());
  if (!options.key_out.empty()) {
    TRY_OK(write_once(options.key_out, base::as_text(crypto::secret_pem("PRIVATE KEY", key.pkcs8()).reveal())),
           "--key-out");
  }
  TRY(const Bytes der, crypto::make_csr({.subject = {{"2.5.4.3", provision::registry_app_name(contract), false}},
                                         .dns = {},
                                         .ips = {},
                                         .extensions = {}},
                                        key));
  return base::pem_encode("CERTIFICATE REQUEST", der);
}

Result<std::string> request_of(Context& context, const ClientOptions& options, const curves::Address& contract) {
  if (options.csr.empty()) return bare_request(options, contract);
  TRY(const Bytes read, read_input(context, options.csr, kMaxRequest), "--csr");
  return std::string{base::as_text(read)};
}

Result<int> register_workload(Context& context, const ClientOptions& options) {
  TRY(const auto server, Server::open(options));
  TRY(auto csr, request_of(context, options, server.contract));
  net::HttpRequest request{.method = net::Method::post,
                           .url = server.url + "/api/attested/register/" + curves::address_hex(server.contract),
                           .body = std::move(csr),
                           .deadline = server.deadline,
                           .max_bytes = kMaxAnswer};
  request.headers.set("Content-Type", "application/octet-stream");
  if (!options.type.empty()) request.headers.set("X-Flashbots-Attestation-Type", options.type);
  if (!options.measurement.empty()) request.headers.set("X-Flashbots-Measurement", options.measurement);
  TRY(const auto answer, server.http->send(request), "--server");
  if (answer.status != 200) {
    const auto line = answer.body.substr(0, std::min<std::size_t>(answer.body.find('\n'), 400));
    const auto id = answer.headers.find("X-Attestry-Appraisal");
    return Error{answer.status < 500 ? Code::denied : Code::unavailable, "the registry gives this workload nothing",
                 "200", std::to_string(answer.status) + " " + line,
                 id ? "On the server, `attestry why " + std::string{*id} + "` says what was looked at."
                    : "The server's log says more, under the trace of this answer."};
  }
  context.out << answer.body;
  return kExitOk;
}

Result<int> metadata(Context& context, const ClientOptions& options) {
  TRY(const auto server, Server::open(options));
  TRY(const auto found, fetch_registry_metadata(*server.http, server.url, server.contract, server.deadline));
  const bool verifies = !options.unverified;
  if (verifies) TRY_OK(check_registry_metadata(context, options.verify, server.contract, found));
  context.out << JsonOut{JsonOutObject{{"ca_cert", base::base64(base::as_bytes(found.ca_pem))},
                                       {"app_pubkey", base::base64(base::as_bytes(found.pubkey_pem))},
                                       {"attestation", base::base64(found.attestation)},
                                       {"verified", verifies}}}
                     .pretty()
              << "\n";
  if (!verifies) context.err << "not verified: whoever answers at " << server.url << " can say this\n";
  return kExitOk;
}

void add_server(CLI::App& command, ClientOptions& options) {
  command.add_option("--contract,--app-contract", options.contract, "address of the app's contract")
      ->envname("ATTESTRY_CONTRACT")
      ->required();
  command.add_option("--server,--provisioning-server-addr", options.server, "registry.listen of a server")
      ->type_name("URL")
      ->capture_default_str();
  command.add_option("--ca", options.ca, "PEM certificate to trust for https to it (tls.pem of its data folder)")
      ->type_name("FILE");
  command.add_option("--timeout", options.timeout, "seconds")->check(CLI::Range(1, 86400))->capture_default_str();
}

}  // namespace

void add_registry_client(CLI::App& group, Context& context) {
  auto asking = std::make_shared<ClientOptions>();
  auto* asks = group.add_subcommand("register", "Ask as a workload: certificate, app key and configuration");
  asks->footer(
      "Example:\n  attestry registry register --app-contract ADDRESS --server http://127.0.0.1:8080 --csr csr.pem\n"
      "The answer is the server's JSON; it holds the app's private key.");
  add_server(*asks, *asking);
  auto* csr = asks->add_option("--csr", asking->csr,
                               "the request, with the workload's evidence in it (attestry registry csr), or - for "
                               "standard input; without it, one with a new key that only a proxy can vouch for");
  csr->type_name("FILE");
  asks->add_option("--key-out", asking->key_out, "new file for that new key")->type_name("FILE")->excludes(csr);
  asks->add_option("--debug-set-attestation-type-header", asking->type,
                   "as a proxy says it; refused by servers that do not believe anybody");
  asks->add_option("--debug-set-attestation-measurement-header", asking->measurement, "likewise, JSON");
  asks->callback([asking, &context] { finish(context, [&] { return register_workload(context, *asking); }); });

  auto looking = std::make_shared<ClientOptions>();
  auto* looks = group.add_subcommand("metadata", "CA and key that a server has for the app, verified by its evidence");
  add_server(*looks, *looking);
  looks->add_flag("--unverified", looking->unverified, "show whatever the server says (tests only)");
  looking->verify.policy.clear();
  add_verify_inputs(*looks, looking->verify);
  for (const char* bound : {"--report-data", "--nonce-hex", "--nonce"}) looks->remove_option(looks->get_option(bound));
  looks->callback([looking, &context] { finish(context, [&] { return metadata(context, *looking); }); });
}

}  // namespace attestry::app
