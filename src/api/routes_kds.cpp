// AMD's Key Distribution Service (AMD 57230), as its clients ask it: certificates of chips, chains and revocation
// lists.
#include <array>
#include <charconv>

#include "api/serve_artefact.h"
#include "base/encoding.h"
#include "crypto/x509.h"

namespace attestry::api {

using attestation::CollateralKind;
using attestation::snp::Product;
using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view kOctets = "application/octet-stream";
constexpr std::string_view kPem = "application/x-pem-file";
constexpr std::size_t kHwidBytes = 64;
constexpr std::size_t kTurinHwidBytes = 8;

Result<Product> product_of(const net::Request& request) {
  const auto name = request.parameter("product");
  for (const Product product : {Product::milan, Product::genoa, Product::turin}) {
    if (name == to_text(product)) return product;
  }
  return Error{Code::not_found, "no product of that name", "Milan, Genoa or Turin", std::string{name}};
}

/// "blSPL" and its like: decimal, leading zeros allowed, as AMD's own examples have them.
Result<std::uint8_t> spl_of(const net::Request& request, std::string_view name, bool required) {
  TRY(const std::string text, query_text(request, name));
  if (text.empty() && !required) return std::uint8_t{0};
  std::uint8_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) {
    return Error{Code::malformed, "query parameter " + std::string{name}, "0 to 255", text};
  }
  return value;
}

Result<attestation::VcekOf> vcek_of(const net::Request& request) {
  attestation::VcekOf out;
  TRY(out.product, product_of(request));
  const bool turin = out.product == Product::turin;
  const std::size_t size = turin ? kTurinHwidBytes : kHwidBytes;
  const std::string text{request.parameter("hwid")};
  auto hwid = base::hex_decode(text);
  if (!hwid.ok() || hwid->size() != size) {
    return Error{Code::malformed, "hwid", std::to_string(2 * size) + " hex digits", text};
  }
  out.hwid = *std::move(hwid);
  if (turin) {
    TRY(out.tcb.fmc, spl_of(request, "fmcSPL", false));
  }
  TRY(out.tcb.boot_loader, spl_of(request, "blSPL", true));
  TRY(out.tcb.tee, spl_of(request, "teeSPL", true));
  TRY(out.tcb.snp, spl_of(request, "snpSPL", true));
  TRY(out.tcb.microcode, spl_of(request, "ucodeSPL", true));
  return out;
}

net::Response body_of(std::string_view type, base::ByteView body) {
  return {.status = 200, .content_type = std::string{type}, .body = std::string{base::as_text(body)}, .headers = {}};
}

/// What somebody imported may be PEM; AMD's service gives DER.
Result<net::Response> certificate_reply(const collateral::Held& held) {
  TRY(const auto bytes, document(held, CollateralKind::vek));
  if (!bytes.empty() && bytes.front() == 0x30) return body_of(kOctets, bytes);
  TRY(const auto blocks, base::pem_decode(base::as_text(bytes)));
  if (blocks.empty()) return Error{Code::internal, "a certificate is held that is none"};
  return body_of(kOctets, blocks.front().der);
}

void serve_vcek(const Deps& deps, net::Request request, net::Responder responder) {
  auto vcek = vcek_of(request);
  if (!vcek.ok()) return responder.send(vcek.error());
  serve_artefact(deps, *std::move(vcek), std::move(request), std::move(responder), certificate_reply);
}

void serve_chain(const Deps& deps, bool vlek, net::Request request, net::Responder responder) {
  const auto product = product_of(request);
  if (!product.ok()) return responder.send(product.error());
  serve_artefact(deps, attestation::AmdChainOf{*product, vlek}, std::move(request), std::move(responder),
                 [](const collateral::Held& held) -> Result<net::Response> {
                   TRY(const auto pem, document(held, CollateralKind::amd_chain));
                   return body_of(kPem, pem);
                 });
}

void serve_crl(const Deps& deps, bool vlek, net::Request request, net::Responder responder) {
  const auto product = product_of(request);
  if (!product.ok()) return responder.send(product.error());
  serve_artefact(deps, attestation::AmdCrlOf{*product, vlek}, std::move(request), std::move(responder),
                 [](const collateral::Held& held) -> Result<net::Response> {
                   TRY(const auto der, document(held, CollateralKind::amd_crl));
                   return body_of(kOctets, der);
                 });
}

Status add_key_routes(net::Router& router, const Deps& deps, bool vlek) {
  const std::string base = vlek ? "/vlek/v1/{product}/" : "/vcek/v1/{product}/";
  const std::string prefix = vlek ? "kds_vlek_" : "kds_vcek_";
  TRY_OK(router.add(vendor_route(
      base + "cert_chain", prefix + "chain", "AMD's intermediate and root certificates, PEM", std::string{kPem},
      [&deps, vlek](net::Request r, net::Responder to) { serve_chain(deps, vlek, std::move(r), std::move(to)); })));
  return router.add(vendor_route(
      base + "crl", prefix + "crl", "Revocation list of AMD's root, DER", std::string{kOctets},
      [&deps, vlek](net::Request r, net::Responder to) { serve_crl(deps, vlek, std::move(r), std::move(to)); }));
}

net::QueryParameter spl_parameter(std::string name, bool required) {
  return {.name = std::move(name),
          .description = "security patch level",
          .schema_json = R"({"type":"integer","minimum":0,"maximum":255})",
          .required = required};
}

}  // namespace

Status add_kds_routes(net::Router& router, const Deps& deps) {
  if (deps.vault == nullptr || deps.serving == Serving::off) return base::done();
  for (const bool vlek : {false, true}) TRY_OK(add_key_routes(router, deps, vlek));
  auto vcek = vendor_route(
      "/vcek/v1/{product}/{hwid}", "kds_vcek", "Certificate of a chip's key at a TCB, DER", std::string{kOctets},
      [&deps](net::Request r, net::Responder to) { serve_vcek(deps, std::move(r), std::move(to)); });
  vcek.query = {spl_parameter("fmcSPL", false)};
  for (const auto* name : {"blSPL", "teeSPL", "snpSPL", "ucodeSPL"}) vcek.query.push_back(spl_parameter(name, true));
  return router.add(std::move(vcek));
}

}  // namespace attestry::api
