// What an endpoint says of heads, blocks, logs, calls and receipts: a ballot that is accepted is about what was asked,
// and names nothing that was not. The first byte says what was asked, the rest is the answer.
#include "chain/internal/ballots.h"
#include "chain/internal/receipt.h"
#include "chain/proof.h"
#include "require.h"

namespace {

using namespace attestry;

const chain::Address kAsked{0xc0, 0xff, 0xee};
const chain::BlockRef kFrom{.number = 3, .hash = {}, .time = {}};

chain::BlockRef to() {
  chain::BlockRef out{.number = 5, .hash = {}, .time = {16}};
  out.hash.fill(0x11);
  return out;
}

void heads(const chain::RpcAnswers& answers, chain::Finality::Kind kind) {
  const chain::Finality finality{.kind = kind, .depth = 2};
  const auto head = chain::internal::read_head(answers, finality, 1);
  if (!head) return;
  REQUIRE(*chain::parse_quantity(*answers.answers[0].result, "id") == 1);
  const auto number = chain::internal::final_number(*head, finality);
  REQUIRE(kind != chain::Finality::Kind::depth || number <= head->newest.ref.number);
  REQUIRE(head->newest.ref.time.seconds >= 0);
}

void blocks(const chain::RpcAnswers& answers) {
  constexpr std::uint64_t kNumbers[] = {5, 4};
  const auto ballot = chain::internal::read_blocks(answers, kNumbers);
  if (!ballot) return;
  REQUIRE(ballot->size() == std::size(kNumbers));
  for (std::size_t i = 0; i < ballot->size(); ++i) REQUIRE(!(*ballot)[i] || (*ballot)[i]->ref.number == kNumbers[i]);
}

void touched(const chain::RpcAnswers& answers) {
  const std::vector<chain::Address> asked{kAsked};
  const auto ballot = chain::internal::read_touched(answers, kFrom, to(), asked, asked);
  if (!ballot) return;
  REQUIRE(ballot->touched.empty() || *ballot->touched.begin() == kAsked);
  REQUIRE(ballot->touched.size() <= 1 && ballot->codes.size() <= 1);
}

void calls(const chain::RpcAnswers& answers, bool by_number) {
  const auto ballot = chain::internal::read_calls(answers, to(), by_number);
  if (!ballot) return;
  REQUIRE(ballot->size() == answers.answers.size() - (by_number ? 1 : 0));
  chain::internal::CallsBallots one{std::optional{base::Result<chain::internal::CallsBallot>{*ballot}}};
  for (std::size_t i = 0; i < ballot->size(); ++i) {
    const auto decided = chain::internal::count(one, i, 1, true);
    REQUIRE(decided.has_value() == (*ballot)[i].has_value());
    if (decided) REQUIRE(decided->data == (*ballot)[i]->data);
  }
}

void objects(const chain::RpcAnswers& answers) {
  const auto& result = answers.answers[0].result;
  if (!result || !result->is_object()) return;
  if (const auto receipt = chain::internal::read_receipt(*result)) {
    REQUIRE(chain::hex_data(receipt->transaction).size() == result->get("transactionHash")->plain_string()->size());
  }
  const auto rlp = chain::header_rlp(*result);
  if (!rlp) return;
  const auto header = chain::parse_header(*rlp);
  if (!header) return;
  REQUIRE(chain::trusted_header(header->hash, *rlp).ok());
  REQUIRE(*chain::parse_quantity(*result->get("number"), "number") == header->number);
  auto other = header->hash;
  other[0] ^= 1;
  REQUIRE(!chain::trusted_header(other, *rlp).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using Kind = chain::Finality::Kind;
  constexpr std::size_t kAnswers[] = {2, 3, 2, 3, 2, 3, 1};
  if (size == 0) return 0;
  const std::size_t what = data[0] % std::size(kAnswers);
  const std::string text{base::as_text({data + 1, size - 1})};
  const auto answers = chain::parse_rpc_batch(text, kAnswers[what], 1u << 16);
  if (!answers) return 0;
  if (what == 0) heads(*answers, Kind::depth);
  if (what == 1) heads(*answers, Kind::finalized);
  if (what == 2) blocks(*answers);
  if (what == 3) touched(*answers);
  if (what == 4) calls(*answers, false);
  if (what == 5) calls(*answers, true);
  if (what == 6) objects(*answers);
  return 0;
}
