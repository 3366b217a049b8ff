#include "curves/keccak.h"

#include <algorithm>
#include <array>
#include <bit>

namespace attestry::curves {
namespace {

constexpr std::size_t kRate = 136;  // 1600 - 2 * 256 bits

using State = std::array<std::uint64_t, 25>;  // lane (x, y) at x + 5 y

// FIPS 202 3.2.5: rc(t) is a linear feedback shift register; 24 rounds.
constexpr std::array<std::uint64_t, 24> kRoundConstants = [] {
  std::array<std::uint64_t, 24> out{};
  unsigned lfsr = 1;
  for (std::uint64_t& constant : out) {
    for (unsigned j = 0; j < 7; ++j) {
      if ((lfsr & 1) != 0) constant |= std::uint64_t{1} << ((1U << j) - 1);
      lfsr = (lfsr << 1) ^ ((lfsr >> 7) != 0 ? 0x171U : 0U);
    }
  }
  return out;
}();

// FIPS 202 3.2.2 and 3.2.3: the walk over the lanes and the rotation of each.
struct Step {
  std::size_t lane;
  int rotation;
};
constexpr std::array<Step, 24> kWalk = [] {
  std::array<Step, 24> out{};
  std::size_t x = 1;
  std::size_t y = 0;
  for (std::size_t t = 0; t < out.size(); ++t) {
    const std::size_t next = (2 * x + 3 * y) % 5;
    x = y;
    y = next;
    out[t] = {x + 5 * y, static_cast<int>((t + 1) * (t + 2) / 2 % 64)};
  }
  return out;
}();

void theta(State& a) {
  std::array<std::uint64_t, 5> column{};
  for (std::size_t x = 0; x < 5; ++x) column[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
  for (std::size_t x = 0; x < 5; ++x) {
    const std::uint64_t mix = column[(x + 4) % 5] ^ std::rotl(column[(x + 1) % 5], 1);
    for (std::size_t y = 0; y < 25; y += 5) a[x + y] ^= mix;
  }
}

void rho_pi(State& a) {
  std::uint64_t carried = a[1];
  for (const Step& step : kWalk) {
    const std::uint64_t next = a[step.lane];
    a[step.lane] = std::rotl(carried, step.rotation);
    carried = next;
  }
}

void chi(State& a) {
  for (std::size_t y = 0; y < 25; y += 5) {
    const std::array<std::uint64_t, 5> row{a[y], a[y + 1], a[y + 2], a[y + 3], a[y + 4]};
    for (std::size_t x = 0; x < 5; ++x) a[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
  }
}

void permute(State& a) {
  for (const std::uint64_t constant : kRoundConstants) {
    theta(a);
    rho_pi(a);
    chi(a);
    a[0] ^= constant;
  }
}

void absorb(State& a, const std::uint8_t* block) {
  for (std::size_t i = 0; i < kRate; ++i) a[i / 8] ^= std::uint64_t{block[i]} << (8 * (i % 8));
  permute(a);
}

}  // namespace

base::Digest32 keccak256(base::ByteView data) {
  State state{};
  for (; data.size() >= kRate; data = data.subspan(kRate)) absorb(state, data.data());
  std::array<std::uint8_t, kRate> last{};
  std::copy(data.begin(), data.end(), last.begin());
  last[data.size()] ^= 0x01;
  last[kRate - 1] ^= 0x80;
  absorb(state, last.data());
  base::Digest32 out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(state[i / 8] >> (8 * (i % 8)));
  return out;
}

}  // namespace attestry::curves
