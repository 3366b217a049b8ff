#include "attestation/anchors.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/x509.h"

namespace attestry::attestation {
namespace {

constexpr std::string_view kHttps = "https://";

base::Digest32 digest_of(std::string_view hex) {
  base::Digest32 out{};
  const auto bytes = base::hex_decode(hex);
  if (bytes.ok() && bytes->size() == out.size()) std::ranges::copy(*bytes, out.begin());
  return out;
}

}  // namespace

std::span<const ProductionRoot> ProductionRoot::all() {
  static const std::array kRoots{
      // Two certificates exist for Intel's key (notAfter 2033 and 2049), so the key is what is pinned.
      ProductionRoot{Vendor::intel, "Intel SGX Root CA",
                     digest_of("a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e")},
      ProductionRoot{Vendor::amd, "ARK-Milan",
                     digest_of("9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9")},
      ProductionRoot{Vendor::amd, "ARK-Genoa",
                     digest_of("429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831")},
      ProductionRoot{Vendor::amd, "ARK-Turin",
                     digest_of("4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08")},
      ProductionRoot{Vendor::aws, "aws.nitro-enclaves",
                     digest_of("f2caf5ecc6190b4a8399b78bc58a2bbcd0382375db8a1bfd78a82743874fd225")},
  };
  return kRoots;
}

base::Result<TestRoot> TestRoot::from_certificate(base::ByteView pem_or_der) {
  base::Bytes der = base::to_bytes(pem_or_der);
  // DER certificates begin with a SEQUENCE; everything else is read as PEM.
  if (pem_or_der.empty() || pem_or_der.front() != 0x30) {
    TRY(std::vector<base::PemBlock> blocks, base::pem_decode(base::as_text(pem_or_der)), "root certificate");
    if (blocks.empty() || blocks.front().label != "CERTIFICATE") {
      return base::Error{base::Code::malformed, "root certificate: no PEM certificate", "-----BEGIN CERTIFICATE-----"};
    }
    der = std::move(blocks.front().der);
  }
  TRY(const crypto::Certificate certificate, crypto::Certificate::parse(der), "root certificate");
  return from_spki_sha256(crypto::sha256(certificate.spki()));
}

base::Result<TestRoot> TestRoot::from_spki_sha256(const base::Digest32& spki) {
  // Trusting a vendor's key as a test root would call real evidence simulated.
  if (std::ranges::find(ProductionRoot::all(), spki, &ProductionRoot::spki_sha256) != ProductionRoot::all().end()) {
    return base::Error{base::Code::malformed,
                       "this is a production root, it is trusted without being named",
                       {},
                       {},
                       "Leave --trust away to verify production evidence."};
  }
  return TestRoot{spki};
}

TrustAnchors TrustAnchors::production() {
  std::vector<Anchor> anchors;
  for (const ProductionRoot& root : ProductionRoot::all())
    anchors.push_back({root.vendor(), root.name(), root.spki_sha256()});
  return {base::Realm::production, std::move(anchors), {}};
}

TrustAnchors TrustAnchors::simulated(std::vector<TestRoot> roots) {
  std::vector<Anchor> anchors;
  anchors.reserve(roots.size());
  for (const TestRoot& root : roots) anchors.push_back({std::nullopt, {}, root.spki_sha256()});
  return {base::Realm::simulated, std::move(anchors), {}};
}

bool TrustAnchors::is_simulated_issuer(std::string_view issuer) noexcept {
  const auto host = issuer.substr(0, issuer.find('/', std::min(issuer.size(), kHttps.size())));
  return host.ends_with(".invalid");
}

base::Result<TrustAnchors> TrustAnchors::with_token_issuers(std::vector<std::string> issuers) const {
  for (const std::string& issuer : issuers) {
    if (realm_ == base::Realm::production && is_simulated_issuer(issuer)) {
      return base::Error{.code = base::Code::malformed,
                         .what = "a simulated token issuer is never believed beside the vendors' roots",
                         .expected = "an issuer that exists",
                         .found = issuer};
    }
    if (issuer.starts_with(kHttps) && issuer.size() > kHttps.size() && !issuer.ends_with('/') &&
        issuer.find_first_of(" ?#@\\") == std::string::npos) {
      continue;
    }
    return base::Error{base::Code::malformed, "a token issuer",
                       "an https URL without a slash at the end, as the token's `iss` says it", issuer};
  }
  return TrustAnchors{realm_, anchors_, std::move(issuers)};
}

TrustAnchors::TrustAnchors(base::Realm realm, std::vector<Anchor> anchors, std::vector<std::string> issuers)
    : realm_(realm), anchors_(std::move(anchors)), issuers_(std::move(issuers)) {
  std::ranges::sort(anchors_, {}, &Anchor::spki_sha256);
  const auto repeated = std::ranges::unique(anchors_, {}, &Anchor::spki_sha256);
  anchors_.erase(repeated.begin(), repeated.end());
  std::ranges::sort(issuers_);
  base::LpWriter digest_input;
  digest_input.lp("attestry/anchors/2").lp(base::to_text(realm_));
  digest_input.u32(static_cast<std::uint32_t>(anchors_.size()));
  for (const Anchor& anchor : anchors_) digest_input.raw(anchor.spki_sha256);
  for (const std::string& issuer : issuers_) digest_input.lp(issuer);
  sha256_ = crypto::sha256(digest_input.bytes());
}

bool TrustAnchors::trusts(Vendor vendor, base::ByteView spki, std::string_view name) const {
  const base::Digest32 wanted = crypto::sha256(spki);
  return std::ranges::any_of(anchors_, [&](const Anchor& anchor) {
    return anchor.spki_sha256 == wanted && (!anchor.vendor || *anchor.vendor == vendor) &&
           (anchor.name.empty() || name.empty() || anchor.name == name);
  });
}

std::vector<base::Digest32> TrustAnchors::roots() const {
  std::vector<base::Digest32> out;
  out.reserve(anchors_.size());
  for (const Anchor& anchor : anchors_) out.push_back(anchor.spki_sha256);
  return out;
}

bool TrustAnchors::trusts_token_issuer(std::string_view issuer) const noexcept {
  return std::ranges::find(issuers_, issuer) != issuers_.end();
}

}  // namespace attestry::attestation
