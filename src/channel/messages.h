// The messages inside a channel's TLS connection: kind u8 ‖ size u32 ‖ body (docs/formats/channel.md). Strict: whatever
// is read is written again as the same bytes.
#pragma once
#include <cstdint>
#include <string>
#include <variant>

#include "attestation/evidence.h"
#include "base/bytes.h"
#include "base/result.h"
#include "channel/statement.h"

namespace attestry::channel {

enum class Kind : std::uint8_t { client_hello = 1, server_hello = 2, evidence = 3, refused = 4, data = 5 };
std::string_view to_text(Kind kind) noexcept;

inline constexpr std::size_t kHeaderBytes = 5;
inline constexpr std::size_t kMaxAudience = 255;
inline constexpr std::size_t kMaxEvidence = 64 * 1024;
inline constexpr std::size_t kMaxLog = 256 * 1024;
inline constexpr std::size_t kMaxReason = 512;
inline constexpr std::size_t kMaxData = 64 * 1024;

struct Header {
  Kind kind = Kind::data;
  std::uint32_t size = 0;  ///< of the body
};
/// `malformed` for kinds that are none, and for sizes that no message of the kind has.
base::Result<Header> parse_header(base::ByteView bytes);
base::FixedBytes<kHeaderBytes> header(Kind kind, std::size_t size);

/// client_hello and server_hello.
struct Hello {
  std::string audience;
  base::FixedBytes<kNonceBytes> nonce{};
};
base::Bytes encode(const Hello& hello);
base::Result<Hello> parse_hello(base::ByteView body);

/// `too_large` for what a message cannot hold. The format is not sent: whoever verifies looks for himself.
base::Result<base::Bytes> encode(const attestation::Evidence& evidence);
base::Result<attestation::Evidence> parse_evidence(base::ByteView body);

/// Why one end goes no further.
struct Refused {
  bool denied = true;  ///< false: it could not be decided, and may be asked again
  std::string reason;  ///< printable ASCII, for people
};
base::Bytes encode(const Refused& refused);
base::Result<Refused> parse_refused(base::ByteView body);
/// What to tell the other end of an error.
Refused refusal_of(const base::Error& error);

}  // namespace attestry::channel
