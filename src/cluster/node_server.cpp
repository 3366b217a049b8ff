#include "cluster/node_server.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"
#include "channel/pieces.h"
#include "keys/derivation.h"

namespace attestry::cluster {

using base::ByteView;
using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMostCandidates = 2 * kMostNodes;
/// For a caller to say who it is.
constexpr std::chrono::seconds kHelloPatience{3};
constexpr std::chrono::seconds kAnswerPatience{10};
/// For the rest of a message whose first piece is there.
constexpr std::chrono::seconds kMessagePatience{30};

/// Bytes of a question: one without plan or request; of a server's, and of a workload's, derivation; and with a plan,
/// of a node that is no member (members: kMostMessage).
constexpr std::size_t kMostShort = 512;
constexpr std::size_t kMostServersDerivation = 32 * 1024;
constexpr std::size_t kMostDerivation = kMostApplication + 32 * 1024;
constexpr std::size_t kMostOfStranger = 2u << 20;

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

}  // namespace

struct NodeServer::Guest {
  std::optional<Hello::Who> node;          ///< nothing for a server
  std::optional<ApprovedPeer> approved{};  ///< by the policy of what it says it is
};

Result<channel::End> NodeServer::end_for(std::optional<base::AppRef> servers) const {
  return approved_end({.appraiser = parts_.appraiser,
                       .attester = parts_.attester,
                       .registry = parts_.registry,
                       .random = parts_.random,
                       .clock = parts_.clock,
                       .tenant = parts_.tenant,
                       .nodes = parts_.nodes,
                       .servers = std::move(servers)});
}

Result<channel::End> NodeServer::end() const { return end_for(std::nullopt); }

Result<channel::End> NodeServer::listening_end() const { return end_for(parts_.servers); }

Result<ApprovedPeer> NodeServer::judge(const channel::Session& session) const {
  return ApprovedPeer::judge({parts_.registry, parts_.clock, parts_.tenant, parts_.nodes}, session);
}

/// By who asks and for what, before anything is parsed or kept.
Result<channel::Limit> NodeServer::limit(const Guest& guest, ByteView first, base::Deadline deadline,
                                         LargeMessages::Permit& large) {
  const char kind = first.empty() ? '\0' : static_cast<char>(first[0]);
  const auto until = std::min(deadline, steady() + kMessagePatience);
  if (!guest.node && std::string_view{"edv"}.find(kind) == std::string_view::npos) {
    return Error{Code::denied, "this question", "a node", "a server"};
  }
  if (kind == 'd' || kind == 'v') {
    return channel::Limit{.most = guest.node ? kMostDerivation : kMostServersDerivation, .until = until};
  }
  if (std::string_view{"pcsa"}.find(kind) == std::string_view::npos) {
    return channel::Limit{.most = kMostShort, .until = until};
  }
  const bool member = is_member(guest);
  return channel::Limit{.most = member ? kMostMessage : kMostOfStranger,
                        .until = std::min(deadline, until + parts_.large_patience),
                        .free = LargeMessages::kLarge,
                        .beyond = [this, &guest, &large, member] { return wait_for_turn(*guest.node, member, large); }};
}

Status NodeServer::wait_for_turn(const Hello::Who& sender, bool member, LargeMessages::Permit& large) {
  TRY(large, large_.wait(sender.signing_key, member, steady() + parts_.large_patience));
  return base::done();
}

/// Of the epoch in force.
bool NodeServer::is_member(const Guest& guest) const {
  const auto now = parts_.node.current();
  const Member* one = now != nullptr && guest.node ? now->plan.find(guest.node->id) : nullptr;
  return one != nullptr && one->signing_key == guest.node->signing_key;
}

/// A server has no key that is its own in the next session, too.
channel::Guest NodeServer::as_guest(const Guest& guest, const std::string& address) const {
  if (!guest.node) return {.name = "server at " + address, .most = kServersAtOneAddress};
  return {.name = "node " + base::hex(guest.node->signing_key), .favoured = is_member(guest)};
}

