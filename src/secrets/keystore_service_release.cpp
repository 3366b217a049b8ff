#include "secrets/keystore_service_release.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "state/keys.h"
#include "state/spaces.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kForgetAtOnce = 4;

/// In the order of their end, so that what is over comes first: "used" ‖ until u64 ‖ SHA-256(report data).
state::Key used_prefix() { return state::Key(state::Space::keystore_state).lp("used-evidence"); }
state::Key used_key(const VerifiedWorker& worker) {
  // The report data and not the quote: an ECDSA signature can be written in two ways, and another quote for the same
  // report data is the same request.
  return used_prefix().u64(static_cast<std::uint64_t>(worker.until)).raw(crypto::sha256(worker.report_data));
}

Status use_evidence(state::WriteTxn& txn, const VerifiedWorker& worker, base::UtcTime now) {
  TRY_OK(forget_used_evidence(txn, now, kForgetAtOnce));
  auto used = txn.insert(used_key(worker), state::value(1).bytes());
  if (used || used.error().code != Code::conflict) return used;
  return Error{Code::replayed, "this evidence was used already"};
}

/// A signature that an owner has given says nothing about when, so that it is remembered for a year.
constexpr std::int64_t kRememberNonces = 366 * 86'400;

state::Key nonce_key(const base::Digest32& digest) {
  return state::Key(state::Space::keystore_state).lp("used-nonce").raw(digest);
}
/// In the order of their end, to find what is over.
state::Key nonce_ends() { return state::Key(state::Space::keystore_state).lp("used-nonce-until"); }

/// Keys under `prefix` that end with a time, u64, and 32 bytes more, in the order of their times: those whose time is
/// over.
Result<std::vector<base::Bytes>> ended(const state::ReadView& view, base::ByteView prefix, base::UtcTime now,
                                       std::size_t most) {
  std::vector<base::Bytes> out;
  TRY_OK(view.scan(prefix, {}, most, [&](base::ByteView key, base::ByteView) {
    constexpr std::size_t kTail = 8 + 32;
    if (key.size() < kTail) return false;
    base::Reader in{key.subspan(key.size() - kTail)};
    const auto until = in.u64be("until");
    if (!until || static_cast<std::int64_t>(*until) >= now.seconds) return false;
    out.push_back(base::to_bytes(key));
    return true;
  }));
  return out;
}

Status use_nonce(state::WriteTxn& txn, const base::Digest32& digest, base::UtcTime now) {
  TRY(const auto over, ended(txn, nonce_ends(), now, kForgetAtOnce));
  for (const auto& key : over) {
    base::Digest32 old{};
    std::ranges::copy(base::ByteView{key}.last(old.size()), old.begin());
    TRY_OK(txn.erase(nonce_key(old)));
    TRY_OK(txn.erase(key));
  }
  auto used = txn.insert(nonce_key(digest), state::value(1).bytes());
  if (!used) {
    if (used.error().code != Code::conflict) return used;
    return Error{Code::replayed, "this signature was used already: sign again, with a new nonce"};
  }
  const auto until = static_cast<std::uint64_t>(now.seconds + kRememberNonces);
  return txn.put(nonce_ends().u64(until).raw(digest), state::value(1).bytes());
}

/// Whom a leaf names: the worker's key on the operator's account, or the one that its evidence vouches for.
std::string worker_of(const KeystoreRecipient& to) {
  if (to.session) return to.session->public_key;
  return to.worker && to.worker->key ? base::hex(*to.worker->key) : std::string{};
}

Result<base::Bytes> close(const KeystoreRecipient& to, const crypto::Secret& plaintext, crypto::Random& random) {
  if (to.in_clear) return base::Bytes{};
  if (to.session && to.session->key) {
    return seal_to_session(*to.session->key, {.path = to.path, .body = to.body, .nonce = to.nonce}, plaintext.reveal(),
                           random);
  }
  if (to.worker && to.worker->genuine && to.worker->key)
    return seal_to_worker(*to.worker->key, to.worker->report_data, plaintext.reveal());
  return Error{Code::denied, "there is no attested key to close the reply for"};
}

}  // namespace

