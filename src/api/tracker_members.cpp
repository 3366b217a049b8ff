#include "api/tracker_members.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "api/tracker_json.h"
#include "api/tracker_tee.h"
#include "api/tracker_wire.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/reason.h"
#include "curves/bls_signature.h"
#include "net/rate_limit.h"

namespace attestry::api {

using base::Bytes;
using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;
using curves::bls::PublicKey;
using curves::bls::SigningKey;

namespace {

constexpr std::int64_t kPasskeySeconds = 300;
constexpr std::size_t kBody = 1U << 20U;
constexpr std::size_t kReceiptBytes = 1024;  ///< of JSON, far more than one takes
constexpr std::string_view kMissing = "Missing required parameters";

net::Response json(int status, JsonOutObject body) { return tracker_json(status, std::move(body)); }
template <class... Why>
net::Response refused(const Why&... why) {
  return tracker_refused(why...);
}

void append_ratio(JsonOutObject& body, const tracker::Member& member, const TrackerDeps& deps) {
  const auto former = tracker_former(member, deps);
  const auto ratio = tracker::ratio_of(member, former);
  body.emplace_back("ratio", ratio.infinite ? JsonOut{nullptr} : JsonOut{ratio.value});
  body.emplace_back("ratio_infinite", ratio.infinite);
  body.emplace_back("total_uploaded", member.uploaded);
  body.emplace_back("total_downloaded", member.downloaded);
  body.emplace_back("former_uploaded", former.uploaded);
  body.emplace_back("former_downloaded", former.downloaded);
}

/// What /attest and /verify-receipt say of a receipt; `sender_public_key` is called `sender_pk` too. Nullopt when
/// something is missing, and when the time is 0.
Result<std::optional<tracker::Receipt>> receipt_of(const JsonValue& body, std::int64_t now) {
  const auto sender = tracker_member(body, {"sender_public_key", "sender_pk"});
  const auto hash = tracker_member(body, {"piece_hash"});
  const auto torrent = tracker_member(body, {"infohash"});
  const auto index = tracker_member(body, {"piece_index"});
  TRY(const auto time, tracker_integer(body, "timestamp", now, kTrackerMostBytes));
  if (!sender || !hash || !torrent || !index || time == 0) return std::optional<tracker::Receipt>{};
  tracker::Receipt out;
  TRY(const auto sender_text, sender->string("sender_public_key"));
  TRY(const auto sender_bytes, base::base64_decode(sender_text), "sender_public_key");
  if (sender_bytes.size() != out.sender.size()) return Error{Code::malformed, "sender_public_key", "48 bytes"};
  std::ranges::copy(sender_bytes, out.sender.begin());
  TRY(const auto hash_text, hash->string("piece_hash"));
  TRY(const auto hash_bytes, base::hex_decode(hash_text), "piece_hash");
  TRY(out.piece_hash, tracker::PieceHash::create(hash_bytes));
  TRY(const auto torrent_text, torrent->string("infohash"));
  TRY_OK(base::hex_decode_into(torrent_text, out.infohash), "infohash");
  TRY(const auto piece, index->integer("piece_index", 0, std::numeric_limits<std::uint32_t>::max()));
  out.piece_index = static_cast<std::uint32_t>(piece);
  out.time = static_cast<std::uint64_t>(time);
  TRY(const auto version, tracker_integer(body, "version", 1, 2));
  if (version == 2) out.form = tracker::ReceiptForm::bound;
  TRY(const auto size,
      tracker_integer(body, "piece_size", tracker::kDefaultPieceSize, std::numeric_limits<std::uint32_t>::max()));
  out.piece_size = static_cast<std::uint32_t>(size);
  return std::optional{out};
}

struct Handlers {
  const TrackerDeps& deps;

  std::string instance() const { return base::hex(deps.ledger.instance_id()); }

