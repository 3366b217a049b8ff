#include "api/tracker_tee.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <utility>

#include "api/tracker_json.h"
#include "api/tracker_wire.h"
#include "attestation/catalogue.h"
#include "attestation/event_logs.h"
#include "base/encoding.h"
#include "base/reason.h"
#include "crypto/hash.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOutArray;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;
using base::Status;

namespace {

constexpr std::chrono::seconds kPatience{30};
constexpr std::size_t kMostQuote = 64 * 1024;
constexpr std::size_t kSaltBytes = 16;
constexpr std::string_view kNoTee = "TEE not available - set tracker.attestation";

class Stopwatch {
 public:
  explicit Stopwatch(const base::Clock& clock) : clock_(clock), start_(clock.steady()) {}
  double ms() const { return std::chrono::duration<double, std::milli>(clock_.steady() - start_).count(); }

 private:
  const base::Clock& clock_;
  std::chrono::steady_clock::time_point start_;
};

Result<attestation::Evidence> quote_of(std::string_view text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  if (text.size() > 2 * kMostQuote) {
    return Error{Code::malformed, "quote", "at most 65536 bytes", std::to_string(text.size() / 2)};
  }
  TRY(auto bytes, base::hex_decode(text), "quote");
  const auto format = attestation::detect_format(bytes);
  if (format == attestation::EvidenceFormat::dcap_quote) tracker::cut_padding(bytes);
  return attestation::Evidence{.format = format, .bytes = std::move(bytes)};
}

/// Nothing is known about the evidence then.
bool is_outage(const Error& error) {
  return error.code == Code::collateral_missing || base::http_status(error.code) >= 500;
}

JsonOutObject measurements_of(const attestation::Verdict& verdict) {
  static constexpr std::array<std::string_view, 11> kNames{"mrtd",      "mr_config_id", "mr_owner",   "mr_owner_config",
                                                           "rtmr0",     "rtmr1",        "rtmr2",      "rtmr3",
                                                           "mrenclave", "mrsigner",     "measurement"};
  JsonOutObject out;
  for (const auto name : kNames) {
    if (const auto* claim = verdict.claim(name)) out.emplace_back(std::string{name}, claim->value);
  }
  return out;
}

struct Judged {
  bool valid = false;
  std::string error{};
};

/// PBTS takes only platforms that are up to date.
Judged judge(Status judged, const attestation::Verdict& verdict) {
  if (!judged) return {.error = judged.error().text()};
  if (!verdict.tcb || verdict.tcb->status == "UpToDate") return {.valid = true};
  return {.error = "the platform's status is " + verdict.tcb->status};
}

JsonOutObject verdict_json(const attestation::Verdict& verdict, const Judged& judged) {
  const std::string tcb = verdict.tcb ? verdict.tcb->status : std::string{};
  JsonOutObject body{{"status", tracker::status_name(tcb)},
                     {"tcb_status", tcb},
                     {"platform", attestation::to_text(verdict.platform)},
                     {"simulated", verdict.simulated},
                     {"evidence", attestation::to_text(verdict.evidence)},
                     {"verdict", attestation::to_text(verdict.outcome)},
                     {"report_data", base::hex(verdict.report_data)},
                     {"measurements", measurements_of(verdict)}};
  JsonOutArray advisories;
  if (verdict.tcb) {
    for (const auto& id : verdict.tcb->advisory_ids) advisories.emplace_back(id);
  }
  body.emplace_back("advisory_ids", std::move(advisories));
  if (const auto* cause = verdict.root_cause()) body.emplace_back("root_cause", attestation::info(cause->check).id);
  if (!judged.valid) body.emplace_back("error", judged.error);
  return body;
}

struct Handlers {
  const TrackerDeps& deps;
  TrackerTee& tee;

  /// What stands before everything that asks the TEE; `off`: PBTS's words for the mode disabled.
  std::optional<net::Response> barred(std::string_view off) const {
    if (!tee.available()) return tracker_refused(503, kNoTee);
    if (tee.mode() == TeeMode::disabled) return tracker_refused(500, off);
    return std::nullopt;
  }

