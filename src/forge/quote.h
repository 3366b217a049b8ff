// DCAP quotes of simulated enclaves and TDs (Intel SGX/TDX ECDSA quote libraries; layouts of quote versions 3, 4 and
// 5). Every field can be chosen, so that a test can make exactly the wrong quote that it needs, with valid signatures.
#pragma once
#include <array>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "forge/pki.h"

namespace attestry::forge {

enum class QuoteKind : std::uint8_t { sgx_v3, sgx_v4, sgx_v5, tdx_v4, tdx_v5_td10, tdx_v5, tdx_v5_td15ex };
/// "sgx-v3", "tdx-v4", "tdx-v5-td10", "tdx-v5" (TD report 1.5), …
std::string_view to_text(QuoteKind kind) noexcept;
std::optional<QuoteKind> parse_quote_kind(std::string_view text) noexcept;
std::span<const QuoteKind> all_quote_kinds() noexcept;
bool is_tdx(QuoteKind kind) noexcept;
/// True when the body has TEE_TCB_SVN2 and MRSERVICETD.
bool has_td15(QuoteKind kind) noexcept;

/// SGX report body (384 bytes).
struct SgxReport {
  base::FixedBytes<16> cpu_svn = kForgeCpuSvn;
  std::uint32_t misc_select = 0;
  base::FixedBytes<16> attributes{0x05, 0, 0, 0, 0, 0, 0, 0, 0x07, 0, 0, 0, 0, 0, 0, 0};  ///< INIT | MODE64; XFRM
  base::FixedBytes<32> mr_enclave{};
  base::FixedBytes<32> mr_signer{};
  std::uint16_t isv_prod_id = 0;
  std::uint16_t isv_svn = 1;
  base::FixedBytes<64> report_data{};
};

/// TD report 1.0 (584 bytes), 1.5 (648) or 1.5 extended (885).
struct TdReport {
  base::FixedBytes<16> tee_tcb_svn{6, 1, 4};  ///< module SVN, module major version, late microcode, …
  base::FixedBytes<48> mr_seam{};
  base::FixedBytes<48> mr_signer_seam{};
  base::FixedBytes<8> seam_attributes{};
  base::FixedBytes<8> td_attributes{0, 0, 0, 0x10, 0, 0, 0, 0};  ///< SEPT_VE_DISABLE
  base::FixedBytes<8> xfam{0xe7, 0x02, 0x06, 0, 0, 0, 0, 0};
  base::FixedBytes<48> mr_td{};
  base::FixedBytes<48> mr_config_id{};
  base::FixedBytes<48> mr_owner{};
  base::FixedBytes<48> mr_owner_config{};
  std::array<base::FixedBytes<48>, 4> rtmr{};
  base::FixedBytes<64> report_data{};
  base::FixedBytes<16> tee_tcb_svn2{6, 1, 4};
  base::FixedBytes<48> mr_service_td{};
  base::FixedBytes<237> extended{};  ///< the fields that 1.5 extended adds after MRSERVICETD
};

inline constexpr std::uint16_t kForgeQeSvn = 8;
inline constexpr std::uint16_t kForgeQeProdId = 1;
inline constexpr std::uint16_t kForgeTdQeProdId = 2;
inline constexpr base::FixedBytes<16> kQeAttributes{0x11, 0, 0, 0, 0, 0, 0, 0, 0xe7, 0, 0, 0, 0, 0, 0, 0};
/// MRSIGNER of the simulated quoting enclaves: what the forged QE identities name.
base::FixedBytes<32> forge_qe_mr_signer();

/// Everything that goes into a quote. Defaults give a quote that is accepted with the default collateral.
struct QuoteSpec {
  QuoteKind kind = QuoteKind::tdx_v4;
  SgxReport enclave{};  ///< body of SGX quotes
  TdReport td{};        ///< body of TDX quotes

  /// The quoting enclave; measurements, SVN and report data are filled by make_quote unless set here.
  std::optional<base::FixedBytes<32>> qe_mr_signer{};
  std::optional<std::uint16_t> qe_prod_id{};
  std::uint16_t qe_svn = kForgeQeSvn;
  base::FixedBytes<16> qe_attributes = kQeAttributes;
  std::uint32_t qe_misc_select = 0;
  base::Bytes auth_data{};          ///< empty: 32 bytes of the platform's
  std::string certification_pem{};  ///< empty: the platform's chain
  base::FixedBytes<16> vendor_id{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
  std::uint16_t certification_type = 5;

  /// Spoilers: each leaves all other signatures valid.
  bool other_attestation_key = false;  ///< signed by a key that the QE report does not vouch for
  bool qe_report_data_tail = false;    ///< the last 32 bytes of the QE report data are not zero
  bool break_quote_signature = false;  ///< by changing the body after signing
  bool break_qe_signature = false;     ///< by signing the QE report with another key
};

/// Sizes and offsets follow from `spec.kind` only. `platform` must come from `pki`.
base::Result<base::Bytes> make_quote(const ForgePki& pki, const Platform& platform, const QuoteSpec& spec);

}  // namespace attestry::forge
