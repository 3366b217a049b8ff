// Bytes are no report, or one whose fields are exactly its bytes: written back where they belong they give the same,
// and a signature in range comes back from its little-endian halves.
#include <algorithm>

#include "attestation/snp/report.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  namespace snp = attestation::snp;
  const base::ByteView bytes{data, size};
  const auto report = snp::parse_report(bytes);
  REQUIRE(report.ok() == (size == snp::kReportSize));
  if (!report) return 0;
  REQUIRE(report->signed_bytes.data() == data && report->signed_bytes.size() == snp::kSignedSize);
  REQUIRE(report->measurement.data() == data + 0x90 && report->chip_id.data() == data + 0x1a0);
  REQUIRE(std::ranges::equal(report->reported_tcb, bytes.subspan(0x180, 8)));
  REQUIRE(std::ranges::equal(report->launch_tcb, bytes.subspan(0x1f0, 8)));
  REQUIRE(report->cpuid.has_value() == (report->version >= 3));
  REQUIRE(report->mitigations.has_value() == (report->version >= 5));
  const auto signature = snp::signature_of(*report);
  if (!signature) return 0;
  REQUIRE(signature->size() == 96);
  for (std::size_t i = 0; i < 48; ++i) {
    REQUIRE((*signature)[i] == report->r[47 - i] && (*signature)[48 + i] == report->s[47 - i]);
  }
  return 0;
}
