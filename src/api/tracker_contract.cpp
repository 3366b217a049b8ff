#include "api/tracker_contract.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "api/tracker_json.h"
#include "api/tracker_wire.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/mutex.h"
#include "base/reason.h"
#include "crypto/hash.h"
#include "curves/address.h"
#include "state/keys.h"
#include "state/spaces.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;
using base::Status;
using chain::Address;

namespace {

constexpr std::chrono::seconds kPatience{120};
constexpr std::chrono::seconds kStrangersPatience{10};
/// After that a publication leaves the rest to the next request; a server that ends waits for no longer.
constexpr std::chrono::seconds kRound{20};
constexpr std::size_t kMostPublished = 100;
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMostName = 128;
constexpr std::string_view kUnset = "Contract not configured: set tracker.rpc, tracker.chain_id and tracker.factory";
constexpr std::string_view kNoReputation = "No Reputation contract initialized. Call /contract/init first.";

state::Key reputation_key() { return state::Key(state::Space::tracker_state).lp("reputation"); }
std::string text_of(const Address& address) { return curves::address_checksum_text(address); }
std::string text_of(const base::Digest32& hash) { return "0x" + base::hex(hash); }

Result<std::uint64_t> size(const JsonValue& body, std::string_view name) {
  TRY(const auto value, tracker_integer(body, name, 0, kTrackerMostBytes));
  return static_cast<std::uint64_t>(value);
}
Result<std::string> username_of(const JsonValue& body) {
  TRY(auto name, tracker_text(body, "username"));
  if (name.size() <= kMostName) return name;
  return Error{Code::malformed, "username", "at most 128 bytes"};
}

class Contract {
 public:
  explicit Contract(const TrackerContractDeps& deps) : deps_(deps) {}

  Status load() {
    TRY_OK(load_current());
    deps_.recollection.follow(current().value_or(Address{}));
    return base::done();
  }

  Result<net::Response> init(const JsonValue& body) {
    TRY(const auto said, tracker_text(body, "referrer_address"));
    Address referrer{};
    if (!said.empty()) {
      TRY(referrer, curves::parse_address(said), "referrer_address");
    }
    const base::MutexLock one_at_a_time(making_);
    if (const auto there = current()) return adopt(*there, referrer, !said.empty());
    if (deps_.factory == Address{}) return tracker_refused(500, kUnset);
    if (referrer != Address{}) TRY_OK(deps_.chain.check_referrer(deps_.factory, referrer, deadline()));
    TRY(const auto shown, evidence(referrer));
    TRY(const auto made, deps_.chain.create(deps_.factory, referrer, shown, deadline()));
    const auto standing = deps_.chain.standing(made.contract, deadline(), made.receipt.block);
    if (!standing) return standing.error();
    if (standing->owner != deps_.account)
      return tracker::unseen_effect(made.receipt, "owner() is " + text_of(deps_.account));
    TRY_OK(keep(made.contract), "tracker.reputation is " + text_of(made.contract) + ", which could not be stored");
    if (standing->referrer != referrer) {
      return Error{Code::conflict, "the reputation " + text_of(made.contract) + " was made without its referrer",
                   text_of(referrer), text_of(standing->referrer)};
    }
    return initialised(made.contract, referrer, "Reputation contract initialized successfully");
  }

  Result<net::Response> enrol(const JsonValue& body) {
    TRY(const auto at, need());
    tracker::ReputationUser user;
    TRY(user.username, username_of(body));
    TRY(user.salt, tracker_text(body, "salt"));
    TRY(const auto hash, tracker_text(body, "password_hash"));
    if (user.username.empty() || hash.empty()) return tracker_refused(400, "Missing username or password_hash");
    const auto word = tracker::password_hash_word(hash);
    if (!word) return tracker_refused(400, word.error().text());
    user.password_hash = *word;
    TRY(user.download_size, size(body, "download_size"));
    TRY(user.upload_size, size(body, "upload_size"));
    TRY(const auto receipt, deps_.publisher.add(at, user, deadline()));
    return tracker_json(200, {{"success", true},
                              {"username", user.username},
                              {"tx_hash", text_of(receipt.transaction)},
                              {"message", "User registered on blockchain"}});
  }

