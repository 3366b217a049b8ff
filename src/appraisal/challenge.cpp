#include "appraisal/challenge.h"

#include <algorithm>

#include "base/reader.h"
#include "crypto/hash.h"
#include "state/keys.h"

namespace attestry::appraisal {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::uint8_t kNonceVersion = 1;
constexpr std::uint8_t kRecordVersion = 1;
constexpr std::size_t kSignedBytes = 26;  // 0x01 ‖ expiry u64 ‖ random 16 ‖ purpose u8 (FORMATS 3)
constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kMaxReply = 8u << 20;
static_assert(kSignedBytes + kTagBytes == kNonceBytes);

/// Ordered by expiry, so that collection walks from the oldest.
state::Key record_key(const base::Bytes& nonce, base::UtcTime expires) {
  return state::Key(state::Space::nonces).u64(static_cast<std::uint64_t>(expires.seconds)).lp(nonce);
}

bool tag_matches(const crypto::Secret& key, base::ByteView nonce) {
  const auto tag = crypto::hmac_sha256(key.reveal(), nonce.first(kSignedBytes));
  return crypto::equal_constant_time(base::ByteView{tag}.first(kTagBytes), nonce.subspan(kSignedBytes));
}

Error expired(base::UtcTime expires, base::UtcTime now) {
  return Error{Code::challenge_expired, "the challenge has expired", "an answer before " + base::to_rfc3339(expires),
               base::to_rfc3339(now)};
}

}  // namespace

Result<base::Digest32> combined_nonce(std::span<const NodeNonce> nonces) {
  if (nonces.empty() || nonces.size() > kMostNodeNonces) {
    return Error{Code::malformed, "nonces", "1 to " + std::to_string(kMostNodeNonces), std::to_string(nonces.size())};
  }
  base::LpWriter out;
  out.lp("attestry/nonces/1");
  for (std::size_t i = 0; i < nonces.size(); ++i) {
    if (i > 0 && nonces[i].id <= nonces[i - 1].id) {
      return Error{Code::malformed, "nonces", "each node once, ids ascending",
                   std::to_string(nonces[i].id) + " after " + std::to_string(nonces[i - 1].id)};
    }
    base::LpWriter id;
    id.u32(nonces[i].id);
    out.lp(id.bytes()).lp(nonces[i].nonce);
  }
  return crypto::sha256(out.bytes());
}

base::Status Fresh::spend(state::WriteTxn& txn, base::UtcTime now, bool released, std::uint64_t leaf_index,
                          base::ByteView reply) const {
  // Judging evidence takes time: without this, a nonce that was spent and collected meanwhile could be spent again.
  if (expires_ < now) return expired(expires_, now);
  if (reply.size() > kMaxReply) {
    return Error{Code::too_large, "the reply", "at most 8388608 bytes", std::to_string(reply.size()) + " bytes"};
  }
  auto record = state::value(kRecordVersion);
  record.raw(body_sha256_).u8(released ? 1 : 0).u64(leaf_index).lp(reply);
  auto status = txn.insert(record_key(spent_, expires_), record.bytes());
  if (!status && status.error().code == Code::conflict) {
    return Error{Code::replayed, "this challenge was used before"};
  }
  return status;
}

Challenges::Challenges(crypto::Secret key, crypto::Random& random, std::optional<crypto::Secret> previous,
                       base::UtcTime changed_at)
    : key_(std::move(key)), previous_(std::move(previous)), changed_at_(changed_at), random_(random) {}

Challenge Challenges::issue(base::Purpose purpose, base::UtcTime now) const {
  Challenge challenge;
  challenge.expires = now + kChallengeLifetimeSeconds;
  base::LpWriter out;
  out.u8(kNonceVersion).u64(static_cast<std::uint64_t>(challenge.expires.seconds)).raw(random_.bytes<16>());
  out.u8(static_cast<std::uint8_t>(purpose));
  const auto tag = crypto::hmac_sha256(key_.reveal(), out.bytes());
  out.raw(base::ByteView{tag}.first(kTagBytes));
  std::copy(out.bytes().begin(), out.bytes().end(), challenge.nonce.begin());
  return challenge;
}

