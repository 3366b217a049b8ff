// Networks by name: what a chain is called, its id, and which of its blocks stay
// (docs/reference/keymanager-commands.md).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace attestry::app {

struct NetworkProfile {
  std::string_view name;
  std::uint64_t chain_id;
  std::string_view finality;  ///< chain::Finality::parse
  bool blobs;                 ///< takes transactions with blobs from its users
  std::string_view rpc;       ///< a default endpoint; empty: the user names one
  std::string_view note;
  bool ended = false;  ///< nothing runs there any more
};

std::span<const NetworkProfile> network_profiles() noexcept;
/// `usage` for a name that is none, with the nearest one, and for a network that has ended.
base::Result<NetworkProfile> network_profile(std::string_view name);

}  // namespace attestry::app
