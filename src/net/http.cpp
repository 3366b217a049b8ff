#include "net/http.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "crypto/secret.h"

namespace attestry::net {
namespace {

constexpr std::size_t kMaxParts = 64;

constexpr std::pair<Method, std::string_view> kMethods[] = {
    {Method::get, "GET"},     {Method::head, "HEAD"},      {Method::post, "POST"},      {Method::put, "PUT"},
    {Method::patch, "PATCH"}, {Method::delete_, "DELETE"}, {Method::options, "OPTIONS"}};

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_alpha(char c) noexcept { return lower(c) >= 'a' && lower(c) <= 'z'; }

// RFC 9110, 5.6.2.
constexpr bool is_token(char c) noexcept {
  return is_digit(c) || is_alpha(c) || std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
}

constexpr bool is_lower_hex(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
}

bool all_zero(std::string_view hex) noexcept { return hex.find_first_not_of('0') == std::string_view::npos; }

/// Length of the UTF-8 sequence at the front of `text` (RFC 3629: shortest form, no surrogates), 0 when there is none.
std::size_t utf8_length(std::string_view text) noexcept {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t size = lead >= 0xC2 && lead <= 0xDF   ? 2
                           : (lead & 0xF0) == 0xE0        ? 3
                           : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                          : 0;
  if (size == 0 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(1);
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) ||
      (lead == 0xF4 && second > 0x8F)) {
    return 0;
  }
  return size;
}

base::Status check_text(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7F) return base::Error{base::Code::malformed, "a control character in the request target"};
    const auto size = utf8_length(text.substr(i));
    if (size == 0) return base::Error{base::Code::malformed, "the request target is not UTF-8 after percent-decoding"};
    i += size;
  }
  return base::done();
}

base::Result<std::string> decode(std::string_view text, bool plus_is_space) {
  if (text.find_first_of("%+") == std::string_view::npos) {
    TRY_OK(check_text(text));
    return std::string{text};
  }
  std::string plain{text};
  if (plus_is_space) std::replace(plain.begin(), plain.end(), '+', ' ');
  TRY(auto decoded, base::percent_decode(plain), "request target");
  TRY_OK(check_text(decoded));
  return decoded;
}

base::Status parse_path(std::string_view path, std::vector<std::string>& segments) {
  std::string_view rest = path.substr(1);
  while (!rest.empty() || path.back() == '/') {
    const auto slash = rest.find('/');
    auto segment = decode(rest.substr(0, slash), false);
    if (!segment) return segment.error();
    // RFC 3986, 6.2.2.3: clients resolve dot segments; one that arrives is an attempt to confuse somebody.
    if (*segment == "." || *segment == "..")
      return base::Error{base::Code::malformed, "a dot segment in the request target"};
    if (segments.size() == kMaxParts) return base::Error{base::Code::malformed, "too many path segments", "at most 64"};
    segments.push_back(*std::move(segment));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  return base::done();
}

base::Status read_query(std::string_view rest, Pairs& query) {
  while (!rest.empty()) {
    const auto end = rest.find('&');
    const auto part = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    if (part.empty()) continue;
    const auto equals = part.find('=');
    TRY(auto name, decode(part.substr(0, equals), true));
    std::string value;
    if (equals != std::string_view::npos) {
      TRY(value, decode(part.substr(equals + 1), true));
    }
    if (query.size() == kMaxParts) return base::Error{base::Code::malformed, "too many query parameters", "at most 64"};
    query.emplace_back(std::move(name), std::move(value));
  }
  return base::done();
}

/// RFC 9112, 3.2.2: servers accept the absolute form; the authority is judged by nobody here, as all hosts are one.
std::string_view without_authority(std::string_view target) noexcept {
  for (std::string_view scheme : {"http://", "https://"}) {
    if (target.size() > scheme.size() && equal_ignoring_case(target.substr(0, scheme.size()), scheme)) {
      target.remove_prefix(scheme.size());
      const auto path = target.find_first_of("/?");
      if (path == 0) return {};
      return path == std::string_view::npos ? std::string_view{"/"} : target.substr(path);
    }
  }
  return target;
}

}  // namespace

std::string_view to_text(Method method) noexcept {
  for (const auto& [value, text] : kMethods) {
    if (value == method) return text;
  }
  return "OTHER";
}

