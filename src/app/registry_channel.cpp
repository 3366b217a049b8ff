#include "app/registry_channel.h"

#include <algorithm>
#include <chrono>

#include "app/validate.h"
#include "base/encoding.h"
#include "base/log.h"
#include "net/address.h"
#include "net/peer.h"
#include "provision/registry_identity.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::chrono::seconds kOneCall{60};
constexpr std::chrono::seconds kFirstRest{1};
constexpr std::chrono::seconds kLongestRest{30};

Result<base::Digest32> pinned_key(const Settings& settings) {
  base::Digest32 out{};
  TRY_OK(base::hex_decode_into(settings.text("registry.channel_key"), out), named(settings, "registry.channel_key"));
  return out;
}

}  // namespace

Result<std::unique_ptr<ChannelService>> ChannelService::open(const Settings& settings, ChannelParts parts) {
  const std::string& peer = settings.text("registry.channel_peer");
  const bool listens = !settings.text("registry.channel_listen").empty();
  const bool receives = parts.received != nullptr && (parts.contract != nullptr || !peer.empty());
  if (!listens && !receives) return std::unique_ptr<ChannelService>{};
  TRY(const auto chain_id, settings.integer("registry.chain_id", 1, INT64_MAX));
  const provision::ChannelEndDeps end{.appraiser = parts.appraiser,
                                      .attester = parts.attester,
                                      .policy = parts.policy,
                                      .realm = parts.store.realm(),
                                      .clock = parts.clock};
  const provision::ChannelGovernance governance{.contract = parts.contract,
                                                .approvals = &parts.approvals,
                                                .policies = &parts.policies,
                                                .tenant = parts.tenant,
                                                .chain_id = static_cast<std::uint64_t>(chain_id),
                                                .extended = settings.text("registry.identity") == "extended"};
  std::unique_ptr<ChannelService> out{new ChannelService()};
  if (listens) {
    TRY_OK(provision::firmware_is_covered(end.policy, governance.extended), named(settings, "registry.channel_listen"));
    out->giver_ =
        std::make_unique<provision::ChannelGiver>(provision::ChannelGiverDeps{.store = parts.store,
                                                                              .log = parts.log,
                                                                              .master = parts.master,
                                                                              .random = crypto::system_random(),
                                                                              .end = end,
                                                                              .governance = governance});
    TRY_OK(out->listen(settings));
  }
  if (!receives) return out;
  TRY(out->calls_, net::PeerStop::make());
  provision::ChannelReceiverDeps deps{
      .master = *parts.received, .end = end, .governance = governance, .stop = out->calls_, .key_sha256 = {}};
  if (parts.contract == nullptr) {
    TRY_OK(provision::firmware_is_covered(end.policy, governance.extended), named(settings, "registry.channel_peer"));
    TRY(deps.key_sha256, pinned_key(settings));
  }
  out->receiver_ = std::make_unique<provision::ChannelReceiver>(std::move(deps));
  if (parts.contract == nullptr && !parts.received->has())
    out->caller_ = std::thread([service = out.get(), peer] { service->keep_calling(peer); });
  return out;
}

Status ChannelService::listen(const Settings& settings) {
  channel::ServerOptions options;
  options.address = settings.text("registry.channel_listen");
  options.end = [giver = giver_.get()] { return giver->end(); };
  options.serve = [giver = giver_.get()](channel::Session session, base::Deadline deadline) {
    giver->serve(std::move(session), deadline);
  };
  TRY(server_, channel::Server::start(std::move(options)), named(settings, "registry.channel_listen"));
  const auto key = giver_->own_key();
  base::log(base::LogLevel::info, "other servers may ask for the master here",
            {{"channel", server_->address()}, {"key", key ? base::hex(*key) : "not there yet"}});
  return base::done();
}

ChannelService::~ChannelService() { stop(); }

void ChannelService::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (calls_) calls_->stop();
  if (server_) server_->stop();
  if (caller_.joinable()) caller_.join();
}

bool ChannelService::rest(std::chrono::seconds time) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, time, [this] { return stopping_; });
}

