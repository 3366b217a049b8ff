// The one way to include Asio and Beast in this room: compiled once, in asio.cpp.
#pragma once
#define BOOST_ASIO_SEPARATE_COMPILATION
#define BOOST_ASIO_NO_DEPRECATED
#define BOOST_ASIO_DISABLE_BOOST_COROUTINE  // ARCHITECTURE 3.2: no coroutines
#define BOOST_BEAST_SEPARATE_COMPILATION
// Beast 1.81 asserts that the last chunk's line has five bytes (basic_parser.ipp, parse_chunk_header), which an empty
// chunked body that arrives in pieces has not; what follows is right without the assertion. Release builds have none
// anyhow.
#define BOOST_DISABLE_ASSERTS
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

namespace attestry::net {
namespace asio = boost::asio;
/// TCP and unix sockets under one type, bound to io_context without type erasure.
using StreamSocket = asio::basic_stream_socket<asio::generic::stream_protocol, asio::io_context::executor_type>;
using SteadyTimer = asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>,
                                               asio::io_context::executor_type>;
}  // namespace attestry::net
