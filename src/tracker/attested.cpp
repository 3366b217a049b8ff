#include "tracker/attested.h"

#include <algorithm>
#include <array>
#include <memory>

#include "attestation/key_binding.h"
#include "base/encoding.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "curves/keccak.h"
#include "curves/secp256k1.h"

namespace attestry::tracker {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::UtcTime;

namespace {

constexpr std::size_t kReportData = 64;
constexpr std::size_t kRandomPart = 16;
constexpr std::size_t kSaid = 8 + kRandomPart;  ///< expiry u64 ‖ random
constexpr std::string_view kRegistration = "register||";

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'; }
bool is_salt(char c) { return is_word(c) || c == '.' || c == '_' || c == ':' || c == '@'; }

}  // namespace

base::FixedBytes<64> payload_report_data(std::string_view payload) {
  base::FixedBytes<64> out{};
  if (payload.size() <= kReportData) {
    std::ranges::copy(payload, out.begin());
  } else {
    std::ranges::copy(crypto::sha256(base::as_bytes(payload)), out.begin());
  }
  return out;
}

Status check_quotable(std::string_view payload) {
  // What this machine, or its guest agent, says of keys and contracts begins so; nobody else has it say that.
  for (const std::string_view reserved : {kRegistration, std::string_view{"PBTS-Tracker"}, std::string_view{"dip1:"}}) {
    if (payload.starts_with(reserved)) {
      return Error{Code::malformed, "payload", "another beginning than " + std::string{reserved}, "a reserved one"};
    }
  }
  if (std::ranges::any_of(payload, [](char c) { return c < 0x20 || c > 0x7e; })) {
    return Error{Code::malformed, "payload", "printable ASCII", "another character"};
  }
  // A digest with zeros behind it is what longer payloads, and keys, are quoted as. That a digest consists of these
  // characters alone has less than one chance in 2^60.
  constexpr std::size_t kDigest = 32;
  constexpr std::size_t kAlmostDigest = 28;
  if (payload.size() > kAlmostDigest && payload.size() <= kDigest && !std::ranges::all_of(payload, is_word)) {
    return Error{Code::malformed, "payload", "of 29 to 32 characters only letters, digits and -", "another character",
                 "Make it longer."};
  }
  return base::done();
}

std::string registration_payload(std::string_view user_id, const InstanceId& instance, ByteView key, ByteView nonce) {
  std::string out{kRegistration};
  out.append(user_id).append("||").append(base::hex(instance));
  return out.append("||").append(base::base64(key)).append("||").append(base::hex(nonce));
}

std::string_view status_name(std::string_view tcb_status) noexcept {
  struct Name {
    std::string_view ours, theirs;
  };
  static constexpr std::array kNames{
      Name{"UpToDate", "OK"},
      Name{"SWHardeningNeeded", "SW_HARDENING_NEEDED"},
      Name{"ConfigurationNeeded", "CONFIGURATION_NEEDED"},
      Name{"ConfigurationAndSWHardeningNeeded", "CONFIGURATION_AND_SW_HARDENING_NEEDED"},
      Name{"OutOfDate", "OUT_OF_DATE"},
      Name{"OutOfDateConfigurationNeeded", "OUT_OF_DATE_CONFIGURATION_NEEDED"},
      Name{"Revoked", "REVOKED"},
  };
  const auto* const found = std::ranges::find(kNames, tcb_status, &Name::ours);
  return found == kNames.end() ? "UNSPECIFIED" : found->theirs;
}

void cut_padding(Bytes& quote) {
  constexpr std::size_t kHeader = 48;
  constexpr std::size_t kSgxReport = 384;
  constexpr std::size_t kTdReport = 584;
  constexpr std::size_t kVersionWithSizes = 5;
  base::Reader in{quote};
  const auto end = [&]() -> Result<std::size_t> {
    TRY(const auto version, in.u16le("version"));
    TRY_OK(in.take(2, "key type"));
    TRY(const auto tee, in.u32le("TEE type"));
    TRY_OK(in.take(kHeader - 8, "header"));
    std::size_t body = tee == 0 ? kSgxReport : kTdReport;
    if (version == kVersionWithSizes) {
      TRY_OK(in.take(2, "body type"));
      TRY(body, in.u32le("body size"));
    }
    TRY_OK(in.take(body, "body"));
    TRY(const auto size, in.u32le("signature data size"));
    TRY_OK(in.take(size, "signature data"));
    return in.offset();
  }();
  if (end && std::ranges::all_of(in.rest(), [](std::uint8_t byte) { return byte == 0; })) quote.resize(*end);
}

Status judge_evidence(const attestation::Policy& policy, attestation::Verdict& verdict,
                      const base::FixedBytes<64>& expected, base::Realm realm) {
  if (auto report = attestation::appraise_report_data(policy, verdict, expected); !report) {
    // No outage: whoever sent the evidence has the log.
    const auto* cause = verdict.root_cause();
    if (cause != nullptr && cause->check == attestation::CheckId::policy_event_log &&
        verdict.evidence == attestation::Genuineness::genuine)
      report.error().code = Code::denied;
    return std::move(report).error();
  }
  if (verdict.simulated == (realm == base::Realm::simulated)) return base::done();
  return Error{Code::denied, "evidence of another realm", std::string{base::to_text(realm)},
               verdict.simulated ? "simulated" : "production"};
}

base::FixedBytes<16> RegistrationNonces::tag(ByteView said) const {
  const auto whole = crypto::hmac_sha256(key_.reveal(), said);
  base::FixedBytes<16> out{};
  std::copy_n(whole.begin(), out.size(), out.begin());
  return out;
}

namespace {

/// The expiry, big-endian, and zeros: nonces are ordered by it.
RegistrationNonces::Nonce beginning(UtcTime expiry) {
  RegistrationNonces::Nonce out{};
  auto seconds = static_cast<std::uint64_t>(expiry.seconds);
  for (std::size_t at = 8; at-- > 0; seconds >>= 8U) out.at(at) = static_cast<std::uint8_t>(seconds & 0xffU);
  return out;
}

RegistrationNonces::Nonce fixed(ByteView nonce) {
  RegistrationNonces::Nonce out{};
  std::ranges::copy(nonce, out.begin());
  return out;
}

Error used_before() {
  return {Code::replayed, "this attestation was used before", "a new nonce", {}, "Ask for a new one."};
}

}  // namespace

RegistrationNonces::Nonce RegistrationNonces::issue(UtcTime now) const {
  Nonce out = beginning(now + kLifetime);
  std::ranges::copy(random_.bytes<kRandomPart>(), out.begin() + 8);
  std::ranges::copy(tag(ByteView{out}.first(kSaid)), out.begin() + kSaid);
  return out;
}

Status RegistrationNonces::check(ByteView nonce, UtcTime now) const {
  if (nonce.size() != kBytes || !crypto::equal_constant_time(tag(nonce.first(kSaid)), nonce.subspan(kSaid))) {
    return Error{Code::malformed, "nonce of the attestation", "one that this tracker gave", "another",
                 "Ask for a new one."};
  }
  base::Reader in{nonce};
  TRY(const auto until, in.u64be("expiry"));
  if (now.seconds >= static_cast<std::int64_t>(until)) {
    return Error{
        Code::challenge_expired, "the attestation is older than five minutes", "a new nonce", {}, "Ask for a new one."};
  }
  const base::MutexLock lock(mutex_);
  if (spent_.contains(fixed(nonce))) return used_before();
  return base::done();
}

Status RegistrationNonces::spend(ByteView nonce, UtcTime now) {
  TRY_OK(check(nonce, now));
  const base::MutexLock lock(mutex_);
  spent_.erase(spent_.begin(), spent_.lower_bound(beginning(now)));
  if (!spent_.insert(fixed(nonce)).second) return used_before();
  return base::done();
}

KeySource local_key_source(crypto::Secret app_key) {
  auto key = std::make_shared<const crypto::Secret>(std::move(app_key));
  return [key](std::string_view path, std::string_view purpose) -> Result<DerivedSecret> {
    TRY(const auto app, curves::Secp256k1PrivateKey::from_scalar(key->reveal()));
    constexpr std::string_view kSalt = "RATLS";
    DerivedSecret out{.key = crypto::hkdf_sha256(base::as_bytes(kSalt), key->reveal(), base::as_bytes(path), 32)};
    TRY(const auto derived, curves::Secp256k1PrivateKey::from_scalar(out.key.reveal()));
    const std::string message = std::string{purpose} + ":" + base::hex(derived.public_key_compressed());
    TRY(const auto signature, app.sign_recoverable(curves::keccak256(base::as_bytes(message))));
    out.signature_chain.push_back(base::to_bytes(signature));
    return out;
  };
}

Status check_salt(std::string_view salt) {
  constexpr std::size_t kMostSalt = 128;
  if (!salt.empty() && salt.size() <= kMostSalt && std::ranges::all_of(salt, is_salt)) return base::done();
  return Error{Code::malformed, "salt", "1 to 128 characters of A-Z, a-z, 0-9 and . _ : @ -", "another"};
}

Result<DerivedKey> derive_member_key(const KeySource& source, std::string_view salt) {
  TRY_OK(check_salt(salt));
  std::string path = std::string{kKeyPathPrefix} + std::string{salt};
  TRY(auto derived, source(path, kKeyPurpose));
  TRY(const auto derived_key, curves::Secp256k1PrivateKey::from_scalar(derived.key.reveal()), "derived key");
  TRY(auto key, curves::bls::SigningKey::reduce(derived.key.reveal()), "derived key");
  return DerivedKey{.key = std::move(key),
                    .path = std::move(path),
                    .derived = derived_key.public_key_compressed(),
                    .signature_chain = std::move(derived.signature_chain)};
}

}  // namespace attestry::tracker
