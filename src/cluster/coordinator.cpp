#include "cluster/coordinator.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace attestry::cluster {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;

namespace {

constexpr std::chrono::seconds kStaysAway{5};

/// Of all members at the same time, in their order.
template <class T, class Ask>
std::vector<Result<T>> of_all(const std::vector<Member>& members, Ask ask) {
  std::vector<std::optional<Result<T>>> answers(members.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < members.size(); ++i) {
      threads.emplace_back([&, i] { answers[i].emplace(ask(members[i])); });
    }
  }
  std::vector<Result<T>> out;
  for (auto& answer : answers) out.push_back(*std::move(answer));
  return out;
}

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

/// One node, as it is asked for one application's share.
class Coordinator::OneApplication final : public Deriver {
 public:
  OneApplication(const base::Bytes& application, NodeServer& server, ChannelPeer* peer, base::Deadline deadline)
      : application_(application), server_(server), peer_(peer), deadline_(deadline) {}
  Result<keys::ckd::Ciphertext> derive(const Node::Request& request) override {
    if (peer_ != nullptr) return peer_->derive(request, application_);
    return own<keys::ckd::Ciphertext>(server_.answer(ask::Derive{request, application_}, nullptr, deadline_));
  }
  Result<keys::ckd::ShareProof> prove(const Node::Request& request) override {
    if (peer_ != nullptr) return peer_->prove(request, application_);
    return own<keys::ckd::ShareProof>(server_.answer(ask::Prove{request, application_}, nullptr, deadline_));
  }

 private:
  const base::Bytes& application_;
  NodeServer& server_;
  ChannelPeer* peer_;
  base::Deadline deadline_;
};

Result<Gathered> Coordinator::gather() {
  const auto epoch = node_.current();
  if (epoch == nullptr) {
    return Error{Code::unavailable, "threshold root", "an epoch in force", "none yet",
                 "attestry node reshare generates the first one"};
  }
  const Plan& plan = epoch->plan;
  const auto soon = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  const auto nonces = of_all<answer::Nonce>(plan.members, [&](const Member& member) -> Result<answer::Nonce> {
    if (ChannelPeer* peer = peers_.channel(member)) return peer->challenge();
    return own<answer::Nonce>(server_.answer(ask::Challenge{}, nullptr, soon));
  });
  Gathered out{.epoch = plan.epoch,
               .threshold = plan.threshold,
               .master = epoch->outcome.commitments().constant().encode(),
               .nonces = {}};
  std::string without;
  std::vector<Failing> failing;
  for (std::size_t i = 0; i < nonces.size(); ++i) {
    const std::uint32_t id = plan.members[i].id;
    if (nonces[i].ok()) {
      out.nonces.push_back({.id = id, .nonce = *nonces[i]});
    } else {
      without += " " + std::to_string(id) + " (" + nonces[i].error().what + ")";
      failing.push_back({.id = id, .step = "challenge", .error = nonces[i].error()});
    }
  }
  remember(failing);
  if (out.nonces.size() < plan.threshold) {
    return quorum_lost("challenge for a derivation", plan.threshold, out.nonces.size(), without);
  }
  return out;
}

void Coordinator::remember(const std::vector<Failing>& failing) {
  const auto now = std::chrono::steady_clock::now();
  const MutexLock lock{mutex_};
  for (const Failing& one : failing) away_[one.id] = now;
}

/// Those whose nonces are there: this node first, which costs no way, and those that were away lately last.
std::vector<std::uint32_t> Coordinator::preferred(const Application& application) const {
  std::vector<std::uint32_t> out;
  for (const NodeNonce& one : application.nonces) out.push_back(one.id);
  const auto now = std::chrono::steady_clock::now();
  const MutexLock lock{mutex_};
  const auto rank = [&](std::uint32_t id) ATTESTRY_REQUIRES(mutex_) {
    if (id == node_.id()) return 0;
    const auto found = away_.find(id);
    return found != away_.end() && now < found->second + kStaysAway ? 2 : 1;
  };
  std::ranges::sort(out, {}, [&](std::uint32_t id) { return std::pair{rank(id), id}; });
  return out;
}

Result<Derived> Coordinator::derive(const Application& application, base::Deadline deadline) {
  const auto epoch = node_.current();
  if (epoch == nullptr) return Error{Code::unavailable, "threshold root", "an epoch in force", "none yet"};
  const auto master = node_.master();  // of all epochs the same
  TRY(const auto app_id, application.app_id(epoch->plan.realm));
  TRY(const auto key, application.key.decode());
  const base::Bytes bytes = application.bytes();
  std::map<std::uint32_t, std::unique_ptr<OneApplication>> asked;
  for (const NodeNonce& one : application.nonces) {
    if (const Member* member = epoch->plan.find(one.id)) {
      asked.emplace(one.id, std::make_unique<OneApplication>(bytes, server_, peers_.channel(*member), deadline));
    }
  }
  const FindDeriver find = [&](const Member& member) -> Deriver* {
    const auto found = asked.find(member.id);
    return found == asked.end() ? nullptr : found->second.get();
  };
  auto out = cluster::derive(*epoch, *master, app_id, key, preferred(application), find);
  if (out) remember(out->failing);
  return out;
}

std::vector<NodeView> Coordinator::look() {
  const auto epoch = node_.current();
  if (epoch == nullptr) return {};
  const auto seen = of_all<std::uint32_t>(epoch->plan.members, [&](const Member& member) -> Result<std::uint32_t> {
    ChannelPeer* peer = peers_.channel(member);
    if (peer == nullptr) return epoch->plan.epoch;
    TRY(const auto there, peer->current());
    return there ? there->plan.epoch : 0;
  });
  std::vector<NodeView> out;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const Member& member = epoch->plan.members[i];
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
