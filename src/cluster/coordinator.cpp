#include "cluster/coordinator.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <tuple>
#include <utility>

#include "cluster/at_once.h"
#include "crypto/hash.h"

namespace attestry::cluster {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;

namespace {

constexpr std::chrono::seconds kStaysAway{5};
constexpr std::chrono::hours kStaysGuilty{1};
constexpr std::chrono::seconds kNonceTime{2};
constexpr std::chrono::milliseconds kGrace{100};  ///< for nodes that were away, where others are enough
constexpr std::chrono::seconds kMeetAgain{1};

template <class T>
Result<T> own(Answer answer) {
  if (auto* wanted = std::get_if<T>(&answer)) return std::move(*wanted);
  if (auto* error = std::get_if<Error>(&answer)) return std::move(*error);
  return Error{Code::internal, "this node's answer to itself"};
}

}  // namespace

Error quorum_lost(const std::string& what, std::size_t threshold, std::size_t answer, const std::string& without) {
  return Error{
      Code::unavailable, what + ": too few nodes answer", std::to_string(threshold),
      std::to_string(answer) + "; without:" + without,
      "Start the nodes that are away. Keys that workloads and servers have stay good, and nothing is lost while " +
          std::to_string(threshold) +
          " nodes have their disks; otherwise bring exports back: attestry node import --help"};
}

namespace {

class OwnColleague final : public Colleague {
 public:
  OwnColleague(Node& node, NodeServer& server) : node_(node), server_(server) {}
  Result<answer::Nonce> challenge(base::Deadline deadline) override {
    return own<answer::Nonce>(server_.answer(ask::Challenge{}, nullptr, deadline));
  }
  Result<keys::ckd::Ciphertext> derive(const Node::Request& request, base::ByteView application,
                                       const Patience& patience) override {
    const ask::Derive question{request, base::to_bytes(application)};
    return own<keys::ckd::Ciphertext>(server_.answer(question, nullptr, patience.until));
  }
  Result<keys::ckd::ShareProof> prove(const Node::Request& request, base::ByteView application,
                                      const Patience& patience) override {
    const ask::Prove question{request, base::to_bytes(application)};
    return own<keys::ckd::ShareProof>(server_.answer(question, nullptr, patience.until));
  }
  Result<std::shared_ptr<const Epoch>> current(const std::shared_ptr<const Epoch>& /*known*/) override {
    return node_.current();
  }
  base::Status activate(const Epoch& epoch) override { return node_.activate(epoch); }

 private:
  Node& node_;
  NodeServer& server_;
};

class FarColleague final : public Colleague {
 public:
  explicit FarColleague(ChannelPeer& peer) : peer_(peer) {}
  Result<answer::Nonce> challenge(base::Deadline deadline) override { return peer_.challenge(deadline); }
  Result<keys::ckd::Ciphertext> derive(const Node::Request& request, base::ByteView application,
                                       const Patience& patience) override {
    return peer_.derive(request, application, patience);
  }
  Result<keys::ckd::ShareProof> prove(const Node::Request& request, base::ByteView application,
                                      const Patience& patience) override {
    return peer_.prove(request, application, patience);
  }
  Result<std::shared_ptr<const Epoch>> current(const std::shared_ptr<const Epoch>& known) override {
    return peer_.current(known);
  }
  base::Status activate(const Epoch& epoch) override { return peer_.activate(epoch); }

 private:
  ChannelPeer& peer_;
};

}  // namespace

FindColleague colleagues(Node& node, NodeServer& server, ChannelPeers& peers) {
  return [&node, &server, &peers](const Member& member) -> std::unique_ptr<Colleague> {
    if (ChannelPeer* peer = peers.channel(member)) return std::make_unique<FarColleague>(*peer);
    return std::make_unique<OwnColleague>(node, server);
  };
}

Coordinator::~Coordinator() {
  std::vector<std::jthread> threads;  // joined without the lock, which they take
  const MutexLock lock{mutex_};
  threads.reserve(probes_.size());
  for (auto& [id, probe] : probes_) threads.push_back(std::move(probe.thread));
}

/// One node, as it is asked for one application's share.
class Coordinator::OneApplication final : public Deriver {
 public:
  OneApplication(const base::Bytes& application, std::unique_ptr<Colleague> colleague)
      : application_(application), colleague_(std::move(colleague)) {}
  Result<keys::ckd::Ciphertext> derive(const Node::Request& request, const Patience& patience) override {
    return colleague_->derive(request, application_, patience);
  }
  Result<keys::ckd::ShareProof> prove(const Node::Request& request, const Patience& patience) override {
    return colleague_->prove(request, application_, patience);
  }

