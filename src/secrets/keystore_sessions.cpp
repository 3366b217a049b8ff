#include "secrets/keystore_sessions.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/encoding.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "state/keys.h"
#include "state/spaces.h"

namespace attestry::secrets {

using base::ByteView;
using base::Code;
using base::Digest32;
using base::Error;
using base::Result;
using base::Status;
using state::Space;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMostStored = 1u << 20;
constexpr std::size_t kMostCarried = 16 * 1024;
constexpr std::size_t kMostKeyText = 4096;  // ml-dsa-65 in base58

state::Key key_of(const Digest32& digest) { return state::Key(Space::keystore_sessions).raw(digest); }

template <std::size_t N>
void put_optional(base::LpWriter& out, const std::optional<base::FixedBytes<N>>& value) {
  out.lp(value ? ByteView{*value} : ByteView{});
}

template <std::size_t N>
Result<std::optional<base::FixedBytes<N>>> read_optional(base::Reader& in, std::string_view what) {
  TRY(const auto part, in.lp(what, N));
  if (part.empty()) return std::optional<base::FixedBytes<N>>{};
  if (part.size() != N) return Error{Code::corrupt, std::string{what} + ": of another size"};
  base::FixedBytes<N> out{};
  std::copy(part.begin(), part.end(), out.begin());
  return std::optional{out};
}

Error not_found() { return {Code::denied, "TEE session not found or expired"}; }
Error too_many() { return {Code::corrupt, "stored sessions", "less than " + std::to_string(kMostStored), "more"}; }

}  // namespace

std::size_t KeystoreSessions::Hash::operator()(const Digest32& digest) const noexcept {
  std::size_t out = 0;  // a digest is as good a hash as any
  std::memcpy(&out, digest.data(), sizeof out);
  return out;
}

Result<std::unique_ptr<KeystoreSessions>> KeystoreSessions::open(state::Store& store, crypto::Secret sealing,
                                                                 crypto::Random& random, KeystoreSessionRules rules) {
  TRY(auto sealed, state::SealedValues::create(std::move(sealing), random));
  std::unique_ptr<KeystoreSessions> out{new KeystoreSessions(store, std::move(sealed), random, rules)};
  TRY_OK(out->reload(), "sessions of the keystore");
  return out;
}

Status KeystoreSessions::reload() {
  TRY(const auto view, store_.read());
  decltype(sessions_) found;
  std::vector<Digest32> over;
  Status read_all = base::done();
  std::size_t seen = 0;
  const auto now = store_.now();
  TRY_OK(view->scan(state::Key(Space::keystore_sessions), {}, kMostStored, [&](ByteView key, ByteView value) {
    ++seen;
    auto session = read(key, value);
    if (!session) {
      read_all = std::move(session).error();
      return false;
    }
    const Digest32 digest = session->digest;
    if (session->expires > now) {
      found.emplace(digest, std::make_shared<const KeystoreSession>(*std::move(session)));
    } else {
      over.push_back(digest);
    }
    return true;
  }));
  TRY_OK(std::move(read_all));
  if (seen >= kMostStored) return too_many();
  const base::MutexLock lock(mutex_);
  // What was ended stays so, also when the store could not be told.
  for (const Digest32& digest : leftover_) found.erase(digest);
  leftover_.insert(over.begin(), over.end());
  sessions_ = std::move(found);
  return base::done();
}

Result<KeystoreSession> KeystoreSessions::read(ByteView key, ByteView value) const {
  return read_open(key, value, &sealed_);
}

Result<KeystoreSession> KeystoreSessions::read_open(ByteView key, ByteView value, const state::SealedValues* with) {
  KeystoreSession out;
  if (key.size() < out.digest.size()) return Error{Code::corrupt, "a session's key is too short"};
  std::copy(key.end() - static_cast<std::ptrdiff_t>(out.digest.size()), key.end(), out.digest.begin());
  TRY(auto in, state::open_value(value, kVersion, "session"));
  TRY(const auto name, in.lp("public key", kMostKeyText));
  out.public_key = std::string{base::as_text(name)};
  TRY(const auto made, in.u64be("made"));
  TRY(const auto expires, in.u64be("expires"));
  out.made.seconds = static_cast<std::int64_t>(made);
  out.expires.seconds = static_cast<std::int64_t>(expires);
  TRY(out.channel, read_optional<32>(in, "channel"));
  TRY(out.policy, read_optional<32>(in, "policy"));
  TRY(out.evidence, read_optional<32>(in, "evidence"));
  TRY(const auto sealed, in.lp("key", 256));
  TRY_OK(in.finish("session"));
  if (!sealed.empty() && with != nullptr) {
    TRY(auto opened, with->open(key, sealed), "session");
    out.key = std::make_shared<const crypto::Secret>(std::move(opened));
  }
  return out;
}

