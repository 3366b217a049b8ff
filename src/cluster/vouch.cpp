#include "cluster/vouch.h"

#include "base/encoding.h"
#include "cluster/at_once.h"

namespace attestry::cluster {

using base::Code;
using base::Error;

base::Status vouch(const Plan& plan, std::uint32_t self, ChannelPeers& peers) {
  const auto seen = at_once<base::Done>(plan.members.size(), [&](std::size_t i) -> base::Status {
    const Member& member = plan.members[i];
    ChannelPeer* peer = peers.channel(member);
    if (peer == nullptr) return base::done();  // this node
    TRY(const auto offer, peer->offer(plan.cluster, plan.session));
    if (offer.member == member.id && offer.session == plan.session && offer.box_key == member.box_key) {
      return base::done();
    }
    return Error{
        Code::evidence_false, "box key of node " + std::to_string(member.id), base::hex(offer.box_key),
        base::hex(member.box_key),
        "whoever leads has put another key into the plan: say the change at another node, and look at that one"};
  });
  for (std::size_t i = 0; i < seen.size(); ++i) {
    TRY_OK(seen[i], "node " + std::to_string(self) + " asks node " + std::to_string(plan.members[i].id) +
                        " itself before it deals");
  }
  return base::done();
}

}  // namespace attestry::cluster
