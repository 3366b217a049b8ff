#include "tracker/recollection.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace attestry::tracker {

using Steady = std::chrono::steady_clock;

namespace {

/// What may be another answer later. A contract that is another account's: it may be offered, or a take-over not final.
bool is_for_now(const base::Error& error) {
  return base::http_status(error.code) >= 500 || error.code == base::Code::denied;
}

}  // namespace

Recollection::Recollection(Publisher& publisher, const base::Clock& clock, RecollectionOptions options)
    : publisher_(publisher), clock_(clock), options_(options), thread_([this] { run(); }) {}

void Recollection::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Recollection::follow(const chain::Address& contract) {
  {
    const std::lock_guard lock(mutex_);
    contract_ = contract;
    ++followed_;
    asked_.clear();
    asked_order_.clear();
    pause_ = std::chrono::milliseconds{0};
    fresh_at_ = failed_at_ = {};
  }
  wake_.notify_all();
}

void Recollection::want(std::string_view user_id, Turn turn) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = places_.find(user_id);
    if (turn == Turn::anew) {
      if (found != places_.end() && found->second == Place::first) return;
    } else {
      const bool before = found != places_.end() && found->second == Place::last && turn == Turn::first;
      if (found != places_.end() && !before) return;
      const auto asked = asked_.find(user_id);
      if (asked != asked_.end() && clock_.steady() < asked->second + options_.again) return;
    }
    auto& queue = turn == Turn::last ? last_ : first_;
    if (queue.size() >= options_.waiting) return;
    queue.emplace_back(user_id);
    places_.insert_or_assign(std::string{user_id}, turn == Turn::last ? Place::last : Place::first);
  }
  wake_.notify_all();
}

void Recollection::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (contract_ == chain::Address{}) {
      wake_.wait(lock);
      continue;
    }
    const bool fresh = !first_.empty() || !last_.empty();
    if (!fresh && failed_.empty()) {
      wake_.wait(lock);
      continue;
    }
    // Whoever fails again and again holds nobody up who comes.
    if (const Time at = fresh ? fresh_at_ : failed_at_; Steady::now() < at) {
      wake_.wait_until(lock, at);
      continue;
    }
    auto& queue = !first_.empty() ? first_ : fresh ? last_ : failed_;
    const auto place = !first_.empty() ? Place::first : fresh ? Place::last : Place::failed;
    if (const auto name = take(queue, place)) ask(lock, *name, fresh);
  }
}

std::optional<std::string> Recollection::take(std::deque<std::string>& queue, Place place) {
  std::string name = std::move(queue.front());
  queue.pop_front();
  const auto found = places_.find(name);
  if (found == places_.end() || found->second != place) return std::nullopt;
  found->second = Place::asking;
  return name;
}

void Recollection::ask(std::unique_lock<std::mutex>& lock, const std::string& name, bool fresh) {
  const chain::Address at = contract_;
  const auto followed = followed_;
  lock.unlock();
  const bool of_chain = !publisher_.is_settled(name);
  const auto done = publisher_.recall(at, name, clock_.steady() + options_.patience);
  lock.lock();
  const bool answered = done || !is_for_now(done.error());
  if (answered && of_chain && (down_ || !fresh)) {
    // The chain is back, or somebody's referrer.
    down_ = false;
    pause_ = std::chrono::milliseconds{0};
    failed_at_ = {};
  }
  const auto found = places_.find(name);
  // Wanted anew meanwhile.
  if (found->second != Place::asking) return;
  if (followed != followed_) {
    found->second = Place::first;
    first_.push_back(name);
  } else if (answered) {
    places_.erase(found);
    note_asked(name);
  } else {
    found->second = Place::failed;
    put_off(name, fresh, done.error());
  }
}

void Recollection::put_off(const std::string& name, bool fresh, const base::Error& why) {
  failed_.push_back(name);
  if (failed_.size() > options_.failed) {
    const auto oldest = places_.find(failed_.front());
    if (oldest != places_.end() && oldest->second == Place::failed) places_.erase(oldest);
    failed_.pop_front();
  }
  pause_ = std::clamp(2 * pause_, options_.first_pause, options_.longest_pause);
  failed_at_ = Steady::now() + pause_;
  if (!fresh) return;
  fresh_at_ = Steady::now() + options_.first_pause;
  // Once for each outage, and not for those that go on failing after it.
  if (!std::exchange(down_, true)) {
    base::log(base::LogLevel::warning, "what members have from former trackers is not known at the moment",
              {{"reason", why.text()}});
  }
}

void Recollection::note_asked(const std::string& name) {
  const auto now = clock_.steady();
  asked_.insert_or_assign(name, now);
  asked_order_.emplace_back(now, name);
  while (!asked_order_.empty() &&
         (asked_.size() > options_.remembered || asked_order_.front().first + options_.again <= now)) {
    const auto& [when, oldest] = asked_order_.front();
    // Unless it was asked for once more since.
    const auto found = asked_.find(oldest);
    if (found != asked_.end() && found->second == when) asked_.erase(found);
    asked_order_.pop_front();
  }
}

}  // namespace attestry::tracker
