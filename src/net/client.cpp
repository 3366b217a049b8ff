#include "net/client.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "base/mutex.h"
#include "net/address.h"
#include "net/url.h"

namespace attestry::net {
namespace {

constexpr std::size_t kMaxHeaderBytes = 256 * 1024;
constexpr int kLongestPoll = 60'000;  // milliseconds; libcurl comes back earlier for timeouts of its own
constexpr std::string_view kLoopback = "localhost,127.0.0.1,::1";

struct EasyDelete {
  void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
};
using Easy = std::unique_ptr<CURL, EasyDelete>;
struct MultiDelete {
  void operator()(CURLM* handle) const noexcept { curl_multi_cleanup(handle); }
};
using Multi = std::unique_ptr<CURLM, MultiDelete>;
/// One transfer at a time. A multi handle, because it can be woken from another thread; it keeps the connections.
struct Handle {
  Multi multi;
  Easy easy;
};
struct ListDelete {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, ListDelete>;
/// Once for the process, before the first handle: libcurl's own condition for use from several threads.
bool curl_ready() {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ready;
}

/// Where one answer is collected.
struct Collector {
  Response response;
  std::size_t max_bytes = 0;
  std::size_t header_bytes = 0;
  bool too_large = false;
};

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* user) noexcept {
  auto& to = *static_cast<Collector*>(user);
  const auto bytes = size * count;
  if (bytes > to.max_bytes - to.response.body.size()) {
    to.too_large = true;
    return 0;
  }
  to.response.body.append(data, bytes);
  return bytes;
}

std::size_t take_header(char* data, std::size_t size, std::size_t count, void* user) noexcept {
  auto& to = *static_cast<Collector*>(user);
  const auto bytes = size * count;
  to.header_bytes += bytes;
  if (to.header_bytes > kMaxHeaderBytes) {
    to.too_large = true;
    return 0;
  }
  std::string_view text{data, bytes};
  while (!text.empty() && (text.back() == '\r' || text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  if (text.starts_with("HTTP/")) {
    to.response.headers.clear();  // a 100 or a proxy's answer came before
    return bytes;
  }
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return bytes;
  auto value = text.substr(colon + 1);
  value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
  to.response.headers.add(text.substr(0, colon), value);
  return bytes;
}

base::Result<List> header_list(const HttpRequest& request) {
  List list{curl_slist_append(nullptr, "Expect:")};  // no waiting for 100 Continue
  for (std::size_t i = 0; i < request.headers.size(); ++i) {
    const auto [name, value] = request.headers.at(i);
    if (!valid_header(name, value)) return base::Error{base::Code::usage, "a header field that HTTP does not allow"};
    std::string field{name};
    field.append(value.empty() ? ";" : ": ").append(value);
    auto* shorter = list.release();
    auto* longer = curl_slist_append(shorter, field.c_str());
    list.reset(longer != nullptr ? longer : shorter);
    if (longer == nullptr) return base::Error{base::Code::internal, "out of memory"};
  }
  return list;
}

void set_method(CURL* curl, const HttpRequest& request) {
  const bool with_body = request.method == Method::post || request.method == Method::put ||
                         request.method == Method::patch || !request.body.empty();
  if (with_body) {
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
  } else if (request.method == Method::head) {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  }
  if (request.method != Method::head && (with_body ? request.method != Method::post : request.method != Method::get)) {
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, std::string{to_text(request.method)}.c_str());
  }
}

base::Error failure(CURLcode code, const Collector& got, const char* detail, const HttpRequest& request) {
  const auto where = std::string{to_text(request.method)} + " " +
                     (request.shown_as.empty() ? shown_url(request.url) : request.shown_as) +
                     (request.unix_socket.empty() ? "" : " (" + request.unix_socket + ")");
  if (got.too_large) {
    return {request.if_too_large, where + ": the answer is too large",
            "at most " + std::to_string(request.max_bytes) + " bytes"};
  }
  if (code == CURLE_OPERATION_TIMEDOUT) return {base::Code::deadline_exceeded, where + ": no whole answer in time"};
  if (code == CURLE_ABORTED_BY_CALLBACK) return {base::Code::unavailable, where + ": this program stops"};
  const std::string why = detail[0] != '\0' ? detail : curl_easy_strerror(code);
  if (code == CURLE_PEER_FAILED_VERIFICATION) {
    return {base::Code::unavailable,
            where + ": the server's certificate is not trusted",
            {},
            why,
            "Check the address, or name the CA that issued the server's certificate."};
  }
  if (code == CURLE_SSL_CONNECT_ERROR && why.find("wrong version number") != std::string::npos) {
    return {base::Code::unavailable,
            where + ": the server speaks plain HTTP, not TLS",
            {},
            why,
            "Say http:// instead of https://; if the server is to speak TLS, look at its tls.mode."};
  }
  const bool usage = code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL;
  return {usage ? base::Code::usage : base::Code::unavailable, where + ": " + why};
}

std::string no_proxy_list() {
  const char* lower = std::getenv("no_proxy");
  const char* given = lower != nullptr ? lower : std::getenv("NO_PROXY");
  std::string list{kLoopback};
  if (given != nullptr && *given != '\0') list = std::string{given} == "*" ? "*" : list + "," + given;
  return list;
}

}  // namespace

base::Result<Response> HttpTransport::get(std::string url, base::Deadline deadline, Headers headers) {
  HttpRequest request{.url = std::move(url), .headers = std::move(headers), .deadline = deadline};
  return send(request);
}

base::Result<Response> HttpTransport::post(std::string url, std::string body, std::string_view content_type,
                                           base::Deadline deadline, Headers headers) {
  HttpRequest request{.method = Method::post,
                      .url = std::move(url),
                      .headers = std::move(headers),
                      .body = std::move(body),
                      .deadline = deadline};
  request.headers.set("Content-Type", content_type);
  return send(request);
}

namespace {

/// Asked with the address that is really connected to, so that a name cannot resolve to something else meanwhile.
curl_socket_t open_public_socket(void*, curlsocktype, curl_sockaddr* address) {
  base::ByteView ip;
  if (address->family == AF_INET) {
    ip = {reinterpret_cast<const std::uint8_t*>(&reinterpret_cast<const sockaddr_in*>(&address->addr)->sin_addr), 4};
  } else if (address->family == AF_INET6) {
    ip = {reinterpret_cast<const std::uint8_t*>(&reinterpret_cast<const sockaddr_in6*>(&address->addr)->sin6_addr), 16};
  }
  if (!is_public_ip(ip)) return CURL_SOCKET_BAD;
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

}  // namespace

struct HttpClient::Impl {
  ClientOptions options;
  std::string no_proxy;
  base::Mutex mutex;
  std::vector<Handle> idle ATTESTRY_GUARDED_BY(mutex);
  std::vector<CURLM*> busy ATTESTRY_GUARDED_BY(mutex);
  bool stopped ATTESTRY_GUARDED_BY(mutex) = false;

