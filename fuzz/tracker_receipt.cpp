// What is read of a receipt reads the same when it is written anew under the tracker's names, its message is as long as
// its form says, and its id does not depend on when it was made.
#include <memory>
#include <string>

#include "base/encoding.h"
#include "base/json.h"
#include "require.h"
#include "tracker/receipt.h"

using namespace attestry;

namespace {

std::string member(const char* name, const std::string& value) { return ",\"" + std::string{name} + "\":" + value; }
std::string quoted(const std::string& text) { return '"' + text + '"'; }

std::string written(const tracker::Receipt& receipt) {
  std::string out = "{\"infohash\":" + quoted(base::hex(receipt.infohash));
  out += member("piece_hash", quoted(base::hex(receipt.piece_hash.bytes())));
  out += member("sender_pk", quoted(base::base64(receipt.sender)));
  out += member("receiver_public_key", quoted(base::base64(receipt.receiver)));
  out += member("piece_index", std::to_string(receipt.piece_index));
  out += member("piece_size", std::to_string(receipt.piece_size));
  out += member("signature", quoted(base::base64(receipt.signature)));
  out += member(receipt.form == tracker::ReceiptForm::epoch ? "t_epoch" : "timestamp", std::to_string(receipt.time));
  if (receipt.form == tracker::ReceiptForm::bound) out += member("version", "2");
  return out + "}";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto document = base::JsonDocument::parse({reinterpret_cast<const char*>(data), size});
  if (!document) return 0;
  tracker::KeyBytes reporter{};
  reporter.fill(0xa5);
  const auto receipt = tracker::read_receipt((*document)->root(), reporter);
  if (!receipt) return 0;
  const auto again = base::JsonDocument::parse(written(*receipt));
  REQUIRE(again.ok());
  const auto same = tracker::read_receipt((*again)->root(), {});
  REQUIRE(same.ok() && *same == *receipt);

  const std::size_t plain = 20 + 48 + receipt->piece_hash.bytes().size() + 4 + 8;
  const bool bound = receipt->form == tracker::ReceiptForm::bound;
  REQUIRE(tracker::signed_message(*receipt, {}).size() ==
          plain + (bound ? tracker::kBoundPrefix.size() + 48 + 4 + 32 : 0));
  tracker::Receipt later = *receipt;
  later.time ^= 1;
  REQUIRE(tracker::receipt_id(later) == tracker::receipt_id(*receipt));
  REQUIRE(tracker::signed_message(later, {}) != tracker::signed_message(*receipt, {}));
  REQUIRE(receipt->first_second() <= receipt->last_second());
  static_cast<void>(tracker::refused_alone(*receipt, {}, {1'700'000'000}));
  return 0;
}
