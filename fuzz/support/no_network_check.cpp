// Shows that no_network.cpp works: a child that opens a socket must die by SIGABRT.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

int main() {
  const pid_t child = ::fork();
  if (child < 0) return 1;
  if (child == 0) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    ::_exit(fd >= 0 ? 2 : 3);
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child) return 1;
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? 0 : 1;
}
