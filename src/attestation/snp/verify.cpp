#include "attestation/snp/verify.h"

#include <algorithm>
#include <array>

#include "attestation/signature_fault.h"
#include "attestation/snp/claims.h"
#include "attestation/snp/report.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::attestation::snp {
namespace {

using base::ByteView;

constexpr std::uint32_t kEcdsaP384 = 1;
constexpr std::uint32_t kMaxVmpl = 3;
constexpr std::size_t kShortHwid = 8;

bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t b) { return b == 0; });
}

std::string_view name_of(unsigned signing_key) {
  switch (signing_key) {
    case static_cast<unsigned>(SigningKey::vcek):
      return "VCEK";
    case static_cast<unsigned>(SigningKey::vlek):
      return "VLEK";
    case static_cast<unsigned>(SigningKey::none):
      return "none";
    default:
      return "reserved";
  }
}

/// What a byte of the TCB counts (AMD 56860, TCB_VERSION).
std::string_view component_name(Product product, std::size_t byte) {
  constexpr std::array<std::string_view, 8> kTurin{"FMC",      "boot loader", "TEE",      "SNP",
                                                   "reserved", "reserved",    "reserved", "microcode"};
  constexpr std::array<std::string_view, 8> kOthers{"boot loader", "TEE",      "reserved", "reserved",
                                                    "reserved",    "reserved", "SNP",      "microcode"};
  return product == Product::turin ? kTurin[byte] : kOthers[byte];
}

class Judge {
 public:
  Judge(ByteView evidence, const Collateral& collateral, base::UtcTime at, const TrustAnchors& anchors, Caches& caches,
        CheckRecorder& recorder, Verdict& verdict)
      : evidence_(evidence),
        collateral_(collateral),
        at_(at),
        anchors_(anchors),
        caches_(caches),
        recorder_(recorder),
        verdict_(verdict) {}

  void run() {
    verdict_.platform = Platform::snp;
    read_report();
    load();
    vek();
    chain();
    revocation();
    report_under_key();
    summarize();
  }

 private:
  void read_report();
  void report_fields();
  void load();
  const CollateralItem* item(CollateralKind kind, CheckId check);
  void vek();
  void vek_kind();
  void vek_product();
  void chain();
  void validity();
  void revocation();
  void revoked();
  void report_under_key();
  void chip_id();
  void reported_tcb();
  void report_signature();
  void summarize();

  void require(CheckId check, bool good, std::string_view expected, std::string_view actual,
               std::string_view detail = {}) {
    if (good) {
      recorder_.pass(check);
    } else {
      recorder_.fail(check, std::string{expected}, std::string{actual}, std::string{detail});
    }
  }
  void record(CheckId check, const Finding& fault) {
    if (!recorder_.may_run(check)) return;
    if (!fault) {
      recorder_.pass(check);
    } else {
      recorder_.fail(check, fault->expected, fault->actual, fault->detail);
    }
  }
  bool readable_chain() const { return chain_ && !chain_->format; }
  bool readable_vek() const { return vek_ && !vek_->format; }
  /// CPUID decides where the report has it; before version 3 only the certificate knows.
  std::optional<Product> product() const {
    if (report_ && report_->cpuid) return product_of_cpuid(report_->cpuid->family, report_->cpuid->model);
    return vek_ && vek_->extensions ? vek_->extensions->product() : std::nullopt;
  }

  ByteView evidence_;
  const Collateral& collateral_;
  base::UtcTime at_;
  const TrustAnchors& anchors_;
  Caches& caches_;
  CheckRecorder& recorder_;
  Verdict& verdict_;
  std::optional<Report> report_;
  std::shared_ptr<const Chain> chain_;
  std::shared_ptr<const Vek> vek_;
  std::shared_ptr<const RevocationList> crl_;
};

