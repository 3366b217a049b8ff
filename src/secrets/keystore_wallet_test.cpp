#include "secrets/keystore_wallet.h"

#include <gtest/gtest.h>

#include <string>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "secrets/keystore_derivation.h"
#include "secrets/keystore_wallet_evm.h"
#include "secrets/keystore_wallet_policy.h"

namespace attestry::secrets::keystore {
namespace {

using base::Code;
using base::JsonDocument;
using chain::near::AccountId;
using chain::near::U128;

/// A value that keeps its document.
struct Json {
  explicit Json(std::string text) : document(*JsonDocument::parse(std::move(text))) {}
  base::JsonValue root() const { return document->root(); }
  std::shared_ptr<const JsonDocument> document;
};
crypto::Secret second() {
  return crypto::Secret::copy_of(*base::hex_decode("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"));
}

TEST(KeystoreWallet, Addresses) {
  const auto solana = wallet_address(second(), "test-wallet-1", "solana");
  EXPECT_EQ(solana->address, "FcErmsHqwNYsA3d1YkU5js9YuV1GUrkiHrteibncyg8a");
  EXPECT_EQ(solana->public_key, "ed25519:d90a9d612724d2d3d300cd981f525f49c76a5cd7dd9c96d149bae1806607db43");
  for (const char* chain : {"evm", "ethereum", "base", "hood"}) {
    const auto evm = wallet_address(second(), "test-wallet-1", chain);
    EXPECT_EQ(evm->address, "0xF57953073d42d30dfBbb64C1673FEaf2c3176C38") << chain;
    EXPECT_EQ(evm->public_key, "secp256k1:038ac65a280d33f83ca7b0065ffc1a403e7a9da36f332c3c596ce80f9b753ebc2f");
  }
  const auto near =
      wallet_address(crypto::Secret::copy_of(base::as_bytes("M-1 regression fixture .........")), "fixed", "near");
  EXPECT_EQ(near->address, "124d4dc445d7e1699bc95e94461540a21e605acf993b04e86da59cb046059f13");
  EXPECT_EQ(near->public_key, "ed25519:" + near->address);
  EXPECT_FALSE(wallet_address(second(), "w", "bitcoin").ok());
  EXPECT_FALSE(wallet_address(second(), "w:x", "near").ok());
}

TEST(KeystoreWallet, RequestHashes) {
  const auto hash = [](std::string text) { return *request_hash(Json{std::move(text)}.root()); };
  EXPECT_EQ(hash(R"({"amount":"1000000000000000000000000","kind":"transfer","to":"alice.near"})"),
            "53bcefe7c34c56b834624296b160cb3f4c0f880e91b964c4f6f7f593e45aac97");
  EXPECT_EQ(hash(R"({ "to" : "alice.near", "kind":"transfer", "amount":"1000000000000000000000000" })"),
            "53bcefe7c34c56b834624296b160cb3f4c0f880e91b964c4f6f7f593e45aac97");
  EXPECT_EQ(hash(R"({"beneficiary":"alice.near","kind":"delete"})"),
            "50daadd325ef7eb79d69dc41167070f2008396ef2bed75e7c9a684b103c6f790");
  EXPECT_EQ(hash(R"({"kind":"auth","purpose":"bearer","seed":"default"})"),
            "68dc4d7fd4e70d5ae43fb3e7050f2aa4919836de929bc9a10b6a27620094d628");
  EXPECT_EQ(hash(R"({"amount":"5","kind":"payment_check","token":"nep141:usdc.near"})"),
            "d25a695165be5ff1ccf7dad103c4128b812a0abc4aeca4668bd8404c4de9f5ce");
  EXPECT_EQ(hash(R"({"args_base64":"eyJyZWNlaXZlcl9pZCI6ImJvYi5uZWFyIiwiYW1vdW50IjoiMTAwMDAwMCJ9","deposit":"1",)"
                 R"("gas":"30000000000000","kind":"call","method":"ft_transfer","to":"usdc.near"})"),
            "9d6b301f8b6cb503dd05b83ec7a2a6731287a8c54a70927432acb8bcc1cfd3cb");
  EXPECT_FALSE(request_hash(Json{"[]"}.root()).ok());
}

TEST(KeystoreWallet, Operations) {
  const auto parse = [](std::string text) { return parse_wallet_op(Json{std::move(text)}.root()); };
  const auto transfer = parse(R"({"kind":"transfer","to":"alice.near","amount":"5"})");
  ASSERT_TRUE(transfer.ok());
  EXPECT_EQ(transfer->op_class, OpClass::built);
  EXPECT_EQ(transfer->to, "alice.near");
  EXPECT_EQ(transfer->amount, (U128{0, 5}));
  EXPECT_EQ(parse(R"({"kind":"payment_check","amount":"5","token":"t"})")->op_class, OpClass::trusted);
  EXPECT_EQ(parse(R"({"kind":"raw","chain":"near","payload_hash":"00"})")->op_class, OpClass::hash_pinned);
  EXPECT_EQ(parse(R"({"kind":"auth","purpose":"bearer","seed":"s"})")->op_class, OpClass::auth);
  for (const char* bad : {"{}", R"({"kind":"steal"})", R"({"kind":"transfer","to":"alice.near"})",
                          R"({"kind":"transfer","to":"alice.near","amount":5})", R"({"kind":"call","to":"a.near"})"}) {
    EXPECT_FALSE(parse(bad).ok()) << bad;
  }
}

TEST(KeystoreWallet, TransactionsAreBuiltHere) {
  const auto wallet = *AccountId::parse(std::string(64, 'a'));
  const auto plan = [&](std::string text) { return plan_near(Json{std::move(text)}.root(), wallet); };
  const auto call = plan(
      R"({"kind":"call","to":"usdc.near","method":"ft_transfer","args_base64":"e30=","gas":"30000000000000","deposit":"1"})");
  ASSERT_TRUE(call.ok()) << call.error().text();
  EXPECT_EQ(call->receiver.text(), "usdc.near");
  const auto& action = std::get<chain::near::FunctionCall>(call->actions.at(0));
  EXPECT_EQ(action.method, "ft_transfer");
  EXPECT_EQ(action.args, base::to_bytes("{}"));
  EXPECT_EQ(action.gas, 30'000'000'000'000u);
  const auto gone = plan(R"({"kind":"delete","beneficiary":"alice.near"})");
  ASSERT_TRUE(gone.ok());
  EXPECT_EQ(gone->receiver, wallet);
  EXPECT_TRUE(plan(R"({"kind":"transfer","to":"alice.near","amount":"5"})").ok());
  for (const std::string& bad :
       {R"({"kind":"delete","beneficiary":")" + wallet.text() + R"("})",
        std::string{R"({"kind":"transfer","to":"Bad Name","amount":"5"})"},
        std::string{R"({"kind":"transfer","to":"alice.near","amount":"5","memo":"x"})"},
        std::string{
            R"({"kind":"call","to":"a.near","method":"m","args_base64":"e30=","gas":"300000000000001","deposit":"0"})"},
        std::string{R"({"kind":"raw","chain":"near","payload_hash":"00"})"}}) {
    EXPECT_FALSE(plan(bad).ok()) << bad;
  }
}

TEST(KeystoreWallet, SuppliedBytesHashToTheRequest) {
  const std::string hash = base::hex(crypto::sha256(base::as_bytes("abc")));
  const Json raw{R"({"kind":"raw","payload_hash":")" + hash + R"("})"};
  EXPECT_TRUE(check_raw(raw.root(), base::as_bytes("abc")).ok());
  EXPECT_EQ(check_raw(raw.root(), base::as_bytes("abd")).error().what, "supplied bytes do not match op.payload_hash");
  const Json message{R"({"kind":"sign_message","message_hash":")" + hash + R"(","recipient":"x"})"};
  EXPECT_TRUE(check_message(message.root(), "abc").ok());
  EXPECT_EQ(check_message(message.root(), "abd").error().what, "supplied message does not match op.message_hash");
}

TEST(KeystoreWallet, AuthMessages) {
  EXPECT_EQ(*auth_message("bearer", "default", 17, ""), "auth:default:17");
  EXPECT_EQ(*auth_message("jwt", "default", 17, "v.near"), "auth:default:17:v.near");
  EXPECT_EQ(*auth_message("register", "s", 1, ""), "register:s:1");
  EXPECT_EQ(*auth_message("api-key", "s", 1, ""), "api-key:s:1");
  EXPECT_FALSE(auth_message("other", "s", 1, "").ok());
  EXPECT_FALSE(auth_message("bearer", "s:1", 1, "").ok());
}

std::string sha(const base::Result<std::string>& text) {
  return text ? base::hex(*signed_string_hash(*text)) : text.error().text();
}

TEST(KeystoreWallet, StringsThatContractsCheck) {
  const auto store =
      store_secret_string("ed25519:ab", "a.near/p", "agent", "cipher", "payer.near", "", R"("AllowAll")");
  EXPECT_EQ(*store, R"(store_secrets_for:v1:ed25519:ab:8:a.near/p:agent:cipher:payer.near::"AllowAll")");
  EXPECT_EQ(sha(store), "327044395e3f91a9d7f0374e854c913b6ef174bbd04bd8248462f8cd99fb56b2");
  const auto gone = delete_secret_string("ed25519:ab", "a.near/p", "agent", "payer.near");
  EXPECT_EQ(*gone, "delete_agent_secret:v1:ed25519:ab:8:a.near/p:agent:payer.near");
  EXPECT_EQ(sha(gone), "d3f5eee2aa4e0eb9628b36f0f0b4fd641d5ce123e7d2b5430d763dc34993d015");
  const auto policy = wallet_policy_string("ed25519:ab", "Y2lwaGVy", "alice.near");
  EXPECT_EQ(*policy, "store_wallet_policy:v1:ed25519:ab:8:Y2lwaGVy:alice.near");
  EXPECT_EQ(sha(policy), "55ae94c277c2df4c2c044ce0909162de539502201bda3b927e0fdb3ed033b482");
  // The binding has its length in front, the rest may have no colon.
  EXPECT_EQ(*delete_secret_string("ed25519:ab", "repo:r:b", "agent", "p"),
            "delete_agent_secret:v1:ed25519:ab:8:repo:r:b:agent:p");
  EXPECT_FALSE(delete_secret_string("ed25519:ab", "b", "a:b", "p").ok());
  EXPECT_FALSE(delete_secret_string("ed25519:a:b", "b", "a", "p").ok());
  EXPECT_FALSE(delete_secret_string("secp256k1:ab", "b", "a", "p").ok());
  EXPECT_FALSE(store_secret_string("ed25519:ab", "b", "a", "c", "p", "v:w", "{}").ok());
}

TEST(KeystoreWallet, NothingThatCouldBeATransactionIsSigned) {
  EXPECT_FALSE(signed_string_hash(std::string("\x40\0\0\0rest", 8)).ok());
  EXPECT_TRUE(signed_string_hash(std::string("\x41\0\0\0rest", 8)).ok());
  EXPECT_FALSE(signed_string_hash("abc").ok());
}

// -- EVM

constexpr const char* kMail =
    R"({"types":{"EIP712Domain":[{"name":"name","type":"string"},{"name":"version","type":"string"},)"
    R"({"name":"chainId","type":"uint256"},{"name":"verifyingContract","type":"address"}],)"
    R"("Person":[{"name":"name","type":"string"},{"name":"wallet","type":"address"}],)"
    R"("Mail":[{"name":"from","type":"Person"},{"name":"to","type":"Person"},{"name":"contents","type":"string"}]},)"
    R"("primaryType":"Mail","domain":{"name":"Ether Mail","version":"1","chainId":1,)"
    R"("verifyingContract":"0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"},)"
    R"("message":{"from":{"name":"Cow","wallet":"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},)"
    R"("to":{"name":"Bob","wallet":"0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},"contents":"Hello, Bob!"}})";

