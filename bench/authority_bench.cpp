// A node of a threshold root that decides about a workload: the request read, its key checked, evidence verified and
// appraised, nonce spent, leaf and appraisal on the disk. CPU of all threads, the committer's included, sixteen
// requests at a time. tools/bench.py shows the ratios to one P-256 verification of OpenSSL.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "appraisal/appraiser.h"
#include "audit/log.h"
#include "base/encoding.h"
#include "cluster/authority.h"
#include "collateral/fixed_source.h"
#include "forge/attester.h"
#include "forge/scenario.h"
#include "governance/registry.h"
#include "state/store.h"

namespace {

using namespace attestry;

constexpr std::size_t kRequests = 512;
constexpr std::size_t kNodes = 7;
constexpr std::string_view kOrigin = "log.example/bench";

void must(const base::Status& status) {
  if (status) return;
  std::fprintf(stderr, "benchmark set-up: %s\n", status.error().text().c_str());
  std::exit(2);
}
template <class T>
T must(base::Result<T> result) {
  if (!result) must(base::Status{std::unexpected(result.error())});
  return std::move(*result);
}

base::Deadline patient() { return std::chrono::steady_clock::now() + std::chrono::minutes(1); }

struct Folder {
  std::filesystem::path path;
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "attestry-bench-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::exit(2);
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
};

/// One node with an approved app, and requests that nobody has made yet.
struct Bench {
  Folder folder;
  crypto::Random& random = crypto::system_random();
  base::UtcTime at = base::system_clock().now();
  base::AppRef app = must(base::AppRef::parse("name:web"));
  forge::ForgePki pki = must(forge::ForgePki::make(base::as_bytes("authority bench")));
  forge::QuoteSpec quote = forge::default_quote(pki, forge::QuoteKind::tdx_v4);
  std::unique_ptr<state::Store> store =
      must(state::Store::open({.path = folder.path / "store.db", .realm = base::Realm::simulated}));
  std::unique_ptr<audit::Log> log =
      must(audit::Log::open(*store, crypto::Ed25519PrivateKey::generate(random),
                            {.origin = std::string{kOrigin}, .checkpoint_path = folder.path / "checkpoint"}));
  governance::Registry registry{*store, *log, base::Realm::simulated, std::string{kOrigin}};
  attestation::Verifier verifier{
      attestation::TrustAnchors::simulated({must(attestation::TestRoot::from_certificate(pki.root().der))})};
  collateral::FixedSource source{must(forge::make_case(pki, {.quote = quote, .at = at})).collateral.collateral()};
  appraisal::Appraiser appraiser{verifier, source};
  appraisal::Challenges challenges{random.secret(32), random};
  appraisal::AppraisalStore appraisals{*store};
  curves::bls::G2::Encoded master = curves::bls::G2::times_generator(curves::bls::Scalar::random(random)).encode();
  cluster::Authority authority{{.node = 0,
                                .store = *store,
                                .log = *log,
                                .challenges = challenges,
                                .appraiser = appraiser,
                                .registry = registry,
                                .appraisals = appraisals,
                                .master = [key = std::make_shared<const keys::ckd::MasterPublicKey>(
                                               *keys::ckd::MasterPublicKey::decode(master))] { return key; }}};
  std::vector<base::Bytes> requests;

  Bench() {
    approve();
    auto attester = must(forge::ForgeAttester::make(pki, quote));
    for (std::size_t i = 0; i < kRequests + 1; ++i) {
      cluster::Application one{.nonces = {},
                               .evidence = {},
                               .key = {.pk1 = keys::ckd::Blinding::random(random).public_key().encode()},
                               .app = app};
      for (std::uint32_t id = 0; id < kNodes; ++id) one.nonces.push_back({id, must(authority.challenge())});
      one.evidence = must(attester.attest(must(one.statement(master)).binding()));
      requests.push_back(one.bytes());
    }
    must(authority.authorise(requests.back(), patient()));  // the platform and its collateral are known from here on
  }

  void approve() {
    const auto tenant = base::Tenant::standard();
    const auto key = crypto::Ed25519PrivateKey::generate(random);
    must(registry.set_operator(tenant, {.public_key = key.public_key(), .name = "alice", .since = {}}, at, patient()));
    const auto blob = [&](std::string_view text) {
      return base::hex(must(registry.put_blob(tenant, base::as_bytes(text), patient())));
    };
    std::uint64_t seq = 0;
    std::string prev, policy;
    const auto say = [&](governance::Action action, std::string subject) {
      const governance::Approval approval{.audience = std::string{kOrigin},
                                          .realm = base::Realm::simulated,
                                          .tenant = tenant,
                                          .app = app,
                                          .action = action,
                                          .subject = std::move(subject),
                                          .policy_sha256 = policy,
                                          .seq = ++seq,
                                          .prev = prev,
                                          .expires = at + 3600};
      governance::Envelope envelope{.payload_type = std::string{governance::kApprovalPayloadType},
                                    .payload = approval.payload(),
                                    .signatures = {}};
      envelope.sign(key);
      const auto accepted = must(registry.submit(envelope, at, patient()));
      prev = accepted.state.prev;
      if (accepted.state.policy) policy = base::hex(*accepted.state.policy);
    };
    say(governance::Action::app_create, app.text());
    say(governance::Action::policy_approve, blob(attestation::Policy::standard().document()));
    say(governance::Action::identity_approve, blob(R"({"claims":{"mrtd":")" + base::hex(quote.td.mr_td) + R"("}})"));
  }

  void ask(std::size_t i) {
    if (!authority.authorise(requests[i], patient())) std::abort();
  }
};

/// Each request can be made once: an iteration makes all of them, and `cpu_us` is of one.
void BM_Authorise(benchmark::State& state) {
  const auto cpu_us = [] { return static_cast<double>(std::clock()) * 1e6 / CLOCKS_PER_SEC; };
  const auto threads = static_cast<std::size_t>(state.range(0));
  double spent = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto bench = std::make_unique<Bench>();
    state.ResumeTiming();
    const double before = cpu_us();
    {
      std::vector<std::jthread> at_once;
      for (std::size_t t = 0; t < threads; ++t) {
        at_once.emplace_back([&, t] {
          for (std::size_t i = t; i < kRequests; i += threads) bench->ask(i);
        });
      }
    }
    spent += cpu_us() - before;
    state.PauseTiming();
    bench.reset();
    state.ResumeTiming();
  }
  state.counters["cpu_us"] = spent / static_cast<double>(kRequests) / static_cast<double>(state.iterations());
}
BENCHMARK(BM_Authorise)->Arg(16)->Iterations(1)->MeasureProcessCPUTime()->Unit(benchmark::kMicrosecond);

}  // namespace
