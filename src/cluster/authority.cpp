#include "cluster/authority.h"

#include <future>
#include <memory>
#include <string>
#include <utility>

#include "appraisal/refusal.h"
#include "appraisal/replay.h"
#include "base/encoding.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "governance/grant.h"

namespace attestry::cluster {

using appraisal::Challenges;
using appraisal::Fresh;
using base::Bytes;
using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view kLeafType = "threshold.derivation";
constexpr std::string_view kServerLeafType = "threshold.server";
constexpr std::string_view kServerLeafTag = "attestry/threshold-server/1/leaf";
constexpr std::size_t kMostNoted = 1024;
static_assert(Application::kMaxBytes == kMostApplication);
constexpr std::size_t kCollectedPerCommit = 4;
constexpr std::size_t kMostAppId = 512;

Error no_master() {
  return Error{Code::unavailable, "this node has no epoch of a threshold root", "a cluster that has begun", "none",
               "Let operators approve the first epoch, and wait until this node has it."};
}

/// What is kept with a spent nonce of a release.
struct Kept {
  std::uint64_t version = 0;  ///< of governance
  std::optional<std::uint64_t> references;
  base::UtcTime until;  ///< of the attestation
  Bytes app_id;

  Bytes bytes() const {
    base::LpWriter out;
    out.u64(version).u8(references ? 1 : 0).u64(references.value_or(0));
    out.u64(static_cast<std::uint64_t>(until.seconds)).lp(app_id);
    return std::move(out).take();
  }
  static Result<Kept> read(base::ByteView bytes) {
    base::Reader reader{bytes};
    Kept out;
    TRY(out.version, reader.u64be("version"));
    TRY(const auto has, reader.u8("references"));
    TRY(const auto references, reader.u64be("references"));
    if (has != 0) out.references = references;
    TRY(const auto until, reader.u64be("until"));
    out.until.seconds = static_cast<std::int64_t>(until);
    TRY(const auto id, reader.lp("app_id", kMostAppId));
    TRY_OK(reader.finish("spent nonce"));
    out.app_id = base::to_bytes(id);
    return out;
  }
};

/// Everything that the transaction writes.
struct Decided {
  audit::Leaf leaf;
  appraisal::StoredAppraisal appraisal;
  appraisal::Entry entry;
  Bytes reply;  ///< Kept, or the JSON of a refusal
  std::optional<Error> refusal{};
};

class Decision {
 public:
  Decision(const AuthorityParts& parts, const Application& application, base::Deadline deadline)
      : parts_(parts), application_(application), deadline_(deadline) {}

  Result<Bytes> run() {
    TRY_OK(parts_.store.clock_usable());
    now_ = parts_.store.now();
    const auto master = parts_.master();
    if (!master) return no_master();
    TRY(app_id_, application_.app_id(parts_.registry.realm()));
    TRY(const Fresh fresh,
        parts_.challenges.check_among(application_.nonces, parts_.node, base::Purpose::confidential_key_derivation,
                                      application_.bytes(), now_));
    TRY(const auto answered, Challenges::answered(parts_.store, fresh));
    if (answered) return again(*answered);
    // Before anything costs: a key that is none, or two keys of two workloads.
    TRY([[maybe_unused]] const auto key, application_.key.decode());
    TRY(const auto app, parts_.registry.policy_of(application_.tenant, application_.app, now_));
    TRY(auto bound_to, application_.statement(*master));
    TRY(auto decided, decide(fresh, app, std::move(bound_to)));
    return commit(fresh, app.state(), std::move(decided));
  }

 private:
  Result<appraisal::Examined> examine() const {
    // Held by both: the one that sets it may still be inside it when the waiting one goes on.
    auto promise = std::make_shared<std::promise<Result<appraisal::Examined>>>();
    auto examined = promise->get_future();
    parts_.appraiser.examine_when_ready(
        application_.evidence, now_, now_, deadline_,
        [promise](Result<appraisal::Examined> found) { promise->set_value(std::move(found)); });
    return examined.get();
  }

