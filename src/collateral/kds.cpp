#include "collateral/kds.h"

#include <utility>

#include "base/encoding.h"
#include "collateral/internal/get_document.h"
#include "crypto/x509.h"

namespace attestry::collateral {
namespace {

using attestation::AmdChainOf;
using attestation::AmdCrlOf;
using attestation::CollateralKind;
using attestation::VcekOf;
using attestation::snp::Product;
using base::Code;
using base::Error;
using base::Result;

/// Two digits at least, as AMD's own examples write them; the service takes both.
std::string spl(std::string_view name, std::uint8_t value) {
  return std::string{name} + "SPL=" + (value < 10 ? "0" : "") + std::to_string(value);
}

std::string vcek_path(const VcekOf& vcek) {
  std::string out = "/vcek/v1/" + std::string{to_text(vcek.product)} + "/" + base::hex(vcek.hwid) + "?";
  if (vcek.product == Product::turin) out += spl("fmc", vcek.tcb.fmc) + "&";
  return out + spl("bl", vcek.tcb.boot_loader) + "&" + spl("tee", vcek.tcb.tee) + "&" + spl("snp", vcek.tcb.snp) + "&" +
         spl("ucode", vcek.tcb.microcode);
}

std::string product_path(Product product, bool vlek, std::string_view what) {
  return std::string{vlek ? "/vlek/v1/" : "/vcek/v1/"} + std::string{to_text(product)} + "/" + std::string{what};
}

Error no_collateral(const std::string& url, std::string expected, std::size_t size) {
  return {Code::unavailable, url + ": reply", std::move(expected), std::to_string(size) + " bytes of something else"};
}

/// Whether it can be what was asked for, so that an error page is not taken for a forged certificate.
bool readable(const attestation::Artefact& artefact, const std::string& body) {
  const base::ByteView bytes = base::as_bytes(body);
  if (std::holds_alternative<VcekOf>(artefact)) return crypto::Certificate::parse(bytes).ok();
  if (std::holds_alternative<AmdCrlOf>(artefact)) return crypto::Crl::parse(bytes).ok();
  const auto blocks = base::pem_decode(body);
  return blocks.ok() && blocks->size() == 2;
}

std::string_view form_of(const attestation::Artefact& artefact) {
  if (std::holds_alternative<VcekOf>(artefact)) return "a DER certificate";
  return std::holds_alternative<AmdCrlOf>(artefact) ? "a DER CRL" : "a PEM chain of 2 certificates";
}

}  // namespace

KdsClient::KdsClient(net::HttpTransport& transport, KdsOptions options)
    : transport_(transport), options_(std::move(options)) {
  options_.base_url = internal::without_slash(std::move(options_.base_url));
}

std::string KdsClient::url(const attestation::Artefact& artefact) const {
  if (const auto* vcek = std::get_if<VcekOf>(&artefact)) return options_.base_url + vcek_path(*vcek);
  if (const auto* chain = std::get_if<AmdChainOf>(&artefact)) {
    return options_.base_url + product_path(chain->product, chain->vlek, "cert_chain");
  }
  if (const auto* crl = std::get_if<AmdCrlOf>(&artefact)) {
    return options_.base_url + product_path(crl->product, crl->vlek, "crl");
  }
  return {};
}

Result<Fetched> KdsClient::fetch(const attestation::Artefact& artefact, base::Deadline deadline,
                                 Trouble& trouble) const {
  if (std::holds_alternative<attestation::VlekOf>(artefact)) return vlek_error(artefact);
  const std::string address = url(artefact);
  if (address.empty()) return Error{Code::internal, "not an artefact of AMD's: " + to_text(artefact)};
  TRY(const net::Response response,
      internal::get_document(transport_, {address, deadline, options_.max_bytes, true}, trouble), kind_of(artefact));
  if (!readable(artefact, response.body)) {
    return no_collateral(internal::without_query(address), std::string{form_of(artefact)}, response.body.size());
  }
  Fetched out{.items = {}, .source = internal::without_query(address)};
  out.items.push_back({.kind = documents_of(artefact).front(), .bytes = base::to_bytes(response.body)});
  return out;
}

Error vlek_error(const attestation::Artefact& artefact) {
  return {.code = Code::collateral_missing,
          .what = to_text(artefact) + ": AMD's service gives out no VLEK certificates",
          .expected = "the certificate from the cloud provider",
          .found = "none",
          .remedy =
              "The provider hands it to its guests with an extended report (SNP_GET_EXT_REPORT; `snpguest "
              "certificates`). Send it as collateral.vek with the report, or import it once: "
              "`attestry collateral import vlek.der`."};
}

}  // namespace attestry::collateral
