#include "app/keystore_standby.h"

#include <algorithm>
#include <utility>

#include "api/keystore_standby.h"
#include "app/validate.h"
#include "base/log.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using secrets::ReplicaRole;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr milliseconds kRound{50};
/// That a session may last while the next one does not begin; the called one waits longer than that.
constexpr seconds kRenewal{240};
constexpr seconds kLongestServed{600};
constexpr milliseconds kCallAgain{1'000};
constexpr milliseconds kTellAgain{2'000};
constexpr seconds kHandover{30};
constexpr seconds kPrepareAgain{5};
constexpr seconds kLoadAgain{1};
constexpr seconds kStorePatience{30};
/// Of which the other keystore needs one, or two while it opens the next: more, so that strangers who say nothing have
/// to come from many networks to be in its way.
constexpr unsigned kSessions = 32;
constexpr unsigned kPerAddress = 3;

std::chrono::steady_clock::time_point steady() { return std::chrono::steady_clock::now(); }
base::Deadline soon() { return steady() + kStorePatience; }

}  // namespace

ServiceParts with_store(const ServiceParts& parts, state::Store& store) {
  return {.store = store,
          .log = parts.log,
          .appraiser = parts.appraiser,
          .challenges = parts.challenges,
          .registry = parts.registry,
          .appraisals = parts.appraisals,
          .roots = parts.roots,
          .secrets = parts.secrets,
          .rotation = parts.rotation,
          .random = parts.random,
          .clock = parts.clock,
          .metrics = parts.metrics,
          .health = parts.health,
          .data = parts.data,
          .sealing = parts.sealing,
          .legacy_masters = parts.legacy_masters};
}

KeystoreStandbyService::KeystoreStandbyService(const ServiceParts& parts, KeystoreStandbySettings said)
    : parts_(parts), said_(std::move(said)) {}

Result<std::unique_ptr<KeystoreStandbyService>> KeystoreStandbyService::open(const Settings& settings,
                                                                             const ServiceParts& parts) {
  std::vector<Error> mistakes;
  auto said = read_keystore_standby_settings(settings, mistakes);
  TRY_OK(first_of(mistakes));
  TRY(const bool was_one, secrets::ReplicaFence::exists(parts.store));
  if (said.role.empty() && !was_one) return std::unique_ptr<KeystoreStandbyService>{};
  std::unique_ptr<KeystoreStandbyService> out{new KeystoreStandbyService(parts, std::move(said))};
  TRY_OK(out->open_fence());
  if (!out->said_.role.empty()) TRY_OK(out->open_attester(settings));
  return out;
}

Status KeystoreStandbyService::open_fence() {
  TRY(fence_,
      secrets::ReplicaFence::open(parts_.store, parts_.random,
                                  {.first = said_.role == "standby" ? ReplicaRole::standby : ReplicaRole::primary,
                                   .takeover = said_.takeover}));
  const auto state = fence_->state();
  // A primary's rooms read what is stored as they are opened.
  if (state.role == ReplicaRole::primary) loaded_term_ = state.term;
  feed_ = std::make_unique<secrets::KeystoreFeed>(
      parts_.store, parts_.random,
      secrets::KeystoreFeedOptions{.may_serve = [this] { return may_serve(); },
                                   .sync =
                                       [this] {
                                         if (!said_.sync) return false;
                                         const auto now = fence_->state();
                                         return now.role == ReplicaRole::primary &&
                                                now.follower != secrets::ReplicaId{};
                                       },
                                   .patience = said_.sync_patience,
                                   .clock = &parts_.clock});
  return base::done();
}

Status KeystoreStandbyService::open_attester(const Settings& settings) {
  TRY(attester_, OwnAttester::open(settings, "keystore.standby_attestation", parts_.store.realm(), parts_.clock));
  return base::done();
}

KeystoreStandbyService::~KeystoreStandbyService() { stop(); }

bool KeystoreStandbyService::waits_for_masters() const { return fence_->state().role != ReplicaRole::primary; }

std::function<Status()> KeystoreStandbyService::gate() {
  return [this] { return may_serve(); };
}

Status KeystoreStandbyService::may_serve() const {
  std::uint64_t term = 0;
  TRY_OK(fence_->may_serve(&term));
  if (loaded_term_.load() == term) return base::done();
  return Error{Code::unavailable, "this keystore is about to take over"};
}

Status KeystoreStandbyService::start(secrets::KeystoreMasters& masters, KeystoreSessionHooks sessions) {
  masters_ = &masters;
  sessions_ = std::move(sessions);
  copy_ = std::make_unique<secrets::KeystoreCopy>(secrets::KeystoreCopyParts{.store = parts_.store,
                                                                             .feed = *feed_,
                                                                             .masters = masters,
                                                                             .fence = *fence_,
                                                                             .carry_session = sessions_.carry,
                                                                             .take_session = sessions_.take});
  if (attester_ != nullptr) {
    TRY(auto app, base::AppRef::parse(said_.app));
    standby_ =
        std::make_unique<provision::KeystoreStandby>(provision::KeystoreStandbyParts{.store = parts_.store,
                                                                                     .log = parts_.log,
                                                                                     .appraiser = parts_.appraiser,
                                                                                     .attester = attester_->attester(),
                                                                                     .registry = parts_.registry,
                                                                                     .random = parts_.random,
                                                                                     .clock = parts_.clock,
                                                                                     .fence = *fence_,
                                                                                     .feed = *feed_,
                                                                                     .copy = *copy_,
                                                                                     .app = std::move(app),
                                                                                     .poll = said_.poll});
    TRY_OK(listen());
  }
  look_once();
  watching_ = std::thread([this] { watch(); });
  if (standby_ && !said_.peer.empty()) calling_ = std::thread([this] { keep_calling(); });
  return base::done();
}

Status KeystoreStandbyService::listen() {
  channel::ServerOptions options;
  options.address = said_.listen;
  options.sessions = kSessions;
  options.per_address = kPerAddress;
  options.longest = kLongestServed;
  options.end = [this] { return standby_->end(); };
  options.serve = [this](channel::Session session, base::Deadline deadline) {
    standby_->serve(std::move(session), deadline);
  };
  TRY(server_, channel::Server::start(std::move(options)), "keystore.standby_listen");
  const auto state = fence_->state();
  base::log(base::LogLevel::info, "the other keystore may call here",
            {{"channel", server_->address()},
             {"role", std::string{to_text(state.role)}},
             {"term", std::to_string(state.term)}});
  return base::done();
}

void KeystoreStandbyService::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  end_call();
  feed_->stop();
  if (server_) server_->stop();
  if (calling_.joinable()) calling_.join();
  if (watching_.joinable()) watching_.join();
  lane_.stop();
}

