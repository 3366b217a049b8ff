// `attestry registry csr` and `attestry operator sign-csr|sign-pubkey`: a workload's certificate request with what a
// registry wants to find in it, and the signature of the operator who started the workload.
#include <CLI/CLI.hpp>
#include <chrono>
#include <ostream>

#include "app/admin_client.h"
#include "app/cli.h"
#include "app/cmd_registry_csr.h"
#include "app/evidence_files.h"
#include "app/registry_chain.h"
#include "app/typed_text.h"
#include "attestation/key_binding.h"
#include "attestation/maa/claims.h"
#include "attestation/maa/jwt.h"
#include "attestation/verifier.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "crypto/random.h"
#include "crypto/x509.h"
#include "provision/registry_operator.h"
#include "provision/registry_pki.h"

namespace attestry::app {
namespace {

using base::Bytes;
using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;

constexpr std::size_t kMaxFile = 1u << 20;
constexpr std::size_t kDigest = 32;
/// Where the old command looked for the key when nothing else was said.
constexpr const char* kOldKeyVariable = "OPERATOR_PRIVKEY";
constexpr std::chrono::seconds kTime{30};

/// Who signs, in which form, and for how long a signature of the second form holds.
struct Signing {
  std::string key_file;
  std::string key_env;
  std::string version = "v2";
  std::string contract;
  std::uint64_t chain_id = 0;
  std::int64_t seconds = 3600;
};

void add_signing(CLI::App& command, Signing& signing, const char* key, const char* version) {
  auto* file = command.add_option(key, signing.key_file, "file of mode 0600 with the operator's key as 64 hex digits");
  file->type_name("FILE");
  command.add_option("--key-env", signing.key_env, "or the variable of the environment that holds it")
      ->type_name("NAME")
      ->excludes(file);
  command
      .add_option(version, signing.version,
                  "v2 is bound to contract, chain, use and time; v1, of the first registries, to the key alone")
      ->check(CLI::IsMember({"v1", "v2"}))
      ->capture_default_str();
  command.add_option("--chain-id", signing.chain_id, "of v2: chain of the contract")->envname("ATTESTRY_CHAIN_ID");
  command.add_option("--valid", signing.seconds, "of v2: seconds from now on")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
}

Result<Bytes> sign_key(Context& context, const Signing& signing, base::ByteView spki) {
  TRY(const auto key, read_chain_key(signing.key_file, signing.key_env), "the operator's key");
  if (signing.version == "v1") return provision::sign_operator_v1(key, spki, provision::OperatorDigest::sha256);
  if (signing.chain_id == 0) return Error{Code::usage, "a signature is bound to a chain: --chain-id"};
  provision::OperatorStatement statement{.chain_id = signing.chain_id, .use = "instance"};
  TRY(statement.contract, typed_address(signing.contract), "--contract");
  statement.not_before = context.clock.now();
  statement.not_after = statement.not_before + signing.seconds;
  return provision::sign_operator_v2(key, spki, statement);
}

struct CsrOptions {
  Signing signing;
  std::string key_out = "key.pem";
  std::string key_in;
  std::string out = "csr.pem";
  std::string evidence;
  std::vector<std::string> names;
};

Result<crypto::EcPrivateKey> key_of(const CsrOptions& options) {
  if (options.key_in.empty()) {
    auto key = crypto::EcPrivateKey::generate(crypto::Curve::p256, crypto::system_random());
    TRY_OK(write_once(options.key_out, base::pem_encode("PRIVATE KEY", key.pkcs8().reveal())), "--key-out");
    return key;
  }
  TRY(const auto text, read_whole(options.key_in), "--tls-key");
  TRY(const auto blocks, base::pem_decode(text), "--tls-key");
  if (blocks.size() != 1) return Error{Code::malformed, "--tls-key: one PEM block"};
  return crypto::EcPrivateKey::from_pkcs8(blocks[0].der);
}

Error no_evidence() {
  return {Code::usage, "--evidence-extension: this is no quote", "a TDX quote, or a token of type tdxvm",
          "something else"};
}

/// The report data of a token, from the only type that registries take.
Result<Bytes> told_by(base::ByteView token) {
  namespace maa = attestation::maa;
  TRY(const auto jws, maa::parse_jws(base::as_text(token)), "--evidence-extension");
  TRY(const auto claims, maa::parse_claims(jws.payload), "--evidence-extension");
  const auto type = claims->root().find(maa::kTypeClaim);
  const auto data = claims->root().find("tdx_report_data");
  if (!type || type->plain_string() != std::string_view{"tdxvm"}) {
    return Error{Code::usage, "a registry does not know this token's machine", "a token of type tdxvm",
                 type ? std::string{type->source()} : "a token without a type",
                 "Azure's guests register through a proxy: docs/how-to/run-a-registry.md."};
  }
  const auto digits = data ? data->plain_string() : std::nullopt;
  if (!digits) return Error{Code::usage, "the token has no report data", "tdx_report_data", "none"};
  return base::hex_decode(*digits);
}

/// The same of a quote.
Result<Bytes> quoted_by(Context& context, const attestation::Evidence& evidence) {
  const attestation::Verifier verifier{attestation::TrustAnchors::production()};
  TRY(auto verdict, verifier.verify(evidence, *attestation::Collateral::none(), context.clock.now()));
  if (verdict.report_data.empty()) return no_evidence();
  return std::move(verdict.report_data);
}

/// What the evidence says, whoever signed it: a registry that gets it with another key refuses it, and by then the
/// evidence may be used up.
base::Status check_binding(Context& context, const attestation::Evidence& evidence, base::ByteView spki) {
  const bool token = evidence.format == attestation::EvidenceFormat::maa_token;
  TRY(const Bytes carried, token ? told_by(evidence.bytes) : quoted_by(context, evidence));
  const auto expected = attestation::key_report_data(spki);
  if (base::equal(carried, expected)) return base::done();
  return Error{Code::evidence_false, "the evidence was made for another key", base::hex(expected), base::hex(carried),
               "Give the key that it was made for with --tls-key, or make evidence that carries the expected data."};
}

/// Evidence has to bind the key, so the key comes first: without --evidence-extension this says what it must carry.
Result<int> csr(Context& context, const CsrOptions& options) {
  TRY(const auto contract, typed_address(options.signing.contract), "--contract");
  TRY(const auto key, key_of(options));
  const Bytes spki = base::to_bytes(key.public_key().spki());
  std::optional<attestation::Evidence> evidence;
  if (!options.evidence.empty()) {
    TRY(evidence, read_evidence(context, options.evidence), "--evidence-extension");
    TRY_OK(check_binding(context, *evidence, spki));
  }
  crypto::CsrSpec spec{.subject = {{"2.5.4.3", provision::registry_app_name(contract), false}},
                       .dns = options.names,
                       .ips = {},
                       .extensions = {}};
  if (evidence) {
    const bool token = evidence->format == attestation::EvidenceFormat::maa_token;
    const auto oid = token ? provision::kMaaEvidenceOid : provision::kDcapEvidenceOid;
    spec.extensions.push_back({std::string{oid}, false, std::move(evidence->bytes)});
  }
  if (!options.signing.key_file.empty() || !options.signing.key_env.empty()) {
    TRY(auto signature, sign_key(context, options.signing, spki));
    spec.extensions.push_back({std::string{provision::kOperatorSignatureOid}, false, std::move(signature)});
  }
  TRY(const Bytes der, crypto::make_csr(spec, key));
  TRY_OK(write_once(options.out, base::pem_encode("CERTIFICATE REQUEST", der)), "--out");
  context.out << base::hex(attestation::key_report_data(spki)) << "\n";
  context.err << "  request         " << options.out << "\n  key             "
              << (options.key_in.empty() ? options.key_out : options.key_in)
              << "\n  above           report data that the evidence must carry\n";
  return kExitOk;
}

struct SignOptions {
  Signing signing;
  std::string file;
  std::string instance = "https://127.0.0.1:8082";
  std::string request;  ///< file: whose key the instance has to show
  bool blind = false;
  std::string ca;
};

/// The request stays as it is: its owner puts the extension's contents into the one that he sends.
Result<int> sign_csr(Context& context, const SignOptions& options) {
  TRY(const Bytes file, read_input(context, options.file, kMaxFile));
  TRY(const auto request, crypto::parse_csr_full(file), options.file);
  TRY(const Bytes signature, sign_key(context, options.signing, request.spki));
  context.out
      << JsonOut{JsonOutObject{{"oid", provision::kOperatorSignatureOid}, {"value", base::hex(signature)}}}.pretty()
      << "\n";
  return kExitOk;
}

/// What the instance shows is a digest of the first form: 32 bytes that say nothing, and may as well be a transaction
/// or an approval of the same account. So it is signed only when it is the digest of a key that the operator knows.
base::Status check_shown(Context& context, const SignOptions& options, base::ByteView shown) {
  if (options.blind) return base::done();
  if (options.request.empty()) {
    return Error{Code::usage, "sign-pubkey signs what it is shown", "--csr FILE with the instance's request",
                 base::hex(shown),
                 "32 bytes can be anything: a transaction of this account, or an approval. Give the request that the "
                 "instance made, or say --blind if this account has no rights but to start instances."};
  }
  TRY(const Bytes file, read_input(context, options.request, kMaxFile));
  TRY(const auto request, crypto::parse_csr_full(file), options.request);
  for (const auto kind : {provision::OperatorDigest::sha256, provision::OperatorDigest::keccak256}) {
    if (base::equal(provision::operator_digest(request.spki, kind), shown)) return base::done();
  }
  return Error{Code::denied, "the instance shows the digest of another key",
               base::hex(provision::operator_digest(request.spki, provision::OperatorDigest::sha256)), base::hex(shown),
               "Nothing was signed. Take the request from the instance again, by a way that you trust."};
}

Result<int> sign_pubkey(Context& context, const SignOptions& options) {
  const bool named = !options.signing.key_file.empty() || !options.signing.key_env.empty();
  TRY(const auto key, read_chain_key(options.signing.key_file, named ? options.signing.key_env : kOldKeyVariable));
  TRY(const auto http, net::HttpClient::make({.ca_file = options.ca}), "--ca");
  const auto deadline = std::chrono::steady_clock::now() + kTime;
  std::string url = options.instance;
  while (url.ends_with('/')) url.pop_back();
  TRY(const auto shown, http->get(url + "/instance_pubkey", deadline), "--instance-addr");
  if (shown.status != 200 || shown.body.size() != kDigest) {
    return Error{Code::malformed, "the instance shows no key", "200 and 32 bytes",
                 std::to_string(shown.status) + " and " + std::to_string(shown.body.size()) + " bytes"};
  }
  TRY_OK(check_shown(context, options, base::as_bytes(shown.body)));
  TRY(const auto signature, key.sign_recoverable(base::as_bytes(shown.body)));
  TRY(const auto answer, http->post(url + "/pubkey_signature", std::string{base::as_text(signature)},
                                    "application/octet-stream", deadline));
  if (answer.status != 200) {
    return Error{Code::denied, "the instance does not take the signature", "200",
                 std::to_string(answer.status) + " " + answer.body.substr(0, 200)};
  }
  context.out << "address    " << curves::address_checksum_text(curves::ethereum_address(key.public_key_raw()))
              << "\nmessage    " << base::hex(base::as_bytes(shown.body)) << "\nsignature  " << base::hex(signature)
              << "\n";
  return kExitOk;
}

}  // namespace

void add_registry_csr(CLI::App& group, Context& context) {
  auto options = std::make_shared<CsrOptions>();
  auto* command = group.add_subcommand("csr", "A workload's key and certificate request, as a registry wants it");
  command->add_option("--contract,--app-contract", options->signing.contract, "address of the app's contract")
      ->envname("ATTESTRY_CONTRACT")
      ->required();
  command
      ->add_option("--evidence-extension", options->evidence,
                   "quote or token (tdxvm) that binds the key (made for --tls-key)")
      ->type_name("FILE");
  command->add_option("--name", options->names, "DNS name; may be given again")->allow_extra_args(false);
  command->add_option("--out", options->out, "where the request goes")->capture_default_str();
  auto* out = command->add_option("--key-out", options->key_out, "where the new key goes")->capture_default_str();
  command->add_option("--tls-key", options->key_in, "take this key instead (PEM, PKCS #8)")
      ->type_name("FILE")
      ->excludes(out);
  add_signing(*command, options->signing, "--operator-key", "--operator-signature");
  command->callback([options, &context] { finish(context, [&] { return csr(context, *options); }); });
}

void add_operator_signing(CLI::App& app, Context& context) {
  auto* group = app.get_subcommand("operator");
  auto request = std::make_shared<SignOptions>();
  auto* sign = group->add_subcommand("sign-csr", "Sign the key of a workload's certificate request, for a registry");
  sign->add_option("FILE", request->file, "the request, or - for standard input")->required();
  sign->add_option("--contract,--app-contract", request->signing.contract, "of v2: address of the app's contract")
      ->envname("ATTESTRY_CONTRACT");
  add_signing(*sign, request->signing, "--key", "--operator-signature");
  sign->callback([request, &context] { finish(context, [&] { return sign_csr(context, *request); }); });

  auto waiting = std::make_shared<SignOptions>();
  auto* pubkey = group->add_subcommand("sign-pubkey", "Sign the key that a waiting instance shows, and hand it over");
  pubkey->add_option("--instance-addr", waiting->instance, "the instance")->capture_default_str();
  auto* own = pubkey->add_option("--csr", waiting->request, "the instance's request: nothing else is signed");
  own->type_name("FILE");
  pubkey->add_flag("--blind", waiting->blind, "sign whatever it shows, even a transaction of this account")
      ->excludes(own);
  pubkey->add_option("--ca", waiting->ca, "PEM certificate to trust for TLS to it")->type_name("FILE");
  auto* file = pubkey->add_option("--key", waiting->signing.key_file, "file of mode 0600 with the operator's key");
  file->type_name("FILE");
  pubkey->add_option("--key-env", waiting->signing.key_env, "or the variable of the environment that holds it")
      ->type_name("NAME")
      ->excludes(file);
  refuse_key_argument(*pubkey, "--privkey");
  pubkey->footer("The key is a file of mode 0600, a variable of the environment (--key-env), or OPERATOR_PRIVKEY.");
  pubkey->callback([waiting, &context] { finish(context, [&] { return sign_pubkey(context, *waiting); }); });
}

}  // namespace attestry::app
