// Confidential key derivation (CKD), as NEAR's MPC network defines it: n nodes hold shares of a master scalar, t of
// them derive an application's key, blinded by a key that only the application has. docs/formats/threshold.md
//
// H = hash of master public key ‖ app_id to G1; node i of the participating set gives Y_i = λ_i y_i G1 and
// C_i = λ_i (x_i H + y_i A); the sums are Y and C = msk H + a Y; the application takes C - a Y = msk H, which verifies
// as a BLS signature under the master public key, and makes its key of it. Pure, thread-safe.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "curves/bls12_381.h"

namespace attestry::keys::ckd {

/// SHA3-256("near-mpc v0.1.0 app_id derivation:" ‖ account ‖ "," ‖ path): whoever asks and what for. `account` has no
/// comma, `path` may have any text.
base::Digest32 app_id(std::string_view account, std::string_view path);

/// What such an app_id is made of, as a server tells it to the nodes that it asks: LP("near-account") ‖ LP(account) ‖
/// LP(path).
struct AccountPath {
  std::string account, path;
  base::Digest32 app_id() const { return ckd::app_id(account, path); }
  base::Bytes bytes() const;
  /// The form only: whether there can be such an account is the reader's to see. Error: `malformed`.
  static base::Result<AccountPath> parse(base::ByteView bytes);
};

/// "bls12381g1:" or "bls12381g2:" and the base58 of exactly 48 or 96 bytes.
std::string to_text(const curves::bls::G1::Encoded& point);
std::string to_text(const curves::bls::G2::Encoded& point);
/// The bytes of such a text; whether they are a point is seen when they are decoded. Error: `malformed`.
base::Result<curves::bls::G1::Encoded> g1_from_text(std::string_view text);
base::Result<curves::bls::G2::Encoded> g2_from_text(std::string_view text);

/// The application's blinding key A = a G1, with A2 = a G2 where the result is to be checked by anybody.
struct AppPublicKey {
  curves::bls::G1 pk1;
  std::optional<curves::bls::G2> pk2;

  /// Decodes and checks both points. Where there are two, e(A, G2) = e(G1, A2): "app public key check failed"
  /// otherwise. The identity is refused: its result would be in the clear for everybody on the way.
  static base::Result<AppPublicKey> decode(base::ByteView pk1, std::optional<base::ByteView> pk2 = std::nullopt);
};

/// pk = msk G2, with what is computed of it alone. 20 KB; made once and kept. Movable.
class MasterPublicKey {
 public:
  explicit MasterPublicKey(const curves::bls::G2& point)
      : prepared_(point), encoded_(point.encode()), text_(to_text(encoded_)) {}
  /// 96 bytes; the identity is refused. Error: `malformed`.
  static base::Result<MasterPublicKey> decode(base::ByteView bytes);
  const curves::bls::G2& point() const noexcept { return prepared_.point(); }
  const curves::bls::PreparedG2& prepared() const noexcept { return prepared_; }
  const curves::bls::G2::Encoded& encoded() const noexcept { return encoded_; }
  /// to_text() of it.
  const std::string& text() const noexcept { return text_; }

