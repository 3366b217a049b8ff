// Where references stand, in text and in the strings of JSON.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "provision/registry_template.h"

namespace attestry::provision {

struct FoundReference {
  RegistryReference reference;
  std::size_t begin = 0, end = 0;  ///< in the text, without quotes
};
/// The first reference at or after `from`. What has fewer digits is none; of more digits it takes the first 64.
std::optional<FoundReference> find_reference(std::string_view text, std::size_t from);

/// Error `malformed` when what begins like a reference has not exactly 64 digits: a slip of the hand that text mode,
/// which must let any text pass, leaves in the configuration.
base::Status check_references(std::string_view text);

/// A string of a JSON document that has references.
struct JsonSlot {
  std::size_t begin = 0, end = 0;  ///< of the string with its quotes, in the document's text
  std::string value;
  std::string pointer;    ///< RFC 6901
  std::size_t depth = 0;  ///< arrays and objects around it
};

struct JsonText {
  std::shared_ptr<const base::JsonDocument> document;
  std::vector<JsonSlot> slots;
  std::size_t height = 0;  ///< arrays and objects within each other
};
/// Errors of the JSON reader; malformed for a reference in a member's name or one that is not whole.
base::Result<JsonText> scan_json(std::string_view text, std::size_t max_bytes);

/// Arrays and objects within each other.
std::size_t json_height(const base::JsonValue& value);

}  // namespace attestry::provision
