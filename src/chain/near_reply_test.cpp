#include "chain/near_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/base58.h"

namespace attestry::chain::near {
namespace {

using base::Bytes;
using base::Code;
using ::testing::HasSubstr;

constexpr std::size_t kMax = 1u << 16;
const std::string kHash = "9MjpcnwW3TSdzGweNfPbkx8M74q1XzUcT1PAN8G5bNDz";
const std::string kOtherHash = "GGJQ8yjmo7aEoj8ZpAhGehnq9BSWFx4xswHYzDwwAP2n";

Block here() { return {.height = 17795474, .hash = *parse_hash(kHash, "h"), .time = {}}; }
AccountId alice() { return *AccountId::parse("alice.near"); }
PublicKey some_key() { return *PublicKey::parse("ed25519:H9k5eiU4xXS3M4z8HzKJSLaZdqGdGwBG49o7orNC4eZW"); }

base::Result<Reply> reply(const std::string& member) {
  return parse_reply(R"({"jsonrpc":"2.0","id":1,)" + member + "}", kMax);
}
/// A result about the block.
std::string at_block(const std::string& fields, const std::string& hash = kHash) {
  return R"("result":{)" + fields + R"("block_height":17795474,"block_hash":")" + hash + "\"}";
}
std::string failure(const std::string& name, const std::string& cause, const std::string& info = "{}",
                    const std::string& data = "null") {
  return R"("error":{"name":")" + name + R"(","cause":{"info":)" + info + R"(,"name":")" + cause +
         R"("},"code":-32000,"message":"Server error","data":)" + data + "}";
}
std::string handler(const std::string& cause, const std::string& info = "{}", const std::string& data = "null") {
  return failure("HANDLER_ERROR", cause, info, data);
}

base::Result<Answer> answer(const Question& question, const std::string& member) {
  TRY(const Reply parsed, reply(member));
  return read_answer(question, parsed, here());
}
/// The code of a no, or of the error that stands for no answer.
std::optional<Code> code(const base::Result<Answer>& answer, bool is_answer) {
  if (answer.ok() != is_answer) return std::nullopt;
  return is_answer ? std::get<Refusal>(*answer).code : answer.error().code;
}

// -- replies

TEST(NearReplyTest, RequestsAreSingle) {
  EXPECT_EQ(rpc_request("tx", base::JsonOutArray{"a", "b"}),
            R"({"jsonrpc":"2.0","id":1,"method":"tx","params":["a","b"]})");
}

TEST(NearReplyTest, OnlyAnAnswerToThisRequest) {
  EXPECT_TRUE(reply(R"("result":{})").ok());
  EXPECT_TRUE(reply(R"("result":{},"error":null)").ok());
  for (const auto* body :
       {"", "[]", "null", "{}", "<html>", R"([{"jsonrpc":"2.0","id":1,"result":1}])",
        R"({"jsonrpc":"1.0","id":1,"result":1})", R"({"jsonrpc":"2.0","result":1})",
        R"({"jsonrpc":"2.0","id":2,"result":1})", R"({"jsonrpc":"2.0","id":"1","result":1})",
        R"({"jsonrpc":"2.0","id":1})", R"({"jsonrpc":"2.0","id":1,"result":1,"error":{"name":"A"}})",
        R"({"jsonrpc":"2.0","id":1,"error":"no"})", R"({"jsonrpc":"2.0","id":1,"result":1,"result":2})"}) {
    const auto parsed = parse_reply(body, kMax);
    EXPECT_EQ(parsed.ok() ? Code::internal : parsed.error().code, Code::unavailable) << body;
  }
  EXPECT_FALSE(parse_reply(R"({"jsonrpc":"2.0","id":1,"result":1})", 10).ok()) << "larger than agreed";
}

