#include "curves/bls12_381.h"

#include <blst.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace attestry::curves::bls {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;

/// The one place that knows how the classes hold what blst works on.
struct Raw {
  static_assert(sizeof(G1::words_) == sizeof(blst_p1) && sizeof(G2::words_) == sizeof(blst_p2));
  static const blst_p1* of(const G1& point) { return reinterpret_cast<const blst_p1*>(point.words_.data()); }
  static blst_p1* of(G1& point) { return reinterpret_cast<blst_p1*>(point.words_.data()); }
  static const blst_p2* of(const G2& point) { return reinterpret_cast<const blst_p2*>(point.words_.data()); }
  static blst_p2* of(G2& point) { return reinterpret_cast<blst_p2*>(point.words_.data()); }
  static const blst_scalar* of(const Scalar& scalar) {
    return reinterpret_cast<const blst_scalar*>(scalar.value_.reveal().data());
  }
  static blst_scalar* of(Scalar& scalar) { return reinterpret_cast<blst_scalar*>(scalar.value_.writable().data()); }
  static_assert(sizeof(PairingProduct::words_) == sizeof(blst_fp12));
  static const blst_fp12* of(const PairingProduct& product) {
    return reinterpret_cast<const blst_fp12*>(product.words_.data());
  }
  static blst_fp12* of(PairingProduct& product) { return reinterpret_cast<blst_fp12*>(product.words_.data()); }
  static const byte* bytes(const Scalar& scalar) { return scalar.value_.reveal().data(); }
  static const blst_fp6* lines(const PreparedG2& point);
};

namespace {

constexpr std::size_t kBits = 255;
constexpr std::uint64_t kMinusZ = 0xd201000000010000U;

Error bad_scalar() { return Error{Code::malformed, "BLS12-381 scalar", "32 bytes, less than the order of the group"}; }

std::string_view words(BLST_ERROR error) {
  switch (error) {
    case BLST_POINT_NOT_ON_CURVE:
      return "a point that is not on the curve";
    case BLST_POINT_NOT_IN_GROUP:
      return "a point outside the subgroup of prime order";
    case BLST_PK_IS_INFINITY:
      return "the identity";
    default:
      return "an encoding that is not canonical";
  }
}

Error bad_point(std::string_view group, std::size_t size, std::string found) {
  return Error{Code::malformed, "point of " + std::string{group} + " of BLS12-381",
               std::to_string(size) + " bytes, compressed, canonical, of the subgroup of prime order",
               std::move(found)};
}

constexpr std::size_t kAffineWords = sizeof(blst_p1_affine) / sizeof(std::uint64_t);

void forget(blst_p1_affine& point) { crypto::wipe({reinterpret_cast<std::uint8_t*>(&point), sizeof(point)}); }

/// out = ±row[magnitude - 1], or the identity for 0. Reads the whole row whatever the digit is: zeros are blst's affine
/// identity.
struct Digit {
  std::uint64_t magnitude;  ///< 0 to the size of the row
  bool negative;
};
void select(blst_p1_affine& out, std::span<const blst_p1_affine> row, Digit digit) {
  std::array<std::uint64_t, kAffineWords> sum{};
  for (std::uint64_t entry = 0; entry < row.size(); ++entry) {
    const std::uint64_t difference = digit.magnitude ^ (entry + 1);
    const std::uint64_t mask = ((difference | (0 - difference)) >> 63U) - 1;  // all ones where they are equal
    const auto* from = reinterpret_cast<const std::uint64_t*>(&row[entry]);
    for (std::size_t word = 0; word < kAffineWords; ++word) sum.at(word) |= from[word] & mask;
  }
  std::copy(sum.begin(), sum.end(), reinterpret_cast<std::uint64_t*>(&out));
  crypto::wipe({reinterpret_cast<std::uint8_t*>(sum.data()), sizeof(sum)});
  blst_fp_cneg(&out.y, &out.y, digit.negative);
}

/// The signed digit of `width` bits that begins at bit `at` of a little-endian number (Booth): all of them, each times
/// 2^at, sum up to it, when the number ends below the last digit's topmost bit.
Digit signed_digit(ByteView number, std::size_t at, std::size_t width) {
  // width + 1 bits, from the one below; those outside of the number are zero.
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i <= width; ++i) {
    const std::size_t bit = at + i;
    if (bit == 0 || bit > 8 * number.size()) continue;
    bits |= static_cast<std::uint64_t>((number[(bit - 1) / 8] >> ((bit - 1) % 8)) & 1U) << i;
  }
  const std::uint64_t negative = bits >> width;
  const std::uint64_t mask = 0 - negative;
  const std::uint64_t flipped = (bits & ~mask) | (((std::uint64_t{1} << (width + 1)) - 1 - bits) & mask);
  return {(flipped >> 1U) + (flipped & 1U), negative != 0};
}

