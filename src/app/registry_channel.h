// Attested sessions of a registry's key servers: who listens to give its master, and who calls to get one
// (docs/how-to/add-a-second-server.md, "By a channel").
#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "app/settings.h"
#include "channel/server.h"
#include "provision/registry_channel.h"

namespace attestry::app {

/// All outlives the ChannelService.
struct ChannelParts {
  state::Store& store;
  audit::Log& log;
  const appraisal::Appraiser& appraiser;
  attestation::Attester* attester = nullptr;
  const keys::RegistryMaster& master;
  keys::ReceivedMaster* received = nullptr;     ///< of kms "onboard": the same master
  governance::KmsContract* contract = nullptr;  ///< of the key service, where there is one
  governance::ContractAuthority& approvals;     ///< otherwise
  const governance::Registry& policies;         ///< for one that the contract names
  const attestation::Policy& policy;
  base::Tenant tenant;
  const base::Clock& clock;
};

class ChannelService {
 public:
  /// Null when the settings ask for none of it.
  static base::Result<std::unique_ptr<ChannelService>> open(const Settings& settings, ChannelParts parts);
  ~ChannelService();
  ChannelService(const ChannelService&) = delete;
  ChannelService& operator=(const ChannelService&) = delete;

  /// With a contract: fetches the master when the operator asks for it. Null when this server has another source.
  provision::ChannelReceiver* receiver() noexcept { return receiver_.get(); }
  /// "127.0.0.1:9443"; empty when it does not listen.
  std::string address() const { return server_ ? server_->address() : std::string{}; }
  void stop();

 private:
  ChannelService() = default;
  base::Status listen(const Settings& settings);
  /// Calls the peer until this server has its master.
  void keep_calling(const std::string& peer);
  bool rest(std::chrono::seconds time);

  std::unique_ptr<provision::ChannelGiver> giver_;
  std::unique_ptr<provision::ChannelReceiver> receiver_;
  std::unique_ptr<channel::Server> server_;
  std::shared_ptr<net::PeerStop> calls_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread caller_;
};

/// Appends every mistake of its settings. `policy`: what registry.policy names; null when it cannot be read.
void check_channel(const Settings& settings, const attestation::Policy* policy, std::vector<base::Error>& mistakes);

}  // namespace attestry::app
