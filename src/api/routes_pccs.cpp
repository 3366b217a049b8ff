// Intel's PCS, API version 4, as a PCCS serves it: for verifiers that fetch their collateral from one. What is signed
// is given byte for byte. PCCSs differ from Intel's own service in three places, and clients know them: the PCK CRL is
// hex text unless an encoding is named, /rootcacrl is hex text, and /crl gives the root's CRL for its distribution
// point.
#include <array>
#include <string_view>

#include "api/serve_artefact.h"
#include "base/encoding.h"
#include "collateral/pcs.h"

namespace attestry::api {

using attestation::CollateralKind;
using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kPem = "application/x-pem-file";
constexpr std::string_view kCrl = "application/pkix-crl";

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

net::Response body_of(std::string_view type, std::string body) {
  return {.status = 200, .content_type = std::string{type}, .body = std::move(body), .headers = {}};
}

/// `update` and `tcbEvaluationDataNumber` choose among the sets that Intel publishes side by side. Held is the standard
/// one: another is 404, as at a PCCS that has it not, and never answered with this one.
Status check_set(const net::Request& request, const collateral::Held* held) {
  TRY(const std::string update, query_text(request, "update"));
  TRY(const std::string number, query_text(request, "tcbEvaluationDataNumber"));
  if (!update.empty() && !number.empty()) {
    return Error{Code::malformed, "update and tcbEvaluationDataNumber exclude each other"};
  }
  const std::string which = lower(update);
  if (!which.empty() && which != "standard" && which != "early") {
    return Error{Code::malformed, "query parameter update", "standard or early", update};
  }
  const bool digits = number.size() <= 9 && number.find_first_not_of("0123456789") == std::string::npos;
  if (!digits) return Error{Code::malformed, "query parameter tcbEvaluationDataNumber", "a number", number};
  if (which == "early") {
    return Error{Code::not_found, "this server holds no early TCB information", "update=standard", update};
  }
  if (held != nullptr && !number.empty() && std::stoul(number) != held->about.number) {
    return Error{Code::not_found, "this server holds no TCB information of that number",
                 std::to_string(held->about.number), number};
  }
  return base::done();
}

struct SignedDocument {
  std::string_view member;
  CollateralKind text;
  CollateralKind signature;
  CollateralKind chain;
  std::string_view chain_header;
};
constexpr SignedDocument kTcbInfo{"tcbInfo", CollateralKind::tcb_info, CollateralKind::tcb_info_signature,
                                  CollateralKind::tcb_info_chain, "TCB-Info-Issuer-Chain"};
constexpr SignedDocument kQeIdentity{"enclaveIdentity", CollateralKind::qe_identity,
                                     CollateralKind::qe_identity_signature, CollateralKind::qe_identity_chain,
                                     "SGX-Enclave-Identity-Issuer-Chain"};

Status add_chain(const collateral::Held& held, CollateralKind kind, std::string_view header, net::Response& response) {
  TRY(const auto pem, document(held, kind));
  response.headers.set(header, net::percent_encode(base::as_text(pem)));
  return base::done();
}

Result<net::Response> signed_reply(const collateral::Held& held, const SignedDocument& about) {
  TRY(const auto text, document(held, about.text));
  TRY(const auto signature, document(held, about.signature));
  std::string body = "{\"";
  body.append(about.member).append("\":").append(base::as_text(text));
  body.append(",\"signature\":\"").append(base::hex(signature)).append("\"}");
  auto response = body_of(kJson, std::move(body));
  TRY_OK(add_chain(held, about.chain, about.chain_header, response));
  return response;
}

/// What is wrong with the request is said before anything is looked up.
void serve_signed(const Deps& deps, const attestation::Artefact& artefact, const SignedDocument& about,
                  net::Request request, net::Responder responder) {
  if (const auto good = check_set(request, nullptr); !good) return responder.send(good.error());
  net::Request asked;  // what the second look needs, when the number of the set is known
  asked.query = request.query;
  serve_artefact(deps, artefact, std::move(request), std::move(responder),
                 [about, asked = std::move(asked)](const collateral::Held& held) -> Result<net::Response> {
                   TRY_OK(check_set(asked, &held));
                   return signed_reply(held, about);
                 });
}

Result<base::FixedBytes<6>> fmspc_of(const net::Request& request) {
  TRY(const std::string text, query_text(request, "fmspc"));
  base::FixedBytes<6> fmspc{};
  if (const auto read = base::hex_decode_into(text, fmspc); !read) {
    return Error{Code::malformed, "query parameter fmspc", "12 hex digits", text};
  }
  return fmspc;
}

void serve_tcb(const Deps& deps, bool tdx, net::Request request, net::Responder responder) {
  const auto fmspc = fmspc_of(request);
  if (!fmspc.ok()) return responder.send(fmspc.error());
  serve_signed(deps, attestation::TcbInfoOf{tdx, *fmspc}, kTcbInfo, std::move(request), std::move(responder));
}

enum class Encoding : std::uint8_t { hex, pem, der };

net::Response crl_reply(base::ByteView der, Encoding encoding) {
  if (encoding == Encoding::der) return body_of(kCrl, std::string{base::as_text(der)});
  return body_of(kPem, encoding == Encoding::pem ? base::pem_encode("X509 CRL", der) : base::hex(der));
}

struct PckCrlQuery {
  bool platform = false;
  Encoding encoding = Encoding::hex;
};

Result<PckCrlQuery> pck_crl_query(const net::Request& request) {
  TRY(const std::string ca, query_text(request, "ca"));
  TRY(const std::string encoding, query_text(request, "encoding"));
  PckCrlQuery out;
  out.platform = lower(ca) == "platform";
  if (!out.platform && lower(ca) != "processor") {
    return Error{Code::malformed, "query parameter ca", "platform or processor", ca};
  }
  if (lower(encoding) == "der") out.encoding = Encoding::der;
  if (lower(encoding) == "pem") out.encoding = Encoding::pem;
  if (!encoding.empty() && out.encoding == Encoding::hex) {
    return Error{Code::malformed, "query parameter encoding", "der or pem", encoding};
  }
  return out;
}

void serve_pck_crl(const Deps& deps, net::Request request, net::Responder responder) {
  const auto query = pck_crl_query(request);
  if (!query.ok()) return responder.send(query.error());
  serve_artefact(deps, attestation::PckCrlOf{query->platform}, std::move(request), std::move(responder),
                 [encoding = query->encoding](const collateral::Held& held) -> Result<net::Response> {
                   TRY(const auto der, document(held, CollateralKind::pck_crl));
                   auto response = crl_reply(der, encoding);
                   TRY_OK(add_chain(held, CollateralKind::pck_crl_chain, "SGX-PCK-CRL-Issuer-Chain", response));
                   return response;
                 });
}

void serve_root_crl(const Deps& deps, Encoding encoding, net::Request request, net::Responder responder) {
  serve_artefact(deps, attestation::RootCrlOf{}, std::move(request), std::move(responder),
                 [encoding](const collateral::Held& held) -> Result<net::Response> {
                   TRY(const auto der, document(held, CollateralKind::root_ca_crl));
                   return crl_reply(der, encoding);
                 });
}

/// Clients of version 3.1 name the distribution point of the root's certificate. There is one list, and no other
/// address is ever looked at, let alone asked.
void serve_crl(const Deps& deps, net::Request request, net::Responder responder) {
  const auto uri = query_text(request, "uri");
  if (!uri.ok()) return responder.send(uri.error());
  if (uri->empty()) return responder.send(Error{Code::malformed, "query parameter uri is missing", "an address", {}});
  constexpr std::string_view kFile = "/IntelSGXRootCA.der";
  static_assert(collateral::kIntelRootCrl.ends_with(kFile));
  if (!uri->ends_with(kFile)) {
    return responder.send(
        Error{Code::not_found, "no revocation list of that address", std::string{collateral::kIntelRootCrl}, *uri});
  }
  serve_root_crl(deps, Encoding::der, std::move(request), std::move(responder));
}

net::QueryParameter fmspc_parameter() {
  return {.name = "fmspc",
          .description = "family, model, stepping, platform and custom SKU: 12 hex digits",
          .schema_json = R"({"type":"string","pattern":"^[0-9a-fA-F]{12}$"})",
          .required = true};
}

net::QueryParameter update_parameter() {
  return {.name = "update",
          .description = "which of the sets published side by side; early is never held",
          .schema_json = R"({"type":"string","enum":["standard","early"]})"};
}

Status add_tee_routes(net::Router& router, const Deps& deps, bool tdx) {
  const std::string base = tdx ? "/tdx/certification/v4/" : "/sgx/certification/v4/";
  const std::string tee = tdx ? "tdx" : "sgx";
  auto tcb = vendor_route(
      base + "tcb", "pccs_" + tee + "_tcb", "TCB information of a platform, signed by Intel", std::string{kJson},
      [&deps, tdx](net::Request r, net::Responder to) { serve_tcb(deps, tdx, std::move(r), std::move(to)); });
  tcb.query = {fmspc_parameter(), update_parameter()};
  TRY_OK(router.add(std::move(tcb)));
  auto identity = vendor_route(
      base + "qe/identity", "pccs_" + tee + "_qe_identity", "Identity of the quoting enclave, signed by Intel",
      std::string{kJson}, [&deps, tdx](net::Request r, net::Responder to) {
        serve_signed(deps, attestation::QeIdentityOf{tdx}, kQeIdentity, std::move(r), std::move(to));
      });
  identity.query = {update_parameter()};
  return router.add(std::move(identity));
}

Status add_crl_routes(net::Router& router, const Deps& deps, const std::string& version) {
  const std::string base = "/sgx/certification/" + version + "/";
  const std::string prefix = version == "v4" ? "pccs_" : "pccs_" + version + "_";
  auto pck =
      vendor_route(base + "pckcrl", prefix + "pck_crl", "Revocation list of a PCK CA", std::string{kCrl},
                   [&deps](net::Request r, net::Responder to) { serve_pck_crl(deps, std::move(r), std::move(to)); });
  pck.also_produces = {std::string{kPem}};
  pck.query = {{.name = "ca",
                .description = "whose list",
                .schema_json = R"({"type":"string","enum":["platform","processor"]})",
                .required = true},
               {.name = "encoding",
                .description = "without it: hex text, as a PCCS gives it",
                .schema_json = R"({"type":"string","enum":["der","pem"]})"}};
  TRY_OK(router.add(std::move(pck)));
  TRY_OK(
      router.add(vendor_route(base + "rootcacrl", prefix + "root_crl", "Revocation list of Intel's root, as hex text",
                              std::string{kPem}, [&deps](net::Request r, net::Responder to) {
                                serve_root_crl(deps, Encoding::hex, std::move(r), std::move(to));
                              })));
  auto crl = vendor_route(base + "crl", prefix + "crl", "Revocation list of Intel's root by its distribution point",
                          std::string{kCrl},
                          [&deps](net::Request r, net::Responder to) { serve_crl(deps, std::move(r), std::move(to)); });
  crl.query = {{.name = "uri", .description = "of the list", .required = true}};
  return router.add(std::move(crl));
}

}  // namespace

Status add_pccs_routes(net::Router& router, const Deps& deps) {
  if (deps.vault == nullptr || deps.serving == Serving::off) return base::done();
  for (const bool tdx : {false, true}) TRY_OK(add_tee_routes(router, deps, tdx));
  // Version 3 has another TCB information, which this program does not use; its lists and identity are the same.
  TRY_OK(router.add(vendor_route(
      "/sgx/certification/v3/qe/identity", "pccs_v3_qe_identity", "Identity of the quoting enclave, signed by Intel",
      std::string{kJson}, [&deps](net::Request r, net::Responder to) {
        serve_signed(deps, attestation::QeIdentityOf{false}, kQeIdentity, std::move(r), std::move(to));
      })));
  for (const auto* version : {"v4", "v3"}) TRY_OK(add_crl_routes(router, deps, version));
  return base::done();
}

}  // namespace attestry::api