void to_affine(std::span<blst_p1_affine> out, std::span<const blst_p1> points) {
  std::vector<const blst_p1*> pointers(points.size());
  std::ranges::transform(points, pointers.begin(), [](const blst_p1& point) { return &point; });
  blst_p1s_to_affine(out.data(), pointers.data(), pointers.size());
}

/// base, 2 base, … in `out`.
void multiples(std::span<blst_p1> out, const blst_p1& base) {
  out[0] = base;
  for (std::size_t i = 1; i < out.size(); ++i) blst_p1_add_or_double(&out[i], &out[i - 1], &base);
}

/// Row r: 1 to 16 times 32^r G. 80 KiB, made at the first use.
class GeneratorTable {
 public:
  static const GeneratorTable& get() {
    static const GeneratorTable made;
    return made;
  }
  static constexpr std::size_t kWidth = 5;
  static constexpr std::size_t kRows = 52;  // 260 bits: the scalar's 255 and the digits' signs
  std::span<const blst_p1_affine> row(std::size_t number) const {
    return std::span{points_}.subspan(number * kEntries, kEntries);
  }

 private:
  static constexpr std::size_t kEntries = std::size_t{1} << (kWidth - 1);

  GeneratorTable() : points_(kRows * kEntries) {
    std::vector<blst_p1> made(points_.size());
    blst_p1 base = *blst_p1_generator();
    for (std::size_t row = 0; row < kRows; ++row) {
      multiples(std::span{made}.subspan(row * kEntries, kEntries), base);
      for (std::size_t i = 0; i < kWidth; ++i) blst_p1_double(&base, &base);
    }
    to_affine(points_, made);
  }
  std::vector<blst_p1_affine> points_;
};

__extension__ using Half = unsigned __int128;
// z², for the curve's parameter z = -0xd201000000010000; q = z⁴ - z² + 1.
constexpr Half kZSquared = (Half{0xac45a4010001a402U} << 64U) | Half{0x0000000100000000U};

/// scalar = high z² + low, both below 2^128: [z²] is cheap on the subgroup (Gallant, Lambert, Vanstone). One bit after
/// the other, because a division instruction takes as long as its operands want.
struct Halves {
  crypto::Secret low{16}, high{16};  // little-endian
};
Halves split(ByteView scalar) {
  Half quotient = 0;
  Half rest = 0;
  for (std::size_t bit = 256; bit-- > 0;) {
    const Half carry = rest >> 127U;
    rest = (rest << 1U) | ((scalar[bit / 8] >> (bit % 8)) & 1U);
    const Half difference = rest - kZSquared;
    // Without a borrow, or with the bit that fell out above: subtract.
    const Half borrow = ((~rest & kZSquared) | ((~rest | kZSquared) & difference)) >> 127U;
    const Half take = carry | (Half{1} ^ borrow);
    rest ^= (rest ^ difference) & (Half{0} - take);
    quotient = (quotient << 1U) | take;
  }
  Halves out;
  for (std::size_t i = 0; i < 16; ++i) {
    out.low.writable()[i] = static_cast<std::uint8_t>(rest >> (8 * i));
    out.high.writable()[i] = static_cast<std::uint8_t>(quotient >> (8 * i));
  }
  crypto::wipe({reinterpret_cast<std::uint8_t*>(&rest), sizeof(rest)});
  crypto::wipe({reinterpret_cast<std::uint8_t*>(&quotient), sizeof(quotient)});
  return out;
}