Result<base::Bytes> KeystoreSessions::value_of(ByteView key, const KeystoreSession& session) const {
  auto out = state::value(kVersion);
  out.lp(session.public_key);
  out.u64(static_cast<std::uint64_t>(session.made.seconds));
  out.u64(static_cast<std::uint64_t>(session.expires.seconds));
  put_optional(out, session.channel);
  put_optional(out, session.policy);
  put_optional(out, session.evidence);
  base::Bytes sealed;
  if (session.key) {
    TRY(sealed, sealed_.seal(key, session.key->reveal()));
  }
  out.lp(sealed);
  return std::move(out).take();
}

Status KeystoreSessions::put(state::WriteTxn& txn, const KeystoreSession& session) const {
  const auto key = key_of(session.digest);
  TRY(const auto value, value_of(key, session));
  return txn.insert(key, value);
}

Result<crypto::Secret> KeystoreSessions::carry(ByteView key, ByteView value) const {
  TRY(const auto session, read(key, value));
  // LP(value) ‖ LP(key): what is sealed inside the value is of no use elsewhere.
  base::LpWriter front;
  front.lp(value);
  const ByteView open = session.key ? session.key->reveal() : ByteView{};
  front.u32(static_cast<std::uint32_t>(open.size()));
  crypto::Secret out(front.bytes().size() + open.size());
  std::ranges::copy(open, std::ranges::copy(front.bytes(), out.writable().begin()).out);
  return out;
}

Result<base::Bytes> KeystoreSessions::take(ByteView key, ByteView carried) const {
  base::Reader in{carried};
  TRY(const auto value, in.lp("session", kMostCarried));
  TRY(const auto open, in.lp("session key", 256));
  TRY_OK(in.finish("session"));
  TRY(auto session, read_open(key, value, nullptr));
  if (!open.empty()) session.key = std::make_shared<const crypto::Secret>(crypto::Secret::copy_of(open));
  return value_of(key, session);
}

std::shared_ptr<const void> KeystoreSessions::reserve(base::UtcTime now) {
  const base::MutexLock lock(mutex_);
  if (sessions_.size() + reserved_ >= rules_.most_sessions)
    drop([now](const KeystoreSession& session) { return session.expires <= now; });
  if (sessions_.size() + reserved_ >= rules_.most_sessions) return nullptr;
  ++reserved_;
  return {this, [this](const void*) {
            const base::MutexLock again(mutex_);
            --reserved_;
          }};
}

void KeystoreSessions::admitted(std::shared_ptr<const KeystoreSession> session) {
  const base::MutexLock lock(mutex_);
  const Digest32 digest = session->digest;
  const std::string& key = session->public_key;
  auto oldest = sessions_.end();
  std::size_t same = 0;
  const bool many = sessions_.size() >= rules_.most_sessions_of_one;
  for (auto one = sessions_.begin(); many && one != sessions_.end(); ++one) {
    if (one->second->public_key != key) continue;
    ++same;
    if (oldest == sessions_.end() || one->second->made < oldest->second->made) oldest = one;
  }
  if (same >= rules_.most_sessions_of_one && oldest != sessions_.end()) {
    leftover_.insert(oldest->first);
    sessions_.erase(oldest);
  }
  sessions_.insert_or_assign(digest, std::move(session));
}

base::FixedBytes<32> KeystoreSessions::challenge(std::string_view token, base::Deadline now) {
  const auto out = random_.bytes<32>();
  const auto until = [](const auto& one) { return one.second.until; };
  const base::MutexLock lock(mutex_);
  std::erase_if(challenges_, [&](const auto& one) { return one.second.until <= now; });
  auto own = challenges_.end();
  std::size_t many = 0;
  for (auto one = challenges_.begin(); one != challenges_.end(); ++one) {
    if (one->second.token != token) continue;
    ++many;
    if (own == challenges_.end() || one->second.until < own->second.until) own = one;
  }
  // Whoever asks for too many loses his own.
  if (many >= rules_.most_challenges_of_one) {
    challenges_.erase(own);
  } else if (challenges_.size() >= rules_.most_challenges) {
    challenges_.erase(std::ranges::min_element(challenges_, {}, until));
  }
  challenges_.emplace(out, Challenge{now + std::chrono::seconds(rules_.challenge_seconds), std::string{token}});
  return out;
}

Status KeystoreSessions::answer(const base::FixedBytes<32>& challenge, base::Deadline now) {
  const base::MutexLock lock(mutex_);
  const auto found = challenges_.find(challenge);
  if (found == challenges_.end()) return Error{Code::malformed, "Invalid or expired challenge"};
  const bool late = found->second.until <= now;
  challenges_.erase(found);
  if (late) return Error{Code::malformed, "Challenge expired"};
  return base::done();
}

std::string KeystoreSessions::new_id() const {
  auto bytes = random_.bytes<16>();
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0f) | 0x40);  // RFC 9562, 5.4
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3f) | 0x80);
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += base::hex({&bytes[i], 1});
  }
  return out;
}

