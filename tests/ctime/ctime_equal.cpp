// Constant time, checked and not only claimed: secret bytes are marked undefined (secret_marks.h). Run as
// valgrind --error-exitcode=9 -q ctime_equal ; without valgrind the marks do nothing and the program only checks the
// answers. With the argument "leaky" it does what it must never do, so that a test can prove that the check bites.
#include <string_view>

#include "base/bytes.h"
#include "crypto/scalar.h"
#include "crypto/secret.h"
#include "secret_marks.h"

using namespace attestry;
using ctime::expect;
using ctime::hide;
using ctime::revealed;
using ctime::show;

namespace {

void equal_is_constant_time() {
  for (const std::size_t size : {std::size_t{1}, std::size_t{16}, std::size_t{32}, std::size_t{33}, std::size_t{200}}) {
    base::Bytes a(size, 0x5a);
    base::Bytes b(size, 0x5a);
    hide(a);
    hide(b);
    expect(revealed(crypto::equal_constant_time(a, b)), "equal bytes differ");
    show(b);
    b.back() = 0x5b;
    hide(b);
    expect(!revealed(crypto::equal_constant_time(a, b)), "different bytes are equal");
  }
}

void scalar_reduction_is_constant_time() {
  base::Bytes order(32, 0xff);  // any odd number with its highest bits set does
  order[7] = 0x01;
  base::Bytes wide(48, 0xc3);
  hide(wide);
  const crypto::Secret scalar = crypto::scalar_from_wide(wide, order);
  show(scalar.reveal());
  expect(scalar.size() == 32, "scalar of a wrong size");
}

void leak() {
  base::Bytes a(32, 0x5a);
  base::Bytes b(32, 0x5b);
  hide(a);
  expect(!revealed(base::equal(a, b)), "different bytes are equal");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "leaky") {
    leak();
    return 0;
  }
  equal_is_constant_time();
  scalar_reduction_is_constant_time();
  return 0;
}
