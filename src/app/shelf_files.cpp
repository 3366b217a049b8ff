#include "app/shelf_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "app/evidence_files.h"
#include "base/encoding.h"
#include "base/json.h"
#include "collateral/bundle.h"
#include "crypto/dsse.h"
#include "crypto/x509.h"

namespace attestry::app {

using attestation::CollateralItem;
using attestation::CollateralKind;
using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMaxDocument = 8u << 20;

std::string file_of(const std::string& folder) {
  return (std::filesystem::path(folder) / collateral::kShelfFile).string();
}

Result<CollateralKind> kind_of_certificates(const std::vector<base::PemBlock>& blocks) {
  if (blocks.size() == 1) return CollateralKind::vek;
  TRY(const auto root, crypto::Certificate::parse(blocks.back().der));
  if (root.subject_cn().starts_with("ARK-")) return CollateralKind::amd_chain;
  return Error{Code::malformed, "a chain of certificates that is not AMD's", "intermediate and ARK of AMD",
               root.subject_cn()};
}

CollateralKind kind_of_list(const crypto::Crl& crl) {
  const auto issuer = base::as_text(crl.issuer_der());
  if (issuer.find("ARK-") != std::string_view::npos) return CollateralKind::amd_crl;
  const bool root = issuer.find("Root CA") != std::string_view::npos;
  return root ? CollateralKind::root_ca_crl : CollateralKind::pck_crl;
}

Result<std::vector<CollateralItem>> read_pem(base::Bytes bytes) {
  TRY(const auto blocks, base::pem_decode(base::as_text(bytes)));
  if (blocks.empty()) return Error{Code::malformed, "PEM without content"};
  if (const auto crl = crypto::Crl::parse(blocks.front().der); crl.ok()) {
    return std::vector<CollateralItem>{{.kind = kind_of_list(*crl), .bytes = blocks.front().der}};
  }
  TRY(const CollateralKind kind, kind_of_certificates(blocks));
  return std::vector<CollateralItem>{{.kind = kind, .bytes = std::move(bytes)}};
}

Result<std::vector<CollateralItem>> read_json(base::Bytes bytes, const std::string& path) {
  TRY(const auto document, base::JsonDocument::parse(std::string{base::as_text(bytes)}, {.max_bytes = kMaxDocument}));
  if (document->root().find("keys")) {
    return std::vector<CollateralItem>{{.kind = CollateralKind::jwks, .bytes = std::move(bytes)}};
  }
  const auto bundle = collateral::read_bundle(bytes, path);
  for (const auto& problem : bundle.problems) {
    if (!problem.missing) return Error{Code::malformed, problem.what};
  }
  if (bundle.items.empty()) return Error{Code::malformed, "a document that is no collateral"};
  return bundle.items;
}

Error unknown_document() {
  return {Code::malformed,
          "nobody can tell what this is",
          "a certificate, a revocation list, collateral or a key set",
          {},
          "Certificates and lists are DER or PEM; collateral is JSON as `attestry verify` takes it."};
}

Result<std::vector<CollateralItem>> read_document(base::Bytes bytes, const std::string& path) {
  const auto text = base::as_text(bytes);
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return unknown_document();
  if (text[begin] == '{') return read_json(std::move(bytes), path);
  if (text.substr(begin).starts_with("-----BEGIN")) return read_pem(std::move(bytes));
  if (const auto crl = crypto::Crl::parse(bytes); crl.ok()) {
    const auto kind = kind_of_list(*crl);
    return std::vector<CollateralItem>{{.kind = kind, .bytes = std::move(bytes)}};
  }
  if (!crypto::Certificate::parse(bytes).ok()) return unknown_document();
  return std::vector<CollateralItem>{{.kind = CollateralKind::vek, .bytes = std::move(bytes)}};
}

}  // namespace

bool has_shelf(const std::string& folder) {
  std::error_code ignored;
  return is_folder(folder) && std::filesystem::exists(file_of(folder), ignored);
}

