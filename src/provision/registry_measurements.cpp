#include "provision/registry_measurements.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <string>

#include "base/encoding.h"
#include "base/json.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMaxHeader = 16 * 1024;
constexpr std::int64_t kMaxPcr = 23;            // the contract's report has 24 registers
constexpr std::string_view kTdToken = "tdxvm";  // of a TD whose registers are its guest's own

Error invalid(std::string what) { return {Code::malformed, "invalid measurements: " + std::move(what)}; }

/// The types that proxies write; the newer names say which cloud a TD runs in.
std::optional<RegistryMeasurements::Kind> kind_of(std::string_view type) {
  using Kind = RegistryMeasurements::Kind;
  if (type == "qemu-tdx" || type == "dcap-tdx" || type == "gcp-tdx") return Kind::dcap;
  if (type == "azure-tdx") return Kind::maa;
  return std::nullopt;
}

using Values = std::map<std::int64_t, std::string>;

Result<Values> parse_values(std::string_view json) {
  constexpr base::JsonLimits kLimits{.max_bytes = kMaxHeader};
  auto doc = base::JsonDocument::parse(std::string{json}, kLimits);
  if (!doc) return invalid("could not parse measurements: " + doc.error().text());
  if (!(*doc)->root().is_object()) return invalid("could not parse measurements: no object");
  Values out;
  for (auto member = (*doc)->root().first(); member; member = member->next()) {
    const std::string key = member->key();
    std::int64_t index = 0;
    const auto [end, failed] = std::from_chars(key.data(), key.data() + key.size(), index);
    if (failed != std::errc{} || end != key.data() + key.size() || std::to_string(index) != key) {
      return invalid("could not parse measurements: \"" + key + "\" is no register's number");
    }
    auto value = member->string("measurement");
    if (!value) return invalid("could not parse measurements: register " + key + " is no text");
    out.emplace(index, *std::move(value));
  }
  return out;
}

template <std::size_t N>
Result<base::FixedBytes<N>> register_value(const Values& values, std::int64_t index, const std::string& name) {
  const auto found = values.find(index);
  if (found == values.end()) return invalid(name + " missing");
  base::FixedBytes<N> out{};
  const auto bytes = base::hex_decode(found->second);
  if (!bytes) return invalid("could not decode " + name + ": " + bytes.error().text());
  if (bytes->size() != N) {
    return invalid("invalid " + (index == 0 ? name + " measurement value" : name + " value") + ": " +
                   std::to_string(bytes->size()) + " bytes instead of " + std::to_string(N));
  }
  std::ranges::copy(*bytes, out.begin());
  return out;
}

Result<base::Digest32> pcr_value(const Values& values, std::int64_t index, bool legacy) {
  const auto found = values.find(index);
  if (found == values.end()) return invalid("pcr " + std::to_string(index) + " missing");
  base::Digest32 out{};
  if (legacy && found->second.size() == out.size()) {
    std::ranges::copy(base::as_bytes(found->second), out.begin());
    return out;
  }
  const auto bytes = base::hex_decode(found->second);
  if (!bytes || bytes->size() != out.size()) {
    return invalid("invalid MAA measurement value: pcr " + std::to_string(index) + " is not 64 hex digits");
  }
  std::ranges::copy(*bytes, out.begin());
  return out;
}

Result<RegistryMeasurements> dcap_values(const Values& values) {
  RegistryMeasurements out{.kind = RegistryMeasurements::Kind::dcap};
  TRY(out.mrtd, register_value<48>(values, 0, "mrtd"));
  for (std::size_t i = 0; i < out.rtmr.size(); ++i) {
    TRY(out.rtmr[i], register_value<48>(values, static_cast<std::int64_t>(i) + 1, "rtmr " + std::to_string(i)));
  }
  return out;
}

Result<RegistryMeasurements> maa_values(const Values& values, bool legacy) {
  for (const auto& [index, value] : values) {
    if (index < 0 || index > kMaxPcr) return invalid("pcr " + std::to_string(index) + " is none of 0 to 23");
  }
  RegistryMeasurements out{.kind = RegistryMeasurements::Kind::maa};
  TRY(out.pcr4, pcr_value(values, 4, legacy));
  TRY(out.pcr9, pcr_value(values, 9, legacy));
  TRY(out.pcr11, pcr_value(values, 11, legacy));
  return out;
}