void Judge::read_report() {
  auto report = parse_report(evidence_);
  if (!report) {
    return recorder_.fail(CheckId::snp_report_size, report.error().expected, report.error().found + " bytes");
  }
  recorder_.pass(CheckId::snp_report_size);
  report_ = *std::move(report);
  report_fields();
  verdict_.report_data = base::to_bytes(report_->report_data);
  verdict_.debug = report_->debug();
  add_report_claims(*report_, verdict_.claims);
}

void Judge::report_fields() {
  const Report& r = *report_;
  require(CheckId::snp_report_version, known_version(r.version), "2, 3 or 5", std::to_string(r.version),
          "VERSION, bytes 0 to 3");
  require(CheckId::snp_report_signature_algo, r.signature_algo == kEcdsaP384, "1 (ECDSA P-384 with SHA-384)",
          std::to_string(r.signature_algo), "SIGNATURE_ALGO, bytes 52 to 55");
  if (const auto signature = signature_of(r); signature) {
    recorder_.pass(CheckId::snp_report_signature_format);
  } else {
    recorder_.fail(CheckId::snp_report_signature_format, signature.error().expected, signature.error().found,
                   signature.error().what);
  }
  require(CheckId::snp_report_policy, (r.policy & kPolicyReservedOne) != 0, "bit 17 set", "clear",
          "POLICY, bytes 8 to 15");
  require(CheckId::snp_report_vmpl, r.vmpl <= kMaxVmpl, "0 to 3", std::to_string(r.vmpl),
          r.vmpl == 0xffffffff ? "VMPL, bytes 48 to 51: the host asked for the report" : "VMPL, bytes 48 to 51");
  const unsigned key = r.signing_key();
  if (key > static_cast<unsigned>(SigningKey::vlek)) {
    recorder_.fail(CheckId::snp_report_signing_key, "0 (VCEK) or 1 (VLEK)",
                   std::to_string(key) + " (" + std::string{name_of(key)} + ")",
                   "SIGNING_KEY, bits 2 to 4 of bytes 72 to 75");
  } else {
    // With the chip's key masked the firmware signs nothing with it; a VLEK it may still use.
    const bool masked = r.mask_chip_key() && key == static_cast<unsigned>(SigningKey::vcek);
    require(CheckId::snp_report_signing_key, !masked, "a key that is not masked", "VCEK with MASK_CHIP_KEY",
            "SIGNING_KEY and MASK_CHIP_KEY, bits 2 to 4 and 1 of bytes 72 to 75");
  }
  if (!recorder_.may_run(CheckId::snp_report_product)) return;
  if (!r.cpuid) return recorder_.pass(CheckId::snp_report_product, "version 2 names none");
  const auto known = product_of_cpuid(r.cpuid->family, r.cpuid->model);
  if (known) return recorder_.pass(CheckId::snp_report_product, std::string{to_text(*known)});
  recorder_.fail(CheckId::snp_report_product, "Milan, Genoa or Turin",
                 "CPUID family " + std::to_string(r.cpuid->family) + ", model " + std::to_string(r.cpuid->model),
                 "CPUID, bytes 392 and 393");
}

/// nullptr when there is none, recorded as `check`.
const CollateralItem* Judge::item(CollateralKind kind, CheckId check) {
  const CollateralItem* found = collateral_.find(kind);
  const auto problem = std::ranges::find(collateral_.problems(), kind, &CollateralProblem::kind);
  const bool broken = problem != collateral_.problems().end() && !problem->missing;
  if (found != nullptr && !broken) {
    recorder_.pass(check);
    return found;
  }
  const std::string name{to_text(kind)};
  if (broken) {
    recorder_.fail(check, name, "unreadable", problem->what);
  } else if (check == CheckId::snp_crl_present) {
    // Fail closed would refuse most evidence of today, which comes without: so the policy says (policy.revocation).
    recorder_.skip(check, "no " + name + ": the chain was not checked for revocation");
  } else {
    recorder_.fail_undecided(check, name, "none",
                             problem != collateral_.problems().end() ? problem->what : std::string{});
  }
  return nullptr;
}