Digest32 KeystoreSessions::digest_of(std::string_view id) { return crypto::sha256(base::as_bytes(id)); }

Result<std::shared_ptr<const KeystoreSession>> KeystoreSessions::find(std::string_view id, base::UtcTime now,
                                                                      const base::FixedBytes<32>* channel) const {
  const Digest32 digest = digest_of(id);
  std::shared_ptr<const KeystoreSession> session;
  {
    const base::MutexLock lock(mutex_);
    const auto found = sessions_.find(digest);
    if (found == sessions_.end()) return not_found();
    session = found->second;
  }
  if (session->expires <= now) return not_found();
  // Over another connection it is as if there were none: whoever took it from a log or a proxy has nothing.
  if (session->channel && (channel == nullptr || *session->channel != *channel)) return not_found();
  return session;
}

std::size_t KeystoreSessions::drop(const Choice& which) {
  std::size_t dropped = 0;
  for (auto one = sessions_.begin(); one != sessions_.end();) {
    if (!which(*one->second)) {
      ++one;
      continue;
    }
    leftover_.insert(one->first);
    one = sessions_.erase(one);
    ++dropped;
  }
  return dropped;
}

Result<std::vector<Digest32>> KeystoreSessions::erase_stored(state::WriteTxn& txn, const Choice& which) {
  std::vector<Digest32> chosen;
  std::size_t seen = 0;
  Status read_all = base::done();
  TRY_OK(txn.scan(state::Key(Space::keystore_sessions), {}, kMostStored, [&](ByteView key, ByteView value) {
    ++seen;
    const auto session = read_open(key, value, nullptr);
    if (!session) read_all = session.error();
    if (session && which(*session)) chosen.push_back(session->digest);
    return session.ok();
  }));
  TRY_OK(std::move(read_all));
  if (seen >= kMostStored) return too_many();
  for (const Digest32& digest : chosen) TRY_OK(txn.erase(key_of(digest)));
  return chosen;
}

void KeystoreSessions::forgotten(const std::vector<Digest32>& digests) {
  const base::MutexLock lock(mutex_);
  for (const Digest32& digest : digests) leftover_.erase(digest);
}

void KeystoreSessions::end(Choice which, std::function<Status(state::WriteTxn&, std::size_t)> also, Ended done) {
  {
    // Out of memory first: nobody is served by one that is being ended.
    const base::MutexLock lock(mutex_);
    drop(which);
  }
  // What is stored decides: also what could not be erased an earlier time, and what is being registered.
  const auto ended = std::make_shared<std::vector<Digest32>>();
  const auto shared = std::make_shared<const Choice>(std::move(which));
  store_.write(
      [shared, ended, also = std::move(also)](state::WriteTxn& txn) -> Status {
        TRY(*ended, erase_stored(txn, *shared));
        if (also && !ended->empty()) TRY_OK(also(txn, ended->size()));
        return base::done();
      },
      [this, shared, ended, done = std::move(done)](Status kept) mutable {
        {
          // A registration that was stored before is visible by now.
          const base::MutexLock lock(mutex_);
          drop(*shared);
        }
        if (!kept) return done(std::move(kept).error());
        forgotten(*ended);
        done(ended->size());
      });
}

Result<std::size_t> KeystoreSessions::end(Choice which, base::Deadline deadline) {
  {
    const base::MutexLock lock(mutex_);
    drop(which);
  }
  std::vector<Digest32> ended;
  const auto kept = store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(ended, erase_stored(txn, which));
        return base::done();
      },
      deadline);
  {
    const base::MutexLock lock(mutex_);
    drop(which);
  }
  TRY_OK(kept);
  forgotten(ended);
  return ended.size();
}

Result<std::size_t> KeystoreSessions::collect(base::UtcTime now, const Choice& unwanted, base::Deadline deadline) {
  std::vector<Digest32> over;
  {
    const base::MutexLock lock(mutex_);
    drop([&](const KeystoreSession& one) { return one.expires <= now || (unwanted && unwanted(one)); });
    over.assign(leftover_.begin(), leftover_.end());
  }
  if (over.empty()) return std::size_t{0};
  TRY_OK(store_.write_and_wait(
      [&over](state::WriteTxn& txn) -> Status {
        for (const Digest32& digest : over) TRY_OK(txn.erase(key_of(digest)));
        return base::done();
      },
      deadline));
  forgotten(over);
  return over.size();
}

std::size_t KeystoreSessions::size() const {
  const base::MutexLock lock(mutex_);
  return sessions_.size();
}

std::vector<std::string> KeystoreSessions::public_keys() const {
  std::set<std::string> keys;
  {
    const base::MutexLock lock(mutex_);
    for (const auto& [digest, session] : sessions_) keys.insert(session->public_key);
  }
  return {keys.begin(), keys.end()};
}

}  // namespace attestry::secrets
