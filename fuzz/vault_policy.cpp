// Policies of clients: what parses gives on every path nothing that its own text does not name, and a rule that denies
// wins over what else stands at the same path.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/bytes.h"
#include "secrets/tokens_acl.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace secrets = attestry::secrets;
  const auto text = attestry::base::as_text({data, size});
  const auto policy = secrets::AccessPolicy::parse(text);
  if (!policy.ok()) {
    if (policy.error().text().empty()) std::abort();
    return 0;
  }
  for (const auto& rule : policy->rules()) {
    const auto found = secrets::capabilities_on({&*policy}, rule.path);
    if (found.has(secrets::Capability::deny) && found.has(secrets::Capability::read)) std::abort();
    for (const auto& name : found.names()) {
      if (name != "deny" && text.find(name) == std::string_view::npos && text.find('\\') == std::string_view::npos) {
        std::abort();
      }
    }
  }
  if (policy->rules().empty() && !secrets::capabilities_on({&*policy}, "secret/data/x").empty()) std::abort();
  return 0;
}
