// A node of a threshold root over HTTP: what workloads ask it for, on the public listener, and what operators do with
// it, on the administrators' (docs/formats/threshold.md).
#pragma once
#include <functional>
#include <string>

#include "api/slow_lane.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "cluster/coordinator.h"
#include "cluster/proposal.h"
#include "net/router.h"

namespace attestry::api {

/// Thread-safe; lives as long as the router.
struct ThresholdControl {
  cluster::Coordinator& coordinator;
  std::function<base::JsonOutObject()> status;
  /// Calls a node of the cluster, which learns of this one and tells the epoch in force.
  std::function<base::Status(const std::string& peer)> join;
  /// Begins the next epoch; how far it is, change_status says.
  std::function<base::Status(cluster::Proposal proposal)> change;
  std::function<base::JsonOutObject()> change_status;
  /// Seals what this node is to a holder (64 hex digits) of a signed list (cluster/recovery.h).
  std::function<base::Result<base::Bytes>(base::ByteView holders, std::string_view holder)> export_to;
  SlowLane& workloads;  ///< what waits for other nodes
  SlowLane& operators;
};

/// POST /v1/threshold/challenges and …/derivations for workloads; GET /v1/node, GET /v1/node/members,
/// POST /v1/node/join, POST /v1/node/export, GET and POST /v1/node/change for operators.
base::Status add_threshold_routes(net::Router& router, const ThresholdControl& control);

}  // namespace attestry::api