TEST(NearReplyTest, ANodesWordsAreShownWithoutControlCharacters) {
  const auto parsed = reply(handler("INTERNAL_ERROR", "{}", R"("a\u001b[31mb")"));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->failure->text, "INTERNAL_ERROR: a [31mb");
}

// -- blocks

TEST(NearReplyTest, Blocks) {
  const auto parsed = reply(R"("result":{"author":"a","header":{"height":17795474,"hash":")" + kHash +
                            R"(","timestamp":1754000000123456789,"timestamp_nanosec":"1754000000123456789"}})");
  ASSERT_TRUE(parsed.ok());
  const auto block = read_block(*parsed);
  ASSERT_TRUE(block.ok()) << block.error().text();
  EXPECT_EQ(*block, (Block{17795474, here().hash, {1754000000}}));
  for (const auto* header :
       {"{}", R"({"height":-1,"hash":"1","timestamp":1})", R"({"height":1,"hash":"1","timestamp":1})"}) {
    EXPECT_EQ(read_block(*reply(std::string{R"("result":{"header":)"} + header + "}")).error().code, Code::unavailable);
  }
  EXPECT_EQ(read_block(*reply(handler("UNKNOWN_BLOCK"))).error().code, Code::unavailable);
}

// -- questions

TEST(NearReplyTest, QuestionsArePinnedToTheBlocksHash) {
  EXPECT_EQ(query_params(ViewCall{alice(), "get", base::to_bytes("{}")}, here()).compact(),
            R"({"request_type":"call_function","account_id":"alice.near","method_name":"get","args_base64":"e30=",)"
            R"("block_id":")" +
                kHash + "\"}");
  EXPECT_EQ(query_params(ViewAccessKey{alice(), some_key()}, here()).compact(),
            R"({"request_type":"view_access_key","account_id":"alice.near","public_key":")" + some_key().text() +
                R"(","block_id":")" + kHash + "\"}");
  EXPECT_THAT(query_params(ViewAccount{alice()}, here()).compact(), HasSubstr(R"("view_account")"));
  EXPECT_THAT(query_params(ViewAccessKeys{alice()}, here()).compact(), HasSubstr(R"("view_access_key_list")"));
}

TEST(NearReplyTest, Accounts) {  // the reply in NEAR's documentation
  const auto read =
      answer(ViewAccount{alice()}, at_block(R"("amount":"399992611103597728750000000","locked":"0",)"
                                            R"("code_hash":"11111111111111111111111111111111","storage_usage":642,)"
                                            R"("storage_paid_at":0,)"));
  ASSERT_TRUE(read.ok()) << read.error().text();
  const auto& account = std::get<Account>(*read);
  EXPECT_EQ(account.amount.text(), "399992611103597728750000000");
  EXPECT_EQ(account.code_hash, base::Digest32{});
  EXPECT_EQ(account.storage_usage, 642u);
  EXPECT_FALSE(account.global_contract_hash);
}

TEST(NearReplyTest, AccountsWithASharedContract) {
  const auto read = answer(ViewAccount{alice()},
                           at_block(R"("amount":"1","locked":"0","code_hash":"11111111111111111111111111111111",)"
                                    R"("storage_usage":1,"global_contract_hash":")" +
                                    kOtherHash + R"(","global_contract_account_id":"code.near",)"));
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(base::base58(*std::get<Account>(*read).global_contract_hash), kOtherHash);
  EXPECT_EQ(std::get<Account>(*read).global_contract_account, "code.near");
}

