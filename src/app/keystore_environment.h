// The environment of the NEAR OutLayer keystore worker, all generations, as settings of this server
// (keystore_ckd.md 7.1; docs/how-to/run-a-keystore.md). Pure.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace attestry::app {

/// Lines NAME=VALUE; empty lines, lines that begin with '#', and `export ` in front of a name; one pair of quotes
/// around a value is taken off. Error `malformed` names the line: no '=', no name of a variable, a name twice.
base::Result<std::map<std::string, std::string>> parse_env_file(std::string_view text);

struct KeystoreEnvironment {
  std::map<std::string, std::string> settings{};  ///< by name
  std::vector<std::string> notes{};               ///< what is not done, and what to do in its place
  std::vector<base::Error> mistakes{};            ///< all of them; empty: the settings are good
  std::string tee_mode{};                         ///< as the settings have it
  std::string master_secret{};    ///< KEYSTORE_MASTER_SECRET, to be kept in a file of mode 0600; empty: none
  std::string master_out_path{};  ///< where a generated master goes
  std::string private_key{};      ///< KEYSTORE_PRIVATE_KEY, likewise
  std::string init_key{};         ///< INIT_ACCOUNT_PRIVATE_KEY, likewise
  /// Overwrites the keys.
  void wipe();
};
KeystoreEnvironment read_keystore_environment(const std::map<std::string, std::string>& variables);

}  // namespace attestry::app
