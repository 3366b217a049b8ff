// Whatever another service sends inside a channel is refused, or written again as the same bytes.
#include "channel/messages.h"
#include "provision/registry_channel.h"
#include "require.h"

using namespace attestry;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::ByteView bytes{data, size};
  if (size < channel::kHeaderBytes) {
    REQUIRE(!channel::parse_header(bytes));
    return 0;
  }
  const auto head = channel::parse_header(bytes.first(channel::kHeaderBytes));
  if (!head) return 0;
  REQUIRE(base::equal(channel::header(head->kind, head->size), bytes.first(channel::kHeaderBytes)));
  const auto body = bytes.subspan(channel::kHeaderBytes);
  const auto same = [&](const base::Bytes& again) { REQUIRE(base::equal(again, body)); };
  switch (head->kind) {
    case channel::Kind::client_hello:
    case channel::Kind::server_hello:
      if (const auto hello = channel::parse_hello(body)) same(channel::encode(*hello));
      break;
    case channel::Kind::evidence:
      if (const auto evidence = channel::parse_evidence(body)) same(channel::encode(*evidence).value());
      break;
    case channel::Kind::refused:
      if (const auto refused = channel::parse_refused(body)) same(channel::encode(*refused));
      break;
    case channel::Kind::data:
      if (const auto request = provision::parse_channel_request(body)) same(provision::encode(*request));
      if (const auto answer = provision::parse_channel_answer(body))
        same(base::to_bytes(provision::encode(*answer).reveal()));
      break;
  }
  return 0;
}