TEST(KeystoreWalletEvm, TypedData) {
  const auto digest = typed_data_digest(Json{kMail}.root());
  ASSERT_TRUE(digest.ok()) << digest.error().text();
  EXPECT_EQ(base::hex(*digest), "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2");
  const auto key = secp256k1_key(second(), *Seed::wallet("test-wallet-1", "eth"));
  EXPECT_EQ(*evm_signature(*key, *digest),
            "0x311ec12ad582d109d6af69f0da7f76687b02e2ec5b103905ca614afc95881b91"
            "3900497b6e0128758b11614051ed8b87fa8e2f0d15ea81b4e90a0108b939ee431c");
}

std::string one(std::string_view type, std::string_view value) {
  const auto digest =
      typed_data_digest(Json{R"({"types":{"EIP712Domain":[],"S":[{"name":"v","type":")" + std::string{type} +
                             R"("}],"T":[{"name":"n","type":"uint8"}]},"primaryType":"S","domain":{},"message":{"v":)" +
                             std::string{value} + "}}"}
                            .root());
  return digest ? base::hex(*digest) : "refused";
}

TEST(KeystoreWalletEvm, ValuesOfTypedData) {
  EXPECT_EQ(one("uint256", "255"), one("uint256", R"("0xff")"));
  EXPECT_EQ(one("uint256", "255"), one("uint256", R"("255")"));
  EXPECT_EQ(one("uint", "1"), one("uint", R"("1")"));
  EXPECT_NE(one("int8", "-128"), "refused");
  EXPECT_EQ(one("int256", R"("-1")"), one("int256", "-1"));
  EXPECT_NE(one("int256", "-1"), one("int256", "1"));
  EXPECT_NE(one("uint8[2]", "[1,2]"), "refused");
  EXPECT_NE(one("uint8[][2]", "[[1],[2,3]]"), "refused");
  EXPECT_NE(one("T", R"({"n":1})"), "refused");
  EXPECT_NE(one("T", "null"), one("T", R"({"n":0})"));
  EXPECT_NE(one("T[]", R"([{"n":1},{"n":2}])"), "refused");
  const std::pair<const char*, const char*> bad[] = {{"uint8", "256"},
                                                     {"uint8", "-1"},
                                                     {"int8", "128"},
                                                     {"int8", "-129"},
                                                     {"uint256", "1.5"},
                                                     {"uint256", "true"},
                                                     {"uint256", R"("")"},
                                                     {"uint7", "1"},
                                                     {"uint264", "1"},
                                                     {"bytes33", R"("0x00")"},
                                                     {"bytes2", R"("0x01")"},
                                                     {"bytes", R"("00")"},
                                                     {"bool", "1"},
                                                     {"address", R"("0x00")"},
                                                     {"string", "1"},
                                                     {"uint8[2]", "[1]"},
                                                     {"uint8[x]", "[1]"},
                                                     {"uint8[]", "1"},
                                                     {"U", "{}"},
                                                     {"T", R"({"n":1,"m":2})"},
                                                     {"T", "{}"},
                                                     {"string", "null"}};
  for (const auto& [type, value] : bad) EXPECT_EQ(one(type, value), "refused") << type << " " << value;
  std::string huge = "1";
  for (int i = 0; i < 78; ++i) huge += "0";
  EXPECT_EQ(one("uint256", "\"" + huge + "\""), "refused");
}

