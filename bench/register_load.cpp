// Full registrations against a running `attestry dev`: challenge and instance, over HTTP, evidence forged beforehand.
// First as many as go (saturation), then an open loop at half of that rate; prints the server's CPU per registration
// and p50, p99.
//   register_load URL TRUST_JSON SEED_FILE SERVER_PID [COUNT]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "attestation/binding.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "client/trust.h"
#include "crypto/hpke.h"
#include "crypto/x509.h"
#include "forge/attester.h"
#include "forge/scenario.h"
#include "load.h"

namespace {

using namespace attestry;
using bench::Clock;
using bench::Figures;
using bench::kPatience;
using bench::must;

struct Setup {
  std::string url;
  client::Trust trust;
  forge::ForgePki pki;
  forge::ForgeAttester attester;
  base::AppRef app;
};

std::string challenge(const Setup& setup, net::HttpTransport& http) {
  const auto reply =
      must(http.post(setup.url + "/v1/challenges", "{}", "application/json", Clock::now() + kPatience), "challenge");
  const auto doc = must(base::JsonDocument::parse(reply.body), "challenge");
  return must(must(doc->root().get("nonce"), "nonce").string("nonce"), "nonce");
}

/// One request body for a nonce; its cost is the workload's, not the server's.
std::string body_for(Setup& setup, const std::string& nonce) {
  auto& random = crypto::system_random();
  const auto key = crypto::EcPrivateKey::generate(crypto::Curve::p256, random);
  const auto recipient_key = crypto::hpke_generate(random);
  base::LpWriter recipient;
  recipient.u16(crypto::kHpkeKemX25519).raw(recipient_key.public_key);
  const attestation::BindingStatement statement{.audience = setup.trust.log.origin,
                                                .nonce = must(base::base64url_decode(nonce), "nonce"),
                                                .app = setup.app,
                                                .csr_spki = key.public_key().spki(),
                                                .recipient = recipient.bytes()};
  const auto evidence = must(setup.attester.attest(statement.binding()), "evidence");
  return base::JsonOut{base::JsonOutObject{{"evidence", base::base64url(evidence.bytes)},
                                           {"csr", base::base64url(must(crypto::make_csr(key, "bench"), "csr"))},
                                           {"recipient", base::base64url(recipient.bytes())},
                                           {"nonce", nonce},
                                           {"app", setup.app.text()}}}
      .compact();
}

std::vector<std::string> make_bodies(Setup& setup, net::HttpTransport& http, std::size_t count) {
  std::vector<std::string> bodies;
  for (std::size_t i = 0; i < count; ++i) bodies.push_back(body_for(setup, challenge(setup, http)));
  return bodies;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: register_load URL TRUST_JSON SEED_FILE SERVER_PID [COUNT]\n");
    return 2;
  }
  const int pid = std::atoi(argv[4]);
  const std::size_t count = argc > 5 ? static_cast<std::size_t>(std::atoll(argv[5])) : 2000;
  const std::string seed = bench::read_file(argv[3]);
  auto pki = must(forge::ForgePki::make(base::as_bytes(seed)), "seed");
  auto attester =
      must(forge::ForgeAttester::make(pki, forge::default_quote(pki, forge::QuoteKind::tdx_v4)), "attester");
  Setup setup{argv[1], must(client::Trust::parse(bench::read_file(argv[2])), "trust"), pki, std::move(attester),
              must(base::AppRef::parse("hello"), "app")};
  const auto http = must(net::HttpClient::make({.max_idle_handles = bench::kThreads}), "client");

  const bench::Target target{setup.url + "/v1/instances", "application/json", 201};
  const double cpu_before = bench::cpu_seconds(pid);
  const auto first = make_bodies(setup, *http, count);
  const double challenge_ms = (bench::cpu_seconds(pid) - cpu_before) * 1000 / static_cast<double>(count);
  const Figures saturated = bench::run(*http, target, first, std::chrono::nanoseconds{0}, pid);
  const auto second = make_bodies(setup, *http, count);
  const auto interval = std::chrono::nanoseconds{static_cast<std::int64_t>(2e9 / saturated.rate)};
  const Figures half = bench::run(*http, target, second, interval, pid);
  std::printf(
      "{\"registrations\":%zu,\"saturation_per_second\":%.1f,\"challenge_cpu_ms\":%.3f,\"instance_cpu_ms\":%.3f,"
      "\"registration_cpu_ms\":%.3f,\"half_rate\":{\"per_second\":%.1f,\"p50_ms\":%.2f,\"p99_ms\":%.2f}}\n",
      count, saturated.rate, challenge_ms, saturated.cpu_ms, challenge_ms + saturated.cpu_ms, half.rate, half.p50_ms,
      half.p99_ms);
  return 0;
}
