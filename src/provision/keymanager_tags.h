// What a workload's request for a key or a signature may name: its tags, and an epoch (docs/formats/keymanager.md).
// Pure, thread-safe.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::provision {

struct KeyManagerTagRules {
  /// The second generation's rule: a workload may take the keys, and speak in the name, of any tag. Off: of its own.
  bool any = false;
  /// Signatures for the tag that is a workload's whole name: the names that are known must be such that none begins
  /// with another (check_names_apart). Off: tags have the form NAME/….
  bool bare = false;
};

/// Whether the tag is the workload's: its name, or what begins with the name and a slash, which no name contains. Tags
/// are names that a workload chooses: without this look each could take another's keys. Error `denied`.
base::Status check_tag(std::string_view workload, std::string_view tag, const KeyManagerTagRules& rules);

/// The same for signatures. What is signed is keccak(tag ‖ data), which does not say where the tag ends (keymanager.md
/// section 9, 7): "web" with data that begin with "server" is "webserver". The slash ends a name. Without one, names of
/// which none begins with another and data of 32 bytes keep workloads apart: no bytes are signed for two of them. Error
/// `denied`.
base::Status check_signed_tag(std::string_view workload, std::string_view tag, base::ByteView data,
                              const KeyManagerTagRules& rules);

/// `epoch` of a query: decimal digits of a number from 1; 0 when it is not there. Error `malformed`.
base::Result<std::uint32_t> parse_keymanager_epoch(std::optional<std::string_view> text);

}  // namespace attestry::provision
