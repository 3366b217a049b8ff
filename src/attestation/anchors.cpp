#include "attestation/anchors.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/x509.h"

namespace attestry::attestation {
namespace {

constexpr std::string_view kHttps = "https://";

/// Host and port of an address, without its scheme, path and userinfo.
std::string_view authority_of(std::string_view address) {
  const std::size_t scheme = address.find("://");
  if (scheme != std::string_view::npos) address.remove_prefix(scheme + 3);
  address = address.substr(0, address.find_first_of("/?#\\"));
  const std::size_t userinfo = address.rfind('@');
  return userinfo == std::string_view::npos ? address : address.substr(userinfo + 1);
}

bool lower_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

/// RFC 1123, 2.1. An issuer is compared character by character, so a host has one spelling only.
bool is_host(std::string_view host) {
  constexpr std::size_t kLongestName = 253;
  constexpr std::size_t kLongestLabel = 63;
  if (host.size() > kLongestName) return false;
  while (true) {
    const std::size_t dot = host.find('.');
    const std::string_view label = host.substr(0, dot);
    const auto fits = [](char c) { return lower_alphanumeric(c) || c == '-'; };
    if (label.empty() || label.size() > kLongestLabel || !std::ranges::all_of(label, fits)) return false;
    if (label.front() == '-' || label.back() == '-') return false;
    if (dot == std::string_view::npos) return true;
    host.remove_prefix(dot + 1);
  }
}

bool is_port(std::string_view text) {
  constexpr unsigned kHighest = 65535;
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port != 0 && port <= kHighest;
}

bool is_issuer(std::string_view address) {
  if (!address.starts_with(kHttps) || address.ends_with('/')) return false;
  address.remove_prefix(kHttps.size());
  const std::string_view authority = address.substr(0, address.find('/'));
  const std::string_view path = address.substr(authority.size());
  const auto in_path = [](char c) {
    return c > ' ' && c < '\x7f' && std::string_view{"?#@\\"}.find(c) == std::string_view::npos;
  };
  const std::size_t colon = authority.find(':');
  if (colon != std::string_view::npos && !is_port(authority.substr(colon + 1))) return false;
  return is_host(authority.substr(0, colon)) && std::ranges::all_of(path, in_path);
}

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
  // However it is spelt: what a resolver would take for the name counts.
  constexpr std::string_view kInvalid = "invalid";
  std::string_view host = authority_of(issuer);
  host = host.substr(0, host.find(':'));
  while (host.ends_with('.')) host.remove_suffix(1);
  if (host.size() < kInvalid.size()) return false;
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; };
  if (!std::ranges::equal(host.substr(host.size() - kInvalid.size()), kInvalid, same)) return false;
  return host.size() == kInvalid.size() || host[host.size() - kInvalid.size() - 1] == '.';
}

base::Result<TrustAnchors> TrustAnchors::with_token_issuers(std::vector<std::string> issuers) const {
  for (const std::string& issuer : issuers) {
    if (realm_ == base::Realm::production && is_simulated_issuer(issuer)) {
      return base::Error{.code = base::Code::malformed,
                         .what = "a simulated token issuer is never believed beside the vendors' roots",
                         .expected = "an issuer that exists",
                         .found = issuer};
    }
    if (is_issuer(issuer)) continue;
    return base::Error{
        base::Code::malformed, "a token issuer",
        "an https URL with its host in lower case and without a slash at the end, as the token's `iss` says it",
        issuer};
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
