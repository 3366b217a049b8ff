#include "base/encoding.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace attestry::base {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t kBad = 0xff;

using Table = std::array<std::uint8_t, 256>;

constexpr Table inverse(std::string_view alphabet) {
  Table table{};
  table.fill(kBad);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    table[static_cast<std::uint8_t>(alphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return table;
}

constexpr Table kNibbles = [] {
  Table table = inverse(kHexDigits);
  for (std::uint8_t i = 10; i < 16; ++i) table[static_cast<std::size_t>('A' + i - 10)] = i;
  return table;
}();
constexpr Table kStandardValues = inverse(kStandard);
constexpr Table kUrlValues = inverse(kUrl);

// Keys and secrets are written as text too, so encoding is arithmetic on lanes of one byte: no branch and no address
// depends on a value (tests/ctime). Lanes hold values below 64 and end below 128; what they borrow in between cancels.
constexpr std::uint32_t kLanes = 0x01010101;

/// One in each lane that is at least `bound`.
constexpr std::uint32_t lanes_from(std::uint32_t lanes, std::uint32_t bound) {
  return (lanes + (0x80 - bound) * kLanes) >> 7 & kLanes;
}

/// Four hex digits of four nibbles, the first in the lowest lane.
constexpr std::uint32_t hex_digits(std::uint32_t nibbles) {
  return nibbles + '0' * kLanes + ('a' - '0' - 10) * lanes_from(nibbles, 10);
}

// The characters of the values 62 and 63.
struct Alphabet {
  std::uint32_t c62, c63;
};
constexpr Alphabet kStandardEnd{'+', '/'};
constexpr Alphabet kUrlEnd{'-', '_'};

/// The four characters of 24 bits, the first in the lowest lane.
constexpr std::uint32_t base64_chars(std::uint32_t bits, Alphabet end) {
  const std::uint32_t x = bits >> 18 | (bits >> 12 & 63) << 8 | (bits >> 6 & 63) << 16 | (bits & 63) << 24;
  return x + 'A' * kLanes + ('a' - 'A' - 26) * lanes_from(x, 26) - ('a' - '0' + 26) * lanes_from(x, 52) +
         (end.c62 - '9' - 1) * lanes_from(x, 62) + (end.c63 - end.c62 - 1) * lanes_from(x, 63);
}

constexpr char lane(std::uint32_t lanes, unsigned at) { return static_cast<char>(lanes >> 8 * at & 0xff); }

static_assert([] {
  for (std::uint32_t i = 0; i < 256; ++i) {
    const std::uint32_t other = (i * 11 + 5) % 64;
    const std::uint32_t bits = (i % 64) << 18 | other << 12 | (63 - i % 64) << 6 | (63 - other);
    const std::uint32_t standard = base64_chars(bits, kStandardEnd), url = base64_chars(bits, kUrlEnd);
    for (unsigned at = 0; at < 4; ++at) {
      const std::uint32_t value = bits >> (18 - 6 * at) & 63;
      if (lane(standard, at) != kStandard[value] || lane(url, at) != kUrl[value]) return false;
    }
    const std::uint32_t digits = hex_digits(i >> 4 | (i & 15) << 8);
    if (lane(digits, 0) != kHexDigits[i >> 4] || lane(digits, 1) != kHexDigits[i & 15]) return false;
  }
  return true;
}());

constexpr std::uint8_t value_of(const Table& table, char c) { return table[static_cast<std::uint8_t>(c)]; }

// The offset is named and the character is not: the text may be a secret.
Error bad_character(const char* what, const char* alphabet, const Table& table, std::string_view text) {
  const auto at = std::ranges::find_if(text, [&](char c) { return value_of(table, c) == kBad; });
  return {Code::malformed, std::string{what} + ": character outside the alphabet", alphabet,
          "another character at offset " + std::to_string(at - text.begin())};
}

std::string encode64(ByteView bytes, Alphabet end, bool padded) {
  const std::size_t rest = bytes.size() % 3;
  const std::size_t whole = bytes.size() - rest;
  std::string out(whole / 3 * 4 + (rest == 0 ? 0 : padded ? 4 : rest + 1), '=');
  char* to = out.data();
  const auto put = [&](int bits, unsigned characters) {
    const std::uint32_t lanes = base64_chars(static_cast<std::uint32_t>(bits), end);
    for (unsigned at = 0; at < characters; ++at) *to++ = lane(lanes, at);
  };
  for (std::size_t i = 0; i < whole; i += 3) put(bytes[i] << 16 | bytes[i + 1] << 8 | bytes[i + 2], 4);
  if (rest == 1) put(bytes[whole] << 16, 2);
  if (rest == 2) put(bytes[whole] << 16 | bytes[whole + 1] << 8, 3);
  return out;
}

// `text` carries no padding any more. A tail of one character holds no whole byte, and spare bits must be zero so that
// every byte string has exactly one text (RFC 4648 section 3.5).
Result<Bytes> decode64(std::string_view text, const Table& table, const char* what, const char* alphabet) {
  const std::size_t tail = text.size() % 4;
  if (tail == 1) {
    return Error{Code::malformed, std::string{what} + ": impossible length", "no single character after the last group",
                 std::to_string(text.size()) + " characters"};
  }
  Bytes out(text.size() / 4 * 3 + (tail == 0 ? 0 : tail - 1));
  std::uint8_t* to = out.data();
  std::uint8_t bad = 0;
  const char* from = text.data();
  const char* const groups_end = from + (text.size() - tail);
  for (; from != groups_end; from += 4, to += 3) {
    const std::uint8_t a = value_of(table, from[0]), b = value_of(table, from[1]), c = value_of(table, from[2]),
                       d = value_of(table, from[3]);
    bad = static_cast<std::uint8_t>(bad | a | b | c | d);
    to[0] = static_cast<std::uint8_t>(a << 2 | b >> 4);
    to[1] = static_cast<std::uint8_t>(b << 4 | c >> 2);
    to[2] = static_cast<std::uint8_t>(c << 6 | d);
  }
  std::uint8_t spare = 0;
  if (tail != 0) {
    const std::uint8_t a = value_of(table, from[0]), b = value_of(table, from[1]);
    const std::uint8_t c = tail == 3 ? value_of(table, from[2]) : std::uint8_t{0};
    bad = static_cast<std::uint8_t>(bad | a | b | c);
    to[0] = static_cast<std::uint8_t>(a << 2 | b >> 4);
    if (tail == 3) to[1] = static_cast<std::uint8_t>(b << 4 | c >> 2);
    spare = static_cast<std::uint8_t>(tail == 3 ? c & 3 : b & 15);
  }
  if ((bad & 0xc0) != 0) return bad_character(what, alphabet, table, text);
  if (spare != 0) {
    return Error{Code::malformed, std::string{what} + ": spare bits are not zero", "the one canonical last character",
                 "another one"};
  }
  return out;
}

constexpr bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

void skip_space(std::string_view& text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
}

// Certificate chains are read on the path of every first-seen platform, so lines are copied whole; only text with other
// space than line ends is copied character by character.
std::string without_space(std::string_view text) {
  std::string out(text.size(), '\0');
  char* to = out.data();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t eol = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, eol - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (std::memchr(line.data(), ' ', line.size()) == nullptr &&
        std::memchr(line.data(), '\t', line.size()) == nullptr &&
        std::memchr(line.data(), '\r', line.size()) == nullptr) {
      to = std::ranges::copy(line, to).out;
    } else {
      to = std::ranges::copy_if(line, to, [](char c) { return !is_space(c); }).out;
    }
    at = eol + 1;
  }
  out.resize(static_cast<std::size_t>(to - out.data()));
  return out;
}

Error bad_pem(std::size_t block, const char* problem, const char* expected) {
  return {Code::malformed, "pem: block " + std::to_string(block + 1) + ": " + problem, expected};
}

// label = labelchar *( ["-" / SP] labelchar ), RFC 7468 section 3.
bool is_label(std::string_view label) {
  const auto is_label_char = [](char c) { return c > ' ' && c != '-' && c <= '~'; };
  bool may_join = false;
  for (const char c : label) {
    if (is_label_char(c)) {
      may_join = true;
    } else if ((c == ' ' || c == '-') && may_join) {
      may_join = false;
    } else {
      return false;
    }
  }
  return may_join;
}

constexpr std::string_view kBegin = "-----BEGIN ";
constexpr std::string_view kEnd = "-----END ";
constexpr std::string_view kDashes = "-----";

// Takes one block, which begins at the front of `text`, away from it.
Result<PemBlock> take_block(std::string_view& text, std::size_t index) {
  if (!text.starts_with(kBegin)) return bad_pem(index, "text that is no block", "\"-----BEGIN \"");
  text.remove_prefix(kBegin.size());
  const std::size_t eol = text.find('\n');
  if (eol == std::string_view::npos) return bad_pem(index, "no line after the BEGIN line", "base64 lines");
  std::string_view label = text.substr(0, eol);
  text.remove_prefix(eol + 1);
  if (label.ends_with('\r')) label.remove_suffix(1);
  if (!label.ends_with(kDashes)) return bad_pem(index, "unfinished BEGIN line", "\"-----\" at its end");
  label.remove_suffix(kDashes.size());
  if (!is_label(label)) return bad_pem(index, "label with a forbidden character", "a label as RFC 7468 has it");

  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return bad_pem(index, "no END line", "\"-----END \"");
  const std::string body = without_space(text.substr(0, dash));
  const bool own_line = dash > 0 && text[dash - 1] == '\n';
  text.remove_prefix(dash);
  if (!own_line || !text.starts_with(kEnd)) return bad_pem(index, "no END line", "\"-----END \" on its own line");
  text.remove_prefix(kEnd.size());
  if (!text.starts_with(label)) return bad_pem(index, "END names another label", "the label of the BEGIN line");
  text.remove_prefix(label.size());
  if (!text.starts_with(kDashes)) return bad_pem(index, "unfinished END line", "\"-----\" at its end");
  text.remove_prefix(kDashes.size());
  if (body.empty()) return bad_pem(index, "empty block", "base64 lines");
  TRY(Bytes der, base64_decode(body), "pem: block " + std::to_string(index + 1));
  return PemBlock{std::string{label}, std::move(der)};
}

}  // namespace

