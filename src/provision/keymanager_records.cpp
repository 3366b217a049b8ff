#include "provision/keymanager_records.h"

#include "base/log.h"
#include "state/keys.h"

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

state::Key masters_key() { return state::Key(state::Space::keymanager).lp("master"); }
state::Key pending_key() { return state::Key(state::Space::keymanager).lp("pending"); }
state::Key request_key() { return state::Key(state::Space::keymanager).lp("request"); }

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
  const auto key = masters_key().u64(epoch);
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
  return put(txn, pending_key(), plain.bytes());
}

Status KeyManagerRecords::put(state::WriteTxn& txn, const KeyManagerRequest& request) const {
  Plain plain;
  plain.raw(number(request.epoch)).raw(request.box.bytes().reveal()).raw(request.member.scalar().reveal());
  plain.raw(request.evidence);
  return put(txn, request_key(), plain.bytes());
}

Status KeyManagerRecords::forget_pending(state::WriteTxn& txn, std::uint32_t epoch) const {
  TRY(const auto stored, txn.get(pending_key()));
  if (!stored) return base::done();
  TRY(const auto plain, open(txn, pending_key(), *stored));
  base::Reader in{plain.reveal()};
  TRY(const auto found, in.u32be("epoch"));
  return found == epoch ? txn.erase(pending_key()) : base::done();
}

Result<KeyManagerRecords::All> KeyManagerRecords::read(const state::ReadView& view) const {
  All out;
  Status good = base::done();
  const std::size_t prefix = masters_key().bytes().size();
  TRY_OK(view.scan(masters_key(), {}, kMaxEpochs, [&](base::ByteView key, base::ByteView stored) {
    auto opened = open(view, key, stored);
    base::Reader in{key.subspan(prefix)};
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
  TRY_OK(good);
  TRY(const auto pending, view.get(pending_key()));
  if (pending) {
    TRY(const auto plain, open(view, pending_key(), *pending));
    base::Reader in{plain.reveal()};
    out.pending.emplace();
    TRY(out.pending->epoch, in.u32be("epoch"));
    TRY(const auto master, in.take(kSecretBytes, "master"));
    out.pending->master = crypto::Secret::copy_of(master);
    out.pending->evidence = base::to_bytes(in.rest());
  }
  TRY(const auto request, view.get(request_key()));
  if (!request) return out;
  TRY(const auto plain, open(view, request_key(), *request));
  base::Reader in{plain.reveal()};
  TRY(const auto epoch, in.u32be("epoch"));
  TRY(const auto box_bytes, in.take(kSecretBytes, "box key"));
  TRY(auto box, curves::BoxPrivateKey::from_bytes(box_bytes));
  TRY(const auto scalar, in.take(kSecretBytes, "member key"));
  TRY(auto member, curves::Secp256k1PrivateKey::from_scalar(scalar));
  out.request = KeyManagerRequest{epoch, std::move(box), std::move(member), base::to_bytes(in.rest())};
  return out;
}

}  // namespace attestry::provision
