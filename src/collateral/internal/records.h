// What the store keeps (docs/formats/store.md): a record of each artefact under its name, which says what is held by
// digest, and every document once under its SHA-256.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "attestation/artefact.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "state/keys.h"
#include "state/store.h"

namespace attestry::collateral::internal {

struct DocumentRef {
  attestation::CollateralKind kind{};
  base::Digest32 sha256{};
  std::uint64_t size = 0;
};

/// Version u8 1 ‖ u64 fetched_at ‖ u64 refresh_at ‖ u64 issued ‖ u64 expires ‖ u64 number ‖ LP(crl_number) ‖ LP(source)
/// ‖ u8 n ‖ n × document ‖ u8 m ‖ m × document, with document = LP(kind) ‖ sha256 ‖ u64 size; the second list is the
/// chain of its signer, when that is not its own.
struct Record {
  base::UtcTime fetched_at;
  base::UtcTime refresh_at;
  attestation::Accepted accepted;
  std::string source;
  std::vector<DocumentRef> documents;
  std::vector<DocumentRef> context;
};
base::Bytes encode_record(const Record& record);
/// Error `corrupt`, also for kinds that this program does not know.
base::Result<Record> decode_record(base::ByteView stored);

/// Version u8 1 ‖ LP(kind) ‖ u64 stored_at ‖ LP(bytes).
base::Bytes encode_content(const attestation::CollateralItem& item, base::UtcTime stored_at);
base::Result<attestation::CollateralItem> decode_content(base::ByteView stored);
/// When it was stored for the last time, to the day.
base::Result<base::UtcTime> content_stored_at(base::ByteView stored);

/// Version u8 1 ‖ u64 used_at.
base::Bytes encode_use(base::UtcTime used_at);
base::Result<base::UtcTime> decode_use(base::ByteView stored);

state::Key record_key(std::string_view name);
state::Key records_prefix();
state::Key content_key(const base::Digest32& sha256);
state::Key contents_prefix();
state::Key use_key(std::string_view name);
state::Key uses_prefix();
/// Sets of the format before this one.
state::Key old_sets_prefix();
/// The artefact's name in a record's key, or in that of its last use. Error `corrupt`.
base::Result<std::string> name_in(base::ByteView key);
/// The digest in a content's key. Error `corrupt`.
base::Result<base::Digest32> digest_in(base::ByteView content_key);

/// The documents themselves, checked against their digests. Error `corrupt` when one is not there or another.
base::Result<std::vector<attestation::CollateralItem>> read_documents(const state::ReadView& view,
                                                                      const std::vector<DocumentRef>& refs);

}  // namespace attestry::collateral::internal
