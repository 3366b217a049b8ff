#include "forge/quote.h"

#include <algorithm>
#include <string>
#include <utility>

#include "crypto/hash.h"

namespace attestry::forge {
namespace {

using base::Bytes;
using base::ByteView;

struct KindInfo {
  QuoteKind kind;
  std::string_view text;
  std::uint16_t version;
  bool tdx;
  std::uint16_t body_type;  ///< version 5 only
};
constexpr std::array<KindInfo, 7> kKinds{{{QuoteKind::sgx_v3, "sgx-v3", 3, false, 0},
                                          {QuoteKind::sgx_v4, "sgx-v4", 4, false, 0},
                                          {QuoteKind::sgx_v5, "sgx-v5", 5, false, 1},
                                          {QuoteKind::tdx_v4, "tdx-v4", 4, true, 0},
                                          {QuoteKind::tdx_v5_td10, "tdx-v5-td10", 5, true, 2},
                                          {QuoteKind::tdx_v5, "tdx-v5", 5, true, 3},
                                          {QuoteKind::tdx_v5_td15ex, "tdx-v5-td15ex", 5, true, 4}}};

const KindInfo& info(QuoteKind kind) noexcept { return kKinds[static_cast<std::size_t>(kind)]; }

/// Little-endian fields one after another, as quotes have them.
class Writer {
 public:
  Writer& raw(ByteView bytes) {
    base::append(out_, bytes);
    return *this;
  }
  Writer& zeros(std::size_t count) {
    out_.insert(out_.end(), count, 0);
    return *this;
  }
  Writer& u16(std::uint16_t value) { return little(value, 2); }
  Writer& u32(std::uint32_t value) { return little(value, 4); }
  const Bytes& bytes() const noexcept { return out_; }
  Bytes take() && noexcept { return std::move(out_); }

 private:
  Writer& little(std::uint32_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) out_.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    return *this;
  }
  Bytes out_;
};

void write_sgx(Writer& out, const SgxReport& r) {
  out.raw(r.cpu_svn).u32(r.misc_select).zeros(28).raw(r.attributes).raw(r.mr_enclave).zeros(32).raw(r.mr_signer);
  out.zeros(96).u16(r.isv_prod_id).u16(r.isv_svn).zeros(60).raw(r.report_data);
}

void write_td(Writer& out, const TdReport& r, QuoteKind kind) {
  out.raw(r.tee_tcb_svn).raw(r.mr_seam).raw(r.mr_signer_seam).raw(r.seam_attributes).raw(r.td_attributes).raw(r.xfam);
  out.raw(r.mr_td).raw(r.mr_config_id).raw(r.mr_owner).raw(r.mr_owner_config);
  for (const auto& rtmr : r.rtmr) out.raw(rtmr);
  out.raw(r.report_data);
  if (has_td15(kind)) out.raw(r.tee_tcb_svn2).raw(r.mr_service_td);
  if (kind == QuoteKind::tdx_v5_td15ex) out.raw(r.extended);
}

/// Header and body: what the attestation key signs.
Bytes signed_part(const Platform& platform, const QuoteSpec& spec) {
  const KindInfo& kind = info(spec.kind);
  Writer out;
  out.u16(kind.version).u16(2).u32(kind.tdx ? 0x81 : 0);
  if (kind.version == 3) {
    out.u16(spec.qe_svn).u16(platform.spec.pce_svn);
  } else {
    out.zeros(4);
  }
  out.raw(spec.vendor_id).raw(platform.qe_id).zeros(4);
  Writer body;
  if (kind.tdx) {
    write_td(body, spec.td, spec.kind);
  } else {
    write_sgx(body, spec.enclave);
  }
  if (kind.version == 5) out.u16(kind.body_type).u32(static_cast<std::uint32_t>(body.bytes().size()));
  out.raw(body.bytes());
  return std::move(out).take();
}

Bytes qe_report(const ForgePki& pki, const Platform& platform, const QuoteSpec& spec, ByteView attestation_key,
                ByteView auth_data) {
  const bool tdx = is_tdx(spec.kind);
  SgxReport report;
  report.cpu_svn = platform.spec.cpu_svn;
  report.misc_select = spec.qe_misc_select;
  report.attributes = spec.qe_attributes;
  std::ranges::copy(pki.derive_bytes(tdx ? "td-qe/mrenclave" : "qe/mrenclave", 32), report.mr_enclave.begin());
  report.mr_signer = spec.qe_mr_signer.value_or(forge_qe_mr_signer());
  report.isv_prod_id = spec.qe_prod_id.value_or(tdx ? kForgeTdQeProdId : kForgeQeProdId);
  report.isv_svn = spec.qe_svn;
  const auto hash = crypto::sha256({attestation_key, auth_data});
  std::ranges::copy(hash, report.report_data.begin());
  if (spec.qe_report_data_tail) report.report_data[63] = 1;
  Writer out;
  write_sgx(out, report);
  return std::move(out).take();
}

/// QE report, its signature, auth data and the PCK chain: data of certification type 6, and the tail of version 3.
base::Result<Bytes> certification(const ForgePki& pki, const Platform& platform, const QuoteSpec& spec,
                                  ByteView attestation_key, const std::string& name) {
  const Bytes auth = spec.auth_data.empty() ? pki.derive_bytes(name + "/auth", 32) : spec.auth_data;
  const Bytes report = qe_report(pki, platform, spec, attestation_key, auth);
  Bytes signature = platform.pck.key.sign_raw(report, true);
  if (spec.break_qe_signature) {
    TRY(const auto other, pki.derive_key(name + "/not-the-pck"));
    signature = other.sign_raw(report, true);
  }
  std::string pem = spec.certification_pem.empty() ? pki.pck_chain_pem(platform) : spec.certification_pem;
  pem.push_back('\0');  // Intel's quoting library copies the C string with its end
  Writer out;
  out.raw(report).raw(signature).u16(static_cast<std::uint16_t>(auth.size())).raw(auth);
  out.u16(spec.certification_type).u32(static_cast<std::uint32_t>(pem.size())).raw(base::as_bytes(pem));
  return std::move(out).take();
}

}  // namespace

