#include "forge/maa.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "base/json_writer.h"
#include "crypto/hash.h"

namespace attestry::forge {

using base::Bytes;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;

namespace {

constexpr std::int64_t kLifetime = 8 * 3600;  // as the service's
constexpr std::int64_t kAge = 60;
constexpr std::int64_t kLeeway = 60;  // that a verifier allows for clocks
constexpr std::string_view kHeld = "held data of a simulated enclave";
constexpr std::string_view kStranger = "https://stranger.simulated.attest.invalid";

constexpr std::array kKinds{MaaKind::sgx, MaaKind::sevsnpvm, MaaKind::tdxvm, MaaKind::azurevm_snp,
                            MaaKind::azurevm_tdx};

constexpr std::array kFaults{
#define ATTESTRY_MAA_FAULT(name, text, cause, what) MaaFaultInfo{MaaFault::name, text, cause, what},
#include "forge/maa_faults.def"
#undef ATTESTRY_MAA_FAULT
};

bool nested(MaaKind kind) { return kind == MaaKind::azurevm_snp || kind == MaaKind::azurevm_tdx; }
bool is_snp(MaaKind kind) { return kind == MaaKind::sevsnpvm || kind == MaaKind::azurevm_snp; }

std::string_view tee_type(MaaKind kind) {
  if (kind == MaaKind::sgx) return "sgx";
  return is_snp(kind) ? "sevsnpvm" : "tdxvm";
}

crypto::RsaPrivateKey key_of(base::ByteView seed, std::string_view label) {
  base::LpWriter input;
  input.lp("attestry/forge/maa/1").lp(seed).lp(label);
  crypto::SeededRandom random(input.bytes());
  return crypto::RsaPrivateKey::generate(2048, random);
}

std::string kid_of(const crypto::RsaPublicKey& key) { return base::base64(crypto::sha256(key.spki())); }

JsonOutObject jwk_of(const crypto::RsaPublicKey& key, std::string_view kid) {
  return {
      {"kty", "RSA"}, {"use", "sig"}, {"kid", kid}, {"n", base::base64url(key.n())}, {"e", base::base64url(key.e())}};
}

void set(JsonOutObject& object, std::string_view name, JsonOut value) {
  const auto found = std::ranges::find(object, name, &std::pair<std::string, JsonOut>::first);
  if (found != object.end()) {
    found->second = std::move(value);
  } else {
    object.emplace_back(std::string{name}, std::move(value));
  }
}

void drop(JsonOutObject& object, std::string_view name) {
  std::erase_if(object, [&](const auto& member) { return member.first == name; });
}

/// The claims of one token, level by level.
class Writer {
 public:
  Writer(base::ByteView seed, const MaaScenario& scenario) : seed_(seed), s_(scenario) {
    tee();
    if (nested(s_.kind)) machine();
    common();
    fault();
  }

  std::string payload() {
    JsonOutObject all = root_;
    if (nested(s_.kind) && s_.fault != MaaFault::no_isolation && s_.fault != MaaFault::wrong_level) {
      all.emplace_back("x-ms-isolation-tee", tee_);
    } else if (!nested(s_.kind) || s_.fault == MaaFault::wrong_level) {
      for (auto& [name, value] : tee_) {
        const bool taken = name == "x-ms-attestation-type" || name == "x-ms-runtime";  // at the root of azurevm
        if (!taken || !nested(s_.kind)) all.emplace_back(name, value);
      }
    }
    std::string text = JsonOut{all}.compact();
    // The second one would win in a reader that takes the last.
    if (s_.fault == MaaFault::claim_twice) text.insert(1, R"("iss":")" + std::string{kStranger} + R"(",)");
    return text;
  }

  std::vector<std::pair<std::string, std::string>> measurements;