  void enrol(const JsonValue& body, net::Responder responder) const {
    const auto user = tracker_text(body, "user_id");
    const auto key = tracker_text(body, "public_key");
    if (!user) return responder.send(refused(user.error()));
    if (!key) return responder.send(refused(key.error()));
    if (user->empty() || key->empty()) return responder.send(refused(400, "Missing user_id or public_key"));
    tracker::Registration wanted{.user_id = *user, .public_key = {}};
    const auto bytes = base::base64_decode(*key);
    if (!bytes) return responder.send(refused(400, "Invalid public key encoding"));
    wanted.public_key = *bytes;
    const auto proof = [&](std::string_view name, std::optional<Bytes>& into) {
      const auto said = tracker_text(body, name);
      if (!said) return false;
      if (said->empty()) return true;
      const auto decoded = base::base64_decode(*said);
      if (decoded) into = *decoded;
      return decoded.ok();
    };
    if (!proof("proof_of_possession", wanted.proof_of_possession) || !proof("signature", wanted.signature))
      return responder.send(refused(401, "Invalid signature format"));
    const auto attestation = tracker_member(body, {"attestation"});
    if (!attestation) {
      if (deps.tee != nullptr && deps.tee->parts().attested_members)
        return responder.send(refused(401, "Missing attestation"));
      return enrol_now(std::move(wanted), std::move(responder));
    }
    if (deps.tee == nullptr) return responder.send(refused(400, "attestation: this tracker appraises none"));
    if (auto good = deps.ledger.check_before_evidence(wanted); !good) return responder.send(refused(good.error()));
    const std::string user_id = wanted.user_id;
    const Bytes public_key = wanted.public_key;
    deps.tee->appraise_member(
        *attestation, user_id, deps.ledger.instance_id(), public_key,
        [this, wanted = std::move(wanted), responder = std::move(responder)](Result<base::Digest32> evidence) mutable {
          if (!evidence) return responder.send(refused(evidence.error()));
          wanted.evidence = *evidence;
          enrol_now(std::move(wanted), std::move(responder));
        });
  }

  void enrol_now(tracker::Registration wanted, net::Responder responder) const {
    deps.ledger.enrol(std::move(wanted), [this, instance = instance(),
                                          responder = std::move(responder)](Result<tracker::Enrolment> done) mutable {
      if (!done) return responder.send(refused(done.error()));
      want(done->member, Turn::first);
      responder.send(json(200, {{"success", true},
                                {"instance_id", instance},
                                {"log_index", done->leaf.index},
                                {"passkey", deps.passkeys.add(done->member.user_id)},
                                {"attested", done->member.evidence.has_value()},
                                {"message", "User registered successfully"}}));
    });
  }

  /// He may have been a member of a former tracker.
  using Turn = tracker::Recollection::Turn;
  void want(const tracker::Member& member, Turn turn) const {
    if (deps.recollection != nullptr) deps.recollection->want(member.user_id, turn);
  }

