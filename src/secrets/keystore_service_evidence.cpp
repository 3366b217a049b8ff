#include "secrets/keystore_service_evidence.h"

#include <limits>

#include "attestation/key_binding.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/hpke.h"

namespace attestry::secrets {

using attestation::Platform;
using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

/// What a request's tee_type says; nullopt: none that has hardware.
std::optional<Platform> platform_of(std::string_view tee_type) {
  if (tee_type == "sgx") return Platform::sgx;
  if (tee_type == "tdx") return Platform::tdx;
  if (tee_type == "sev") return Platform::snp;
  if (tee_type == "nitro") return Platform::nitro;
  return std::nullopt;
}

std::string upper(std::string_view text) {
  std::string out{text};
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

struct Asked {
  attestation::Evidence evidence;
  std::optional<Platform> platform;
};

/// The one kind that a server of this mode takes, where a registration names none.
std::optional<Platform> wanted(std::string_view tee_type, TeeMode mode) {
  return platform_of(tee_type.empty() ? to_text(mode) : tee_type);
}

/// `said`: by tee_type, or by the server's mode; nothing where a server takes all kinds.
Status check_kind(std::optional<Platform> said, Platform found) {
  if (!said || *said == found) return base::done();
  return Error{Code::evidence_false, "the quote is of another kind than tee_type says",
               std::string{attestation::to_text(*said)}, std::string{attestation::to_text(found)}};
}

Result<VerifiedWorker> judge(const Asked& asked, const std::optional<WorkerKey>& key,
                             const base::FixedBytes<64>& report_data, const attestation::Policy& policy,
                             Result<appraisal::Examined> examined) {
  if (!examined) return std::move(examined).error();
  auto verdict = std::move(examined->verdict);
  TRY_OK(check_kind(asked.platform, verdict.platform));
  TRY(const auto report, attestation::appraise_report_data(policy, verdict, report_data));
  return VerifiedWorker{.key = key,
                        .report_data = report_data,
                        .policy = report.policy_sha256(),
                        .evidence = report.verdict().evidence_sha256,
                        .genuine = true,
                        .valid_until = report.verdict().valid_until};
}

/// Certificates whose evidence was verified; beyond, all are looked at again.
constexpr std::size_t kMostKnown = 4096;

}  // namespace

std::string_view to_text(TeeMode mode) noexcept {
  switch (mode) {
    case TeeMode::evidence:
      return "outlayer_tee";
    case TeeMode::sgx:
      return "sgx";
    case TeeMode::sev:
      return "sev";
    case TeeMode::tdx:
      return "tdx";
    case TeeMode::nitro:
      return "nitro";
    case TeeMode::simulated:
      return "simulated";
    case TeeMode::none:
      return "none";
  }
  return "none";
}

base::FixedBytes<64> registration_report_data(const base::FixedBytes<32>& challenge, std::string_view public_key,
                                              const WorkerKey& encryption_key, std::string_view audience) {
  base::LpWriter out;
  out.lp("attestry/keystore/register/1").lp(challenge).lp(public_key).lp(encryption_key).lp(audience);
  return crypto::sha512(out.bytes());
}

base::FixedBytes<64> request_report_data(const std::optional<WorkerKey>& worker_key, std::uint64_t timestamp,
                                         const base::Digest32& body, std::string_view audience) {
  base::LpWriter out;
  out.lp("attestry/keystore/request/1").lp(worker_key ? base::ByteView{*worker_key} : base::ByteView{});
  out.u64(timestamp).lp(body).lp(audience);
  return crypto::sha512(out.bytes());
}

Result<base::Digest32> body_digest(const base::JsonValue& body) {
  base::JsonOutObject kept;
  for (auto member = body.first(); member; member = member->next()) {
    std::string key = member->key();
    if (key != "attestation") kept.emplace_back(std::move(key), base::JsonOut::Raw{std::string{member->source()}});
  }
  return crypto::sha256(base::as_bytes(base::JsonOut{std::move(kept)}.canonical()));
}

Result<base::Bytes> seal_to_worker(const WorkerKey& to, const base::FixedBytes<64>& report_data,
                                   base::ByteView plaintext) {
  base::LpWriter info;
  info.lp("attestry/keystore/sealed/1").raw(report_data);
  TRY(const auto sealed, crypto::hpke_seal(to, info.bytes(), {}, plaintext), "worker_pubkey");
  base::Bytes out = base::to_bytes(base::ByteView{sealed.enc});
  base::append(out, sealed.ciphertext);
  return out;
}

Result<base::Bytes> seal_to_session(const crypto::Secret& key, const SealedFor& request, base::ByteView plaintext,
                                    crypto::Random& random) {
  base::LpWriter aad;
  aad.lp("attestry/keystore/reply/1").lp(request.path).lp(request.body);
  if (request.nonce) aad.lp(*request.nonce);
  // Random nonces: a key lives for a session, far below 2^32 replies.
  const auto nonce = random.bytes<12>();
  TRY(const auto sealed, crypto::aes256gcm_seal(key.reveal(), nonce, plaintext, aad.bytes()));
  base::Bytes out = base::to_bytes(base::ByteView{nonce});
  base::append(out, sealed);
  return out;
}

Status check_freshness(std::uint64_t timestamp, base::UtcTime now, const KeystoreEvidenceRules& rules) {
  const auto clock = static_cast<std::uint64_t>(std::max<std::int64_t>(0, now.seconds));
  const auto plus = [](std::uint64_t a, std::int64_t b) {
    const auto more = static_cast<std::uint64_t>(b);
    return a > std::numeric_limits<std::uint64_t>::max() - more ? std::numeric_limits<std::uint64_t>::max() : a + more;
  };
  if (clock > plus(timestamp, rules.seconds)) {
    const std::string limit = rules.seconds == 300 ? "5 minutes" : std::to_string(rules.seconds) + " seconds";
    return Error{Code::unauthenticated, "Attestation expired (older than " + limit + ")"};
  }
  if (timestamp > plus(clock, rules.ahead_seconds)) {
    return Error{Code::unauthenticated, "Attestation is from the future (more than " +
                                            std::to_string(rules.ahead_seconds) + " seconds ahead)"};
  }
  return base::done();
}

Status check_tee_type(std::string_view tee_type, TeeMode mode) {
  const auto expected = [&](std::string_view what) -> Status {
    return Error{Code::unauthenticated, "Expected " + std::string{what} + " attestation, got " + upper(tee_type)};
  };
  switch (mode) {
    case TeeMode::none:
      return base::done();
    case TeeMode::evidence:
      if (platform_of(tee_type)) return base::done();
      return expected("SGX, SEV, TDX or NITRO");
    case TeeMode::simulated:
      return tee_type == "simulated" ? base::done() : expected("simulated");
    case TeeMode::sgx:
    case TeeMode::sev:
    case TeeMode::tdx:
    case TeeMode::nitro:
      return tee_type == to_text(mode) ? base::done() : expected(upper(to_text(mode)));
  }
  return expected("another");
}

void KeystoreEvidence::verify(base::Bytes quote, std::string_view tee_type, const std::optional<WorkerKey>& key,
                              const base::FixedBytes<64>& report_data, base::UtcTime now, base::Deadline deadline,
                              Done done) const {
  const auto format = attestation::detect_format(quote);
  const auto asked = std::make_shared<const Asked>(
      Asked{.evidence = {.format = format, .bytes = std::move(quote)}, .platform = wanted(tee_type, rules_.mode)});
  appraiser_.examine_when_ready(
      asked->evidence, now, now, deadline,
      [this, asked, key, report_data, done = std::move(done)](Result<appraisal::Examined> examined) mutable {
        done(judge(*asked, key, report_data, rules_.policy, std::move(examined)));
      });
}

// ---- clients of attested TLS

std::optional<KeystoreEvidence::Known> KeystoreEvidence::known(const base::Digest32& name, base::UtcTime now) const {
  const base::MutexLock lock(mutex_);
  const auto found = known_.find(name);
  if (found == known_.end() || found->second.until <= now) return std::nullopt;
  return found->second;
}

Result<VerifiedWorker> KeystoreEvidence::judge_peer(const base::Digest32& name, base::ByteView spki,
                                                    std::string_view tee_type, base::UtcTime now,
                                                    Result<appraisal::Examined> examined) const {
  if (!examined) return std::move(examined).error();
  auto verdict = std::move(examined->verdict);
  TRY(const auto key, attestation::appraise_key(rules_.policy, verdict, spki), "client certificate");
  Known found{.worker = {.report_data = attestation::key_report_data(spki),
                         .policy = key.policy_sha256(),
                         .evidence = key.verdict().evidence_sha256,
                         .genuine = true,
                         .valid_until = key.verdict().valid_until},
              .platform = key.verdict().platform,
              .until = now + rules_.believed};
  if (found.worker.valid_until && *found.worker.valid_until < found.until) found.until = *found.worker.valid_until;
  {
    const base::MutexLock lock(mutex_);
    if (known_.size() >= kMostKnown) known_.clear();
    known_.insert_or_assign(name, found);
  }
  TRY_OK(check_kind(wanted(tee_type, rules_.mode), found.platform));
  return found.worker;
}

void KeystoreEvidence::verify_peer(ShownPeer peer, base::Bytes quote, std::string_view tee_type, base::UtcTime now,
                                   base::Deadline deadline, Done done) const {
  base::LpWriter named;
  named.lp(*peer.certificate);
  if (!peer.evidence) named.lp(quote);
  const base::Digest32 name = crypto::sha256(named.bytes());
  if (const auto found = known(name, now)) {
    if (auto kind = check_kind(wanted(tee_type, rules_.mode), found->platform); !kind)
      return done(std::move(kind).error());
    return done(found->worker);
  }
  const auto evidence = std::make_shared<const attestation::Evidence>(
      peer.evidence ? *std::move(peer.evidence)
                    : attestation::Evidence{.format = attestation::detect_format(quote), .bytes = std::move(quote)});
  appraiser_.examine_when_ready(
      *evidence, now, now, deadline,
      [this, evidence, name, now, spki = std::move(peer.spki), tee_type = std::string{tee_type},
       done = std::move(done)](Result<appraisal::Examined> examined) mutable {
        done(judge_peer(name, spki, tee_type, now, std::move(examined)));
      });
}

}  // namespace attestry::secrets
