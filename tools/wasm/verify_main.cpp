// Verifies one piece of evidence inside WebAssembly and prints the verdict as JSON: the proof that the pure rooms need
// no host beyond memory. The files come through WASI, the time as an argument.
//
//   verify.wasm QUOTE COLLATERAL.json|- TIME [ROOT.pem]      exit 0 accepted, 1 refused, 2 usage, 3 undecided
#include <array>
#include <cstdio>
#include <optional>
#include <string>
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

std::shared_ptr<const attestation::Collateral> read_collateral(const base::Bytes& text) {
  const auto document = base::JsonDocument::parse(std::string{base::as_text(text)}, {.max_bytes = 8u << 20});
  if (!document) return attestation::Collateral::none();
  std::vector<attestation::CollateralItem> items;
  std::vector<attestation::CollateralProblem> problems;
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
  return attestation::Collateral::make(std::move(items), std::move(problems));
}

std::optional<attestation::TrustAnchors> read_anchors(const char* path) {
  if (path == nullptr) return attestation::TrustAnchors::production();
  const auto pem = read_file(path);
  if (!pem) return std::nullopt;
  auto root = attestation::TestRoot::from_certificate(*pem);
  if (!root) return std::nullopt;
  std::vector<attestation::TestRoot> roots;
  roots.push_back(*std::move(root));
  return attestation::TrustAnchors::simulated(std::move(roots));
}

int refuse_usage(const char* why) {
  std::fprintf(stderr, "verify: %s\nusage: verify QUOTE COLLATERAL.json|- TIME [ROOT.pem]\n", why);
  return 2;
}

int run(const std::vector<const char*>& args) {
  if (args.size() < 4 || args.size() > 5) return refuse_usage("three or four arguments");
  const auto quote = read_file(args[1]);
  if (!quote) return refuse_usage("cannot read the evidence");
  auto collateral = attestation::Collateral::none();
  if (std::string_view{args[2]} != "-") {
    const auto text = read_file(args[2]);
    if (!text) return refuse_usage("cannot read the collateral");
    collateral = read_collateral(*text);
  }
  const auto at = base::parse_rfc3339(args[3]);
  if (!at) return refuse_usage("the time is not RFC 3339");
  auto anchors = read_anchors(args.size() == 5 ? args[4] : nullptr);
  if (!anchors) return refuse_usage("cannot read the root");

  const attestation::Verifier verifier{*std::move(anchors)};
  auto verdict = verifier.verify({attestation::detect_format(*quote), *quote}, *collateral, *at);
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
