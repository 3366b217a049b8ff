#include "app/wire_node.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "api/threshold.h"
#include "app/node_settings.h"
#include "app/own_attester.h"
#include "app/validate.h"
#include "base/encoding.h"
#include "base/log.h"
#include "channel/server.h"
#include "cluster/authority.h"
#include "cluster/change.h"
#include "cluster/channel_peers.h"
#include "cluster/coordinator.h"
#include "cluster/node_server.h"
#include "cluster/recovery.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMostExport = 20u << 20;
constexpr std::chrono::seconds kStorePatience{30};
constexpr std::chrono::seconds kLongestSession{600};
constexpr std::chrono::seconds kLookAround{5};
constexpr std::size_t kMostMembersInLeaf = 60;
constexpr std::size_t kWorkloadThreads = 4;
constexpr std::size_t kWorkloadsWaiting = 256;

base::Deadline soon() { return std::chrono::steady_clock::now() + kStorePatience; }

/// How the node of this process is asked by itself.
class OwnNode final : public cluster::Peer {
 public:
  explicit OwnNode(cluster::Node& node) : node_(node) {}
  Result<cluster::Offer> offer(const base::FixedBytes<32>& cluster, const base::FixedBytes<32>& session) override {
    return node_.offer(cluster, session);
  }
  Result<cluster::Deal> propose(const cluster::Plan& plan, const cluster::Approval& approval) override {
    return node_.propose(plan, approval);
  }
  Result<std::optional<cluster::Complaint>> check(const cluster::Plan& plan, const cluster::Approval& approval,
                                                  std::span<const cluster::Deal> deals) override {
    return node_.check(plan, approval, deals);
  }
  Result<std::variant<cluster::Stored, cluster::Complaint>> prepare(const cluster::Plan& plan,
                                                                    const cluster::Approval& approval,
                                                                    std::span<const cluster::Deal> deals) override {
    return node_.prepare(plan, approval, deals);
  }
  Status activate(const cluster::Epoch& epoch) override { return node_.activate(epoch); }
  Result<keys::ckd::Ciphertext> derive(const cluster::Node::Request& request) override { return node_.derive(request); }
  Result<keys::ckd::ShareProof> prove(const cluster::Node::Request& request) override { return node_.prove(request); }

 private:
  cluster::Node& node_;
};

JsonOutObject to_json(const cluster::Member& member) {
  return {{"id", static_cast<std::int64_t>(member.id)},
          {"address", member.address},
          {"signing_key", base::hex(member.signing_key)}};
}

/// How far a change is, for those who wait.
struct ChangeView {
  std::string state = "none", error{}, code{};
  std::vector<std::string> steps{};
  std::uint32_t epoch = 0;
  std::vector<cluster::Failing> failing{};
  std::vector<std::uint32_t> not_told{};
};

class NodeService final : public Service {
 public:
  NodeService(NodeSettings said, const ServiceParts& parts) : said_(std::move(said)), parts_(parts) {}
  ~NodeService() override { end_threads(); }

  Status open(const Settings& settings);
  Status add_routes(net::Router& router) override { return api::add_threshold_routes(router, *control_); }
  Result<std::vector<std::pair<std::string, net::Listener>>> listeners(std::string_view /*chain_pem*/,
                                                                       std::string_view /*key_pem*/) const override {
    return std::vector<std::pair<std::string, net::Listener>>{};
  }
  void update_metrics() const override;
  void stop_accepting() override { end_threads(); }
  void stop() override {
    end_threads();
    workloads_.stop();
    operators_.stop();
  }

