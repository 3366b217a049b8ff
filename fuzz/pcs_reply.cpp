// Any reply of a PCS or PCCS is collateral or an error that a retry may cure, never a refusal; and what is taken as
// signed text stands in the reply byte for byte. Input: one selector byte (which call gets this reply), the chain
// header up to the first zero byte, the body.
#include <algorithm>
#include <array>
#include <string_view>

#include "base/bytes.h"
#include "collateral/pcs.h"
#include "crypto/ec.h"
#include "crypto/x509.h"
#include "net/client.h"
#include "require.h"

namespace {
using namespace attestry;

/// A CRL that is one by its form.
const base::Bytes& plain_crl() {
  static const base::Bytes crl = [] {
    const auto key = crypto::EcPrivateKey::from_scalar(crypto::Curve::p256, base::Bytes(32, 1)).value();
    const base::Bytes issuer = crypto::der::name({{.oid = "2.5.4.3", .value = "fuzz"}});
    return crypto::issue_crl(
               {.issuer_der = issuer, .this_update = {0}, .next_update = {86400}, .entries = {}, .extensions = {}}, key,
               true)
        .value();
  }();
  return crl;
}

/// Gives the input to one of the four calls and plain answers to the others.
class Service final : public net::HttpTransport {
 public:
  Service(std::size_t which, std::string_view chain, std::string_view body)
      : which_(which), chain_(chain), body_(body) {}
  base::Result<net::Response> send(const net::HttpRequest&) override {
    const std::string_view crl = base::as_text(plain_crl());
    const std::array<std::string_view, 4> headers{"TCB-Info-Issuer-Chain", "SGX-Enclave-Identity-Issuer-Chain",
                                                  "SGX-PCK-CRL-Issuer-Chain", "X-None"};
    const std::array<std::string_view, 4> bodies{R"({"tcbInfo":{},"signature":"00"})",
                                                 R"({"enclaveIdentity":{},"signature":"00"})", crl, crl};
    static constexpr std::string_view kChain = "-----BEGIN%20CERTIFICATE-----%0AMAA=%0A-----END%20CERTIFICATE-----%0A";
    const std::size_t call = call_++;
    REQUIRE(call < bodies.size());
    net::Response out;
    out.body = call == which_ ? body_ : bodies[call];
    out.headers.add(headers[call], call == which_ ? chain_ : kChain);
    return out;
  }

 private:
  std::size_t call_ = 0;
  std::size_t which_;
  std::string_view chain_, body_;
};
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest = base::as_text({data + 1, size - 1});
  const std::size_t zero = std::min(rest.size(), rest.find('\0'));
  const std::string_view chain = rest.substr(0, zero);
  const std::string_view body = rest.substr(std::min(rest.size(), zero + 1));
  if (!net::valid_header("X-None", chain)) return 0;
  const std::size_t which = data[0] % 4;
  Service service(which, chain, body);
  const collateral::PcsClient client(service, {.base_url = "http://pcs.test", .root_crl_url = {}});
  const auto bundle = client.fetch({}, {});
  if (!bundle.ok()) {
    REQUIRE(bundle.error().code == base::Code::unavailable);
    return 0;
  }
  REQUIRE(bundle->problems.empty());
  REQUIRE(bundle->items.size() == 9);
  for (const auto& item : bundle->items) {
    const bool text = (which == 0 && item.kind == attestation::CollateralKind::tcb_info) ||
                      (which == 1 && item.kind == attestation::CollateralKind::qe_identity);
    REQUIRE(!text || body.find(base::as_text(item.bytes)) != std::string_view::npos);
  }
  return 0;
}
