// What is read of an administrator's request reads the same when it is written anew. The first byte chooses: 'N' reads
// the rest as /admin/init/… does; anything else as POST /admin/share.
#include "api/registry_admin_body.h"
#include "base/encoding.h"
#include "require.h"

using namespace attestry;

namespace {

void numbers(const std::string& body) {
  const auto read = api::admin_numbers(body);
  if (!read) return;
  std::string again = "{";
  if (read->threshold) again += "\"threshold\":" + std::to_string(*read->threshold);
  if (read->threshold && read->total) again += ",";
  if (read->total) again += "\"total_shares\":" + std::to_string(*read->total);
  const auto same = api::admin_numbers(again + "}");
  REQUIRE(same.ok() && same->threshold == read->threshold && same->total == read->total);
}

void submission(std::string body) {
  const auto read = api::admin_submission(std::move(body));
  if (!read) {
    REQUIRE(read.error().what.starts_with("Invalid "));
    return;
  }
  const auto text = [](base::ByteView bytes) { return '"' + base::base64(bytes) + '"'; };
  std::string again = "{\"share_index\":" + std::to_string(read->index);
  // Sealed or in clear, never both: what is sealed wins, and nothing of the other is kept.
  if (!read->sealed.empty()) {
    REQUIRE(read->share.size() == 0 && read->signature.empty());
    again += ",\"sealed_share\":" + text(read->sealed);
  } else {
    again += ",\"share\":" + text(read->share.reveal()) + ",\"signature\":" + text(read->signature);
  }
  const auto same = api::admin_submission(again + "}");
  REQUIRE(same.ok() && same->index == read->index && same->sealed == read->sealed);
  REQUIRE(base::equal(same->share.reveal(), read->share.reveal()) && same->signature == read->signature);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'N') {
    numbers(rest);
  } else {
    submission(std::move(rest));
  }
  return 0;
}
