#include "appraisal/check_sources.h"

namespace attestry::appraisal {
namespace {

struct Row {
  std::string_view beginning;
  CheckSource source;
};

/// Offsets are those of the formats where they are fixed; where they depend on the bytes, the check's detail has them.
constexpr Row kRows[] = {
    {"evidence.", {"evidence", "its first bytes and its size"}},
    {"dcap.quote.version", {"evidence", "quote header, bytes 0 to 1: version"}},
    {"dcap.quote.key_type", {"evidence", "quote header, bytes 2 to 3: attestation key type"}},
    {"dcap.quote.tee_type", {"evidence", "quote header, bytes 4 to 7: TEE type"}},
    {"dcap.quote.vendor", {"evidence", "quote header, bytes 12 to 27: QE vendor id"}},
    {"dcap.quote.structure", {"evidence", "lengths and types of the quote's parts"}},
    {"dcap.quote.certification_data", {"evidence", "quote signature data: certification data type"}},
    {"dcap.quote.signature", {"evidence", "quote header and report body; quote signature"}},
    {"dcap.quote.", {"evidence", "quote"}},
    {"dcap.pck.", {"evidence", "PCK certificate chain in the quote's certification data"}},
    {"dcap.crl.root.", {"collateral root_ca_crl", "CRL of the Intel SGX Root CA"}},
    {"dcap.crl.pck.", {"collateral pck_crl", "CRL of the PCK CA"}},
    {"dcap.crl.intermediate.", {"collateral root_ca_crl", "serial of the PCK CA's certificate"}},
    {"dcap.crl.tcb_signing.", {"collateral root_ca_crl", "serial of the TCB signing certificate"}},
    {"dcap.crl.qe_signing.", {"collateral root_ca_crl", "serial of the QE identity's signing certificate"}},
    {"dcap.crl.", {"collateral", "revocation lists"}},
    {"dcap.tcb_info.present", {"collateral", "tcb_info, tcb_info_signature and tcb_info_chain"}},
    {"dcap.tcb_info.chain", {"collateral tcb_info_chain", "signing certificate and root"}},
    {"dcap.tcb_info.signature", {"collateral tcb_info_signature", "over the exact text of tcb_info"}},
    {"dcap.tcb_info.id", {"collateral tcb_info", "id"}},
    {"dcap.tcb_info.version", {"collateral tcb_info", "version and tcbType"}},
    {"dcap.tcb_info.validity", {"collateral tcb_info", "issueDate and nextUpdate"}},
    {"dcap.tcb_info.fmspc", {"collateral tcb_info", "fmspc"}},
    {"dcap.tcb_info.pceid", {"collateral tcb_info", "pceId"}},
    {"dcap.tcb_info.", {"collateral tcb_info", ""}},
    {"dcap.qe_identity.present", {"collateral", "qe_identity, qe_identity_signature and qe_identity_chain"}},
    {"dcap.qe_identity.chain", {"collateral qe_identity_chain", "signing certificate and root"}},
    {"dcap.qe_identity.signature", {"collateral qe_identity_signature", "over the exact text of qe_identity"}},
    {"dcap.qe_identity.id", {"collateral qe_identity", "id"}},
    {"dcap.qe_identity.version", {"collateral qe_identity", "version"}},
    {"dcap.qe_identity.validity", {"collateral qe_identity", "issueDate and nextUpdate"}},
    {"dcap.qe_identity.", {"collateral qe_identity", ""}},
    {"dcap.qe.signature", {"evidence", "QE report and QE report signature"}},
    {"dcap.qe.binding",
     {"evidence", "attestation key, QE authentication data; QE report, bytes 320 to 383: report data"}},
    {"dcap.qe.miscselect", {"evidence", "QE report, bytes 16 to 19: MISCSELECT, against qe_identity"}},
    {"dcap.qe.attributes", {"evidence", "QE report, bytes 48 to 63: ATTRIBUTES, against qe_identity"}},
    {"dcap.qe.mrsigner", {"evidence", "QE report, bytes 128 to 159: MRSIGNER, against qe_identity"}},
    {"dcap.qe.isvprodid", {"evidence", "QE report, bytes 256 to 257: ISVPRODID, against qe_identity"}},
    {"dcap.qe.level", {"evidence", "QE report, bytes 258 to 259: ISVSVN, against qe_identity"}},
    {"dcap.qe.", {"evidence", "QE report"}},
    {"dcap.tcb.", {"collateral tcb_info", "tcbLevels, against the PCK certificate's and the report's SVNs"}},
    {"tdx.module.identity", {"collateral tcb_info", "tdxModuleIdentities, by TEE_TCB_SVN[1] of the TD report"}},
    {"tdx.module.mrsigner", {"evidence", "TD report, bytes 64 to 111: MRSIGNERSEAM"}},
    {"tdx.module.attributes", {"evidence", "TD report, bytes 112 to 119: SEAMATTRIBUTES"}},
    {"tdx.module.", {"evidence", "TD report, bytes 0 to 15: TEE_TCB_SVN, against tdxModuleIdentities of tcb_info"}},
    {"tdx.relaunch.", {"evidence", "TD report 1.5: TEE_TCB_SVN2, against tcb_info"}},
    {"tdx.", {"evidence", "TD report"}},
    {"snp.report.size", {"evidence", "report, 1184 bytes"}},
    {"snp.report.version", {"evidence", "report, bytes 0 to 3: VERSION"}},
    {"snp.report.signature_algo", {"evidence", "report, bytes 52 to 55: SIGNATURE_ALGO"}},
    {"snp.report.signature_format", {"evidence", "report, bytes 672 to 1183: SIGNATURE"}},
    {"snp.report.policy", {"evidence", "report, bytes 8 to 15: POLICY"}},
    {"snp.report.vmpl", {"evidence", "report, bytes 48 to 51: VMPL"}},
    {"snp.report.signing_key", {"evidence", "report, bytes 72 to 75: SIGNING_KEY"}},
    {"snp.report.product", {"evidence", "report, bytes 392 to 394: CPUID family, model, stepping"}},
    {"snp.report.signature", {"evidence", "report, bytes 0 to 671; its SIGNATURE, bytes 672 to 815"}},
    {"snp.report.", {"evidence", "report"}},
    {"snp.vek.", {"collateral vek", "VCEK or VLEK certificate"}},
    {"snp.chain.", {"collateral amd_chain", "ASK or ASVK, then ARK"}},
    {"snp.crl.", {"collateral amd_crl", "CRL of the ARK"}},
    {"snp.chip_id", {"evidence", "report, bytes 416 to 479: CHIP_ID, against the VCEK's HWID"}},
    {"snp.tcb.", {"evidence", "report, bytes 384 to 391: REPORTED_TCB, against the certificate's"}},
    {"snp.", {"evidence", "report"}},
    {"eventlog.", {"event log", "its records, against the registers of the quote"}},
    {"maa.token.", {"evidence", "token: three base64url parts"}},
    {"maa.header.", {"evidence", "token header"}},
    {"maa.jwks.", {"collateral jwks", "keys of the issuer"}},
    {"maa.key.", {"collateral jwks", "the key that the token header's kid names"}},
    {"maa.signature", {"evidence", "token header and payload as sent; third part: signature"}},
    {"maa.issuer", {"evidence", "token payload: iss"}},
    {"maa.time.not_before", {"evidence", "token payload: nbf"}},
    {"maa.time.issued", {"evidence", "token payload: iat"}},
    {"maa.time.expires", {"evidence", "token payload: exp"}},
    {"maa.type", {"evidence", "token payload: x-ms-attestation-type"}},
    {"maa.isolation", {"evidence", "token payload: x-ms-isolation-tee"}},
    {"maa.compliance", {"evidence", "token payload: x-ms-compliance-status"}},
    {"maa.runtime_data", {"evidence", "token payload: x-ms-sgx-ehd and x-ms-sgx-report-data"}},
    {"maa.", {"evidence", "token payload"}},
    {"nitro.cose.algorithm", {"evidence", "COSE_Sign1: protected header"}},
    {"nitro.cose.signature", {"evidence", "COSE_Sign1: protected header and payload; signature"}},
    {"nitro.cose.", {"evidence", "COSE_Sign1"}},
    {"nitro.document.digest", {"evidence", "document: digest"}},
    {"nitro.document.timestamp", {"evidence", "document: timestamp"}},
    {"nitro.document.pcrs", {"evidence", "document: pcrs"}},
    {"nitro.document.", {"evidence", "document (the COSE payload)"}},
    {"nitro.chain.", {"evidence", "document: cabundle and certificate"}},
    {"nitro.", {"evidence", "document"}},
    {"binding.", {"request", "binding of the registration, against the evidence's report data"}},
    {"policy.platform", {"policy", "platforms"}},
    {"policy.debug", {"policy", "debug"}},
    {"policy.tcb.", {"policy", "tcb"}},
    {"policy.migratable", {"policy", "migratable"}},
    {"policy.service_td", {"policy", "service_td"}},
    {"policy.reserved_attributes", {"policy", "reserved_attributes"}},
    {"policy.sept_ve_disable", {"policy", "require.sept_ve_disable"}},
    {"policy.vmpl", {"policy", "vmpl"}},
    {"policy.revocation", {"policy", "require.revocation"}},
    {"policy.measurement.", {"policy", "identities"}},
    {"policy.condition", {"policy", "conditions"}},
    {"policy.report_data", {"request", "the expected report data"}},
    {"policy.collateral.", {"policy", "max_collateral_staleness_seconds"}},
    {"policy.", {"policy", ""}},
};

const Row* find(std::string_view id) noexcept {
  const Row* best = nullptr;
  for (const Row& row : kRows) {
    if (!id.starts_with(row.beginning)) continue;
    if (best == nullptr || row.beginning.size() > best->beginning.size()) best = &row;
  }
  return best;
}

}  // namespace

CheckSource source_of(std::string_view check_id) noexcept {
  const Row* row = find(check_id);
  return row == nullptr ? CheckSource{"evidence", ""} : row->source;
}

bool source_known(std::string_view check_id) noexcept { return find(check_id) != nullptr; }

}  // namespace attestry::appraisal