 private:
  cluster::NodeOptions node_options() const;
  Status import_lost() const;
  Result<base::Bytes> export_to(base::ByteView holders, std::string_view holder) const;
  Status open_node();
  Status open_ways(const Settings& settings);
  Status listen();
  cluster::Hello hello(const base::FixedBytes<64>& report_data) const {
    return cluster::Hello::sign(said_.id, report_data, *signing_);
  }
  Status entered(state::WriteTxn& txn, const cluster::Epoch& epoch) const;
  JsonOutObject status() const;
  Status vouch(const cluster::Plan& plan) const;
  Status join(const std::string& peer);
  Status change(cluster::Proposal proposal);
  JsonOutObject change_status() const;
  void run_change(const cluster::Proposal& proposal);
  void look_around();
  void catch_up(std::size_t round);
  void note_answer(std::uint32_t id, bool answers);
  void forget_who_was_away();
  bool meet(cluster::ChannelPeer& peer, const std::optional<cluster::Epoch>& there);
  void say(const std::string& step);
  void end_threads();

  const NodeSettings said_;
  const ServiceParts parts_;
  std::string address_;
  std::unique_ptr<OwnAttester> attester_;
  std::unique_ptr<state::SealedValues> sealed_;
  std::optional<crypto::Ed25519PrivateKey> signing_;
  std::unique_ptr<cluster::Node> node_;
  std::unique_ptr<OwnNode> own_;
  std::unique_ptr<cluster::Authority> authority_;
  std::unique_ptr<cluster::NodeServer> serving_;
  std::unique_ptr<cluster::ChannelPeers> peers_;
  std::unique_ptr<cluster::Coordinator> coordinator_;
  std::unique_ptr<channel::Server> server_;
  std::unique_ptr<api::ThresholdControl> control_;
  mutable std::mutex mutex_;  // std::mutex: a condition variable waits on it
  std::condition_variable wake_;
  bool stopping_ = false;
  ChangeView change_;
  std::set<std::uint32_t> away_;                     ///< members that did not answer when they were last looked at
  std::shared_ptr<const cluster::Epoch> looked_at_;  // of looking_ alone, like the next
  std::set<std::uint32_t> behind_;                   // or not heard of
  std::thread looking_, changing_;
  api::SlowLane workloads_{kWorkloadThreads, kWorkloadsWaiting};
  api::SlowLane operators_{2, 16};
};

Status NodeService::open(const Settings& settings) {
  TRY_OK(open_node());
  TRY_OK(open_ways(settings));
  TRY_OK(listen());
  control_ = std::make_unique<api::ThresholdControl>(api::ThresholdControl{
      .coordinator = *coordinator_,
      .status = [this] { return status(); },
      .join = [this](const std::string& peer) { return join(peer); },
      .change = [this](cluster::Proposal proposal) { return change(std::move(proposal)); },
      .change_status = [this] { return change_status(); },
      .export_to = [this](base::ByteView holders, std::string_view holder) { return export_to(holders, holder); },
      .workloads = workloads_,
      .operators = operators_});
  looking_ = std::thread([this] { look_around(); });
  return base::done();
}

cluster::NodeOptions NodeService::node_options() const {
  return {.id = said_.id,
          .realm = parts_.store.realm(),
          .operators = said_.operators,
          .operators_needed = said_.operators_needed,
          .entered = [this](state::WriteTxn& txn, const cluster::Epoch& epoch) { return entered(txn, epoch); }};
}

Status NodeService::import_lost() const {
  TRY(const auto bytes, state::system_files().read(said_.import, kMostExport));
  if (!bytes) return Error{Code::not_found, "there is no file " + said_.import};
  TRY(const auto from, cluster::NodeExport::parse(*bytes));
  TRY(auto text, state::system_files().read(said_.import_key, 128));
  if (!text) return Error{Code::not_found, "there is no file " + said_.import_key};
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  base::FixedBytes<32> key{};
  const bool good = base::hex_decode_into(base::as_text(*text), key).ok();
  crypto::wipe(*text);
  if (!good) return Error{Code::configuration, "node.import_key", "64 hex digits", "a file that has not"};
  TRY(const auto recovered, from.open(crypto::Secret::absorb(key)));
  TRY_OK(cluster::import_node(from, recovered, node_options(), parts_.store, *sealed_, &parts_.log));
  base::log(base::LogLevel::warning, "this node is the one that was lost: that must never run again",
            {{"id", std::to_string(from.node())}, {"epoch", std::to_string(from.epoch().plan.epoch)}});
  return base::done();
}

