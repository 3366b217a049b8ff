#include "curves/eip712.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "curves/keccak.h"
#include "curves/secp256k1.h"

namespace attestry::curves {
namespace {

using base::as_bytes;
using base::hex;

// The example of EIP-712, "Ether Mail".
class EtherMail : public ::testing::Test {
 protected:
  static base::Digest32 person(std::string_view name, std::string_view wallet) {
    Eip712Struct out("Person(string name,address wallet)");
    return out.string(name).address(parse_address(wallet).value()).hash();
  }
  Eip712Domain domain_{.name = "Ether Mail",
                       .version = "1",
                       .chain_id = 1,
                       .verifying_contract = parse_address("0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC").value()};
};

TEST_F(EtherMail, GivesTheValuesOfTheExample) {
  Eip712Struct mail("Mail(Person from,Person to,string contents)Person(string name,address wallet)");
  mail.bytes32(person("Cow", "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"));
  mail.bytes32(person("Bob", "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB")).string("Hello, Bob!");
  const auto domain = eip712_domain_separator(domain_);
  EXPECT_EQ(hex(domain), "f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f");
  EXPECT_EQ(hex(mail.hash()), "c52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e");
  const auto digest = eip712_digest(domain, mail.hash());
  EXPECT_EQ(hex(digest), "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2");
  const auto cow = Secp256k1PrivateKey::from_scalar(keccak256(as_bytes("cow"))).value();
  EXPECT_EQ(address_checksum_text(ethereum_address(cow.public_key_raw())),
            "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826");
  EXPECT_EQ(secp256k1_recover(digest, cow.sign_recoverable(digest).value()).value(), cow.public_key_raw());
}

TEST_F(EtherMail, EveryFieldOfTheDomainCounts) {
  const auto whole = eip712_domain_separator(domain_);
  Eip712Domain other = domain_;
  other.chain_id = 2;
  EXPECT_NE(eip712_domain_separator(other), whole);
  other.chain_id.reset();
  EXPECT_NE(eip712_domain_separator(other), whole);
  other = domain_;
  other.verifying_contract->at(0) ^= 1;
  EXPECT_NE(eip712_domain_separator(other), whole);
  other.verifying_contract.reset();
  EXPECT_NE(eip712_domain_separator(other), whole);
  other = domain_;
  other.name = "Ether Mail2";
  EXPECT_NE(eip712_domain_separator(other), whole);
}

TEST(Eip712, MembersAreWordsOf32Bytes) {
  // hashStruct is keccak256(typeHash ‖ members), so a struct without members is the hash of its type's hash.
  EXPECT_EQ(Eip712Struct("A()").hash(), keccak256(keccak256(as_bytes("A()"))));
  base::Bytes words = base::to_bytes(keccak256(as_bytes("A(bool b,uint64 n,bytes d)")));
  words.resize(words.size() + 31);
  words.push_back(1);
  words.resize(words.size() + 30);
  words.push_back(1);
  words.push_back(2);
  base::append(words, keccak256(base::Bytes{7}));
  Eip712Struct a("A(bool b,uint64 n,bytes d)");
  EXPECT_EQ(a.boolean(true).uint64(258).bytes(base::Bytes{7}).hash(), keccak256(words));
}

TEST(Eip712, ADocumentsDigestDependsOnTypeAndText) {
  const auto digest = eip712_document_digest("application/x", "{}");
  EXPECT_NE(eip712_document_digest("application/y", "{}"), digest);
  EXPECT_NE(eip712_document_digest("application/x", "{ }"), digest);
  const auto separator = eip712_domain_separator({.name = "attestry", .version = "1"});
  Eip712Struct document("Document(string payloadType,string payload)");
  EXPECT_EQ(eip712_digest(separator, document.string("application/x").string("{}").hash()), digest);
}

TEST(Address, TextForms) {
  // The examples of EIP-55.
  for (const std::string_view text :
       {"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"}) {
    const auto address = parse_address(text);
    ASSERT_TRUE(address.ok());
    EXPECT_EQ(address_checksum_text(*address), text);
    EXPECT_EQ(parse_address(address_hex(*address), AddressPrefix::refused).value(), *address);
    EXPECT_EQ(address_hex(*address).size(), 40u);
    EXPECT_TRUE(parse_address(text, AddressPrefix::required).ok());
    EXPECT_FALSE(parse_address(text, AddressPrefix::refused).ok());
    EXPECT_FALSE(parse_address(text.substr(2), AddressPrefix::required).ok());
  }
  const std::string good(40, 'a');
  EXPECT_TRUE(parse_address("0X" + good).ok());
  const std::vector<std::string> wrong = {"",
                                          "0x",
                                          good.substr(1),
                                          good + "a",
                                          "0x0x" + good,
                                          "0y" + good,
                                          std::string(39, 'a') + "g",
                                          " " + good.substr(1)};
  for (const std::string& text : wrong) EXPECT_FALSE(parse_address(text).ok()) << text;
}

}  // namespace
}  // namespace attestry::curves
