// Which receipts were paid for: the record that keeps a receipt from being credited twice, within one tracker and among
// several that share it. docs/formats/pbts.md
//
// A claim belongs to the instance that made it first and may be repeated by it, so that a tracker which dies between
// the claim and the credit loses nothing: the member reports again, the claim is granted again.
#pragma once
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "state/store.h"
#include "tracker/receipt.h"

namespace attestry::tracker {

struct SpentClaim {
  ReceiptId id{};
  base::UtcTime last{};  ///< Receipt::last_second()
};

/// Thread-safe. Called from any thread.
class SpentAuthority {
 public:
  /// For each claim whether it is the owner's now. Any error means that nothing is known: `unavailable` when the
  /// authority is away, never a denial. May be called before claim() returns, and on any thread.
  using Answer = std::move_only_function<void(base::Result<std::vector<bool>>)>;
  virtual ~SpentAuthority() = default;
  /// `customer`: any name of whoever caused it; where claims wait, customers take turns.
  virtual void claim(const InstanceId& owner, std::vector<SpentClaim> claims, std::string_view customer,
                     Answer answer) = 0;
};

/// The records inside one write closure. What is older than it can be reported is forgotten, and `floor` with it: a
/// receipt that is not younger than one which was forgotten is refused for ever, whatever clocks and windows do.
class SpentRecords {
 public:
  /// `txn` outlives it. Errors: `corrupt`, and those of the store.
  static base::Result<SpentRecords> load(state::WriteTxn& txn);
  /// True when nobody has it, or `owner` has claimed or credited it.
  base::Result<bool> claim(const InstanceId& owner, const SpentClaim& claim, base::UtcTime keep_until);
  /// Bytes to be credited for a receipt of `size` bytes: all when nobody has been credited for it and nobody else has
  /// claimed it, what is more than before when `owner` has been credited for less, else 0. So somebody who reports a
  /// member's receipt as smaller than it is takes nothing from him.
  base::Result<std::uint64_t> credit(const InstanceId& owner, const SpentClaim& claim, std::uint64_t size,
                                     base::UtcTime keep_until);
  /// Forgets at most `most` records that need not be kept any more.
  base::Status collect(base::UtcTime now, std::size_t most);
  /// Writes what changed of the counts. The last call.
  base::Status finish();
  std::uint64_t count() const noexcept { return count_; }

 private:
  explicit SpentRecords(state::WriteTxn& txn) : txn_(&txn) {}
  struct Taken {
    bool own = false;
    std::uint64_t before = 0;  ///< bytes that were credited
  };
  base::Result<Taken> take(const InstanceId& owner, const SpentClaim& claim, std::uint64_t size,
                           base::UtcTime keep_until);
  state::WriteTxn* txn_;
  base::UtcTime floor_{};
  std::uint64_t count_ = 0;
  bool changed_ = false;
};
/// Whether `owner` can still be credited for anything of `size` bytes; what credit() will say is decided there.
base::Result<bool> may_be_credited(const state::ReadView& view, const InstanceId& owner, const SpentClaim& claim,
                                   std::uint64_t size);
/// Number of records.
base::Result<std::uint64_t> count_spent(const state::ReadView& view);

/// How long a record is kept: two windows (section 4), and at least as long as the receipt can be reported.
base::UtcTime keep_spent_until(const SpentClaim& claim, const ReceiptRules& rules, base::UtcTime now) noexcept;

/// The records of a store as an authority for other instances. May share the store with a ledger. Thread-safe; `store`
/// outlives it.
class StoredSpent final : public SpentAuthority {
 public:
  static constexpr std::size_t kMostClaims = 10'000;
  /// `rules` in force are asked for each time, from any thread: an operator changes them.
  StoredSpent(state::Store& store, std::function<ReceiptRules()> rules) : store_(store), rules_(std::move(rules)) {}
  /// Errors: `too_large`, `unavailable` and those of the store. Answers on the store's thread.
  void claim(const InstanceId& owner, std::vector<SpentClaim> claims, std::string_view customer,
             Answer answer) override;

 private:
  state::Store& store_;
  const std::function<ReceiptRules()> rules_;
};

}  // namespace attestry::tracker