Method method_from(std::string_view text) noexcept {
  for (const auto& [value, name] : kMethods) {
    if (name == text) return value;
  }
  return Method::other;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

Headers::Headers(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  for (const auto& [name, value] : fields) add(name, value);
}

void Headers::add(std::string_view name, std::string_view value) {
  entries_.push_back({static_cast<std::uint32_t>(text_.size()), static_cast<std::uint32_t>(name.size()),
                      static_cast<std::uint32_t>(value.size())});
  text_.append(name).append(value);
}

void Headers::set(std::string_view name, std::string_view value) {
  // Both may point into the text that is about to move.
  const std::string name_copy{name};
  const std::string value_copy{value};
  remove(name_copy);
  add(name_copy, value_copy);
}

void Headers::remove(std::string_view name) {
  std::erase_if(entries_, [&](const Entry& e) {
    return equal_ignoring_case(std::string_view{text_}.substr(e.begin, e.name_size), name);
  });
}

std::optional<std::string_view> Headers::find(std::string_view name) const noexcept {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].name_size != name.size()) continue;
    const auto [found, value] = at(i);
    if (equal_ignoring_case(found, name)) return value;
  }
  return std::nullopt;
}

std::string_view Headers::get(std::string_view name) const noexcept { return find(name).value_or(std::string_view{}); }

std::size_t Headers::count(std::string_view name) const noexcept {
  std::size_t n = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) n += equal_ignoring_case(at(i).first, name) ? 1u : 0u;
  return n;
}

std::pair<std::string_view, std::string_view> Headers::at(std::size_t index) const noexcept {
  const auto& e = entries_[index];
  const std::string_view text{text_};
  return {text.substr(e.begin, e.name_size), text.substr(e.begin + e.name_size, e.value_size)};
}

void Headers::reserve(std::size_t fields, std::size_t bytes) {
  entries_.reserve(fields);
  text_.reserve(bytes);
}

void Headers::clear() noexcept {
  entries_.clear();
  text_.clear();
}

bool valid_header(std::string_view name, std::string_view value) noexcept {
  return !name.empty() && std::all_of(name.begin(), name.end(), is_token) &&
         std::none_of(value.begin(), value.end(), [](char c) {
           const auto u = static_cast<unsigned char>(c);
           return (u < 0x20 && c != '\t') || u == 0x7F;
         });
}

base::Result<TraceContext> parse_traceparent(std::string_view value) {
  // https://www.w3.org/TR/trace-context-1/#traceparent-header: 2 + 1 + 32 + 1 + 16 + 1 + 2.
  const base::Error bad{base::Code::malformed, "not a W3C traceparent"};
  if (value.size() < 55 || value[2] != '-' || value[35] != '-' || value[52] != '-') return bad;
  const auto version = value.substr(0, 2);
  const auto trace = value.substr(3, 32);
  const auto parent = value.substr(36, 16);
  const auto flags = value.substr(53, 2);
  if (!is_lower_hex(version) || !is_lower_hex(trace) || !is_lower_hex(parent) || !is_lower_hex(flags)) return bad;
  if (version == "ff" || all_zero(trace) || all_zero(parent)) return bad;
  if (value.size() > 55 && (version == "00" || value[55] != '-')) return bad;
  base::FixedBytes<1> bits{};
  TRY_OK(base::hex_decode_into(flags, bits));
  return TraceContext{std::string{trace}, std::string{parent}, bits[0]};
}

TraceContext new_trace(crypto::Random& random) {
  auto id = random.bytes<16>();
  id[0] |= static_cast<std::uint8_t>(id == base::FixedBytes<16>{});
  return {base::hex(id), {}, 0};
}

std::string to_traceparent(const TraceContext& trace, crypto::Random& random) {
  auto span = random.bytes<8>();
  span[0] |= static_cast<std::uint8_t>(span == base::FixedBytes<8>{});
  const base::FixedBytes<1> flags{trace.flags};
  std::string out = "00-";
  out.append(trace.trace_id).append("-").append(base::hex(span)).append("-").append(base::hex(flags));
  return out;
}

