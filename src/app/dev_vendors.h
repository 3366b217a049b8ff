// The vendors' services of `attestry dev`, simulated: Intel's PCS and AMD's KDS over HTTP on this machine, so that the
// real collateral clients run.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "attestation/anchors.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "forge/kds.h"
#include "forge/pki.h"
#include "forge/snp_pki.h"
#include "net/server.h"

namespace attestry::app {

class DevVendors {
 public:
  /// `pki` is Intel's, from the same seed; it and the clock must outlive this.
  static base::Result<std::unique_ptr<DevVendors>> start(const forge::ForgePki& pki, base::ByteView seed,
                                                         const base::Clock& clock);
  std::string pcs_url() const { return pcs_->url(); }
  std::string kds_url() const { return kds_->url(); }
  /// Of all of them.
  base::Result<std::vector<attestation::TestRoot>> roots() const;

 private:
  explicit DevVendors(const forge::ForgePki& pki) : intel_(pki) {}
  const forge::ForgePki& intel_;
  std::vector<forge::SnpPki> amd_;
  std::vector<attestation::TestRoot> others_;  ///< of those whose evidence needs no service
  std::unique_ptr<forge::ForgeKds> keys_;
  std::unique_ptr<net::Server> pcs_;
  std::unique_ptr<net::Server> kds_;
};

}  // namespace attestry::app
