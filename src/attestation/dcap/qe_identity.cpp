#include "attestation/dcap/qe_identity.h"

#include "attestation/dcap/json_fields.h"

namespace attestry::attestation::dcap {
namespace {

/// MISCSELECT is written as the big-endian text of a 32-bit number.
std::uint32_t from_big_endian(const base::FixedBytes<4>& b) noexcept {
  return (static_cast<std::uint32_t>(b[0]) << 24) | (static_cast<std::uint32_t>(b[1]) << 16) |
         (static_cast<std::uint32_t>(b[2]) << 8) | b[3];
}

}  // namespace

base::Result<QeIdentity> parse_qe_identity(std::string_view text) {
  TRY(const auto document, base::JsonDocument::parse(std::string{text}));
  const base::JsonValue root = document->root();
  if (!root.is_object()) return base::Error{base::Code::malformed, "not a JSON object"};
  QeIdentity out;
  TRY(out.id, string_member(root, "id"));
  TRY(out.version, u32_member(root, "version"));
  TRY(out.evaluation_number, u32_member(root, "tcbEvaluationDataNumber"));
  TRY(out.issue_date, time_member(root, "issueDate"));
  TRY(out.next_update, time_member(root, "nextUpdate"));
  TRY(const base::FixedBytes<4> miscselect, hex_member<4>(root, "miscselect"));
  TRY(const base::FixedBytes<4> miscselect_mask, hex_member<4>(root, "miscselectMask"));
  out.miscselect = from_big_endian(miscselect);
  out.miscselect_mask = from_big_endian(miscselect_mask);
  TRY(out.attributes, hex_member<16>(root, "attributes"));
  TRY(out.attributes_mask, hex_member<16>(root, "attributesMask"));
  TRY(out.mrsigner, hex_member<32>(root, "mrsigner"));
  TRY(out.isvprodid, u16_member(root, "isvprodid"));
  TRY(out.levels, isv_levels(root, StatusSource::qe));
  return out;
}

}  // namespace attestry::attestation::dcap
