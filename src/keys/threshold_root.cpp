#include "keys/threshold_root.h"

#include <algorithm>

#include "crypto/hash.h"

namespace attestry::keys {

using base::ByteView;
using base::Code;
using base::Deadline;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kResultBytes = 48;

bool is_outage(Code code) { return code == Code::unavailable || code == Code::deadline_exceeded; }

/// As whoever asked sees it: never what the nodes said to this server.
Error away(const Error& why) {
  return {Code::unavailable, "the threshold root did not answer", "a key derived by enough nodes", why.text(),
          why.remedy};
}

}  // namespace

Result<crypto::Secret> ThresholdRoot::app_root(const governance::Grant& grant, std::uint32_t epoch,
                                               Deadline deadline) const {
  TRY_OK(check_epoch(grant, epoch));
  return derived(app_root_info(grant.realm(), grant.tenant(), grant.app(), epoch), deadline);
}

Result<crypto::Secret> ThresholdRoot::legacy_master(std::string_view dialect, Deadline deadline) const {
  return derived(legacy_info(dialect), deadline);
}

Result<crypto::Secret> ThresholdRoot::account_key(const ckd::AccountPath& whose, Deadline deadline) const {
  TRY(const auto result, result_of(whose.app_id(), whose.bytes(), deadline));
  return ckd::application_key(*result);
}

Result<crypto::Secret> ThresholdRoot::derived(ByteView info, Deadline deadline) const {
  TRY(const auto result, result_of(info, {}, deadline));
  return derive_from(*result, info);
}

Result<ThresholdRoot::Result48> ThresholdRoot::result_of(ByteView app_id, ByteView said, Deadline deadline) const {
  const base::Digest32 name = crypto::sha256(app_id);
  Lock lock(mutex_);
  for (;;) {
    if (auto kept = kept_.find(name)) return kept;
    const auto other = flights_.find(name);
    if (other == flights_.end()) break;
    const auto flight = other->second;
    auto result = wait_for(lock, flight, deadline);
    // Whoever asked had no time left; who waited may have.
    if (result || !flight->cut || clock_.steady() >= deadline) return result;
  }
  TRY_OK(may_ask());
  const auto flight = std::make_shared<Flight>();
  flights_.emplace(name, flight);
  lock.unlock();
  const Deadline own = clock_.steady() + options_.patience;
  auto answer = ask(app_id, said, std::min(deadline, own));
  const bool cut = !answer && deadline < own && clock_.steady() >= deadline;
  lock.lock();
  land(lock, name, *flight, std::move(answer), cut, !said.empty());
  if (flight->result) return flight->result;
  return *flight->error;
}

Result<ThresholdRoot::Result48> ThresholdRoot::wait_for(Lock& lock, const std::shared_ptr<Flight>& flight,
                                                        Deadline deadline) const {
  if (!landed_.wait_until(lock, deadline, [&] { return flight->over; })) {
    return Error{Code::unavailable, "the threshold root did not answer in time"};
  }
  if (flight->result) return flight->result;
  return *flight->error;
}

/// While nodes hang, one request at a time learns it by waiting.
Status ThresholdRoot::may_ask() const {
  if (!outage_) return base::done();
  if (outage_->probed || clock_.steady() < outage_->until) return away(outage_->why);
  outage_->probed = true;
  return base::done();
}

Result<crypto::Secret> ThresholdRoot::ask(ByteView app_id, ByteView said, Deadline deadline) const {
  auto answer = source_.derive(app_id, said, deadline);
  if (!answer || answer->size() == kResultBytes) return answer;
  return Error{Code::internal, "result of a confidential key derivation", "48 bytes", std::to_string(answer->size())};
}

void ThresholdRoot::land(Lock& lock, const base::Digest32& name, Flight& flight, Result<crypto::Secret> answer,
                         bool cut, bool one_account) const {
  if (answer) {
    flight.result = std::make_shared<const crypto::Secret>(std::move(*answer));
    // What accounts' keys are derived of is kept by who asked, or forgotten there for a reason.
    if (!one_account) kept_.put(name, flight.result);
    note(lock, base::done(), false);
  } else {
    // Nodes that refuse one account have answered: the rest is not kept from asking. Whether they refuse this server
    // itself, check() finds.
    note(lock, answer.error(), cut || (one_account && !is_outage(answer.error().code)));
    flight.error = away(answer.error());
  }
  flight.cut = cut;
  flight.over = true;
  flights_.erase(name);
  landed_.notify_all();
}

/// With the lock, so that what is told last is how things are.
void ThresholdRoot::note(Lock& /*lock*/, const Status& status, bool cut) const {
  if (cut) {
    if (outage_) outage_->probed = false;
    return;
  }
  const bool news =
      status.ok() ? outage_.has_value() || !answered_ : !outage_ || outage_->why.text() != status.error().text();
  outage_.reset();
  answered_ = answered_ || status.ok();
  if (!status.ok()) outage_ = Outage{.why = status.error(), .until = clock_.steady() + options_.rest};
  if (news && options_.on_change) options_.on_change(status);
}

bool ThresholdRoot::answers() const {
  const Lock lock(mutex_);
  return answered_ && !outage_;
}

Status ThresholdRoot::check(Deadline deadline) const {
  const Deadline own = clock_.steady() + options_.patience;
  const auto answer = ask(legacy_info(kProbeDialect), {}, std::min(deadline, own));
  Lock lock(mutex_);
  if (answer) {
    note(lock, base::done(), false);
    return base::done();
  }
  note(lock, answer.error(), deadline < own && clock_.steady() >= deadline);
  return away(answer.error());
}

}  // namespace attestry::keys