 private:
  curves::bls::PreparedG2 prepared_;
  curves::bls::G2::Encoded encoded_;
  std::string text_;
};

/// What the nodes hash to the curve for an application: of one master and one app_id, so it may be kept. `app_id` of up
/// to 10,000 bytes.
curves::bls::G1 hash_point(const MasterPublicKey& master, base::ByteView app_id);

/// The Lagrange coefficient at zero of participant `self` within `participants`, whose x coordinates are their ids plus
/// one. Errors, with NEAR's names: NotEnoughParticipants (fewer than 2), DuplicateParticipants, MissingParticipant.
base::Result<curves::bls::Scalar> lagrange(std::span<const std::uint32_t> participants, std::uint32_t self);

/// A node's answer, or the sum of all: two compressed points.
struct Ciphertext {
  curves::bls::G1::Encoded big_y{};
  curves::bls::G1::Encoded big_c{};
  friend bool operator==(const Ciphertext&, const Ciphertext&) = default;
};
/// The same before it is encoded: a coordinator's own share never is.
struct Share {
  curves::bls::G1 big_y, big_c;
  Ciphertext encode() const;
};

/// λ y G1 and λ (x H + y A), with λ folded into `x` and `y` first. `y` must be fresh, or derived from all that is here.
Share share(const curves::bls::Scalar& x, const curves::bls::Scalar& lambda, const curves::bls::Scalar& y,
            const curves::bls::G1& hash_point, const curves::bls::G1& app_key);

/// What a node shows when the sum of the shares was wrong: that its own is the one that its public share of the epoch,
/// x G2, demands. It says nothing of x and y. 32 bytes each, big-endian.
struct ShareProof {
  base::FixedBytes<32> challenge{}, first{}, second{};
  bool operator==(const ShareProof&) const = default;
};
/// Of share(x, lambda, y, hash_point, app_key), with the same arguments; `context` is the request that it answered, so
/// that a proof is of one answer.
ShareProof prove(const curves::bls::Scalar& x, const curves::bls::Scalar& lambda, const curves::bls::Scalar& y,
                 const curves::bls::G1& hash_point, const curves::bls::G1& app_key, base::ByteView context,
                 crypto::Random& random);
/// Whether `share` is right; `public_share` is x G2. `malformed` for a share or a proof that is none.
base::Result<bool> proved(const ShareProof& proof, const Ciphertext& share, const curves::bls::Scalar& lambda,
                          const curves::bls::G2& public_share, const curves::bls::G1& hash_point,
                          const curves::bls::G1& app_key, base::ByteView context);

/// The sums of all shares, the coordinator's own among them when it has one. The sums, not the summands, are looked at
/// for the subgroup: a share that is wrong in another way gives a wrong sum without a sign, which `publicly_valid` or
/// the application finds, and `proved` tells whose it is.
base::Result<Ciphertext> combine(std::span<const Ciphertext> shares, const Share* own = nullptr);

/// e(C, G2) = e(H, pk) e(Y, A2): what everybody can check where the application gave A2.
base::Result<bool> publicly_valid(const Ciphertext& sum, const curves::bls::G1& hash_point,
                                  const MasterPublicKey& master, const curves::bls::G2& app_key2);

/// The application's side: the scalar a. Movable.
class Blinding {
 public:
  static Blinding random(crypto::Random& random) { return Blinding{curves::bls::Scalar::random(random)}; }
  explicit Blinding(curves::bls::Scalar a) : a_(std::move(a)) {}

  curves::bls::G1 public_key() const { return curves::bls::G1::times_generator(a_); }
  /// A2, for the publicly verifiable variant.
  curves::bls::G2 public_key2() const { return curves::bls::G2::times_generator(a_); }
  /// msk H in 48 bytes, after the check e(H, pk) = e(msk H, G2) with H = hash_point(master, app_id), which can be
  /// computed before the answer is there. Error `crypto` when it does not hold: a node, or whoever stands between, gave
  /// something wrong, or the key or app_id are of another. `malformed` for what is no point.
  base::Result<crypto::Secret> open(const Ciphertext& sum, const MasterPublicKey& master,
                                    const curves::bls::G1& hash_point) const;

 private:
  curves::bls::Scalar a_;
};

/// HKDF-SHA-256 over what `Blinding::open` gave. NEAR's own vectors and its keystores have neither salt nor info; its
/// newer command line has kCommandLineSalt and kCommandLineInfo.
crypto::Secret application_key(const crypto::Secret& opened, std::string_view salt = {}, std::string_view info = {});
inline constexpr std::string_view kCommandLineSalt = "near-mpc-ckd-hkdf-v1";
inline constexpr std::string_view kCommandLineInfo = "near-mpc-ckd-strong-key-v1";

}  // namespace attestry::keys::ckd