Result<base::Bytes> NodeService::export_to(base::ByteView holders, std::string_view holder) const {
  TRY(const auto list, cluster::Holders::parse(holders));
  base::FixedBytes<32> key{};
  TRY_OK(base::hex_decode_into(holder, key), "holder");
  TRY(const auto seed, cluster::Node::seed_in(parts_.store, *sealed_, parts_.random, soon()));
  TRY(const auto made, cluster::export_node(*node_, seed, list, key, &parts_.log));
  base::log(base::LogLevel::warning, "what this node is was sealed to its holder",
            {{"holder", base::hex(key)}, {"epoch", std::to_string(made.epoch().plan.epoch)}});
  return made.bytes();
}

Status NodeService::open_node() {
  TRY(auto sealed, state::SealedValues::create(parts_.sealing("attestry/threshold/v1"), parts_.random));
  sealed_ = std::make_unique<state::SealedValues>(std::move(sealed));
  if (!said_.import.empty()) TRY_OK(import_lost(), "node.import");
  TRY(const auto seed, cluster::Node::seed_in(parts_.store, *sealed_, parts_.random, soon()));
  TRY(signing_, cluster::Node::signing_key_of(seed));
  TRY(node_, cluster::Node::open(node_options(), seed, parts_.store, *sealed_, parts_.random));
  own_ = std::make_unique<OwnNode>(*node_);
  authority_ =
      std::make_unique<cluster::Authority>(cluster::AuthorityParts{.node = said_.id,
                                                                   .store = parts_.store,
                                                                   .log = parts_.log,
                                                                   .challenges = parts_.challenges,
                                                                   .appraiser = parts_.appraiser,
                                                                   .registry = parts_.registry,
                                                                   .appraisals = parts_.appraisals,
                                                                   .master = [this] { return node_->master(); }});
  return base::done();
}

Status NodeService::open_ways(const Settings& settings) {
  TRY(attester_, OwnAttester::open(settings, "node.attestation", parts_.store.realm(), parts_.clock));
  TRY(auto nodes, base::AppRef::parse(said_.app), "node.app");
  std::optional<base::AppRef> servers;
  if (!said_.servers.empty()) {
    TRY(servers, base::AppRef::parse(said_.servers), "node.servers");
  }
  serving_ = std::make_unique<cluster::NodeServer>(
      cluster::NodeServerParts{.node = *node_,
                               .authoriser = *authority_,
                               .hello = [this](const base::FixedBytes<64>& data) { return hello(data); },
                               .appraiser = parts_.appraiser,
                               .attester = attester_->attester(),
                               .registry = parts_.registry,
                               .random = parts_.random,
                               .clock = parts_.clock,
                               .nodes = std::move(nodes),
                               .vouch = [this](const cluster::Plan& plan) { return vouch(plan); },
                               .servers = std::move(servers),
                               .dialects = said_.server_dialects});
  TRY(peers_, cluster::ChannelPeers::make({.end = [this] { return serving_->end(); },
                                           .hello = [this](const base::FixedBytes<64>& data) { return hello(data); }},
                                          said_.id, own_.get()));
  coordinator_ = std::make_unique<cluster::Coordinator>(*node_, *serving_, *peers_);
  return base::done();
}

Status NodeService::listen() {
  channel::ServerOptions options;
  options.address = said_.listen;
  options.sessions = said_.sessions;
  // Nodes may share a machine: strangers are kept apart by their evidence, and by patience.
  options.per_address = said_.sessions;
  options.longest = kLongestSession;
  options.end = [this] { return serving_->listening_end(); };
  options.serve = [this](channel::Session session, base::Deadline deadline) {
    serving_->serve(std::move(session), deadline);
  };
  TRY(server_, channel::Server::start(std::move(options)), "node.listen");
  address_ = said_.address.empty() ? server_->address() : said_.address;
  base::log(base::LogLevel::info, "other nodes may call here",
            {{"channel", server_->address()},
             {"address", address_},
             {"id", std::to_string(said_.id)},
             {"signing_key", base::hex(node_->signing_key())}});
  return base::done();
}

