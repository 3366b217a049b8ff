// For tests: a service of Intel's API behind the transport's interface, strict about what it is asked, with the forged
// documents of tests/data.
#pragma once
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "attestation/anchors.h"
#include "attestation/evidence.h"
#include "base/encoding.h"
#include "collateral/bundle.h"
#include "net/client.h"

namespace attestry::collateral::testing {

/// A file of the forged cases: "tdx/forged-v4/quote.bin".
inline std::string test_data(const std::string& name) {
  const char* root = std::getenv("ATTESTRY_TEST_DATA");
  std::ifstream in{std::string{root != nullptr ? root : "tests/data"} + "/" + name, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
}
inline std::string test_data_path(const std::string& name) {
  const char* root = std::getenv("ATTESTRY_TEST_DATA");
  return std::string{root != nullptr ? root : "tests/data"} + "/" + name;
}
inline attestation::Evidence evidence_of(const std::string& name) {
  return {attestation::EvidenceFormat::dcap_quote, base::to_bytes(test_data(name + "/quote.bin"))};
}
/// The root of all forged cases.
inline attestation::TrustAnchors forged_anchors() {
  const std::string pem = test_data("tdx/forged-v4/root.pem");
  std::vector<attestation::TestRoot> roots;
  if (auto root = attestation::TestRoot::from_certificate(base::as_bytes(pem)); root.ok()) {
    roots.push_back(*std::move(root));
  }
  return attestation::TrustAnchors::simulated(std::move(roots));
}
inline std::string text_of(const Bundle& bundle, attestation::CollateralKind kind) {
  for (const auto& item : bundle.items) {
    if (item.kind == kind) return std::string{base::as_text(item.bytes)};
  }
  return {};
}

/// A key set of one RSA key with that key id. Nobody has its private half.
inline base::Bytes key_set(const std::string& kid) {
  base::Bytes modulus(256, 0xa5);
  for (std::size_t i = 0; i < kid.size(); ++i) modulus[i + 1] = static_cast<std::uint8_t>(kid[i]);
  return base::to_bytes(R"({"keys":[{"kty":"RSA","use":"sig","kid":")" + kid + R"(","e":"AQAB","n":")" +
                        base::base64url(modulus) + "\"}]}");
}

inline constexpr std::string_view kStandInHost = "http://pccs.test:8081";

/// Knows the exact targets that it may be asked; everything else is answered 404 and remembered. Thread-safe; the
/// members are set up before the first call, or under `mutex`.
class PcsStandIn final : public net::HttpTransport {
 public:
  /// Serves the documents of a forged case of TDX, as a PCCS does.
  explicit PcsStandIn(const std::string& name = "tdx/forged-v4", const std::string& ca = "platform") {
    using enum attestation::CollateralKind;
    const Bundle b = read_bundle_path(test_data_path(name));
    const std::string sgx = std::string{kStandInHost} + "/sgx/certification/v4/";
    const std::string tdx = std::string{kStandInHost} + "/tdx/certification/v4/";
    replies[tdx + "tcb?fmspc=509060200000"] =
        reply("{\"tcbInfo\":" + text_of(b, tcb_info) + ",\"signature\":\"" +
                  base::hex(base::as_bytes(text_of(b, tcb_info_signature))) + "\"}",
              "TCB-Info-Issuer-Chain", text_of(b, tcb_info_chain));
    replies[tdx + "qe/identity"] = reply("{\"enclaveIdentity\":" + text_of(b, qe_identity) + ",\"signature\":\"" +
                                             base::hex(base::as_bytes(text_of(b, qe_identity_signature))) + "\"}",
                                         "SGX-Enclave-Identity-Issuer-Chain", text_of(b, qe_identity_chain));
    replies[sgx + "pckcrl?ca=" + ca + "&encoding=der"] =
        reply(text_of(b, pck_crl), "SGX-PCK-CRL-Issuer-Chain", text_of(b, pck_crl_chain));
    replies[sgx + "rootcacrl"] = {
        .content_type = {}, .body = base::hex(base::as_bytes(text_of(b, root_ca_crl))), .headers = {}};
  }

  static net::Response reply(std::string body, std::string_view header, std::string_view chain) {
    return {.content_type = {}, .body = std::move(body), .headers = {{header, net::percent_encode(chain)}}};
  }

  base::Result<net::Response> send(const net::HttpRequest& request) override {
    std::function<void()> wait;
    {
      const std::lock_guard<std::mutex> lock(mutex);
      asked.push_back(request.url);
      deadlines.push_back(request.deadline);
      wait = before;
    }
    if (wait) wait();
    const std::lock_guard<std::mutex> lock(mutex);
    if (error) return *error;
    const auto found = replies.find(request.url);
    const bool plain = request.method == net::Method::get && request.body.empty();
    if (!plain || found == replies.end())
      return net::Response{.status = 404, .content_type = {}, .body = {}, .headers = {}};
    return found->second;
  }
  std::size_t calls() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return asked.size();
  }

  mutable std::mutex mutex{};
  std::map<std::string, net::Response> replies{};  ///< by URL
  std::optional<base::Error> error{};              ///< set: the service is away
  std::function<void()> before{};                  ///< runs in every call, outside the lock
  std::vector<std::string> asked{};
  std::vector<base::Deadline> deadlines{};
};

}  // namespace attestry::collateral::testing