/// The cube root of one with [z²](x, y) = (root x, -y) on the subgroup.
const blst_fp& cube_root() {
  static const blst_fp made = [] {
    blst_fp root{};
    const base::FixedBytes<48> bytes{0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x5f, 0x19, 0x67, 0x2f,
                                     0xdf, 0x76, 0xce, 0x51, 0xba, 0x69, 0xc6, 0x07, 0x6a, 0x0f, 0x77, 0xea,
                                     0xdd, 0xb3, 0xa9, 0x3b, 0xe6, 0xf8, 0x96, 0x88, 0xde, 0x17, 0xd8, 0x13,
                                     0x62, 0x0a, 0x00, 0x02, 0x2e, 0x01, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xfe};
    blst_fp_from_bendian(&root, bytes.data());
    return root;
  }();
  return made;
}

constexpr std::size_t kPairWidth = 4;
constexpr std::size_t kPairEntries = std::size_t{1} << (kPairWidth - 1);
constexpr std::size_t kPairRows = 33;  // 132 bits

}  // namespace

Scalar::Scalar() : value_(32) {}

Result<Scalar> Scalar::from_big_endian(ByteView bytes) {
  if (bytes.size() != 32) return bad_scalar();
  Scalar out;
  blst_scalar_from_bendian(Raw::of(out), bytes.data());
  if (!blst_scalar_fr_check(Raw::of(out))) return bad_scalar();
  return out;
}

Result<Scalar> Scalar::from_little_endian(ByteView bytes) {
  if (bytes.size() != 32) return bad_scalar();
  Scalar out;
  blst_scalar_from_lendian(Raw::of(out), bytes.data());
  if (!blst_scalar_fr_check(Raw::of(out))) return bad_scalar();
  return out;
}

Scalar Scalar::from_wide(ByteView bytes) {
  Scalar out;
  blst_scalar_from_be_bytes(Raw::of(out), bytes.data(), bytes.size());
  return out;
}

Scalar Scalar::from_u32(std::uint32_t value) {
  Scalar out;
  const std::array<std::uint64_t, 4> limbs{value, 0, 0, 0};
  blst_scalar_from_uint64(Raw::of(out), limbs.data());
  return out;
}

Scalar Scalar::random(crypto::Random& random) {
  for (;;) {
    // 48 bytes: the distance from uniform is below 2^-128 (RFC 9380 section 5.1).
    const crypto::Secret wide = random.secret(48);
    Scalar out = from_wide(wide.reveal());
    if (!out.is_zero()) return out;
  }
}

Scalar Scalar::clone() const {
  Scalar out;
  out.value_ = value_.clone();
  return out;
}

crypto::Secret Scalar::big_endian() const {
  crypto::Secret out{32};
  blst_bendian_from_scalar(out.writable().data(), Raw::of(*this));
  return out;
}

base::FixedBytes<32> Scalar::public_bytes() const {
  base::FixedBytes<32> out{};
  blst_bendian_from_scalar(out.data(), Raw::of(*this));
  return out;
}

bool Scalar::is_zero() const noexcept {
  std::uint8_t any = 0;
  for (const std::uint8_t byte : value_.reveal()) any |= byte;
  return any == 0;
}

// The results of blst tell whether the value is zero, which is allowed here.
Scalar Scalar::operator+(const Scalar& other) const {
  Scalar out;
  static_cast<void>(blst_sk_add_n_check(Raw::of(out), Raw::of(*this), Raw::of(other)));
  return out;
}

