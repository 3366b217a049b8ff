// Who deals has itself asked everybody who is to get a share: whoever leads a change is not believed.
#pragma once
#include <cstdint>

#include "base/result.h"
#include "cluster/channel_peers.h"
#include "cluster/node.h"

namespace attestry::cluster {

/// Asks each member of the plan, at its address and in a session of this node's own: it must show evidence that this
/// node accepts, and say that the box key of the plan, to which this node's value for it is encrypted, is its own.
/// Members that stay, too: a signing key lies on each disk that was ever stolen, and no refresh changes it. All at the
/// same time; waits as long as `peers` have patience. `self`: this node's id, whose keys in the plan Node looks at.
/// Error: that of the first member that is not there, or is another one, by its name.
base::Status vouch(const Plan& plan, std::uint32_t self, ChannelPeers& peers);

}  // namespace attestry::cluster