/// Who is in, and who is out, is in the log of every node.
Status NodeService::entered(state::WriteTxn& txn, const cluster::Epoch& epoch) const {
  audit::Leaf leaf;
  leaf.type = "threshold.epoch";
  leaf.realm = parts_.store.realm();
  leaf.audience = parts_.log.origin();
  leaf.app = said_.app;
  leaf.time = parts_.store.now();
  leaf.epoch = epoch.plan.epoch;
  leaf.policy = base::hex(epoch.plan.intent());
  leaf.reply = base::hex(epoch.outcome.digest());
  leaf.outputs.emplace("cluster", base::hex(epoch.plan.cluster));
  // A leaf holds no more names; of larger clusters the intent says it, which operators have.
  if (epoch.plan.members.size() <= kMostMembersInLeaf) {
    for (const auto& one : epoch.plan.members) {
      leaf.outputs.emplace("member/" + std::to_string(one.id), base::hex(one.signing_key));
    }
  }
  TRY([[maybe_unused]] const auto index, parts_.log.append(txn, leaf));
  return base::done();
}

JsonOutObject NodeService::status() const {
  JsonOutArray operators, candidates, members;
  const auto now = node_->current();
  for (const auto& one : serving_->candidates()) {
    const auto* member = now == nullptr ? nullptr : now->plan.find(one.id);
    // A member that was set up anew, or has moved, is a candidate again.
    if (member == nullptr || member->signing_key != one.signing_key || member->address != one.address) {
      candidates.emplace_back(to_json(one));
    }
  }
  for (const auto& one : said_.operators) operators.emplace_back(base::hex(one));
  JsonOutObject out{{"id", static_cast<std::int64_t>(said_.id)},
                    {"signing_key", base::hex(node_->signing_key())},
                    {"address", address_},
                    {"app", said_.app},
                    {"realm", std::string{base::to_text(parts_.store.realm())}},
                    {"operators", std::move(operators)},
                    {"operators_needed", static_cast<std::int64_t>(said_.operators_needed)},
                    {"holds_share", node_->holds_share()},
                    {"candidates", std::move(candidates)}};
  out.emplace_back("epoch", static_cast<std::int64_t>(now == nullptr ? 0 : now->plan.epoch));
  if (now == nullptr) return out;
  for (const auto& one : now->plan.members) members.emplace_back(to_json(one));
  out.emplace_back("threshold", static_cast<std::int64_t>(now->plan.threshold));
  out.emplace_back("cluster", base::hex(now->plan.cluster));
  out.emplace_back("outcome", base::hex(now->outcome.digest()));
  out.emplace_back("master_public_key", keys::ckd::to_text(now->outcome.commitments().constant().encode()));
  out.emplace_back("members", std::move(members));
  return out;
}

/// Of each member that is not in force with this key already, in a session of this node's own: evidence, and the key.
Status NodeService::vouch(const cluster::Plan& plan) const {
  const auto now = node_->current();
  std::vector<std::optional<Error>> errors(plan.members.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < plan.members.size(); ++i) {
      const cluster::Member& member = plan.members[i];
      const auto* present = now == nullptr ? nullptr : now->plan.find(member.id);
      if (present != nullptr && present->signing_key == member.signing_key) continue;
      cluster::ChannelPeer* peer = peers_->channel(member);
      if (peer == nullptr) continue;  // this node, whose key in the plan Node looks at
      threads.emplace_back([peer, &error = errors[i]] {
        if (const auto seen = peer->current(); !seen) error = seen.error();
      });
    }
  }
  for (std::size_t i = 0; i < errors.size(); ++i) {
    if (!errors[i]) continue;
    return std::move(errors[i]->at("node " + std::to_string(said_.id) + " has to see evidence of node " +
                                   std::to_string(plan.members[i].id) + " before it deals"));
  }
  return base::done();
}

