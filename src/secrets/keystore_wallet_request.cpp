#include "secrets/keystore_wallet_request.h"

#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "base/json_writer.h"
#include "base/utf8.h"

namespace attestry::secrets::keystore {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;
using chain::near::AccountId;

namespace {

constexpr std::size_t kMostId = 128;
constexpr std::size_t kMostReply = 1u << 20;

Result<std::string> text_member(const JsonValue& from, std::string_view name) {
  TRY(const JsonValue value, from.get(name));
  return value.string(name);
}

Result<WalletVote> read_vote(const JsonValue& value, bool approve) {
  TRY(std::string approver, text_member(value, "approver"));
  TRY(const std::string key, text_member(value, "public_key"));
  TRY(auto public_key, chain::near::PublicKey::parse(key), "public_key");
  TRY(const std::string nonce_text, text_member(value, "nonce"));
  TRY(const auto nonce, base::base64_decode(nonce_text), "nonce");
  TRY(const std::string text, text_member(value, "signature"));
  TRY(const auto bytes, base::base64_decode(text), "signature");
  TRY(auto signature, chain::near::Signature::from_bytes(chain::near::KeyKind::ed25519, bytes), "signature");
  WalletVote out{.approver = std::move(approver),
                 .approve = approve,
                 .key = std::move(public_key),
                 .nonce = {},
                 .signature = std::move(signature)};
  if (nonce.size() != out.nonce.size()) {
    return Error{Code::malformed, "nonce", "base64 of 32 bytes", std::to_string(nonce.size()) + " bytes"};
  }
  std::ranges::copy(nonce, out.nonce.begin());
  return out;
}

base::Status read_votes(const JsonValue& from, std::string_view name, bool approve, std::vector<WalletVote>& out) {
  const auto list = from.find(name);
  if (!list || list->is_null()) return base::done();
  if (!list->is_array() || list->size() > kMaxVotes)
    return Error{Code::malformed, std::string{name}, "an array of at most 16 votes"};
  for (auto one = list->first(); one; one = one->next()) {
    TRY(auto vote, read_vote(*one, approve), name);
    out.push_back(std::move(vote));
  }
  return base::done();
}

Result<std::optional<WalletPolicyRecord>> read_record(const JsonValue& root) {
  if (root.is_null()) return std::optional<WalletPolicyRecord>{};
  WalletPolicyRecord out;
  TRY(const std::string encrypted, text_member(root, "encrypted_data"));
  TRY(out.encrypted, base::base64_decode(encrypted), "encrypted_data");
  if (const auto owner = root.find("owner"); owner && !owner->is_null()) {
    TRY(const std::string name, owner->string("owner"));
    TRY(out.owner, AccountId::parse(name), "owner");
  }
  if (const auto frozen = root.find("frozen"); frozen && !frozen->is_null()) {
    TRY(out.frozen, frozen->boolean("frozen"));
  }
  return std::optional{std::move(out)};
}

void write_compact(const JsonValue& value, std::string& out) {
  const bool object = value.is_object();
  if (!object && !value.is_array()) {
    out += value.source();
    return;
  }
  out += object ? '{' : '[';
  bool first = true;
  for (auto one = value.first(); one; one = one->next()) {
    if (!std::exchange(first, false)) out += ',';
    if (object) {
      base::append_json_string(out, one->key());
      out += ':';
    }
    write_compact(*one, out);
  }
  out += object ? '}' : ']';
}

}  // namespace

Result<WalletVotes> parse_wallet_votes(const JsonValue& value) {
  WalletVotes out;
  TRY(out.id, text_member(value, "id"), "approval_info");
  if (out.id.empty() || out.id.size() > kMostId || out.id.contains(':')) {
    return Error{Code::malformed, "approval_info.id", "1 to 128 bytes without ':'",
                 std::string{base::utf8_prefix(out.id, 80)}};
  }
  TRY_OK(read_votes(value, "approvals", true, out.votes), "approval_info");
  TRY_OK(read_votes(value, "rejections", false, out.votes), "approval_info");
  return out;
}

Result<std::optional<WalletPolicyRecord>> parse_wallet_policy_record(std::string reply) {
  const auto document = base::JsonDocument::parse(std::move(reply), {.max_bytes = kMostReply});
  auto out = document ? read_record((*document)->root()) : Result<std::optional<WalletPolicyRecord>>{document.error()};
  if (out) return out;
  return Error{Code::unavailable, "the contract's answer about a wallet's policy: " + out.error().text(),
               "{owner, encrypted_data, frozen} or null"};
}

std::string compact_json(const JsonValue& value) {
  std::string out;
  write_compact(value, out);
  return out;
}

bool is_intents_contract(std::string_view recipient) noexcept {
  return recipient == "intents.near" || recipient == "intents.far";
}

Result<std::string> intent_message(const WalletOp& op, std::string_view signer, base::UtcTime deadline) {
  constexpr std::string_view kFungible = "nep141:";
  if (!op.to || !op.amount || !op.token) return Error{Code::malformed, "op", "to, amount and token"};
  TRY(const AccountId to, AccountId::parse(*op.to), "op.to");
  if (!op.token->starts_with(kFungible)) {
    return Error{Code::malformed, "op.token", "nep141: and a contract", std::string{base::utf8_prefix(*op.token, 80)}};
  }
  TRY(const AccountId token, AccountId::parse(std::string_view{*op.token}.substr(kFungible.size())), "op.token");
  JsonOutObject intent;
  if (op.kind == "withdraw") {
    intent = {
        {"intent", "ft_withdraw"}, {"token", token.text()}, {"receiver_id", to.text()}, {"amount", op.amount->text()}};
  } else {
    intent = {
        {"intent", "transfer"}, {"receiver_id", to.text()}, {"tokens", JsonOutObject{{*op.token, op.amount->text()}}}};
  }
  return JsonOut{JsonOutObject{{"signer_id", signer},
                               {"deadline", base::to_rfc3339(deadline)},
                               {"intents", JsonOutArray{std::move(intent)}}}}
      .compact();
}

}  // namespace attestry::secrets::keystore
