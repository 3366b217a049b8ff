#include "crypto/internal/p384_verify.h"

#include <cstddef>

#include "crypto/internal/awslc.h"

// The header of renamed symbols names every function of the library as it was built.
#if defined(__x86_64__) && defined(p384_montjdouble) && defined(bignum_montmul_p384) && defined(bignum_montinv_p384)
#define ATTESTRY_OWN_P384 1
#include <cpuid.h>
#else
#define ATTESTRY_OWN_P384 0
#endif

#if ATTESTRY_OWN_P384

// s2n-bignum as AWS-LC carries it. Numbers are six words, least significant first, below p, and below p again
// afterwards. Results may lie where arguments lie.
extern "C" {
void bignum_add_p384(std::uint64_t* z, const std::uint64_t* x, const std::uint64_t* y);
void bignum_sub_p384(std::uint64_t* z, const std::uint64_t* x, const std::uint64_t* y);
void bignum_neg_p384(std::uint64_t* z, const std::uint64_t* x);
void bignum_tomont_p384(std::uint64_t* z, const std::uint64_t* x);                           // x * 2^384
void bignum_montmul_p384(std::uint64_t* z, const std::uint64_t* x, const std::uint64_t* y);  // x * y / 2^384
void bignum_montsqr_p384(std::uint64_t* z, const std::uint64_t* x);                          // x * x / 2^384
void bignum_montinv_p384(std::uint64_t* z, const std::uint64_t* x);                          // 2^768 / x
void p384_montjdouble(std::uint64_t* p3, const std::uint64_t* p1);  // Jacobian x, y, z in Montgomery form
}

