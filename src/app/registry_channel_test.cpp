// Two servers of one key service with forged evidence, and a contract that says what such a server has to be:
// provision itself may not use the forge.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestation/verifier.h"
#include "base/encoding.h"
#include "channel/server.h"
#include "collateral/bundle.h"
#include "collateral/fixed_source.h"
#include "curves/secp256k1.h"
#include "forge/attester.h"
#include "forge/scenario.h"
#include "governance/testing/kms_chain.h"
#include "governance/testing/support.h"
#include "keys/registry_kdf.h"
#include "provision/registry_channel.h"
#include "provision/registry_identity.h"
#include "provision/registry_measurements.h"
#include "provision/registry_pki.h"

namespace attestry::provision {
namespace {

using base::Code;
using governance::testing::House;
using governance::testing::kKms;
using governance::testing::kTime;
using governance::testing::patient;
using ::testing::HasSubstr;

constexpr std::uint64_t kChainId = 31337;
crypto::Secret secret_of(std::uint8_t byte) { return crypto::Secret::copy_of(base::Bytes(32, byte)); }

/// Two machines that differ in RTMR3 alone, which no identity covers.
forge::QuoteSpec machine(const forge::ForgePki& pki, std::uint8_t digit) {
  auto out = forge::default_quote(pki, forge::QuoteKind::tdx_v4);
  out.td.rtmr[3].fill(digit);
  return out;
}

/// Of servers with that firmware, and `whole`: of that machine alone.
std::string policy_of(const forge::QuoteSpec& quote, bool whole = false) {
  const std::string rtmr3 = whole ? R"(,"rtmr3":[")" + base::hex(quote.td.rtmr[3]) + R"("])" : std::string{};
  return R"({"format":1,"name":"servers","identities":[{"name":"servers","claims":{"mrtd":[")" +
         base::hex(quote.td.mr_td) + R"("])" + rtmr3 + "}}]}";
}

class TwoServers : public ::testing::Test {
 protected:
  TwoServers() {
    const auto forged = forge::make_collateral(pki, forge::default_collateral(true, kTime));
    source.collateral = collateral::read_bundle(base::as_bytes(forged->json()), "forge").collateral();
    chain.operators = {curves::ethereum_address(alice.public_key_raw())};
    chain.identities = {dcap_identity(kKms, old.td.rtmr[0], old.td.rtmr[1], old.td.rtmr[2])};
    const auto keys = keys::registry_app_keys(secret_of(7), kKms);
    chain.pki.pubkey = base::to_bytes(base::as_bytes(registry_app_pubkey_pem(*keys)));
    channel::ServerOptions options;
    options.address = "127.0.0.1:0";
    options.end = [this] { return giver.end(); };
    options.serve = [this](channel::Session session, base::Deadline deadline) {
      giver.serve(std::move(session), deadline);
    };
    server = channel::Server::start(std::move(options)).value();
  }

  /// Only the contract says what a server is when `named` is false.
  base::Status fetch(bool named = true) {
    ChannelPermit permit{.process_nonce = {}, .peer = server->address(), .signature = {}};
    const auto signature = alice.sign_recoverable(channel_permit_digest(kChainId, kKms, {}, permit.peer));
    permit.signature = base::to_bytes(base::ByteView{*signature});
    auto end = end_of(attester_new);
    if (!named) end.policy = attestation::Policy::genuine();
    ChannelReceiver receiver{{.master = *master, .end = end, .governance = governance_of(receiving, !named)}};
    return receiver.fetch(permit.peer, permit, patient());
  }
  void in_force(std::string_view policy) {
    chain.policy = {};
    for (House* house : {&giving, &receiving})
      EXPECT_TRUE(base::hex_decode_into(house->blob(policy), chain.policy).ok());
  }

  ChannelEndDeps end_of(attestation::Attester& attester) {
    return {.appraiser = appraiser,
            .attester = &attester,
            .policy = *attestation::Policy::parse(policy_of(old)),
            .realm = base::Realm::simulated,
            .clock = giving.clock};
  }
  ChannelGovernance governance_of(const House& house, bool extended = false) {
    return {.contract = &contract, .policies = house.registry.get(), .chain_id = kChainId, .extended = extended};
  }
  struct Source final : collateral::CollateralSource {
    base::Result<std::shared_ptr<const attestation::Collateral>> collateral_for(const attestation::Evidence&,
                                                                                base::UtcTime,
                                                                                base::Deadline) override {
      return collateral;
    }
    std::shared_ptr<const attestation::Collateral> collateral;
  };

