#include "secrets/keystore_service.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "secrets/keystore_service_release.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

std::unexpected<KeystoreRefusal> refuse(KeystoreStep step, Error error) {
  return std::unexpected(KeystoreRefusal{step, std::move(error)});
}

/// An error of this code is nobody's no.
bool is_outage(Code code) {
  switch (code) {
    case Code::unavailable:
    case Code::deadline_exceeded:
    case Code::collateral_missing:
    case Code::rate_limited:
      return true;
    default:
      return false;
  }
}

/// A key that is gone for good is no outage that a client should wait for.
KeystoreStep step_of_v0(const Error& error) {
  return error.code == Code::denied ? KeystoreStep::decrypt : KeystoreStep::ready;
}

std::string vault_of(const KeystoreSecret& secret) {
  return secret.stored.vault ? secret.stored.vault->text() : std::string{};
}

std::string scope_of(std::string_view vault, const MasterInUse& key) { return std::string{vault} + '\n' + key.id; }

}  // namespace

std::string_view to_text(KeystoreStep step) noexcept {
  switch (step) {
    case KeystoreStep::request:
      return "request";
    case KeystoreStep::ready:
      return "ready";
    case KeystoreStep::limit:
      return "limit";
    case KeystoreStep::chain:
      return "chain";
    case KeystoreStep::missing:
      return "missing";
    case KeystoreStep::vault:
      return "vault";
    case KeystoreStep::agent:
      return "agent";
    case KeystoreStep::condition:
      return "condition";
    case KeystoreStep::access:
      return "access";
    case KeystoreStep::decrypt:
      return "decrypt";
    case KeystoreStep::session:
      return "session";
    case KeystoreStep::evidence:
      return "evidence";
    case KeystoreStep::operator_:
      return "operator";
    case KeystoreStep::policy:
      return "policy";
    case KeystoreStep::record:
      return "record";
  }
  return "record";
}

Result<std::unique_ptr<KeystoreService>> KeystoreService::open(KeystoreParts parts, KeystoreRules rules) {
  std::unique_ptr<KeystoreService> out{new KeystoreService(std::move(parts), std::move(rules))};
  out->parts_.masters.on_change([service = out.get()] { service->forget(); });
  return out;
}

KeystoreService::~KeystoreService() { parts_.masters.on_change({}); }

/// Of masters that are gone nothing stays that was derived from them or opened with them.
void KeystoreService::forget() {
  keys_.clear();
  const base::MutexLock lock(mutex_);
  opened_.clear();
  opened_bytes_ = 0;
}

// ---- masters and blobs

/// Whoever comes here has looked at the vault just now; what was not looked at is not used.
std::expected<base::Done, KeystoreRefusal> KeystoreService::may_use(std::string_view vault) const {
  if (parts_.vaults == nullptr || vault.empty()) return base::Done{};
  if (auto seen = parts_.vaults->last(vault); !seen) return refuse(KeystoreStep::vault, std::move(seen).error());
  return base::Done{};
}

std::expected<MasterInUse, KeystoreRefusal> KeystoreService::in_use(std::string_view vault) const {
  if (const auto ready = parts_.masters.ready(); !ready) return refuse(KeystoreStep::ready, ready.error());
  if (auto may = may_use(vault); !may) return std::unexpected(std::move(may).error());
  auto found = parts_.masters.current(vault);
  if (!found) return refuse(KeystoreStep::vault, std::move(found).error());
  return *std::move(found);
}

std::expected<MasterPtr, KeystoreRefusal> KeystoreService::master(std::string_view vault) const {
  auto found = in_use(vault);
  if (!found) return std::unexpected(std::move(found).error());
  return std::move(found->master);
}

