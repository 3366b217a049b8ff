// What the two servers say to each other, and what an operator signs. The sessions themselves:
// channel/session_test.cpp, both servers: tests/functional/test_registry_channel.py.
#include "provision/registry_channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "curves/keccak.h"
#include "governance/testing/kms_chain.h"

namespace attestry::provision {
namespace {

using base::Code;
using governance::testing::kKms;

ChannelPermit permit() {
  ChannelPermit out{.process_nonce = {}, .peer = "old.example:9443", .signature = base::Bytes(65, 7)};
  out.process_nonce.fill(9);
  return out;
}

void only_whole(base::ByteView whole, auto&& parse) {
  ASSERT_TRUE(parse(whole).ok());
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(parse(whole.first(size)).ok()) << size;
  base::Bytes more = base::to_bytes(whole);
  more.push_back(0);
  EXPECT_FALSE(parse(more).ok());
}

TEST(RegistryChannel, RequestsAreReadAsTheyWereWritten) {
  const auto with = encode(ChannelRequest{.permit = permit()});
  const auto read = parse_channel_request(with);
  ASSERT_TRUE(read.ok() && read->permit);
  EXPECT_EQ(read->permit->peer, permit().peer);
  EXPECT_EQ(read->permit->process_nonce, permit().process_nonce);
  EXPECT_EQ(read->permit->signature, permit().signature);
  only_whole(with, parse_channel_request);
  const auto without = encode(ChannelRequest{});
  ASSERT_TRUE(parse_channel_request(without).ok());
  EXPECT_FALSE(parse_channel_request(without)->permit);
  only_whole(without, parse_channel_request);
  auto half = permit();
  half.signature.pop_back();
  EXPECT_EQ(parse_channel_request(encode(ChannelRequest{.permit = half})).error().code, Code::malformed);
}

TEST(RegistryChannel, AnswersAreReadAsTheyWereWritten) {
  const auto secret = [](std::uint8_t byte, std::size_t size) {
    return crypto::Secret::copy_of(base::Bytes(size, byte));
  };
  const auto bytes = encode(ChannelAnswer{.salt = secret(1, 32), .master = secret(2, 32)});
  base::LpWriter by_hand;
  by_hand.lp("attestry/onboard/2").lp(base::Bytes(32, 1)).lp(base::Bytes(32, 2));
  EXPECT_TRUE(base::equal(bytes.reveal(), by_hand.bytes()));
  only_whole(bytes.reveal(), parse_channel_answer);
  EXPECT_TRUE(base::equal(parse_channel_answer(bytes.reveal())->master.reveal(), base::Bytes(32, 2)));
  const auto odd = encode(ChannelAnswer{.salt = secret(1, 32), .master = secret(2, 31)});
  EXPECT_EQ(parse_channel_answer(odd.reveal()).error().code, Code::malformed);
}

TEST(RegistryChannel, APermitIsForOneServiceOneProcessAndOnePeer) {
  const auto digest = channel_permit_digest(1, kKms, permit().process_nonce, permit().peer);
  EXPECT_NE(digest, channel_permit_digest(2, kKms, permit().process_nonce, permit().peer));
  EXPECT_NE(digest, channel_permit_digest(1, {}, permit().process_nonce, permit().peer));
  EXPECT_NE(digest, channel_permit_digest(1, kKms, {}, permit().peer));
  EXPECT_NE(digest, channel_permit_digest(1, kKms, permit().process_nonce, "other.example:9443"));
  // EIP-712 by hand.
  const auto word = [](base::ByteView end) {
    base::Bytes out(32 - end.size(), 0);
    base::append(out, end);
    return out;
  };
  const auto keccak = [](std::string_view text) { return curves::keccak256(base::as_bytes(text)); };
  base::LpWriter domain, permitted, whole;
  domain.raw(keccak("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"))
      .raw(keccak("attestry"))
      .raw(keccak("1"))
      .raw(word(base::Bytes{1}))
      .raw(word(kKms));
  permitted.raw(keccak("OnboardByChannel(bytes32 nonce,string peer)"))
      .raw(permit().process_nonce)
      .raw(keccak(permit().peer));
  whole.u8(0x19).u8(1).raw(curves::keccak256(domain.bytes())).raw(curves::keccak256(permitted.bytes()));
  EXPECT_EQ(digest, curves::keccak256(whole.bytes()));
}

TEST(RegistryChannel, ThePermitInARequestsBodyIsStrict) {
  const std::string signature = base::hex(base::Bytes(65, 7));
  const auto read = parse_channel_permit("old.example:9443 " + signature, permit().process_nonce);
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(read->peer, "old.example:9443");
  EXPECT_EQ(read->signature, base::Bytes(65, 7));
  for (const std::string& bad : {std::string{}, std::string{"old.example:9443"}, " " + signature,
                                 "old.example:9443 " + signature.substr(2), "old.example:9443 " + signature + " x",
                                 std::string{"old.example:9443 xyz"}, std::string(301, 'a') + " " + signature}) {
    EXPECT_FALSE(parse_channel_permit(bad, {}).ok()) << bad;
  }
}

TEST(RegistryChannel, TheAudienceIsTheKeyService) {
  governance::testing::KmsChain chain;
  governance::KmsContract contract(chain, 31337, kKms);
  const auto key = crypto::sha256(base::as_bytes("key"));
  EXPECT_EQ(channel_audience({.contract = &contract, .chain_id = 31337}, key), "evm:31337:0x" + base::hex(kKms));
  EXPECT_EQ(channel_audience({}, key), "key:" + base::hex(key));
}

TEST(RegistryChannel, TheContractAllowsAServerForItsOperator) {
  const base::Deadline soon = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  governance::testing::KmsChain chain;
  governance::KmsContract contract(chain, 31337, kKms);
  const auto identity = crypto::sha256(base::as_bytes("identity"));
  const auto alice = governance::testing::address_of(1);
  chain.operators = {alice};
  EXPECT_EQ(contract.server(identity, alice, soon).error().code, Code::denied);
  chain.identities = {identity};
  const auto approval = contract.server(identity, alice, soon);
  ASSERT_TRUE(approval.ok()) << approval.error().text();
  EXPECT_EQ(approval->identity(), identity);
  EXPECT_TRUE(approval->snapshot().starts_with("evm:31337@100:0x")) << approval->snapshot();
  EXPECT_EQ(contract.server(identity, governance::testing::address_of(2), soon).error().code, Code::denied);
  chain.away = true;
  EXPECT_EQ(contract.server(identity, alice, soon).error().code, Code::unavailable);
}

}  // namespace
}  // namespace attestry::provision
