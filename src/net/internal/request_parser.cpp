#include "net/internal/request_parser.h"

#include <algorithm>
#include <boost/beast/http/error.hpp>

namespace attestry::net {
namespace {

std::string_view view(boost::beast::string_view text) noexcept { return {text.data(), text.size()}; }

/// What a chunked body may cost in framing: one-byte chunks take six bytes each, extensions and trailers a little.
constexpr std::uint64_t kFramingFactor = 8;
constexpr std::uint64_t kFramingSlack = 64 * 1024;
/// A declared length is believed only so far: memory grows with what really arrives.
constexpr std::uint64_t kReserve = 64 * 1024;

}  // namespace

RequestParser::RequestParser(std::size_t header_bytes, std::size_t header_fields)
    : header_bytes_(header_bytes), header_fields_(header_fields) {
  header_limit(static_cast<std::uint32_t>(std::min<std::size_t>(header_bytes, 1u << 20)));
  body_limit(boost::none);  // the caller compares Content-Length itself, and sets the limit for chunks
  request_.headers.reserve(12, 512);
}

void RequestParser::set_body_limit(std::size_t bytes) {
  limit_ = bytes;
  body_limit(bytes);
}

std::size_t RequestParser::put(std::string_view data) {
  std::size_t used = 0;
  while (state_ == State::header || state_ == State::body) {
    error_code ec;
    const auto n = Base::put(asio::const_buffer(data.data() + used, data.size() - used), ec);
    used += n;
    if (header_done_) raw_ += n;
    if (ec == boost::beast::http::error::need_more) return used;
    if (ec) {
      explain(ec);
      return used;
    }
    if (is_done()) {
      state_ = State::complete;
    } else if (state_ == State::header && is_header_done()) {
      state_ = State::body;
      return used;
    } else if (state_ == State::body && raw_ > kFramingFactor * limit_ + kFramingSlack) {
      fail(400, "chunked framing far larger than the body", ec);
      state_ = State::failed;
    } else if (used == data.size()) {
      return used;
    }
  }
  return used;
}

void RequestParser::on_request_impl(verb, text method, text target, int version, error_code&) {
  request_.method = method_from(view(method));
  request_.target = view(target);
  // Vault's own method means nothing but this; routes that do not know the parameter refuse it.
  if (view(method) == "LIST") {
    request_.method = Method::get;
    request_.target.append(request_.target.find('?') == std::string::npos ? "?" : "&").append("list=true");
  }
  version_ = version;
}

void RequestParser::on_field_impl(field name, text name_text, text value, error_code& ec) {
  if (header_done_) return;  // RFC 9110, 6.5.1: trailers may be discarded, and nothing here wants them
  if (request_.headers.size() == header_fields_) {
    fail(431, "too many header fields", ec);
    error_.code = base::Code::too_large;
    error_.expected = "at most " + std::to_string(header_fields_);
    return;
  }
  if (name == field::host) ++hosts_;
  // RFC 9112, 6.1: what is not plain chunked is not understood here, and a guess about framing is request smuggling.
  if (name == field::transfer_encoding && (version_ < 11 || !equal_ignoring_case(view(value), "chunked"))) {
    return fail(version_ < 11 ? 400 : 501, "a transfer coding other than chunked", ec);
  }
  if (name == field::expect) {
    if (!equal_ignoring_case(view(value), "100-continue"))
      return fail(417, "an expectation other than 100-continue", ec);
    expects_continue_ = version_ >= 11;
  }
  request_.headers.add(view(name_text), view(value));
}

void RequestParser::on_header_impl(error_code& ec) {
  header_done_ = true;
  // RFC 9112, 3.2: exactly one Host in HTTP/1.1.
  if (hosts_ > 1 || (version_ >= 11 && hosts_ == 0)) fail(400, "HTTP/1.1 needs exactly one Host field", ec);
}

void RequestParser::on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) {
  request_.body.reserve(static_cast<std::size_t>(std::min(length.value_or(0), kReserve)));
}

std::size_t RequestParser::on_body_impl(text body, error_code&) {
  request_.body.append(body.data(), body.size());
  return body.size();
}

std::size_t RequestParser::on_chunk_body_impl(std::uint64_t, text body, error_code&) {
  request_.body.append(body.data(), body.size());
  return body.size();
}

void RequestParser::fail(int status, std::string what, error_code& ec) {
  error_.status = status;
  error_.what = std::move(what);
  ec = boost::beast::http::error::bad_value;
}

void RequestParser::explain(const error_code& ec) {
  state_ = State::failed;
  if (!error_.what.empty()) return;  // our own check has said it
  using error = boost::beast::http::error;
  if (ec == error::header_limit) {
    error_ = {431, base::Code::too_large, "the request's header is too large",
              "at most " + std::to_string(header_bytes_) + " bytes"};
  } else if (ec == error::body_limit) {
    error_ = {413, base::Code::too_large, "the body is too large", "at most " + std::to_string(limit_) + " bytes"};
  } else if (ec == error::bad_version) {
    error_ = {505, base::Code::malformed, "not HTTP/1.0 or HTTP/1.1"};
  } else {
    error_ = {400, base::Code::malformed, "not an HTTP request: " + ec.message()};
  }
}

}  // namespace attestry::net