std::expected<crypto::Secret, KeystoreRefusal> KeystoreService::open_blob(const keystore::Seed& seed,
                                                                          std::string_view vault,
                                                                          base::ByteView blob) const {
  if (const auto ready = parts_.masters.ready(); !ready) return refuse(KeystoreStep::ready, ready.error());
  if (auto may = may_use(vault); !may) return std::unexpected(std::move(may).error());
  std::uint32_t epoch = parts_.masters.current_epoch();
  std::uint32_t oldest = std::max<std::uint32_t>(1, parts_.masters.oldest_epoch());
  if (keystore::is_blob_v3(blob)) {
    const auto header = keystore::read_blob_v3_header(blob);
    if (!header) return refuse(KeystoreStep::decrypt, header.error());
    epoch = oldest = header->epoch;
  }
  // A blob of others does not say under which master it was made: the newest is the likeliest.
  for (;; --epoch) {
    const auto key = parts_.masters.at(vault, epoch);
    if (!key) return refuse(KeystoreStep::vault, key.error());
    auto opened = keystore::open_blob({.scope = scope_of(vault, *key), .master = *key->master, .epoch = key->epoch},
                                      seed, blob, rules_.broken, keys_);
    if (opened) return std::move(opened->plaintext);
    const Code code = opened.error().code;
    if (epoch <= oldest || (code != Code::crypto && code != Code::denied))
      return refuse(KeystoreStep::decrypt, std::move(opened).error());
  }
}

std::expected<base::Bytes, KeystoreRefusal> KeystoreService::seal_blob(const keystore::Seed& seed,
                                                                       std::string_view vault,
                                                                       base::ByteView plaintext) const {
  auto key = in_use(vault);
  if (!key) return std::unexpected(std::move(key).error());
  const auto sealing = keys_.get(scope_of(vault, *key), *key->master, seed);
  auto out = keystore::ecies_v1_seal(sealing->public_key, plaintext, parts_.random);
  if (!out) return refuse(KeystoreStep::request, std::move(out).error());
  return *std::move(out);
}

// ---- releases

void KeystoreService::release(std::string_view type, std::map<std::string, std::string> what, KeystoreRecipient to,
                              crypto::Secret plaintext, KeystoreDone done) const {
  release_with_leaf({.store = parts_.store, .log = parts_.log, .random = parts_.random},
                    {.type = std::string{type}, .what = std::move(what), .at = {}}, std::move(to), std::move(plaintext),
                    std::move(done));
}

void KeystoreService::public_key(std::string_view seed, std::string_view vault, KeystoreRecipient to,
                                 KeystoreDone done) {
  const auto read = keystore::Seed::from_text(seed);
  if (!read) return done(refuse(KeystoreStep::request, read.error()));
  const auto key = in_use(vault);
  if (!key) return done(std::unexpected(key.error()));
  const auto sealing = keys_.get(scope_of(vault, *key), *key->master, *read);
  const std::string hex = base::hex(sealing->public_key);
  to.in_clear = true;  // a public key
  to.session = nullptr;
  to.worker.reset();
  release("keystore.derive", {{"seed", std::string{seed}}, {"vault", std::string{vault}}}, std::move(to),
          crypto::Secret::copy_of(base::as_bytes(hex)), std::move(done));
}

// ---- secrets on the chain

std::expected<std::shared_ptr<const crypto::Secret>, KeystoreRefusal> KeystoreService::open_stored(
    const KeystoreDecrypt& asked, const std::string& arguments, const KeystoreFound& secret) {
  const std::string vault = vault_of(*secret);
  // First of all: a banned vault ends what was remembered, too.
  const auto key = in_use(vault);
  if (!key) return std::unexpected(key.error());
  {
    const base::MutexLock lock(mutex_);
    const auto found = opened_.find(arguments);
    if (found != opened_.end() && found->second.secret == secret && found->second.master == key->id)
      return found->second.plaintext;
  }
  const auto seed =
      keystore::seed_of(asked.name.accessor, secret->stored, asked.name.owner, asked.name.profile, rules_.seeds);
  if (!seed) return refuse(KeystoreStep::condition, seed.error());
  auto opened = open_blob(*seed, vault, secret->stored.blob);
  if (!opened) return std::unexpected(std::move(opened).error());
  auto plaintext = std::make_shared<const crypto::Secret>(*std::move(opened));
  if (plaintext->size() * 8 > rules_.opened_bytes) return plaintext;
  const base::MutexLock lock(mutex_);
  if (opened_bytes_ + plaintext->size() + 256 > rules_.opened_bytes) {
    opened_.clear();
    opened_bytes_ = 0;
  }
  opened_bytes_ += plaintext->size() + 256;
  opened_.insert_or_assign(arguments, Opened{secret, key->id, plaintext});
  return plaintext;
}

