#include "collateral/internal/records.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::collateral::internal {
namespace {

using attestation::CollateralItem;
using attestation::CollateralKind;
using base::Code;
using base::Error;
using base::Result;
using state::Space;

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kOldSets = 1;
constexpr std::uint8_t kRecords = 2;
constexpr std::uint8_t kContent = 3;
constexpr std::uint8_t kUses = 4;
constexpr std::size_t kMaxText = 4096;
constexpr std::size_t kMaxDocument = 16u << 20;
constexpr std::array kKinds{CollateralKind::tcb_info,
                            CollateralKind::tcb_info_signature,
                            CollateralKind::tcb_info_chain,
                            CollateralKind::qe_identity,
                            CollateralKind::qe_identity_signature,
                            CollateralKind::qe_identity_chain,
                            CollateralKind::pck_crl,
                            CollateralKind::pck_crl_chain,
                            CollateralKind::root_ca_crl,
                            CollateralKind::pck_chain,
                            CollateralKind::vek,
                            CollateralKind::amd_chain,
                            CollateralKind::amd_crl,
                            CollateralKind::jwks};

Error corrupt(const std::string& what) { return {Code::corrupt, "stored collateral: " + what}; }

Result<CollateralKind> read_kind(base::Reader& reader) {
  TRY(const base::ByteView name, reader.lp("kind", 64));
  const auto kind = std::ranges::find(kKinds, base::as_text(name), [](CollateralKind k) { return to_text(k); });
  if (kind == kKinds.end()) return corrupt("an unknown kind");
  return *kind;
}

void write_refs(base::LpWriter& out, const std::vector<DocumentRef>& refs) {
  out.u8(static_cast<std::uint8_t>(refs.size()));
  for (const DocumentRef& ref : refs) out.lp(to_text(ref.kind)).raw(ref.sha256).u64(ref.size);
}

Result<std::vector<DocumentRef>> read_refs(base::Reader& reader) {
  TRY(const std::uint8_t count, reader.u8("count"));
  std::vector<DocumentRef> out;
  for (unsigned i = 0; i < count; ++i) {
    DocumentRef ref;
    TRY(ref.kind, read_kind(reader));
    TRY(ref.sha256, reader.take_array<32>("sha256"));
    TRY(ref.size, reader.u64be("size"));
    if (std::ranges::find(out, ref.kind, &DocumentRef::kind) != out.end()) return corrupt("a kind is given twice");
    out.push_back(ref);
  }
  return out;
}

base::Status read_time(base::Reader& reader, std::string_view field, base::UtcTime& out) {
  TRY(const std::uint64_t seconds, reader.u64be(field));
  out.seconds = static_cast<std::int64_t>(seconds);
  return base::done();
}

std::uint64_t number(base::UtcTime time) { return static_cast<std::uint64_t>(time.seconds); }

Result<Record> decode(base::Reader& reader) {
  Record out;
  TRY_OK(read_time(reader, "fetched_at", out.fetched_at));
  TRY_OK(read_time(reader, "refresh_at", out.refresh_at));
  TRY_OK(read_time(reader, "issued", out.accepted.issued));
  TRY_OK(read_time(reader, "expires", out.accepted.expires));
  TRY(out.accepted.number, reader.u64be("number"));
  TRY(const base::ByteView crl_number, reader.lp("crl_number", kMaxText));
  TRY(const base::ByteView source, reader.lp("source", kMaxText));
  out.accepted.crl_number = base::to_bytes(crl_number);
  out.source = base::as_text(source);
  TRY(out.documents, read_refs(reader));
  TRY(out.context, read_refs(reader));
  TRY_OK(reader.finish("stored collateral"));
  return out;
}

}  // namespace

base::Bytes encode_record(const Record& record) {
  auto out = state::value(kVersion);
  out.u64(number(record.fetched_at)).u64(number(record.refresh_at)).u64(number(record.accepted.issued));
  out.u64(number(record.accepted.expires)).u64(record.accepted.number).lp(record.accepted.crl_number);
  out.lp(std::string_view{record.source}.substr(0, kMaxText));
  write_refs(out, record.documents);
  write_refs(out, record.context);
  return std::move(out).take();
}

