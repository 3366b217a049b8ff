// Request targets and traceparent: what is accepted, written anew from its parts, is read as the same parts.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/bytes.h"
#include "net/http.h"

namespace {

namespace net = attestry::net;

void check_target(std::string_view text) {
  const auto target = net::parse_target(text);
  if (!target.ok()) return;
  std::string again;
  for (const auto& segment : target->segments) again += "/" + net::percent_encode(segment);
  if (again.empty()) again = "/";
  char separator = '?';
  for (const auto& [name, value] : target->query) {
    again += separator + net::percent_encode(name) + "=" + net::percent_encode(value);
    separator = '&';
  }
  const auto second = net::parse_target(again);
  if (!second.ok() || second->segments != target->segments || second->query != target->query) std::abort();
  // A decoded segment never climbs and never carries what would end a line.
  for (const auto& segment : target->segments) {
    if (segment == "." || segment == ".." || segment.find_first_of(std::string_view{"\0\r\n", 3}) != std::string::npos)
      std::abort();
  }
}

void check_trace(std::string_view text) {
  const auto trace = net::parse_traceparent(text);
  if (!trace.ok()) return;
  attestry::crypto::SeededRandom random{attestry::base::as_bytes("fuzz")};
  const auto again = net::parse_traceparent(net::to_traceparent(*trace, random));
  if (!again.ok() || again->trace_id != trace->trace_id || again->flags != trace->flags) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = attestry::base::as_text({data, size});
  check_target(text);
  check_trace(text);
  return 0;
}
