#include "collateral/bundle.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>

#include "attestation/maa/jwks.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/x509.h"

namespace attestry::collateral {
namespace {

using attestation::CollateralItem;
using attestation::CollateralKind;
using attestation::CollateralProblem;
using base::JsonValue;
using base::Result;

constexpr std::size_t kMaxDocumentBytes = 8u << 20;

/// A member of the bundle JSON. Field names are those of the QuoteCollateralV3 JSON.
struct Field {
  std::string_view name;
  CollateralKind kind;
  bool binary;    ///< hex in JSON
  bool required;  ///< of a whole bundle
};
constexpr std::array<Field, 14> kFields{{
    {"tcb_info", CollateralKind::tcb_info, false, true},
    {"tcb_info_signature", CollateralKind::tcb_info_signature, true, true},
    {"tcb_info_issuer_chain", CollateralKind::tcb_info_chain, false, true},
    {"qe_identity", CollateralKind::qe_identity, false, true},
    {"qe_identity_signature", CollateralKind::qe_identity_signature, true, true},
    {"qe_identity_issuer_chain", CollateralKind::qe_identity_chain, false, true},
    {"pck_crl", CollateralKind::pck_crl, true, true},
    {"pck_crl_issuer_chain", CollateralKind::pck_crl_chain, false, true},
    {"root_ca_crl", CollateralKind::root_ca_crl, true, true},
    {"pck_certificate_chain", CollateralKind::pck_chain, false, false},
    {"vek", CollateralKind::vek, true, false},
    {"amd_chain", CollateralKind::amd_chain, false, false},
    {"amd_crl", CollateralKind::amd_crl, true, false},
    {"jwks", CollateralKind::jwks, false, false},
}};

/// Nobody can say what an unreadable document would have had, so it is a problem of everything that one may have. A
/// document that is not there is one of what a bundle must have.
Bundle unreadable(const std::string& what, bool missing = false) {
  Bundle out;
  for (const Field& field : kFields) {
    if (field.required || !missing) out.set_problem(field.kind, what, missing);
  }
  return out;
}

std::string place(std::string_view source, std::string_view field) {
  return std::string{source} + ": field " + std::string{field};
}

/// Some writers give bytes as an array of numbers.
Result<base::Bytes> number_array(const JsonValue& value, std::string_view what) {
  base::Bytes out;
  out.reserve(value.size());
  for (auto item = value.first(); item; item = item->next()) {
    TRY(const std::int64_t byte, item->integer(what, 0, 255));
    out.push_back(static_cast<std::uint8_t>(byte));
  }
  return out;
}

Result<base::Bytes> field_bytes(const Field& field, const JsonValue& value) {
  if (field.binary && value.is_array()) return number_array(value, field.name);
  TRY(const std::string text, value.string(field.name));
  if (field.binary) return base::hex_decode(text);
  return base::to_bytes(text);
}

void read_fields(const JsonValue& root, std::string_view source, Bundle& out) {
  for (const Field& field : kFields) {
    const auto member = root.find(field.name);
    if (!member || member->is_null()) continue;
    auto bytes = field_bytes(field, *member);
    if (bytes.ok()) {
      out.set(field.kind, *std::move(bytes));
    } else {
      out.set_problem(field.kind, place(source, field.name) + ": " + bytes.error().text());
    }
  }
}

/// A reply of Intel's service: {"tcbInfo": <signed text>, "signature": "hex"}.
struct SignedDocument {
  std::string_view member;
  CollateralKind text;
  CollateralKind signature;
};
constexpr std::array<SignedDocument, 2> kSignedDocuments{{
    {"tcbInfo", CollateralKind::tcb_info, CollateralKind::tcb_info_signature},
    {"enclaveIdentity", CollateralKind::qe_identity, CollateralKind::qe_identity_signature},
}};

void read_signed(const JsonValue& root, std::string_view source, Bundle& out) {
  for (const SignedDocument& document : kSignedDocuments) {
    const auto body = root.find(document.member);
    if (!body) continue;
    out.set(document.text, base::to_bytes(body->source()));
    const auto signature = root.find("signature");
    if (!signature) continue;
    const auto text = signature->string("signature");
    auto bytes = text.ok() ? base::hex_decode(*text) : Result<base::Bytes>(text.error());
    if (bytes.ok()) {
      out.set(document.signature, *std::move(bytes));
    } else {
      out.set_problem(document.signature, place(source, "signature") + ": " + bytes.error().text());
    }
  }
}

/// One byte more than allowed is read, so that a file that is too large shows as such.
std::optional<base::Bytes> read_file(const std::filesystem::path& path, std::size_t limit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  base::Bytes out;
  std::array<char, 16384> chunk{};
  while (out.size() <= limit && (file.read(chunk.data(), chunk.size()) || file.gcount() > 0)) {
    const auto* begin = reinterpret_cast<const std::uint8_t*>(chunk.data());
    out.insert(out.end(), begin, begin + file.gcount());
  }
  if (file.bad()) return std::nullopt;
  return out;
}

/// All of it came from that file.
Bundle dated(Bundle bundle, const std::filesystem::path& path) {
  const auto time = modified_at(path.string());
  for (const CollateralItem& item : bundle.items) {
    if (time) bundle.modified[item.kind] = *time;
  }
  return bundle;
}

/// Leaf first, as Intel's service orders chains; the sample application writes the root first. What is no chain stays
/// as it is, for the verifier to say what is wrong.
base::Bytes leaf_first(base::Bytes pem) {
  auto blocks = base::pem_decode(base::as_text(pem));
  if (!blocks.ok()) return pem;
  const auto self_issued = [](const base::PemBlock& block) {
    const auto certificate = crypto::Certificate::parse(block.der);
    return certificate.ok() && base::equal(certificate->subject_der(), certificate->issuer_der());
  };
  std::string out;
  for (const bool roots : {false, true}) {
    for (const base::PemBlock& block : *blocks) {
      if (self_issued(block) == roots) out += base::pem_encode(block.label, block.der);
    }
  }
  return base::to_bytes(out);
}

bool survives_json(std::string_view text) {
  std::string literal;
  base::append_json_string(literal, text);
  const auto document = base::JsonDocument::parse(std::move(literal), {.max_bytes = 8 * kMaxDocumentBytes});
  if (!document.ok()) return false;
  const auto again = (*document)->root().string("text");
  return again.ok() && *again == text;
}

/// RFC 7517, 5, as an issuer's /certs answers.
bool is_key_set(base::ByteView json) {
  if (json.size() > attestation::maa::kMaxSetBytes) return false;
  const auto document = base::JsonDocument::parse(std::string{base::as_text(json)}, {.max_bytes = json.size()});
  if (!document.ok()) return false;
  const auto keys = (*document)->root().find("keys");
  return keys && keys->is_array();
}

class SampleFolder {
 public:
  explicit SampleFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  Bundle read() {
    document("tcbInfo.json");
    document("qeIdentity.json");
    plain("rootCaCrl.der", CollateralKind::root_ca_crl);
    plain("intermediateCaCrl.der", CollateralKind::pck_crl);
    if (const auto chain = file("tcbSignChain.pem")) {
      out_.set(CollateralKind::tcb_info_chain, leaf_first(*chain));
      out_.set(CollateralKind::qe_identity_chain, leaf_first(*chain));
    }
    const auto issuers = file("pckSignChain.pem");
    if (issuers) out_.set(CollateralKind::pck_crl_chain, leaf_first(*issuers));
    if (const auto leaf = file("pckCert.pem"); leaf && issuers) {
      base::Bytes chain = *leaf;
      chain.push_back('\n');
      base::append(chain, *issuers);
      out_.set(CollateralKind::pck_chain, leaf_first(std::move(chain)));
    }
    for (const std::string_view name : {"vlek.der", "vlek.pem", "vcek.der", "vcek.pem"}) {
      plain(name, CollateralKind::vek);
    }
    plain("cert_chain.pem", CollateralKind::amd_chain);
    plain("crl.der", CollateralKind::amd_crl);
    plain("jwks.json", CollateralKind::jwks);
    return std::move(out_);
  }

