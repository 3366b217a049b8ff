// More than one message of a channel holds: pieces, each more u8 (1: another one follows) ‖ bytes.
#pragma once
#include <functional>

#include "base/result.h"
#include "base/time.h"
#include "channel/session.h"
#include "crypto/secret.h"

namespace attestry::channel {

base::Status send_pieces(Session& session, base::ByteView data, base::Deadline deadline);
/// What a message may be, by its first piece.
struct Limit {
  std::size_t most = 0;  ///< bytes together
  base::Deadline until;  ///< for the pieces after the first
  std::size_t free = 0;  ///< with `beyond`: so many bytes are kept without asking
  /// Asked once, before more is kept; may wait. Its error is returned. May be empty.
  std::function<base::Status()> beyond{};
};

/// At most `most` bytes: `too_large` otherwise. Every piece but the last is full: a message is written in one way, and
/// many small pieces take no more memory than their bytes.
base::Result<crypto::Secret> receive_pieces(Session& session, std::size_t most, base::Deadline deadline);
/// As `limit` says once it has seen the bytes of the first piece; its errors are returned.
base::Result<crypto::Secret> receive_pieces(Session& session,
                                            const std::function<base::Result<Limit>(base::ByteView first)>& limit,
                                            base::Deadline deadline);

}  // namespace attestry::channel
