#include "app/wire_node.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "api/threshold.h"
#include "app/holder_key.h"
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
#include "cluster/lookout.h"
#include "cluster/node_server.h"
#include "cluster/recovery.h"
#include "cluster/vouch.h"
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
constexpr std::chrono::seconds kOpeningPatience{3};
constexpr unsigned kFewestOpening = 4;
/// Rounds of looking around until members' addresses are looked up again, and how long that may take.
constexpr std::size_t kLookUpAgain = 12;
constexpr std::chrono::seconds kLookUpPatience{2};
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
  Result<keys::ckd::Ciphertext> derive(const cluster::Node::Request& request, const cluster::Patience&) override {
    return node_.derive(request);
  }
  Result<keys::ckd::ShareProof> prove(const cluster::Node::Request& request, const cluster::Patience&) override {
    return node_.prove(request);
  }

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
  Status join(const std::string& peer);
  Status change(cluster::Proposal proposal);
  JsonOutObject change_status() const;
  void run_change(const cluster::Proposal& proposal);
  void look_around();
  bool is_members(const std::string& address) const;
  void look_up_members();
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
  std::unique_ptr<cluster::Lookout> lookout_;
  std::unique_ptr<channel::Server> server_;
  std::unique_ptr<api::ThresholdControl> control_;
  mutable std::mutex mutex_;  // std::mutex: a condition variable waits on it
  std::condition_variable wake_;
  bool stopping_ = false;
  ChangeView change_;
  std::map<std::string, std::vector<std::string>> addresses_;  ///< of members in force, by what the plan says
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
  TRY(const auto from, cluster::NodeExport::parse(*bytes), said_.import);
  TRY(const auto key, read_holder_key(said_.import_key), "node.import_key");
  TRY(const auto recovered, from.open(key.private_key));
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
  std::function<cluster::Answer(cluster::Answer, const cluster::Question&)> lie;
  if (said_.faults.any()) {
    // The settings say so, too; the data folder is what decides.
    if (parts_.store.realm() != base::Realm::simulated) {
      return Error{Code::realm_mismatch, "node.faults", "a data folder of the simulated realm", "another"};
    }
    base::log(base::LogLevel::warning, "this node lies to others, as node.faults has it");
    lie = [this](cluster::Answer honest, const cluster::Question& question) {
      return said_.faults.instead_of(std::move(honest), question, said_.id, *signing_, parts_.random);
    };
  }
  serving_ = std::make_unique<cluster::NodeServer>(cluster::NodeServerParts{
      .node = *node_,
      .authoriser = *authority_,
      .hello = [this](const base::FixedBytes<64>& data) { return hello(data); },
      .appraiser = parts_.appraiser,
      .attester = attester_->attester(),
      .registry = parts_.registry,
      .random = parts_.random,
      .clock = parts_.clock,
      .nodes = std::move(nodes),
      .vouch = [this](const cluster::Plan& plan) { return cluster::vouch(plan, said_.id, *peers_); },
      .servers = std::move(servers),
      .dialects = said_.server_dialects,
      .accounts = said_.near_accounts,
      .instead_of = std::move(lie)});
  TRY(peers_, cluster::ChannelPeers::make({.end = [this] { return serving_->end(); },
                                           .hello = [this](const base::FixedBytes<64>& data) { return hello(data); },
                                           .judge = [this](const auto& session) { return serving_->judge(session); }},
                                          said_.id, own_.get()));
  coordinator_ = std::make_unique<cluster::Coordinator>(*node_, *serving_, *peers_);
  const auto say_join = [this](const std::string& peer) {
    return peers_->channel({cluster::kMostNodes, {}, {}, {}, peer})->join(address_);
  };
  TRY(lookout_,
      cluster::Lookout::open(*node_, cluster::colleagues(*node_, *serving_, *peers_), say_join, parts_.store));
  return base::done();
}