Status NodeService::join(const std::string& peer) {
  if (!net::is_peer_address(peer)) return Error{Code::usage, "peer", "HOST:PORT or [::1]:PORT", peer};
  // It is known by its evidence alone: what it says of the cluster, operators have signed.
  cluster::ChannelPeer* there = peers_->channel({cluster::kMostNodes, {}, {}, {}, peer});
  TRY(const auto epoch, there->join(address_));
  if (epoch) TRY_OK(node_->activate(*epoch));
  base::log(base::LogLevel::info, "this node is known to a cluster",
            {{"peer", peer}, {"epoch", epoch ? std::to_string(epoch->plan.epoch) : "none yet"}});
  return base::done();
}

void NodeService::say(const std::string& step) {
  base::log(base::LogLevel::info, "change of the cluster", {{"step", step}});
  const std::scoped_lock lock(mutex_);
  change_.steps.push_back(step);
}

Status NodeService::change(cluster::Proposal proposal) {
  const auto now = node_->current();
  const std::uint32_t next = now == nullptr ? 1 : now->plan.epoch + 1;
  if (proposal.plan.epoch != next || (now != nullptr && (proposal.plan.previous != now->outcome.digest() ||
                                                         proposal.plan.cluster != now->plan.cluster))) {
    return Error{Code::conflict, "proposal of epoch " + std::to_string(proposal.plan.epoch),
                 "one that follows what is in force: epoch " + std::to_string(next), "another",
                 "Make it anew: attestry node reshare"};
  }
  TRY_OK(proposal.approval.check(proposal.plan, said_.operators, said_.operators_needed));
  const std::scoped_lock lock(mutex_);
  if (stopping_) return Error{Code::unavailable, "this node stops"};
  if (change_.state == "running") {
    return Error{Code::conflict, "a change of the cluster", "none that runs", "one",
                 "Wait for its end: attestry node status"};
  }
  if (changing_.joinable()) changing_.join();
  change_ = {.state = "running"};
  changing_ = std::thread([this, said = std::move(proposal)] { run_change(said); });
  return base::done();
}

void NodeService::run_change(const cluster::Proposal& proposal) {
  const auto now = node_->current();
  const cluster::ChangeOptions options{.say = [this](const std::string& step) { say(step); }};
  auto done = now == nullptr
                  ? cluster::generate(proposal.plan, proposal.approval, *peers_, options)
                  : cluster::reshare(*now, proposal.plan, proposal.approval, *peers_, parts_.random, options);
  // Whoever leads need not be a member, and knows the epoch all the same.
  if (done) {
    const auto known = node_->activate(done->epoch);
    if (!known) base::log(base::LogLevel::warning, "this node does not follow", {{"reason", known.error().text()}});
  } else {
    base::log(base::LogLevel::warning, "the cluster was not changed", {{"reason", done.error().text()}});
  }
  const std::scoped_lock lock(mutex_);
  if (!done) {
    change_.error = done.error().text();
    change_.code = base::slug(done.error().code);
  } else {
    change_.epoch = done->epoch.plan.epoch;
    change_.failing = std::move(done->failing);
    change_.not_told = std::move(done->not_told);
  }
  change_.state = change_.error.empty() ? "done" : "failed";
}

JsonOutObject NodeService::change_status() const {
  const std::scoped_lock lock(mutex_);
  JsonOutArray steps, failing, not_told;
  for (const auto& one : change_.steps) steps.emplace_back(one);
  for (const auto& one : change_.failing) {
    failing.emplace_back(JsonOutObject{{"node", static_cast<std::int64_t>(one.id)},
                                       {"step", one.step},
                                       {"guilty", one.guilty},
                                       {"reason", one.error.text()}});
  }
  for (const auto id : change_.not_told) not_told.emplace_back(static_cast<std::int64_t>(id));
  return {{"state", change_.state},        {"steps", std::move(steps)},
          {"error", change_.error},        {"epoch", static_cast<std::int64_t>(change_.epoch)},
          {"failing", std::move(failing)}, {"not_told", std::move(not_told)}};
}

