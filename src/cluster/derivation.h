// Derives an application's key with the help of enough nodes, names those who answer wrongly, and goes on without them.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
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

/// `prefer`: ids in the order in which to ask them; members that are not named come last. With `careful` every node has
/// to prove its answer, which costs each some three times as much: for an application whose check failed. Where
/// `app_key` has a second point the sum is checked, and proofs are asked for only when it is wrong. Error `unavailable`
/// when too few are left, which says who and why.
base::Result<Derived> derive(const Epoch& epoch, const keys::ckd::MasterPublicKey& master, base::ByteView app_id,
                             const keys::ckd::AppPublicKey& app_key, std::span<const std::uint32_t> prefer,
                             const FindDeriver& find, bool careful = false);

}  // namespace attestry::cluster
