#include "cluster/change.h"

#include <algorithm>
#include <optional>

#include "cluster/at_once.h"
#include "crypto/hash.h"

namespace attestry::cluster {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

/// Who is in is signed by operators: nobody but they can leave out a node that is gone.
constexpr const char* kStartOrLeaveOut =
    "start the nodes that are away and say the same again, or leave them out of the plan (--remove ID; of a first "
    "epoch: no --add); nothing was changed";

Error nobody(const Member& member) {
  return Error{Code::unavailable, "node " + std::to_string(member.id), "a way to it", "none"};
}

/// `ask` of all members at the same time; answers in their order.
template <class T, class Ask>
std::vector<Result<T>> ask_all(std::span<const Member> members, Peers& peers, Ask ask) {
  return at_once<T>(members.size(), [&](std::size_t i) {
    Peer* peer = peers.find(members[i]);
    return peer == nullptr ? Result<T>{nobody(members[i])} : ask(*peer);
  });
}

/// One attempt at an epoch, from offers to its certificate.
class Attempt {
 public:
  Attempt(Plan plan, const Epoch* before, const Approval& approval, Peers& peers, const ChangeOptions& options)
      : plan_(std::move(plan)), before_(before), approval_(approval), peers_(peers), options_(options) {}

  Result<Changed> run() {
    TRY_OK(gather_offers());
    TRY_OK(plan_.check());
    TRY_OK(gather_deals());
    if (before_ == nullptr) TRY_OK(all_content());
    TRY(Epoch epoch, agree());
    options_.say("put epoch " + std::to_string(plan_.epoch) + " in force and forget the shares before it");
    std::vector<Member> told = plan_.members;
    if (before_ != nullptr) {
      for (const Member& one : before_->plan.members) {
        if (plan_.find(one.id) == nullptr) told.push_back(one);
      }
    }
    std::vector<std::uint32_t> not_told = tell(epoch, told, peers_);
    return Changed{std::move(epoch), std::move(failing_), std::move(not_told)};
  }

 private:
  std::span<const Member> dealers() const { return before_ == nullptr ? plan_.members : before_->plan.members; }
  std::size_t deals_needed() const { return before_ == nullptr ? plan_.members.size() : before_->plan.threshold; }
  void fail(std::uint32_t id, std::string step, Error error, bool guilty) {
    failing_.push_back({id, std::move(step), std::move(error), guilty});
    options_.failed(failing_.back());
  }
  /// Everybody who did not do its part, with why.
  std::string who_failed() const {
    std::string out;
    for (const Failing& one : failing_) {
      out += (out.empty() ? "node " : "; node ") + std::to_string(one.id) + " (" + one.step + "): " + one.error.what;
    }
    return out;
  }

  Status gather_offers() {
    options_.say("ask " + std::to_string(plan_.members.size()) + " members for the keys of this plan");
    auto offers =
        ask_all<Offer>(plan_.members, peers_, [&](Peer& peer) { return peer.offer(plan_.cluster, plan_.session); });
    std::string missing;
    for (std::size_t i = 0; i < offers.size(); ++i) {
      Member& member = plan_.members[i];
      Status good = offers[i].ok() ? offers[i]->check(member.signing_key) : Status{offers[i].error()};
      if (good && (offers[i]->member != member.id || offers[i]->session != plan_.session)) {
        good = Error{Code::evidence_false, "its offer", "of this node and plan", "of another"};
      }
      if (good) {
        member.box_key = offers[i]->box_key;
        member.offer = offers[i]->signature;
        continue;
      }
      missing += (missing.empty() ? "node " : "; node ") + std::to_string(member.id) + ": " + good.error().what;
      fail(member.id, "offer", good.error(), good.error().code == Code::evidence_false);
    }
    if (missing.empty()) return base::done();
    return Error{Code::unavailable, "members of epoch " + std::to_string(plan_.epoch), "all of them to begin with",
                 missing, kStartOrLeaveOut};
  }

