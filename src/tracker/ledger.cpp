#include "tracker/ledger.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "base/encoding.h"
#include "base/reader.h"
#include "base/utf8.h"
#include "state/keys.h"
#include "state/scan.h"
#include "state/spaces.h"

namespace attestry::tracker {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::UtcTime;
using curves::bls::PublicKey;
using state::Space;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMostUserId = 128;
constexpr std::int64_t kLeastWindow = 60;
constexpr std::int64_t kMostWindow = 7 * 86'400;
constexpr std::size_t kCollectAtLeast = 4;
constexpr auto kPatience = std::chrono::minutes(1);  ///< with the store, before anything is served

Error user_exists() { return {Code::conflict, "User already exists"}; }
Error key_exists() { return {Code::conflict, "Public key already registered", "a key of the member's own"}; }

state::Key members() { return state::Key(Space::tracker_members).u8(0); }
state::Key member_key(std::string_view user_id) { return members().lp(user_id); }
/// -> the user id. One key is one member.
state::Key owner_key(const KeyBytes& key) { return state::Key(Space::tracker_members).u8(1).raw(key); }
state::Key instance_key() { return state::Key(Space::tracker_state).lp("instance"); }
state::Key config_key() { return state::Key(Space::tracker_state).lp("config"); }

/// LP(user id) ‖ key (48) ‖ uploaded u64 ‖ downloaded u64 ‖ registered u64 ‖ proof u8 ‖ LP(evidence).
base::Bytes encode(const Member& member) {
  return state::value(kVersion)
      .lp(member.user_id)
      .raw(member.key)
      .u64(member.uploaded)
      .u64(member.downloaded)
      .u64(static_cast<std::uint64_t>(member.registered.seconds))
      .u8(static_cast<std::uint8_t>(member.proof))
      .lp(member.evidence ? ByteView{*member.evidence} : ByteView{})
      .bytes();
}

Result<Member> decode_member(ByteView stored) {
  TRY(base::Reader in, state::open_value(stored, kVersion, "member"));
  Member out;
  TRY(const ByteView name, in.lp("user id", kMostUserId));
  out.user_id = std::string{base::as_text(name)};
  TRY(out.key, in.take_array<48>("public key"));
  TRY(out.uploaded, in.u64be("uploaded"));
  TRY(out.downloaded, in.u64be("downloaded"));
  TRY(const auto registered, in.u64be("registered"));
  out.registered.seconds = static_cast<std::int64_t>(registered);
  TRY(const auto proof, in.u8("proof"));
  if (proof > static_cast<std::uint8_t>(KeyProof::signature)) return Error{Code::corrupt, "member: an unknown proof"};
  out.proof = static_cast<KeyProof>(proof);
  TRY(const ByteView evidence, in.lp("evidence", 32));
  TRY_OK(in.finish("member"));
  if (evidence.empty()) return out;
  if (evidence.size() != 32) return Error{Code::corrupt, "member: evidence of another size"};
  out.evidence.emplace();
  std::ranges::copy(evidence, out.evidence->begin());
  return out;
}

Result<std::optional<Member>> read_member(const state::ReadView& view, std::string_view user_id) {
  TRY(const auto stored, view.get(member_key(user_id)));
  if (!stored) return std::optional<Member>{};
  TRY(Member out, decode_member(*stored));
  return std::optional{std::move(out)};
}

base::Bytes encode(const LedgerConfig& config) {
  return state::value(kVersion)
      .u8(config.verify_signatures ? 1 : 0)
      .u64(static_cast<std::uint64_t>(config.window))
      .bytes();
}
Result<LedgerConfig> decode_config(ByteView stored) {
  TRY(base::Reader in, state::open_value(stored, kVersion, "tracker's configuration"));
  LedgerConfig out;
  TRY(const auto verify, in.u8("verify_signatures"));
  TRY(const auto window, in.u64be("window"));
  TRY_OK(in.finish("tracker's configuration"));
  out.verify_signatures = verify != 0;
  out.window = static_cast<std::int64_t>(window);
  return out;
}

Status check(const LedgerConfig& config) {
  if (config.window >= kLeastWindow && config.window <= kMostWindow) return base::done();
  return Error{Code::malformed, "receipt_window", std::to_string(kLeastWindow) + " to " + std::to_string(kMostWindow),
               std::to_string(config.window)};
}

Status check_user_id(std::string_view text) {
  // Those of C1, U+0080 to U+009F, too: terminals obey them.
  const auto controls = [&text](std::size_t at) {
    const auto byte = [&text](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    return byte(at) < 0x20 || byte(at) == 0x7f || (byte(at) == 0xc2 && byte(at + 1) >= 0x80 && byte(at + 1) <= 0x9f);
  };
  bool control = false;
  for (std::size_t at = 0; at < text.size(); ++at) control = control || controls(at);
  if (!text.empty() && text.size() <= kMostUserId && !control && base::is_utf8(text)) return base::done();
  return Error{Code::malformed, "user_id", "1 to 128 bytes of UTF-8 without control characters"};
}

/// The greatest number when there is no such number.
std::uint64_t sum(std::uint64_t a, std::uint64_t b) noexcept {
  return b > std::numeric_limits<std::uint64_t>::max() - a ? std::numeric_limits<std::uint64_t>::max() : a + b;
}

SpentClaim claim_of(const Receipt& receipt) { return {receipt_id(receipt), receipt.last_second()}; }

void sort(std::vector<RefusedReceipt>& refused) { std::ranges::sort(refused, {}, &RefusedReceipt::index); }

}  // namespace

/// A receipt that nothing speaks against so far.
struct Ledger::Candidate {
  std::size_t index;
  Receipt receipt;
  SpentClaim claim;
  std::string receiver;
  bool proven;
};

/// A report on its way into the store.
struct Ledger::Settlement {
  std::string user_id;
  std::string customer;
  std::vector<Candidate> candidates;
  std::uint64_t claimed_upload = 0, claimed_download = 0;
  ReceiptRules rules;
  bool verified = false;
  UtcTime now;
  base::Digest32 leaf_secret{};
  ReportOutcome before;  ///< with what was refused until then
  // Made by the closure, anew each time that it runs.
  ReportOutcome outcome{};
  std::vector<Member> changed{};
};

Ratio ratio_of(std::uint64_t uploaded, std::uint64_t downloaded) noexcept {
  if (downloaded != 0) return {false, static_cast<double>(uploaded) / static_cast<double>(downloaded)};
  return uploaded == 0 ? Ratio{false, 1.0} : Ratio{true, 0};
}

base::Bytes registration_message(const InstanceId& instance, std::string_view user_id) {
  base::Bytes out = base::to_bytes("register");
  base::append(out, base::as_bytes(base::hex(instance)));
  base::append(out, base::as_bytes(user_id));
  return out;
}

Ledger::Ledger(state::Store& store, audit::Log& log, crypto::Random& random, LedgerOptions options)
    : store_(store), log_(log), random_(random), options_(std::move(options)), config_(options_.config) {}

Result<std::unique_ptr<Ledger>> Ledger::open(state::Store& store, audit::Log& log, crypto::Random& random,
                                             LedgerOptions options) {
  TRY_OK(check(options.config));
  std::unique_ptr<Ledger> out{new Ledger(store, log, random, std::move(options))};
  TRY_OK(out->load_state(), "ledger of the tracker");
  TRY_OK(out->load_members(), "members of the tracker");
  return out;
}

Status Ledger::load_state() {
  const InstanceId fresh = options_.instance_id ? *options_.instance_id : random_.bytes<32>();
  LedgerConfig config = options_.config;
  TRY_OK(store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(const auto instance, txn.get(instance_key()));
        if (instance) {
          TRY(base::Reader in, state::open_value(*instance, kVersion, "instance id"));
          TRY(instance_, in.take_array<32>("instance id"));
        } else {
          instance_ = fresh;
          TRY_OK(txn.put(instance_key(), state::value(kVersion).raw(fresh).bytes()));
        }
        TRY(const auto stored, txn.get(config_key()));
        if (!stored) return base::done();
        TRY(config, decode_config(*stored));
        return base::done();
      },
      std::chrono::steady_clock::now() + kPatience));
  const base::MutexLock lock(mutex_);
  config_ = config;
  return base::done();
}

