// RLP, headers and transactions that are accepted have one spelling.
#include "chain/rlp.h"
#include "chain/proof.h"
#include "chain/transaction.h"
#include "require.h"

namespace {

using namespace attestry;

base::Bytes encode(const chain::RlpItem& item, int depth) {
  if (!item.is_list) return chain::rlp_bytes(item.payload);
  const auto items = chain::rlp_items(item, 1u << 16);
  // What lies deeper is only bytes to the list around it.
  if (!items || depth == 0) return base::to_bytes(item.encoded);
  std::vector<base::Bytes> parts;
  for (const auto& part : *items) parts.push_back(encode(part, depth - 1));
  return chain::rlp_list(parts);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::ByteView bytes{data, size};
  const auto item = chain::rlp_decode(bytes);
  if (item) REQUIRE(base::equal(encode(*item, 8), bytes));
  const auto header = chain::parse_header(bytes);
  if (header) REQUIRE(item.has_value() && chain::trusted_header(header->hash, bytes).ok());
  const auto transaction = chain::decode_transaction(bytes);
  if (transaction) REQUIRE(transaction->first.data.size() < size);
  return 0;
}