TEST(KeystoreWalletEvm, Messages) {
  EXPECT_EQ(base::hex(*evm_message_digest("Polymarket login", "utf8")),
            "ef4029d62f469a494a1083e9a249010a8bb6a471452fa635d3b62ad385069f71");
  EXPECT_EQ(base::hex(*evm_message_digest("48656c6c6f20576f726c64", "hex")),
            "a1de988600a42c4b4ab089b619297c17d53cffae5d5120d82d8a92d0bb3b78f2");
  EXPECT_EQ(*evm_message_digest("0x48656c6c6f20576f726c64", "hex"), *evm_message_digest("Hello World", "utf8"));
  EXPECT_FALSE(evm_message_digest("zz", "hex").ok());
  EXPECT_FALSE(evm_message_digest("a", "base64").ok());
}

TEST(KeystoreWalletEvm, Transactions) {
  const auto parse = [](std::string text) { return parse_evm_transaction(Json{std::move(text)}.root()); };
  const std::string good =
      R"({"chainId":137,"nonce":"0x5","maxPriorityFeePerGas":"30000000000","maxFeePerGas":"60000000000","gas":21000,)"
      R"("to":"0xF57953073d42d30dfBbb64C1673FEaf2c3176C38","value":"1000000000000000000","data":"0x")";
  const auto transaction = parse(good + "}");
  ASSERT_TRUE(transaction.ok()) << transaction.error().text();
  const auto key = secp256k1_key(second(), *Seed::wallet("test-wallet-1", "polygon"));
  const auto made = chain::sign(*transaction, *key);
  ASSERT_TRUE(made.ok());
  const auto back = chain::decode_transaction(made->raw);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(curves::address_checksum_text(back->second), "0xF57953073d42d30dfBbb64C1673FEaf2c3176C38");
  EXPECT_EQ(back->first.nonce, 5u);
  EXPECT_FALSE(parse(good + R"(,"accessList":[]})").ok());
  EXPECT_FALSE(parse(good + R"(,"gasLimit":1})").ok());
  EXPECT_FALSE(parse(good + R"(,"type":0})").ok());
  EXPECT_TRUE(parse(good + R"(,"type":"0x2"})").ok());
  EXPECT_FALSE(parse("{}").ok());
}

