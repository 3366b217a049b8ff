// The chain that a tracker writes its reputations on: what the settings say of it, and what is made of that.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "api/fair_lane.h"
#include "api/tracker_contract.h"
#include "app/service.h"
#include "app/settings.h"
#include "attestation/binding.h"
#include "chain/quorum.h"
#include "chain/transaction.h"
#include "net/client.h"
#include "tracker/publication.h"
#include "tracker/recollection.h"
#include "tracker/reputation_contract.h"

namespace attestry::app {

std::span<const SettingInfo> tracker_chain_setting_infos() noexcept;

struct TrackerChainSettings {
  chain::QuorumOptions chain{};  ///< no endpoints: there is no chain
  std::string ca{};              ///< file
  chain::Address factory{};      ///< zeros: none
  chain::Address reputation{};   ///< zeros: what /contract/init makes
  std::string account{};         ///< "root" or a file
};
/// Appends every mistake; what is returned is good only without any. Reads the files that the settings name, makes and
/// asks nothing.
TrackerChainSettings read_tracker_chain_settings(const Settings& settings, std::vector<base::Error>& mistakes);

/// What a running tracker has of it; the parts outlive it. Not thread-safe but for what deps() refers to.
class TrackerChain {
 public:
  /// `attester`: of the tracker's TEE; null: its account has no evidence. It and the ledger outlive this.
  static base::Result<std::unique_ptr<TrackerChain>> open(const TrackerChainSettings& said,
                                                          attestation::Attester* attester,
                                                          const tracker::Ledger& ledger, const ServiceParts& parts);
  TrackerChain(const TrackerChain&) = delete;
  TrackerChain& operator=(const TrackerChain&) = delete;

  const api::TrackerContractDeps& deps() const noexcept { return *deps_; }
  tracker::Recollection& recollection() noexcept { return *recollection_; }
  /// Waits for what is under way.
  void stop() {
    strangers_.stop();
    lane_.stop();
    if (recollection_) recollection_->stop();
  }

 private:
  explicit TrackerChain(curves::Secp256k1PrivateKey key) : key_(std::move(key)) {}

  static constexpr std::size_t kThreads = 4;
  static constexpr std::size_t kWaiting = 64;
  /// Who has no token takes as much of the endpoints as two questions at a time do.
  static constexpr api::FairLaneOptions kStrangers{
      .threads = 2, .threads_of_one = 1, .waiting = 64, .waiting_of_one = 8, .share_places = true};

  const curves::Secp256k1PrivateKey key_;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<chain::QuorumReader> reader_;
  std::vector<std::unique_ptr<chain::Endpoint>> endpoints_;
  std::unique_ptr<chain::Sender> sender_;
  std::unique_ptr<tracker::ReputationChain> chain_;
  std::unique_ptr<tracker::Publisher> publisher_;
  std::unique_ptr<tracker::Recollection> recollection_;
  api::SlowLane lane_{kThreads, kWaiting};
  api::FairLane strangers_{kStrangers};
  std::unique_ptr<api::TrackerContractDeps> deps_;
};

}  // namespace attestry::app
