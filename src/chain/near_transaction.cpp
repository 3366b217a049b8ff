#include "chain/near_transaction.h"

#include <algorithm>

#include "chain/near_borsh.h"
#include "crypto/hash.h"

namespace attestry::chain::near {
namespace {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kMaxTransaction = 4u << 20;
constexpr std::size_t kMaxActions = 100;  // the protocol's own limit
constexpr std::size_t kMaxAccount = 64;
constexpr std::size_t kMaxMethod = 256;   // the protocol's own limit
constexpr std::size_t kMaxMethods = 256;  // of a key; the protocol limits their bytes to 2000
constexpr std::uint8_t kKeyKinds = 3;     // ed25519, secp256k1, ml-dsa-65
constexpr std::uint8_t kFunctionCallPermission = 0;
constexpr std::uint8_t kFullAccess = 1;

// -- writing

std::uint8_t number_of(KeyKind kind) { return static_cast<std::uint8_t>(kind); }

void write(BorshWriter& out, const PublicKey& key) { out.u8(number_of(key.kind())).raw(key.bytes()); }

void write(BorshWriter& /*out*/, const CreateAccount& /*action*/) {}

void write(BorshWriter& out, const DeployContract& action) { out.bytes(action.code); }

void write(BorshWriter& out, const FunctionCall& action) {
  out.string(action.method).bytes(action.args).u64(action.gas).u128(action.deposit);
}

void write(BorshWriter& out, const Transfer& action) { out.u128(action.deposit); }

void write(BorshWriter& out, const Stake& action) {
  out.u128(action.stake);
  write(out, action.key);
}

void write(BorshWriter& out, const FunctionCallPermission& permission) {
  out.u8(kFunctionCallPermission).option(permission.allowance.has_value());
  if (permission.allowance) out.u128(*permission.allowance);
  out.string(permission.receiver.text()).u32(static_cast<std::uint32_t>(permission.methods.size()));
  for (const std::string& method : permission.methods) out.string(method);
}

void write(BorshWriter& out, const AddKey& action) {
  write(out, action.key);
  out.u64(action.nonce);
  if (const auto* limited = std::get_if<FunctionCallPermission>(&action.permission)) {
    write(out, *limited);
  } else {
    out.u8(kFullAccess);
  }
}

void write(BorshWriter& out, const DeleteKey& action) { write(out, action.key); }

void write(BorshWriter& out, const DeleteAccount& action) { out.string(action.beneficiary.text()); }

// -- reading

Result<AccountId> read_account(BorshReader& in, std::string_view field) {
  TRY(const std::string text, in.string(field, kMaxAccount));
  TRY(AccountId account, AccountId::parse(text), field);
  return account;
}

Result<KeyKind> read_kind(BorshReader& in, std::string_view field) {
  TRY(const std::uint8_t kind, in.variant(field, kKeyKinds));
  return static_cast<KeyKind>(kind);
}

Result<PublicKey> read_key(BorshReader& in, std::string_view field) {
  TRY(const KeyKind kind, read_kind(in, field));
  TRY(const ByteView bytes, in.raw(public_key_size(kind), field));
  return PublicKey::from_bytes(kind, bytes);
}

Result<Action> read_deploy(BorshReader& in) {
  TRY(const ByteView code, in.bytes("code", kMaxTransaction));
  return DeployContract{base::to_bytes(code)};
}

Result<Action> read_call(BorshReader& in) {
  FunctionCall out;
  TRY(out.method, in.string("method", kMaxMethod));
  TRY(const ByteView args, in.bytes("args", kMaxTransaction));
  out.args = base::to_bytes(args);
  TRY(out.gas, in.u64("gas"));
  TRY(out.deposit, in.u128("deposit"));
  return out;
}

Result<Action> read_transfer(BorshReader& in) {
  TRY(const U128 deposit, in.u128("deposit"));
  return Transfer{deposit};
}

Result<Action> read_stake(BorshReader& in) {
  TRY(const U128 stake, in.u128("stake"));
  TRY(PublicKey key, read_key(in, "key of the stake"));
  return Stake{stake, std::move(key)};
}

Result<FunctionCallPermission> read_permission(BorshReader& in) {
  std::optional<U128> allowance;
  TRY(const bool limited, in.option("allowance"));
  if (limited) {
    TRY(allowance, in.u128("allowance"));
  }
  TRY(AccountId receiver, read_account(in, "receiver of the key"));
  TRY(const std::size_t count, in.length("methods", kMaxMethods));
  std::vector<std::string> methods;
  for (std::size_t i = 0; i < count; ++i) {
    TRY(methods.emplace_back(), in.string("method", kMaxMethod));
  }
  return FunctionCallPermission{allowance, std::move(receiver), std::move(methods)};
}

Result<Action> read_add_key(BorshReader& in) {
  TRY(PublicKey key, read_key(in, "new key"));
  TRY(const std::uint64_t nonce, in.u64("nonce of the key"));
  TRY(const std::uint8_t kind, in.variant("permission", kFullAccess + 1));
  if (kind == kFullAccess) return AddKey{std::move(key), nonce, FullAccess{}};
  TRY(FunctionCallPermission permission, read_permission(in));
  return AddKey{std::move(key), nonce, std::move(permission)};
}

Result<Action> read_delete_key(BorshReader& in) {
  TRY(PublicKey key, read_key(in, "key"));
  return DeleteKey{std::move(key)};
}

Result<Action> read_delete_account(BorshReader& in) {
  TRY(AccountId beneficiary, read_account(in, "beneficiary"));
  return DeleteAccount{std::move(beneficiary)};
}

Result<Action> read_action(BorshReader& in) {
  TRY(const std::uint8_t kind, in.variant("action", std::variant_size_v<Action>));
  switch (kind) {
    case 0:
      return CreateAccount{};
    case 1:
      return read_deploy(in);
    case 2:
      return read_call(in);
    case 3:
      return read_transfer(in);
    case 4:
      return read_stake(in);
    case 5:
      return read_add_key(in);
    case 6:
      return read_delete_key(in);
    case 7:
      return read_delete_account(in);
    default:
      break;  // variant() allows no other
  }
  return Error{Code::internal, "transaction: an action without a reader"};
}

Result<Transaction> read_transaction(BorshReader& in) {
  TRY(AccountId signer, read_account(in, "signer"));
  TRY(PublicKey key, read_key(in, "signer's key"));
  TRY(const std::uint64_t nonce, in.u64("nonce"));
  TRY(AccountId receiver, read_account(in, "receiver"));
  TRY(const ByteView block, in.raw(32, "block hash"));
  Transaction out{std::move(signer), std::move(key), nonce, std::move(receiver), {}, {}};
  std::ranges::copy(block, out.block_hash.begin());
  TRY(const std::size_t count, in.length("actions", kMaxActions));
  for (std::size_t i = 0; i < count; ++i) {
    TRY(Action action, read_action(in));
    out.actions.push_back(std::move(action));
  }
  return out;
}

base::Status check_size(ByteView raw) {
  if (raw.size() <= kMaxTransaction) return base::done();
  return Error{Code::malformed, "transaction: too long", "at most " + std::to_string(kMaxTransaction) + " bytes",
               std::to_string(raw.size())};
}

}  // namespace

Result<Bytes> encode(const Transaction& transaction) {
  if (transaction.actions.size() > kMaxActions) {
    return Error{Code::usage, "transaction: too many actions", "at most " + std::to_string(kMaxActions),
                 std::to_string(transaction.actions.size())};
  }
  BorshWriter out;
  out.string(transaction.signer.text());
  write(out, transaction.key);
  out.u64(transaction.nonce).string(transaction.receiver.text()).raw(transaction.block_hash);
  out.u32(static_cast<std::uint32_t>(transaction.actions.size()));
  for (const Action& action : transaction.actions) {
    out.u8(static_cast<std::uint8_t>(action.index()));
    std::visit([&](const auto& one) { write(out, one); }, action);
  }
  return std::move(out).take();
}

Result<SignedTransaction> sign(const Transaction& transaction, const SecretKey& key) {
  if (transaction.key != key.public_key()) {
    return Error{Code::usage, "transaction: it names another key than the one that signs", key.public_key().text(),
                 transaction.key.text()};
  }
  SignedTransaction out;
  TRY(out.raw, encode(transaction));
  out.hash = crypto::sha256(out.raw);
  BorshWriter signature;
  const Signature signed_hash = key.sign(out.hash);
  signature.u8(number_of(signed_hash.kind())).raw(signed_hash.bytes());
  base::append(out.raw, std::move(signature).take());
  return out;
}

Result<Transaction> decode_transaction(ByteView raw) {
  TRY_OK(check_size(raw));
  BorshReader in{raw};
  TRY(Transaction out, read_transaction(in), "transaction");
  TRY_OK(in.finish("transaction"));
  return out;
}

Result<DecodedTransaction> decode_signed_transaction(ByteView raw) {
  TRY_OK(check_size(raw));
  BorshReader in{raw};
  TRY(Transaction transaction, read_transaction(in), "transaction");
  const base::Digest32 hash = crypto::sha256(raw.first(raw.size() - in.remaining()));
  TRY(const KeyKind kind, read_kind(in, "signature"));
  TRY(const ByteView bytes, in.raw(signature_size(kind), "signature"));
  TRY_OK(in.finish("transaction"));
  TRY(Signature signature, Signature::from_bytes(kind, bytes));
  return DecodedTransaction{std::move(transaction), hash, std::move(signature)};
}

}  // namespace attestry::chain::near
