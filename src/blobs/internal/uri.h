// Storage URIs: scheme://[user[:password]@]host[:port]/path?name=value, as the first registry wrote them.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace attestry::blobs {

struct Uri {
  std::string scheme;                                      ///< lower case
  std::optional<std::string> user;                         ///< percent-decoded
  std::optional<std::string> password;                     ///< percent-decoded
  std::string host;                                        ///< without the port; of IPv6 without the brackets
  std::string port;                                        ///< digits, or empty
  std::string path;                                        ///< percent-decoded, from the first slash on, or empty
  std::vector<std::pair<std::string, std::string>> query;  ///< decoded, in order

  /// host[:port] as an HTTP URL and a Host field write it.
  std::string authority() const;
  /// First parameter of that name.
  std::optional<std::string> parameter(std::string_view name) const;
  /// true, 1 and yes; everything else, and its absence, is false.
  bool flag(std::string_view name) const;
  /// Without user and password and without parameters whose name may hold a secret.
  std::string shown() const;
};

/// Error `malformed`: no scheme, control characters, bad percent escapes, a port that is none, more than 4096 bytes.
base::Result<Uri> parse_uri(std::string_view text);

/// False for parameters that may carry a key.
bool is_shown_parameter(std::string_view name);

/// For text that is no URI: whatever stands between :// and the last @ is left out, and it is cut short.
std::string hide_user_info(std::string_view text);

/// "30s", "500ms", "2m", "1h", "1m30s", or digits alone for seconds; milliseconds, at most one day.
base::Result<long long> parse_duration_ms(std::string_view text);

}  // namespace attestry::blobs
