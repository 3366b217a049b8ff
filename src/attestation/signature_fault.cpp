#include "attestation/signature_fault.h"

#include <algorithm>
#include <array>

namespace attestry::attestation {
namespace {

using base::ByteView;

// SEC 2: the orders of the curves.
constexpr std::array<std::uint8_t, 32> kOrder256 = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                                    0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
constexpr std::array<std::uint8_t, 48> kOrder384 = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf,
    0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73};

constexpr std::array<std::uint8_t, 66> kOrder521 = {
    0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfa,
    0x51, 0x86, 0x87, 0x83, 0xbf, 0x2f, 0x96, 0x6b, 0x7f, 0xcc, 0x01, 0x48, 0xf7, 0x09, 0xa5, 0xd0, 0x3b,
    0xb5, 0xc9, 0xb8, 0x89, 0x9c, 0x47, 0xae, 0xbb, 0x6f, 0xb7, 0x1e, 0x91, 0x38, 0x64, 0x09};

ByteView order_of(crypto::Curve curve) {
  switch (curve) {
    case crypto::Curve::p256:
      return kOrder256;
    case crypto::Curve::p384:
      return kOrder384;
    case crypto::Curve::p521:
      return kOrder521;
  }
  return kOrder256;
}

bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t b) { return b == 0; });
}

bool verifies_reversed(const crypto::EcPublicKey& key, ByteView message, ByteView raw) {
  base::Bytes turned = base::to_bytes(raw);
  const auto middle = turned.begin() + static_cast<std::ptrdiff_t>(turned.size() / 2);
  std::reverse(turned.begin(), middle);
  std::reverse(middle, turned.end());
  return key.verify_raw(message, turned);
}

}  // namespace

std::string describe_signature_fault(const crypto::EcPublicKey& key, ByteView message, ByteView raw) {
  const ByteView order = order_of(key.curve());
  if (raw.size() != 2 * order.size()) {
    return "a signature of " + std::to_string(raw.size()) + " bytes, not " + std::to_string(2 * order.size());
  }
  const ByteView r = raw.first(order.size());
  const ByteView s = raw.subspan(order.size());
  if (all_zero(raw)) return "r and s are 0";
  if (all_zero(r)) return "r is 0";
  if (all_zero(s)) return "s is 0";
  if (verifies_reversed(key, message, raw)) return "r and s are written in the other byte order";
  const auto too_large = [&](ByteView number) { return !std::ranges::lexicographical_compare(number, order); };
  const std::string limit = " not below the order of " + std::string{crypto::to_text(key.curve())};
  if (too_large(r) && too_large(s)) return "r and s are" + limit;
  if (too_large(r)) return "r is" + limit;
  if (too_large(s)) return "s is" + limit;
  return "the signature does not verify: what it covers was changed, or the signature, or another key made it";
}

std::string bytes_at(std::size_t begin, std::size_t size) {
  if (size == 0) return "byte " + std::to_string(begin) + ", none";
  return "bytes " + std::to_string(begin) + " to " + std::to_string(begin + size - 1);
}

std::string bytes_at(ByteView whole, ByteView part) {
  return bytes_at(static_cast<std::size_t>(part.data() - whole.data()), part.size());
}

}  // namespace attestry::attestation
