// The collateral vault: every artefact once for any number of waiters, kept in memory and in the store, refreshed
// before it ends, used within a bound while its vendor is away, and given out again to whoever asks.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attestation/artefact.h"
#include "attestation/verifier.h"
#include "base/time.h"
#include "collateral/artefacts.h"
#include "collateral/bundle.h"
#include "collateral/fetcher.h"
#include "collateral/source.h"
#include "crypto/random.h"
#include "state/store.h"

namespace attestry::collateral {

struct VaultOptions {
  // What is held.
  std::size_t max_artefacts = 8192;  ///< in memory, known or refused; the store has no bound
  // When it is asked for again. A fleet must not do it in the same minute: each delay is drawn anew.
  std::int64_t refresh_seconds = 86400;    ///< the longest from a fetch to its refresh; at most half of what is left
  std::int64_t min_refresh_seconds = 600;  ///< between two refreshes that succeed
  std::int64_t max_stale_seconds = 7 * 86400;  ///< use after a refresh was due, never past its end
  std::int64_t jwks_seconds = kKeySetSeconds;  ///< a key set says no end: this long after it was fetched
  std::int64_t unknown_key_seconds = 60;       ///< between two fetches of a key set because a token names another key
  std::int64_t late_seconds = 60;              ///< a refresh is late when it was due so long ago, whatever keeps it
  std::int64_t alarm_seconds = 48 * 3600;      ///< warn this long before something in use can be used no more
  // What is not there.
  std::int64_t missing_seconds = 600;  ///< not asked again for what a service does not know
  std::int64_t refused_seconds = 60;   ///< and for what was not authentic
  // What the store forgets, so that it does not grow for ever. Looked at after the start and once a day.
  std::int64_t unused_vcek_seconds = 180 * 86400;  ///< a VCEK that nobody asked for; AMD gives it out again
  std::int64_t replaced_seconds = 30 * 86400;      ///< a document since it was stored, when nothing holds it any more
  // Fetching.
  std::size_t lanes = 8;              ///< fetches at once
  std::size_t lanes_per_host = 4;     ///< of these to one host, so that a dead one does not take all
  std::size_t max_queue = 1024;       ///< fetches of what is not held that wait for one host, those of VCEKs apart;
                                      ///< more are `unavailable`. Refreshes of what is held always find room.
  std::int64_t fetch_seconds = 15;    ///< the longest that one may take
  std::int64_t queue_seconds = 7200;  ///< the longest that one waits for its turn after everybody left
  std::size_t max_waiters = 100'000;
  // Towards each host. What it says in Retry-After, with 429 or 503, counts besides.
  std::int64_t scarce_seconds = 10;            ///< AMD allows about one VCEK in ten seconds; 0: no limit
  std::int64_t scarce_burst = 2;               ///< of these at once after a rest
  std::int64_t host_fetches_per_minute = 120;  ///< of everything else, so many at once after a rest, the last quarter
                                               ///< for refreshes of what is held; 0: no limit
  std::int64_t failure_seconds = 5;            ///< not asked again after a failure; doubled with every one that follows
  std::int64_t max_failure_seconds = 300;
  std::int64_t max_retry_after = 86400;  ///< a longer Retry-After is taken for this
  std::chrono::milliseconds slice{50};   ///< the longest sleep before the clock is looked at again: clocks can be set
  bool background = true;                ///< refresh without being asked
  const base::Clock* clock = &base::system_clock();
  crypto::Random* random = nullptr;  ///< for jitter; null: crypto::system_random()
};

/// Counters since the start, for metrics.
struct VaultStats {
  std::uint64_t hits = 0;           ///< answered without waiting
  std::uint64_t waits = 0;          ///< requests that waited for a fetch
  std::uint64_t store_hits = 0;     ///< artefacts read back from the store
  std::uint64_t fetches = 0;        ///< begun
  std::uint64_t refreshes = 0;      ///< of these: of something held
  std::uint64_t failures = 0;       ///< fetches that gave nothing usable
  std::uint64_t refused = 0;        ///< of these: what came was not authentic
  std::uint64_t older = 0;          ///< of these: what came was authentic and older than what is held
  std::uint64_t throttled = 0;      ///< fetches put off because the host asked for it
  std::uint64_t missing = 0;        ///< answers "the service does not know this"
  std::uint64_t negative_hits = 0;  ///< requests answered with a failure of before
  std::uint64_t timeouts = 0;       ///< requests that left at their deadline
  std::uint64_t store_refused = 0;  ///< artefacts of the store that were not accepted
  std::uint64_t store_errors = 0;
  std::uint64_t stale = 0;      ///< answers with something whose refresh failed or is late
  std::uint64_t evicted = 0;    ///< from memory
  std::uint64_t collected = 0;  ///< certificates and documents that the store was told to forget
  std::uint64_t displaced = 0;  ///< fetches that nobody waited for and that gave way to others in a full queue
  std::uint64_t strangers = 0;  ///< quotes of no trusted root that nothing was fetched for
  std::size_t artefacts = 0;    ///< in memory now, known or refused
  std::size_t queued = 0;       ///< fetches that wait now
  std::size_t in_flight = 0;
  std::size_t waiting = 0;  ///< requests that wait now
  std::size_t stale_artefacts = 0;
  std::int64_t oldest_stale_seconds = 0;
  std::size_t alarms = 0;                             ///< artefacts that run out within alarm_seconds
  std::optional<std::int64_t> soonest_end_seconds{};  ///< of these; negative: it has run out
};

struct DocumentInfo {
  attestation::CollateralKind kind{};
  base::Digest32 sha256{};
  std::size_t size = 0;
};

/// One artefact that is held.
struct Holding {
  attestation::Artefact artefact;
  base::UtcTime issued;
  base::UtcTime expires;  ///< the earliest end of it and its chain; nothing is used past it
  base::UtcTime fetched_at;
  base::UtcTime refresh_at;  ///< when it is, or was, due; equal to `expires`: never
  base::UtcTime usable_until;
  std::optional<std::int64_t> stale_seconds{};  ///< set: a refresh failed or is late; how long ago it was due
  std::uint64_t number = 0;                     ///< tcbEvaluationDataNumber
  std::string source;                           ///< URL without query, "import NAME", "file PATH"
  std::string problem{};                        ///< of the last refresh, when it failed
  std::vector<DocumentInfo> documents{};
};

/// An artefact with its documents, as Collateral orders them.
struct Held {
  Holding about;
  std::shared_ptr<const attestation::Collateral> documents;
};

/// Where documents come from that somebody brings.
struct Provenance {
  std::string source;  ///< remembered
  /// Of a key set among them: without it that is refused, because nothing in it says whose it is.
  std::string issuer{};
  /// When they were got from their vendors, by kind; others now. Nothing counts as fetched later than now.
  TimesOfKinds fetched_at{};
};

struct Imported {
  std::string name;  ///< of the artefact, or of the document when nobody can tell which artefact it is
  std::optional<attestation::Artefact> artefact{};
  enum class Outcome : std::uint8_t { added, replaced, same, older, refused } outcome{};
  std::string reason{};  ///< why it was refused
};
std::string_view to_text(Imported::Outcome outcome) noexcept;

/// Something that ends soon, for health and logs.
struct Alarm {
  attestation::Artefact artefact;
  base::UtcTime usable_until;
  std::string problem;
};

/// Only what `verifier` accepts is kept, stored and given out, wherever it comes from, and nothing authentic is
/// replaced by something older. Everything is used until its end at the latest; a refresh is due at a random time
/// before (VaultOptions), and when it fails the copy stays in use for max_stale_seconds, Collateral::stale_seconds
/// saying how long ago the oldest refresh was due, in begun minutes. Nothing new is fetched for a quote whose PCK
/// certificate is of no trusted root: what is not held is then a problem in the collateral. Requests wait until their
/// own deadline; a fetch goes on without them and its result is there for whoever asks next. Thread-safe. Everything
/// that the constructor takes must outlive it. The destructor waits for running fetches (fetch_seconds at most) and
/// answers waiting requests `unavailable`.
///
/// Store: Space::collateral ‖ LP("") ‖ u8 2 ‖ LP(to_text(artefact)) -> what is held of it, by digest;
/// ‖ u8 3 ‖ sha256 -> a document; ‖ u8 4 ‖ LP(to_text(artefact)) -> when a VCEK was last used (docs/formats/store.md).
class Vault final : public CollateralSource {
 public:
  using Given = base::Result<std::shared_ptr<const attestation::Collateral>>;
  using Done = std::move_only_function<void(Given)>;

