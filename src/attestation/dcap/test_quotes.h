// For tests of this room only: quotes of any version, field by field, without meaningful signatures.
#pragma once
#include <string_view>

#include "attestation/dcap/quote.h"
#include "base/bytes.h"

namespace attestry::attestation::dcap::testing {

inline void u16le(base::Bytes& out, std::size_t v) {
  out.push_back(static_cast<std::uint8_t>(v & 0xff));
  out.push_back(static_cast<std::uint8_t>(v >> 8));
}
inline void u32le(base::Bytes& out, std::size_t v) {
  u16le(out, v & 0xffff);
  u16le(out, v >> 16);
}
/// `size` bytes that count up from `first`.
inline base::Bytes counted(std::size_t size, unsigned first) {
  base::Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(first + i);
  return out;
}

struct QuoteSpec {
  std::uint16_t version = 4;
  bool tdx = true;
  std::uint16_t body_type = 0;  ///< version 5; 0: by `tdx`
  std::size_t body_size = 0;    ///< 0: by version and TEE
  base::Bytes auth_data = counted(32, 1);
  std::uint16_t cert_type = 5;
  std::string_view cert_data = "PEM";
  std::size_t outer_type = 6;
  base::Bytes padding{};  ///< after the quote

  std::size_t real_body_size() const {
    if (body_size != 0) return body_size;
    if (!tdx) return kSgxReportSize;
    return body_type == 3 ? kTd15Size : body_type == 4 ? kTd15exSize : kTd10Size;
  }
};

inline base::Bytes make_quote(const QuoteSpec& spec) {
  base::Bytes out;
  u16le(out, spec.version);
  u16le(out, 2);
  u32le(out, spec.tdx ? 0x81 : 0);
  u32le(out, 0);
  base::append(out, intel_qe_vendor_id());
  base::append(out, counted(20, 200));
  if (spec.version == 5) {
    u16le(out, spec.body_type != 0 ? spec.body_type : spec.tdx ? 2u : 1u);
    u32le(out, spec.real_body_size());
  }
  base::append(out, counted(spec.real_body_size(), 7));

  base::Bytes qe = counted(kSgxReportSize, 30);
  base::append(qe, counted(64, 40));
  u16le(qe, spec.auth_data.size());
  base::append(qe, spec.auth_data);
  u16le(qe, spec.cert_type);
  u32le(qe, spec.cert_data.size());
  base::append(qe, base::as_bytes(spec.cert_data));

  base::Bytes data = counted(64, 50);
  base::append(data, counted(64, 60));
  if (spec.version != 3) {
    u16le(data, spec.outer_type);
    u32le(data, qe.size());
  }
  base::append(data, qe);
  u32le(out, data.size());
  base::append(out, data);
  base::append(out, spec.padding);
  return out;
}

}  // namespace attestry::attestation::dcap::testing
