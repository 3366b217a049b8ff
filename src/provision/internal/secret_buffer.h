// A growing text that holds secrets: what is outgrown is wiped.
#pragma once
#include <algorithm>
#include <array>
#include <string_view>

#include "base/result.h"
#include "crypto/secret.h"

namespace attestry::provision {

class SecretBuffer {
 public:
  explicit SecretBuffer(std::size_t limit) noexcept : limit_(limit) {}

  base::Status add(std::string_view piece) {
    if (piece.size() > limit_ - used_) {
      return base::Error{base::Code::too_large,
                         "the rendered configuration is too large",
                         "at most " + std::to_string(limit_) + " bytes",
                         {}};
    }
    if (piece.empty()) return base::done();
    if (used_ + piece.size() > buffer_.size()) {
      crypto::Secret larger{std::max({kFirst, std::min(buffer_.size() * 2, limit_), used_ + piece.size()})};
      std::ranges::copy(buffer_.reveal().first(used_), larger.writable().begin());
      buffer_ = std::move(larger);
    }
    std::ranges::copy(base::as_bytes(piece), buffer_.writable().begin() + static_cast<std::ptrdiff_t>(used_));
    used_ += piece.size();
    return base::done();
  }

  /// As the inside of a JSON string (RFC 8259 section 7); `piece` is UTF-8.
  base::Status add_escaped(std::string_view piece) {
    std::size_t plain = 0;
    for (std::size_t i = 0; i < piece.size(); ++i) {
      const auto c = static_cast<unsigned char>(piece[i]);
      if (c >= 0x20 && c != '"' && c != '\\') continue;
      TRY_OK(add(piece.substr(plain, i - plain)));
      TRY_OK(add_escape(c));
      plain = i + 1;
    }
    return add(piece.substr(plain));
  }

  crypto::Secret finish() const { return crypto::Secret::copy_of(buffer_.reveal().first(used_)); }

 private:
  static constexpr std::size_t kFirst = 4096;

  base::Status add_escape(unsigned char c) {
    constexpr std::string_view kShort = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (std::size_t i = 0; i < kShort.size(); i += 2) {
      if (static_cast<unsigned char>(kShort[i]) != c) continue;
      const std::array<char, 2> text{'\\', kShort[i + 1]};
      return add({text.data(), text.size()});
    }
    constexpr std::string_view kDigits = "0123456789abcdef";
    const std::array<char, 6> text{'\\', 'u', '0', '0', kDigits[c >> 4], kDigits[c & 15]};
    return add({text.data(), text.size()});
  }

  std::size_t limit_;
  std::size_t used_ = 0;
  crypto::Secret buffer_;
};

}  // namespace attestry::provision