Status Ledger::load_members() {
  TRY(const auto view, store_.read());
  return state::scan_each(*view, members(), std::numeric_limits<std::size_t>::max(),
                          [this](ByteView, ByteView value) -> Status {
                            TRY(const Member member, decode_member(value));
                            remember(member);
                            return base::done();
                          });
}

LedgerConfig Ledger::config() const {
  const base::MutexLock lock(mutex_);
  return config_;
}

ReceiptRules Ledger::rules() const {
  return {.window = config().window, .skew = options_.skew, .max_piece_size = options_.max_piece_size};
}

std::optional<Member> Ledger::member(std::string_view user_id) const {
  const base::MutexLock lock(mutex_);
  const auto found = members_.find(user_id);
  if (found == members_.end()) return std::nullopt;
  return found->second;
}

std::optional<Member> Ledger::by_key(const KeyBytes& key) const {
  const base::MutexLock lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return std::nullopt;
  return members_.find(found->second)->second;
}

void Ledger::remember(const Member& member) {
  const base::MutexLock lock(mutex_);
  const auto [place, fresh] = members_.try_emplace(member.user_id, member);
  if (fresh) {
    by_key_.emplace(member.key, member.user_id);
    return;
  }
  Member& known = place->second;
  known.uploaded = std::max(known.uploaded, member.uploaded);
  known.downloaded = std::max(known.downloaded, member.downloaded);
}