 private:
  const base::Bytes& application_;
  const std::unique_ptr<Colleague> colleague_;
};

/// What the members say to one question, as long as somebody waits for it, and after.
class Coordinator::Asking {
 public:
  Asking(std::vector<bool> away, std::uint16_t threshold)
      : answers_(away.size()), away_(std::move(away)), threshold_(threshold) {}
  void put(std::size_t place, Result<answer::Nonce> answer) {
    {
      const std::scoped_lock lock(mutex_);
      answers_[place].emplace(std::move(answer));
    }
    said_.notify_all();
  }
  /// Until all have answered; a little longer than for those that were not away, when they are enough.
  std::vector<std::optional<Result<answer::Nonce>>> wait() {
    std::unique_lock lock(mutex_);
    const auto all = [&] { return std::ranges::all_of(answers_, [](const auto& one) { return one.has_value(); }); };
    said_.wait(lock, [&] { return all() || (nonces() >= threshold_ && all_but_away()); });
    said_.wait_for(lock, kGrace, all);
    return answers_;
  }

 private:
  std::size_t nonces() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(answers_, [](const auto& one) { return one.has_value() && one->ok(); }));
  }
  bool all_but_away() const {
    for (std::size_t i = 0; i < answers_.size(); ++i) {
      if (!away_[i] && !answers_[i]) return false;
    }
    return true;
  }
  std::mutex mutex_;  // std::mutex: a condition variable waits on it
  std::condition_variable said_;
  std::vector<std::optional<Result<answer::Nonce>>> answers_;
  const std::vector<bool> away_;
  const std::uint16_t threshold_;
};

/// Of a node that was away: one question at a time, whose answer is for all who ask meanwhile, and which goes on when
/// nobody waits for it any more.
void Coordinator::probe(const Member& member, const std::shared_ptr<Asking>& asking, std::size_t place) {
  std::jthread ended;  // joined without the lock
  const MutexLock lock{mutex_};
  auto& probe = probes_[member.id];
  const bool running = probe.thread.joinable() && !probe.over;
  probe.waiting.emplace_back(asking, place);
  if (running) return;
  ended = std::move(probe.thread);
  probe.over = false;
  try {
    probe.thread = std::jthread([this, member] {
      const auto answer = challenge_of(member);
      std::vector<std::pair<std::shared_ptr<Asking>, std::size_t>> waiting;
      {
        const MutexLock done{mutex_};
        auto& mine = probes_[member.id];
        mine.over = true;
        waiting.swap(mine.waiting);
      }
      // A nonce is good for one request: the others get one of their own.
      bool used = false;
      for (const auto& [one, where] : waiting)
        one->put(where, answer && std::exchange(used, true) ? challenge_of(member) : answer);
    });
  } catch (const std::system_error&) {
    probe.waiting.pop_back();
    asking->put(place, Error{Code::unavailable, "silent when it was asked last"});
  }
}

Result<answer::Nonce> Coordinator::challenge_of(const Member& member) {
  const auto colleague = find_(member);
  auto answer = colleague == nullptr ? Result<answer::Nonce>{Error{Code::unavailable, "no way to this node"}}
                                     : colleague->challenge(std::chrono::steady_clock::now() + kNonceTime);
  if (!answer) {
    remember({.id = member.id, .step = "challenge", .error = answer.error()});
  } else {
    const MutexLock lock{mutex_};
    away_.erase(member.id);
  }
  return answer;
}

