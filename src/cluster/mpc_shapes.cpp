#include "cluster/mpc_shapes.h"

namespace attestry::cluster {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;
using base::Status;
namespace ckd = keys::ckd;

namespace {

constexpr std::int64_t kMostDomain = (std::int64_t{1} << 53) - 1;
constexpr std::size_t kMostMpcJson = 64u << 10;

Result<std::string> text_of(const JsonValue& object, std::string_view key) {
  TRY(const auto value, object.get(key));
  return value.string(key);
}

Result<curves::bls::G1::Encoded> g1_of(const JsonValue& object, std::string_view key) {
  TRY(const auto text, text_of(object, key));
  return ckd::g1_from_text(text);
}

}  // namespace

Result<AppKey> AppKey::read(const JsonValue& value) {
  constexpr std::string_view kWhat = "app_public_key";
  AppKey out;
  if (value.is_string()) {
    TRY(const auto text, value.string(kWhat));
    TRY(out.pk1, ckd::g1_from_text(text), kWhat);
    return out;
  }
  if (!value.is_object() || value.size() != 1) {
    return Error{Code::malformed, std::string{kWhat},
                 "\"bls12381g1:…\", {\"AppPublicKey\":…} or {\"AppPublicKeyPV\":{\"pk1\":…,\"pk2\":…}}",
                 std::string{value.source().substr(0, 80)}};
  }
  TRY_OK(value.only({"AppPublicKey", "AppPublicKeyPV"}), kWhat);
  if (value.find("AppPublicKey")) {
    TRY(out.pk1, g1_of(value, "AppPublicKey"), kWhat);
    return out;
  }
  TRY(const auto pair, value.get("AppPublicKeyPV"));
  TRY_OK(pair.only({"pk1", "pk2"}), kWhat);
  TRY(out.pk1, g1_of(pair, "pk1"), kWhat);
  TRY(const auto second, text_of(pair, "pk2"), kWhat);
  TRY(out.pk2, ckd::g2_from_text(second), kWhat);
  return out;
}

JsonOut AppKey::json() const {
  if (!pk2) return JsonOutObject{{"AppPublicKey", ckd::to_text(pk1)}};
  return JsonOutObject{{"AppPublicKeyPV", JsonOutObject{{"pk1", ckd::to_text(pk1)}, {"pk2", ckd::to_text(*pk2)}}}};
}

Result<ckd::AppPublicKey> AppKey::decode() const {
  if (!pk2) return ckd::AppPublicKey::decode(pk1);
  return ckd::AppPublicKey::decode(pk1, base::ByteView{*pk2});
}

Result<MpcRequest> MpcRequest::read(const JsonValue& value) {
  TRY_OK(value.only({"derivation_path", "app_public_key", "domain_id"}), "request");
  MpcRequest out;
  TRY(out.derivation_path, text_of(value, "derivation_path"));
  if (out.derivation_path.size() > kMostPath) {
    return Error{Code::malformed, "derivation_path", "at most " + std::to_string(kMostPath) + " bytes",
                 std::to_string(out.derivation_path.size()) + " bytes"};
  }
  TRY(const auto key, value.get("app_public_key"));
  TRY(out.key, AppKey::read(key));
  TRY(const auto domain, value.get("domain_id"));
  TRY(const auto id, domain.integer("domain_id", 0, kMostDomain));
  out.domain_id = static_cast<std::uint64_t>(id);
  return out;
}

Result<MpcRequest> MpcRequest::parse(std::string_view json) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{json}, {.max_bytes = kMostMpcJson}), "arguments");
  TRY_OK(doc->root().only({"request"}), "arguments");
  TRY(const auto request, doc->root().get("request"));
  return read(request);
}

std::string MpcRequest::json() const {
  return JsonOut{JsonOutObject{{"request", JsonOutObject{{"derivation_path", derivation_path},
                                                         {"app_public_key", key.json()},
                                                         {"domain_id", domain_id}}}}}
      .compact();
}

Status MpcRequest::check_domain() const {
  if (domain_id == kCkdDomain) return base::done();
  const std::string id = std::to_string(domain_id);
  const std::string expected = "domain " + std::to_string(kCkdDomain);
  if (domain_id > kCkdDomain) {
    return Error{Code::not_found, "The provided domain ID, " + id + ", was not found.", expected, id};
  }
  return Error{Code::malformed, "Domain " + id + " has purpose Sign, but this method requires CKD.", expected, id};
}

std::string mpc_answer(const ckd::Ciphertext& answer) {
  return JsonOut{JsonOutObject{{"big_y", ckd::to_text(answer.big_y)}, {"big_c", ckd::to_text(answer.big_c)}}}.compact();
}

Result<ckd::Ciphertext> read_mpc_answer(std::string_view json) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{json}, {.max_bytes = kMostMpcJson}), "answer of CKD");
  TRY_OK(doc->root().only({"big_y", "big_c", "scheme"}), "answer of CKD");
  ckd::Ciphertext out;
  TRY(out.big_y, g1_of(doc->root(), "big_y"), "answer of CKD");
  TRY(out.big_c, g1_of(doc->root(), "big_c"), "answer of CKD");
  return out;
}

}  // namespace attestry::cluster
