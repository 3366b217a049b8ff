#include "state/keys.h"

namespace attestry::state {

base::Result<base::Reader> open_value(base::ByteView stored, std::uint8_t version, std::string_view what) {
  base::Reader reader(stored);
  TRY(const std::uint8_t found, reader.u8("version"), what);
  if (found != version) {
    return base::Error{base::Code::corrupt, std::string(what) + ": a record of another version",
                       std::to_string(version), std::to_string(found)};
  }
  return reader;
}

}  // namespace attestry::state
