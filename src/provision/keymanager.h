// A key manager of the dstack family: what it has of the master of each epoch, whether the contract lets it use it, and
// what it gives for it (docs/how-to/run-a-key-manager.md, docs/formats/keymanager.md).
//
//   nothing -> bootstrap -> waits for the contract's owner -> member
//   nothing -> register  -> waits for a member's sealed box -> waits for the contract -> member
//
// Nobody is a member but by the contract: it names the master by its address (xPub), and says who may have it. When it
// begins another epoch, the server has to join again. Without a contract (simulated realm only) a server that was
// bootstrapped is the one member there is.
#pragma once
#include <chrono>
#include <condition_variable>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "appraisal/appraiser.h"
#include "attestation/binding.h"
#include "attestation/policy.h"
#include "audit/log.h"
#include "base/mutex.h"
#include "provision/keymanager_chain.h"
#include "provision/keymanager_identity.h"
#include "provision/keymanager_records.h"
#include "state/store.h"

namespace attestry::provision {

/// Whose byte forms are spoken: ours, or one of the two known generations'.
enum class KeyManagerDialect : std::uint8_t { native, keymanager, dstack_vm };

struct KeyManagerOptions {
  KeyManagerDialect dialect = KeyManagerDialect::native;
  keys::KeyManagerContract contract{};
  attestation::Policy policy = attestation::Policy::standard();  ///< newcomers satisfy it besides the contract's lists
  /// MRTD covers a machine's firmware and nothing that it boots. Off: the policy names identities.
  bool mrtd_suffices = false;
  /// A machine in the contract's list has three registers and a root file system that nobody measures: neither its
  /// kernel nor the command line (RTMR1, RTMR2). Off: as with MRTD.
  bool machine_suffices = false;
  std::chrono::milliseconds look{1000};  ///< how often the contract is read
  std::chrono::seconds believed{30};     ///< how long what it said counts when it cannot be read
  std::int64_t attestation_seconds = 3600;
  /// What the contract is read to say cannot be taken back. Off: masters that were not put in force are kept, because
  /// another history of the chain may put them in force yet.
  bool final_blocks = true;
};

struct KeyManagerDeps {
  state::Store& store;
  audit::Log& log;
  const appraisal::Appraiser& appraiser;
  attestation::Attester* attester = nullptr;  ///< null: without a contract only
  chain::ChainReader* reader = nullptr;       ///< null: no contract
  const KeyManagerRecords& records;
  crypto::Random& random;
  const base::Clock& clock;
};

/// A master that signs and derives. Immutable.
struct KeyManagerMaster {
  std::uint32_t epoch = 0;
  crypto::Secret master;
  curves::Secp256k1PrivateKey signer;  ///< ours: the attest key; known generations: the master itself
  curves::Address address{};           ///< the signer's
  bool joined = false;
};

/// What a workload gets, with the place of its leaf in the log and the key of what the leaf commits to.
struct KeyManagerLeaf {
  std::uint64_t index = 0;
  crypto::Secret key;
};
struct KeyManagerKey {
  crypto::Secret key;
  std::uint32_t epoch = 0;
  KeyManagerLeaf leaf{};
};
struct KeyManagerSigned {
  base::Digest32 digest{};
  base::FixedBytes<65> vrs{}, rsv{};
};
struct KeyManagerAttested {
  curves::Address signer{};
  std::uint32_t epoch = 0;
  std::uint64_t expires = 0;                ///< of `bound`
  std::optional<KeyManagerSigned> bound{};  ///< EIP-712: verifyBound()
  KeyManagerSigned plain{};  ///< first generation: verify(string,…); of a tag: verify(bytes32,bytes) of the second
  std::optional<KeyManagerSigned> emitted{};  ///< as the first service wrote it; no contract verifies it
  base::Digest32 app_data{};                  ///< of a tag: what the contract is given
  KeyManagerLeaf leaf{};
};

struct KeyManagerKeyRequest {
  std::string purpose = "sealing";  ///< ours; the second generation's tag
  std::uint32_t epoch = 0;          ///< 0: the present one
};

struct KeyManagerBootstrap {
  std::uint32_t epoch = 0;
  curves::Address address{};
  base::Bytes evidence{};
  base::FixedBytes<64> report_data{};
  std::optional<base::FixedBytes<65>> rotation{};  ///< for `rotate`, from the second epoch on
};
struct KeyManagerRegistration {
  std::uint32_t epoch = 0;
  curves::Address member{};
  curves::BoxPublicKey box_key{};
  base::Bytes evidence{};
  base::Digest32 evidence_sha256{};
  base::FixedBytes<64> report_data{};
  std::optional<base::FixedBytes<65>> join{};  ///< for the payer that was named
};
struct KeyManagerResignation {
  std::uint32_t epoch = 0;
  curves::Address member{};
  base::FixedBytes<65> signature{};
};
struct KeyManagerNewcomer {
  KeyManagerPeer peer;  ///< box_key always, address unless of the first generation
  base::Bytes evidence;
  std::optional<base::Digest32> rootfs{};  ///< for the list of whole machines
};
struct KeyManagerOnboarded {
  std::uint32_t epoch = 0;
  base::FixedBytes<16> fmspc{};
  base::Digest32 measurement{};
  base::Bytes box{};
  base::FixedBytes<65> signature{};  ///< vrs, for `onboard`
};

/// Where a server stands, for people: no secret.
struct KeyManagerStanding {
  std::string
      state;  ///< "not-joined", "bootstrapped", "registered", "joined", "member", "frozen", "sent-away", "cut-off"
  bool member = false;
  std::uint32_t epoch = 0;                                       ///< the contract's
  std::optional<curves::Address> xpub{}, pending{}, newcomer{};  ///< the last two: of what waits, and of its request
  std::optional<std::uint64_t> block{};
  std::vector<std::uint32_t> epochs{};  ///< of which it has the master
  std::optional<curves::BoxPublicKey> box_key{};
  base::Bytes bootstrap_evidence{}, join_evidence{};  ///< while they wait; empty: none
};

/// The `what` of the error that refuses a newcomer because of the contract's lists: a known generation has words for
/// it.
inline constexpr std::string_view kNotListed = "the contract does not list the newcomer's measurement";

/// Thread-safe. The destructor ends its thread.
class KeyManager {
 public:
  template <class T>
  using Done = std::move_only_function<void(base::Result<T>)>;