// -- Solana

base::Bytes solana(bool versioned) {
  base::Bytes out;
  if (versioned) out.push_back(0x80);
  base::append(out, base::Bytes{1, 0, 1, 2});
  out.insert(out.end(), 32, 0x11);
  out.insert(out.end(), 32, 0x22);
  out.insert(out.end(), 32, 0x33);  // blockhash
  base::append(out, base::Bytes{1, 1, 1, 0, 3, 7, 8, 9});
  if (versioned) out.push_back(0);
  return out;
}

TEST(KeystoreWalletSolana, MessagesOfTransactionsAreNoTexts) {
  for (const bool versioned : {false, true}) {
    const base::Bytes message = solana(versioned);
    EXPECT_TRUE(is_solana_message(message));
    const auto signers = solana_signers(message);
    ASSERT_EQ(signers->size(), 1u);
    EXPECT_EQ(signers->front()[0], 0x11);
    for (std::size_t size = 0; size < message.size(); ++size) {
      EXPECT_FALSE(is_solana_message(base::ByteView{message}.first(size))) << size;
    }
    base::Bytes longer = message;
    longer.push_back(0);
    EXPECT_FALSE(is_solana_message(longer));
  }
  EXPECT_FALSE(is_solana_message(base::as_bytes("Sign in to example.com with your Solana account")));
  base::Bytes other = solana(true);
  other[0] = 0x81;
  EXPECT_FALSE(is_solana_message(other));
}

