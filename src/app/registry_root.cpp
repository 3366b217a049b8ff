#include "app/registry_root.h"

#include <string>

#include "app/validate.h"
#include "base/encoding.h"
#include "keys/share_set.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMaxFile = 1u << 20;
constexpr std::int64_t kLongestBootstrap = 366 * 86400;

Result<std::string> read_setting_file(const Settings& settings, std::string_view name, std::string remedy) {
  const std::string& path = settings.text(name);
  if (path.empty())
    return Error{Code::configuration, named(settings, name) + " is not set", "the name of a file", "", remedy};
  TRY(const auto bytes, state::system_files().read(path, kMaxFile), named(settings, name));
  if (!bytes)
    return Error{Code::configuration, named(settings, name) + ": there is no file " + path, {}, {}, std::move(remedy)};
  return std::string{base::as_text(*bytes)};
}

Result<keys::AdminSet> read_admins(const Settings& settings) {
  TRY(const auto json,
      read_setting_file(settings, "registry.admins",
                        "Make it: attestry admin generate-config --admin-pubkey-files a.pem,b.pem,c.pem"));
  auto admins = keys::AdminSet::parse(base::as_bytes(json));
  if (!admins) {
    Error error = std::move(admins.error().at(named(settings, "registry.admins")));
    error.code = Code::configuration;
    return error;
  }
  return admins;
}

Result<unsigned> threshold_of(const Settings& settings, const keys::AdminSet& admins) {
  TRY(const auto threshold, settings.integer("registry.threshold", 2, 255));
  if (static_cast<std::size_t>(threshold) > admins.admins().size()) {
    return Error{Code::configuration, named(settings, "registry.threshold"),
                 "at most the number of administrators, " + std::to_string(admins.admins().size()),
                 std::to_string(threshold)};
  }
  return static_cast<unsigned>(threshold);
}

/// Empty when none are named.
Result<std::string> read_commitments(const Settings& settings) {
  constexpr std::string_view kName = "registry.commitments";
  if (settings.text(kName).empty()) return std::string{};
  TRY(auto json, read_setting_file(settings, kName, "It is shamir-commitments.json of the ceremony."));
  auto set = keys::parse_commitments(json);
  if (set) return json;
  Error error = std::move(set.error().at(named(settings, kName)));
  error.code = Code::configuration;
  return error;
}

}  // namespace

Result<crypto::Secret> read_registry_master(const Settings& settings) {
  const std::string remedy = "Make one: `(umask 077; openssl rand -hex 32 > FILE)`.";
  TRY(auto text, read_setting_file(settings, "registry.master", remedy));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  base::Digest32 bytes{};
  const bool good = text.size() == 2 * bytes.size() && base::hex_decode_into(text, bytes).ok();
  const std::size_t found = text.size();
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  if (good) return crypto::Secret::absorb(bytes);
  return Error{Code::configuration, named(settings, "registry.master"), "64 hex digits: 32 bytes",
               std::to_string(found) + " characters that are not", remedy};
}

Result<std::unique_ptr<keys::Bootstrap>> open_bootstrap(const Settings& settings, state::Store& store, audit::Log& log,
                                                        crypto::Random& random, const base::Clock& clock) {
  TRY(auto admins, read_admins(settings));
  keys::BootstrapOptions options;
  options.log = &log;
  TRY(options.threshold, threshold_of(settings, admins));
  TRY(options.seed_dialect, settings.boolean("registry.admin_v1"));
  TRY(options.unknown_shares, settings.boolean("registry.foreign_shares"));
  TRY(options.commitments_json, read_commitments(settings));
  return keys::Bootstrap::open(store, std::move(admins), std::move(options), random, clock);
}

void check_registry_root(const Settings& settings, std::vector<Error>& mistakes) {
  const auto note = [&](const auto& result) {
    if (!result.ok()) mistakes.push_back(result.error());
  };
  note(settings.integer("registry.bootstrap_timeout", 0, kLongestBootstrap));
  note(settings.boolean("registry.foreign_shares"));
  const std::string& kms = settings.text("registry.kms");
  if (kms == "simple") note(read_registry_master(settings));
  if (kms != "shamir") return note(settings.integer("registry.threshold", 2, 255));
  const auto admins = read_admins(settings);
  note(admins);
  if (admins) {
    note(threshold_of(settings, *admins));
  } else {
    note(settings.integer("registry.threshold", 2, 255));
  }
  note(read_commitments(settings));
}

}  // namespace attestry::app
