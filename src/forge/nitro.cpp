#include "forge/nitro.h"

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

#include "base/cbor.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "crypto/ec.h"
#include "crypto/random.h"
#include "crypto/x509.h"

namespace attestry::forge {
namespace {

using base::Bytes;
using base::ByteView;
using base::CborWriter;
using crypto::Curve;
using crypto::EcPrivateKey;
namespace der = crypto::der;

constexpr std::array kFaults{
#define ATTESTRY_NITRO_FAULT(name, text, accepted, what) NitroFaultInfo{NitroFault::name, text, accepted, what},
#include "forge/nitro_faults.def"
#undef ATTESTRY_NITRO_FAULT
};

constexpr std::int64_t kHour = 3600;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::string_view kInstance = "i-0f0e0d0c0b0a09080";
constexpr std::string_view kModule = "i-0f0e0d0c0b0a09080-enc0123456789abcdef";

Bytes derive(ByteView seed, std::string_view label, std::size_t size) {
  base::LpWriter input;
  input.lp("attestry/forge/nitro/1").lp(seed).lp(label);
  crypto::SeededRandom random(input.bytes());
  Bytes out(size);
  random.fill(out);
  return out;
}

base::Result<EcPrivateKey> key_of(ByteView seed, std::string_view label, Curve curve = Curve::p384) {
  return EcPrivateKey::from_wide(curve, derive(seed, label, curve == Curve::p384 ? 56 : 48));
}

/// AWS's names carry US, Amazon, AWS; here the organisation says what these certificates are.
std::vector<crypto::NameField> name_of(std::string_view common_name) {
  return {{"2.5.4.6", "US"},
          {"2.5.4.10", "attestry forge (simulated)", false},
          {"2.5.4.11", "AWS"},
          {"2.5.4.3", std::string{common_name}, false}};
}

struct Level {
  std::string_view label;
  std::string common_name;
  std::int64_t from, to;  ///< seconds relative to the document
  bool ca = true;
  std::optional<unsigned> path_length{};
  unsigned usage = der::digital_signature | der::key_cert_sign | der::crl_sign;
  Curve curve = Curve::p384;
  bool unknown_critical = false;
};

struct Made {
  EcPrivateKey key;
  Bytes certificate;
  std::string common_name;
};

/// `issuer` null: self-signed.
base::Result<Made> issue(ByteView seed, base::UtcTime at, const Level& level, const Made* issuer) {
  TRY(EcPrivateKey key, key_of(seed, level.label, level.curve));
  const Bytes spki = key.public_key().spki();
  crypto::CertificateSpec spec;
  spec.serial = derive(seed, std::string{level.label} + "/serial", 16);
  spec.serial[0] = static_cast<std::uint8_t>((spec.serial[0] & 0x3f) | 0x40);
  spec.subject = name_of(level.common_name);
  spec.issuer = name_of(issuer == nullptr ? level.common_name : issuer->common_name);
  spec.not_before = at + level.from;
  spec.not_after = at + level.to;
  spec.spki = spki;
  spec.extensions.push_back({"2.5.29.19", true, der::basic_constraints(level.ca, level.path_length)});
  spec.extensions.push_back({"2.5.29.15", true, der::key_usage(level.usage)});
  if (level.ca) spec.extensions.push_back({"2.5.29.14", false, der::subject_key_id(spki)});
  if (level.unknown_critical) spec.extensions.push_back({"1.3.6.1.4.1.99999.1", true, der::octet_string({})});
  TRY(Bytes certificate, crypto::issue_certificate(spec, issuer == nullptr ? key : issuer->key, true));
  return Made{std::move(key), std::move(certificate), level.common_name};
}

/// Root, regional, zonal, instance, enclave, with the faults of the path.
base::Result<std::vector<Made>> make_path(ByteView seed, base::UtcTime at, NitroFault fault) {
  using enum NitroFault;
  const unsigned ca_usage = der::digital_signature | der::key_cert_sign | der::crl_sign;
  const unsigned leaf_usage =
      fault == leaf_no_signature ? unsigned{der::key_agreement} : unsigned{der::digital_signature};
  // The root does not depend on the time, so that one file stands for all documents of a seed.
  const std::int64_t root_from = 1572220800 - at.seconds;  // 2019-10-28
  const std::int64_t root_to = 2519041600 - at.seconds;    // 2049-10-28
  const bool instance_ca = fault != intermediate_no_ca;
  std::vector<Level> levels{
      {"root", "aws.nitro-enclaves", root_from, root_to, true, {}, ca_usage},
      {"regional", "0123456789abcdef.us-east-1.aws.nitro-enclaves", -10 * kDay, 10 * kDay, true, 2, ca_usage},
      {"zonal", "fedcba9876543210.zonal.us-east-1.aws.nitro-enclaves", -2 * kDay,
       fault == intermediate_expired ? -kHour : 2 * kDay, true, fault == path_length ? 0U : 1U, ca_usage},
      {"instance", std::string{kInstance} + ".us-east-1.aws.nitro-enclaves", -kDay / 2, kDay / 2, instance_ca,
       instance_ca ? std::optional<unsigned>{0} : std::nullopt,
       instance_ca ? ca_usage : unsigned{der::digital_signature}},
      {"enclave",
       std::string{kModule} + ".us-east-1.aws",
       fault == leaf_expired ? -4 * kHour : -kHour,
       fault == leaf_expired ? -kHour : 2 * kHour,
       false,
       {},
       leaf_usage,
       fault == leaf_p256 ? Curve::p256 : Curve::p384,
       fault == leaf_critical}};
  if (fault == leaf_as_ca) {
    levels.push_back({"second-enclave", "second.us-east-1.aws", -kHour, 2 * kHour, false, {}, leaf_usage});
  }
  std::vector<Made> path;
  path.reserve(levels.size());
  for (const Level& level : levels) {
    TRY(Made made, issue(seed, at, level, path.empty() ? nullptr : &path.back()));
    path.push_back(std::move(made));
  }
  return path;
}

void write_bundle(CborWriter& out, const std::vector<Made>& path, ByteView genuine_root, NitroFault fault) {
  using enum NitroFault;
  std::vector<Bytes> bundle;
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    if (fault == intermediate_missing && i == 2) continue;
    bundle.push_back(path[i].certificate);
  }
  if (fault == root_then_impostor) bundle.front() = base::to_bytes(genuine_root);
  if (fault == bundle_reversed) std::ranges::reverse(bundle);
  if (fault == bundle_empty) bundle.clear();
  if (fault == huge_count) {
    out.raw(std::array<std::uint8_t, 5>{0x9a, 0xff, 0xff, 0xff, 0xff});
  } else {
    out.array(bundle.size());
  }
  for (const Bytes& certificate : bundle) out.bytes(certificate);
}

void write_pcrs(CborWriter& out, ByteView seed, ByteView pcr0, NitroFault fault) {
  using enum NitroFault;
  constexpr std::uint64_t kCount = 16;
  const bool missing = fault == pcr0_missing;
  const bool more = fault == pcr_duplicate || fault == pcr_index;
  out.map(kCount - (missing ? 1 : 0) + (more ? 1 : 0));
  for (std::uint64_t i = missing ? 1 : 0; i < kCount; ++i) {
    Bytes value(48, 0);
    const bool debug_zero = fault == debug && i < 3;
    if ((i < 5 || i == 8) && !debug_zero) value = derive(seed, "pcr" + std::to_string(i), 48);
    if (i == 0 && !debug_zero) value = base::to_bytes(pcr0);
    if (i == 0 && fault == pcr_size) value.resize(32);
    out.unsigned_integer(i).bytes(value);
  }
  if (more) out.unsigned_integer(fault == pcr_index ? 32 : 0).bytes(derive(seed, "another-pcr", 48));
}

void write_optional(CborWriter& out, std::string_view name, const std::optional<Bytes>& value) {
  out.text(name);
  if (value) {
    out.bytes(*value);
  } else {
    out.null();  // as real documents do
  }
}

/// user_data, whose place takes most of the faults of types and sizes.
void write_user_data(CborWriter& out, const NitroSpec& spec) {
  using enum NitroFault;
  if (spec.fault == deep_nesting) {
    out.text("user_data").raw(Bytes(5000, 0x81)).null();
  } else if (spec.fault == user_data_large) {
    out.text("user_data").bytes(Bytes(1025, 1));
  } else {
    write_optional(out, "user_data", spec.user_data);
  }
  if (spec.fault == field_duplicate) out.text("user_data").null();
}

Bytes make_payload(ByteView seed, const NitroSpec& spec, ByteView pcr0, const std::vector<Made>& path,
                   ByteView genuine_root) {
  using enum NitroFault;
  CborWriter out;
  const std::uint64_t fields = 9;
  if (spec.fault == indefinite_map) {
    out.begin_map();
  } else {
    out.map(fields + (spec.fault == field_duplicate ? 1 : 0) - (spec.fault == certificate_missing ? 1 : 0));
  }
  out.text("module_id").text(kModule);
  out.text("digest").text(spec.fault == digest ? "SHA256" : "SHA384");
  out.text("timestamp").integer(spec.fault == timestamp ? -1 : spec.at.seconds * 1000);
  out.text("pcrs");
  write_pcrs(out, seed, pcr0, spec.fault);
  if (spec.fault != certificate_missing) out.text("certificate").bytes(path.back().certificate);
  out.text("cabundle");
  write_bundle(out, path, genuine_root, spec.fault);
  write_optional(out, "public_key", spec.public_key);
  write_user_data(out, spec);
  if (spec.fault == nonce_text) {
    out.text("nonce").text("nonce");
  } else {
    write_optional(out, "nonce", spec.nonce);
  }
  if (spec.fault == indefinite_map) out.end();
  if (spec.fault == payload_trailing) out.null();
  return std::move(out).take();
}

Bytes make_signature(const NitroSpec& spec, const EcPrivateKey& key, ByteView message) {
  using enum NitroFault;
  if (spec.fault == signature_zero) return Bytes(96, 0);
  return spec.fault == signature_der ? key.sign_der(message, true) : key.sign_raw(message, true);
}

Bytes make_document(const NitroSpec& spec, const EcPrivateKey& key, ByteView payload) {
  using enum NitroFault;
  CborWriter header;
  header.map(spec.fault == extra_parameter ? 2 : 1).integer(1).integer(spec.fault == algorithm ? -7 : -35);
  if (spec.fault == extra_parameter) header.integer(2).array(1).integer(99);
  CborWriter message;
  message.array(4).text("Signature1").bytes(header.encoded()).bytes({}).bytes(payload);
  CborWriter out;
  if (spec.fault == tagged) out.tag(18);
  out.array(4).bytes(header.encoded());
  if (spec.fault == unprotected) {
    out.map(1).integer(4).bytes({});
  } else {
    out.map(0);
  }
  if (spec.fault == payload_nil) {
    out.null();
  } else {
    out.bytes(payload);
  }
  out.bytes(make_signature(spec, key, message.encoded()));
  Bytes document = out.encoded();
  if (spec.fault == truncated) document.pop_back();
  if (spec.fault == trailing_byte) document.push_back(0);
  return document;
}

}  // namespace

