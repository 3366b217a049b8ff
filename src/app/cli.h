// The command line: one file per command, each with `void add_<command>(CLI::App&, Context&)`, registered in cli.cpp.
#pragma once
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "state/file.h"

namespace CLI {
class App;
}

namespace attestry::app {

// Exit codes of every command (base/codes.def has those of errors).
inline constexpr int kExitOk = 0;
inline constexpr int kExitRefused = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitUndecided = 3;

/// Where a server that a command runs can be asked.
struct Serving {
  std::string server, operators, metrics;  ///< addresses with their scheme; empty: there is none
};

/// What a command may touch of the outside. Tests give their own streams and clock.
struct Context {
  const base::Clock& clock;
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool colour = false;  ///< a terminal, and NO_COLOR is not set
  int exit_code = kExitOk;
  state::Files* files = &state::system_files();   ///< where the checkpoint outside the store goes
  std::function<void(const Serving&)> serving{};  ///< called by a command that is a server, once it serves
};

/// Parses the arguments (without the program's name) and runs one command; its exit code.
int run(const std::vector<std::string>& arguments, Context& context);

/// For callbacks: runs `command`, keeps its exit code, and prints an error with what was expected, found, and what to
/// do.
void finish(Context& context, const std::function<base::Result<int>()>& command);

/// What is wrong, what was expected and found, and what to do.
void print_error(std::ostream& err, const base::Error& error);

/// A whole file, or standard input for "-", cut after `limit` + 1 bytes so that too large shows as such. Error `usage`
/// when it cannot be read.
base::Result<base::Bytes> read_input(Context& context, const std::string& path, std::size_t limit);

/// The id among `known` that `given` is most likely a slip of; empty when none is near.
std::string nearest(std::string_view given, const std::vector<std::string>& known);

void add_admin(CLI::App& app, Context& context);
void add_app(CLI::App& app, Context& context);
void add_appraisal(CLI::App& app, Context& context);
void add_approve(CLI::App& app, Context& context);
void add_audit(CLI::App& app, Context& context);
void add_blob(CLI::App& app, Context& context);
void add_chain(CLI::App& app, Context& context);
void add_checks(CLI::App& app, Context& context);
void add_claims(CLI::App& app, Context& context);
void add_collateral(CLI::App& app, Context& context);
void add_completion(CLI::App& app, Context& context);
void add_config(CLI::App& app, Context& context);
void add_dev(CLI::App& app, Context& context);
void add_doctor(CLI::App& app, Context& context);
void add_eventlog(CLI::App& app, Context& context);
void add_forge(CLI::App& app, Context& context);
void add_instance(CLI::App& app, Context& context);
void add_keymanager(CLI::App& app, Context& context);
void add_tracker(CLI::App& app, Context& context);
void add_measurement(CLI::App& app, Context& context);
void add_operator(CLI::App& app, Context& context);
void add_place_list(CLI::App& app, Context& context);
void add_policy(CLI::App& app, Context& context);
void add_secret(CLI::App& app, Context& context);
void add_sealing(CLI::App& app, Context& context);
void add_serve(CLI::App& app, Context& context);
void add_template(CLI::App& app, Context& context);
void add_verify(CLI::App& app, Context& context);
void add_version(CLI::App& app, Context& context);
void add_why(CLI::App& app, Context& context);

}  // namespace attestry::app
