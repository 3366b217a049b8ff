#include "provision/keystore_standby.h"

#include <algorithm>
#include <future>
#include <utility>
#include <vector>

#include "base/encoding.h"
#include "base/log.h"
#include "channel/pieces.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using secrets::ReplicaAnswer;
using secrets::ReplicaQuestion;
using secrets::ReplicaRole;

namespace {

constexpr std::size_t kSaltBytes = 32;
/// For an answer beyond what the other end waits for a change: a whole copy over a slow line.
constexpr std::chrono::seconds kAnswerPatience{30};
/// For the next question of a caller that has its answer.
constexpr std::chrono::seconds kQuestionPatience{60};

constexpr std::chrono::seconds kRenewAgain{10};

std::chrono::steady_clock::time_point steady() { return std::chrono::steady_clock::now(); }

}  // namespace

/// What operators have approved by now. A policy that names no software lets in everything genuine: not here.
Result<governance::AppPolicy> KeystoreStandby::policy() const {
  TRY(auto policy, parts_.registry.policy_of(parts_.tenant, parts_.app, parts_.clock.now()),
      "app " + parts_.app.text() + " of the keystore's servers");
  if (policy.policy().rules().require_identity) return policy;
  return Error{Code::denied,
               "the approvals for " + parts_.app.text() + " do not say which software serves the keystore",
               "an approved identity", "none", "attestry approve identity " + parts_.app.text() + " FILE"};
}

Result<channel::End> KeystoreStandby::end() const {
  TRY([[maybe_unused]] const auto approved, policy());
  channel::End out;
  out.audience = "keystore:" + parts_.app.text();
  out.realm = parts_.store.realm();
  out.clock = &parts_.clock;
  out.random = &parts_.random;
  out.attest = [&attester = parts_.attester](const base::FixedBytes<64>& data) { return attester.attest(data); };
  out.verify = [this](const attestation::Evidence& evidence, const base::FixedBytes<64>& report_data,
                      base::Deadline deadline) -> Result<attestation::VerifiedReport> {
    TRY(const auto app, policy());
    const auto now = parts_.clock.now();
    TRY(auto verdict, parts_.appraiser.verify(evidence, now, now, deadline));
    return attestation::appraise_report_data(app.policy(), verdict, report_data, {.lists = app.lists()});
  };
  return out;
}

/// The leaf, and with it the right to send masters: in one transaction with a look whether the approvals still stand.
Status KeystoreStandby::log(const channel::Session& session, const Guest& guest, base::Deadline deadline) const {
  TRY_OK(parts_.store.clock_usable());
  const auto& state = guest.state;
  const auto salt = parts_.random.secret(kSaltBytes);
  audit::Leaf leaf;
  leaf.type = "keystore.standby";
  leaf.realm = parts_.store.realm();
  leaf.audience = parts_.log.origin();
  leaf.tenant = parts_.tenant;
  leaf.app = parts_.app.text();
  leaf.time = parts_.store.now();
  leaf.epoch = parts_.fence.state().term;
  leaf.binding = base::hex(session.peer_report_data());
  leaf.policy = base::hex(session.peer().policy_sha256());
  const std::string snapshot =
      parts_.tenant.text() + "/" + parts_.app.text() + "#" + std::to_string(state.version) + "@" + state.prev;
  leaf.governance = audit::commitment(salt, "governance", base::as_bytes(snapshot));
  TRY_OK(parts_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY_OK(governance::Registry::require_version(txn, parts_.tenant, parts_.app, state.version, state.references));
        TRY([[maybe_unused]] const auto index, parts_.log.append(txn, leaf));
        return base::done();
      },
      deadline));
  base::log(base::LogLevel::info, "a standby gets what this keystore has",
            {{"binding", leaf.binding}, {"policy", leaf.policy}});
  return base::done();
}

Status KeystoreStandby::still_allowed(const channel::Session& session, const Guest& guest) const {
  TRY(const auto app, policy());
  const auto& now = app.state();
  if (now.version != guest.state.version || now.references != guest.state.references ||
      app.policy().sha256() != session.peer().policy_sha256()) {
    return Error{Code::unavailable, "the approvals have changed: show your evidence anew"};
  }
  const auto& until = session.peer().verdict().valid_until;
  if (until && *until > parts_.clock.now()) return base::done();
  return Error{Code::unavailable, "the attestation is no longer valid: show it anew"};
}

