#include "blobs/internal/cid.h"

#include <algorithm>
#include <array>

namespace attestry::blobs {
namespace {

constexpr std::array<std::uint8_t, 4> kPrefix{0x01, 0x55, 0x12, 0x20};
constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz234567";  // RFC 4648 base32 in lower case
constexpr std::size_t kBits = 5;

}  // namespace

std::string raw_cid(const base::Digest32& sha256) {
  base::Bytes raw{kPrefix.begin(), kPrefix.end()};
  base::append(raw, sha256);
  std::string out = "b";
  std::uint32_t buffer = 0;
  std::size_t bits = 0;
  for (const std::uint8_t byte : raw) {
    buffer = (buffer << 8 | byte) & 0xfff;
    bits += 8;
    while (bits >= kBits) {
      bits -= kBits;
      out.push_back(kAlphabet[buffer >> bits & 31]);
    }
  }
  if (bits > 0) out.push_back(kAlphabet[buffer << (kBits - bits) & 31]);
  return out;
}

std::optional<base::Digest32> sha256_of_cid(std::string_view cid) {
  if (!cid.starts_with('b')) return std::nullopt;
  cid.remove_prefix(1);
  base::Bytes raw;
  std::uint32_t buffer = 0;
  std::size_t bits = 0;
  for (const char c : cid) {
    const auto value = kAlphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    buffer = (buffer << kBits | static_cast<std::uint32_t>(value)) & 0xfff;
    bits += kBits;
    if (bits < 8) continue;
    bits -= 8;
    raw.push_back(static_cast<std::uint8_t>(buffer >> bits));
  }
  base::Digest32 out{};
  if (raw.size() != kPrefix.size() + out.size() || !std::equal(kPrefix.begin(), kPrefix.end(), raw.begin())) {
    return std::nullopt;
  }
  std::copy(raw.begin() + kPrefix.size(), raw.end(), out.begin());
  // One text for each hash: spare bits must be zero and no digit too many.
  if ("b" + std::string{cid} != raw_cid(out)) return std::nullopt;
  return out;
}

}  // namespace attestry::blobs
