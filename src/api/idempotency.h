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

/// What the description of a write says of the header.
net::QueryParameter idempotency_header();

using Answer = std::function<base::Result<net::Response>(net::Request&)>;

/// Runs `answer`, once for each key of each caller. Without the header it just runs it. Errors: `malformed` (a bad
/// key), `conflict` (the key was used for another request, or its request has begun and has no answer), and those of
/// `answer` and the store. A key is reserved durably before the write; its answer is queued after it and written in
/// order, so that whoever asks next finds it. Only successes are remembered, and a key is free again after an error
/// that proves that nothing happened (a refusal, or a write that never ran). After any other, after an exception, and
/// after a crash between the two writes, the key stays begun until it expires: such a request may have been carried
/// out and is never carried out twice, but its answer is lost. Where `answer` is not run, the body is wiped: it may
/// hold a secret.
base::Result<net::Response> once(const Deps& deps, net::Request& request, const Answer& answer);

}  // namespace attestry::api
