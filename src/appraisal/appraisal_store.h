// Appraisals in the durable store: each by its id, the bytes that they share once, newest first for who asks, and an
// end for what nothing names any more (docs/formats/appraisal.md).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "appraisal/stored_appraisal.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "state/store.h"

namespace attestry::appraisal {

/// What led to an appraisal.
enum class Origin : std::uint8_t {
  release = 1,       ///< a registration that got its release; a leaf of the log names it
  refusal = 2,       ///< a registration that the policy refused; a leaf of the log names it
  attempt = 3,       ///< a registration that ended before a leaf: false evidence, missing collateral
  verification = 4,  ///< /v1/verify with "store"
  import = 5,        ///< an operator brought it
};
std::string_view to_text(Origin origin) noexcept;
std::optional<Origin> origin_from(std::string_view word) noexcept;

/// What a list shows of a verdict.
struct Summary {
  std::string verdict{};
  std::string evidence{};
  std::string platform{};
  std::string root_cause{};  ///< id; empty when accepted
};
Summary summary_of(const attestation::Verdict& verdict);
/// From the stored JSON; error `malformed`.
base::Result<Summary> summary_of(std::string_view verdict_json);

/// What the store knows of an appraisal beside its content.
struct Entry {
  Origin origin = Origin::attempt;
  base::UtcTime stored;
  std::optional<std::uint64_t> leaf_index{};
  std::string app{};           ///< empty: none
  std::string refusal_json{};  ///< {"code","what","expected","found","remedy"}; empty: none
  Summary summary{};
};

struct Listed {
  base::Digest32 id{};
  Entry entry;  ///< without refusal_json
};

/// How long what is kept, for each tenant. What a log leaf names stays unless an operator sets `logged_days`.
struct Retention {
  std::int64_t attempt_days = 30;
  std::uint64_t attempts = 1000;
  std::uint64_t attempt_bytes = 64u << 20;  ///< of evidence and verdicts
  std::int64_t kept_days = 365;             ///< verifications and imports; 0: for ever
  std::int64_t logged_days = 0;             ///< releases and refusals; 0: for ever
};

struct Filter {
  std::string app{};
  std::string verdict{};
  std::string evidence{};
  std::string platform{};
  std::string root_cause{};
  std::optional<Origin> origin{};
  std::optional<base::UtcTime> since{};
  std::optional<base::UtcTime> until{};
};

struct Page {
  std::vector<Listed> rows;         ///< newest first
  std::optional<std::string> next;  ///< cursor of the rest; set whenever there may be more
};

/// Thread-safe. A tenant sees its own appraisals only.
class AppraisalStore {
 public:
  explicit AppraisalStore(state::Store& store, Retention retention = {}) : store_(store), retention_(retention) {}

  /// Inside the committer. An appraisal that is there already stays as it is. Takes a few old ones away where the
  /// retention says so.
  base::Status put(state::WriteTxn& txn, const base::Tenant& tenant, const StoredAppraisal& appraisal,
                   const Entry& entry) const;

  struct Found {
    Entry entry;
    std::string document;  ///< empty for a record of before appraisals kept what they rest on
    std::string verdict_json;
  };
  /// Error `not_found`.
  base::Result<Found> get(const base::Tenant& tenant, const base::Digest32& id) const;
  /// The id that begins so (8 hex digits or more); `not_found`, or `malformed` when several do.
  base::Result<base::Digest32> resolve(const base::Tenant& tenant, std::string_view beginning) const;
  /// With everything that it rests on. `not_found` also for a record that has only its verdict.
  base::Result<StoredAppraisal> load(const base::Tenant& tenant, const base::Digest32& id) const;
  /// At most `limit` rows (1 to 500). `cursor`: Page::next of the page before, empty for the first. Error `malformed`
  /// for another cursor.
  base::Result<Page> list(const base::Tenant& tenant, const Filter& filter, std::string_view cursor,
                          std::size_t limit) const;

  state::Store& store() const noexcept { return store_; }

 private:
  state::Store& store_;
  Retention retention_;
};

}  // namespace attestry::appraisal
