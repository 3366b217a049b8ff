// How a request notices that the rules it was judged by (policies, namespaces, mounts) are not what they were: it is
// judged on a worker by what is held in memory, and released in a transaction (docs/formats/vault.md).
#pragma once
#include <atomic>
#include <cstdint>
#include <optional>

namespace attestry::secrets {

/// Thread-safe. Changes begin in their transaction, on the committer's thread, and end when memory has caught up.
class RuleChanges {
 public:
  /// To be asked before a request is judged. None while a change is on its way.
  std::optional<std::uint64_t> now() const noexcept {
    const auto ended = ended_.load();
    if (begun_.load() != ended) return std::nullopt;
    return ended;
  }
  /// In the transaction: whether no change began since.
  bool none_since(std::optional<std::uint64_t> seen) const noexcept { return seen && *seen == begun_.load(); }
  void begin() noexcept { ++begun_; }
  /// Not called when memory could not catch up: then every request is judged in its transaction from there on.
  void end() noexcept { ++ended_; }

 private:
  std::atomic<std::uint64_t> begun_{0};
  std::atomic<std::uint64_t> ended_{0};
};

}  // namespace attestry::secrets
