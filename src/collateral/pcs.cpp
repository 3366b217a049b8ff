#include "collateral/pcs.h"

#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>

#include "base/encoding.h"
#include "base/json.h"
#include "collateral/internal/get_document.h"
#include "crypto/x509.h"

namespace attestry::collateral {
namespace {

using attestation::CollateralKind;
using base::Code;
using base::Error;
using base::Result;
using base::Status;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string upper_hex(base::ByteView bytes) {
  std::string out = base::hex(bytes);
  for (char& c : out) {
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

Error no_collateral(const std::string& url, std::string_view what, std::string expected, std::string found) {
  return {Code::unavailable, url + ": " + std::string{what}, std::move(expected), std::move(found)};
}

/// The PEM chain in the first of these headers that is there: Intel's API gives the TCB info's chain as
/// TCB-Info-Issuer-Chain, older versions and some PCCS as SGX-TCB-Info-Issuer-Chain.
Result<base::Bytes> chain_from(const net::Response& response, const std::string& url,
                               std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const auto value = response.headers.find(name);
    if (!value) continue;
    const auto pem = base::percent_decode(*value);
    const auto blocks = pem.ok() ? base::pem_decode(*pem) : Result<std::vector<base::PemBlock>>(pem.error());
    if (!blocks.ok()) {
      return no_collateral(url, "header " + std::string{name} + ": " + blocks.error().text(), "a PEM chain", "");
    }
    if (blocks->empty()) return no_collateral(url, "header " + std::string{name}, "a PEM chain", "no certificate");
    return base::to_bytes(*pem);
  }
  return no_collateral(url, "no issuer chain", std::string{*names.begin()} + " header", "none");
}

/// DER as Intel's API gives it for encoding=der; PEM or hex text as PCCS do.
std::optional<base::Bytes> crl_from(std::string_view body) {
  const auto is_crl = [](base::ByteView der) { return crypto::Crl::parse(der).ok(); };
  if (is_crl(base::as_bytes(body))) return base::to_bytes(body);
  const std::string_view text = trimmed(body);
  if (auto der = base::hex_decode(text); der.ok() && is_crl(*der)) return *std::move(der);
  if (auto blocks = base::pem_decode(text); blocks.ok() && blocks->size() == 1 && is_crl(blocks->front().der)) {
    return std::move(blocks->front().der);
  }
  return std::nullopt;
}

/// {"<member>": <signed text>, "signature": "hex"}: the text is taken as it stands, because another serialisation of
/// the same value has another signature.
Status add_signed(const net::Response& response, const std::string& url, std::string_view member, CollateralKind text,
                  CollateralKind signature, Bundle& out) {
  const auto document = base::JsonDocument::parse(response.body, {.max_bytes = response.body.size()});
  if (!document.ok()) return no_collateral(url, "reply: " + document.error().text(), "a JSON object", "");
  const auto body = (*document)->root().find(member);
  const auto hex = (*document)->root().find("signature");
  if (!body || !body->is_object() || !hex) {
    return no_collateral(url, "reply", "members " + std::string{member} + " and signature", "another document");
  }
  const auto plain = hex->plain_string();
  auto bytes = base::hex_decode(plain.value_or("-"));
  if (!bytes.ok()) return no_collateral(url, "reply", "a signature in hex", "something else");
  out.set(text, base::to_bytes(body->source()));
  out.set(signature, *std::move(bytes));
  return base::done();
}

std::string api(bool tdx) { return tdx ? "/tdx/certification/v4/" : "/sgx/certification/v4/"; }

PcsOptions tidy(PcsOptions options) {
  while (options.base_url.ends_with('/')) options.base_url.pop_back();
  return options;
}

}  // namespace

PcsClient::PcsClient(net::HttpTransport& transport, PcsOptions options)
    : transport_(transport),
      options_(tidy(std::move(options))),
      intel_(internal::host_of(options_.base_url) == internal::host_of(kIntelPcs)) {}

Result<net::Response> PcsClient::get(const std::string& url, Call& call) const {
  return internal::get_document(transport_, {url, call.deadline, options_.max_bytes}, call.trouble);
}

std::string PcsClient::url(const attestation::Artefact& artefact) const {
  if (const auto* info = std::get_if<attestation::TcbInfoOf>(&artefact)) {
    return options_.base_url + api(info->tdx) + "tcb?fmspc=" + upper_hex(info->fmspc);
  }
  if (const auto* identity = std::get_if<attestation::QeIdentityOf>(&artefact)) {
    return options_.base_url + api(identity->tdx) + "qe/identity";
  }
  if (const auto* crl = std::get_if<attestation::PckCrlOf>(&artefact)) {
    const std::string ca = crl->platform_ca ? "platform" : "processor";
    return options_.base_url + "/sgx/certification/v4/pckcrl?ca=" + ca + "&encoding=der";
  }
  return intel_ ? options_.root_crl_url : options_.base_url + "/sgx/certification/v4/rootcacrl";
}

Status PcsClient::add_tcb_info(const std::string& url, Call& call) const {
  TRY(const net::Response response, get(url, call), "TCB info");
  TRY_OK(add_signed(response, url, "tcbInfo", CollateralKind::tcb_info, CollateralKind::tcb_info_signature, call.out));
  TRY(base::Bytes chain, chain_from(response, url, {"TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain"}));
  call.out.set(CollateralKind::tcb_info_chain, std::move(chain));
  return base::done();
}

Status PcsClient::add_qe_identity(const std::string& url, Call& call) const {
  TRY(const net::Response response, get(url, call), "QE identity");
  TRY_OK(add_signed(response, url, "enclaveIdentity", CollateralKind::qe_identity,
                    CollateralKind::qe_identity_signature, call.out));
  TRY(base::Bytes chain,
      chain_from(response, url, {"SGX-Enclave-Identity-Issuer-Chain", "Enclave-Identity-Issuer-Chain"}));
  call.out.set(CollateralKind::qe_identity_chain, std::move(chain));
  return base::done();
}

Status PcsClient::add_pck_crl(const std::string& url, Call& call) const {
  TRY(const net::Response response, get(url, call), "PCK CRL");
  auto crl = crl_from(response.body);
  if (!crl) return no_collateral(url, "reply", "a CRL", std::to_string(response.body.size()) + " bytes that are none");
  call.out.set(CollateralKind::pck_crl, *std::move(crl));
  TRY(base::Bytes chain, chain_from(response, url, {"SGX-PCK-CRL-Issuer-Chain", "PCK-CRL-Issuer-Chain"}));
  call.out.set(CollateralKind::pck_crl_chain, std::move(chain));
  return base::done();
}

Status PcsClient::add_root_crl(std::string url, Call& call) const {
  if (url.empty()) return Error{Code::unavailable, "root CRL: Intel's API has none, and no other address is set"};
  auto response = get(url, call);
  const bool elsewhere = !intel_ && !options_.root_crl_url.empty();
  if (!response.ok() && response.error().code == Code::collateral_missing && elsewhere) {
    url = options_.root_crl_url;
    response = get(url, call);
  }
  if (!response.ok()) return std::move(response).error().at("root CRL");
  auto crl = crl_from(response->body);
  if (!crl) return no_collateral(url, "reply", "a CRL", std::to_string(response->body.size()) + " bytes that are none");
  call.out.set(CollateralKind::root_ca_crl, *std::move(crl));
  call.source = url;
  return base::done();
}

Status PcsClient::add(const attestation::Artefact& artefact, Call& call) const {
  const std::string address = url(artefact);
  call.source = address;
  if (std::holds_alternative<attestation::TcbInfoOf>(artefact)) return add_tcb_info(address, call);
  if (std::holds_alternative<attestation::QeIdentityOf>(artefact)) return add_qe_identity(address, call);
  if (std::holds_alternative<attestation::PckCrlOf>(artefact)) return add_pck_crl(address, call);
  if (std::holds_alternative<attestation::RootCrlOf>(artefact)) return add_root_crl(address, call);
  return Error{Code::internal, "not an artefact of Intel's: " + to_text(artefact)};
}

Result<Bundle> PcsClient::fetch(const attestation::DcapNeeds& needs, base::Deadline deadline) const {
  Bundle out;
  Trouble unused;
  Call call{.deadline = deadline, .trouble = unused, .out = out};
  const std::vector<attestation::Needs> ways = needs_of(needs);
  for (const attestation::Artefact& artefact : ways.front().artefacts) TRY_OK(add(artefact, call));
  return out;
}

Result<Fetched> PcsClient::fetch(const attestation::Artefact& artefact, base::Deadline deadline,
                                 Trouble& trouble) const {
  Bundle out;
  Call call{.deadline = deadline, .trouble = trouble, .out = out};
  TRY_OK(add(artefact, call));
  return Fetched{std::move(out.items), internal::without_query(call.source)};
}

}  // namespace attestry::collateral
