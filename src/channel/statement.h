// What evidence of one end of a channel says (FORMATS 9): who it is in which connection. A statement of another
// connection, of the other end, or with another nonce is another statement.
#pragma once
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace attestry::channel {

/// Of the end that the evidence is about.
enum class Role : std::uint8_t {
  client = 1,  ///< it called
  server = 2,  ///< it was called
};

inline constexpr std::size_t kNonceBytes = 32;

struct Statement {
  Role role = Role::client;
  std::string audience;
  base::FixedBytes<kNonceBytes> client_nonce{};
  base::FixedBytes<kNonceBytes> server_nonce{};
  base::FixedBytes<32> exporter{};  ///< tls-exporter of the connection (RFC 9266)
  base::Bytes own_spki;             ///< of the end that the evidence is about
  base::Bytes peer_spki;

  base::Bytes transcript() const;            ///< T_channel
  base::FixedBytes<64> report_data() const;  ///< SHA-512 of it
};

}  // namespace attestry::channel