void Judge::load() {
  static constexpr base::Digest32 kNoChain{};
  const auto* const vek_item = item(CollateralKind::vek, CheckId::snp_vek_present);
  const auto* const chain_item = item(CollateralKind::amd_chain, CheckId::snp_chain_present);
  const auto* const crl_item = item(CollateralKind::amd_crl, CheckId::snp_crl_present);
  const base::Digest32& chain_id = chain_item != nullptr ? chain_item->sha256 : kNoChain;
  if (chain_item != nullptr) {
    chain_ = caches_.chains.find(chain_id);
    if (!chain_) {
      chain_ = examine_chain(chain_item->bytes, anchors_);
      if (chain_->sound()) caches_.chains.put(chain_id, chain_);
    }
  }
  if (vek_item != nullptr) {
    const base::Digest32 id = crypto::sha256({vek_item->sha256, chain_id});
    vek_ = caches_.veks.find(id);
    if (!vek_) {
      vek_ = examine_vek(vek_item->bytes, chain_.get());
      if (vek_->sound() && chain_ && chain_->sound()) caches_.veks.put(id, vek_);
    }
  }
  if (crl_item != nullptr) {
    const base::Digest32 id = crypto::sha256({crl_item->sha256, chain_id});
    crl_ = caches_.crls.find(id);
    if (!crl_) {
      crl_ = examine_crl(crl_item->bytes, chain_.get());
      if (crl_->sound() && chain_ && chain_->sound()) caches_.crls.put(id, crl_);
    }
  }
}

void Judge::vek() {
  record(CheckId::snp_vek_format, vek_ ? vek_->format : std::nullopt);
  record(CheckId::snp_vek_extensions, vek_ ? vek_->extension_fault : std::nullopt);
  if (recorder_.may_run(CheckId::snp_vek_kind)) vek_kind();
  if (recorder_.may_run(CheckId::snp_vek_product)) vek_product();
  if (!vek_ || !vek_->extensions) return;
  add_vek_claims(*vek_->extensions, verdict_.claims);
  if (const auto known = product(); known && report_) add_product_claims(*report_, *known, verdict_.claims);
}

/// Selector, subject name and the extension that names chip or provider say the same (TAV#142, go-sev-guest#53).
void Judge::vek_kind() {
  const bool vlek = report_->signing_key() == static_cast<unsigned>(SigningKey::vlek);
  const std::string_view wanted = vlek ? "SEV-VLEK" : "SEV-VCEK";
  const VekExtensions& extensions = *vek_->extensions;
  if (vek_->certificate->subject_cn() != wanted) {
    return recorder_.fail(CheckId::snp_vek_kind, std::string{wanted}, vek_->certificate->subject_cn(),
                          "the report says " + std::string{name_of(report_->signing_key())} +
                              " (SIGNING_KEY, bits 2 to 4 of bytes 72 to 75)");
  }
  const bool fits = extensions.hwid.has_value() == !vlek && extensions.csp_id.has_value() == vlek;
  const auto shown = [](bool hwid, bool csp) {
    return std::string{hwid ? "hwID" : "no hwID"} + (csp ? ", cspID" : ", no cspID");
  };
  require(CheckId::snp_vek_kind, fits, shown(!vlek, vlek),
          shown(extensions.hwid.has_value(), extensions.csp_id.has_value()), wanted);
}

void Judge::vek_product() {
  const auto named = vek_->extensions->product();
  if (!named) {
    return recorder_.fail(CheckId::snp_vek_product, "Milan, Genoa or Turin", vek_->extensions->product_name,
                          "unknown product");
  }
  const auto wanted = product();
  require(CheckId::snp_vek_product, named == wanted, wanted ? to_text(*wanted) : "a known product", to_text(*named),
          "product of the certificate");
}

