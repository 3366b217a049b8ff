// `attestry secret encrypt` and `decrypt`: what a keystore of the OutLayer family is to keep, encrypted here for the
// key of its seed; and opened again with the keystore's own key, where that has to be recovered.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>
#include <ostream>

#include "app/cli.h"
#include "app/cmd_secret_keystore.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/random.h"
#include "net/client.h"
#include "secrets/keystore_ciphertext.h"
#include "secrets/keystore_profile.h"
#include "secrets/keystore_v0.h"

namespace attestry::app {
namespace {

namespace keystore = secrets::keystore;
using base::Bytes;
using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using crypto::Secret;

constexpr std::size_t kMaxPlain = 1u << 20;
constexpr std::size_t kMaxBlobText = 16u << 20;
constexpr std::size_t kMaxKeyText = 4096;
constexpr std::chrono::seconds kTime{30};

struct EncryptOptions {
  AccessorOptions what{};
  std::string dotenv{};
  std::string file{};
  std::string keystore_url{};
  std::string ca{};
  std::string pubkey{};
  std::string vault{};
  std::string token_file{};
  std::string format = "text";
  bool v0 = false;
};

struct DecryptOptions {
  AccessorOptions what{};
  std::string file = "-";
  std::string key{};
  std::string seed{};
  bool public_key_cipher = false;
  bool xor_cipher = false;
  std::uint32_t epoch = 1;
};

Result<Secret> read_secret(Context& context, const std::string& path, std::size_t limit, std::string_view what) {
  TRY(Bytes bytes, read_input(context, path, limit), what);
  if (bytes.size() > limit) {
    crypto::wipe(bytes);
    return Error{Code::too_large, std::string{what}, "at most " + std::to_string(limit) + " bytes"};
  }
  return Secret::absorb(bytes);
}

// -- encrypt

/// The variables, from --dotenv or from a file of either form.
Result<keystore::Variables> variables_of(Context& context, const EncryptOptions& options) {
  Secret text = Secret::copy_of(base::as_bytes(options.dotenv));
  bool json = false;
  if (options.dotenv.empty()) {
    TRY(text, read_secret(context, options.file, kMaxPlain, "FILE"));
    const auto first = std::ranges::find_if(text.reveal(), [](std::uint8_t c) { return c > ' '; });
    json = first != text.reveal().end() && *first == '{';
  }
  if (json) {
    TRY(auto out, keystore::Variables::parse(text));
    TRY_OK(keystore::check_names(out));
    return out;
  }
  std::string_view line = base::as_text(text.reveal());
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  auto parsed = keystore::parse_dotenv(line);
  if (!parsed) {
    Error error = std::move(parsed).error();
    error.found = "other text";  // values are secrets, and a file that was taken for another may be a private key
    return std::move(error.at(options.dotenv.empty() ? options.file : "--dotenv"));
  }
  auto pairs = *std::move(parsed);
  keystore::Variables out;
  for (auto& [name, value] : pairs) TRY_OK(out.set(std::move(name), std::move(value)));
  if (out.all().empty()) return Error{Code::usage, "there is nothing to encrypt", "NAME=value, or a JSON object"};
  TRY_OK(keystore::check_names(out));
  return out;
}

Result<std::string> answer_of(Result<net::Response> response, std::string_view member) {
  if (!response) return std::move(response).error();
  auto document = base::JsonDocument::parse(response->body, {.max_bytes = 1u << 16});
  if (response->status != 200) {
    std::string why = "status " + std::to_string(response->status);
    const auto said = document && (*document)->root().is_object() ? (*document)->root().find("error") : std::nullopt;
    if (said) why += ": " + said->string("error").value_or("");
    const bool refused = response->status >= 400 && response->status < 500;
    return Error{refused ? Code::denied : Code::unavailable, "the keystore gives no public key", "status 200", why};
  }
  if (!document) return Error{Code::unavailable, "the keystore's answer is no JSON"};
  TRY(const auto value, (*document)->root().get(member), "the keystore's answer");
  return value.string(member);
}

/// The seed's key. The keystore learns the names only: it looks at nothing else of `secrets_json`.
Result<std::string> key_from_keystore(Context& context, const EncryptOptions& options, const std::string& seed,
                                      const keystore::Variables& variables) {
  TRY(const auto http, net::HttpClient::make({.ca_file = options.ca}), "--ca");
  std::string url = options.keystore_url;
  while (url.ends_with('/')) url.pop_back();
  url += "/pubkey";
  const base::Deadline deadline = context.clock.steady() + kTime;
  if (options.v0) return answer_of(http->get(url, deadline), "public_key_hex");
  JsonOutObject names;
  for (const std::string& name : variables.names()) names.emplace_back(name, "");
  JsonOutObject body{{"seed", seed}, {"secrets_json", JsonOut{std::move(names)}.compact()}};
  if (!options.vault.empty()) body.emplace_back("vault_id", options.vault);
  net::Headers headers;
  if (!options.token_file.empty()) {
    TRY(const Secret token, read_secret(context, options.token_file, kMaxKeyText, "--token-file"));
    std::string_view text = base::as_text(token.reveal());
    while (text.ends_with('\n')) text.remove_suffix(1);
    headers.add("Authorization", "Bearer " + std::string{text});
  }
  return answer_of(
      http->post(url, JsonOut{std::move(body)}.compact(), "application/json", deadline, std::move(headers)), "pubkey");
}

Result<std::string> public_key_of(Context& context, const EncryptOptions& options, const std::string& seed,
                                  const keystore::Variables& variables) {
  if (options.pubkey.empty() == options.keystore_url.empty()) {
    return Error{Code::usage, "whose key is it encrypted for?", "one of --keystore URL and --pubkey KEY"};
  }
  if (!options.pubkey.empty()) return options.pubkey;
  return key_from_keystore(context, options, seed, variables);
}

/// JSON for the keystore; the first generation keeps --dotenv as it was written.
Result<Secret> plaintext_of(const EncryptOptions& options, const keystore::Variables& variables) {
  if (options.v0 && !options.dotenv.empty()) return Secret::copy_of(base::as_bytes(options.dotenv));
  return variables.json();
}

struct Encrypted {
  Bytes blob;
  std::string seed{};
  std::string pubkey{};
  std::optional<keystore::Accessor> accessor{};
};

Result<Encrypted> encrypted(Context& context, const EncryptOptions& options) {
  TRY(const keystore::Variables variables, variables_of(context, options));
  Encrypted out;
  if (!options.v0) {
    TRY(out.accessor, accessor_of(options.what));
    if (!out.accessor) {
      return Error{Code::usage,
                   "what is the secret for?",
                   "one of --repo, --wasm-hash, --project and --payment-key",
                   {},
                   "Or --v0 for keystores of the first generation, which have one key for all."};
    }
    TRY(const auto owner, owner_of(options.what));
    TRY(const auto seed,
        keystore::seed_of(*out.accessor, owner, profile_of(options.what), {.colons = options.what.colons}));
    out.seed = seed.text();
  }
  TRY(out.pubkey, public_key_of(context, options, out.seed, variables));
  TRY(const Secret plaintext, plaintext_of(options, variables));
  if (options.v0) {
    TRY(const auto key, keystore::parse_v0_public_key(out.pubkey), "public key");
    TRY(out.blob, keystore::v0_seal(key, plaintext.reveal(), crypto::system_random()));
    return out;
  }
  base::FixedBytes<32> key{};
  TRY_OK(base::hex_decode_into(out.pubkey, key), "public key");
  TRY(out.blob, keystore::ecies_v1_seal(key, plaintext.reveal(), crypto::system_random()));
  return out;
}

std::string as_array(const Bytes& blob) {
  base::JsonOutArray out;
  out.reserve(blob.size());
  for (const std::uint8_t byte : blob) out.emplace_back(static_cast<int>(byte));
  return JsonOut{std::move(out)}.compact();
}

Result<int> encrypt(Context& context, const EncryptOptions& options) {
  if (options.dotenv.empty() == options.file.empty()) {
    return Error{Code::usage, "what is to be encrypted?", "one of FILE and --dotenv NAME=value,…"};
  }
  TRY(const Encrypted made, encrypted(context, options));
  if (options.format == "text") {
    context.out << (options.v0 ? as_array(made.blob) : base::base64(made.blob)) << "\n";
    return kExitOk;
  }
  JsonOutObject out{{"public_key", made.pubkey}};
  if (options.v0) {
    out.emplace_back("encrypted_secrets", JsonOut::Raw{as_array(made.blob)});
  } else {
    out.emplace_back("seed", made.seed);
    out.emplace_back("accessor", keystore::chain_json(*made.accessor));
    out.emplace_back("profile", profile_of(options.what));
    out.emplace_back("encrypted_secrets_base64", base::base64(made.blob));
  }
  context.out << JsonOut{std::move(out)}.pretty() << "\n";
  return kExitOk;
}

// -- decrypt

/// base64, a JSON array of bytes, or an object with either, as `encrypt` and contracts write it.
Result<Bytes> blob_of(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  if (text.empty() || (text.front() != '[' && text.front() != '{' && text.front() != '"')) {
    return base::base64_decode(text);
  }
  TRY(const auto document,
      base::JsonDocument::parse(std::move(text), {.max_bytes = kMaxBlobText, .max_nodes = 1u << 20}));
  base::JsonValue value = document->root();
  for (const char* member : {"encrypted_secrets_base64", "encrypted_secrets"}) {
    if (const auto inner = value.find(member)) value = *inner;
  }
  if (!value.is_array()) {
    TRY(const std::string base64, value.string("encrypted secret"));
    return base::base64_decode(base64);
  }
  Bytes out;
  out.reserve(value.size());
  for (auto byte = value.first(); byte; byte = byte->next()) {
    TRY(const auto number, byte->integer("byte", 0, 255));
    out.push_back(static_cast<std::uint8_t>(number));
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view white = " \t\r\n";
  const auto begin = text.find_first_not_of(white);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(white) - begin + 1);
}

Result<Secret> master_of(std::string_view text) {
  constexpr std::string_view name = "KEYSTORE_MASTER_SECRET=";
  if (text.starts_with(name)) text.remove_prefix(name.size());
  Secret master(keystore::kMasterBytes);
  if (!base::hex_decode_into(text, master.writable())) {
    return Error{Code::malformed, "key file", "ed25519:… of the first generation, or 64 hex digits of a master secret"};
  }
  return master;
}

Result<keystore::Seed> seed_for(const DecryptOptions& options) {
  TRY(const auto accessor, accessor_of(options.what));
  if (accessor.has_value() == !options.seed.empty()) {
    return Error{Code::usage, "what is the secret for?",
                 "one of --repo, --wasm-hash, --project, --payment-key and --seed"};
  }
  if (!accessor) return keystore::Seed::from_text(options.seed);
  TRY(const auto owner, owner_of(options.what));
  return keystore::seed_of(*accessor, owner, profile_of(options.what), {.colons = options.what.colons});
}

/// A keystore says to encrypt the secret anew; here there is none any more, and something else was given than then.
Error does_not_open(const Error& why, const DecryptOptions& options, const std::string& tried) {
  if (why.code != Code::crypto) return why;
  if (tried.empty()) {
    return {Code::wrong_key, options.file + " does not open", "what was encrypted for the key in --key, unchanged",
            "another key, or a secret that was changed",
            "Give the key file of the keystore that it was encrypted for."};
  }
  return {
      Code::wrong_key, options.file + " does not open",
      "the same --repo or other accessor, --branch, --owner, --profile and --epoch as when it was encrypted, and the "
      "--key of that keystore",
      "tried as " + tried + ", epoch " + std::to_string(options.epoch),
      "Compare with what `attestry secret encrypt --format json` or the contract shows of it; nothing was changed."};
}

/// As everywhere: a key that others can read is nobody's secret. Pipes and standard input are nobody else's.
base::Status check_private(const std::string& path) {
  std::error_code unknown;
  const auto status = std::filesystem::status(path, unknown);
  const bool others = (status.permissions() & std::filesystem::perms{077}) != std::filesystem::perms::none;
  if (!std::filesystem::is_regular_file(status) || !others) return base::done();
  return Error{Code::configuration,
               "others can read " + path + ", which holds a key",
               "mode 0600",
               {},
               "Run: chmod 600 " + path};
}

Result<int> decrypt(Context& context, const DecryptOptions& options) {
  TRY(const Bytes text, read_input(context, options.file, kMaxBlobText));
  TRY(const Bytes blob, blob_of(std::string{base::as_text(text)}), "encrypted secret " + options.file);
  TRY_OK(check_private(options.key));
  TRY(const Secret key_file, read_secret(context, options.key, kMaxKeyText, "--key"));
  const std::string_view key = trimmed(base::as_text(key_file.reveal()));
  const keystore::BrokenCiphers allowed{.public_key_as_key = options.public_key_cipher, .xor_v0 = options.xor_cipher};
  if (key.starts_with("ed25519:")) {
    TRY(const auto v0, keystore::V0Key::parse(key), "--key");
    const auto plain = v0.open(blob, allowed);
    if (!plain) return does_not_open(plain.error(), options, "");
    const Secret& plaintext = *plain;
    context.out << base::as_text(plaintext.reveal()) << "\n";
    return kExitOk;
  }
  TRY(const Secret master, master_of(key), "--key");
  TRY(const auto seed, seed_for(options));
  keystore::SealingKeyCache cache{0};
  const auto open = keystore::open_blob({"", master, options.epoch}, seed, blob, allowed, cache);
  if (!open) return does_not_open(open.error(), options, seed.text());
  const auto& opened = *open;
  if (opened.legacy) context.err << "attestry: warning: its key is public: encrypt it anew, and change its values\n";
  context.out << base::as_text(opened.plaintext.reveal()) << "\n";
  return kExitOk;
}

constexpr const char* kEncryptFooter =
    "Examples:\n"
    "  attestry secret encrypt secrets.json --repo github.com/alice/project --owner alice.near \\\n"
    "      --keystore https://keystore.example\n"
    "  attestry secret encrypt --dotenv 'API_KEY=sk-test,MODE=prod' --v0 --pubkey ed25519:…\n"
    "Prints what goes into the contract: base64 for store_secrets, with --v0 an array of bytes for\n"
    "request_execution. Others may see the arguments of a command while it runs: prefer FILE to --dotenv.\n"
    "The keystore is told the names, never the values. Its key is believed as its TLS certificate is (--ca); with\n"
    "--pubkey you have it from elsewhere.";

void add_encrypt(CLI::App& group, Context& context) {
  auto options = std::make_shared<EncryptOptions>();
  auto* command = group.add_subcommand("encrypt", "Encrypt variables of a program for a keystore");
  command->footer(kEncryptFooter);
  command->add_option("FILE", options->file, "a JSON object of strings, or NAME=value,…; - for standard input");
  command->add_option("--dotenv", options->dotenv, "the variables themselves")->type_name("NAME=value,…");
  add_accessor_options(*command, options->what);
  command->add_option("--keystore", options->keystore_url, "ask this keystore for the key")->type_name("URL");
  command->add_option("--ca", options->ca, "PEM certificate to trust for TLS to it")->type_name("FILE");
  command->add_option("--pubkey", options->pubkey, "the key, instead: 64 hex digits, with --v0 also ed25519:…")
      ->type_name("KEY");
  command->add_option("--vault", options->vault, "under the master of this vault")->type_name("ACCOUNT");
  command->add_option("--token-file", options->token_file, "file with the keystore's bearer token, which --vault needs")
      ->type_name("FILE");
  command->add_flag("--v0", options->v0, "for a keystore of the first generation, which has one key for all");
  command->add_option("--format", options->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->callback([options, &context] { finish(context, [&] { return encrypt(context, *options); }); });
}

void add_decrypt(CLI::App& group, Context& context) {
  auto options = std::make_shared<DecryptOptions>();
  auto* command =
      group.add_subcommand("decrypt", "Open what `secret encrypt` made, with the keystore's key: for recovery");
  command->add_option("FILE", options->file, "base64, an array of bytes, or JSON with either; - for standard input")
      ->capture_default_str();
  command
      ->add_option(
          "--key", options->key,
          "file with the keystore's key: 64 hex digits of a master secret, or ed25519:… of the first generation")
      ->type_name("FILE")
      ->required();
  add_accessor_options(*command, options->what);
  command->add_option("--seed", options->seed, "the seed itself, instead")->type_name("TEXT");
  command->add_option("--epoch", options->epoch, "of the master, for blobs that name one")->capture_default_str();
  command->add_flag("--allow-public-key-cipher", options->public_key_cipher,
                    "read blobs of old keystores, whose key is public");
  command->add_flag("--allow-xor", options->xor_cipher, "read XOR of the first generation, which everybody can read");
  command->callback([options, &context] { finish(context, [&] { return decrypt(context, *options); }); });
}

}  // namespace

void add_accessor_options(CLI::App& command, AccessorOptions& options) {
  command.add_option("--repo", options.repo, "repository that the secret is for")->type_name("URL");
  command.add_option("--branch", options.branch, "with --repo: this branch only")->type_name("NAME");
  command.add_option("--wasm-hash", options.wasm_hash, "or the program, by its SHA-256")->type_name("HEX");
  command.add_option("--project", options.project, "or the project")->type_name("OWNER/NAME");
  command.add_option("--payment-key", options.payment_key, "or the payment key of this number")->type_name("NUMBER");
  command.add_option("--owner", options.owner, "NEAR account that owns the secret")->type_name("ACCOUNT");
  command.add_option("--profile", options.profile, "name of the secret among the owner's")->capture_default_str();
  command.add_flag("--seed-colons", options.colons, "take repositories and branches with ':', which may share a key");
}

Result<std::optional<keystore::Accessor>> accessor_of(const AccessorOptions& options) {
  const int given = (options.repo.empty() ? 0 : 1) + (options.wasm_hash.empty() ? 0 : 1) +
                    (options.project.empty() ? 0 : 1) + (options.payment_key.empty() ? 0 : 1);
  if (given > 1) return Error{Code::usage, "one of --repo, --wasm-hash, --project and --payment-key"};
  if (!options.branch.empty() && options.repo.empty()) return Error{Code::usage, "--branch is for --repo"};
  if (given == 0) return std::optional<keystore::Accessor>{};
  TRY_OK(keystore::check_profile(options.profile), "--profile");
  if (!options.repo.empty()) {
    keystore::RepoAccessor out{.repo = keystore::normalise_repo(options.repo), .branch = std::nullopt};
    if (!options.branch.empty()) out.branch = options.branch;
    return std::optional<keystore::Accessor>{std::move(out)};
  }
  if (!options.wasm_hash.empty()) {
    TRY(const Bytes hash, base::hex_decode(options.wasm_hash), "--wasm-hash");
    return std::optional<keystore::Accessor>{keystore::WasmHashAccessor{base::hex(hash)}};
  }
  if (!options.project.empty()) return std::optional<keystore::Accessor>{keystore::ProjectAccessor{options.project}};
  return std::optional<keystore::Accessor>{keystore::PaymentKeyAccessor{}};
}

Result<chain::near::AccountId> owner_of(const AccessorOptions& options) {
  if (options.owner.empty()) return Error{Code::usage, "whose secret is it?", "--owner ACCOUNT"};
  TRY(auto owner, chain::near::AccountId::parse(options.owner), "--owner");
  return owner;
}

const std::string& profile_of(const AccessorOptions& options) {
  return options.payment_key.empty() ? options.profile : options.payment_key;
}

void add_secret_keystore(CLI::App& group, Context& context) {
  add_encrypt(group, context);
  add_decrypt(group, context);
}

}  // namespace attestry::app