Scalar Scalar::operator-(const Scalar& other) const {
  Scalar out;
  static_cast<void>(blst_sk_sub_n_check(Raw::of(out), Raw::of(*this), Raw::of(other)));
  return out;
}

Scalar Scalar::operator*(const Scalar& other) const {
  Scalar out;
  static_cast<void>(blst_sk_mul_n_check(Raw::of(out), Raw::of(*this), Raw::of(other)));
  return out;
}

Scalar Scalar::inverse() const {
  Scalar out;
  blst_sk_inverse(Raw::of(out), Raw::of(*this));
  return out;
}

bool Scalar::operator==(const Scalar& other) const noexcept {
  return crypto::equal_constant_time(value_.reveal(), other.value_.reveal());
}

G1::G1() : words_{} {}

const G1& G1::generator() {
  static const G1 made = [] {
    G1 out;
    *Raw::of(out) = *blst_p1_generator();
    return out;
  }();
  return made;
}

Result<G1> G1::decode_unchecked(ByteView bytes) {
  if (bytes.size() != 48) return bad_point("G1", 48, std::to_string(bytes.size()) + " bytes");
  blst_p1_affine affine;
  if (const BLST_ERROR error = blst_p1_uncompress(&affine, bytes.data()); error != BLST_SUCCESS) {
    return bad_point("G1", 48, std::string{words(error)});
  }
  G1 out;
  blst_p1_from_affine(Raw::of(out), &affine);
  return out;
}

Result<G1> G1::decode(ByteView bytes, Identity identity) {
  TRY(G1 out, decode_unchecked(bytes));
  if (identity == Identity::refused && out.is_identity()) return bad_point("G1", 48, "the identity");
  if (!out.in_subgroup()) return bad_point("G1", 48, std::string{words(BLST_POINT_NOT_IN_GROUP)});
  return out;
}

G1 G1::hash(ByteView message, std::string_view tag) {
  G1 out;
  const ByteView tag_bytes = base::as_bytes(tag);
  blst_hash_to_g1(Raw::of(out), message.data(), message.size(), tag_bytes.data(), tag_bytes.size(), nullptr, 0);
  return out;
}

G1 G1::times_generator(const Scalar& scalar) {
  const GeneratorTable& table = GeneratorTable::get();
  G1 sum;
  blst_p1_affine chosen;
  for (std::size_t row = 0; row < GeneratorTable::kRows; ++row) {
    const std::size_t at = row * GeneratorTable::kWidth;
    select(chosen, table.row(row), signed_digit({Raw::bytes(scalar), 32}, at, GeneratorTable::kWidth));
    blst_p1_add_or_double_affine(Raw::of(sum), Raw::of(sum), &chosen);
  }
  forget(chosen);
  return sum;
}

G1 G1::sum_of_products(const G1& p, const Scalar& a, const G1& q, const Scalar& b) {
  // The multiples of p, of q, and their images under [z²], which cost one multiplication each.
  std::array<blst_p1, 2 * kPairEntries> made{};
  multiples(std::span{made}.first(kPairEntries), *Raw::of(p));
  multiples(std::span{made}.last(kPairEntries), *Raw::of(q));
  std::array<blst_p1_affine, 4 * kPairEntries> table{};
  if (p.is_identity() || q.is_identity()) return p * a + q * b;
  to_affine(std::span{table}.first(made.size()), made);
  for (std::size_t i = 0; i < made.size(); ++i) {
    blst_p1_affine& image = table.at(made.size() + i);
    blst_fp_mul(&image.x, &table.at(i).x, &cube_root());
    blst_fp_cneg(&image.y, &table.at(i).y, true);
  }
  const Halves first = split({Raw::bytes(a), 32});
  const Halves second = split({Raw::bytes(b), 32});
  const std::array numbers{first.low.reveal(), second.low.reveal(), first.high.reveal(), second.high.reveal()};
  G1 sum;
  blst_p1_affine chosen;
  for (std::size_t row = kPairRows; row-- > 0;) {
    for (std::size_t i = 0; i < kPairWidth; ++i) blst_p1_double(Raw::of(sum), Raw::of(sum));
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      select(chosen, std::span{table}.subspan(i * kPairEntries, kPairEntries),
             signed_digit(numbers.at(i), row * kPairWidth, kPairWidth));
      blst_p1_add_or_double_affine(Raw::of(sum), Raw::of(sum), &chosen);
    }
  }
  forget(chosen);
  return sum;
}