  /// Reads what is kept; asks nothing. All that the deps refer to outlives it.
  static base::Result<std::unique_ptr<KeyManager>> open(KeyManagerDeps deps, KeyManagerOptions options);
  ~KeyManager();
  KeyManager(const KeyManager&) = delete;
  KeyManager& operator=(const KeyManager&) = delete;
  void stop();

  const KeyManagerOptions& options() const noexcept { return options_; }
  KeyManagerStanding standing() const;
  /// Why it is no member now, as `unavailable` (it may become one) or `denied` (the contract does not want it).
  base::Status ready() const;

  // For workloads: `done` runs on this thread, or on the committer's once the leaf is durable. No chain is asked.

  void key(const KeyManagerWorkload& workload, const KeyManagerKeyRequest& request, Done<KeyManagerKey> done) const;
  /// `app_data_hex`: 64 digits, whose letters the first service's form hashes as they are.
  void attest(const KeyManagerWorkload& workload, std::string_view purpose, std::string_view app_data_hex,
              Done<KeyManagerAttested> done) const;
  void attest_tag(const KeyManagerWorkload& workload, std::string_view tag, base::ByteView data,
                  Done<KeyManagerAttested> done) const;

  // For the host: these wait for the chain, the TEE and the store, so not on a worker of the server.

