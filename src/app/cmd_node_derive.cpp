// `attestry node derive`: acts as a workload whose key the nodes of a threshold root derive. Nobody on the way, nodes
// and coordinator included, sees the key; the result is checked against the master public key that this side trusts.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ostream>

#include "app/cli.h"
#include "app/node_commands.h"
#include "app/outputs.h"
#include "app/simulated_tee.h"
#include "attestation/evidence.h"
#include "base/encoding.h"
#include "base/json.h"
#include "client/api_client.h"
#include "cluster/application.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "keys/ckd.h"
#include "keys/mpc_shapes.h"
#include "net/client.h"
#include "state/file.h"
#include "tee/remote_attester.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMostKeyFile = 4096;

struct DeriveOptions {
  std::string server = "https://127.0.0.1:8443";
  std::string ca, master, tenant = "default", app, path, out, format = "text", realm;
  std::string simulated_tee, kind = "tdx-v4", provider;
  std::uint32_t epoch = 0;
  bool checkable = false, simulated_boot = false;
  std::int64_t timeout = 30;
};

struct Attesting {
  std::unique_ptr<net::HttpClient> http;
  std::unique_ptr<SimulatedTee> simulated;
  std::unique_ptr<attestation::Attester> remote;
  attestation::Attester& use() { return simulated ? simulated->attester() : *remote; }
};

Result<std::unique_ptr<Attesting>> attesting(Context& context, const DeriveOptions& options) {
  auto out = std::make_unique<Attesting>();
  if (options.simulated_tee.empty() == options.provider.empty()) {
    return Error{Code::usage, "who makes the evidence", "--provider URL, or --simulated-tee SEED_FILE", "both or none"};
  }
  if (!options.simulated_tee.empty()) {
    TRY(out->simulated, SimulatedTee::open(options.simulated_tee, options.kind, options.simulated_boot));
    return out;
  }
  TRY(out->http, net::HttpClient::make({.clock = &context.clock}));
  out->remote = std::make_unique<tee::RemoteAttester>(*out->http, options.provider,
                                                      std::chrono::milliseconds(options.timeout * 1000), context.clock);
  return out;
}

/// Nonces of the nodes, and that they are of the cluster that this side trusts.
Result<std::vector<cluster::NodeNonce>> nonces_of(const client::ApiClient& api,
                                                  const keys::ckd::MasterPublicKey& master) {
  TRY(const auto answer, api.json(net::Method::post, "/v1/threshold/challenges"));
  const auto root = answer->root();
  TRY(const auto key_value, root.get("master_public_key"));
  TRY(const auto key, key_value.string("master_public_key"));
  if (key != keys::ckd::to_text(master.encoded())) {
    return Error{Code::denied, "master public key of the nodes", keys::ckd::to_text(master.encoded()), key,
                 "This is another cluster: ask its own nodes, or correct --master-key."};
  }
  std::vector<cluster::NodeNonce> out;
  TRY(const auto list, root.get("nonces"));
  for (auto value = list.first(); value; value = value->next()) {
    TRY(const auto node_value, value->get("node"));
    TRY(const auto node, node_value.integer("node", 0, UINT32_MAX));
    TRY(const auto nonce_value, value->get("nonce"));
    TRY(const auto text, nonce_value.string("nonce"));
    TRY(const auto bytes, base::base64url_decode(text), "nonce");
    cluster::NodeNonce one{.id = static_cast<std::uint32_t>(node), .nonce = {}};
    if (bytes.size() != one.nonce.size()) return Error{Code::malformed, "nonce of a node", "42 bytes"};
    std::ranges::copy(bytes, one.nonce.begin());
    out.push_back(one);
  }
  return out;
}

struct Answered {
  keys::ckd::Ciphertext sum;
  std::string participants, failing;
  std::vector<std::string> guilty;  ///< who gave a share that it could not prove
};

/// `check`: each node is to prove its answer.
Result<Answered> ask(const client::ApiClient& api, const cluster::Application& application, bool check) {
  const std::string path = "/v1/threshold/derivations";
  TRY(const auto answer, api.json(net::Method::post, check ? path + "?check=true" : path, application.json()));
  const auto root = answer->root();
  Answered out;
  TRY(out.sum, keys::ckd::read_mpc_answer(root));
  TRY(const auto participants, root.get("participants"));
  out.participants = participants.source();
  if (const auto failing = root.find("failing")) {
    out.failing = failing->source();
    for (auto value = failing->first(); value; value = value->next()) {
      TRY(const auto guilty_value, value->get("guilty"));
      TRY(const bool guilty, guilty_value.boolean("guilty"));
      TRY(const auto node_value, value->get("node"));
      TRY(const auto node, node_value.integer("node", 0, UINT32_MAX));
      if (guilty) out.guilty.push_back("node " + std::to_string(node));
    }
  }
  return out;
}

/// What the nodes derived, opened and checked; when the check fails they are asked once more, with proofs: the same
/// request has the same nonces, and whoever answered wrongly is named and left out.
Result<std::pair<Answered, crypto::Secret>> derived(const client::ApiClient& api,
                                                    const cluster::Application& application,
                                                    const keys::ckd::Blinding& blinding,
                                                    const keys::ckd::MasterPublicKey& master,
                                                    const base::Bytes& app_id) {
  const auto point = keys::ckd::hash_point(master, app_id);
  TRY(auto answered, ask(api, application, false));
  auto opened = blinding.open(answered.sum, master, point);
  if (!opened) {
    TRY(answered, ask(api, application, true));
    opened = blinding.open(answered.sum, master, point);
  }
  TRY(auto key, std::move(opened), "what the nodes derived");
  return std::pair{std::move(answered), std::move(key)};
}

