#include "cluster/large_messages.h"

#include <algorithm>

namespace attestry::cluster {

using base::Code;
using base::Error;
using base::Result;

Result<LargeMessages::Permit> LargeMessages::wait(const base::FixedBytes<32>& sender, bool is_member,
                                                  base::Deadline deadline) {
  const auto free = [&] {
    const auto same = std::ranges::count_if(held_, [&](const Holder& one) { return one.is_member == is_member; });
    const bool has_one = std::ranges::any_of(held_, [&](const Holder& one) { return *one.sender == sender; });
    return !has_one && static_cast<std::size_t>(same) < (is_member ? kOfMembers : kOfOthers);
  };
  std::unique_lock lock(mutex_);
  if (!given_back_.wait_until(lock, deadline, free)) {
    return Error{Code::unavailable, "a message of more than 1 MiB", "one of few at a time", "too many others"};
  }
  Permit out{new base::FixedBytes<32>(sender), GiveBack{this}};
  held_.push_back({.sender = out.get(), .is_member = is_member});
  return out;
}

void LargeMessages::GiveBack::operator()(const base::FixedBytes<32>* sender) const noexcept {
  {
    const std::scoped_lock lock(from->mutex_);
    std::erase_if(from->held_, [&](const Holder& one) { return one.sender == sender; });
  }
  from->given_back_.notify_all();
  delete sender;
}

}  // namespace attestry::cluster