  /// Nothing in it when libcurl gives none.
  Handle take() {
    const base::MutexLock lock{mutex};
    Handle handle;
    if (idle.empty()) {
      handle = {.multi = Multi{curl_multi_init()}, .easy = Easy{curl_easy_init()}};
      if (!handle.multi || !handle.easy) return {};
    } else {
      handle = std::move(idle.back());
      idle.pop_back();
    }
    busy.push_back(handle.multi.get());
    return handle;
  }

  void give_back(Handle handle) {
    curl_easy_reset(handle.easy.get());  // options go, connections and TLS sessions stay
    const base::MutexLock lock{mutex};
    std::erase(busy, handle.multi.get());
    if (idle.size() < options.max_idle_handles) idle.push_back(std::move(handle));
  }

  bool is_stopped() {
    const base::MutexLock lock{mutex};
    return stopped;
  }

  /// As curl_easy_perform(), but that stop() ends it.
  CURLcode perform(const Handle& handle) {
    auto* multi = handle.multi.get();
    if (curl_multi_add_handle(multi, handle.easy.get()) != CURLM_OK) return CURLE_FAILED_INIT;
    CURLcode code = CURLE_ABORTED_BY_CALLBACK;
    // What wakes is remembered by the handle, so that none is lost between the question and the wait.
    while (!is_stopped()) {
      int running = 0;
      if (curl_multi_perform(multi, &running) != CURLM_OK) {
        code = CURLE_FAILED_INIT;
        break;
      }
      if (running == 0) {
        int left = 0;
        const auto* message = curl_multi_info_read(multi, &left);
        code = message != nullptr && message->msg == CURLMSG_DONE ? message->data.result : CURLE_FAILED_INIT;
        break;
      }
      if (curl_multi_poll(multi, nullptr, 0, kLongestPoll, nullptr) != CURLM_OK) {
        code = CURLE_FAILED_INIT;
        break;
      }
    }
    // A name that is being looked up keeps nobody who stops.
    if (code == CURLE_ABORTED_BY_CALLBACK) curl_easy_setopt(handle.easy.get(), CURLOPT_QUICK_EXIT, 1L);
    curl_multi_remove_handle(multi, handle.easy.get());
    return code;
  }

