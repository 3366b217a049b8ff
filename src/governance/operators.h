// Operators of a tenant: whose signatures on an approval count, by an Ed25519 key or by the account of an EVM wallet
// (docs/formats/approvals.md), and accounts that may only start workloads.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/dsse.h"
#include "curves/address.h"
#include "curves/secp256k1.h"
#include "state/keys.h"
#include "state/store.h"

namespace attestry::governance {

/// What an operator may do. One or the other: who may start a workload has no say in what it must be, so that the key
/// of a deployment, which lies about on machines, approves nothing.
///
/// `both` is only what accounts have that were added before there were rights: their signature was asked for at each
/// start, and an upgrade must not let workloads start without one. Whoever sets a right anew chooses one of the two.
enum class OperatorRight : std::uint8_t { approve = 0, start = 1, both = 2 };
constexpr bool approves(OperatorRight right) noexcept { return right != OperatorRight::start; }
constexpr bool starts(OperatorRight right) noexcept { return right != OperatorRight::approve; }
/// "approve", "start", "both".
std::string_view to_text(OperatorRight right) noexcept;
/// The first two.
std::optional<OperatorRight> operator_right_from(std::string_view word) noexcept;

/// Has a public key or an address, never both: one operator is one voice.
struct Operator {
  std::optional<base::FixedBytes<32>> public_key{};  ///< Ed25519
  std::optional<curves::Address> address{};          ///< of an EVM account, which signs as EIP-712 says
  std::string name;
  base::UtcTime since;
  OperatorRight right = OperatorRight::approve;  ///< another only with an address

  /// 32 or 20 bytes: what the operator is known by. Of this object.
  base::ByteView id() const noexcept;
  /// The same as people and routes write it: 64 hex digits, or 0x and 40.
  std::string text() const;
};

/// The reverse of text(), without a name: 40 digits only with their 0x, in any case.
base::Result<Operator> operator_of(std::string_view text);

/// Those of the tenant now.
base::Result<std::vector<Operator>> read_operators(const state::ReadView& view, const base::Tenant& tenant);
/// One as it is stored, and where.
base::Bytes encode_operator(const Operator& who);
state::Key operator_key(const base::Tenant& tenant, base::ByteView id);

/// Accounts whose 65-byte signature (r ‖ s ‖ v, v in {0, 1, 27, 28}) over curves::eip712_document_digest() the envelope
/// has, each once. What it says of its signers (`keyid`) is not looked at.
std::vector<curves::Address> wallet_signers(const crypto::Envelope& envelope);
/// Ids of those of `known` who may approve and signed the envelope, each once.
std::vector<base::Bytes> signers_of(const crypto::Envelope& envelope, const std::vector<Operator>& known);
/// Adds a signature as a wallet makes it, with v as wallets write it.
base::Status sign_as_wallet(crypto::Envelope& envelope, const curves::Secp256k1PrivateKey& key);

}  // namespace attestry::governance