bool is_used_evidence(base::ByteView key) {
  const auto prefix = used_prefix().bytes();
  return key.size() >= prefix.size() && base::equal(key.first(prefix.size()), prefix);
}

Status forget_used_evidence(state::WriteTxn& txn, base::UtcTime now, std::size_t most) {
  TRY(const auto over, ended(txn, used_prefix(), now, most));
  for (const auto& key : over) TRY_OK(txn.erase(key));
  return base::done();
}

void release_with_leaf(const ReleaseParts& parts, ReleaseOf what, KeystoreRecipient to, crypto::Secret plaintext,
                       KeystoreDone done) {
  const auto refused = [&done](KeystoreStep step, Error error) {
    done(std::unexpected(KeystoreRefusal{step, std::move(error)}));
  };
  if (auto clock = parts.store.clock_usable(); !clock) return refused(KeystoreStep::record, std::move(clock).error());
  auto sealed = close(to, plaintext, parts.random);
  if (!sealed) return refused(KeystoreStep::evidence, std::move(sealed).error());
  const base::UtcTime now = parts.store.now();
  KeystoreReply reply;
  reply.leaf_key = parts.random.secret(32);
  audit::Leaf leaf;
  leaf.type = what.type;
  leaf.realm = parts.store.realm();
  leaf.audience = parts.log.origin();
  leaf.time = now;
  for (const auto& [label, value] : what.what)
    leaf.outputs.emplace(label, audit::commitment(reply.leaf_key, label, base::as_bytes(value)));
  leaf.outputs.emplace("plaintext", audit::commitment(reply.leaf_key, "plaintext", plaintext.reveal()));
  const std::string worker = worker_of(to);
  if (!worker.empty())
    leaf.outputs.emplace("worker", audit::commitment(reply.leaf_key, "worker", base::as_bytes(worker)));
  if (!to.token.empty())
    leaf.outputs.emplace("token", audit::commitment(reply.leaf_key, "token", base::as_bytes(to.token)));
  if (what.at) {
    base::LpWriter at;
    at.u64(what.at->height).raw(what.at->hash);
    leaf.governance = audit::commitment(reply.leaf_key, "governance", at.bytes());
  }
  if (to.worker && to.worker->genuine) {
    leaf.binding = base::hex(to.worker->report_data);
    leaf.policy = base::hex(to.worker->policy);
  } else if (to.session && to.session->policy) {
    leaf.policy = base::hex(*to.session->policy);
  }
  if (!sealed->empty()) {
    leaf.reply = base::hex(crypto::sha256(*sealed));
    reply.sealed = *std::move(sealed);
  } else {
    reply.plaintext = std::move(plaintext);
  }
  std::optional<VerifiedWorker> once;
  if (to.worker && to.worker->until != 0) once = to.worker;
  auto index = std::make_shared<std::uint64_t>(0);
  const auto step_of_replay = to.once ? KeystoreStep::operator_ : KeystoreStep::evidence;
  parts.store.write(
      [&log = parts.log, leaf = std::move(leaf), index, once, nonce = to.once, now](state::WriteTxn& txn) -> Status {
        if (once) TRY_OK(use_evidence(txn, *once, now));
        if (nonce) TRY_OK(use_nonce(txn, *nonce, now));
        TRY(*index, log.append(txn, leaf));
        return base::done();
      },
      [index, step_of_replay, reply = std::move(reply), done = std::move(done)](Status kept) mutable {
        if (!kept) {
          const auto step = kept.error().code == Code::replayed ? step_of_replay : KeystoreStep::record;
          return done(std::unexpected(KeystoreRefusal{step, std::move(kept).error()}));
        }
        reply.leaf = *index;
        done(std::move(reply));
      });
}

}  // namespace attestry::secrets
