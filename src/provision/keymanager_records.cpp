#include "provision/keymanager_records.h"

#include "base/log.h"
#include "crypto/hash.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::uint8_t kFirstVersion = 1;  ///< epoch 0
constexpr std::uint8_t kVersion = 2;
constexpr std::string_view kPurpose = "key manager";
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kMaxEvidence = 1u << 20;
constexpr std::size_t kMaxSealed = kMaxEvidence + 1024;
constexpr std::size_t kMaxEpochs = 65'536;

constexpr std::string_view kMaster = "master";
constexpr std::string_view kPending = "pending";
constexpr std::string_view kRequest = "request";

/// Wiped when it goes: what is put together here is secret.
class Plain {
 public:
  ~Plain() { crypto::wipe(bytes_); }
  Plain() = default;
  Plain(const Plain&) = delete;
  Plain& operator=(const Plain&) = delete;
  Plain& raw(base::ByteView part) { return base::append(bytes_, part), *this; }
  const base::Bytes& bytes() const { return bytes_; }

 private:
  base::Bytes bytes_;
};

base::Bytes number(std::uint32_t value) { return base::LpWriter{}.u32(value).bytes(); }

base::Tenant tenant() { return base::Tenant::standard(); }

Error damaged(std::string_view what) { return {Code::corrupt, "key manager's " + std::string{what}}; }

}  // namespace

base::Digest32 KeyManagerRecords::scope_of(const keys::KeyManagerContract& contract, std::string_view dialect) {
  base::LpWriter out;
  out.lp("attestry/keymanager/scope/1").u64(contract.chain_id).raw(contract.address).lp(dialect);
  return crypto::sha256(out.bytes());
}

/// What is sealed names its place, so a record cannot be moved from one scope to another either.
state::Key KeyManagerRecords::key_of(std::string_view kind) const {
  return state::Key(state::Space::keymanager).lp(kind).lp(base::ByteView{scope_});
}

Result<KeyManagerRecords::Sealed> KeyManagerRecords::parse(base::ByteView stored) {
  const bool first = !stored.empty() && stored.front() == kFirstVersion;
  TRY(auto in, state::open_value(stored, first ? kFirstVersion : kVersion, kPurpose));
  Sealed out;
  if (!first) {
    TRY(out.epoch, in.u32be("epoch"));
  }
  TRY(const auto blob, in.lp("sealed", kMaxSealed));
  out.blob = base::to_bytes(blob);
  return out;
}

Result<state::SealedValues> KeyManagerRecords::values(const state::ReadView& view, std::uint32_t epoch) const {
  if (epoch == 0) {
    TRY_OK(epochs_.readable(view, tenant(), 0));
    return state::SealedValues::create(first_.clone(), random_);
  }
  TRY(auto key, epochs_.key(view, tenant(), epoch, kPurpose));
  return state::SealedValues::create(std::move(key), random_);
}

Status KeyManagerRecords::put(state::WriteTxn& txn, base::ByteView key, base::ByteView plain) const {
  TRY(const auto now, epochs_.state(txn, tenant()));
  TRY(const auto sealed, values(txn, now.current));
  TRY(const auto blob, sealed.seal(key, plain));
  auto value = state::value(now.current == 0 ? kFirstVersion : kVersion);
  if (now.current != 0) value.u32(now.current);
  return txn.put(key, value.lp(blob).bytes());
}

Result<crypto::Secret> KeyManagerRecords::open(const state::ReadView& view, base::ByteView key,
                                               base::ByteView stored) const {
  TRY(const auto record, parse(stored));
  TRY(const auto sealed, values(view, record.epoch), kPurpose);
  return sealed.open(key, record.blob);
}

Status KeyManagerRecords::each(const state::ReadView& view, const Visitor& visit) {
  const state::Key all(state::Space::keymanager);
  Status good = base::done();
  TRY_OK(view.scan(all, {}, kMaxEpochs, [&](base::ByteView key, base::ByteView stored) {
    const auto record = parse(stored);
    good = record ? visit(key, *record) : Status{record.error()};
    return good.ok();
  }));
  return good;
}

Result<std::uint64_t> KeyManagerRecords::reseal(state::WriteTxn& txn, const base::Tenant& of) const {
  std::uint64_t out = 0;
  if (of != tenant()) return out;
  TRY(const auto now, epochs_.state(txn, tenant()));
  std::vector<base::Bytes> old;
  TRY_OK(each(txn, [&](base::ByteView key, const Sealed& record) {
    if (record.epoch != now.current) old.push_back(base::to_bytes(key));
    return base::done();
  }));
  for (const base::Bytes& key : old) {
    TRY(const auto stored, txn.get(key));
    if (!stored) continue;
    const auto plain = open(txn, key, *stored);
    if (!plain) {
      // It must not keep the rest from being sealed anew: a retirement will count it.
      base::log(base::LogLevel::error, "a key manager's record cannot be sealed anew",
                {{"reason", plain.error().text()}});
      continue;
    }
    TRY_OK(put(txn, key, plain->reveal()));
    ++out;
  }
  return out;
}

