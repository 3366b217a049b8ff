#include "crypto/internal/require.h"

#include <cstdio>
#include <cstdlib>

namespace attestry::crypto::internal {

void stop(const char* what) noexcept {
  std::fputs("attestry: crypto: ", stderr);
  std::fputs(what, stderr);
  std::fputs("\n", stderr);
  std::abort();
}

}  // namespace attestry::crypto::internal
