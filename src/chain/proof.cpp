#include "chain/proof.h"

#include <algorithm>
#include <array>

#include "chain/rlp.h"
#include "curves/keccak.h"

namespace attestry::chain {
namespace {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::Digest32;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::size_t kBranchItems = 17;
constexpr std::size_t kHash = 32;
constexpr std::size_t kMaxHeaderFields = 40;
constexpr std::size_t kMinHeaderFields = 15;  // Frontier's
constexpr std::size_t kMaxNodes = 80;         // a path has at most 64 nibbles

Error false_proof(std::string what) { return {Code::malformed, "Merkle proof: " + std::move(what)}; }

/// Root of a trie with nothing in it: Keccak-256(RLP("")).
const Digest32& empty_root() {
  static const Digest32 root = curves::keccak256(rlp_bytes({}));
  return root;
}

Bytes nibbles_of(ByteView bytes) {
  Bytes out;
  for (const std::uint8_t byte : bytes) {
    out.push_back(byte >> 4);
    out.push_back(byte & 0xf);
  }
  return out;
}

/// A part of a path with the flags of its node (Yellow Paper, appendix C).
struct HexPrefix {
  bool leaf;
  Bytes nibbles;
};
Result<HexPrefix> hex_prefix(const RlpItem& item) {
  if (item.is_list || item.payload.empty()) return false_proof("a node without a path");
  const Bytes all = nibbles_of(item.payload);
  const std::uint8_t flags = all[0];
  const bool odd = (flags & 1) != 0;
  if (flags > 3 || (!odd && all[1] != 0)) return false_proof("a path with unknown flags");
  return HexPrefix{(flags & 2) != 0, Bytes{all.begin() + (odd ? 1 : 2), all.end()}};
}

/// Goes down one path, node by node.
class Walk {
 public:
  Walk(const Digest32& root, ByteView key, std::span<const Bytes> proof)
      : proof_(proof), path_(nibbles_of(key)), rest_(path_) {
    next_hash_ = root;
  }

  Result<std::optional<Bytes>> run() {
    TRY(RlpItem node, hashed_node());
    for (;;) {
      TRY(const auto step, descend(node));
      if (step.ended) {
        if (used_ != proof_.size()) return false_proof("more nodes than the path has");
        return step.value;
      }
      node = step.next;
    }
  }

 private:
  struct Step {
    bool ended = false;
    std::optional<Bytes> value{};
    RlpItem next{};
  };
  static Step absent() { return {.ended = true, .value = std::nullopt, .next = {}}; }

  /// The node that the parent names by its hash.
  Result<RlpItem> hashed_node() {
    if (used_ == proof_.size()) return false_proof("cut off");
    const Bytes& bytes = proof_[used_++];
    if (curves::keccak256(bytes) != next_hash_) return false_proof("a node that its parent does not name");
    return rlp_decode(bytes);
  }

  Result<Step> descend(const RlpItem& node) {
    TRY(const auto items, rlp_items(node, kBranchItems));
    if (items.size() == kBranchItems) return branch(items);
    if (items.size() != 2) return false_proof("a node that is neither branch nor path");
    return path(items);
  }

  Result<Step> branch(const std::vector<RlpItem>& items) {
    if (rest_.empty()) return found(items.back());
    const RlpItem& child = items[rest_[0]];
    rest_ = rest_.subspan(1);
    if (!child.is_list && child.payload.empty()) return absent();
    return follow(child);
  }

  Result<Step> path(const std::vector<RlpItem>& items) {
    TRY(const HexPrefix prefix, hex_prefix(items[0]));
    if (prefix.leaf) return base::equal(prefix.nibbles, rest_) ? found(items[1]) : Result<Step>{absent()};
    if (prefix.nibbles.empty()) return false_proof("an extension of nothing");
    if (rest_.size() < prefix.nibbles.size()) return absent();
    if (!base::equal(prefix.nibbles, rest_.first(prefix.nibbles.size()))) return absent();
    rest_ = rest_.subspan(prefix.nibbles.size());
    return follow(items[1]);
  }

  /// A child stands in its parent when it is shorter than a hash, else by its hash.
  Result<Step> follow(const RlpItem& child) {
    Step step;
    if (child.is_list) {
      if (child.encoded.size() >= kHash) return false_proof("a node inside another that is too long for it");
      step.next = child;
      return step;
    }
    TRY(const ByteView hash, rlp_fixed(child, kHash, "child"));
    std::ranges::copy(hash, next_hash_.begin());
    TRY(step.next, hashed_node());
    return step;
  }

