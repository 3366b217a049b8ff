#include "curves/eip712.h"

#include "curves/keccak.h"

namespace attestry::curves {

Eip712Struct::Eip712Struct(std::string_view encode_type) { bytes32(keccak256(base::as_bytes(encode_type))); }

Eip712Struct& Eip712Struct::uint64(std::uint64_t value) {
  encoded_.insert(encoded_.end(), 24, 0);
  for (unsigned i = 8; i-- > 0;) encoded_.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  return *this;
}

Eip712Struct& Eip712Struct::boolean(bool value) { return uint64(value ? 1 : 0); }

Eip712Struct& Eip712Struct::address(const Address& value) {
  encoded_.insert(encoded_.end(), 12, 0);
  base::append(encoded_, value);
  return *this;
}

Eip712Struct& Eip712Struct::bytes32(const base::Digest32& value) {
  base::append(encoded_, value);
  return *this;
}

Eip712Struct& Eip712Struct::bytes(base::ByteView value) { return bytes32(keccak256(value)); }

Eip712Struct& Eip712Struct::string(std::string_view value) { return bytes(base::as_bytes(value)); }

base::Digest32 Eip712Struct::hash() const { return keccak256(encoded_); }

base::Digest32 eip712_domain_separator(const Eip712Domain& domain) {
  std::string type = "EIP712Domain(string name,string version";
  if (domain.chain_id) type += ",uint256 chainId";
  if (domain.verifying_contract) type += ",address verifyingContract";
  Eip712Struct of(type + ")");
  of.string(domain.name).string(domain.version);
  if (domain.chain_id) of.uint64(*domain.chain_id);
  if (domain.verifying_contract) of.address(*domain.verifying_contract);
  return of.hash();
}

base::Digest32 eip712_digest(const base::Digest32& domain_separator, const base::Digest32& struct_hash) {
  base::Bytes message{0x19, 0x01};
  base::append(message, domain_separator);
  base::append(message, struct_hash);
  return keccak256(message);
}

base::Digest32 eip712_document_digest(std::string_view payload_type, std::string_view payload) {
  const base::Digest32 domain = eip712_domain_separator({.name = "attestry", .version = "1"});
  Eip712Struct document("Document(string payloadType,string payload)");
  document.string(payload_type).string(payload);
  return eip712_digest(domain, document.hash());
}

}  // namespace attestry::curves
