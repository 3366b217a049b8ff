#include "net/internal/asio.h"

#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/src.hpp>
