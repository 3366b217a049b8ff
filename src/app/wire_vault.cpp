#include "app/wire_vault.h"

namespace attestry::app {

base::Result<std::unique_ptr<Service>> open_vault(const Settings& settings, const ServiceParts& /*parts*/) {
  if (settings.text("vault.listen").empty()) return std::unique_ptr<Service>{};
  return base::Error{base::Code::configuration, "vault.listen: this server cannot offer it yet"};
}

}  // namespace attestry::app
