// Bytes are no SGX extension, or one that, written in its canonical order, reads as the same platform; and no shorter
// or longer bytes are the same extension.
#include "attestation/dcap/pck_extension.h"
#include "crypto/x509.h"
#include "require.h"

namespace {

using namespace attestry;
using attestation::dcap::PckExtension;
namespace der = crypto::der;

const std::string kArc{attestation::dcap::kPckExtensionOid};

void add(base::Bytes& out, const std::string& arcs, const base::Bytes& value) {
  base::append(out, der::sequence({der::oid(kArc + "." + arcs), value}));
}
base::Bytes flag(bool value) { return der::tlv(0x01, base::Bytes{static_cast<std::uint8_t>(value ? 0xff : 0)}); }

base::Bytes write(const PckExtension& e) {
  base::Bytes tcb;
  for (unsigned i = 0; i < 16; ++i) add(tcb, "2." + std::to_string(i + 1), der::integer(e.components[i]));
  add(tcb, "2.17", der::integer(e.pcesvn));
  add(tcb, "2.18", der::octet_string(e.cpusvn));
  base::Bytes out;
  add(out, "1", der::octet_string(e.ppid));
  add(out, "2", der::tlv(0x30, tcb));
  add(out, "3", der::octet_string(e.pceid));
  add(out, "4", der::octet_string(e.fmspc));
  add(out, "5", der::tlv(0x0a, base::Bytes{static_cast<std::uint8_t>(e.sgx_type)}));
  if (e.platform_instance_id) add(out, "6", der::octet_string(*e.platform_instance_id));
  base::Bytes configuration;
  if (e.dynamic_platform) add(configuration, "7.1", flag(*e.dynamic_platform));
  if (e.cached_keys) add(configuration, "7.2", flag(*e.cached_keys));
  if (e.smt_enabled) add(configuration, "7.3", flag(*e.smt_enabled));
  if (!configuration.empty()) add(out, "7", der::tlv(0x30, configuration));
  return der::tlv(0x30, out);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::ByteView bytes{data, size};
  const auto first = attestation::dcap::parse_pck_extension(bytes);
  if (!first) return 0;
  REQUIRE(!attestation::dcap::parse_pck_extension(bytes.first(size - 1)));
  const auto again = attestation::dcap::parse_pck_extension(write(*first));
  REQUIRE(again.has_value());
  REQUIRE(again->ppid == first->ppid && again->components == first->components && again->pcesvn == first->pcesvn);
  REQUIRE(again->cpusvn == first->cpusvn && again->pceid == first->pceid && again->fmspc == first->fmspc);
  REQUIRE(again->sgx_type == first->sgx_type && again->platform_instance_id == first->platform_instance_id);
  REQUIRE(again->dynamic_platform == first->dynamic_platform && again->cached_keys == first->cached_keys);
  REQUIRE(again->smt_enabled == first->smt_enabled);
  return 0;
}
