#include "tracker/passkeys.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/encoding.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "state/keys.h"
#include "state/scan.h"
#include "state/spaces.h"

namespace attestry::tracker {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Space;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::string_view kLabel = "attestry tracker passkey 1\n";
constexpr std::string_view kSigned = "PBTS passkey\n";

state::Key changes() { return state::Key(Space::tracker_members).u8(2); }
state::Key change_key(std::string_view user_id) { return changes().lp(user_id); }

/// LP(user id) ‖ time of the last change u64.
base::Bytes encode(std::string_view user_id, std::uint64_t changed) {
  return state::value(kVersion).lp(user_id).u64(changed).bytes();
}
struct Change {
  std::string user_id;
  std::uint64_t time = 0;
};
Result<Change> decode(ByteView stored) {
  TRY(base::Reader in, state::open_value(stored, kVersion, "change of a passkey"));
  Change out;
  TRY(const ByteView name, in.lp("user id", 128));
  out.user_id = std::string{base::as_text(name)};
  TRY(out.time, in.u64be("time"));
  TRY_OK(in.finish("change of a passkey"));
  return out;
}

}  // namespace

base::Bytes passkey_message(const InstanceId& instance, bool rotate, std::uint64_t time, std::string_view user_id) {
  const auto said = base::LpWriter{}.raw(instance).u8(rotate ? 1 : 0).u64(time).raw(base::as_bytes(user_id)).bytes();
  base::Bytes out = base::to_bytes(kSigned);
  base::append(out, crypto::sha256(said));
  return out;
}

std::size_t Passkeys::Hash::operator()(const Digits& digits) const noexcept {
  std::size_t out = 0;
  std::memcpy(&out, digits.data(), sizeof out);
  return out;
}

Result<std::unique_ptr<Passkeys>> Passkeys::open(state::Store& store, audit::Log& log, crypto::Random& random,
                                                 crypto::Secret key) {
  std::unique_ptr<Passkeys> out{new Passkeys(store, log, random, std::move(key))};
  TRY(const auto view, store.read());
  decltype(out->changed_) changed;  // a lambda is analysed without the lock
  TRY_OK(state::scan_each(*view, changes(), std::numeric_limits<std::size_t>::max(),
                          [&changed](ByteView, ByteView value) -> Status {
                            TRY(auto one, decode(value));
                            changed[std::move(one.user_id)] = one.time;
                            return base::done();
                          }),
         "passkeys of the tracker");
  const base::MutexLock lock(out->mutex_);
  out->changed_ = std::move(changed);
  return out;
}

Passkeys::Digits Passkeys::digits_of(std::string_view user_id, std::uint64_t changed) const {
  base::Bytes said = base::to_bytes(kLabel);
  base::append(said, base::LpWriter{}.u64(changed).raw(base::as_bytes(user_id)).bytes());
  const auto mac = crypto::hmac_sha256(key_.reveal(), said);
  Digits out{};
  std::copy_n(mac.begin(), out.size(), out.begin());
  return out;
}

Passkeys::Own& Passkeys::own(const std::string& user_id, std::uint64_t changed) {
  const auto [place, fresh] = own_.try_emplace(user_id);
  Own& out = place->second;
  if (!fresh && changed <= out.changed) return out;
  if (fresh) {
    out.number = static_cast<std::uint32_t>(own_.size());
  } else {
    owners_.erase(out.digits);
  }
  out.changed = changed;
  out.digits = digits_of(user_id, changed);
  owners_.insert_or_assign(out.digits, user_id);
  return out;
}

std::string Passkeys::add(const std::string& user_id) {
  const base::MutexLock lock(mutex_);
  const auto changed = changed_.find(user_id);
  return base::hex(own(user_id, changed == changed_.end() ? 0 : changed->second).digits);
}

std::optional<PasskeyOwner> Passkeys::find(std::string_view passkey) const {
  Digits digits{};
  if (!base::hex_decode_into(passkey, digits)) return std::nullopt;
  const base::MutexLock lock(mutex_);
  const auto found = owners_.find(digits);
  if (found == owners_.end()) return std::nullopt;
  return PasskeyOwner{found->second, own_.at(found->second).number};
}

void Passkeys::rotate(const std::string& user_id, std::optional<std::uint64_t> time, Completion<std::string> done) {
  audit::Leaf leaf;
  leaf.type = "tracker.passkey";
  leaf.realm = store_.realm();
  leaf.audience = log_.origin();
  leaf.time = store_.now();
  leaf.outputs["user"] = audit::commitment(random_.secret(32), "user", base::as_bytes(user_id));
  auto changed = std::make_shared<std::uint64_t>(0);
  const auto now = static_cast<std::uint64_t>(leaf.time.seconds);
  store_.write(
      [this, user_id, time, now, changed, leaf = std::move(leaf)](state::WriteTxn& txn) -> Status {
        std::uint64_t before = 0;
        TRY(const auto stored, txn.get(change_key(user_id)));
        if (stored) {
          TRY(const auto last, decode(*stored));
          before = last.time;
        }
        if (time && *time <= before) {
          return Error{Code::conflict, "the passkey was changed since",
                       "a later timestamp than that of the last change", std::to_string(*time)};
        }
        *changed = time ? *time : std::max(now, before + 1);
        TRY_OK(txn.put(change_key(user_id), encode(user_id, *changed)));
        TRY_OK(log_.append(txn, leaf));
        return base::done();
      },
      [this, user_id, changed, done = std::move(done)](Status kept) mutable {
        if (!kept) return done(std::move(kept).error());
        std::string passkey;
        {
          const base::MutexLock lock(mutex_);
          auto& last = changed_[user_id];
          last = std::max(last, *changed);
          passkey = base::hex(own(user_id, last).digits);
        }
        done(std::move(passkey));
      });
}

}  // namespace attestry::tracker
