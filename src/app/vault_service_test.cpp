// The vault all the way for SEV-SNP and Azure tokens: the forge's KDS behind a real HTTP server or behind the
// transport's interface, the clients, the vault, the verifier.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <thread>

#include "appraisal/appraiser.h"
#include "attestation/policy.h"
#include "attestation/verifier.h"
#include "base/encoding.h"
#include "collateral/vault.h"
#include "collateral/vendors.h"
#include "forge/kds.h"
#include "forge/maa.h"
#include "forge/snp.h"
#include "net/server.h"
#include "net/testing/black_hole.h"
#include "state/testing/support.h"

namespace attestry::app {
namespace {

using attestation::CollateralKind;
using attestation::Evidence;
using attestation::EvidenceFormat;
using attestation::Genuineness;
using base::Code;
using forge::SnpPki;
using forge::SnpProduct;
using state::testing::ManualClock;
using state::testing::patient;
using ::testing::HasSubstr;

constexpr std::int64_t kHour = 3600;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::uint32_t kChips = 50;
const base::UtcTime kNoon = base::from_civil(2026, 6, 15, 12, 0, 0);
constexpr base::Deadline kSomeDay{std::chrono::hours(24) * 36500};
constexpr std::string_view kHost = "http://kds.test";

/// Making one takes three RSA keys: once for all tests.
const SnpPki& pki(SnpProduct product) {
  static const SnpPki milan = *SnpPki::make(base::as_bytes("vault service"), SnpProduct::milan);
  static const SnpPki genoa = *SnpPki::make(base::as_bytes("vault service"), SnpProduct::genoa);
  static const SnpPki turin = *SnpPki::make(base::as_bytes("vault service"), SnpProduct::turin);
  if (product == SnpProduct::milan) return milan;
  return product == SnpProduct::genoa ? genoa : turin;
}

attestation::TrustAnchors anchors() {
  std::vector<attestation::TestRoot> roots;
  for (const auto product : {SnpProduct::milan, SnpProduct::genoa, SnpProduct::turin}) {
    roots.push_back(*attestation::TestRoot::from_certificate(pki(product).ark().der));
  }
  return *attestation::TrustAnchors::simulated(std::move(roots)).with_token_issuers({std::string{forge::kForgeIssuer}});
}

Evidence report(SnpProduct product, std::uint32_t chip = 0, std::uint32_t version = 3, bool vlek = false) {
  const auto made = forge::make_snp_case(pki(product), {.version = version, .vlek = vlek, .at = kNoon, .chip = chip});
  EXPECT_TRUE(made.ok());
  return {EvidenceFormat::snp_report, made->report};
}

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

/// The forge's KDS and a token issuer behind the transport's interface, on the tests' clock.
class Services final : public net::HttpTransport {
 public:
  Services(forge::ForgeKds& kds, const base::Clock& clock) : kds_(kds), clock_(clock) {}

  base::Result<net::Response> send(const net::HttpRequest& request) override {
    const std::lock_guard<std::mutex> lock(mutex);
    asked.push_back(request.url);
    if (away) return base::Error{Code::unavailable, "no route to host"};
    if (request.url.starts_with(forge::kForgeIssuer)) {
      return net::Response{.status = 200, .content_type = "application/json", .body = jwks, .headers = {}};
    }
    net::Response out = http_reply(kds_.get(std::string_view{request.url}.substr(kHost.size()), clock_.now()));
    if (spoil) spoil(request.url, out);
    return out;
  }
  std::size_t calls(std::string_view part = {}) {
    const std::lock_guard<std::mutex> lock(mutex);
    return static_cast<std::size_t>(
        std::ranges::count_if(asked, [&](const std::string& url) { return url.find(part) != std::string::npos; }));
  }

  std::mutex mutex{};
  std::vector<std::string> asked{};
  bool away = false;
  std::string jwks{};
  std::function<void(const std::string&, net::Response&)> spoil{};

