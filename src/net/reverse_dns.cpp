#include "net/reverse_dns.h"

#include <netdb.h>
#include <sys/socket.h>

namespace attestry::net {

using base::Code;
using base::Error;
using base::Result;

Result<std::string> name_of_address(const std::string& address) {
  const addrinfo hints{.ai_flags = AI_NUMERICHOST,
                       .ai_family = AF_UNSPEC,
                       .ai_socktype = SOCK_STREAM,
                       .ai_protocol = 0,
                       .ai_addrlen = 0,
                       .ai_addr = nullptr,
                       .ai_canonname = nullptr,
                       .ai_next = nullptr};
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.c_str(), nullptr, &hints, &found) != 0 || found == nullptr) {
    return Error{Code::unauthenticated, "no address", "an IP address", address};
  }
  char name[NI_MAXHOST] = {};
  const int failed = ::getnameinfo(found->ai_addr, found->ai_addrlen, name, sizeof name, nullptr, 0, NI_NAMEREQD);
  ::freeaddrinfo(found);
  if (failed == 0) return std::string{name};
  if (failed == EAI_AGAIN) return Error{Code::unavailable, "DNS does not answer", {}, ::gai_strerror(failed)};
  return Error{Code::unauthenticated, "DNS has no name for the workload's address", "a name", address};
}

}  // namespace attestry::net
