// Full registrations against a running `attestry dev`: challenge and instance, over HTTP, evidence forged beforehand.
// First as many as go (saturation), then an open loop at half of that rate; prints the server's CPU per registration
// and p50, p99.
//   register_load URL TRUST_JSON SEED_FILE SERVER_PID [COUNT]
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
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
#include "net/client.h"

namespace {

using namespace attestry;
using Clock = std::chrono::steady_clock;

constexpr int kThreads = 16;
constexpr std::chrono::seconds kPatience{30};

template <class T>
T must(base::Result<T> result, const char* what) {
  if (!result) {
    std::fprintf(stderr, "register_load: %s: %s\n", what, result.error().text().c_str());
    std::exit(2);
  }
  return std::move(*result);
}

std::string read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "register_load: cannot read %s\n", path);
    std::exit(2);
  }
  return {std::istreambuf_iterator<char>(file), {}};
}

/// utime + stime of a process in seconds (proc(5), fields 14 and 15).
double cpu_seconds(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos) return 0;
  std::istringstream fields(text.substr(end_of_name + 2));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

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

struct Figures {
  double rate = 0;
  double p50_ms = 0;
  double p99_ms = 0;
  double cpu_ms = 0;
};

/// `interval` zero: closed loop of kThreads clients. Otherwise request i is due at i * interval, and its latency counts
/// from there, whether the server keeps up or not.
Figures run(const Setup& setup, net::HttpTransport& http, const std::vector<std::string>& bodies,
            std::chrono::nanoseconds interval, int pid) {
  std::vector<double> latencies(bodies.size());
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> failures{0};
  const double cpu_before = cpu_seconds(pid);
  const auto begin = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (std::size_t i = next++; i < bodies.size(); i = next++) {
          auto due = Clock::now();
          if (interval.count() != 0) {
            due = begin + interval * static_cast<std::int64_t>(i);
            std::this_thread::sleep_until(due);
          }
          const auto reply =
              http.post(setup.url + "/v1/instances", bodies[i], "application/json", Clock::now() + kPatience);
          if (!reply || reply->status != 201) ++failures;
          latencies[i] = std::chrono::duration<double, std::milli>(Clock::now() - due).count();
        }
      });
    }
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  if (failures != 0) {
    std::fprintf(stderr, "register_load: %zu of %zu registrations failed\n", failures.load(), bodies.size());
    std::exit(1);
  }
  std::ranges::sort(latencies);
  const auto count = static_cast<double>(bodies.size());
  return {.rate = count / seconds,
          .p50_ms = latencies[latencies.size() / 2],
          .p99_ms = latencies[latencies.size() * 99 / 100],
          .cpu_ms = (cpu_seconds(pid) - cpu_before) * 1000 / count};
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
  const std::string seed = read_file(argv[3]);
  auto pki = must(forge::ForgePki::make(base::as_bytes(seed)), "seed");
  auto attester =
      must(forge::ForgeAttester::make(pki, forge::default_quote(pki, forge::QuoteKind::tdx_v4)), "attester");
  Setup setup{argv[1], must(client::Trust::parse(read_file(argv[2])), "trust"), pki, std::move(attester),
              must(base::AppRef::parse("hello"), "app")};
  const auto http = must(net::HttpClient::make({.max_idle_handles = kThreads}), "client");

  const double cpu_before = cpu_seconds(pid);
  const auto first = make_bodies(setup, *http, count);
  const double challenge_ms = (cpu_seconds(pid) - cpu_before) * 1000 / static_cast<double>(count);
  const Figures saturated = run(setup, *http, first, std::chrono::nanoseconds{0}, pid);
  const auto second = make_bodies(setup, *http, count);
  const auto interval = std::chrono::nanoseconds{static_cast<std::int64_t>(2e9 / saturated.rate)};
  const Figures half = run(setup, *http, second, interval, pid);
  std::printf(
      "{\"registrations\":%zu,\"saturation_per_second\":%.1f,\"challenge_cpu_ms\":%.3f,\"instance_cpu_ms\":%.3f,"
      "\"registration_cpu_ms\":%.3f,\"half_rate\":{\"per_second\":%.1f,\"p50_ms\":%.2f,\"p99_ms\":%.2f}}\n",
      count, saturated.rate, challenge_ms, saturated.cpu_ms, challenge_ms + saturated.cpu_ms, half.rate, half.p50_ms,
      half.p99_ms);
  return 0;
}
