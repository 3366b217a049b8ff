#include "blobs/multi.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "base/encoding.h"
#include "base/log.h"
#include "base/mutex.h"
#include "crypto/hash.h"

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;
using std::chrono::milliseconds;
using Bytes = std::shared_ptr<const base::Bytes>;

constexpr std::size_t kIdDigits = 16;
constexpr int kGrace = 20;  // of a deadline: a call that ends at it may still say why
constexpr std::size_t kMaxNegative = 4096;
constexpr std::size_t kMaxFlights = 256;  // before old ones are looked for
constexpr milliseconds kFirstPenalty{1000};
constexpr int kMaxDoublings = 5;

bool nobody_knows(Code code) { return code != Code::not_found && code != Code::corrupt; }

/// One backend and how it has been lately.
struct Member {
  explicit Member(std::unique_ptr<BlobStore> given) : store(std::move(given)) {}
  const std::shared_ptr<BlobStore> store;
  std::atomic<int> failures{0};
  std::atomic<base::Deadline::rep> penalty_until{0};

  bool sour(base::Deadline now) const { return now.time_since_epoch().count() < penalty_until.load(); }
  /// After a failure it is asked last for a while, longer each time; a success forgives everything.
  void note(bool good, base::Deadline now) {
    if (good) {
      failures = 0;
      penalty_until = 0;
      return;
    }
    const int doublings = std::min(failures++, kMaxDoublings);
    penalty_until = (now + kFirstPenalty * (1 << doublings)).time_since_epoch().count();
  }
};
using Members = std::vector<std::shared_ptr<Member>>;

/// Without the remedy: one of the whole list is enough. Errors mostly begin with the name of their backend already.
std::string brief(const BlobStore& store, const Error& error) {
  const auto name = store.name() + ": ";
  auto out = error.what.starts_with(name) ? error.what : name + error.what;
  if (!error.found.empty()) out.append(" (").append(error.found).append(")");
  return out;
}

/// Several failures as one, named after what can be concluded from them.
Error joined(const char* action, const base::Digest32& id, const Members& members,
             const std::vector<std::optional<Error>>& errors) {
  Error out{Code::not_found,
            std::string{"all backends failed to "} + action + " " + base::hex(id).substr(0, kIdDigits) + ": ["};
  bool away = false;
  bool corrupt = false;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto& error = errors[i];
    away = away || !error || nobody_knows(error->code);
    corrupt = corrupt || (error && error->code == Code::corrupt);
    out.what.append(i == 0 ? "" : "; ");
    out.what.append(brief(*members[i]->store, error.value_or(Error{Code::unavailable, "no answer yet"})));
    if (error && out.remedy.empty()) out.remedy = error->remedy;
    if (error && members.size() == 1) out.expected = error->expected;
  }
  out.what.append("]");
  if (away) {
    out.code = Code::unavailable;
  } else if (corrupt) {
    out.code = Code::corrupt;
  }
  return out;
}

/// One read by however many callers at once. Whoever waits starts the next backend when its time has come, and so does
/// whoever sees one fail.
class Flight : public std::enable_shared_from_this<Flight> {
 public:
  Flight(Place place, const base::Digest32& id, const Members& members, std::vector<std::size_t> order,
         std::shared_ptr<Lanes> lanes, const MultiOptions& options)
      : place_(std::move(place)),
        id_(id),
        members_(members),
        order_(std::move(order)),
        lanes_(std::move(lanes)),
        hedge_(options.hedge),
        limit_(options.backend_deadline),
        clock_(options.clock),
        errors_(members.size()) {}

  /// Asks the first backend, so that several flights are under way before anybody waits for one.
  void start() {
    const base::MutexLock lock{mutex_};
    if (started_ == 0 && !order_.empty()) start_next(clock_->steady());
  }

  /// Starts the next backend when its time has come. When there will be another one to start, if nothing arrives.
  base::Deadline tend() {
    const base::MutexLock lock{mutex_};
    const auto now = clock_->steady();
    start_due(now);
    return answer_ || started_ == order_.size() ? base::Deadline::max() : next_start_;
  }

  /// `tend_others` does the same for what else the caller is going to wait for; nothing is locked meanwhile, because
  /// two callers may wait for the same flights in different orders.
  base::Result<Bytes> wait(base::Deadline deadline, const std::function<base::Deadline()>& tend_others) {
    for (;;) {
      const auto others = tend_others();
      const base::MutexLock lock{mutex_};
      const auto now = clock_->steady();
      start_due(now);
      if (answer_) return answer_;
      // A call that still waits in its lane at its deadline has failed, whoever holds the lane.
      const bool all_late = now >= last_deadline_ + limit_ / kGrace;
      if (started_ == order_.size() && (outstanding_ == 0 || all_late)) return failure();
      if (now >= deadline) {
        auto error = failure();
        error.code = Code::deadline_exceeded;
        return error;
      }
      const auto mine = started_ < order_.size() ? next_start_ : last_deadline_ + limit_ / kGrace;
      // A deadline without end is more than some standard libraries can wait for.
      changed_.wait_until(mutex_, std::min({deadline, mine, others, now + std::chrono::hours{1}}));
    }
  }

