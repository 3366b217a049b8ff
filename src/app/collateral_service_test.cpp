// Collateral all the way: the forge's PCS behind a real HTTP server, the client, the cache, the verifier.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "attestation/verifier.h"
#include "base/encoding.h"
#include "collateral/vault.h"
#include "collateral/vendors.h"
#include "crypto/x509.h"
#include "forge/pcs.h"
#include "forge/scenario.h"
#include "net/client.h"
#include "net/server.h"
#include "state/testing/support.h"

namespace attestry::app {
namespace {

using base::Code;
using state::testing::patient;
using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr std::int64_t kDay = 86400;

/// Clocks that tests set forward, and that go on by themselves as far as real sockets need it.
class SetClock final : public base::Clock {
 public:
  base::UtcTime now() const override { return base::UtcTime{seconds_.load()}; }
  std::chrono::steady_clock::time_point steady() const override {
    return std::chrono::steady_clock::now() + std::chrono::seconds(passed_.load());
  }
  void pass(std::int64_t seconds) {
    seconds_ += seconds;
    passed_ += seconds;
  }

 private:
  std::atomic<std::int64_t> passed_ = 0;
  std::atomic<std::int64_t> seconds_ = base::from_civil(2026, 6, 15, 12, 0, 0).seconds;
};

net::Response http_reply(const forge::PcsReply& reply) {
  net::Response out{
      .status = reply.status, .content_type = {}, .body = std::string{base::as_text(reply.body)}, .headers = {}};
  for (const auto& [name, value] : reply.headers) {
    if (name == "Content-Type") {
      out.content_type = value;
    } else {
      out.headers.add(name, value);
    }
  }
  return out;
}

class CollateralService : public ::testing::Test {
 protected:
  void SetUp() override {
    auto pki = forge::ForgePki::make(base::as_bytes("collateral service"));
    auto other = forge::ForgePki::make(base::as_bytes("somebody else"));
    ASSERT_TRUE(pki.ok() && other.ok());
    pki_ = std::make_unique<forge::ForgePki>(*std::move(pki));
    other_ = std::make_unique<forge::ForgePki>(*std::move(other));
    verifier_ = std::make_unique<attestation::Verifier>(anchors({pki_.get()}));

    auto router = std::make_shared<net::Router>();
    ASSERT_TRUE(router
                    ->add({.path = "/{rest*}",
                           .auth = net::Auth::none,
                           .operation_id = "pcs",
                           .summary = "The forge's PCS",
                           .any_query = true,
                           .handler =
                               [this](net::Request request, net::Responder responder) {
                                 const std::string target = std::move(request.target);
                                 const bool meant = target.find(lie_about_) != std::string::npos;
                                 const forge::ForgePki& signer = lying_ && meant ? *other_ : *pki_;
                                 ++calls_;
                                 responder.send(http_reply(forge::ForgePcs{signer}.get(target, clock_.now())));
                               }})
                    .ok());
    auto server =
        net::Server::start({.listeners = {{"127.0.0.1:0", {net::Role::public_}}}, .limits = {}, .workers = 2}, router);
    ASSERT_TRUE(server.ok()) << server.error().text();
    server_ = *std::move(server);
    auto http = net::HttpClient::make();
    ASSERT_TRUE(http.ok()) << http.error().text();
    http_ = *std::move(http);
    client_ = std::make_unique<collateral::PcsClient>(*http_, collateral::PcsOptions{.base_url = server_->url()});
    vendors_ = std::make_unique<collateral::Vendors>(client_.get(), nullptr, nullptr);
    source_ = std::make_unique<collateral::Vault>(vendors_.get(), *verifier_, nullptr, options());
  }

  collateral::VaultOptions options() const { return {.slice = std::chrono::milliseconds(1), .clock = &clock_}; }

  static attestation::TrustAnchors anchors(const std::vector<const forge::ForgePki*>& pkis) {
    std::vector<attestation::TestRoot> roots;
    for (const forge::ForgePki* pki : pkis) {
      auto root = attestation::TestRoot::from_certificate(pki->root().der);
      EXPECT_TRUE(root.ok());
      if (root.ok()) roots.push_back(*std::move(root));
    }
    return attestation::TrustAnchors::simulated(std::move(roots));
  }

  attestation::Evidence evidence(forge::QuoteKind kind) const {
    const auto made =
        forge::make_case(*pki_, {.quote = forge::default_quote(*pki_, kind), .platform = {}, .at = clock_.now()});
    EXPECT_TRUE(made.ok());
    return made->evidence();
  }