void Judge::chain() {
  record(CheckId::snp_chain_format, chain_ ? chain_->format : std::nullopt);
  record(CheckId::snp_chain_root, chain_ ? chain_->root : std::nullopt);
  if (recorder_.may_run(CheckId::snp_chain_names)) {
    const auto wanted = product();
    const bool vlek = vek_->certificate->subject_cn() == "SEV-VLEK";
    if (!wanted) {
      recorder_.fail(CheckId::snp_chain_names, "the chain of a known product", chain_->ark().subject_cn());
    } else {
      record(CheckId::snp_chain_names, judge_names(*vek_->certificate, *chain_, *wanted, vlek));
    }
  }
  if (recorder_.may_run(CheckId::snp_chain_constraints)) {
    record(CheckId::snp_chain_constraints, chain_->constraints ? chain_->constraints : vek_->constraints);
  }
  record(CheckId::snp_chain_signature, chain_ ? chain_->signature : std::nullopt);
  record(CheckId::snp_vek_signature, vek_ ? vek_->signature : std::nullopt);
  if (recorder_.may_run(CheckId::snp_chain_validity)) validity();
}

void Judge::validity() {
  for (const crypto::Certificate* certificate : {&*vek_->certificate, &chain_->intermediate(), &chain_->ark()}) {
    if (certificate->not_before() <= at_ && at_ <= certificate->not_after()) continue;
    return recorder_.fail(
        CheckId::snp_chain_validity,
        base::to_rfc3339(certificate->not_before()) + " to " + base::to_rfc3339(certificate->not_after()),
        base::to_rfc3339(at_),
        "certificate " + certificate->subject_cn() +
            (at_ < certificate->not_before() ? " is not valid yet" : " is expired"));
  }
  recorder_.pass(CheckId::snp_chain_validity);
}

void Judge::revocation() {
  record(CheckId::snp_crl_format, crl_ ? crl_->format : std::nullopt);
  if (recorder_.may_run(CheckId::snp_crl_issuer)) {
    require(CheckId::snp_crl_issuer, base::equal(crl_->crl->issuer_der(), chain_->ark().subject_der()),
            "a CRL of " + chain_->ark().subject_cn(), "a CRL of another issuer", "collateral amd_crl");
  }
  record(CheckId::snp_crl_signature, crl_ ? crl_->signature : std::nullopt);
  if (recorder_.may_run(CheckId::snp_crl_validity)) {
    const base::UtcTime issued = crl_->crl->this_update();
    const base::UtcTime next = *crl_->crl->next_update();
    require(CheckId::snp_crl_validity, issued <= at_ && at_ <= next,
            base::to_rfc3339(issued) + " to " + base::to_rfc3339(next), base::to_rfc3339(at_),
            at_ < issued ? "issued after the time of the verification" : "expired");
  }
  if (recorder_.may_run(CheckId::snp_crl_revoked)) revoked();
}

/// The ARK's list names what the ARK issued. A VEK is not among that: all VCEKs have serial number 0.
void Judge::revoked() {
  for (const crypto::Certificate& certificate : chain_->certificates) {
    if (!crl_->crl->revokes(certificate.serial())) continue;
    return recorder_.fail(CheckId::snp_crl_revoked, "not in the CRL", "revoked",
                          certificate.subject_cn() + ", serial " + base::hex(certificate.serial()));
  }
  recorder_.pass(CheckId::snp_crl_revoked);
}

void Judge::report_under_key() {
  if (recorder_.may_run(CheckId::snp_chip_id)) chip_id();
  if (recorder_.may_run(CheckId::snp_tcb_reported)) reported_tcb();
  if (recorder_.may_run(CheckId::snp_report_signature)) report_signature();
}