bool KeystoreStandbyService::rest(milliseconds time) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, time, [this] { return stopping_; });
}

void KeystoreStandbyService::note(std::string problem) {
  {
    const std::scoped_lock lock(mutex_);
    if (problem == problem_) return;
    problem_ = problem;
  }
  if (!problem.empty()) {
    base::log(base::LogLevel::warning, "the other keystore cannot be reached as it should",
              {{"peer", said_.peer}, {"reason", problem}});
  }
}

// ---- what this server does by itself ----

void KeystoreStandbyService::watch() {
  while (rest(kRound)) look_once();
}

void KeystoreStandbyService::look_once() {
  feed_->expire();
  fence_->notice_pauses();
  if (fence_->takeover_due()) {
    end_call();
    if (const auto taken = fence_->take_over(soon()); taken) {
      base::log(base::LogLevel::error, "the primary is silent: this keystore takes over");
    }
  }
  if (fence_->wants_handover()) {
    if (fence_->has_handed_over()) {
      end_call();
      if (const auto done = fence_->promote(false, soon()); !done) note(done.error().text());
    } else if (const std::scoped_lock lock(mutex_); steady() > handover_until_) {
      fence_->want_handover(false);
    }
  }
  std::uint64_t term = 0;
  const auto may = fence_->may_serve(&term);
  if (may && loaded_term_.load() != term && steady() >= next_load_) try_to_load(term);
  if (may && loaded_term_.load() == term && !masters_->ready() && steady() >= next_prepare_) {
    // A device or a chain that was away at the start.
    next_prepare_ = steady() + kPrepareAgain;
    if (const auto prepared = masters_->prepare(soon()); !prepared) note(prepared.error().text());
  }
  const auto serves = masters_->ready();
  parts_.health.set("keystore", serves.ok(),
                    serves.ok() ? "" : std::string{to_text(fence_->state().role)} + ": " + serves.error().what);
}

/// Now and then: a device that is away at the new primary is asked again, and the log says so once.
void KeystoreStandbyService::try_to_load(std::uint64_t term) {
  const auto loaded = load(term);
  next_load_ = loaded ? std::chrono::steady_clock::time_point{} : steady() + kLoadAgain;
  const std::string trouble = loaded ? std::string{} : loaded.error().text();
  if (!trouble.empty() && trouble != load_trouble_) {
    base::log(base::LogLevel::error, "this keystore cannot serve what it has copied", {{"reason", trouble}});
  }
  load_trouble_ = trouble;
}

/// What was copied into the store becomes what is used, before anybody is served.
Status KeystoreStandbyService::load(std::uint64_t term) {
  const secrets::KeystoreFeed::Applying applying(*feed_);
  TRY_OK(sessions_.reload());
  TRY_OK(masters_->reload_bans());
  TRY_OK(masters_->prepare(soon()));
  loaded_term_ = term;
  base::log(base::LogLevel::info, "this keystore serves", {{"term", std::to_string(term)}});
  return base::done();
}

