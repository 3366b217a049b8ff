// Registrations in the registry's dialect against a running server: a certificate request with evidence in, key,
// certificate and configuration out. First as many as go (saturation), then an open loop at half of that rate.
//   registry_load URL CONTRACT OPERATOR_KEY_HEX SEED_FILE SERVER_PID [COUNT]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "attestation/key_binding.h"
#include "base/encoding.h"
#include "crypto/x509.h"
#include "forge/attester.h"
#include "forge/scenario.h"
#include "load.h"
#include "provision/registry_operator.h"
#include "provision/registry_pki.h"

namespace {

using namespace attestry;
using bench::must;

struct Workloads {
  curves::Address contract;
  curves::Secp256k1PrivateKey operator_key;
  forge::ForgePki pki;
  forge::ForgeAttester attester;
};

/// Its cost is the workload's, not the server's.
std::string request_of(Workloads& from) {
  const auto key = crypto::EcPrivateKey::generate(crypto::Curve::p256, crypto::system_random());
  const auto spki = key.public_key().spki();
  const auto evidence = must(from.attester.attest(attestation::key_report_data(spki)), "evidence");
  const auto signature =
      must(provision::sign_operator_v1(from.operator_key, spki, provision::OperatorDigest::sha256), "operator");
  const crypto::CsrSpec spec{.subject = {{"2.5.4.3", provision::registry_app_name(from.contract), false}},
                             .dns = {},
                             .ips = {},
                             .extensions = {{std::string{provision::kDcapEvidenceOid}, false, evidence.bytes},
                                            {std::string{provision::kOperatorSignatureOid}, false, signature}}};
  return base::pem_encode("CERTIFICATE REQUEST", must(crypto::make_csr(spec, key), "request"));
}

std::vector<std::string> requests_of(Workloads& from, std::size_t count) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(request_of(from));
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fprintf(stderr, "usage: registry_load URL CONTRACT OPERATOR_KEY_HEX SEED_FILE SERVER_PID [COUNT]\n");
    return 2;
  }
  const int pid = std::atoi(argv[5]);
  const std::size_t count = argc > 6 ? static_cast<std::size_t>(std::atoll(argv[6])) : 2000;
  auto pki = must(forge::ForgePki::make(base::as_bytes(bench::read_file(argv[4]))), "seed");
  auto attester =
      must(forge::ForgeAttester::make(pki, forge::default_quote(pki, forge::QuoteKind::tdx_v4)), "attester");
  Workloads workloads{must(curves::parse_address(argv[2]), "contract"),
                      must(curves::Secp256k1PrivateKey::from_scalar(must(base::hex_decode(argv[3]), "key")), "key"),
                      pki, std::move(attester)};
  const auto http = must(net::HttpClient::make({.max_idle_handles = bench::kThreads}), "client");
  const bench::Target target{std::string{argv[1]} + "/api/attested/register/" + curves::address_hex(workloads.contract),
                             "application/octet-stream", 200};

  const bench::Figures saturated =
      bench::run(*http, target, requests_of(workloads, count), std::chrono::nanoseconds{0}, pid);
  const auto interval = std::chrono::nanoseconds{static_cast<std::int64_t>(2e9 / saturated.rate)};
  const bench::Figures half = bench::run(*http, target, requests_of(workloads, count), interval, pid);
  std::printf(
      "{\"registrations\":%zu,\"saturation_per_second\":%.1f,\"cpu_ms\":%.3f,"
      "\"half_rate\":{\"per_second\":%.1f,\"cpu_ms\":%.3f,\"p50_ms\":%.2f,\"p99_ms\":%.2f}}\n",
      count, saturated.rate, saturated.cpu_ms, half.rate, half.cpu_ms, half.p50_ms, half.p99_ms);
  return 0;
}
