// For tests: nodes in this process, each with its own store on the disk, which can be killed, cut off and corrupted.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "cluster/change.h"
#include "cluster/derivation.h"
#include "state/testing/support.h"

namespace attestry::cluster::testing {

/// A node and its disk. What reaches it passes `hook`, which may kill it, cut it off or put words into its mouth.
class Machine final : public Peer {
 public:
  enum class When : std::uint8_t { before, after };
  struct Hook {
    std::function<void(Machine&, std::string_view step, When)> at;
    std::function<base::Result<Deal>(base::Result<Deal>)> deal;
    std::function<base::Result<keys::ckd::Ciphertext>(base::Result<keys::ckd::Ciphertext>)> share;
  };

  Machine(std::uint32_t id, std::vector<base::FixedBytes<32>> operators, crypto::Random& random)
      : id_(id), operators_(std::move(operators)), random_(random), seed_(random.secret(32)) {
    sealed_ = std::make_unique<state::SealedValues>(*state::SealedValues::create(random.secret(32), random));
    start();
  }

  Node& node() { return *node_; }
  /// What the node signs with: for deals that it would not make.
  crypto::Ed25519PrivateKey signing() const { return *Node::signing_key_of(seed_); }
  bool alive() const { return node_ != nullptr; }
  /// As by kill -9: what it has not written is gone.
  void kill() {
    node_.reset();
    store_.reset();
  }
  void start() {
    auto store = state::Store::open({.path = folder_->file("store.db"), .realm = base::Realm::simulated});
    ASSERT_TRUE(store.ok()) << store.error().text();
    store_ = *std::move(store);
    auto node = Node::open(options(), seed_, *store_, *sealed_, random_);
    ASSERT_TRUE(node.ok()) << node.error().text();
    node_ = *std::move(node);
  }
  /// Its disk is gone, and its seed and sealing key with it.
  void lose() {
    kill();
    folder_ = std::make_unique<state::testing::TempFolder>();
    sealed_ = std::make_unique<state::SealedValues>(*state::SealedValues::create(random_.secret(32), random_));
    seed_ = random_.secret(32);
  }
  /// Of a machine that was lost: what `fill` puts into its new store is what it starts with.
  void refill(const crypto::Secret& seed, const std::function<void(state::Store&, const state::SealedValues&)>& fill) {
    auto store = state::Store::open({.path = folder_->file("store.db"), .realm = base::Realm::simulated});
    ASSERT_TRUE(store.ok()) << store.error().text();
    fill(**store, *sealed_);
    seed_ = seed.clone();
  }
  const crypto::Secret& seed() const { return seed_; }
  NodeOptions options() const { return {.id = id_, .realm = base::Realm::simulated, .operators = operators_}; }
  state::Store& store() { return *store_; }
  const state::SealedValues& sealed() const { return *sealed_; }

  Hook hook;

  base::Result<Offer> offer(const base::FixedBytes<32>& cluster, const base::FixedBytes<32>& session) override {
    return through<Offer>("offer", [&] { return node_->offer(cluster, session); });
  }
  base::Result<Deal> propose(const Plan& plan, const Approval& approval) override {
    auto out = through<Deal>("deal", [&] { return node_->propose(plan, approval); });
    return hook.deal ? hook.deal(std::move(out)) : std::move(out);
  }
  base::Result<std::optional<Complaint>> check(const Plan& plan, const Approval& approval,
                                               std::span<const Deal> deals) override {
    return through<std::optional<Complaint>>("check", [&] { return node_->check(plan, approval, deals); });
  }
  base::Result<std::variant<Stored, Complaint>> prepare(const Plan& plan, const Approval& approval,
                                                        std::span<const Deal> deals) override {
    return through<std::variant<Stored, Complaint>>("store", [&] { return node_->prepare(plan, approval, deals); });
  }
  base::Status activate(const Epoch& epoch) override {
    return through<base::Done>("activate", [&]() -> base::Result<base::Done> { return node_->activate(epoch); });
  }
  base::Result<keys::ckd::Ciphertext> derive(const Node::Request& request, const Patience&) override {
    auto out = through<keys::ckd::Ciphertext>("derive", [&] { return node_->derive(request); });
    return hook.share ? hook.share(std::move(out)) : std::move(out);
  }
  base::Result<keys::ckd::ShareProof> prove(const Node::Request& request, const Patience&) override {
    return through<keys::ckd::ShareProof>("prove", [&] { return node_->prove(request); });
  }

 private:
  template <class T>
  base::Result<T> through(std::string_view step, const std::function<base::Result<T>()>& ask) {
    if (hook.at) hook.at(*this, step, When::before);
    if (!alive()) return away();
    base::Result<T> out = ask();
    if (hook.at) hook.at(*this, step, When::after);
    if (!alive()) return away();
    return out;
  }
  base::Error away() const {
    return base::Error{base::Code::unavailable, "node " + std::to_string(id_) + " does not answer"};
  }

