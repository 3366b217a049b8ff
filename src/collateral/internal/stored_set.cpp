#include "collateral/internal/stored_set.h"

#include <algorithm>
#include <array>
#include <optional>

#include "collateral/internal/subject.h"
#include "state/keys.h"

namespace attestry::collateral::internal {
namespace {

using attestation::CollateralKind;
using base::Code;
using base::Error;

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMaxNameBytes = 64;
constexpr std::size_t kMaxItemBytes = 16u << 20;
constexpr std::array kKinds{
    CollateralKind::tcb_info,    CollateralKind::tcb_info_signature,    CollateralKind::tcb_info_chain,
    CollateralKind::qe_identity, CollateralKind::qe_identity_signature, CollateralKind::qe_identity_chain,
    CollateralKind::pck_crl,     CollateralKind::pck_crl_chain,         CollateralKind::root_ca_crl,
    CollateralKind::pck_chain};

Error corrupt(const std::string& what) { return {Code::corrupt, "stored collateral: " + what}; }

base::Result<StoredSet> decode(base::Reader& reader) {
  TRY(const std::uint64_t fetched_at, reader.u64be("fetched_at"));
  TRY(const std::uint8_t count, reader.u8("count"));
  StoredSet out;
  out.fetched_at.seconds = static_cast<std::int64_t>(fetched_at);
  for (unsigned i = 0; i < count; ++i) {
    TRY(const base::ByteView name, reader.lp("kind", kMaxNameBytes));
    TRY(const base::ByteView bytes, reader.lp("item", kMaxItemBytes));
    const auto kind = std::ranges::find(kKinds, base::as_text(name), [](CollateralKind k) { return to_text(k); });
    if (kind == kKinds.end()) return corrupt("an unknown kind");
    if (find(out.bundle, *kind) != nullptr) return corrupt("a kind is given twice");
    out.bundle.set(*kind, base::to_bytes(bytes));
  }
  TRY_OK(reader.finish("stored collateral"));
  return out;
}

}  // namespace

base::Bytes encode_set(const Bundle& bundle, base::UtcTime fetched_at) {
  auto out = state::value(kVersion);
  out.u64(static_cast<std::uint64_t>(fetched_at.seconds)).u8(static_cast<std::uint8_t>(bundle.items.size()));
  for (const attestation::CollateralItem& item : bundle.items) out.lp(to_text(item.kind)).lp(item.bytes);
  return std::move(out).take();
}

base::Result<StoredSet> decode_set(base::ByteView stored) {
  TRY(base::Reader reader, state::open_value(stored, kVersion, "stored collateral"));
  auto out = decode(reader);
  if (!out.ok()) return corrupt(out.error().text());
  return out;
}

}  // namespace attestry::collateral::internal
