#include "channel/pieces.h"

#include <algorithm>
#include <vector>

namespace attestry::channel {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kPiece = kMaxData - 1;

}  // namespace

Status send_pieces(Session& session, base::ByteView data, base::Deadline deadline) {
  do {
    const std::size_t size = std::min(data.size(), kPiece);
    crypto::Secret piece(size + 1);
    piece.writable()[0] = size < data.size() ? 1 : 0;
    std::ranges::copy(data.first(size), piece.writable().begin() + 1);
    TRY_OK(session.send(piece.reveal(), deadline));
    data = data.subspan(size);
  } while (!data.empty());
  return base::done();
}

Result<crypto::Secret> receive_pieces(Session& session, std::size_t most, base::Deadline deadline) {
  std::vector<crypto::Secret> pieces;
  std::size_t size = 0;
  bool more = true;
  while (more) {
    TRY(auto piece, session.receive(deadline));
    const auto bytes = piece.reveal();
    if (bytes.empty() || bytes[0] > 1 || (bytes[0] == 1 && bytes.size() == 1)) {
      return Error{Code::malformed, "a piece of a message"};
    }
    more = bytes[0] == 1;
    size += bytes.size() - 1;
    if (size > most) {
      return Error{Code::too_large, "a message in pieces", "at most " + std::to_string(most) + " bytes"};
    }
    pieces.push_back(std::move(piece));
  }
  crypto::Secret out(size);
  auto to = out.writable().begin();
  for (const auto& piece : pieces) to = std::ranges::copy(piece.reveal().subspan(1), to).out;
  return out;
}

}  // namespace attestry::channel
