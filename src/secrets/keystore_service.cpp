#include "secrets/keystore_service.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/reason.h"
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

/// A caller's own spelling of a seed has a key of version 3 of its own, to which no accessor leads.
bool is_spelled(const keystore::Seed& seed) {
  const auto same = keystore::Seed::from_text(seed.text());
  return same && same->v3() == seed.v3();
}

/// A key that is gone for good is no outage that a client should wait for.
KeystoreStep step_of_v0(const Error& error) {
  return error.code == Code::denied ? KeystoreStep::decrypt : KeystoreStep::ready;
}

/// Of a secret that could not be read. One that is larger than an answer may be does not become smaller by waiting.
std::unexpected<KeystoreRefusal> unread(const Error& error) {
  if (error.code != Code::too_large) return refuse(KeystoreStep::chain, error);
  return refuse(KeystoreStep::chain, {Code::too_large, "Encrypted data too large: " + error.expected});
}

/// A name that makes no seed is the caller's to mend when it is the caller's, and the owner's when the chain has it.
std::unexpected<KeystoreRefusal> no_seed(const KeystoreDecrypt& asked, const Error& error,
                                         const keystore::SeedRules& rules) {
  if (keystore::seed_of(asked.name.accessor, asked.name.owner, asked.name.profile, rules))
    return refuse(KeystoreStep::condition, error);
  return refuse(KeystoreStep::request, {Code::malformed, base::reason(error)});
}

/// Who is to be answered once what waits for a thread has run; also when it never will, because the server stops.
template <class Outcome>
class Once {
 public:
  using Done = std::move_only_function<void(Outcome)>;
  explicit Once(Done done) : done_(std::move(done)) {}
  Once(Once&& other) noexcept : done_(other.take()) {}
  Once& operator=(Once&&) = delete;
  ~Once() {
    if (done_) done_(refuse(KeystoreStep::limit, {Code::unavailable, "this server is about to stop"}));
  }
  void operator()(Outcome outcome) { take()(std::move(outcome)); }
  Done take() noexcept { return std::exchange(done_, nullptr); }

 private:
  Done done_;
};

std::string vault_of(const KeystoreSecret& secret) {
  return secret.stored.vault ? secret.stored.vault->text() : std::string{};
}

std::string scope_of(std::string_view vault, const MasterInUse& key) { return std::string{vault} + '\n' + key.id; }

}  // namespace

bool is_outage(Code code) noexcept {
  return code == Code::unavailable || code == Code::deadline_exceeded || code == Code::collateral_missing ||
         code == Code::rate_limited;
}

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

std::expected<MasterInUse, KeystoreRefusal> KeystoreService::of_wallets(std::string_view vault) const {
  if (const auto ready = parts_.masters.ready(); !ready) return refuse(KeystoreStep::ready, ready.error());
  if (auto may = may_use(vault); !may) return std::unexpected(std::move(may).error());
  auto found = parts_.masters.wallets(vault);
  if (!found) return refuse(KeystoreStep::vault, std::move(found).error());
  return *std::move(found);
}

std::expected<MasterPtr, KeystoreRefusal> KeystoreService::wallet_master(std::string_view vault) const {
  auto found = of_wallets(vault);
  if (!found) return std::unexpected(std::move(found).error());
  return std::move(found->master);
}

