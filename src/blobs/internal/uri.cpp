#include "blobs/internal/uri.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/encoding.h"
#include "net/http.h"

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;

constexpr std::size_t kMaxUri = 4096;
constexpr std::size_t kShownUnparsed = 200;
constexpr long long kDayMs = 86'400'000;
/// Parameters that are shown; others may carry a key in some dialect of these URIs.
constexpr std::array kShownParameters{
    std::string_view{"region"},  std::string_view{"endpoint"},  std::string_view{"path_style"},
    std::string_view{"gateway"}, std::string_view{"timeout"},   std::string_view{"tls"},
    std::string_view{"ref"},     std::string_view{"anonymous"}, std::string_view{"credentials"}};

Error bad(std::string what, std::string_view text) {
  return Error{Code::malformed, "invalid storage location URI: " + std::move(what),
               "scheme://host/path with file, s3, ipfs, onchain, github or vault", hide_user_info(text)};
}

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }

/// RFC 3986 3.1, in lower case.
std::string scheme_of(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!is_lower(c) && (out.empty() || (!is_digit(c) && c != '+' && c != '-' && c != '.'))) return {};
    out.push_back(c);
  }
  return out;
}

base::Status split_authority(std::string_view authority, Uri& uri, std::string_view whole) {
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    const auto info = authority.substr(0, at);
    authority.remove_prefix(at + 1);
    const auto colon = info.find(':');
    TRY(uri.user, base::percent_decode(info.substr(0, colon)));
    if (colon != std::string_view::npos) {
      TRY(uri.password, base::percent_decode(info.substr(colon + 1)));
    }
  }
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string_view::npos) return bad("an IPv6 address without its closing bracket", whole);
    uri.host = std::string{authority.substr(1, end - 1)};
    authority.remove_prefix(end + 1);
    if (!authority.empty() && authority.front() != ':') return bad("text behind the host", whole);
  } else {
    const auto colon = std::min(authority.find(':'), authority.size());
    uri.host = std::string{authority.substr(0, colon)};
    authority.remove_prefix(colon);
  }
  if (authority.empty()) return base::done();
  uri.port = std::string{authority.substr(1)};
  unsigned port = 0;
  const auto* end = uri.port.data() + uri.port.size();
  const auto [stop, error] = std::from_chars(uri.port.data(), end, port);
  if (error != std::errc{} || stop != end || port == 0 || port > 65535) return bad("not a port number", whole);
  return base::done();
}

base::Status split_query(std::string_view query, Uri& uri) {
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const auto equals = std::min(pair.find('='), pair.size());
    TRY(std::string name, base::percent_decode(pair.substr(0, equals)));
    TRY(std::string value, base::percent_decode(pair.substr(std::min(equals + 1, pair.size()))));
    uri.query.emplace_back(std::move(name), std::move(value));
  }
  return base::done();
}

}  // namespace

std::string Uri::authority() const {
  std::string out = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (!port.empty()) out.append(":").append(port);
  return out;
}

std::optional<std::string> Uri::parameter(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

bool Uri::flag(std::string_view name) const {
  const auto value = parameter(name);
  return value && (*value == "true" || *value == "1" || *value == "yes");
}

bool is_shown_parameter(std::string_view name) {
  return std::find(kShownParameters.begin(), kShownParameters.end(), name) != kShownParameters.end();
}

std::string Uri::shown() const {
  std::string out = scheme + "://" + authority();
  std::string_view rest = path;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('/'), rest.size());
    out.append(net::percent_encode(rest.substr(0, end)));
    if (end < rest.size()) out.push_back('/');
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  char separator = '?';
  for (const auto& [name, value] : query) {
    if (!is_shown_parameter(name)) continue;
    out.append(1, separator).append(name).append("=").append(net::percent_encode(hide_user_info(value)));
    separator = '&';
  }
  return out;
}

base::Result<Uri> parse_uri(std::string_view text) {
  if (text.size() > kMaxUri) return bad("longer than " + std::to_string(kMaxUri) + " bytes", text);
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) return bad("white space or a control character", "");
  }
  const auto colon = text.find("://");
  Uri uri;
  if (colon == std::string_view::npos || (uri.scheme = scheme_of(text.substr(0, colon))).empty()) {
    return bad("no scheme", text);
  }
  auto rest = text.substr(colon + 3);
  rest = rest.substr(0, rest.find('#'));
  const auto question = std::min(rest.find('?'), rest.size());
  const auto query = rest.substr(std::min(question + 1, rest.size()));
  rest = rest.substr(0, question);
  const auto slash = std::min(rest.find('/'), rest.size());
  TRY_OK(split_authority(rest.substr(0, slash), uri, text), "invalid storage location URI");
  TRY(uri.path, base::percent_decode(rest.substr(slash)), "invalid storage location URI: path");
  if (uri.path.find('\0') != std::string::npos) return bad("a zero byte in the path", text);
  TRY_OK(split_query(query, uri), "invalid storage location URI: parameters");
  return uri;
}

std::string hide_user_info(std::string_view text) {
  auto end = text.find_first_of("?#");
  if (const auto at = text.rfind('@'); at != std::string_view::npos && (end == std::string_view::npos || at > end)) {
    end = std::min(end, at);  // a question mark inside a password that nobody escaped
  }
  const auto begin = text.find("://");
  const auto from = begin == std::string_view::npos ? 0 : begin + 3;
  const auto at = text.rfind('@');
  std::string out{text.substr(0, at == std::string_view::npos || at < from ? end : from)};
  if (at != std::string_view::npos && at >= from) {
    const auto rest = text.substr(at + 1);
    out.append("…@").append(rest.substr(0, rest.find_first_of("?#")));
  }
  if (out.size() > kShownUnparsed) out.resize(kShownUnparsed);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

base::Result<long long> parse_duration_ms(std::string_view text) {
  const Error wrong{Code::malformed, "not a duration", "30s, 500ms, 2m or seconds, at most one day",
                    std::string{text.substr(0, 40)}};
  long long total = 0;
  if (text.empty()) return wrong;
  while (!text.empty()) {
    long long value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || value < 0 || value > kDayMs) return wrong;
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    const auto digits = std::min(text.find_first_of("0123456789"), text.size());
    const auto unit = text.substr(0, digits);
    text.remove_prefix(digits);
    const long long scale = unit == "ms"                 ? 1
                            : unit == "s"                ? 1000
                            : unit == "m"                ? 60'000
                            : unit == "h"                ? 3'600'000
                            : unit.empty() && total == 0 ? 1000
                                                         : 0;
    if (scale == 0) return wrong;
    total += value * scale;
    if (total > kDayMs) return wrong;
  }
  return total;
}

}  // namespace attestry::blobs