  void keygen(const JsonValue& body, net::Responder responder) const {
    if (auto no = barred("TEE requested but mode is DISABLED")) return responder.send(*std::move(no));
    auto salt = tracker_text(body, "salt");
    if (!salt) return responder.send(tracker_refused(salt.error()));
    if (salt->empty()) *salt = base::hex(deps.random.bytes<kSaltBytes>());
    const Stopwatch watch(deps.clock);
    const auto made = tracker::derive_member_key(tee.parts().keys, *salt);
    if (!made) return responder.send(tracker_refused(made.error()));
    const double ms = watch.ms();
    tee.count_key(ms);
    responder.send(key_response(*made, *salt, ms));
  }

  net::Response key_response(const tracker::DerivedKey& made, std::string_view salt, double ms) const {
    JsonOutArray chain;
    for (const auto& signature : made.signature_chain) chain.emplace_back(base::hex(signature));
    JsonOutObject body{{"success", true},
                       {"public_key", base::base64(made.key.public_key().encoded())},
                       {"key_type", "BLS12-381 (TEE-derived)"},
                       {"public_key_size", 48},
                       {"private_key_size", 32},
                       {"tee_derived", true},
                       {"derivation_time_ms", ms},
                       {"salt", salt},
                       {"derivation", JsonOutObject{{"path", made.path},
                                                    {"purpose", tracker::kKeyPurpose},
                                                    {"derived_key", base::hex(made.derived)},
                                                    {"signature_chain", std::move(chain)}}}};
    if (tee.mode() == TeeMode::benchmark) {
      const Stopwatch watch(deps.clock);
      [[maybe_unused]] const auto key = curves::bls::SigningKey::random(deps.random).public_key();
      body.emplace_back("regular_time_ms", watch.ms());
    }
    if (!deps.test_routes) {
      body.emplace_back("warning",
                        "private keys do not cross this server: derive it in the TEE that uses it (for tests: "
                        "tracker.test_routes)");
      return tracker_json(200, std::move(body));
    }
    const auto secret = made.key.big_endian();
    body.emplace_back("private_key", base::base64(secret.reveal()));
    body.emplace_back("warning", "Store private key securely! Never share it!");
    auto out = tracker_json(200, std::move(body));
    out.wipe = true;
    return out;
  }

  void generate(const JsonValue& body, net::Responder responder) const {
    const auto payload = tracker_text(body, "payload");
    if (!payload) return responder.send(tracker_refused(payload.error()));
    if (auto no = barred("TEE not available for attestation")) return responder.send(*std::move(no));
    if (payload->empty()) return responder.send(tracker_refused(400, "Missing payload"));
    if (const auto may = tracker::check_quotable(*payload); !may) return responder.send(tracker_refused(may.error()));
    const Stopwatch watch(deps.clock);
    const auto made = tee.parts().attester->attest(tracker::payload_report_data(*payload));
    if (!made) return responder.send(tracker_refused(made.error()));
    const double ms = watch.ms();
    tee.count_attestation(ms);
    responder.send(tracker_json(200, {{"success", true},
                                      {"quote", base::hex(made->bytes)},
                                      {"generation_time_ms", ms},
                                      {"payload", *payload},
                                      {"quote_size_bytes", made->bytes.size()}}));
  }

