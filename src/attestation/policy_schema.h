// The JSON Schema of policy documents, made from the claim dictionary, so that it never knows other claims than the
// parser does.
#pragma once
#include <string>

namespace attestry::attestation {

/// JSON Schema 2020-12 of format 1. What it refuses Policy::parse() refuses; the reverse holds but for what a schema
/// cannot say: UTF-8 and duplicate members, that `in_list` names one of `lists`, that `threshold` is at most the number
/// of keys, and times that only look like times.
std::string policy_schema_json();

}  // namespace attestry::attestation
