#include "chain/proof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/encoding.h"
#include "chain/abi.h"
#include "chain/rlp.h"
#include "curves/keccak.h"

namespace attestry::chain {
namespace {

using base::Bytes;
using base::Code;
using base::Digest32;
using base::JsonValue;

/// A block of a real node, with proofs (tests/data/chain/proof.json).
class ProofTest : public ::testing::Test {
 protected:
  static std::shared_ptr<const base::JsonDocument> recorded() {
    const char* root = std::getenv("ATTESTRY_TEST_DATA");
    std::ifstream in{std::string{root != nullptr ? root : "tests/data"} + "/chain/proof.json", std::ios::binary};
    const auto parsed =
        base::JsonDocument::parse({std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}});
    EXPECT_TRUE(parsed.ok());
    return *parsed;
  }
  JsonValue get(std::string_view name) const { return *document->root().get(name); }
  static std::vector<Bytes> nodes(const JsonValue& array) {
    std::vector<Bytes> out;
    for (auto item = array.first(); item; item = item->next()) out.push_back(*parse_data(*item, "node"));
    return out;
  }
  static std::vector<Word> words(const JsonValue& array) {
    std::vector<Word> out;
    for (auto item = array.first(); item; item = item->next()) out.push_back(*parse_hash(*item, "word"));
    return out;
  }
  std::vector<Bytes> storage_nodes(std::size_t index) const {
    auto item = *get("proof").get("storageProof")->first();
    while (index-- > 0) item = *item.next();
    return nodes(*item.get("proof"));
  }

  const std::shared_ptr<const base::JsonDocument> document = recorded();
  const Bytes rlp = header_rlp(get("block")).value_or(Bytes{});
  const Header header = parse_header(rlp).value_or(Header{});
  const Address contract = *parse_address(get("contract"), "contract");
  const std::vector<Word> slots = words(get("slots"));
  const std::vector<Word> values = words(get("values"));
  const std::vector<Bytes> account_nodes = nodes(*get("proof").get("accountProof"));
  const Address nobody = [] {
    Address out;
    out.fill(0x77);
    return out;
  }();
};

TEST_F(ProofTest, TheHeaderHashesToTheBlocksHash) {
  const Digest32 hash = *parse_hash(*get("block").get("hash"), "hash");
  EXPECT_EQ(header.hash, hash);
  EXPECT_EQ(header.number, *parse_quantity(*get("block").get("number"), "number"));
  EXPECT_EQ(header.state_root, *parse_hash(*get("block").get("stateRoot"), "root"));
  EXPECT_TRUE(trusted_header(hash, rlp).ok());
  Bytes changed = rlp;
  changed.back() ^= 1;
  EXPECT_EQ(trusted_header(hash, changed).error().code, Code::malformed);
}

TEST_F(ProofTest, HeadersOfAnotherShapeAreRefused) {
  EXPECT_FALSE(parse_header({}).ok());
  EXPECT_FALSE(parse_header(rlp_list({})).ok());
  EXPECT_FALSE(parse_header(base::ByteView{rlp}.first(rlp.size() - 1)).ok());
  const std::vector<Bytes> lists(15, rlp_list({}));
  EXPECT_FALSE(parse_header(rlp_list(lists)).ok());
}

TEST_F(ProofTest, AccountsAreProved) {
  const auto account = verify_account(header.state_root, contract, account_nodes);
  ASSERT_TRUE(account.ok()) << account.error().text();
  ASSERT_TRUE(account->has_value());
  EXPECT_EQ((*account)->nonce, 1u);
  EXPECT_EQ((*account)->storage_root, *parse_hash(*get("proof").get("storageHash"), "storageHash"));
  EXPECT_EQ((*account)->code_hash, *parse_hash(*get("proof").get("codeHash"), "codeHash"));
}

TEST_F(ProofTest, AbsenceIsProved) {
  const auto absent = verify_account(header.state_root, nobody, nodes(*get("absent").get("accountProof")));
  ASSERT_TRUE(absent.ok()) << absent.error().text();
  EXPECT_FALSE(absent->has_value());
}

TEST_F(ProofTest, StorageIsProved) {
  const auto account = *verify_account(header.state_root, contract, account_nodes);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const auto value = verify_storage(account->storage_root, slots[i], storage_nodes(i));
    ASSERT_TRUE(value.ok()) << i << ": " << value.error().text();
    EXPECT_EQ(*value, values[i]) << i;
  }
}