std::vector<std::string> Ledger::user_ids() const {
  std::vector<std::string> out;
  const base::MutexLock lock(mutex_);
  out.reserve(members_.size());
  for (const auto& [user_id, member] : members_) out.push_back(user_id);
  return out;
}

Result<LedgerStats> Ledger::stats() const {
  LedgerStats out;
  TRY(const auto view, store_.read());
  TRY(out.spent, count_spent(*view));
  const base::MutexLock lock(mutex_);
  out.members = members_.size();
  return out;
}

audit::Leaf Ledger::new_leaf(std::string_view type, UtcTime now) const {
  audit::Leaf out;
  out.type = std::string{type};
  out.realm = store_.realm();
  out.audience = log_.origin();
  out.time = now;
  return out;
}

void Ledger::configure(LedgerConfig config, Completion<LedgerLeaf> done) {
  if (auto valid = check(config); !valid) return done(std::move(valid).error());
  auto out = std::make_shared<LedgerLeaf>(LedgerLeaf{.index = 0, .key = random_.bytes<32>()});
  const base::Bytes value = encode(config);
  audit::Leaf leaf = new_leaf("tracker.config", store_.now());
  leaf.outputs["config"] = audit::commitment(crypto::Secret::copy_of(out->key), "config", value);
  store_.write(
      [this, out, value, leaf = std::move(leaf)](state::WriteTxn& txn) -> Status {
        TRY_OK(txn.put(config_key(), value));
        TRY(out->index, log_.append(txn, leaf));
        return base::done();
      },
      [this, out, config, done = std::move(done)](Status kept) mutable {
        if (!kept) return done(std::move(kept).error());
        {
          const base::MutexLock lock(mutex_);
          config_ = config;
        }
        done(*out);
      });
}

Result<KeyProof> Ledger::check_proof(const Registration& registration, const PublicKey& key, bool with_evidence) const {
  const auto& possession = registration.proof_of_possession;
  if (possession && !verify_possession(key, *possession))
    return Error{Code::unauthenticated, "Invalid proof of possession", "PopProve of the registered key"};
  if (registration.signature) {
    const auto message = registration_message(instance_, registration.user_id);
    if (verify(key, message, *registration.signature)) return KeyProof::signature;
    return Error{Code::unauthenticated, "Invalid signature", "of \"register\", the instance id and the user id"};
  }
  // A proof of possession names neither tracker nor user, and everybody whom it was shown to has it: alone it would let
  // another tracker's operator enter that tracker's members here under names of his own, and cash their receipts.
  if (possession && (options_.unbound_proofs || with_evidence)) return KeyProof::possession;
  if (options_.unproven_keys) return KeyProof::none;
  constexpr std::string_view kRemedy = "The instance id stands in the answer of /health.";
  if (possession) {
    return Error{Code::unauthenticated, "Missing signature: a proof of possession says nothing of user and tracker",
                 "signature of \"register\", the instance id and the user id", "proof_of_possession alone",
                 std::string{kRemedy}};
  }
  return Error{Code::unauthenticated,
               "nothing shows that the member has the secret of its public key",
               "signature of \"register\", the instance id and the user id",
               {},
               std::string{kRemedy}};
}