 private:
  std::string bytes(std::string_view label, std::size_t size) const {
    base::LpWriter input;
    input.lp("attestry/forge/maa/claim/1").lp(seed_).lp(label);
    crypto::SeededRandom random(input.bytes());
    Bytes out(size);
    random.fill(out);
    return base::hex(out);
  }
  void measure(std::string_view name, std::size_t size) {
    std::string value = bytes(name, size);
    measurements.emplace_back(name, value);
    tee_.emplace_back(name, std::move(value));
  }
  void report_data(std::string_view name) {
    Bytes data(s_.report_data.begin(), s_.report_data.end());
    const bool given = std::ranges::any_of(data, [](std::uint8_t b) { return b != 0; });
    std::string value = given ? base::hex(data) : bytes("report data", 32) + std::string(64, '0');
    if (s_.kind == MaaKind::sgx) value.replace(0, 64, base::hex(crypto::sha256(base::as_bytes(kHeld))));
    measurements.emplace_back(name, value);
    tee_.emplace_back(name, std::move(value));
  }

  void tee() {
    tee_.emplace_back("x-ms-attestation-type", tee_type(s_.kind));
    if (s_.kind == MaaKind::sgx) return sgx();
    tee_.emplace_back("x-ms-compliance-status", "azure-compliant-cvm");
    if (is_snp(s_.kind)) return snp();
    tdx();
  }
  void sgx() {
    main_ = "x-ms-sgx-mrenclave";
    debug_ = "x-ms-sgx-is-debuggable";
    measure(main_, 32);
    measure("x-ms-sgx-mrsigner", 32);
    report_data("x-ms-sgx-report-data");
    set(tee_, debug_, false);
    set(tee_, "x-ms-sgx-product-id", 1);
    set(tee_, "x-ms-sgx-svn", 3);
    set(tee_, "x-ms-sgx-ehd", base::base64url(base::as_bytes(kHeld)));
    set(tee_, "is-debuggable", false);
    set(tee_, "product-id", 1);
    set(tee_, "svn", 3);
    set(tee_, "tee", "sgx");
    set(tee_, "sgx-mrenclave", measurements.front().second);
  }
  void snp() {
    main_ = "x-ms-sevsnpvm-launchmeasurement";
    debug_ = "x-ms-sevsnpvm-is-debuggable";
    measure(main_, 48);
    measure("x-ms-sevsnpvm-hostdata", 32);
    measure("x-ms-sevsnpvm-reportid", 32);
    measure("x-ms-sevsnpvm-familyId", 16);
    measure("x-ms-sevsnpvm-imageId", 16);
    measure("x-ms-sevsnpvm-authorkeydigest", 48);
    measure("x-ms-sevsnpvm-idkeydigest", 48);
    report_data("x-ms-sevsnpvm-reportdata");
    set(tee_, debug_, false);
    set(tee_, "x-ms-sevsnpvm-migration-allowed", false);
    set(tee_, "x-ms-sevsnpvm-smt-allowed", true);
    set(tee_, "x-ms-sevsnpvm-vmpl", 0);
    set(tee_, "x-ms-sevsnpvm-bootloader-svn", 4);
    set(tee_, "x-ms-sevsnpvm-tee-svn", 0);
    set(tee_, "x-ms-sevsnpvm-snpfw-svn", 24);
    set(tee_, "x-ms-sevsnpvm-microcode-svn", 219);
    set(tee_, "x-ms-sevsnpvm-guestsvn", 10);
  }
  void tdx() {
    main_ = "tdx_mrtd";
    debug_ = "tdx_td_attributes_debug";
    measure(main_, 48);
    for (const char* name : {"tdx_rtmr0", "tdx_rtmr1", "tdx_rtmr2", "tdx_rtmr3"}) measure(name, 48);
    measure("tdx_mrseam", 48);
    report_data("tdx_report_data");
    set(tee_, debug_, false);
    set(tee_, "tdx_td_attributes", "0000001000000000");
    set(tee_, "tdx_td_attributes_septve_disable", true);
    set(tee_, "tdx_mrsignerseam", std::string(96, '0'));
    set(tee_, "tdx_seam_attributes", std::string(16, '0'));
    set(tee_, "tdx_xfam", "e718060000000000");
    set(tee_, "tdx_tee_tcb_svn", "03000600000000000000000000000000");
    set(tee_, "tdx_seamsvn", 3);
    set(tee_, "attester_tcb_status", "UpToDate");
    set(tee_, "dbgstat", "disabled");
  }
  void machine() {
    set(tee_, "x-ms-runtime",
        JsonOutObject{{"keys", JsonOutArray{}},
                      {"user-data", std::string(128, '0')},
                      {"vm-configuration", JsonOutObject{{"console-enabled", false},
                                                         {"secure-boot", true},
                                                         {"tpm-enabled", true},
                                                         {"vmUniqueId", "00000000-0000-4000-8000-000000000000"}}}});
    set(root_, "x-ms-attestation-type", "azurevm");
    set(root_, "secureboot", true);
    for (const char* flag : {"bootdebug", "kerneldebug", "hypervisordebug", "testsigning"}) {
      set(root_, "x-ms-azurevm-" + std::string{flag} + "-enabled", false);
    }
    set(root_, "x-ms-azurevm-attested-pcrs", JsonOutArray{0, 1, 2, 3, 4, 5, 6, 7});
    set(root_, "x-ms-azurevm-osdistro", "Ubuntu");
    set(root_, "x-ms-azurevm-ostype", "Linux");
  }
  void common() {
    const std::int64_t issued = s_.at.seconds - kAge;
    set(root_, "iss", kForgeIssuer);
    set(root_, "iat", issued);
    set(root_, "nbf", issued);
    set(root_, "exp", issued + kLifetime);
    set(root_, "jti", bytes("jti", 32));
    set(root_, "x-ms-ver", "1.0");
    set(root_, "x-ms-policy-hash", base::base64url(crypto::sha256(base::as_bytes("simulated policy"))));
    set(root_, "x-ms-runtime",
        JsonOutObject{{"client-payload", JsonOutObject{{"nonce", base::base64(base::as_bytes(s_.nonce))}}}});
  }
  void fault() {
    switch (s_.fault) {
      case MaaFault::issuer_foreign:
        return set(root_, "iss", kStranger);
      case MaaFault::issuer_slash:
        return set(root_, "iss", std::string{kForgeIssuer} + "/");
      case MaaFault::issuer_missing:
        return drop(root_, "iss");
      case MaaFault::expired:
        return set(root_, "exp", s_.at.seconds);
      case MaaFault::not_yet_valid:
        return set(root_, "nbf", s_.at.seconds + kLeeway + 1);
      case MaaFault::from_the_future:
        return set(root_, "iat", s_.at.seconds + kLeeway + 1);
      case MaaFault::no_exp:
        return drop(root_, "exp");
      case MaaFault::no_nbf:
        return drop(root_, "nbf");
      case MaaFault::no_iat:
        return drop(root_, "iat");
      case MaaFault::type_unknown:
        return set(nested(s_.kind) ? root_ : tee_, "x-ms-attestation-type", "tpm");
      default:
        return tee_fault();
    }
  }
  void tee_fault() {
    switch (s_.fault) {
      case MaaFault::debug:
        return set(tee_, debug_, true);
      case MaaFault::debug_missing:
        return drop(tee_, debug_);
      case MaaFault::debug_text:
        return set(tee_, debug_, "false");
      case MaaFault::measurement_missing:
        return drop(tee_, main_);
      case MaaFault::measurement_short:
        return set(tee_, main_, measurements.front().second.substr(2));
      case MaaFault::held_data:
        return set(tee_, "x-ms-sgx-ehd", base::base64url(base::as_bytes("other data")));
      case MaaFault::boot_debug:
        return set(root_, "x-ms-azurevm-bootdebug-enabled", true);
      case MaaFault::kernel_debug:
        return set(root_, "x-ms-azurevm-kerneldebug-enabled", true);
      case MaaFault::hypervisor_debug:
        return set(root_, "x-ms-azurevm-hypervisordebug-enabled", true);
      case MaaFault::test_signing:
        return set(root_, "x-ms-azurevm-testsigning-enabled", true);
      case MaaFault::inner_type:
        return set(tee_, "x-ms-attestation-type", "azurevm");
      case MaaFault::outer_measurement:
        drop(tee_, main_);
        return set(root_, main_, measurements.front().second);
      case MaaFault::not_compliant:
        return set(tee_, "x-ms-compliance-status", "azure-signed-katacc-uvm");
      default:
        return;  // not of the claims
    }
  }