TEST(Proof, AZeroThatIsStoredIsZero) {
  const Word slot = slot_at(7);
  base::Bytes path{0x20};  // a leaf of an even number of nibbles
  base::append(path, curves::keccak256(slot));
  const std::vector<base::Bytes> items{rlp_bytes(path), rlp_bytes(base::Bytes{0x80})};
  const std::vector<base::Bytes> proof{rlp_list(items)};
  const auto word = verify_storage(curves::keccak256(proof[0]), slot, proof);
  ASSERT_TRUE(word.ok()) << word.error().text();
  EXPECT_EQ(*word, Word{});
}

TEST_F(ProofTest, NumbersAndTextsHaveSlotsToo) {
  EXPECT_EQ(slot_at(0x0b), to_word(11));
  const std::string name = "web.example";
  base::Bytes both = base::to_bytes(base::as_bytes(name));
  base::append(both, to_word(9));
  EXPECT_EQ(mapping_slot(std::string_view{name}, slot_at(9)), curves::keccak256(both));
}

TEST_F(ProofTest, AMappingsSlotIsKeccakOfKeyAndSlot) { EXPECT_EQ(mapping_slot(to_word(7), to_word(11)), slots[0]); }

TEST_F(ProofTest, EveryBitOfAProofCounts) {
  const auto account = *verify_account(header.state_root, contract, account_nodes);
  for (std::size_t node = 0; node < account_nodes.size(); ++node) {
    for (std::size_t byte = 0; byte < account_nodes[node].size(); byte += 7) {
      auto changed = account_nodes;
      changed[node][byte] ^= 1;
      EXPECT_FALSE(verify_account(header.state_root, contract, changed).ok()) << node << "," << byte;
    }
  }
  auto storage = storage_nodes(1);
  storage.back().back() ^= 1;
  EXPECT_FALSE(verify_storage(account->storage_root, slots[1], storage).ok());
}

TEST_F(ProofTest, ProofsOfSomethingElseAreRefused) {
  const auto account = *verify_account(header.state_root, contract, account_nodes);
  auto cut = account_nodes;
  cut.pop_back();
  EXPECT_FALSE(verify_account(header.state_root, contract, cut).ok());
  auto more = account_nodes;
  more.push_back(more.back());
  EXPECT_FALSE(verify_account(header.state_root, contract, more).ok());
  EXPECT_FALSE(verify_account(header.state_root, contract, {}).ok());
  EXPECT_FALSE(verify_account(header.parent, contract, account_nodes).ok());
  EXPECT_FALSE(verify_storage(account->storage_root, slots[1], storage_nodes(0)).ok());
  EXPECT_FALSE(verify_storage(account->storage_root, slots[0], storage_nodes(1)).ok());
}

// -- tries made here, for what the recorded one has not

/// The path of a leaf or extension: flags and nibbles (Yellow Paper, appendix C).
Bytes path_of(bool leaf, const Bytes& nibbles) {
  Bytes all{static_cast<std::uint8_t>((leaf ? 2 : 0) + nibbles.size() % 2)};
  if (nibbles.size() % 2 == 0) all.push_back(0);
  base::append(all, nibbles);
  Bytes out;
  for (std::size_t i = 0; i < all.size(); i += 2) out.push_back(static_cast<std::uint8_t>(all[i] << 4 | all[i + 1]));
  return out;
}
Bytes node_of(const Bytes& path, const Bytes& value) { return rlp_list(std::vector<Bytes>{rlp_bytes(path), value}); }
Bytes branch_of(std::size_t place, const Bytes& child) {
  std::vector<Bytes> items(17, rlp_bytes({}));
  items[place] = child;
  return rlp_list(items);
}

