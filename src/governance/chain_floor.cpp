#include "governance/chain_floor.h"

#include "base/log.h"
#include "state/keys.h"

namespace attestry::governance {

using base::Result;
using base::Status;
using chain::BlockRef;

namespace {

constexpr std::uint8_t kVersion = 1;

state::Key key_of(std::uint64_t chain_id) { return state::Key(state::Space::chain_floor).u64(chain_id); }

Result<std::optional<BlockRef>> read_floor(const state::ReadView& view, std::uint64_t chain_id) {
  TRY(const auto bytes, view.get(key_of(chain_id)));
  if (!bytes) return std::optional<BlockRef>{};
  TRY(auto reader, state::open_value(*bytes, kVersion, "newest block that was seen"));
  BlockRef out;
  TRY(out.number, reader.u64be("number"));
  TRY(out.hash, reader.take_array<32>("hash"));
  TRY(const std::uint64_t time, reader.u64be("time"));
  out.time.seconds = static_cast<std::int64_t>(time);
  TRY_OK(reader.finish("newest block that was seen"));
  return std::optional{out};
}

Status put_floor(state::WriteTxn& txn, std::uint64_t chain_id, const BlockRef& block) {
  TRY(const auto before, read_floor(txn, chain_id));
  if (before && before->number >= block.number) return base::done();
  auto record = state::value(kVersion);
  record.u64(block.number);
  record.raw(block.hash);
  record.u64(static_cast<std::uint64_t>(block.time.seconds));
  return txn.put(key_of(chain_id), record.bytes());
}

}  // namespace

Result<std::optional<BlockRef>> ChainFloor::stored() const {
  TRY(const auto view, state_->store.read());
  return read_floor(*view, state_->chain_id);
}

Status ChainFloor::forget(base::Deadline deadline) {
  return state_->store.write_and_wait(
      [chain_id = state_->chain_id](state::WriteTxn& txn) { return txn.erase(key_of(chain_id)); }, deadline);
}

void ChainFloor::saw(const BlockRef& block) {
  {
    const base::MutexLock lock(state_->mutex);
    state_->next = block;
    if (state_->writing) return;
    state_->writing = true;
  }
  write_next(state_);
}

void ChainFloor::write_next(const std::shared_ptr<State>& state) {
  BlockRef block;
  {
    const base::MutexLock lock(state->mutex);
    if (!state->next) {
      state->writing = false;
      return;
    }
    block = *state->next;
    state->next.reset();
  }
  state->store.write(
      [block, chain_id = state->chain_id](state::WriteTxn& txn) { return put_floor(txn, chain_id, block); },
      [state](const Status& status) {
        if (!status) base::log(base::LogLevel::warning, "chain.floor_not_kept", {{"error", status.error().text()}});
        write_next(state);
      });
}

}  // namespace attestry::governance
