#include "secrets/keystore_ckd.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "attestation/dcap/quote.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/hash.h"

namespace attestry::secrets::keystore {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMostAnswer = 4096;
constexpr std::size_t kMostProposal = 64 * 1024;
/// keystore_ckd.md 7.2(5).
constexpr std::array<std::string_view, 3> kMethods{"request_key", "mark_vault_verified", "ban_vault"};

}  // namespace

CkdQuestion::CkdQuestion(const chain::near::AccountId& account, std::string path, std::uint64_t domain,
                         crypto::Random& random)
    : path_(std::move(path)),
      domain_(domain),
      app_id_(keys::ckd::app_id(account.text(), path_)),
      blinding_(keys::ckd::Blinding::random(random)) {}

std::string CkdQuestion::arguments() const {
  return keys::ckd::MpcRequest{
      .derivation_path = path_, .key = {.pk1 = blinding_.public_key().encode()}, .domain_id = domain_}
      .json();
}

Result<crypto::Secret> CkdQuestion::open(std::string answer, const keys::ckd::MasterPublicKey& network) const {
  TRY(const auto sum, keys::ckd::parse_mpc_answer(std::move(answer)));
  auto opened = blinding_.open(sum, network, keys::ckd::hash_point(network, app_id_));
  if (!opened) {
    return Error{Code::crypto, std::string{kWrongSignature}, "the signature that keystore.mpc_public_key stands for",
                 opened.error().text(),
                 "Compare keystore.mpc_public_key, keystore.mpc_domain and the contract with the network's."};
  }
  return keys::ckd::application_key(*opened);
}

Result<TdMeasurements> TdMeasurements::of_quote(base::ByteView bytes) {
  const auto quote = attestation::dcap::parse_quote(bytes);
  if (!quote) return Error{Code::malformed, "own evidence", quote.error().expected, quote.error().actual};
  if (quote->tee != attestation::dcap::Tee::tdx)
    return Error{Code::malformed, "own evidence", "a TDX quote: the DAO takes no other", "an SGX quote"};
  return TdMeasurements{.mrtd = base::hex(quote->td.mrtd()),
                        .rtmr0 = base::hex(quote->td.rtmr(0)),
                        .rtmr1 = base::hex(quote->td.rtmr(1)),
                        .rtmr2 = base::hex(quote->td.rtmr(2)),
                        .rtmr3 = base::hex(quote->td.rtmr(3))};
}

std::string TdMeasurements::arguments() const {
  return JsonOut{
      JsonOutObject{
          {"measurements",
           JsonOutObject{{"mrtd", mrtd}, {"rtmr0", rtmr0}, {"rtmr1", rtmr1}, {"rtmr2", rtmr2}, {"rtmr3", rtmr3}}}}}
      .compact();
}

std::string TdMeasurements::line() const {
  return "TDX Measurements: MRTD=" + mrtd + ", RTMR0=" + rtmr0 + ", RTMR1=" + rtmr1 + ", RTMR2=" + rtmr2 +
         ", RTMR3=" + rtmr3;
}

base::FixedBytes<64> registration_report_data(const chain::near::PublicKey& key) {
  base::FixedBytes<64> out{};
  const bool fits = key.kind() == chain::near::KeyKind::ed25519;
  const base::Bytes says = fits ? key.bytes() : base::to_bytes(crypto::sha256(key.bytes()));
  std::ranges::copy(says, out.begin());
  return out;
}

base::Bytes no_attestation(const chain::near::PublicKey& key) {
  return base::to_bytes("NO_ATTESTATION:pubkey=" + base::hex(base::ByteView{registration_report_data(key)}.first(32)));
}

std::string registration_arguments(const chain::near::PublicKey& key, base::ByteView evidence) {
  return JsonOut{JsonOutObject{{"public_key", key.text()}, {"tdx_quote_hex", base::hex(evidence)}}}.compact();
}

Result<std::uint64_t> parse_proposal_id(std::string value) {
  TRY(const auto document, base::JsonDocument::parse(std::move(value), {.max_bytes = kMostAnswer}),
      "submit_keystore_registration");
  TRY(const auto id, document->root().integer("proposal", 0, std::numeric_limits<std::int64_t>::max()),
      "submit_keystore_registration");
  return static_cast<std::uint64_t>(id);
}

Result<std::optional<ProposalStatus>> parse_proposal(std::string answer) {
  constexpr std::array<std::pair<std::string_view, ProposalStatus>, 4> kNames{{{"Pending", ProposalStatus::pending},
                                                                               {"Approved", ProposalStatus::approved},
                                                                               {"Rejected", ProposalStatus::rejected},
                                                                               {"Executed", ProposalStatus::executed}}};
  TRY(const auto document, base::JsonDocument::parse(std::move(answer), {.max_bytes = kMostProposal}), "get_proposal");
  if (document->root().is_null()) return std::optional<ProposalStatus>{};
  TRY(const auto member, document->root().get("status"), "get_proposal");
  TRY(const auto text, member.string("status"), "get_proposal");
  const auto found = std::ranges::find(kNames, text, [](const auto& one) { return one.first; });
  if (found != kNames.end()) return std::optional{found->second};
  return Error{Code::malformed, "get_proposal: status", "Pending, Approved, Rejected or Executed", text};
}

Status check_access_key(const chain::near::AccessKey& access, const chain::near::AccountId& dao) {
  using Permission = chain::near::AccessKey::Permission;
  const std::string what = "this keystore's access key on " + dao.text();
  const std::string expected = "calls of " + dao.text() + ": request_key, mark_vault_verified and ban_vault";
  const std::string remedy = "Let the DAO revoke the key and approve this keystore anew.";
  if (access.permission != Permission::function_call)
    return Error{Code::denied, what + " is none for calls of a function", expected, "another permission", remedy};
  if (access.receiver != dao.text())
    return Error{Code::denied, what + " is for another contract", expected, access.receiver, remedy};
  if (access.methods.empty()) return base::done();  // of NEAR: every method
  for (const std::string_view method : kMethods) {
    if (std::ranges::find(access.methods, method) != access.methods.end()) continue;
    return Error{Code::denied, what + " lacks the method " + std::string{method}, expected, {}, remedy};
  }
  return base::done();
}

}  // namespace attestry::secrets::keystore
