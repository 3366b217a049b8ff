// What the sections of settings are read with: values of the right kind, and every mistake.
#pragma once
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/settings.h"
#include "app/typed_text.h"
#include "app/validate.h"
#include "attestation/policy.h"

namespace attestry::app {

/// Takes values out of the settings; what is wrong with one is noted, and a harmless value stands for it.
class SettingsReader {
 public:
  SettingsReader(const Settings& settings, std::vector<base::Error>& mistakes)
      : settings_(settings), mistakes_(mistakes) {}

  const std::string& text(std::string_view name) const { return settings_.text(name); }
  std::string named(std::string_view name) const { return app::named(settings_, name); }
  std::vector<std::string> list(std::string_view name) const { return settings_.list(name); }

  void note(base::Error error) {
    error.code = base::Code::configuration;
    mistakes_.push_back(std::move(error));
  }
  template <class T>
  std::optional<T> noted(std::string_view name, base::Result<T> result) {
    if (result) return std::optional<T>{std::move(*result)};
    note(std::move(result.error().at(named(name))));
    return {};
  }

  bool flag(std::string_view name) {
    const auto value = settings_.boolean(name);
    if (!value) mistakes_.push_back(value.error());
    return value.ok() && *value;
  }
  std::int64_t number(std::string_view name, std::int64_t min, std::int64_t max) {
    const auto value = settings_.integer(name, min, max);
    if (value) return *value;
    mistakes_.push_back(value.error());
    return min;
  }
  /// Whether it is the first of these words.
  bool is_first(std::string_view name, std::initializer_list<std::string_view> words);
  curves::Address address(std::string_view name, const std::string& written) {
    return noted(name, typed_address(written)).value_or(curves::Address{});
  }
  /// A file of certificates that TLS can use; empty when none is named.
  std::string certificates(std::string_view name);
  static base::Result<std::string> read_file(const std::string& path, std::size_t most);

 private:
  const Settings& settings_;
  std::vector<base::Error>& mistakes_;
};

/// A policy by its name, or out of a file.
base::Result<attestation::Policy> policy_of(const std::string& name);
/// An endpoint without its path, in which hosted nodes have their customers' keys.
std::string shown_endpoint(const std::string& url);

}  // namespace attestry::app
