// A node as others reach it: who may call, and what each may ask (docs/formats/threshold.md, "Between nodes").
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "appraisal/appraiser.h"
#include "attestation/binding.h"
#include "base/mutex.h"
#include "base/result.h"
#include "channel/pieces.h"
#include "channel/session.h"
#include "cluster/messages.h"
#include "cluster/node.h"
#include "crypto/random.h"
#include "governance/registry.h"

namespace attestry::cluster {

/// What decides about workloads (authority.h).
class Authoriser {
 public:
  virtual ~Authoriser() = default;
  struct Allowed {
    base::Bytes app_id;
    curves::bls::G1::Encoded app_key{};
  };
  virtual base::Result<answer::Nonce> challenge() = 0;
  /// After the leaf is durable. `application` as the workload sent it.
  virtual base::Result<Allowed> authorise(base::ByteView application, base::Deadline deadline) = 0;
  /// What a server asks for itself.
  struct ServersKey {
    base::Tenant tenant = base::Tenant::standard();
    std::string app{};        ///< an app's root; empty: a dialect's master
    std::uint32_t epoch = 0;  ///< of the app
    std::string dialect{};
  };
  /// The leaf only.
  virtual base::Status note_server(const Node::Request& request, const ServersKey& key,
                                   const attestation::VerifiedReport& server, base::Deadline deadline) = 0;
};

/// All that it refers to outlives it.
struct NodeServerParts {
  Node& node;
  Authoriser& authoriser;
  /// Signs for this node in a session.
  std::function<Hello(const base::FixedBytes<64>& own_report_data)> hello;
  const appraisal::Appraiser& appraiser;
  attestation::Attester& attester;
  const governance::Registry& registry;
  crypto::Random& random;
  const base::Clock& clock;
  base::Tenant tenant = base::Tenant::standard();
  base::AppRef nodes;  ///< approvals for this app say which software is a node
  /// Whether this node has itself seen evidence of those who are to get shares of what it deals: whoever leads is not
  /// believed. Asks other nodes; called without a lock.
  std::function<base::Status(const Plan&)> vouch = [](const Plan&) { return base::done(); };
  std::optional<base::AppRef>
      servers{};                        ///< and for this one, which servers may derive for themselves; none: no server
  std::vector<std::string> dialects{};  ///< whose masters they may derive, too
};

/// Thread-safe.
class NodeServer {
 public:
  explicit NodeServer(NodeServerParts parts) : parts_(std::move(parts)) {}

  /// For a session with a node that this one calls. `denied` while nobody has approved a policy, or one that names no
  /// software.
  base::Result<channel::End> end() const;
  /// For a session with a node or a server that calls.
  base::Result<channel::End> listening_end() const;
  /// Answers until `deadline`, or until something is wrong.
  void serve(channel::Session session, base::Deadline deadline);

  /// Nodes that have said that they are there and are no members: candidates for a plan, the last ones only.
  std::vector<Member> candidates() const;
  /// What a node says to a question. `guest` null: the node of this process itself.
  struct Guest;
  Answer answer(const Question& question, const Guest* guest, base::Deadline deadline);

 private:
  base::Status admit(const channel::Session& session, Guest& guest) const;
  base::Result<channel::Limit> limit(const Guest& guest, base::ByteView first, base::Deadline deadline) const;
  base::Result<Authoriser::ServersKey> servers_key(base::ByteView app_id) const;
  base::Result<governance::AppPolicy> policy(const base::AppRef& app) const;
  base::Status still_allowed(Guest& guest) const;
  base::Status serve_all(channel::Session& session, base::Deadline deadline);
  base::Result<Node::Request> allowed(const Node::Request& request, const base::Bytes& application, const Guest* guest,
                                      base::Deadline deadline);
  base::Status follow(const Epoch& epoch);
  void meet(const Hello::Who& who, const std::string& address);

  const NodeServerParts parts_;
  mutable base::Mutex mutex_;
  /// Oldest first; each key once. An id is what a node says of itself: several may say the same.
  std::vector<Member> candidates_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::cluster
