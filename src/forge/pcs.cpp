#include "forge/pcs.h"

#include <algorithm>
#include <optional>

#include "base/encoding.h"
#include "forge/collateral.h"

namespace attestry::forge {
namespace {

struct Target {
  std::string_view path;
  std::vector<std::pair<std::string_view, std::string_view>> query{};

  /// The value of a parameter; empty when it is absent.
  std::string_view get(std::string_view name) const {
    for (const auto& [key, value] : query) {
      if (key == name) return value;
    }
    return {};
  }
};

Target split(std::string_view target) {
  const std::size_t mark = target.find('?');
  Target out{target.substr(0, mark)};
  std::string_view rest = mark == std::string_view::npos ? std::string_view{} : target.substr(mark + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    out.query.emplace_back(pair.substr(0, equals),
                           equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1));
  }
  return out;
}

/// As Intel's services encode the PEM chains in headers: everything but unreserved characters (RFC 3986 2.3).
std::string percent_encode(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain) {
      out.push_back(c);
      continue;
    }
    const auto byte = static_cast<std::uint8_t>(c);
    out.push_back('%');
    out.push_back(kHex[byte >> 4]);
    out.push_back(kHex[byte & 15]);
  }
  return out;
}

PcsReply failed(int status) { return {status, {}, {}}; }

PcsReply signed_json(std::string_view member, const std::string& text, base::ByteView signature,
                     std::string_view chain_header, const std::string& chain) {
  std::string body = "{\"";
  body.append(member).append("\":").append(text).append(",\"signature\":\"").append(base::hex(signature)).append("\"}");
  return {200,
          {{"Content-Type", "application/json"}, {std::string{chain_header}, percent_encode(chain)}},
          base::to_bytes(body)};
}

PcsReply pck_crl(const ForgePki& pki, const Target& target, base::UtcTime at) {
  const std::string_view ca = target.get("ca");
  if (ca != "platform" && ca != "processor") return failed(400);
  const CaKind kind = ca == "platform" ? CaKind::platform : CaKind::processor;
  const auto crl = pki.pck_crl(kind, default_collateral(false, at).pck_crl_window);
  if (!crl) return failed(500);
  // Intel's default encoding is PEM.
  const bool der = target.get("encoding") == "der";
  return {200,
          {{"Content-Type", der ? "application/pkix-crl" : "application/x-pem-file"},
           {"SGX-PCK-CRL-Issuer-Chain", percent_encode(pki.ca_chain_pem(kind))}},
          der ? *crl : base::to_bytes(base::pem_encode("X509 CRL", *crl))};
}

PcsReply tcb(const ForgePki& pki, const base::FixedBytes<6>& fmspc, bool tdx, const Target& target, base::UtcTime at) {
  const auto asked = base::hex_decode(target.get("fmspc"));
  if (!asked || asked->size() != fmspc.size()) return failed(400);
  if (!base::equal(*asked, fmspc)) return failed(404);
  auto spec = default_collateral(tdx, at).tcb_info;
  spec.fmspc = fmspc;
  const std::string text = tcb_info_text(spec);
  return signed_json("tcbInfo", text, pki.sign_tcb(text), "TCB-Info-Issuer-Chain", pki.tcb_chain_pem());
}

PcsReply identity(const ForgePki& pki, bool tdx, base::UtcTime at) {
  const std::string text = qe_identity_text(default_collateral(tdx, at).qe_identity);
  return signed_json("enclaveIdentity", text, pki.sign_tcb(text), "SGX-Enclave-Identity-Issuer-Chain",
                     pki.tcb_chain_pem());
}

/// A PCCS gives the root CRL as hex text, Intel's distribution point as DER.
PcsReply root_crl(const ForgePki& pki, bool as_hex, base::UtcTime at) {
  const auto crl = pki.root_crl(default_collateral(false, at).root_crl_window);
  if (!crl) return failed(500);
  return {200, {{"Content-Type", "application/pkix-crl"}}, as_hex ? base::to_bytes(base::hex(*crl)) : *crl};
}

}  // namespace

PcsReply ForgePcs::get(std::string_view target, base::UtcTime at) const {
  const Target asked = split(target);
  static constexpr std::string_view kSgx = "/sgx/certification/v4/";
  static constexpr std::string_view kTdx = "/tdx/certification/v4/";
  if (asked.path == "/IntelSGXRootCA.der") return root_crl(pki_, false, at);
  const bool tdx = asked.path.starts_with(kTdx);
  if (!tdx && !asked.path.starts_with(kSgx)) return failed(404);
  const std::string_view call = asked.path.substr(kSgx.size());
  if (call == "tcb") return tcb(pki_, fmspc_, tdx, asked, at);
  if (call == "qe/identity") return identity(pki_, tdx, at);
  if (!tdx && call == "pckcrl") return pck_crl(pki_, asked, at);
  if (!tdx && call == "rootcacrl") return root_crl(pki_, asked.get("encoding") != "der", at);
  return failed(404);
}

}  // namespace attestry::forge
