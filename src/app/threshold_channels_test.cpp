// Nodes and servers of a threshold root over attested sessions, with forged evidence.
#include <atomic>

#include "app/testing/threshold.h"
#include "app/threshold_source.h"
#include "channel/pieces.h"
#include "channel/server.h"
#include "cluster/approved_end.h"
#include "cluster/channel_peers.h"
#include "net/networks.h"
#include "net/testing/black_hole.h"
#include "state/file.h"

namespace attestry::cluster {
namespace {

using base::Code;
using curves::bls::G2;
using governance::Action;
using governance::testing::kTime;
using governance::testing::patient;
using ::testing::HasSubstr;
using testing::kNodes;
using testing::kServers;
using testing::kWeb;
using testing::Machines;
using testing::refused;
using testing::TestNode;
using testing::ThresholdAuthorityTest;
using testing::ThresholdCoordinatorTest;

/// A server that calls a node over a channel; its software is approved as a node, too.
class ThresholdServerTest : public ThresholdCoordinatorTest {
 protected:
  void SetUp() override {
    ThresholdCoordinatorTest::SetUp();
    TestNode& node = *nodes[0];
    node.approve(kNodes, quote);
    node.approve(kServers, quote, "server");
    serve();
  }
  void serve() {
    server = nullptr;
    TestNode& node = *nodes[0];
    const auto& house = node.house;
    serving = std::make_unique<NodeServer>(NodeServerParts{
        .node = machines[0].node(),
        .authoriser = node.authority,
        .hello = [this](const base::FixedBytes<64>& data) { return Hello::sign(0, data, machines[0].signing()); },
        .appraiser = appraiser,
        .attester = attester,
        .registry = *house.registry,
        .random = random,
        .clock = house.clock,
        .nodes = kNodes,
        .servers = kServers,
        .dialects = {"registry"},
        .accounts = {"dao.near", "*.vaults.near"},
        .others_idle = others_idle,
        .large_patience = large_patience});
    auto started = channel::Server::start(
        {.address = "127.0.0.1:0",
         .sessions = 8,
         .end = [this] { return serving->listening_end(); },
         .serve_guests = [this](channel::Session session, base::Deadline deadline,
                                channel::Seat& seat) { serving->serve(std::move(session), deadline, seat); }});
    ASSERT_TRUE(started.ok()) << started.error().text();
    server = *std::move(started);
  }
  channel::Session call(const Hello& hello = {}) {
    auto end = *serving->end();
    auto session = channel::Session::connect(server->address(), end, patient());
    EXPECT_TRUE(session.ok()) << session.error().text();
    EXPECT_TRUE(session->send(hello.bytes(), patient()).ok());
    const auto heard = session->receive(patient());
    EXPECT_TRUE(heard.ok()) << heard.error().text();
    return *std::move(session);
  }
  channel::Session call_as(std::uint32_t id) {
    auto session = channel::Session::connect(server->address(), *serving->end(), patient());
    EXPECT_TRUE(session.ok()) << session.error().text();
    const auto hello = Hello::sign(id, session->own_report_data(), machines[id].signing());
    EXPECT_TRUE(session->send(hello.bytes(), patient()).ok());
    EXPECT_TRUE(session->receive(patient()).ok());
    return *std::move(session);
  }
  bool answers(channel::Session& session) {
    const auto said = ask(session, encode(Question{ask::Current{}}));
    return said.ok() && std::holds_alternative<Epoch>(*said);
  }
  base::Result<Answer> ask(channel::Session& session, base::ByteView question) {
    TRY_OK(channel::send_pieces(session, question, patient()));
    TRY(const auto said, channel::receive_pieces(session, kMostMessage, patient()));
    return parse_answer(said.reveal());
  }
  /// The code of the answer; `ok` of a share.
  std::string asking_for(channel::Session& session, const base::Bytes& app_id) {
    const auto said = ask(session, encode(Question{ask::Derive{changed([&](auto& r) { r.app_id = app_id; }), {}}}));
    if (!said) return said.error().text();
    if (const auto* error = std::get_if<base::Error>(&*said)) return std::string{base::slug(error->code)};
    return std::holds_alternative<keys::ckd::Ciphertext>(*said) ? "ok" : "another answer";
  }
  std::string asking_for(channel::Session& session, const std::string& account, const std::string& path,
                         std::optional<base::Bytes> said = {}) {
    const keys::ckd::AccountPath whose{account, path};
    const auto request = changed([&](auto& r) { r.app_id = base::to_bytes(whose.app_id()); });
    const auto heard = ask(session, encode(Question{ask::Derive{request, said.value_or(whose.bytes())}}));
    if (!heard) return heard.error().text();
    if (const auto* error = std::get_if<base::Error>(&*heard)) {
      return std::string{base::slug(error->code)} + ": " + error->expected;
    }
    return std::holds_alternative<keys::ckd::Ciphertext>(*heard) ? "ok" : "another answer";
  }
  static base::Bytes root_of(const base::AppRef& app, std::uint32_t epoch, base::Realm realm = base::Realm::simulated,
                             std::string_view tenant = "default") {
    base::LpWriter out;
    out.lp("app-root").lp(base::to_text(realm)).lp(tenant).lp(app.bytes()).u32(epoch);
    return std::move(out).take();
  }
  static base::Bytes master_of(std::string_view dialect) {
    base::LpWriter out;
    out.lp("legacy").lp(dialect);
    return std::move(out).take();
  }
  std::chrono::milliseconds others_idle{30'000}, large_patience{30'000};
  std::unique_ptr<NodeServer> serving;
  std::unique_ptr<channel::Server> server;
};

TEST_F(ThresholdServerTest, WithTheNodesSoftwareIsServed) {
  auto session = call();
  EXPECT_EQ(asking_for(session, root_of(kWeb, 0)), "ok");
  const auto leaf = nodes[0]->last();
  EXPECT_EQ(leaf.type, "threshold.server");
  EXPECT_EQ(leaf.app, kWeb.text());
  EXPECT_EQ(leaf.epoch, 0u);
  EXPECT_EQ(
      leaf.policy,
      base::hex(nodes[0]->house.registry->policy_of(base::Tenant::standard(), kServers, kTime)->policy().sha256()));
}

TEST_F(ThresholdServerTest, GetsRootsOfAppsThatTheNodeKnowsAndOfNothingElse) {
  auto session = call();
  EXPECT_EQ(asking_for(session, root_of(governance::testing::app_named("name:unknown"), 0)), "denied");
  EXPECT_EQ(asking_for(session, root_of(kWeb, 7)), "denied");
  EXPECT_EQ(asking_for(session, root_of(kWeb, 1)), "denied");
  EXPECT_EQ(asking_for(session, root_of(kWeb, 0, base::Realm::production)), "denied");
  EXPECT_EQ(asking_for(session, root_of(kWeb, 0, base::Realm::simulated, "other")), "denied");
  auto longer = root_of(kWeb, 0);
  longer.push_back(0);
  EXPECT_EQ(asking_for(session, longer), "malformed");
  EXPECT_EQ(asking_for(session, base::to_bytes(keys::ckd::app_id("alice.near", ""))), "denied");
  EXPECT_EQ(asking_for(session, master_of("keystore")), "denied");
  EXPECT_EQ(nodes[0]->leaves("threshold.server"), 0u);
  EXPECT_EQ(asking_for(session, master_of("registry")), "ok");
  EXPECT_EQ(nodes[0]->leaves("threshold.server"), 1u);
}

TEST_F(ThresholdServerTest, GetsKeysOfTheAccountsThatTheNodeNames) {
  auto session = call();
  EXPECT_EQ(asking_for(session, "dao.near", ""), "ok");
  const auto leaf = nodes[0]->last();
  EXPECT_EQ(leaf.type, "threshold.server");
  EXPECT_EQ(leaf.app, "near:dao.near");
  EXPECT_EQ(asking_for(session, "a.vaults.near", std::string(64, 'f')), "ok");
  EXPECT_EQ(nodes[0]->last().app, "near:a.vaults.near");
  EXPECT_EQ(asking_for(session, "a.b.vaults.near", std::string(64, '0')), "ok");
  EXPECT_EQ(nodes[0]->leaves("threshold.server"), 3u);
}

TEST_F(ThresholdServerTest, GetsKeysOfNoOtherAccountsAndOfNoOtherPaths) {
  auto session = call();
  const std::string not_named = "denied: an account that node.near_accounts names";
  for (const auto* account : {"other.near", "vaults.near", "my-vaults.near", "dao.near.near", "xdao.near", "near"}) {
    EXPECT_EQ(asking_for(session, account, ""), not_named) << account;
  }
  for (const auto* account : {"", ".vaults.near", "*.vaults.near", "A.vaults.near", "a,b.vaults.near"}) {
    EXPECT_THAT(asking_for(session, account, ""), ::testing::StartsWith("malformed")) << account;
  }
  for (const auto& path : {std::string{"0"}, std::string(64, 'F'), std::string(63, 'f'), std::string(65, 'f')}) {
    EXPECT_EQ(asking_for(session, "dao.near", path), "denied: an empty path, or 64 lower-case hex digits") << path;
    EXPECT_EQ(asking_for(session, "a.vaults.near", path), "denied: 64 lower-case hex digits") << path;
  }
  // Which of the accounts below one are of keystores nobody has said; a workload of theirs has the empty path.
  EXPECT_EQ(asking_for(session, "a.vaults.near", ""), "denied: 64 lower-case hex digits");
  const keys::ckd::AccountPath named{"dao.near", ""};
  EXPECT_EQ(asking_for(session, "other.near", "", named.bytes()), "denied: that of the account and path that are said");
  auto longer = named.bytes();
  longer.push_back(0);
  EXPECT_THAT(asking_for(session, "dao.near", "", longer), ::testing::StartsWith("malformed"));
  EXPECT_THAT(asking_for(session, "dao.near", "", base::Bytes{}), ::testing::StartsWith("denied"));
  EXPECT_EQ(nodes[0]->leaves("threshold.server"), 0u);
}

TEST_F(ThresholdServerTest, WhoseSoftwareWasRevokedGetsNoKeysOfAccounts) {
  auto session = call();
  ASSERT_EQ(asking_for(session, "dao.near", ""), "ok");
  nodes[0]->house.approve(kServers, Action::revoke, nodes[0]->identity);
  nodes[0]->house.clock.pass(1);
  EXPECT_THAT(asking_for(session, "dao.near", ""), HasSubstr("evidence"));
  EXPECT_EQ(nodes[0]->leaves("threshold.server"), 1u);
}

TEST_F(ThresholdServerTest, IsHeardNoFurtherThanItMayAsk) {
  auto session = call();
  refused(ask(session, base::as_bytes("c plan, and many points")), Code::denied, "a server");
  session = call();
  base::Bytes large(40'000, 1);
  large[0] = 'd';
  EXPECT_FALSE(ask(session, large).ok());
}

TEST_F(ThresholdServerTest, IsHungUpOnSoonerThanAMemberWhenItAsksNothing) {
  others_idle = std::chrono::milliseconds(200);
  serve();
  auto member = call_as(1);
  auto idle = call();
  refused(idle.receive(patient()), Code::unavailable, "closed");
  EXPECT_TRUE(answers(member));
}

TEST_F(ThresholdServerTest, ANewSessionOfANodeEndsItsOldest) {
  auto first = call_as(1), other = call_as(2), second = call_as(1), third = call_as(1);
  refused(first.receive(patient()), Code::unavailable, "closed");
  for (auto* session : {&other, &second, &third}) EXPECT_TRUE(answers(*session));
}

TEST_F(ThresholdServerTest, HasFewSessionsAtOneAddress) {
  std::vector<channel::Session> sessions;
  auto member = call_as(1);
  for (unsigned i = 0; i <= NodeServer::kServersAtOneAddress; ++i) sessions.push_back(call());
  refused(sessions.front().receive(patient()), Code::unavailable, "closed");
  EXPECT_TRUE(answers(sessions.back()));
  EXPECT_TRUE(answers(member));
}

TEST_F(ThresholdServerTest, LargeMessagesOfMembersAreFewAtATime) {
  large_patience = std::chrono::milliseconds(0);
  serve();
  base::Bytes large(LargeMessages::kLarge + 1, 's');
  // Two that have more to say, and do not.
  base::Bytes piece(channel::kMaxData, 's');
  piece[0] = 1;
  auto one = call_as(1), two = call_as(2);
  for (auto* session : {&one, &two}) {
    for (std::size_t sent = 0; sent < large.size(); sent += piece.size() - 1) {
      ASSERT_TRUE(session->send(piece, patient()).ok());
    }
  }
  const auto end = patient();
  auto third = call_as(0);
  auto said = ask(third, large);
  while (said.ok() && std::chrono::steady_clock::now() < end) said = ask(third, large);
  refused(said, Code::unavailable, "1 MiB");
  third = call_as(0);
  EXPECT_TRUE(answers(third)) << "what is small is still answered";
}

TEST_F(ThresholdServerTest, ShowsItsEvidenceAnewWhenSomethingThatItStoodOnHasChanged) {
  auto session = call();
  ASSERT_EQ(asking_for(session, root_of(kWeb, 0)), "ok");
  // The same policy, and another version of the app's approvals.
  nodes[0]->house.approve(kServers, Action::identity_approve, nodes[0]->identity);
  EXPECT_EQ(asking_for(session, root_of(kWeb, 0)), "ok") << "it is looked at once a second";
  nodes[0]->house.clock.pass(1);
  const auto said = asking_for(session, root_of(kWeb, 0));
  EXPECT_THAT(said, HasSubstr("show your evidence anew"));
}

/// Another node, or a server: it calls by what its own operators have approved.
class ThresholdCallerTest : public ThresholdServerTest {
 protected:
  void SetUp() override {
    ThresholdServerTest::SetUp();
    nodes[1]->approve(kNodes, quote);
    auto made = ChannelPeers::make(
        {.end =
             [this] {
               ++sessions;
               return approved_end({.appraiser = appraiser,
                                    .attester = attester,
                                    .registry = *nodes[1]->house.registry,
                                    .random = random,
                                    .clock = nodes[1]->house.clock,
                                    .nodes = kNodes});
             },
         .hello = [](const base::FixedBytes<64>&) { return Hello{}; },
         .judge =
             [this](const channel::Session& session) {
               return ApprovedPeer::judge(
                   {.registry = *nodes[1]->house.registry, .clock = nodes[1]->house.clock, .app = kNodes}, session);
             }},
        kMostNodes, nullptr);
    ASSERT_TRUE(made.ok()) << made.error().text();
    peers = *std::move(made);
    peer = peers->channel({kMostNodes, {}, {}, {}, server->address()});
  }
  base::Result<keys::ckd::Ciphertext> share() {
    return peer->derive(changed([](auto& r) { r.app_id = root_of(kWeb, 0); }), {}, {.until = patient()});
  }
  std::atomic<int> sessions = 0;
  std::unique_ptr<ChannelPeers> peers;
  ChannelPeer* peer = nullptr;
};

TEST_F(ThresholdCallerTest, SaysOfApprovalsThatAreMissingWhereTheyAre) {
  auto& empty = nodes[2]->house;
  const auto made = ChannelPeers::make(
      {.end =
           [this, &empty] {
             return approved_end({.appraiser = appraiser,
                                  .attester = attester,
                                  .registry = *empty.registry,
                                  .random = random,
                                  .clock = empty.clock,
                                  .nodes = kNodes});
           },
       .hello = [](const base::FixedBytes<64>&) { return Hello{}; },
       .judge =
           [&empty](const channel::Session& session) {
             return ApprovedPeer::judge({.registry = *empty.registry, .clock = empty.clock, .app = kNodes}, session);
           }},
      kMostNodes, nullptr);
  const auto said = (*made)->channel({kMostNodes, {}, {}, {}, server->address()})->current(nullptr);
  refused(said, Code::not_found, "here, before the node at " + server->address() + " is called");
  refused(said, Code::not_found, "nobody has approved which software " + kNodes.text());
  refused(said, Code::not_found, "attestry app create " + kNodes.text());
}

TEST_F(ThresholdCallerTest, HasNoEpochSentAgainThatItKnows) {
  const auto first = peer->current(nullptr);
  ASSERT_TRUE(first.ok()) << first.error().text();
  ASSERT_NE(*first, nullptr);
  EXPECT_EQ((*first)->bytes(), epoch->bytes());
  EXPECT_EQ(*peer->current(*first), *first) << "the one that it has, and no copy";
}

TEST_F(ThresholdCallerTest, HangsUpOnSoftwareThatIsNoLongerApproved) {
  ASSERT_TRUE(share().ok()) << share().error().text();
  nodes[1]->house.approve(kNodes, Action::revoke, nodes[1]->identity);
  EXPECT_TRUE(share().ok()) << "it is looked at once a second";
  nodes[1]->house.clock.pass(1);
  refused(peer->current(nullptr), Code::denied, "refuses the evidence");
  refused(share(), Code::unavailable, "refuses the evidence");
}

TEST_F(ThresholdCallerTest, GoesOnWhenApprovalsChangeThatLetItInAgain) {
  ASSERT_TRUE(share().ok()) << share().error().text();
  auto& house = nodes[1]->house;
  const auto old = nodes[1]->identity;
  house.approve(kNodes, Action::identity_approve, house.blob(governance::testing::identity_document('7')));
  house.clock.pass(1);
  EXPECT_TRUE(share().ok());
  EXPECT_EQ(sessions, 1);
  // That of the software which is there.
  house.approve(kNodes, Action::revoke, old);
  house.clock.pass(1);
  refused(peer->current(nullptr), Code::denied, "");
}

/// A server whose keys come from nodes that it calls, some of which answer with what is no share of theirs.
class ThresholdSourceTest : public ThresholdAuthorityTest {
 protected:
  static constexpr std::uint32_t kCount = 4;

  void SetUp() override {
    ThresholdAuthorityTest::SetUp();
    Plan plan = machines.intent(0, kCount, 2);
    for (std::uint32_t id = 0; id < kCount; ++id) {
      listen(id);
      ASSERT_EQ(channels.size(), id + 1);
      plan.members[id].address = channels[id]->address();
      addresses.push_back(channels[id]->address());
    }
    const auto made = machines.generate(plan);
    ASSERT_TRUE(made.ok()) << made.error().text();
    root = made->epoch.outcome.commitments().constant().encode();
    for (std::uint32_t id = 0; id < kCount; ++id) serve(id);
    a.approve(kNodes, quote);
    ask_anew();
  }
  void listen(std::uint32_t id) {
    auto started =
        channel::Server::start({.address = "127.0.0.1:0",
                                .sessions = 2,
                                .end = [this, id] { return serving[id]->listening_end(); },
                                .serve_guests =
                                    [this, id](channel::Session session, base::Deadline deadline, channel::Seat& seat) {
                                      if ((liars >> id & 1U) != 0) return lie(id, session);
                                      serving[id]->serve(std::move(session), deadline, seat);
                                    }});
    ASSERT_TRUE(started.ok()) << started.error().text();
    channels.push_back(*std::move(started));
  }
  void serve(std::uint32_t id) {
    TestNode& node = *nodes.emplace_back(std::make_unique<TestNode>(id, appraiser, root));
    for (const auto& app : {kWeb, kNodes}) node.approve(app, quote);
    node.approve(kServers, quote, "server");
    serving.push_back(std::make_unique<NodeServer>(NodeServerParts{
        .node = machines[id].node(),
        .authoriser = node.authority,
        .hello = [this, id](const base::FixedBytes<64>& data) { return Hello::sign(id, data, machines[id].signing()); },
        .appraiser = appraiser,
        .attester = attester,
        .registry = *node.house.registry,
        .random = random,
        .clock = node.house.clock,
        .nodes = kNodes,
        .servers = kServers}));
  }
  /// A server that has just been started.
  void ask_anew() {
    source.reset();
    const std::string seed = a.house.folder.file("seed");
    ASSERT_TRUE(state::replace_file(state::system_files(), seed, base::as_bytes("authority test")).ok());
    const auto settings = app::Settings::load("", {{"threshold.attestation", "simulated:" + seed}}, {});
    ASSERT_TRUE(settings.ok()) << settings.error().text();
    const app::ThresholdSettings said{.used = true, .nodes = addresses, .encoded = root, .app = kNodes};
    auto opened = app::ThresholdSource::open(
        *settings, said,
        {.appraiser = appraiser, .registry = *a.house.registry, .random = random, .clock = a.house.clock});
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    source = *std::move(opened);
  }
  /// Genuine software that was changed in memory: what it says of itself is right, and its shares are those of others.
  void lie(std::uint32_t id, channel::Session& session) {
    const auto hello = session.receive(patient());
    if (!hello || !session.send(serving_hello(id, session).bytes(), patient())) return;
    while (const auto bytes = channel::receive_pieces(session, kMostMessage, patient())) {
      const auto question = parse_question(bytes->reveal());
      Answer said{answer::Nothing{}};
      if (const auto* derive = std::get_if<ask::Derive>(&*question)) {
        ++lies;
        auto share = machines[id].node().derive(derive->request);
        if (share) share->big_c = share->big_y;
        said = share ? Answer{*share} : Answer{share.error()};
      } else if (const auto* prove = std::get_if<ask::Prove>(&*question)) {
        const auto proof = machines[id].node().prove(prove->request);
        said = proof ? Answer{*proof} : Answer{proof.error()};
      } else {
        said = inventive ? invented(*machines[id].node().current()) : *machines[id].node().current();
      }
      if (!channel::send_pieces(session, encode(said), patient())) return;
    }
  }
  /// The greatest epoch there can be, with the right master public key. Nothing was ever dealt in it.
  static Epoch invented(const Epoch& right) {
    Plan plan = right.plan;
    plan.epoch = 0xffffffff;
    plan.previous = right.outcome.digest();
    std::vector<G2> points = right.outcome.commitments().points();
    points.back() = points.back() + G2::generator();
    base::LpWriter outcome, out;
    outcome.lp("attestry/threshold-outcome/1").raw(plan.digest()).u8(0);
    outcome.u16(static_cast<std::uint16_t>(right.deals.size()));
    for (const Deal& deal : right.deals) outcome.u32(deal.dealer()).raw(deal.digest());
    outcome.raw(Commitments{points}.bytes());
    out.lp(plan.bytes()).raw(right.approval.bytes()).u16(static_cast<std::uint16_t>(right.deals.size()));
    for (const Deal& deal : right.deals) out.lp(deal.bytes());
    out.lp(outcome.bytes()).raw(right.certificate.bytes());
    auto epoch = Epoch::parse(out.bytes());
    EXPECT_TRUE(epoch.ok()) << epoch.error().text();
    return *std::move(epoch);
  }
  Hello serving_hello(std::uint32_t id, const channel::Session& session) {
    return Hello::sign(id, session.own_report_data(), machines[id].signing());
  }
  std::string key(const base::AppRef& app) {
    base::LpWriter id;
    id.lp("app-root").lp("simulated").lp("default").lp(app.bytes()).u32(0);
    const auto derived = source->derive(id.bytes(), {}, patient());
    EXPECT_TRUE(derived.ok()) << derived.error().text();
    return derived ? std::string{base::as_text(derived->reveal())} : "";
  }

  Machines machines{kCount, random};
  forge::ForgeAttester attester = *forge::ForgeAttester::make(pki, quote);
  G2::Encoded root{};
  std::vector<std::string> addresses;
  std::atomic<std::uint32_t> liars = 0;  ///< bits, by id
  std::atomic<int> lies = 0;
  std::atomic<bool> inventive = false;  ///< liars lie about the epoch in force, too
  std::vector<std::unique_ptr<TestNode>> nodes;
  std::vector<std::unique_ptr<NodeServer>> serving;
  std::vector<std::unique_ptr<channel::Server>> channels;
  std::unique_ptr<app::ThresholdSource> source;
};

TEST_F(ThresholdSourceTest, HasTheRightKeyWhoeverLiesAndAsksTheLiarNoMore) {
  const std::string right = key(kWeb);
  ASSERT_EQ(right.size(), 48u);
  for (const std::uint32_t liar : {0U, 1U}) {
    liars = 1U << liar;
    lies = 0;
    ask_anew();
    EXPECT_EQ(key(kWeb), right) << liar;
    EXPECT_GE(lies, 1) << "it was asked, and it lied";
    const int before = lies;
    for (int i = 0; i < 5; ++i) EXPECT_EQ(key(kWeb), right);
    EXPECT_EQ(lies, before) << "who answered rightly is asked first";
  }
}

TEST_F(ThresholdSourceTest, AnEpochThatOneNodeInventsStopsNothing) {
  const std::string right = key(kWeb);
  inventive = true;
  liars = 0b1000;
  ask_anew();
  EXPECT_EQ(key(kWeb), right) << "what most nodes know is tried first";
  // Half of the nodes that it hears of: theirs has the greater number, and is tried first.
  addresses = {addresses[0], addresses[3]};
  ask_anew();
  EXPECT_EQ(key(kWeb), right);
  const int before = lies;
  for (int i = 0; i < 5; ++i) EXPECT_EQ(key(kWeb), right);
  EXPECT_EQ(lies, before) << "the epoch that gave a key is asked from then on, and who answered rightly in it";
}

// What machines that have ended do: packets to them are lost, and nobody says so.
TEST_F(ThresholdSourceTest, LeavesAnEpochWhoseMembersHaveGoneSilent) {
  for (std::uint32_t id = 0; id < kCount; ++id) listen(id);
  ASSERT_EQ(channels.size(), 2 * kCount);
  addresses.push_back(channels[kCount]->address());
  ask_anew();
  const std::string right = key(kWeb);
  const auto before = machines[0].node().current();
  Plan moved = machines.intent(0, kCount, 2, &*before);
  for (std::uint32_t id = 0; id < kCount; ++id) moved.members[id].address = channels[kCount + id]->address();
  const auto made = machines.reshare(*before, moved);
  ASSERT_TRUE(made.ok()) << made.error().text();
  std::vector<std::unique_ptr<net::testing::BlackHole>> silent;
  for (std::uint32_t id = 0; id < kCount; ++id) {
    const auto port = net::parse_socket_address(channels[id]->address())->port;
    channels[id].reset();
    silent.push_back(std::make_unique<net::testing::BlackHole>(true, port));
  }
  // Less than the silent ones take when each round waits for them.
  for (const auto patience : {std::chrono::milliseconds(3'000), std::chrono::milliseconds(1'000)}) {
    SCOPED_TRACE(patience.count());
    base::LpWriter id;
    id.lp("app-root").lp("simulated").lp("default").lp(kWeb.bytes()).u32(0);
    auto derived = base::Result<crypto::Secret>{base::Error{Code::unavailable, "not asked yet"}};
    for (int i = 0; i < 4 && !derived; ++i) {
      derived = source->derive(id.bytes(), {}, std::chrono::steady_clock::now() + patience);
    }
    ASSERT_TRUE(derived.ok()) << derived.error().text();
    EXPECT_EQ(base::as_text(derived->reveal()), right);
    // And one that has just been started, and hears of it when its patience is over.
    ask_anew();
  }
}

TEST_F(ThresholdSourceTest, AnAccountThatSomeRefuseIsNoOutageWhoeverIsAway) {
  const std::string right = key(kWeb);
  for (const std::uint32_t away : {2U, 3U}) channels[away].reset();
  const keys::ckd::AccountPath whose{"dao.near", ""};
  for (int i = 0; i < 2; ++i) {
    const auto made = source->derive(whose.app_id(), whose.bytes(), patient());
    refused(made, Code::denied, "2 (does not answer)");
  }
  EXPECT_EQ(key(kWeb), right);
}

TEST_F(ThresholdSourceTest, SaysThatTooFewAreLeftWhenTooManyLie) {
  liars = 0b111;
  base::LpWriter id;
  id.lp("app-root").lp("simulated").lp("default").lp(kWeb.bytes()).u32(0);
  const auto derived = source->derive(id.bytes(), {}, patient());
  ASSERT_FALSE(derived.ok());
  for (const char* liar : {" 0 (its share of", " 1 (its share of", " 2 (its share of"}) {
    EXPECT_THAT(derived.error().text(), HasSubstr(liar));
  }
  EXPECT_EQ(derived.error().code, Code::unavailable);
}

}  // namespace
}  // namespace attestry::cluster
