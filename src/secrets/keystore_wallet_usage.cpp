#include "secrets/keystore_wallet_usage.h"

#include <chrono>

#include "base/reader.h"
#include "crypto/hash.h"
#include "state/keys.h"
#include "state/spaces.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using chain::near::U128;
using keystore::WalletOp;
using keystore::WalletUsage;

namespace {

constexpr std::int64_t kHour = 3600;
constexpr std::size_t kMostToken = 256;

/// Which hour, day and month it is; a counter of another one is over.
struct Periods {
  std::uint64_t hour = 0, day = 0, month = 0;
};
Periods periods_of(base::UtcTime now) {
  const auto day = std::chrono::floor<std::chrono::days>(std::chrono::sys_seconds{std::chrono::seconds{now.seconds}});
  const std::chrono::year_month_day date{day};
  return {
      .hour = static_cast<std::uint64_t>(now.seconds / kHour),
      .day = static_cast<std::uint64_t>(now.seconds / (24 * kHour)),
      .month = static_cast<std::uint64_t>(static_cast<int>(date.year())) * 12 + static_cast<unsigned>(date.month())};
}

state::Key key_of(std::string_view kind, const WalletName& wallet) {
  base::LpWriter name;
  name.lp(wallet.vault).lp(wallet.id);
  return state::Key(state::Space::keystore_state).lp(kind).raw(crypto::sha256(name.bytes()));
}
/// hour u64 ‖ day u64 ‖ month u64 ‖ what was moved in each, u128.
state::Key moved_key(const WalletName& wallet, std::string_view token) {
  return key_of("wallet-moved", wallet).lp(token);
}
/// hour u64 ‖ operations that move something u64 ‖ all u64.
state::Key asked_key(const WalletName& wallet) { return key_of("wallet-asked", wallet); }

std::string_view token_of(const WalletOp& op) { return op.token ? std::string_view{*op.token} : "native"; }

bool moves(const WalletOp& op) { return op.op_class != keystore::OpClass::auth; }

Result<U128> u128(base::Reader& in) {
  U128 out;
  TRY(out.high, in.u64be("amount"));
  TRY(out.low, in.u64be("amount"));
  return out;
}

Status read_moved(const state::ReadView& view, const state::Key& key, const Periods& now, WalletUsage& out) {
  TRY(const auto stored, view.get(key));
  if (!stored) return base::done();
  TRY(base::Reader in, state::open_value(*stored, 1, "wallet's usage"));
  TRY(const auto hour, in.u64be("hour"));
  TRY(const auto day, in.u64be("day"));
  TRY(const auto month, in.u64be("month"));
  TRY(const U128 in_hour, u128(in));
  TRY(const U128 in_day, u128(in));
  TRY(const U128 in_month, u128(in));
  if (hour == now.hour) out.hour = in_hour;
  if (day == now.day) out.day = in_day;
  if (month == now.month) out.month = in_month;
  return base::done();
}

/// The greatest number when there is no such number.
U128 sum(const U128& a, const U128& b) noexcept {
  U128 out{a.high + b.high, a.low + b.low};
  const std::uint64_t carry = out.low < a.low ? 1 : 0;
  const bool over = out.high < a.high || out.high + carry < out.high;
  out.high += carry;
  return over ? U128{~std::uint64_t{0}, ~std::uint64_t{0}} : out;
}

}  // namespace

Result<WalletUsage> read_wallet_usage(const state::ReadView& view, const WalletName& wallet, const WalletOp& op,
                                      base::UtcTime now) {
  const Periods periods = periods_of(now);
  WalletUsage out;
  TRY_OK(read_moved(view, moved_key(wallet, token_of(op)), periods, out));
  TRY(const auto stored, view.get(asked_key(wallet)));
  if (!stored) return out;
  TRY(base::Reader in, state::open_value(*stored, 1, "wallet's usage"));
  TRY(const auto hour, in.u64be("hour"));
  TRY(const auto moved, in.u64be("transactions"));
  TRY(const auto asked, in.u64be("requests"));
  if (hour != periods.hour) return out;
  out.transactions_this_hour = moved;
  out.requests_this_hour = asked;
  return out;
}

Status add_wallet_usage(state::WriteTxn& txn, const WalletName& wallet, const WalletOp& op, const WalletUsage& before,
                        base::UtcTime now) {
  const Periods periods = periods_of(now);
  TRY_OK(txn.put(asked_key(wallet), state::value(1)
                                        .u64(periods.hour)
                                        .u64(before.transactions_this_hour + (moves(op) ? 1 : 0))
                                        .u64(before.requests_this_hour + 1)
                                        .bytes()));
  if (!op.amount) return base::done();
  if (token_of(op).size() > kMostToken) return Error{Code::malformed, "op.token", "at most 256 bytes"};
  auto value = state::value(1).u64(periods.hour).u64(periods.day).u64(periods.month);
  for (const U128& moved : {before.hour, before.day, before.month}) {
    const U128 total = sum(moved, *op.amount);
    value.u64(total.high).u64(total.low);
  }
  return txn.put(moved_key(wallet, token_of(op)), value.bytes());
}

Status use_wallet_approval(state::WriteTxn& txn, const WalletName& wallet, std::string_view approval,
                           std::string_view request_hash, base::UtcTime now) {
  base::LpWriter name;
  name.lp(approval).lp(request_hash);
  auto used = txn.insert(key_of("wallet-approval", wallet).raw(crypto::sha256(name.bytes())),
                         state::value(1).u64(static_cast<std::uint64_t>(now.seconds)).bytes());
  if (used || used.error().code != Code::conflict) return used;
  return Error{Code::replayed, "this approval was used already", "a new approval with another id"};
}

}  // namespace attestry::secrets
