#include "state/internal/wal_keeper.h"

#include <utility>

#include "base/log.h"

namespace attestry::state {
namespace {

/// A failure costs disk space and nothing else: the log keeps what could not be copied, and the next one tries again.
void checkpoint(Connection& connection) {
  const base::Status status = connection.checkpoint();
  if (!status) base::log(base::LogLevel::warning, "checkpoint of the store", {{"error", status.error().text()}});
}

}  // namespace

WalKeeper::WalKeeper(std::unique_ptr<Connection> connection)
    : connection_(std::move(connection)), thread_([this] { loop(); }) {}

WalKeeper::~WalKeeper() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void WalKeeper::committed(Connection& writer) {
  const int before = std::exchange(pages_, writer.wal_pages());
  if (pages_ < before) next_at_ = kStep;  // the log has begun again
  if (pages_ < next_at_) return;
  if (pages_ >= kTooLong) return checkpoint(writer);
  next_at_ = pages_ + kStep;
  {
    const std::lock_guard lock(mutex_);
    due_ = true;
  }
  wake_.notify_one();
}

void WalKeeper::loop() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || due_; });
      if (stopping_) return;
      due_ = false;
    }
    checkpoint(*connection_);
  }
}

}  // namespace attestry::state