template <std::size_t N>
bool read_claim(const attestation::Verdict& verdict, std::string_view name, base::FixedBytes<N>& out) {
  const attestation::Claim* claim = verdict.claim(name);
  return claim != nullptr && base::hex_decode_into(claim->value, out).ok();
}

/// `prefix`: what Azure Attestation writes before the names of a TD's registers.
bool read_registers(const attestation::Verdict& verdict, const std::string& prefix, RegistryMeasurements& out) {
  return read_claim(verdict, prefix + "mrtd", out.mrtd) && read_claim(verdict, prefix + "rtmr0", out.rtmr[0]) &&
         read_claim(verdict, prefix + "rtmr1", out.rtmr[1]) && read_claim(verdict, prefix + "rtmr2", out.rtmr[2]);
}

}  // namespace

base::Digest32 RegistryMeasurements::identity(const curves::Address& contract) const {
  return kind == Kind::dcap ? dcap_identity(contract, rtmr[0], rtmr[1], rtmr[2])
                            : maa_identity(contract, pcr4, pcr9, pcr11);
}

Result<RegistryMeasurements> measurements_from_headers(std::string_view type, std::string_view json, bool legacy_maa) {
  const auto kind = kind_of(type);
  if (!kind) {
    return invalid("could not extract attestation type from header " + std::string{type} + ": unsupported operation");
  }
  if (json.empty()) return invalid("measurements header missing");
  TRY(const auto values, parse_values(json));
  return *kind == RegistryMeasurements::Kind::dcap ? dcap_values(values) : maa_values(values, legacy_maa);
}

Result<RegistryMeasurements> measurements_of(const attestation::Verdict& verdict) {
  RegistryMeasurements out;
  if (read_registers(verdict, "", out)) return out;
  return Error{Code::malformed, "invalid measurements: the evidence has no registers that a contract knows",
               "a TDX quote", std::string{attestation::to_text(verdict.platform)}};
}

Result<RegistryMeasurements> measurements_of_workload(const attestation::Verdict& verdict) {
  if (verdict.platform != attestation::Platform::maa) return measurements_of(verdict);
  const attestation::Claim* type = verdict.claim("x-ms-attestation-type");
  // In a virtual machine's token (azurevm) the same names stand for Azure's own firmware, the same for every guest.
  if (type == nullptr || type->value != kTdToken) {
    return Error{Code::malformed, "invalid measurements: the token has no registers that a contract knows",
                 "a TDX quote, a token of type " + std::string{kTdToken} +
                     ", or a proxy's word for registers 4, 9 and 11 of a virtual TPM",
                 type == nullptr ? "a token without a type" : "a token of type " + type->value};
  }
  // A policy judges the TCB of a token that names it, and passes over one that does not.
  if (verdict.claim("attester_tcb_status") == nullptr) {
    return Error{Code::malformed, "invalid measurements: the token does not say how old the TD's platform is",
                 "attester_tcb_status", "none"};
  }
  RegistryMeasurements out;
  if (read_registers(verdict, "tdx_", out)) return out;
  return Error{Code::malformed, "invalid measurements: the token has no registers that a contract knows",
               "tdx_mrtd and tdx_rtmr0 to tdx_rtmr2", "a token that lacks one"};
}

std::optional<TdxFacts> tdx_facts(const attestation::Verdict& verdict, std::uint64_t chain_id,
                                  const curves::Address& contract) {
  TdxFacts out;
  out.chain_id = chain_id;
  out.contract = contract;
  out.debug = verdict.debug;
  static constexpr std::string_view kRegisters[] = {"rtmr0", "rtmr1", "rtmr2", "rtmr3"};
  for (std::size_t i = 0; i < out.rtmr.size(); ++i) {
    if (!read_claim(verdict, kRegisters[i], out.rtmr[i])) return std::nullopt;
  }
  if (!read_claim(verdict, "mrtd", out.mrtd) || !read_claim(verdict, "mrconfigid", out.mrconfigid) ||
      !read_claim(verdict, "mrowner", out.mrowner) || !read_claim(verdict, "mrownerconfig", out.mrownerconfig) ||
      !read_claim(verdict, "td_attributes", out.td_attributes) || !verdict.tcb) {
    return std::nullopt;
  }
  out.tcb_status = verdict.tcb->status;
  return out;
}

}  // namespace attestry::provision
