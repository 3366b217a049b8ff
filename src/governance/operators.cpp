#include "governance/operators.h"

#include <algorithm>

#include "base/encoding.h"
#include "curves/eip712.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::size_t kMaxOperators = 256;
constexpr std::uint8_t kRecordVersion = 2;
constexpr std::uint8_t kWithoutRight = 1;  ///< records of before, when all approved and every account could start
constexpr std::size_t kWalletSignature = 65;
/// Wallets count v from here (EIP-155 before chain ids), the library from zero.
constexpr std::uint8_t kWalletV = 27;

Status set_id(Operator& who, base::ByteView id) {
  if (id.size() == 32) {
    std::ranges::copy(id, who.public_key.emplace().begin());
  } else if (id.size() == 20) {
    std::ranges::copy(id, who.address.emplace().begin());
  } else {
    return Error{Code::corrupt, "operator's key", "32 or 20 bytes", std::to_string(id.size()) + " bytes"};
  }
  return base::done();
}

Result<Operator> decode(base::ByteView key, base::ByteView value) {
  base::Reader name{key};
  TRY(const auto id, name.lp("operator", 32));
  const bool old = !value.empty() && value.front() == kWithoutRight;
  TRY(auto in, state::open_value(value, old ? kWithoutRight : kRecordVersion, "operator"));
  TRY(const auto text, in.lp("name", 256));
  TRY(const auto since, in.u64be("since"));
  TRY(const auto right, old ? Result<std::uint8_t>(std::uint8_t{0}) : in.u8("right"));
  TRY_OK(in.finish("operator"));
  if (right > static_cast<std::uint8_t>(OperatorRight::start)) return Error{Code::corrupt, "operator's right"};
  Operator who{.name = std::string{base::as_text(text)},
               .since = {static_cast<std::int64_t>(since)},
               .right = static_cast<OperatorRight>(right)};
  TRY_OK(set_id(who, id));
  if (old && who.address) who.right = OperatorRight::both;
  return who;
}

curves::Address address_of(const curves::Secp256k1PrivateKey& key) {
  return curves::ethereum_address(key.public_key_raw());
}

}  // namespace

std::string_view to_text(OperatorRight right) noexcept {
  switch (right) {
    case OperatorRight::start:
      return "start";
    case OperatorRight::both:
      return "both";
    case OperatorRight::approve:
      break;
  }
  return "approve";
}

std::optional<OperatorRight> operator_right_from(std::string_view word) noexcept {
  for (const auto right : {OperatorRight::approve, OperatorRight::start}) {
    if (to_text(right) == word) return right;
  }
  return std::nullopt;
}

base::ByteView Operator::id() const noexcept {
  if (public_key) return *public_key;
  return address ? base::ByteView{*address} : base::ByteView{};
}

std::string Operator::text() const { return (address ? "0x" : "") + base::hex(id()); }

Result<Operator> operator_of(std::string_view text) {
  Operator who{.name = {}, .since = {}};
  if (!text.starts_with("0x") && !text.starts_with("0X")) {
    TRY_OK(base::hex_decode_into(text, who.public_key.emplace()), "operator's public key (hex of 32 bytes)");
    return who;
  }
  // Wallets write addresses with capitals as a checksum (EIP-55); here they are digits.
  std::string digits{text.substr(2)};
  for (char& c : digits) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  }
  TRY_OK(base::hex_decode_into(digits, who.address.emplace()), "operator's address (0x and hex of 20 bytes)");
  return who;
}

Result<std::vector<Operator>> read_operators(const state::ReadView& view, const base::Tenant& tenant) {
  const Key prefix{Space::operators, tenant};
  std::vector<Operator> found;
  std::optional<Error> broken;
  TRY_OK(view.scan(prefix, {}, kMaxOperators, [&](base::ByteView key, base::ByteView value) {
    auto one = decode(key.subspan(prefix.bytes().size()), value);
    if (!one) {
      broken = one.error();
      return false;
    }
    found.push_back(*std::move(one));
    return true;
  }));
  if (broken) return *broken;
  return found;
}

base::Bytes encode_operator(const Operator& who) {
  auto record = state::value(kRecordVersion);
  record.lp(who.name).u64(static_cast<std::uint64_t>(who.since.seconds)).u8(static_cast<std::uint8_t>(who.right));
  return record.bytes();
}

Key operator_key(const base::Tenant& tenant, base::ByteView id) { return Key(Space::operators, tenant).lp(id); }

std::vector<curves::Address> wallet_signers(const crypto::Envelope& envelope) {
  const auto digest = curves::eip712_document_digest(envelope.payload_type, envelope.payload);
  std::vector<curves::Address> out;
  for (const auto& one : envelope.signatures) {
    if (one.signature.size() != kWalletSignature) continue;
    base::Bytes signature = one.signature;
    if (signature.back() >= kWalletV) signature.back() = static_cast<std::uint8_t>(signature.back() - kWalletV);
    const auto key = curves::secp256k1_recover(digest, signature);
    if (!key) continue;
    const auto address = curves::ethereum_address(*key);
    if (std::ranges::find(out, address) == out.end()) out.push_back(address);
  }
  return out;
}

std::vector<base::Bytes> signers_of(const crypto::Envelope& envelope, const std::vector<Operator>& known) {
  std::vector<base::FixedBytes<32>> keys;
  for (const auto& who : known) {
    if (who.public_key && approves(who.right)) keys.push_back(*who.public_key);
  }
  std::vector<base::Bytes> out;
  for (const auto& key : envelope.valid_signers(keys)) out.push_back(base::to_bytes(key));
  for (const auto& address : wallet_signers(envelope)) {
    const bool counts =
        std::ranges::any_of(known, [&](const Operator& who) { return approves(who.right) && who.address == address; });
    if (counts) out.push_back(base::to_bytes(address));
  }
  return out;
}

Status sign_as_wallet(crypto::Envelope& envelope, const curves::Secp256k1PrivateKey& key) {
  TRY(auto signature, key.sign_recoverable(curves::eip712_document_digest(envelope.payload_type, envelope.payload)));
  signature.back() = static_cast<std::uint8_t>(signature.back() + kWalletV);
  envelope.signatures.push_back({"0x" + base::hex(address_of(key)), base::to_bytes(signature)});
  return base::done();
}

}  // namespace attestry::governance