// -- policies

WalletPolicy policy(std::string text) {
  auto parsed = WalletPolicy::parse(Json{std::move(text)}.root());
  EXPECT_TRUE(parsed.ok()) << parsed.error().text();
  return parsed ? *std::move(parsed) : WalletPolicy{};
}
WalletOp op(std::string text) { return *parse_wallet_op(Json{std::move(text)}.root()); }
const std::string kTransfer = R"({"kind":"transfer","to":"alice.near","amount":"5"})";

std::string check(std::string text, const WalletOp& what = op(kTransfer), const WalletUsage& usage = {},
                  std::int64_t now = 0) {
  const auto said = check_wallet_policy(policy(std::move(text)), what, usage, {now});
  if (said) return *said ? "approvals" : "yes";
  EXPECT_EQ(said.error().code, Code::denied);
  return said.error().what.substr(std::string_view{"the wallet's policy forbids it: "}.size());
}

TEST(KeystoreWalletPolicy, Rules) {
  EXPECT_EQ(check("{}"), "yes");
  EXPECT_EQ(check(R"({"frozen":true})"), "frozen");
  EXPECT_EQ(check(R"({"rules":{"transaction_types":["call"]}})"), "transaction_types");
  EXPECT_EQ(check(R"({"rules":{"transaction_types":["transfer"]}})"), "yes");
  EXPECT_EQ(check(R"({"rules":{"allowed_tokens":["usdc"]}})"), "allowed_tokens");
  EXPECT_EQ(check(R"({"rules":{"addresses":{"mode":"whitelist","list":["bob.near"]}}})"), "addresses");
  EXPECT_EQ(check(R"({"rules":{"addresses":{"mode":"whitelist","list":["alice.near"]}}})"), "yes");
  EXPECT_EQ(check(R"({"rules":{"addresses":{"mode":"blacklist","list":["alice.near"]}}})"), "addresses");
  EXPECT_EQ(check(R"({"rules":{"addresses":{"mode":"none","list":["bob.near"]}}})"), "yes");
}

