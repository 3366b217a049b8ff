#include "attestation/maa/claims.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/encoding.h"

namespace attestry::attestation::maa {
namespace {

using base::JsonValue;

enum class Form : std::uint8_t { hex, number, boolean, text, json };

/// `path`: members from the level down, with dots between them; `name`: in verdicts and policies.
struct Documented {
  std::string_view path;
  Form form;
  std::size_t bytes = 0;  ///< of hex
  bool required = false;
  std::string_view shown = {};  ///< name in verdicts when it is not the path
  std::string_view name() const { return shown.empty() ? path : shown; }
};

using enum Form;
constexpr bool kRequired = true;

constexpr std::array kCommon = std::to_array<Documented>({
    {"iss", text},
    {"jti", text},
    {"iat", number},
    {"nbf", number},
    {"exp", number},
    {"nonce", text, 0, false, "jwt.nonce"},  // other platforms have a claim of that name
    {"x-ms-ver", text},
    {"x-ms-attestation-type", text, 0, kRequired},
    {"x-ms-policy-hash", text},
    {"x-ms-runtime.client-payload.nonce", text},
    {"x-ms-runtime.user-data", text},
    {"x-ms-runtime.keys", json},
});

constexpr std::array kAzureVm = std::to_array<Documented>({
    {"secureboot", boolean},
    {"x-ms-azurevm-attestation-protocol-ver", text},
    {"x-ms-azurevm-attested-pcrs", json},
    {"x-ms-azurevm-bootdebug-enabled", boolean, 0, kRequired},
    {"x-ms-azurevm-dbvalidated", boolean},
    {"x-ms-azurevm-dbxvalidated", boolean},
    {"x-ms-azurevm-debuggersdisabled", boolean},
    {"x-ms-azurevm-default-securebootkeysvalidated", boolean},
    {"x-ms-azurevm-elam-enabled", boolean},
    {"x-ms-azurevm-flightsigning-enabled", boolean},
    {"x-ms-azurevm-hvci-policy", number},
    {"x-ms-azurevm-hypervisordebug-enabled", boolean, 0, kRequired},
    {"x-ms-azurevm-is-windows", boolean},
    {"x-ms-azurevm-kerneldebug-enabled", boolean, 0, kRequired},
    {"x-ms-azurevm-osbuild", text},
    {"x-ms-azurevm-osdistro", text},
    {"x-ms-azurevm-ostype", text},
    {"x-ms-azurevm-osversion-major", number},
    {"x-ms-azurevm-osversion-minor", number},
    {"x-ms-azurevm-signingdisabled", boolean},
    {"x-ms-azurevm-testsigning-enabled", boolean, 0, kRequired},
    {"x-ms-azurevm-vmid", text},
});

/// Of the nested level, whose other claims have names of their own.
constexpr std::array kIsolation = std::to_array<Documented>({
    {"x-ms-attestation-type", text, 0, kRequired, "x-ms-isolation-tee.x-ms-attestation-type"},
    {"x-ms-runtime.user-data", text, 0, false, "x-ms-isolation-tee.x-ms-runtime.user-data"},
    {"x-ms-runtime.keys", json, 0, false, "x-ms-isolation-tee.x-ms-runtime.keys"},
});

/// Of the nested level only: x-ms-runtime at the root is what the guest has written.
constexpr std::array kConfiguration = std::to_array<Documented>({
    {"x-ms-runtime.vm-configuration.console-enabled", boolean},
    {"x-ms-runtime.vm-configuration.secure-boot", boolean},
    {"x-ms-runtime.vm-configuration.tpm-enabled", boolean},
    {"x-ms-runtime.vm-configuration.vmUniqueId", text},
});

constexpr std::array kVirtualMachine = std::to_array<Documented>({
    {"x-ms-compliance-status", text},
});

constexpr std::array kSgx = std::to_array<Documented>({
    {"x-ms-sgx-is-debuggable", boolean, 0, kRequired},
    {"x-ms-sgx-mrenclave", hex, 32, kRequired},
    {"x-ms-sgx-mrsigner", hex, 32, kRequired},
    {"x-ms-sgx-product-id", number, 0, kRequired},
    {"x-ms-sgx-svn", number, 0, kRequired},
    {"x-ms-sgx-report-data", hex, 64},
    {"x-ms-sgx-tcbidentifier", text},
    {"x-ms-sgx-ehd", text},
    {"x-ms-sgx-config-id", hex, 64},
    {"x-ms-sgx-config-svn", number},
    {"x-ms-sgx-isv-extended-product-id", hex, 16},
    {"x-ms-sgx-isv-family-id", hex, 16},
    {"x-ms-sgx-collateral.qeidcertshash", hex, 32},
    {"x-ms-sgx-collateral.qeidcrlhash", hex, 32},
    {"x-ms-sgx-collateral.qeidhash", hex, 32},
    {"x-ms-sgx-collateral.quotehash", hex, 32},
    {"x-ms-sgx-collateral.tcbinfocertshash", hex, 32},
    {"x-ms-sgx-collateral.tcbinfocrlhash", hex, 32},
    {"x-ms-sgx-collateral.tcbinfohash", hex, 32},
});

/// The names of early tokens, kept beside the new ones. They have no prefix that Microsoft reserves, so a tenant's
/// policy may have put another value there: shown only where it is the new claim's.
struct Alias {
  std::string_view name;
  std::string_view of;
};
constexpr std::array kSgxAliases = std::to_array<Alias>({
    {"is-debuggable", "x-ms-sgx-is-debuggable"},
    {"product-id", "x-ms-sgx-product-id"},
    {"sgx-mrenclave", "x-ms-sgx-mrenclave"},
    {"sgx-mrsigner", "x-ms-sgx-mrsigner"},
    {"svn", "x-ms-sgx-svn"},
    {"tee", "x-ms-attestation-type"},
    {"maa-ehd", "x-ms-sgx-ehd"},
    {"aas-ehd", "x-ms-sgx-ehd"},
});

constexpr std::array kSnp = std::to_array<Documented>({
    {"x-ms-sevsnpvm-is-debuggable", boolean, 0, kRequired},
    {"x-ms-sevsnpvm-launchmeasurement", hex, 48, kRequired},
    {"x-ms-sevsnpvm-reportdata", hex, 64, kRequired},
    {"x-ms-sevsnpvm-vmpl", number, 0, kRequired},
    {"x-ms-sevsnpvm-migration-allowed", boolean, 0, kRequired},
    {"x-ms-sevsnpvm-hostdata", hex, 32},
    {"x-ms-sevsnpvm-reportid", hex, 32},
    {"x-ms-sevsnpvm-authorkeydigest", hex, 48},
    {"x-ms-sevsnpvm-idkeydigest", hex, 48},
    {"x-ms-sevsnpvm-familyId", hex, 16},
    {"x-ms-sevsnpvm-imageId", hex, 16},
    {"x-ms-sevsnpvm-bootloader-svn", number},
    {"x-ms-sevsnpvm-guestsvn", number},
    {"x-ms-sevsnpvm-microcode-svn", number},
    {"x-ms-sevsnpvm-snpfw-svn", number},
    {"x-ms-sevsnpvm-tee-svn", number},
    {"x-ms-sevsnpvm-smt-allowed", boolean},
    {"x-ms-sevsnpvm-ciphertext-hiding-dram-enabled", boolean},
    {"x-ms-sevsnpvm-cxl-allowed", boolean},
    {"x-ms-sevsnpvm-mem-aes256-xts-required", boolean},
    {"x-ms-sevsnpvm-page-swap-disabled", boolean},
    {"x-ms-sevsnpvm-rapl-disabled", boolean},
    {"x-ms-sevsnpvm-singlesocket", boolean},
});

/// Microsoft's EAT profile for TDX, whose names have no x-ms- prefix.
constexpr std::array kTdx = std::to_array<Documented>({
    {"tdx_td_attributes_debug", boolean, 0, kRequired},
    {"tdx_td_attributes", hex, 8, kRequired},
    {"tdx_mrtd", hex, 48, kRequired},
    {"tdx_rtmr0", hex, 48, kRequired},
    {"tdx_rtmr1", hex, 48, kRequired},
    {"tdx_rtmr2", hex, 48, kRequired},
    {"tdx_rtmr3", hex, 48, kRequired},
    {"tdx_report_data", hex, 64, kRequired},
    {"tdx_mrconfigid", hex, 48},
    {"tdx_mrowner", hex, 48},
    {"tdx_mrownerconfig", hex, 48},
    {"tdx_mrseam", hex, 48},
    {"tdx_mrsignerseam", hex, 48},
    {"tdx_seam_attributes", hex, 8},
    {"tdx_seamsvn", number},
    {"tdx_td_attributes_key_locker", boolean},
    {"tdx_td_attributes_perfmon", boolean},
    {"tdx_td_attributes_protection_keys", boolean},
    {"tdx_td_attributes_septve_disable", boolean},
    {"tdx_tee_tcb_svn", hex, 16},
    {"tdx_xfam", hex, 8},
    {"attester_tcb_status", text},
    {"attester_tcb_date", text},
    {"dbgstat", text},
    {"eat_profile", text},
    {"intuse", text},
});

/// All of which mean that somebody outside can look into or steer what runs inside.
constexpr std::array kDebugFlags = std::to_array<std::string_view>({
    "x-ms-sgx-is-debuggable",
    "x-ms-sevsnpvm-is-debuggable",
    "tdx_td_attributes_debug",
    "x-ms-azurevm-bootdebug-enabled",
    "x-ms-azurevm-kerneldebug-enabled",
    "x-ms-azurevm-hypervisordebug-enabled",
    "x-ms-azurevm-testsigning-enabled",
});

constexpr std::array<std::string_view, 3> kReportData{"x-ms-sgx-report-data", "x-ms-sevsnpvm-reportdata",
                                                      "tdx_report_data"};

std::string form_text(const Documented& claim) {
  switch (claim.form) {
    case hex:
      return std::to_string(claim.bytes) + " bytes as hex";
    case number:
      return "a number";
    case boolean:
      return "true or false";
    case text:
      return "a string";
    case json:
      break;
  }
  return "a JSON value";
}

std::optional<JsonValue> find_path(JsonValue level, std::string_view path) {
  while (true) {
    const std::size_t dot = path.find('.');
    const auto member = level.find(path.substr(0, dot));
    if (!member || dot == std::string_view::npos) return member;
    level = *member;
    path.remove_prefix(dot + 1);
  }
}

std::optional<std::string> value_of(const JsonValue& value, const Documented& claim) {
  constexpr std::int64_t kMaxExact = (std::int64_t{1} << 53) - 1;
  switch (claim.form) {
    case hex: {
      const auto digits = value.plain_string();
      if (!digits) return std::nullopt;
      const auto bytes = base::hex_decode(*digits);
      if (!bytes.ok() || bytes->size() != claim.bytes) return std::nullopt;
      return base::hex(*bytes);
    }
    case number: {
      const auto integer = value.integer(claim.path, 0, kMaxExact);
      return integer.ok() ? std::optional{std::to_string(*integer)} : std::nullopt;
    }
    case boolean: {
      const auto flag = value.boolean(claim.path);
      return flag.ok() ? std::optional<std::string>{*flag ? "true" : "false"} : std::nullopt;
    }
    case text: {
      auto string = value.string(claim.path);
      return string.ok() ? std::optional{*std::move(string)} : std::nullopt;
    }
    case json:
      break;
  }
  return std::string{value.source()};
}

void read_level(const JsonValue& level, std::span<const Documented> documented, ClaimsRead& out) {
  for (const Documented& claim : documented) {
    const auto member = find_path(level, claim.path);
    if (!member) {
      if (claim.required) out.faults.push_back({std::string{claim.name()}, form_text(claim), "absent"});
      continue;
    }
    auto value = value_of(*member, claim);
    if (!value) {
      out.faults.push_back({std::string{claim.name()}, form_text(claim), std::string{member->source()}});
      continue;
    }
    out.claims.push_back({.name = claim.name(), .value = *std::move(value), .is_number = claim.form == number});
  }
}

const Claim* find_claim(const ClaimsRead& read, std::string_view name) {
  const auto found = std::ranges::find(read.claims, name, &Claim::name);
  return found == read.claims.end() ? nullptr : &*found;
}

void read_sgx_aliases(const JsonValue& level, ClaimsRead& out) {
  for (const Alias& alias : kSgxAliases) {
    const auto member = level.find(alias.name);
    const Claim* twin = find_claim(out, alias.of);
    if (!member || twin == nullptr) continue;
    // Read as its twin is: the text "false" is another value than false.
    const auto documented = std::ranges::find(kSgx, alias.of, &Documented::path);
    const auto value = value_of(*member, documented == kSgx.end() ? Documented{alias.of, text} : *documented);
    if (!value || *value != twin->value) continue;
    out.claims.push_back({.name = alias.name, .value = *value, .is_number = twin->is_number});
  }
}

bool is_true(const JsonValue& level, std::string_view name) {
  const auto member = level.find(name);
  return member && member->source() == "true";
}

/// Bit 0 of ATTRIBUTES is DEBUG (Intel TDX Module ABI), little-endian as in the TD report.
bool td_debug(const ClaimsRead& read) {
  const Claim* attributes = find_claim(read, "tdx_td_attributes");
  const Claim* dbgstat = find_claim(read, "dbgstat");
  if (attributes != nullptr) {
    const auto bytes = base::hex_decode(attributes->value);
    if (bytes.ok() && !bytes->empty() && (bytes->front() & 1) != 0) return true;
  }
  return dbgstat != nullptr && !dbgstat->value.starts_with("disabled");
}

/// A flag counts wherever it stands: that it is of the wrong level makes nothing safer.
bool any_debug(const JsonValue& root, const JsonValue& tee_level, const ClaimsRead& read) {
  const auto set = [&](std::string_view name) { return is_true(root, name) || is_true(tee_level, name); };
  return std::ranges::any_of(kDebugFlags, set) || set("is-debuggable") || td_debug(read);
}

}  // namespace

std::optional<TokenType> token_type(std::string_view text) noexcept {
  if (text == "sgx") return TokenType::sgx;
  if (text == "sevsnpvm") return TokenType::sevsnpvm;
  if (text == "tdxvm") return TokenType::tdxvm;
  if (text == "azurevm") return TokenType::azurevm;
  return std::nullopt;
}

ClaimsRead read_claims(const JsonValue& root, TokenType type, const JsonValue& tee_level, TokenType tee) {
  ClaimsRead out;
  out.claims.reserve(64);
  read_level(root, kCommon, out);
  if (type == TokenType::azurevm) {
    read_level(root, kAzureVm, out);
    read_level(tee_level, kIsolation, out);
    read_level(tee_level, kConfiguration, out);
  }
  switch (tee) {
    case TokenType::sgx:
      read_level(tee_level, kSgx, out);
      read_sgx_aliases(tee_level, out);
      break;
    case TokenType::sevsnpvm:
      read_level(tee_level, kVirtualMachine, out);
      read_level(tee_level, kSnp, out);
      break;
    case TokenType::tdxvm:
      read_level(tee_level, kVirtualMachine, out);
      read_level(tee_level, kTdx, out);
      break;
    case TokenType::azurevm:
      break;
  }
  for (const std::string_view name : kReportData) {
    const Claim* claim = find_claim(out, name);
    if (claim == nullptr) continue;
    if (auto bytes = base::hex_decode(claim->value); bytes.ok()) out.report_data = *std::move(bytes);
  }
  out.debug = any_debug(root, tee_level, out);
  return out;
}

}  // namespace attestry::attestation::maa
