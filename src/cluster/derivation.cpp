#include "cluster/derivation.h"

#include <algorithm>
#include <thread>

namespace attestry::cluster {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using keys::ckd::Ciphertext;

namespace {

class Derivation {
 public:
  Derivation(const Epoch& epoch, const keys::ckd::MasterPublicKey& master, ByteView app_id,
             const keys::ckd::AppPublicKey& app_key, std::span<const std::uint32_t> prefer, const FindDeriver& find)
      : epoch_(epoch), master_(master), app_key_(app_key), find_(find) {
    request_.epoch = epoch.plan.epoch;
    request_.outcome = epoch.outcome.digest();
    request_.app_id = base::to_bytes(app_id);
    request_.app_key = app_key.pk1.encode();
    hash_point_ = keys::ckd::hash_point(master, app_id);
    for (const std::uint32_t id : prefer) add(id);
    for (const Member& member : epoch.plan.members) add(member.id);
  }

  Result<Derived> run(bool careful) {
    for (;;) {
      if (left_.size() < epoch_.plan.threshold) return too_few();
      request_.participants.assign(left_.begin(), left_.begin() + epoch_.plan.threshold);
      const std::optional<std::vector<Ciphertext>> shares = ask();
      if (!shares) continue;
      auto sum = keys::ckd::combine(*shares);
      if (sum.ok() && !careful && app_key_.pk2) {
        TRY(const bool right, keys::ckd::publicly_valid(*sum, hash_point_, master_, *app_key_.pk2));
        if (right) return done(*sum);
      } else if (sum.ok() && !careful) {
        return done(*sum);
      }
      if (!blame(*shares)) {
        if (sum.ok()) return done(*sum);
        return sum.error();
      }
    }
  }

 private:
  void add(std::uint32_t id) {
    if (epoch_.plan.find(id) != nullptr && std::ranges::find(left_, id) == left_.end()) left_.push_back(id);
  }
  Derived done(const Ciphertext& sum) { return {sum, request_.epoch, request_.participants, std::move(failing_)}; }
  void drop(std::uint32_t id, std::string step, Error error, bool guilty) {
    std::erase(left_, id);
    failing_.push_back({id, std::move(step), std::move(error), guilty});
  }
  /// So many refuse that those who are away would make no difference: that is a refusal, and no outage.
  const Failing* refusal() const {
    const auto refuses = [](const Failing& one) {
      const Code code = one.error.code;
      return !one.guilty && code != Code::unavailable && code != Code::deadline_exceeded &&
             code != Code::collateral_missing && code != Code::conflict && code != Code::internal && code != Code::io;
    };
    const auto refusals = static_cast<std::size_t>(std::ranges::count_if(failing_, refuses));
    if (refusals + epoch_.plan.threshold <= epoch_.plan.members.size()) return nullptr;
    return &*std::ranges::find_if(failing_, refuses);
  }
  Error too_few() const {
    if (const Failing* one = refusal()) return one->error;
    std::string who;
    for (const Failing& one : failing_) who += " " + std::to_string(one.id) + " (" + one.error.what + ")";
    return Error{Code::unavailable, "derivation in epoch " + std::to_string(request_.epoch),
                 std::to_string(epoch_.plan.threshold) + " nodes", std::to_string(left_.size()) + "; without:" + who,
                 "start the nodes that are away; no key is lost while " + std::to_string(epoch_.plan.threshold) +
                     " of them have their disks"};
  }

  template <class T, class Ask>
  std::vector<Result<T>> ask_participants(Ask ask) {
    std::vector<std::optional<Result<T>>> answers(request_.participants.size());
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < answers.size(); ++i) {
        threads.emplace_back([&, i] {
          const Member* member = epoch_.plan.find(request_.participants[i]);
          Deriver* peer = find_(*member);
          answers[i].emplace(peer == nullptr ? Result<T>{Error{Code::unavailable, "no way to this node"}} : ask(*peer));
        });
      }
    }
    std::vector<Result<T>> out;
    for (auto& answer : answers) out.push_back(*std::move(answer));
    return out;
  }

  /// Of all participants; nothing when one of them did not answer and is no longer asked.
  std::optional<std::vector<Ciphertext>> ask() {
    auto answers = ask_participants<Ciphertext>([&](Deriver& peer) { return peer.derive(request_); });
    std::vector<Ciphertext> out;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      if (answers[i].ok()) {
        out.push_back(*answers[i]);
      } else {
        drop(request_.participants[i], "derive", answers[i].error(), false);
      }
    }
    if (out.size() < request_.participants.size()) return std::nullopt;
    return out;
  }

  /// Whether somebody is out for a share that it cannot prove.
  bool blame(std::span<const Ciphertext> shares) {
    auto proofs = ask_participants<keys::ckd::ShareProof>([&](Deriver& peer) { return peer.prove(request_); });
    bool found = false;
    const std::vector<std::uint32_t> asked = request_.participants;
    for (std::size_t i = 0; i < asked.size(); ++i) {
      if (!proofs[i].ok()) {
        drop(asked[i], "prove", proofs[i].error(), false);
        found = true;
        continue;
      }
      const auto lambda = keys::ckd::lagrange(asked, asked[i]);
      const auto right = keys::ckd::proved(*proofs[i], shares[i], *lambda, epoch_.outcome.commitments().at(asked[i]),
                                           hash_point_, app_key_.pk1, request_.bytes());
      if (right.ok() && *right) continue;
      drop(asked[i], "prove",
           Error{Code::evidence_false, "node " + std::to_string(asked[i]) + ": its share of the answer is wrong"},
           true);
      found = true;
    }
    return found;
  }

  const Epoch& epoch_;
  const keys::ckd::MasterPublicKey& master_;
  const keys::ckd::AppPublicKey& app_key_;
  const FindDeriver& find_;
  curves::bls::G1 hash_point_;
  Node::Request request_;
  std::vector<std::uint32_t> left_;
  std::vector<Failing> failing_;
};

}  // namespace

Result<Derived> derive(const Epoch& epoch, const keys::ckd::MasterPublicKey& master, ByteView app_id,
                       const keys::ckd::AppPublicKey& app_key, std::span<const std::uint32_t> prefer,
                       const FindDeriver& find, bool careful) {
  return Derivation{epoch, master, app_id, app_key, prefer, find}.run(careful);
}

}  // namespace attestry::cluster