TEST(KeystoreWalletPolicy, Limits) {
  EXPECT_EQ(check(R"({"rules":{"limits":{"per_transaction":"4"}}})"), "limits.per_transaction");
  EXPECT_EQ(check(R"({"rules":{"limits":{"per_transaction":"5"}}})"), "yes");
  EXPECT_EQ(check(R"({"rules":{"limits":{"per_transaction":{"native":"4","*":"9"}}}})"), "limits.per_transaction");
  EXPECT_EQ(check(R"({"rules":{"limits":{"per_transaction":{"usdc":"4","*":"9"}}}})"), "yes");
  const WalletUsage usage{
      .hour = {0, 6}, .day = {0, 16}, .month = {~0ull, ~0ull}, .transactions_this_hour = 3, .requests_this_hour = 9};
  EXPECT_EQ(check(R"({"rules":{"limits":{"hourly":"10"}}})", op(kTransfer), usage), "limits.hourly");
  EXPECT_EQ(check(R"({"rules":{"limits":{"hourly":"11"}}})", op(kTransfer), usage), "yes");
  EXPECT_EQ(check(R"({"rules":{"limits":{"daily":"20"}}})", op(kTransfer), usage), "limits.daily");
  EXPECT_EQ(
      check(R"({"rules":{"limits":{"monthly":"340282366920938463463374607431768211454"}}})", op(kTransfer), usage),
      "limits.monthly");
  EXPECT_EQ(check(R"({"rules":{"limits":{"hourly_tx_count":3}}})", op(kTransfer), usage), "limits.hourly_tx_count");
  EXPECT_EQ(check(R"({"rules":{"rate_limit":{"max_per_hour":9}}})", op(kTransfer), usage), "rate_limit");
  EXPECT_EQ(
      check(R"({"rules":{"limits":{"hourly_tx_count":4},"rate_limit":{"max_per_hour":10}}})", op(kTransfer), usage),
      "yes");
}

TEST(KeystoreWalletPolicy, TheCaseOfAnEvmAddressIsNoPartOfIt) {
  auto what = op(kTransfer);
  what.to = "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826";
  const auto in = [&](const std::string& mode, const std::string& address) {
    return check(R"({"rules":{"addresses":{"mode":")" + mode + R"(","list":[")" + address + R"("]}}})", what);
  };
  EXPECT_EQ(in("blacklist", "0xcd2a3d9f938e13cd947ec05abc7fe734df8dd826"), "addresses");
  EXPECT_EQ(in("whitelist", "0xCD2A3D9F938E13CD947EC05ABC7FE734DF8DD826"), "yes");
  EXPECT_EQ(in("whitelist", "0xcd2a3d9f938e13cd947ec05abc7fe734df8dd827"), "addresses");
}

TEST(KeystoreWalletPolicy, ATokenHasOneName) {
  const auto withdraw = [](const std::string& kind, const std::string& token) {
    return op(R"({"kind":")" + kind + R"(","to":"alice.near","amount":"5","token":")" + token + "\"}");
  };
  for (const std::string kind : {"withdraw", "intents_transfer", "payment_check"}) {
    for (const std::string asked : {"usdc.near", "nep141:usdc.near"}) {
      const auto what = withdraw(kind, asked);
      EXPECT_EQ(what.token, "nep141:usdc.near");
      for (const std::string named : {"usdc.near", "nep141:usdc.near"}) {
        const std::string limit = R"({"rules":{"limits":{"per_transaction":{")" + named + R"(":"4"}}},)";
        EXPECT_EQ(check(limit + R"("capabilities":{"payment_check":true}})", what), "limits.per_transaction");
        const std::string tokens = R"({"rules":{"allowed_tokens":[")" + named + R"("]},)";
        EXPECT_EQ(check(tokens + R"("capabilities":{"payment_check":true}})", what), "yes");
      }
    }
  }
  const std::string both = R"({"rules":{"limits":{"hourly":{"usdc.near":"4","nep141:usdc.near":"9"}}}})";
  EXPECT_EQ(check(both, withdraw("withdraw", "usdc.near")), "limits.hourly") << "the smaller one";
  const std::string other = R"({"rules":{"limits":{"hourly":{"nep141:usdc.near":"9","usdc.near":"4"}}}})";
  EXPECT_EQ(check(other, withdraw("withdraw", "usdc.near")), "limits.hourly");
  // A contract that is called so is not the chain's own token.
  EXPECT_EQ(check(R"({"rules":{"allowed_tokens":["native"]}})", withdraw("withdraw", "native")), "allowed_tokens");
  EXPECT_EQ(check(R"({"rules":{"allowed_tokens":["native"]}})"), "yes");
}