Status NodeServer::serve_all(channel::Session& session, base::Deadline deadline, channel::Seat& seat) {
  const auto soon = std::min(deadline, steady() + kHelloPatience);
  TRY(const auto bytes, session.receive(soon));
  TRY(const Hello hello, Hello::parse(bytes.reveal()));
  TRY_OK(hello.check(session.peer_report_data()));
  Guest guest{.node = hello.node};
  if (!guest.node && !parts_.servers) {
    return Error{Code::denied, "a server that calls a node", "node.servers names who may", "it is empty"};
  }
  // Whoever calls itself a node must be one by the nodes' policy, and a server by the servers', whichever let it in.
  const base::AppRef& app = guest.node ? parts_.nodes : *parts_.servers;
  TRY(auto judged, ApprovedPeer::judge({parts_.registry, parts_.clock, parts_.tenant, app}, session));
  guest.approved.emplace(std::move(judged));
  TRY_OK(seat.take(as_guest(guest, seat.address())));
  TRY_OK(session.send(parts_.hello(session.own_report_data()).bytes(), soon));
  const PlanCheck approved = [&](const Plan& plan, const Approval& approval) {
    return parts_.node.approved(plan, approval);
  };
  while (true) {
    Status may = base::done();
    LargeMessages::Permit large;
    const auto idle = is_member(guest) ? parts_.members_idle : parts_.others_idle;
    auto data = channel::receive_pieces(
        session,
        [&](ByteView first) -> Result<channel::Limit> {
          may = guest.approved->unchanged();
          if (!may) return may.error();
          auto most = limit(guest, first, deadline, large);
          if (!most) may = most.error();
          if (most && most->beyond) {
            most->beyond = [&may, turn = std::move(most->beyond)] { return may = turn(); };
          }
          return most;
        },
        std::min(deadline, steady() + idle));
    TRY_OK(may);
    if (!data) return base::done();  // it has gone, or calls anew
    auto question = parse_question(data->reveal(), approved);
    const auto until = std::min(deadline, steady() + kAnswerPatience);
    Answer said =
        question ? answer(*question, &guest, until) : Answer{std::in_place_type<Error>, std::move(question).error()};
    if (question && parts_.instead_of) said = parts_.instead_of(std::move(said), *question);
    TRY_OK(channel::send_pieces(session, encode(said), until));
  }
}

void NodeServer::serve(channel::Session session, base::Deadline deadline, channel::Seat& seat) {
  const auto done = serve_all(session, deadline, seat);
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

namespace {

Error not_a_servers(std::string expected, std::string found, std::string remedy = {}) {
  return Error{Code::denied, "app_id of a server's derivation", std::move(expected), std::move(found),
               std::move(remedy)};
}

/// LP("app-root") has been read. Whatever is no such app_id is `malformed`, in any of its parts.
Result<std::pair<base::AppRef, Authoriser::ServersKey>> read_app_root(base::Reader& reader, base::Realm own) {
  Authoriser::ServersKey out;
  TRY(const ByteView realm, reader.lp("realm", 64));
  if (base::as_text(realm) != base::to_text(own)) {
    return not_a_servers("of realm " + std::string{base::to_text(own)}, "another realm");
  }
  TRY(const ByteView tenant, reader.lp("tenant", 256));
  TRY(out.tenant, base::Tenant::parse(base::as_text(tenant)));
  TRY(const ByteView bytes, reader.lp("app", 1024));
  TRY(auto app, base::AppRef::from_bytes(bytes));
  TRY(out.epoch, reader.u32be("epoch"));
  TRY_OK(reader.finish("app_id"));
  out.app = app.text();
  return std::pair{std::move(app), std::move(out)};
}

}  // namespace

/// What a server may derive for itself: the root of an app that is known here, of an epoch that is still given out, and
/// masters of the dialects in the settings (FORMATS 5); what an account of NEAR has account_key() gives.
Result<Authoriser::ServersKey> NodeServer::servers_key(ByteView app_id) const {
  base::Reader reader{app_id};
  const auto label = reader.lp("label", 64);
  if (label && base::as_text(*label) == "legacy") {
    TRY(const ByteView bytes, reader.lp("dialect", 64));
    TRY_OK(reader.finish("app_id"));
    Authoriser::ServersKey out{.dialect = std::string{base::as_text(bytes)}};
    const bool named = std::ranges::find(parts_.dialects, out.dialect) != parts_.dialects.end();
    if (named || out.dialect == keys::kProbeDialect) return out;
    return not_a_servers("a dialect that node.server_dialects names", "another",
                         "add it at this node, if servers are to have that dialect's master");
  }
  if (!label || base::as_text(*label) != "app-root") {
    return not_a_servers("an app-root or a legacy master", "another");
  }
  TRY(auto root, read_app_root(reader, parts_.registry.realm()));
  auto& [app, out] = root;
  const auto state = parts_.registry.app(out.tenant, app);
  if (!state && state.error().code != Code::not_found) return state.error();
  if (!state) {
    return not_a_servers("an app that is known here", app.text(),
                         "attestry app create " + app.text() + " at this node");
  }
  if (out.epoch < state->oldest_epoch || out.epoch > state->epoch) {
    return not_a_servers("epoch " + std::to_string(state->oldest_epoch) + " to " + std::to_string(state->epoch),
                         std::to_string(out.epoch));
  }
  return std::move(out);
}

namespace {

/// What a keystore asks for a vault's master with (keystore_ckd.md 7.3): the hex of an HMAC.
bool is_vaults_path(std::string_view path) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return path.size() == 64 && path.find_first_not_of(kDigits) == std::string_view::npos;
}

}  // namespace

