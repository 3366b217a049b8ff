// Marks for valgrind's memcheck: what is hidden counts as undefined memory, so that every branch and every address that
// depends on it is reported, through all copies and all arithmetic.
#pragma once
#include <valgrind/memcheck.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/bytes.h"
#include "crypto/secret.h"

namespace attestry::ctime {

inline void hide(base::ByteView bytes) { VALGRIND_MAKE_MEM_UNDEFINED(bytes.data(), bytes.size()); }
/// For what may be seen: public keys, signatures, ciphertexts. Every call says that its argument is no secret.
inline void show(base::ByteView bytes) { VALGRIND_MAKE_MEM_DEFINED(bytes.data(), bytes.size()); }
inline void show(std::string_view text) { VALGRIND_MAKE_MEM_DEFINED(text.data(), text.size()); }
/// The answer of a comparison is public: only then may the program branch on it.
inline bool revealed(bool answer) {
  VALGRIND_MAKE_MEM_DEFINED(&answer, sizeof answer);
  return answer;
}
inline void expect(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "%s\n", what);
  std::exit(2);
}

/// A hidden secret of this size.
inline crypto::Secret hidden(std::size_t size, std::uint8_t first = 0x11) {
  crypto::Secret out(size);
  for (std::size_t i = 0; i < size; ++i) out.writable()[i] = static_cast<std::uint8_t>(first + 7 * i);
  hide(out.reveal());
  return out;
}

}  // namespace attestry::ctime
