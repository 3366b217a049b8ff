// A program that a test starts, listens to and kills.
#pragma once
#include <sys/types.h>

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

namespace attestry::crash {

class Child {
 public:
  /// `settings` are NAME=VALUE, before this process's own environment.
  Child(std::vector<std::string> command, std::vector<std::string> settings);
  /// Kills it if it still runs.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// The next line of its output without the newline; nullopt when it has closed it, which a killed one has.
  std::optional<std::string> line();
  /// SIGKILL, and waits for its end. May be called from another thread than line(), once.
  void kill();

 private:
  pid_t pid_ = -1;
  FILE* lines_ = nullptr;
};

}  // namespace attestry::crash
