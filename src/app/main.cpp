#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <system_error>

#include "app/cli.h"

namespace {

constexpr int kDefect = 4;
constexpr int kBrokenPipe = 128 + SIGPIPE;

/// Whatever a library throws ends here, after everything was put away: a message is of use, a core dump is not.
int guarded(const std::vector<std::string>& arguments, attestry::app::Context& context) {
  try {
    return attestry::app::run(arguments, context);
  } catch (const std::exception& error) {
    std::cerr << "attestry: ended by an error that nothing had foreseen\n"
              << "  found       " << error.what() << "\n"
              << "  what to do  Look at the files and rights that this names; if they are as they should be, this is a "
                 "defect of attestry: report it with the command and this text.\n";
    return kDefect;
  }
}

/// A reader that went away (`| head`) has what it wanted: as quiet as where the signal itself ends the program.
int not_written(int reason) {
  pollfd out{STDOUT_FILENO, POLLOUT, 0};
  if (::poll(&out, 1, 0) > 0 && (out.revents & POLLERR) != 0) return kBrokenPipe;
  std::cerr << "attestry: the output could not be written whole\n"
            << "  found       " << (reason != 0 ? std::generic_category().message(reason) : "an error of writing")
            << "\n"
            << "  what to do  Look at the free space where the output goes, then run the command again.\n";
  return kDefect;
}

}  // namespace

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
  const int code = guarded({argv + 1, argv + argc}, context);
  errno = 0;
  std::cout.flush();
  return std::cout.good() ? code : not_written(errno);
}
