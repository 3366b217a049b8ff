#include "provision/registry_channel.h"

#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "base/log.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "crypto/key_pem.h"
#include "curves/eip712.h"
#include "curves/secp256k1.h"
#include "keys/registry_kdf.h"
#include "provision/named_policy.h"
#include "provision/registry_identity.h"
#include "provision/registry_measurements.h"

namespace attestry::provision {

using attestation::VerifiedReport;
using base::Code;
using base::Error;
using base::Result;
using base::Status;
using curves::Address;

namespace {

constexpr std::string_view kVersion = "attestry/onboard/2";
constexpr std::size_t kMasterBytes = 32;
constexpr std::size_t kSaltBytes = 32;
constexpr std::size_t kSignatureBytes = 65;
constexpr std::size_t kMaxPeer = 300;

Status expect_version(base::Reader& in) {
  TRY(const auto version, in.lp("version", kVersion.size()));
  if (base::as_text(version) == kVersion) return base::done();
  return Error{Code::malformed, "version of an onboarding", std::string{kVersion}};
}

Result<crypto::Secret> secret_part(base::Reader& in, std::string_view name, std::size_t size) {
  TRY(const auto bytes, in.lp(name, size));
  if (bytes.size() == size) return crypto::Secret::copy_of(bytes);
  return Error{Code::malformed, std::string{name}, std::to_string(size) + " bytes", std::to_string(bytes.size())};
}

/// By which the master can be known.
Result<base::Digest32> own_key_of(const crypto::Secret& master, const Address& address) {
  TRY(const auto keys, keys::registry_app_keys(master, address));
  return crypto::sha256(keys.app.public_key().spki());
}

struct Identity {
  base::Digest32 known_as{};
  base::Digest32 plain{};
  std::optional<base::Digest32> extended{};
  std::optional<TdxRegister> mrtd{};
};

Result<Identity> identity_of(const VerifiedReport& report, const ChannelGovernance& governance) {
  const auto measurements = measurements_of(report.verdict());
  if (!measurements) return measurements.error();
  Identity out{.plain = measurements->identity(governance.address())};
  out.known_as = out.plain;
  if (measurements->kind == RegistryMeasurements::Kind::dcap) out.mrtd = measurements->mrtd;
  if (const auto facts = tdx_facts(report.verdict(), governance.chain_id, governance.address()))
    out.extended = extended_identity(*facts);
  if (!governance.extended) return out;
  if (!out.extended) return Error{Code::denied, "evidence that extended identities do not cover"};
  out.known_as = *out.extended;
  return out;
}

/// By the policy that the contract has in force, besides the one of the end itself.
Status appraise_by_contract(const ChannelGovernance& governance, const std::optional<base::Digest32>& digest,
                            const VerifiedReport& report) {
  if (!digest) return base::done();
  TRY(const auto policy, named_policy(*governance.policies, governance.tenant, *digest, "key service"));
  attestation::Verdict verdict = report.verdict();
  TRY_OK(attestation::appraise_report_data(policy, verdict, report.report_data()),
         "policy of the key service's contract");
  return base::done();
}

Result<Address> operator_of(const ChannelPermit& permit, const ChannelGovernance& governance) {
  const auto digest =
      channel_permit_digest(governance.chain_id, governance.address(), permit.process_nonce, permit.peer);
  TRY(const auto key, curves::secp256k1_recover(digest, permit.signature), "permit");
  return curves::ethereum_address(key);
}

}  // namespace

base::Digest32 channel_permit_digest(std::uint64_t chain_id, const Address& kms_contract,
                                     const base::Digest32& process_nonce, std::string_view peer) {
  const auto domain = curves::eip712_domain_separator(
      {.name = "attestry", .version = "1", .chain_id = chain_id, .verifying_contract = kms_contract});
  curves::Eip712Struct permit("OnboardByChannel(bytes32 nonce,string peer)");
  permit.bytes32(process_nonce).string(peer);
  return curves::eip712_digest(domain, permit.hash());
}

Result<ChannelPermit> parse_channel_permit(std::string_view text, const base::Digest32& process_nonce) {
  const auto space = text.find(' ');
  if (space == 0 || space == std::string_view::npos || space > kMaxPeer)
    return Error{Code::malformed, "permit", "HOST:PORT and a signature", std::string{text.substr(0, kMaxPeer)}};
  ChannelPermit out{.process_nonce = process_nonce, .peer = std::string{text.substr(0, space)}, .signature = {}};
  TRY(out.signature, base::hex_decode(text.substr(space + 1)), "signature");
  if (out.signature.size() == kSignatureBytes) return out;
  return Error{Code::malformed, "signature", "65 bytes", std::to_string(out.signature.size())};
}

base::Bytes encode(const ChannelRequest& request) {
  base::LpWriter out;
  out.lp(kVersion);
  if (request.permit) {
    out.lp(base::ByteView{request.permit->process_nonce}).lp(request.permit->peer).lp(request.permit->signature);
  } else {
    out.u32(0).u32(0).u32(0);
  }
  return std::move(out).take();
}

Result<ChannelRequest> parse_channel_request(base::ByteView data) {
  base::Reader in(data);
  TRY_OK(expect_version(in));
  ChannelPermit permit;
  TRY(const auto nonce, in.lp("process nonce", permit.process_nonce.size()));
  TRY(const auto peer, in.lp("peer", kMaxPeer));
  TRY(const auto signature, in.lp("signature", kSignatureBytes));
  TRY_OK(in.finish("onboarding request"));
  if (nonce.empty() && peer.empty() && signature.empty()) return ChannelRequest{};
  if (nonce.size() != permit.process_nonce.size() || signature.size() != kSignatureBytes)
    return Error{Code::malformed, "permit of an onboarding", "nonce of 32 bytes, signature of 65"};
  std::ranges::copy(nonce, permit.process_nonce.begin());
  permit.peer = std::string{base::as_text(peer)};
  permit.signature = base::to_bytes(signature);
  return ChannelRequest{.permit = std::move(permit)};
}

crypto::Secret encode(const ChannelAnswer& answer) {
  base::LpWriter front;
  front.lp(kVersion).lp(answer.salt.reveal()).u32(static_cast<std::uint32_t>(answer.master.size()));
  crypto::Secret out(front.bytes().size() + answer.master.size());
  const auto rest = std::ranges::copy(front.bytes(), out.writable().begin()).out;
  std::ranges::copy(answer.master.reveal(), rest);
  return out;
}

Result<ChannelAnswer> parse_channel_answer(base::ByteView data) {
  base::Reader in(data);
  TRY_OK(expect_version(in));
  ChannelAnswer out;
  TRY(out.salt, secret_part(in, "salt", kSaltBytes));
  TRY(out.master, secret_part(in, "master", kMasterBytes));
  TRY_OK(in.finish("onboarding answer"));
  return out;
}

channel::End channel_end(const ChannelEndDeps& deps, std::string audience) {
  channel::End out;
  out.audience = std::move(audience);
  out.realm = deps.realm;
  out.clock = &deps.clock;
  out.attest = [attester = deps.attester](const base::FixedBytes<64>& data) -> Result<attestation::Evidence> {
    if (attester != nullptr) return attester->attest(data);
    return Error{Code::configuration, "this server makes no evidence", "registry.attestation", "none"};
  };
  out.verify = [&appraiser = deps.appraiser, policy = deps.policy, &clock = deps.clock](
                   const attestation::Evidence& evidence, const base::FixedBytes<64>& report_data,
                   base::Deadline deadline) -> Result<VerifiedReport> {
    const auto now = clock.now();
    TRY(auto verdict, appraiser.verify(evidence, now, now, deadline));
    return attestation::appraise_report_data(policy, verdict, report_data);
  };
  return out;
}

std::string channel_audience(const ChannelGovernance& governance, const base::Digest32& key_sha256) {
  if (governance.contract == nullptr) return "key:" + base::hex(key_sha256);
  return governance::contract_app(governance.chain_id, governance.address()).text();
}

Result<base::Digest32> ChannelGiver::own_key() const {
  TRY(const auto master, deps_.master.master(), "master key");
  return own_key_of(master, deps_.governance.address());
}

Result<channel::End> ChannelGiver::end() const {
  TRY(const auto own, own_key());
  return channel_end(deps_.end, channel_audience(deps_.governance, own));
}

Result<governance::ServerGrant> ChannelGiver::allow_by_contract(const VerifiedReport& report,
                                                                const ChannelRequest& request,
                                                                base::Deadline deadline) const {
  if (!request.permit) {
    return Error{Code::denied, "no operator of the key service has signed for this server", "a permit", "none",
                 "attestry kms onboard --channel"};
  }
  TRY(const auto account, operator_of(*request.permit, deps_.governance));
  TRY(const auto identity, identity_of(report, deps_.governance));
  TRY(const auto approval, deps_.governance.contract->server(identity.known_as, account, deadline));
  TRY_OK(appraise_by_contract(deps_.governance, approval.policy(), report));
  return governance::authorize_server(report, approval, deps_.store.realm(), deps_.store.now());
}

Result<governance::ServerGrant> ChannelGiver::allow_by_approvals(const VerifiedReport& report,
                                                                 base::Deadline deadline) const {
  TRY(const auto identity, identity_of(report, deps_.governance));
  governance::ContractQuestion question{.tenant = deps_.governance.tenant,
                                        .contract = deps_.governance.address(),
                                        .identity = identity.plain,
                                        .extended = identity.extended,
                                        .operator_address = {},
                                        .mrtd = identity.mrtd,
                                        .verdict = &report.verdict()};
  TRY(auto approval, deps_.governance.approvals->decide(question, deadline), "the key service's own app");
  return governance::authorize_server(report, identity.known_as, std::move(approval), deps_.store.realm(),
                                      deps_.store.now());
}

Result<governance::ServerGrant> ChannelGiver::allow(const VerifiedReport& report, const ChannelRequest& request,
                                                    base::Deadline deadline) const {
  TRY_OK(firmware_is_covered(deps_.end.policy, deps_.governance.extended));
  if (deps_.governance.contract != nullptr) return allow_by_contract(report, request, deadline);
  return allow_by_approvals(report, deadline);
}

Status ChannelGiver::log(const governance::ServerGrant& grant, const crypto::Secret& salt, const crypto::Secret& answer,
                         base::Deadline deadline) const {
  audit::Leaf leaf;
  leaf.type = "release.onboard";
  leaf.realm = deps_.store.realm();
  leaf.audience = deps_.log.origin();
  leaf.tenant = deps_.governance.tenant;
  leaf.app = governance::contract_app(deps_.governance.chain_id, deps_.governance.address()).text();
  leaf.time = deps_.store.now();
  leaf.binding = base::hex(grant.report_data());
  leaf.policy = base::hex(grant.policy_sha256());
  leaf.governance = audit::commitment(salt, "governance", base::as_bytes(grant.snapshot()));
  leaf.outputs["identity"] = audit::commitment(salt, "identity", grant.identity());
  if (const auto& policy = grant.service_policy())
    leaf.outputs["policy/service"] = audit::commitment(salt, "policy/service", *policy);
  leaf.reply = base::hex(crypto::sha256(answer.reveal()));
  return deps_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        if (grant.approval()) TRY_OK(deps_.governance.approvals->still_holds(txn, *grant.approval()));
        if (grant.asked()) TRY_OK(deps_.governance.contract->still_holds(*grant.asked()));
        TRY([[maybe_unused]] const auto index, deps_.log.append(txn, leaf));
        return base::done();
      },
      deadline);
}