  /// What there is of the dealers, each deal checked.
  Status gather_deals() {
    options_.say("ask " + std::to_string(dealers().size()) + " nodes to deal");
    auto answers = ask_all<Deal>(dealers(), peers_, [&](Peer& peer) { return peer.propose(plan_, approval_); });
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const Member& dealer = dealers()[i];
      if (!answers[i].ok()) {
        fail(dealer.id, "deal", answers[i].error(), false);
        continue;
      }
      std::optional<curves::bls::G2> constant;
      if (before_ != nullptr) constant = before_->outcome.commitments().at(dealer.id);
      const Status good =
          answers[i]->dealer() == dealer.id
              ? answers[i]->check(plan_, dealer.signing_key, constant)
              : Status{Error{Code::evidence_false, "node " + std::to_string(dealer.id) + ": its deal is another's"}};
      if (good) {
        deals_.push_back(*std::move(answers[i]));
      } else {
        fail(dealer.id, "deal", good.error(), true);
      }
    }
    std::ranges::sort(deals_, {}, &Deal::dealer);
    return enough_deals();
  }

  Status enough_deals() const {
    // The first time nobody may be missing but who is proved guilty: the same deals must come out at every attempt.
    const auto absent = static_cast<std::size_t>(std::ranges::count(failing_, false, &Failing::guilty));
    const bool enough =
        before_ == nullptr ? absent == 0 && deals_.size() >= plan_.threshold : deals_.size() >= deals_needed();
    if (enough) return base::done();
    return Error{outage() ? Code::unavailable : Code::denied, "deals for epoch " + std::to_string(plan_.epoch),
                 "those of " + std::to_string(deals_needed()) + " nodes",
                 std::to_string(deals_.size()) + "; missing: " + who_failed(),
                 outage() ? kStartOrLeaveOut : "see to what they refuse; nothing was changed"};
  }
  /// Whether anybody might do more than it did without being told anything else.
  bool outage() const {
    return failing_.empty() ||
           !std::ranges::all_of(failing_, [](const Failing& one) { return one.error.code == Code::denied; });
  }

  Result<Outcome> outcome() const {
    return before_ == nullptr ? Outcome::generate(plan_, deals_)
                              : Outcome::reshare(plan_, before_->plan, before_->outcome, deals_);
  }

  /// Has all members of a first epoch look at their values, until nobody complains any more: afterwards they store one
  /// outcome, and no other.
  Status all_content() {
    for (;;) {
      options_.say("have " + std::to_string(plan_.members.size()) + " members look at what was dealt");
      auto answers = ask_all<std::optional<Complaint>>(
          plan_.members, peers_, [&](Peer& peer) { return peer.check(plan_, approval_, deals_); });
      bool again = false;
      bool all = true;
      for (std::size_t i = 0; i < answers.size(); ++i) {
        const Member& member = plan_.members[i];
        if (!answers[i].ok()) {
          fail(member.id, "check", answers[i].error(), false);
          all = false;
        } else if (answers[i]->has_value()) {
          again |= hear(member, **answers[i]);
        }
      }
      if (again) {
        TRY_OK(enough_deals());
        continue;
      }
      if (all) return base::done();
      return Error{Code::unavailable, "members of the first epoch", "all of them", "without: " + who_failed(),
                   kStartOrLeaveOut};
    }
  }

  /// Has members store their shares, without the dealers that they prove guilty, until enough have.
  Result<Epoch> agree() {
    for (;;) {
      TRY(Outcome sum, outcome());
      options_.say("have " + std::to_string(plan_.members.size()) + " members check and store their shares");
      auto answers = ask_all<std::variant<Stored, Complaint>>(
          plan_.members, peers_, [&](Peer& peer) { return peer.prepare(plan_, approval_, deals_); });
      Certificate certificate;
      bool again = false;
      for (std::size_t i = 0; i < answers.size(); ++i) {
        const Member& member = plan_.members[i];
        if (!answers[i].ok()) {
          fail(member.id, "store", answers[i].error(), false);
        } else if (const auto* stored = std::get_if<Stored>(&*answers[i])) {
          const Status good = stored->member == member.id ? stored->check(plan_, sum)
                                                          : Status{Error{Code::evidence_false, "another's word"}};
          if (good) {
            certificate.stored.push_back(*stored);
          } else {
            fail(member.id, "store", good.error(), true);
          }
        } else {
          again |= hear(member, std::get<Complaint>(*answers[i]));
        }
      }
      if (again) {
        TRY_OK(enough_deals());
        continue;
      }
      TRY_OK(enough_stored(certificate));
      TRY_OK(certificate.check(plan_, sum), "nothing was changed");
      return Epoch{plan_, approval_, std::move(deals_), std::move(sum), std::move(certificate)};
    }
  }

