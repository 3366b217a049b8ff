#include "provision/sealing_rotation.h"

#include <algorithm>
#include <iterator>

#include "base/log.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using keys::SealingPhase;
using keys::SealingState;

namespace {

constexpr std::size_t kValuesPerStep = 16;
constexpr std::size_t kFilesPerStep = 4;
constexpr std::chrono::seconds kPatience{60};
constexpr std::chrono::milliseconds kAfterFailure{1000};
constexpr std::chrono::hours kIdle{24};

base::Deadline soon() { return std::chrono::steady_clock::now() + kPatience; }

Error still_needed(std::uint64_t values, std::uint64_t files) {
  return {Code::conflict, "an older epoch's key is still needed", "nothing that is sealed under it",
          std::to_string(values) + " values and " + std::to_string(files) + " files",
          "What was damaged or put back from a backup cannot be sealed anew by itself: the server's log names it. "
          "Remove it, or rotate again, and then retire."};
}

}  // namespace

SealingRotation::SealingRotation(SealingRotationDeps deps)
    : deps_(std::move(deps)), epochs_(deps_.secrets.epochs()), thread_([this] { work(); }) {}

SealingRotation::~SealingRotation() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void SealingRotation::add(std::shared_ptr<const keys::Resealed> more) {
  const std::lock_guard lock(mutex_);
  others_.push_back(std::move(more));
}

std::vector<std::shared_ptr<const keys::Resealed>> SealingRotation::others() const {
  const std::lock_guard lock(mutex_);
  return others_;
}

void SealingRotation::wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  wake_.notify_all();
}

/// False when it is time to stop.
bool SealingRotation::rest(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, most, [this] { return stopping_; });
  return !stopping_;
}

void SealingRotation::work() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kIdle, [this] { return stopping_ || woken_; });
      if (stopping_) return;
      woken_ = false;
    }
    for (;;) {
      const auto tenants = epochs_.unsettled();
      if (tenants && tenants->empty()) break;
      Status done = tenants ? base::done() : Status{tenants.error()};
      for (std::size_t i = 0; tenants && i < tenants->size(); ++i) {
        // Before the step, so that whoever looks sees each phase.
        if (!rest(deps_.pause)) return;
        // The trouble of one tenant is not that of the others.
        if (auto one = step((*tenants)[i]); !one) done = std::move(one);
      }
      if (done) continue;
      base::log(base::LogLevel::error, "sealing anew has to wait", {{"reason", done.error().text()}});
      if (!rest(kAfterFailure)) return;
    }
  }
}

Status SealingRotation::step(const base::Tenant& tenant) {
  TRY(const auto state, epochs_.state(tenant));
  switch (state.phase) {
    case SealingPhase::settled:
      return base::done();
    case SealingPhase::values:
      return reseal_values(tenant);
    case SealingPhase::files:
      return reseal_files(tenant, state);
    case SealingPhase::erasing:
      return erase(tenant);
  }
  return base::done();
}

Status SealingRotation::reseal_values(const base::Tenant& tenant) {
  return deps_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(auto state, epochs_.state(txn, tenant));
        if (state.phase != SealingPhase::values) return base::done();
        TRY(auto done, deps_.secrets.reseal(txn, tenant, state.cursor, kValuesPerStep));
        state.values += done.values;
        state.cursor = std::move(done.cursor);
        if (done.finished) {
          if (tenant == keys::SealedMaster::tenant()) {
            TRY(const bool master, deps_.master.reseal(txn));
            state.values += master ? 1 : 0;
          }
          for (const auto& other : others()) {
            TRY(const auto resealed, other->reseal(txn, tenant));
            state.values += resealed;
          }
          state.phase = SealingPhase::files;
          state.cursor.clear();
        }
        return epochs_.keep(txn, tenant, state);
      },
      soon());
}

/// What comes after the state's cursor. What is stored after the list was made is sealed in the current epoch.
Result<std::deque<std::string>*> SealingRotation::pending(const base::Tenant& tenant, const SealingState& state) {
  auto& now = pending_[tenant.text()];
  if (now.epoch != state.current || now.cursor != state.cursor || state.cursor.empty()) {
    TRY(auto files, blobs::files_of(deps_.files, tenant, std::string{base::as_text(state.cursor)}));
    now = {.epoch = state.current,
           .cursor = state.cursor,
           .files = {std::make_move_iterator(files.begin()), std::make_move_iterator(files.end())}};
  }
  return &now.files;
}

Status SealingRotation::reseal_files(const base::Tenant& tenant, const SealingState& state) {
  TRY(auto* const files, pending(tenant, state));
  const auto few = static_cast<std::ptrdiff_t>(std::min(kFilesPerStep, files->size()));
  const std::vector<std::string> step{files->begin(), files->begin() + few};
  // Outside of the transaction: a file that is sealed anew twice is none the worse.
  TRY(const auto done, blobs::reseal_files(deps_.files, tenant, deps_.sealer, state.current, step));
  files->erase(files->begin(), files->begin() + few);
  const bool finished = files->empty();
  const auto cursor = step.empty() ? state.cursor : base::to_bytes(step.back());
  if (finished) {
    pending_.erase(tenant.text());
  } else {
    pending_[tenant.text()].cursor = cursor;
  }
  return deps_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(auto now, epochs_.state(txn, tenant));
        if (now.phase != SealingPhase::files) return base::done();
        now.files += done;
        now.cursor = cursor;
        return finished ? settle(txn, tenant, std::move(now), "sealing-settled") : epochs_.keep(txn, tenant, now);
      },
      soon());
}

