// The inside of the vault. One mutex guards everything that changes; nobody holds it while a service, the store or a
// signature is waited for. Methods with `Lock&` expect it to be held and give it back held.
#pragma once
#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <variant>

#include "base/mutex.h"
#include "collateral/artefacts.h"
#include "collateral/internal/host_gates.h"
#include "collateral/internal/needs_memo.h"
#include "collateral/internal/records.h"
#include "collateral/internal/take_apart.h"
#include "collateral/vault.h"

namespace attestry::collateral {

using Shared = std::shared_ptr<const attestation::Collateral>;
using Lock = std::unique_lock<std::mutex>;

/// An authentic copy of an artefact. Immutable.
struct Copy {
  std::uint64_t serial = 0;  ///< the same for the same documents
  Shared documents;          ///< its own
  Shared context;            ///< the chain under which it was accepted, when that is another artefact; else none()
  attestation::Accepted accepted;
  base::UtcTime fetched_at;
  base::UtcTime refresh_at;  ///< equal to accepted.expires: never
  std::string source;
  std::set<std::string> key_ids{};  ///< of a key set

  bool refreshed() const { return refresh_at < accepted.expires; }
};
using CopyPtr = std::shared_ptr<const Copy>;

/// A fetch that waits or runs.
struct Job {
  Origin origin;
  base::Deadline queued_at{};
  std::uint64_t order = 0;
  unsigned asks = 0;    ///< requests that wanted it so far; 0: a refresh that nobody waits for
  unsigned pinned = 0;  ///< callers of Vault::refresh() that wait for it
  bool running = false;
};

struct Request;

struct Entry;
/// In the order of their last use, the latest last.
using Ages = std::list<std::shared_ptr<Entry>>;

struct Entry {
  attestation::Artefact artefact;
  CopyPtr copy{};
  bool in_store = true;  ///< the store may have a copy that nobody has read yet
  /// That copy could not be used: it is looked at again when one of the clocks has gone on, or was set.
  struct Tried {
    base::Deadline at;
    base::UtcTime wall;
  };
  std::optional<Tried> store_tried{};
  bool refresh_failed = false;  ///< the last try to renew `copy`, when that was due
  /// Of the newest copy that there ever was, also when it can be used no more: what is older does not replace it.
  std::optional<attestation::Accepted> newest{};
  std::uint64_t fetched_by = 0;  ///< Job::order of the last fetch that succeeded
  std::optional<base::Error> failure{};
  base::Deadline retry_at{};
  base::Deadline other_key_at{};  ///< of a key set: not fetched before because of another unknown key
  std::optional<Job> job{};
  std::set<std::weak_ptr<Request>, std::owner_less<>> waiters{};
  base::UtcTime used_at{};
  Ages* ages = nullptr;  ///< where `place` is
  Ages::iterator place{};
};

using RequestPtr = std::shared_ptr<Request>;
using Waiting = std::multimap<base::Deadline, RequestPtr>;

struct Request {
  std::vector<attestation::Needs> ways;
  std::size_t way = 0;
  base::UtcTime now;
  base::Deadline deadline;
  Vault::Done done;
  bool whole_set = true;  ///< for evidence: the artefacts are judged together
  bool waited = false;
  bool key_asked = false;  ///< its key set was fetched again already
  bool finished = false;
  /// Whether its quote is of a trusted root. That is asked only when something is to be fetched that nobody holds.
  enum class Origin : std::uint8_t { good, unknown, asked, stranger } origin = Origin::good;
  unsigned rounds = 0;
  std::optional<Waiting::iterator> place{};  ///< among those that wait
};

/// Everything is at hand: what the collateral is to be made of.
struct Parts {
  std::vector<CopyPtr> copies;
  std::vector<attestation::CollateralProblem> problems;
  std::optional<std::int64_t> stale;
};
struct Pending {};
using Step = std::variant<Pending, Parts, base::Error>;

/// Writes that somebody waits for: all of them, or the first error. Shared with the store, which may outlast the wait.
struct Writes {
  std::mutex mutex{};
  std::condition_variable changed{};
  std::size_t pending = 0;
  std::optional<base::Error> failure{};

