// Bytes are no quote, or all of them belong to exactly one field, in order: written back field by field they are the
// same bytes.
#include "attestation/dcap/quote.h"
#include "base/bytes.h"
#include "require.h"

namespace {

using namespace attestry;

void put16(base::Bytes& out, std::size_t v) {
  out.push_back(static_cast<std::uint8_t>(v & 0xff));
  out.push_back(static_cast<std::uint8_t>((v >> 8) & 0xff));
}
void put32(base::Bytes& out, std::size_t v) {
  put16(out, v & 0xffff);
  put16(out, v >> 16);
}

base::Bytes write_back(const attestation::dcap::Quote& quote) {
  base::Bytes qe = base::to_bytes(quote.qe_report.bytes());
  base::append(qe, quote.qe_report_signature);
  put16(qe, quote.auth_data.size());
  base::append(qe, quote.auth_data);
  put16(qe, quote.cert_data_type);
  put32(qe, quote.cert_data.size());
  base::append(qe, quote.cert_data);

  base::Bytes data = base::to_bytes(quote.signature);
  base::append(data, quote.attestation_key);
  if (quote.version != 3) {
    put16(data, 6);
    put32(data, qe.size());
  }
  base::append(data, qe);

  base::Bytes out = base::to_bytes(quote.signed_bytes);
  put32(out, data.size());
  base::append(out, data);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::ByteView bytes{data, size};
  const auto quote = attestation::dcap::parse_quote(bytes);
  if (!quote) {
    REQUIRE(!quote.error().expected.empty() && !quote.error().actual.empty());
    return 0;
  }
  REQUIRE(base::equal(write_back(*quote), bytes));
  REQUIRE(quote->report_data().size() == 64);
  const std::size_t body =
      quote->tee == attestation::dcap::Tee::sgx ? quote->sgx.bytes().size() : quote->td.bytes().size();
  REQUIRE(quote->signed_bytes.size() == body + (quote->version == 5 ? 54u : 48u));
  return 0;
}
