#include "cluster/node_server.h"

#include <algorithm>

#include "base/log.h"
#include "channel/pieces.h"

namespace attestry::cluster {

using base::ByteView;
using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMostCandidates = 2 * kMostNodes;
/// For the next question of a caller that has its answer: longer than a caller keeps a session that it does not use.
constexpr std::chrono::seconds kQuestionPatience{400};
constexpr std::chrono::seconds kAnswerPatience{10};
constexpr std::chrono::seconds kLookAgain{1};

std::chrono::steady_clock::time_point steady() { return std::chrono::steady_clock::now(); }

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

template <class T>
Answer answer_from(Result<T> result) {
  if (!result.ok()) return Answer{std::in_place_type<Error>, std::move(result).error()};
  return Answer{*std::move(result)};
}

/// What a server may derive for itself: roots of apps and masters of dialects (FORMATS 5), never what an account of
/// NEAR has, whose app_id is a digest.
bool is_servers_own(ByteView app_id) {
  base::Reader reader{app_id};
  const auto label = reader.lp("label", 64);
  if (!label) return false;
  return base::as_text(*label) == "app-root" || base::as_text(*label) == "legacy";
}

}  // namespace

struct NodeServer::Guest {
  const channel::Session& session;
  std::optional<Hello::Who> node;  ///< nothing for a server
  std::chrono::steady_clock::time_point looked{};
};

Result<governance::AppPolicy> NodeServer::policy(const base::AppRef& app) const {
  TRY(auto policy, parts_.registry.policy_of(parts_.tenant, app, parts_.clock.now()), "app " + app.text());
  if (policy.policy().rules().require_identity) return policy;
  return Error{Code::denied, "the approvals for " + app.text() + " do not say which software it is",
               "an approved identity", "none", "attestry approve identity " + app.text() + " FILE"};
}

Result<channel::End> NodeServer::end() const {
  TRY([[maybe_unused]] const auto approved, policy(parts_.nodes));
  channel::End out;
  out.audience = "node:" + parts_.nodes.text();
  out.realm = parts_.registry.realm();
  out.clock = &parts_.clock;
  out.random = &parts_.random;
  out.attest = [&attester = parts_.attester](const base::FixedBytes<64>& data) { return attester.attest(data); };
  out.verify = [this](const attestation::Evidence& evidence, const base::FixedBytes<64>& report_data,
                      base::Deadline deadline) -> Result<attestation::VerifiedReport> {
    TRY(const auto app, policy(parts_.nodes));
    const auto now = parts_.clock.now();
    TRY(auto verdict, parts_.appraiser.verify(evidence, now, now, deadline));
    return attestation::appraise_report_data(app.policy(), verdict, report_data, {.lists = app.lists()});
  };
  return out;
}

Result<channel::End> NodeServer::listening_end() const {
  TRY(auto out, end());
  if (!parts_.servers) return out;
  out.verify = [this, as_node = std::move(out.verify)](const attestation::Evidence& evidence,
                                                       const base::FixedBytes<64>& report_data,
                                                       base::Deadline deadline) -> Result<attestation::VerifiedReport> {
    auto node = as_node(evidence, report_data, deadline);
    if (node || node.error().code != Code::denied) return node;
    TRY(const auto app, policy(*parts_.servers));
    const auto now = parts_.clock.now();
    TRY(auto verdict, parts_.appraiser.verify(evidence, now, now, deadline));
    return attestation::appraise_report_data(app.policy(), verdict, report_data, {.lists = app.lists()});
  };
  return out;
}

Status NodeServer::still_allowed(const channel::Session& session, Guest& guest) const {
  // A share of a derivation is a matter of microseconds: the approvals are read once a second.
  if (steady() < guest.looked + kLookAgain) return base::done();
  TRY(const auto app, policy(guest.node ? parts_.nodes : *parts_.servers));
  if (app.policy().sha256() != session.peer().policy_sha256()) {
    return Error{Code::unavailable, "the approvals have changed: show your evidence anew"};
  }
  const auto& until = session.peer().verdict().valid_until;
  if (!until || *until <= parts_.clock.now()) {
    return Error{Code::unavailable, "the attestation is no longer valid: show it anew"};
  }
  guest.looked = steady();
  return base::done();
}

Status NodeServer::serve_all(channel::Session& session, base::Deadline deadline) {
  const auto soon = std::min(deadline, steady() + kAnswerPatience);
  TRY(const auto bytes, session.receive(soon));
  TRY(const Hello hello, Hello::parse(bytes.reveal()));
  TRY_OK(hello.check(session.peer_report_data()));
  Guest guest{.session = session, .node = hello.node};
  if (!guest.node && !parts_.servers) {
    return Error{Code::denied, "a server that calls a node", "node.servers names who may", "it is empty"};
  }
  // Whoever calls itself a node must be one by the nodes' policy, and a server by the servers'.
  TRY_OK(still_allowed(session, guest));
  TRY_OK(session.send(parts_.hello(session.own_report_data()).bytes(), soon));
  while (true) {
    auto data = channel::receive_pieces(session, kMostMessage, std::min(deadline, steady() + kQuestionPatience));
    if (!data) return base::done();  // it has gone, or calls anew
    TRY_OK(still_allowed(session, guest));
    auto question = parse_question(data->reveal());
    const auto until = std::min(deadline, steady() + kAnswerPatience);
    const Answer said =
        question ? answer(*question, &guest, until) : Answer{std::in_place_type<Error>, std::move(question).error()};
    TRY_OK(channel::send_pieces(session, encode(said), until));
  }
}

