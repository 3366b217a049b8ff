#include "app/wire_keystore.h"

namespace attestry::app {

base::Result<std::unique_ptr<Service>> open_keystore(const Settings& settings, const ServiceParts& /*parts*/) {
  if (settings.text("keystore.listen").empty()) return std::unique_ptr<Service>{};
  return base::Error{base::Code::configuration, "keystore.listen: this server cannot offer it yet"};
}

}  // namespace attestry::app
