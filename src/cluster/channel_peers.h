// The way to other nodes: one attested session to each, kept up as long as it is of use (docs/formats/threshold.md,
// "Between nodes").
#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "channel/session.h"
#include "cluster/approved_end.h"
#include "cluster/messages.h"
#include "cluster/peers.h"
#include "net/peer.h"

namespace attestry::cluster {

struct ChannelOptions {
  /// This end as it is now, asked for each session.
  std::function<base::Result<channel::End>()> end;
  /// What this end says of itself in the session in which it attested `own_report_data`.
  std::function<Hello(const base::FixedBytes<64>& own_report_data)> hello;
  /// Whether the other end of a session is one that this end wants to ask.
  std::function<base::Result<ApprovedPeer>(const channel::Session&)> judge;
  std::chrono::milliseconds patience{10'000};       ///< for an answer that a node makes with its disk
  std::chrono::milliseconds quick_patience{2'000};  ///< for what a node knows: a nonce, its epoch
  std::chrono::milliseconds opening{5'000};         ///< of a session: both ends show and verify evidence
  std::chrono::seconds longest{300};                ///< of a session: then both ends show their evidence anew
  std::chrono::seconds silence{3};  ///< a node that was silent is not asked again for quick answers so long
};

/// One node at the other end. Thread-safe: one question at a time, later ones wait, but no longer than they may.
class ChannelPeer final : public Peer {
 public:
  /// `member.signing_key` of zeros: whatever node is there (it has not been met before).
  ChannelPeer(const ChannelOptions& options, std::shared_ptr<net::PeerStop> stop, Member member)
      : options_(options), stop_(std::move(stop)), member_(std::move(member)) {}

  base::Result<Offer> offer(const base::FixedBytes<32>& cluster, const base::FixedBytes<32>& session) override;
  base::Result<Deal> propose(const Plan& plan, const Approval& approval) override;
  base::Result<std::optional<Complaint>> check(const Plan& plan, const Approval& approval,
                                               std::span<const Deal> deals) override;
  base::Result<std::variant<Stored, Complaint>> prepare(const Plan& plan, const Approval& approval,
                                                        std::span<const Deal> deals) override;
  base::Status activate(const Epoch& epoch) override;
  /// As a server that asks for itself.
  base::Result<keys::ckd::Ciphertext> derive(const Node::Request& request, const Patience& patience) override {
    return derive(request, {}, patience);
  }
  base::Result<keys::ckd::ShareProof> prove(const Node::Request& request, const Patience& patience) override {
    return prove(request, {}, patience);
  }
  /// For a workload, by what it asked every node for. Whatever is not the other node's own word is `unavailable`, or
  /// `deadline_exceeded` when it has not answered yet, or is silent and not insisted upon.
  base::Result<keys::ckd::Ciphertext> derive(const Node::Request& request, base::ByteView application,
                                             const Patience& patience);
  base::Result<keys::ckd::ShareProof> prove(const Node::Request& request, base::ByteView application,
                                            const Patience& patience);
  base::Result<answer::Nonce> challenge(base::Deadline deadline = base::Deadline::max());
  /// The epoch in force there; null before the first. `known`, which may be null, when that has the same outcome: it is
  /// not sent again then.
  base::Result<std::shared_ptr<const Epoch>> current(const std::shared_ptr<const Epoch>& known);
  /// Makes this node, at `address`, known there. The epoch in force there.
  base::Result<std::optional<Epoch>> join(const std::string& address);
  /// Whoever is there, after a session was opened at least once.
  std::optional<Hello::Who> who() const;

 private:
  base::Result<Answer> ask(const Question& question, std::chrono::milliseconds patience);
  /// The other node's own errors are answers here.
  base::Result<Answer> ask_either(const Question& question, base::Deadline until);
  /// What others wait for.
  template <class T>
  base::Result<T> expect_quickly(const Question& question, const Patience& patience);
  std::string name() const;
  base::Result<Answer> ask_now(const Question& question, base::Deadline until) ATTESTRY_REQUIRES(mutex_);
  bool take_turn(base::Deadline until);
  void give_turn();
  /// Whoever would wait for it would wait in vain.
  bool is_silent() const;
  base::Status open(base::Deadline until) ATTESTRY_REQUIRES(mutex_);
  base::Result<Answer> exchange(const base::Bytes& question, base::Deadline deadline) ATTESTRY_REQUIRES(mutex_);
  template <class T>
  base::Result<T> expect(base::Result<Answer> answer) const;

  const ChannelOptions& options_;
  const std::shared_ptr<net::PeerStop> stop_;
  const Member member_;
  std::mutex turns_mutex_;  // std::mutex: a condition variable waits on it
  std::condition_variable turn_free_;
  bool turn_taken_ = false;
  base::Mutex mutex_;  ///< of whoever has the turn: nobody waits for it
  std::optional<channel::Session> session_ ATTESTRY_GUARDED_BY(mutex_);
  bool own_fault_ ATTESTRY_GUARDED_BY(mutex_) = false;  ///< no session could be opened for what is missing at this end
  std::optional<ApprovedPeer> approved_ ATTESTRY_GUARDED_BY(mutex_);  ///< its other end
  std::chrono::steady_clock::time_point until_ ATTESTRY_GUARDED_BY(mutex_){};
  mutable base::Mutex seen_mutex_;  ///< never held while the other end is waited for
  std::chrono::steady_clock::time_point silent_until_ ATTESTRY_GUARDED_BY(seen_mutex_){};
  std::optional<Hello::Who> who_ ATTESTRY_GUARDED_BY(seen_mutex_);
};

/// The sessions of one process. Thread-safe.
class ChannelPeers final : public Peers {
 public:
  /// `self`: how the node of this process is asked; null where there is none.
  static base::Result<std::unique_ptr<ChannelPeers>> make(ChannelOptions options, std::uint32_t self_id, Peer* self);
  ~ChannelPeers() override { stop(); }
  /// On a session of its own: changes wait for disks, and derivations must not wait for changes.
  Peer* find(const Member& member) override;
  /// Null for the node of this process. Valid as long as this.
  ChannelPeer* channel(const Member& member);
  /// Ends what waits for other nodes, and every later wait.
  void stop() { stop_->stop(); }

 private:
  ChannelPeer* peer(const std::string& use, const Member& member);
  ChannelPeers(ChannelOptions options, std::uint32_t self_id, Peer* self, std::shared_ptr<net::PeerStop> stop)
      : options_(std::move(options)), self_id_(self_id), self_(self), stop_(std::move(stop)) {}
  const ChannelOptions options_;
  const std::uint32_t self_id_;
  Peer* const self_;
  const std::shared_ptr<net::PeerStop> stop_;
  base::Mutex mutex_;
  /// By use, id, key and address: a node that has moved is another one. Few in the life of a process, so none goes.
  std::map<std::string, std::unique_ptr<ChannelPeer>> all_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::cluster
