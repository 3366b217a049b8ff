// One blob holds given data and no other does. The first byte chooses: 'r' reads the rest as a blob of whatever size;
// 'b' as the beginning of a blob that goes on with zeros; anything else packs the rest, and reads it back.
#include "chain/blob_data.h"
#include "require.h"

using namespace attestry;

namespace {

void read(base::ByteView blob) {
  const auto data = chain::blob_unpack(blob);
  if (!data) return;
  REQUIRE(blob.size() == chain::kBlobBytes);
  const auto again = chain::blob_pack(*data);
  REQUIRE(again.ok() && base::equal(*again, blob));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const base::ByteView rest(data + 1, size - 1);
  if (data[0] == 'r') {
    read(rest);
  } else if (data[0] == 'b') {
    base::Bytes blob = base::to_bytes(rest);
    blob.resize(chain::kBlobBytes);
    read(blob);
  } else {
    const auto packed = chain::blob_pack(rest);
    REQUIRE(packed.ok() == (rest.size() <= chain::kBlobDataBytes));
    if (!packed) return 0;
    const auto unpacked = chain::blob_unpack(*packed);
    REQUIRE(unpacked.ok() && base::equal(*unpacked, rest));
  }
  return 0;
}