  Result<Decided> decide(const Fresh& fresh, const governance::AppPolicy& app, attestation::BindingStatement bound_to) {
    TRY(auto examined, examine());
    appraisal::AppraisalInputs inputs{.evidence = application_.evidence,
                                      .collateral = std::move(examined.collateral),
                                      .at = now_,
                                      .anchors = parts_.appraiser.verifier().anchors(),
                                      .policy = app.policy(),
                                      .lists = app.lists(),
                                      .binding = std::move(bound_to)};
    auto judged = appraisal::judge(std::move(examined.verdict), inputs);
    Result<governance::Grant> grant =
        judged.refusal ? Result<governance::Grant>{*judged.refusal} : authorize(*judged.verified, fresh, app);
    // Before the policy was asked nothing is a refusal by it: no leaf, and the nonce stays good.
    if (!grant && grant.error().code != Code::denied) return std::move(grant).error();

    auto stored = appraisal::StoredAppraisal::make(std::move(inputs), attestation::to_json(judged.verdict));
    Decided out{.leaf = leaf(app.state(), stored), .appraisal = std::move(stored), .entry = {}, .reply = {}};
    out.entry = {.stored = now_, .app = application_.app.text(), .summary = appraisal::summary_of(judged.verdict)};
    if (grant) {
      released(out, *grant);
    } else {
      refused(out, judged.verdict, std::move(grant).error());
    }
    return out;
  }

  Result<governance::Grant> authorize(const attestation::Verified& verified, const Fresh& fresh,
                                      const governance::AppPolicy& app) const {
    TRY(auto grant, governance::authorize(verified, fresh, app, parts_.registry.realm(), now_));
    // Keys of NEAR accounts have no epochs.
    if (application_.app.kind() == base::AppRef::Kind::near) return grant;
    if (application_.epoch < grant.oldest_epoch() || application_.epoch > grant.epoch()) {
      return Error{Code::denied, "keys of this epoch are not given out",
                   std::to_string(grant.oldest_epoch()) + " to " + std::to_string(grant.epoch()),
                   std::to_string(application_.epoch)};
    }
    return grant;
  }

  audit::Leaf leaf(const governance::AppState& state, const appraisal::StoredAppraisal& stored) const {
    audit::Leaf out;
    out.realm = parts_.registry.realm();
    out.audience = parts_.log.origin();
    out.tenant = state.tenant;
    out.app = state.app.text();
    out.time = now_;
    out.appraisal = base::hex(stored.id());
    return out;
  }

  void released(Decided& out, const governance::Grant& grant) const {
    const auto& state = grant.governance();
    const auto key = application_.leaf_key();
    const std::string snapshot =
        state.tenant.text() + "/" + state.app.text() + "#" + std::to_string(state.version) + "@" + state.prev;
    out.leaf.type = kLeafType;
    out.leaf.binding = base::hex(grant.binding());
    out.leaf.policy = base::hex(grant.policy_sha256());
    out.leaf.epoch = application_.epoch;
    out.leaf.governance = audit::commitment(key, "governance", base::as_bytes(snapshot));
    out.leaf.outputs["app-id"] = audit::commitment(key, "app-id", app_id_);
    out.entry.origin = appraisal::Origin::release;
    out.reply =
        Kept{.version = state.version, .references = state.references, .until = grant.expires(), .app_id = app_id_}
            .bytes();
  }

  void refused(Decided& out, const attestation::Verdict& verdict, Error error) const {
    out.entry.origin = appraisal::Origin::refusal;
    out.entry.refusal_json = base::JsonOut{appraisal::error_json(error)}.compact();
    out.reply = base::to_bytes(appraisal::refusal_json(error, out.leaf.appraisal));
    out.leaf.type = "refusal";
    out.leaf.binding = base::hex(verdict.report_data);
    out.leaf.policy = base::hex(verdict.policy_sha256.value_or(base::Digest32{}));
    out.leaf.epoch = application_.epoch;
    out.leaf.reply = base::hex(crypto::sha256(out.reply));
    out.refusal = std::move(error);
  }

