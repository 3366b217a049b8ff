#include "attestation/snp/chain.h"

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::attestation::snp {
namespace {

using base::ByteView;
using crypto::Certificate;

constexpr std::size_t kChainSize = 2;
constexpr std::size_t kMaxChain = 8;  // read only to say how many there are
// AMD's are 4.6 kB, 1.5 kB and below 1 kB. What is sound is kept, so bytes that nothing signs (a root's own signature
// is not computed) must not be a way to fill memory.
constexpr std::size_t kMaxChainBytes = 16u << 10;
constexpr std::size_t kMaxVekBytes = 8u << 10;
constexpr std::size_t kMaxCrlBytes = 256u << 10;

Finding judge_size(ByteView bytes, std::size_t most) {
  if (bytes.size() <= most) return std::nullopt;
  return Fault{"at most " + std::to_string(most) + " bytes", std::to_string(bytes.size())};
}

Fault fault_of(const base::Error& error, std::string_view expected) {
  return {error.expected.empty() ? std::string{expected} : error.expected,
          error.found.empty() ? std::string{"unreadable"} : error.found, error.what};
}

base::Result<std::vector<Certificate>> read_pem(ByteView pem, std::size_t max) {
  TRY(const std::vector<base::PemBlock> blocks, base::pem_decode(base::as_text(pem), max));
  std::vector<Certificate> out;
  for (const base::PemBlock& block : blocks) {
    if (block.label != "CERTIFICATE") {
      return base::Error{.code = base::Code::malformed, .what = "PEM block \"" + block.label + "\""};
    }
    TRY(Certificate certificate, Certificate::parse(block.der));
    out.push_back(std::move(certificate));
  }
  return out;
}

/// RFC 5280 6.1.4: what an issuer must be. `below`: how many CAs may stand under it.
Finding judge_ca(const Certificate& ca, unsigned below) {
  if (!ca.is_ca()) return Fault{"a CA", "basicConstraints without CA", ca.subject_cn()};
  if (ca.path_length() && *ca.path_length() < below) {
    return Fault{"a path length of " + std::to_string(below), std::to_string(*ca.path_length()), ca.subject_cn()};
  }
  if (ca.has_key_usage() && !ca.key_usage_cert_sign()) {
    return Fault{"key usage keyCertSign", "without", ca.subject_cn()};
  }
  if (!ca.unknown_critical_extensions().empty()) {
    return Fault{"no unknown critical extension", ca.unknown_critical_extensions().front(), ca.subject_cn()};
  }
  return std::nullopt;
}

Finding judge_root(const Certificate& ark, const TrustAnchors& anchors) {
  // Under its own name: a genuine root of one product vouches for no other (go-sev-guest#185).
  if (ark.rsa_key() && ark.subject_cn().starts_with("ARK-") &&
      anchors.trusts(Vendor::amd, ark.spki(), ark.subject_cn())) {
    return std::nullopt;
  }
  return Fault{anchors.realm() == base::Realm::production ? "the key of AMD's ARK" : "a given test root",
               "key " + base::hex(crypto::sha256(ark.spki())), "certificate \"" + ark.subject_cn() + "\""};
}

Finding read_chain(ByteView pem, Chain& chain) {
  auto certificates = read_pem(pem, kMaxChain);
  if (!certificates) return fault_of(certificates.error(), "a PEM chain of intermediate and root");
  if (certificates->size() != kChainSize) {
    std::string names;
    for (const Certificate& c : *certificates) names.append(names.empty() ? "found: " : ", ").append(c.subject_cn());
    return Fault{"intermediate and root", std::to_string(certificates->size()) + " certificates", std::move(names)};
  }
  const Certificate& root = certificates->back();
  if (!base::equal(root.subject_der(), root.issuer_der())) {
    return Fault{"a self-issued root at the end", "\"" + root.subject_cn() + "\" of \"" + root.issuer_cn() + "\""};
  }
  chain.certificates = *std::move(certificates);
  return std::nullopt;
}

base::Result<Certificate> read_one(ByteView der_or_pem) {
  if (!der_or_pem.empty() && der_or_pem.front() == 0x30) return Certificate::parse(der_or_pem);
  TRY(const std::vector<Certificate> certificates, read_pem(der_or_pem, 1));
  if (certificates.size() != 1) return base::Error{.code = base::Code::malformed, .what = "not one certificate"};
  return certificates.front();
}

Finding read_vek(ByteView bytes, Vek& vek) {
  auto certificate = read_one(bytes);
  if (!certificate) return fault_of(certificate.error(), "an X.509 certificate");
  if (!certificate->ec_key() || certificate->ec_key()->curve() != crypto::Curve::p384) {
    return Fault{"a P-384 key", "another", certificate->subject_cn()};
  }
  vek.certificate = *certificate;
  vek.key = certificate->ec_key();
  return std::nullopt;
}

Finding judge_leaf(const Certificate& leaf) {
  if (leaf.is_ca()) return Fault{"an end entity", "a CA", leaf.subject_cn()};
  if (leaf.has_key_usage() && !leaf.key_usage_digital_signature()) {
    return Fault{"key usage digitalSignature", "without", leaf.subject_cn()};
  }
  if (!leaf.unknown_critical_extensions().empty()) {
    return Fault{"no unknown critical extension", leaf.unknown_critical_extensions().front(), leaf.subject_cn()};
  }
  return std::nullopt;
}

/// `what`: the object, for messages.
template <class Object>
Finding judge_signature(const Object& object, const Certificate& issuer, std::string_view what) {
  if (!issuer.rsa_key()) return Fault{"an issuer with an RSA key", "another key", issuer.subject_cn()};
  if (!object.says_rsa_pss())
    return Fault{"RSASSA-PSS with SHA-384 (AMD 57230)", "another algorithm", std::string{what}};
  if (object.signed_by(*issuer.rsa_key())) return std::nullopt;
  return Fault{"signed by " + issuer.subject_cn(),
               "its signature does not verify: it was changed, or another key signed it", std::string{what}};
}

/// RFC 5280 6.3.3 (f): the issuer's key must be for lists too.
Finding judge_list(const crypto::Crl& list, const Certificate& issuer) {
  if (issuer.has_key_usage() && !issuer.key_usage_crl_sign()) {
    return Fault{"key usage cRLSign", "without", issuer.subject_cn()};
  }
  return judge_signature(list, issuer, "collateral amd_crl");
}

}  // namespace

std::shared_ptr<const Chain> examine_chain(ByteView pem, const TrustAnchors& anchors) {
  auto chain = std::make_shared<Chain>();
  chain->format = judge_size(pem, kMaxChainBytes);
  if (!chain->format) chain->format = read_chain(pem, *chain);
  if (chain->format) return chain;
  chain->root = judge_root(chain->ark(), anchors);
  chain->constraints = judge_ca(chain->ark(), 1);
  if (!chain->constraints) chain->constraints = judge_ca(chain->intermediate(), 0);
  chain->signature = judge_signature(chain->intermediate(), chain->ark(), "the intermediate in collateral amd_chain");
  return chain;
}

std::shared_ptr<const Vek> examine_vek(ByteView der_or_pem, const Chain* chain) {
  auto vek = std::make_shared<Vek>();
  vek->format = judge_size(der_or_pem, kMaxVekBytes);
  if (!vek->format) vek->format = read_vek(der_or_pem, *vek);
  if (vek->format) return vek;
  auto extensions = parse_vek_extensions(*vek->certificate);
  if (extensions) {
    vek->extensions = *std::move(extensions);
  } else {
    vek->extension_fault = fault_of(extensions.error(), "AMD's extensions");
  }
  vek->constraints = judge_leaf(*vek->certificate);
  vek->signature = chain == nullptr || chain->format
                       ? Fault{"a chain", "none"}
                       : judge_signature(*vek->certificate, chain->intermediate(), "certificate, collateral vek");
  return vek;
}

std::shared_ptr<const RevocationList> examine_crl(ByteView der, const Chain* chain) {
  auto list = std::make_shared<RevocationList>();
  list->format = judge_size(der, kMaxCrlBytes);
  if (list->format) return list;
  auto crl = crypto::Crl::parse(der);
  if (!crl) {
    list->format = fault_of(crl.error(), "a DER CRL");
    return list;
  }
  list->crl = *std::move(crl);
  if (list->crl->has_unknown_critical_extension()) list->format = Fault{"no unknown critical extension", "one"};
  if (!list->format && !list->crl->next_update()) list->format = Fault{"a CRL with nextUpdate", "without"};
  list->signature = chain == nullptr || chain->format ? Fault{"a chain", "none"} : judge_list(*list->crl, chain->ark());
  return list;
}

Finding judge_names(const Chain& chain, Product product, bool vlek) {
  const std::string ark_name = "ARK-" + std::string{to_text(product)};
  const std::string intermediate_name = (vlek ? "SEV-VLEK-" : "SEV-") + std::string{to_text(product)};
  if (chain.ark().subject_cn() != ark_name) return Fault{ark_name, chain.ark().subject_cn(), "root"};
  if (chain.intermediate().subject_cn() != intermediate_name) {
    return Fault{intermediate_name, chain.intermediate().subject_cn(), "intermediate"};
  }
  if (!base::equal(chain.intermediate().issuer_der(), chain.ark().subject_der())) {
    return Fault{"issued by " + ark_name, "issued by \"" + chain.intermediate().issuer_cn() + "\"", "intermediate"};
  }
  return std::nullopt;
}

Finding judge_names(const Certificate& vek, const Chain& chain, Product product, bool vlek) {
  if (auto fault = judge_names(chain, product, vlek)) return fault;
  if (base::equal(vek.issuer_der(), chain.intermediate().subject_der())) return std::nullopt;
  return Fault{"issued by " + chain.intermediate().subject_cn(), "issued by \"" + vek.issuer_cn() + "\"",
               vek.subject_cn()};
}

}  // namespace attestry::attestation::snp
