// What a wallet signs for EVM chains: typed data (EIP-712, version 4 as wallets call it), messages (EIP-191) and
// transactions (EIP-1559). Pure, thread-safe.
#pragma once
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"
#include "chain/transaction.h"
#include "curves/secp256k1.h"

namespace attestry::secrets::keystore {

/// keccak256(1901 ‖ domain ‖ message) of {types, primaryType, domain, message}. Strict: every member of a struct is
/// there and no other, numbers are in range, at most 64 types, 16 structs and arrays within each other and 64 KiB.
/// Numbers are JSON integers, decimal or 0x strings; an absent struct (null) is 32 zero bytes. Error `malformed`.
base::Result<base::Digest32> typed_data_digest(const base::JsonValue& typed_data);

/// The digest of "\x19Ethereum Signed Message:\n" ‖ size ‖ message. `encoding` utf8 (the text itself) or hex (bytes, 0x
/// in front or not). Error `malformed`.
base::Result<base::Digest32> evm_message_digest(std::string_view message, std::string_view encoding);

/// r ‖ s ‖ v, v 27 or 28, low s, as 0x and 130 digits.
base::Result<std::string> evm_signature(const curves::Secp256k1PrivateKey& key, const base::Digest32& digest);

/// {chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gas, to, value, data}: numbers as in typed data; `to` absent or
/// null creates a contract, `value` is 0 and `data` empty when absent; `gasLimit` is another name of `gas`, `type` may
/// be 2 or "0x2". Other members are refused: what is signed is what was asked for. Error `malformed`.
base::Result<chain::Transaction> parse_evm_transaction(const base::JsonValue& transaction);

}  // namespace attestry::secrets::keystore
