#include "channel/pieces.h"

#include <algorithm>
#include <optional>
#include <utility>

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

namespace {

/// `size` bytes of `buffer` are there: room for `more` of them, at least twice as many as before.
void make_room(crypto::Secret& buffer, std::size_t size, std::size_t more, std::size_t most) {
  if (buffer.size() >= size + more) return;
  crypto::Secret bigger(std::max(size + more, std::min(most, 2 * buffer.size())));
  std::ranges::copy(buffer.reveal().first(size), bigger.writable().begin());
  buffer = std::move(bigger);
}

}  // namespace

Result<crypto::Secret> receive_pieces(Session& session, std::size_t most, base::Deadline deadline) {
  return receive_pieces(
      session, [&](base::ByteView) -> Result<Limit> { return Limit{.most = most, .until = deadline, .free = most}; },
      deadline);
}

Result<crypto::Secret> receive_pieces(Session& session, const std::function<Result<Limit>(base::ByteView first)>& limit,
                                      base::Deadline deadline) {
  crypto::Secret buffer;
  std::size_t size = 0;
  std::optional<Limit> may;
  bool more = true;
  while (more) {
    TRY(const auto piece, session.receive(may ? may->until : deadline));
    const auto bytes = piece.reveal();
    if (bytes.empty() || bytes[0] > 1 || (bytes[0] == 1 && bytes.size() != kMaxData)) {
      return Error{Code::malformed, "a piece of a message", "a full one, or the last", std::to_string(bytes.size())};
    }
    more = bytes[0] == 1;
    const auto data = bytes.subspan(1);
    if (!may) {
      TRY(may, limit(data));
    }
    if (data.size() > may->most - size) {
      return Error{Code::too_large, "a message in pieces", "at most " + std::to_string(may->most) + " bytes"};
    }
    if (may->beyond && size + data.size() > may->free) {
      TRY_OK(std::exchange(may->beyond, {})());
    }
    make_room(buffer, size, data.size(), may->most);
    std::ranges::copy(data, buffer.writable().subspan(size).begin());
    size += data.size();
  }
  return buffer.size() == size ? std::move(buffer) : crypto::Secret::copy_of(buffer.reveal().first(size));
}

}  // namespace attestry::channel
