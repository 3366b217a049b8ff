// Configuration templates: text with references in ${…} that are resolved for one grant.
//   ${tenant} ${app} ${instance} ${audience}   names
//   ${secret:NAME}                             the value of a released secret, which must be UTF-8
//   ${key:LABEL:ALG:PATH}                      a derived key: hex of the private bytes
//   $${                                        a literal ${
// An unknown or unresolved reference is an error: a workload never starts on half a configuration.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/secret.h"

namespace attestry::provision {

using Resolver = std::function<base::Result<std::string>(std::string_view reference)>;
/// At most 1 MiB of output.
base::Result<crypto::Secret> expand_template(std::string_view text, const Resolver& resolve);
/// The references of a template in order, without resolving them.
base::Result<std::vector<std::string>> template_references(std::string_view text);

}  // namespace attestry::provision
