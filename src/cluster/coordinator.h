// Brings a workload's request to the nodes and adds up what they answer. Trusted with nothing: each node judges the
// workload's evidence by itself, and the sums are encrypted to the workload (docs/formats/threshold.md).
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "cluster/application.h"
#include "cluster/channel_peers.h"
#include "cluster/derivation.h"
#include "cluster/node.h"
#include "cluster/node_server.h"

namespace attestry::cluster {

/// What evidence is to be made for.
struct Gathered {
  std::uint32_t epoch = 0;
  std::uint16_t threshold = 0;
  curves::bls::G2::Encoded master{};
  std::vector<NodeNonce> nonces;  ///< ids ascending; of at least `threshold` nodes
};

/// How the nodes of the epoch in force are, as seen from here.
struct NodeView {
  Member member;
  bool self = false, answers = false;
  std::uint32_t epoch = 0;  ///< in force there; 0: none
  std::string why;          ///< it does not answer
};

/// Thread-safe. Everything blocks for at most the peers' patience. All that it is made of outlives it.
class Coordinator {
 public:
  Coordinator(Node& node, NodeServer& server, ChannelPeers& peers) : node_(node), server_(server), peers_(peers) {}

  /// `unavailable` before the first epoch and when fewer nodes than the threshold answer, which says who does not.
  base::Result<Gathered> gather();
  /// Errors: those of derive(), with the first node's when all that answer refuse: a refusal is no outage.
  base::Result<Derived> derive(const Application& application, base::Deadline deadline);
  std::vector<NodeView> look();

 private:
  class OneApplication;
  std::vector<std::uint32_t> preferred(const Application& application) const;
  void remember(const std::vector<Failing>& failing);

  Node& node_;
  NodeServer& server_;
  ChannelPeers& peers_;
  mutable base::Mutex mutex_;
  /// Nodes that did not answer lately are asked last.
  std::map<std::uint32_t, std::chrono::steady_clock::time_point> away_ ATTESTRY_GUARDED_BY(mutex_);
};

/// What is still possible with so few nodes, for people.
base::Error quorum_lost(const std::string& what, std::size_t threshold, std::size_t answer, const std::string& without);

}  // namespace attestry::cluster
