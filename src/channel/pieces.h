// More than one message of a channel holds: pieces, each more u8 (1: another one follows) ‖ bytes.
#pragma once
#include "base/result.h"
#include "base/time.h"
#include "channel/session.h"
#include "crypto/secret.h"

namespace attestry::channel {

base::Status send_pieces(Session& session, base::ByteView data, base::Deadline deadline);
/// At most `most` bytes: `too_large` otherwise.
base::Result<crypto::Secret> receive_pieces(Session& session, std::size_t most, base::Deadline deadline);

}  // namespace attestry::channel
