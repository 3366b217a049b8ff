// What tells one TLS connection from every other, for handlers whose clients are bound to theirs (RFC 9266).
#pragma once
#include <algorithm>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "net/http.h"

namespace attestry::net {

inline constexpr std::size_t kChannelBindingBytes = 32;
/// The server writes it beside the client's fields. No client can: a name with a colon is none (RFC 9110, 5.1).
inline constexpr std::string_view kChannelBindingField = ":tls-exporter";

/// tls-exporter of the request's connection: the same on both ends of it, and of no other. Nothing without TLS 1.3,
/// and on listeners of other roles than `keystore`.
inline std::optional<base::FixedBytes<kChannelBindingBytes>> channel_binding(const Request& request) {
  const auto field = request.headers.find(kChannelBindingField);
  if (!field || field->size() != kChannelBindingBytes) return std::nullopt;
  base::FixedBytes<kChannelBindingBytes> out{};
  std::copy(field->begin(), field->end(), out.begin());
  return out;
}

}  // namespace attestry::net
