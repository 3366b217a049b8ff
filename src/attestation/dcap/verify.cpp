#include "attestation/dcap/verify.h"

#include <algorithm>

#include "attestation/dcap/claims.h"
#include "attestation/dcap/judge.h"
#include "attestation/signature_fault.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::attestation::dcap {

using base::ByteView;

namespace {

/// "; as version 3 (bytes 0 to 1) every part fits", when the header's word is all that does not fit the rest.
std::string other_layout(ByteView evidence) {
  struct Layout {
    std::uint8_t version;
    std::uint8_t tee;
  };
  constexpr Layout kLayouts[] = {
      {3, kTeeTypeSgx}, {4, kTeeTypeSgx}, {4, kTeeTypeTdx}, {5, kTeeTypeSgx}, {5, kTeeTypeTdx}};
  base::Bytes other = base::to_bytes(evidence);
  if (other.size() < kHeaderSize) return {};
  const std::uint8_t version = other[0];
  const std::uint8_t tee = other[4];
  for (const Layout& layout : kLayouts) {
    // One field at a time.
    if ((layout.version == version) == (layout.tee == tee)) continue;
    other[0] = layout.version;
    other[4] = layout.tee;
    if (!parse_quote(other)) continue;
    if (layout.tee == tee) return "; as version " + std::to_string(layout.version) + " (bytes 0 to 1) every part fits";
    return "; as a quote of " + std::string{layout.tee == kTeeTypeTdx ? "TDX" : "SGX"} +
           " (TEE type, bytes 4 to 7) every part fits";
  }
  return {};
}

}  // namespace

Judge::Judge(ByteView evidence, const Collateral& collateral, base::UtcTime at, const TrustAnchors& anchors,
             Caches& caches, CheckRecorder& recorder, Verdict& verdict)
    : evidence_(evidence),
      collateral_(collateral),
      at_(at),
      anchors_(anchors),
      caches_(caches),
      recorder_(recorder),
      verdict_(verdict),
      signatures_(caches.signatures) {}

void Judge::run() {
  header();
  structure();
  load_collateral();
  pck_chain();
  revocation();
  tcb_info();
  qe_identity();
  quoting_enclave();
  quote_signature();
  tdx_module();
  tcb();
  summarize();
  keep_collateral();
}

void Judge::require(CheckId check, bool good, std::string_view expected, std::string_view actual,
                    std::string_view detail) {
  if (good) {
    recorder_.pass(check);
  } else {
    recorder_.fail(check, std::string{expected}, std::string{actual}, std::string{detail});
  }
}

void Judge::record(CheckId check, const ChainVerdict& fault) {
  if (!fault) {
    recorder_.pass(check);
  } else {
    recorder_.fail(check, fault->expected, fault->actual, fault->detail);
  }
}

void Judge::replay(const std::vector<CheckResult>& results, CheckId check) {
  const auto found = std::ranges::find(results, check, &CheckResult::check);
  if (!recorder_.may_run(check) || found == results.end()) return;
  if (found->status == CheckStatus::pass) {
    recorder_.pass(check);
  } else if (found->undecided) {
    recorder_.fail_undecided(check, found->expected, found->actual, found->detail);
  } else {
    recorder_.fail(check, found->expected, found->actual, found->detail);
  }
}

// Each field of the header has its own check, so that a quote with two faults there shows both.
void Judge::header() {
  const auto header = read_header(evidence_);
  if (!header) {
    // Too short to be a quote at all: the version is what a header begins with.
    recorder_.fail(CheckId::dcap_quote_version, "a header of 48 bytes", std::to_string(evidence_.size()) + " bytes",
                   "the quote is cut off in its header");
    return;
  }
  const std::uint32_t tee = header->tee_type;
  require(CheckId::dcap_quote_version, known_version(header->version), "3, 4 or 5", std::to_string(header->version),
          "bytes 0 to 1");
  require(CheckId::dcap_quote_key_type, header->key_type == kKeyTypeEcdsaP256, "2", std::to_string(header->key_type),
          "bytes 2 to 3");
  if (recorder_.may_run(CheckId::dcap_quote_tee_type)) {
    require(CheckId::dcap_quote_tee_type, tee_fits_version(header->version, tee),
            header->version == 3 ? "0 (SGX)" : "0 (SGX) or 129 (TDX)", std::to_string(tee),
            header->version == 3 ? "bytes 4 to 7; quotes of version 3 (bytes 0 to 1) are of SGX" : "bytes 4 to 7");
  }
  if (base::equal(header->qe_vendor_id, intel_qe_vendor_id())) {
    recorder_.pass(CheckId::dcap_quote_vendor);
  } else {
    recorder_.fail(CheckId::dcap_quote_vendor, base::hex(intel_qe_vendor_id()), base::hex(header->qe_vendor_id),
                   "bytes 12 to 27");
  }
}

