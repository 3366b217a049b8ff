#include "collateral/internal/needs_memo.h"

#include <functional>

namespace attestry::collateral::internal {
namespace {

constexpr std::size_t kMaxLeaf = 4096;  // real ones have about 1800 bytes

}  // namespace

base::Result<attestation::DcapNeeds> NeedsMemo::of(base::ByteView quote) {
  TRY(const attestation::DcapSubject subject, attestation::dcap_subject(quote));
  if (subject.leaf.size() > kMaxLeaf) return attestation::dcap_needs(subject);
  const std::size_t hash = std::hash<std::string_view>{}(base::as_text(subject.leaf));
  {
    const base::MutexLock lock(mutex_);
    const Place& place = places_[hash % places_.size()];
    if (!place.leaf.empty() && base::equal(place.leaf, subject.leaf)) {
      attestation::DcapNeeds out = place.needs;
      out.tdx = subject.tdx;  // one machine makes quotes of both kinds
      return out;
    }
  }
  TRY(const attestation::DcapNeeds needs, attestation::dcap_needs(subject));
  const base::MutexLock lock(mutex_);
  places_[hash % places_.size()] = {base::to_bytes(subject.leaf), needs};
  return needs;
}

}  // namespace attestry::collateral::internal
