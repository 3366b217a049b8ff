#include "secrets/keystore_feed.h"

#include <algorithm>
#include <utility>

#include "secrets/keystore_rotation.h"
#include "secrets/keystore_service_release.h"
#include "state/spaces.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Status;
using state::Space;

namespace {

using Keys = std::set<base::Bytes>;

/// A transaction that remembers what was touched.
class Recorder final : public state::WriteTxn {
 public:
  Recorder(state::WriteTxn& inner, Keys& touched) : inner_(inner), touched_(touched) {}
  base::Result<std::optional<base::Bytes>> get(base::ByteView key) const override { return inner_.get(key); }
  Status scan(base::ByteView prefix, base::ByteView from, std::size_t limit, const Visitor& visit) const override {
    return inner_.scan(prefix, from, limit, visit);
  }
  Status put(base::ByteView key, base::ByteView value) override {
    TRY_OK(touch(key, value));
    return inner_.put(key, value);
  }
  Status erase(base::ByteView key) override {
    TRY_OK(touch(key, {}));
    return inner_.erase(key);
  }
  Status insert(base::ByteView key, base::ByteView value) override {
    TRY_OK(touch(key, value));
    return inner_.insert(key, value);
  }
  std::uint64_t batch() const noexcept override { return inner_.batch(); }

 private:
  Status touch(base::ByteView key, base::ByteView value) {
    if (!is_followed(key)) return base::done();
    // One that a standby cannot take would end its following for good.
    if (key.size() > kMostFollowedKey || value.size() > kMostFollowedValue) {
      return Error{Code::too_large, "a record of the keystore that its standby could not take",
                   std::to_string(kMostFollowedKey) + " and " + std::to_string(kMostFollowedValue) + " bytes",
                   std::to_string(key.size()) + " and " + std::to_string(value.size())};
    }
    touched_.insert(base::to_bytes(key));
    return base::done();
  }
  state::WriteTxn& inner_;
  Keys& touched_;
};

Error not_acknowledged() {
  return {Code::unavailable,
          "the standby has not confirmed the change in time",
          {},
          {},
          "It is kept here and may count already; ask again. See attestry keystore standby status."};
}

/// Runs `closure` once more from the start, and refuses what it may not change.
Status run(state::Store::Closure& closure, state::WriteTxn& txn, Keys& touched, bool free,
           const std::function<Status()>& may_serve) {
  touched.clear();
  Recorder recorder(txn, touched);
  TRY_OK(closure(recorder));
  if (!free && !touched.empty()) TRY_OK(may_serve());
  return base::done();
}

}  // namespace

bool is_followed(base::ByteView key) {
  if (key.empty()) return false;
  switch (static_cast<Space>(key[0])) {
    case Space::keystore_masters:
    case Space::keystore_sessions:
      return true;
    case Space::keystore_state:
      return !is_replica_state(key) && !is_recrypted(key);
    default:  // every other space is somebody else's
      return false;
  }
}

KeystoreFeed::KeystoreFeed(state::Store& inner, crypto::Random& random, KeystoreFeedOptions options)
    : inner_(inner), options_(std::move(options)), id_(random.bytes<16>()) {}

KeystoreFeed::~KeystoreFeed() { stop(); }

KeystoreFeed::Applying::Applying(KeystoreFeed& feed) : feed_(feed) {
  const std::scoped_lock lock(feed_.mutex_);
  feed_.applying_.insert(std::this_thread::get_id());
}
KeystoreFeed::Applying::~Applying() {
  const std::scoped_lock lock(feed_.mutex_);
  feed_.applying_.erase(std::this_thread::get_id());
}
bool KeystoreFeed::applying() const {
  const std::scoped_lock lock(mutex_);
  return applying_.contains(std::this_thread::get_id());
}

std::uint64_t KeystoreFeed::note(const Keys& keys) {
  if (keys.empty()) return 0;
  std::uint64_t number = 0;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& key : keys) {
      changes_.push_back({++last_, key});
      if (!is_used_evidence(key)) number = last_;
    }
    while (changes_.size() > options_.most_changes) {
      known_ = changes_.front().number;
      changes_.pop_front();
    }
  }
  changed_.notify_all();
  return number;
}