Status NodeService::listen() {
  channel::ServerOptions options;
  options.address = said_.listen;
  options.sessions = said_.sessions;
  options.kept = said_.sessions / 4;
  options.opening = std::max(kFewestOpening, said_.sessions / 4);
  // Nodes may share a machine, and begin all at the same time.
  options.per_address = options.opening / 2;
  options.patience = kOpeningPatience;
  options.longest = kLongestSession;
  options.known = [this](const std::string& address) { return is_members(address); };
  options.end = [this] { return serving_->listening_end(); };
  options.serve_guests = [this](channel::Session session, base::Deadline deadline, channel::Seat& seat) {
    serving_->serve(std::move(session), deadline, seat);
  };
  look_up_members();
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
  const auto last = cluster::last_holders(parts_.store);
  JsonOutObject out{{"id", static_cast<std::int64_t>(said_.id)},
                    {"signing_key", base::hex(node_->signing_key())},
                    {"address", address_},
                    {"app", said_.app},
                    {"realm", std::string{base::to_text(parts_.store.realm())}},
                    {"operators", std::move(operators)},
                    {"operators_needed", static_cast<std::int64_t>(said_.operators_needed)},
                    {"holds_share", node_->holds_share()},
                    {"candidates", std::move(candidates)}};
  // Without it no other node is called, and none is let in.
  if (const auto end = serving_->end(); !end) out.emplace_back("not_approved", end.error().text());
  if (const auto joined = lookout_->joined()) out.emplace_back("joined", *joined);
  if (last) out.emplace_back("last_holders", static_cast<std::int64_t>(*last));
  out.emplace_back("epoch", static_cast<std::int64_t>(now == nullptr ? 0 : now->plan.epoch));
  if (now == nullptr) return out;
  for (const auto& one : now->plan.members) members.emplace_back(to_json(one));
  out.emplace_back("threshold", static_cast<std::int64_t>(now->plan.threshold));
  out.emplace_back("cluster", base::hex(now->plan.cluster));
  out.emplace_back("outcome", base::hex(now->outcome.digest()));
  out.emplace_back("master_public_key", keys::ckd::to_text(now->outcome.commitments().constant().encode()));
  out.emplace_back("members", std::move(members));
  // For who asks with operators' keys at hand: all of the above, by the word of operators and members.
  out.emplace_back("certified_epoch", base::base64url(cluster::CertifiedEpoch::of(*now).bytes()));
  return out;
}

Status NodeService::join(const std::string& peer) {
  if (!net::is_peer_address(peer)) return Error{Code::usage, "peer", "HOST:PORT or [::1]:PORT", peer};
  if (peer == address_ || peer == server_->address()) {
    return Error{Code::usage, "peer", "another node of the cluster", "this node's own address " + peer,
                 "At a first node nothing is joined: the others join it."};
  }
  return lookout_->join(peer);
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
  try {
    changing_ = std::thread([this, said = std::move(proposal)] { run_change(said); });
  } catch (const std::system_error&) {
    change_ = {};
    return Error{Code::unavailable, "a change of the cluster", "a thread to lead it on",
                 "none: this process has as many as it may", "Say the same again; nothing was changed."};
  }
  return base::done();
}

void NodeService::run_change(const cluster::Proposal& proposal) {
  const auto now = node_->current();
  const cluster::ChangeOptions options{.say = [this](const std::string& step) { say(step); },
                                       .failed =
                                           [this](const cluster::Failing& one) {
                                             const std::scoped_lock lock(mutex_);
                                             change_.failing.push_back(one);
                                           }};
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
  return {{"state", change_.state},
          {"steps", std::move(steps)},
          {"error", change_.error},
          {"code", change_.code},
          {"epoch", static_cast<std::int64_t>(change_.epoch)},
          {"failing", std::move(failing)},
          {"not_told", std::move(not_told)}};
}

void NodeService::update_metrics() const {
  const auto gauge = [&](const char* name, const char* help, double value) {
    parts_.metrics.gauge(name, help).set(value);
  };
  const auto now = node_->current();
  gauge("attestry_node_epoch", "The epoch in force; 0: none yet", now == nullptr ? 0 : now->plan.epoch);
  gauge("attestry_node_holds_share", "Whether this node holds a share of it", node_->holds_share() ? 1 : 0);
  gauge("attestry_node_members_away", "Members that did not answer when they were last looked at",
        static_cast<double>(lookout_->away()));
}

void NodeService::look_around() {
  std::shared_ptr<const cluster::Epoch> before;
  for (std::size_t round = 0;; ++round) {
    lookout_->look();
    const auto now = node_->current();
    if (std::exchange(before, now) != now || round % kLookUpAgain == 0) look_up_members();
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, kLookAround, [this] { return stopping_; })) return;
  }
}

bool NodeService::is_members(const std::string& address) const {
  const std::scoped_lock lock(mutex_);
  return std::ranges::any_of(
      addresses_, [&](const auto& one) { return std::ranges::find(one.second, address) != one.second.end(); });
}

/// While a name is not found its addresses are those of before.
void NodeService::look_up_members() {
  const auto now = node_->current();
  if (now == nullptr) return;
  const auto until = std::chrono::steady_clock::now() + kLookUpPatience;
  std::map<std::string, std::vector<std::string>> found;
  for (const auto& one : now->plan.members) {
    if (auto addresses = net::addresses_of(one.address, until)) found.emplace(one.address, *std::move(addresses));
  }
  const std::scoped_lock lock(mutex_);
  for (const auto& one : now->plan.members) {
    const auto before = addresses_.find(one.address);
    if (before != addresses_.end()) found.emplace(*before);
  }
  addresses_ = std::move(found);
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
