// Collateral all the way: the forge's PCS behind a real HTTP server, the client, the cache, the verifier.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "attestation/verifier.h"
#include "base/encoding.h"
#include "collateral/cached_source.h"
#include "forge/pcs.h"
#include "forge/scenario.h"
#include "net/client.h"
#include "net/server.h"
#include "state/testing/support.h"

namespace attestry::app {
namespace {

using base::Code;
using state::testing::patient;
using ::testing::HasSubstr;

constexpr std::int64_t kDay = 86400;

/// A wall clock that tests set, and the steady time that real sockets need.
class SetClock final : public base::Clock {
 public:
  base::UtcTime now() const override { return base::UtcTime{seconds_.load()}; }
  std::chrono::steady_clock::time_point steady() const override { return std::chrono::steady_clock::now(); }
  void pass(std::int64_t seconds) { seconds_ += seconds; }

 private:
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
    auto root = attestation::TestRoot::from_certificate(pki_->root().der);
    ASSERT_TRUE(root.ok());
    std::vector<attestation::TestRoot> roots{*std::move(root)};
    verifier_ = std::make_unique<attestation::Verifier>(attestation::TrustAnchors::simulated(std::move(roots)));

    auto router = std::make_shared<net::Router>();
    ASSERT_TRUE(router
                    ->add({.path = "/{rest*}",
                           .auth = net::Auth::none,
                           .operation_id = "pcs",
                           .summary = "The forge's PCS",
                           .any_query = true,
                           .handler =
                               [this](net::Request request, net::Responder responder) {
                                 const forge::ForgePki& signer = lying_ ? *other_ : *pki_;
                                 ++calls_;
                                 responder.send(http_reply(forge::ForgePcs{signer}.get(request.target, clock_.now())));
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
    source_ = std::make_unique<collateral::CachedSource>(
        *client_, *verifier_, nullptr, collateral::CacheOptions{.failure_seconds = 0, .clock = &clock_});
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
  std::atomic<int> calls_ = 0;
  std::unique_ptr<attestation::Verifier> verifier_;
  std::unique_ptr<net::Server> server_;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<collateral::PcsClient> client_;
  std::unique_ptr<collateral::CachedSource> source_;
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
  EXPECT_EQ(calls_, 8);
  ASSERT_TRUE(source_->collateral_for(evidence(forge::QuoteKind::tdx_v4), clock_.now(), patient()).ok());
  EXPECT_EQ(calls_, 8);
}

TEST_F(CollateralService, OfAnotherRootIsRefusedAndTheGoodCopyStays) {
  const auto quote = evidence(forge::QuoteKind::tdx_v4);
  lying_ = true;
  const auto refused = source_->collateral_for(quote, clock_.now(), patient());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_THAT(refused.error().text(), HasSubstr(server_->url() + ": tcb_info_chain: dcap.tcb_info.chain failed"));
  lying_ = false;
  ASSERT_TRUE(source_->collateral_for(quote, clock_.now(), patient()).ok());
  clock_.pass(20 * kDay);
  lying_ = true;
  const auto kept = source_->collateral_for(quote, clock_.now(), patient());
  ASSERT_TRUE(kept.ok()) << kept.error().text();
  EXPECT_TRUE((*kept)->stale_seconds().has_value());
  const auto verdict = verifier_->verify(quote, **kept, clock_.now());
  ASSERT_TRUE(verdict.ok());
  EXPECT_EQ(verdict->evidence, attestation::Genuineness::genuine);
}

}  // namespace
}  // namespace attestry::app