void KeystoreService::decrypt(KeystoreDecrypt asked, KeystoreRecipient to, base::Deadline deadline, KeystoreDone done) {
  if (const auto ready = parts_.masters.ready(); !ready) return done(refuse(KeystoreStep::ready, ready.error()));
  if (parts_.chain == nullptr) {
    return done(refuse(KeystoreStep::chain, {Code::configuration, "NEAR client not configured"}));
  }
  auto shared = std::make_shared<KeystoreDecrypt>(std::move(asked));
  std::string arguments = KeystoreChain::arguments(shared->name);
  if (const auto view = parts_.chain->at_hand(arguments))
    return decrypt_at(shared, arguments, *view, std::move(to), deadline, false, std::move(done));
  auto last = std::make_shared<KeystoreDone>(std::move(done));
  std::move_only_function<void()> task = [this, shared, arguments = std::move(arguments), to = std::move(to), deadline,
                                          last]() mutable {
    const auto view = parts_.chain->read(arguments, deadline);
    if (!view) return (*last)(refuse(KeystoreStep::chain, view.error()));
    decrypt_at(shared, arguments, *view, std::move(to), deadline, true, std::move(*last));
  };
  if (parts_.run_waiting(shared->name.owner.text(), task)) return;
  (*last)(refuse(KeystoreStep::limit, {Code::unavailable, "too many wait for the chain"}));
}

void KeystoreService::decrypt_at(const std::shared_ptr<KeystoreDecrypt>& asked, const std::string& arguments,
                                 const KeystoreView& view, KeystoreRecipient to, base::Deadline deadline, bool may_wait,
                                 KeystoreDone done) {
  if (!view.secret) return done(refuse(KeystoreStep::missing, {Code::not_found, "Secrets not found in contract"}));
  const std::string vault = vault_of(*view.secret);
  const bool gated = parts_.vaults != nullptr && !vault.empty();
  auto looked = gated ? parts_.vaults->at_hand(vault) : std::optional{base::done()};
  if (!looked && may_wait) looked = parts_.vaults->look(vault, deadline);
  if (looked && !*looked) return done(refuse(KeystoreStep::vault, looked->error()));
  const auto wait = [&] {
    auto last = std::make_shared<KeystoreDone>(std::move(done));
    std::move_only_function<void()> task = [this, asked, arguments, view, to = std::move(to), deadline,
                                            last]() mutable {
      decrypt_at(asked, arguments, view, std::move(to), deadline, true, std::move(*last));
    };
    if (parts_.run_waiting(asked->name.owner.text(), task)) return;
    (*last)(refuse(KeystoreStep::limit, {Code::unavailable, "too many wait for the chain"}));
  };
  if (!looked) return wait();
  if (const auto key = master(vault); !key) return done(std::unexpected(key.error()));
  const auto agent = keystore::check_agent_secret(asked->name.profile, asked->user, asked->name.owner);
  if (!agent) return done(refuse(KeystoreStep::agent, agent.error()));
  const auto& access = view.secret->access;
  if (!access) {
    return done(
        refuse(KeystoreStep::condition, {Code::corrupt, "Failed to parse access condition: " + access.error().text()}));
  }
  if (access->chain_reads() > 0 && !may_wait) return wait();
  // At the block at which the secret was read: one state of the chain decides.
  keystore::NearFacts facts{parts_.chain->reader(), view.at, deadline};
  const auto allowed = access->allows({.account = asked->user}, facts);
  if (!allowed) {
    auto error = allowed.error();
    error.what = "Access validation failed: " + error.what;
    return done(refuse(KeystoreStep::condition, std::move(error)));
  }
  if (!*allowed) return done(refuse(KeystoreStep::access, {Code::denied, "Access denied by access condition"}));
  give(*asked, arguments, view, std::move(to), std::move(done));
}

void KeystoreService::give(const KeystoreDecrypt& asked, const std::string& arguments, const KeystoreView& view,
                           KeystoreRecipient to, KeystoreDone done) {
  const auto plaintext = open_stored(asked, arguments, view.secret);
  if (!plaintext) return done(std::unexpected(plaintext.error()));
  release_with_leaf({.store = parts_.store, .log = parts_.log, .random = parts_.random},
                    {.type = "keystore.decrypt",
                     .what = {{"secret", arguments}, {"caller", asked.user.text()}, {"vault", vault_of(*view.secret)}},
                     .at = view.at},
                    std::move(to), (*plaintext)->clone(), std::move(done));
}