TEST(NearReplyTest, AccessKeys) {  // the reply in NEAR's documentation
  const std::string limited = R"("nonce":85,"permission":{"FunctionCall":{"allowance":"18501534631167209000000000",)"
                              R"("receiver_id":"client.chainlink.testnet","method_names":["get_token_price"]}})";
  const auto read = answer(ViewAccessKey{alice(), some_key()}, at_block(limited + ","));
  ASSERT_TRUE(read.ok()) << read.error().text();
  const auto& key = std::get<AccessKey>(*read);
  EXPECT_EQ(key.nonce, 85u);
  EXPECT_EQ(key.permission, AccessKey::Permission::function_call);
  EXPECT_EQ(key.receiver, "client.chainlink.testnet");
  EXPECT_EQ(key.methods, (std::vector<std::string>{"get_token_price"}));

  const auto list = answer(
      ViewAccessKeys{alice()},
      at_block(
          R"("keys":[{"public_key":"ed25519:b","access_key":{"nonce":0,"permission":"FullAccess"}},)"
          R"({"public_key":"ed25519:a","access_key":{)" +
          limited +
          R"(}},{"public_key":"new:c","access_key":{"nonce":1,"permission":{"GasKeyFullAccess":{"balance":"1"}}}}],)"));
  ASSERT_TRUE(list.ok()) << list.error().text();
  const auto& keys = std::get<std::vector<AccountKey>>(*list);
  ASSERT_EQ(keys.size(), 3u);
  EXPECT_EQ(keys[0].access, key);
  EXPECT_EQ(keys[1].access.permission, AccessKey::Permission::full_access);
  EXPECT_EQ(keys[2].access.permission, AccessKey::Permission::other) << "a kind that is not known is no limited one";
}

TEST(NearReplyTest, APermissionThatSaysMoreThanIsKnownIsNoLimitedOne) {
  const auto read =
      answer(ViewAccessKey{alice(), some_key()},
             at_block(R"("nonce":1,"permission":{"FunctionCall":{"allowance":null,"receiver_id":"a.near",)"
                      R"("method_names":[]},"Transfer":{}},)"));
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(std::get<AccessKey>(*read).permission, AccessKey::Permission::other);
}

TEST(NearReplyTest, ResultsOfCalls) {
  const auto read = answer(ViewCall{alice(), "get", {}}, at_block(R"("result":[34,0,255],"logs":["a"],)"));
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(std::get<Bytes>(*read), (Bytes{34, 0, 255}));
}

TEST(NearReplyTest, WhatIsNoAnswerToTheQuestionIsAnOutage) {
  const std::vector<std::pair<Question, std::string>> cases{
      {ViewCall{alice(), "get", {}}, at_block(R"("result":[256],)")},
      {ViewCall{alice(), "get", {}}, at_block(R"("result":[-1],)")},
      {ViewCall{alice(), "get", {}}, at_block(R"("result":[1.5],)")},
      {ViewCall{alice(), "get", {}}, at_block(R"("result":"IgA=",)")},
      {ViewCall{alice(), "get", {}}, at_block("")},
      {ViewCall{alice(), "get", {}}, at_block(R"("result":[1],)", kOtherHash)},
      {ViewCall{alice(), "get", {}}, R"("result":{"result":[1]})"},
      {ViewCall{alice(), "get", {}}, R"("result":null)"},
      {ViewAccount{alice()}, at_block(R"("result":[1],)")},
      {ViewAccount{alice()}, at_block(R"("amount":1,"locked":"0","code_hash":"1","storage_usage":1,)")},
      {ViewAccessKey{alice(), some_key()}, at_block(R"("nonce":-1,"permission":"FullAccess",)")},
      {ViewAccessKey{alice(), some_key()}, at_block(R"("nonce":1,)")},
      {ViewAccessKeys{alice()}, at_block(R"("keys":[{"public_key":"a"}],)")},
      {ViewAccessKeys{alice()},
       at_block(R"("keys":[{"public_key":"a","access_key":{"nonce":0,"permission":"FullAccess"}},)"
                R"({"public_key":"a","access_key":{"nonce":1,"permission":"FullAccess"}}],)")},
  };
  for (const auto& [question, member] : cases) {
    EXPECT_EQ(code(answer(question, member), false), Code::unavailable) << member;
  }
}

// -- the chain's no

