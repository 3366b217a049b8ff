#include "net/url.h"

#include <curl/curl.h>

#include <memory>

namespace attestry::net {

namespace {

struct UrlDelete {
  void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlDelete>;

std::string part_of(CURLU* url, CURLUPart which) {
  char* value = nullptr;
  std::string out;
  if (curl_url_get(url, which, &value, 0) == CURLUE_OK) out = value;
  curl_free(value);
  return out;
}

bool callable(const std::string& text) {
  const Url url{curl_url()};
  if (!url || curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return false;
  const auto scheme = part_of(url.get(), CURLUPART_SCHEME);
  return (scheme == "http" || scheme == "https") && !part_of(url.get(), CURLUPART_HOST).empty() &&
         part_of(url.get(), CURLUPART_USER).empty() && part_of(url.get(), CURLUPART_PASSWORD).empty();
}

}  // namespace

std::string shown_url(const std::string& url) {
  auto text = url.substr(0, url.find_first_of("?#"));
  const auto scheme = text.find("://");
  const auto host = scheme == std::string::npos ? 0 : scheme + 3;
  const auto at = text.substr(host, text.find('/', host) - host).rfind('@');
  if (at != std::string::npos) text.erase(host, at + 1);
  return text;
}

base::Status check_http_url(const std::string& url, const std::string& shown_as) {
  if (callable(url)) return base::done();
  return base::Error{base::Code::usage,
                     "not a URL that can be called: " + (shown_as.empty() ? shown_url(url) : shown_as),
                     "http:// or https:// with a host and without user and password"};
}

}  // namespace attestry::net