  /// A new master, the same until the contract's owner has decided. `conflict` when a master is in force, unless
  /// `rotate`.
  base::Result<KeyManagerBootstrap> bootstrap(bool rotate, base::Deadline deadline);
  /// Keys and evidence to join with, the same for a whole epoch. `conflict` when this server has the master.
  base::Result<KeyManagerRegistration> registration(const std::optional<curves::Address>& payer,
                                                    base::Deadline deadline);
  /// The same for who is known by its X25519 key alone. In the known generations' dialects the evidence has the
  /// replicatoor's form; ours names contract and epoch, so a native member helps native newcomers only.
  base::Result<KeyManagerRegistration> replica_request(base::Deadline deadline);
  /// This server's signature over that it goes (vrs), for `resign`. `conflict` when it asked for no key of the epoch.
  base::Result<KeyManagerResignation> resignation(base::Deadline deadline);
  /// What a member has sealed to this server's key: kept only when its address is the contract's xPub.
  base::Result<std::uint32_t> accept(base::ByteView box, base::Deadline deadline);
  /// Seals the master to a newcomer whose evidence was verified here, whom the contract knows as one who asked, and
  /// whose measurement and platform it lists. `done` on this thread or on the committer's.
  void onboard(const KeyManagerNewcomer& newcomer, base::Deadline deadline, Done<KeyManagerOnboarded> done);
  /// Reads the contract now.
  base::Status refresh(base::Deadline deadline);

 private:
  using Master = std::shared_ptr<const KeyManagerMaster>;
  using Released = std::move_only_function<void(const base::Status&, std::uint64_t leaf)>;
  struct State;
  struct Pending;
  struct Own;
  struct Checked;
  KeyManager(KeyManagerDeps deps, KeyManagerOptions options);

  std::shared_ptr<const State> state() const;
  template <class F>
  void change(F&& edit);
  base::Result<Master> present() const;
  base::Result<Master> present_in(const State& now) const;
  base::Result<Master> make(std::uint32_t epoch, const crypto::Secret& master, bool joined) const;
  base::Result<KeyManagerSaid> read_contract(base::Deadline deadline);
  base::Status promote(const KeyManagerSaid& said, base::Deadline deadline);
  base::Status settle(std::uint32_t epoch, const KeyManagerSaid& said, base::Deadline deadline);
  base::Result<std::uint32_t> next_epoch(bool rotate, base::Deadline deadline);
  base::Result<base::Bytes> evidence_for(const base::FixedBytes<64>& report_data) const;
  base::FixedBytes<64> bootstrap_report_data(std::uint32_t epoch, const curves::Address& address) const;
  base::FixedBytes<64> newcomer_report_data(std::uint32_t epoch, const KeyManagerPeer& peer) const;
  base::Result<KeyManagerBootstrap> described(const Pending& pending) const;
  base::Result<std::shared_ptr<const State>> with_request(base::Deadline deadline);
  base::Result<Checked> check_newcomer(const KeyManagerNewcomer& newcomer, base::Deadline deadline);
  base::Result<KeyManagerOnboarded> seal_to(const KeyManagerNewcomer& newcomer, const Checked& checked) const;
  audit::Leaf leaf(std::string_view type, std::uint32_t epoch) const;
  void release(const Master& master, audit::Leaf leaf, std::optional<KeyManagerApproval> approval, Released done) const;
  void work();

  KeyManagerDeps deps_;
  const KeyManagerOptions options_;
  const KeyManagerRecords& records_;
  std::optional<KeyManagerChain> chain_;
  mutable base::Mutex mutex_;
  std::shared_ptr<const State> state_ ATTESTRY_GUARDED_BY(mutex_);
  base::Mutex host_;  ///< one change of what is kept at a time
  base::Mutex wake_mutex_;
  std::condition_variable_any wake_;
  bool stopping_ ATTESTRY_GUARDED_BY(wake_mutex_) = false;
  std::thread thread_;
};

}  // namespace attestry::provision