void KeystoreService::open_for_owner(KeystoreSecretName name, chain::near::PublicKey key, base::Deadline deadline,
                                     OpenedDone done) {
  if (const auto ready = parts_.masters.ready(); !ready) return done(refuse(KeystoreStep::ready, ready.error()));
  if (parts_.chain == nullptr)
    return done(refuse(KeystoreStep::chain, {Code::configuration, "NEAR client not configured"}));
  const auto last = std::make_shared<OpenedDone>(std::move(done));
  const auto asked = std::make_shared<const KeystoreDecrypt>(KeystoreDecrypt{.name = name, .user = name.owner});
  std::move_only_function<void()> task = [this, asked, key = std::move(key), deadline, last] {
    const auto& owner = asked->name.owner;
    if (const auto known = parts_.chain->has_key(owner, key, deadline); !known) {
      if (known.error().code != Code::not_found) return (*last)(refuse(KeystoreStep::chain, known.error()));
      return (*last)(
          refuse(KeystoreStep::operator_, {Code::denied, "Public key " + key.text() + " does not belong to account " +
                                                             owner.text() + ": the account has no such key"}));
    }
    const std::string arguments = KeystoreChain::arguments(asked->name);
    const auto view = parts_.chain->read(arguments, deadline);
    if (!view) return (*last)(refuse(KeystoreStep::chain, view.error()));
    if (!view->secret) return (*last)(std::shared_ptr<const crypto::Secret>{});
    if (const std::string vault = vault_of(*view->secret); parts_.vaults != nullptr && !vault.empty()) {
      if (const auto seen = parts_.vaults->look(vault, deadline); !seen)
        return (*last)(refuse(KeystoreStep::vault, seen.error()));
    }
    (*last)(open_stored(*asked, arguments, view->secret));
  };
  if (parts_.run_waiting(asked->name.owner.text(), task)) return;
  (*last)(refuse(KeystoreStep::limit, {Code::unavailable, "too many wait for the chain"}));
}

// ---- the first generation

std::expected<std::array<std::uint8_t, 32>, KeystoreRefusal> KeystoreService::v0_public_key() const {
  const auto seed = parts_.masters.v0_seed();
  if (!seed) return refuse(step_of_v0(seed.error()), seed.error());
  const auto key = keystore::V0Key::from_seed(seed->reveal());
  if (!key) return refuse(KeystoreStep::ready, key.error());
  return key->public_key();
}

void KeystoreService::decrypt_v0(base::Bytes blob, KeystoreRecipient to, KeystoreDone done) {
  const auto seed = parts_.masters.v0_seed();
  if (!seed) return done(refuse(step_of_v0(seed.error()), seed.error()));
  const auto key = keystore::V0Key::from_seed(seed->reveal());
  if (!key) return done(refuse(KeystoreStep::ready, key.error()));
  auto plaintext = key->open(blob, rules_.broken);
  if (!plaintext) return done(refuse(KeystoreStep::decrypt, std::move(plaintext).error()));
  release("keystore.decrypt", {{"ciphertext", base::hex(crypto::sha256(blob))}}, std::move(to), *std::move(plaintext),
          std::move(done));
}

// ---- workers

std::expected<std::shared_ptr<const KeystoreSession>, KeystoreRefusal> KeystoreService::session(
    std::string_view id, const base::FixedBytes<32>* channel) const {
  // Nobody is told that his session is none by a server that does not serve.
  if (const auto ready = parts_.masters.ready(); !ready) return refuse(KeystoreStep::ready, ready.error());
  auto found = parts_.sessions.find(id, parts_.store.now(), channel);
  if (!found) return refuse(KeystoreStep::session, std::move(found).error());
  return *std::move(found);
}

