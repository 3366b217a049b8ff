// What the experiments of `attestry tracker bench` run against: trackers as processes of their own, members with keys,
// and a TEE.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "app/dev_vendors.h"
#include "attestation/binding.h"
#include "attestation/verdict.h"
#include "attestation/verifier.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "base/time.h"
#include "collateral/pcs.h"
#include "curves/bls_signature.h"
#include "forge/attester.h"
#include "forge/pki.h"
#include "net/client.h"
#include "tee/dstack_agent.h"
#include "tracker/attested.h"
#include "tracker/receipt.h"

namespace attestry::app {

/// A tracker over HTTP: this program as `attestry dev` in a process and a folder of its own, which end with it, or one
/// that runs already. Not thread-safe but for its const functions.
class BenchTracker {
 public:
  struct Spec {
    bool tee = false;
    std::string dstack{};  ///< socket of its guest agent; empty: the forge stands in
  };
  /// Errors: `io`, `unavailable` with what the process said.
  static base::Result<std::unique_ptr<BenchTracker>> start(const Spec& spec);
  static std::unique_ptr<BenchTracker> running(std::string url);
  ~BenchTracker();
  BenchTracker(const BenchTracker&) = delete;
  BenchTracker& operator=(const BenchTracker&) = delete;

  /// Without a slash at its end.
  const std::string& url() const noexcept { return url_; }
  bool own() const noexcept { return pid_ > 0; }
  /// What its simulated vendors are made of; empty for a tracker that is not ours.
  const std::string& seed() const noexcept { return seed_; }
  /// User and system time of its process so far; NaN for a tracker that is not ours.
  double cpu_ms() const;
  /// Resident, in MiB, likewise.
  double memory_mib() const;

 private:
  BenchTracker() = default;
  base::Status launch(const Spec& spec);
  base::Status wait_until_ready();

  std::string url_;
  std::string seed_;
  std::string folder_;
  pid_t pid_ = -1;
  int output_ = -1;
};

/// A TEE: quotes, keys, and what its quotes are verified with. Not thread-safe.
class BenchTee {
 public:
  /// The forge, whose PKI comes of `seed`.
  static base::Result<std::unique_ptr<BenchTee>> forged(std::string_view seed, const base::Clock& clock);
  /// `pcs`: where the collateral of its quotes is, empty: Intel's.
  static base::Result<std::unique_ptr<BenchTee>> dstack(const std::string& socket, const std::string& pcs,
                                                        const base::Clock& clock);

  /// For the results: what it is, and what it is not.
  const std::string& says() const noexcept { return says_; }
  bool simulated() const noexcept { return pki_ != nullptr; }
  const tracker::KeySource& keys() const noexcept { return keys_; }
  base::Result<base::Bytes> quote(std::string_view payload);
  /// A new verifier, and collateral that is fetched: what the first quote costs.
  struct Warm {
    std::unique_ptr<attestation::Verifier> verifier{};
    std::shared_ptr<const attestation::Collateral> collateral{};
  };
  base::Result<Warm> fetch(base::ByteView quote);
  /// `evidence_false` or `denied` when it is not genuine, or not over the payload.
  base::Status verify(const Warm& warm, const base::Bytes& quote, std::string_view payload) const;

 private:
  explicit BenchTee(const base::Clock& clock) : clock_(clock) {}

  const base::Clock& clock_;
  std::string says_;
  std::string pcs_url_;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<forge::ForgePki> pki_;
  std::unique_ptr<forge::ForgeAttester> forged_;
  std::unique_ptr<DevVendors> vendors_;
  std::unique_ptr<tee::DstackAgent> agent_;
  attestation::Attester* attester_ = nullptr;
  tracker::KeySource keys_;
};

/// A pair of keys, and what a client with them says.
class BenchMember {
 public:
  explicit BenchMember(std::string name);
  const std::string& name() const noexcept { return name_; }
  const curves::bls::SigningKey& key() const noexcept { return key_; }
  const curves::bls::PublicKey& public_key() const noexcept { return public_; }
  /// Body of /register at that tracker.
  base::JsonOutObject registration(const tracker::InstanceId& instance) const;
  /// That `sender` gave this member piece `index`, of `size` bytes with that hash; now.
  tracker::Receipt receipt(const BenchMember& sender, std::uint32_t index, std::uint32_t size, base::ByteView hash,
                           std::uint64_t now) const;

 private:
  std::string name_;
  curves::bls::SigningKey key_;
  curves::bls::PublicKey public_;
};

/// As /report takes it.
base::JsonOut json_of(const tracker::Receipt& receipt);

}  // namespace attestry::app