void NodeService::update_metrics() const {
  const auto gauge = [&](const char* name, const char* help, double value) {
    parts_.metrics.gauge(name, help).set(value);
  };
  const auto now = node_->current();
  gauge("attestry_node_epoch", "The epoch in force; 0: none yet", now == nullptr ? 0 : now->plan.epoch);
  gauge("attestry_node_holds_share", "Whether this node holds a share of it", node_->holds_share() ? 1 : 0);
  const std::scoped_lock lock(mutex_);
  gauge("attestry_node_members_away", "Members that did not answer when they were last looked at",
        static_cast<double>(away_.size()));
}

/// A node that was away when an epoch was put in force hears of it from one of the others: it asks them, and they look
/// whether it is behind. It may not know them, when the first epoch is what it has missed.
void NodeService::look_around() {
  for (std::size_t round = 0;; ++round) {
    catch_up(round);
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, kLookAround, [this] { return stopping_; })) return;
  }
}

void NodeService::note_answer(std::uint32_t id, bool answers) {
  const std::scoped_lock lock(mutex_);
  if (answers) {
    away_.erase(id);
  } else {
    away_.insert(id);
  }
}

void NodeService::catch_up(std::size_t round) {
  const auto now = node_->current();
  if (now == nullptr) return;
  const bool fresh = std::exchange(looked_at_, now) != now;
  if (fresh) forget_who_was_away();
  const auto& members = now->plan.members;
  for (std::size_t i = 0; i < members.size(); ++i) {
    // All of them at the start of the process and of an epoch, later one at a time, and those that are behind.
    const bool turn = fresh || i == round % members.size();
    if (!turn && !behind_.contains(members[i].id)) continue;
    cluster::ChannelPeer* peer = peers_->channel(members[i]);
    if (peer == nullptr) continue;
    const auto there = peer->current();
    note_answer(members[i].id, there.ok());
    if (!there || !meet(*peer, *there)) {
      behind_.insert(members[i].id);
    } else {
      behind_.erase(members[i].id);
    }
    if (node_->current() != now) return;
  }
}

/// Others may be members now.
void NodeService::forget_who_was_away() {
  behind_.clear();
  const std::scoped_lock lock(mutex_);
  away_.clear();
}

/// Whether both are in the same epoch afterwards.
bool NodeService::meet(cluster::ChannelPeer& peer, const std::optional<cluster::Epoch>& there) {
  const auto before = node_->current();
  if (there && there->outcome.digest() == before->outcome.digest()) return true;
  // Of two outcomes of one number activate() knows which wins.
  if (there && there->plan.epoch >= before->plan.epoch) {
    const auto followed = node_->activate(*there);
    if (!followed) {
      base::log(base::LogLevel::warning, "a later epoch is not followed", {{"reason", followed.error().text()}});
      return false;
    }
    if (node_->current() != before) {
      base::log(base::LogLevel::info, "this node follows", {{"epoch", std::to_string(there->plan.epoch)}});
      return true;
    }
  }
  return peer.activate(*before).ok();
}

void NodeService::end_threads() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (peers_) peers_->stop();
  if (server_) server_->stop();
  if (looking_.joinable()) looking_.join();
  if (changing_.joinable()) changing_.join();
}

}  // namespace

Result<std::unique_ptr<Service>> open_node(const Settings& settings, const ServiceParts& parts) {
  std::vector<Error> mistakes;
  auto said = read_node_settings(settings, mistakes);
  if (!mistakes.empty()) return mistakes.front();
  if (said.listen.empty()) return std::unique_ptr<Service>{};
  auto service = std::make_unique<NodeService>(std::move(said), parts);
  TRY_OK(service->open(settings), "node");
  return std::unique_ptr<Service>{std::move(service)};
}

}  // namespace attestry::app
