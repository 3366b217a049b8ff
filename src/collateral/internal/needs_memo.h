// What quotes need, remembered by their PCK certificates: reading a certificate costs more than everything else that a
// request for collateral at hand does.
#pragma once
#include <cstddef>
#include <vector>

#include "attestation/collateral.h"
#include "base/mutex.h"

namespace attestry::collateral::internal {

/// Thread-safe. A fixed number of places, each for one certificate at a time, whatever anybody sends: a certificate is
/// found by its bytes, and one that shares its place replaces it.
class NeedsMemo {
 public:
  explicit NeedsMemo(std::size_t places = 2048) : places_(places) {}
  /// As attestation::dcap_needs.
  base::Result<attestation::DcapNeeds> of(base::ByteView quote);

 private:
  struct Place {
    base::Bytes leaf{};  ///< empty: free
    attestation::DcapNeeds needs{};
  };
  base::Mutex mutex_;
  std::vector<Place> places_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::collateral::internal