  static state::Store::Completion one_more(const std::shared_ptr<Writes>& writes);
  base::Status wait(const base::Clock& clock, base::Deadline deadline);
};

struct Vault::Impl {
  Fetcher* const fetcher;
  const attestation::Verifier& verifier;
  state::Store* const store;
  const VaultOptions options;
  const base::Clock& clock;
  crypto::Random& random;

  internal::NeedsMemo memo{};
  mutable std::mutex mutex{};
  std::condition_variable lane_wake{};
  std::condition_variable answer_wake{};
  std::condition_variable keeper_wake{};
  std::condition_variable settled{};  ///< a fetch ended
  std::condition_variable store_wake{};
  bool stopping = false;
  bool look_again = true;  ///< something changed that the keeper looks at
  std::map<attestation::Artefact, std::shared_ptr<Entry>> entries{};
  Ages bare{};  ///< entries without a copy: these go first
  Ages full{};
  std::size_t in_flight = 0;
  internal::HostGates gates;
  std::vector<std::shared_ptr<Entry>> queue{};  ///< jobs that do not run, the oldest first
  Waiting waiting{};
  std::list<std::pair<RequestPtr, Step>> answers{};
  /// Sets that were made of the same copies before, the last used last.
  struct Made {
    Shared set;
    std::uint64_t last_use = 0;
  };
  std::map<std::vector<std::uint64_t>, Made> made{};
  std::vector<Alarm> alarms{};
  std::move_only_function<void(const std::vector<Alarm>&)> alarm_listener{};
  VaultStats counters{};
  std::uint64_t uses = 0;
  std::uint64_t serials = 0;
  std::uint64_t orders = 0;
  /// Shared with completions, which the store may run after this object is gone.
  struct StoreErrors {
    base::Mutex mutex;
    std::uint64_t count ATTESTRY_GUARDED_BY(mutex) = 0;
    void add() {
      const base::MutexLock lock(mutex);
      ++count;
    }
    std::uint64_t get() {
      const base::MutexLock lock(mutex);
      return count;
    }
  };
  std::shared_ptr<StoreErrors> store_errors = std::make_shared<StoreErrors>();
  std::vector<std::thread> threads{};

  Impl(Fetcher* given, const attestation::Verifier& judge, state::Store* kept, const VaultOptions& wanted);
  void start();
  void stop();

  // Requests (vault.cpp).
  /// `quote`: whose PCK certificate must be of a trusted root for anything new to be fetched; null: no quote.
  void ask(std::vector<attestation::Needs> ways, bool whole_set, base::UtcTime now, base::Deadline deadline, Done done,
           const attestation::Evidence* quote);
  Given ask_and_wait(std::vector<attestation::Needs> ways, bool whole_set, base::UtcTime now, base::Deadline deadline,
                     const attestation::Evidence* quote);
  base::Result<Origin> origin_for(const Request& request, const attestation::Artefact& artefact) const;
  std::shared_ptr<Entry> entry_of(const attestation::Artefact& artefact);
  void place(Entry& entry);
  void drop(Entry& entry);
  bool make_room();
  Step evaluate(Request& request, const RequestPtr& shared);
  Step evaluate_way(Request& request, const RequestPtr& shared, const attestation::Needs& needs);
  bool prefer_held(Request& request);
  std::optional<base::Error> too_late(const Entry& entry, base::Deadline deadline) const;
  void leave(const RequestPtr& request);
  bool usable(const Entry& entry, base::UtcTime now) const;
  base::UtcTime usable_until(const Copy& copy) const;
  bool due(const Entry& entry) const;
  bool failed(const Entry& entry) const;
  std::optional<std::int64_t> stale_of(const Entry& entry) const;
  bool wants_other_key(Request& request, const std::shared_ptr<Entry>& entry, const attestation::Needs& needs);
  void answer(Lock& lock, const RequestPtr& request, Step step);
  base::Result<Shared> make_set(Lock& lock, const Request& request, const Parts& parts,
                                std::optional<attestation::Artefact>& spoilt);
  base::Status judge_set(const Request& request, const Parts& parts, const attestation::Collateral& set,
                         std::optional<attestation::Artefact>& spoilt) const;
  void finish(const RequestPtr& request, Given given);
  void wake_waiters(Entry& entry);

