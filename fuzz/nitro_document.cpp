// Bytes are no Nitro document, or a COSE_Sign1 that holds exactly its payload; what a document says lies within its
// payload and its limits; a byte more or less is not the same document.
#include "attestation/nitro/document.h"

#include <functional>

#include "base/cbor.h"
#include "require.h"

namespace {

using namespace attestry;
namespace nitro = attestation::nitro;

bool within(base::ByteView whole, base::ByteView part) {
  const std::less_equal<const std::uint8_t*> before;
  return part.empty() ||
         (before(whole.data(), part.data()) && before(part.data() + part.size(), whole.data() + whole.size()));
}

void judge(base::ByteView payload) {
  const auto document = nitro::parse_document(payload);
  if (!document) return;
  REQUIRE(!nitro::parse_document(payload.first(payload.size() - 1)));
  REQUIRE(!document->module_id.empty());
  REQUIRE(!document->cabundle.empty() && document->cabundle.size() <= nitro::kMaxCaCertificates);
  REQUIRE(within(payload, document->certificate) && document->certificate.size() <= 1024);
  for (const auto der : document->cabundle) REQUIRE(within(payload, der) && !der.empty() && der.size() <= 1024);
  for (const auto& field : {document->public_key, document->user_data, document->nonce}) {
    if (field) REQUIRE(within(payload, *field) && field->size() <= 1024);
  }
  REQUIRE(document->digest_fault || document->digest == "SHA384");
  REQUIRE(document->timestamp_fault || document->timestamp_ms > 0);
  for (const auto& pcr : document->pcrs) {
    if (pcr) REQUIRE(within(payload, *pcr) && pcr->size() == 48);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::ByteView bytes{data, size};
  judge(bytes);
  const auto cose = nitro::parse_cose(bytes);
  if (!cose) return 0;
  REQUIRE(!nitro::parse_cose(bytes.first(size - 1)));
  REQUIRE(within(bytes, cose->payload) && within(bytes, cose->signature) && within(bytes, cose->protected_header));
  const base::Bytes message = nitro::signed_bytes(*cose);
  const auto structure = base::CborDocument::parse(message);
  REQUIRE(structure.has_value() && structure->root().size() == 4);
  judge(cose->payload);
  return 0;
}
