// What a set of collateral is for: what a source needs to know of it, and nothing that a verdict rests on.
#pragma once
#include "attestation/collateral.h"
#include "base/result.h"
#include "collateral/bundle.h"

namespace attestry::collateral::internal {

/// What a TCB info says that it is for. Error `malformed` when it cannot be read.
struct TcbInfoSubject {
  bool tdx = false;
  base::FixedBytes<6> fmspc{};
};
base::Result<TcbInfoSubject> tcb_info_subject(base::ByteView tcb_info);

/// The item of that kind, or nullptr.
const attestation::CollateralItem* find(const Bundle& bundle, attestation::CollateralKind kind);

}  // namespace attestry::collateral::internal