std::expected<crypto::Secret, KeystoreRefusal> KeystoreService::open_blob(const keystore::Seed& seed,
                                                                          std::string_view vault,
                                                                          base::ByteView blob) const {
  if (const auto ready = parts_.masters.ready(); !ready) return refuse(KeystoreStep::ready, ready.error());
  if (auto may = may_use(vault); !may) return std::unexpected(std::move(may).error());
  const bool v3 = keystore::is_blob_v3(blob);
  // Policies are their wallets': whether those epochs are retired or not.
  if (seed.kind() == keystore::SeedKind::wallet_policy) {
    const auto key = parts_.masters.wallets(vault);
    if (!key) return refuse(KeystoreStep::vault, key.error());
    auto opened = keystore::open_blob({.scope = scope_of(vault, *key), .master = *key->master, .epoch = key->epoch},
                                      seed, blob, rules_.broken, keys_);
    if (opened) return std::move(opened->plaintext);
    const Code code = opened.error().code;
    // `not_found`: of another epoch, as a blob of version 3 says.
    const bool others = code == Code::not_found || (!v3 && (code == Code::crypto || code == Code::denied));
    if (!others) return refuse(KeystoreStep::decrypt, std::move(opened).error());
  }
  std::uint32_t epoch = parts_.masters.current_epoch();
  std::uint32_t oldest = std::max<std::uint32_t>(1, parts_.masters.oldest_epoch());
  if (v3) {
    const auto header = keystore::read_blob_v3_header(blob);
    if (!header) return refuse(KeystoreStep::decrypt, header.error());
    if (header->epoch < oldest || header->epoch > epoch) {
      return refuse(KeystoreStep::decrypt, {Code::crypto, "the blob is of epoch " + std::to_string(header->epoch) +
                                                              ", of which this keystore has no master"});
    }
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

std::expected<KeystoreService::Sealing, KeystoreRefusal> KeystoreService::sealing(const keystore::Seed& seed,
                                                                                  std::string_view vault,
                                                                                  KeystoreBlob blob) const {
  using Format = keystore::SealingKeyCache::Format;
  const auto key = seed.kind() == keystore::SeedKind::wallet_policy ? of_wallets(vault) : in_use(vault);
  if (!key) return std::unexpected(key.error());
  const auto format = blob == KeystoreBlob::v3 ? Format::v3 : Format::ecies_v1;
  return Sealing{key->epoch, keys_.get(scope_of(vault, *key), *key->master, seed, format)};
}

std::expected<base::Bytes, KeystoreRefusal> KeystoreService::seal_blob(const keystore::Seed& seed,
                                                                       std::string_view vault,
                                                                       base::ByteView plaintext) const {
  const auto blob = is_spelled(seed) ? KeystoreBlob::ecies_v1 : rules_.writes;
  const auto to = sealing(seed, vault, blob);
  if (!to) return std::unexpected(to.error());
  // Of two that were written one after the other, the second has the larger version.
  const auto version = static_cast<std::uint64_t>(std::max<std::int64_t>(1, parts_.store.now().seconds));
  auto out = blob == KeystoreBlob::v3
                 ? keystore::blob_v3_seal(to->key->public_key, seed, to->epoch, version, plaintext, parts_.random)
                 : keystore::ecies_v1_seal(to->key->public_key, plaintext, parts_.random);
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

void KeystoreService::public_key(const keystore::Seed& seed, std::string_view vault, KeystoreBlob blob,
                                 KeystoreRecipient to, KeystoreDone done) {
  const auto found = sealing(seed, vault, blob);
  if (!found) return done(std::unexpected(found.error()));
  base::JsonOutObject out{{"pubkey", base::hex(found->key->public_key)}};
  if (blob == KeystoreBlob::v3) {
    out.emplace_back("version", std::uint64_t{3});
    out.emplace_back("epoch", std::uint64_t{found->epoch});
    out.emplace_back("key_id", base::hex(keystore::key_id_v3(found->key->public_key)));
  }
  const std::string text = base::JsonOut{std::move(out)}.compact();
  to.in_clear = true;  // a public key
  to.session = nullptr;
  to.worker.reset();
  // What a key is made public for is no release to anybody: strangers could make the log grow with it.
  if (to.token.empty()) {
    KeystoreReply reply;
    reply.plaintext = crypto::Secret::copy_of(base::as_bytes(text));
    return done(std::move(reply));
  }
  release("keystore.derive", {{"seed", seed.text()}, {"vault", std::string{vault}}}, std::move(to),
          crypto::Secret::copy_of(base::as_bytes(text)), std::move(done));
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
  if (!seed) return no_seed(asked, seed.error(), rules_.seeds);
  auto opened = open_blob(*seed, vault, secret->stored.blob);
  if (!opened) return std::unexpected(std::move(opened).error());
  auto plaintext = std::make_shared<const crypto::Secret>(*std::move(opened));
  const std::size_t bytes = plaintext->size() + memory_of(*secret) + 2 * arguments.size() + 256;
  if (bytes * 8 > rules_.opened_bytes) return plaintext;
  const base::MutexLock lock(mutex_);
  if (const auto found = opened_.find(arguments); found != opened_.end()) {
    opened_bytes_ -= found->second.bytes;
    opened_.erase(found);
  }
  if (opened_bytes_ + bytes > rules_.opened_bytes) {
    opened_.clear();
    opened_bytes_ = 0;
  }
  opened_bytes_ += bytes;
  opened_.insert_or_assign(arguments, Opened{secret, key->id, plaintext, bytes});
  return plaintext;
}

void KeystoreService::decrypt(KeystoreDecrypt asked, KeystoreRecipient to, base::Deadline deadline, KeystoreDone done) {
  if (const auto ready = parts_.masters.ready(); !ready) return done(refuse(KeystoreStep::ready, ready.error()));
  if (parts_.chain == nullptr || !parts_.chain->has_contract())
    return done(refuse(KeystoreStep::chain, {Code::configuration, "NEAR client not configured"}));
  auto shared = std::make_shared<KeystoreDecrypt>(std::move(asked));
  std::string arguments = KeystoreChain::arguments(shared->name);
  if (const auto view = parts_.chain->at_hand(arguments))
    return decrypt_at(shared, arguments, *view, std::move(to), deadline, false, std::move(done));
  auto last = std::make_shared<Once<KeystoreOutcome>>(std::move(done));
  std::move_only_function<void()> task = [this, shared, arguments = std::move(arguments), to = std::move(to), deadline,
                                          last]() mutable {
    const auto view = parts_.chain->read(arguments, deadline);
    if (!view) return (*last)(unread(view.error()));
    decrypt_at(shared, arguments, *view, std::move(to), deadline, true, last->take());
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
    auto last = std::make_shared<Once<KeystoreOutcome>>(std::move(done));
    std::move_only_function<void()> task = [this, asked, arguments, view, to = std::move(to), deadline,
                                            last]() mutable {
      decrypt_at(asked, arguments, view, std::move(to), deadline, true, last->take());
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
    // The chain's own no: an account that does not exist has no balance, a contract that refuses shows nothing.
    if (allowed.error().code == Code::denied)
      return done(refuse(KeystoreStep::access, {Code::denied, "Access denied by access condition"}));
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

void KeystoreService::open_for_owner(const KeystoreSecretName& name, chain::near::PublicKey key,
                                     base::Deadline deadline, OpenedDone done) {
  if (const auto ready = parts_.masters.ready(); !ready) return done(refuse(KeystoreStep::ready, ready.error()));
  if (parts_.chain == nullptr || !parts_.chain->has_contract())
    return done(refuse(KeystoreStep::chain, {Code::configuration, "NEAR client not configured"}));
  using Found = std::expected<std::shared_ptr<const crypto::Secret>, KeystoreRefusal>;
  const auto last = std::make_shared<Once<Found>>(std::move(done));
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
    if (!view) return (*last)(unread(view.error()));
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
  // In the same words: a worker registers anew, and learns then what is asked of it.
  if (!admissible(**found)) return refuse(KeystoreStep::session, {Code::denied, "TEE session not found or expired"});
  return *std::move(found);
}

bool KeystoreService::admissible(const KeystoreSession& session) const {
  const auto kind = std::string_view{session.public_key}.substr(0, session.public_key.find(':'));
  if (std::ranges::none_of(rules_.key_kinds, [&](chain::near::KeyKind one) { return to_text(one) == kind; }))
    return false;
  const auto& evidence = parts_.evidence.rules();
  if (session.policy) return *session.policy == evidence.policy.sha256();
  return rules_.trust_registered_keys || evidence.mode == TeeMode::none;
}

std::expected<base::FixedBytes<32>, KeystoreRefusal> KeystoreService::challenge(std::string_view token) const {
  if (const auto ready = parts_.masters.ready(); !ready) return refuse(KeystoreStep::ready, ready.error());
  return parts_.sessions.challenge(token, parts_.clock.steady());
}

void KeystoreService::verify_request(
    ShownEvidence shown, const base::Digest32& body, base::Deadline deadline,
    std::move_only_function<void(std::expected<VerifiedWorker, KeystoreRefusal>)> done) const {
  const auto& rules = parts_.evidence.rules();
  const auto now = parts_.store.now();
  const auto refused = [&](Error error) { done(refuse(KeystoreStep::evidence, std::move(error))); };
  if (const auto fresh = check_freshness(shown.timestamp, now, rules); !fresh) return refused(fresh.error());
  if (const auto type = check_tee_type(shown.tee_type, rules.mode); !type) return refused(type.error());
  const VerifiedWorker unproved{.key = shown.worker_key};
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
  // The connection is the worker's own: nobody else can send over it, or read what comes back.
  const bool by_channel = shown.peer && (shown.peer->evidence || (!shown.worker_key && !rules.without_key));
  if (by_channel) {
    return parts_.evidence.verify_peer(*std::move(shown.peer), std::move(shown.quote), shown.tee_type, now, deadline,
                                       [done = std::move(done)](Result<VerifiedWorker> worker) mutable {
                                         if (worker) return done(*std::move(worker));
                                         done(refuse(KeystoreStep::evidence, std::move(worker).error()));
                                       });
  }
  if (!shown.worker_key && !rules.without_key) {
    return refused({Code::unauthenticated,
                    "worker_pubkey is missing: 64 hex digits of an X25519 key, for which the "
                    "evidence vouches and the reply is closed; or a TLS client certificate whose key it vouches for"});
  }
  const auto bound = request_report_data(shown.worker_key, shown.timestamp, body, rules.audience);
  const std::int64_t until = static_cast<std::int64_t>(shown.timestamp) + rules.seconds + 1;
  parts_.evidence.verify(std::move(shown.quote), shown.tee_type, shown.worker_key, bound, now, deadline,
                         [until, done = std::move(done)](Result<VerifiedWorker> worker) mutable {
                           if (!worker) return done(refuse(KeystoreStep::evidence, std::move(worker).error()));
                           worker->until = until;
                           done(*std::move(worker));
                         });
}

struct KeystoreService::Registering {
  KeystoreRegistration asked;
  Once<std::expected<KeystoreRegistered, KeystoreRefusal>> done;
  base::Deadline deadline;
};

void KeystoreService::register_worker(KeystoreRegistration asked, base::Deadline deadline,
                                      KeystoreRegisteredDone done) {
  using chain::near::PublicKey;
  if (const auto ready = parts_.masters.ready(); !ready) return done(refuse(KeystoreStep::ready, ready.error()));
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
  const bool shows = asked.evidence || asked.peer;
  if (!shows && !rules_.trust_registered_keys && parts_.evidence.rules().mode != TeeMode::none) {
    return done(refuse(KeystoreStep::evidence, {Code::unauthenticated,
                                                "a worker registers with evidence here: members evidence and "
                                                "encryption_key (docs/formats/keystore-wire.md)"}));
  }
  if (parts_.chain == nullptr || !rules_.operator_account) {
    return done(refuse(KeystoreStep::record, {Code::configuration, "OPERATOR_ACCOUNT_ID not configured on keystore"}));
  }
  auto job = std::make_shared<Registering>(
      std::move(asked), Once<std::expected<KeystoreRegistered, KeystoreRefusal>>{std::move(done)}, deadline);
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
  // Each has a row of its own: one that registers again and again holds up nobody else.
  if (parts_.run_waiting("register-tee " + job->asked.token, task)) return;
  job->done(refuse(KeystoreStep::limit, {Code::unavailable, "too many wait for the chain"}));
}

void KeystoreService::verify_registration(std::shared_ptr<Registering> job) const {
  auto& asked = job->asked;
  if (!asked.evidence && !asked.peer) return keep_registration(std::move(job), std::nullopt);
  const auto deadline = job->deadline;
  const auto now = parts_.store.now();
  auto verified = [this, job](Result<VerifiedWorker> worker) {
    if (!worker) return job->done(refuse(KeystoreStep::evidence, std::move(worker).error()));
    keep_registration(job, *std::move(worker));
  };
  if (!asked.evidence)
    return parts_.evidence.verify_peer(*std::move(asked.peer), {}, {}, now, deadline, std::move(verified));
  auto& evidence = *asked.evidence;
  const auto bound =
      registration_report_data(asked.challenge, asked.public_key, evidence.key, parts_.evidence.rules().audience);
  parts_.evidence.verify(std::move(evidence.quote), {}, evidence.key, bound, now, deadline, std::move(verified));
}

void KeystoreService::keep_registration(std::shared_ptr<Registering> job, std::optional<VerifiedWorker> worker) const {
  if (const auto clock = parts_.store.clock_usable(); !clock)
    return job->done(refuse(KeystoreStep::record, clock.error()));
  auto place = parts_.sessions.reserve(parts_.store.now());
  if (!place) return job->done(refuse(KeystoreStep::limit, {Code::rate_limited, "too many workers have a session"}));
  auto session = std::make_shared<KeystoreSession>();
  KeystoreRegistered out{.session_id = parts_.sessions.new_id(), .expires = {}, .sealed_key = {}};
  session->digest = KeystoreSessions::digest_of(out.session_id);
  session->public_key = job->asked.public_key;
  session->made = parts_.store.now();
  session->expires = session->made + rules_.session_seconds;
  session->channel = job->asked.channel;
  if (worker) {
    session->policy = worker->policy;
    session->evidence = worker->evidence;
    // No longer than what the verdict rests on is good for.
    if (worker->valid_until && session->made < *worker->valid_until)
      session->expires = std::min(session->expires, *worker->valid_until);
  }
  out.expires = session->expires;
  if (worker && worker->key) {
    session->key = std::make_shared<const crypto::Secret>(parts_.random.secret(32));
    auto sealed = seal_to_worker(*worker->key, worker->report_data, session->key->reveal());
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
      [this, session, place = std::move(place), job = std::move(job), out = std::move(out)](Status kept) mutable {
        if (!kept) return job->done(refuse(KeystoreStep::record, std::move(kept).error()));
        parts_.sessions.admitted(session);
        job->done(std::move(out));
      });
}

Result<std::size_t> KeystoreService::recheck(std::chrono::milliseconds patience, const std::function<bool()>& go_on) {
  if (parts_.chain == nullptr || !rules_.operator_account) return std::size_t{0};
  // Where it does not serve, another server looks after them.
  if (!parts_.masters.ready()) return std::size_t{0};
  const auto deadline = [&] { return parts_.clock.steady() + patience; };
  const auto unwanted = [this](const KeystoreSession& one) { return !admissible(one); };
  TRY(std::size_t ended, parts_.sessions.collect(parts_.store.now(), unwanted, deadline()));
  std::optional<Error> trouble;
  for (const std::string& text : next_round()) {
    if (!go_on()) return ended;
    TRY(const auto key, chain::near::PublicKey::parse(text));
    // Without a head nothing is learned about any key: the next round begins where this one ends.
    TRY(const auto head, parts_.chain->reader().head(deadline()));
    const auto known = parts_.chain->has_key(head, *rules_.operator_account, key, deadline());
    if (known) {
      looked_at(text);
    } else if (known.error().code == Code::not_found) {
      const auto more = end_of_key(text, deadline());
      looked_at(text);
      if (more) ended += *more;
      if (!more) trouble = more.error();  // they are out of memory, and collect() tries again
    } else {  // a chain that does not answer ends nobody's session, and the others are looked at all the same
      trouble = known.error();
    }
  }
  if (trouble) return *trouble;
  return ended;
}

/// The keys of all workers, from the one at which the last round ended.
std::vector<std::string> KeystoreService::next_round() {
  auto keys = parts_.sessions.public_keys();
  const auto now = parts_.clock.steady();
  const base::MutexLock lock(mutex_);
  std::map<std::string, base::Deadline> looked;
  // One that is seen for the first time was looked up when it registered.
  for (const auto& key : keys) looked.emplace(key, looked_.contains(key) ? looked_[key] : now);
  looked_ = std::move(looked);
  std::ranges::rotate(keys, std::ranges::upper_bound(keys, last_looked_));
  return keys;
}

void KeystoreService::looked_at(const std::string& key) {
  const auto now = parts_.clock.steady();
  const base::MutexLock lock(mutex_);
  looked_[key] = now;
  last_looked_ = key;
}

std::chrono::seconds KeystoreService::oldest_look() const {
  const auto now = parts_.clock.steady();
  const base::MutexLock lock(mutex_);
  base::Deadline oldest = now;
  for (const auto& [key, at] : looked_) oldest = std::min(oldest, at);
  return std::chrono::duration_cast<std::chrono::seconds>(now - oldest);
}

// ---- sessions that are ended

audit::Leaf KeystoreService::ended_leaf(const crypto::Secret& key, std::string_view worker,
                                        std::string_view token) const {
  audit::Leaf leaf;
  leaf.type = "keystore.end-sessions";
  leaf.realm = parts_.store.realm();
  leaf.audience = parts_.log.origin();
  leaf.time = parts_.store.now();
  const auto commit = [&](std::string_view label, std::string_view value) {
    if (!value.empty()) leaf.outputs.emplace(std::string{label}, audit::commitment(key, label, base::as_bytes(value)));
  };
  commit("worker", worker);
  commit("token", token);
  return leaf;
}

Result<std::size_t> KeystoreService::end_of_key(const std::string& text, base::Deadline deadline) {
  TRY(const auto ended,
      parts_.sessions.end([text](const KeystoreSession& session) { return session.public_key == text; }, deadline));
  base::log(base::LogLevel::warning, "keystore: the operator's account has a worker's key no more",
            {{"key", text}, {"sessions", std::to_string(ended)}});
  return ended;
}

void KeystoreService::end_sessions(std::variant<std::string, base::Digest32> whose, const std::string& token,
                                   EndedDone done) {
  auto key = std::make_shared<crypto::Secret>(parts_.random.secret(32));
  auto index = std::make_shared<std::uint64_t>(0);
  const auto* text = std::get_if<std::string>(&whose);
  const std::string worker = text != nullptr ? *text : base::hex(std::get<base::Digest32>(whose));
  auto leaf = ended_leaf(*key, worker, token);
  parts_.sessions.end(
      [whose = std::move(whose)](const KeystoreSession& session) {
        if (const auto* named = std::get_if<std::string>(&whose)) return session.public_key == *named;
        return session.digest == std::get<base::Digest32>(whose);
      },
      [&log = parts_.log, leaf = std::move(leaf), index](state::WriteTxn& txn, std::size_t) -> Status {
        TRY(*index, log.append(txn, leaf));
        return base::done();
      },
      [key, index, done = std::move(done)](Result<std::size_t> ended) mutable {
        if (!ended) return done(refuse(KeystoreStep::record, std::move(ended).error()));
        done(EndedSessions{.sessions = ended.value_or(0), .leaf = *index, .leaf_key = std::move(*key)});
      });
}

}  // namespace attestry::secrets
