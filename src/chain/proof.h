// eth_getProof against a header that is trusted by its hash: accounts and storage as Merkle Patricia proofs (EIP-1186).
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "chain/json_rpc.h"
#include "chain/prover.h"
#include "chain/rpc.h"

namespace attestry::chain {

struct Header {
  base::Digest32 hash{};  ///< Keccak-256 of the RLP
  base::Digest32 parent{};
  base::Digest32 state_root{};
  std::uint64_t number = 0;
  base::UtcTime time{};
};
/// Fields up to the time are read, the rest must be canonical RLP of at most 40 fields: forks append new ones.
base::Result<Header> parse_header(base::ByteView rlp);
/// The same, refused unless it hashes to `trusted`.
base::Result<Header> trusted_header(const base::Digest32& trusted, base::ByteView rlp);
/// The RLP of a block as eth_getBlockByHash shows it (fields of every fork up to Osaka). Compare the hash.
base::Result<base::Bytes> header_rlp(const base::JsonValue& block);

struct Account {
  std::uint64_t nonce = 0;
  Word balance{};
  base::Digest32 storage_root{};
  base::Digest32 code_hash{};
};

/// The value under `key` (hashed already, as in every trie of the state), or nothing when the proof shows that it is
/// absent. `proof` is the path of nodes
/// from the root; a node too many, one that is not hashed by its parent, or a spelling that is not canonical is an
/// error of code `malformed`.
base::Result<std::optional<base::Bytes>> verify_trie(const base::Digest32& root, base::ByteView key,
                                                     std::span<const base::Bytes> proof);
/// Nothing: the account does not exist, and that is proved.
base::Result<std::optional<Account>> verify_account(const base::Digest32& state_root, const Address& address,
                                                    std::span<const base::Bytes> proof);
/// Zero when absent.
base::Result<Word> verify_storage(const base::Digest32& storage_root, const Word& slot,
                                  std::span<const base::Bytes> proof);

/// Where Solidity keeps mapping[key] when the mapping itself stands in `slot`.
Word mapping_slot(const Word& key, const Word& slot);

/// The same for a mapping whose keys are texts.
Word mapping_slot(std::string_view key, const Word& slot);
/// The slot of that number.
Word slot_at(std::uint64_t number);

/// Asks one endpoint, which need not be trusted: what it says is proved against the block's hash. Errors: `unavailable`
/// (away, or does not offer proofs), `malformed` (a false proof).
base::Result<ProvedStorage> proved_storage(Endpoint& endpoint, const BlockRef& at, const Address& contract,
                                           std::span<const Word> slots, base::Deadline deadline);

}  // namespace attestry::chain
