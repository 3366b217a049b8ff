// Where a check looks: the document and the field of it that its expected and actual values are about.
#pragma once
#include <string_view>

namespace attestry::appraisal {

struct CheckSource {
  std::string_view document;  ///< "evidence", "collateral tcb_info", "policy", …
  std::string_view field;     ///< "header, bytes 0 to 1: version"; empty: the whole document
};

/// Of a check of this catalogue or of another, by the longest known beginning of its id; never empty-handed: what
/// nobody knows is the evidence's.
CheckSource source_of(std::string_view check_id) noexcept;
/// Whether the id itself, or its family, is in the table.
bool source_known(std::string_view check_id) noexcept;

}  // namespace attestry::appraisal