Status SealingRotation::erase(const base::Tenant& tenant) {
  TRY(const auto state, epochs_.state(tenant));
  TRY_OK(blobs::drop_cached(deps_.cache, tenant, state.oldest));
  TRY_OK(blobs::erase_tenant_key(deps_.first_keys, tenant));
  deps_.sealer.forget(tenant);
  return deps_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(auto now, epochs_.state(txn, tenant));
        if (now.phase != SealingPhase::erasing) return base::done();
        return settle(txn, tenant, std::move(now), "sealing-erased");
      },
      soon());
}

Status SealingRotation::settle(state::WriteTxn& txn, const base::Tenant& tenant, SealingState state,
                               std::string_view what) {
  state.phase = SealingPhase::settled;
  state.cursor.clear();
  TRY_OK(epochs_.keep(txn, tenant, state));
  return leaf(txn, tenant, what, state);
}

Status SealingRotation::leaf(state::WriteTxn& txn, const base::Tenant& tenant, std::string_view what,
                             const SealingState& state) {
  audit::Leaf leaf;
  leaf.type = what;
  leaf.realm = deps_.store.realm();
  leaf.audience = deps_.log.origin();
  leaf.tenant = tenant;
  leaf.time = deps_.store.now();
  leaf.epoch = state.current;
  TRY([[maybe_unused]] const auto index, deps_.log.append(txn, leaf));
  base::log(base::LogLevel::info, "sealing keys of a tenant",
            {{"what", std::string{what}}, {"tenant", tenant.text()}, {"epoch", std::to_string(state.current)}});
  return base::done();
}

Result<std::uint64_t> SealingRotation::values_older_than(const state::ReadView& view, const base::Tenant& tenant,
                                                         std::uint32_t epoch) const {
  TRY(std::uint64_t out, deps_.secrets.older_than(view, tenant, epoch));
  for (const auto& other : others()) {
    TRY(const auto more, other->older_than(view, tenant, epoch));
    out += more;
  }
  if (tenant != keys::SealedMaster::tenant()) return out;
  TRY(const bool master, deps_.master.older_than(view, epoch));
  return out + (master ? 1 : 0);
}

Result<SealingProgress> SealingRotation::progress(const base::Tenant& tenant) const {
  SealingProgress out;
  {
    TRY(const auto view, deps_.store.read());
    TRY(out.state, epochs_.state(*view, tenant));
    TRY(out.values_left, values_older_than(*view, tenant, out.state.current));
  }
  TRY(out.files_left, blobs::files_older_than(deps_.files, tenant, out.state.current));
  return out;
}

/// After a change that is committed: that what is left cannot be counted now does not undo it.
Result<SealingProgress> SealingRotation::progress_after(const base::Tenant& tenant) const {
  auto out = progress(tenant);
  if (out) return out;
  base::log(base::LogLevel::warning, "what is left to seal anew cannot be counted",
            {{"tenant", tenant.text()}, {"reason", out.error().text()}});
  TRY(const auto state, epochs_.state(tenant));
  return SealingProgress{.state = state, .values_left = 0, .files_left = 0};
}

Result<SealingProgress> SealingRotation::rotate(const base::Tenant& tenant, base::Deadline deadline) {
  TRY_OK(deps_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(const auto state, epochs_.begin(txn, tenant, deps_.store.now()));
        return leaf(txn, tenant, "sealing-rotation", state);
      },
      deadline));
  wake();
  return progress_after(tenant);
}

Result<SealingProgress> SealingRotation::retire(const base::Tenant& tenant, base::Deadline deadline) {
  TRY(const auto before, epochs_.state(tenant));
  TRY(const auto files, blobs::files_older_than(deps_.files, tenant, before.current));
  TRY_OK(deps_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(const auto now, epochs_.state(txn, tenant));
        if (now.current != before.current) return Error{Code::conflict, "another change came between; try again"};
        if (now.phase == SealingPhase::settled && now.oldest == now.current) {
          return Error{Code::conflict,
                       "there is no older epoch to retire",
                       {},
                       std::to_string(now.current),
                       "`attestry sealing rotate` begins a new one."};
        }
        TRY(const auto values, values_older_than(txn, tenant, now.current));
        if (now.phase == SealingPhase::settled && values + files != 0) return still_needed(values, files);
        TRY(const auto state, epochs_.retire(txn, tenant));
        TRY_OK(deps_.secrets.erase_first_key(txn, tenant));
        return leaf(txn, tenant, "sealing-retirement", state);
      },
      deadline));
  wake();
  return progress_after(tenant);
}

}  // namespace attestry::provision
