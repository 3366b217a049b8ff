#include "attestation/dcap/platform.h"

#include <algorithm>

#include "attestation/signature_fault.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::attestation::dcap {
namespace {

// A chain of Intel has three certificates; more are read only to say how many there are.
constexpr std::size_t kMaxChain = 8;

void record(std::vector<CheckResult>& out, CheckId check, const ChainVerdict& fault) {
  if (!fault) {
    out.push_back({.check = check, .status = CheckStatus::pass});
  } else {
    out.push_back({.check = check,
                   .status = CheckStatus::fail,
                   .expected = fault->expected,
                   .actual = fault->actual,
                   .detail = fault->detail});
  }
}

/// The text of an Error as a check's failure.
ChainFault fault_of(const base::Error& error, std::string_view expected) {
  return {error.expected.empty() ? std::string{expected} : error.expected,
          error.found.empty() ? std::string{"unreadable"} : error.found, error.what};
}

/// What follows the first certificate of the text.
std::string_view behind_leaf(std::string_view text) {
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  const std::size_t at = text.find(kEnd);
  return at == std::string_view::npos ? std::string_view{} : text.substr(at + kEnd.size());
}

/// The leaf alone is read when what follows it is known; text that reads differently as a whole does not get here,
/// because a first part that is not exactly one certificate is read as a whole.
bool read_with_known_issuers(std::string_view text, Signatures& call, IssuerTexts& issuers, Platform& platform) {
  const std::string_view tail = behind_leaf(text);
  const auto known = issuers.find(tail);
  if (!known) return false;
  auto leaf = read_chain(base::as_bytes(text.substr(0, text.size() - tail.size())), 1, call);
  if (!leaf) return false;
  platform.chain = *std::move(leaf);
  platform.chain.insert(platform.chain.end(), known->certificates.begin(), known->certificates.end());
  platform.intermediate_key = known->intermediate_key;
  platform.known_issuers = true;
  return true;
}

ChainVerdict read(const Quote& quote, Signatures& call, IssuerTexts& issuers, Platform& platform) {
  if (!read_with_known_issuers(base::as_text(quote.cert_data), call, issuers, platform)) {
    auto certificates = read_chain(quote.cert_data, kMaxChain, call);
    if (!certificates) return fault_of(certificates.error(), "a PEM chain of 3 certificates");
    platform.chain = *std::move(certificates);
    if (platform.chain.size() > 1) platform.intermediate_key = known_key(platform.chain[1]);
  }
  auto fault = judge_pck_format(platform.chain);
  if (fault) platform.chain.clear();
  return fault;
}

ChainVerdict judge_root(const TrustAnchors& anchors, Platform& platform) {
  const crypto::Certificate& root = platform.chain[2];
  auto key = known_key(root);
  if (key && anchors.trusts(Vendor::intel, root.spki())) {
    platform.root_key = std::move(key);
    return std::nullopt;
  }
  return ChainFault{anchors.realm() == base::Realm::production ? "the key of Intel SGX Root CA" : "a given test root",
                    "key " + base::hex(crypto::sha256(root.spki())), "certificate \"" + root.subject_cn() + "\""};
}

ChainVerdict read_extension(Platform& platform) {
  const auto content = platform.chain[0].extension(kPckExtensionOid);
  if (!content) return ChainFault{"extension " + std::string{kPckExtensionOid}, "none", "PCK certificate"};
  auto extension = parse_pck_extension(*content);
  if (!extension) return fault_of(extension.error(), "an SGX extension");
  platform.extension = *std::move(extension);
  return std::nullopt;
}

ChainVerdict judge_qe_signature(const Quote& quote, const Platform& platform) {
  const auto& key = platform.chain[0].ec_key();
  if (!key || key->curve() != crypto::Curve::p256) return ChainFault{"a P-256 key", "another", "PCK certificate"};
  const base::ByteView report = quote.qe_report.bytes();
  if (key->verify_raw(report, quote.qe_report_signature)) return std::nullopt;
  // What is signed begins with the quote.
  const auto place = [&quote](base::ByteView part) { return bytes_at(quote.signed_bytes, part); };
  return ChainFault{
      "the QE report signature verifies under the PCK certificate's key",
      describe_signature_fault(*key, report, quote.qe_report_signature),
      "covers the QE report, " + place(report) + "; QE report signature, " + place(quote.qe_report_signature)};
}

}  // namespace

base::Digest32 platform_key(const Quote& quote) {
  return crypto::sha256({quote.qe_report.bytes(), quote.qe_report_signature});
}

std::shared_ptr<const Platform> examine_platform(const Quote& quote, const TrustAnchors& anchors,
                                                 Signatures& signatures, IssuerTexts& issuers) {
  auto platform = std::make_shared<Platform>();
  platform->cert_data = base::to_bytes(quote.cert_data);
  std::vector<CheckResult>& out = platform->checks;
  out.reserve(8);
  record(out, CheckId::dcap_pck_chain_format, read(quote, signatures, issuers, *platform));
  if (!platform->chain.empty()) {
    platform->validity = validity_of(platform->chain);
    record(out, CheckId::dcap_pck_root, judge_root(anchors, *platform));
    record(out, CheckId::dcap_pck_names, judge_pck_names(platform->chain));
    record(out, CheckId::dcap_pck_signatures, judge_pck_signatures(platform->chain, signatures));
    record(out, CheckId::dcap_pck_ca_constraints, judge_pck_constraints(platform->chain));
    record(out, CheckId::dcap_pck_extension, read_extension(*platform));
    record(out, CheckId::dcap_qe_signature, judge_qe_signature(quote, *platform));
  }
  platform->sound = std::ranges::all_of(out, [](const CheckResult& r) { return r.status == CheckStatus::pass; });
  if (platform->sound && !platform->known_issuers) {
    issuers.put(
        std::make_shared<const IssuerChain>(IssuerChain{std::string{behind_leaf(base::as_text(quote.cert_data))},
                                                        {platform->chain[1], platform->chain[2]},
                                                        platform->intermediate_key}));
  }
  return platform;
}

}  // namespace attestry::attestation::dcap
