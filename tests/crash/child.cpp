#include "child.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

extern char** environ;

namespace attestry::crash {
namespace {

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (auto& word : words) out.push_back(word.data());
  return out;
}

}  // namespace

Child::Child(std::vector<std::string> command, std::vector<std::string> settings) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  auto argv = pointers(command);
  argv.push_back(nullptr);
  auto environment = pointers(settings);
  for (char** e = environ; *e != nullptr; ++e) environment.push_back(*e);
  environment.push_back(nullptr);
  if (::posix_spawn(&pid_, command[0].c_str(), &actions, nullptr, argv.data(), environment.data()) != 0) pid_ = -1;
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  lines_ = ::fdopen(ends[0], "r");
}

Child::~Child() {
  kill();
  std::fclose(lines_);
}

std::optional<std::string> Child::line() {
  char* text = nullptr;
  std::size_t capacity = 0;
  const ssize_t size = ::getline(&text, &capacity, lines_);
  std::optional<std::string> out;
  if (size > 0) out = std::string(text, static_cast<std::size_t>(text[size - 1] == '\n' ? size - 1 : size));
  std::free(text);
  return out;
}

void Child::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
}

}  // namespace attestry::crash
