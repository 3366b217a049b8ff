// When the documents of a set run out: what a cache needs to know of them, and nothing that a verdict rests on.
#pragma once
#include "attestation/collateral.h"
#include "base/result.h"
#include "base/time.h"
#include "collateral/bundle.h"

namespace attestry::collateral::internal {

/// The earliest nextUpdate of TCB info, QE identity and both CRLs. Error `unavailable` names the document that is
/// missing or says none.
base::Result<base::UtcTime> expires(const Bundle& bundle);

/// What a TCB info says that it is for. Error `malformed` when it cannot be read.
struct TcbInfoSubject {
  bool tdx = false;
  base::FixedBytes<6> fmspc{};
};
base::Result<TcbInfoSubject> tcb_info_subject(base::ByteView tcb_info);

/// The item of that kind, or nullptr.
const attestation::CollateralItem* find(const Bundle& bundle, attestation::CollateralKind kind);

}  // namespace attestry::collateral::internal
