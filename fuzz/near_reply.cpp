// What is accepted as a reply of NEAR's RPC is a result or a failure; a no about the chain comes from an answer at the
// block that was asked about, and everything else is an outage.
#include "chain/near_reply.h"
#include "base/base58.h"
#include "require.h"

namespace {

using namespace attestry;
namespace near = chain::near;

constexpr std::size_t kMax = 1u << 16;

/// An error that stands for no answer is never a denial.
bool is_outage(const base::Error& error) {
  return error.code == base::Code::unavailable || error.code == base::Code::deadline_exceeded;
}

void check_answers(const near::Reply& reply) {
  const auto account = near::AccountId::parse("alice.near");
  const auto key = near::PublicKey::parse("ed25519:H9k5eiU4xXS3M4z8HzKJSLaZdqGdGwBG49o7orNC4eZW");
  near::Block at{.height = 17795474};
  at.hash = near::parse_hash("9MjpcnwW3TSdzGweNfPbkx8M74q1XzUcT1PAN8G5bNDz", "hash").value_or(base::Digest32{});
  const near::Question questions[] = {near::ViewAccount{*account}, near::ViewCall{*account, "get", {}},
                                      near::ViewAccessKey{*account, *key}, near::ViewAccessKeys{*account}};
  for (std::size_t i = 0; i < std::size(questions); ++i) {
    const auto answer = near::read_answer(questions[i], reply, at);
    if (!answer) {
      REQUIRE(is_outage(answer.error()));
      continue;
    }
    const auto* refusal = std::get_if<near::Refusal>(&*answer);
    if (refusal == nullptr) {
      REQUIRE(answer->index() == i && !reply.failure);
    } else {
      REQUIRE(refusal->code == base::Code::not_found || refusal->code == base::Code::denied);
    }
  }
  const auto outcome = near::read_outcome(reply, at.hash);
  if (!outcome) {
    REQUIRE(is_outage(outcome.error()) || outcome.error().code == base::Code::not_found);
  } else {
    REQUIRE((outcome->kind == near::Outcome::Kind::refused) == (outcome->problem != near::Problem::none));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto reply = near::parse_reply(std::string{base::as_text({data, size})}, kMax);
  if (!reply) {
    REQUIRE(is_outage(reply.error()));
    return 0;
  }
  REQUIRE(reply->result.has_value() != reply->failure.has_value());
  if (reply->failure) REQUIRE(near::error_of(*reply->failure).what.size() < 100);
  const auto block = near::read_block(*reply);
  if (block) REQUIRE(near::parse_hash(base::base58(block->hash), "hash").value_or(base::Digest32{}) == block->hash);
  if (const auto chain_id = near::read_chain_id(*reply); !chain_id && reply->result)
    REQUIRE(is_outage(chain_id.error()));
  check_answers(*reply);
  return 0;
}
