#include "api/idempotency.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "net/http.h"
#include "state/keys.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMaxAnswer = 16u << 20;
constexpr std::size_t kCollectedAtOnce = 16;

// What lies in the space: entries, an index of them by expiry, and their number.
constexpr std::uint8_t kEntry = 1, kByExpiry = 2, kCount = 3;

struct Entry {
  std::int64_t expires = 0;
  base::Digest32 request{};
  std::optional<net::Response> answer{};  ///< none: begun
};

base::Bytes encode(const Entry& entry) {
  auto out = state::value(kVersion);
  out.u64(static_cast<std::uint64_t>(entry.expires)).raw(entry.request).u8(entry.answer ? 1 : 0);
  if (entry.answer) {
    out.u16(static_cast<std::uint16_t>(entry.answer->status)).lp(entry.answer->content_type).lp(entry.answer->body);
  }
  return std::move(out).take();
}

Result<Entry> decode(base::ByteView stored) {
  TRY(auto in, state::open_value(stored, kVersion, "idempotency entry"));
  Entry entry;
  TRY(const auto expires, in.u64be("expiry"));
  entry.expires = static_cast<std::int64_t>(expires);
  TRY(entry.request, in.take_array<32>("request"));
  TRY(const auto answered, in.u8("answered"));
  if (answered == 0) return entry;
  net::Response answer;
  TRY(const auto status, in.u16be("status"));
  answer.status = status;
  TRY(const auto type, in.lp("content type", 256));
  answer.content_type = base::as_text(type);
  TRY(const auto body, in.lp("body", kMaxAnswer));
  answer.body = base::as_text(body);
  entry.answer = std::move(answer);
  return entry;
}

/// One caller's key. The key itself is hashed: it is the caller's text and may be as long as he likes.
class Place {
 public:
  Place(std::string_view principal, std::string_view key) {
    base::LpWriter who;
    who.lp(principal).raw(crypto::sha256(base::as_bytes(key)));
    who_ = std::move(who).take();
  }
  Key entry() const { return Key(Space::idempotency).u8(kEntry).raw(who_); }
  Key by_expiry(std::int64_t expires) const {
    return Key(Space::idempotency).u8(kByExpiry).u64(static_cast<std::uint64_t>(expires)).raw(who_);
  }

 private:
  base::Bytes who_;
};

Key count_key() { return Key(Space::idempotency).u8(kCount); }

Result<std::uint64_t> read_count(const state::ReadView& view) {
  TRY(const auto stored, view.get(count_key()));
  if (!stored) return std::uint64_t{0};
  TRY(auto in, state::open_value(*stored, kVersion, "number of idempotency entries"));
  return in.u64be("count");
}

Status write_count(state::WriteTxn& txn, std::uint64_t count) {
  auto record = state::value(kVersion);
  record.u64(count);
  return txn.put(count_key(), record.bytes());
}

Result<std::optional<Entry>> find(const state::ReadView& view, const Place& place) {
  TRY(const auto stored, view.get(place.entry()));
  if (!stored) return std::optional<Entry>{};
  TRY(auto entry, decode(*stored));
  return std::optional<Entry>{std::move(entry)};
}

Status remove(state::WriteTxn& txn, const Place& place, std::int64_t expires) {
  TRY_OK(txn.erase(place.entry()));
  TRY_OK(txn.erase(place.by_expiry(expires)));
  TRY(const auto count, read_count(txn));
  return write_count(txn, count - std::min<std::uint64_t>(count, 1));
}

/// Takes out what has expired, some at a time, and one more when there is no room.
Status make_room(state::WriteTxn& txn, std::int64_t now) {
  TRY(auto count, read_count(txn));
  const Key index = Key(Space::idempotency).u8(kByExpiry);
  const std::size_t prefix = index.bytes().size();
  std::vector<base::Bytes> gone;
  TRY_OK(txn.scan(index, {}, kCollectedAtOnce, [&](base::ByteView key, base::ByteView) {
    base::Reader in{key.subspan(prefix)};
    const auto expires = in.u64be("expiry");
    const bool expired = expires && static_cast<std::int64_t>(*expires) <= now;
    if (!expired && count - gone.size() < kIdempotencyKeys) return false;
    gone.push_back(base::to_bytes(key));
    return true;
  }));
  for (const auto& key : gone) {
    TRY_OK(txn.erase(key));
    TRY_OK(txn.erase(Key(Space::idempotency).u8(kEntry).raw(base::ByteView{key}.subspan(prefix + 8))));
  }
  if (gone.empty()) return base::done();
  return write_count(txn, count - std::min<std::uint64_t>(count, gone.size()));
}

Status insert(state::WriteTxn& txn, const Place& place, const Entry& entry) {
  TRY_OK(txn.put(place.entry(), encode(entry)));
  TRY_OK(txn.put(place.by_expiry(entry.expires), state::value(kVersion).bytes()));
  TRY(const auto count, read_count(txn));
  return write_count(txn, count + 1);
}

Result<std::string> key_of(const net::Request& request) {
  const std::string key{request.headers.get(kIdempotencyHeader)};
  const bool visible = std::ranges::all_of(key, [](char c) { return c > ' ' && c < '\x7f'; });
  if (key.empty() || key.size() > kIdempotencyKeyBytes || !visible || request.headers.count(kIdempotencyHeader) != 1) {
    return Error{Code::malformed, std::string{kIdempotencyHeader}, "one key of 1 to 128 visible ASCII characters", key};
  }
  return key;
}

