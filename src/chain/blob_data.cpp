#include "chain/blob_data.h"

#include <algorithm>

#include "base/reader.h"
#include "crypto/hash.h"

namespace attestry::chain {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kUsable = kBlobElementBytes - 1;
constexpr std::uint8_t kVersionKzg = 1;  // VERSIONED_HASH_VERSION_KZG

}  // namespace

Result<base::Bytes> blob_pack(base::ByteView data) {
  if (data.size() > kBlobDataBytes) {
    return Error{.code = Code::too_large,
                 .what = "data for a blob",
                 .expected = "at most " + std::to_string(kBlobDataBytes) + " bytes",
                 .found = std::to_string(data.size()) + " bytes",
                 .remedy = "Send it in the call data, or in parts."};
  }
  base::LpWriter content;
  content.lp(data);
  base::ByteView rest = content.bytes();
  base::Bytes blob(kBlobBytes, 0);
  for (std::size_t at = 1; !rest.empty(); at += kBlobElementBytes) {
    const std::size_t size = std::min(kUsable, rest.size());
    std::ranges::copy(rest.first(size), blob.begin() + static_cast<std::ptrdiff_t>(at));
    rest = rest.subspan(size);
  }
  return blob;
}

Result<base::Bytes> blob_unpack(base::ByteView blob) {
  if (blob.size() != kBlobBytes) {
    return Error{Code::malformed, "blob", std::to_string(kBlobBytes) + " bytes",
                 std::to_string(blob.size()) + " bytes"};
  }
  base::Bytes content(kBlobElements * kUsable);
  for (std::size_t element = 0; element < kBlobElements; ++element) {
    const base::ByteView bytes = blob.subspan(element * kBlobElementBytes, kBlobElementBytes);
    if (bytes[0] != 0) {
      return Error{Code::malformed, "blob", "field elements that begin with a zero byte",
                   "another one at offset " + std::to_string(element * kBlobElementBytes)};
    }
    std::ranges::copy(bytes.subspan(1), content.begin() + static_cast<std::ptrdiff_t>(element * kUsable));
  }
  base::Reader reader(content);
  TRY(const base::ByteView data, reader.lp("data", kBlobDataBytes), "blob");
  if (std::ranges::any_of(reader.rest(), [](std::uint8_t byte) { return byte != 0; })) {
    return Error{Code::malformed, "blob", "zeros behind the data", "other bytes"};
  }
  return base::to_bytes(data);
}

base::Digest32 blob_versioned_hash(const base::FixedBytes<48>& commitment) {
  base::Digest32 hash = crypto::sha256(commitment);
  hash[0] = kVersionKzg;
  return hash;
}

}  // namespace attestry::chain
