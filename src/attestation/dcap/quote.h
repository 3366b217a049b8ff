// Intel DCAP quotes, versions 3, 4 and 5, as the Quoting Enclave writes them (attestation_checks 1.1; Intel DCAP
// quoting library API, appendix A). Parsing is strict: every length must consume exactly, nothing follows the signature
// data. No allocation on success; all views point into the bytes that were parsed.
#pragma once
#include <expected>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace attestry::attestation::dcap {

enum class Tee : std::uint8_t { sgx, tdx };
/// Body types of quote version 5; versions 3 and 4 map onto the first two.
enum class BodyType : std::uint16_t { sgx = 1, td10 = 2, td15 = 3, td15ex = 4 };

inline constexpr std::size_t kHeaderSize = 48;
inline constexpr std::size_t kSgxReportSize = 384;
inline constexpr std::size_t kTd10Size = 584;
inline constexpr std::size_t kTd15Size = 648;
inline constexpr std::size_t kTd15exSize = 885;

/// An SGX report body (the enclave's or the QE's): fixed fields at fixed offsets. The view has kSgxReportSize bytes.
class SgxReport {
 public:
  SgxReport() = default;
  explicit SgxReport(base::ByteView bytes) noexcept : bytes_(bytes) {}
  base::ByteView bytes() const noexcept { return bytes_; }
  base::ByteView cpusvn() const noexcept { return bytes_.subspan(0, 16); }
  base::ByteView miscselect() const noexcept { return bytes_.subspan(16, 4); }
  base::ByteView isvextprodid() const noexcept { return bytes_.subspan(32, 16); }
  base::ByteView attributes() const noexcept { return bytes_.subspan(48, 16); }
  base::ByteView mrenclave() const noexcept { return bytes_.subspan(64, 32); }
  base::ByteView mrsigner() const noexcept { return bytes_.subspan(128, 32); }
  base::ByteView configid() const noexcept { return bytes_.subspan(192, 64); }
  std::uint16_t isvprodid() const noexcept { return u16(256); }
  std::uint16_t isvsvn() const noexcept { return u16(258); }
  std::uint16_t configsvn() const noexcept { return u16(260); }
  base::ByteView isvfamilyid() const noexcept { return bytes_.subspan(304, 16); }
  base::ByteView report_data() const noexcept { return bytes_.subspan(320, 64); }
  bool debug() const noexcept { return (bytes_[48] & 0x02) != 0; }

 private:
  std::uint16_t u16(std::size_t at) const noexcept {
    return static_cast<std::uint16_t>(bytes_[at] | (bytes_[at + 1] << 8));
  }
  base::ByteView bytes_;
};

