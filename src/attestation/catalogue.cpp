#include "attestation/catalogue.h"

#include <algorithm>
#include <array>

namespace attestry::attestation {
namespace {

using enum CheckId;

template <class... Checks>
constexpr std::array<CheckId, sizeof...(Checks)> needs(Checks... checks) {
  return {checks...};
}

#define ATTESTRY_CHECK(name, id, title, spec, meaning, remedy, ...) constexpr auto kNeeds_##name = needs(__VA_ARGS__);
#include "attestation/checks.def"
#undef ATTESTRY_CHECK

constexpr std::array kCatalogue{
#define ATTESTRY_CHECK(name, id, title, spec, meaning, remedy, ...) \
  CheckInfo{name, id, title, spec, meaning, remedy, kNeeds_##name},
#include "attestation/checks.def"
#undef ATTESTRY_CHECK
};

constexpr bool needs_stand_before_their_users() {
  for (const CheckInfo& check : kCatalogue) {
    for (const CheckId need : check.needs) {
      if (need >= check.check) return false;
    }
  }
  return true;
}
static_assert(needs_stand_before_their_users(), "a check needs one that stands after it in checks.def");

}  // namespace

std::span<const CheckInfo> catalogue() noexcept { return kCatalogue; }

const CheckInfo& info(CheckId check) noexcept { return kCatalogue[static_cast<std::size_t>(check)]; }

std::optional<CheckId> find_check(std::string_view id) noexcept {
  const auto found = std::ranges::find(kCatalogue, id, &CheckInfo::id);
  if (found == kCatalogue.end()) return std::nullopt;
  return found->check;
}

}  // namespace attestry::attestation
