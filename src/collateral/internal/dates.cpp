#include "collateral/internal/dates.h"

#include <algorithm>
#include <string>

#include "base/encoding.h"
#include "base/json.h"
#include "crypto/x509.h"

namespace attestry::collateral::internal {
namespace {

using attestation::CollateralKind;
using base::Code;
using base::Error;
using base::Result;

Error no_date(CollateralKind kind, const std::string& what) {
  return Error{Code::unavailable, std::string{attestation::to_text(kind)} + ": " + what};
}

Result<std::shared_ptr<const base::JsonDocument>> parse(base::ByteView text) {
  return base::JsonDocument::parse(std::string{base::as_text(text)}, {.max_bytes = 8u << 20});
}

Result<base::UtcTime> json_next_update(base::ByteView text) {
  TRY(const auto document, parse(text));
  TRY(const base::JsonValue value, document->root().get("nextUpdate"));
  TRY(const std::string date, value.string("nextUpdate"));
  return base::parse_rfc3339(date);
}

Result<base::UtcTime> crl_next_update(base::ByteView der) {
  TRY(const crypto::Crl crl, crypto::Crl::parse(der));
  const auto next = crl.next_update();
  if (!next) return Error{Code::malformed, "no nextUpdate"};
  return *next;
}

}  // namespace

const attestation::CollateralItem* find(const Bundle& bundle, CollateralKind kind) {
  const auto found = std::ranges::find(bundle.items, kind, &attestation::CollateralItem::kind);
  return found == bundle.items.end() ? nullptr : &*found;
}

Result<base::UtcTime> expires(const Bundle& bundle) {
  base::UtcTime earliest{INT64_MAX};
  for (const CollateralKind kind :
       {CollateralKind::tcb_info, CollateralKind::qe_identity, CollateralKind::pck_crl, CollateralKind::root_ca_crl}) {
    const attestation::CollateralItem* item = find(bundle, kind);
    if (item == nullptr) return no_date(kind, "missing");
    const bool json = kind == CollateralKind::tcb_info || kind == CollateralKind::qe_identity;
    const auto next = json ? json_next_update(item->bytes) : crl_next_update(item->bytes);
    if (!next.ok()) return no_date(kind, next.error().text());
    earliest = std::min(earliest, *next);
  }
  return earliest;
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