/// A TD report body. The view has the size of its type.
class TdReport {
 public:
  TdReport() = default;
  explicit TdReport(base::ByteView bytes) noexcept : bytes_(bytes) {}
  base::ByteView bytes() const noexcept { return bytes_; }
  bool has_15() const noexcept { return bytes_.size() >= kTd15Size; }
  bool has_15ex() const noexcept { return bytes_.size() >= kTd15exSize; }
  base::ByteView tee_tcb_svn() const noexcept { return bytes_.subspan(0, 16); }
  base::ByteView mrseam() const noexcept { return bytes_.subspan(16, 48); }
  base::ByteView mrsignerseam() const noexcept { return bytes_.subspan(64, 48); }
  base::ByteView seam_attributes() const noexcept { return bytes_.subspan(112, 8); }
  base::ByteView td_attributes() const noexcept { return bytes_.subspan(120, 8); }
  base::ByteView xfam() const noexcept { return bytes_.subspan(128, 8); }
  base::ByteView mrtd() const noexcept { return bytes_.subspan(136, 48); }
  base::ByteView mrconfigid() const noexcept { return bytes_.subspan(184, 48); }
  base::ByteView mrowner() const noexcept { return bytes_.subspan(232, 48); }
  base::ByteView mrownerconfig() const noexcept { return bytes_.subspan(280, 48); }
  /// index 0 to 3
  base::ByteView rtmr(std::size_t index) const noexcept { return bytes_.subspan(328 + 48 * index, 48); }
  base::ByteView report_data() const noexcept { return bytes_.subspan(520, 64); }
  bool debug() const noexcept { return (bytes_[120] & 0x01) != 0; }
  // TD report 1.5
  base::ByteView tee_tcb_svn2() const noexcept { return bytes_.subspan(584, 16); }
  base::ByteView mrservicetd() const noexcept { return bytes_.subspan(600, 48); }
  // TD report 1.5 extended
  base::ByteView vmid() const noexcept { return bytes_.subspan(648, 1); }
  base::ByteView td_id() const noexcept { return bytes_.subspan(649, 32); }
  base::ByteView dev_info() const noexcept { return bytes_.subspan(681, 48); }
  base::ByteView init_servtd_hash() const noexcept { return bytes_.subspan(729, 48); }
  base::ByteView init_servtd_attributes() const noexcept { return bytes_.subspan(777, 8); }
  base::ByteView init_cpusvn() const noexcept { return bytes_.subspan(785, 16); }
  base::ByteView init_tee_tcb_svn() const noexcept { return bytes_.subspan(801, 16); }
  base::ByteView init_tee_fmspc() const noexcept { return bytes_.subspan(817, 12); }
  base::ByteView cur_servtd_hash() const noexcept { return bytes_.subspan(829, 48); }
  base::ByteView cur_servtd_attributes() const noexcept { return bytes_.subspan(877, 8); }

 private:
  base::ByteView bytes_;
};

/// The header's fields as they stand there, unjudged. Versions 4 and 5; in version 3 `tee_type` is reserved and zero.
struct QuoteHeader {
  std::uint16_t version = 0;
  std::uint16_t key_type = 0;
  std::uint32_t tee_type = 0;
  base::ByteView qe_vendor_id;  ///< 16 bytes
};
inline constexpr std::uint16_t kKeyTypeEcdsaP256 = 2;
inline constexpr std::uint32_t kTeeTypeSgx = 0;
inline constexpr std::uint32_t kTeeTypeTdx = 0x81;

/// nullopt when there are fewer than kHeaderSize bytes.
std::optional<QuoteHeader> read_header(base::ByteView bytes) noexcept;
bool known_version(std::uint16_t version) noexcept;  ///< 3, 4 or 5
bool tee_fits_version(std::uint16_t version, std::uint32_t tee_type) noexcept;

struct Quote {
  std::uint16_t version = 0;
  Tee tee = Tee::sgx;
  BodyType body_type = BodyType::sgx;
  base::ByteView qe_vendor_id;     ///< 16 bytes
  base::ByteView user_data;        ///< 20 bytes
  base::ByteView signed_bytes;     ///< header and body: what the quote signature covers
  SgxReport sgx;                   ///< when tee is sgx
  TdReport td;                     ///< when tee is tdx
  base::ByteView signature;        ///< 64, r ‖ s
  base::ByteView attestation_key;  ///< 64, x ‖ y
  SgxReport qe_report;
  base::ByteView qe_report_signature;  ///< 64, r ‖ s
  base::ByteView auth_data;            ///< 0 to 65535
  std::uint16_t cert_data_type = 0;
  base::ByteView cert_data;

  base::ByteView report_data() const noexcept { return tee == Tee::sgx ? sgx.report_data() : td.report_data(); }
  bool debug() const noexcept { return tee == Tee::sgx ? sgx.debug() : td.debug(); }
};

/// Where the layout breaks: short texts for the check dcap.quote.structure.
struct QuoteFault {
  std::string expected;
  std::string actual;
  std::string detail{};
};

/// Parses the whole of `bytes`. Judges layout only, for versions, key types and TEE types that are known; the vendor id
/// and the certification data type are the caller's checks.
std::expected<Quote, QuoteFault> parse_quote(base::ByteView bytes);

/// Intel's QE vendor id, 939a7233-f79c-4ca9-940a-0db3957f0607.
base::ByteView intel_qe_vendor_id() noexcept;

}  // namespace attestry::attestation::dcap
