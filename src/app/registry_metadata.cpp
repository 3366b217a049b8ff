#include "app/registry_metadata.h"

#include <algorithm>
#include <sstream>

#include "attestation/verdict.h"
#include "base/encoding.h"
#include "base/json.h"
#include "provision/registry_pki.h"

namespace attestry::app {

using base::Bytes;
using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMaxAnswer = 1u << 20;

Result<Bytes> member(const base::JsonValue& answer, std::string_view name) {
  TRY(const auto value, answer.get(name));
  TRY(const std::string text, value.string(name));
  TRY(Bytes bytes, base::base64_decode(text), name);
  return bytes;
}

Result<RegistryMetadata> parse(std::string_view body) {
  TRY(const auto document, base::JsonDocument::parse(std::string{body}, {.max_bytes = kMaxAnswer}));
  const base::JsonValue root = document->root();
  TRY(const Bytes ca, member(root, "ca_cert"));
  TRY(const Bytes key, member(root, "app_pubkey"));
  // Older registries spell it so.
  TRY(Bytes attestation, member(root, root.find("attestation") ? "attestation" : "attestaion"));
  return RegistryMetadata{std::string{base::as_text(ca)}, std::string{base::as_text(key)}, std::move(attestation)};
}

}  // namespace

Result<RegistryMetadata> fetch_registry_metadata(net::HttpTransport& http, const std::string& server,
                                                 const curves::Address& contract, base::Deadline deadline) {
  std::string url = server;
  while (url.ends_with('/')) url.pop_back();
  for (const std::string_view route : {"/api/public/pki/", "/api/public/app_metadata/"}) {
    const std::string whole = url + std::string{route} + curves::address_hex(contract);
    TRY(const net::Response answer, http.send({.url = whole, .deadline = deadline, .max_bytes = kMaxAnswer}),
        "--server");
    if (answer.status == 404) continue;
    if (answer.status == 200) {
      TRY(auto metadata, parse(answer.body), whole);
      return metadata;
    }
    const auto line = answer.body.substr(0, std::min<std::size_t>(answer.body.find('\n'), 200));
    return Error{answer.status < 500 ? Code::denied : Code::unavailable, "the registry gives no key of this app", "200",
                 std::to_string(answer.status) + " " + line, "Check the address and the registry's log."};
  }
  return Error{Code::not_found, "this server is no registry", "an answer at /api/public/pki/ADDRESS", "404 from " + url,
               "Check --server."};
}

Result<JudgedEvidence> judge_bytes(Context& context, VerifyInputs inputs, base::ByteView evidence,
                                   const std::string& report_data) {
  std::istringstream stream{std::string{base::as_text(evidence)}};
  Context with_evidence{.clock = context.clock, .in = stream, .out = context.out, .err = context.err};
  inputs.evidence = "-";
  if (!report_data.empty()) inputs.report_data = report_data;
  TRY(JudgedEvidence judged, judge_evidence(with_evidence, inputs));
  if (judged.verdict.outcome == attestation::Outcome::accepted) return judged;
  const auto* cause = judged.verdict.root_cause();
  Error error{judged.verdict.outcome == attestation::Outcome::refused ? Code::evidence_false : Code::collateral_missing,
              "the evidence is not accepted"};
  if (cause != nullptr) {
    error.what += ": " + std::string{attestation::info(cause->check).id} + " failed";
    error.expected = cause->expected;
    error.found = cause->actual;
    if (!cause->detail.empty()) error.found += error.found.empty() ? cause->detail : " (" + cause->detail + ")";
    error.remedy = "`attestry checks show " + std::string{attestation::info(cause->check).id} + "` explains the check.";
  }
  return error;
}

base::Status check_registry_metadata(Context& context, VerifyInputs inputs, const curves::Address& contract,
                                     const RegistryMetadata& metadata) {
  if (inputs.policy.empty()) {
    return Error{Code::usage, "who may hold the app's key?", "--policy FILE with the measurements of the registry",
                 "no policy"};
  }
  if (base::as_text(metadata.attestation).starts_with("Attestation for CA ")) {
    return Error{
        Code::evidence_false, "the registry's key is not verified", "evidence of a TEE", "a dummy attestation",
        "This registry runs outside of a TEE; pin its key where the command can, or name --unverified for a test."};
  }
  const auto expected = base::hex(provision::pki_report_data(contract, metadata.ca_pem, metadata.pubkey_pem));
  auto judged = judge_bytes(context, std::move(inputs), metadata.attestation, expected);
  if (judged) return base::done();
  Error error = std::move(judged).error();
  error.what = "the registry's key is not verified: " + error.what;
  return error;
}

}  // namespace attestry::app
