#include "keys/ckd.h"

#include <algorithm>

#include "base/base58.h"
#include "base/encoding.h"
#include "base/reader.h"
#include "crypto/digest.h"
#include "crypto/hash.h"

namespace attestry::keys::ckd {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using curves::bls::G1;
using curves::bls::G2;
using curves::bls::Scalar;

namespace {

constexpr std::string_view kAppIdTag = "near-mpc v0.1.0 app_id derivation:";
// With the space: it is the suite's name behind "NEAR ", not the tag of BLS signatures.
constexpr std::string_view kHashTag = "NEAR BLS12381G1_XMD:SHA-256_SSWU_RO_";
constexpr std::string_view kProofTag = "attestry/ckd-share-proof/1";
constexpr std::string_view kAccountPathTag = "near-account";
constexpr std::size_t kMostAccount = 64;
constexpr std::size_t kMostPath = 1024;
constexpr std::string_view kG1Prefix = "bls12381g1:";
constexpr std::string_view kG2Prefix = "bls12381g2:";

template <class Encoded>
Result<Encoded> from_text(std::string_view text, std::string_view prefix) {
  Encoded out{};
  if (!text.starts_with(prefix)) {
    return Error{Code::malformed, "point of BLS12-381", std::string{prefix} + " and base58",
                 std::string{text.substr(0, prefix.size())}};
  }
  TRY_OK(base::base58_decode_into(text.substr(prefix.size()), out), "point of BLS12-381");
  return out;
}

Scalar x_of(std::uint32_t id) { return Scalar::from_u32(id) + Scalar::from_u32(1); }

}  // namespace

base::Digest32 app_id(std::string_view account, std::string_view path) {
  std::string text{kAppIdTag};
  text.append(account).append(",").append(path);
  const base::Bytes digest = crypto::digest(crypto::HashName::sha3_256, base::as_bytes(text));
  base::Digest32 out{};
  std::copy_n(digest.begin(), out.size(), out.begin());
  return out;
}

base::Bytes AccountPath::bytes() const {
  base::LpWriter out;
  out.lp(kAccountPathTag).lp(account).lp(path);
  return std::move(out).take();
}

Result<AccountPath> AccountPath::parse(ByteView bytes) {
  base::Reader reader{bytes};
  TRY(const ByteView tag, reader.lp("tag", kMostAccount));
  if (base::as_text(tag) != kAccountPathTag)
    return Error{Code::malformed, "account and path", std::string{kAccountPathTag}, "another"};
  TRY(const ByteView account, reader.lp("account", kMostAccount));
  TRY(const ByteView path, reader.lp("path", kMostPath));
  TRY_OK(reader.finish("account and path"));
  return AccountPath{.account = std::string{base::as_text(account)}, .path = std::string{base::as_text(path)}};
}

std::string to_text(const G1::Encoded& point) { return std::string{kG1Prefix} + base::base58(point); }
std::string to_text(const G2::Encoded& point) { return std::string{kG2Prefix} + base::base58(point); }
Result<G1::Encoded> g1_from_text(std::string_view text) { return from_text<G1::Encoded>(text, kG1Prefix); }
Result<G2::Encoded> g2_from_text(std::string_view text) { return from_text<G2::Encoded>(text, kG2Prefix); }

Result<AppPublicKey> AppPublicKey::decode(ByteView pk1, std::optional<ByteView> pk2) {
  AppPublicKey out;
  TRY(out.pk1, G1::decode(pk1), "app public key");
  if (!pk2) return out;
  TRY(out.pk2, G2::decode(*pk2), "app public key");
  if (!curves::bls::pairings_equal({out.pk1, G2::generator()}, {{G1::generator(), *out.pk2}})) {
    return Error{Code::malformed, "app public key check failed", "pk1 and pk2 of one scalar", "of two"};
  }
  return out;
}

Result<MasterPublicKey> MasterPublicKey::decode(ByteView bytes) {
  TRY(const G2 point, G2::decode(bytes), "master public key");
  return MasterPublicKey{point};
}

G1 hash_point(const MasterPublicKey& master, ByteView app_id) {
  base::Bytes message{master.encoded().begin(), master.encoded().end()};
  base::append(message, app_id);
  return G1::hash(message, kHashTag);
}

Result<Scalar> lagrange(std::span<const std::uint32_t> participants, std::uint32_t self) {
  if (participants.size() < 2) {
    return Error{Code::malformed, "NotEnoughParticipants", "2 or more", std::to_string(participants.size())};
  }
  std::vector<std::uint32_t> sorted(participants.begin(), participants.end());
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) != sorted.end()) return Error{Code::malformed, "DuplicateParticipants"};
  if (!std::ranges::binary_search(sorted, self)) {
    return Error{Code::malformed, "MissingParticipant", "itself among the participants", std::to_string(self)};
  }
  const Scalar own = x_of(self);
  Scalar numerator = Scalar::from_u32(1);
  Scalar denominator = Scalar::from_u32(1);
  for (const std::uint32_t id : sorted) {
    if (id == self) continue;
    const Scalar x = x_of(id);
    numerator = numerator * x;
    denominator = denominator * (x - own);
  }
  return numerator * denominator.inverse();
}

Ciphertext Share::encode() const {
  const auto encoded = G1::encode(big_y, big_c);
  return {encoded[0], encoded[1]};
}

Share share(const Scalar& x, const Scalar& lambda, const Scalar& y, const G1& hash_point, const G1& app_key) {
  const Scalar weighted_y = y * lambda;
  return {G1::times_generator(weighted_y), G1::sum_of_products(hash_point, x * lambda, app_key, weighted_y)};
}