void KeystoreService::verify_request(
    ShownEvidence shown, const base::Digest32& body, base::Deadline deadline,
    std::move_only_function<void(std::expected<VerifiedWorker, KeystoreRefusal>)> done) const {
  const auto& rules = parts_.evidence.rules();
  const auto now = parts_.store.now();
  const auto refused = [&](Error error) { done(refuse(KeystoreStep::evidence, std::move(error))); };
  if (const auto fresh = check_freshness(shown.timestamp, now, rules); !fresh) return refused(fresh.error());
  if (const auto type = check_tee_type(shown.tee_type, rules.mode); !type) return refused(type.error());
  VerifiedWorker unproved{.key = shown.worker_key.value_or(WorkerKey{})};
  // Both of these exist in the simulated realm alone; the settings see to that.
  if (rules.mode == TeeMode::none) return done(unproved);
  if (rules.mode == TeeMode::simulated) {
    if (shown.quote.size() != 32) return refused({Code::unauthenticated, "Invalid simulated quote length"});
    const std::string hash = base::hex(shown.quote);
    if (std::ranges::find(rules.simulated, hash) == rules.simulated.end()) {
      std::string list;
      for (const auto& one : rules.simulated) list += (list.empty() ? "" : ", ") + one;
      return refused(
          {Code::unauthenticated, "Code measurement mismatch: got " + hash + ", expected one of [" + list + "]"});
    }
    return done(unproved);
  }
  if (!shown.worker_key) {
    return refused({Code::unauthenticated,
                    "worker_pubkey is missing: 64 hex digits of an X25519 key, for which the "
                    "evidence vouches and the reply is closed"});
  }
  const auto bound = request_report_data(*shown.worker_key, shown.timestamp, body, rules.audience);
  const std::int64_t until = static_cast<std::int64_t>(shown.timestamp) + rules.seconds + 1;
  parts_.evidence.verify(std::move(shown.quote), shown.tee_type, *shown.worker_key, bound, now, deadline,
                         [until, done = std::move(done)](Result<VerifiedWorker> worker) mutable {
                           if (!worker) return done(refuse(KeystoreStep::evidence, std::move(worker).error()));
                           worker->until = until;
                           done(*std::move(worker));
                         });
}

struct KeystoreService::Registering {
  KeystoreRegistration asked;
  KeystoreRegisteredDone done;
  base::Deadline deadline;
};

void KeystoreService::register_worker(KeystoreRegistration asked, base::Deadline deadline,
                                      KeystoreRegisteredDone done) {
  using chain::near::PublicKey;
  // Used up before anything else is looked at: no second try with the same one.
  if (const auto answered = parts_.sessions.answer(asked.challenge, parts_.clock.steady()); !answered)
    return done(refuse(KeystoreStep::request, answered.error()));
  const auto wrong = [&](const Error& error) {
    done(refuse(KeystoreStep::request, {Code::malformed, "Signature verification failed: " + error.text()}));
  };
  const auto key = PublicKey::parse(asked.public_key);
  if (!key) return wrong(key.error());
  if (!rules_.key_kinds.contains(key->kind()))
    return wrong({Code::malformed, "keys of this kind are not taken (keystore.key_kinds)"});
  const auto signature = chain::near::Signature::parse(asked.signature);
  if (!signature) return wrong(signature.error());
  if (const auto good = chain::near::verify(*key, asked.challenge, *signature); !good) return wrong(good.error());
  if (!asked.evidence && !rules_.trust_registered_keys && parts_.evidence.rules().mode != TeeMode::none) {
    return done(refuse(KeystoreStep::evidence, {Code::unauthenticated,
                                                "a worker registers with evidence here: members evidence and "
                                                "encryption_key (docs/formats/keystore-wire.md)"}));
  }
  if (parts_.chain == nullptr || !rules_.operator_account) {
    return done(refuse(KeystoreStep::record, {Code::configuration, "OPERATOR_ACCOUNT_ID not configured on keystore"}));
  }
  auto job = std::make_shared<Registering>(Registering{std::move(asked), std::move(done), deadline});
  std::move_only_function<void()> task = [this, job, key = *key] {
    const auto known = parts_.chain->has_key(*rules_.operator_account, key, job->deadline);
    if (known) return verify_registration(job);
    if (known.error().code == Code::not_found) {
      return job->done(refuse(KeystoreStep::operator_,
                              {Code::denied, "Public key " + job->asked.public_key + " not found on operator account " +
                                                 rules_.operator_account->text()}));
    }
    job->done(refuse(KeystoreStep::chain, known.error()));
  };
  if (parts_.run_waiting("register-tee", task)) return;
  job->done(refuse(KeystoreStep::limit, {Code::unavailable, "too many wait for the chain"}));
}