std::span<const NitroFaultInfo> nitro_faults() noexcept { return kFaults; }
const NitroFaultInfo& info(NitroFault fault) noexcept { return kFaults[static_cast<std::size_t>(fault)]; }
std::optional<NitroFault> parse_nitro_fault(std::string_view name) noexcept {
  const auto found = std::ranges::find(kFaults, name, &NitroFaultInfo::name);
  if (found == kFaults.end()) return std::nullopt;
  return found->fault;
}

attestation::Evidence NitroCase::evidence() const {
  return {.format = attestation::EvidenceFormat::nitro_document, .bytes = document};
}

std::string NitroCase::case_json(std::string_view name) const {
  using base::JsonOut;
  using base::JsonOutObject;
  const NitroFaultInfo& fault = info(spec.fault);
  JsonOutObject expect{{"result", fault.accepted ? "ok" : "fail"},
                       {"reason", fault.accepted ? JsonOut{nullptr} : JsonOut{fault.name}}};
  if (fault.accepted && spec.fault != NitroFault::pcr0_missing) {
    expect.emplace_back("measurements", JsonOutObject{{"module_id", kModule}, {"pcr0", base::hex(pcr0)}});
  }
  return JsonOut(JsonOutObject{{"name", name},
                               {"platform", "nitro"},
                               {"title", fault.what},
                               {"kind", "nitro"},
                               {"trust_anchor", "root.pem"},
                               {"verify_at", base::to_rfc3339(spec.at)},
                               {"expect", std::move(expect)}})
             .pretty() +
         "\n";
}