G1::Encoded G1::encode() const {
  Encoded out{};
  blst_p1_compress(out.data(), Raw::of(*this));
  return out;
}

std::array<G1::Encoded, 2> G1::encode(const G1& a, const G1& b) {
  // The shared inversion has no meaning where one of them has no affine coordinates.
  if (a.is_identity() || b.is_identity()) return {a.encode(), b.encode()};
  const std::array points{Raw::of(a), Raw::of(b)};
  std::array<blst_p1_affine, 2> affine{};
  blst_p1s_to_affine(affine.data(), points.data(), points.size());
  std::array<Encoded, 2> out{};
  for (std::size_t i = 0; i < out.size(); ++i) blst_p1_affine_compress(out.at(i).data(), &affine.at(i));
  return out;
}

bool G1::is_identity() const noexcept { return blst_p1_is_inf(Raw::of(*this)); }
bool G1::in_subgroup() const noexcept { return blst_p1_in_g1(Raw::of(*this)); }

G1 G1::operator+(const G1& other) const {
  G1 out;
  blst_p1_add_or_double(Raw::of(out), Raw::of(*this), Raw::of(other));
  return out;
}

G1 G1::operator-(const G1& other) const {
  G1 negated = other;
  blst_p1_cneg(Raw::of(negated), true);
  return *this + negated;
}

G1 G1::operator*(const Scalar& scalar) const {
  G1 out;
  blst_p1_mult(Raw::of(out), Raw::of(*this), Raw::bytes(scalar), kBits);
  return out;
}

bool G1::operator==(const G1& other) const noexcept { return blst_p1_is_equal(Raw::of(*this), Raw::of(other)); }

void G1::wipe() noexcept { crypto::wipe({reinterpret_cast<std::uint8_t*>(words_.data()), sizeof(words_)}); }

G2::G2() : words_{} {}

const G2& G2::generator() {
  static const G2 made = [] {
    G2 out;
    *Raw::of(out) = *blst_p2_generator();
    return out;
  }();
  return made;
}

Result<G2> G2::decode_unchecked(ByteView bytes) {
  if (bytes.size() != 96) return bad_point("G2", 96, std::to_string(bytes.size()) + " bytes");
  blst_p2_affine affine;
  if (const BLST_ERROR error = blst_p2_uncompress(&affine, bytes.data()); error != BLST_SUCCESS) {
    return bad_point("G2", 96, std::string{words(error)});
  }
  G2 out;
  blst_p2_from_affine(Raw::of(out), &affine);
  return out;
}

Result<G2> G2::decode(ByteView bytes, G1::Identity identity) {
  TRY(G2 out, decode_unchecked(bytes));
  if (identity == G1::Identity::refused && out.is_identity()) return bad_point("G2", 96, "the identity");
  if (!out.in_subgroup()) return bad_point("G2", 96, std::string{words(BLST_POINT_NOT_IN_GROUP)});
  return out;
}

G2 G2::hash(ByteView message, std::string_view tag) {
  G2 out;
  const ByteView tag_bytes = base::as_bytes(tag);
  blst_hash_to_g2(Raw::of(out), message.data(), message.size(), tag_bytes.data(), tag_bytes.size(), nullptr, 0);
  return out;
}

