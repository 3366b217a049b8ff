#include "app/threshold_source.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "cluster/at_once.h"

namespace attestry::app {

using base::ByteView;
using base::Code;
using base::Deadline;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

namespace {

/// For what a node knows.
constexpr std::chrono::milliseconds kOneNode{1'500};
/// How long an epoch in which nothing could be derived is tried after others, and of how many that is known.
constexpr std::chrono::seconds kRemembered{60};
constexpr std::size_t kMostFailed = 64;

using EpochPtr = std::shared_ptr<const cluster::Epoch>;

/// Nodes that answer, and will not.
bool is_refusal(Code code) { return code == Code::denied || code == Code::not_found; }

/// One address once, so that none counts twice.
std::vector<cluster::Member> to_ask(const std::vector<std::string>& addresses, const cluster::Epoch* before) {
  std::vector<cluster::Member> out;
  const auto add = [&](const cluster::Member& one) {
    if (std::ranges::find(out, one.address, &cluster::Member::address) == out.end()) out.push_back(one);
  };
  for (const std::string& address : addresses) add({cluster::kMostNodes, {}, {}, {}, address});
  if (before != nullptr) std::ranges::for_each(before->plan.members, add);
  return out;
}

/// An epoch that nodes say is in force.
struct Heard {
  EpochPtr epoch;
  std::size_t times = 1;  ///< by how many
  bool failed = false;
};

void hear(std::vector<Heard>& heard, EpochPtr epoch) {
  const auto digest = epoch->outcome.digest();
  for (Heard& one : heard) {
    if (one.epoch->outcome.digest() != digest) continue;
    ++one.times;
    return;
  }
  heard.push_back({std::move(epoch)});
}

/// A node that is told whose key it derives.
class Told final : public cluster::Deriver {
 public:
  Told(cluster::ChannelPeer& node, ByteView said) : node_(node), said_(said) {}
  Result<keys::ckd::Ciphertext> derive(const cluster::Node::Request& request,
                                       const cluster::Patience& patience) override {
    return node_.derive(request, said_, patience);
  }
  Result<keys::ckd::ShareProof> prove(const cluster::Node::Request& request,
                                      const cluster::Patience& patience) override {
    return node_.prove(request, said_, patience);
  }

 private:
  cluster::ChannelPeer& node_;
  const ByteView said_;
};

/// The end of the first of so many equal parts of what is left.
Deadline part_of(Deadline deadline, std::size_t parts) {
  const auto now = std::chrono::steady_clock::now();
  if (parts == 1 || deadline <= now) return deadline;
  return now + (deadline - now) / static_cast<std::int64_t>(parts);
}

}  // namespace

Result<std::unique_ptr<ThresholdSource>> ThresholdSource::open(const Settings& settings, const ThresholdSettings& said,
                                                               ThresholdSourceParts parts) {
  TRY(auto master, keys::ckd::MasterPublicKey::decode(*said.encoded), "threshold.master_public_key");
  std::unique_ptr<ThresholdSource> out{new ThresholdSource(said, parts, std::move(master))};
  TRY(out->attester_, OwnAttester::open(settings, "threshold.attestation", parts.registry.realm(), parts.clock));
  // It is no node: its Hello says nothing, and its evidence everything.
  TRY(out->peers_,
      cluster::ChannelPeers::make(
          {.end = [source = out.get()] { return cluster::approved_end(source->end_parts()); },
           .hello = [](const base::FixedBytes<64>&) { return cluster::Hello{}; },
           .judge =
               [source = out.get()](const channel::Session& session) {
                 return cluster::ApprovedPeer::judge(
                     {.registry = source->parts_.registry, .clock = source->parts_.clock, .app = *source->said_.app},
                     session);
               },
           .patience = kOneNode,
           .quick_patience = kOneNode},
          cluster::kMostNodes, nullptr));
  return out;
}

cluster::ApprovedEndParts ThresholdSource::end_parts() const {
  return {.appraiser = parts_.appraiser,
          .attester = attester_->attester(),
          .registry = parts_.registry,
          .random = parts_.random,
          .clock = parts_.clock,
          .nodes = *said_.app};
}

ThresholdSource::EpochPtr ThresholdSource::known() const {
  const MutexLock lock(mutex_);
  return epoch_;
}

/// The epochs of this master that nodes know, those of the settings and members of the one before, in the order in
/// which to try them: what one node alone says after what several say.
Result<std::vector<ThresholdSource::EpochPtr>> ThresholdSource::look(Deadline deadline) {
  const auto before = known();
  const auto all = to_ask(said_.nodes, before.get());
  if (std::chrono::steady_clock::now() >= deadline)
    return Error{Code::deadline_exceeded, "nodes of the threshold root"};
  auto answers =
      cluster::at_once<EpochPtr>(all.size(), [&](std::size_t i) { return peers_->channel(all[i])->current(before); });
  std::vector<Heard> heard;
  std::string why;
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto& answer = answers[i];
    if (!answer) {
      why += " " + all[i].address + ": " + answer.error().text() + ";";
    } else if (!*answer) {
      why += " " + all[i].address + ": no epoch yet;";
    } else if ((*answer)->outcome.commitments().constant().encode() != master_.encoded()) {
      why += " " + all[i].address + ": another master public key;";
    } else {
      hear(heard, *std::move(answer));
    }
  }
  if (heard.empty()) {
    return Error{Code::unavailable, "the threshold root", "a node with the pinned master public key", why};
  }
  for (Heard& one : heard) one.failed = failed_lately(*one.epoch);
  std::ranges::sort(heard, std::ranges::greater{},
                    [](const Heard& one) { return std::tuple{!one.failed, one.times, one.epoch->plan.epoch}; });
  std::vector<EpochPtr> out;
  for (Heard& one : heard) out.push_back(std::move(one.epoch));
  return out;
}

bool ThresholdSource::failed_lately(const cluster::Epoch& epoch) const {
  const auto digest = epoch.outcome.digest();
  const auto now = std::chrono::steady_clock::now();
  const MutexLock lock(mutex_);
  return std::ranges::any_of(failed_, [&](const auto& one) { return one.first == digest && one.second > now; });
}

void ThresholdSource::note(const cluster::Epoch& epoch, const Error& failure) {
  if (is_refusal(failure.code)) return;
  const auto digest = epoch.outcome.digest();
  const auto now = std::chrono::steady_clock::now();
  const MutexLock lock(mutex_);
  std::erase_if(failed_, [&](const auto& one) { return one.first == digest || one.second <= now; });
  if (failed_.size() == kMostFailed) failed_.erase(failed_.begin());
  failed_.emplace_back(digest, now + kRemembered);
}

Result<crypto::Secret> ThresholdSource::derive_in(const EpochPtr& epoch, Asked& asked, Deadline deadline) {
  const auto blinding = keys::ckd::Blinding::random(parts_.random);
  const auto point = keys::ckd::hash_point(master_, asked.app_id);
  const auto digest = epoch->outcome.digest();
  std::map<std::uint32_t, Told> told;
  for (const cluster::Member& member : epoch->plan.members)
    told.emplace(member.id, Told{*peers_->channel(member), asked.said});
  const cluster::FindDeriver find = [&](const cluster::Member& member) -> cluster::Deriver* {
    return &told.at(member.id);
  };
  std::vector<std::uint32_t> prefer;
  {
    const MutexLock lock(mutex_);
    prefer = answered_;
  }
  const keys::ckd::AppPublicKey key{blinding.public_key(), std::nullopt};
  const auto failed = [&asked](const cluster::Failing& node) {
    asked.refused = asked.refused || (!asked.said.empty() && is_refusal(node.error.code));
  };
  std::optional<Error> wrong;
  for (const bool careful : {false, true}) {
    TRY(const auto derived, cluster::derive(*epoch, master_, asked.app_id, key, prefer, find,
                                            {.careful = careful, .deadline = deadline, .failed = failed}));
    auto opened = blinding.open(derived.answer, master_, point);
    if (opened) {
      const MutexLock lock(mutex_);
      answered_ = derived.participants;
      epoch_ = epoch;
      std::erase_if(failed_, [&](const auto& one) { return one.first == digest; });
      return opened;
    }
    // Somebody answered wrongly: who it was is found by proofs.
    wrong = opened.error();
  }
  return *std::move(wrong);
}

Result<crypto::Secret> ThresholdSource::try_in(const EpochPtr& epoch, Asked& asked, Deadline deadline) {
  // Of what was not tried nothing is known.
  if (std::chrono::steady_clock::now() >= deadline)
    return Error{Code::deadline_exceeded, "nodes of the threshold root"};
  auto done = derive_in(epoch, asked, deadline);
  // One account that a node does not name says nothing of the epoch.
  if (!done && !asked.refused) note(*epoch, done.error());
  return done;
}

/// With which to begin, before nodes are asked what is in force. None: with asking them.
ThresholdSource::EpochPtr ThresholdSource::begin_with() {
  EpochPtr known, heard;
  {
    const MutexLock lock(mutex_);
    known = epoch_;
    heard = std::exchange(untried_, nullptr);
  }
  if (known && !failed_lately(*known)) return known;
  return heard && !failed_lately(*heard) ? heard : nullptr;
}

Result<crypto::Secret> ThresholdSource::derive(ByteView app_id, ByteView said, Deadline deadline) {
  Asked asked{.app_id = app_id, .said = said};
  auto out = derive_anywhere(asked, deadline);
  // Nodes that are away besides are no outage for what else is asked.
  if (!out && asked.refused) out.error().code = Code::denied;
  return out;
}

Result<crypto::Secret> ThresholdSource::derive_anywhere(Asked& asked, Deadline deadline) {
  const auto tried = begin_with();
  std::optional<Error> first;
  if (tried) {
    // Members that have gone silent must not use up what is left for those after them.
    auto done = try_in(tried, asked, part_of(deadline, 2));
    if (done) return done;
    first = done.error();
  }
  // Nothing is known yet, or there may be a later epoch, with other members.
  auto heard = look(deadline);
  if (!heard) return first ? *std::move(first) : std::move(heard).error();
  if (tried) {
    std::erase_if(*heard, [&](const EpochPtr& one) { return one->outcome.digest() == tried->outcome.digest(); });
  }
  for (std::size_t i = 0; i < heard->size(); ++i) {
    const EpochPtr& epoch = (*heard)[i];
    // It would have to be right for the refusal to be wrong.
    if (first && is_refusal(first->code) && failed_lately(*epoch)) continue;
    if (std::chrono::steady_clock::now() >= deadline) {
      // Those who did not say what is in force took all the time: the next question begins with what others said.
      const MutexLock lock(mutex_);
      untried_ = epoch;
      if (!first) first = Error{Code::deadline_exceeded, "nodes of the threshold root"};
      break;
    }
    // Members that do not answer, of an epoch that is none, must not use up what is left for the next one.
    auto done = try_in(epoch, asked, part_of(deadline, heard->size() - i));
    if (done) return done;
    if (!first) first = done.error();
  }
  return *std::move(first);
}

}  // namespace attestry::app
