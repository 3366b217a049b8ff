// The key that signs reports, VCEK or VLEK, and AMD's extensions in its certificate (AMD 57230, 3.1; attestation_checks
// 2.1).
#pragma once
#include <optional>
#include <string>

#include "attestation/snp/product.h"
#include "base/bytes.h"
#include "base/result.h"
#include "crypto/x509.h"

namespace attestry::attestation::snp {

/// AMD's arc; extensions are named below it.
inline constexpr std::string_view kAmdArc = "1.3.6.1.4.1.3704.1.";

struct VekExtensions {
  unsigned struct_version = 0;  ///< 0, or 1 on Turin
  std::string product_name;     ///< "Milan-B0"
  std::uint8_t boot_loader = 0;
  std::uint8_t tee = 0;
  std::uint8_t snp = 0;
  std::uint8_t microcode = 0;
  std::optional<std::uint8_t> fmc;    ///< Turin only
  base::FixedBytes<4> reserved{};     ///< SPL 4 to 7; an absent one is 0
  std::optional<base::Bytes> hwid;    ///< 64 bytes, 8 on Turin; VCEK only
  std::optional<std::string> csp_id;  ///< VLEK only: "CN=cc-us-east-2.amazonaws.com"
  std::optional<Product> product() const noexcept { return product_of_name(product_name); }
};

/// Strict: known structure version, numbers of one byte in their shortest form, no bytes left over. The HWID is 8 or 64
/// raw bytes without any DER around them, whatever they begin with (virtee/snpguest#38). Error `malformed` names the
/// extension.
base::Result<VekExtensions> parse_vek_extensions(const crypto::Certificate& certificate);

/// What REPORTED_TCB must be, byte for byte, for this certificate; nullopt when the product has another layout than the
/// certificate (an FMC where there is none, or none where there is one).
std::optional<TcbBytes> tcb_of(const VekExtensions& extensions, Product product) noexcept;

}  // namespace attestry::attestation::snp
