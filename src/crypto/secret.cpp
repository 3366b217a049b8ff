#include "crypto/secret.h"

#include <cstring>
#include <utility>

#include "crypto/internal/arena.h"
#include "crypto/internal/awslc.h"

namespace attestry::crypto {

Secret::Secret(std::size_t size) : data_(size == 0 ? nullptr : internal::arena_take(size)), size_(size) {}

Secret Secret::absorb(std::span<std::uint8_t> bytes) {
  Secret out = copy_of(bytes);
  wipe(bytes);
  return out;
}

Secret Secret::copy_of(base::ByteView bytes) {
  Secret out(bytes.size());
  if (!bytes.empty()) std::memcpy(out.data_, bytes.data(), bytes.size());
  return out;
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    if (data_ != nullptr) internal::arena_give(data_, size_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Secret::~Secret() {
  if (data_ != nullptr) internal::arena_give(data_, size_);
}

Secret Secret::clone() const { return copy_of(reveal()); }

bool equal_constant_time(base::ByteView a, base::ByteView b) noexcept {
  if (a.size() != b.size()) return false;
  if (a.empty()) return true;
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void wipe(std::span<std::uint8_t> bytes) noexcept {
  if (!bytes.empty()) OPENSSL_cleanse(bytes.data(), bytes.size());
}

}  // namespace attestry::crypto
