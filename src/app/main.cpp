#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "app/cli.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  const char* no_color = std::getenv("NO_COLOR");
  attestry::app::Context context{.clock = attestry::base::system_clock(),
                                 .in = std::cin,
                                 .out = std::cout,
                                 .err = std::cerr,
                                 .out_is_terminal = terminal,
                                 .colour = terminal && (no_color == nullptr || *no_color == '\0')};
  const int code = attestry::app::run({argv + 1, argv + argc}, context);
  std::cout.flush();
  return std::cout.good() ? code : 4;
}
