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

constexpr std::size_t kSlots = 1024;
constexpr std::uint16_t kFree = 0xffff;
static_assert(kDictionary.size() * 2 < kSlots, "the table of names needs more room");

/// Names differ at their ends; the length tells most others apart.
constexpr std::size_t slot_of(std::string_view name) {
  constexpr std::size_t kLast = 10;
  std::uint32_t hash = static_cast<std::uint32_t>(name.size()) * 0x9e3779b1u;
  for (const char c : name.substr(name.size() > kLast ? name.size() - kLast : 0)) {
    hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x01000193u;
  }
  return (hash ^ hash >> 15) % kSlots;
}

/// Open addressing, made by the compiler: names are looked up for every claim of every appraisal.
constexpr auto kByName = [] {
  std::array<std::uint16_t, kSlots> slots{};
  slots.fill(kFree);
  for (std::size_t i = 0; i < kDictionary.size(); ++i) {
    std::size_t slot = slot_of(kDictionary[i].name);
    while (slots[slot] != kFree) slot = (slot + 1) % kSlots;
    slots[slot] = static_cast<std::uint16_t>(i);
  }
  return slots;
}();

constexpr const ClaimInfo* look_up(std::string_view name) {
  for (std::size_t slot = slot_of(name); kByName[slot] != kFree; slot = (slot + 1) % kSlots) {
    const ClaimInfo& claim = kDictionary[kByName[slot]];
    if (claim.name == name) return &claim;
  }
  return nullptr;
}

constexpr bool names_are_unique() {
  return std::ranges::all_of(kDictionary, [](const ClaimInfo& claim) { return look_up(claim.name) == &claim; });
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

const ClaimInfo* find_claim(std::string_view name) noexcept { return look_up(name); }

}  // namespace attestry::attestation