void KeystoreStandbyService::end_call() {
  const std::scoped_lock lock(mutex_);
  if (call_) call_->stop();
}

/// One session with the other keystore. True when there is nothing to say to it for now.
Result<bool> KeystoreStandbyService::call_once() {
  const auto before = fence_->state();
  if (before.role == ReplicaRole::stood_down) return true;
  if (before.role == ReplicaRole::primary && told_term_ == before.term) return true;
  TRY(auto stop, net::PeerStop::make());
  {
    const std::scoped_lock lock(mutex_);
    if (stopping_) return true;
    call_ = stop;
  }
  bool asked = false;
  const auto go_on = [&] {
    if (std::exchange(asked, true)) note({});  // the last question has its answer
    const auto now = fence_->state();
    const std::scoped_lock lock(mutex_);
    return !stopping_ && now.role == before.role;
  };
  const auto renew = steady() + said_.session;
  TRY(const bool told, standby_->call(said_.peer, go_on, stop, renew, renew + kRenewal));
  if (told && before.role == ReplicaRole::primary) told_term_ = before.term;
  return told;
}

void KeystoreStandbyService::keep_calling() {
  milliseconds pause{0};
  while (rest(pause)) {
    const auto said = call_once();
    if (!said) {
      note(said.error().text());
      pause = fence_->state().role == ReplicaRole::standby ? kCallAgain : kTellAgain;
      continue;
    }
    note({});
    pause = *said ? kCallAgain : milliseconds(0);
  }
}

// ---- operators ----

base::JsonOutObject KeystoreStandbyService::status() const {
  const auto state = fence_->state();
  const auto serves = masters_->ready();
  const auto silent = fence_->silent();
  std::string problem;
  {
    const std::scoped_lock lock(mutex_);
    problem = problem_;
  }
  return {{"role", to_text(state.role)},
          {"term", state.term},
          {"serves", serves.ok()},
          {"reason", serves.ok() ? std::string{} : serves.error().text()},
          {"complete", state.complete},
          {"followed", state.follower != secrets::ReplicaId{}},
          {"handover", fence_->wants_handover()},
          {"behind", feed_->behind()},
          {"silent_ms", silent ? base::JsonOut{static_cast<std::int64_t>(silent->count())} : base::JsonOut{nullptr}},
          {"takeover_seconds", static_cast<std::int64_t>(said_.takeover.count())},
          {"sync", said_.sync},
          {"listens", server_ ? server_->address() : std::string{}},
          {"peer", said_.peer},
          {"problem", problem}};
}

Status KeystoreStandbyService::promote(bool force) {
  auto done = fence_->promote(force, soon());
  if (done) {
    end_call();
    return done;
  }
  // The other one is asked to hand over; who asked looks at the status.
  const auto state = fence_->state();
  if (force || done.error().code != Code::conflict || state.role != ReplicaRole::standby) return done;
  {
    const std::scoped_lock lock(mutex_);
    handover_until_ = steady() + kHandover;
  }
  fence_->want_handover(true);
  return base::done();
}

Status KeystoreStandbyService::follow(bool discard) {
  if (said_.peer.empty()) {
    return Error{Code::configuration, "this keystore knows of no other one", "keystore.standby_peer", "none"};
  }
  // Terms only grow: what is in memory is good for none that this server may serve in later.
  return fence_->follow(discard, soon());
}

Status KeystoreStandbyService::add_routes(net::Router& router) {
  return api::add_keystore_standby_routes(router, {.status = [this] { return status(); },
                                                   .promote = [this](bool force) { return promote(force); },
                                                   .follow = [this](bool discard) { return follow(discard); },
                                                   .lane = lane_});
}

void KeystoreStandbyService::update_metrics() const {
  auto& metrics = parts_.metrics;
  const auto state = fence_->state();
  const auto gauge = [&](const char* name, const char* help, double value) { metrics.gauge(name, help).set(value); };
  gauge("attestry_keystore_serves", "Whether this keystore of two is the one that serves", may_serve() ? 1 : 0);
  gauge("attestry_keystore_term", "Which primary this keystore knows of, counted", static_cast<double>(state.term));
  gauge("attestry_keystore_standby_behind", "Changes that the standby has not confirmed",
        state.role == ReplicaRole::primary && state.follower != secrets::ReplicaId{}
            ? static_cast<double>(feed_->behind())
            : 0);
  const auto silent = fence_->silent();
  gauge("attestry_keystore_standby_silent_seconds", "Since the other keystore was heard; -1: not since the start",
        silent ? static_cast<double>(silent->count()) / 1000 : -1);
}

}  // namespace attestry::app