  const std::uint32_t id_;
  const std::vector<base::FixedBytes<32>> operators_;
  crypto::Random& random_;
  crypto::Secret seed_;
  std::unique_ptr<state::testing::TempFolder> folder_ = std::make_unique<state::testing::TempFolder>();
  std::unique_ptr<state::SealedValues> sealed_;
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<Node> node_;
};

class Machines final : public Peers {
 public:
  Machines(std::uint32_t count, crypto::Random& random)
      : random_(random), operator_(crypto::Ed25519PrivateKey::generate(random)) {
    for (std::uint32_t id = 0; id < count; ++id) {
      all_.emplace(id, std::make_unique<Machine>(id, std::vector{operator_.public_key()}, random));
    }
  }

  Machine& operator[](std::uint32_t id) { return *all_.at(id); }
  Peer* find(const Member& member) override { return all_.at(member.id).get(); }
  const crypto::Ed25519PrivateKey& the_operator() const { return operator_; }

  /// The next epoch's intent, for nodes first to first + count - 1.
  Plan intent(std::uint32_t first, std::uint32_t count, std::uint16_t threshold, const Epoch* before = nullptr) {
    Plan out;
    out.cluster.fill(9);
    out.realm = base::Realm::simulated;
    out.threshold = threshold;
    if (before != nullptr) {
      out.epoch = before->plan.epoch + 1;
      out.previous = before->outcome.digest();
    }
    for (std::uint32_t id = first; id < first + count; ++id) {
      out.members.push_back({id, all_.at(id)->node().signing_key(), {}, {}, "node" + std::to_string(id) + ":1"});
    }
    return out;
  }
  Approval approve(const Plan& plan) const { return {{Approval::sign(plan, operator_)}}; }

  base::Result<Changed> generate(const Plan& plan) { return cluster::generate(plan, approve(plan), *this); }
  /// Either of them, with whoever did not do its part.
  base::Result<Changed> change(const Epoch* before, const Plan& plan, std::vector<Failing>& failing) {
    const ChangeOptions options{.failed = [&](const Failing& one) { failing.push_back(one); }};
    return before == nullptr ? cluster::generate(plan, approve(plan), *this, options)
                             : cluster::reshare(*before, plan, approve(plan), *this, random_, options);
  }
  base::Result<Changed> reshare(const Epoch& before, const Plan& plan) {
    return cluster::reshare(before, plan, approve(plan), *this, random_);
  }
  /// Two outcomes of the next number, of nodes 0 to count - 1, both with a certificate; nobody has one in force.
  std::vector<Epoch> two_outcomes(const Epoch& before, std::uint32_t count, std::uint16_t threshold) {
    std::vector<Epoch> out;
    for (int i = 0; i < 2; ++i) {
      for (std::uint32_t id = 0; id < count; ++id) {
        all_.at(id)->hook.at = [](Machine& machine, std::string_view step, Machine::When when) {
          if (step == "activate" && when == Machine::When::before) machine.kill();
        };
      }
      auto changed = reshare(before, intent(0, count, threshold, &before));
      EXPECT_TRUE(changed.ok()) << changed.error().text();
      out.push_back(std::move(changed->epoch));
      for (std::uint32_t id = 0; id < count; ++id) {
        all_.at(id)->hook = {};
        all_.at(id)->start();
      }
    }
    return out;
  }
  /// What an application gets; its text is empty, and the error in `why`, when it gets nothing.
  std::string key(const Epoch& epoch, std::string_view path, std::vector<std::uint32_t> prefer = {},
                  base::Error* why = nullptr) {
    const keys::ckd::MasterPublicKey master{epoch.outcome.commitments().constant()};
    const keys::ckd::Blinding blinding = keys::ckd::Blinding::random(random_);
    const base::Digest32 id = keys::ckd::app_id("alice.near", path);
    const auto derived = derive(epoch, master, id, {blinding.public_key(), std::nullopt}, prefer,
                                [this](const Member& member) { return find(member); });
    if (!derived.ok()) {
      if (why != nullptr) *why = derived.error();
      return {};
    }
    const auto opened = blinding.open(derived->answer, master, keys::ckd::hash_point(master, id));
    if (!opened.ok()) {
      if (why != nullptr) *why = opened.error();
      return {};
    }
    return std::string{base::as_text(keys::ckd::application_key(*opened).reveal())};
  }

 private:
  crypto::Random& random_;
  const crypto::Ed25519PrivateKey operator_;
  std::map<std::uint32_t, std::unique_ptr<Machine>> all_;
};

}  // namespace attestry::cluster::testing