  forge::ForgePki pki = *forge::ForgePki::make(base::as_bytes("channel test"));
  forge::QuoteSpec old = machine(pki, 1), next = machine(pki, 2);
  forge::ForgeAttester attester_old = *forge::ForgeAttester::make(pki, old);
  forge::ForgeAttester attester_new = *forge::ForgeAttester::make(pki, next);
  attestation::Verifier verifier{
      attestation::TrustAnchors::simulated({*attestation::TestRoot::from_certificate(pki.root().der)})};
  Source source;
  appraisal::Appraiser appraiser{verifier, source};
  House giving, receiving;
  governance::testing::KmsChain chain;
  governance::KmsContract contract{chain, kChainId, kKms};
  crypto::SeededRandom random{base::as_bytes("channel")};
  const curves::Secp256k1PrivateKey alice = *curves::Secp256k1PrivateKey::from_scalar(base::Bytes(32, 1));
  keys::FixedRegistryMaster source_of_master{secret_of(7)};
  keys::SealingEpochs epochs{*receiving.store, secret_of(1), random};
  keys::SealedMaster sealed{epochs, secret_of(1), random};
  std::unique_ptr<keys::ReceivedMaster> master = keys::ReceivedMaster::open(*receiving.store, sealed).value();
  ChannelGiver giver{{.store = *giving.store,
                      .log = *giving.log,
                      .master = source_of_master,
                      .random = random,
                      .end = end_of(attester_old),
                      .governance = governance_of(giving)}};
  std::unique_ptr<channel::Server> server;
};

TEST_F(TwoServers, TheMasterGoesOver) {
  const auto fetched = fetch();
  ASSERT_TRUE(fetched.ok()) << fetched.error().text();
  EXPECT_TRUE(base::equal(master->master()->reveal(), base::Bytes(32, 7)));
  EXPECT_EQ(giving.log->head().size, 1u);
}

TEST_F(TwoServers, APolicyThatBothSatisfyIsNoHindrance) {
  in_force(policy_of(old));
  const auto fetched = fetch();
  ASSERT_TRUE(fetched.ok()) << fetched.error().text();
}

TEST_F(TwoServers, AGiverThatTheContractsPolicyRefusesGivesNothing) {
  in_force(policy_of(next, true));  // the receiver satisfies it, so the giver has no objection
  const auto fetched = fetch();
  ASSERT_FALSE(fetched.ok());
  EXPECT_EQ(fetched.error().code, Code::denied) << fetched.error().text();
  EXPECT_THAT(fetched.error().text(), HasSubstr("policy.measurement.allowed"));
  EXPECT_THAT(fetched.error().text(), HasSubstr("the giving server: policy of the key service's contract"));
  EXPECT_FALSE(master->has());
  server->stop();
  EXPECT_EQ(giving.log->head().size, 0u) << "it was not even asked";
}

TEST_F(TwoServers, AReceiverThatTheContractsPolicyRefusesGetsNothing) {
  in_force(policy_of(old, true));
  const auto fetched = fetch();
  ASSERT_FALSE(fetched.ok());
  EXPECT_EQ(fetched.error().code, Code::denied) << fetched.error().text();
  EXPECT_THAT(fetched.error().text(), HasSubstr("the other end refuses"));
  EXPECT_FALSE(master->has());
}

TEST_F(TwoServers, APolicyThatIsNotStoredHereDecidesNothing) {
  const std::string id = giving.blob(policy_of(old));
  EXPECT_TRUE(base::hex_decode_into(id, chain.policy).ok());
  const auto fetched = fetch();
  ASSERT_FALSE(fetched.ok());
  EXPECT_EQ(fetched.error().code, Code::unavailable) << fetched.error().text();
  EXPECT_THAT(fetched.error().text(), HasSubstr("not stored here"));
  EXPECT_FALSE(master->has());
}

TEST_F(TwoServers, WhereTheContractNamesTheServersItsPolicyCountsToo) {
  const auto identity = [this](const forge::QuoteSpec& quote) {
    const auto evidence = forge::ForgeAttester::make(pki, quote)->attest({});
    const auto now = giving.clock.now();
    const auto verdict = appraiser.verify(*evidence, now, now, patient());
    return extended_identity(*tdx_facts(*verdict, kChainId, kKms));
  };
  chain.identities.insert(identity(old));
  in_force(policy_of(next, true));
  const auto refused = fetch(false);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().text(), HasSubstr("policy.measurement.allowed"));
  EXPECT_FALSE(master->has());
  in_force(policy_of(old));
  const auto fetched = fetch(false);
  EXPECT_TRUE(fetched.ok()) << fetched.error().text();
}

}  // namespace
}  // namespace attestry::provision