  /// Shows a member its passkey, or gives it another; the member signs which.
  void passkey(const JsonValue& body, net::Responder responder) const {
    const auto user = tracker_text(body, "user_id");
    const auto encoded = tracker_text(body, "signature");
    const auto time = tracker_integer(body, "timestamp", 0, kTrackerMostBytes);
    if (!user) return responder.send(refused(user.error()));
    if (!encoded) return responder.send(refused(encoded.error()));
    if (!time) return responder.send(refused(time.error()));
    bool rotate = false;
    if (const auto said = tracker_member(body, {"rotate"})) {
      const auto flag = said->boolean("rotate");
      if (!flag) return responder.send(refused(flag.error()));
      rotate = *flag;
    }
    if (user->empty() || encoded->empty()) return responder.send(refused(400, "Missing user_id or signature"));
    const auto found = deps.ledger.member(*user);
    if (!found) return responder.send(refused(404, "User not registered"));
    const auto apart = *time - deps.clock.now().seconds;
    if (apart < -kPasskeySeconds || apart > kPasskeySeconds)
      return responder.send(refused(401, "timestamp: expected within 300 seconds of the tracker's clock"));
    const auto signature = base::base64_decode(*encoded);
    const auto key = PublicKey::decode(found->key);
    const auto message =
        tracker::passkey_message(deps.ledger.instance_id(), rotate, static_cast<std::uint64_t>(*time), *user);
    if (!signature || !key || !curves::bls::verify(*key, message, *signature))
      return responder.send(refused(401, "Invalid signature"));
    if (!rotate) return responder.send(json(200, {{"success", true}, {"passkey", deps.passkeys.add(*user)}}));
    deps.passkeys.rotate(*user, static_cast<std::uint64_t>(*time),
                         [responder = std::move(responder)](Result<std::string> changed) mutable {
                           if (!changed) return responder.send(refused(changed.error()));
                           responder.send(json(200, {{"success", true}, {"passkey", *changed}}));
                         });
  }
  /// An administrator ends one that others know, and does not hear the new one: the member asks for it.
  void revoke(const JsonValue& body, net::Responder responder) const {
    const auto user = tracker_text(body, "user_id");
    if (!user) return responder.send(refused(user.error()));
    if (!deps.ledger.member(*user)) return responder.send(refused(404, "User not registered"));
    deps.passkeys.rotate(*user, std::nullopt,
                         [responder = std::move(responder)](const Result<std::string>& changed) mutable {
                           responder.send(changed ? json(200, {{"success", true}}) : refused(changed.error()));
                         });
  }

  Result<tracker::Report> report_of(const JsonValue& body, const tracker::Member& reporter) const {
    tracker::Report out;
    out.user_id = reporter.user_id;
    tracker::KeyBytes key = reporter.key;
    TRY(const auto said, tracker_text(body, "public_key"));
    if (!said.empty()) {
      TRY(const auto bytes, base::base64_decode(said), "public_key");
      if (bytes.size() != key.size()) return Error{Code::malformed, "public_key", "48 bytes"};
      std::ranges::copy(bytes, key.begin());
      out.public_key = key;
    }
    TRY(const auto up, tracker_integer(body, "uploaded_delta", 0, kTrackerMostBytes));
    TRY(const auto down, tracker_integer(body, "downloaded_delta", 0, kTrackerMostBytes));
    out.claimed_upload = static_cast<std::uint64_t>(up);
    out.claimed_download = static_cast<std::uint64_t>(down);
    const auto receipts = tracker_member(body, {"receipts"});
    if (!receipts) return out;
    if (!receipts->is_array()) return Error{Code::malformed, "receipts", "an array"};
    if (receipts->size() > deps.max_receipts) {
      return Error{Code::too_large, "too many receipts", std::to_string(deps.max_receipts),
                   std::to_string(receipts->size())};
    }
    for (auto one = receipts->first(); one; one = one->next()) out.receipts.push_back(tracker::read_receipt(*one, key));
    return out;
  }

  void report(const JsonValue& body, net::Responder responder, const std::string& whose) const {
    const auto user = tracker_text(body, "user_id");
    if (!user) return responder.send(refused(user.error()));
    if (user->empty()) return responder.send(refused(400, "Missing user_id"));
    const auto reporter = deps.ledger.member(*user);
    if (!reporter) return responder.send(refused(404, "User not registered"));
    auto report = report_of(body, *reporter);
    if (!report) return responder.send(refused(report.error()));
    report->customer = whose;
    deps.ledger.report(*std::move(report),
                       [this, responder = std::move(responder)](Result<tracker::ReportOutcome> done) mutable {
                         responder.send(done ? reported(*done) : refused(done.error()));
                       });
  }
  net::Response reported(const tracker::ReportOutcome& outcome) const {
    JsonOutArray refusals;
    for (const auto& one : outcome.refused) {
      JsonOutObject refusal{{"index", one.index}, {"reason", tracker::to_text(one.reason)}};
      if (!one.detail.empty()) refusal.emplace_back("detail", one.detail);
      refusals.emplace_back(std::move(refusal));
    }
    JsonOutObject body{{"success", true},
                       {"credited_bytes", outcome.credited},
                       {"submitted_receipts", outcome.submitted},
                       {"accepted_receipts", outcome.accepted},
                       {"verified_receipts", outcome.verified},
                       {"refused", std::move(refusals)}};
    append_ratio(body, outcome.member, deps);
    return json(200, std::move(body));
  }