/// A refusal may end, too: operators approve a new server's software when it is already waiting.
void ChannelService::keep_calling(const std::string& peer) {
  auto pause = kFirstRest;
  do {
    const auto fetched = receiver_->fetch(peer, {}, std::chrono::steady_clock::now() + kOneCall);
    if (fetched || fetched.error().code == Code::conflict) return;
    base::log(base::LogLevel::warning, "no master key from registry.channel_peer yet",
              {{"peer", peer}, {"reason", fetched.error().text()}, {"again_in", std::to_string(pause.count()) + " s"}});
    const auto now = pause;
    pause = std::min(pause * 2, kLongestRest);
    if (!rest(now)) return;
  } while (true);
}

namespace {

/// What is wrong with the settings of the channel, each mistake for itself.
class ChannelCheck {
 public:
  ChannelCheck(const Settings& settings, std::vector<Error>& mistakes) : settings_(settings), mistakes_(mistakes) {}

  bool listens() const { return !text("listen").empty(); }
  bool calls() const { return !text("peer").empty(); }

  void look_at_listener() {
    if (!net::is_socket_address(text("listen"))) {
      wrong("listen", "", "127.0.0.1:9443 or [::1]:0", text("listen"),
            "Give a numeric IP address and a port; names are not resolved.");
    }
    if (!contract() && settings_.text("registry.governance") != "local") {
      wrong("listen", " needs somebody who says which servers may have the master",
            "registry.kms_contract, or registry.governance local", "neither");
    }
  }
  void look_at_peer() {
    if (!net::is_peer_address(text("peer"))) wrong("peer", "", "HOST:PORT or [::1]:PORT", text("peer"));
    if (contract()) {
      wrong("peer", " is for servers without a contract", "no registry.kms_contract",
            settings_.text("registry.kms_contract"),
            "With one an operator starts it: attestry kms onboard --channel HOST:PORT.");
    }
    if (settings_.text("registry.kms") != "onboard") {
      wrong("peer", " gives a master that this server does not take", "registry.kms onboard",
            settings_.text("registry.kms"));
    }
  }
  void look_at_key() {
    const bool has_key = !text("key").empty();
    if (has_key != calls()) {
      wrong(calls() ? "key" : "peer", " needs the other one", "registry.channel_peer and registry.channel_key",
            calls() ? "registry.channel_peer alone" : "registry.channel_key alone");
    }
    if (!has_key) return;
    if (const auto key = pinned_key(settings_); !key) {
      wrong("key", "", "64 hex digits, as the giving server says them at its start", text("key"));
    }
  }
  /// What both ends need, for the first of them that is set.
  void look_at_evidence(const attestation::Policy* policy) {
    const std::string_view which = listens() ? "listen" : "peer";
    if (settings_.text("registry.listen").empty() && settings_.text("registry.proxy_listen").empty()) {
      wrong(which, " needs a registry", "registry.listen or registry.proxy_listen", "neither");
    }
    if (settings_.text("registry.attestation") == "none")
      wrong(which, " needs evidence of this server", "registry.attestation", "none");
    if (policy == nullptr) return;
    auto covered = provision::firmware_is_covered(*policy, settings_.text("registry.identity") == "extended");
    if (covered) return;
    Error error = std::move(covered).error();
    wrong(which, ": " + error.what, error.expected, error.found, error.remedy);
  }

 private:
  static std::string full(std::string_view name) { return "registry.channel_" + std::string{name}; }
  const std::string& text(std::string_view name) const { return settings_.text(full(name)); }
  bool contract() const { return !settings_.text("registry.kms_contract").empty(); }
  void wrong(std::string_view name, std::string what, std::string expected, std::string found,
             std::string remedy = {}) {
    mistakes_.push_back(Error{Code::configuration, named(settings_, full(name)) + std::move(what), std::move(expected),
                              std::move(found), std::move(remedy)});
  }

  const Settings& settings_;
  std::vector<Error>& mistakes_;
};

}  // namespace

void check_channel(const Settings& settings, const attestation::Policy* policy, std::vector<Error>& mistakes) {
  ChannelCheck check{settings, mistakes};
  if (check.listens()) check.look_at_listener();
  if (check.calls()) check.look_at_peer();
  check.look_at_key();
  if (check.listens() || check.calls()) check.look_at_evidence(policy);
}

}  // namespace attestry::app