void Judge::structure() {
  if (!recorder_.may_run(CheckId::dcap_quote_structure)) return;
  if (!recorder_.passed(CheckId::dcap_quote_key_type)) {
    // Sizes of key and signature follow from the key type: of another one nothing can be said.
    return recorder_.fail(CheckId::dcap_quote_structure, "the layout of ECDSA P-256", "another key type");
  }
  auto parsed = parse_quote(evidence_);
  if (!parsed) {
    const QuoteFault& fault = parsed.error();
    return recorder_.fail(CheckId::dcap_quote_structure, fault.expected, fault.actual,
                          fault.detail + other_layout(evidence_));
  }
  quote_ = *parsed;
  recorder_.pass(CheckId::dcap_quote_structure);
  const bool chain = quote_->cert_data_type == kCertDataPckChain;
  require(CheckId::dcap_quote_certification_data, chain, "type 5 (PCK certificate chain)",
          "type " + std::to_string(quote_->cert_data_type),
          chain ? ""
                : "certification data type, " +
                      bytes_at(static_cast<std::size_t>(quote_->cert_data.data() - evidence_.data()) - 6, 2));
  verdict_.platform = quote_->tee == Tee::tdx ? attestation::Platform::tdx : attestation::Platform::sgx;
  verdict_.report_data = base::to_bytes(quote_->report_data());
  verdict_.debug = quote_->debug();
  add_report_claims(*quote_, verdict_.claims);
  if (chain) load_platform();
}

void Judge::load_platform() {
  const base::Digest32 key = platform_key(*quote_);
  platform_ = caches_.platforms.find(key);
  if (platform_ && base::equal(platform_->cert_data, quote_->cert_data)) return;
  platform_ = examine_platform(*quote_, anchors_, signatures_, caches_.issuers);
  if (platform_->sound) caches_.platforms.put(key, platform_);
}

void Judge::load_collateral() {
  set_ = caches_.collateral.find(collateral_.digest());
  if (set_) return;
  set_ = examine_collateral(collateral_, anchors_, signatures_);
  new_set_ = set_->sound;
}

/// Only a set in which every signature is good is kept, so that nobody can push good sets out with bad ones. The CRLs'
/// signatures are judged with the platform's chain, hence not before this.
void Judge::keep_collateral() {
  if (new_set_ && recorder_.passed(CheckId::dcap_crl_root_signature) &&
      recorder_.passed(CheckId::dcap_crl_pck_signature)) {
    caches_.collateral.put(collateral_.digest(), set_);
  }
}

void Judge::pck_chain() {
  static const std::vector<CheckResult> none;
  const std::vector<CheckResult>& checks = platform_ ? platform_->checks : none;
  for (const CheckId check : {CheckId::dcap_pck_chain_format, CheckId::dcap_pck_root, CheckId::dcap_pck_names,
                              CheckId::dcap_pck_signatures, CheckId::dcap_pck_ca_constraints}) {
    replay(checks, check);
  }
  if (recorder_.may_run(CheckId::dcap_pck_validity)) {
    record(CheckId::dcap_pck_validity, judge_validity(platform_->chain, at_));
  }
  replay(checks, CheckId::dcap_pck_extension);
  if (platform_ && platform_->extension) {
    add_platform_claims(platform_->chain[0], *platform_->extension, verdict_.claims);
  }
}

void Judge::quoting_enclave() {
  static const std::vector<CheckResult> none;
  replay(platform_ ? platform_->checks : none, CheckId::dcap_qe_signature);
  if (recorder_.may_run(CheckId::dcap_qe_binding)) qe_binding();
  if (recorder_.may_run(CheckId::dcap_qe_miscselect)) qe_miscselect();
  if (recorder_.may_run(CheckId::dcap_qe_attributes)) qe_attributes();
  if (recorder_.may_run(CheckId::dcap_qe_mrsigner)) {
    const bool same = base::equal(quote_->qe_report.mrsigner(), set_->qe_identity->mrsigner);
    require(CheckId::dcap_qe_mrsigner, same, same ? "" : base::hex(set_->qe_identity->mrsigner),
            same ? "" : base::hex(quote_->qe_report.mrsigner()));
  }
  if (recorder_.may_run(CheckId::dcap_qe_isvprodid)) {
    const unsigned wanted = set_->qe_identity->isvprodid;
    const unsigned found = quote_->qe_report.isvprodid();
    require(CheckId::dcap_qe_isvprodid, wanted == found, std::to_string(wanted), std::to_string(found));
  }
  if (recorder_.may_run(CheckId::dcap_qe_level)) {
    const std::uint16_t svn = quote_->qe_report.isvsvn();
    qe_level_ = find_isv_level(set_->qe_identity->levels, svn);
    require(CheckId::dcap_qe_level, qe_level_ != nullptr,
            "at least " + std::to_string(set_->qe_identity->levels.back().isvsvn), std::to_string(svn));
  }
}

