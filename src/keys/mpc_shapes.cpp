#include "keys/mpc_shapes.h"

#include <charconv>
#include <utility>

namespace attestry::keys::ckd {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMostMpcJson = 64u << 10;

Result<std::string> text_of(const JsonValue& object, std::string_view key) {
  TRY(const auto value, object.get(key));
  return value.string(key);
}

Result<curves::bls::G1::Encoded> g1_of(const JsonValue& object, std::string_view key) {
  TRY(const auto text, text_of(object, key));
  return g1_from_text(text);
}

/// Of all 64 bits, as the contract's type is.
Result<std::uint64_t> u64_of(const JsonValue& value, std::string_view what) {
  const std::string_view text = value.source();
  std::uint64_t out = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (problem == std::errc{} && end == text.data() + text.size()) return out;
  return Error{Code::malformed, std::string{what}, "an integer from 0 to 18446744073709551615",
               std::string{text.substr(0, 80)}};
}

}  // namespace

Result<AppKey> AppKey::read(const JsonValue& value) {
  constexpr std::string_view kWhat = "app_public_key";
  AppKey out;
  if (value.is_string()) {
    TRY(const auto text, value.string(kWhat));
    TRY(out.pk1, g1_from_text(text), kWhat);
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
  TRY(out.pk2, g2_from_text(second), kWhat);
  return out;
}

JsonOut AppKey::json() const {
  if (!pk2) return JsonOutObject{{"AppPublicKey", to_text(pk1)}};
  return JsonOutObject{{"AppPublicKeyPV", JsonOutObject{{"pk1", to_text(pk1)}, {"pk2", to_text(*pk2)}}}};
}

Result<AppPublicKey> AppKey::decode() const {
  if (!pk2) return AppPublicKey::decode(pk1);
  return AppPublicKey::decode(pk1, base::ByteView{*pk2});
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
  TRY(out.domain_id, u64_of(domain, "domain_id"));
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
                                                         {"app_public_key", key.pk2 ? key.json() : to_text(key.pk1)},
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

JsonOutObject mpc_answer(const Ciphertext& answer) {
  return {{"big_y", to_text(answer.big_y)}, {"big_c", to_text(answer.big_c)}};
}

Result<Ciphertext> read_mpc_answer(const JsonValue& answer) {
  Ciphertext out;
  TRY(out.big_y, g1_of(answer, "big_y"), "answer of CKD: big_y");
  TRY(out.big_c, g1_of(answer, "big_c"), "answer of CKD: big_c");
  return out;
}

Result<Ciphertext> parse_mpc_answer(std::string json) {
  TRY(const auto doc, base::JsonDocument::parse(std::move(json), {.max_bytes = kMostMpcJson}), "answer of CKD");
  return read_mpc_answer(doc->root());
}

}  // namespace attestry::keys::ckd