TEST(TrieTest, ShortNodesStandInTheirParents) {
  const Bytes leaf = node_of(path_of(true, {3, 4}), rlp_bytes(Bytes{9}));
  const Bytes root = branch_of(1, node_of(path_of(false, {2}), branch_of(7, leaf)));
  ASSERT_LT(node_of(path_of(false, {2}), branch_of(7, leaf)).size(), 32u);
  const std::vector<Bytes> proof{root};
  const Bytes right{0x12, 0x73};
  const auto found = verify_trie(curves::keccak256(root), Bytes{0x12, 0x73, 0x4f}, proof);
  EXPECT_TRUE(found.ok());
  EXPECT_FALSE(found->has_value()) << "a longer path is absent";
  const auto shorter = verify_trie(curves::keccak256(root), right, proof);
  EXPECT_TRUE(shorter.ok());
  EXPECT_FALSE(shorter->has_value());
}

TEST(TrieTest, ALeafInABranchInAnExtension) {
  const Bytes leaf = node_of(path_of(true, {3}), rlp_bytes(Bytes{9}));
  const Bytes root = node_of(path_of(false, {1, 2}), branch_of(7, leaf));
  const std::vector<Bytes> proof{root};
  const auto found = verify_trie(curves::keccak256(root), Bytes{0x12, 0x73}, proof);
  ASSERT_TRUE(found.ok()) << found.error().text();
  EXPECT_EQ(**found, Bytes{9});
  const auto absent = verify_trie(curves::keccak256(root), Bytes{0x12, 0x83}, proof);
  ASSERT_TRUE(absent.ok());
  EXPECT_FALSE(absent->has_value());
  const auto beside = verify_trie(curves::keccak256(root), Bytes{0x22, 0x73}, proof);
  ASSERT_TRUE(beside.ok());
  EXPECT_FALSE(beside->has_value());
}

TEST(TrieTest, NodesOfAnotherShapeAreRefused) {
  const auto refused = [](const Bytes& root) {
    return !verify_trie(curves::keccak256(root), Bytes{0x12}, std::vector<Bytes>{root}).ok();
  };
  EXPECT_TRUE(refused(rlp_bytes(Bytes{1})));
  EXPECT_TRUE(refused(rlp_list(std::vector<Bytes>(3, rlp_bytes({})))));
  EXPECT_TRUE(refused(node_of({}, rlp_bytes(Bytes{9}))));                                    // no path
  EXPECT_TRUE(refused(node_of(Bytes{0x40}, rlp_bytes(Bytes{9}))));                           // unknown flags
  EXPECT_TRUE(refused(node_of(Bytes{0x21, 0x12}, rlp_bytes(Bytes{9}))));                     // padding that is not zero
  EXPECT_TRUE(refused(node_of(path_of(true, {1, 2}), rlp_list({}))));                        // a list as a value
  EXPECT_TRUE(refused(node_of(path_of(false, {}), branch_of(1, rlp_bytes(Bytes{9})))));      // an extension of nothing
  EXPECT_TRUE(refused(branch_of(1, rlp_bytes(Bytes(31, 5)))));                               // neither hash nor node
  EXPECT_TRUE(refused(branch_of(1, node_of(path_of(true, {2}), rlp_bytes(Bytes(40, 5))))));  // should be a hash
}

TEST(TrieTest, AnEmptyTrieHasNothing) {
  const Digest32 empty = curves::keccak256(rlp_bytes({}));
  EXPECT_FALSE(verify_trie(empty, Bytes{1}, {})->has_value());
  EXPECT_FALSE(verify_trie(empty, Bytes{1}, std::vector<Bytes>{rlp_bytes({})})->has_value());
  EXPECT_FALSE(verify_trie(empty, Bytes{1}, std::vector<Bytes>{Bytes{1}}).ok());
}

}  // namespace
}  // namespace attestry::chain