// On every call, never from a cache: it is what ties this quote's key to the QE report.
void Judge::qe_binding() {
  const base::Digest32 digest = crypto::sha256({quote_->attestation_key, quote_->auth_data});
  const ByteView data = quote_->qe_report.report_data();
  if (!base::equal(data.first(32), digest)) {
    const bool on_curve = crypto::EcPublicKey::from_raw(crypto::Curve::p256, quote_->attestation_key).ok();
    return recorder_.fail(
        CheckId::dcap_qe_binding, "SHA-256 of attestation key and QE authentication data: " + base::hex(digest),
        base::hex(data.first(32)),
        "attestation key, " + bytes_at(evidence_, quote_->attestation_key) + (on_curve ? "" : ", no point of P-256") +
            "; QE authentication data, " + bytes_at(evidence_, quote_->auth_data) + "; QE report data, " +
            bytes_at(evidence_, data.first(32)));
  }
  const bool zero = std::ranges::all_of(data.subspan(32), [](std::uint8_t b) { return b == 0; });
  require(CheckId::dcap_qe_binding, zero, "32 zero bytes at the end", zero ? "" : base::hex(data.subspan(32)),
          zero ? "" : "QE report data, " + bytes_at(evidence_, data.subspan(32)));
}

void Judge::qe_miscselect() {
  const ByteView b = quote_->qe_report.miscselect();
  const std::uint32_t value = static_cast<std::uint32_t>(b[0]) | (static_cast<std::uint32_t>(b[1]) << 8) |
                              (static_cast<std::uint32_t>(b[2]) << 16) | (static_cast<std::uint32_t>(b[3]) << 24);
  const std::uint32_t masked = value & set_->qe_identity->miscselect_mask;
  require(CheckId::dcap_qe_miscselect, masked == set_->qe_identity->miscselect,
          std::to_string(set_->qe_identity->miscselect), std::to_string(masked), "under the mask");
}

void Judge::qe_attributes() {
  base::FixedBytes<16> masked{};
  const ByteView found = quote_->qe_report.attributes();
  for (std::size_t i = 0; i < masked.size(); ++i) {
    masked[i] = static_cast<std::uint8_t>(found[i] & set_->qe_identity->attributes_mask[i]);
  }
  const bool same = masked == set_->qe_identity->attributes;
  require(CheckId::dcap_qe_attributes, same, same ? "" : base::hex(set_->qe_identity->attributes),
          same ? "" : base::hex(masked), "under the mask");
}

void Judge::quote_signature() {
  if (!recorder_.may_run(CheckId::dcap_quote_signature)) return;
  const auto key = crypto::EcPublicKey::from_raw(crypto::Curve::p256, quote_->attestation_key);
  if (!key) {
    return recorder_.fail(CheckId::dcap_quote_signature, "an attestation key on P-256", "no point of the curve");
  }
  if (key->verify_raw(quote_->signed_bytes, quote_->signature)) return recorder_.pass(CheckId::dcap_quote_signature);
  recorder_.fail(CheckId::dcap_quote_signature, "the quote signature verifies under the attestation key",
                 describe_signature_fault(*key, quote_->signed_bytes, quote_->signature),
                 "covers quote header and report body, " + bytes_at(evidence_, quote_->signed_bytes) +
                     "; quote signature, " + bytes_at(evidence_, quote_->signature) + "; attestation key, " +
                     bytes_at(evidence_, quote_->attestation_key));
}

void judge_quote(ByteView evidence, const Collateral& collateral, base::UtcTime at, const TrustAnchors& anchors,
                 Caches& caches, CheckRecorder& recorder, Verdict& verdict) {
  Judge{evidence, collateral, at, anchors, caches, recorder, verdict}.run();
}

}  // namespace attestry::attestation::dcap