G2 G2::times_generator(const Scalar& scalar) { return generator() * scalar; }

G2::Encoded G2::encode() const {
  Encoded out{};
  blst_p2_compress(out.data(), Raw::of(*this));
  return out;
}

bool G2::is_identity() const noexcept { return blst_p2_is_inf(Raw::of(*this)); }
bool G2::in_subgroup() const noexcept { return blst_p2_in_g2(Raw::of(*this)); }

G2 G2::operator+(const G2& other) const {
  G2 out;
  blst_p2_add_or_double(Raw::of(out), Raw::of(*this), Raw::of(other));
  return out;
}

G2 G2::operator-(const G2& other) const {
  G2 negated = other;
  blst_p2_cneg(Raw::of(negated), true);
  return *this + negated;
}

G2 G2::operator*(const Scalar& scalar) const {
  G2 out;
  blst_p2_mult(Raw::of(out), Raw::of(*this), Raw::bytes(scalar), kBits);
  return out;
}

G2 G2::times(std::uint32_t factor) const {
  const std::array<byte, 4> bytes{static_cast<byte>(factor), static_cast<byte>(factor >> 8U),
                                  static_cast<byte>(factor >> 16U), static_cast<byte>(factor >> 24U)};
  G2 out;
  blst_p2_mult(Raw::of(out), Raw::of(*this), bytes.data(), 32);
  return out;
}

bool G2::operator==(const G2& other) const noexcept { return blst_p2_is_equal(Raw::of(*this), Raw::of(other)); }

struct PreparedG2::Lines {
  std::array<blst_fp6, 68> lines;
};

const blst_fp6* Raw::lines(const PreparedG2& point) { return point.lines_->lines.data(); }

PreparedG2::PreparedG2(const G2& point) : point_(point), lines_(std::make_unique<Lines>()) {
  blst_p2_affine affine;
  blst_p2_to_affine(&affine, Raw::of(point));
  blst_precompute_lines(lines_->lines.data(), &affine);
}
PreparedG2::PreparedG2(PreparedG2&&) noexcept = default;
PreparedG2& PreparedG2::operator=(PreparedG2&&) noexcept = default;
PreparedG2::~PreparedG2() = default;

const PreparedG2& PreparedG2::generator() {
  static const PreparedG2 made{G2::generator()};
  return made;
}

bool pairings_equal(const G1& a, const PreparedG2& p, const G1& b, const PreparedG2& q) {
  if (a.is_identity() || b.is_identity() || p.point().is_identity() || q.point().is_identity()) {
    return pairings_equal({a, p.point()}, {{b, q.point()}});
  }
  // One Miller loop for both, so that they share its squarings. Of each line blst leaves out the factors -2x and 2y.
  struct Factors {
    blst_fp x, y;
    const blst_fp6* line;
  };
  const auto factors = [](const G1& point, const PreparedG2& with, bool negate) {
    blst_p1_affine affine;
    blst_p1_to_affine(&affine, Raw::of(point));
    Factors out{{}, {}, Raw::lines(with)};
    blst_fp_add(&out.x, &affine.x, &affine.x);
    blst_fp_cneg(&out.x, &out.x, true);
    blst_fp_add(&out.y, &affine.y, &affine.y);
    blst_fp_cneg(&out.y, &out.y, negate);
    return out;
  };
  std::array both{factors(a, p, true), factors(b, q, false)};
  blst_fp12 product = *blst_fp12_one();
  const auto take_lines = [&] {
    for (Factors& one : both) {
      blst_fp6 line = *one.line++;
      for (blst_fp& part : line.fp2[1].fp) blst_fp_mul(&part, &part, &one.x);
      for (blst_fp& part : line.fp2[2].fp) blst_fp_mul(&part, &part, &one.y);
      blst_fp12_mul_by_xy00z0(&product, &product, &line);
    }
  };
  for (int bit = 62; bit >= 0; --bit) {
    if (bit != 62) blst_fp12_sqr(&product, &product);
    take_lines();
    if (((kMinusZ >> static_cast<unsigned>(bit)) & 1U) != 0) take_lines();
  }
  blst_fp12_conjugate(&product);  // z is negative
  crypto::wipe({reinterpret_cast<std::uint8_t*>(both.data()), sizeof(both)});
  return blst_fp12_finalverify(&product, blst_fp12_one());
}

