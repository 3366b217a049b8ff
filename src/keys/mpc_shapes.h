// The shapes of requests and answers of NEAR's MPC contract: what its clients write and read. Version 1.signer of
// near/mpc, `request_app_private_key`, and what this program's own routes share with it; docs/formats/threshold.md.
// Values and pure functions: thread-safe, nothing blocks.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "keys/ckd.h"

namespace attestry::keys::ckd {

/// An application's key A, with A2 where anybody is to be able to check the result: bytes that need not be points.
struct AppKey {
  curves::bls::G1::Encoded pk1{};
  std::optional<curves::bls::G2::Encoded> pk2{};
  friend bool operator==(const AppKey&, const AppKey&) = default;

  /// `"bls12381g1:…"`, `{"AppPublicKey":"bls12381g1:…"}` or `{"AppPublicKeyPV":{"pk1":"bls12381g1:…",
  /// "pk2":"bls12381g2:…"}}`. Error `malformed`.
  static base::Result<AppKey> read(const base::JsonValue& value);
  /// One of the two tagged forms.
  base::JsonOut json() const;
  /// The points. Errors as of AppPublicKey::decode: `malformed`, for a pair of two scalars with the contract's words.
  base::Result<AppPublicKey> decode() const;
};

/// The domain of CKD, by the convention of NEAR's networks; 0 and 1 are there for signing.
inline constexpr std::uint64_t kCkdDomain = 2;
inline constexpr std::size_t kMostPath = 1024;  ///< bytes of a derivation path, UTF-8

struct MpcRequest {
  std::string derivation_path;
  AppKey key;
  std::uint64_t domain_id = kCkdDomain;
  friend bool operator==(const MpcRequest&, const MpcRequest&) = default;

  /// `{"derivation_path","app_public_key","domain_id"}`, all of them and nothing else. Error `malformed`.
  static base::Result<MpcRequest> read(const base::JsonValue& value);
  /// `{"request":…}`, the contract's arguments.
  static base::Result<MpcRequest> parse(std::string_view json);
  /// With a key of one point as its text alone, which contracts and proxies of all versions read.
  std::string json() const;

  /// In the contract's words and order: `not_found` for a domain that there is not, `malformed` for one of signing.
  base::Status check_domain() const;
};

/// `{"big_y":"bls12381g1:…","big_c":"bls12381g1:…"}`, to which others may be added.
base::JsonOutObject mpc_answer(const Ciphertext& answer);
/// Each of exactly 48 bytes; whether they are points is seen when they are opened. Others beside them are passed over:
/// NEAR's network says `scheme`, a threshold root who took part. Error `malformed`.
base::Result<Ciphertext> read_mpc_answer(const base::JsonValue& answer);
base::Result<Ciphertext> parse_mpc_answer(std::string json);

}  // namespace attestry::keys::ckd
