// Typed data as EVM wallets sign it (EIP-712).
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "curves/address.h"

namespace attestry::curves {

/// Absent fields are left out of EIP712Domain, as the EIP says.
struct Eip712Domain {
  std::string name;
  std::string version;
  std::optional<std::uint64_t> chain_id{};
  std::optional<Address> verifying_contract{};
};
base::Digest32 eip712_domain_separator(const Eip712Domain& domain);

/// hashStruct: the members in the order of the type. Not thread-safe.
class Eip712Struct {
 public:
  /// encodeType, for example `Mail(address from,string contents)`.
  explicit Eip712Struct(std::string_view encode_type);
  Eip712Struct& uint64(std::uint64_t value);
  Eip712Struct& boolean(bool value);
  Eip712Struct& address(const Address& value);
  Eip712Struct& bytes32(const base::Digest32& value);  ///< also hashStruct of a member that is a struct
  Eip712Struct& bytes(base::ByteView value);
  Eip712Struct& string(std::string_view value);
  base::Digest32 hash() const;

 private:
  base::Bytes encoded_;
};

/// What a wallet signs: keccak256(1901 ‖ domainSeparator ‖ hashStruct).
base::Digest32 eip712_digest(const base::Digest32& domain_separator, const base::Digest32& struct_hash);

/// The digest under which a wallet signs one of our documents as it stands, readable in the wallet's window: domain
/// {name "attestry", version "1"}, type `Document(string payloadType,string payload)`. The document itself names its
/// audience.
base::Digest32 eip712_document_digest(std::string_view payload_type, std::string_view payload);

}  // namespace attestry::curves