  Status enough_stored(const Certificate& certificate) const {
    const std::size_t needed =
        before_ == nullptr ? plan_.members.size() : quorum_of(plan_.members.size(), plan_.threshold);
    if (certificate.stored.size() >= needed) return base::done();
    return Error{outage() ? Code::unavailable : Code::denied,
                 "members of epoch " + std::to_string(plan_.epoch) + " that have stored their shares",
                 std::to_string(needed), std::to_string(certificate.stored.size()) + "; without: " + who_failed(),
                 outage() ? kStartOrLeaveOut : "see to what they refuse; nothing was changed"};
  }

  /// Whether the complaint put a dealer out.
  bool hear(const Member& member, const Complaint& complaint) {
    const auto about = std::ranges::find(deals_, complaint.dealer(), &Deal::dealer);
    if (complaint.receiver() != member.id || about == deals_.end()) {
      // Two may complain about one dealer, who is out by then.
      const auto out = std::ranges::find_if(
          failing_, [&](const Failing& one) { return one.guilty && one.id == complaint.dealer(); });
      if (out == failing_.end())
        fail(member.id, "store", Error{Code::evidence_false, "a complaint about nothing"}, true);
      return out != failing_.end();
    }
    const auto fault = complaint.judge(plan_, *about);
    if (!fault.ok() || *fault == Complaint::Fault::receiver) {
      fail(member.id, "store",
           fault.ok()
               ? Error{Code::evidence_false, "node " + std::to_string(member.id) + ": it complained without reason"}
               : fault.error(),
           true);
      return false;
    }
    fail(complaint.dealer(), "deal",
         Error{Code::evidence_false, "node " + std::to_string(complaint.dealer()) + ": its value for node " +
                                         std::to_string(member.id) + " is wrong, as that one has proved"},
         true);
    deals_.erase(about);
    return true;
  }

  Plan plan_;
  const Epoch* before_;
  const Approval& approval_;
  Peers& peers_;
  const ChangeOptions& options_;
  std::vector<Deal> deals_;
  std::vector<Failing> failing_;
};

}  // namespace

Result<Changed> generate(Plan intended, const Approval& approval, Peers& peers, const ChangeOptions& options) {
  intended.epoch = 1;
  intended.previous = {};
  intended.session = intended.intent();
  return Attempt{std::move(intended), nullptr, approval, peers, options}.run();
}

Result<Changed> reshare(const Epoch& before, Plan intended, const Approval& approval, Peers& peers,
                        crypto::Random& random, const ChangeOptions& options) {
  intended.epoch = before.plan.epoch + 1;
  intended.previous = before.outcome.digest();
  intended.session = random.bytes<32>();
  // A node that joins has to know what is dealt before it can check it.
  std::vector<Member> joining;
  for (const Member& one : intended.members) {
    if (before.plan.find(one.id) == nullptr) joining.push_back(one);
  }
  static_cast<void>(tell(before, joining, peers));
  return Attempt{std::move(intended), &before, approval, peers, options}.run();
}

std::vector<std::uint32_t> tell(const Epoch& epoch, std::span<const Member> members, Peers& peers) {
  const auto answers = ask_all<base::Done>(members, peers, [&](Peer& peer) { return peer.activate(epoch); });
  std::vector<std::uint32_t> out;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].ok()) out.push_back(members[i].id);
  }
  return out;
}

}  // namespace attestry::cluster