/// What a server may have as a NEAR account would have it of NEAR's network: its app_id is a digest of what is `said`.
Result<Authoriser::ServersKey> NodeServer::account_key(ByteView app_id, ByteView said) const {
  TRY(const auto whose, keys::ckd::AccountPath::parse(said));
  TRY(const auto app, base::AppRef::parse("near:" + whose.account));
  if (!base::equal(whose.app_id(), app_id))
    return not_a_servers("that of the account and path that are said", "another");
  const auto names = [&](std::string_view listed) {
    return listed.starts_with("*.") ? whose.account.ends_with(listed.substr(1)) : whose.account == listed;
  };
  if (std::ranges::none_of(parts_.accounts, names)) {
    return not_a_servers("an account that node.near_accounts names", whose.account,
                         "add it at this node, if servers are to have its keys");
  }
  // The empty path is a DAO's, and what a workload of any account has unless it says another: only where the account
  // itself is listed.
  const bool by_name = std::ranges::find(parts_.accounts, whose.account) != parts_.accounts.end();
  if (!is_vaults_path(whose.path) && !(by_name && whose.path.empty())) {
    return not_a_servers(by_name ? "an empty path, or 64 lower-case hex digits" : "64 lower-case hex digits",
                         "another path");
  }
  return Authoriser::ServersKey{.app = app.text()};
}

/// The request, once whoever asks may have its answer.
Result<Node::Request> NodeServer::allowed(const Node::Request& request, const base::Bytes& application,
                                          const Guest* guest, base::Deadline deadline) {
  const bool is_server = guest != nullptr && !guest->node;
  if (!is_server && application.empty()) return Error{Code::denied, "a derivation", "a workload's request", "none"};
  if (is_server) {
    TRY(const auto key, application.empty() ? servers_key(request.app_id) : account_key(request.app_id, application));
    TRY_OK(parts_.authoriser.note_server(request, key, guest->approved->report(), deadline));
    return request;
  }
  TRY(const auto app, parts_.authoriser.authorise(application, deadline));
  // A coordinator cannot have another app's key derived, or one that another application can open.
  if (!base::equal(app.app_id, request.app_id) || app.app_key != request.app_key) {
    return Error{Code::denied, "a derivation", "the app and the key that the workload's evidence is for", "others"};
  }
  return request;
}

/// A node that knows no epoch yet is told of one only if it has a place there: of two clusters of the same operators,
/// whoever calls could choose for it. The other way is that its administrator says `join`.
Status NodeServer::follow(const Epoch& epoch) {
  Node& node = parts_.node;
  const Member* self = epoch.plan.find(node.id());
  if (node.current() == nullptr && (self == nullptr || self->signing_key != node.signing_key())) {
    return Error{Code::denied, "an epoch for a node that has none yet", "one with this node's key", "one without",
                 "attestry node join PEER at this node"};
  }
  return node.activate(epoch);
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
  return std::visit(Overloaded{[&](const ask::Offer& q) {
                                 std::optional<base::FixedBytes<32>> caller;
                                 if (guest != nullptr) caller = guest->node->signing_key;
                                 return answer_from(node.offer(q.cluster, q.session, caller));
                               },
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
                                 const auto done = follow(q.epoch);
                                 return done ? Answer{answer::Nothing{}}
                                             : Answer{std::in_place_type<Error>, done.error()};
                               },
                               [&](const ask::Current& q) {
                                 const auto now = node.current();
                                 const bool same = now != nullptr && q.known && now->outcome.digest() == *q.known;
                                 return same ? Answer{answer::Known{}} : epoch_in_force();
                               },
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
