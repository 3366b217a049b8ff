// A wallet's policy that is read allows nothing to a frozen wallet and nothing above its limits; typed data,
// operations, votes and Solana's messages are read to the end or refused; compact JSON stays as it is.
#include "base/json.h"
#include "require.h"
#include "secrets/keystore_vaults.h"
#include "secrets/keystore_wallet_evm.h"
#include "secrets/keystore_wallet_policy.h"
#include "secrets/keystore_wallet_request.h"

namespace {

using namespace attestry;
namespace keystore = secrets::keystore;

void check_policy(const keystore::WalletPolicy& policy) {
  keystore::WalletOp op;
  op.kind = "transfer";
  op.to = "alice.near";
  op.amount = chain::near::U128{~std::uint64_t{0}, ~std::uint64_t{0}};
  const auto said = keystore::check_wallet_policy(policy, op, {}, {1'800'000'000});
  if (!said) REQUIRE(said.error().code == base::Code::denied);
  if (said) {
    REQUIRE(!policy.frozen);
    const auto limit = policy.per_transaction.find("native");
    REQUIRE(limit == policy.per_transaction.end() || *op.amount <= limit->second);
  }
  REQUIRE(policy.threshold <= policy.approvers.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::ByteView bytes{data, size};
  if (const auto signers = keystore::solana_signers(bytes); signers) {
    REQUIRE(!signers->empty() && signers->size() * 32 < size);
  }
  const std::string text{base::as_text(bytes)};
  // A reply that is not the contract's is an outage, and never "no policy".
  const auto record = keystore::parse_wallet_policy_record(text);
  if (!record) REQUIRE(record.error().code == base::Code::unavailable);
  (void)secrets::parse_vault_state(text);
  const auto document = base::JsonDocument::parse(text);
  if (!document) return 0;
  const base::JsonValue root = (*document)->root();
  if (const auto policy = keystore::WalletPolicy::parse(root); policy) check_policy(*policy);
  if (const auto op = keystore::parse_wallet_op(root); op) {
    REQUIRE(op->hash.size() == 64);
    const auto plan = keystore::plan_near(root, *chain::near::AccountId::parse("wallet.near"));
    if (plan) REQUIRE(op->op_class == keystore::OpClass::built && plan->actions.size() == 1);
  }
  const auto digest = keystore::typed_data_digest(root);
  if (!digest) REQUIRE(digest.error().code == base::Code::malformed || digest.error().code == base::Code::too_large);
  (void)keystore::parse_evm_transaction(root);
  if (const auto votes = keystore::parse_wallet_votes(root); votes) {
    REQUIRE(!votes->id.empty() && votes->votes.size() <= 2 * keystore::kMaxVotes);
  }
  const auto compact = base::JsonDocument::parse(keystore::compact_json(root));
  if (compact) REQUIRE(keystore::compact_json((*compact)->root()) == (*compact)->text());
  return 0;
}
