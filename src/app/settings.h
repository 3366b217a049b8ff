// Settings of a server: flag > environment ATTESTRY_SECTION_KEY > TOML file > default (ARCHITECTURE 3.15). One table
// says which exist; unknown ones are errors with a suggestion.
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace attestry::app {

struct SettingInfo {
  std::string_view name;           ///< "server.listen"
  std::string_view default_value;  ///< lists are comma-separated
  std::string_view help;
};
std::span<const SettingInfo> setting_infos() noexcept;

struct Setting {
  std::string value;
  std::string origin;  ///< "flag", "environment ATTESTRY_SERVER_LISTEN", "file:line", "default"
};

/// All settings with where each came from. Plain data after load().
class Settings {
 public:
  /// Variables by name. Only those that begin with ATTESTRY_ are looked at.
  using Environment = std::map<std::string, std::string>;

  /// `file` may be empty. `flags` are by setting name. Error `configuration` names the place and what was meant; an
  /// ATTESTRY_ variable that means nothing to this program is one, as an unknown setting of the file is.
  static base::Result<Settings> load(const std::string& file, const std::map<std::string, std::string>& flags,
                                     const Environment& environment);
  /// The same, for those who want to hear of every mistake at once: what is wrong is added to `mistakes`, and the
  /// settings are as if it had not been said.
  static Settings load(const std::string& file, const std::map<std::string, std::string>& flags,
                       const Environment& environment, std::vector<base::Error>& mistakes);

  /// `name` must be in the table.
  const std::string& text(std::string_view name) const;
  const std::string& origin(std::string_view name) const;
  base::Result<bool> boolean(std::string_view name) const;
  base::Result<std::int64_t> integer(std::string_view name, std::int64_t min, std::int64_t max) const;
  std::vector<std::string> list(std::string_view name) const;
  const std::map<std::string, Setting, std::less<>>& all() const noexcept { return values_; }

 private:
  std::map<std::string, Setting, std::less<>> values_;
};

/// What --set says, SECTION.KEY=VALUE each, into `flags`.
base::Status read_sets(const std::vector<std::string>& sets, std::map<std::string, std::string>& flags);

/// The ATTESTRY_ variables of the process's environment.
Settings::Environment process_environment();

}  // namespace attestry::app