Result<collateral::Shelf> read_shelf(const std::string& folder) {
  TRY(const auto bytes, state::system_files().read(file_of(folder), collateral::kMaxShelfBytes));
  if (!bytes) {
    return Error{Code::not_found, "there is no imported collateral in " + folder, std::string{collateral::kShelfFile},
                 "none", "`attestry collateral import` and `fetch --out` make such a folder."};
  }
  TRY(collateral::Shelf shelf, collateral::Shelf::parse(base::as_text(*bytes)), file_of(folder));
  return shelf;
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<FolderLock> lock_folder(const std::string& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return Error{Code::io, "cannot create " + folder, {}, failed.message()};
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  FolderLock lock{descriptor};
  int locked = descriptor < 0 ? -1 : ::flock(descriptor, LOCK_EX);
  while (descriptor >= 0 && locked != 0 && errno == EINTR) locked = ::flock(descriptor, LOCK_EX);
  if (locked != 0) return Error{Code::io, "cannot lock " + folder, {}, std::generic_category().message(errno)};
  return lock;
}

Status write_shelf(Context& context, const std::string& folder, const collateral::Shelf& shelf) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return Error{Code::io, "cannot create " + folder, {}, failed.message()};
  return state::replace_file(*context.files, file_of(folder), base::as_bytes(shelf.to_json()));
}

std::string sign_bundle(const collateral::Shelf& shelf, const crypto::Ed25519PrivateKey& key) {
  crypto::Envelope envelope{
      .payload_type = std::string{collateral::kShelfPayloadType}, .payload = shelf.to_json(), .signatures = {}};
  envelope.sign(key);
  return envelope.to_json();
}

bool looks_like_bundle(base::ByteView bytes) {
  const auto head = base::as_text(bytes.first(std::min<std::size_t>(bytes.size(), 256)));
  return head.find("\"payloadType\"") != std::string_view::npos;
}

Result<collateral::Shelf> open_bundle(base::ByteView bytes, const std::vector<std::string>& signers) {
  if (signers.empty()) {
    return Error{.code = Code::usage,
                 .what = "a bundle is taken only from a signer that you name",
                 .expected = "--signer PUBLIC_KEY",
                 .found = "none",
                 .remedy =
                     "Ask whoever exported it for the public key (`attestry operator keygen` printed it), on "
                     "another way than the bundle came."};
  }
  std::vector<base::FixedBytes<32>> keys;
  for (const auto& hex : signers) {
    base::FixedBytes<32> key{};
    if (const auto read = base::hex_decode_into(hex, key); !read) {
      return Error{Code::usage, "--signer is no public key", "64 hex digits", hex};
    }
    keys.push_back(key);
  }
  TRY(const auto envelope, crypto::Envelope::parse(base::as_text(bytes), 2 * collateral::kMaxShelfBytes));
  if (envelope.payload_type != collateral::kShelfPayloadType) {
    return Error{Code::malformed, "an envelope of something else", std::string{collateral::kShelfPayloadType},
                 envelope.payload_type};
  }
  if (envelope.count_valid(keys) == 0) {
    return Error{.code = Code::denied,
                 .what = "the bundle has no signature of a signer that you named",
                 .expected = "a signature by " + signers.front(),
                 .found = std::to_string(envelope.signatures.size()) + " that are not",
                 .remedy = "Nothing was taken from it. Either it was changed on its way, or somebody else made it."};
  }
  TRY(collateral::Shelf shelf, collateral::Shelf::parse(envelope.payload), "bundle");
  return shelf;
}

Result<collateral::Bundle> read_documents(Context& context, const std::string& path) {
  if (is_folder(path)) {
    auto bundle = collateral::read_bundle_path(path);
    for (const auto& problem : bundle.problems) {
      if (!problem.missing) return Error{Code::malformed, problem.what};
    }
    if (bundle.items.empty()) return Error{Code::not_found, "there is no collateral in " + path};
    return bundle;
  }
  TRY(base::Bytes bytes, read_input(context, path, kMaxDocument));
  if (bytes.size() > kMaxDocument) return Error{Code::too_large, path, "at most 8 MiB", {}};
  collateral::Bundle out;
  TRY(out.items, read_document(std::move(bytes), path), path);
  if (const auto time = collateral::modified_at(path)) {
    for (const auto& item : out.items) out.modified[item.kind] = *time;
  }
  return out;
}

}  // namespace attestry::app
