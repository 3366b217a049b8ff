#include "tracker/recollection.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace attestry::tracker {

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
    asked_.clear();
  }
  wake_.notify_all();
}

void Recollection::want(std::string_view user_id) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.contains(user_id) || names_.size() >= options_.waiting) return;
    const auto asked = asked_.find(user_id);
    if (asked != asked_.end() && clock_.steady() < asked->second + options_.again) return;
    waiting_.emplace(user_id);
    names_.emplace_back(user_id);
  }
  wake_.notify_all();
}

void Recollection::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (names_.empty() || contract_ == chain::Address{}) {
      wake_.wait(lock);
    } else {
      ask_next(lock);
    }
  }
}

void Recollection::ask_next(std::unique_lock<std::mutex>& lock) {
  const std::string name = std::move(names_.front());
  names_.pop_front();
  const chain::Address at = contract_;
  lock.unlock();
  const auto done = publisher_.recall(at, name, clock_.steady() + options_.patience);
  lock.lock();
  if (!done && base::http_status(done.error().code) >= 500) {
    // An outage; behind the others, should it be this one's alone.
    names_.push_back(name);
    if (pause_ == std::chrono::milliseconds{0}) {
      base::log(base::LogLevel::warning, "what members have from former trackers is not known at the moment",
                {{"reason", done.error().text()}});
    }
    pause_ = std::clamp(2 * pause_, options_.first_pause, options_.longest_pause);
    wake_.wait_for(lock, pause_, [this] { return stopping_; });
    return;
  }
  pause_ = std::chrono::milliseconds{0};
  waiting_.erase(name);
  // Not of a contract that is followed no longer.
  if (at != contract_) return;
  if (asked_.size() >= 10 * options_.waiting) asked_.clear();
  asked_.insert_or_assign(name, clock_.steady());
}

}  // namespace attestry::tracker