  base::ByteView seed_;
  const MaaScenario& s_;
  JsonOutObject root_;
  JsonOutObject tee_;
  std::string_view main_;
  std::string_view debug_;
};

std::string header_of(MaaFault fault, std::string_view kid, const crypto::RsaPublicKey& stranger) {
  if (fault == MaaFault::header_array) return "[]";
  const std::string certs = std::string{kForgeIssuer} + "/certs";
  JsonOutObject header{{"alg", "RS256"}, {"jku", certs}, {"kid", kid}, {"typ", "JWT"}};
  if (fault == MaaFault::alg_none) set(header, "alg", "none");
  if (fault == MaaFault::alg_case) set(header, "alg", "rs256");
  if (fault == MaaFault::alg_hs256) set(header, "alg", "HS256");
  if (fault == MaaFault::typ) set(header, "typ", "at+jwt");
  if (fault == MaaFault::crit) set(header, "crit", JsonOutArray{"exp"});
  if (fault == MaaFault::kid_missing) drop(header, "kid");
  if (fault == MaaFault::kid_unknown) set(header, "kid", "another key");
  if (fault == MaaFault::jku_foreign) set(header, "jku", std::string{kStranger} + "/certs");
  if (fault == MaaFault::jku_suffix) set(header, "jku", std::string{kForgeIssuer} + ".example/certs");
  if (fault == MaaFault::embedded_key) {
    set(header, "kid", kid_of(stranger));
    set(header, "jwk", jwk_of(stranger, kid_of(stranger)));
  }
  std::string text = JsonOut{header}.compact();
  if (fault == MaaFault::header_twice) text.insert(1, R"("alg":"none",)");
  return text;
}

std::string jwks_of(MaaFault fault, const crypto::RsaPublicKey& key, const crypto::RsaPublicKey& other) {
  JsonOutObject mine = jwk_of(key, kid_of(key));
  if (fault == MaaFault::key_encrypts) set(mine, "use", "enc");
  JsonOutArray keys{std::move(mine)};
  if (fault == MaaFault::key_twice) keys.emplace_back(jwk_of(other, kid_of(key)));
  std::string text = JsonOut{JsonOutObject{{"keys", std::move(keys)}}}.pretty() + "\n";
  if (fault == MaaFault::jwks_broken) text.resize(text.size() / 2);
  return text;
}

std::string part(std::string_view text) { return base::base64url(base::as_bytes(text)); }

}  // namespace

std::span<const MaaKind> all_maa_kinds() noexcept { return kKinds; }

std::string_view to_text(MaaKind kind) noexcept {
  switch (kind) {
    case MaaKind::sgx:
      return "maa-sgx";
    case MaaKind::sevsnpvm:
      return "maa-sevsnpvm";
    case MaaKind::tdxvm:
      return "maa-tdxvm";
    case MaaKind::azurevm_snp:
      return "maa-azurevm-snp";
    case MaaKind::azurevm_tdx:
      return "maa-azurevm-tdx";
  }
  return "maa-sgx";
}

std::optional<MaaKind> parse_maa_kind(std::string_view text) noexcept {
  const auto found = std::ranges::find(kKinds, text, [](MaaKind kind) { return to_text(kind); });
  return found == kKinds.end() ? std::nullopt : std::optional{*found};
}

std::span<const MaaFaultInfo> maa_faults() noexcept { return kFaults; }

std::optional<MaaFault> parse_maa_fault(std::string_view name) noexcept {
  const auto found = std::ranges::find(kFaults, name, &MaaFaultInfo::name);
  return found == kFaults.end() ? std::nullopt : std::optional{found->fault};
}

bool applies(MaaFault fault, MaaKind kind) noexcept {
  if (fault == MaaFault::held_data) return kind == MaaKind::sgx;
  return fault < MaaFault::boot_debug || nested(kind);
}

bool leaves_undecided(MaaFault fault) noexcept {
  return fault == MaaFault::kid_unknown || fault == MaaFault::embedded_key;
}

MaaService::MaaService(base::ByteView seed) : seed_(base::to_bytes(seed)), key_(key_of(seed, "service")) {}

std::string MaaService::kid() const { return kid_of(key_.public_key()); }

MaaCase MaaService::make(const MaaScenario& scenario) const {
  const MaaFault fault = scenario.fault;
  const bool needs_stranger =
      fault == MaaFault::other_key || fault == MaaFault::key_twice || fault == MaaFault::embedded_key;
  const crypto::RsaPrivateKey stranger = needs_stranger ? key_of(seed_, "stranger") : key_;
  const crypto::RsaPublicKey mine = key_.public_key();

  Writer claims(seed_, scenario);
  const std::string payload = claims.payload();
  std::string signed_text = part(header_of(fault, kid(), stranger.public_key())) + "." + part(payload);
  if (fault == MaaFault::padding) signed_text += "=";
  const bool by_stranger = fault == MaaFault::other_key || fault == MaaFault::embedded_key;
  std::string signature =
      base::base64url((by_stranger ? stranger : key_).sign_pkcs1_sha256(base::as_bytes(signed_text)));
  if (fault == MaaFault::alg_hs256) {
    signature = base::base64url(crypto::hmac_sha256(mine.spki(), base::as_bytes(signed_text)));
  }
  const std::string_view header = std::string_view{signed_text}.substr(0, signed_text.find('.') + 1);
  // A space behind the brace changes no claim.
  if (fault == MaaFault::reserialised) signed_text = std::string{header} + part("{ " + payload.substr(1));
  if (fault == MaaFault::payload_changed) {
    constexpr std::string_view kVersion = R"("x-ms-ver":"1.0")";
    std::string changed = payload;
    changed.replace(changed.find(kVersion), kVersion.size(), R"("x-ms-ver":"1.1")");
    signed_text = std::string{header} + part(changed);
  }
  MaaCase out;
  out.token = signed_text + "." + signature;
  if (fault == MaaFault::two_parts) out.token = signed_text;
  if (fault == MaaFault::no_signature) out.token = signed_text + ".";
  if (fault == MaaFault::four_parts) out.token += "." + signature;
  out.jwks = jwks_of(fault, mine, stranger.public_key());
  out.issuer = kForgeIssuer;
  out.scenario = scenario;
  out.measurements = std::move(claims.measurements);
  return out;
}

std::string MaaCase::case_json(std::string_view name) const {
  const auto& fault = *std::ranges::find(kFaults, scenario.fault, &MaaFaultInfo::fault);
  const bool good = fault.cause.empty();
  JsonOutObject expect{{"result", good ? "ok" : "fail"}, {"reason", good ? JsonOut{nullptr} : JsonOut{fault.name}}};
  if (good) {
    JsonOutObject measured;
    for (const auto& [claim, value] : measurements) measured.emplace_back(claim, value);
    expect.emplace_back("measurements", std::move(measured));
  } else {
    expect.emplace_back("verdict", leaves_undecided(scenario.fault) ? "undecided" : "refused");
    expect.emplace_back("root_cause", fault.cause);
  }
  return JsonOut(JsonOutObject{{"name", name},
                               {"platform", "maa"},
                               {"title", fault.what},
                               {"kind", to_text(scenario.kind)},
                               {"expected_issuer", issuer},
                               {"verify_at", base::to_rfc3339(scenario.at)},
                               {"expect", std::move(expect)}})
             .pretty() +
         "\n";
}

}  // namespace attestry::forge