 private:
  forge::ForgeKds& kds_;
  const base::Clock& clock_;
};

template <class Condition>
bool eventually(Condition condition) {
  const auto until = patient();
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

class VaultService : public ::testing::Test {
 protected:
  VaultService() { start({}); }

  void start(collateral::VaultOptions options) {
    options.scarce_seconds = 0;  // the clock stands still
    options.clock = &clock_;
    options.random = &random_;
    options.slice = std::chrono::milliseconds(1);
    vault_.reset();
    vault_ = std::make_unique<collateral::Vault>(&vendors_, verifier_, nullptr, options);
  }
  void set_away(bool away) {
    ASSERT_TRUE(eventually([&] { return vault_->stats().in_flight == 0 && vault_->stats().queued == 0; }));
    const std::lock_guard<std::mutex> lock(services_.mutex);
    services_.away = away;
  }
  base::Result<attestation::Verdict> verify(const Evidence& evidence, base::Deadline deadline = kSomeDay) {
    appraisal::Appraiser appraiser{verifier_, *vault_, std::chrono::hours(24), clock_};
    return appraiser.verify(evidence, clock_.now(), clock_.now(), deadline);
  }
  void expect_genuine(const Evidence& evidence) {
    const auto verdict = verify(evidence);
    ASSERT_TRUE(verdict.ok()) << verdict.error().text();
    EXPECT_EQ(verdict->evidence, Genuineness::genuine) << attestation::to_json(*verdict);
  }

  ManualClock clock_{kNoon};
  crypto::SeededRandom random_{base::as_bytes("vault service")};
  forge::ForgeKds kds_{{&pki(SnpProduct::milan), &pki(SnpProduct::genoa), &pki(SnpProduct::turin)}, kChips};
  Services services_{kds_, clock_};
  collateral::KdsClient client_{services_, {.base_url = std::string{kHost}}};
  collateral::JwksClient jwks_{services_};
  collateral::Vendors vendors_{nullptr, &client_, &jwks_};
  attestation::Verifier verifier_{anchors()};
  std::unique_ptr<collateral::Vault> vault_;
};

TEST_F(VaultService, GivesWhatMakesReportsOfEveryProductGenuine) {
  for (const auto product : {SnpProduct::milan, SnpProduct::genoa, SnpProduct::turin}) {
    for (const std::uint32_t version : {2u, 3u, 5u}) {
      if (product == SnpProduct::turin && version == 2) continue;  // Turin's firmware writes no version 2
      expect_genuine(report(product, 0, version));
    }
  }
  EXPECT_EQ(kds_.counts().vceks, 3u);
  EXPECT_EQ(kds_.counts().others, 6u) << "chain and list of each product";
}

TEST_F(VaultService, AReportThatNamesNoProductIsTriedAsMilanAndThenAsGenoa) {
  expect_genuine(report(SnpProduct::genoa, 7, 2));
  EXPECT_EQ(services_.calls("/vcek/v1/Milan/"), 3u) << "VCEK, chain and list";
  EXPECT_EQ(kds_.counts().vceks, 1u);
  EXPECT_EQ(kds_.counts().unknown, 1u);
  const auto calls = services_.calls();
  expect_genuine(report(SnpProduct::genoa, 7, 2));
  EXPECT_EQ(services_.calls(), calls) << "what is held is preferred to asking again";
}

TEST_F(VaultService, AChipThatTheServiceDoesNotKnowIsMissingCollateral) {
  const auto verdict = verify(report(SnpProduct::milan, kChips + 1));
  ASSERT_FALSE(verdict.ok());
  EXPECT_EQ(verdict.error().code, Code::collateral_missing);
  const auto calls = services_.calls("?");
  EXPECT_FALSE(verify(report(SnpProduct::milan, kChips + 1)).ok());
  EXPECT_EQ(services_.calls("?"), calls);
}

TEST_F(VaultService, SaysWhereAVlekComesFromAndTakesItWhenItIsImported) {
  const Evidence evidence = report(SnpProduct::milan, 0, 3, true);
  const auto without = verify(evidence);
  ASSERT_TRUE(without.ok()) << without.error().text();
  EXPECT_EQ(without->evidence, Genuineness::undecided);
  ASSERT_NE(without->root_cause(), nullptr);
  EXPECT_EQ(without->root_cause()->check, attestation::CheckId::snp_vek_present);
  EXPECT_THAT(without->root_cause()->detail, HasSubstr("provider hands it to its guests"));

  const auto made = forge::make_snp_case(pki(SnpProduct::milan), {.vlek = true, .at = kNoon});
  ASSERT_TRUE(made.ok());
  const auto imported =
      vault_->import({{CollateralKind::vek, made->vek}}, {.source = "import test"}, clock_.now(), kSomeDay);
  ASSERT_TRUE(imported.ok() && imported->size() == 1u);
  EXPECT_EQ(imported->front().outcome, collateral::Imported::Outcome::added) << imported->front().reason;
  expect_genuine(evidence);
}

TEST_F(VaultService, FetchesTheKeysOfConfiguredIssuersAlone) {
  const forge::MaaService issuer{base::as_bytes("vault service")};
  const auto token = issuer.make({.at = kNoon});
  services_.jwks = token.jwks;
  expect_genuine({EvidenceFormat::maa_token, base::to_bytes(token.token)});
  auto verdict = verify({EvidenceFormat::maa_token, base::to_bytes(token.token)});
  EXPECT_FALSE(verdict->token_keys_unvouched);
  attestation::evaluate(attestation::Policy::standard(), *verdict);
  EXPECT_EQ(verdict->outcome, attestation::Outcome::accepted);
  EXPECT_THAT(services_.asked, ::testing::ElementsAre(std::string{forge::kForgeIssuer} + "/certs"));

  const attestation::Verifier other{*anchors().with_token_issuers({"https://other.attest.invalid"})};
  collateral::Vault vault{&vendors_, other, nullptr, {.clock = &clock_}};
  const Evidence evidence{EvidenceFormat::maa_token, base::to_bytes(token.token)};
  const auto none = vault.collateral_for(evidence, clock_.now(), kSomeDay);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(*none, attestation::Collateral::none());
  EXPECT_EQ(services_.calls(), 1u) << "nothing in a token says where to ask";
}

TEST_F(VaultService, ARestartKnowsWhoseKeysItHolds) {
  const state::testing::TempFolder folder;
  const auto store = state::Store::open({.path = folder.file("store"), .clock = &clock_});
  ASSERT_TRUE(store.ok());
  const forge::MaaCase token = forge::MaaService{base::as_bytes("vault service")}.make({.at = kNoon});
  services_.jwks = token.jwks;
  const Evidence evidence{EvidenceFormat::maa_token, base::to_bytes(token.token)};
  const auto origin = [&](collateral::Fetcher* fetcher) {
    collateral::Vault vault{fetcher, verifier_, store->get(), {.clock = &clock_}};
    const auto given = vault.collateral_for(evidence, clock_.now(), kSomeDay);
    const auto* keys = given.ok() ? (*given)->find(CollateralKind::jwks) : nullptr;
    EXPECT_TRUE((*store)->write_and_wait([](state::WriteTxn&) { return base::done(); }, patient()).ok());
    return keys == nullptr ? "no keys" : keys->origin;
  };
  EXPECT_EQ(origin(&vendors_), forge::kForgeIssuer);
  EXPECT_EQ(origin(nullptr), forge::kForgeIssuer);
}

TEST_F(VaultService, AnUnknownKeyIsLookedForOnce) {
  const forge::MaaService old_issuer{base::as_bytes("before")};
  const forge::MaaService new_issuer{base::as_bytes("after")};
  services_.jwks = old_issuer.make({.at = kNoon}).jwks;
  expect_genuine({EvidenceFormat::maa_token, base::to_bytes(old_issuer.make({.at = kNoon}).token)});
  const Evidence rolled{EvidenceFormat::maa_token, base::to_bytes(new_issuer.make({.at = kNoon}).token)};
  for (int i = 0; i < 3; ++i) {
    auto verdict = verify(rolled);
    ASSERT_TRUE(verdict.ok()) << verdict.error().text();
    EXPECT_EQ(verdict->evidence, Genuineness::undecided) << "the issuer may have taken the key into use since";
    ASSERT_NE(verdict->root_cause(), nullptr);
    EXPECT_EQ(verdict->root_cause()->check, attestation::CheckId::maa_key_known);
    attestation::evaluate(attestation::Policy::standard(), *verdict);
    EXPECT_EQ(verdict->outcome, attestation::Outcome::undecided);
    EXPECT_EQ(services_.calls("/certs"), 2u) << "one look for the new key, and no other";
  }
  {
    const std::lock_guard<std::mutex> lock(services_.mutex);
    services_.jwks = new_issuer.make({.at = kNoon}).jwks;
  }
  clock_.pass(60);
  expect_genuine(rolled);
  EXPECT_EQ(services_.calls("/certs"), 3u);
}

// attestation-rs#88, c8s#627, contrast#1226: a fleet that starts at once, and a service that gives one VCEK in ten
// seconds.
TEST_F(VaultService, AThousandVerificationsOfFiftyChipsCauseFiftyFetchesAndLoseNone) {
  forge::ForgeKds kds{{&pki(SnpProduct::milan)}, kChips, forge::KdsLimit{.seconds = 10, .burst = 1}};
  Services services{kds, clock_};
  collateral::KdsClient client{services, {.base_url = std::string{kHost}}};
  collateral::Vendors vendors{nullptr, &client, nullptr};
  collateral::Vault vault{
      &vendors,
      verifier_,
      nullptr,
      {.scarce_seconds = 10, .scarce_burst = 1, .slice = std::chrono::milliseconds(1), .clock = &clock_}};
  const appraisal::Appraiser appraiser{verifier_, vault, std::chrono::hours(24), clock_};
  std::vector<Evidence> evidence;
  evidence.reserve(kChips);
  for (std::uint32_t chip = 0; chip < kChips; ++chip) evidence.push_back(report(SnpProduct::milan, chip));

  constexpr int kVerifications = 1000;
  std::atomic<int> genuine = 0;
  std::atomic<int> other = 0;
  {
    std::vector<std::jthread> fleet;
    fleet.reserve(8);
    for (int thread = 0; thread < 8; ++thread) {
      fleet.emplace_back([&, thread] {
        for (int i = thread; i < kVerifications; i += 8) {
          appraiser.examine_when_ready(
              evidence[static_cast<std::size_t>(i) % kChips], clock_.now(), clock_.now(), kSomeDay,
              [&](base::Result<appraisal::Examined> got) {
                ++(got.ok() && got->verdict.evidence == Genuineness::genuine ? genuine : other);
              });
        }
      });
    }
  }
  EXPECT_GT(vault.stats().waits, 900u);
  // Time passes only while nothing else can be done.
  while (genuine + other < kVerifications) {
    ASSERT_TRUE(eventually([&] { return vault.stats().in_flight == 0; }));
    const auto before = vault.stats().fetches;
    clock_.pass(10);
    ASSERT_TRUE(eventually([&] { return vault.stats().fetches > before || genuine + other == kVerifications; }));
  }
  ASSERT_TRUE(eventually([&] { return genuine + other == kVerifications; }));
  EXPECT_EQ(genuine, kVerifications);
  EXPECT_EQ(other, 0);
  EXPECT_EQ(kds.counts().vceks, kChips);
  EXPECT_EQ(kds.counts().throttled, 0u);
  EXPECT_EQ(services.calls("?"), kChips) << "VCEKs asked for, given or not";
  EXPECT_EQ(kds.counts().others, 2u);
}

// The same against a service whose bucket is smaller than what it was said to be.
TEST_F(VaultService, AServiceThatSays429LosesNobodyEither) {
  forge::ForgeKds kds{{&pki(SnpProduct::milan)}, kChips, forge::KdsLimit{.seconds = 30, .burst = 1}};
  Services services{kds, clock_};
  collateral::KdsClient client{services, {.base_url = std::string{kHost}}};
  collateral::Vendors vendors{nullptr, &client, nullptr};
  collateral::Vault vault{
      &vendors, verifier_, nullptr, {.scarce_seconds = 0, .slice = std::chrono::milliseconds(1), .clock = &clock_}};
  const appraisal::Appraiser appraiser{verifier_, vault, std::chrono::hours(24), clock_};
  std::vector<Evidence> evidence;
  constexpr std::uint32_t kFew = 8;
  evidence.reserve(kFew);
  for (std::uint32_t chip = 0; chip < kFew; ++chip) evidence.push_back(report(SnpProduct::milan, chip));
  std::atomic<std::uint32_t> genuine = 0;
  for (const Evidence& one : evidence) {
    appraiser.examine_when_ready(one, clock_.now(), clock_.now(), kSomeDay, [&](base::Result<appraisal::Examined> got) {
      if (got.ok() && got->verdict.evidence == Genuineness::genuine) ++genuine;
    });
  }
  while (genuine < kFew) {
    ASSERT_TRUE(eventually([&] { return vault.stats().in_flight == 0; }));
    const auto before = vault.stats().fetches;
    clock_.pass(30);
    ASSERT_TRUE(eventually([&] { return vault.stats().fetches > before || genuine == kFew; }));
  }
  ASSERT_TRUE(eventually([&] { return genuine == kFew; }));
  EXPECT_EQ(kds.counts().vceks, kFew);
  EXPECT_GT(kds.counts().throttled, 0u);
  EXPECT_EQ(vault.stats().failures, 0u);
}

// trustee#1142, attestation-rs#87: verification survives the vendor's outage.
TEST_F(VaultService, TwentyFourHoursOfOutageChangeNoVerdict) {
  const forge::MaaService issuer{base::as_bytes("vault service")};
  services_.jwks = issuer.make({.at = kNoon}).jwks;
  start({.max_stale_seconds = 2 * kDay, .alarm_seconds = 36 * kHour});
  const auto token_at = [&](base::UtcTime time) {
    return Evidence{EvidenceFormat::maa_token, base::to_bytes(issuer.make({.at = time}).token)};
  };
  const std::vector<Evidence> reports{report(SnpProduct::milan), report(SnpProduct::genoa, 3),
                                      report(SnpProduct::turin, 5, 5)};
  const auto& strict = *attestation::Policy::builtin("default");
  const auto outcome_of = [&](const Evidence& evidence) {
    auto verdict = verify(evidence);
    EXPECT_TRUE(verdict.ok()) << verdict.error().text();
    if (!verdict.ok()) return attestation::Verdict{};
    attestation::evaluate(strict, *verdict, {});
    return *verdict;
  };
  for (const Evidence& one : reports) EXPECT_EQ(outcome_of(one).outcome, attestation::Outcome::accepted);
  EXPECT_EQ(outcome_of(token_at(kNoon)).evidence, Genuineness::genuine);

  set_away(true);
  clock_.pass(kDay);  // everything is due by now
  std::int64_t stale = 0;
  bool alarmed = false;
  for (int hour = 0; hour < 24; ++hour) {
    clock_.pass(kHour);
    ASSERT_TRUE(eventually([&] { return vault_->stats().stale_artefacts > 0; }));
    for (const Evidence& one : reports) {
      const auto verdict = outcome_of(one);
      EXPECT_EQ(verdict.outcome, attestation::Outcome::accepted) << hour << attestation::to_json(verdict);
      ASSERT_TRUE(verdict.collateral_stale_seconds.has_value()) << hour;
      stale = std::max(stale, *verdict.collateral_stale_seconds);
    }
    EXPECT_EQ(outcome_of(token_at(clock_.now())).evidence, Genuineness::genuine) << hour;
    alarmed = alarmed || vault_->stats().alarms > 0;
  }
  EXPECT_GE(stale, 22 * kHour);
  EXPECT_TRUE(alarmed) << "before the bound is reached";
  ASSERT_TRUE(vault_->stats().soonest_end_seconds.has_value());
  EXPECT_GT(*vault_->stats().soonest_end_seconds, 0);

  set_away(false);
  clock_.pass(300);
  ASSERT_TRUE(eventually([&] { return vault_->stats().stale_artefacts == 0; }));
  EXPECT_EQ(outcome_of(reports.front()).collateral_stale_seconds, std::nullopt);
}

/// A way for the KDS to lie, and what the error names.
struct Lie {
  const char* name;
  const char* about;  ///< part of the URL
  void (*tell)(net::Response&);
  const char* found;
};
const Lie kLies[] = {
    {"AnotherChip", "?",
     [](net::Response& r) {
       r.body = base::as_text(
           pki(SnpProduct::milan).vek(forge::snp_vcek(pki(SnpProduct::milan), 9), pki(SnpProduct::milan).ask())->der);
     },
     "snp.chip_id"},
    {"ChangedCertificate", "?", [](net::Response& r) { r.body.back() ^= 1; }, "snp.vek.signature"},
    {"TruncatedCertificate", "?", [](net::Response& r) { r.body.resize(r.body.size() / 2); }, "a DER certificate"},
    {"AnErrorPage", "?", [](net::Response& r) { r.body = "<html>Service maintenance</html>"; }, "a DER certificate"},
    {"NothingAtAll", "?", [](net::Response& r) { r.body.clear(); }, "a DER certificate"},
    {"ChainOfAnotherProduct", "cert_chain",
     [](net::Response& r) {
       r.body = base::pem_encode("CERTIFICATE", pki(SnpProduct::genoa).ask().der) +
                base::pem_encode("CERTIFICATE", pki(SnpProduct::genoa).ark().der);
     },
     "snp.chain.names"},
    {"HalfAChain", "cert_chain", [](net::Response& r) { r.body.resize(r.body.find("-----END") + 25); },
     "a PEM chain of 2 certificates"},
    {"ChangedList", "/crl", [](net::Response& r) { r.body.back() ^= 1; }, "snp.crl.signature"},
    {"ListOfAnotherProduct", "/crl",
     [](net::Response& r) {
       const auto& ark = pki(SnpProduct::genoa).ark();
       r.body = base::as_text(*pki(SnpProduct::genoa).crl(ark, ark, {kNoon - kDay, kNoon + kDay}, {}));
     },
     "snp.crl.issuer"},
    {"ListThatRanOut", "/crl",
     [](net::Response& r) {
       const auto& ark = pki(SnpProduct::milan).ark();
       r.body = base::as_text(*pki(SnpProduct::milan).crl(ark, ark, {kNoon - 2 * kDay, kNoon - kDay}, {}));
     },
     "snp.crl.validity"},
};

class VaultLies : public VaultService, public ::testing::WithParamInterface<Lie> {};

TEST_P(VaultLies, AreUnavailableAndNothingOfThemIsKept) {
  const Lie& lie = GetParam();
  services_.spoil = [&](const std::string& url, net::Response& reply) {
    if (url.find(lie.about) != std::string::npos && reply.status == 200) lie.tell(reply);
  };
  const auto verdict = verify(report(SnpProduct::milan));
  ASSERT_FALSE(verdict.ok());
  EXPECT_EQ(verdict.error().code, Code::unavailable);
  EXPECT_THAT(verdict.error().text(), HasSubstr(lie.found));
  ASSERT_TRUE(eventually([&] { return vault_->stats().in_flight == 0 && vault_->stats().queued == 0; }));
  for (const auto& held : vault_->in_memory()) {
    EXPECT_EQ(to_text(held.artefact).find(lie.about == std::string{"?"} ? "vcek/" : lie.about), std::string::npos);
  }
  {
    const std::lock_guard<std::mutex> lock(services_.mutex);
    services_.spoil = nullptr;
  }
  clock_.pass(60);
  expect_genuine(report(SnpProduct::milan));
}

INSTANTIATE_TEST_SUITE_P(Each, VaultLies, ::testing::ValuesIn(kLies),
                         [](const auto& suite) { return std::string{suite.param.name}; });

// c8s#72: hung for minutes.
TEST(VaultDeadlines, ADeadVendorNeverMakesARequestHang) {
  for (const bool accepts : {true, false}) {
    const net::testing::BlackHole hole{accepts};
    const auto http = net::HttpClient::make();
    ASSERT_TRUE(http.ok());
    const collateral::KdsClient client{**http, {.base_url = hole.url()}};
    const collateral::Vendors vendors{nullptr, &client, nullptr};
    collateral::Vendors mutable_vendors = vendors;
    const attestation::Verifier verifier{anchors()};
    collateral::Vault vault{
        &mutable_vendors, verifier, nullptr, {.fetch_seconds = 1, .slice = std::chrono::milliseconds(5)}};
    const auto evidence = report(SnpProduct::milan);
    const auto begin = std::chrono::steady_clock::now();
    const auto hurried = vault.collateral_for(evidence, kNoon, begin + std::chrono::milliseconds(200));
    ASSERT_FALSE(hurried.ok());
    EXPECT_EQ(hurried.error().code, Code::deadline_exceeded) << accepts;
    const auto slow = vault.collateral_for(evidence, kNoon, begin + std::chrono::minutes(5));
    ASSERT_FALSE(slow.ok());
    EXPECT_EQ(slow.error().code, Code::unavailable) << accepts;
    EXPECT_THAT(slow.error().text(), HasSubstr("no answer in time"));
  }
}

}  // namespace
}  // namespace attestry::app
