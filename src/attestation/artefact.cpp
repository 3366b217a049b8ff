#include "attestation/artefact.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "attestation/maa/jwt.h"
#include "attestation/snp/report.h"
#include "base/encoding.h"

namespace attestry::attestation {
namespace {

using base::Code;
using base::Error;
using base::Result;
using snp::Product;

constexpr std::size_t kChipSize = 64;
constexpr std::size_t kTurinChipSize = 8;
constexpr std::size_t kMaxIssuer = 512;

constexpr std::array kTcbInfo{CollateralKind::tcb_info, CollateralKind::tcb_info_signature,
                              CollateralKind::tcb_info_chain};
constexpr std::array kQeIdentity{CollateralKind::qe_identity, CollateralKind::qe_identity_signature,
                                 CollateralKind::qe_identity_chain};
constexpr std::array kPckCrl{CollateralKind::pck_crl, CollateralKind::pck_crl_chain};
constexpr std::array kRootCrl{CollateralKind::root_ca_crl};
constexpr std::array kVek{CollateralKind::vek};
constexpr std::array kAmdChain{CollateralKind::amd_chain};
constexpr std::array kAmdCrl{CollateralKind::amd_crl};
constexpr std::array kJwks{CollateralKind::jwks};

std::string_view tee(bool tdx) { return tdx ? "tdx" : "sgx"; }
std::string_view ca(bool platform) { return platform ? "platform" : "processor"; }
std::string_view key(bool vlek) { return vlek ? "vlek" : "vcek"; }

std::string join(std::string_view kind, std::string_view a, std::string_view b = {}, std::string_view c = {}) {
  std::string out{kind};
  for (const std::string_view part : {a, b, c}) {
    if (!part.empty()) out.append("/").append(part);
  }
  return out;
}

std::string tcb_text(Product product, const snp::Tcb& tcb) {
  const std::string fmc = product == Product::turin ? "fmc" + std::to_string(tcb.fmc) + "-" : "";
  return fmc + "bl" + std::to_string(tcb.boot_loader) + "-tee" + std::to_string(tcb.tee) + "-snp" +
         std::to_string(tcb.snp) + "-ucode" + std::to_string(tcb.microcode);
}

struct Texts {
  std::string operator()(const TcbInfoOf& a) const { return join("tcb_info", tee(a.tdx), base::hex(a.fmspc)); }
  std::string operator()(const QeIdentityOf& a) const { return join("qe_identity", tee(a.tdx)); }
  std::string operator()(const PckCrlOf& a) const { return join("pck_crl", ca(a.platform_ca)); }
  std::string operator()(const RootCrlOf&) const { return "root_ca_crl/intel"; }
  std::string operator()(const VcekOf& a) const {
    return join("vcek", to_text(a.product), base::hex(a.hwid), tcb_text(a.product, a.tcb));
  }
  std::string operator()(const VlekOf& a) const { return join("vlek", to_text(a.product), tcb_text(a.product, a.tcb)); }
  std::string operator()(const AmdChainOf& a) const { return join("amd_chain", to_text(a.product), key(a.vlek)); }
  std::string operator()(const AmdCrlOf& a) const { return join("amd_crl", to_text(a.product), key(a.vlek)); }
  std::string operator()(const JwksOf& a) const { return join("jwks", a.issuer); }
};

/// Takes a text apart at its slashes. Every step notes when something else stands there than may stand there.
class Parts {
 public:
  explicit Parts(std::string_view text) : rest_(text) {}

  std::string_view next() {
    const std::size_t slash = rest_.find('/');
    const std::string_view part = rest_.substr(0, slash);
    ended_ = slash == std::string_view::npos;
    rest_ = ended_ ? std::string_view{} : rest_.substr(slash + 1);
    return part;
  }
  std::string_view rest() {
    ended_ = true;
    return std::exchange(rest_, {});
  }
  bool either(std::string_view yes, std::string_view no) {
    const std::string_view part = next();
    good_ = good_ && (part == yes || part == no);
    return part == yes;
  }
  Product product() {
    const std::string_view part = next();
    for (const Product known : {Product::milan, Product::genoa, Product::turin}) {
      if (part == to_text(known)) return known;
    }
    good_ = false;
    return Product::milan;
  }
  base::Bytes bytes(std::size_t size) {
    const std::string_view part = next();
    auto out = base::hex_decode(part);
    good_ = good_ && out.ok() && out->size() == size && base::hex(*out) == part;
    return out.ok() ? *std::move(out) : base::Bytes{};
  }
  snp::Tcb tcb(Product product) {
    std::string_view text = next();
    snp::Tcb out;
    if (product == Product::turin) component(text, "fmc", out.fmc);
    component(text, product == Product::turin ? "-bl" : "bl", out.boot_loader);
    component(text, "-tee", out.tee);
    component(text, "-snp", out.snp);
    component(text, "-ucode", out.microcode);
    good_ = good_ && text.empty();
    return out;
  }
  void require(bool good) { good_ = good_ && good; }
  bool good() const { return good_ && ended_ && rest_.empty(); }

