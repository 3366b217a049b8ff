#include "tracker/internal/tally.h"

#include <cstring>

namespace attestry::tracker::internal {
namespace {

__extension__ using Wide = unsigned __int128;

std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  const auto product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

constexpr std::size_t kFirstSize = 16;

}  // namespace

std::uint64_t keyed_hash(base::ByteView bytes, const std::array<std::uint64_t, 2>& key) noexcept {
  auto state = key[0] ^ bytes.size();
  while (!bytes.empty()) {
    std::uint64_t word = 0;
    const auto size = bytes.size() < sizeof word ? bytes.size() : sizeof word;
    std::memcpy(&word, bytes.data(), size);
    state = mix(state ^ word, key[1] | 1);
    bytes = bytes.subspan(size);
  }
  return mix(state ^ key[0], 0x9e3779b97f4a7c15U ^ key[1]);
}

std::uint64_t Tally::hash(std::uint64_t owner) const noexcept {
  std::array<std::uint8_t, sizeof owner> bytes{};
  std::memcpy(bytes.data(), &owner, sizeof owner);
  return keyed_hash(bytes, key_);
}

std::size_t Tally::Part::place(std::uint64_t hash) const {
  auto at = hash & (owners.size() - 1);
  while (counts[at] != 0 && owners[at] != hash) at = (at + 1) & (owners.size() - 1);
  return at;
}

void Tally::Part::resize(std::size_t size) {
  auto old_owners = std::move(owners);
  auto old_counts = std::move(counts);
  owners.assign(size, 0);
  counts.assign(size, 0);
  for (std::size_t i = 0; i < old_owners.size(); ++i) {
    if (old_counts[i] == 0) continue;
    const auto at = place(old_owners[i]);
    owners[at] = old_owners[i];
    counts[at] = old_counts[i];
  }
}

bool Tally::add(std::uint64_t owner, std::uint16_t most) {
  if (most == 0) return true;
  const auto key = hash(owner);
  auto& mine = parts_[part(key)];
  const base::MutexLock lock{mine.mutex};
  if ((mine.taken + 1) * 5 > mine.owners.size() * 4)
    mine.resize(mine.owners.empty() ? kFirstSize : mine.owners.size() * 2);
  const auto at = mine.place(key);
  if (mine.counts[at] >= most) return false;
  if (mine.counts[at]++ == 0) {
    mine.owners[at] = key;
    ++mine.taken;
  }
  return true;
}

void Tally::remove(std::uint64_t owner) {
  const auto key = hash(owner);
  auto& mine = parts_[part(key)];
  const base::MutexLock lock{mine.mutex};
  if (mine.owners.empty()) return;
  auto hole = mine.place(key);
  if (mine.counts[hole] == 0 || --mine.counts[hole] != 0) return;
  --mine.taken;
  // Those behind move up, so that no search ends at the hole (Knuth 6.4, algorithm R).
  const auto mask = mine.owners.size() - 1;
  for (auto at = (hole + 1) & mask; mine.counts[at] != 0; at = (at + 1) & mask) {
    const auto wanted = mine.owners[at] & mask;
    if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
    mine.owners[hole] = mine.owners[at];
    mine.counts[hole] = mine.counts[at];
    mine.counts[at] = 0;
    hole = at;
  }
  if (mine.owners.size() > kFirstSize && mine.taken * 8 < mine.owners.size()) mine.resize(mine.owners.size() / 2);
}

std::uint16_t Tally::count(std::uint64_t owner) const {
  const auto key = hash(owner);
  const auto& mine = parts_[part(key)];
  const base::MutexLock lock{mine.mutex};
  return mine.owners.empty() ? std::uint16_t{0} : mine.counts[mine.place(key)];
}

}  // namespace attestry::tracker::internal