TEST(KeystoreWalletPolicy, ADeletedAccountMovesAllThatItHas) {
  const auto what = op(R"({"kind":"delete","beneficiary":"alice.near"})");
  EXPECT_EQ(check("{}", what), "yes");
  for (const std::string limit : {"per_transaction", "hourly", "daily", "monthly"}) {
    EXPECT_EQ(check(R"({"rules":{"limits":{")" + limit + R"(":"9"}}})", what), "limits." + limit);
    EXPECT_EQ(check(R"({"rules":{"limits":{")" + limit + R"(":{"native":"9"}}}})", what), "limits." + limit);
    EXPECT_EQ(check(R"({"rules":{"limits":{")" + limit + R"(":{"usdc.near":"9"}}}})", what), "yes");
  }
  EXPECT_EQ(check(R"({"rules":{"allowed_tokens":["usdc.near"]}})", what), "allowed_tokens");
  EXPECT_EQ(check(R"({"rules":{"allowed_tokens":["native"]}})", what), "yes");
}

TEST(KeystoreWalletPolicy, Times) {
  const auto at = [](std::string restrictions, std::int64_t now) {
    return check(R"({"rules":{"time_restrictions":)" + restrictions + "}}", op(kTransfer), {}, now);
  };
  constexpr std::int64_t thursday_noon = 12 * 3600;
  EXPECT_EQ(at(R"({"allowed_hours":[9,17]})", thursday_noon), "yes");
  EXPECT_EQ(at(R"({"allowed_hours":[9,12]})", thursday_noon), "time_restrictions.allowed_hours");
  EXPECT_EQ(at(R"({"allowed_hours":[22,13]})", thursday_noon), "yes");
  EXPECT_EQ(at(R"({"allowed_hours":[9,13],"timezone":"+02:00"})", thursday_noon), "time_restrictions.allowed_hours");
  EXPECT_EQ(at(R"({"allowed_days":["thu"],"timezone":"UTC"})", thursday_noon), "yes");
  EXPECT_EQ(at(R"({"allowed_days":[4]})", thursday_noon), "yes");
  EXPECT_EQ(at(R"({"allowed_days":["Friday",1,7]})", thursday_noon), "time_restrictions.allowed_days");
}

TEST(KeystoreWalletPolicy, CapabilitiesAreOffUnlessSwitchedOn) {
  const WalletOp raw = op(R"({"kind":"raw","chain":"near","payload_hash":"00"})");
  EXPECT_EQ(check("{}", raw), "capabilities");
  EXPECT_EQ(check(R"({"capabilities":{"raw_sign":false}})", raw), "capabilities");
  EXPECT_EQ(check(R"({"capabilities":{"raw_sign":true}})", raw), "yes");
  EXPECT_EQ(check("{}", op(R"({"kind":"swap"})")), "capabilities");
  EXPECT_TRUE(check_capability(policy(R"({"capabilities":{"evm_sign":true}})"), "evm_sign").ok());
  EXPECT_FALSE(check_capability(policy(R"({"capabilities":{"evm_sign":true}})"), "solana_sign").ok());
  EXPECT_FALSE(check_capability(policy(R"({"frozen":true,"capabilities":{"evm_sign":true}})"), "evm_sign").ok());
}