Status KeystoreStandby::answer(channel::Session& session, const ReplicaQuestion& question, Guest& guest,
                               base::Deadline deadline) const {
  TRY_OK(still_allowed(session, guest));
  TRY(const bool gives, parts_.fence.heard(question.claim, deadline));
  ReplicaAnswer out;
  if (gives) {
    parts_.feed.acknowledge(question.position);
    // Whoever hands over answers at once, and so does who has not been asked with a stamp of his own yet.
    if (!question.claim.handover && question.claim.stamp != 0 && !question.copying) {
      parts_.feed.wait_beyond(question.position, std::min(deadline, steady() + parts_.poll));
    }
    const auto changes = parts_.feed.since(question.position);
    if (changes.whole || question.copying || changes.until != question.position) {
      if (!guest.logged) {
        TRY_OK(log(session, guest, deadline));
        guest.logged = true;
      }
      TRY(out.batch, parts_.copy.collect(question.position, question.copying), "changes for the standby");
    }
  }
  out.reply = parts_.fence.reply();
  const crypto::Secret bytes = secrets::encode(out);
  return channel::send_pieces(session, bytes.reveal(), deadline);
}

Status KeystoreStandby::serve_all(channel::Session& session, base::Deadline deadline) const {
  TRY(const auto app, policy());
  Guest guest{.state = app.state(), .logged = false};
  while (true) {
    auto data = session.receive(std::min(deadline, steady() + kQuestionPatience));
    if (!data) return base::done();  // it has gone, or calls anew
    TRY(const auto question, secrets::parse_replica_question(data->reveal()));
    TRY_OK(answer(session, question, guest, deadline));
  }
}

void KeystoreStandby::serve(channel::Session session, base::Deadline deadline) const {
  const auto done = serve_all(session, deadline);
  if (done) return;
  base::log(base::LogLevel::warning, "a keystore that called gets no answer", {{"reason", done.error().text()}});
  session.refuse(done.error(), deadline);
}

/// One question and what comes of its answer. Whether there is more to ask.
Result<bool> KeystoreStandby::ask(channel::Session& session, std::optional<secrets::ReplicaCursor>& copying,
                                  base::Deadline deadline) const {
  const ReplicaQuestion question{
      .claim = parts_.fence.claim(), .position = parts_.fence.state().position, .copying = copying};
  TRY_OK(session.send(secrets::encode(question), deadline));
  TRY(const auto data,
      channel::receive_pieces(session, secrets::kMostReplicaAnswer, steady() + parts_.poll + kAnswerPatience));
  TRY(auto answer, secrets::parse_replica_answer(data.reveal()), "answer of the other keystore");
  TRY(const bool follows, parts_.fence.answered(question.claim, answer.reply, deadline));
  if (!follows) return false;
  if (answer.batch)
    TRY_OK(parts_.copy.apply(*std::move(answer.batch), copying, steady() + kAnswerPatience), "copy of a keystore");
  if (question.claim.handover && answer.reply.role == ReplicaRole::stood_down && !copying) parts_.fence.handed_over();
  return true;
}

Result<bool> KeystoreStandby::call(const std::string& peer, const std::function<bool()>& go_on,
                                   std::shared_ptr<net::PeerStop> stop, base::Deadline renew,
                                   base::Deadline deadline) const {
  TRY(auto own, end());
  own.stop = std::move(stop);
  TRY(auto session, channel::Session::connect(peer, own, std::min(deadline, steady() + kQuestionPatience)),
      "channel to " + peer);
  const auto session_time = renew - steady();
  std::optional<secrets::ReplicaCursor> copying;  // without an end the next call begins anew
  std::future<Result<channel::Session>> next;     // waits in its destructor, which own.stop cuts short
  while (go_on() && steady() < deadline) {
    TRY(const bool more, ask(session, copying, deadline), "channel to " + peer);
    if (!more) return true;
    if (!next.valid() && steady() >= renew) {
      next = std::async(std::launch::async,
                        [&] { return channel::Session::connect(peer, own, steady() + kQuestionPatience); });
    }
    if (!next.valid() || next.wait_for(std::chrono::seconds(0)) != std::future_status::ready) continue;
    auto opened = next.get();
    if (!opened) {
      base::log(base::LogLevel::warning, "the next session with the other keystore does not begin",
                {{"peer", peer}, {"reason", opened.error().text()}});
      renew = steady() + kRenewAgain;
      continue;
    }
    session = *std::move(opened);
    renew = steady() + session_time;
    deadline += session_time;
  }
  return false;
}

}  // namespace attestry::provision