  void verify(const JsonValue& body, net::Responder responder) const {
    const auto receiver =
        tracker_text(body, tracker_member(body, {"receiver_public_key"}) ? "receiver_public_key" : "receiver_pk");
    const auto signature = tracker_text(body, "receipt");
    if (!receiver) return responder.send(refused(receiver.error()));
    if (!signature) return responder.send(refused(signature.error()));
    auto receipt = receipt_of(body, 0);
    if (!receipt) return responder.send(refused(receipt.error()));
    if (receiver->empty() || signature->empty() || !*receipt) return responder.send(refused(400, kMissing));
    const auto key_bytes = base::base64_decode(*receiver);
    const auto signed_bytes = base::base64_decode(*signature);
    if (!key_bytes || !signed_bytes) return responder.send(refused(400, "Invalid base64"));
    bool valid = false;
    if (const auto key = PublicKey::decode(*key_bytes)) {
      (*receipt)->receiver = key->encoded();
      valid = curves::bls::verify(*key, tracker::signed_message(**receipt, deps.ledger.instance_id()), *signed_bytes);
    }
    responder.send(json(
        200, {{"success", true}, {"valid", valid}, {"message", valid ? "Receipt is valid" : "Receipt is invalid"}}));
  }

  void attest(const JsonValue& body, net::Responder responder) const {
    if (!deps.test_routes) return responder.send(for_tests());
    auto receipt = receipt_of(body, deps.clock.now().seconds);
    auto secret = tracker_text(body, "receiver_private_key");
    if (!receipt) return responder.send(refused(receipt.error()));
    if (!secret) return responder.send(refused(secret.error()));
    if (secret->empty() || !*receipt) return responder.send(refused(400, kMissing));
    auto bytes = base::base64_decode(*secret);
    net::wipe_text(*secret);
    if (!bytes) return responder.send(refused(400, "receiver_private_key: no base64"));
    const auto held = crypto::Secret::copy_of(*bytes);
    std::ranges::fill(*bytes, std::uint8_t{0});
    const auto key = SigningKey::from_big_endian(held.reveal());
    if (!key) return responder.send(refused(400, "receiver_private_key: expected 32 bytes of a key"));
    (*receipt)->receiver = key->public_key().encoded();
    const auto signature = key->sign(tracker::signed_message(**receipt, deps.ledger.instance_id()));
    responder.send(json(200, {{"success", true},
                              {"receipt", base::base64(signature)},
                              {"timestamp", (*receipt)->time},
                              {"message", "Receipt generated successfully"}}));
  }

  void keygen(const JsonValue& /*body*/, net::Responder responder) const {
    if (!deps.test_routes) return responder.send(for_tests());
    const auto key = SigningKey::random(deps.random);
    const auto secret = key.big_endian();
    auto out = json(200, {{"success", true},
                          {"private_key", base::base64(secret.reveal())},
                          {"public_key", base::base64(key.public_key().encoded())},
                          {"key_type", "BLS12-381"},
                          {"private_key_size", 32},
                          {"public_key_size", 48},
                          {"warning", "Store private key securely! Never share it!"}});
    out.wipe = true;
    responder.send(std::move(out));
  }
  static net::Response for_tests() {
    return refused(403,
                   "private keys do not cross this server: make keys and receipts at the client (for tests: "
                   "tracker.test_routes)");
  }

