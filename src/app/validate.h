// What can be told of a server's settings before anything is made: `config check` and the start of a server ask the
// same questions.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "app/settings.h"
#include "appraisal/appraisal_store.h"
#include "base/result.h"
#include "keys/root_file.h"
#include "net/server.h"

namespace attestry::app {

/// Every mistake, in the order of the settings' table; empty when a server may start. Reads the files that the
/// settings name (a key of fd:N cannot be read twice and is left to the start), makes and changes nothing.
enum class UnlockToo : bool { no, yes };
std::vector<base::Error> mistakes_in(const Settings& settings, UnlockToo unlock_too = UnlockToo::yes);

/// The first mistake, saying how many more there are.
base::Status first_of(const std::vector<base::Error>& mistakes);

/// Error `unavailable` when another program has one of these addresses. Pairs of a flag's name and an address; port 0
/// and unix:PATH are always free.
base::Status addresses_free(const std::vector<std::pair<std::string, std::string>>& addresses);
base::Status addresses_free(const Settings& settings);

/// Logs what goes without TLS beyond this machine because a setting says so.
void warn_of_plain_listeners(const Settings& settings);

/// A key file that is too short is no key; passphrases may be of any length.
base::Status long_enough(const keys::Unlock& unlock, const Settings& settings);

base::Result<net::ServerLimits> limits_of(const Settings& settings);
base::Result<appraisal::Retention> retention_of(const Settings& settings);
base::Result<unsigned> workers_of(const Settings& settings);
base::Status configure_log(const Settings& settings);

/// "server.listen (flag)"
std::string named(const Settings& settings, std::string_view setting);

}  // namespace attestry::app
