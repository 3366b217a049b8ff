#include "app/signals.h"

#include <csignal>

#include "app/resting.h"

namespace attestry::app {

void block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

bool wait_for_stop_signal(std::chrono::milliseconds patience) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(patience);
  const timespec limit{.tv_sec = static_cast<time_t>(seconds.count()),
                       .tv_nsec = static_cast<long>((patience - seconds).count() * 1'000'000)};
  return sigtimedwait(&set, nullptr, &limit) > 0;
}

void wait_for_stop_signal() {
  constexpr std::chrono::seconds kLook{5};
  Resting resting;
  while (!wait_for_stop_signal(kLook)) {
    if (resting.begins(process_cpu_time(), kLook)) give_back_code();
  }
}

}  // namespace attestry::app
