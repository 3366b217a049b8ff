#include "app/network_profiles.h"

#include <algorithm>
#include <array>

namespace attestry::app {

using base::Code;
using base::Error;

namespace {

constexpr std::array<NetworkProfile, 9> kProfiles{{
    {"mainnet", 1, "finalized", true, "", "Ethereum"},
    {"sepolia", 11155111, "finalized", true, "", "Ethereum's test network for applications"},
    {"hoodi", 560048, "finalized", true, "", "Ethereum's test network for operators, after holesky"},
    {"holesky", 17000, "finalized", true, "", "Ethereum's former test network for operators; hoodi follows it"},
    {"base", 8453, "finalized", false, "", "second layer: takes no blobs from users, evidence goes into the call data"},
    {"base-sepolia", 84532, "finalized", false, "", "Base's test network"},
    {"local", 31337, "depth:0", true, "http://127.0.0.1:8545", "a development node on this machine (anvil)"},
    {"anvil", 31337, "depth:0", true, "http://127.0.0.1:8545", "the same as local"},
    {"goerli", 5, "finalized", false, "", "ended in April 2024", true},
}};

}  // namespace

std::span<const NetworkProfile> network_profiles() noexcept { return kProfiles; }

base::Result<NetworkProfile> network_profile(std::string_view name) {
  const auto found = std::ranges::find(kProfiles, name, &NetworkProfile::name);
  if (found == kProfiles.end()) {
    std::string names;
    for (const auto& one : kProfiles) {
      if (!one.ended) names += (names.empty() ? "" : ", ") + std::string{one.name};
    }
    return Error{Code::usage, "--network: no network has this name", names, std::string{name},
                 "For another chain give --rpc and --chain-id."};
  }
  if (found->ended) {
    return Error{Code::usage, std::string{name} + " does not exist any more", "a network that runs",
                 std::string{found->note},
                 "Deploy anew on sepolia or hoodi. What was attested there is on no chain any more."};
  }
  return *found;
}

}  // namespace attestry::app
