// Derives an application's key with the help of enough nodes, names those who answer wrongly, and goes on without them.
// Thread-safe. It blocks until `deadline` or until all who are asked have answered; they are asked at once, in threads
// of their own, and all of those have ended when it returns. Whatever is passed, and what `find` gives, must live until
// then.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "cluster/change.h"
#include "cluster/peers.h"
#include "keys/ckd.h"

namespace attestry::cluster {

struct Derived {
  keys::ckd::Ciphertext answer;
  std::uint32_t epoch = 0;
  std::vector<std::uint32_t> participants;
  std::vector<Failing> failing;  ///< who was asked and did not answer, or answered wrongly
};

/// What whoever asks for a derivation may hear of a node that failed: no words of the node, or of the way to it, which
/// tell strangers where nodes are and what ails them. Operators see those with `attestry node status`.
std::string without(const Failing& failing);
std::string without(std::uint32_t id, base::Code why);

struct DeriveOptions {
  /// Every node has to prove its answer, which costs each some three times as much: for an application whose check of
  /// the result failed. Where `app_key` has a second point the sum is checked anyway.
  bool careful = false;
  /// Nobody else is asked before this node has answered: what it finds false itself goes no further.
  std::optional<std::uint32_t> first{};
  base::Deadline deadline = base::Deadline::max();
  /// Called for each that fails, also when the whole fails, on the caller's thread.
  std::function<void(const Failing&)> failed{};
};

/// `prefer`: ids in the order in which to ask them; members that are not named come last. Errors, when too few are
/// left: that of most nodes when so many refuse, or are in another epoch (`conflict`), that those who are away would
/// make no difference; otherwise `unavailable`, which says who and why.
base::Result<Derived> derive(const Epoch& epoch, const keys::ckd::MasterPublicKey& master, base::ByteView app_id,
                             const keys::ckd::AppPublicKey& app_key, std::span<const std::uint32_t> prefer,
                             const FindDeriver& find, const DeriveOptions& options = {});

}  // namespace attestry::cluster
