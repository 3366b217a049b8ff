// How many large messages a node holds at a time, so that those who may send them cannot fill its memory together.
#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::cluster {

/// Thread-safe; outlives its permits.
class LargeMessages {
 public:
  static constexpr std::size_t kLarge = 1U << 20U;  ///< bytes: a message with more is large
  static constexpr std::size_t kOfMembers = 2;      ///< at a time, each of another node
  static constexpr std::size_t kOfOthers = 1;

  struct GiveBack {
    LargeMessages* from = nullptr;
    void operator()(const base::FixedBytes<32>* sender) const noexcept;
  };
  /// For one message, as long as this lives.
  using Permit = std::unique_ptr<const base::FixedBytes<32>, GiveBack>;

  /// Waits for one. `unavailable` when there is none until `deadline`.
  base::Result<Permit> wait(const base::FixedBytes<32>& sender, bool is_member, base::Deadline deadline);

 private:
  struct Holder {
    const base::FixedBytes<32>* sender = nullptr;
    bool is_member = false;
  };
  std::mutex mutex_;  // std::mutex: a condition variable waits on it
  std::condition_variable given_back_;
  std::vector<Holder> held_;
};

}  // namespace attestry::cluster