void Judge::chip_id() {
  const ByteView chip = report_->chip_id;
  const auto& hwid = vek_->extensions->hwid;
  // A VLEK is the provider's and names no chip; what the report says about it is then only a claim.
  if (!hwid) return recorder_.pass(CheckId::snp_chip_id, "a VLEK is bound to no chip");
  if (all_zero(chip)) {
    return recorder_.fail(CheckId::snp_chip_id, base::hex(*hwid), "zeros", "the host hides the chip id (MASK_CHIP_ID)");
  }
  const std::size_t size = product() == Product::turin ? kShortHwid : chip.size();
  if (hwid->size() != size) {
    return recorder_.fail(CheckId::snp_chip_id, "a hwID of " + std::to_string(size) + " bytes",
                          std::to_string(hwid->size()), "certificate");
  }
  const bool same = base::equal(chip.first(size), *hwid) && all_zero(chip.subspan(size));
  if (same) return recorder_.pass(CheckId::snp_chip_id);
  const auto first = static_cast<std::size_t>(std::ranges::mismatch(chip.first(size), *hwid).in1 - chip.begin());
  recorder_.fail(CheckId::snp_chip_id, base::hex(*hwid), base::hex(chip),
                 first < size
                     ? "the certificate is of another chip: CHIP_ID, bytes 416 to 479, differs from its hwID at "
                       "byte " +
                           std::to_string(416 + first)
                     : "CHIP_ID, bytes 416 to 479, goes on behind the certificate's hwID");
}

void Judge::reported_tcb() {
  const auto wanted = tcb_of(*vek_->extensions, *product());
  if (!wanted) {
    return recorder_.fail(CheckId::snp_tcb_reported, "the TCB components of the product", "others", "certificate");
  }
  const TcbBytes& found = report_->reported_tcb;
  if (*wanted == found) return recorder_.pass(CheckId::snp_tcb_reported);
  std::string differs;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if ((*wanted)[i] == found[i]) continue;
    differs.append(differs.empty() ? "" : ", ").append(component_name(*product(), i));
    differs.append(" (byte ").append(std::to_string(384 + i)).append(") is ").append(std::to_string(found[i]));
    differs.append(", not ").append(std::to_string((*wanted)[i]));
  }
  recorder_.fail(CheckId::snp_tcb_reported, base::hex(*wanted), base::hex(found),
                 "REPORTED_TCB must equal the certificate's: " + differs);
}

void Judge::report_signature() {
  const auto signature = signature_of(*report_);
  const bool good = signature && vek_->key->verify_raw(report_->signed_bytes, *signature);
  if (good) return recorder_.pass(CheckId::snp_report_signature);
  const std::string key{name_of(report_->signing_key())};
  recorder_.fail(CheckId::snp_report_signature, "the report's signature verifies under the " + key + "'s key",
                 signature ? describe_signature_fault(*vek_->key, report_->signed_bytes, *signature) : "no signature",
                 "covers the report's bytes 0 to 671; r, bytes 672 to 743; s, bytes 744 to 815");
}

/// What was used and until when all of it holds.
void Judge::summarize() {
  const auto used = [&](CollateralKind kind, std::optional<base::UtcTime> issued,
                        std::optional<base::UtcTime> expires) {
    if (const CollateralItem* found = collateral_.find(kind)) {
      verdict_.collateral.push_back({.kind = kind, .sha256 = found->sha256, .issued = issued, .expires = expires});
    }
  };
  if (readable_vek()) used(CollateralKind::vek, vek_->certificate->not_before(), vek_->certificate->not_after());
  if (readable_chain()) {
    used(CollateralKind::amd_chain, chain_->intermediate().not_before(),
         std::min(chain_->intermediate().not_after(), chain_->ark().not_after()));
  }
  if (crl_ && crl_->crl) used(CollateralKind::amd_crl, crl_->crl->this_update(), crl_->crl->next_update());
  if (!readable_vek() || !readable_chain()) return;
  base::UtcTime until =
      std::min({vek_->certificate->not_after(), chain_->intermediate().not_after(), chain_->ark().not_after()});
  if (crl_ && crl_->crl && crl_->crl->next_update()) until = std::min(until, *crl_->crl->next_update());
  verdict_.valid_until = until;
}

}  // namespace

void judge_report(ByteView evidence, const Collateral& collateral, base::UtcTime at, const TrustAnchors& anchors,
                  Caches& caches, CheckRecorder& recorder, Verdict& verdict) {
  Judge{evidence, collateral, at, anchors, caches, recorder, verdict}.run();
}

}  // namespace attestry::attestation::snp