  /// `fetcher` may be null: then nothing is ever fetched, and what is not held becomes a missing part of the collateral
  /// instead of an error. `store` may be null: then memory alone.
  Vault(Fetcher* fetcher, const attestation::Verifier& verifier, state::Store* store, VaultOptions options = {});
  ~Vault() override;
  /// Answers everybody who waits, and refuses whoever asks from now on. Not from two threads at once; the destructor
  /// does it, too.
  void stop();
  Vault(const Vault&) = delete;
  Vault& operator=(const Vault&) = delete;

  /// Evidence that needs nothing, or is too broken to say what, gives Collateral::none(). The same artefacts are the
  /// same object, so caches by digest hit. A VLEK certificate that nobody has imported is a problem in the collateral,
  /// not an error: no service has it.
  Given collateral_for(const attestation::Evidence& evidence, base::UtcTime now, base::Deadline deadline) override;
  void when_ready(const attestation::Evidence& evidence, base::UtcTime now, base::Deadline deadline,
                  Done done) override;

  /// What is held and can be used at `now`, fetched if need be (`deadline`), without any evidence: for those who serve
  /// it on. Errors as of collateral_for; `not_found` when it is not held and `fetch` is false.
  base::Result<Held> get(const attestation::Artefact& artefact, base::UtcTime now, base::Deadline deadline,
                         bool fetch = true);
  /// Asks for it again although it is held; the outcome of that.
  base::Result<Held> refresh(const attestation::Artefact& artefact, base::Deadline deadline);
  /// Everything, in memory or in the store, in order of the artefacts.
  base::Result<std::vector<Holding>> list() const;
  /// Everything wanted that has not ended at `now`, with its documents and those that it was judged by, from memory and
  /// from one view of the store; nothing is brought into memory for it, and what comes from the store is not judged
  /// again. Error `too_large` when the documents are more than `max_bytes` together.
  base::Result<std::vector<Held>> held(const std::function<bool(const attestation::Artefact&)>& wanted,
                                       base::UtcTime now, std::size_t max_bytes) const;
  /// A document that is held, or was within VaultOptions::replaced_seconds, by its SHA-256. Error `not_found`.
  base::Result<base::Bytes> content(const base::Digest32& sha256) const;

  /// Takes in what is authentic at `now`, one document of a kind. What is the same as what is held makes that fresher
  /// when it was fetched later. Answers when it is on the disk; error `unavailable` when that is not so by `deadline`:
  /// then it is in use, and a restart may not know it.
  base::Result<std::vector<Imported>> import(const std::vector<attestation::CollateralItem>& documents,
                                             const Provenance& from, base::UtcTime now, base::Deadline deadline);
  /// Forgets it, in memory and in the store; its documents stay retrievable by content.
  base::Status forget(const attestation::Artefact& artefact, base::Deadline deadline);

  VaultStats stats() const;
  /// As list(), of what is in memory, without asking the store.
  std::vector<Holding> in_memory() const;
  base::UtcTime now() const;
  /// What can be used no more within alarm_seconds, soonest first.
  std::vector<Alarm> alarms() const;
  /// Called on a background thread when the list of alarms changes; empty: nobody.
  void on_alarms(std::move_only_function<void(const std::vector<Alarm>&)> listener);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::collateral