Status ChannelGiver::give(channel::Session& session, base::Deadline deadline) const {
  TRY(const auto data, session.receive(deadline));
  TRY(const auto request, parse_channel_request(data.reveal()));
  TRY_OK(deps_.store.clock_usable());
  TRY(const auto grant, allow(session.peer(), request, deadline));
  ChannelAnswer answer{.salt = deps_.random.secret(kSaltBytes), .master = {}};
  TRY(answer.master, deps_.master.master(), "master key");
  const auto bytes = encode(answer);
  TRY_OK(log(grant, answer.salt, bytes, deadline));
  TRY_OK(session.send(bytes.reveal(), deadline));
  base::log(base::LogLevel::info, "another server has the key service's master now",
            {{"identity", base::hex(grant.identity())}, {"binding", base::hex(grant.report_data())}});
  return base::done();
}

void ChannelGiver::serve(channel::Session session, base::Deadline deadline) const {
  const auto given = give(session, deadline);
  if (given) return;
  base::log(base::LogLevel::warning, "another server does not get the master", {{"reason", given.error().text()}});
  session.refuse(given.error(), deadline);
}

/// Digest of the key that the contract's owner has published, or that this server's settings name.
Result<base::Digest32> ChannelReceiver::expected_key(base::Deadline deadline) const {
  if (deps_.governance.contract == nullptr) return deps_.key_sha256;
  TRY(const auto published, deps_.governance.contract->known_key(deadline));
  TRY(const auto key, crypto::ec_public_key_from_pem(published), "published key");
  return crypto::sha256(key.spki());
}