void KeystoreFeed::write(Closure closure, Completion completion) {
  auto touched = std::make_shared<Keys>();
  const bool free = applying();
  inner_.write(
      [this, touched, free, closure = std::move(closure)](state::WriteTxn& txn) mutable -> Status {
        return run(closure, txn, *touched, free, options_.may_serve);
      },
      [this, touched, free, completion = std::move(completion)](Status done) mutable {
        // Into the feed also when the commit is in doubt: the data may be there (state/store.h).
        const std::uint64_t number = note(*touched);
        if (number == 0 || !done || free) return completion(std::move(done));
        if (auto serves = options_.may_serve(); !serves) return completion(std::move(serves));
        if (!options_.sync()) return completion(std::move(done));
        {
          const std::scoped_lock lock(mutex_);
          if (!stopped_ && followed_ < number) {
            waiting_.push_back({number, options_.clock->steady() + options_.patience, std::move(completion)});
            return;
          }
          if (followed_ < number) done = not_acknowledged();
        }
        completion(std::move(done));
      });
}

Status KeystoreFeed::write_and_wait(Closure closure, base::Deadline deadline) {
  Keys touched;
  const bool free = applying();
  const auto done = inner_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status { return run(closure, txn, touched, free, options_.may_serve); }, deadline);
  const std::uint64_t number = note(touched);
  if (number == 0 || !done || free) return done;
  TRY_OK(options_.may_serve());
  if (!options_.sync()) return done;
  std::unique_lock lock(mutex_);
  const auto until = std::min(deadline, std::chrono::steady_clock::now() + options_.patience);
  acknowledged_.wait_until(lock, until, [&] { return stopped_ || followed_ >= number; });
  if (followed_ >= number) return done;
  return not_acknowledged();
}

KeystoreChanges KeystoreFeed::since(const ReplicaPosition& from) const {
  const std::scoped_lock lock(mutex_);
  KeystoreChanges out;
  out.until = {.feed = id_, .change = last_};
  if (from.feed != id_ || from.change < known_ || from.change > last_) {
    out.whole = out.masters = true;
    return out;
  }
  for (auto change = changes_.rbegin(); change != changes_.rend() && change->number > from.change; ++change) {
    if (static_cast<Space>(change->key[0]) == Space::keystore_masters) {
      out.masters = true;
    } else {
      out.keys.insert(change->key);
    }
  }
  return out;
}

void KeystoreFeed::wait_beyond(const ReplicaPosition& from, base::Deadline until) const {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, until, [&] { return stopped_ || from.feed != id_ || last_ != from.change; });
}

std::uint64_t KeystoreFeed::behind() const {
  const std::scoped_lock lock(mutex_);
  return last_ - followed_;
}

void KeystoreFeed::acknowledge(const ReplicaPosition& position) {
  std::vector<Completion> done;
  {
    const std::scoped_lock lock(mutex_);
    if (position.feed != id_ || position.change > last_) return;
    followed_ = std::max(followed_, position.change);
    while (!waiting_.empty() && waiting_.front().number <= followed_) {
      done.push_back(std::move(waiting_.front().completion));
      waiting_.pop_front();
    }
  }
  acknowledged_.notify_all();
  for (auto& completion : done) completion(base::done());
}

void KeystoreFeed::expire() {
  std::vector<Completion> late;
  {
    const std::scoped_lock lock(mutex_);
    const auto now = options_.clock->steady();
    while (!waiting_.empty() && (stopped_ || waiting_.front().until <= now)) {
      late.push_back(std::move(waiting_.front().completion));
      waiting_.pop_front();
    }
  }
  for (auto& completion : late) completion(not_acknowledged());
}

void KeystoreFeed::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  acknowledged_.notify_all();
  expire();
}

}  // namespace attestry::secrets