  SetClock clock_;
  std::unique_ptr<forge::ForgePki> pki_;
  std::unique_ptr<forge::ForgePki> other_;
  std::atomic<bool> lying_ = false;
  std::string lie_about_ = "/";  ///< part of the targets; set before the first call
  std::atomic<int> calls_ = 0;
  std::unique_ptr<attestation::Verifier> verifier_;
  std::unique_ptr<net::Server> server_;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<collateral::PcsClient> client_;
  std::unique_ptr<collateral::Vendors> vendors_;
  std::unique_ptr<collateral::Vault> source_;
};

TEST_F(CollateralService, GivesWhatMakesEvidenceGenuine) {
  for (const auto kind : {forge::QuoteKind::tdx_v4, forge::QuoteKind::sgx_v3}) {
    const auto quote = evidence(kind);
    const auto set = source_->collateral_for(quote, clock_.now(), patient());
    ASSERT_TRUE(set.ok()) << set.error().text();
    const auto verdict = verifier_->verify(quote, **set, clock_.now());
    ASSERT_TRUE(verdict.ok()) << verdict.error().text();
    EXPECT_EQ(verdict->evidence, attestation::Genuineness::genuine) << attestation::to_json(*verdict);
  }
  EXPECT_EQ(calls_, 6) << "both share the revocation lists";
  ASSERT_TRUE(source_->collateral_for(evidence(forge::QuoteKind::tdx_v4), clock_.now(), patient()).ok());
  EXPECT_EQ(calls_, 6);
}

TEST_F(CollateralService, OfAnotherRootIsRefusedAndTheGoodCopyStays) {
  const auto quote = evidence(forge::QuoteKind::tdx_v4);
  lying_ = true;
  const auto refused = source_->collateral_for(quote, clock_.now(), patient());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::unavailable);
  // Whichever of the four came first.
  EXPECT_THAT(refused.error().text(), AnyOf(HasSubstr(": dcap.tcb_info.chain failed"), HasSubstr(": dcap.crl."),
                                            HasSubstr(": dcap.qe_identity.chain failed")));
  EXPECT_THAT(refused.error().text(), HasSubstr(server_->url()));
  while (source_->stats().in_flight + source_->stats().queued > 0) std::this_thread::yield();
  lying_ = false;
  clock_.pass(60);
  // Deadlines are points of the steady clock, which has been set forward.
  const auto later = patient() + std::chrono::hours(24 * 7);
  ASSERT_TRUE(source_->collateral_for(quote, clock_.now(), later).ok());
  lying_ = true;
  clock_.pass(2 * kDay);
  while (source_->stats().stale_artefacts == 0) std::this_thread::yield();
  const auto kept = source_->collateral_for(quote, clock_.now(), later);
  ASSERT_TRUE(kept.ok()) << kept.error().text();
  EXPECT_TRUE((*kept)->stale_seconds().has_value());
  const auto verdict = verifier_->verify(quote, **kept, clock_.now());
  ASSERT_TRUE(verdict.ok());
  EXPECT_EQ(verdict->evidence, attestation::Genuineness::genuine);
}

// With several test roots each document may be vouched for by one of them, and still no quote would be accepted.
TEST_F(CollateralService, OfTwoRootsAtOnceIsRefused) {
  const attestation::Verifier both{anchors({pki_.get(), other_.get()})};
  lying_ = true;
  for (const char* document : {"/qe/identity", "/pckcrl"}) {
    lie_about_ = document;
    collateral::Vault source{vendors_.get(), both, nullptr, options()};
    const auto refused = source.collateral_for(evidence(forge::QuoteKind::tdx_v4), clock_.now(), patient());
    ASSERT_FALSE(refused.ok()) << document;
    EXPECT_EQ(refused.error().code, Code::unavailable) << document;
  }
  lying_ = false;
  collateral::Vault source{vendors_.get(), both, nullptr, options()};
  EXPECT_TRUE(source.collateral_for(evidence(forge::QuoteKind::tdx_v4), clock_.now(), patient()).ok());
}

TEST_F(CollateralService, AcceptanceLeavesARevokedCaToTheVerdict) {
  auto spec = forge::default_collateral(true, clock_.now());
  spec.revoked_by_root = {pki_->ca(forge::CaKind::platform).serial};
  const auto made = forge::make_collateral(*pki_, spec);
  ASSERT_TRUE(made.ok()) << made.error().text();
  const auto quote = evidence(forge::QuoteKind::tdx_v4);
  const auto needs = attestation::dcap_needs(quote.bytes);
  ASSERT_TRUE(needs.ok());
  EXPECT_TRUE(verifier_->accept_collateral(*made->collateral(), *needs, clock_.now()).ok());
  const auto verdict = verifier_->verify(quote, *made->collateral(), clock_.now());
  ASSERT_TRUE(verdict.ok());
  ASSERT_NE(verdict->root_cause(), nullptr);
  EXPECT_EQ(verdict->root_cause()->check, attestation::CheckId::dcap_crl_intermediate_revoked);
}

TEST_F(CollateralService, ARootCrlUnderAnotherNameIsRefused) {
  auto made = forge::make_collateral(*pki_, forge::default_collateral(true, clock_.now()));
  const auto ca = crypto::Certificate::parse(pki_->ca(forge::CaKind::platform).der);
  ASSERT_TRUE(made.ok() && ca.ok());
  const auto crl = crypto::issue_crl({.issuer_der = base::to_bytes(ca->subject_der()),
                                      .this_update = clock_.now() + -kDay,
                                      .next_update = clock_.now() + kDay,
                                      .entries = {},
                                      .extensions = {}},
                                     pki_->root().key);
  ASSERT_TRUE(crl.ok()) << crl.error().text();
  made->root_ca_crl = *crl;
  const auto needs = attestation::dcap_needs(evidence(forge::QuoteKind::tdx_v4).bytes);
  ASSERT_TRUE(needs.ok());
  const auto refused = verifier_->accept_collateral(*made->collateral(), *needs, clock_.now());
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().text(), HasSubstr("root_ca_crl: dcap.crl.root.signature"));
}

}  // namespace
}  // namespace attestry::app
