// A test PKI with the profiles of Intel's SGX provisioning certificates: names, extensions and their order,
// criticality, key ids and the SGX extension of the PCK certificate (Intel SGX PCK Certificate and CRL Profile
// Specification 1.5). Everything follows from a seed: the same seed gives the same keys and the same certificates, byte
// for byte. The organisation is "attestry forge (simulated)", so that nobody takes these certificates for Intel's.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/ec.h"
#include "crypto/x509.h"

namespace attestry::forge {

/// Which of Intel's two intermediates issues a PCK certificate: multi-package servers have the platform CA.
enum class CaKind : std::uint8_t { platform, processor };
/// "platform", "processor": the values of the PCS parameter `ca`.
std::string_view to_text(CaKind ca) noexcept;

struct Validity {
  base::UtcTime not_before;
  base::UtcTime not_after;
};
/// 2018-05-21 to the end of 2049, as Intel's root: forged certificates are valid at every time that a test may choose.
Validity long_validity() noexcept;

/// Digits only: some verifiers compare the FMSPC as text and disagree on letter case.
inline constexpr base::FixedBytes<6> kForgeFmspc{0x50, 0x90, 0x60, 0x20, 0x00, 0x00};
inline constexpr base::FixedBytes<16> kForgeCpuSvn{6, 6, 3, 3, 4, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0};

/// One simulated machine. Another index gives another PCK key, PPID, platform instance id and serial number.
struct PlatformSpec {
  std::uint32_t index = 0;
  CaKind ca = CaKind::platform;
  base::FixedBytes<16> cpu_svn = kForgeCpuSvn;  ///< also the 16 component SVNs, as on current hardware
  std::uint16_t pce_svn = 13;
  base::FixedBytes<2> pce_id{};
  base::FixedBytes<6> fmspc = kForgeFmspc;
  std::uint8_t sgx_type = 1;  ///< scalable
  Validity validity = long_validity();
};

/// A certificate of the PKI with its key. Immutable in use, cheap enough to copy.
struct Issued {
  crypto::EcPrivateKey key;
  base::Bytes der;
  base::Bytes serial;  ///< big-endian magnitude
  std::string pem() const;
};

struct Platform {
  PlatformSpec spec;
  Issued pck;
  base::FixedBytes<16> ppid{};
  base::FixedBytes<16> qe_id{};
};

/// Thread-safe after construction. Errors come only from a seed that is shorter than one byte or from the crypto
/// library.
class ForgePki {
 public:
  static base::Result<ForgePki> make(base::ByteView seed);

  const Issued& root() const noexcept { return root_; }
  const Issued& ca(CaKind kind) const noexcept { return kind == CaKind::platform ? platform_ca_ : processor_ca_; }
  const Issued& tcb_signing() const noexcept { return tcb_signing_; }
  base::Result<Platform> platform(const PlatformSpec& spec) const;

  /// PEM, in the order in which Intel's services give them.
  std::string pck_chain_pem(const Platform& platform) const;  ///< PCK certificate, CA, root
  std::string ca_chain_pem(CaKind kind) const;                ///< CA, root
  std::string tcb_chain_pem() const;                          ///< TCB signing, root

  base::Result<base::Bytes> root_crl(const Validity& window, const std::vector<base::Bytes>& revoked = {}) const;
  base::Result<base::Bytes> pck_crl(CaKind kind, const Validity& window,
                                    const std::vector<base::Bytes>& revoked = {}) const;
  /// r ‖ s by the TCB signing key over exactly these bytes.
  base::Bytes sign_tcb(std::string_view text) const;

  /// Deterministic material of this PKI: other labels give unrelated keys and bytes.
  base::Result<crypto::EcPrivateKey> derive_key(std::string_view label) const;
  base::Bytes derive_bytes(std::string_view label, std::size_t size) const;

 private:
  ForgePki(base::Bytes seed, Issued root, Issued platform_ca, Issued processor_ca, Issued tcb_signing)
      : seed_(std::move(seed)),
        root_(std::move(root)),
        platform_ca_(std::move(platform_ca)),
        processor_ca_(std::move(processor_ca)),
        tcb_signing_(std::move(tcb_signing)) {}
  base::Bytes seed_;
  Issued root_;
  Issued platform_ca_;
  Issued processor_ca_;
  Issued tcb_signing_;
};

}  // namespace attestry::forge