  void configure(const JsonValue& body, net::Responder responder) const {
    auto config = deps.ledger.config();
    if (const auto said = tracker_member(body, {"verify_signatures"})) {
      const auto verify = said->boolean("verify_signatures");
      if (!verify) return responder.send(refused(verify.error()));
      config.verify_signatures = *verify;
    }
    const auto window = tracker_integer(body, "receipt_window", config.window, kTrackerMostBytes);
    if (!window) return responder.send(refused(window.error()));
    config.window = *window;
    const auto mode = tracker_text(body, "tee_mode");
    if (!mode) return responder.send(refused(mode.error()));
    auto tee_mode = deps.tee == nullptr ? TeeMode::disabled : deps.tee->mode();
    if (!mode->empty()) {
      const auto known = tee_mode_from(*mode);
      if (!known) return responder.send(refused(known.error()));
      if (*known != TeeMode::disabled && (deps.tee == nullptr || !deps.tee->available()))
        return responder.send(refused(400, "Invalid tee_mode: " + *mode + " (there is no TEE)"));
      tee_mode = *known;
    }
    deps.ledger.configure(
        config, [tee = deps.tee, tee_mode, responder = std::move(responder)](Result<tracker::LedgerLeaf> done) mutable {
          if (!done) return responder.send(refused(done.error()));
          if (tee != nullptr) {
            if (const auto set = tee->set_mode(tee_mode); !set) return responder.send(refused(set.error()));
          }
          responder.send(json(200, {{"success", true}, {"message", "Configuration updated"}}));
        });
  }

