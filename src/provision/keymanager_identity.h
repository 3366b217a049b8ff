// Who a workload of a key manager is: by the evidence in its TLS certificate, judged by a file or by what operators
// have approved for an app, as a process of this machine, or by an address that an operator has named
// (docs/how-to/run-a-key-manager.md). Names that DNS gives are no identity.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "appraisal/appraiser.h"
#include "attestation/policy.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "governance/registry.h"
#include "net/http.h"

namespace attestry::provision {

/// 1 to 253 letters, digits, '.', '-' and '_'; not "unknown", which the first key manager called everybody whose name
/// it could not find, and no name under which signatures of the known generations say more (keys/keymanager_dialects).
base::Status check_workload_name(std::string_view name);

/// NAME of name:NAME.
std::string workload_of(const base::AppRef& app);

/// By what a workload was recognised, the strongest first.
enum class KeyManagerVoucher : std::uint8_t { evidence, approval, process, source, reverse_dns };
std::string_view to_text(KeyManagerVoucher voucher) noexcept;

/// Which state of an app's approvals let a workload in. Whatever changes it ends that: the evidence is looked at again.
struct KeyManagerApproval {
  base::Tenant tenant = base::Tenant::standard();
  base::AppRef app;
  std::uint64_t version = 0;                  ///< of the app (governance::AppState)
  std::optional<std::uint64_t> references{};  ///< of the tenant's sets and lists, where the policy looks into them
  base::Digest32 policy{};                    ///< SHA-256 of the effective policy
};

struct KeyManagerWorkload {
  std::string name;
  KeyManagerVoucher voucher = KeyManagerVoucher::source;
  std::optional<KeyManagerApproval> approval{};  ///< of Voucher::approval
};

/// Networks of workloads, the narrowest first.
class KeyManagerSources {
 public:
  /// "10.42.0.7=web", "fd00::/64=batch". `malformed` for anything else, `conflict` for a network that is there.
  base::Status add(std::string_view text);
  /// `address` with its port, as net::Peer has it. Null: nobody's.
  const std::string* find(std::string_view address) const;
  bool empty() const noexcept { return networks_.empty(); }
  std::vector<std::string> names() const;

 private:
  struct Network {
    base::FixedBytes<16> prefix{};
    unsigned bits = 0;
    std::string workload;
  };
  std::vector<Network> networks_;
};

/// Processes by their user, or by their primary group.
class KeyManagerProcesses {
 public:
  /// "1000=web", "gid:1000=web". Errors as KeyManagerSources::add.
  base::Status add(std::string_view text);
  /// The user counts before the group. Null: nobody's.
  const std::string* find(std::uint32_t uid, std::optional<std::uint32_t> gid) const;
  std::vector<std::string> names() const;

 private:
  std::map<std::uint32_t, std::string> users_, groups_;
};

struct KeyManagerIdentityOptions {
  KeyManagerSources sources{};
  KeyManagerProcesses processes{};
  /// Whose identities are workloads by their names; nullopt: evidence is refused.
  std::optional<attestation::Policy> policy{};
  /// Apps of the standard tenant whose approved software is a workload, by the name in name:NAME.
  std::vector<base::AppRef> apps{};
  base::Realm realm = base::Realm::production;
  /// How long a certificate whose evidence was verified is believed without another look, at most.
  std::chrono::seconds believed{300};
  /// The first key manager's rule, for who has switched it on: the name that DNS has for an address (without port).
  std::function<base::Result<std::string>(const std::string& address)> reverse_dns{};
};

/// Whether no name that the options know begins with another of them: only then does a signature for a name alone
/// speak for one workload (api/keymanager_public). `conflict` with both.
base::Status check_names_apart(const KeyManagerIdentityOptions& options);

/// Thread-safe.
class KeyManagerIdentities {
 public:
  using Done = std::move_only_function<void(base::Result<KeyManagerWorkload>)>;

  /// All outlive it.
  KeyManagerIdentities(KeyManagerIdentityOptions options, const appraisal::Appraiser& appraiser,
                       const governance::Registry& registry, const base::Clock& clock)
      : options_(std::move(options)), appraiser_(appraiser), registry_(registry), clock_(clock) {}

  /// What can be said without waiting; nullopt: ask find(). A connection that has shown good evidence, a process and
  /// an approved address cost a look into a table.
  std::optional<base::Result<KeyManagerWorkload>> at_hand(const net::Peer& peer) const;
  /// May block (the old rule asks DNS). `done` on this thread or on one of the collateral source's. `unauthenticated`
  /// when nothing says who it is; whoever brings evidence is judged by it alone.
  void find(const net::Peer& peer, base::Deadline deadline, Done done) const;

 private:
  struct Known {
    KeyManagerWorkload workload;
    base::UtcTime until{};
  };
  struct Work;
  base::Result<KeyManagerWorkload> by_reverse_dns(const net::Peer& peer) const;
  base::Result<KeyManagerWorkload> by_approval(const Work& work, const attestation::Verdict& verdict) const;
  bool still_approved(const KeyManagerApproval& approval) const;
  base::Result<KeyManagerWorkload> judge(const Work& work, base::Result<appraisal::Examined> examined) const;
  void keep(const base::Digest32& certificate, const Known& known) const;

  const KeyManagerIdentityOptions options_;
  const appraisal::Appraiser& appraiser_;
  const governance::Registry& registry_;
  const base::Clock& clock_;
  mutable base::Mutex mutex_;
  mutable std::map<base::Digest32, Known> known_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::provision