Status Ledger::check_before_evidence(const Registration& registration) const {
  TRY_OK(check_user_id(registration.user_id));
  TRY(const PublicKey key, PublicKey::decode(registration.public_key));
  TRY_OK(check_proof(registration, key, true));
  if (member(registration.user_id)) return user_exists();
  if (by_key(key.encoded())) return key_exists();
  return base::done();
}

void Ledger::enrol(Registration registration, Completion<Enrolment> done) {
  if (auto valid = check_user_id(registration.user_id); !valid) return done(std::move(valid).error());
  const auto key = PublicKey::decode(registration.public_key);
  if (!key) return done(key.error());
  const auto proof = check_proof(registration, *key, registration.evidence.has_value());
  if (!proof) return done(proof.error());
  {
    const base::MutexLock lock(mutex_);
    if (members_.size() + enrolling_ >= options_.max_members)
      return done(Error{Code::too_large, "the tracker has as many members as it may have",
                        std::to_string(options_.max_members)});
    ++enrolling_;
  }
  auto out = std::make_shared<Enrolment>(Enrolment{.member = {.user_id = std::move(registration.user_id),
                                                              .key = key->encoded(),
                                                              .registered = store_.now(),
                                                              .proof = *proof,
                                                              .evidence = registration.evidence},
                                                   .leaf = {.index = 0, .key = random_.bytes<32>()}});
  const Member& member = out->member;
  audit::Leaf leaf = new_leaf("tracker.member", member.registered);
  const crypto::Secret opening = crypto::Secret::copy_of(out->leaf.key);
  leaf.outputs["user"] = audit::commitment(opening, "user", base::as_bytes(member.user_id));
  leaf.outputs["key"] = audit::commitment(opening, "key", member.key);
  if (member.evidence) leaf.appraisal = base::hex(*member.evidence);
  store_.write(
      [this, out, leaf = std::move(leaf)](state::WriteTxn& txn) -> Status {
        const Member& fresh = out->member;
        TRY(const auto known, read_member(txn, fresh.user_id));
        if (known) return user_exists();
        TRY(const auto owner, txn.get(owner_key(fresh.key)));
        if (owner) return key_exists();
        TRY_OK(txn.put(member_key(fresh.user_id), encode(fresh)));
        TRY_OK(txn.put(owner_key(fresh.key), state::value(kVersion).lp(fresh.user_id).bytes()));
        TRY(out->leaf.index, log_.append(txn, leaf));
        return base::done();
      },
      [this, out, done = std::move(done)](Status kept) mutable {
        if (kept) remember(out->member);
        {
          const base::MutexLock lock(mutex_);
          --enrolling_;
        }
        if (!kept) return done(std::move(kept).error());
        done(std::move(*out));
      });
}

Result<std::optional<Refusal>> Ledger::refused_here(Receipt& receipt, const Member& reporter, const ReceiptRules& by,
                                                    UtcTime now) const {
  if (receipt.sender != reporter.key) return std::optional{Refusal::foreign_sender};
  if (options_.bound_receipts_only && receipt.form != ReceiptForm::bound) return std::optional{Refusal::unbound};
  if (const auto alone = refused_alone(receipt, by, now)) return alone;
  if (!options_.torrents) return std::optional<Refusal>{};
  return options_.torrents(receipt);
}

Result<std::vector<Ledger::Candidate>> Ledger::candidates(Report& report, const Member& reporter,
                                                          std::vector<RefusedReceipt>& refused) {
  std::vector<Candidate> out;
  const UtcTime now = store_.now();
  const ReceiptRules by = rules();
  for (std::size_t i = 0; i < report.receipts.size(); ++i) {
    auto& receipt = report.receipts[i];
    if (!receipt) {
      refused.push_back({i, Refusal::malformed, receipt.error().text()});
      continue;
    }
    TRY(const auto reason, refused_here(*receipt, reporter, by, now));
    if (reason) {
      refused.push_back({i, *reason});
      continue;
    }
    const auto receiver = by_key(receipt->receiver);
    if (!receiver) {
      refused.push_back({i, Refusal::unknown_receiver});
      continue;
    }
    const SpentClaim claim = claim_of(*receipt);
    out.push_back({i, *std::move(receipt), claim, receiver->user_id, receiver->proof != KeyProof::none});
  }
  return out;
}