TEST(KeystoreWalletPolicy, WhatIsNotUnderstoodIsRefused) {
  for (const char* bad : {"[]", R"({"rule":{}})", R"({"rules":{"limit":{}}})", R"({"frozen":"yes"})",
                          R"({"rules":{"limits":{"weekly":"1"}}})", R"({"rules":{"limits":{"daily":"-1"}}})",
                          R"({"rules":{"addresses":{"mode":"allow"}}})",
                          R"({"rules":{"time_restrictions":{"timezone":"Europe/Berlin"}}})",
                          R"({"rules":{"time_restrictions":{"allowed_hours":[9,9]}}})",
                          R"({"rules":{"time_restrictions":{"allowed_days":["someday"]}}})",
                          R"({"capabilities":{"fly":true}})", R"({"approval":{"threshold":1}})",
                          R"({"approval":{"threshold":2,"approvers":[{"id":"a.near"},{"id":"a.near"}]}})"}) {
    EXPECT_FALSE(WalletPolicy::parse(Json{bad}.root()).ok()) << bad;
  }
}

class KeystoreVotes : public ::testing::Test {
 protected:
  KeystoreVotes() {
    for (std::uint8_t i = 1; i <= 3; ++i) keys.push_back(*chain::near::SecretKey::from_seed(base::Bytes(32, i)));
    rules = policy(R"({"approval":{"threshold":2,"approvers":[{"id":"a.near","role":"owner","pubkey":")" +
                   keys[0].public_key().text() + R"("},{"id":"b.near"},{"id":"c.near"}],"excluded_types":["call"]}})");
  }
  WalletVote vote(std::string who, std::size_t key, bool approve = true, std::string hash = "hash") const {
    chain::near::Message message{
        .message = vote_message(approve, "7", "ed25519:w", hash), .nonce = {}, .recipient = "outlayer.near"};
    return {.approver = std::move(who),
            .approve = approve,
            .key = keys[key].public_key(),
            .nonce = {},
            .signature = sign(message, keys[key])};
  }
  base::Result<VoteResult> count(const std::vector<WalletVote>& votes) {
    const WalletApproval approval{.id = "7",
                                  .wallet_public_key = "ed25519:w",
                                  .request_hash = "hash",
                                  .contract = *AccountId::parse("outlayer.near")};
    return count_votes(rules, approval, votes,
                       [this](const std::string& who, const chain::near::PublicKey&) -> base::Result<bool> {
                         if (outage) return base::Error{Code::unavailable, "no quorum"};
                         return who != gone;
                       });
  }
  std::vector<chain::near::SecretKey> keys;
  WalletPolicy rules;
  bool outage = false;
  std::string gone;
};

TEST_F(KeystoreVotes, AreCountedOncePerApprover) {
  EXPECT_TRUE(*check_wallet_policy(rules, op(kTransfer), {}, {0}));
  EXPECT_EQ(*count({vote("a.near", 0)}), VoteResult::pending);
  EXPECT_EQ(*count({vote("a.near", 0), vote("a.near", 0)}), VoteResult::pending);
  EXPECT_EQ(*count({vote("a.near", 0), vote("b.near", 1)}), VoteResult::approved);
  EXPECT_EQ(*count({vote("a.near", 0), vote("b.near", 1), vote("c.near", 2, false)}), VoteResult::vetoed);
}

TEST_F(KeystoreVotes, OthersDoNotCount) {
  EXPECT_EQ(*count({vote("a.near", 0), vote("mallory.near", 1)}), VoteResult::pending);
  EXPECT_EQ(*count({vote("a.near", 1), vote("b.near", 1)}), VoteResult::pending);  // not the pinned key
  EXPECT_EQ(*count({vote("a.near", 0), vote("b.near", 1, true, "other")}), VoteResult::pending);
  EXPECT_EQ(*count({vote("a.near", 0), vote("mallory.near", 1, false)}), VoteResult::pending);
  WalletVote turned = vote("b.near", 1, false);
  turned.approve = true;
  EXPECT_EQ(*count({vote("a.near", 0), turned}), VoteResult::pending);
  gone = "b.near";
  EXPECT_EQ(*count({vote("a.near", 0), vote("b.near", 1)}), VoteResult::pending);
  outage = true;
  EXPECT_EQ(count({vote("a.near", 0), vote("b.near", 1)}).error().code, Code::unavailable);
  EXPECT_FALSE(count(std::vector<WalletVote>(17, vote("a.near", 0))).ok());
}

}  // namespace
}  // namespace attestry::secrets::keystore
