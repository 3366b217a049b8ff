#include "secrets/keystore_masters_records.h"

#include <vector>

#include "base/log.h"
#include "state/scan.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMaxBlob = 1024;
constexpr std::size_t kMaxRecords = 1'000'000;
constexpr std::string_view kWhat = "keystore";
constexpr std::string_view kPurpose = "keystore masters";

struct Record {
  std::uint32_t epoch = 0;
  bool device = false;
  base::Bytes blob;
};

Result<Record> decode(base::ByteView stored) {
  Record out;
  TRY(auto in, state::open_value(stored, kVersion, kWhat));
  TRY(out.epoch, in.u32be("sealing epoch"));
  TRY(const auto device, in.u8("device"));
  if (device > 1) return Error{Code::corrupt, "keystore: device", "0 or 1", std::to_string(device)};
  out.device = device == 1;
  TRY(const auto blob, in.lp("blob", kMaxBlob));
  TRY_OK(in.finish(kWhat));
  out.blob = base::to_bytes(blob);
  return out;
}

}  // namespace

Result<state::SealedValues> KeystoreRecords::outer(const state::ReadView& view, std::uint32_t epoch) const {
  if (epoch == 0) {
    TRY_OK(epochs_.readable(view, tenant(), 0));
    return state::SealedValues::create(first_.clone(), random_);
  }
  TRY(auto key, epochs_.key(view, tenant(), epoch, kPurpose));
  return state::SealedValues::create(std::move(key), random_);
}

Status KeystoreRecords::put_inner(state::WriteTxn& txn, base::ByteView key, bool device, base::ByteView inner) const {
  TRY(const auto now, epochs_.state(txn, tenant()));
  TRY(const auto sealer, outer(txn, now.current));
  TRY(const auto blob, sealer.seal(key, inner));
  auto value = state::value(kVersion);
  value.u32(now.current).u8(device ? 1 : 0).lp(blob);
  return txn.put(key, value.bytes());
}

Status KeystoreRecords::put(state::WriteTxn& txn, const state::Key& key, const crypto::Secret& value,
                            const crypto::Secret& device_key) const {
  if (device_key.empty()) return put_inner(txn, key, false, value.reveal());
  TRY(const auto held, state::SealedValues::create(device_key.clone(), random_));
  TRY(const auto inner, held.seal(key, value.reveal()));
  return put_inner(txn, key, true, inner);
}

Result<crypto::Secret> KeystoreRecords::open(const state::ReadView& view, const state::Key& key,
                                             const crypto::Secret& device_key) const {
  TRY(const auto stored, view.get(key));
  if (!stored) return Error{Code::not_found, "the keystore has no such key"};
  TRY(const auto record, decode(*stored));
  TRY(const auto sealer, outer(view, record.epoch), kWhat);
  TRY(auto inner, sealer.open(key, record.blob), kWhat);
  if (!record.device) return inner;
  if (device_key.empty()) {
    return Error{Code::wrong_key, "the keystore's master is sealed to a device", "the device", "none"};
  }
  TRY(const auto held, state::SealedValues::create(device_key.clone(), random_));
  return held.open(key, inner.reveal());
}

Result<std::uint64_t> KeystoreRecords::reseal(state::WriteTxn& txn, const base::Tenant& whose) const {
  if (whose != tenant()) return std::uint64_t{0};
  TRY(const auto now, epochs_.state(txn, tenant()));
  std::vector<std::pair<base::Bytes, Record>> older;
  TRY_OK(state::scan_each(txn, prefix(), kMaxRecords, [&](base::ByteView key, base::ByteView value) -> Status {
    auto record = decode(value);
    if (record && record->epoch != now.current) older.emplace_back(base::to_bytes(key), *std::move(record));
    return base::done();
  }));
  std::uint64_t done = 0;
  for (const auto& [key, record] : older) {
    const auto sealer = outer(txn, record.epoch);
    const auto inner = sealer ? sealer->open(key, record.blob) : Result<crypto::Secret>(sealer.error());
    if (!inner) {
      base::log(base::LogLevel::error, "a key of the keystore cannot be sealed anew",
                {{"reason", inner.error().text()}});
      continue;
    }
    TRY_OK(put_inner(txn, key, record.device, inner->reveal()));
    ++done;
  }
  return done;
}

Result<std::uint64_t> KeystoreRecords::older_than(const state::ReadView& view, const base::Tenant& whose,
                                                  std::uint32_t epoch) const {
  std::uint64_t out = 0;
  if (whose != tenant()) return out;
  TRY_OK(state::scan_each(view, prefix(), kMaxRecords, [&](base::ByteView, base::ByteView value) -> Status {
    TRY(const auto record, decode(value));
    if (record.epoch < epoch) ++out;
    return base::done();
  }));
  return out;
}

}  // namespace attestry::secrets
