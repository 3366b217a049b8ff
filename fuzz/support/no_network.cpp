// Installs a seccomp filter before main: a fuzz target that tries to open a socket aborts, and libFuzzer keeps the
// input.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace {

#if defined(__x86_64__)
constexpr unsigned kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kArch = AUDIT_ARCH_AARCH64;
#else
#error "name this machine's AUDIT_ARCH"
#endif

void refuse(int) {
  constexpr char kMessage[] = "\na fuzz target tried to open a socket\n";
  static_cast<void>(!::write(STDERR_FILENO, kMessage, sizeof kMessage - 1));
  std::abort();
}

constexpr sock_filter statement(unsigned code, unsigned value) {
  return {static_cast<unsigned short>(code), 0, 0, value};
}
constexpr sock_filter jump(unsigned value, unsigned char if_equal, unsigned char if_other) {
  return {BPF_JMP | BPF_JEQ | BPF_K, if_equal, if_other, value};
}

// io_uring opens sockets without the socket call.
std::array<sock_filter, 9> program = {
    statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
    jump(kArch, 0, 6),
    statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
    jump(__NR_socket, 4, 0),
    jump(__NR_connect, 3, 0),
    jump(__NR_bind, 2, 0),
    jump(__NR_io_uring_setup, 1, 0),
    statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    statement(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
};

[[gnu::constructor]] void forbid_sockets() {
  std::signal(SIGSYS, refuse);
  const sock_fprog filter{program.size(), program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
    std::perror("cannot forbid sockets");
    std::_Exit(1);
  }
}

}  // namespace