base::Result<NitroCase> make_nitro_case(ByteView seed, const NitroSpec& spec) {
  if (seed.empty()) {
    return base::Error{base::Code::malformed, "the forge's seed is empty", "at least one byte", "none"};
  }
  TRY(const auto genuine, make_path(seed, spec.at, spec.fault));
  Bytes other_seed = base::to_bytes(seed);
  other_seed.push_back(0);
  const bool impostor = spec.fault == NitroFault::foreign_root || spec.fault == NitroFault::root_then_impostor;
  TRY(const auto foreign, make_path(other_seed, spec.at, NitroFault::none));
  const auto& path = impostor ? foreign : genuine;
  NitroCase out{.document = {}, .root_pem = base::pem_encode("CERTIFICATE", genuine.front().certificate), .spec = spec};
  if (spec.pcr0) {
    out.pcr0 = *spec.pcr0;
  } else {
    std::ranges::copy(derive(seed, "pcr0", 48), out.pcr0.begin());
  }
  const Bytes payload = make_payload(seed, spec, out.pcr0, path, genuine.front().certificate);
  // A signature on P-384 under the certificate on P-256, so that its size is as it should be.
  const bool other = spec.fault == NitroFault::other_key || spec.fault == NitroFault::leaf_p256;
  const EcPrivateKey& key = other ? foreign.back().key : path.back().key;
  out.document = make_document(spec, key, payload);
  return out;
}

}  // namespace attestry::forge
