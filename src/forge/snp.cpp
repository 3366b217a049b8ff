#include "forge/snp.h"

#include <algorithm>
#include <array>

#include "attestation/snp/report.h"
#include "base/encoding.h"
#include "base/json_writer.h"

namespace attestry::forge {
namespace {

using attestation::snp::Tcb;
using attestation::snp::TcbBytes;
using base::Bytes;
using base::ByteView;
using base::JsonOut;
using base::JsonOutObject;

constexpr std::int64_t kDay = 24 * 3600;
constexpr std::size_t kChipSize = 64;
constexpr std::size_t kTurinChipSize = 8;
constexpr std::string_view kProvider = "CN=cc-simulated.forge.invalid";

// Offsets of the report (AMD 56860, ATTESTATION_REPORT).
constexpr std::size_t kPolicyAt = 0x08;
constexpr std::size_t kVmplAt = 0x30;
constexpr std::size_t kAlgoAt = 0x34;
constexpr std::size_t kCurrentTcbAt = 0x38;
constexpr std::size_t kPlatformInfoAt = 0x40;
constexpr std::size_t kFlagsAt = 0x48;
constexpr std::size_t kReportDataAt = 0x50;
constexpr std::size_t kMeasurementAt = 0x90;
constexpr std::size_t kHostDataAt = 0xc0;
constexpr std::size_t kReportIdAt = 0x140;
constexpr std::size_t kReportIdMaAt = 0x160;
constexpr std::size_t kReportedTcbAt = 0x180;
constexpr std::size_t kCpuidAt = 0x188;
constexpr std::size_t kChipIdAt = 0x1a0;
constexpr std::size_t kCommittedTcbAt = 0x1e0;
constexpr std::size_t kFirmwareAt = 0x1e8;
constexpr std::size_t kLaunchTcbAt = 0x1f0;
constexpr std::size_t kMitigationsAt = 0x1f8;
constexpr std::size_t kSignatureAt = attestation::snp::kSignedSize;
constexpr std::size_t kFieldSize = 48;  // of P-384

constexpr std::array kFaults{
#define ATTESTRY_SNP_FAULT(name, text, cause, what) SnpFaultInfo{SnpFault::name, text, cause, what},
#include "forge/snp_faults.def"
#undef ATTESTRY_SNP_FAULT
};

struct Processor {
  std::uint8_t family;
  std::uint8_t model;
  std::string_view stepping;  ///< of the product name
};
Processor processor_of(SnpProduct product) {
  switch (product) {
    case SnpProduct::milan:
      return {0x19, 0x01, "-B0"};
    case SnpProduct::genoa:
      return {0x19, 0x11, "-B1"};
    case SnpProduct::turin:
      return {0x1a, 0x02, "-B0"};
  }
  return {0, 0, ""};
}
SnpProduct other_than(SnpProduct product) {
  return product == SnpProduct::milan ? SnpProduct::genoa : SnpProduct::milan;
}

/// Every component differs from the others, so that no layout passes for another.
Tcb tcb_of(SnpProduct product) {
  return {.fmc = static_cast<std::uint8_t>(product == SnpProduct::turin ? 2 : 0),
          .boot_loader = 10,
          .tee = 3,
          .snp = 24,
          .microcode = 219};
}

/// All that a fault may change before anything is signed.
struct Plan {
  std::uint32_t version = 3;
  std::uint64_t policy = attestation::snp::kPolicyReservedOne | 0x1'0000;  // SMT allowed
  std::uint32_t vmpl = 0;
  std::uint32_t algo = 1;
  std::uint32_t flags = 0;
  Processor cpuid{};
  Bytes chip_id;
  TcbBytes reported{};
  VekSpec vek;
  bool other_intermediate = false;
  Validity crl_window;
};

Bytes chip_of(const SnpPki& pki, SnpFault fault, std::uint32_t number) {
  Bytes chip = pki.derive_bytes(chip_label("chip", number), kChipSize);
  if (fault == SnpFault::hwid_like_octets) {
    chip[0] = 0x04;
    chip[1] = 0x40;
  }
  if (fault == SnpFault::hwid_like_integer) {
    chip[0] = 0x02;
    chip[1] = 0x3e;
  }
  if (pki.product() == SnpProduct::turin) std::fill(chip.begin() + kTurinChipSize, chip.end(), std::uint8_t{0});
  return chip;
}

Plan good_plan(const SnpPki& pki, const SnpScenario& s) {
  const SnpProduct product = pki.product();
  const bool turin = product == SnpProduct::turin;
  Plan plan;
  plan.version = s.version;
  plan.flags = s.vlek ? 1u << 2 : 0u;
  plan.cpuid = processor_of(product);
  plan.vek.vlek = s.vlek;
  plan.vek.chip = s.vlek ? 0 : s.chip;
  plan.vek.common_name = s.vlek ? "SEV-VLEK" : "SEV-VCEK";
  plan.vek.product_name = std::string{to_text(product)}.append(s.vlek ? "" : plan.cpuid.stepping);
  plan.vek.tcb = tcb_of(product);
  plan.reported = pack_tcb(product, plan.vek.tcb);
  if (s.vlek) {
    plan.vek.csp_id = kProvider;
    plan.chip_id.assign(kChipSize, 0);  // a provider's key does not name the chip
  } else {
    plan.chip_id = chip_of(pki, s.fault, s.chip);
    plan.vek.hwid = Bytes(plan.chip_id.begin(), plan.chip_id.begin() + (turin ? kTurinChipSize : kChipSize));
  }
  plan.crl_window = {s.at - kDay, s.at + 30 * kDay};
  return plan;
}

void plan_report_fault(Plan& plan, SnpFault fault, SnpProduct product) {
  switch (fault) {
    case SnpFault::version_1:
      plan.version = 1;
      break;
    case SnpFault::version_4:
      plan.version = 4;
      break;
    case SnpFault::algo:
      plan.algo = 2;
      break;
    case SnpFault::policy_bit:
      plan.policy &= ~attestation::snp::kPolicyReservedOne;
      break;
    case SnpFault::debug:
      plan.policy |= attestation::snp::kPolicyDebug;
      break;
    case SnpFault::migrate:
      plan.policy |= attestation::snp::kPolicyMigrateMa;
      break;
    case SnpFault::vmpl_1:
      plan.vmpl = 1;
      break;
    case SnpFault::vmpl_4:
      plan.vmpl = 4;
      break;
    case SnpFault::vmpl_host:
      plan.vmpl = 0xffff'ffff;
      break;
    case SnpFault::selector:
      plan.flags ^= 1u << 2;
      break;
    case SnpFault::selector_reserved:
      plan.flags = 2u << 2;
      break;
    case SnpFault::selector_none:
      plan.flags = 7u << 2;
      break;
    case SnpFault::masked_key:
      plan.flags |= 2u;
      break;
    case SnpFault::cpuid_unknown:
      plan.cpuid = {0x17, 0x31, ""};
      break;
    case SnpFault::cpuid_other:
      plan.cpuid = processor_of(other_than(product));
      break;
    case SnpFault::chip_tail:
      plan.chip_id.back() = 1;
      break;
    case SnpFault::masked_chip:
      plan.chip_id.assign(kChipSize, 0);
      break;
    case SnpFault::tcb_layout:
      plan.reported = pack_tcb(product == SnpProduct::turin ? SnpProduct::milan : SnpProduct::turin, plan.vek.tcb);
      break;
    case SnpFault::tcb_higher:
      ++plan.reported[7];
      break;
    default:
      break;
  }
}

void plan_vek_fault(Plan& plan, const SnpPki& pki, const SnpScenario& s) {
  VekSpec& vek = plan.vek;
  switch (s.fault) {
    case SnpFault::vek_name:
      vek.common_name = s.vlek ? "SEV-VCEK" : "SEV-VLEK";
      break;
    case SnpFault::vek_binding:
      vek.hwid.reset();
      vek.csp_id.reset();
      break;
    case SnpFault::vek_both:
      vek.hwid = Bytes(pki.product() == SnpProduct::turin ? kTurinChipSize : kChipSize, 1);
      vek.csp_id = kProvider;
      break;
    case SnpFault::vek_extension:
      vek.product_name += '\n';
      break;
    case SnpFault::product_name:
      vek.product_name = to_text(other_than(pki.product()));
      break;
    case SnpFault::other_intermediate:
      plan.other_intermediate = true;
      break;
    case SnpFault::vek_is_ca:
      vek.is_ca = true;
      break;
    case SnpFault::vek_expired:
      vek.validity = {s.at - kDay, s.at - 1};
      break;
    case SnpFault::vek_early:
      vek.validity = {s.at + 1, s.at + kDay};
      break;
    case SnpFault::hwid:
      vek.hwid->back() ^= 1;
      break;
    case SnpFault::hwid_length:
      vek.hwid = Bytes(plan.chip_id.begin(),
                       plan.chip_id.begin() + (pki.product() == SnpProduct::turin ? kChipSize : kTurinChipSize));
      break;
    case SnpFault::tcb_boot_loader:
      ++vek.tcb.boot_loader;
      break;
    case SnpFault::tcb_tee:
      ++vek.tcb.tee;
      break;
    case SnpFault::tcb_snp:
      ++vek.tcb.snp;
      break;
    case SnpFault::tcb_microcode:
      ++vek.tcb.microcode;
      break;
    case SnpFault::crl_expired:
      plan.crl_window = {s.at - kDay, s.at - 1};
      break;
    case SnpFault::crl_early:
      plan.crl_window = {s.at + 1, s.at + kDay};
      break;
    default:
      break;
  }
}

void put(Bytes& report, std::size_t at, ByteView bytes) {
  std::ranges::copy(bytes, report.begin() + static_cast<std::ptrdiff_t>(at));
}
void put_number(Bytes& report, std::size_t at, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) report[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

Bytes unsigned_report(const SnpPki& pki, const Plan& plan, const SnpScenario& s) {
  Bytes out(attestation::snp::kReportSize, 0);
  put_number(out, 0, plan.version, 4);
  put_number(out, kPolicyAt, plan.policy, 8);
  put_number(out, kVmplAt, plan.vmpl, 4);
  put_number(out, kAlgoAt, plan.algo, 4);
  put_number(out, kPlatformInfoAt, 0x25, 8);  // SMT, ECC, alias check complete
  put_number(out, kFlagsAt, plan.flags, 4);
  const bool given = std::ranges::any_of(s.report_data, [](std::uint8_t b) { return b != 0; });
  put(out, kReportDataAt, given ? Bytes(s.report_data.begin(), s.report_data.end()) : pki.derive_bytes("data", 64));
  put(out, kMeasurementAt, pki.derive_bytes("measurement", 48));
  put(out, kHostDataAt, pki.derive_bytes("host data", 32));
  put(out, kReportIdAt, pki.derive_bytes("report id", 32));
  put(out, kReportIdMaAt, Bytes(32, 0xff));  // no migration agent
  for (const std::size_t at : {kCurrentTcbAt, kReportedTcbAt, kCommittedTcbAt, kLaunchTcbAt})
    put(out, at, plan.reported);
  if (plan.version >= 3) put(out, kCpuidAt, Bytes{plan.cpuid.family, plan.cpuid.model, 1});
  put(out, kChipIdAt, plan.chip_id);
  for (const std::size_t at : {kFirmwareAt, kFirmwareAt + 4}) put(out, at, Bytes{21, 55, 1});  // build, minor, major
  if (plan.version >= 5) {
    put_number(out, kMitigationsAt, 3, 8);
    put_number(out, kMitigationsAt + 8, 3, 8);
  }
  return out;
}

/// r and s as the firmware writes them: little-endian in 72 bytes each.
void sign(Bytes& report, const crypto::EcPrivateKey& key) {
  const Bytes signature = key.sign_raw(ByteView{report}.first(attestation::snp::kSignedSize), true);
  for (std::size_t i = 0; i < kFieldSize; ++i) {
    report[kSignatureAt + i] = signature[kFieldSize - 1 - i];
    report[kSignatureAt + attestation::snp::kNumberSize + i] = signature[2 * kFieldSize - 1 - i];
  }
}

void break_report(Bytes& report, SnpFault fault) {
  const auto signature = report.begin() + kSignatureAt;
  if (fault == SnpFault::trailing_byte) report.push_back(0);
  if (fault == SnpFault::signature_zero) std::fill(signature, report.end(), std::uint8_t{0});
  if (fault == SnpFault::signature_high) report[kSignatureAt + kFieldSize] = 1;
  if (fault == SnpFault::signature_tail) report.back() = 1;
  if (fault == SnpFault::changed) report[kMeasurementAt] ^= 1;
}

base::Result<std::string> chain_of(const SnpPki& pki, const SnpCa& intermediate, SnpFault fault) {
  Bytes first = intermediate.der;
  if (fault == SnpFault::ask_no_ca) {
    TRY(first, pki.without_ca(intermediate));
  }
  if (fault == SnpFault::ask_changed) first.back() ^= 1;
  const std::string above = base::pem_encode("CERTIFICATE", pki.ark().der);
  const std::string below = base::pem_encode("CERTIFICATE", first);
  if (fault == SnpFault::chain_short) return below;
  return fault == SnpFault::chain_swapped ? above + below : below + above;
}

base::Result<Bytes> crl_of(const SnpPki& pki, const SnpCa& intermediate, const Plan& plan, SnpFault fault) {
  if (fault == SnpFault::crl_garbage) return Bytes{0x30, 0x03, 0x02, 0x01, 0x00};
  std::vector<Bytes> revoked;
  if (fault == SnpFault::crl_revokes) revoked.push_back(intermediate.serial);
  if (fault == SnpFault::crl_other) revoked.push_back({9, 0, 1});
  const SnpCa& named = fault == SnpFault::crl_foreign ? intermediate : pki.ark();
  const SnpCa& signer = fault == SnpFault::crl_by_ask ? intermediate : pki.ark();
  TRY(Bytes out, pki.crl(named, signer, plan.crl_window, revoked));
  if (fault == SnpFault::crl_changed) out.back() ^= 1;
  return out;
}

const SnpFaultInfo& info(SnpFault fault) { return *std::ranges::find(kFaults, fault, &SnpFaultInfo::fault); }

}  // namespace

const std::vector<SnpKind>& all_snp_kinds() {
  static const std::vector<SnpKind> kinds = [] {
    std::vector<SnpKind> out;
    for (const auto product : {SnpProduct::milan, SnpProduct::genoa, SnpProduct::turin}) {
      for (const std::uint32_t version : {2u, 3u, 5u}) {
        out.push_back({product, version, false});
        out.push_back({product, version, true});
      }
    }
    return out;
  }();
  return kinds;
}

std::string to_text(const SnpKind& kind) {
  std::string product{to_text(kind.product)};
  product[0] = static_cast<char>(product[0] | 0x20);
  return "snp-" + product + "-v" + std::to_string(kind.version) + (kind.vlek ? "-vlek" : "");
}

std::optional<SnpKind> parse_snp_kind(std::string_view text) {
  const auto& kinds = all_snp_kinds();
  const auto found = std::ranges::find(kinds, text, [](const SnpKind& kind) { return to_text(kind); });
  return found == kinds.end() ? std::nullopt : std::optional{*found};
}

VekSpec snp_vcek(const SnpPki& pki, std::uint32_t chip) { return good_plan(pki, {.at = {}, .chip = chip}).vek; }

std::span<const SnpFaultInfo> snp_faults() noexcept { return kFaults; }

bool applies(SnpFault fault, const SnpKind& kind) noexcept {
  const bool turin = kind.product == SnpProduct::turin;
  switch (fault) {
    case SnpFault::cpuid_unknown:
    case SnpFault::cpuid_other:
    case SnpFault::product_name:
      return kind.version >= 3;  // before, only the certificate names a product
    case SnpFault::masked_key:
    case SnpFault::masked_chip:
    case SnpFault::hwid:
    case SnpFault::hwid_length:
      return !kind.vlek;
    case SnpFault::hwid_like_octets:
    case SnpFault::hwid_like_integer:
      return !kind.vlek && !turin;
    case SnpFault::chip_tail:
      return !kind.vlek && turin;
    default:
      return true;
  }
}

base::Result<SnpCase> make_snp_case(const SnpPki& trusted, const SnpScenario& s) {
  const SnpKind kind{trusted.product(), s.version, s.vlek};
  if (!applies(s.fault, kind)) {
    return base::Error{base::Code::malformed,
                       "fault " + std::string{info(s.fault).name} + " does not exist for " + to_text(kind)};
  }
  std::optional<SnpPki> impostor;
  if (s.fault == SnpFault::impostor_ark) {
    TRY(impostor, SnpPki::make(trusted.derive_bytes("impostor", 32), trusted.product()));
  }
  const SnpPki& pki = impostor ? *impostor : trusted;
  Plan plan = good_plan(pki, s);
  plan_report_fault(plan, s.fault, pki.product());
  plan_vek_fault(plan, pki, s);
  const SnpCa& issuer = s.vlek != plan.other_intermediate ? pki.asvk() : pki.ask();
  TRY(auto vek, pki.vek(plan.vek, issuer));
  if (s.fault == SnpFault::vek_changed) vek.der.back() ^= 1;

  SnpCase out;
  out.report = unsigned_report(pki, plan, s);
  if (s.fault == SnpFault::signature_other) {
    TRY(const auto other, pki.derive_key("stranger"));
    sign(out.report, other);
  } else {
    sign(out.report, vek.key);
  }
  break_report(out.report, s.fault);
  out.vek = std::move(vek.der);
  TRY(out.chain, chain_of(pki, issuer, s.fault));
  TRY(out.crl, crl_of(pki, issuer, plan, s.fault));
  out.root_pem = base::pem_encode("CERTIFICATE", trusted.ark().der);
  out.kind = kind;
  out.scenario = s;
  return out;
}

std::string SnpCase::case_json(std::string_view name) const {
  const SnpFaultInfo& fault = info(scenario.fault);
  const bool good = fault.cause.empty();
  JsonOutObject expect{{"result", good ? "ok" : "fail"}, {"reason", good ? JsonOut{nullptr} : JsonOut{fault.name}}};
  if (good) {
    const auto field = [this](std::size_t at, std::size_t size) {
      return base::hex(ByteView{report}.subspan(at, size));
    };
    expect.emplace_back("measurements", JsonOutObject{{"measurement", field(kMeasurementAt, 48)},
                                                      {"report_data", field(kReportDataAt, 64)},
                                                      {"chip_id", field(kChipIdAt, kChipSize)}});
  } else {
    expect.emplace_back("root_cause", fault.cause);
  }
  return JsonOut(JsonOutObject{{"name", name},
                               {"platform", "snp"},
                               {"title", fault.what},
                               {"kind", to_text(kind)},
                               {"trust_anchor", "root.pem"},
                               {"verify_at", base::to_rfc3339(scenario.at)},
                               {"expect", std::move(expect)}})
             .pretty() +
         "\n";
}

}  // namespace attestry::forge