/// Where this server's policy names no servers, the contract does, for its operator.
Result<std::optional<base::Digest32>> ChannelReceiver::allow_giver(const VerifiedReport& report,
                                                                   const std::optional<ChannelPermit>& permit,
                                                                   base::Deadline deadline) const {
  auto& contract = *deps_.governance.contract;
  if (deps_.end.policy.rules().require_identity) return contract.policy(deadline);
  TRY(const auto account, operator_of(*permit, deps_.governance));
  TRY(const auto identity, identity_of(report, deps_.governance));
  TRY(const auto approval, contract.server(identity.known_as, account, deadline));
  return approval.policy();
}

/// What the contract demands of a server that gets the master it demands of the one that gives it, too.
Status ChannelReceiver::check_giver(const VerifiedReport& report, const std::optional<ChannelPermit>& permit,
                                    base::Deadline deadline) const {
  TRY_OK(firmware_is_covered(deps_.end.policy, deps_.governance.extended));
  const bool asks = deps_.governance.contract != nullptr;
  if (!deps_.end.policy.rules().require_identity && !(asks && permit)) {
    return Error{Code::configuration, "this server cannot tell which software gives it the master",
                 "identities in registry.policy", "none"};
  }
  if (!asks) return base::done();
  TRY(const auto policy, allow_giver(report, permit, deadline), "the giving server");
  TRY_OK(appraise_by_contract(deps_.governance, policy, report), "the giving server");
  return base::done();
}