  Result<net::Response> update(const JsonValue& body) {
    TRY(const auto at, need());
    TRY(const auto name, username_of(body));
    if (name.empty() || !body.find("download_size") || !body.find("upload_size"))
      return tracker_refused(400, "Missing username, download_size or upload_size");
    TRY(const auto down, size(body, "download_size"));
    TRY(const auto up, size(body, "upload_size"));
    TRY(const auto receipt, deps_.publisher.update(at, name, down, up, deadline()));
    return tracker_json(200, {{"success", true},
                              {"username", name},
                              {"download_size", down},
                              {"upload_size", up},
                              {"tx_hash", text_of(receipt.transaction)}});
  }

  Result<net::Response> migrate(const JsonValue& body) {
    TRY(const auto at, need());
    TRY(const auto name, username_of(body));
    if (name.empty()) return tracker_refused(400, "Missing username");
    const auto receipt = deps_.publisher.migrate(at, name, deadline());
    if (!receipt) {
      // He may have been moved nevertheless.
      if (receipt.error().code != base::Code::denied) deps_.recollection.want(name, tracker::Recollection::Turn::anew);
      return receipt.error();
    }
    return tracker_json(200, {{"success", true},
                              {"username", name},
                              {"tx_hash", text_of(receipt->transaction)},
                              {"message", "User data migrated successfully"}});
  }

  /// One member, or all whose sums are not on the chain, as many as there is time for; `next` says where to go on.
  Result<net::Response> publish(const JsonValue& body) {
    TRY(const auto at, need());
    TRY(const auto name, username_of(body));
    TRY(const auto after, tracker_text(body, "after"));
    if (!name.empty()) {
      TRY(const auto done, deps_.publisher.publish(at, name, deadline()));
      Round round;
      round.note(name, done);
      return round.answer(false);
    }
    TRY(const auto least, size(body, "least"));
    TRY(const auto said, size(body, "most"));
    const std::size_t most = said == 0 ? kMostPublished : std::min<std::uint64_t>(said, kMostPublished);
    TRY(const auto due, deps_.publisher.due(at, after, most, least));
    const auto enough = deps_.clock.steady() + kRound;
    Round round;
    for (const std::string& user : due) {
      const auto done = deps_.publisher.publish(at, user, deadline());
      if (done) {
        round.note(user, *done);
      } else if (base::http_status(done.error().code) >= 500) {
        return round.stopped(done.error());
      } else {
        round.refuse(user, done.error());
      }
      if (deps_.clock.steady() >= enough) return round.answer(user != due.back() || due.size() == most);
    }
    return round.answer(due.size() == most);
  }

  Result<net::Response> user(const std::string& name) {
    TRY(const auto at, need());
    if (name.size() > kMostName) return tracker_refused(404, "User not found");
    TRY(const auto found, deps_.chain.read(at, name, strangers_deadline()));
    if (!found) return tracker_refused(404, "User not found");
    // As the first tracker has it: infinite whenever nothing was downloaded.
    const bool infinite = found->download_size == 0;
    JsonOutObject user{{"username", found->username},
                       {"salt", found->salt},
                       {"passwordHash", text_of(found->password_hash)},
                       {"downloadSize", found->download_size},
                       {"uploadSize", found->upload_size},
                       {"ratio_infinite", infinite}};
    user.emplace_back("ratio", infinite ? JsonOut{nullptr}
                                        : JsonOut{static_cast<double>(found->upload_size) /
                                                  static_cast<double>(found->download_size)});
    return tracker_json(200, {{"success", true}, {"user", std::move(user)}, {"contract_address", text_of(at)}});
  }

  Result<net::Response> status() {
    const auto there = current();
    const auto maybe = [](const Address& address) {
      return address == Address{} ? JsonOut{nullptr} : JsonOut{text_of(address)};
    };
    return tracker_json(200, {{"configured", deps_.factory != Address{} || there},
                              {"connected", deps_.reader.head(strangers_deadline()).ok()},
                              {"rpc_url", deps_.endpoints},
                              {"account_address", text_of(deps_.account)},
                              {"factory_address", maybe(deps_.factory)},
                              {"reputation_address", maybe(there.value_or(Address{}))}});
  }

