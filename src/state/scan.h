// Scans whose visitor may fail.
#pragma once
#include <cstddef>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "state/store.h"

namespace attestry::state {

/// Every key that begins with `prefix`, at most `limit` of them, in ascending order. `visit(key, value)` gives a
/// base::Status; its first error ends the scan and is the result.
template <class Visit>
base::Status scan_each(const ReadView& view, base::ByteView prefix, std::size_t limit, Visit visit) {
  std::optional<base::Error> failure;
  TRY_OK(view.scan(prefix, {}, limit, [&](base::ByteView key, base::ByteView value) {
    base::Status done = visit(key, value);
    if (!done.ok()) failure = std::move(done).error();
    return !failure.has_value();
  }));
  if (failure) return *std::move(failure);
  return base::done();
}

}  // namespace attestry::state
