#include "keys/received_master.h"

#include "state/keys.h"

namespace attestry::keys {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::uint8_t kRecordVersion = 1;
constexpr std::size_t kMasterBytes = 32;

state::Key record_key() { return state::Key(state::Space::keys, base::Tenant::standard()).lp("registry master"); }

}  // namespace

Result<std::unique_ptr<ReceivedMaster>> ReceivedMaster::open(state::Store& store, crypto::Secret sealing,
                                                             crypto::Random& random) {
  TRY(auto sealed, state::SealedValues::create(std::move(sealing), random));
  std::unique_ptr<ReceivedMaster> out{new ReceivedMaster(store, std::move(sealed))};
  TRY(const auto view, store.read());
  TRY(const auto stored, view->get(record_key()));
  if (!stored) return out;
  TRY(auto in, state::open_value(*stored, kRecordVersion, "registry master"));
  TRY(const auto blob, in.lp("master", 256));
  auto opened = out->sealed_.open(record_key().bytes(), blob);
  if (!opened) return std::move(opened).error();
  const base::MutexLock lock(out->mutex_);
  out->master_ = *std::move(opened);
  return out;
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
  TRY(const auto blob, sealed_.seal(record_key().bytes(), master.reveal()));
  TRY_OK(store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(const auto before, txn.get(record_key()));
        if (before) return Error{Code::conflict, "this server has a master key already"};
        auto record = state::value(kRecordVersion);
        record.lp(blob);
        return txn.put(record_key(), record.bytes());
      },
      deadline));
  const base::MutexLock lock(mutex_);
  master_ = std::move(master);
  return base::done();
}

}  // namespace attestry::keys