 private:
  std::optional<base::Bytes> file(std::string_view name) const {
    std::error_code ignored;
    const auto path = folder_ / name;
    if (!std::filesystem::exists(path, ignored)) return std::nullopt;
    return read_file(path, kMaxDocumentBytes);
  }
  void document(std::string_view name) {
    if (const auto bytes = file(name)) out_.merge(dated(read_bundle(*bytes, name), folder_ / name));
  }
  void plain(std::string_view name, CollateralKind kind) {
    auto bytes = file(name);
    if (!bytes) return;
    Bundle one;
    one.set(kind, *std::move(bytes));
    out_.merge(dated(std::move(one), folder_ / name));
  }

  std::filesystem::path folder_;
  Bundle out_;
};

}  // namespace

std::optional<base::UtcTime> modified_at(const std::string& path) {
  std::error_code failed;
  const auto time = std::filesystem::last_write_time(path, failed);
  if (failed) return std::nullopt;
  const auto since = std::chrono::file_clock::to_sys(time).time_since_epoch();
  return base::UtcTime{std::chrono::duration_cast<std::chrono::seconds>(since).count()};
}

base::UtcTime oldest_of(const std::vector<CollateralItem>& documents, const TimesOfKinds& times, base::UtcTime now) {
  base::UtcTime out = now;
  for (const CollateralItem& item : documents) {
    if (const auto found = times.find(item.kind); found != times.end()) out = std::min(out, found->second);
  }
  return out;
}

void Bundle::set(CollateralKind kind, base::Bytes bytes, std::string origin) {
  std::erase_if(items, [&](const CollateralItem& item) { return item.kind == kind; });
  std::erase_if(problems, [&](const CollateralProblem& problem) { return problem.kind == kind; });
  modified.erase(kind);
  items.push_back({.kind = kind, .bytes = std::move(bytes), .origin = std::move(origin)});
}

void Bundle::set_key_origin(const std::string& issuer) {
  for (CollateralItem& item : items) {
    if (item.kind == CollateralKind::jwks) item.origin = issuer;
  }
}

void Bundle::set_problem(CollateralKind kind, std::string what, bool missing) {
  std::erase_if(items, [&](const CollateralItem& item) { return item.kind == kind; });
  std::erase_if(problems, [&](const CollateralProblem& problem) { return problem.kind == kind; });
  problems.push_back({.kind = kind, .what = std::move(what), .missing = missing});
}

void Bundle::merge(Bundle later) {
  for (CollateralItem& item : later.items) set(item.kind, std::move(item.bytes), std::move(item.origin));
  for (const auto& [kind, time] : later.modified) modified[kind] = time;
  for (CollateralProblem& problem : later.problems) {
    const bool have = std::ranges::find(items, problem.kind, &CollateralItem::kind) != items.end();
    if (problem.missing && have) continue;
    set_problem(problem.kind, std::move(problem.what), problem.missing);
  }
}

std::shared_ptr<const attestation::Collateral> Bundle::collateral() const {
  return attestation::Collateral::make(items, problems);
}

Bundle read_bundle(base::ByteView json, std::string_view source) {
  const auto document = base::JsonDocument::parse(std::string{base::as_text(json)}, {.max_bytes = kMaxDocumentBytes});
  if (!document.ok()) return unreadable(std::string{source} + ": " + document.error().text());
  const JsonValue root = (*document)->root();
  if (!root.is_object()) return unreadable(std::string{source} + ": the document is no JSON object");
  Bundle out;
  read_fields(root, source, out);
  read_signed(root, source, out);
  return out;
}

Bundle read_bundle_path(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) return unreadable(path + ": no such file or folder", true);
  std::filesystem::path file = path;
  if (std::filesystem::is_directory(status)) {
    file /= "collateral.json";
    if (!std::filesystem::exists(file, error)) return SampleFolder(path).read();
  }
  auto bytes = read_file(file, kMaxDocumentBytes);
  if (!bytes) return unreadable(file.string() + ": cannot be read", true);
  if (is_key_set(*bytes)) {
    Bundle out;
    out.set(CollateralKind::jwks, *std::move(bytes));
    return dated(std::move(out), file);
  }
  return dated(read_bundle(*bytes, file.string()), file);
}

std::string write_bundle(const attestation::Collateral& collateral) {
  base::JsonOutObject out;
  for (const Field& field : kFields) {
    const CollateralItem* item = collateral.find(field.kind);
    if (item == nullptr) continue;
    const std::string_view text = base::as_text(item->bytes);
    if (field.binary) {
      out.emplace_back(field.name, base::hex(item->bytes));
    } else if (survives_json(text)) {
      out.emplace_back(field.name, text);
    }
  }
  return base::JsonOut(std::move(out)).pretty();
}

}  // namespace attestry::collateral
