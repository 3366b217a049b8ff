#include "attestation/nitro/document.h"

#include <algorithm>
#include <array>

#include "base/cbor.h"
#include "base/encoding.h"

namespace attestry::attestation::nitro {
namespace {

using base::ByteView;
using base::CborDocument;
using base::CborKind;
using base::CborValue;

constexpr std::size_t kMaxField = 1024;
constexpr std::size_t kPcrBytes = 48;  // SHA-384
constexpr std::uint64_t kTagCoseSign1 = 18;
constexpr std::int64_t kHeaderAlgorithm = 1;
constexpr std::int64_t kEs384 = -35;

Fault fault_of(const base::Error& error) { return {error.expected, error.found, error.what}; }

std::unexpected<Fault> broken(std::string expected, std::string actual, std::string detail = {}) {
  return std::unexpected(Fault{std::move(expected), std::move(actual), std::move(detail)});
}

/// One head of an item (RFC 8949, 3): for messages about bytes that could not be read as a whole.
struct Head {
  unsigned kind = 0;
  std::uint64_t value = 0;
  std::size_t next = 0;
};
std::optional<Head> head_at(ByteView bytes, std::size_t at) {
  if (at >= bytes.size()) return std::nullopt;
  const unsigned first = bytes[at];
  const unsigned low = first & 31U;
  Head out{.kind = first >> 5U, .value = low, .next = at + 1};
  if (low < 24) return out;
  const std::size_t width = low <= 27 ? std::size_t{1} << (low - 24) : 0;
  if (width == 0 || bytes.size() - out.next < width) return std::nullopt;
  out.value = 0;
  for (std::size_t i = 0; i < width; ++i) out.value = out.value << 8U | bytes[out.next + i];
  out.next += width;
  return out;
}

/// What cannot be read as CBOR, said in terms of the four parts of a COSE_Sign1.
Fault unreadable_cose(ByteView bytes, const base::Error& error) {
  Fault fault = fault_of(error);
  std::size_t at = 0;
  auto head = head_at(bytes, at);
  if (head && head->kind == 6) head = head_at(bytes, at = head->next);  // a tag
  if (!head || head->kind != 4) return fault;
  if (head->value != 4) {
    return {"array of 4", "array of " + std::to_string(head->value),
            "byte " + std::to_string(at) + "; " + fault.detail};
  }
  constexpr std::array<std::string_view, 4> kParts{"protected header", "unprotected header", "payload", "signature"};
  std::size_t next = head->next;
  for (const std::string_view part : kParts) {
    const auto item = head_at(bytes, next);
    if (!item) break;
    const bool string = item->kind == 2 || item->kind == 3;
    if (string && item->value > bytes.size() - item->next) {
      fault.detail.append("; ").append(part).append(" states ").append(std::to_string(item->value));
      fault.detail.append(" bytes at byte ").append(std::to_string(next)).append(", ");
      fault.detail.append(std::to_string(bytes.size() - item->next)).append(" follow");
      break;
    }
    // Only what is empty or a string is passed over: enough for a document of a Nitro Secure Module.
    if (!string && !(item->kind == 5 && item->value == 0)) break;
    next = item->next + (string ? static_cast<std::size_t>(item->value) : 0);
  }
  return fault;
}

std::string kind_of(const std::optional<CborValue>& value) {
  return value ? std::string{base::to_text(value->kind())} : "absent";
}

std::expected<ByteView, Fault> bytes_of(const CborValue& value, std::string_view field) {
  const auto bytes = value.bytes(field);
  if (!bytes) return std::unexpected(fault_of(bytes.error()));
  return *bytes;
}

/// A byte string of `least` to 1024 bytes.
std::expected<ByteView, Fault> bounded(const CborValue& value, std::string_view field, std::size_t least) {
  const auto bytes = bytes_of(value, field);
  if (bytes && (bytes->size() < least || bytes->size() > kMaxField)) {
    return broken(std::to_string(least) + " to " + std::to_string(kMaxField) + " bytes", std::to_string(bytes->size()),
                  std::string{field});
  }
  return bytes;
}

std::optional<Fault> read_optional(const CborValue& root, std::string_view field, std::size_t least,
                                   std::optional<ByteView>& out) {
  const auto value = root.find(field);
  if (!value || value->is_null()) return std::nullopt;
  const auto bytes = bounded(*value, field, least);
  if (!bytes) return bytes.error();
  out = *bytes;
  return std::nullopt;
}

std::optional<Fault> read_certificates(const CborValue& root, Document& out) {
  const auto certificate = root.find("certificate");
  if (!certificate) return Fault{"byte string", "absent", "certificate"};
  const auto leaf = bounded(*certificate, "certificate", 1);
  if (!leaf) return leaf.error();
  out.certificate = *leaf;
  const auto bundle = root.find("cabundle");
  if (!bundle || bundle->kind() != CborKind::array) return Fault{"array", kind_of(bundle), "cabundle"};
  if (bundle->size() == 0 || bundle->size() > kMaxCaCertificates) {
    return Fault{"1 to " + std::to_string(kMaxCaCertificates) + " certificates", std::to_string(bundle->size()),
                 "cabundle"};
  }
  for (auto entry = bundle->first(); entry; entry = entry->next()) {
    const auto ca = bounded(*entry, "certificate of the cabundle", 1);
    if (!ca) return ca.error();
    out.cabundle.push_back(*ca);
  }
  return std::nullopt;
}

std::optional<Fault> read_module_id(const CborValue& root, Document& out) {
  const auto value = root.find("module_id");
  if (!value || value->kind() != CborKind::text) return Fault{"text", kind_of(value), "module_id"};
  out.module_id = value->text("module_id").value();
  if (out.module_id.empty()) return Fault{"text", "empty", "module_id"};
  return std::nullopt;
}

std::optional<Fault> read_digest(const CborValue& root, Document& out) {
  const auto value = root.find("digest");
  if (!value || value->kind() != CborKind::text) return Fault{"SHA384", kind_of(value), "digest"};
  out.digest = value->text("digest").value();
  if (out.digest != "SHA384") return Fault{"SHA384", std::string{out.digest}, "digest"};
  return std::nullopt;
}

std::optional<Fault> read_timestamp(const CborValue& root, Document& out) {
  const auto value = root.find("timestamp");
  if (!value || value->kind() != CborKind::unsigned_integer)
    return Fault{"unsigned integer", kind_of(value), "timestamp"};
  out.timestamp_ms = value->unsigned_integer("timestamp").value();
  if (out.timestamp_ms == 0) return Fault{"milliseconds since 1970", "0", "timestamp"};
  return std::nullopt;
}

std::optional<Fault> read_pcr(const CborValue& key, Document& out) {
  const auto index = key.unsigned_integer("index of a PCR");
  if (!index) return fault_of(index.error());
  if (*index >= kPcrs) return Fault{"index 0 to 31", std::to_string(*index), "pcrs"};
  const std::string name = "PCR" + std::to_string(*index);
  const auto bytes = key.next()->bytes(name);
  if (!bytes) return fault_of(bytes.error());
  if (bytes->size() != kPcrBytes) return Fault{"48 bytes", std::to_string(bytes->size()), name};
  out.pcrs[static_cast<std::size_t>(*index)] = *bytes;
  return std::nullopt;
}

std::optional<Fault> read_pcrs(const CborValue& root, Document& out) {
  const auto value = root.find("pcrs");
  if (!value || value->kind() != CborKind::map) return Fault{"map", kind_of(value), "pcrs"};
  if (value->size() == 0) return Fault{"1 to 32 PCRs", "0", "pcrs"};
  for (auto key = value->first(); key; key = key->next()->next()) {
    if (auto fault = read_pcr(*key, out)) return fault;
  }
  return std::nullopt;
}

}  // namespace

std::expected<CoseSign1, Fault> parse_cose(ByteView bytes) {
  // Payload and signature are byte strings here, so that nothing that they hold counts against depth or items.
  const auto document = CborDocument::parse(
      bytes, {.max_bytes = kMaxDocumentBytes, .max_depth = 8, .max_items = 256, .indefinite = false});
  if (!document) return std::unexpected(unreadable_cose(bytes, document.error()));
  auto sign1 = document->root();
  if (sign1.kind() == CborKind::tag) {
    if (sign1.tag_number() != kTagCoseSign1)
      return broken("tag 18 or none", std::to_string(sign1.tag_number()), "byte 0");
    sign1 = *sign1.first();
  }
  if (sign1.kind() != CborKind::array || sign1.size() != 4) {
    return broken("array of 4", std::string{base::to_text(sign1.kind())} + " of " + std::to_string(sign1.size()));
  }
  const auto protected_header = sign1.first();
  const auto unprotected = protected_header->next();
  const auto payload = unprotected->next();
  const auto header = bytes_of(*protected_header, "protected header");
  if (!header) return std::unexpected(header.error());
  if (unprotected->kind() != CborKind::map) return broken("map", kind_of(unprotected), "unprotected header");
  const auto content = bytes_of(*payload, "payload");
  if (!content) return std::unexpected(content.error());
  const auto signature = bytes_of(*payload->next(), "signature");
  if (!signature) return std::unexpected(signature.error());
  return CoseSign1{*header, *content, *signature};
}

std::optional<Fault> judge_algorithm(ByteView protected_header) {
  const Fault fault{"{1: -35} (ES384)", base::hex(protected_header), {}};
  const auto document = CborDocument::parse(protected_header, {.max_bytes = 64, .max_depth = 4, .max_items = 16});
  if (!document || document->root().size() != 1) return fault;
  const auto algorithm = document->root().find(kHeaderAlgorithm);
  if (!algorithm) return fault;
  const auto value = algorithm->integer("alg");
  if (!value || *value != kEs384) return fault;
  return std::nullopt;
}

base::Bytes signed_bytes(const CoseSign1& cose) {
  base::CborWriter out;
  out.array(4).text("Signature1").bytes(cose.protected_header).bytes({}).bytes(cose.payload);
  return std::move(out).take();
}

std::expected<Document, Fault> parse_document(ByteView payload) {
  const auto document = CborDocument::parse(
      payload, {.max_bytes = kMaxDocumentBytes, .max_depth = 4, .max_items = 256, .indefinite = true});
  if (!document) return std::unexpected(fault_of(document.error()));
  const CborValue root = document->root();
  if (root.kind() != CborKind::map) return broken("map", std::string{base::to_text(root.kind())}, "payload");
  Document out;
  if (auto fault = read_module_id(root, out)) return std::unexpected(*std::move(fault));
  if (auto fault = read_certificates(root, out)) return std::unexpected(*std::move(fault));
  // An empty public key is none; user data and nonce may be empty.
  if (auto fault = read_optional(root, "public_key", 1, out.public_key)) return std::unexpected(*std::move(fault));
  if (auto fault = read_optional(root, "user_data", 0, out.user_data)) return std::unexpected(*std::move(fault));
  if (auto fault = read_optional(root, "nonce", 0, out.nonce)) return std::unexpected(*std::move(fault));
  out.digest_fault = read_digest(root, out);
  out.timestamp_fault = read_timestamp(root, out);
  out.pcr_fault = read_pcrs(root, out);
  return out;
}

bool Document::debug() const noexcept {
  bool any = false;
  for (std::size_t i = 0; i < 3; ++i) {
    if (!pcrs[i]) continue;
    if (std::ranges::any_of(*pcrs[i], [](std::uint8_t b) { return b != 0; })) return false;
    any = true;
  }
  return any;
}

}  // namespace attestry::attestation::nitro
