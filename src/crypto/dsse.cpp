#include "crypto/dsse.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/hash.h"

namespace attestry::crypto {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMaxSignatures = 64;
constexpr std::size_t kSignatureBytes = 64;  // RFC 8032 section 5.1.6
constexpr std::size_t kWalletBytes = 65;     // r ‖ s ‖ v of an EVM account: never counted here, but kept

Result<std::string> text_member(const base::JsonValue& object, std::string_view key) {
  TRY(const auto value, object.get(key));
  return value.string(key);
}

}  // namespace

Result<Envelope> Envelope::parse(std::string_view json, std::size_t max_bytes) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{json}, {.max_bytes = max_bytes}), "envelope");
  const auto root = doc->root();
  TRY_OK(root.only({"payloadType", "payload", "signatures"}), "envelope");
  Envelope envelope;
  TRY(envelope.payload_type, text_member(root, "payloadType"), "envelope");
  TRY(const auto payload_text, text_member(root, "payload"), "envelope");
  TRY(const auto payload, base::base64_decode(payload_text), "envelope payload");
  envelope.payload = std::string{base::as_text(payload)};
  TRY(const auto list, root.get("signatures"), "envelope");
  if (!list.is_array() || list.size() == 0 || list.size() > kMaxSignatures) {
    return Error{Code::malformed, "envelope signatures", "an array of 1 to 64", {}};
  }
  for (auto item = list.first(); item; item = item->next()) {
    TRY_OK(item->only({"keyid", "sig"}), "envelope signature");
    EnvelopeSignature signature;
    if (item->find("keyid")) {
      TRY(signature.keyid, text_member(*item, "keyid"), "envelope signature");
    }
    TRY(const auto sig, text_member(*item, "sig"), "envelope signature");
    TRY(signature.signature, base::base64_decode(sig), "envelope signature");
    if (signature.signature.size() != kSignatureBytes && signature.signature.size() != kWalletBytes) {
      return Error{Code::malformed, "envelope signature", "64 bytes of Ed25519, or 65 of a wallet",
                   std::to_string(signature.signature.size()) + " bytes"};
    }
    envelope.signatures.push_back(std::move(signature));
  }
  return envelope;
}

std::string Envelope::to_json() const {
  base::JsonOutArray list;
  for (const auto& s : signatures) {
    list.emplace_back(base::JsonOutObject{{"keyid", s.keyid}, {"sig", base::base64(s.signature)}});
  }
  return base::JsonOut{base::JsonOutObject{{"payloadType", payload_type},
                                           {"payload", base::base64(base::as_bytes(payload))},
                                           {"signatures", std::move(list)}}}
      .compact();
}

base::Bytes Envelope::pre_authentication() const {
  // DSSE v1 section "PAE": lengths in decimal ASCII.
  std::string pae =
      "DSSEv1 " + std::to_string(payload_type.size()) + " " + payload_type + " " + std::to_string(payload.size()) + " ";
  pae += payload;
  return base::to_bytes(pae);
}

void Envelope::sign(const Ed25519PrivateKey& key) {
  const auto signature = key.sign(pre_authentication());
  signatures.push_back({base::hex(sha256(key.public_key())).substr(0, 16), base::to_bytes(signature)});
}

std::vector<base::FixedBytes<32>> Envelope::valid_signers(const std::vector<base::FixedBytes<32>>& keys) const {
  const auto message = pre_authentication();
  auto distinct = keys;
  std::ranges::sort(distinct);
  const auto duplicates = std::ranges::unique(distinct);
  distinct.erase(duplicates.begin(), duplicates.end());
  // Counts keys, not signatures: two signatures of one key are one voice (FORMATS 2).
  std::erase_if(distinct, [&](const auto& key) {
    return std::ranges::none_of(signatures, [&](const auto& s) { return ed25519_verify(key, message, s.signature); });
  });
  return distinct;
}

std::size_t Envelope::count_valid(const std::vector<base::FixedBytes<32>>& keys) const {
  return valid_signers(keys).size();
}

}  // namespace attestry::crypto