Result<Fresh> Challenges::check(base::ByteView nonce, base::Purpose purpose, base::ByteView body,
                                base::UtcTime now) const {
  if (nonce.size() != kNonceBytes || nonce[0] != kNonceVersion) {
    return Error{Code::malformed, "nonce", "42 bytes that POST /v1/challenges gave",
                 std::to_string(nonce.size()) + " bytes"};
  }
  const bool previous_counts = previous_ && now <= changed_at_ + kChallengeLifetimeSeconds;
  if (!tag_matches(key_, nonce) && !(previous_counts && tag_matches(*previous_, nonce))) {
    return Error{Code::denied,
                 "the nonce is not one of this server's challenges",
                 {},
                 {},
                 "Ask this server for a challenge and make new evidence for it."};
  }
  base::Reader in{nonce.subspan(1)};
  TRY(const std::uint64_t expiry, in.u64be("expiry"));
  const base::UtcTime expires{static_cast<std::int64_t>(expiry)};
  if (expires < now) return expired(expires, now);
  const auto made_for = nonce[kSignedBytes - 1];
  if (made_for != static_cast<std::uint8_t>(purpose)) {
    return Error{Code::denied, "the challenge was made for another purpose", std::string{base::to_text(purpose)},
                 "purpose " + std::to_string(made_for)};
  }
  return Fresh{base::to_bytes(nonce), purpose, expires, crypto::sha256(body)};
}

Result<Fresh> Challenges::check_among(std::span<const NodeNonce> nonces, std::uint32_t own, base::Purpose purpose,
                                      base::ByteView body, base::UtcTime now) const {
  // Made of the nonce that is checked here and of nothing that a caller says beside it: otherwise a Fresh would prove
  // nothing about the evidence.
  TRY(const base::Digest32 combined, combined_nonce(nonces));
  const auto ours = std::ranges::find(nonces, own, &NodeNonce::id);
  if (ours == nonces.end()) {
    return Error{Code::denied, "the evidence was made without a challenge of this node",
                 "a nonce of node " + std::to_string(own) + " among those that it was made for", "none",
                 "Ask this node for a challenge, too, and make new evidence."};
  }
  TRY(auto fresh, check(ours->nonce, purpose, body, now));
  fresh.nonce_ = base::to_bytes(combined);
  return fresh;
}

Result<std::optional<SpentNonce>> Challenges::answered(const state::Store& store, const Fresh& fresh) {
  TRY(const auto view, store.read());
  TRY(const auto stored, view->get(record_key(fresh.spent_, fresh.expires())));
  if (!stored) return std::optional<SpentNonce>{};
  TRY(auto in, state::open_value(*stored, kRecordVersion, "spent nonce"));
  SpentNonce spent;
  TRY(spent.body_sha256, in.take_array<32>("body digest"));
  TRY(const auto released, in.u8("released"));
  spent.released = released == 1;
  TRY(spent.leaf_index, in.u64be("leaf index"));
  TRY(const auto reply, in.lp("reply", kMaxReply));
  TRY_OK(in.finish("spent nonce"));
  spent.reply = base::to_bytes(reply);
  if (spent.body_sha256 != fresh.body_sha256()) {
    return Error{Code::replayed, "this challenge was used before, with another request body"};
  }
  return std::optional{std::move(spent)};
}

Result<std::size_t> Challenges::collect_expired(state::WriteTxn& txn, base::UtcTime now, std::size_t limit) {
  const state::Key prefix{state::Space::nonces};
  std::vector<base::Bytes> old;
  TRY_OK(txn.scan(prefix, {}, limit, [&](base::ByteView key, base::ByteView) {
    base::Reader in{key.subspan(prefix.bytes().size())};
    const auto expiry = in.u64be("expiry");
    if (!expiry || static_cast<std::int64_t>(*expiry) >= now.seconds) return false;
    old.push_back(base::to_bytes(key));
    return true;
  }));
  for (const auto& key : old) TRY_OK(txn.erase(key));
  return old.size();
}

}  // namespace attestry::appraisal
