// Client of Intel's Provisioning Certification Service, API version 4, and of every PCCS, which speak the same API:
// https://api.portal.trustedservices.intel.com/content/documentation.html.
#pragma once
#include <string>

#include "attestation/collateral.h"
#include "base/result.h"
#include "base/time.h"
#include "collateral/bundle.h"
#include "collateral/fetcher.h"
#include "net/client.h"

namespace attestry::collateral {

inline constexpr std::string_view kIntelPcs = "https://api.trustedservices.intel.com";
/// The CRL distribution point in Intel's root certificate. It is a constant, because to take it from the chain that a
/// service sent would let that service choose whom this program calls.
inline constexpr std::string_view kIntelRootCrl = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";

struct PcsOptions {
  std::string base_url{kIntelPcs};  ///< without /sgx/certification/v4; a slash at the end is ignored
  /// Asked when the base URL is Intel's own, whose API has no root CRL, and when a PCCS has none (404). Empty: never.
  std::string root_crl_url{kIntelRootCrl};
  std::size_t max_bytes = 8u << 20;  ///< of one reply
};

/// Thread-safe; `transport` must outlive it.
class PcsClient {
 public:
  explicit PcsClient(net::HttpTransport& transport, PcsOptions options = {});

  /// TCB info, QE identity, PCK CRL and root CRL with their issuer chains: four calls, all within `deadline`. The
  /// signed texts are what the service sent, byte for byte; nothing is verified here beyond its form. Errors:
  /// `collateral_missing` (the service does not know this platform), `unavailable` (it is away, refuses, or answers
  /// with what is no collateral), `deadline_exceeded`.
  base::Result<Bundle> fetch(const attestation::DcapNeeds& needs, base::Deadline deadline) const;

  /// The same for one artefact of Intel's: one call, or two for the root CRL.
  base::Result<Fetched> fetch(const attestation::Artefact& artefact, base::Deadline deadline, Trouble& trouble) const;
  /// Where that call goes.
  std::string url(const attestation::Artefact& artefact) const;

  const std::string& base_url() const noexcept { return options_.base_url; }

 private:
  /// One call for one artefact, and what came of it.
  struct Call {
    base::Deadline deadline;
    Trouble& trouble;
    Bundle& out;
    std::string source{};
  };
  base::Result<net::Response> get(const std::string& url, Call& call) const;
  base::Status add(const attestation::Artefact& artefact, Call& call) const;
  base::Status add_tcb_info(const std::string& url, Call& call) const;
  base::Status add_qe_identity(const std::string& url, Call& call) const;
  base::Status add_pck_crl(const std::string& url, Call& call) const;
  base::Status add_root_crl(std::string url, Call& call) const;

  net::HttpTransport& transport_;
  PcsOptions options_;
  bool intel_;
};

}  // namespace attestry::collateral
