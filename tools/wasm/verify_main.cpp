// Verifies one piece of evidence inside WebAssembly and prints the verdict as JSON: the proof that the pure rooms need
// no host beyond memory. The files come through WASI, the time as an argument.
//
//   verify.wasm FOLDER TIME [ROOT.pem,…|-] [ISSUER]      exit 0 accepted, 1 refused, 2 usage, 3 undecided
#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "attestation/policy.h"
#include "attestation/verifier.h"
#include "base/encoding.h"
#include "base/json.h"

namespace {

using namespace attestry;
using attestation::CollateralKind;

std::optional<base::Bytes> read_file(const char* path) {
  std::FILE* file = std::fopen(path, "rb");
  if (file == nullptr) return std::nullopt;
  base::Bytes out;
  std::array<std::uint8_t, 65536> part{};
  for (std::size_t size = 0; (size = std::fread(part.data(), 1, part.size(), file)) > 0;) {
    out.insert(out.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(size));
  }
  std::fclose(file);
  return out;
}

struct Field {
  const char* key;
  CollateralKind kind;
  bool hex;
};
// The members of a collateral bundle as dcap-qvl and PCCS clients write it.
constexpr std::array<Field, 10> kFields{{
    {"tcb_info", CollateralKind::tcb_info, false},
    {"tcb_info_signature", CollateralKind::tcb_info_signature, true},
    {"tcb_info_issuer_chain", CollateralKind::tcb_info_chain, false},
    {"qe_identity", CollateralKind::qe_identity, false},
    {"qe_identity_signature", CollateralKind::qe_identity_signature, true},
    {"qe_identity_issuer_chain", CollateralKind::qe_identity_chain, false},
    {"pck_crl", CollateralKind::pck_crl, true},
    {"pck_crl_issuer_chain", CollateralKind::pck_crl_chain, false},
    {"root_ca_crl", CollateralKind::root_ca_crl, true},
    {"pck_certificate_chain", CollateralKind::pck_chain, false},
}};

void read_bundle(const base::Bytes& text, std::vector<attestation::CollateralItem>& items,
                 std::vector<attestation::CollateralProblem>& problems) {
  const auto document = base::JsonDocument::parse(std::string{base::as_text(text)}, {.max_bytes = 8u << 20});
  if (!document) return;
  for (const Field& field : kFields) {
    const auto member = (*document)->root().find(field.key);
    if (!member) continue;
    auto value = member->string(field.key);
    if (!value) {
      problems.push_back({field.kind, value.error().what});
    } else if (!field.hex) {
      items.push_back({field.kind, base::to_bytes(*value)});
    } else if (auto bytes = base::hex_decode(*value)) {
      items.push_back({field.kind, *std::move(bytes)});
    } else {
      problems.push_back({field.kind, std::string{field.key} + ": not hex"});
    }
  }
}

struct ItemFile {
  const char* name;
  CollateralKind kind;
};
constexpr std::array<ItemFile, 5> kItemFiles{{
    {"vcek.der", CollateralKind::vek},
    {"vlek.der", CollateralKind::vek},
    {"cert_chain.pem", CollateralKind::amd_chain},
    {"crl.der", CollateralKind::amd_crl},
    {"jwks.json", CollateralKind::jwks},
}};

/// Everything of a folder that `attestry verify FOLDER` takes for collateral.
std::shared_ptr<const attestation::Collateral> read_collateral(const std::string& folder) {
  std::vector<attestation::CollateralItem> items;
  std::vector<attestation::CollateralProblem> problems;
  if (const auto text = read_file((folder + "/collateral.json").c_str())) read_bundle(*text, items, problems);
  for (const ItemFile& file : kItemFiles) {
    if (auto bytes = read_file((folder + "/" + file.name).c_str())) items.push_back({file.kind, *std::move(bytes)});
  }
  return attestation::Collateral::make(std::move(items), std::move(problems));
}

struct EvidenceFile {
  const char* name;
  attestation::EvidenceFormat format;
};
/// What a quote is, its bytes say; other broken evidence needs the name to be judged as what it was.
constexpr std::array<EvidenceFile, 4> kEvidenceFiles{{
    {"quote.bin", attestation::EvidenceFormat::unknown},
    {"report.bin", attestation::EvidenceFormat::snp_report},
    {"attestation.cbor", attestation::EvidenceFormat::nitro_document},
    {"token.jwt", attestation::EvidenceFormat::maa_token},
}};

std::optional<attestation::Evidence> read_evidence(const std::string& folder) {
  for (const EvidenceFile& file : kEvidenceFiles) {
    auto bytes = read_file((folder + "/" + file.name).c_str());
    if (!bytes) continue;
    auto format = file.format;
    if (format == attestation::EvidenceFormat::unknown) format = attestation::detect_format(*bytes);
    if (format == attestation::EvidenceFormat::maa_token && !bytes->empty() && bytes->back() == '\n') bytes->pop_back();
    return attestation::Evidence{.format = format, .bytes = *std::move(bytes)};
  }
  return std::nullopt;
}

std::optional<attestation::TrustAnchors> read_anchors(std::string_view paths) {
  if (paths == "-") return attestation::TrustAnchors::production();
  std::vector<attestation::TestRoot> roots;
  while (!paths.empty()) {
    const auto end = std::min(paths.find(','), paths.size());
    const auto pem = read_file(std::string{paths.substr(0, end)}.c_str());
    if (!pem) return std::nullopt;
    auto root = attestation::TestRoot::from_certificate(*pem);
    if (!root) return std::nullopt;
    roots.push_back(*std::move(root));
    paths.remove_prefix(std::min(end + 1, paths.size()));
  }
  return attestation::TrustAnchors::simulated(std::move(roots));
}

int refuse_usage(const char* why) {
  std::fprintf(stderr, "verify: %s\nusage: verify FOLDER TIME [ROOT.pem,…|-] [ISSUER]\n", why);
  return 2;
}

int run(const std::vector<const char*>& args) {
  if (args.size() < 3 || args.size() > 5) return refuse_usage("two to four arguments");
  const auto evidence = read_evidence(args[1]);
  if (!evidence) return refuse_usage("no evidence in the folder");
  const auto at = base::parse_rfc3339(args[2]);
  if (!at) return refuse_usage("the time is not RFC 3339");
  auto anchors = read_anchors(args.size() > 3 ? args[3] : "-");
  if (!anchors) return refuse_usage("cannot read the root");
  if (args.size() == 5) {
    auto widened = anchors->with_token_issuers({args[4]});
    if (!widened) return refuse_usage("the issuer is no https URL");
    anchors = *std::move(widened);
  }
  const auto collateral = read_collateral(args[1]);

  const attestation::Verifier verifier{*std::move(anchors)};
  auto verdict = verifier.verify(*evidence, *collateral, *at);
  if (!verdict) {
    std::fprintf(stderr, "verify: %s\n", verdict.error().what.c_str());
    return 3;
  }
  attestation::evaluate(attestation::Policy::genuine(), *verdict);
  std::puts(attestation::to_json(*verdict).c_str());
  switch (verdict->outcome) {
    case attestation::Outcome::accepted:
      return 0;
    case attestation::Outcome::refused:
      return 1;
    case attestation::Outcome::undecided:
      return 3;
  }
  return 3;
}

}  // namespace

int main(int argc, char** argv) { return run({argv, argv + argc}); }
