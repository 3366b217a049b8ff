// Torrents that strangers bring: what is read of one fits together, and its infohash is of bytes that it has.
#include <algorithm>

#include "base/bytes.h"
#include "require.h"
#include "tracker/torrents.h"

using namespace attestry;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto torrent = tracker::read_torrent({data, size});
  if (!torrent) {
    REQUIRE(torrent.error().code == base::Code::malformed || torrent.error().code == base::Code::too_large);
    return 0;
  }
  const auto& pieces = torrent->pieces;
  REQUIRE(pieces.piece_length > 0 && pieces.size > 0);
  REQUIRE(torrent->hashes.size() == pieces.count());
  std::uint64_t all = 0;
  for (std::uint64_t i = 0; i < pieces.count(); ++i) {
    REQUIRE(pieces.size_of(i) > 0 && pieces.size_of(i) <= pieces.piece_length);
    all += pieces.size_of(i);
  }
  REQUIRE(all == pieces.size);
  return 0;
}
