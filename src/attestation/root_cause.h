// The root cause of a verdict as an error. Private to attestation.
#pragma once
#include <string>

#include "attestation/verdict.h"
#include "base/result.h"

namespace attestry::attestation {

base::Error from_root_cause(base::Code code, std::string what, const Verdict& verdict);

}  // namespace attestry::attestation
