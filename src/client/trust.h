// What a workload trusts, from its own (measured) settings: never from the server it talks to (FORMATS 4).
#pragma once
#include <string>
#include <string_view>

#include "audit/checkpoint.h"
#include "base/result.h"

namespace attestry::client {

/// JSON: {"origin": "...", "log_keys": ["origin+id+base64", …], "witnesses": ["…"], "witness_threshold": n,
/// "simulated": bool}. Unknown members are refused; `witnesses`, `witness_threshold` and `simulated` may be left out.
struct Trust {
  audit::LogTrust log;
  bool allow_simulated = false;

  static base::Result<Trust> parse(std::string_view json);
  std::string to_json() const;
};

}  // namespace attestry::client