bool pairings_equal(const Pair& left, std::initializer_list<Pair> right) {
  constexpr std::size_t kMost = 9;
  std::array<blst_p1_affine, kMost> g1{};
  std::array<blst_p2_affine, kMost> g2{};
  std::array<const blst_p1_affine*, kMost> g1_pointers{};
  std::array<const blst_p2_affine*, kMost> g2_pointers{};
  std::size_t count = 0;
  const auto add = [&](const G1& first, const G2& second) {
    if (first.is_identity() || second.is_identity()) return;
    blst_p1_to_affine(&g1.at(count), Raw::of(first));
    blst_p2_to_affine(&g2.at(count), Raw::of(second));
    g1_pointers.at(count) = &g1.at(count);
    g2_pointers.at(count) = &g2.at(count);
    ++count;
  };
  // e(left) == product is the product of all, with the left one inverted, being one.
  add(G1{} - left.g1, left.g2);
  for (const Pair& pair : right) add(pair.g1, pair.g2);
  if (count == 0) return true;
  blst_fp12 product;
  blst_miller_loop_n(&product, g2_pointers.data(), g1_pointers.data(), count);
  const bool one = blst_fp12_finalverify(&product, blst_fp12_one());
  // One of them may be a key that is just being checked.
  crypto::wipe({reinterpret_cast<std::uint8_t*>(g1.data()), sizeof(g1)});
  return one;
}

PairingProduct::PairingProduct() { *Raw::of(*this) = *blst_fp12_one(); }

PairingProduct PairingProduct::of(std::span<const Pair> pairs) {
  constexpr std::size_t kAtOnce = 64;  // blst keeps a loop's points on the stack
  std::vector<const blst_p1*> g1;
  std::vector<const blst_p2*> g2;
  for (const Pair& pair : pairs) {
    if (pair.g1.is_identity() || pair.g2.is_identity()) continue;
    g1.push_back(Raw::of(pair.g1));
    g2.push_back(Raw::of(pair.g2));
  }
  PairingProduct out;
  if (g1.empty()) return out;
  std::vector<blst_p1_affine> affine_g1(g1.size());
  std::vector<blst_p2_affine> affine_g2(g2.size());
  blst_p1s_to_affine(affine_g1.data(), g1.data(), g1.size());
  blst_p2s_to_affine(affine_g2.data(), g2.data(), g2.size());
  for (std::size_t at = 0; at < g1.size(); at += kAtOnce) {
    const std::size_t count = std::min(kAtOnce, g1.size() - at);
    std::array<const blst_p1_affine*, kAtOnce> first{};
    std::array<const blst_p2_affine*, kAtOnce> second{};
    for (std::size_t i = 0; i < count; ++i) {
      first.at(i) = &affine_g1[at + i];
      second.at(i) = &affine_g2[at + i];
    }
    PairingProduct part;
    blst_miller_loop_n(Raw::of(part), second.data(), first.data(), count);
    out *= part;
  }
  return out;
}

PairingProduct& PairingProduct::operator*=(const PairingProduct& other) {
  blst_fp12_mul(Raw::of(*this), Raw::of(*this), Raw::of(other));
  return *this;
}

bool PairingProduct::equals(const Pair& pair) const {
  const PairingProduct other = of({&pair, 1});
  return blst_fp12_finalverify(Raw::of(*this), Raw::of(other));
}

}  // namespace attestry::curves::bls
