// HTTP messages as the rest of the program sees them: plain values, no socket and no library type (RFC 9110, RFC 9112).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"

namespace attestry::net {

enum class Method : std::uint8_t { get, head, post, put, patch, delete_, options, other };
std::string_view to_text(Method method) noexcept;
/// `other` for every method that this program does not know. Methods are case-sensitive (RFC 9110, 9.1).
Method method_from(std::string_view text) noexcept;

/// ASCII case-insensitive equality, as header names and media types compare.
bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// Header fields in the order they came; names compare without case. One buffer holds all text, so that a request costs
/// two allocations and not two for every field. Views are valid until the next add or set. Not thread-safe.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string_view, std::string_view>> fields);
  void add(std::string_view name, std::string_view value);
  /// Replaces every field of that name by one.
  void set(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  /// The first field of that name.
  std::optional<std::string_view> find(std::string_view name) const noexcept;
  /// The value, or an empty view when absent.
  std::string_view get(std::string_view name) const noexcept;
  std::size_t count(std::string_view name) const noexcept;
  std::size_t size() const noexcept { return entries_.size(); }
  /// (name, value) by position; `index` < size().
  std::pair<std::string_view, std::string_view> at(std::size_t index) const noexcept;
  void reserve(std::size_t fields, std::size_t bytes);
  void clear() noexcept;

 private:
  struct Entry {
    std::uint32_t begin, name_size, value_size;
  };
  std::string text_;
  std::vector<Entry> entries_;
};

/// A field name is a token, a value has no control characters (RFC 9110, 5.1 and 5.5): nothing else may reach a socket.
bool valid_header(std::string_view name, std::string_view value) noexcept;

/// W3C Trace Context (level 1): 16-byte trace id and 8-byte parent id, lower-case hex, never all zero.
struct TraceContext {
  std::string trace_id;   ///< 32 hex digits
  std::string parent_id;  ///< 16 hex digits: the caller's span; empty when this program began the trace
  std::uint8_t flags = 0;
};
/// Version 00 strictly; a higher version by its first four fields; ff and everything else is an error.
base::Result<TraceContext> parse_traceparent(std::string_view value);
TraceContext new_trace(crypto::Random& random);
/// "00-<trace>-<span>-<flags>" for an outgoing call.
std::string to_traceparent(const TraceContext& trace, crypto::Random& random);

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// A request target, taken apart. `segments` and `query` are percent-decoded; a decoded slash stays inside its segment.
struct Target {
  std::string path;                   ///< as sent, without the query
  std::vector<std::string> segments;  ///< "/v1/apps/a%2Fb" -> {"v1", "apps", "a/b"}; "/" -> {}
  Pairs query;                        ///< in order; "+" is a space, as HTML forms and every URL library write it
};
/// Origin form or absolute form (RFC 9112, 3.2). Refuses other forms, fragments, dot segments, control characters, bad
/// percent escapes, text that is not UTF-8 after decoding, and more than 64 segments or query parameters.
base::Result<Target> parse_target(std::string_view target);
/// The same with the query left alone and `query` empty, for routes whose query is bytes.
base::Result<Target> parse_target_path(std::string_view target);
/// Decoded; the limits and refusals of parse_target.
base::Result<Pairs> parse_query(std::string_view query);
/// What follows the first question mark, as sent; empty where there is none.
std::string_view raw_query(std::string_view target) noexcept;
/// The inverse of decoding for one path segment or query value: unreserved characters stay (RFC 3986, 2.3).
std::string percent_encode(std::string_view text);

/// Who is at the other end of the socket.
struct Peer {
  std::string address;  ///< "127.0.0.1:40022", "[::1]:40022" or "unix"
  bool tls = false;
  std::optional<std::uint32_t> uid;  ///< of the process, on unix sockets
  /// DER of the certificate whose key the client proved to hold, where the listener asks for one. Nothing else is known
  /// of it unless the listener requires a CA (TlsClients).
  std::shared_ptr<const base::Bytes> certificate{};
  std::optional<std::uint32_t> gid{};  ///< its primary group, where there is a uid
};

/// A whole, size-checked request. Movable value; a handler owns it.
struct Request {
  Method method = Method::get;
  std::string target;     ///< as sent
  std::string path;       ///< as sent, without the query
  Pairs path_parameters;  ///< by the names in the route's template, decoded
  Pairs query;            ///< decoded, in order
  Headers headers;
  std::string body;
  Peer peer;
  TraceContext trace;     ///< the caller's, or a new one
  std::string principal;  ///< whom the router's authenticator recognised; empty where a route needs nobody
  base::Deadline deadline = base::Deadline::max();  ///< after which the server answers 503 in the handler's place

  /// Path parameter by its name in the template; empty when the template has no such name.
  std::string_view parameter(std::string_view name) const noexcept;
  /// First query parameter of that name.
  std::optional<std::string_view> query_value(std::string_view name) const noexcept;
  /// Media type without parameters, lower case: "application/json".
  std::string media_type() const;
};

/// What goes back. Content-Length, Date, Connection and traceparent are the server's business.
struct Response {
  int status = 200;
  std::string content_type;  ///< empty: no Content-Type field
  std::string body;
  Headers headers;
  bool wipe = false;  ///< the body holds a secret: the server wipes its copy once it is written, or dropped
};

/// Overwrites every byte of a text that is or was a secret; it keeps its length.
void wipe_text(std::string& text) noexcept;
/// The same for the body, if `response.wipe` says so. What TLS and the kernel keep is theirs.
void wipe_body(Response& response) noexcept;

/// `json` must be JSON already.
Response json_response(int status, std::string json);
inline Response json_response(int status, const char* json) { return json_response(status, std::string{json}); }
Response json_response(int status, const base::JsonOut& value);
Response text_response(int status, std::string text);
/// 204.
Response empty_response();

/// Parses a JSON body strictly; takes the body out of the request without copying it.
base::Result<std::shared_ptr<const base::JsonDocument>> json_body(Request& request,
                                                                  const base::JsonLimits& limits = {});

/// "Not Found"; empty for codes without a name here.
std::string_view reason_phrase(int status) noexcept;

}  // namespace attestry::net