  // Fetching (vault_lanes.cpp).
  bool enqueue(const std::shared_ptr<Entry>& entry, const Origin& origin, bool asked);
  bool place_in_queue(const Origin& origin);
  std::shared_ptr<Entry> pick();
  bool ready_to_run(const std::shared_ptr<Entry>& entry);
  struct Context {
    Shared chain;  ///< null: not there (yet)
    std::optional<base::Error> failure{};
  };
  Context context_for(const Entry& entry);
  Context chain_of(const attestation::Artefact& artefact);
  void run_job(Lock& lock, const std::shared_ptr<Entry>& entry);
  void settle(const std::shared_ptr<Entry>& entry, base::Result<CopyPtr> outcome, const Trouble& trouble, bool refused);
  void settle_failure(Entry& entry, const base::Error& error, bool refused);
  void note_failed_refresh(Entry& entry) const;
  base::Result<CopyPtr> accept(const attestation::Artefact& artefact, Shared documents, Shared context,
                               std::string source, base::UtcTime fetched_at,
                               std::optional<base::UtcTime> refresh_at) const;
  base::UtcTime draw_refresh(const attestation::Artefact& artefact, const attestation::Accepted& accepted,
                             base::UtcTime fetched_at) const;
  bool publish(Entry& entry, CopyPtr copy);
  void lane();
  void answerer();
  void keeper();
  void keep(Lock& lock);
  void time_out();
  void refresh_due();
  void look_for_alarms(Lock& lock);

  // Storing (vault_store.cpp).
  void warm(const std::vector<attestation::Needs>& ways);
  void warm(const attestation::Artefact& artefact);
  bool may_be_stored(const Entry& entry) const;
  void look_up(const attestation::Artefact& artefact);
  struct Loaded {
    base::Result<CopyPtr> copy;  ///< null: there is none; an error: there may be one that cannot be used now
    std::optional<attestation::Accepted> newest{};
  };
  Loaded load(const attestation::Artefact& artefact);
  base::Result<CopyPtr> read_copy(const attestation::Artefact& artefact) const;
  void save(const attestation::Artefact& artefact, const Copy& copy, state::Store::Completion done = {}) const;
  Holding describe(const attestation::Artefact& artefact, const Copy& copy, const Entry* entry) const;
  Holding describe(const attestation::Artefact& artefact, const internal::Record& record) const;
  std::vector<Held> held_in_memory(const std::function<bool(const attestation::Artefact&)>& wanted) const;
  Shared given_context(const internal::Part& part, base::UtcTime now);
  Imported import_part(const internal::Part& part, const Provenance& from, base::UtcTime now,
                       const std::shared_ptr<Writes>& writes);

  // Minding the store (vault_collect.cpp).
  void store_keeper();
  bool pause_until(std::chrono::steady_clock::time_point until);
  bool load_all();
  void collect();
  void note_use(const attestation::Artefact& artefact) const;
  void note_uses(base::UtcTime now);
  void forget_unused(base::UtcTime since);
  bool collectable(const attestation::Artefact& artefact) const;
};

/// Somebody waits for its fetch.
inline bool awaited(const Entry& entry) { return !entry.waiters.empty() || (entry.job && entry.job->pinned > 0); }

/// The documents together with the chain that vouches for them.
Shared with_context(const attestation::Collateral& documents, const attestation::Collateral& context);

}  // namespace attestry::collateral
