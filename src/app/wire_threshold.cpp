#include "app/wire_threshold.h"

#include <algorithm>
#include <chrono>

#include "base/log.h"
#include "state/keys.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using std::chrono::seconds;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMostSource = 1024;
constexpr seconds kStorePatience{30};
constexpr seconds kSoonest{1}, kLatest{15};
constexpr std::string_view kPart = "threshold root";

state::Key source_key() { return state::Key(state::Space::bootstrap).lp("key source"); }

}  // namespace

Status check_key_source(state::Store& store, const audit::Log& log, const ThresholdSettings& said) {
  const std::string now = said.used ? "threshold " + said.master_public_key : "local";
  TRY(const auto view, store.read());
  TRY(const auto stored, view->get(source_key()));
  std::string before;
  if (stored) {
    TRY(auto in, state::open_value(*stored, kVersion, "key source"));
    TRY(const auto text, in.lp("key source", kMostSource));
    before = base::as_text(text);
  } else if (log.head().size > 0) {
    before = "local";  // data folders have begun so before there was another one
  } else if (!said.used) {
    return base::done();
  }
  if (before == now) return base::done();
  if (!before.empty()) {
    return Error{Code::configuration,
                 "keys.source and threshold.master_public_key differ from what this data folder has", before, now,
                 "Every app would get other keys. Set them back, or start with an empty data folder."};
  }
  auto value = state::value(kVersion);
  value.lp(now);
  return store.write_and_wait([&](state::WriteTxn& txn) { return txn.put(source_key(), value.bytes()); },
                              std::chrono::steady_clock::now() + kStorePatience);
}

Result<std::unique_ptr<ThresholdKeys>> ThresholdKeys::open(const Settings& settings, const ThresholdSettings& said,
                                                           ThresholdKeysParts parts) {
  std::unique_ptr<ThresholdKeys> out{new ThresholdKeys(said, parts)};
  keys::CkdSource* source = parts.instead;
  if (source == nullptr) {
    TRY(out->source_, ThresholdSource::open(settings, said, parts.source), "threshold root");
    source = out->source_.get();
  }
  parts.health.set(std::string{kPart}, false, "its nodes were not asked yet");
  out->root_ = std::make_unique<keys::ThresholdRoot>(
      *source, parts.source.clock,
      keys::ThresholdRootOptions{.patience = said.patience,
                                 .on_change = [&health = parts.health](const Status& status) {
                                   health.set(std::string{kPart}, status.ok(), status ? "" : status.error().text());
                                   if (status) return base::log(base::LogLevel::info, "the threshold root answers", {});
                                   base::log(base::LogLevel::warning, "the threshold root does not answer",
                                             {{"reason", status.error().text()}});
                                 }});
  base::log(base::LogLevel::info, "keys of apps come from a threshold root; this server sees those that it gives out",
            {{"master_public_key", said.master_public_key}});
  out->watching_ = std::thread([keys = out.get()] { keys->watch(); });
  return out;
}

/// Until the nodes answer, and from the time on when they do not: whoever balances requests must see it.
void ThresholdKeys::watch() {
  bool answered = false;
  seconds pause = kSoonest;
  std::unique_lock lock{mutex_};
  while (!stopping_) {
    lock.unlock();
    if (!answered || !root_->answers()) {
      answered = root_->check(std::chrono::steady_clock::now() + said_.patience).ok();
      if (answered) parts_.health.set(std::string{kPart}, true);
      pause = answered ? kSoonest : std::min(2 * pause, kLatest);
    }
    lock.lock();
    wake_.wait_for(lock, pause, [this] { return stopping_; });
  }
}

void ThresholdKeys::stop_asking() {
  {
    const std::scoped_lock lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_all();
  if (source_) source_->stop();
}

void ThresholdKeys::stop() {
  stop_asking();
  if (watching_.joinable()) watching_.join();
  if (!stopped_) lane_.stop();
  stopped_ = true;
}

}  // namespace attestry::app