  void finish(std::size_t which, base::Result<base::Bytes> result) {
    auto& member = *members_[which];
    member.note(result.ok() || !nobody_knows(result.error().code), clock_->steady());
    const base::MutexLock lock{mutex_};
    --outstanding_;
    if (!result.ok()) {
      report(*member.store, result.error());
      errors_[which] = std::move(result).error();
    } else if (!answer_) {
      answer_ = std::make_shared<const base::Bytes>(*std::move(result));
    }
    start_due(clock_->steady());  // whoever waits may be waiting for another flight
    changed_.notify_all();
  }

  /// Nobody needs to ask anew: it has an answer, or all have failed.
  bool over() {
    const base::MutexLock lock{mutex_};
    return answer_ || (started_ == order_.size() && outstanding_ == 0);
  }

 private:
  /// A backend that holds something else is worth a line even where another one has the right bytes.
  static void report(const BlobStore& store, const Error& error) {
    if (error.code != Code::corrupt) return;
    base::log(base::LogLevel::warning, "blob: corrupt content",
              {{"backend", store.uri()}, {"error", brief(store, error)}});
  }

  Error failure() ATTESTRY_REQUIRES(mutex_) { return joined("fetch", id_, members_, errors_); }

  void start_due(base::Deadline now) ATTESTRY_REQUIRES(mutex_) {
    while (!answer_ && started_ < order_.size() && (outstanding_ == 0 || now >= next_start_)) start_next(now);
  }

  void start_next(base::Deadline now) ATTESTRY_REQUIRES(mutex_) {
    const auto which = order_[started_++];
    next_start_ = now + hedge_;
    ++outstanding_;
    const auto store = members_[which]->store;
    const auto deadline = now + limit_;
    last_deadline_ = deadline;
    const auto lane = place_.tenant.text() + " " + place_.app.text() + " " + store->uri();
    auto self = shared_from_this();
    const auto queued = lanes_->run(lane, deadline, [self, store, which, deadline](bool late) {
      if (late) {
        self->finish(which, Error{Code::deadline_exceeded, "waited too long for a place in its queue"});
      } else {
        self->finish(which, store->get(self->place_, self->id_, deadline));
      }
    });
    if (queued) return;
    --outstanding_;
    errors_[which] = queued.error();
  }

  const Place place_;
  const base::Digest32 id_;
  const Members members_;
  const std::vector<std::size_t> order_;
  const std::shared_ptr<Lanes> lanes_;
  const milliseconds hedge_;
  const milliseconds limit_;
  const base::Clock* const clock_;

  base::Mutex mutex_;
  std::condition_variable_any changed_;
  std::size_t started_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  std::size_t outstanding_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  base::Deadline next_start_ ATTESTRY_GUARDED_BY(mutex_){};
  base::Deadline last_deadline_ ATTESTRY_GUARDED_BY(mutex_){};
  std::vector<std::optional<Error>> errors_ ATTESTRY_GUARDED_BY(mutex_);
  Bytes answer_ ATTESTRY_GUARDED_BY(mutex_);
};

/// Writes to all backends at once, and their outcomes.
class Landing : public std::enable_shared_from_this<Landing> {
 public:
  explicit Landing(std::size_t backends) : open_(backends), results_(backends) {}

  void finish(std::size_t which, base::Status status) {
    const base::MutexLock lock{mutex_};
    results_[which] = std::move(status);
    --open_;
    changed_.notify_all();
  }

  std::vector<std::optional<base::Status>> wait(base::Deadline deadline, const base::Clock& clock) {
    const base::MutexLock lock{mutex_};
    for (auto now = clock.steady(); open_ > 0 && now < deadline; now = clock.steady()) {
      changed_.wait_until(mutex_, std::min(deadline, now + std::chrono::hours{1}));
    }
    return results_;
  }

 private:
  base::Mutex mutex_;
  std::condition_variable_any changed_;
  std::size_t open_ ATTESTRY_GUARDED_BY(mutex_);
  std::vector<std::optional<base::Status>> results_ ATTESTRY_GUARDED_BY(mutex_);
};