base::Result<Target> parse_target_path(std::string_view target) {
  const auto local = without_authority(target);
  if (local.empty() || (local.front() != '/' && local.front() != '?')) {
    return base::Error{base::Code::malformed, "the request target is no path", "origin form, RFC 9112 section 3.2.1"};
  }
  if (local.find('#') != std::string_view::npos) {
    return base::Error{base::Code::malformed, "a fragment in the request target"};
  }
  Target out;
  out.path = local.substr(0, local.find('?'));
  if (out.path.empty()) out.path = "/";
  if (out.path != "/") TRY_OK(parse_path(out.path, out.segments));
  return out;
}

std::string_view raw_query(std::string_view target) noexcept {
  const auto mark = target.find('?');
  return mark == std::string_view::npos ? std::string_view{} : target.substr(mark + 1);
}

base::Result<Target> parse_target(std::string_view target) {
  TRY(auto out, parse_target_path(target));
  TRY(out.query, parse_query(raw_query(target)));
  return out;
}

base::Result<Pairs> parse_query(std::string_view query) {
  Pairs out;
  TRY_OK(read_query(query, out));
  return out;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (is_digit(c) || is_alpha(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out.push_back(c);
      continue;
    }
    const auto u = static_cast<unsigned char>(c);
    out.append({'%', kDigits[u >> 4], kDigits[u & 15]});
  }
  return out;
}

std::string_view Request::parameter(std::string_view name) const noexcept {
  for (const auto& [key, value] : path_parameters) {
    if (key == name) return value;
  }
  return {};
}

std::optional<std::string_view> Request::query_value(std::string_view name) const noexcept {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::string Request::media_type() const {
  auto value = headers.get("content-type");
  value = value.substr(0, value.find(';'));
  const auto last = value.find_last_not_of(" \t");
  std::string type{value.substr(0, last == std::string_view::npos ? 0 : last + 1)};
  std::transform(type.begin(), type.end(), type.begin(), lower);
  return type;
}

Response json_response(int status, std::string json) { return {status, "application/json", std::move(json), {}}; }
Response json_response(int status, const base::JsonOut& value) { return json_response(status, value.compact()); }
Response text_response(int status, std::string text) {
  return {status, "text/plain; charset=utf-8", std::move(text), {}};
}

void wipe_text(std::string& text) noexcept {
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
}

void wipe_body(Response& response) noexcept {
  if (response.wipe) wipe_text(response.body);
}

Response empty_response() { return {204, {}, {}, {}}; }

base::Result<std::shared_ptr<const base::JsonDocument>> json_body(Request& request, const base::JsonLimits& limits) {
  return base::JsonDocument::parse(std::move(request.body), limits);
}

std::string_view reason_phrase(int status) noexcept {
  struct Phrase {
    int status;
    std::string_view text;
  };
  static constexpr Phrase kPhrases[] = {{100, "Continue"},
                                        {200, "OK"},
                                        {201, "Created"},
                                        {202, "Accepted"},
                                        {204, "No Content"},
                                        {206, "Partial Content"},
                                        {301, "Moved Permanently"},
                                        {302, "Found"},
                                        {303, "See Other"},
                                        {304, "Not Modified"},
                                        {307, "Temporary Redirect"},
                                        {308, "Permanent Redirect"},
                                        {400, "Bad Request"},
                                        {401, "Unauthorized"},
                                        {403, "Forbidden"},
                                        {404, "Not Found"},
                                        {405, "Method Not Allowed"},
                                        {406, "Not Acceptable"},
                                        {408, "Request Timeout"},
                                        {409, "Conflict"},
                                        {410, "Gone"},
                                        {412, "Precondition Failed"},
                                        {413, "Content Too Large"},
                                        {414, "URI Too Long"},
                                        {415, "Unsupported Media Type"},
                                        {417, "Expectation Failed"},
                                        {422, "Unprocessable Content"},
                                        {429, "Too Many Requests"},
                                        {431, "Request Header Fields Too Large"},
                                        {500, "Internal Server Error"},
                                        {501, "Not Implemented"},
                                        {502, "Bad Gateway"},
                                        {503, "Service Unavailable"},
                                        {504, "Gateway Timeout"},
                                        {505, "HTTP Version Not Supported"}};
  for (const auto& phrase : kPhrases) {
    if (phrase.status == status) return phrase.text;
  }
  return {};
}

}  // namespace attestry::net
