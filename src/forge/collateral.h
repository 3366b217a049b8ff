// Forged collateral: TCB info, QE identity and CRLs as Intel's PCS v4 gives them, signed by the forge's PKI.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/collateral.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "forge/pki.h"

namespace attestry::forge {

struct TcbLevel {
  base::FixedBytes<16> sgx{};
  std::uint16_t pce_svn = 0;
  base::FixedBytes<16> tdx{};  ///< written for TDX only
  std::string date = "2025-05-14T00:00:00Z";
  std::string status = "UpToDate";
  std::vector<std::string> advisories{};
};

/// A level of a TDX module identity or of a QE identity.
struct SvnLevel {
  std::uint16_t isv_svn = 0;
  std::string date = "2025-05-14T00:00:00Z";
  std::string status = "UpToDate";
  std::vector<std::string> advisories{};
};

struct ModuleIdentity {
  std::string id = "TDX_01";
  base::FixedBytes<48> mr_signer{};
  base::FixedBytes<8> attributes{};
  base::FixedBytes<8> attributes_mask{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  std::vector<SvnLevel> levels{};
};

struct TcbInfoSpec {
  std::string id = "TDX";  ///< "SGX" writes no module and no TDX components
  unsigned version = 3;
  Validity window;
  base::FixedBytes<6> fmspc = kForgeFmspc;
  base::FixedBytes<2> pce_id{};
  unsigned tcb_type = 0;
  unsigned evaluation_number = 20;
  std::vector<ModuleIdentity> modules{};
  std::vector<TcbLevel> levels{};
};

struct QeIdentitySpec {
  std::string id = "TD_QE";
  unsigned version = 2;
  Validity window;
  unsigned evaluation_number = 20;
  base::FixedBytes<32> mr_signer{};
  std::uint16_t isv_prod_id = 2;
  std::vector<SvnLevel> levels{};
};

struct CollateralSpec {
  TcbInfoSpec tcb_info{};
  QeIdentitySpec qe_identity{};
  CaKind ca = CaKind::platform;
  Validity root_crl_window;
  Validity pck_crl_window;
  std::vector<base::Bytes> revoked_by_root{};  ///< serials of intermediates and the TCB signing certificate
  std::vector<base::Bytes> revoked_by_ca{};    ///< serials of PCK certificates
};

/// Valid from the start of the day before `at` for 30 days (root CRL: a year): equal bytes for the whole UTC day.
/// Levels: UpToDate for the default platform, SWHardeningNeeded, OutOfDate and Revoked below it.
CollateralSpec default_collateral(bool tdx, base::UtcTime at, CaKind ca = CaKind::platform);

/// The exact texts that get signed, compact like Intel's.
std::string tcb_info_text(const TcbInfoSpec& spec);
std::string qe_identity_text(const QeIdentitySpec& spec);

/// A whole set; plain data, so that a test can damage any part of it.
struct ForgedCollateral {
  std::string tcb_info;
  base::Bytes tcb_info_signature;
  std::string tcb_info_chain;
  std::string qe_identity;
  base::Bytes qe_identity_signature;
  std::string qe_identity_chain;
  base::Bytes pck_crl;
  std::string pck_crl_chain;
  base::Bytes root_ca_crl;

  std::shared_ptr<const attestation::Collateral> collateral() const;
  /// The QuoteCollateralV3 JSON of dcap-qvl: binary as hex, chains as PEM, signed documents as text.
  std::string json() const;
};

base::Result<ForgedCollateral> make_collateral(const ForgePki& pki, const CollateralSpec& spec);

}  // namespace attestry::forge
