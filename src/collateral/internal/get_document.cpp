#include "collateral/internal/get_document.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace attestry::collateral::internal {
namespace {

using base::Code;
using base::Error;

constexpr int kOk = 200;
constexpr int kTooMany = 429;
constexpr int kUnavailable = 503;

/// 461 is a PCCS's: a platform that was never registered there.
bool unknown_to_service(int status) { return status == 404 || status == 410 || status == 461; }

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || out < 0) return std::nullopt;
  return out;
}

/// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7: IMF-fixdate).
std::optional<base::UtcTime> http_date(std::string_view text) {
  constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != 29 || text.substr(3, 2) != ", " || !text.ends_with(" GMT")) return std::nullopt;
  const auto month = std::ranges::find(kMonths, text.substr(8, 3));
  const auto day = number(text.substr(5, 2));
  const auto year = number(text.substr(12, 4));
  const auto hour = number(text.substr(17, 2));
  const auto minute = number(text.substr(20, 2));
  const auto second = number(text.substr(23, 2));
  if (month == kMonths.end() || !day || !year || !hour || !minute || !second) return std::nullopt;
  if (*day < 1 || *day > 31 || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  return base::from_civil(static_cast<int>(*year), static_cast<unsigned>(month - kMonths.begin()) + 1,
                          static_cast<unsigned>(*day), static_cast<unsigned>(*hour), static_cast<unsigned>(*minute),
                          static_cast<unsigned>(*second));
}

}  // namespace

base::Result<net::Response> get_document(net::HttpTransport& transport, const DocumentRequest& request,
                                         Trouble& trouble) {
  net::HttpRequest call;
  call.url = request.url;
  call.deadline = request.deadline;
  call.max_bytes = request.max_bytes;
  auto response = transport.send(call);
  if (!response.ok()) {
    Error error = std::move(response).error();
    trouble.away = true;
    // Whatever keeps a call from being made is an outage to whoever waits for its answer.
    if (error.code != Code::deadline_exceeded) error.code = Code::unavailable;
    return error;
  }
  const int status = response->status;
  if (status == kOk) return response;
  const std::string_view retry_after = response->headers.get("Retry-After");
  trouble.throttled = status == kTooMany || (status == kUnavailable && !retry_after.empty());
  trouble.away = !trouble.throttled && status >= 500;
  trouble.retry_after = retry_after;
  const bool unknown = unknown_to_service(status) || (request.bad_is_unknown && status == 400);
  return Error{unknown ? Code::collateral_missing : Code::unavailable, request.url, "status 200",
               "status " + std::to_string(status)};
}

std::string_view host_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  return url.substr(0, url.find_first_of(":/?"));
}

std::string authority_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  return std::string{url.substr(0, url.find_first_of("/?"))};
}

std::string without_query(std::string_view url) { return std::string{url.substr(0, url.find('?'))}; }

std::string without_slash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

std::optional<std::int64_t> retry_after_seconds(std::string_view header, base::UtcTime now) {
  while (header.ends_with(' ')) header.remove_suffix(1);
  if (const auto seconds = number(header)) return seconds;
  const auto date = http_date(header);
  if (!date) return std::nullopt;
  return std::max<std::int64_t>(0, date->seconds - now.seconds);
}

}  // namespace attestry::collateral::internal