Result<Gathered> Coordinator::gather() {
  const auto epoch = node_.current();
  if (epoch == nullptr) {
    return Error{Code::unavailable, "threshold root", "an epoch in force", "none yet",
                 "attestry node reshare generates the first one"};
  }
  const Plan& plan = epoch->plan;
  std::vector<bool> away;
  {
    const MutexLock lock{mutex_};
    for (const Member& member : plan.members) away.push_back(was_away(member.id));
  }
  const auto asking = std::make_shared<Asking>(away, plan.threshold);
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < plan.members.size(); ++i) {
    const Member& member = plan.members[i];
    if (away[i]) {
      probe(member, asking, i);
      continue;
    }
    try {
      threads.emplace_back([this, &member, &asking, i] { asking->put(i, challenge_of(member)); });
    } catch (const std::system_error&) {
      asking->put(i, Error{Code::unavailable, "no thread to ask this node"});
    }
  }
  const auto nonces = asking->wait();
  Gathered out{.epoch = plan.epoch, .threshold = plan.threshold, .master = node_.master()->encoded(), .nonces = {}};
  std::string without;
  for (std::size_t i = 0; i < nonces.size(); ++i) {
    const std::uint32_t id = plan.members[i].id;
    if (nonces[i] && nonces[i]->ok()) {
      out.nonces.push_back({.id = id, .nonce = **nonces[i]});
    } else {
      without += " " + cluster::without(id, nonces[i] ? nonces[i]->error().code : Code::unavailable);
    }
  }
  if (out.nonces.size() < plan.threshold) {
    return quorum_lost("challenge for a derivation", plan.threshold, out.nonces.size(), without);
  }
  return out;
}

bool Coordinator::was_away(std::uint32_t id) const {
  const auto found = away_.find(id);
  return found != away_.end() && std::chrono::steady_clock::now() < found->second + kStaysAway;
}

void Coordinator::remember(const Failing& failing) {
  const auto now = std::chrono::steady_clock::now();
  const MutexLock lock{mutex_};
  (failing.guilty ? guilty_ : away_)[failing.id] = now;
}

/// Those whose nonces are there: this node first, which costs no way, then others at random, so that no node is asked
/// for all; those that were away lately, and last those that gave a wrong share.
std::vector<std::uint32_t> Coordinator::preferred(const Application& application, base::ByteView bytes) const {
  base::LpWriter request;
  request.raw(lots_).raw(bytes);
  const base::Digest32 drawn = crypto::sha256(request.bytes());
  std::vector<std::tuple<int, base::Bytes, std::uint32_t>> places;  // rank, lot, id
  {
    const MutexLock lock{mutex_};
    const auto now = std::chrono::steady_clock::now();
    for (const NodeNonce& one : application.nonces) {
      const auto elsewhere = elsewhere_.find(one.id);
      const bool late = was_away(one.id) || (elsewhere != elsewhere_.end() && now < elsewhere->second + kStaysAway);
      int rank = one.id == node_.id() ? 0 : late ? 2 : 1;
      const auto guilty = guilty_.find(one.id);
      if (guilty != guilty_.end() && now < guilty->second + kStaysGuilty) rank = 3;
      places.emplace_back(rank, base::to_bytes(crypto::sha256(base::LpWriter{}.raw(drawn).u32(one.id).bytes())),
                          one.id);
    }
  }
  std::ranges::sort(places);
  std::vector<std::uint32_t> out;
  out.reserve(places.size());
  for (const auto& place : places) out.push_back(std::get<2>(place));
  return out;
}

Result<Derived> Coordinator::derive_in(const Epoch& epoch, const Application& application, base::Deadline deadline,
                                       bool careful, std::vector<std::uint32_t>& elsewhere) {
  const auto master = node_.master();  // of all epochs the same
  TRY(const auto app_id, application.app_id(epoch.plan.realm));
  TRY(const auto key, application.key.decode());
  const base::Bytes bytes = application.bytes();
  std::map<std::uint32_t, std::unique_ptr<OneApplication>> asked;
  for (const NodeNonce& one : application.nonces) {
    const Member* member = epoch.plan.find(one.id);
    if (member == nullptr) continue;
    if (auto colleague = find_(*member)) {
      asked.emplace(one.id, std::make_unique<OneApplication>(bytes, std::move(colleague)));
    }
  }
  const FindDeriver find = [&](const Member& member) -> Deriver* {
    const auto found = asked.find(member.id);
    return found == asked.end() ? nullptr : found->second.get();
  };
  const DeriveOptions options{
      .careful = careful, .first = node_.id(), .deadline = deadline, .failed = [&](const Failing& one) {
        // A refusal is no absence: whoever sends requests that are refused would make all nodes count as away.
        const auto code = one.error.code;
        if (code == Code::conflict) {
          elsewhere.push_back(one.id);
        } else if (one.guilty || code == Code::unavailable || code == Code::deadline_exceeded) {
          remember(one);
        }
      }};
  return cluster::derive(epoch, *master, app_id, key, preferred(application, bytes), find, options);
}

