// A shelf that is read is written and read back to the same bytes, holds each artefact whole, and gives out nothing
// that is not on it.
#include "base/bytes.h"
#include "collateral/shelf.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  const auto shelf = collateral::Shelf::parse(base::as_text({data, size}));
  if (!shelf.ok()) return 0;
  const std::string written = shelf->to_json();
  const auto again = collateral::Shelf::parse(written);
  REQUIRE(again.ok());
  REQUIRE(again->to_json() == written);
  const auto order = collateral::in_order_of_trust(*shelf);
  REQUIRE(order.size() == shelf->items.size());
  for (const auto& artefact : order) {
    REQUIRE(shelf->items.at(artefact).documents.size() == documents_of(artefact).size());
    REQUIRE(shelf->with_signer(artefact).size() >= documents_of(artefact).size());
  }
  return 0;
}
