#include "cluster/derivation.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "cluster/at_once.h"

namespace attestry::cluster {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using keys::ckd::Ciphertext;

namespace {

/// For a node that others can stand in for; it is asked again, with all the time that is left, when they cannot.
constexpr std::chrono::seconds kHedge{1};

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

std::string_view in_short(Code why) {
  if (why == Code::conflict) return "is in another epoch";
  return is_refusal(why) ? "refuses" : "does not answer";
}

class Derivation {
 public:
  Derivation(const Epoch& epoch, const keys::ckd::MasterPublicKey& master, ByteView app_id,
             const keys::ckd::AppPublicKey& app_key, std::span<const std::uint32_t> prefer, const FindDeriver& find,
             const DeriveOptions& options)
      : epoch_(epoch), master_(master), app_id_(app_id), app_key_(app_key), find_(find), options_(options) {
    request_.epoch = epoch.plan.epoch;
    request_.outcome = epoch.outcome.digest();
    request_.app_id = base::to_bytes(app_id);
    request_.app_key = app_key.pk1.encode();
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
        TRY(const bool right, keys::ckd::publicly_valid(*sum, hash_point(), master_, *app_key_.pk2));
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
  Derived done(const Ciphertext& sum) {
    for (const auto& [id, failing] : slow_) {
      if (std::ranges::find(left_, id) != left_.end() && !has_taken_part(id)) failing_.push_back(failing);
    }
    return {sum, request_.epoch, request_.participants, std::move(failing_)};
  }
  bool has_taken_part(std::uint32_t id) const {
    return std::ranges::find(request_.participants, id) != request_.participants.end();
  }
  /// It may have an answer later: all others are asked before it. Whether that was the first time.
  bool put_last(std::uint32_t id, const Error& error) {
    if (error.code != Code::deadline_exceeded || slow_.contains(id)) return false;
    std::erase(left_, id);
    left_.push_back(id);
    const auto& failing = slow_.emplace(id, Failing{id, "derive", error, false}).first->second;
    if (options_.failed) options_.failed(failing);
    return true;
  }
  Patience patience_for(std::uint32_t id) const {
    const bool again = slow_.contains(id);
    if (again || left_.size() == epoch_.plan.threshold) return {.until = options_.deadline, .insist = again};
    return {.until = std::min(options_.deadline, std::chrono::steady_clock::now() + kHedge), .insist = false};
  }
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
    const auto add = [&](const Failing& one) { who += " " + without(one); };
    for (const Failing& one : failing_) add(one);
    for (const auto& [id, failing] : slow_) {
      if (std::ranges::find(left_, id) != left_.end()) add(failing);
    }
    return Error{Code::unavailable, "derivation in epoch " + std::to_string(request_.epoch),
                 std::to_string(epoch_.plan.threshold) + " nodes", found + "; without:" + who,
                 "start the nodes that are away; no key is lost while " + std::to_string(epoch_.plan.threshold) +
                     " of them have their disks"};
  }
  /// With the nodes that say the same: each goes by approvals of its own.
  Error named(const Failing& one) const {
    std::string who;
    for (const Failing& other : failing_) {
      if (other.guilty || other.error.code != one.error.code) continue;
      who += (who.empty() ? "" : ", ") + std::to_string(other.id);
    }
    Error out = one.error;
    if (out.code == Code::not_found)
      out.remedy = "At each of these nodes: attestry app list. None takes another one's approvals.";
    return std::move(out.at((who.find(',') == std::string::npos ? "node " : "nodes ") + who));
  }
  Error too_few() const {
    if (const Failing* one = said_by_enough()) return named(*one);
    return unavailable(std::to_string(left_.size()));
  }

  template <class T, class Ask>
  Result<T> ask_one(std::uint32_t id, Ask& ask) {
    Deriver* peer = find_(*epoch_.plan.find(id));
    return peer == nullptr ? Result<T>{Error{Code::unavailable, "no way to this node"}} : ask(id, *peer);
  }
  /// `known`: the first one's answer, where it is there.
  template <class T, class Ask>
  std::vector<Result<T>> ask_participants(Ask ask, std::optional<Result<T>> known = std::nullopt) {
    const std::size_t first = known ? 1 : 0;
    auto out = at_once<T>(request_.participants.size() - first,
                          [&](std::size_t i) { return ask_one<T>(request_.participants[first + i], ask); });
    if (known) out.insert(out.begin(), *std::move(known));
    return out;
  }

  /// Of all participants; nothing when one of them did not answer and is no longer asked.
  std::optional<std::vector<Ciphertext>> ask() {
    const auto derive = [&](std::uint32_t id, Deriver& peer) { return peer.derive(request_, patience_for(id)); };
    std::optional<Result<Ciphertext>> known;
    if (!decided_ && options_.first == request_.participants.front()) {
      decided_ = true;
      // Nobody can stand in for it.
      const auto patiently = [&](std::uint32_t, Deriver& peer) {
        return peer.derive(request_, {.until = options_.deadline, .insist = true});
      };
      known.emplace(ask_one<Ciphertext>(*options_.first, patiently));
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
      } else if (!put_last(request_.participants[i], answers[i].error())) {
        drop(request_.participants[i], "derive", answers[i].error(), false);
      }
    }
    if (out.size() < request_.participants.size()) return std::nullopt;
    return out;
  }

  /// Whoever only adds shares up needs none: its own node, where it has one, hashes for itself.
  const curves::bls::G1& hash_point() {
    if (!hash_point_) hash_point_ = keys::ckd::hash_point(master_, app_id_);
    return *hash_point_;
  }

  /// Whether somebody is out for a share that it cannot prove.
  bool blame(std::span<const Ciphertext> shares) {
    auto proofs = ask_participants<keys::ckd::ShareProof>([&](std::uint32_t, Deriver& peer) {
      return peer.prove(request_, {.until = options_.deadline, .insist = true});
    });
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
                                           hash_point(), app_key_.pk1, request_.bytes());
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
  const ByteView app_id_;  ///< outlives this
  const keys::ckd::AppPublicKey& app_key_;
  const FindDeriver& find_;
  const DeriveOptions& options_;
  bool decided_ = false;  ///< the first one has answered
  std::optional<Error> final_;
  std::optional<curves::bls::G1> hash_point_;  ///< once it is needed
  Node::Request request_;
  std::vector<std::uint32_t> left_;
  std::vector<Failing> failing_;
  std::map<std::uint32_t, Failing> slow_;  ///< once, and were put last
};

}  // namespace

std::string without(std::uint32_t id, Code why) { return std::to_string(id) + " (" + std::string{in_short(why)} + ")"; }

std::string without(const Failing& failing) {
  if (failing.guilty) return std::to_string(failing.id) + " (its share of the answer is wrong)";
  return without(failing.id, failing.error.code);
}

Result<Derived> derive(const Epoch& epoch, const keys::ckd::MasterPublicKey& master, ByteView app_id,
                       const keys::ckd::AppPublicKey& app_key, std::span<const std::uint32_t> prefer,
                       const FindDeriver& find, const DeriveOptions& options) {
  return Derivation{epoch, master, app_id, app_key, prefer, find, options}.run();
}

}  // namespace attestry::cluster