namespace attestry::crypto::internal {

namespace {

/// p and G of SP 800-186 3.2.1.4.
constexpr Words384 kFieldPrime = {0x00000000ffffffff, 0xffffffff00000000, 0xfffffffffffffffe,
                                  0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff};
constexpr Words384 kGeneratorX = {0x3a545e3872760ab7, 0x5502f25dbf55296c, 0x59f741e082542a38,
                                  0x6e1d3b628ba79b98, 0x8eb1c71ef320ad74, 0xaa87ca22be8b0537};
constexpr Words384 kGeneratorY = {0x7a431d7c90ea0e5f, 0x0a60b1ce1d7e819d, 0xe9da3113b5f0b8c0,
                                  0xf8f41dbd289a147c, 0x5d9e98bf9292dc29, 0x3617de4a96262c6f};

/// An element of the field in Montgomery form, below p.
struct Element {
  Words384 words;
  bool zero() const noexcept { return is_zero(words); }
  bool operator==(const Element&) const = default;
};

Element to_montgomery(const Words384& a) noexcept {
  Element out;
  bignum_tomont_p384(out.words.data(), a.data());
  return out;
}
Element operator*(const Element& a, const Element& b) noexcept {
  Element out;
  bignum_montmul_p384(out.words.data(), a.words.data(), b.words.data());
  return out;
}
Element square(const Element& a) noexcept {
  Element out;
  bignum_montsqr_p384(out.words.data(), a.words.data());
  return out;
}
Element operator+(const Element& a, const Element& b) noexcept {
  Element out;
  bignum_add_p384(out.words.data(), a.words.data(), b.words.data());
  return out;
}
Element operator-(const Element& a, const Element& b) noexcept {
  Element out;
  bignum_sub_p384(out.words.data(), a.words.data(), b.words.data());
  return out;
}
Element operator-(const Element& a) noexcept {
  Element out;
  bignum_neg_p384(out.words.data(), a.words.data());
  return out;
}

struct Affine {
  Element x, y;
};

/// (x / z², y / z³), or infinity where z is zero.
struct Jacobian {
  Element x, y, z;
};
static_assert(sizeof(Jacobian) == 18 * sizeof(std::uint64_t), "the assembly expects x, y and z in a row");

/// A point that is added many times, with the powers of its z.
struct Addend {
  Jacobian point;
  Element zz, zzz;
};

Element one() noexcept { return to_montgomery({1}); }

/// Infinity stays infinity.
void double_in_place(Jacobian& p) noexcept {
  p384_montjdouble(reinterpret_cast<std::uint64_t*>(&p), reinterpret_cast<const std::uint64_t*>(&p));
}

Jacobian twice(Jacobian p) noexcept {
  double_in_place(p);
  return p;
}

/// p + q, both brought to one denominator: x is u1 / z² and u2 / z², y is s1 / z³ and s2 / z³. `p` once more as it is,
/// for the case that q is p. Neither is infinity; nothing else is assumed of them.
Jacobian sum(const Jacobian& p, const Element& u1, const Element& s1, const Element& u2, const Element& s2,
             const Element& z) noexcept {
  const Element h = u2 - u1;
  const Element r = s2 - s1;
  if (h.zero()) return r.zero() ? twice(p) : Jacobian{};  // q = p, or q = -p
  const Element hh = square(h);
  const Element hhh = h * hh;
  const Element v = u1 * hh;
  Jacobian out;
  out.x = square(r) - hhh - (v + v);
  out.y = r * (v - out.x) - s1 * hhh;
  out.z = z * h;
  return out;
}

/// p + q, or p - q.
Jacobian add(const Jacobian& p, const Affine& q, bool negate) noexcept {
  const Element y = negate ? -q.y : q.y;
  if (p.z.zero()) return {q.x, y, one()};
  const Element zz = square(p.z);
  return sum(p, p.x, p.y, q.x * zz, y * (p.z * zz), p.z);
}

Jacobian add(const Jacobian& p, const Addend& q, bool negate) noexcept {
  const Element y = negate ? -q.point.y : q.point.y;
  if (p.z.zero()) return {q.point.x, y, q.point.z};
  const Element zz = square(p.z);
  return sum(p, p.x * q.zz, p.y * q.zzz, q.point.x * zz, y * (p.z * zz), p.z * q.point.z);
}

Affine to_affine(const Jacobian& p) noexcept {
  Element inverse;
  bignum_montinv_p384(inverse.words.data(), p.z.words.data());
  const Element squared = square(inverse);
  return {p.x * squared, p.y * (squared * inverse)};
}

// The odd multiples 1, 3, ..., 2^(w-1) - 1 of a point, which signed digits of width w need.
constexpr std::size_t table_size(unsigned width) noexcept { return std::size_t{1} << (width - 2); }
constexpr unsigned kGeneratorWidth = 8;
constexpr unsigned kKeyWidth = 5;
using GeneratorTable = std::array<Affine, table_size(kGeneratorWidth)>;
using KeyTable = std::array<Addend, table_size(kKeyWidth)>;

/// Six kilobytes, made at the first signature.
const GeneratorTable& generator_table() noexcept {
  static const GeneratorTable kTable = [] {
    GeneratorTable table;
    table[0] = {to_montgomery(kGeneratorX), to_montgomery(kGeneratorY)};
    const Affine step = to_affine(twice({table[0].x, table[0].y, one()}));
    for (std::size_t i = 1; i < table.size(); ++i) {
      table[i] = to_affine(add({table[i - 1].x, table[i - 1].y, one()}, step, false));
    }
    return table;
  }();
  return kTable;
}

Addend addend(const Jacobian& p) noexcept {
  const Element zz = square(p.z);
  return {p, zz, zz * p.z};
}

KeyTable key_table(const Affine& key) noexcept {
  const Jacobian first{key.x, key.y, one()};
  const Addend step = addend(twice(first));
  KeyTable table;
  table[0] = addend(first);
  for (std::size_t i = 1; i < table.size(); ++i) table[i] = addend(add(table[i - 1].point, step, false));
  return table;
}

/// a * G + b * key. The doublings are shared, and each point is added where its digit is not zero (Straus).
Jacobian multiply(const Words384& a, const Words384& b, const Affine& key) noexcept {
  const GeneratorTable& multiples_of_g = generator_table();
  const KeyTable multiples_of_key = key_table(key);
  const Digits384 digits_a = signed_digits(a, kGeneratorWidth);
  const Digits384 digits_b = signed_digits(b, kKeyWidth);
  const auto index = [](int digit) { return static_cast<std::size_t>(digit < 0 ? -digit : digit) / 2; };
  Jacobian out{};  // infinity
  for (std::size_t i = digits_a.size(); i-- > 0;) {
    double_in_place(out);
    if (digits_a[i] != 0) out = add(out, multiples_of_g[index(digits_a[i])], digits_a[i] < 0);
    if (digits_b[i] != 0) out = add(out, multiples_of_key[index(digits_b[i])], digits_b[i] < 0);
  }
  return out;
}

/// Whether the x of the point, a number below p, is r modulo n: r, or r + n where that is below p. Without a division:
/// x = r is X = r Z².
bool x_is(const Jacobian& p, const Words384& r) noexcept {
  if (p.z.zero()) return false;
  const Element zz = square(p.z);
  if (to_montgomery(r) * zz == p.x) return true;
  const Words384 beyond = add_words(r, kP384Order);
  const bool carried = less(beyond, r);
  return !carried && less(beyond, kFieldPrime) && to_montgomery(beyond) * zz == p.x;
}

bool in_range(const Words384& a) noexcept { return !is_zero(a) && less(a, kP384Order); }

bool has_instructions() noexcept {
  static const bool kHas = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) == 1 && (b & bit_BMI2) != 0 && (b & bit_ADX) != 0;
  }();
  return kHas;
}

}  // namespace

std::optional<P384Verifier> P384Verifier::make(base::ByteView xy) noexcept {
  if (!has_instructions()) return std::nullopt;
  P384Verifier out;
  out.x_ = to_montgomery(words_from_bytes(xy.first(48))).words;
  out.y_ = to_montgomery(words_from_bytes(xy.subspan(48, 48))).words;
  return out;
}

bool P384Verifier::verify(const Sha384Digest& digest, base::ByteView r, base::ByteView s) const noexcept {
  if (r.size() != 48 || s.size() != 48) return false;
  const Words384 r_words = words_from_bytes(r);
  const Words384 s_words = words_from_bytes(s);
  if (!in_range(r_words) || !in_range(s_words)) return false;
  const Words384 e = order_reduce(words_from_bytes(digest));  // as many bits as n has: nothing to cut off
  const Words384 w = order_inverse(s_words);
  return x_is(multiply(order_multiply(e, w), order_multiply(r_words, w), {{x_}, {y_}}), r_words);
}

}  // namespace attestry::crypto::internal

#else

namespace attestry::crypto::internal {

std::optional<P384Verifier> P384Verifier::make(base::ByteView) noexcept { return std::nullopt; }

// Of what make() never gives there is nothing to ask.
bool P384Verifier::verify(const Sha384Digest&, base::ByteView, base::ByteView) const noexcept { return false; }

}  // namespace attestry::crypto::internal

#endif