std::string hex(ByteView bytes) {
  std::string out(bytes.size() * 2, '\0');
  char* to = out.data();
  for (const std::uint8_t b : bytes) {
    const std::uint32_t digits = hex_digits(b >> 4 | (b & 15u) << 8);
    *to++ = lane(digits, 0);
    *to++ = lane(digits, 1);
  }
  return out;
}

Status hex_decode_into(std::string_view text, std::span<std::uint8_t> out) {
  if (text.size() % 2 != 0 || text.size() / 2 != out.size()) {
    return Error{Code::malformed, "hex: wrong length", std::to_string(out.size() * 2) + " digits",
                 std::to_string(text.size()) + " characters"};
  }
  const char* from = text.data();
  std::uint8_t bad = 0;
  for (std::uint8_t& byte : out) {
    const std::uint8_t high = value_of(kNibbles, *from++), low = value_of(kNibbles, *from++);
    bad = static_cast<std::uint8_t>(bad | high | low);
    byte = static_cast<std::uint8_t>(high << 4 | low);
  }
  if ((bad & 0xf0) != 0) return bad_character("hex", "0-9, a-f or A-F", kNibbles, text);
  return done();
}

Result<Bytes> hex_decode(std::string_view text) {
  if (text.size() % 2 != 0) {
    return Error{Code::malformed, "hex: odd length", "an even number of digits",
                 std::to_string(text.size()) + " characters"};
  }
  Bytes out(text.size() / 2);
  TRY_OK(hex_decode_into(text, out));
  return out;
}