  static Result<Step> found(const RlpItem& item) {
    if (item.is_list) return false_proof("a list in a value's place");
    if (item.payload.empty()) return absent();
    return Step{.ended = true, .value = base::to_bytes(item.payload), .next = {}};
  }

  std::span<const Bytes> proof_;
  std::size_t used_ = 0;
  Bytes path_;
  ByteView rest_;
  Digest32 next_hash_{};
};

/// The header's fields in their order, as blocks show them, with the fork that brought them.
struct Field {
  std::string_view name;
  bool number;
};
constexpr auto kHeaderFields = std::to_array<Field>({
    {"parentHash", false},
    {"sha3Uncles", false},
    {"miner", false},
    {"stateRoot", false},
    {"transactionsRoot", false},
    {"receiptsRoot", false},
    {"logsBloom", false},
    {"difficulty", true},
    {"number", true},
    {"gasLimit", true},
    {"gasUsed", true},
    {"timestamp", true},
    {"extraData", false},
    {"mixHash", false},
    {"nonce", false},
    {"baseFeePerGas", true},           // London
    {"withdrawalsRoot", false},        // Shanghai
    {"blobGasUsed", true},             // Cancun
    {"excessBlobGas", true},           // Cancun
    {"parentBeaconBlockRoot", false},  // Cancun
    {"requestsHash", false},           // Prague
});

Result<std::vector<Bytes>> nodes_of(const JsonValue& value, std::string_view field) {
  if (!value.is_array()) return false_proof(std::string{field} + " is no array");
  if (value.size() > kMaxNodes) return false_proof(std::string{field} + " has too many nodes");
  std::vector<Bytes> nodes;
  for (auto item = value.first(); item; item = item->next()) {
    TRY(auto node, parse_data(*item, field));
    nodes.push_back(std::move(node));
  }
  return nodes;
}

}  // namespace

Result<Header> parse_header(ByteView rlp) {
  TRY(const RlpItem whole, rlp_decode(rlp), "header");
  TRY(const auto items, rlp_items(whole, kMaxHeaderFields), "header");
  if (items.size() < kMinHeaderFields) return Error{Code::malformed, "header: too few fields"};
  for (const RlpItem& item : items) {
    if (item.is_list) return Error{Code::malformed, "header: a list in a field's place"};
  }
  Header out;
  TRY(const ByteView parent, rlp_fixed(items[0], kHash, "parentHash"));
  TRY(const ByteView state_root, rlp_fixed(items[3], kHash, "stateRoot"));
  TRY(out.number, rlp_u64(items[8], "number"));
  TRY(const std::uint64_t time, rlp_u64(items[11], "timestamp"));
  if (time > static_cast<std::uint64_t>(base::from_civil(9999, 12, 31, 23, 59, 59).seconds)) {
    return Error{Code::malformed, "header: a time after the year 9999"};
  }
  std::ranges::copy(parent, out.parent.begin());
  std::ranges::copy(state_root, out.state_root.begin());
  out.time.seconds = static_cast<std::int64_t>(time);
  out.hash = curves::keccak256(rlp);
  return out;
}

Result<Header> trusted_header(const Digest32& trusted, ByteView rlp) {
  TRY(const Header header, parse_header(rlp));
  if (header.hash != trusted) return Error{Code::malformed, "header: not the one with the trusted hash"};
  return header;
}

Result<Bytes> header_rlp(const JsonValue& block) {
  std::vector<Bytes> items;
  for (const Field& field : kHeaderFields) {
    const auto value = block.find(field.name);
    if (!value || value->is_null()) {
      if (items.size() < kMinHeaderFields) return block.get(field.name).error();
      break;  // a fork that this chain has not had; were it a later one that is missing, the hash would not fit
    }
    if (field.number) {
      TRY(const Word word, parse_quantity_word(*value, field.name));
      items.push_back(rlp_integer(word));
    } else {
      TRY(const Bytes bytes, parse_data(*value, field.name));
      items.push_back(rlp_bytes(bytes));
    }
  }
  return rlp_list(items);
}

Result<std::optional<Bytes>> verify_trie(const Digest32& root, ByteView key, std::span<const Bytes> proof) {
  if (proof.size() > kMaxNodes) return false_proof("too many nodes");
  if (root == empty_root()) {
    const bool shown = proof.empty() || (proof.size() == 1 && base::equal(proof[0], rlp_bytes({})));
    if (!shown) return false_proof("nodes in an empty trie");
    return std::optional<Bytes>{};
  }
  return Walk{root, key, proof}.run();
}

Result<std::optional<Account>> verify_account(const Digest32& state_root, const Address& address,
                                              std::span<const Bytes> proof) {
  TRY(const auto value, verify_trie(state_root, curves::keccak256(address), proof), "account");
  if (!value) return std::optional<Account>{};
  TRY(const RlpItem whole, rlp_decode(*value), "account");
  TRY(const auto items, rlp_items(whole, 4), "account");
  if (items.size() != 4) return false_proof("an account without its four fields");
  Account out;
  TRY(out.nonce, rlp_u64(items[0], "nonce"));
  TRY(out.balance, rlp_word(items[1], "balance"));
  TRY(const ByteView storage, rlp_fixed(items[2], kHash, "storageRoot"));
  TRY(const ByteView code, rlp_fixed(items[3], kHash, "codeHash"));
  std::ranges::copy(storage, out.storage_root.begin());
  std::ranges::copy(code, out.code_hash.begin());
  return std::optional<Account>{out};
}

Result<Word> verify_storage(const Digest32& storage_root, const Word& slot, std::span<const Bytes> proof) {
  TRY(const auto value, verify_trie(storage_root, curves::keccak256(slot), proof), "storage");
  if (!value) return Word{};
  TRY(const RlpItem item, rlp_decode(*value), "storage");
  TRY(const Word word, rlp_word(item, "storage"));
  return word;  // a zero that is stored says what an absent one says: anvil keeps slots that were set back
}

namespace {

Word mapped(ByteView key, const Word& slot) {
  Bytes both{key.begin(), key.end()};
  base::append(both, slot);
  return curves::keccak256(both);
}

}  // namespace

Word mapping_slot(const Word& key, const Word& slot) { return mapped(key, slot); }
Word mapping_slot(std::string_view key, const Word& slot) { return mapped(base::as_bytes(key), slot); }

Word slot_at(std::uint64_t number) {
  Word out{};
  for (std::size_t i = 0; i < sizeof number; ++i) {
    out[out.size() - 1 - i] = static_cast<std::uint8_t>(number >> (8 * i));
  }
  return out;
}

namespace {

Result<ProvedStorage> check_proof(const JsonValue& proof, const Header& header, const Address& contract,
                                  std::span<const Word> slots) {
  TRY(const JsonValue account_proof, proof.get("accountProof"));
  TRY(const auto account_nodes, nodes_of(account_proof, "accountProof"));
  TRY(const auto account, verify_account(header.state_root, contract, account_nodes));
  TRY(const JsonValue storage, proof.get("storageProof"));
  if (storage.size() != slots.size()) return false_proof("another number of slots than was asked");
  ProvedStorage out;
  if (account) out.code_hash = account->code_hash;
  for (auto item = storage.first(); item; item = item->next()) {
    if (!account) {
      out.words.emplace_back();
      continue;
    }
    TRY(const JsonValue path, item->get("proof"));
    TRY(const auto nodes, nodes_of(path, "storageProof"));
    TRY(const Word word, verify_storage(account->storage_root, slots[out.words.size()], nodes));
    out.words.push_back(word);
  }
  return out;
}

}  // namespace

Result<ProvedStorage> proved_storage(Endpoint& endpoint, const BlockRef& at, const Address& contract,
                                     std::span<const Word> slots, base::Deadline deadline) {
  base::JsonOutArray keys;
  for (const Word& slot : slots) keys.emplace_back(hex_data(slot));
  const std::array<RpcRequest, 2> requests{
      RpcRequest{"eth_getBlockByHash", {hex_data(at.hash), false}},
      RpcRequest{"eth_getProof", {hex_data(contract), std::move(keys), quantity(at.number)}}};
  TRY(const RpcAnswers answers, endpoint.batch(requests, deadline));
  for (const RpcAnswer& answer : answers.answers) {
    if (answer.error || !answer.result->is_object()) {
      return Error{.code = Code::unavailable,
                   .what = endpoint.name() + " gives no proof at this block",
                   .found = answer.error ? answer.error->message : "null"};
    }
  }
  TRY(const Bytes rlp, header_rlp(*answers.answers[0].result), endpoint.name());
  TRY(const Header header, trusted_header(at.hash, rlp), endpoint.name());
  TRY(auto proved, check_proof(*answers.answers[1].result, header, contract, slots), endpoint.name());
  return proved;
}

}  // namespace attestry::chain
