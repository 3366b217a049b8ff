#include "attestation/dcap/platform.h"

#include <algorithm>

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
ChainFault fault_of(const base::Error& error, std::string expected) {
  return {error.expected.empty() ? std::move(expected) : error.expected,
          error.found.empty() ? std::string{"unreadable"} : error.found, error.what};
}

ChainVerdict read(const Quote& quote, std::vector<crypto::Certificate>& chain) {
  auto certificates = read_chain(quote.cert_data, kMaxChain);
  if (!certificates) return fault_of(certificates.error(), "a PEM chain of 3 certificates");
  if (auto fault = judge_pck_format(*certificates)) return fault;
  chain = *std::move(certificates);
  return std::nullopt;
}

ChainVerdict judge_root(const TrustAnchors& anchors, Platform& platform) {
  const crypto::Certificate& root = platform.chain[2];
  auto key = known_key(root);
  if (key && anchors.trusts(root.spki())) {
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
  if (key->verify_raw(quote.qe_report.bytes(), quote.qe_report_signature)) return std::nullopt;
  return ChainFault{"signed by the PCK key", "not signed by it", {}};
}

}  // namespace

base::Digest32 platform_key(const Quote& quote) {
  // Lengths are fixed but for the certification data, which comes last: the concatenation is unambiguous.
  return crypto::sha256({quote.qe_report.bytes(), quote.qe_report_signature, quote.cert_data});
}

std::shared_ptr<const Platform> examine_platform(const Quote& quote, const TrustAnchors& anchors,
                                                 Signatures& signatures) {
  auto platform = std::make_shared<Platform>();
  std::vector<CheckResult>& out = platform->checks;
  record(out, CheckId::dcap_pck_chain_format, read(quote, platform->chain));
  if (!platform->chain.empty()) {
    platform->validity = validity_of(platform->chain);
    platform->intermediate_key = known_key(platform->chain[1]);
    record(out, CheckId::dcap_pck_root, judge_root(anchors, *platform));
    record(out, CheckId::dcap_pck_names, judge_pck_names(platform->chain));
    record(out, CheckId::dcap_pck_signatures, judge_pck_signatures(platform->chain, signatures));
    record(out, CheckId::dcap_pck_ca_constraints, judge_pck_constraints(platform->chain));
    record(out, CheckId::dcap_pck_extension, read_extension(*platform));
    record(out, CheckId::dcap_qe_signature, judge_qe_signature(quote, *platform));
  }
  platform->sound = std::ranges::all_of(out, [](const CheckResult& r) { return r.status == CheckStatus::pass; });
  return platform;
}

void record_all(CheckRecorder& recorder, const std::vector<CheckResult>& results) {
  for (const CheckResult& r : results) {
    if (!recorder.may_run(r.check)) continue;
    if (r.status == CheckStatus::pass) {
      recorder.pass(r.check, r.actual);
    } else if (r.undecided) {
      recorder.fail_undecided(r.check, r.expected, r.actual, r.detail);
    } else {
      recorder.fail(r.check, r.expected, r.actual, r.detail);
    }
  }
}

}  // namespace attestry::attestation::dcap
