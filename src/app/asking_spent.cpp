#include "app/asking_spent.h"

#include <memory>
#include <string>
#include <utility>

namespace attestry::app {

void AskingSpent::claim(const tracker::InstanceId& owner, std::vector<tracker::SpentClaim> claims, Answer answer) {
  // Shared: a task that is refused has taken the answer with it.
  auto shared = std::make_shared<Answer>(std::move(answer));
  api::FairLane::Task task = [this, owner, shared, claims = std::move(claims)]() mutable {
    asked_.claim(owner, std::move(claims), std::move(*shared));
  };
  if (lane_.run({}, task)) return;
  (*shared)(base::Error{base::Code::unavailable, "claims of receipts",
                        "at most " + std::to_string(kMostWaiting) + " that wait for the authority", "as many",
                        "Report again later: nothing was credited."});
}

}  // namespace attestry::app