void KeystoreService::verify_registration(std::shared_ptr<Registering> job) const {
  if (!job->asked.evidence) return keep_registration(std::move(job), std::nullopt);
  auto& evidence = *job->asked.evidence;
  const auto bound = registration_report_data(job->asked.challenge, job->asked.public_key, evidence.key,
                                              parts_.evidence.rules().audience);
  auto* asked = job.get();
  parts_.evidence.verify(std::move(evidence.quote), {}, evidence.key, bound, parts_.store.now(), asked->deadline,
                         [this, job = std::move(job)](Result<VerifiedWorker> worker) mutable {
                           if (!worker) return job->done(refuse(KeystoreStep::evidence, std::move(worker).error()));
                           keep_registration(std::move(job), *std::move(worker));
                         });
}

void KeystoreService::keep_registration(std::shared_ptr<Registering> job, std::optional<VerifiedWorker> worker) const {
  if (const auto clock = parts_.store.clock_usable(); !clock)
    return job->done(refuse(KeystoreStep::record, clock.error()));
  if (parts_.sessions.full())
    return job->done(refuse(KeystoreStep::limit, {Code::rate_limited, "too many workers have a session"}));
  auto session = std::make_shared<KeystoreSession>();
  KeystoreRegistered out{.session_id = parts_.sessions.new_id(), .expires = {}, .sealed_key = {}};
  session->digest = KeystoreSessions::digest_of(out.session_id);
  session->public_key = job->asked.public_key;
  session->made = parts_.store.now();
  session->expires = out.expires = session->made + rules_.session_seconds;
  session->channel = job->asked.channel;
  if (worker) {
    session->policy = worker->policy;
    session->evidence = worker->evidence;
    session->key = std::make_shared<const crypto::Secret>(parts_.random.secret(32));
    auto sealed = seal_to_worker(worker->key, worker->report_data, session->key->reveal());
    if (!sealed) return job->done(refuse(KeystoreStep::request, std::move(sealed).error()));
    out.sealed_key = *std::move(sealed);
  }
  audit::Leaf leaf;
  leaf.type = "keystore.register";
  leaf.realm = parts_.store.realm();
  leaf.audience = parts_.log.origin();
  leaf.time = session->made;
  if (worker) {
    leaf.binding = base::hex(worker->report_data);
    leaf.policy = base::hex(worker->policy);
  }
  const auto leaf_key = parts_.random.secret(32);
  leaf.outputs.emplace("worker", audit::commitment(leaf_key, "worker", base::as_bytes(session->public_key)));
  if (!out.sealed_key.empty()) leaf.reply = base::hex(crypto::sha256(out.sealed_key));
  parts_.store.write(
      [this, session, leaf = std::move(leaf)](state::WriteTxn& txn) -> Status {
        TRY_OK(parts_.sessions.put(txn, *session));
        TRY_OK(parts_.log.append(txn, leaf));
        return base::done();
      },
      [this, session, job = std::move(job), out = std::move(out)](Status kept) mutable {
        if (!kept) return job->done(refuse(KeystoreStep::record, std::move(kept).error()));
        parts_.sessions.admitted(session);
        job->done(std::move(out));
      });
}

Result<std::size_t> KeystoreService::recheck(base::Deadline deadline) {
  if (parts_.chain == nullptr || !rules_.operator_account) return std::size_t{0};
  TRY(std::size_t ended, parts_.sessions.collect(parts_.store.now(), deadline));
  for (const std::string& text : parts_.sessions.public_keys()) {
    TRY(const auto key, chain::near::PublicKey::parse(text));
    const auto known = parts_.chain->has_key(*rules_.operator_account, key, deadline);
    if (known) continue;
    // A chain that does not answer ends nobody's session.
    if (is_outage(known.error().code) || known.error().code != Code::not_found) return known.error();
    TRY(const auto more,
        parts_.sessions.end([&text](const KeystoreSession& session) { return session.public_key == text; }, deadline));
    base::log(base::LogLevel::warning, "keystore: the operator's account has a worker's key no more",
              {{"key", text}, {"sessions", std::to_string(more)}});
    ended += more;
  }
  return ended;
}

}  // namespace attestry::secrets