  void verify(const JsonValue& body, net::Responder responder) const {
    const auto quote = tracker_text(body, "quote");
    const auto payload = tracker_text(body, "expected_payload");
    const auto pccs = tracker_text(body, "pccs_url");
    for (const auto* one : {&quote, &payload, &pccs}) {
      if (!*one) return responder.send(tracker_refused(one->error()));
    }
    if (quote->empty() || payload->empty())
      return responder.send(tracker_refused(400, "Missing quote or expected_payload"));
    if (!pccs->empty() && std::ranges::find(tee.parts().pccs_urls, *pccs) == tee.parts().pccs_urls.end())
      return responder.send(tracker_refused(400, "pccs_url: expected one of tracker.pccs_urls"));
    struct Work {
      Stopwatch watch;
      attestation::Evidence evidence;
      base::FixedBytes<64> expected;
      net::Responder responder;
    };
    const Stopwatch watch(deps.clock);
    auto evidence = quote_of(*quote);
    if (!evidence) {
      return responder.send(tracker_json(200, {{"success", true},
                                               {"is_valid", false},
                                               {"verification_time_ms", watch.ms()},
                                               {"error", base::reason(evidence.error())}}));
    }
    auto work = std::make_shared<Work>(
        Work{watch, *std::move(evidence), tracker::payload_report_data(*payload), std::move(responder)});
    const auto now = deps.clock.now();
    tee.parts().appraiser.examine_when_ready(work->evidence, now, now, deps.clock.steady() + kPatience,
                                             [work, realm = tee.parts().realm](Result<appraisal::Examined> examined) {
                                               if (!examined)
                                                 return work->responder.send(tracker_refused(examined.error()));
                                               auto& verdict = examined->verdict;
                                               auto may = tracker::judge_evidence(attestation::Policy::standard(),
                                                                                  verdict, work->expected, realm);
                                               if (!may && is_outage(may.error()))
                                                 return work->responder.send(tracker_refused(503, may.error().text()));
                                               const auto judged = judge(std::move(may), verdict);
                                               auto out = verdict_json(verdict, judged);
                                               out.emplace_back("success", true);
                                               out.emplace_back("is_valid", judged.valid);
                                               out.emplace_back("verification_time_ms", work->watch.ms());
                                               work->responder.send(tracker_json(200, std::move(out)));
                                             });
  }

  net::Response status() const {
    if (!tee.available()) {
      return tracker_json(200, {{"tee_available", false}, {"tee_mode", "unavailable"}, {"error", kNoTee}});
    }
    const auto counted = tee.statistics();
    const auto mean = [](double total, std::uint64_t of) { return of == 0 ? 0.0 : total / static_cast<double>(of); };
    return tracker_json(
        200,
        {{"tee_available", true},
         {"tee_mode", to_text(tee.mode())},
         {"tee", tee.parts().vendor},
         {"attested_members", tee.parts().attested_members},
         {"statistics", JsonOutObject{{"attestations_generated", counted.attestations},
                                      {"avg_attestation_time_ms", mean(counted.attestation_ms, counted.attestations)},
                                      {"avg_key_gen_time_ms", mean(counted.key_ms, counted.keys)},
                                      {"key_generations", counted.keys},
                                      {"total_attestation_time_ms", counted.attestation_ms},
                                      {"total_key_gen_time_ms", counted.key_ms}}}});
  }

  net::Response nonce() const {
    const auto now = deps.clock.now();
    return tracker_json(200, {{"nonce", base::hex(tee.nonces().issue(now))},
                              {"expires", now.seconds + tracker::RegistrationNonces::kLifetime},
                              {"instance_id", base::hex(deps.ledger.instance_id())}});
  }
};

}  // namespace

std::string_view to_text(TeeMode mode) noexcept {
  switch (mode) {
    case TeeMode::disabled:
      return "disabled";
    case TeeMode::enabled:
      return "enabled";
    case TeeMode::benchmark:
      return "benchmark";
  }
  return "";
}

Result<TeeMode> tee_mode_from(std::string_view text) {
  for (const auto mode : {TeeMode::disabled, TeeMode::enabled, TeeMode::benchmark}) {
    if (to_text(mode) == text) return mode;
  }
  return Error{Code::malformed, "Invalid tee_mode: " + std::string{text}, "disabled, enabled or benchmark"};
}

Status TrackerTee::set_mode(TeeMode mode) {
  if (mode != TeeMode::disabled && !available()) {
    return Error{Code::malformed, "Invalid tee_mode: " + std::string{to_text(mode)}, "a TEE (tracker.attestation)",
                 "none"};
  }
  mode_ = mode;
  return base::done();
}

TrackerTee::Statistics TrackerTee::statistics() const {
  const base::MutexLock lock(mutex_);
  return statistics_;
}
void TrackerTee::count_key(double ms) {
  const base::MutexLock lock(mutex_);
  ++statistics_.keys;
  statistics_.key_ms += ms;
}
void TrackerTee::count_attestation(double ms) {
  const base::MutexLock lock(mutex_);
  ++statistics_.attestations;
  statistics_.attestation_ms += ms;
}