Result<Record> decode_record(base::ByteView stored) {
  TRY(base::Reader reader, state::open_value(stored, kVersion, "stored collateral"));
  auto out = decode(reader);
  if (!out.ok()) return corrupt(out.error().text());
  return out;
}

base::Bytes encode_content(const CollateralItem& item, base::UtcTime stored_at) {
  auto out = state::value(kVersion);
  out.lp(to_text(item.kind)).u64(number(stored_at)).lp(item.bytes);
  return std::move(out).take();
}

Result<CollateralItem> decode_content(base::ByteView stored) {
  TRY(base::Reader reader, state::open_value(stored, kVersion, "stored document"));
  TRY(const CollateralKind kind, read_kind(reader));
  TRY([[maybe_unused]] const std::uint64_t stored_at, reader.u64be("stored_at"));
  TRY(const base::ByteView bytes, reader.lp("document", kMaxDocument));
  TRY_OK(reader.finish("stored document"));
  return CollateralItem{.kind = kind, .bytes = base::to_bytes(bytes), .sha256 = crypto::sha256(bytes)};
}

Result<base::UtcTime> content_stored_at(base::ByteView stored) {
  TRY(base::Reader reader, state::open_value(stored, kVersion, "stored document"));
  TRY_OK(read_kind(reader));
  base::UtcTime out;
  TRY_OK(read_time(reader, "stored_at", out));
  return out;
}

base::Bytes encode_use(base::UtcTime used_at) {
  auto out = state::value(kVersion);
  out.u64(number(used_at));
  return std::move(out).take();
}

Result<base::UtcTime> decode_use(base::ByteView stored) {
  TRY(base::Reader reader, state::open_value(stored, kVersion, "stored use"));
  base::UtcTime out;
  TRY_OK(read_time(reader, "used_at", out));
  TRY_OK(reader.finish("stored use"));
  return out;
}

state::Key record_key(std::string_view name) { return state::Key(Space::collateral).u8(kRecords).lp(name); }
state::Key records_prefix() { return state::Key(Space::collateral).u8(kRecords); }
state::Key content_key(const base::Digest32& sha256) { return state::Key(Space::collateral).u8(kContent).raw(sha256); }
state::Key contents_prefix() { return state::Key(Space::collateral).u8(kContent); }
state::Key use_key(std::string_view name) { return state::Key(Space::collateral).u8(kUses).lp(name); }
state::Key uses_prefix() { return state::Key(Space::collateral).u8(kUses); }
state::Key old_sets_prefix() { return state::Key(Space::collateral).u8(kOldSets); }

Result<std::string> name_in(base::ByteView key) {
  const state::Key prefix = records_prefix();
  if (key.size() < prefix.bytes().size()) return corrupt("a key that is too short");
  base::Reader reader(key.subspan(prefix.bytes().size()));
  const auto name = reader.lp("name", kMaxText);
  if (!name.ok() || reader.remaining() != 0) return corrupt("a key of another form");
  return std::string{base::as_text(*name)};
}

Result<base::Digest32> digest_in(base::ByteView key) {
  const state::Key prefix = contents_prefix();
  base::Digest32 out{};
  if (key.size() != prefix.bytes().size() + out.size()) return corrupt("a key of another form");
  std::ranges::copy(key.subspan(prefix.bytes().size()), out.begin());
  return out;
}

Result<std::vector<CollateralItem>> read_documents(const state::ReadView& view, const std::vector<DocumentRef>& refs) {
  std::vector<CollateralItem> out;
  for (const DocumentRef& ref : refs) {
    TRY(const auto stored, view.get(content_key(ref.sha256)));
    if (!stored) return corrupt("document " + base::hex(ref.sha256) + " is not there");
    TRY(CollateralItem item, decode_content(*stored));
    if (item.sha256 != ref.sha256) return corrupt("document " + base::hex(ref.sha256) + " is another one");
    item.kind = ref.kind;
    out.push_back(std::move(item));
  }
  return out;
}

}  // namespace attestry::collateral::internal