/// With those that said `conflict`: who is behind is told, this node too. Whether anybody was.
bool Coordinator::meet(const Epoch& epoch, const std::vector<std::uint32_t>& elsewhere) {
  {
    const auto now = std::chrono::steady_clock::now();
    const MutexLock lock{mutex_};
    if (now < met_ + kMeetAgain) return node_.current()->outcome.digest() != epoch.outcome.digest();
    met_ = now;
  }
  bool out = false;
  for (const std::uint32_t id : elsewhere) {
    const Member* member = epoch.plan.find(id);
    const auto colleague = member == nullptr || id == node_.id() ? nullptr : find_(*member);
    if (colleague == nullptr) continue;
    const auto there = colleague->current(node_.current());
    if (!there || (*there && (*there)->outcome.digest() == node_.current()->outcome.digest())) continue;
    // Of two outcomes of one number the same one wins everywhere: activate() knows which.
    if (*there && !node_.activate(**there)) continue;
    const auto now = node_.current();
    const bool follows = *there && (*there)->outcome.digest() == now->outcome.digest();
    out = (follows || colleague->activate(*now).ok()) || out;
  }
  return out || node_.current()->outcome.digest() != epoch.outcome.digest();
}

Result<Derived> Coordinator::derive(const Application& application, base::Deadline deadline, bool careful) {
  // This node looks at the evidence first, and only its own nonce lets it: without one, each forgery would cost all of
  // the nodes that are named a verification.
  if (node_.holds_share() &&
      std::ranges::find(application.nonces, node_.id(), &NodeNonce::id) == application.nonces.end()) {
    return Error{Code::conflict, "nonces of the application",
                 "one of node " + std::to_string(node_.id()) + ", which is asked",
                 std::to_string(application.nonces.size()) + " of others",
                 "ask this node for challenges, and make the evidence for what it gives"};
  }
  for (bool again = false;; again = true) {
    const auto epoch = node_.current();
    if (epoch == nullptr) return Error{Code::unavailable, "threshold root", "an epoch in force", "none yet"};
    std::vector<std::uint32_t> elsewhere;
    auto out = derive_in(*epoch, application, deadline, careful, elsewhere);
    if (elsewhere.empty()) return out;
    const bool met = !out && !again && meet(*epoch, elsewhere);
    if (met) continue;
    // Whoever says so and is told nothing new by meeting is asked after the others for a while.
    const auto now = std::chrono::steady_clock::now();
    const MutexLock lock{mutex_};
    for (const std::uint32_t id : elsewhere) elsewhere_[id] = now;
    return out;
  }
}

std::vector<NodeView> Coordinator::look() {
  const auto epoch = node_.current();
  if (epoch == nullptr) return {};
  const auto& members = epoch->plan.members;
  const auto seen = at_once<std::uint32_t>(members.size(), [&](std::size_t i) -> Result<std::uint32_t> {
    const Member& member = members[i];
    if (member.id == node_.id()) return epoch->plan.epoch;
    const auto colleague = find_(member);
    if (colleague == nullptr) return Error{Code::unavailable, "no way to this node"};
    TRY(const auto there, colleague->current(epoch));
    return there ? there->plan.epoch : 0;
  });
  std::vector<NodeView> out;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const Member& member = members[i];
    NodeView view{.member = member, .self = member.id == node_.id(), .answers = seen[i].ok(), .epoch = 0, .why = {}};
    if (seen[i].ok()) {
      view.epoch = *seen[i];
    } else {
      view.why = seen[i].error().text();
    }
    out.push_back(std::move(view));
  }
  return out;
}

}  // namespace attestry::cluster