  net::Response config(const net::Request&) const {
    const auto stats = deps.ledger.stats();
    if (!stats) return refused(stats.error());
    const auto config = deps.ledger.config();
    return json(200, {{"instance_id", instance()},
                      {"verify_signatures", config.verify_signatures},
                      {"receipt_window", config.window},
                      {"min_ratio", deps.min_ratio},
                      {"max_peers", deps.most_wanted},
                      {"used_receipts_count", stats->spent},
                      {"tee_available", deps.tee != nullptr && deps.tee->available()},
                      {"tee_mode", to_text(deps.tee == nullptr ? TeeMode::disabled : deps.tee->mode())}});
  }
  net::Response stats(const net::Request&) const {
    const auto stats = deps.ledger.stats();
    if (!stats) return refused(stats.error());
    return json(200, {{"instance_id", instance()},
                      {"total_torrents", deps.swarms.torrents()},
                      {"total_peers", deps.swarms.peers()},
                      {"total_users", stats->members},
                      {"min_ratio", deps.min_ratio}});
  }
  net::Response user(const net::Request& request) const {
    const auto found = deps.ledger.member(request.parameter("id"));
    if (!found) return json(404, {{"error", "User not found"}});
    want(*found, Turn::last);
    JsonOutObject body{{"user_id", found->user_id},
                       {"public_key", base::base64(found->key)},
                       {"registered_at", found->registered.seconds}};
    append_ratio(body, *found, deps);
    return json(200, std::move(body));
  }
  net::Response health(const net::Request&) const {
    return json(200, {{"status", "healthy"},
                      {"instance_id", instance()},
                      {"signature_verification", deps.ledger.config().verify_signatures}});
  }
};

using Shared = std::shared_ptr<const Handlers>;
using Read = net::Response (Handlers::*)(const net::Request&) const;
using Write = void (Handlers::*)(const JsonValue&, net::Responder) const;

net::Handler on_lane(const Shared& handlers, FairLane& lane, Write write) {
  return tracker_on_lane(handlers->deps, lane, [handlers, write](const JsonValue& body, net::Responder responder) {
    ((*handlers).*write)(body, std::move(responder));
  });
}

/// Names are free, and so that nobody takes all of them: beyond a line's share of an hour nobody looks at what it
/// sends.
Result<net::Handler> not_too_often(const TrackerDeps& deps, net::Handler enrol) {
  if (deps.registrations_per_hour == 0) return enrol;
  TRY(auto made,
      net::RateLimiter::make({.requests_per_hour = deps.registrations_per_hour, .burst = deps.registrations_per_hour}));
  const auto limiter = std::make_shared<net::RateLimiter>(std::move(made));
  return net::Handler{[&deps, limiter, enrol = std::move(enrol)](net::Request request, net::Responder responder) {
    const auto wait = limiter->take(tracker_line(tracker_client(request, deps)), deps.clock.steady());
    if (!wait) return enrol(std::move(request), std::move(responder));
    auto out = refused(429, "too many registrations from this address: " + std::to_string(deps.registrations_per_hour) +
                                " at once, and as many an hour; try again in " + std::to_string(*wait) +
                                " seconds, or ask the operator (tracker.registrations_per_hour)");
    out.headers.set("Retry-After", std::to_string(*wait));
    responder.send(std::move(out));
  }};
}

net::Handler at_once(const Shared& handlers, Read read) {
  return [handlers, read](const net::Request& request, net::Responder responder) {
    responder.send(((*handlers).*read)(request));
  };
}

}  // namespace

base::Status register_tracker_members(net::Router& router, const TrackerDeps& deps) {
  using net::Method;
  const auto handlers = std::make_shared<const Handlers>(Handlers{deps});
  const auto reading = [&](std::string_view path, std::string_view id, std::string summary, Read read) {
    auto one = tracker_route(Method::get, path, id, std::move(summary));
    one.handler = at_once(handlers, read);
    return router.add(std::move(one));
  };
  const auto writing = [&](std::string_view path, std::string_view id, std::string summary,
                           Write write) -> base::Status {
    auto one = tracker_route(Method::post, path, id, std::move(summary));
    one.body_limit = std::max(kBody, deps.max_receipts * kReceiptBytes);
    const bool administrators = id == "configure" || id == "passkey_revoke";
    if (administrators) one.auth = net::Auth::admin;
    one.handler = on_lane(handlers, administrators ? deps.operators : deps.lane, write);
    if (id == "register") {
      TRY(one.handler, not_too_often(deps, std::move(one.handler)));
    }
    return router.add(std::move(one));
  };
  TRY_OK(reading("/health", "health", "Whether the tracker serves", &Handlers::health));
  TRY_OK(reading("/stats", "stats", "Torrents, peers and members", &Handlers::stats));
  TRY_OK(reading("/user/{id}", "user", "A member's totals", &Handlers::user));
  TRY_OK(
      reading("/config", "config", "What is verified, and for how long receipts can be reported", &Handlers::config));
  TRY_OK(writing("/config", "configure", "Change that", &Handlers::configure));
  TRY_OK(writing("/register", "register", "Become a member", &Handlers::enrol));
  TRY_OK(writing("/passkey", "passkey", "A member's passkey, or another one", &Handlers::passkey));
  TRY_OK(writing("/passkey/revoke", "passkey_revoke", "End a member's passkey", &Handlers::revoke));
  auto reporting = tracker_route(Method::post, "/report", "report", "Have receipts credited");
  reporting.body_limit = std::max(kBody, deps.max_receipts * kReceiptBytes);
  reporting.handler = tracker_on_lane_of(
      deps, deps.lane, [handlers](const JsonValue& body, net::Responder responder, const std::string& whose) {
        handlers->report(body, std::move(responder), whose);
      });
  TRY_OK(router.add(std::move(reporting)));
  TRY_OK(writing("/verify-receipt", "verify_receipt", "Whether the receiver signed a receipt", &Handlers::verify));
  TRY_OK(writing("/keygen", "keygen", "A new pair of keys, for tests", &Handlers::keygen));
  return writing("/attest", "attest", "Sign a receipt with a key that is sent along, for tests", &Handlers::attest);
}

}  // namespace attestry::api
