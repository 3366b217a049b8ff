// attestry as it ships, but on the disk that forgets: the program that the kill test of the whole server runs. Settings
// of the disk come from the environment (crash_disk.h). Never installed.
#include <unistd.h>

#include <iostream>

#include "app/cli.h"
#include "crash_disk.h"

int main(int argc, char** argv) {
  attestry::app::Context context{
      .clock = attestry::base::system_clock(), .in = std::cin, .out = std::cout, .err = std::cerr};
  context.files = &attestry::crash::install(attestry::crash::options_from_environment());
  const int code = attestry::app::run({argv + 1, argv + argc}, context);
  std::cout.flush();
  return code;
}