base::Status put_status(BlobStore& store, const Place& place, const base::Bytes& bytes, const base::Digest32& id,
                        base::Deadline deadline) {
  TRY(const auto got, store.put(place, bytes, deadline));
  if (got == id) return base::done();
  return Error{Code::unavailable, store.name() + " stored the content under another id", base::hex(id), base::hex(got)};
}

class Multi final : public MultiStore {
 public:
  Multi(std::vector<std::unique_ptr<BlobStore>> stores, MultiOptions options) : options_(std::move(options)) {
    for (auto& store : stores) members_.push_back(std::make_shared<Member>(std::move(store)));
    if (!options_.lanes) options_.lanes = std::make_shared<Lanes>();
  }

  std::string name() const override { return "multi-storage"; }
  std::string uri() const override {
    std::string out;
    for (const auto& member : members_) out.append(out.empty() ? "multi:[" : ",").append(member->store->uri());
    return out + "]";
  }

  base::Result<base::Bytes> get(const Place& place, const base::Digest32& id, base::Deadline deadline) override {
    if (options_.cache) {
      if (const auto kept = options_.cache->find(place, id)) return *kept;
    }
    const Key key{place, id};
    TRY(const auto flight, join(key));
    return land(key, flight, deadline, [] { return base::Deadline::max(); });
  }

  std::vector<base::Result<base::Bytes>> get_many(std::span<const Wanted> wanted, base::Deadline deadline) override {
    struct Under {
      std::shared_ptr<const base::Bytes> kept;
      base::Result<std::shared_ptr<Flight>> flight;
    };
    std::vector<Under> under;
    under.reserve(wanted.size());
    for (const Wanted& one : wanted) {
      auto kept = options_.cache ? options_.cache->find(one.place, one.id) : nullptr;
      auto flight = kept ? base::Result<std::shared_ptr<Flight>>{nullptr} : join(Key{one.place, one.id});
      if (flight.ok() && *flight) (*flight)->start();
      under.push_back({std::move(kept), std::move(flight)});
    }
    std::vector<base::Result<base::Bytes>> out;
    out.reserve(wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (under[i].kept) {
        out.emplace_back(*under[i].kept);
      } else if (!under[i].flight.ok()) {
        out.emplace_back(under[i].flight.error());
      } else {
        const auto tend_later = [&under, i] {
          auto next = base::Deadline::max();
          for (std::size_t later = i + 1; later < under.size(); ++later) {
            if (under[later].flight.ok() && *under[later].flight) {
              next = std::min(next, (*under[later].flight)->tend());
            }
          }
          return next;
        };
        out.push_back(land(Key{wanted[i].place, wanted[i].id}, *under[i].flight, deadline, tend_later));
      }
    }
    return out;
  }

  base::Result<base::Digest32> put(const Place& place, base::ByteView bytes, base::Deadline deadline) override {
    TRY_OK(put_all(place, bytes, deadline));
    return base::Digest32{crypto::sha256(bytes)};
  }