TEST(NearReplyTest, WhatTheChainDoesNotHaveIsNotFound) {
  for (const auto* cause : {"UNKNOWN_ACCOUNT", "UNKNOWN_ACCESS_KEY", "NO_CONTRACT_CODE", "NO_GLOBAL_CONTRACT_CODE"}) {
    EXPECT_EQ(code(answer(ViewAccount{alice()}, handler(cause)), true), Code::not_found) << cause;
  }
  const std::string info = R"({"requested_account_id":"alice.near","block_height":17795474,"block_hash":")";
  EXPECT_EQ(code(answer(ViewAccount{alice()}, handler("UNKNOWN_ACCOUNT", info + kHash + "\"}")), true),
            Code::not_found);
  EXPECT_EQ(code(answer(ViewAccount{alice()}, handler("UNKNOWN_ACCOUNT", info + kOtherHash + "\"}")), false),
            Code::unavailable)
      << "about another block";
}

TEST(NearReplyTest, WhatANodeDoesNotHaveIsAnOutage) {
  for (const auto* cause :
       {"UNKNOWN_BLOCK", "NO_SYNCED_BLOCKS", "NOT_SYNCED_YET", "UNAVAILABLE_SHARD", "GARBAGE_COLLECTED_BLOCK",
        "INTERNAL_ERROR", "TOO_LARGE_CONTRACT_STATE", "INVALID_ACCOUNT", "UNKNOWN_TRANSACTION", "SOMETHING_NEW", ""}) {
    EXPECT_EQ(code(answer(ViewAccount{alice()}, handler(cause)), false), Code::unavailable) << cause;
  }
  for (const auto* name : {"REQUEST_VALIDATION_ERROR", "INTERNAL_ERROR", ""}) {
    EXPECT_EQ(code(answer(ViewAccount{alice()}, failure(name, "UNKNOWN_ACCOUNT")), false), Code::unavailable) << name;
  }
  EXPECT_EQ(code(answer(ViewAccount{alice()}, R"("error":{"code":-32000,"message":"Server error"})"), false),
            Code::unavailable);
  EXPECT_EQ(code(answer(ViewAccount{alice()}, R"("error":{"code":429,"message":"too many requests"})"), false),
            Code::unavailable);
}

/// What the virtual machine says, in both forms that nodes give it.
void expect_vm(const std::string& words, bool is_answer, Code expected) {
  const std::string text = R"("wasm execution failed with error: )" + words + "\"";
  const ViewCall question{alice(), "get", {}};
  EXPECT_EQ(code(answer(question, at_block(R"("error":)" + text + R"(,"logs":[],)")), is_answer), expected) << words;
  EXPECT_EQ(code(answer(question, handler("CONTRACT_EXECUTION_ERROR", R"({"vm_error":)" + text + "}")), is_answer),
            expected)
      << words;
}

TEST(NearReplyTest, AContractsNoIsADenial) {
  expect_vm(R"(HostError(GuestPanic { panic_msg: \"not yours\" }))", true, Code::denied);
  expect_vm(R"(FunctionCallError(HostError(GuestPanic { panic_msg: \"not yours\" })))", true, Code::denied);
  expect_vm(R"(HostError(ProhibitedInView { method_name: \"storage_write\" }))", true, Code::denied);
  expect_vm("WasmTrap(Unreachable)", true, Code::denied);
}

TEST(NearReplyTest, AMissingMethodIsNotFound) {
  expect_vm("MethodResolveError(MethodNotFound)", true, Code::not_found);
  expect_vm("FunctionCallError(MethodResolveError(MethodNotFound))", true, Code::not_found);
  expect_vm(R"(CompilationError(CodeDoesNotExist { account_id: \"alice.near\" }))", true, Code::not_found);
  // A contract's own words do not decide what kind of a no it is.
  expect_vm(R"(HostError(GuestPanic { panic_msg: \"MethodResolveError(MethodNotFound)\" }))", true, Code::denied);
}

