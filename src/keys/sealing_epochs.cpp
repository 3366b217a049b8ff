#include "keys/sealing_epochs.h"

#include "base/encoding.h"
#include "crypto/hash.h"
#include "state/keys.h"
#include "state/scan.h"
#include "state/sealed.h"

namespace attestry::keys {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kMaxTenants = 1'000'000;
constexpr std::size_t kMaxCursor = 4096;
constexpr std::size_t kMaxWrapped = 256;

Key state_key(const base::Tenant& tenant) { return Key(Space::rotation, tenant).lp("sealing"); }
Key key_record(const base::Tenant& tenant, std::uint32_t epoch) {
  return Key(Space::keys, tenant).lp("sealing epoch").u64(epoch);
}

Result<SealingState> decode(base::ByteView stored) {
  SealingState out;
  TRY(auto in, state::open_value(stored, kVersion, "sealing epochs"));
  TRY([[maybe_unused]] const auto tenant, in.lp("tenant", 256));
  TRY(out.current, in.u32be("current"));
  TRY(out.oldest, in.u32be("oldest"));
  TRY(const auto phase, in.u8("phase"));
  if (phase > static_cast<std::uint8_t>(SealingPhase::erasing))
    return Error{Code::corrupt, "sealing epochs: phase", "0 to 3", std::to_string(phase)};
  out.phase = static_cast<SealingPhase>(phase);
  TRY(out.values, in.u64be("values"));
  TRY(out.files, in.u64be("files"));
  TRY(const auto since, in.u64be("since"));
  out.since = {static_cast<std::int64_t>(since)};
  TRY(const auto cursor, in.lp("cursor", kMaxCursor));
  out.cursor = base::to_bytes(cursor);
  TRY_OK(in.finish("sealing epochs"));
  return out;
}

Error busy(const SealingState& state) {
  return {Code::conflict, "the last change of the tenant's sealing keys is not done yet", "settled",
          std::string{to_text(state.phase)}, "`attestry sealing status` shows how far it is; it goes on by itself."};
}

}  // namespace

std::string_view to_text(SealingPhase phase) noexcept {
  switch (phase) {
    case SealingPhase::settled:
      return "settled";
    case SealingPhase::values:
      return "values";
    case SealingPhase::files:
      return "files";
    case SealingPhase::erasing:
      return "erasing";
  }
  return "unknown";
}

Result<SealingState> SealingEpochs::state(const state::ReadView& view, const base::Tenant& tenant) const {
  TRY(const auto stored, view.get(state_key(tenant)));
  if (!stored) return SealingState{};
  return decode(*stored);
}

Result<SealingState> SealingEpochs::state(const base::Tenant& tenant) const {
  TRY(const auto view, store_.read());
  return state(*view, tenant);
}

Status SealingEpochs::readable(const state::ReadView& view, const base::Tenant& tenant, std::uint32_t epoch) const {
  TRY(const auto now, state(view, tenant));
  if (epoch >= now.oldest) return base::done();
  return Error{Code::denied, "it was sealed in a retired epoch", std::to_string(now.oldest) + " or later",
               std::to_string(epoch)};
}

Result<crypto::Secret> SealingEpochs::key(const state::ReadView& view, const base::Tenant& tenant, std::uint32_t epoch,
                                          std::string_view purpose) const {
  TRY_OK(readable(view, tenant, epoch));
  const Key record = key_record(tenant, epoch);
  TRY(const auto stored, view.get(record));
  if (!stored) {
    return Error{Code::corrupt,
                 "the key of a sealing epoch is not stored",
                 {},
                 std::to_string(epoch),
                 "Restore the store from a backup."};
  }
  TRY(auto in, state::open_value(*stored, kVersion, "sealing key"));
  TRY(const auto wrapped, in.lp("wrapped", kMaxWrapped));
  TRY(const auto wrapper, state::SealedValues::create(wrapping_.clone(), random_));
  TRY(const auto key, wrapper.open(record, wrapped), "the key of sealing epoch " + std::to_string(epoch));
  base::LpWriter info;
  info.lp("sealing").lp(purpose);
  return crypto::hkdf_expand_sha256(key.reveal(), info.bytes(), kKeyBytes);
}

Result<crypto::Secret> SealingEpochs::key(const base::Tenant& tenant, std::uint32_t epoch,
                                          std::string_view purpose) const {
  TRY(const auto view, store_.read());
  return key(*view, tenant, epoch, purpose);
}

Result<std::vector<base::Tenant>> SealingEpochs::unsettled() const {
  TRY(const auto view, store_.read());
  std::vector<base::Tenant> out;
  const std::uint8_t space = static_cast<std::uint8_t>(Space::rotation);
  TRY_OK(state::scan_each(*view, base::ByteView{&space, 1}, kMaxTenants,
                          [&](base::ByteView, base::ByteView value) -> Status {
                            TRY(const auto state, decode(value));
                            if (state.phase == SealingPhase::settled) return base::done();
                            TRY(auto in, state::open_value(value, kVersion, "sealing epochs"));
                            TRY(const auto name, in.lp("tenant", 256));
                            TRY(auto tenant, base::Tenant::parse(base::as_text(name)));
                            out.push_back(std::move(tenant));
                            return base::done();
                          }));
  return out;
}

Result<SealingState> SealingEpochs::begin(state::WriteTxn& txn, const base::Tenant& tenant, base::UtcTime now) const {
  TRY(auto next, state(txn, tenant));
  if (next.phase != SealingPhase::settled) return busy(next);
  next = {.current = next.current + 1, .oldest = next.oldest, .phase = SealingPhase::values, .since = now};
  const Key record = key_record(tenant, next.current);
  TRY(const auto wrapper, state::SealedValues::create(wrapping_.clone(), random_));
  const auto fresh = random_.secret(kKeyBytes);
  TRY(const auto wrapped, wrapper.seal(record, fresh.reveal()));
  TRY_OK(txn.insert(record, state::value(kVersion).lp(wrapped).bytes()));
  TRY_OK(keep(txn, tenant, next));
  return next;
}

Result<SealingState> SealingEpochs::retire(state::WriteTxn& txn, const base::Tenant& tenant) const {
  TRY(auto next, state(txn, tenant));
  if (next.phase != SealingPhase::settled) return busy(next);
  for (std::uint32_t epoch = next.oldest; epoch < next.current; ++epoch) {
    TRY_OK(txn.erase(key_record(tenant, epoch)));
  }
  next.oldest = next.current;
  next.phase = SealingPhase::erasing;
  TRY_OK(keep(txn, tenant, next));
  return next;
}

Status SealingEpochs::keep(state::WriteTxn& txn, const base::Tenant& tenant, const SealingState& state) const {
  auto value = state::value(kVersion);
  value.lp(tenant.text()).u32(state.current).u32(state.oldest).u8(static_cast<std::uint8_t>(state.phase));
  value.u64(state.values).u64(state.files).u64(static_cast<std::uint64_t>(state.since.seconds)).lp(state.cursor);
  return txn.put(state_key(tenant), value.bytes());
}

}  // namespace attestry::keys