  base::Result<std::vector<PutOutcome>> put_all(const Place& place, base::ByteView bytes,
                                                base::Deadline deadline) override {
    const base::Digest32 id = crypto::sha256(bytes);
    const auto shared = std::make_shared<const base::Bytes>(base::to_bytes(bytes));
    const auto landing = std::make_shared<Landing>(members_.size());
    const auto limit = std::min(deadline, options_.clock->steady() + options_.backend_deadline);
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const auto store = members_[i]->store;
      // Not the lane of reads: a write that hangs must not keep them waiting.
      const auto lane = "put " + place.tenant.text() + " " + place.app.text() + " " + store->uri();
      const auto queued = options_.lanes->run(lane, limit, [landing, store, place, shared, id, limit, i](bool late) {
        landing->finish(i,
                        late ? base::Status{Error{Code::deadline_exceeded, "waited too long for a place in its queue"}}
                             : put_status(*store, place, *shared, id, limit));
      });
      if (!queued) landing->finish(i, queued);
    }
    return outcomes(place, id, bytes, landing->wait(limit, *options_.clock));
  }

  base::Status check(base::Deadline deadline) override {
    std::vector<std::optional<Error>> errors(members_.size());
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const auto status = members_[i]->store->check(deadline);
      if (status) return status;
      errors[i] = status.error();
    }
    return joined("answer for", base::Digest32{}, members_, errors);
  }

  base::Result<std::vector<base::Digest32>> list(const Place& place, base::Deadline deadline) override {
    std::set<base::Digest32> ids;
    std::optional<Error> last;
    bool any = false;
    for (const auto& member : members_) {
      const auto found = member->store->list(place, deadline);
      any = any || found.ok();
      if (found) ids.insert(found->begin(), found->end());
      if (!found) last = found.error();
    }
    if (!any) return *last;
    return std::vector<base::Digest32>{ids.begin(), ids.end()};
  }

 private:
  struct Key {
    Place place;
    base::Digest32 id;
    friend auto operator<=>(const Key&, const Key&) = default;
  };

  base::Result<base::Bytes> land(const Key& key, const std::shared_ptr<Flight>& flight, base::Deadline deadline,
                                 const std::function<base::Deadline()>& tend_others) {
    const auto got = flight->wait(deadline, tend_others);
    const bool led = leave(key, flight, got);
    if (!got) return got.error();
    if (led && options_.cache) options_.cache->keep(key.place, key.id, **got);
    return **got;
  }

  /// Those that failed a moment ago come last, else as they were given.
  std::vector<std::size_t> order() const {
    std::vector<std::size_t> out;
    std::vector<std::size_t> last;
    const auto now = options_.clock->steady();
    for (std::size_t i = 0; i < members_.size(); ++i) (members_[i]->sour(now) ? last : out).push_back(i);
    out.insert(out.end(), last.begin(), last.end());
    return out;
  }

  base::Result<std::shared_ptr<Flight>> join(const Key& key) {
    const base::MutexLock lock{mutex_};
    const auto known = absent_.find(key);
    if (known != absent_.end() && options_.clock->steady() < known->second.first) return known->second.second;
    if (known != absent_.end()) absent_.erase(known);
    // Callers that could not wait leave their flights behind.
    if (flights_.size() >= kMaxFlights) {
      std::erase_if(flights_, [](const auto& entry) { return entry.second->over(); });
    }
    auto& flight = flights_[key];
    if (!flight || flight->over()) {
      flight = std::make_shared<Flight>(key.place, key.id, members_, order(), options_.lanes, options_);
    }
    return flight;
  }

  /// True for the first caller that takes a finished flight away.
  bool leave(const Key& key, const std::shared_ptr<Flight>& flight, const base::Result<Bytes>& got) {
    const bool over = flight->over();
    const base::MutexLock lock{mutex_};
    const auto found = flights_.find(key);
    const bool mine = over && found != flights_.end() && found->second == flight;
    if (mine) flights_.erase(found);
    if (!got && got.error().code == Code::not_found && options_.negative.count() > 0) {
      if (absent_.size() >= kMaxNegative) absent_.clear();
      absent_.insert_or_assign(key, std::pair{options_.clock->steady() + options_.negative, got.error()});
    }
    return mine;
  }

  base::Result<std::vector<PutOutcome>> outcomes(const Place& place, const base::Digest32& id, base::ByteView bytes,
                                                 const std::vector<std::optional<base::Status>>& results) {
    std::vector<PutOutcome> out;
    std::vector<std::optional<Error>> errors(members_.size());
    bool any = false;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const auto& store = *members_[i]->store;
      auto status = results[i].value_or(Error{Code::deadline_exceeded, "no answer in time"});
      any = any || status.ok();
      if (!status) errors[i] = status.error();
      out.push_back({.name = store.name(), .uri = store.uri(), .status = std::move(status)});
    }
    {
      const base::MutexLock lock{mutex_};
      absent_.erase(Key{place, id});
    }
    if (!any) return not_stored(id, errors);
    if (options_.cache) options_.cache->keep(place, id, bytes);
    return out;
  }

  /// What one backend alone says keeps its code: too large, read-only.
  Error not_stored(const base::Digest32& id, const std::vector<std::optional<Error>>& errors) const {
    auto error = joined("store", id, members_, errors);
    error.code = errors.front()->code;
    for (const auto& other : errors) {
      if (other->code != error.code) error.code = Code::unavailable;
    }
    return error;
  }

  MultiOptions options_;
  Members members_;
  base::Mutex mutex_;
  std::map<Key, std::shared_ptr<Flight>> flights_ ATTESTRY_GUARDED_BY(mutex_);
  std::map<Key, std::pair<base::Deadline, Error>> absent_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace

base::Result<std::unique_ptr<MultiStore>> make_multi(std::vector<std::unique_ptr<BlobStore>> stores,
                                                     MultiOptions options) {
  if (stores.empty()) return Error{Code::configuration, "no valid storage backends created"};
  return std::unique_ptr<MultiStore>{std::make_unique<Multi>(std::move(stores), std::move(options))};
}

OpenedStores open_all(std::span<const std::string> uris, StoreContext& context,
                      const std::function<void(std::string_view uri, StoreContext&)>& prepare) {
  OpenedStores out;
  for (const auto& uri : uris) {
    if (prepare) prepare(uri, context);
    auto store = open_store(uri, context);
    if (store) {
      out.stores.push_back(*std::move(store));
    } else {
      out.refused.emplace_back(shown_uri(uri), std::move(store).error());
    }
  }
  return out;
}

}  // namespace attestry::blobs