TEST(NearReplyTest, ANodesLimitsAreNoAnswerOfTheContract) {
  expect_vm("HostError(GasLimitExceeded)", false, Code::unavailable);
  expect_vm("HostError(GasExceeded)", false, Code::unavailable);
  expect_vm("CacheError(ReadError)", false, Code::unavailable);
  expect_vm("", false, Code::unavailable);
}

TEST(NearReplyTest, OlderNodesSayInTheResultThatThereIsNoKey) {
  const ViewAccessKey question{alice(), some_key()};
  const auto said = [&](const std::string& text) {
    return answer(question, at_block(R"("error":")" + text + R"(","logs":[],)"));
  };
  EXPECT_EQ(code(said("access key " + some_key().text() + " does not exist while viewing"), true), Code::not_found);
  EXPECT_EQ(code(said("access key ed25519:1 does not exist while viewing"), false), Code::unavailable);
  EXPECT_EQ(code(said("no"), false), Code::unavailable);
}

TEST(NearReplyTest, TwoNoesOfAKindAreEqualWhateverTheirWords) {
  EXPECT_EQ((Refusal{Code::denied, "a", "b"}), (Refusal{Code::denied, "c", "d"}));
  EXPECT_NE((Refusal{Code::denied, "a", "b"}), (Refusal{Code::not_found, "a", "b"}));
}

// -- transactions

base::Result<Outcome> outcome(const std::string& member) {
  TRY(const Reply parsed, reply(member));
  return read_outcome(parsed, here().hash);
}
std::string executed(const std::string& status, const std::string& hash = kHash) {
  return R"("result":{"status":)" + status + R"(,"transaction":{"signer_id":"a.near","hash":")" + hash +
         R"("},"receipts_outcome":[]})";
}

TEST(NearReplyTest, OutcomesOfTransactions) {
  auto read = outcome(executed(R"({"SuccessValue":"eyJhIjoxfQ=="})"));
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(read->kind, Outcome::Kind::succeeded);
  EXPECT_EQ(read->value, base::to_bytes(R"({"a":1})"));

  read = outcome(executed(
      R"({"Failure":{"ActionError":{"index":0,"kind":{"FunctionCallError":{"ExecutionError":"Smart contract panicked: no"}}}}})"));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->kind, Outcome::Kind::failed);
  EXPECT_THAT(read->text, HasSubstr("panicked: no"));
  EXPECT_EQ(error_of(*read).code, Code::denied);

  for (const auto* status : {R"("NotStarted")", R"("Started")"}) {
    EXPECT_EQ(outcome(executed(status))->kind, Outcome::Kind::pending) << status;
  }
  EXPECT_EQ(outcome(R"("result":{"final_execution_status":"NONE"})")->kind, Outcome::Kind::pending);
  EXPECT_EQ(outcome(handler("TIMEOUT_ERROR"))->kind, Outcome::Kind::pending);
}

