#include "app/threshold_source.h"

#include <algorithm>
#include <map>
#include <thread>

namespace attestry::app {

using base::ByteView;
using base::Code;
using base::Deadline;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

namespace {

/// For one node that does not answer; others are asked for what it did not give.
constexpr std::chrono::milliseconds kOneNode{1'500};

/// A node that is not asked any more once time is over.
class Hurried final : public cluster::Deriver {
 public:
  Hurried(cluster::Deriver* node, Deadline deadline) : node_(node), deadline_(deadline) {}
  Result<keys::ckd::Ciphertext> derive(const cluster::Node::Request& request) override {
    TRY_OK(time_left());
    return node_->derive(request);
  }
  Result<keys::ckd::ShareProof> prove(const cluster::Node::Request& request) override {
    TRY_OK(time_left());
    return node_->prove(request);
  }

 private:
  Status time_left() const {
    if (std::chrono::steady_clock::now() < deadline_) return base::done();
    return Error{Code::deadline_exceeded, "no time is left to ask it"};
  }
  cluster::Deriver* const node_;
  const Deadline deadline_;
};

}  // namespace

Result<std::unique_ptr<ThresholdSource>> ThresholdSource::open(const Settings& settings, const ThresholdSettings& said,
                                                               ThresholdSourceParts parts) {
  TRY(auto master, keys::ckd::MasterPublicKey::decode(*said.encoded), "threshold.master_public_key");
  std::unique_ptr<ThresholdSource> out{new ThresholdSource(said, parts, std::move(master))};
  TRY(out->attester_, OwnAttester::open(settings, "threshold.attestation", parts.registry.realm(), parts.clock));
  // It is no node: its Hello says nothing, and its evidence everything.
  TRY(out->peers_, cluster::ChannelPeers::make({.end = [source = out.get()] { return source->end(); },
                                                .hello = [](const base::FixedBytes<64>&) { return cluster::Hello{}; },
                                                .patience = kOneNode,
                                                .quick_patience = kOneNode},
                                               cluster::kMostNodes, nullptr));
  return out;
}

Result<governance::AppPolicy> ThresholdSource::policy() const {
  TRY(auto policy, parts_.registry.policy_of(base::Tenant::standard(), *said_.app, parts_.clock.now()),
      "app " + said_.app->text());
  if (policy.policy().rules().require_identity) return policy;
  return Error{Code::denied, "the approvals for " + said_.app->text() + " do not say which software it is",
               "an approved identity", "none", "attestry approve identity " + said_.app->text() + " FILE"};
}

Result<channel::End> ThresholdSource::end() const {
  TRY([[maybe_unused]] const auto approved, policy());
  channel::End out;
  out.audience = "node:" + said_.app->text();
  out.realm = parts_.registry.realm();
  out.clock = &parts_.clock;
  out.random = &parts_.random;
  out.attest = [&attester = attester_->attester()](const base::FixedBytes<64>& data) { return attester.attest(data); };
  out.verify = [this](const attestation::Evidence& evidence, const base::FixedBytes<64>& report_data,
                      Deadline deadline) -> Result<attestation::VerifiedReport> {
    TRY(const auto app, policy());
    const auto now = parts_.clock.now();
    TRY(auto verdict, parts_.appraiser.verify(evidence, now, now, deadline));
    return attestation::appraise_report_data(app.policy(), verdict, report_data, {.lists = app.lists()});
  };
  return out;
}

ThresholdSource::EpochPtr ThresholdSource::known() const {
  const MutexLock lock(mutex_);
  return epoch_;
}

/// The latest epoch of this master that one of the nodes knows: those of the settings, and members of the last one.
Result<ThresholdSource::EpochPtr> ThresholdSource::look(Deadline deadline) {
  std::vector<cluster::Member> all;
  for (const std::string& address : said_.nodes) all.push_back({cluster::kMostNodes, {}, {}, {}, address});
  if (const auto before = known()) {
    for (const auto& member : before->plan.members) all.push_back(member);
  }
  std::vector<std::optional<Result<std::optional<cluster::Epoch>>>> answers(all.size());
  if (std::chrono::steady_clock::now() >= deadline)
    return Error{Code::deadline_exceeded, "nodes of the threshold root"};
  {
    std::vector<std::jthread> threads;
    threads.reserve(all.size());
    for (std::size_t i = 0; i < all.size(); ++i)
      threads.emplace_back([&, i] { answers[i].emplace(peers_->channel(all[i])->current()); });
  }
  EpochPtr best;
  std::string why;
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto& answer = *answers[i];
    if (!answer) {
      why += " " + all[i].address + ": " + answer.error().text() + ";";
    } else if (!*answer) {
      why += " " + all[i].address + ": no epoch yet;";
    } else if ((*answer)->outcome.commitments().constant().encode() != master_.encoded()) {
      why += " " + all[i].address + ": another master public key;";
    } else if (!best || best->plan.epoch < (*answer)->plan.epoch) {
      best = std::make_shared<const cluster::Epoch>(**std::move(answer));
    }
  }
  if (!best) return Error{Code::unavailable, "the threshold root", "a node with the pinned master public key", why};
  const MutexLock lock(mutex_);
  epoch_ = best;
  return best;
}

Result<crypto::Secret> ThresholdSource::derive_in(const cluster::Epoch& epoch, ByteView app_id, Deadline deadline) {
  const auto blinding = keys::ckd::Blinding::random(parts_.random);
  const auto point = keys::ckd::hash_point(master_, app_id);
  base::Mutex found_mutex;
  std::map<std::uint32_t, Hurried> found;
  const cluster::FindDeriver find = [&](const cluster::Member& member) -> cluster::Deriver* {
    const MutexLock lock(found_mutex);
    return &found.try_emplace(member.id, peers_->channel(member), deadline).first->second;
  };
  std::vector<std::uint32_t> prefer;
  {
    const MutexLock lock(mutex_);
    prefer = answered_;
  }
  const keys::ckd::AppPublicKey key{blinding.public_key(), std::nullopt};
  for (const bool careful : {false, true}) {
    TRY(const auto derived,
        cluster::derive(epoch, master_, app_id, key, prefer, find, {.careful = careful, .deadline = deadline}));
    auto opened = blinding.open(derived.answer, master_, point);
    // Somebody answered wrongly: who it was is found by proofs.
    if (!opened && !careful) continue;
    const MutexLock lock(mutex_);
    answered_ = derived.participants;
    return opened;
  }
  return Error{Code::internal, "derivation"};
}

Result<crypto::Secret> ThresholdSource::derive(ByteView app_id, Deadline deadline) {
  auto epoch = known();
  std::optional<Error> first;
  if (epoch) {
    auto done = derive_in(*epoch, app_id, deadline);
    if (done) return done;
    first = done.error();
  }
  // Nothing is known yet, or there may be a later epoch, with other members.
  const auto before = epoch;
  auto latest = look(deadline);
  if (!latest) return first ? std::move(*first) : std::move(latest).error();
  if (first && before->outcome.digest() == (*latest)->outcome.digest()) return std::move(*first);
  return derive_in(**latest, app_id, deadline);
}

}  // namespace attestry::app
