// Brings a workload's request to the nodes and adds up what they answer. Trusted with nothing: each node judges the
// workload's evidence by itself, and the sums are encrypted to the workload (docs/formats/threshold.md).
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "cluster/application.h"
#include "cluster/channel_peers.h"
#include "cluster/derivation.h"
#include "cluster/node.h"
#include "cluster/node_server.h"
#include "crypto/random.h"

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

/// A member as the coordinator asks it, by itself or over a session. Thread-safe. Nothing waits much longer than the
/// deadline.
class Colleague {
 public:
  virtual ~Colleague() = default;
  virtual base::Result<answer::Nonce> challenge(base::Deadline deadline) = 0;
  virtual base::Result<keys::ckd::Ciphertext> derive(const Node::Request& request, base::ByteView application,
                                                     const Patience& patience) = 0;
  virtual base::Result<keys::ckd::ShareProof> prove(const Node::Request& request, base::ByteView application,
                                                    const Patience& patience) = 0;
  /// As ChannelPeer::current().
  virtual base::Result<std::shared_ptr<const Epoch>> current(const std::shared_ptr<const Epoch>& known) = 0;
  virtual base::Status activate(const Epoch& epoch) = 0;
};
using FindColleague = std::function<std::unique_ptr<Colleague>(const Member&)>;

/// This node by itself, and others over sessions. All outlives what it finds.
FindColleague colleagues(Node& node, NodeServer& server, ChannelPeers& peers);

/// Thread-safe. gather() and look() block for at most the peers' patience. All that it is made of outlives it.
class Coordinator {
 public:
  Coordinator(Node& node, FindColleague find) : node_(node), find_(std::move(find)) {}
  Coordinator(Node& node, NodeServer& server, ChannelPeers& peers)
      : Coordinator(node, colleagues(node, server, peers)) {}
  /// Waits for questions that are under way.
  ~Coordinator();
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  /// Of all nodes that answer; those that were away lately are hardly waited for. `unavailable` before the first epoch
  /// and when fewer nodes than the threshold answer, which says who does not.
  base::Result<Gathered> gather();
  /// Blocks until `deadline` and hardly longer, whatever nodes do: they are given the time that is left, and a second
  /// round, after others were told of an epoch, has the same deadline. On the caller's thread, with one more for each
  /// node that is asked. `careful`: as in DeriveOptions. Errors: those of derive(); `conflict` when too many are in
  /// another epoch, after this node has looked there.
  base::Result<Derived> derive(const Application& application, base::Deadline deadline, bool careful = false);
  std::vector<NodeView> look();

 private:
  class OneApplication;
  class Asking;
  base::Result<Derived> derive_in(const Epoch& epoch, const Application& application, base::Deadline deadline,
                                  bool careful, std::vector<std::uint32_t>& elsewhere);
  bool meet(const Epoch& epoch, const std::vector<std::uint32_t>& elsewhere);
  std::vector<std::uint32_t> preferred(const Application& application, base::ByteView bytes) const;
  bool was_away(std::uint32_t id) const ATTESTRY_REQUIRES(mutex_);
  void remember(const Failing& failing);
  base::Result<answer::Nonce> challenge_of(const Member& member);
  void probe(const Member& member, const std::shared_ptr<Asking>& asking, std::size_t place);

  Node& node_;
  const FindColleague find_;
  /// For lots: nobody outside knows who is drawn for a request, and the same request draws the same nodes.
  const base::FixedBytes<32> lots_ = crypto::system_random().bytes<32>();
  mutable base::Mutex mutex_;
  std::chrono::steady_clock::time_point met_ ATTESTRY_GUARDED_BY(mutex_){};
  /// Nodes that did not answer lately are asked last.
  std::map<std::uint32_t, std::chrono::steady_clock::time_point> away_ ATTESTRY_GUARDED_BY(mutex_);
  /// So are those that said they were in another epoch, and are not. Apart, since a request may make a node say so.
  std::map<std::uint32_t, std::chrono::steady_clock::time_point> elsewhere_ ATTESTRY_GUARDED_BY(mutex_);
  /// Who gave a share that it could not prove, after them.
  std::map<std::uint32_t, std::chrono::steady_clock::time_point> guilty_ ATTESTRY_GUARDED_BY(mutex_);
  /// One question to a node that was away, and whoever waits for its answer.
  struct Probe {
    std::vector<std::pair<std::shared_ptr<Asking>, std::size_t>> waiting;
    bool over = false;
    std::jthread thread;
  };
  std::map<std::uint32_t, Probe> probes_ ATTESTRY_GUARDED_BY(mutex_);
};

/// What is still possible with so few nodes, for people.
base::Error quorum_lost(const std::string& what, std::size_t threshold, std::size_t answer, const std::string& without);

}  // namespace attestry::cluster