/// Before the costly part; the closure decides.
Status Ledger::drop_spent(std::vector<Candidate>& candidates, std::vector<RefusedReceipt>& refused) const {
  TRY(const auto view, store_.read());
  std::vector<Candidate> kept;
  for (Candidate& candidate : candidates) {
    TRY(const bool open, may_be_credited(*view, instance_, candidate.claim, candidate.receipt.piece_size));
    if (open) {
      kept.push_back(std::move(candidate));
    } else {
      refused.push_back({candidate.index, Refusal::spent});
    }
  }
  candidates = std::move(kept);
  return base::done();
}

Status Ledger::drop_forged(std::vector<Candidate>& candidates, std::vector<RefusedReceipt>& refused,
                           const Parallel& parallel) {
  std::vector<ReceiptCheck> checks;
  checks.reserve(candidates.size());
  for (const Candidate& candidate : candidates) {
    TRY(const PublicKey key, keys_.decode(candidate.receipt.receiver), "key of a member");
    checks.push_back({candidate.receipt, key, candidate.proven});
  }
  const std::vector<bool> verdicts = verify_receipts(checks, instance_, parallel);
  std::vector<Candidate> kept;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (verdicts[i]) {
      kept.push_back(std::move(candidates[i]));
    } else {
      refused.push_back({candidates[i].index, Refusal::bad_signature});
    }
  }
  candidates = std::move(kept);
  return base::done();
}

void Ledger::report(Report report, Completion<ReportOutcome> done, const Parallel& parallel) {
  if (auto clock = store_.clock_usable(); !clock) return done(std::move(clock).error());
  auto reporter = member(report.user_id);
  if (!reporter) return done(Error{Code::not_found, "User not registered"});
  if (report.public_key && *report.public_key != reporter->key)
    return done(Error{Code::denied, "this is not the member's public key", base::base64(reporter->key)});
  if (report.receipts.size() > options_.max_receipts) {
    return done(Error{Code::too_large, "receipts", "at most " + std::to_string(options_.max_receipts),
                      std::to_string(report.receipts.size()), "Send them in several reports."});
  }
  auto out = std::make_shared<Settlement>();
  out->verified = config().verify_signatures;
  out->rules = rules();
  out->user_id = report.user_id;
  out->customer = std::move(report.customer);
  out->before.submitted = report.receipts.size();
  auto standing = candidates(report, *reporter, out->before.refused);
  if (!standing) return done(std::move(standing).error());
  out->candidates = *std::move(standing);
  if (auto dropped = drop_spent(out->candidates, out->before.refused); !dropped)
    return done(std::move(dropped).error());
  if (out->verified) {
    if (auto dropped = drop_forged(out->candidates, out->before.refused, parallel); !dropped)
      return done(std::move(dropped).error());
  } else if (out->candidates.empty()) {
    out->claimed_upload = report.claimed_upload;
    out->claimed_download = report.claimed_download;
  }
  out->before.member = *std::move(reporter);
  if (out->candidates.empty() && out->claimed_upload == 0 && out->claimed_download == 0) {
    sort(out->before.refused);
    return done(std::move(out->before));
  }
  claim_and_settle(out, std::move(done));
}

