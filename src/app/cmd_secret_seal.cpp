// `attestry secret seal`: a secret is encrypted here, for a key that is known to be the app's, and leaves as a blob
// that storage may see.
#include <CLI/CLI.hpp>

#include <filesystem>
#include <ostream>

#include "app/cli.h"
#include "app/cmd_secret_seal.h"
#include "app/content_folder.h"
#include "app/registry_metadata.h"
#include "app/typed_text.h"
#include "app/verify_inputs.h"
#include "attestation/policy.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "crypto/hash.h"
#include "crypto/key_pem.h"
#include "net/client.h"
#include "provision/registry_pki.h"
#include "provision/registry_secret.h"

namespace attestry::app {
namespace {

using base::Bytes;
using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;

constexpr std::size_t kMaxPem = 64 * 1024;
constexpr std::chrono::seconds kTime{30};

struct SealOptions {
  std::string file;
  std::string app;
  std::string contract;
  std::string server;
  std::string ca;
  std::string app_pubkey;
  std::string fingerprint;
  std::string content = ".";
  std::string format = "text";
  int version = 1;
  bool unverified = false;
  VerifyInputs verify{};  ///< no policy is the default here
};

/// The key to encrypt for, and why it is believed.
struct AppKey {
  crypto::EcPublicKey key;
  std::string why;
  std::string warning{};
};

std::string fingerprint_of(const crypto::EcPublicKey& key) { return base::hex(crypto::sha256(key.spki())); }

Result<crypto::EcPublicKey> key_in_file(Context& context, const std::string& path, std::string_view flag) {
  TRY(const Bytes pem, read_input(context, path, kMaxPem), flag);
  TRY(auto key, crypto::ec_public_key_from_pem(pem), std::string{flag} + " " + path);
  return key;
}

/// With a word on how to do without evidence, which other commands cannot.
base::Status check_evidence(Context& context, const SealOptions& options, const curves::Address& contract,
                            const RegistryMetadata& metadata) {
  auto status = check_registry_metadata(context, options.verify, contract, metadata);
  if (status.ok() || !status.error().remedy.empty()) return status;
  Error error = std::move(status).error();
  error.remedy = "Or pin the key with --app-pubkey or --fingerprint, if you have it from elsewhere.";
  return error;
}

/// Whoever has the key from elsewhere needs no evidence.
Result<bool> is_pinned(Context& context, const SealOptions& options, const crypto::EcPublicKey& key) {
  std::string expected;
  if (!options.app_pubkey.empty()) {
    TRY(const auto pinned, key_in_file(context, options.app_pubkey, "--app-pubkey"));
    expected = fingerprint_of(pinned);
  }
  if (!options.fingerprint.empty()) {
    base::Digest32 given{};
    TRY_OK(base::hex_decode_into(options.fingerprint, given), "--fingerprint");
    expected = base::hex(given);
  }
  if (expected.empty()) return false;
  if (expected == fingerprint_of(key)) return true;
  return Error{Code::denied, "the registry's key is not the pinned one", expected, fingerprint_of(key),
               "Do not send it secrets before you know why the key changed."};
}

Result<AppKey> key_of_server(Context& context, const SealOptions& options, const curves::Address& contract) {
  if (options.server.empty()) {
    return Error{Code::usage, "where is the app's key from?", "--server URL, or a PEM file as --app", options.app};
  }
  TRY(const auto http, net::HttpClient::make({.ca_file = options.ca}), "--ca");
  TRY(const RegistryMetadata metadata,
      fetch_registry_metadata(*http, options.server, contract, std::chrono::steady_clock::now() + kTime));
  TRY(auto key, crypto::ec_public_key_from_pem(base::as_bytes(metadata.pubkey_pem)), "app_pubkey");
  TRY(const bool pinned, is_pinned(context, options, key));
  if (pinned) return AppKey{std::move(key), "is the pinned one"};
  if (options.unverified) {
    return AppKey{std::move(key), "not verified",
                  "nobody has verified this key: whoever answered for " + options.server + " may read the secret"};
  }
  TRY_OK(check_evidence(context, options, contract, metadata));
  TRY(const attestation::Policy policy, policy_named(context, options.verify.policy));
  AppKey out{std::move(key), "attested under policy " + options.verify.policy};
  if (!policy.rules().require_identity && policy.rules().conditions.empty()) {
    out.warning = "policy " + options.verify.policy +
                  " accepts any genuine TEE, also one that is not the registry's: give it identities";
  }
  return out;
}

Result<AppKey> app_key(Context& context, const SealOptions& options, curves::Address& contract) {
  if (curves::parse_address(options.app)) {
    TRY(contract, typed_address(options.app), "--app");
    return key_of_server(context, options, contract);
  }
  std::error_code ignored;
  if (!std::filesystem::exists(options.app, ignored)) {
    return Error{Code::usage, "--app is neither an address nor a file", "40 hex digits, or the app's public key as PEM",
                 options.app};
  }
  if (!options.contract.empty()) {
    TRY(contract, typed_address(options.contract), "--contract");
  } else if (options.version == 2) {
    return Error{Code::usage,
                 "format version 2 binds a secret to its contract",
                 "--contract ADDRESS",
                 {},
                 "Or name the app by its address, with --server."};
  }
  TRY(auto key, key_in_file(context, options.app, "--app"));
  return AppKey{std::move(key), "given as a file"};
}

Result<int> seal(Context& context, const SealOptions& options) {
  curves::Address contract{};
  TRY(const AppKey app, app_key(context, options, contract));
  if (!app.warning.empty()) context.err << "attestry: warning: " << app.warning << "\n";
  TRY(Bytes value, read_input(context, options.file, provision::kMaxRegistrySecret));
  const auto version = options.version == 2 ? provision::SecretFormat::v2 : provision::SecretFormat::v1;
  auto sealed = provision::seal_registry_secret(app.key, contract, version, value, crypto::system_random());
  crypto::wipe(value);
  if (!sealed) return sealed.error();
  const Bytes& blob = *sealed;
  const provision::RegistryReference reference{provision::ReferenceType::secret, crypto::sha256(blob)};
  TRY(const std::string path, write_content(context, options.content, reference, blob), "--content");
  if (options.format == "json") {
    context.out << JsonOut{JsonOutObject{{"reference", provision::to_text(reference)},
                                         {"id", base::hex(reference.id)},
                                         {"file", path},
                                         {"bytes", static_cast<std::int64_t>(blob.size())},
                                         {"format_version", options.version},
                                         {"app_key_sha256", fingerprint_of(app.key)},
                                         {"app_key", app.why}}}
                       .pretty()
                << "\n";
    return kExitOk;
  }
  context.out << provision::to_text(reference) << "\n";
  context.err << "  written to  " << path << ", " << blob.size() << " bytes, format version " << options.version << "\n"
              << "  app key     " << fingerprint_of(app.key) << ", " << app.why << "\n";
  return kExitOk;
}

constexpr const char* kFooter =
    "Examples:\n"
    "  attestry secret seal password.txt --app 0x0123456789abcdef0123456789abcdef01234567 \\\n"
    "      --server https://registry.example --policy registry-policy.json --content storage\n"
    "  attestry secret seal - --app app-pubkey.pem --content storage < password.txt\n"
    "The key is believed when its evidence holds under --policy, or when you have pinned it with --app-pubkey or\n"
    "--fingerprint. What is printed goes into the template; the file goes to the app's storage.";

}  // namespace

void add_secret_seal(CLI::App& group, Context& context) {
  auto options = std::make_shared<SealOptions>();
  auto* command = group.add_subcommand(
      "seal", "Encrypt a secret for an app's key, for templates with __SECRET_REF_: nothing is sent anywhere");
  command->footer(kFooter);
  command->add_option("FILE", options->file, "file with the value, or - for standard input")->required();
  command->add_option("--app", options->app, "address of the app's contract, or its public key as a PEM file")
      ->type_name("ADDRESS|FILE")
      ->required();
  command->add_option("--contract", options->contract, "with a PEM file and format version 2: the app's contract")
      ->type_name("ADDRESS");
  command->add_option("--server", options->server, "registry that knows the app's key")->type_name("URL");
  command->add_option("--ca", options->ca, "PEM certificate to trust for TLS to it")->type_name("FILE");
  auto* pubkey = command->add_option("--app-pubkey", options->app_pubkey, "the key must be this one (PEM)");
  pubkey->type_name("FILE");
  command
      ->add_option("--fingerprint", options->fingerprint, "the key must have this SHA-256 of its SubjectPublicKeyInfo")
      ->type_name("HEX")
      ->excludes(pubkey);
  command->add_flag("--unverified", options->unverified, "encrypt for whatever key the server names (tests only)");
  command->add_option("--content", options->content, "folder: the blob becomes DIR/secrets/<id>")
      ->type_name("DIR")
      ->capture_default_str();
  command->add_option("--format-version", options->version, "of the blob: 1 for registries' stock clients, or 2")
      ->check(CLI::IsMember({1, 2}))
      ->capture_default_str();
  command->add_option("--format", options->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  options->verify.policy.clear();
  add_verify_inputs(*command, options->verify);
  // What the evidence must carry follows from the answer.
  for (const char* fixed : {"--report-data", "--nonce-hex", "--nonce"}) {
    command->remove_option(command->get_option(fixed));
  }
  command->callback([options, &context] { finish(context, [&] { return seal(context, *options); }); });
}

}  // namespace attestry::app
