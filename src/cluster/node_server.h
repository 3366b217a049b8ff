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
#include "channel/server.h"
#include "channel/session.h"
#include "cluster/approved_end.h"
#include "cluster/large_messages.h"
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
    std::string app{};        ///< an app's root, or an account's key; empty: a dialect's master
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
  /// NEAR accounts whose keys they may have, each by name or, with "*." before it, all below it.
  std::vector<std::string> accounts{};
  /// What is said to others in place of an answer: the lies of a node in tests (faults.h). Null: the truth.
  std::function<Answer(Answer honest, const Question&)> instead_of{};
  /// For the next question of a member in force: longer than it keeps a session that it does not use.
  std::chrono::milliseconds members_idle{330'000};
  std::chrono::milliseconds others_idle{30'000};     ///< they call anew
  std::chrono::milliseconds large_patience{30'000};  ///< of a large message, for its turn
};

/// Thread-safe.
class NodeServer {
 public:
  explicit NodeServer(NodeServerParts parts) : parts_(std::move(parts)) {}

  /// For a session with a node that this one calls. `denied` while nobody has approved a policy, or one that names no
  /// software.
  base::Result<channel::End> end() const;
  /// The other end of a session that this one called, by the approvals for nodes.
  base::Result<ApprovedPeer> judge(const channel::Session& session) const;
  /// For a session with a node or a server that calls.
  base::Result<channel::End> listening_end() const;
  /// Answers until `deadline`, or until something is wrong. Who is there is said to `seat` once it is known: members in
  /// force are favoured; a node has two sessions, and so many has an address from which servers call.
  void serve(channel::Session session, base::Deadline deadline, channel::Seat& seat);
  static constexpr unsigned kServersAtOneAddress = 4;

  /// Nodes that have said that they are there and are no members: candidates for a plan, the last ones only.
  std::vector<Member> candidates() const;
  /// What a node says to a question. `guest` null: the node of this process itself.
  struct Guest;
  Answer answer(const Question& question, const Guest* guest, base::Deadline deadline);

 private:
  base::Result<channel::Limit> limit(const Guest& guest, base::ByteView first, base::Deadline deadline,
                                     LargeMessages::Permit& large);
  base::Result<Authoriser::ServersKey> servers_key(base::ByteView app_id) const;
  base::Result<Authoriser::ServersKey> account_key(base::ByteView app_id, base::ByteView said) const;
  base::Result<channel::End> end_for(std::optional<base::AppRef> servers) const;
  base::Status serve_all(channel::Session& session, base::Deadline deadline, channel::Seat& seat);
  bool is_member(const Guest& guest) const;
  base::Status wait_for_turn(const Hello::Who& sender, bool member, LargeMessages::Permit& large);
  channel::Guest as_guest(const Guest& guest, const std::string& address) const;
  base::Result<Node::Request> allowed(const Node::Request& request, const base::Bytes& application, const Guest* guest,
                                      base::Deadline deadline);
  base::Status follow(const Epoch& epoch);
  void meet(const Hello::Who& who, const std::string& address);

  const NodeServerParts parts_;
  LargeMessages large_;
  mutable base::Mutex mutex_;
  /// Oldest first; each key once. An id is what a node says of itself: several may say the same.
  std::vector<Member> candidates_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::cluster