/// Under a key of the server's: a body may hold a short secret, which its plain digest would let somebody guess who
/// reads the store.
base::Digest32 digest_of(const Deps& deps, const net::Request& request) {
  base::LpWriter all;
  all.lp(net::to_text(request.method)).lp(request.target).lp(request.media_type());
  all.raw(crypto::sha256(base::as_bytes(request.body)));  // no copy of what may be a secret
  return crypto::hmac_sha256(deps.idempotency_key.reveal(), all.bytes());
}

/// The answer of an entry to a request of that digest.
Result<net::Response> told_before(const Entry& entry, const base::Digest32& request) {
  if (entry.request != request) {
    return Error{Code::conflict,
                 "this Idempotency-Key was used for another request",
                 "the same request",
                 {},
                 "Use a new key for a new request."};
  }
  if (!entry.answer) {
    return Error{Code::conflict,
                 "the request of this Idempotency-Key has begun and has no answer: it is being answered, the server "
                 "ended meanwhile, or it failed in a way that does not tell whether it was carried out",
                 {},
                 {},
                 "Read the present state; if the change is not there, send it under a new key."};
  }
  net::Response response = *entry.answer;
  response.headers.set("Cache-Control", "no-store");
  response.headers.set(kReplayedHeader, "true");
  return response;
}

/// Errors after which nothing has happened: the handler found something wrong before it wrote, or its own closure was
/// rolled back or never ran (state/store.h). After any other the data may be there: `unavailable` is also what the
/// store says when the after-commit hook failed.
bool proves_no_effect(Code code) {
  switch (code) {
    case Code::malformed:
    case Code::unauthenticated:
    case Code::denied:
    case Code::not_found:
    case Code::conflict:
    case Code::too_large:
    case Code::unsupported_media:
    case Code::deadline_exceeded:
      return true;
    default:
      return false;
  }
}

/// True when `mine` is reserved now, false with `before` when the key was taken before.
Result<bool> reserve(const Deps& deps, const Place& place, const Entry& mine, std::optional<Entry>& before,
                     std::int64_t now, base::Deadline deadline) {
  TRY_OK(deps.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(before, find(txn, place));
        if (before && before->expires > now) return base::done();
        if (before) TRY_OK(remove(txn, place, before->expires));
        before.reset();
        TRY_OK(make_room(txn, now));
        return insert(txn, place, mine);
      },
      deadline));
  return !before.has_value();
}

/// Keeps the answer, or frees the key when `mine` has none. Queued and not waited for, so that a request whose time is
/// over leaves no key behind; whoever asks next is queued after it.
void settle(const Deps& deps, const Place& place, Entry mine) {
  deps.store.write(
      [place, mine = std::move(mine)](state::WriteTxn& txn) -> Status {
        TRY(const auto present, find(txn, place));
        // Somebody else's by now: the key was pushed out and taken again.
        if (!present || present->expires != mine.expires || present->request != mine.request) return base::done();
        return mine.answer ? txn.put(place.entry(), encode(mine)) : remove(txn, place, mine.expires);
      },
      [](Status kept) {  // what was done is done, and said
        if (kept) return;
        base::log(base::LogLevel::warning, "an answer was not kept for its key", {{"reason", kept.error().what}});
      });
}

/// once() up to the handler: an answer when the request must not be carried out.
Result<std::optional<net::Response>> begin(const Deps& deps, const net::Request& request, std::optional<Place>& place,
                                           Entry& mine) {
  TRY(const auto key, key_of(request));
  place.emplace(request.principal, key);
  const auto now = deps.store.now().seconds;
  mine = {.expires = now + kIdempotencySeconds, .request = digest_of(deps, request)};
  std::optional<Entry> before;
  TRY(const bool reserved, reserve(deps, *place, mine, before, now, request.deadline));
  if (reserved) return std::optional<net::Response>{};
  TRY(auto told, told_before(*before, mine.request));
  return std::optional{std::move(told)};
}

}  // namespace

net::QueryParameter idempotency_header() {
  return {
      std::string{kIdempotencyHeader},
      "Any text of the caller's. The same request under the same key is carried out once within 24 hours and answered "
      "as the first time; another request under that key is a conflict.",
      R"({"type":"string","minLength":1,"maxLength":128,"pattern":"^[!-~]+$"})"};
}

Result<net::Response> once(const Deps& deps, net::Request& request, const Answer& answer) {
  if (request.headers.count(kIdempotencyHeader) == 0) return answer(request);
  std::optional<Place> place;
  Entry mine;
  auto told = begin(deps, request, place, mine);
  if (!told || *told) {
    // The handler that would wipe a secret in it does not come to see it.
    crypto::wipe({reinterpret_cast<std::uint8_t*>(request.body.data()), request.body.size()});
    if (!told) return std::move(told).error();
    return std::move(**told);
  }
  auto response = answer(request);  // an exception leaves the key as it is: begun
  if (response ? response->status >= 500 : !proves_no_effect(response.error().code)) return response;
  if (response && response->status < 300) mine.answer = *response;
  settle(deps, *place, std::move(mine));
  return response;
}

}  // namespace attestry::api