TEST(NearReplyTest, RefusedTransactionsSayWhy) {
  const auto problem = [](const std::string& why) {
    const auto read =
        outcome(handler("INVALID_TRANSACTION", "{}", R"({"TxExecutionError":{"InvalidTxError":)" + why + "}}"));
    return read.ok() && read->kind == Outcome::Kind::refused ? read->problem : Problem::none;
  };
  EXPECT_EQ(problem(R"({"InvalidNonce":{"ak_nonce":5,"tx_nonce":5}})"), Problem::nonce);
  EXPECT_EQ(problem(R"("Expired")"), Problem::expired);
  EXPECT_EQ(problem(R"({"NotEnoughBalance":{"signer_id":"a.near","balance":"1","cost":"2"}})"), Problem::balance);
  EXPECT_EQ(problem(R"({"LackBalanceForState":{"signer_id":"a.near","amount":"2"}})"), Problem::balance);
  EXPECT_EQ(problem(R"({"InvalidAccessKeyError":{"AccessKeyNotFound":{"account_id":"a.near"}}})"), Problem::access_key);
  EXPECT_EQ(problem(R"({"InvalidAccessKeyError":"DepositWithFunctionCall"})"), Problem::access_key);
  EXPECT_EQ(problem(R"({"InvalidAccessKeyError":{"NotEnoughAllowance":{"cost":"2"}}})"), Problem::balance);
  EXPECT_EQ(problem(R"({"SignerDoesNotExist":{"signer_id":"a.near"}})"), Problem::access_key);
  EXPECT_EQ(problem(R"({"NonceTooLarge":{"tx_nonce":9,"upper_bound":8}})"), Problem::nonce);
  EXPECT_EQ(problem(R"("InvalidChain")"), Problem::expired);
  for (const auto* why :
       {R"("InvalidSignature")", R"("CostOverflow")", R"({"ActionsValidation":"TotalPrepaidGasExceeded"})",
        R"({"TransactionSizeExceeded":{"size":2,"limit":1}})", R"({"InvalidReceiverId":{"receiver_id":"?"}})"}) {
    EXPECT_EQ(problem(why), Problem::invalid) << why;
  }

  const auto nonce = outcome(executed(R"({"Failure":{"InvalidTxError":{"InvalidNonce":{"ak_nonce":5}}}})"));
  ASSERT_TRUE(nonce.ok());
  EXPECT_EQ(nonce->problem, Problem::nonce);
  EXPECT_EQ(error_of(*nonce).code, Code::conflict);
}

TEST(NearReplyTest, WhatIsNoOutcomeIsAnOutage) {
  EXPECT_EQ(outcome(executed(R"({"SuccessValue":""})", kOtherHash)).error().code, Code::unavailable) << "another one";
  for (const auto* status : {R"({})", R"("Done")", R"({"SuccessValue":"?"})", R"({"SuccessReceiptId":"a"})",
                             R"({"SuccessValue":"","Failure":{}})", "null"}) {
    EXPECT_EQ(outcome(executed(status)).error().code, Code::unavailable) << status;
  }
  EXPECT_EQ(outcome(R"("result":"abc")").error().code, Code::unavailable);
  EXPECT_EQ(outcome(handler("INVALID_TRANSACTION")).error().code, Code::unavailable) << "without a reason";
  EXPECT_EQ(outcome(handler("INVALID_TRANSACTION", "{}",
                            R"({"TxExecutionError":{"InvalidTxError":)"
                            R"({"ShardCongested":{"shard_id":1}}}})"))
                .error()
                .code,
            Code::unavailable)
      << "congestion passes";
  // The node's own trouble, and what was invented after this program: nothing is known of the transaction.
  for (const auto* why : {R"("StorageError")", R"({"StorageError":"StorageInternalError"})", R"("NewReason")",
                          R"({"NewReason":{"a":1}})", R"({"InvalidAccessKeyError":"NewReason"})", "{}", "null", "[]"}) {
    const auto read = outcome(
        handler("INVALID_TRANSACTION", "{}", R"({"TxExecutionError":{"InvalidTxError":)" + std::string{why} + "}}"));
    ASSERT_FALSE(read.ok()) << why;
    EXPECT_EQ(read.error().code, Code::unavailable) << why;
    EXPECT_EQ(outcome(executed(R"({"Failure":{"InvalidTxError":)" + std::string{why} + "}}")).error().code,
              Code::unavailable)
        << why;
  }
  EXPECT_EQ(outcome(handler("UNKNOWN_TRANSACTION")).error().code, Code::not_found);
  EXPECT_EQ(outcome(handler("UNKNOWN_ACCOUNT")).error().code, Code::unavailable);
  EXPECT_EQ(outcome(failure("INTERNAL_ERROR", "INTERNAL_ERROR")).error().code, Code::unavailable);
}

}  // namespace
}  // namespace attestry::chain::near