  /// Everything or nothing; answered only when it is on the disk and in a checkpoint.
  Result<Bytes> commit(const Fresh& fresh, const governance::AppState& state, Decided decided) const {
    const auto written = parts_.store.write_and_wait(
        [&](state::WriteTxn& txn) -> Status {
          const auto now = parts_.store.now();
          TRY_OK(governance::Registry::require_version(txn, state.tenant, state.app, state.version, state.references));
          TRY(const auto index, parts_.log.append(txn, decided.leaf));
          TRY_OK(fresh.spend(txn, now, !decided.refusal, index, decided.reply));
          decided.entry.leaf_index = index;
          TRY_OK(parts_.appraisals.put(txn, state.tenant, decided.appraisal, decided.entry));
          TRY_OK(Challenges::collect_expired(txn, now, kCollectedPerCommit));
          return base::done();
        },
        deadline_);
    if (!written && written.error().code == Code::replayed) {
      // The same question was faster on another thread; answered() tells it from another one.
      TRY(const auto answered, Challenges::answered(parts_.store, fresh));
      if (answered) return again(*answered);
    }
    TRY_OK(written);
    if (decided.refusal) return *std::move(decided.refusal);
    return app_id_;
  }

  Result<Bytes> again(const appraisal::SpentNonce& spent) const {
    if (!spent.released) {
      TRY(auto kept, appraisal::read_refusal(base::as_text(spent.reply)));
      return std::move(kept.error);
    }
    TRY(auto kept, Kept::read(spent.reply));
    // Shares that have not left yet do not leave after a revocation.
    TRY(const auto app, parts_.registry.policy_of(application_.tenant, application_.app, now_));
    if (app.state().version != kept.version || app.state().references != kept.references || kept.until <= now_) {
      return Error{Code::conflict,
                   "what the workload was let in by has changed since",
                   {},
                   {},
                   "Ask every node for a new challenge and make new evidence."};
    }
    return std::move(kept.app_id);
  }

  const AuthorityParts& parts_;
  const Application& application_;
  const base::Deadline deadline_;
  base::UtcTime now_{};
  Bytes app_id_;
};

}  // namespace

Result<answer::Nonce> Authority::challenge() {
  TRY_OK(parts_.store.clock_usable());
  if (!parts_.master()) return no_master();
  return parts_.challenges.issue(base::Purpose::confidential_key_derivation, parts_.store.now()).nonce;
}

Result<Bytes> Authority::authorise(const Application& application, base::Deadline deadline) const {
  return Decision{parts_, application, deadline}.run();
}

Result<Authoriser::Allowed> Authority::authorise(base::ByteView application, base::Deadline deadline) {
  TRY(const auto asked, Application::parse(application));
  TRY(auto app_id, authorise(asked, deadline));
  return Allowed{.app_id = std::move(app_id), .app_key = asked.key.pk1};
}

Status Authority::note_server(const Node::Request& request, const ServersKey& servers,
                              const attestation::VerifiedReport& server, base::Deadline deadline) {
  TRY_OK(parts_.store.clock_usable());
  // The blinding key is random and never in the log: who reads there cannot make the key of the commitment.
  base::LpWriter seed;
  seed.lp(kServerLeafTag).lp(request.app_id).raw(request.app_key);
  const auto key = crypto::Secret::copy_of(crypto::sha256(seed.bytes()));
  base::LpWriter all;
  all.raw(server.report_data()).raw(key.reveal());
  const base::Digest32 what = crypto::sha256(all.bytes());
  {
    const base::MutexLock lock{mutex_};
    if (noted_.contains(what)) return base::done();
  }
  audit::Leaf leaf;
  leaf.type = kServerLeafType;
  leaf.realm = parts_.registry.realm();
  leaf.audience = parts_.log.origin();
  leaf.time = parts_.store.now();
  // In clear: an app's owner is to find who had its keys.
  leaf.tenant = servers.tenant;
  leaf.app = servers.app;
  leaf.epoch = servers.epoch;
  leaf.binding = base::hex(server.report_data());
  leaf.policy = base::hex(server.policy_sha256());
  const std::string label = servers.dialect.empty() ? "app-id" : "legacy:" + servers.dialect;
  leaf.outputs[label] = audit::commitment(key, label, request.app_id);
  TRY_OK(parts_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY([[maybe_unused]] const auto index, parts_.log.append(txn, leaf));
        return base::done();
      },
      deadline));
  const base::MutexLock lock{mutex_};
  if (noted_.size() >= kMostNoted) noted_.clear();
  noted_.insert(what);
  return base::done();
}

}  // namespace attestry::cluster