std::string base64(ByteView bytes) { return encode64(bytes, kStandardEnd, true); }
std::string base64url(ByteView bytes) { return encode64(bytes, kUrlEnd, false); }

Result<Bytes> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) {
    return Error{Code::malformed, "base64: wrong length", "a multiple of 4 characters, padded with '='",
                 std::to_string(text.size()) + " characters"};
  }
  if (text.ends_with("==")) {
    text.remove_suffix(2);
  } else if (text.ends_with('=')) {
    text.remove_suffix(1);
  }
  return decode64(text, kStandardValues, "base64", "A-Z, a-z, 0-9, '+' or '/'");
}

Result<Bytes> base64url_decode(std::string_view text) {
  return decode64(text, kUrlValues, "base64url", "A-Z, a-z, 0-9, '-' or '_', without padding");
}

Result<std::vector<PemBlock>> pem_decode(std::string_view text, std::size_t max_blocks) {
  if (text.ends_with('\0')) text.remove_suffix(1);
  std::vector<PemBlock> blocks;
  for (skip_space(text); !text.empty(); skip_space(text)) {
    if (blocks.size() == max_blocks) {
      return Error{Code::malformed, "pem: too many blocks", "at most " + std::to_string(max_blocks)};
    }
    TRY(PemBlock block, take_block(text, blocks.size()));
    blocks.push_back(std::move(block));
  }
  if (blocks.empty()) return Error{Code::malformed, "pem: no block", "\"-----BEGIN \"", "empty text"};
  return blocks;
}

std::string pem_encode(std::string_view label, ByteView der) {
  constexpr std::size_t kLine = 64;  // RFC 7468 section 2
  std::string out{kBegin};
  out.append(label).append(kDashes).push_back('\n');
  const std::string body = base64(der);
  for (std::size_t i = 0; i < body.size(); i += kLine) out.append(body, i, kLine).push_back('\n');
  out.append(kEnd).append(label).append(kDashes).push_back('\n');
  return out;
}

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const bool whole = text.size() - i > 2;
    const std::uint8_t high = whole ? value_of(kNibbles, text[i + 1]) : kBad;
    const std::uint8_t low = whole ? value_of(kNibbles, text[i + 2]) : kBad;
    if (high == kBad || low == kBad) {
      return Error{Code::malformed, "percent-encoding: broken escape", "'%' and two hex digits",
                   "something else at offset " + std::to_string(i)};
    }
    out.push_back(static_cast<char>(high << 4 | low));
    i += 2;
  }
  return out;
}

}  // namespace attestry::base