Result<Address> ChannelReceiver::signer(const ChannelPermit& permit) const {
  return operator_of(permit, deps_.governance);
}

Status ChannelReceiver::fetch(const std::string& peer, std::optional<ChannelPermit> permit, base::Deadline deadline) {
  if (deps_.master.has()) return Error{Code::conflict, "this server has a master key already"};
  TRY_OK(firmware_is_covered(deps_.end.policy, deps_.governance.extended));
  TRY(const auto expected, expected_key(deadline));
  auto end = channel_end(deps_.end, channel_audience(deps_.governance, expected));
  end.stop = deps_.stop;
  TRY(auto session, channel::Session::connect(peer, end, deadline), "channel to " + peer);
  if (auto good = check_giver(session.peer(), permit, deadline); !good) {
    session.refuse(good.error(), deadline);
    return good;
  }
  TRY_OK(session.send(encode(ChannelRequest{.permit = std::move(permit)}), deadline));
  TRY(const auto data, session.receive(deadline), "channel to " + peer);
  TRY(auto answer, parse_channel_answer(data.reveal()));
  TRY(const auto found, own_key_of(answer.master, deps_.governance.address()));
  // Whoever knows a master knows every app's keys from then on: only the service's own will do.
  if (found != expected) {
    return Error{Code::denied, "the master that came is not the key service's", base::hex(expected), base::hex(found),
                 "Nothing was kept. Look who answered for the giving server."};
  }
  TRY_OK(deps_.master.set(std::move(answer.master), deadline));
  base::log(base::LogLevel::info, "this server has the key service's master now",
            {{"how", "channel"}, {"peer", peer}, {"binding", base::hex(session.own_report_data())}});
  return base::done();
}

}  // namespace attestry::provision
