#include "crypto/sha1.h"

#include "crypto/internal/awslc.h"

namespace attestry::crypto {

Sha1Digest sha1(base::ByteView data) {
  constexpr std::uint8_t kNothing[1] = {0};
  Sha1Digest out;
  SHA1(data.empty() ? kNothing : data.data(), data.size(), out.data());
  return out;
}

}  // namespace attestry::crypto
