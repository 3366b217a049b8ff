// HTTP/1.1 request parsing by Beast's parser, straight into our Request (RFC 9112): no field list in between.
#pragma once
#include <cstdint>
#include <string>

#include "net/http.h"
#include "net/internal/asio.h"
// Asio first, with its settings.
#include <boost/beast/http/basic_parser.hpp>

namespace attestry::net {

/// Why a request was refused while it was parsed.
struct ParseError {
  int status = 400;
  base::Code code = base::Code::malformed;
  std::string what;
  std::string expected{};
};

/// One request. Feed it with `put`; afterwards look at the state.
class RequestParser final : private boost::beast::http::basic_parser<true> {
  using Base = boost::beast::http::basic_parser<true>;

 public:
  enum class State { header, body, complete, failed };

  RequestParser(std::size_t header_bytes, std::size_t header_fields);

  /// Consumes from the front of `data` and says how much; stops once at the end of the header, where the caller sets
  /// the body limit. 0 with the state unchanged: more bytes are needed.
  std::size_t put(std::string_view data);
  State state() const noexcept { return state_; }
  const ParseError& error() const noexcept { return error_; }

  /// After the header.
  void set_body_limit(std::size_t bytes);
  bool has_body() const { return chunked() || content_length().value_or(0) > 0; }
  std::uint64_t declared_body() const { return content_length().value_or(0); }
  bool keep_alive() const { return Base::keep_alive(); }
  bool expects_continue() const noexcept { return expects_continue_; }
  int version() const noexcept { return version_; }

  Request& request() noexcept { return request_; }

 private:
  using verb = boost::beast::http::verb;
  using field = boost::beast::http::field;
  using error_code = boost::beast::error_code;
  using text = boost::beast::string_view;

  void on_request_impl(verb, text method, text target, int version, error_code& ec) override;
  void on_response_impl(int, text, int, error_code&) override {}
  void on_field_impl(field name, text name_text, text value, error_code& ec) override;
  void on_header_impl(error_code& ec) override;
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) override;
  std::size_t on_body_impl(text body, error_code&) override;
  void on_chunk_header_impl(std::uint64_t, text, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, text body, error_code&) override;
  void on_finish_impl(error_code&) override {}

  void fail(int status, std::string what, error_code& ec);
  void explain(const error_code& ec);

  State state_ = State::header;
  ParseError error_;
  Request request_;
  std::size_t header_bytes_;
  std::size_t header_fields_;
  std::size_t limit_ = 0;
  std::uint64_t raw_ = 0;  ///< bytes consumed since the header, framing and all
  int version_ = 11;
  unsigned hosts_ = 0;
  bool header_done_ = false;
  bool expects_continue_ = false;
};

}  // namespace attestry::net