  SlowLane& lane() const noexcept { return deps_.lane; }
  FairLane& strangers() const noexcept { return deps_.strangers; }

 private:
  /// What has come of a publication.
  class Round {
   public:
    void note(const std::string& user, const tracker::Publication& done) {
      last_ = user;
      if (!done.receipt) return;
      published_.emplace_back(JsonOutObject{{"username", user},
                                            {"download_size", done.downloaded},
                                            {"upload_size", done.uploaded},
                                            {"tx_hash", text_of(done.receipt->transaction)}});
    }
    void refuse(const std::string& user, const Error& error) {
      last_ = user;
      refused_.emplace_back(JsonOutObject{{"username", user}, {"error", error.what}, {"detail", base::reason(error)}});
    }
    net::Response answer(bool more) {
      JsonOutObject body = take();
      body.emplace_back("success", true);
      body.emplace_back("next", more ? JsonOut{last_} : JsonOut{nullptr});
      return tracker_json(200, std::move(body));
    }
    /// An outage is no refusal of the members that were not reached.
    net::Response stopped(const Error& error) {
      JsonOutObject body = take();
      body.emplace_back("success", false);
      body.emplace_back("error", error.what);
      return tracker_json(base::http_status(error.code), std::move(body));
    }

   private:
    JsonOutObject take() { return {{"published", std::move(published_)}, {"refused", std::move(refused_)}}; }
    base::JsonOutArray published_, refused_;
    std::string last_;
  };

  Status load_current() {
    const base::MutexLock lock(mutex_);
    current_ = deps_.reputation;
    if (current_ != Address{}) return base::done();
    TRY(const auto view, deps_.store.read());
    TRY(const auto stored, view->get(reputation_key()));
    if (!stored) return base::done();
    TRY(base::Reader in, state::open_value(*stored, kVersion, "tracker's reputation"));
    TRY(current_, in.take_array<20>("address"));
    return in.finish("tracker's reputation");
  }

  base::Deadline strangers_deadline() const { return deps_.clock.steady() + kStrangersPatience; }
  base::Deadline deadline() const { return deps_.clock.steady() + kPatience; }
  std::optional<Address> current() const {
    const base::MutexLock lock(mutex_);
    return current_ == Address{} ? std::nullopt : std::optional{current_};
  }
  Result<Address> need() const {
    if (const auto there = current()) return *there;
    return Error{Code::malformed, std::string{kNoReputation}};
  }

  /// What is there already is taken as it is, or over when it is offered to this account.
  Result<net::Response> adopt(const Address& there, const Address& referrer, bool named) {
    TRY(auto standing, deps_.chain.standing(there, deadline()));
    const bool ours = standing.owner == deps_.account;
    if (!ours) {
      TRY(const auto shown, evidence(standing.referrer));
      TRY(const auto receipt, deps_.chain.take_over(there, deps_.account, shown, deadline()));
      TRY(standing, deps_.chain.standing(there, deadline(), receipt.block));
      if (standing.owner != deps_.account)
        return tracker::unseen_effect(receipt, "owner() is " + text_of(deps_.account));
      // Of what is another's nothing new is believed.
      deps_.recollection.follow(there);
    }
    if (named && referrer != standing.referrer) {
      return Error{Code::conflict, "the reputation " + text_of(there) + " has another referrer", text_of(referrer),
                   text_of(standing.referrer)};
    }
    return initialised(there, standing.referrer,
                       ours ? "Reputation contract was initialized before" : "Reputation contract taken over");
  }

  static net::Response initialised(const Address& at, const Address& referrer, std::string_view message) {
    return tracker_json(200, {{"success", true},
                              {"reputation_address", text_of(at)},
                              {"referrer_address", text_of(referrer)},
                              {"message", message}});
  }

  /// Names the account, so that nobody else's reputation can show it.
  Result<base::Bytes> evidence(const Address& referrer) const {
    if (!deps_.evidence) return base::Bytes{};
    const std::string payload = "PBTS-Tracker-v1.0:factory=" + text_of(deps_.factory) +
                                ":referrer=" + text_of(referrer) + ":owner=" + text_of(deps_.account);
    base::FixedBytes<64> data{};
    std::ranges::copy(crypto::sha256(base::as_bytes(payload)), data.begin());
    return deps_.evidence(data);
  }

