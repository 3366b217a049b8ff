#include "collateral/internal/subject.h"

#include <algorithm>
#include <string>

#include "base/encoding.h"
#include "base/json.h"

namespace attestry::collateral::internal {
namespace {

using attestation::CollateralKind;
using base::Result;

Result<std::shared_ptr<const base::JsonDocument>> parse(base::ByteView text) {
  return base::JsonDocument::parse(std::string{base::as_text(text)}, {.max_bytes = 8u << 20});
}

}  // namespace

const attestation::CollateralItem* find(const Bundle& bundle, CollateralKind kind) {
  const auto found = std::ranges::find(bundle.items, kind, &attestation::CollateralItem::kind);
  return found == bundle.items.end() ? nullptr : &*found;
}

Result<TcbInfoSubject> tcb_info_subject(base::ByteView tcb_info) {
  TRY(const auto document, parse(tcb_info), "tcb_info");
  TRY(const base::JsonValue fmspc, document->root().get("fmspc"), "tcb_info");
  TRY(const std::string hex, fmspc.string("fmspc"), "tcb_info");
  TcbInfoSubject out;
  TRY_OK(base::hex_decode_into(hex, out.fmspc), "tcb_info: fmspc");
  // Version 2 had no id and was of SGX alone.
  if (const auto id = document->root().find("id")) out.tdx = id->plain_string() == std::string_view{"TDX"};
  return out;
}

}  // namespace attestry::collateral::internal