 private:
  void component(std::string_view& text, std::string_view name, std::uint8_t& out) {
    if (!text.starts_with(name)) {
      good_ = false;
      return;
    }
    text.remove_prefix(name.size());
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    const auto digits = static_cast<std::size_t>(end - text.data());
    good_ = good_ && error == std::errc{} && (digits == 1 || text.front() != '0');
    text.remove_prefix(digits);
  }

  std::string_view rest_;
  bool good_ = true;
  bool ended_ = false;
};

Artefact read(std::string_view kind, Parts& parts) {
  if (kind == "tcb_info") {
    TcbInfoOf out{.tdx = parts.either("tdx", "sgx")};
    const base::Bytes fmspc = parts.bytes(out.fmspc.size());
    if (fmspc.size() == out.fmspc.size()) std::ranges::copy(fmspc, out.fmspc.begin());
    return out;
  }
  if (kind == "qe_identity") return QeIdentityOf{parts.either("tdx", "sgx")};
  if (kind == "pck_crl") return PckCrlOf{parts.either("platform", "processor")};
  if (kind == "root_ca_crl") {
    parts.require(parts.next() == "intel");
    return RootCrlOf{};
  }
  if (kind == "vcek") {
    VcekOf out{.product = parts.product(), .hwid = {}, .tcb = {}};
    out.hwid = parts.bytes(out.product == Product::turin ? kTurinChipSize : kChipSize);
    out.tcb = parts.tcb(out.product);
    return out;
  }
  if (kind == "vlek") {
    VlekOf out{.product = parts.product(), .tcb = {}};
    out.tcb = parts.tcb(out.product);
    return out;
  }
  if (kind == "amd_chain") {
    const Product product = parts.product();
    return AmdChainOf{product, parts.either("vlek", "vcek")};
  }
  if (kind == "amd_crl") {
    const Product product = parts.product();
    return AmdCrlOf{product, parts.either("vlek", "vcek")};
  }
  parts.require(kind == "jwks");
  JwksOf out{std::string{parts.rest()}};
  parts.require(out.issuer.starts_with("https://") && out.issuer.size() <= kMaxIssuer && !out.issuer.ends_with('/'));
  return out;
}

bool all_zero(base::ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t b) { return b == 0; });
}

Needs snp_needs(const snp::Report& report, Product product) {
  const bool vlek = report.signing_key() == static_cast<unsigned>(snp::SigningKey::vlek);
  const snp::Tcb tcb = unpack_tcb(product, report.reported_tcb);
  Needs out;
  if (vlek) {
    out.artefacts.emplace_back(VlekOf{product, tcb});
  } else if (all_zero(report.chip_id)) {
    out.problems.push_back({.kind = CollateralKind::vek,
                            .what = "the host hides the chip id (MASK_CHIP_ID): nobody can say which VCEK signed this",
                            .missing = true});
  } else {
    const std::size_t size = product == Product::turin ? kTurinChipSize : kChipSize;
    out.artefacts.emplace_back(VcekOf{product, base::to_bytes(report.chip_id.first(size)), tcb});
  }
  out.artefacts.emplace_back(AmdChainOf{product, vlek});
  out.artefacts.emplace_back(AmdCrlOf{product, vlek});
  return out;
}

std::vector<Needs> snp_needs(base::ByteView evidence) {
  const auto report = snp::parse_report(evidence);
  // Of a version that nobody knows the fields may stand elsewhere, and a reserved key is nobody's.
  if (!report || !snp::known_version(report->version)) return {};
  if (report->signing_key() > static_cast<unsigned>(snp::SigningKey::vlek)) return {};
  if (!report->cpuid) return {snp_needs(*report, Product::milan), snp_needs(*report, Product::genoa)};
  const auto product = snp::product_of_cpuid(report->cpuid->family, report->cpuid->model);
  if (!product) return {};
  return {snp_needs(*report, *product)};
}

