#include "cluster/derivation.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <thread>

namespace attestry::cluster {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using keys::ckd::Ciphertext;

namespace {

/// What a node says when it will not answer this request. Everything else is a node that cannot.
bool is_refusal(Code code) {
  switch (code) {
    case Code::denied:
    case Code::evidence_false:
    case Code::malformed:
    case Code::not_found:
    case Code::challenge_expired:
    case Code::replayed:
    case Code::too_large:
    case Code::realm_mismatch:
      return true;
    default:
      return false;
  }
}

/// A refusal that every node would agree to, whatever its operators have approved.
bool is_everybodys(Code code) { return is_refusal(code) && code != Code::denied && code != Code::not_found; }

class Derivation {
 public:
  Derivation(const Epoch& epoch, const keys::ckd::MasterPublicKey& master, ByteView app_id,
             const keys::ckd::AppPublicKey& app_key, std::span<const std::uint32_t> prefer, const FindDeriver& find,
             const DeriveOptions& options)
      : epoch_(epoch), master_(master), app_key_(app_key), find_(find), options_(options) {
    request_.epoch = epoch.plan.epoch;
    request_.outcome = epoch.outcome.digest();
    request_.app_id = base::to_bytes(app_id);
    request_.app_key = app_key.pk1.encode();
    hash_point_ = keys::ckd::hash_point(master, app_id);
    for (const std::uint32_t id : prefer) add(id);
    for (const Member& member : epoch.plan.members) add(member.id);
  }

  Result<Derived> run() {
    const bool careful = options_.careful;
    for (;;) {
      if (final_) return *final_;
      if (left_.size() < epoch_.plan.threshold) return too_few();
      if (std::chrono::steady_clock::now() >= options_.deadline) return unavailable("time is up");
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
    if (options_.failed) options_.failed(failing_.back());
  }
  /// What is said by so many that those who are away would make no difference: that is no outage. Of several refusals
  /// the one that most give, in the words of the first, so that one node alone cannot put it into words.
  const Failing* said_by_enough() const {
    std::size_t refusals = 0, most = 0;
    const Failing* out = nullptr;
    for (const Failing& one : failing_) {
      const auto same = [&](const Failing& other) { return !other.guilty && other.error.code == one.error.code; };
      if (!same(one) || (!is_refusal(one.error.code) && one.error.code != Code::conflict)) continue;
      ++refusals;
      const auto count = static_cast<std::size_t>(std::ranges::count_if(failing_, same));
      if (count > most) out = &one;
      most = std::max(most, count);
    }
    return refusals + epoch_.plan.threshold > epoch_.plan.members.size() ? out : nullptr;
  }
  Error unavailable(const std::string& found) const {
    std::string who;
    for (const Failing& one : failing_) who += " " + std::to_string(one.id) + " (" + one.error.what + ")";
    return Error{Code::unavailable, "derivation in epoch " + std::to_string(request_.epoch),
                 std::to_string(epoch_.plan.threshold) + " nodes", found + "; without:" + who,
                 "start the nodes that are away; no key is lost while " + std::to_string(epoch_.plan.threshold) +
                     " of them have their disks"};
  }
  Error too_few() const {
    if (const Failing* one = said_by_enough()) return one->error;
    return unavailable(std::to_string(left_.size()));
  }

  template <class T, class Ask>
  Result<T> ask_one(std::uint32_t id, Ask& ask) {
    Deriver* peer = find_(*epoch_.plan.find(id));
    return peer == nullptr ? Result<T>{Error{Code::unavailable, "no way to this node"}} : ask(*peer);
  }
  /// `known`: the first one's answer, where it is there.
  template <class T, class Ask>
  std::vector<Result<T>> ask_participants(Ask ask, std::optional<Result<T>> known = std::nullopt) {
    std::vector<std::optional<Result<T>>> answers(request_.participants.size());
    if (known) answers.front() = std::move(known);
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < answers.size(); ++i) {
        if (answers[i]) continue;
        try {
          threads.emplace_back([&, i] { answers[i].emplace(ask_one<T>(request_.participants[i], ask)); });
        } catch (const std::system_error&) {
          answers[i].emplace(Error{Code::unavailable, "no thread to ask this node"});
        }
      }
    }
    std::vector<Result<T>> out;
    for (auto& answer : answers) out.push_back(*std::move(answer));
    return out;
  }

  /// Of all participants; nothing when one of them did not answer and is no longer asked.
  std::optional<std::vector<Ciphertext>> ask() {
    const auto derive = [&](Deriver& peer) { return peer.derive(request_); };
    std::optional<Result<Ciphertext>> known;
    if (!decided_ && options_.first == request_.participants.front()) {
      decided_ = true;
      known.emplace(ask_one<Ciphertext>(*options_.first, derive));
      if (!known->ok()) {
        if (is_everybodys(known->error().code)) final_ = known->error();
        drop(*options_.first, "derive", known->error(), false);
        return std::nullopt;
      }
    }
    auto answers = ask_participants<Ciphertext>(derive, std::move(known));
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
  const DeriveOptions& options_;
  bool decided_ = false;  ///< the first one has answered
  std::optional<Error> final_;
  curves::bls::G1 hash_point_;
  Node::Request request_;
  std::vector<std::uint32_t> left_;
  std::vector<Failing> failing_;
};

}  // namespace

Result<Derived> derive(const Epoch& epoch, const keys::ckd::MasterPublicKey& master, ByteView app_id,
                       const keys::ckd::AppPublicKey& app_key, std::span<const std::uint32_t> prefer,
                       const FindDeriver& find, const DeriveOptions& options) {
  return Derivation{epoch, master, app_id, app_key, prefer, find, options}.run();
}

}  // namespace attestry::cluster
