#include "attestation/collateral.h"

#include <algorithm>

#include "attestation/dcap/chain.h"
#include "attestation/dcap/pck_extension.h"
#include "attestation/dcap/quote.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/x509.h"

namespace attestry::attestation {

std::string_view to_text(CollateralKind kind) noexcept {
  switch (kind) {
    case CollateralKind::tcb_info:
      return "tcb_info";
    case CollateralKind::tcb_info_signature:
      return "tcb_info_signature";
    case CollateralKind::tcb_info_chain:
      return "tcb_info_chain";
    case CollateralKind::qe_identity:
      return "qe_identity";
    case CollateralKind::qe_identity_signature:
      return "qe_identity_signature";
    case CollateralKind::qe_identity_chain:
      return "qe_identity_chain";
    case CollateralKind::pck_crl:
      return "pck_crl";
    case CollateralKind::pck_crl_chain:
      return "pck_crl_chain";
    case CollateralKind::root_ca_crl:
      return "root_ca_crl";
    case CollateralKind::pck_chain:
      return "pck_chain";
    case CollateralKind::vek:
      return "vek";
    case CollateralKind::amd_chain:
      return "amd_chain";
    case CollateralKind::amd_crl:
      return "amd_crl";
    case CollateralKind::jwks:
      return "jwks";
  }
  return "unknown";
}

std::shared_ptr<const Collateral> Collateral::make(std::vector<CollateralItem> items,
                                                   std::vector<CollateralProblem> problems,
                                                   std::optional<std::int64_t> stale_seconds) {
  const std::shared_ptr<Collateral> out{new Collateral()};
  out->items_ = std::move(items);
  out->problems_ = std::move(problems);
  out->stale_seconds_ = stale_seconds;
  const auto by_kind = [](const auto& a, const auto& b) { return a.kind < b.kind; };
  std::sort(out->items_.begin(), out->items_.end(), by_kind);
  // Of two items of a kind nobody could say which was judged: neither is.
  for (auto it = out->items_.begin(); it != out->items_.end();) {
    const CollateralKind kind = it->kind;
    const auto end = std::find_if(it, out->items_.end(), [&](const CollateralItem& i) { return i.kind != kind; });
    if (end - it > 1) {
      out->problems_.push_back({kind, std::string{to_text(kind)} + " is given more than once"});
      it = out->items_.erase(it, end);
    } else {
      it = end;
    }
  }
  base::LpWriter digest_input;
  digest_input.lp("attestry/collateral/1");
  for (CollateralItem& item : out->items_) {
    item.sha256 = crypto::sha256(item.bytes);
    digest_input.u8(static_cast<std::uint8_t>(item.kind)).raw(item.sha256).lp(item.origin);
  }
  // A verdict tells the problems, too, so sets that differ in them are different sets.
  for (const CollateralProblem& problem : out->problems_) {
    digest_input.u8(static_cast<std::uint8_t>(0x80u | static_cast<unsigned>(problem.kind)));
    digest_input.u8(problem.missing ? 1 : 0).lp(problem.what);
  }
  out->digest_ = crypto::sha256(digest_input.bytes());
  return out;
}

std::shared_ptr<const Collateral> Collateral::none() {
  static const std::shared_ptr<const Collateral> empty = make({});
  return empty;
}

const CollateralItem* Collateral::find(CollateralKind kind) const noexcept {
  const auto found = std::ranges::find(items_, kind, &CollateralItem::kind);
  return found == items_.end() ? nullptr : &*found;
}

base::Result<DcapSubject> dcap_subject(base::ByteView quote) {
  const auto parsed = dcap::parse_quote(quote);
  if (!parsed) {
    const dcap::QuoteFault& fault = parsed.error();
    return base::Error{base::Code::malformed, "quote: " + fault.detail, fault.expected, fault.actual};
  }
  if (parsed->cert_data_type != dcap::kCertDataPckChain) {
    return base::Error{base::Code::malformed, "the quote carries no PCK certificate chain", "certification data type 5",
                       std::to_string(parsed->cert_data_type)};
  }
  // The leaf alone says what is needed, and this runs on every call; the verifier reads the whole chain.
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  const std::size_t end = base::as_text(parsed->cert_data).find(kEnd);
  return DcapSubject{
      .tdx = parsed->tee == dcap::Tee::tdx,
      .leaf = end == std::string_view::npos ? parsed->cert_data : parsed->cert_data.first(end + kEnd.size())};
}

base::Result<DcapNeeds> dcap_needs(const DcapSubject& subject) {
  TRY(const std::vector<crypto::Certificate> chain, dcap::read_chain(subject.leaf, 1), "PCK certificate");
  const auto content = chain.front().extension(dcap::kPckExtensionOid);
  if (!content) return base::Error{base::Code::malformed, "the PCK certificate has no SGX extension"};
  TRY(const dcap::PckExtension extension, dcap::parse_pck_extension(*content), "PCK certificate");
  DcapNeeds needs;
  needs.tdx = subject.tdx;
  needs.fmspc = extension.fmspc;
  needs.platform_ca = chain.front().issuer_cn().find("Platform") != std::string::npos;
  return needs;
}

base::Result<DcapNeeds> dcap_needs(base::ByteView quote) {
  TRY(const DcapSubject subject, dcap_subject(quote));
  return dcap_needs(subject);
}

}  // namespace attestry::attestation
