#include "keys/received_master.h"

#include "base/log.h"
#include "state/keys.h"

namespace attestry::keys {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::uint8_t kRecordVersion = 1;  ///< epoch 0
constexpr std::uint8_t kEpochRecordVersion = 2;
constexpr std::size_t kMasterBytes = 32;
constexpr std::size_t kMaxBlob = 256;
constexpr std::string_view kPurpose = "registry master";

state::Key record_key() { return state::Key(state::Space::keys, SealedMaster::tenant()).lp("registry master"); }

}  // namespace

Result<std::optional<SealedMaster::Record>> SealedMaster::record(const state::ReadView& view) const {
  TRY(const auto stored, view.get(record_key()));
  if (!stored) return std::optional<Record>{};
  const bool later = !stored->empty() && stored->front() == kEpochRecordVersion;
  TRY(auto in, state::open_value(*stored, later ? kEpochRecordVersion : kRecordVersion, kPurpose));
  Record out;
  if (later) {
    TRY(out.epoch, in.u32be("epoch"));
  }
  TRY(const auto blob, in.lp("master", kMaxBlob));
  out.blob = base::to_bytes(blob);
  return std::optional{std::move(out)};
}

Result<state::SealedValues> SealedMaster::values(const state::ReadView& view, std::uint32_t epoch) const {
  if (epoch == 0) {
    TRY_OK(epochs_.readable(view, tenant(), 0));
    return state::SealedValues::create(first_.clone(), random_);
  }
  TRY(auto key, epochs_.key(view, tenant(), epoch, kPurpose));
  return state::SealedValues::create(std::move(key), random_);
}

Result<crypto::Secret> SealedMaster::open(const state::ReadView& view, const Record& record) const {
  TRY(const auto sealed, values(view, record.epoch), kPurpose);
  return sealed.open(record_key().bytes(), record.blob);
}

Result<std::optional<crypto::Secret>> SealedMaster::read(const state::ReadView& view) const {
  TRY(const auto found, record(view));
  if (!found) return std::optional<crypto::Secret>{};
  TRY(auto opened, open(view, *found));
  return std::optional{std::move(opened)};
}

Status SealedMaster::put(state::WriteTxn& txn, const crypto::Secret& master) const {
  TRY(const auto now, epochs_.state(txn, tenant()));
  TRY(const auto sealed, values(txn, now.current));
  TRY(const auto blob, sealed.seal(record_key().bytes(), master.reveal()));
  auto value = state::value(now.current == 0 ? kRecordVersion : kEpochRecordVersion);
  if (now.current != 0) value.u32(now.current);
  return txn.put(record_key(), value.lp(blob).bytes());
}

Status SealedMaster::insert(state::WriteTxn& txn, const crypto::Secret& master) const {
  TRY(const auto before, txn.get(record_key()));
  if (before) return Error{Code::conflict, "this server has a master key already"};
  return put(txn, master);
}

Result<bool> SealedMaster::reseal(state::WriteTxn& txn) const {
  TRY(const auto now, epochs_.state(txn, tenant()));
  const auto found = record(txn);
  if (found && (!*found || (*found)->epoch == now.current)) return false;
  const auto master = found ? open(txn, **found) : Result<crypto::Secret>(found.error());
  if (!master) {
    // It must not keep the rest from being sealed anew: retire() will count it.
    base::log(base::LogLevel::error, "the registry's master cannot be sealed anew",
              {{"reason", master.error().text()}});
    return false;
  }
  TRY_OK(put(txn, *master));
  return true;
}

Result<bool> SealedMaster::older_than(const state::ReadView& view, std::uint32_t epoch) const {
  TRY(const auto found, record(view));
  return found && found->epoch < epoch;
}

Result<std::unique_ptr<ReceivedMaster>> ReceivedMaster::open(state::Store& store, const SealedMaster& sealed) {
  std::unique_ptr<ReceivedMaster> out{new ReceivedMaster(store, sealed)};
  TRY(auto kept, out->stored());
  const base::MutexLock lock(out->mutex_);
  out->master_ = std::move(kept);
  return out;
}

Result<std::optional<crypto::Secret>> ReceivedMaster::stored() const {
  TRY(const auto view, store_.read());
  return sealed_.read(*view);
}

Result<crypto::Secret> ReceivedMaster::master() const {
  const base::MutexLock lock(mutex_);
  if (master_) return crypto::Secret::copy_of(master_->reveal());
  return Error{Code::unavailable,
               "this server has no master key yet",
               "an operator who brings one",
               {},
               "attestry kms generate or attestry kms onboard"};
}

bool ReceivedMaster::has() const {
  const base::MutexLock lock(mutex_);
  return master_.has_value();
}

Status ReceivedMaster::set(crypto::Secret master, base::Deadline deadline) {
  if (master.size() != kMasterBytes) {
    return Error{Code::malformed, "master key", "32 bytes", std::to_string(master.size())};
  }
  auto written = store_.write_and_wait([&](state::WriteTxn& txn) { return sealed_.insert(txn, master); }, deadline);
  // A write that failed may be there nevertheless (state/store.h): what is stored is what counts.
  if (!written) {
    TRY(auto kept, stored());
    if (kept && crypto::equal_constant_time(kept->reveal(), master.reveal())) written = base::done();
    const base::MutexLock lock(mutex_);
    if (kept) master_ = *std::move(kept);
    return written;
  }
  const base::MutexLock lock(mutex_);
  master_ = std::move(master);
  return base::done();
}

}  // namespace attestry::keys
