// What operators put before a cluster: who is to be in the next epoch and by which threshold, with their signatures, as
// a JSON document that goes from hand to hand until enough have signed (docs/formats/threshold.md, "Proposal").
// A value; functions are pure and thread-safe. It has no date: once enough have signed it, it may be said at any node
// until the epoch that it follows is over, and nothing but another epoch takes it back.
#pragma once
#include <string>

#include "base/result.h"
#include "cluster/plan.h"
#include "cluster/signatures.h"

namespace attestry::cluster {

struct Proposal {
  Plan plan;  ///< without session and keys of this session: each attempt has its own
  Approval approval;

  std::string json() const;
  /// Strict. Error `malformed`, for members that are out of order or without a key, too.
  static base::Result<Proposal> parse(std::string json);
};

}  // namespace attestry::cluster
