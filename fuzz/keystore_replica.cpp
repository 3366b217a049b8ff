// What two keystores say to each other, and what one keeps of the other: what is read is written and read the same, and
// nothing is taken that a standby does not keep.
#include "secrets/keystore_replica.h"

#include "require.h"
#include "secrets/keystore_copy.h"
#include "secrets/keystore_feed.h"
#include "state/spaces.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  const base::ByteView bytes{data, size};
  if (const auto question = secrets::parse_replica_question(bytes)) {
    REQUIRE(base::equal(secrets::encode(*question), bytes));
  }
  if (const auto state = secrets::parse_replica_state(bytes)) {
    REQUIRE(base::equal(secrets::encode(*state), bytes));
  }
  const auto answer = secrets::parse_replica_answer(bytes);
  if (!answer) return 0;
  REQUIRE(base::equal(secrets::encode(*answer).reveal(), bytes));
  if (!answer->batch) return 0;
  REQUIRE(!answer->batch->whole || answer->batch->more != answer->batch->masters.has_value());
  REQUIRE(answer->batch->whole || (!answer->batch->more && answer->batch->after.empty()));
  const base::Bytes* before = nullptr;
  for (const auto& row : answer->batch->rows) {
    REQUIRE(secrets::is_followed(row.key));
    REQUIRE(static_cast<state::Space>(row.key.at(0)) != state::Space::keystore_masters);
    REQUIRE(row.value || !answer->batch->whole || (!answer->batch->more && !answer->batch->after.empty()));
    REQUIRE(before == nullptr || *before < row.key);
    before = &row.key;
  }
  return 0;
}
