// Scalars of BLS12-381: a node's share and the blinding of its answer (docs/formats/threshold.md). See ctime_equal.cpp.
#include <string_view>

#include "curves/bls12_381.h"
#include "keys/ckd.h"
#include "secret_marks.h"

using namespace attestry;
using ctime::expect;
using ctime::hidden;
using ctime::show;
using curves::bls::G1;
using curves::bls::G2;
using curves::bls::Scalar;

namespace {

Scalar secret(std::uint8_t first) { return Scalar::from_wide(hidden(48, first).reveal()); }

template <class Point>
void show_point(const Point& point) {
  show(base::ByteView{reinterpret_cast<const std::uint8_t*>(&point), sizeof(point)});
}

void arithmetic_is_constant_time() {
  const Scalar a = secret(0x11), b = secret(0x52);
  const Scalar result = (a + b) * a.inverse() - b;
  const crypto::Secret bytes = result.big_endian();
  show(bytes.reveal());
  expect(bytes.size() == 32, "a scalar of a wrong size");
}

void multiplication_is_constant_time() {
  const Scalar a = secret(0x11), b = secret(0x52);
  const G1 point = G1::hash(base::as_bytes("a message"), "a tag");
  const G1 other = G1::hash(base::as_bytes("another message"), "a tag");
  G1 sum = G1::sum_of_products(point, a, other, b);
  G1 both = point * a + other * b;
  G1 base = G1::times_generator(a);
  G2 second = G2::times_generator(b);
  show_point(sum);
  show_point(both);
  show_point(base);
  show_point(second);
  expect(sum == both && !base.is_identity() && !second.is_identity(), "products differ");
}

void shares_are_made_in_constant_time() {
  const Scalar x = secret(0x11), y = secret(0x52);
  const G1 point = G1::hash(base::as_bytes("a message"), "a tag");
  keys::ckd::Share share = keys::ckd::share(x, Scalar::from_u32(7), y, point, G1::generator());
  show_point(share.big_y);  // they leave the node
  show_point(share.big_c);
  expect(share.encode().big_y != share.encode().big_c, "a share that is none");
}

void leak() {
  const Scalar a = secret(0x11);
  expect(!ctime::revealed(false) && a.big_endian().reveal()[0] < 0x80, "a scalar above the order");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "leaky") {
    leak();
    return 0;
  }
  arithmetic_is_constant_time();
  multiplication_is_constant_time();
  shares_are_made_in_constant_time();
  return 0;
}
