#include "base/base58.h"

#include <algorithm>
#include <array>

namespace attestry::base {
namespace {

constexpr std::string_view kAlphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
constexpr std::uint8_t kNone = 0xff;

constexpr std::array<std::uint8_t, 256> make_values() {
  std::array<std::uint8_t, 256> out{};
  out.fill(kNone);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    out[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return out;
}
constexpr auto kValues = make_values();

std::size_t leading_ones(std::string_view text) { return std::min(text.find_first_not_of('1'), text.size()); }

/// The text may be a secret, so the error does not show it.
Error outside() { return {Code::malformed, "base58: a character outside of its alphabet"}; }

/// A digit is at least 0.73 bytes: what does not pass could not fit, and the rest costs at most the square of the size.
bool may_fit(std::size_t digits, std::size_t bytes) { return digits <= bytes * 138 / 100 + 1; }

/// Writes the number right-aligned into `out` and gives how many bytes it has without leading zeros, or one more than
/// `out` has when it does not fit.
Result<std::size_t> decode_number(std::string_view digits, std::span<std::uint8_t> out) {
  std::ranges::fill(out, std::uint8_t{0});
  std::size_t used = 0;
  for (const char digit : digits) {
    const std::uint8_t value = kValues[static_cast<unsigned char>(digit)];
    if (value == kNone) return outside();
    std::uint32_t carry = value;
    std::size_t at = 0;
    for (; at < used || carry != 0; ++at) {
      if (at == out.size()) return out.size() + 1;
      std::uint8_t& byte = out[out.size() - 1 - at];
      carry += 58u * byte;
      byte = static_cast<std::uint8_t>(carry);
      carry >>= 8;
    }
    used = at;
  }
  return used;
}

}  // namespace

bool is_base58(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) { return kValues[static_cast<unsigned char>(c)] != kNone; });
}

Result<std::size_t> base58_into(ByteView bytes, std::span<char> out) {
  if (out.size() < base58_room(bytes.size()))
    return Error{Code::usage, "base58: too little room", std::to_string(base58_room(bytes.size())),
                 std::to_string(out.size())};
  const auto first = std::ranges::find_if(bytes, [](std::uint8_t byte) { return byte != 0; });
  const auto zeros = static_cast<std::size_t>(first - bytes.begin());
  std::ranges::fill(out.first(zeros), kAlphabet.front());
  const auto digits = out.subspan(zeros);  // values, the last one first
  std::size_t used = 0;
  for (const std::uint8_t byte : bytes.subspan(zeros)) {
    std::uint32_t carry = byte;
    for (char& digit : digits.first(used)) {
      carry += std::uint32_t{static_cast<std::uint8_t>(digit)} << 8;
      digit = static_cast<char>(carry % 58);
      carry /= 58;
    }
    for (; carry != 0; carry /= 58) digits[used++] = static_cast<char>(carry % 58);
  }
  std::ranges::reverse(digits.first(used));
  for (char& digit : digits.first(used)) digit = kAlphabet[static_cast<std::uint8_t>(digit)];
  return zeros + used;
}

std::string base58(ByteView bytes) {
  std::string out(base58_room(bytes.size()), kAlphabet.front());
  out.resize(base58_into(bytes, out).value_or(0));
  return out;
}

Result<Bytes> base58_decode(std::string_view text, std::size_t max_bytes) {
  const std::size_t zeros = leading_ones(text);
  const auto too_long = [&] {
    return Error{Code::malformed, "base58: too long", "at most " + std::to_string(max_bytes) + " bytes"};
  };
  if (zeros > max_bytes || !may_fit(text.size() - zeros, max_bytes)) return too_long();
  Bytes number(max_bytes - zeros);
  TRY(const std::size_t used, decode_number(text.substr(zeros), number));
  if (used > number.size()) return too_long();
  Bytes out(zeros);
  base::append(out, ByteView{number}.last(used));
  return out;
}

base::Status base58_decode_into(std::string_view text, std::span<std::uint8_t> out) {
  const std::size_t zeros = leading_ones(text);
  const auto wrong_size = [&](const std::string& found) {
    return Error{Code::malformed, "base58: another length", std::to_string(out.size()) + " bytes", found};
  };
  if (!is_base58(text)) return outside();
  if (zeros > out.size() || !may_fit(text.size() - zeros, out.size())) return wrong_size("more");
  TRY(const std::size_t used, decode_number(text.substr(zeros), out));
  if (used > out.size()) return wrong_size("more");
  if (zeros + used != out.size()) return wrong_size(std::to_string(zeros + used));
  return base::done();
}

}  // namespace attestry::base