namespace {

// u = λ x and v = λ y with λ X = u G2, Y = v G1, C = u H + v A: knowledge of both (Schnorr's, in three equations at
// once).
Scalar share_challenge(ByteView context, const G2& weighted_share, const Ciphertext& share, const G1& hash_point,
                       const G1& app_key, const G2& first, const G1& second, const G1& third) {
  base::LpWriter out;
  out.lp(kProofTag).lp(context).raw(weighted_share.encode()).raw(share.big_y).raw(share.big_c);
  out.raw(hash_point.encode()).raw(app_key.encode()).raw(first.encode()).raw(second.encode()).raw(third.encode());
  return Scalar::from_wide(crypto::sha512(out.bytes()));
}

}  // namespace

ShareProof prove(const Scalar& x, const Scalar& lambda, const Scalar& y, const G1& hash_point, const G1& app_key,
                 ByteView context, crypto::Random& random) {
  const Scalar u = x * lambda;
  const Scalar v = y * lambda;
  const Ciphertext answer = share(x, lambda, y, hash_point, app_key).encode();
  const Scalar first = Scalar::random(random);
  const Scalar second = Scalar::random(random);
  const Scalar challenge =
      share_challenge(context, G2::times_generator(u), answer, hash_point, app_key, G2::times_generator(first),
                      G1::times_generator(second), G1::sum_of_products(hash_point, first, app_key, second));
  return {challenge.public_bytes(), (first + challenge * u).public_bytes(), (second + challenge * v).public_bytes()};
}

Result<bool> proved(const ShareProof& proof, const Ciphertext& share, const Scalar& lambda, const G2& public_share,
                    const G1& hash_point, const G1& app_key, ByteView context) {
  TRY(const Scalar challenge, Scalar::from_big_endian(proof.challenge), "proof of a share");
  TRY(const Scalar first, Scalar::from_big_endian(proof.first), "proof of a share");
  TRY(const Scalar second, Scalar::from_big_endian(proof.second), "proof of a share");
  TRY(const G1 big_y, G1::decode(share.big_y, G1::Identity::allowed), "a share's Y");
  TRY(const G1 big_c, G1::decode(share.big_c, G1::Identity::allowed), "a share's C");
  const G2 weighted = public_share * lambda;
  const G1 third = G1::sum_of_products(hash_point, first, app_key, second) - big_c * challenge;
  return share_challenge(context, weighted, share, hash_point, app_key,
                         G2::times_generator(first) - weighted * challenge,
                         G1::times_generator(second) - big_y * challenge, third) == challenge;
}

Result<Ciphertext> combine(std::span<const Ciphertext> shares, const Share* own) {
  const std::size_t count = shares.size() + (own == nullptr ? 0 : 1);
  if (count < 2) return Error{Code::malformed, "NotEnoughParticipants", "2 or more", std::to_string(count)};
  Share sum = own == nullptr ? Share{} : *own;
  for (const Ciphertext& one : shares) {
    TRY(const G1 y, G1::decode_unchecked(one.big_y), "a share's Y");
    TRY(const G1 c, G1::decode_unchecked(one.big_c), "a share's C");
    sum.big_y = sum.big_y + y;
    sum.big_c = sum.big_c + c;
  }
  if (!sum.big_y.in_subgroup() || !sum.big_c.in_subgroup()) {
    return Error{Code::malformed, "shares of CKD", "points of the subgroup of prime order", "others among them"};
  }
  return sum.encode();
}

Result<bool> publicly_valid(const Ciphertext& sum, const G1& hash_point, const MasterPublicKey& master,
                            const G2& app_key2) {
  TRY(const G1 big_y, G1::decode(sum.big_y, G1::Identity::allowed), "big_y");
  TRY(const G1 big_c, G1::decode(sum.big_c, G1::Identity::allowed), "big_c");
  return curves::bls::pairings_equal({big_c, G2::generator()}, {{hash_point, master.point()}, {big_y, app_key2}});
}

Result<crypto::Secret> Blinding::open(const Ciphertext& sum, const MasterPublicKey& master,
                                      const G1& hash_point) const {
  TRY(const G1 big_y, G1::decode_unchecked(sum.big_y), "big_y");
  TRY(const G1 big_c, G1::decode_unchecked(sum.big_c), "big_c");
  if (!big_y.in_subgroup() || !big_c.in_subgroup()) {
    return Error{Code::malformed, "answer of CKD", "points of the subgroup of prime order", "others"};
  }
  G1 mask = big_y * a_;
  G1 opened = big_c - mask;
  mask.wipe();
  const bool right =
      !master.point().is_identity() && !opened.is_identity() &&
      curves::bls::pairings_equal(opened, curves::bls::PreparedG2::generator(), hash_point, master.prepared());
  G1::Encoded bytes = opened.encode();
  opened.wipe();
  crypto::Secret out = crypto::Secret::absorb(bytes);
  if (!right) {
    return Error{Code::crypto, "MPC signature verification failed",
                 "a signature over this app_id under the master public key", "another",
                 "ask again, of other nodes; compare the master public key and the app_id with those of the network"};
  }
  return out;
}

crypto::Secret application_key(const crypto::Secret& opened, std::string_view salt, std::string_view info) {
  return crypto::hkdf_sha256(base::as_bytes(salt), opened.reveal(), base::as_bytes(info), 32);
}

}  // namespace attestry::keys::ckd
