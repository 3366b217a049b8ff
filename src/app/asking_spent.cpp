#include "app/asking_spent.h"

#include <memory>
#include <string>
#include <utility>

namespace attestry::app {

namespace {

/// What ends it without an answer says that nothing is known.
struct Waiting {
  explicit Waiting(tracker::SpentAuthority::Answer answers) : answer(std::move(answers)) {}
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() {
    if (!answer) return;
    answer(base::Error{base::Code::unavailable, "claims of receipts", "a place among those that wait for the authority",
                       "others have them", "Report again later: nothing was credited."});
  }
  tracker::SpentAuthority::Answer answer;
};

}  // namespace

void AskingSpent::claim(const tracker::InstanceId& owner, std::vector<tracker::SpentClaim> claims,
                        std::string_view customer, Answer answer) {
  const auto waiting = std::make_shared<Waiting>(std::move(answer));
  const base::Deadline until = clock_.steady() + kPatience;
  api::FairLane::Task task = [this, owner, waiting, until, claims = std::move(claims),
                              whose = std::string{customer}]() mutable {
    if (clock_.steady() > until) return;
    asked_.claim(owner, std::move(claims), whose, std::exchange(waiting->answer, nullptr));
  };
  lane_.run(customer, task);
}

}  // namespace attestry::app