void TrackerTee::appraise_member(const JsonValue& attestation, std::string_view user_id,
                                 const tracker::InstanceId& instance, base::ByteView key,
                                 std::move_only_function<void(Result<base::Digest32>)> done) {
  struct Work {
    attestation::Evidence evidence;
    base::Bytes nonce;
    base::FixedBytes<64> expected;
    std::move_only_function<void(Result<base::Digest32>)> done;
  };
  auto work = std::make_shared<Work>();
  const auto now = parts_.clock.now();
  const auto read = [&]() -> Status {
    if (!attestation.is_object()) return Error{Code::malformed, "attestation", "an object with quote and nonce"};
    TRY_OK(attestation.only({"quote", "nonce", "event_logs"}), "attestation");
    TRY(const auto quote, attestation.get("quote"));
    TRY(const auto quote_text, quote.string("quote"));
    TRY(work->evidence, quote_of(quote_text));
    if (const auto logs = attestation.find("event_logs"))
      TRY_OK(attestation::read_event_logs(*logs, work->evidence.supplements), "attestation");
    TRY(const auto nonce, attestation.get("nonce"));
    TRY(const auto nonce_text, nonce.string("nonce"));
    TRY(work->nonce, base::hex_decode(nonce_text), "nonce");
    return nonces_.check(work->nonce, now);
  }();
  if (!read) return done(read.error());
  work->expected = tracker::payload_report_data(tracker::registration_payload(user_id, instance, key, work->nonce));
  work->done = std::move(done);
  parts_.appraiser.examine_when_ready(
      work->evidence, now, now, parts_.clock.steady() + kPatience, [this, work](Result<appraisal::Examined> examined) {
        const auto judged = [&]() -> Result<base::Digest32> {
          if (!examined) return std::move(examined).error();
          TRY_OK(tracker::judge_evidence(parts_.member_policy, examined->verdict, work->expected, parts_.realm),
                 "attestation");
          TRY_OK(nonces_.spend(work->nonce, parts_.clock.now()));
          return crypto::sha256(work->evidence.bytes);
        }();
        work->done(judged);
      });
}

Status register_tracker_tee(net::Router& router, const TrackerDeps& deps, TrackerTee& tee, FairLane& lane) {
  using net::Method;
  const auto handlers = std::make_shared<const Handlers>(Handlers{deps, tee});
  using Read = net::Response (Handlers::*)() const;
  using Write = void (Handlers::*)(const JsonValue&, net::Responder) const;
  const auto reading = [&](std::string_view path, std::string_view id, std::string summary, Read read) {
    auto one = tracker_route(Method::get, path, id, std::move(summary));
    one.handler = [handlers, read](const net::Request&, net::Responder responder) {
      responder.send(((*handlers).*read)());
    };
    return router.add(std::move(one));
  };
  const auto writing = [&](std::string_view path, std::string_view id, std::string summary, FairLane& on, Write write) {
    auto one = tracker_route(Method::post, path, id, std::move(summary));
    one.body_limit = 4 * kMostQuote;
    one.handler = tracker_on_lane(deps, on, [handlers, write](const JsonValue& body, net::Responder responder) {
      ((*handlers).*write)(body, std::move(responder));
    });
    return router.add(std::move(one));
  };
  TRY_OK(reading("/tee/status", "tee_status", "Whether there is a TEE, and what it has done", &Handlers::status));
  TRY_OK(
      reading("/attestation-nonce", "attestation_nonce", "A nonce for a registration with evidence", &Handlers::nonce));
  TRY_OK(writing("/keygen-tee", "keygen_tee", "A key that the TEE derives of a salt", lane, &Handlers::keygen));
  TRY_OK(writing("/generate-attestation", "generate_attestation", "A quote over a payload", lane, &Handlers::generate));
  return writing("/verify-attestation", "verify_attestation", "Whether a quote is genuine and over a payload",
                 deps.lane, &Handlers::verify);
}

}  // namespace attestry::api