  Status keep(const Address& made) {
    {
      const base::MutexLock lock(mutex_);
      current_ = made;
    }
    deps_.recollection.follow(made);
    return deps_.store.write_and_wait(
        [&](state::WriteTxn& txn) { return txn.put(reputation_key(), state::value(kVersion).raw(made).bytes()); },
        deadline());
  }

  const TrackerContractDeps& deps_;
  base::Mutex making_;
  mutable base::Mutex mutex_;
  Address current_ ATTESTRY_GUARDED_BY(mutex_){};
};

using Shared = std::shared_ptr<Contract>;
using Task = std::function<Result<net::Response>(Contract&, const net::Request&)>;

/// What administrators ask has threads of its own, which strangers' questions cannot fill.
net::Handler on_lane(const Shared& contract, const TrackerDeps& tracker, bool strangers, const Task& task) {
  return [contract, &tracker, strangers, task](net::Request request, net::Responder responder) {
    if (!contract) return responder.send(tracker_refused(500, kUnset));
    const std::string whose = strangers ? tracker_neighbours(tracker_client(request, tracker)) : std::string{};
    auto work = std::make_shared<TrackerWaiting>(std::move(request), std::move(responder));
    SlowLane::Task waiting = [contract, task, work] {
      auto done = task(*contract, work->request);
      work->responder.send(done ? *std::move(done) : tracker_refused(done.error()));
    };
    if (strangers) {
      contract->strangers().run(whose, waiting);
    } else {
      contract->lane().run(waiting);
    }
  };
}

using Write = Result<net::Response> (Contract::*)(const JsonValue&);
Task with_body(Write write) {
  return [write](Contract& contract, const net::Request& request) -> Result<net::Response> {
    net::Request copy = request;
    if (copy.body.empty()) copy.body = "{}";
    const auto body = net::json_body(copy, {.max_bytes = std::numeric_limits<std::uint32_t>::max()});
    if (!body) return tracker_refused(400, base::reason(body.error()));
    if (!(*body)->root().is_object()) return tracker_refused(400, "expected a JSON object");
    return (contract.*write)((*body)->root());
  };
}

net::Route route(net::Method method, std::string_view path, std::string_view id, std::string summary) {
  return {.method = method,
          .path = std::string{path},
          .role = net::Role::tracker,
          .auth = method == net::Method::post ? net::Auth::admin : net::Auth::none,
          .operation_id = "tracker_contract_" + std::string{id},
          .summary = std::move(summary),
          .tag = "tracker",
          .any_query = true,
          .consumes = {}};
}

}  // namespace

Status register_tracker_contract(net::Router& router, const TrackerDeps& tracker, const TrackerContractDeps* deps) {
  using net::Method;
  Shared contract;
  if (deps != nullptr) {
    contract = std::make_shared<Contract>(*deps);
    TRY_OK(contract->load());
  }
  const auto add = [&](Method method, std::string_view path, std::string_view id, std::string summary,
                       const Task& task) {
    auto one = route(method, path, id, std::move(summary));
    one.handler = on_lane(contract, tracker, method == Method::get, task);
    return router.add(std::move(one));
  };
  TRY_OK(add(Method::post, "/contract/init", "init", "Make this tracker's reputation, or take it over",
             with_body(&Contract::init)));
  TRY_OK(add(Method::post, "/contract/register", "register", "Add a member", with_body(&Contract::enrol)));
  TRY_OK(add(Method::post, "/contract/update", "update", "Set a member's sums", with_body(&Contract::update)));
  TRY_OK(add(Method::post, "/contract/migrate", "migrate", "Take a member over from the referrer",
             with_body(&Contract::migrate)));
  TRY_OK(add(
      Method::get, "/contract/user/{username}", "user", "A member as the chain has it",
      [](Contract& at, const net::Request& request) { return at.user(std::string{request.parameter("username")}); }));
  TRY_OK(add(Method::post, "/contract/publish", "publish", "Write what the ledger has of members",
             with_body(&Contract::publish)));
  return add(Method::get, "/contract/status", "status", "Whether there is a chain, and which contracts",
             [](Contract& at, const net::Request&) { return at.status(); });
}

}  // namespace attestry::api