std::string_view to_text(QuoteKind kind) noexcept { return info(kind).text; }

std::optional<QuoteKind> parse_quote_kind(std::string_view text) noexcept {
  for (const auto& kind : kKinds) {
    if (kind.text == text) return kind.kind;
  }
  return {};
}

std::span<const QuoteKind> all_quote_kinds() noexcept {
  static constexpr std::array kAll{QuoteKind::sgx_v3,       QuoteKind::sgx_v4,      QuoteKind::sgx_v5,
                                   QuoteKind::tdx_v4,       QuoteKind::tdx_v5_td10, QuoteKind::tdx_v5,
                                   QuoteKind::tdx_v5_td15ex};
  return kAll;
}

bool is_tdx(QuoteKind kind) noexcept { return info(kind).tdx; }

bool has_td15(QuoteKind kind) noexcept { return info(kind).body_type >= 3; }

base::FixedBytes<32> forge_qe_mr_signer() {
  return crypto::sha256(base::as_bytes("attestry forge: signer of the simulated quoting enclaves"));
}

base::Result<Bytes> make_quote(const ForgePki& pki, const Platform& platform, const QuoteSpec& spec) {
  if (spec.auth_data.size() > 0xffff) {
    return base::Error{base::Code::malformed, "auth data of the quote is too long", "at most 65535 bytes",
                       std::to_string(spec.auth_data.size())};
  }
  const std::string name = std::string{is_tdx(spec.kind) ? "td-qe/" : "qe/"} + std::string{to_text(platform.spec.ca)} +
                           "/" + std::to_string(platform.spec.index);
  TRY(const auto attestation_key, pki.derive_key(name + "/attestation-key"));
  TRY(const auto other_key, pki.derive_key(name + "/other-attestation-key"));
  const auto& signing_key = spec.other_attestation_key ? other_key : attestation_key;
  Bytes quote = signed_part(platform, spec);
  const Bytes signature = signing_key.sign_raw(quote, true);
  if (spec.break_quote_signature) quote.back() ^= 1;  // the last byte of report data or of the service TD's fields
  TRY(const auto tail, certification(pki, platform, spec, attestation_key.public_key().raw(), name));

  Writer data;
  data.raw(signature).raw(signing_key.public_key().raw());
  if (info(spec.kind).version > 3) data.u16(6).u32(static_cast<std::uint32_t>(tail.size()));
  data.raw(tail);
  Writer out;
  out.raw(quote).u32(static_cast<std::uint32_t>(data.bytes().size())).raw(data.bytes());
  return std::move(out).take();
}

}  // namespace attestry::forge
