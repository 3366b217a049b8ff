#include "attestation/claim_dictionary.h"

#include <algorithm>
#include <array>

namespace attestry::attestation {
namespace {

using enum ClaimType;

constexpr std::array kDictionary{
#define ATTESTRY_CLAIM(id, name, platforms, type, size, identifies, meaning) \
  ClaimInfo{name, platforms, type, size, identifies, meaning},
#include "attestation/claims.def"
#undef ATTESTRY_CLAIM
};

/// Indices in the order of the names: names are looked up for every claim of every appraisal.
constexpr auto kByName = [] {
  std::array<std::uint16_t, kDictionary.size()> order{};
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint16_t>(i);
  std::ranges::sort(order, {}, [](std::uint16_t i) { return kDictionary[i].name; });
  return order;
}();

constexpr bool names_are_unique() {
  return std::ranges::adjacent_find(kByName, {}, [](std::uint16_t i) { return kDictionary[i].name; }) == kByName.end();
}
static_assert(names_are_unique(), "claims.def names a claim twice");

}  // namespace

std::string_view to_text(ClaimType type) noexcept {
  switch (type) {
    case bytes:
      return "bytes";
    case number:
      return "number";
    case boolean:
      return "boolean";
    case text:
      return "text";
  }
  return "text";
}

std::span<const ClaimInfo> claim_dictionary() noexcept { return kDictionary; }

const ClaimInfo& info(ClaimId claim) noexcept { return kDictionary[static_cast<std::size_t>(claim)]; }

const ClaimInfo* find_claim(std::string_view name) noexcept {
  const auto found = std::ranges::lower_bound(kByName, name, {}, [](std::uint16_t i) { return kDictionary[i].name; });
  if (found == kByName.end() || kDictionary[*found].name != name) return nullptr;
  return &kDictionary[*found];
}

}  // namespace attestry::attestation
