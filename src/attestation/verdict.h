// A verdict: every check with its result, one root cause, the claims, the TCB, the collateral used (FORMATS 8).
#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "attestation/catalogue.h"
#include "attestation/collateral.h"
#include "attestation/evidence.h"
#include "base/bytes.h"
#include "base/time.h"

namespace attestry::attestation {

enum class CheckStatus : std::uint8_t { pass, fail, skipped };
enum class Outcome : std::uint8_t { accepted, refused, undecided };
enum class Genuineness : std::uint8_t { genuine, not_genuine, undecided };  ///< JSON: "genuine", "false", "undecided"

struct CheckResult {
  CheckId check;
  CheckStatus status;
  /// The check failed because something was missing or unreachable: the verdict is undecided, not refused.
  bool undecided = false;
  std::string expected{};
  std::string actual{};  ///< hashes for secrets
  std::string detail{};
};

struct TcbSummary {
  std::string status;                       ///< "UpToDate", … exactly as Intel's library writes it
  std::vector<std::string> advisory_ids{};  ///< platform, module, QE; no duplicates, first seen first
  std::optional<base::UtcTime> date{};      ///< the earliest tcbDate of the levels that matched
  std::optional<std::uint32_t> evaluation_number{};
};

/// Claims under the names of the shared vectors (mrtd, rtmr0, report_data, mrenclave, td_attributes, …): bytes as
/// lower-case hex, numbers in decimal, booleans as true/false.
struct Claim {
  std::string_view name;  ///< static storage
  std::string value;
  bool is_number = false;
  bool log_word = false;  ///< only the labels of an event log say so: counts beside RTMR2 as a whole
};

struct CollateralUsed {
  CollateralKind kind;
  base::Digest32 sha256{};
  std::optional<base::UtcTime> issued{};
  std::optional<base::UtcTime> expires{};
};

/// What a verifier found, and after evaluate() what the policy says. Plain data.
struct Verdict {
  Outcome outcome = Outcome::undecided;
  Genuineness evidence = Genuineness::undecided;
  Platform platform = Platform::unknown;
  bool simulated = false;
  std::vector<CheckResult> checks;  ///< in catalogue order
  std::optional<TcbSummary> tcb;
  std::vector<Claim> claims;
  base::Bytes report_data;  ///< 64 bytes for SGX and TDX; empty while the evidence was unreadable
  bool debug = false;
  std::vector<CollateralUsed> collateral;
  std::optional<std::int64_t> collateral_stale_seconds;
  /// The token was judged by keys that nobody vouches for (CollateralItem::origin): whoever made it may have made them.
  bool token_keys_unvouched = false;
  std::optional<base::UtcTime> valid_until;  ///< earliest expiry of all certificates and collateral used
  base::UtcTime at;
  base::Digest32 evidence_sha256{};
  base::Digest32 anchors_sha256{};
  std::optional<base::Digest32> policy_sha256;

  /// The first failed check in catalogue order whose requirements all passed, definite failures before undecided ones;
  /// nullptr when nothing failed.
  const CheckResult* root_cause() const noexcept;
  const Claim* claim(std::string_view name) const noexcept;
};

std::string_view to_text(CheckStatus) noexcept;
std::string_view to_text(Outcome) noexcept;
std::string_view to_text(Genuineness) noexcept;

/// The JSON of the command line and of /v1/verify: FORMATS 8 plus the fields that docs/formats/verdict.md lists.
std::string to_json(const Verdict& verdict, bool pretty = false);
/// For people: verdict first, failed checks before passed ones. `colour`: ANSI colours.
std::string to_text_report(const Verdict& verdict, bool colour, bool all_checks = true);

/// A bit for every check of the catalogue.
using CheckBits = std::array<std::uint64_t, 4>;

/// Collects results while a verifier runs; knows the catalogue's requirements, so that a check whose requirement did
/// not pass is recorded as skipped without being run. Not thread-safe.
class CheckRecorder {
 public:
  CheckRecorder();
  /// True when all requirements of `check` passed and it has no result yet; otherwise records it as skipped.
  bool may_run(CheckId check);
  /// The first result of a check stands, but a failure replaces a pass. A pass whose requirements did not pass counts
  /// as skipped.
  void pass(CheckId check, std::string actual = {});
  void fail(CheckId check, std::string expected, std::string actual, std::string detail = {});
  void fail_undecided(CheckId check, std::string expected, std::string actual, std::string detail = {});
  /// Not done, for a reason that is not a failure by itself ("no revocation list"); what needs it is skipped too.
  void skip(CheckId check, std::string detail);
  bool passed(CheckId check) const noexcept;
  /// Results in catalogue order; checks never asked for are left out.
  std::vector<CheckResult> take();

 private:
  std::optional<CheckId> unmet_need(CheckId check) const noexcept;
  void record(CheckResult result);

  std::vector<CheckResult> results_;
  std::vector<std::uint8_t> state_;  ///< by CheckId: 0 none, else 1 + CheckStatus
  CheckBits passed_{};               ///< by CheckId, a bit each: the needs of a check are a mask over it
};

}  // namespace attestry::attestation