std::vector<Needs> maa_needs(base::ByteView evidence, std::span<const std::string> issuers) {
  const auto jws = maa::parse_jws(base::as_text(evidence));
  if (!jws) return {};
  const auto header = maa::parse_jws_header(jws->header);
  const auto claims = maa::parse_claims(jws->payload);
  if (!header || !claims) return {};
  const auto member = (*claims)->root().find("iss");
  if (!member) return {};
  const auto issuer = member->string("iss");
  // Whom to ask is for the operator to say, never for the token (attestation_checks 4).
  if (!issuer || std::ranges::find(issuers, *issuer) == issuers.end()) return {};
  Needs out;
  out.artefacts.emplace_back(JwksOf{*issuer});
  out.key_id = header->kid.value_or("");
  return {std::move(out)};
}

}  // namespace

std::string_view kind_of(const Artefact& artefact) noexcept {
  constexpr std::array<std::string_view, std::variant_size_v<Artefact>> kKinds{
      "tcb_info", "qe_identity", "pck_crl", "root_ca_crl", "vcek", "vlek", "amd_chain", "amd_crl", "jwks"};
  return kKinds[artefact.index()];
}

std::string to_text(const Artefact& artefact) { return std::visit(Texts{}, artefact); }

Result<Artefact> parse_artefact(std::string_view text) {
  Parts parts(text);
  const std::string_view kind = parts.next();
  Artefact out = read(kind, parts);
  if (parts.good()) return out;
  return Error{Code::malformed, "no name of collateral", "such as tcb_info/tdx/50806f000000 or amd_crl/Genoa/vcek",
               std::string{text.substr(0, kMaxIssuer)}};
}

std::span<const CollateralKind> documents_of(const Artefact& artefact) noexcept {
  constexpr std::array<std::span<const CollateralKind>, std::variant_size_v<Artefact>> kDocuments{
      kTcbInfo, kQeIdentity, kPckCrl, kRootCrl, kVek, kVek, kAmdChain, kAmdCrl, kJwks};
  return kDocuments[artefact.index()];
}

std::vector<Needs> needs_of(const DcapNeeds& needs) {
  Needs out;
  out.artefacts = {TcbInfoOf{needs.tdx, needs.fmspc}, QeIdentityOf{needs.tdx}, PckCrlOf{needs.platform_ca},
                   RootCrlOf{}};
  return {std::move(out)};
}

DcapNeeds dcap_needs_in(const Needs& needs) {
  DcapNeeds out;
  for (const Artefact& artefact : needs.artefacts) {
    if (const auto* info = std::get_if<TcbInfoOf>(&artefact)) {
      out.tdx = info->tdx;
      out.fmspc = info->fmspc;
    }
    if (const auto* crl = std::get_if<PckCrlOf>(&artefact)) out.platform_ca = crl->platform_ca;
  }
  return out;
}

std::vector<Needs> needs_of(const Evidence& evidence, std::span<const std::string> issuers) {
  switch (evidence.format) {
    case EvidenceFormat::dcap_quote: {
      const auto needs = dcap_needs(evidence.bytes);
      return needs ? needs_of(*needs) : std::vector<Needs>{};
    }
    case EvidenceFormat::snp_report:
      return snp_needs(evidence.bytes);
    case EvidenceFormat::maa_token:
      return maa_needs(evidence.bytes, issuers);
    case EvidenceFormat::nitro_document:  // brings its chain, and AWS has no revocation list
    case EvidenceFormat::unknown:
      break;
  }
  return {};
}

bool older(const Accepted& candidate, const Accepted& held) {
  if (candidate.number != held.number) return candidate.number < held.number;
  if (candidate.issued != held.issued) return candidate.issued < held.issued;
  // RFC 5280 5.2.3: of two lists of one second the number says which came later.
  const base::Bytes& a = candidate.crl_number;
  const base::Bytes& b = held.crl_number;
  if (a.empty() || b.empty()) return false;
  if (a.size() != b.size()) return a.size() < b.size();
  return std::ranges::lexicographical_compare(a, b);
}

void name_key_origin(const Artefact& artefact, std::vector<CollateralItem>& documents) {
  const auto* keys = std::get_if<JwksOf>(&artefact);
  if (keys == nullptr) return;
  for (CollateralItem& item : documents) {
    if (item.kind == CollateralKind::jwks) item.origin = keys->issuer;
  }
}

}  // namespace attestry::attestation