Result<std::uint64_t> KeyManagerRecords::older_than(const state::ReadView& view, const base::Tenant& of,
                                                    std::uint32_t epoch) const {
  std::uint64_t out = 0;
  if (of != tenant()) return out;
  TRY_OK(each(view, [&](base::ByteView, const Sealed& record) {
    if (record.epoch < epoch) ++out;
    return base::done();
  }));
  return out;
}

Status KeyManagerRecords::keep(state::WriteTxn& txn, std::uint32_t epoch, const KeyManagerKept& kept) const {
  const auto key = key_of(kMaster).u64(epoch);
  TRY(const auto before, txn.get(key));
  if (before) {
    TRY(const auto known, open(txn, key, *before), "master");
    if (known.size() == kSecretBytes + 1 &&
        crypto::equal_constant_time(known.reveal().first(kSecretBytes), kept.master.reveal())) {
      return base::done();
    }
    return Error{Code::conflict, "this server has another master for epoch " + std::to_string(epoch)};
  }
  const std::uint8_t joined = kept.joined ? 1 : 0;
  Plain plain;
  plain.raw(kept.master.reveal()).raw({&joined, 1});
  return put(txn, key, plain.bytes());
}

Status KeyManagerRecords::put(state::WriteTxn& txn, const KeyManagerPending& pending) const {
  Plain plain;
  plain.raw(number(pending.epoch)).raw(pending.master.reveal()).raw(pending.evidence);
  return put(txn, key_of(kPending).u64(pending.epoch), plain.bytes());
}

Status KeyManagerRecords::put(state::WriteTxn& txn, const KeyManagerRequest& request) const {
  Plain plain;
  plain.raw(number(request.epoch)).raw(request.box.bytes().reveal()).raw(request.member.scalar().reveal());
  plain.raw(request.evidence);
  return put(txn, key_of(kRequest), plain.bytes());
}

Status KeyManagerRecords::forget_pending(state::WriteTxn& txn, std::uint32_t epoch) const {
  return txn.erase(key_of(kPending).u64(epoch));
}

Status KeyManagerRecords::read_masters(const state::ReadView& view, All& out) const {
  const state::Key all = key_of(kMaster);
  Status good = base::done();
  TRY_OK(view.scan(all, {}, kMaxEpochs, [&](base::ByteView key, base::ByteView stored) {
    auto opened = open(view, key, stored);
    base::Reader in{key.subspan(all.bytes().size())};
    const auto epoch = in.u64be("epoch");
    if (!opened || opened->size() != kSecretBytes + 1 || !epoch) {
      good = opened ? damaged("master") : opened.error();
      return false;
    }
    out.masters[static_cast<std::uint32_t>(*epoch)] = {
        .master = crypto::Secret::copy_of(opened->reveal().first(kSecretBytes)),
        .joined = opened->reveal()[kSecretBytes] != 0};
    return true;
  }));
  return good;
}

Status KeyManagerRecords::read_pending(const state::ReadView& view, All& out) const {
  Status good = base::done();
  const auto read_one = [&](base::ByteView key, base::ByteView stored) -> Status {
    TRY(const auto plain, open(view, key, stored), "pending master");
    base::Reader in{plain.reveal()};
    KeyManagerPending one;
    TRY(one.epoch, in.u32be("epoch"));
    TRY(const auto master, in.take(kSecretBytes, "master"));
    one.master = crypto::Secret::copy_of(master);
    one.evidence = base::to_bytes(in.rest());
    out.pending[one.epoch] = std::move(one);
    return base::done();
  };
  TRY_OK(view.scan(key_of(kPending), {}, kMaxEpochs, [&](base::ByteView key, base::ByteView stored) {
    good = read_one(key, stored);
    return good.ok();
  }));
  return good;
}

Status KeyManagerRecords::read_request(const state::ReadView& view, All& out) const {
  const state::Key key = key_of(kRequest);
  TRY(const auto request, view.get(key));
  if (!request) return base::done();
  TRY(const auto plain, open(view, key, *request), "request");
  base::Reader in{plain.reveal()};
  TRY(const auto epoch, in.u32be("epoch"));
  TRY(const auto box_bytes, in.take(kSecretBytes, "box key"));
  TRY(auto box, curves::BoxPrivateKey::from_bytes(box_bytes));
  TRY(const auto scalar, in.take(kSecretBytes, "member key"));
  TRY(auto member, curves::Secp256k1PrivateKey::from_scalar(scalar));
  out.request = KeyManagerRequest{epoch, std::move(box), std::move(member), base::to_bytes(in.rest())};
  return base::done();
}

Result<KeyManagerRecords::All> KeyManagerRecords::read(const state::ReadView& view) const {
  All out;
  TRY_OK(read_masters(view, out));
  TRY_OK(read_pending(view, out));
  TRY_OK(read_request(view, out));
  std::uint64_t all = 0;
  TRY_OK(view.scan(state::Key(state::Space::keymanager), {}, kMaxEpochs, [&](base::ByteView, base::ByteView) {
    ++all;
    return true;
  }));
  out.others = all - out.masters.size() - out.pending.size() - (out.request ? 1 : 0);
  return out;
}

}  // namespace attestry::provision