/// In hex, in a file of its own. One that has the key already stays; any other file does, too, and is an error.
base::Status keep(const crypto::Secret& key, const std::string& file) {
  std::string hex = base::hex(key.reveal());
  hex.push_back('\n');
  const auto written = [&]() -> base::Status {
    TRY(const auto there, state::system_files().read(file, kMostKeyFile));
    if (!there) return state::replace_file(state::system_files(), file, base::as_bytes(hex));
    if (crypto::equal_constant_time(*there, base::as_bytes(hex))) return base::done();
    return Error{Code::conflict, "--out", "a file that is not there, or has this key", "another one",
                 "Move it away, or give another name: nothing was overwritten."};
  }();
  crypto::wipe({reinterpret_cast<std::uint8_t*>(hex.data()), hex.size()});
  return written;
}

Result<int> derive(Context& context, const DeriveOptions& options) {
  if (!options.out.empty()) TRY_OK(check_output(options.out), "--out");
  TRY(const auto encoded, keys::ckd::g2_from_text(options.master), "--master-key");
  TRY(const auto master, keys::ckd::MasterPublicKey::decode(encoded), "--master-key");
  TRY(auto tenant, base::Tenant::parse(options.tenant), "--tenant");
  TRY(auto app, base::AppRef::parse(options.app), "--app");
  cluster::Application application{
      .nonces = {}, .evidence = {}, .key = {}, .tenant = std::move(tenant), .app = std::move(app)};
  application.path = options.path;
  application.epoch = application.app.kind() == base::AppRef::Kind::near ? 0 : options.epoch;
  TRY(const auto attester, attesting(context, options));
  net::ClientOptions http_options{.clock = &context.clock};
  if (!options.ca.empty()) {
    TRY(const auto pem, read_input(context, options.ca, 1u << 20));
    http_options.ca_pem = std::string{base::as_text(pem)};
  }
  TRY(const auto http, net::HttpClient::make(std::move(http_options)));
  const client::ApiClient api{*http, options.server, {}, options.timeout};
  TRY(application.nonces, nonces_of(api, master));
  auto& random = crypto::system_random();
  const auto blinding = keys::ckd::Blinding::random(random);
  application.key.pk1 = blinding.public_key().encode();
  if (options.checkable) application.key.pk2 = blinding.public_key2().encode();
  TRY(const auto statement, application.statement(master));
  TRY(application.evidence, attester->use().attest(statement.binding()), "evidence");
  const std::string guess = options.simulated_tee.empty() ? "production" : "simulated";
  TRY(const auto realm, base::realm_from(options.realm.empty() ? guess : options.realm));
  TRY(const auto app_id, application.app_id(realm));
  TRY(const auto done, derived(api, application, blinding, master, app_id));
  const auto& [answered, opened] = done;
  const crypto::Secret key = cluster::key_of(application.app, app_id, opened);
  if (!options.out.empty()) TRY_OK(keep(key, options.out), options.out);
  const std::string print = base::hex(crypto::sha256(key.reveal()));
  if (options.format == "json") {
    context.out << "{\"key_sha256\":\"" << print << "\",\"participants\":" << answered.participants
                << ",\"failing\":" << (answered.failing.empty() ? "[]" : answered.failing) << "}\n";
    return kExitOk;
  }
  context.out << "key derived and checked against the master public key\n"
              << "  SHA-256      " << print << "\n"
              << "  by nodes     " << answered.participants << "\n";
  for (const std::string& one : answered.guilty) {
    context.out << "  not by       " << one << ", whose share was wrong: look after it, or leave it out\n";
  }
  if (!options.out.empty()) context.out << "  written to   " << options.out << "\n";
  return kExitOk;
}

}  // namespace

void add_node_derive(CLI::App& group, Context& context) {
  auto options = std::make_shared<DeriveOptions>();
  auto* command = group.add_subcommand("derive", "As a workload: have the nodes derive this app's key, and check it");
  command->add_option("--server", options->server, "public URL of any node")->capture_default_str();
  command->add_option("--ca", options->ca, "PEM file to trust for --server");
  command->add_option("--master-key", options->master, "bls12381g2:…, the cluster's, which this side trusts")
      ->required();
  command->add_option("--app", options->app, "name:x, evm:CHAIN:0x…, near:ACCOUNT, dstack:…")->required();
  command->add_option("--tenant", options->tenant, "whose app it is")->capture_default_str();
  command->add_option("--epoch", options->epoch, "the app's epoch (not for near:)")->capture_default_str();
  command->add_option("--path", options->path, "derivation path, for near: only");
  command->add_option("--out", options->out, "write the key there, 64 hex digits, readable by this user alone");
  command->add_option("--simulated-tee", options->simulated_tee, "file with the seed of a simulated TEE");
  command->add_option("--kind", options->kind, "of the simulated evidence")->capture_default_str();
  command->add_flag("--simulated-boot", options->simulated_boot, "with a boot and its event logs");
  command->add_option("--realm", options->realm, "the cluster's; simulated with --simulated-tee, else production")
      ->check(CLI::IsMember({"production", "simulated"}));
  command->add_option("--provider", options->provider, "address of a quote provider on this machine");
  command->add_flag("--publicly-verifiable", options->checkable, "give A2 too: the coordinator checks the sum");
  command->add_option("--timeout", options->timeout, "seconds")->capture_default_str();
  command->add_option("--format", options->format, "text or json")->check(CLI::IsMember({"text", "json"}));
  command->callback([&context, options] { finish(context, [&] { return derive(context, *options); }); });
}

}  // namespace attestry::app
