// What the files of the transit engine share. Private to them.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api/vault_wire.h"
#include "secrets/transit.h"

namespace attestry::api {

/// What a request goes to.
struct TransitTarget {
  CallPtr call;
  secrets::Mount mount;
  std::string name;
  secrets::TransitPlace place() const { return {*call->space, mount, name}; }
  std::string subject(std::uint32_t version) const {
    return call->space->path + "/" + mount.path + "/" + name + "#" + std::to_string(version);
  }
};
using TransitTargetPtr = std::shared_ptr<const TransitTarget>;

/// How often something is computed anew because the key was changed meanwhile.
inline constexpr int kTransitTries = 4;

net::Response transit_data(const VaultCall& call, base::JsonOutObject object);
/// Runs `work` on the lane where it takes long (secrets::cost_of), else here.
void transit_run(const CallPtr& call, std::size_t cost, FairLane::Task work);

/// Makes the key that the body asks for. `then` runs on the lane in the place of an answer.
void create_transit_key(const TransitTargetPtr& target, std::function<void()> then);

void serve_transit_keys(const TransitTargetPtr& target, std::string_view action);
void export_transit_key(const TransitTargetPtr& target, std::string_view kind, std::string_view version);
void back_up_transit_key(const TransitTargetPtr& target);
/// `name` empty: that of the backup.
void restore_transit_key(const CallPtr& call, const secrets::Mount& mount, const std::string& name);

}  // namespace attestry::api
