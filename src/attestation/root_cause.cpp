#include "attestation/root_cause.h"

namespace attestry::attestation {

base::Error from_root_cause(base::Code code, std::string what, const Verdict& verdict) {
  base::Error error{.code = code, .what = std::move(what)};
  if (const CheckResult* cause = verdict.root_cause()) {
    const CheckInfo& check = info(cause->check);
    error.what.append(": ").append(check.id);
    error.expected = cause->expected;
    error.found = cause->actual;
    error.remedy = check.remedy;
  }
  return error;
}

}  // namespace attestry::attestation
