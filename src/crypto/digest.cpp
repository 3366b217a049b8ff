#include "crypto/digest.h"

#include "crypto/internal/awslc.h"
#include "crypto/internal/require.h"

namespace attestry::crypto {
namespace {

constexpr std::pair<HashName, std::string_view> kNames[] = {
    {HashName::sha2_224, "sha2-224"}, {HashName::sha2_256, "sha2-256"}, {HashName::sha2_384, "sha2-384"},
    {HashName::sha2_512, "sha2-512"}, {HashName::sha3_224, "sha3-224"}, {HashName::sha3_256, "sha3-256"},
    {HashName::sha3_384, "sha3-384"}, {HashName::sha3_512, "sha3-512"}};

const EVP_MD* algorithm(HashName name) {
  switch (name) {
    case HashName::sha2_224:
      return EVP_sha224();
    case HashName::sha2_256:
      return EVP_sha256();
    case HashName::sha2_384:
      return EVP_sha384();
    case HashName::sha2_512:
      return EVP_sha512();
    case HashName::sha3_224:
      return EVP_sha3_224();
    case HashName::sha3_256:
      return EVP_sha3_256();
    case HashName::sha3_384:
      return EVP_sha3_384();
    case HashName::sha3_512:
      return EVP_sha3_512();
  }
  return nullptr;
}

constexpr std::uint8_t kNothing[1] = {0};
const std::uint8_t* ptr(base::ByteView view) noexcept { return view.empty() ? kNothing : view.data(); }

}  // namespace

std::string_view to_text(HashName name) noexcept {
  for (const auto& [value, text] : kNames) {
    if (value == name) return text;
  }
  return "";
}

std::optional<HashName> hash_name_from(std::string_view text) noexcept {
  for (const auto& [value, name] : kNames) {
    if (name == text) return value;
  }
  return std::nullopt;
}

base::Bytes digest(HashName name, base::ByteView data) {
  const EVP_MD* md = algorithm(name);
  base::Bytes out(EVP_MD_size(md));
  unsigned size = 0;
  const bool done = EVP_Digest(ptr(data), data.size(), out.data(), &size, md, nullptr) == 1;
  internal::require(done && size == out.size(), "a hash failed");
  return out;
}

base::Bytes hmac(HashName name, base::ByteView key, base::ByteView data) {
  const EVP_MD* md = algorithm(name);
  base::Bytes out(EVP_MD_size(md));
  unsigned size = 0;
  const auto* done = HMAC(md, ptr(key), key.size(), ptr(data), data.size(), out.data(), &size);
  internal::require(done != nullptr && size == out.size(), "HMAC failed");
  return out;
}

}  // namespace attestry::crypto