void Ledger::claim_and_settle(const std::shared_ptr<Settlement>& settlement, Completion<ReportOutcome> done) {
  if (options_.shared == nullptr || settlement->candidates.empty()) return settle(settlement, std::move(done));
  std::vector<SpentClaim> claims;
  for (const Candidate& candidate : settlement->candidates) claims.push_back(candidate.claim);
  options_.shared->claim(
      instance_, std::move(claims), settlement->customer,
      [this, settlement, done = std::move(done)](Result<std::vector<bool>> granted) mutable {
        if (!granted) {
          // Whatever it was that failed, it is no judgement on the receipts.
          Error error = std::move(granted).error();
          error.code = Code::unavailable;
          return done(std::move(error.at("the authority on spent receipts")));
        }
        if (granted->size() != settlement->candidates.size())
          return done(Error{Code::unavailable, "the authority on spent receipts gave an answer of another size"});
        std::size_t at = 0;
        std::erase_if(settlement->candidates, [&](const Candidate& candidate) {
          if ((*granted)[at++]) return false;
          settlement->before.refused.push_back({candidate.index, Refusal::spent});
          return true;
        });
        settle(settlement, std::move(done));
      });
}

Status Ledger::credit(state::WriteTxn& txn, Settlement& settlement) const {
  ReportOutcome& out = settlement.outcome;
  out = settlement.before;
  std::unordered_map<std::string, Member> changed;
  const auto account = [&](const std::string& user_id) -> Result<Member*> {
    const auto known = changed.find(user_id);
    if (known != changed.end()) return &known->second;
    TRY(auto stored, read_member(txn, user_id));
    if (!stored) return Error{Code::corrupt, "a member that was registered is not in the store"};
    return &changed.emplace(user_id, *std::move(stored)).first->second;
  };
  TRY(Member* const sender, account(settlement.user_id));
  TRY(SpentRecords records, SpentRecords::load(txn));
  base::Bytes ids;
  for (const Candidate& candidate : settlement.candidates) {
    const UtcTime until = keep_spent_until(candidate.claim, settlement.rules, settlement.now);
    // The same piece twice in a report: the first that is genuine counts, and what a later one has beyond it.
    TRY(const std::uint64_t more, records.credit(instance_, candidate.claim, candidate.receipt.piece_size, until));
    if (more == 0) {
      out.refused.push_back({candidate.index, Refusal::spent});
      continue;
    }
    TRY(Member* const receiver, account(candidate.receiver));
    receiver->downloaded = sum(receiver->downloaded, more);
    out.credited += more;
    ++out.accepted;
    base::append(ids, candidate.claim.id);
  }
  sender->uploaded = sum(sender->uploaded, sum(out.credited, settlement.claimed_upload));
  sender->downloaded = sum(sender->downloaded, settlement.claimed_download);
  out.verified = settlement.verified ? out.accepted : 0;
  out.member = *sender;
  sort(out.refused);
  TRY_OK(records.collect(settlement.now, kCollectAtLeast + 2 * settlement.candidates.size()));
  TRY_OK(records.finish());
  settlement.changed.clear();
  if (out.accepted == 0 && settlement.claimed_upload == 0 && settlement.claimed_download == 0) return base::done();
  for (auto& [name, member] : changed) {
    TRY_OK(txn.put(member_key(name), encode(member)));
    settlement.changed.push_back(std::move(member));
  }
  audit::Leaf leaf = new_leaf("tracker.report", settlement.now);
  const crypto::Secret opening = crypto::Secret::copy_of(settlement.leaf_secret);
  const auto commit_to = [&](const char* label, ByteView value) {
    leaf.outputs[label] = audit::commitment(opening, label, value);
  };
  commit_to("user", base::as_bytes(settlement.user_id));
  commit_to("receipts", ids);
  base::LpWriter amounts;
  amounts.u64(out.credited).u64(settlement.claimed_upload).u64(settlement.claimed_download);
  commit_to("credited", amounts.bytes());
  TRY(const auto index, log_.append(txn, leaf));
  out.leaf = LedgerLeaf{index, settlement.leaf_secret};
  return base::done();
}

void Ledger::settle(const std::shared_ptr<Settlement>& settlement, Completion<ReportOutcome> done) {
  settlement->now = store_.now();
  settlement->leaf_secret = random_.bytes<32>();
  store_.write([this, settlement](state::WriteTxn& txn) { return credit(txn, *settlement); },
               [this, settlement, done = std::move(done)](Status kept) mutable {
                 if (!kept) return done(std::move(kept).error());
                 for (const Member& member : settlement->changed) remember(member);
                 done(std::move(settlement->outcome));
               });
}

}  // namespace attestry::tracker