  void set_trust(CURL* curl) const {
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    if (options.ca_file.empty() && options.ca_pem.empty()) return;
    // The distribution compiles a folder of roots in: a given CA must replace it, not add to it.
    curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
    curl_easy_setopt(curl, CURLOPT_CAINFO, options.ca_file.empty() ? nullptr : options.ca_file.c_str());
    if (!options.ca_pem.empty()) {
      curl_blob blob{const_cast<char*>(options.ca_pem.data()), options.ca_pem.size(), CURL_BLOB_NOCOPY};
      curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
    }
  }

  void set_identity(CURL* curl) const {
    if (options.certificate_pem.empty()) return;
    const auto key = base::as_text(options.key_pem->reveal());
    curl_blob certificate_blob{const_cast<char*>(options.certificate_pem.data()), options.certificate_pem.size(),
                               CURL_BLOB_NOCOPY};
    curl_blob key_blob{const_cast<char*>(key.data()), key.size(), CURL_BLOB_NOCOPY};
    curl_easy_setopt(curl, CURLOPT_SSLCERTTYPE, "PEM");
    curl_easy_setopt(curl, CURLOPT_SSLCERT_BLOB, &certificate_blob);
    curl_easy_setopt(curl, CURLOPT_SSLKEYTYPE, "PEM");
    curl_easy_setopt(curl, CURLOPT_SSLKEY_BLOB, &key_blob);
  }

  void set_route(CURL* curl, const HttpRequest& request) const {
    if (options.public_only) curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, &open_public_socket);
    if (!request.unix_socket.empty()) curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, request.unix_socket.c_str());
    if (!options.environment_proxy || !request.unix_socket.empty()) {
      curl_easy_setopt(curl, CURLOPT_PROXY, "");
    } else {
      curl_easy_setopt(curl, CURLOPT_NOPROXY, no_proxy.c_str());
    }
  }
};

HttpClient::HttpClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpClient::~HttpClient() = default;

base::Result<std::unique_ptr<HttpClient>> HttpClient::make(ClientOptions options) {
  if (!curl_ready()) return base::Error{base::Code::internal, "libcurl does not start"};
  if (!options.ca_file.empty() && !options.ca_pem.empty()) {
    return base::Error{base::Code::configuration, "HTTP client: a CA file and CA certificates are both given"};
  }
  if (!options.ca_file.empty() && !std::ifstream{options.ca_file}) {
    return base::Error{base::Code::configuration, "HTTP client: cannot open the CA file " + options.ca_file};
  }
  if (options.certificate_pem.empty() != (options.key_pem == nullptr || options.key_pem->empty())) {
    return base::Error{base::Code::configuration,
                       "HTTP client: a client certificate needs its key, and a key its certificate"};
  }
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->no_proxy = no_proxy_list();
  return std::unique_ptr<HttpClient>{new HttpClient{std::move(impl)}};
}

void HttpClient::stop() {
  const base::MutexLock lock{impl_->mutex};
  impl_->stopped = true;
  for (auto* multi : impl_->busy) curl_multi_wakeup(multi);
}

base::Result<Response> HttpClient::send(const HttpRequest& request) {
  TRY_OK(check_http_url(request.url, request.shown_as));
  TRY(const auto headers, header_list(request));
  using std::chrono::milliseconds;
  const auto left = std::chrono::ceil<milliseconds>(request.deadline - impl_->options.clock->steady()).count();
  Collector got;
  if (left <= 0) return failure(CURLE_OPERATION_TIMEDOUT, got, "", request);
  auto handle = impl_->take();
  if (!handle.easy) return base::Error{base::Code::internal, "libcurl gives no handle"};
  auto* curl = handle.easy.get();
  std::array<char, CURL_ERROR_SIZE> detail{};
  got.max_bytes = request.max_bytes;
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail.data());
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  // Three weeks are for ever here, and fit into a long of 32 bits.
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(std::min<long long>(left, 2'000'000'000)));
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::min<long long>(left, 2'000'000'000)));
  curl_easy_setopt(curl, CURLOPT_USERAGENT, impl_->options.user_agent.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &got);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &got);
  impl_->set_trust(curl);
  impl_->set_identity(curl);
  impl_->set_route(curl, request);
  set_method(curl, request);
  const auto code = impl_->perform(handle);
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  impl_->give_back(std::move(handle));
  if (code != CURLE_OK) return failure(code, got, detail.data(), request);
  got.response.status = static_cast<int>(status);
  got.response.content_type = got.response.headers.get("content-type");
  return std::move(got.response);
}

}  // namespace attestry::net
