// Whole requests: how the bytes are cut into pieces on their way never changes what is read, and no body outgrows its
// limit.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/bytes.h"
#include "net/internal/request_parser.h"

namespace {

using attestry::net::RequestParser;

constexpr std::size_t kBodyLimit = 512;

struct Outcome {
  RequestParser::State state = RequestParser::State::header;
  std::string target, body;
  std::size_t fields = 0;
  bool operator==(const Outcome&) const = default;
};

/// Feeds `text` as a connection does: `piece` more bytes whenever the parser wants more.
Outcome read(std::string_view text, std::size_t piece) {
  RequestParser parser{1024, 16};
  std::size_t begin = 0;
  std::size_t end = 0;
  bool limited = false;
  while (parser.state() == RequestParser::State::header || parser.state() == RequestParser::State::body) {
    if (!limited && parser.state() == RequestParser::State::body) {
      limited = true;
      parser.set_body_limit(kBodyLimit);
      if (parser.declared_body() > kBodyLimit) break;
    }
    const auto used = begin == end ? 0 : parser.put(text.substr(begin, end - begin));
    begin += used;
    if (used == 0) {
      if (end == text.size()) break;
      end = std::min(text.size(), end + piece);
    }
  }
  auto& request = parser.request();
  if (request.body.size() > kBodyLimit) std::abort();
  Outcome out;
  out.state = parser.state();
  if (out.state == RequestParser::State::complete) {
    out.target = request.target;
    out.body = request.body;
    out.fields = request.headers.size();
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = attestry::base::as_text({data, size});
  const auto whole = read(text, text.size() + 1);
  const auto pieces = read(text, 1);
  // With one byte at a time Beast may see an error later, or still wait for the end of the header; it never sees a
  // request.
  const bool complete = whole.state == RequestParser::State::complete;
  if (complete != (pieces.state == RequestParser::State::complete) || (complete && !(whole == pieces))) std::abort();
  return 0;
}
