// What is read of a newcomer's request reads the same when it is written anew as JSON, whichever form it came in. The
// first byte chooses: 'F' takes the rest as a form; anything else as JSON.
#include "api/keymanager_host.h"
#include "base/encoding.h"
#include "require.h"

using namespace attestry;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto read =
      api::parse_keymanager_newcomer(data[0] == 'F' ? "application/x-www-form-urlencoded" : "application/json", rest);
  if (!read) return 0;
  std::string again = R"({"addr":")" + base::hex(read->peer.address) + R"(","pubk":")" + base::hex(read->peer.box_key) +
                      R"(","quote":")" + base::hex(read->evidence) + '"';
  if (read->rootfs) again += R"(,"rootfs":")" + base::hex(*read->rootfs) + '"';
  const auto same = api::parse_keymanager_newcomer("application/json", again + "}");
  REQUIRE(same.ok() && same->peer.address == read->peer.address && same->peer.box_key == read->peer.box_key);
  REQUIRE(same->evidence == read->evidence && same->rootfs == read->rootfs);
  return 0;
}
