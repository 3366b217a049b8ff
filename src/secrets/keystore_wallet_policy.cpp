#include "secrets/keystore_wallet_policy.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/utf8.h"

namespace attestry::secrets::keystore {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;
using chain::near::U128;

namespace {

constexpr std::size_t kMaxList = 1024;
constexpr std::size_t kMaxApprovers = 64;
constexpr std::int64_t kHour = 3600;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::uint64_t kMaxCount = 1'000'000'000;
constexpr U128 kAll{~std::uint64_t{0}, ~std::uint64_t{0}};
constexpr std::string_view kNative = "native";
constexpr std::array<std::string_view, 8> kCapabilities = {"raw_sign",      "confidential", "sign_message",
                                                           "payment_check", "swap",         "cross_chain_withdraw",
                                                           "evm_sign",      "solana_sign"};

Error wrong(std::string_view field, std::string_view expected, std::string_view found) {
  return {Code::malformed, "wallet policy: " + std::string{field}, std::string{expected},
          std::string{base::utf8_prefix(found, 80)}};
}

/// The member, when it is there and not null.
std::optional<JsonValue> present(const JsonValue& from, std::string_view name) {
  const auto value = from.find(name);
  return value && !value->is_null() ? value : std::nullopt;
}

Result<std::vector<std::string>> texts(const JsonValue& list, std::string_view field) {
  if (!list.is_array() || list.size() > kMaxList) return wrong(field, "an array of at most 1024 texts", list.source());
  std::vector<std::string> out;
  for (auto value = list.first(); value; value = value->next()) {
    TRY(std::string text, value->string(field));
    out.push_back(std::move(text));
  }
  return out;
}

Result<U128> amount(const JsonValue& value, std::string_view field) {
  const auto text = value.is_string() ? value.string(field) : Result<std::string>{std::string{value.source()}};
  auto out = U128::parse(*text);
  if (!out) return wrong(field, "a decimal number below 2^128", value.source());
  return out;
}

Result<std::optional<std::uint64_t>> count(const JsonValue& from, std::string_view field) {
  const auto value = present(from, field);
  if (!value) return std::optional<std::uint64_t>{};
  TRY(const auto number, value->integer(field, 0, static_cast<std::int64_t>(kMaxCount)));
  return std::optional{static_cast<std::uint64_t>(number)};
}

/// What a policy calls a token, as operations have it.
std::string policy_token(std::string_view text) {
  return text == "*" || text == kNative ? std::string{text} : token_name(text);
}

/// One number for every token, or one by token; the smaller one for a token that is named in both ways.
Result<TokenLimits> limits(const JsonValue& from, std::string_view field) {
  TokenLimits out;
  const auto value = present(from, field);
  if (!value) return out;
  if (!value->is_object()) {
    TRY(const U128 all, amount(*value, field));
    out.emplace("*", all);
    return out;
  }
  if (value->size() > kMaxList) return wrong(field, "at most 1024 tokens", "more");
  for (auto one = value->first(); one; one = one->next()) {
    TRY(const U128 number, amount(*one, field));
    const auto [at, is_new] = out.emplace(policy_token(one->key()), number);
    if (!is_new) at->second = std::min(at->second, number);
  }
  return out;
}

/// UTC, GMT, Z, or a fixed offset. Names of places need a database of the rules of states, which changes.
Result<std::int64_t> utc_offset(std::string_view zone) {
  if (zone == "UTC" || zone == "Etc/UTC" || zone == "GMT" || zone == "Z") return 0;
  const auto digit = [&](std::size_t at) { return zone[at] >= '0' && zone[at] <= '9' ? zone[at] - '0' : -1; };
  const bool shape = zone.size() == 6 && (zone[0] == '+' || zone[0] == '-') && zone[3] == ':' && digit(1) >= 0 &&
                     digit(2) >= 0 && digit(4) >= 0 && digit(5) >= 0;
  if (shape) {
    const std::int64_t hours = digit(1) * 10 + digit(2);
    const std::int64_t minutes = digit(4) * 10 + digit(5);
    if (hours <= 14 && minutes < 60) return (zone[0] == '-' ? -1 : 1) * (hours * kHour + minutes * 60);
  }
  return wrong("timezone", "UTC or an offset such as +02:00", zone);
}

Result<unsigned> day_of(const JsonValue& value) {
  constexpr std::array<std::string_view, 7> names = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
  if (!value.is_string()) {
    // Whether weeks begin on Sunday with 0 or on Monday with 1: the numbers are the same, but for a Sunday of 7.
    TRY(const auto number, value.integer("allowed_days", 0, 7));
    return static_cast<unsigned>(number % 7);
  }
  TRY(std::string text, value.string("allowed_days"));
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const auto found = std::ranges::find(names, std::string_view{text}.substr(0, 3));
  if (found == names.end()) return wrong("allowed_days", "days such as mon or 1", text);
  return static_cast<unsigned>(found - names.begin());
}

base::Status read_times(WalletPolicy& out, const JsonValue& value) {
  TRY_OK(value.only({"timezone", "allowed_hours", "allowed_days"}), "time_restrictions");
  if (const auto zone = present(value, "timezone")) {
    TRY(const std::string text, zone->string("timezone"));
    TRY(out.utc_offset, utc_offset(text));
  }
  if (const auto hours = present(value, "allowed_hours")) {
    if (!hours->is_array() || hours->size() != 2) return wrong("allowed_hours", "[from, to]", hours->source());
    const JsonValue from = *hours->first();
    TRY(const auto begin, from.integer("allowed_hours", 0, 23));
    TRY(const auto end, from.next()->integer("allowed_hours", 0, 24));
    if (begin == end) return wrong("allowed_hours", "two different hours", hours->source());
    out.allowed_hours = {static_cast<unsigned>(begin), static_cast<unsigned>(end)};
  }
  if (const auto days = present(value, "allowed_days")) {
    if (!days->is_array() || days->size() > 7) return wrong("allowed_days", "at most 7 days", days->source());
    out.allowed_days.emplace();
    for (auto day = days->first(); day; day = day->next()) {
      TRY(const unsigned number, day_of(*day));
      out.allowed_days->push_back(number);
    }
  }
  return base::done();
}

base::Status read_addresses(WalletPolicy& out, const JsonValue& value) {
  TRY_OK(value.only({"mode", "list"}), "addresses");
  TRY(const JsonValue mode, value.get("mode"));
  TRY(const std::string text, mode.string("mode"));
  if (text == "whitelist") {
    out.address_mode = WalletPolicy::AddressMode::whitelist;
  } else if (text == "blacklist") {
    out.address_mode = WalletPolicy::AddressMode::blacklist;
  } else if (text != "none") {
    return wrong("mode", "whitelist, blacklist or none", text);
  }
  if (const auto list = present(value, "list")) {
    TRY(out.addresses, texts(*list, "list"));
  }
  return base::done();
}

base::Status read_rules(WalletPolicy& out, const JsonValue& value) {
  TRY_OK(value.only({"transaction_types", "allowed_tokens", "addresses", "limits", "rate_limit", "time_restrictions"}),
         "rules");
  if (const auto types = present(value, "transaction_types")) {
    TRY(out.transaction_types, texts(*types, "transaction_types"));
  }
  if (const auto tokens = present(value, "allowed_tokens")) {
    TRY(out.allowed_tokens, texts(*tokens, "allowed_tokens"));
    for (auto& token : *out.allowed_tokens) token = policy_token(token);
  }
  if (const auto addresses = present(value, "addresses")) TRY_OK(read_addresses(out, *addresses));
  if (const auto all = present(value, "limits")) {
    TRY_OK(all->only({"per_transaction", "daily", "hourly", "monthly", "hourly_tx_count"}), "limits");
    TRY(out.per_transaction, limits(*all, "per_transaction"));
    TRY(out.daily, limits(*all, "daily"));
    TRY(out.hourly, limits(*all, "hourly"));
    TRY(out.monthly, limits(*all, "monthly"));
    TRY(out.hourly_tx_count, count(*all, "hourly_tx_count"));
  }
  if (const auto rate = present(value, "rate_limit")) {
    TRY_OK(rate->only({"max_per_hour"}), "rate_limit");
    TRY(out.max_per_hour, count(*rate, "max_per_hour"));
  }
  if (const auto times = present(value, "time_restrictions")) return read_times(out, *times);
  return base::done();
}

Result<WalletApprover> read_approver(const JsonValue& value) {
  TRY_OK(value.only({"id", "role", "pubkey"}), "approvers");
  WalletApprover out;
  TRY(const JsonValue id, value.get("id"));
  TRY(out.id, id.string("id"));
  if (const auto role = present(value, "role")) {
    TRY(out.role, role->string("role"));
  }
  if (const auto key = present(value, "pubkey")) {
    TRY(const std::string text, key->string("pubkey"));
    TRY(out.key, chain::near::PublicKey::parse(text), "pubkey");
  }
  return out;
}

base::Status read_approval(WalletPolicy& out, const JsonValue& value) {
  TRY_OK(value.only({"threshold", "approvers", "excluded_types"}), "approval");
  TRY(const auto threshold, count(value, "threshold"));
  out.threshold = threshold.value_or(0);
  std::set<std::string> ids;
  if (const auto approvers = present(value, "approvers")) {
    if (!approvers->is_array() || approvers->size() > kMaxApprovers) {
      return wrong("approvers", "an array of at most 64", approvers->source());
    }
    for (auto one = approvers->first(); one; one = one->next()) {
      TRY(WalletApprover approver, read_approver(*one));
      if (!ids.insert(approver.id).second) return wrong("approvers", "every approver once", approver.id);
      out.approvers.push_back(std::move(approver));
    }
  }
  if (out.threshold > ids.size()) {
    return wrong("threshold", "at most as many as there are approvers", std::to_string(out.threshold));
  }
  if (const auto excluded = present(value, "excluded_types")) {
    TRY(out.excluded_types, texts(*excluded, "excluded_types"));
  }
  return base::done();
}

base::Status read_capabilities(WalletPolicy& out, const JsonValue& value) {
  if (!value.is_object()) return wrong("capabilities", "an object of booleans", value.source());
  for (auto one = value.first(); one; one = one->next()) {
    const std::string name = one->key();
    if (std::ranges::find(kCapabilities, name) == kCapabilities.end()) return wrong("capabilities", "known ones", name);
    TRY(const bool on, one->boolean(name));
    if (on) out.capabilities.push_back(name);
  }
  return base::done();
}

// -- evaluating

Error forbidden(std::string_view rule, std::string_view expected = {}, std::string_view found = {}) {
  return {Code::denied, "the wallet's policy forbids it: " + std::string{rule}, std::string{expected},
          std::string{base::utf8_prefix(found, 80)}};
}

bool has(const std::vector<std::string>& list, std::string_view text) {
  return std::ranges::find(list, text) != list.end();
}

/// a + b, or the greatest number when there is no such number.
U128 sum(const U128& a, const U128& b) noexcept {
  U128 out{a.high + b.high, a.low + b.low};
  const std::uint64_t carry = out.low < a.low ? 1 : 0;
  const bool over = out.high < a.high || out.high + carry < out.high;
  out.high += carry;
  return over ? kAll : out;
}

base::Status check_limit(const TokenLimits& limits, std::string_view token, const U128& total, std::string_view rule) {
  auto limit = limits.find(token);
  if (limit == limits.end()) limit = limits.find("*");
  if (limit == limits.end() || total <= limit->second) return base::done();
  return forbidden("limits." + std::string{rule}, "at most " + limit->second.text(), total.text());
}

base::Status check_amounts(const WalletPolicy& policy, const WalletOp& op, const WalletUsage& usage) {
  // Deleting an account moves all that it has: more than any limit allows.
  const bool empties = op.kind == "delete";
  const std::string token = op.token.value_or(std::string{kNative});
  if ((op.amount || empties) && policy.allowed_tokens && !has(*policy.allowed_tokens, token)) {
    return forbidden("allowed_tokens", {}, token);
  }
  const U128 moved = empties ? kAll : op.amount.value_or(U128{});
  TRY_OK(check_limit(policy.per_transaction, token, moved, "per_transaction"));
  TRY_OK(check_limit(policy.hourly, token, sum(usage.hour, moved), "hourly"));
  TRY_OK(check_limit(policy.daily, token, sum(usage.day, moved), "daily"));
  TRY_OK(check_limit(policy.monthly, token, sum(usage.month, moved), "monthly"));
  if (policy.hourly_tx_count && usage.transactions_this_hour >= *policy.hourly_tx_count) {
    return forbidden("limits.hourly_tx_count");
  }
  if (policy.max_per_hour && usage.requests_this_hour >= *policy.max_per_hour) return forbidden("rate_limit");
  return base::done();
}

/// The case of an EVM address is a checksum and no part of it.
bool same_address(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  const auto is_evm = [](std::string_view text) {
    return text.size() == 42 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
  };
  return is_evm(a) && is_evm(b) && std::ranges::equal(a, b, {}, lower, lower);
}

base::Status check_address(const WalletPolicy& policy, const WalletOp& op) {
  if (policy.address_mode == WalletPolicy::AddressMode::none || op.op_class == OpClass::auth) return base::done();
  const bool listed =
      op.to && std::ranges::any_of(policy.addresses, [&](const auto& one) { return same_address(one, *op.to); });
  const bool whitelist = policy.address_mode == WalletPolicy::AddressMode::whitelist;
  // What has no address that can be seen is on no list.
  if (listed == whitelist) return base::done();
  return forbidden("addresses", whitelist ? "one of the list" : "none of the list", op.to.value_or("none"));
}

base::Status check_time(const WalletPolicy& policy, base::UtcTime now) {
  const std::int64_t local = now.seconds + policy.utc_offset;
  const std::int64_t day = local / kDay;
  const auto hour = static_cast<unsigned>(local % kDay / kHour);
  // 1970-01-01 was a Thursday.
  const auto weekday = static_cast<unsigned>((day + 4) % 7);
  if (policy.allowed_days && std::ranges::find(*policy.allowed_days, weekday) == policy.allowed_days->end()) {
    return forbidden("time_restrictions.allowed_days");
  }
  if (!policy.allowed_hours) return base::done();
  const auto [begin, end] = *policy.allowed_hours;
  const bool inside = begin < end ? hour >= begin && hour < end : hour >= begin || hour < end;
  return inside ? base::done() : base::Status{forbidden("time_restrictions.allowed_hours")};
}

std::string_view capability_of(const WalletOp& op) noexcept {
  if (op.kind == "raw") return "raw_sign";
  if (op.op_class == OpClass::hash_pinned || op.op_class == OpClass::trusted) return op.kind;
  return {};
}

}  // namespace

Result<WalletPolicy> WalletPolicy::parse(const JsonValue& value) {
  TRY_OK(value.only({"frozen", "rules", "approval", "capabilities", "webhook_url"}), "wallet policy");
  WalletPolicy out;
  if (const auto frozen = present(value, "frozen")) {
    TRY(out.frozen, frozen->boolean("frozen"));
  }
  if (const auto rules = present(value, "rules")) TRY_OK(read_rules(out, *rules), "wallet policy");
  if (const auto approval = present(value, "approval")) TRY_OK(read_approval(out, *approval), "wallet policy");
  if (const auto all = present(value, "capabilities")) TRY_OK(read_capabilities(out, *all), "wallet policy");
  if (const auto url = present(value, "webhook_url")) {
    TRY(out.webhook_url, url->string("webhook_url"));
  }
  return out;
}

base::Status check_capability(const WalletPolicy& policy, std::string_view capability) {
  if (policy.frozen) return forbidden("frozen");
  if (has(policy.capabilities, capability)) return base::done();
  return forbidden("capabilities", "capability " + std::string{capability} + " switched on");
}

Result<bool> check_wallet_policy(const WalletPolicy& policy, const WalletOp& op, const WalletUsage& usage,
                                 base::UtcTime now) {
  if (policy.frozen) return forbidden("frozen");
  if (policy.transaction_types && op.op_class != OpClass::auth && !has(*policy.transaction_types, op.kind)) {
    return forbidden("transaction_types", {}, op.kind);
  }
  if (const std::string_view needed = capability_of(op); !needed.empty()) TRY_OK(check_capability(policy, needed));
  TRY_OK(check_address(policy, op));
  TRY_OK(check_amounts(policy, op, usage));
  TRY_OK(check_time(policy, now));
  return policy.threshold > 0 && !has(policy.excluded_types, op.kind);
}

Result<VoteResult> count_votes(
    const WalletPolicy& policy, const WalletApproval& approval, const std::vector<WalletVote>& votes,
    const std::function<Result<bool>(const std::string& account, const chain::near::PublicKey& key)>& is_key_of) {
  const auto approvals = static_cast<std::size_t>(std::ranges::count(votes, true, &WalletVote::approve));
  if (approvals > kMaxVotes || votes.size() - approvals > kMaxVotes) {
    return Error{Code::malformed, "votes", "at most 16 approvals and 16 rejections", std::to_string(votes.size())};
  }
  std::set<std::string> counted;
  bool vetoed = false;
  for (const WalletVote& vote : votes) {
    const auto approver = std::ranges::find(policy.approvers, vote.approver, &WalletApprover::id);
    if (approver == policy.approvers.end() || (approver->key && *approver->key != vote.key)) continue;
    const chain::near::Message message{
        .message = vote_message(vote.approve, approval.id, approval.wallet_public_key, approval.request_hash),
        .nonce = vote.nonce,
        .recipient = approval.contract.text()};
    if (!chain::near::verify(message, vote.key, vote.signature)) continue;
    TRY(const bool known, is_key_of(vote.approver, vote.key));
    if (!known) continue;
    if (!vote.approve) vetoed = true;
    if (vote.approve) counted.insert(vote.approver);
  }
  if (vetoed) return VoteResult::vetoed;
  return counted.size() >= policy.threshold ? VoteResult::approved : VoteResult::pending;
}

}  // namespace attestry::secrets::keystore
