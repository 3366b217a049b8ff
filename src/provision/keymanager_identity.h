// Who a workload of a key manager is: by the evidence in its TLS certificate, as a process of this machine, or by an
// address that an operator has approved (docs/how-to/run-a-key-manager.md). Names that DNS gives are no identity.
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
#include "net/http.h"

namespace attestry::provision {

/// 1 to 253 letters, digits, '.', '-' and '_'; not "unknown", which the first key manager called everybody whose name
/// it could not find, and no name under which signatures of the known generations say more (keys/keymanager_dialects).
base::Status check_workload_name(std::string_view name);

/// By what a workload was recognised, the strongest first.
enum class KeyManagerVoucher : std::uint8_t { evidence, process, source, reverse_dns };
std::string_view to_text(KeyManagerVoucher voucher) noexcept;

struct KeyManagerWorkload {
  std::string name;
  KeyManagerVoucher voucher = KeyManagerVoucher::source;
};

/// Networks of workloads, the narrowest first.
class KeyManagerSources {
 public:
  /// "10.42.0.7=web", "fd00::/64=batch". `malformed` for anything else, `conflict` for a network that is there.
  base::Status add(std::string_view text);
  /// `address` with its port, as net::Peer has it. Null: nobody's.
  const std::string* find(std::string_view address) const;
  bool empty() const noexcept { return networks_.empty(); }

 private:
  struct Network {
    base::FixedBytes<16> prefix{};
    unsigned bits = 0;
    std::string workload;
  };
  std::vector<Network> networks_;
};

/// Processes by their user.
class KeyManagerProcesses {
 public:
  /// "1000=web". Errors as KeyManagerSources::add.
  base::Status add(std::string_view text);
  /// Null: nobody's.
  const std::string* find(std::uint32_t uid) const;

 private:
  std::map<std::uint32_t, std::string> users_;
};

struct KeyManagerIdentityOptions {
  KeyManagerSources sources{};
  KeyManagerProcesses processes{};
  /// Whose identities are workloads by their names; nullopt: evidence is refused.
  std::optional<attestation::Policy> policy{};
  base::Realm realm = base::Realm::production;
  /// How long a certificate whose evidence was verified is believed without another look, at most.
  std::chrono::seconds believed{300};
  /// The first key manager's rule, for who has switched it on: the name that DNS has for an address (without port).
  std::function<base::Result<std::string>(const std::string& address)> reverse_dns{};
};

/// Thread-safe.
class KeyManagerIdentities {
 public:
  using Done = std::move_only_function<void(base::Result<KeyManagerWorkload>)>;

  /// Both outlive it.
  KeyManagerIdentities(KeyManagerIdentityOptions options, const appraisal::Appraiser& appraiser,
                       const base::Clock& clock)
      : options_(std::move(options)), appraiser_(appraiser), clock_(clock) {}

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
  base::Result<KeyManagerWorkload> judge(const Work& work, base::Result<appraisal::Examined> examined) const;
  void keep(const base::Digest32& certificate, const Known& known) const;

  const KeyManagerIdentityOptions options_;
  const appraisal::Appraiser& appraiser_;
  const base::Clock& clock_;
  mutable base::Mutex mutex_;
  mutable std::map<base::Digest32, Known> known_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::provision