void NodeServer::serve(channel::Session session, base::Deadline deadline) {
  const auto done = serve_all(session, deadline);
  if (done) return;
  base::log(base::LogLevel::warning, "a node or server that called gets no answer", {{"reason", done.error().text()}});
  session.refuse(done.error(), deadline);
}

void NodeServer::meet(const Hello::Who& who, const std::string& address) {
  const MutexLock lock{mutex_};
  std::erase_if(candidates_, [&](const Member& one) { return one.signing_key == who.signing_key; });
  if (candidates_.size() == kMostCandidates) candidates_.erase(candidates_.begin());
  candidates_.push_back({who.id, who.signing_key, {}, {}, address});
}

std::vector<Member> NodeServer::candidates() const {
  const MutexLock lock{mutex_};
  return candidates_;
}

/// The request, once whoever asks may have its answer.
Result<Node::Request> NodeServer::allowed(const Node::Request& request, const base::Bytes& application,
                                          const Guest* guest, base::Deadline deadline) {
  const bool is_server = guest != nullptr && !guest->node;
  if (is_server != application.empty()) {
    return Error{Code::denied, "a derivation", is_server ? "a server's own" : "a workload's request",
                 is_server ? "a workload's request" : "none"};
  }
  if (is_server) {
    if (!is_servers_own(request.app_id)) {
      return Error{Code::denied, "app_id of a server's derivation", "an app-root or a legacy master", "another"};
    }
    TRY_OK(parts_.authoriser.note_server(request, guest->session.peer(), deadline));
    return request;
  }
  TRY(const auto app, parts_.authoriser.authorise(application, deadline));
  // A coordinator cannot have another app's key derived, or one that another application can open.
  if (!base::equal(app.app_id, request.app_id) || app.app_key != request.app_key) {
    return Error{Code::denied, "a derivation", "the app and the key that the workload's evidence is for", "others"};
  }
  return request;
}

Answer NodeServer::answer(const Question& question, const Guest* guest, base::Deadline deadline) {
  Node& node = parts_.node;
  const bool is_server = guest != nullptr && !guest->node;
  const bool for_servers = std::holds_alternative<ask::Current>(question) ||
                           std::holds_alternative<ask::Derive>(question) ||
                           std::holds_alternative<ask::Prove>(question);
  if (is_server && !for_servers) {
    return Answer{std::in_place_type<Error>, Error{Code::denied, "this question", "a node", "a server"}};
  }
  const auto epoch_in_force = [&]() -> Answer {
    const auto now = node.current();
    return now == nullptr ? Answer{answer::Nothing{}} : Answer{*now};
  };
  return std::visit(Overloaded{[&](const ask::Offer& q) { return answer_from(node.offer(q.cluster, q.session)); },
                               [&](const ask::Propose& q) -> Answer {
                                 const auto known = guest == nullptr ? base::done() : parts_.vouch(q.plan);
                                 if (!known) return Answer{std::in_place_type<Error>, known.error()};
                                 return answer_from(node.propose(q.plan, q.approval));
                               },
                               [&](const ask::Check& q) -> Answer {
                                 auto result = node.check(q.plan, q.approval, q.deals);
                                 if (!result.ok()) return Answer{std::in_place_type<Error>, std::move(result).error()};
                                 return result->has_value() ? Answer{**std::move(result)} : Answer{answer::Nothing{}};
                               },
                               [&](const ask::Prepare& q) -> Answer {
                                 auto result = node.prepare(q.plan, q.approval, q.deals);
                                 if (!result.ok()) return Answer{std::in_place_type<Error>, std::move(result).error()};
                                 return std::visit([](auto&& one) { return Answer{std::forward<decltype(one)>(one)}; },
                                                   *std::move(result));
                               },
                               [&](const ask::Activate& q) -> Answer {
                                 const auto done = node.activate(q.epoch);
                                 return done ? Answer{answer::Nothing{}}
                                             : Answer{std::in_place_type<Error>, done.error()};
                               },
                               [&](const ask::Current&) { return epoch_in_force(); },
                               [&](const ask::Join& q) {
                                 if (guest != nullptr) meet(*guest->node, q.address);
                                 return epoch_in_force();
                               },
                               [&](const ask::Challenge&) { return answer_from(parts_.authoriser.challenge()); },
                               [&](const ask::Derive& q) -> Answer {
                                 const auto request = allowed(q.request, q.application, guest, deadline);
                                 if (!request) return Answer{std::in_place_type<Error>, request.error()};
                                 return answer_from(node.derive(*request));
                               },
                               [&](const ask::Prove& q) -> Answer {
                                 const auto request = allowed(q.request, q.application, guest, deadline);
                                 if (!request) return Answer{std::in_place_type<Error>, request.error()};
                                 return answer_from(node.prove(*request));
                               }},
                    question);
}

}  // namespace attestry::cluster
