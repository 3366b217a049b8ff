// Idempotency-Key on the writes of operators (FORMATS 12): a request that is sent again under the same key is not
// carried out again but answered as the first was. Kept in the store, so a restart changes nothing.
#pragma once
#include <functional>

#include "api/api.h"

namespace attestry::api {

inline constexpr std::string_view kIdempotencyHeader = "Idempotency-Key";
/// Added to an answer that was given before.
inline constexpr std::string_view kReplayedHeader = "Idempotency-Replayed";
inline constexpr std::size_t kIdempotencyKeyBytes = 128;  ///< longest key; visible ASCII, 1 character at least
inline constexpr std::int64_t kIdempotencySeconds = 24 * 3600;
/// Keys that are remembered at the same time; a new one takes the place of the one that would expire next.
inline constexpr std::uint64_t kIdempotencyKeys = 10'000;

using Answer = std::function<base::Result<net::Response>(net::Request&)>;

/// Runs `answer`, once for each key of each caller. Without the header it just runs it. Errors: `malformed` (a bad
/// key), `conflict` (the key was used for another request, or its request has begun and has no answer), and those of
/// `answer` and the store. Only successes are remembered: a request that failed has changed nothing and may be sent
/// again. A key is reserved durably before the write and its answer stored after it, so that a crash between them
/// leaves a request that is never carried out twice, but whose answer is lost.
base::Result<net::Response> once(const Deps& deps, net::Request& request, const Answer& answer);

}  // namespace attestry::api
