// A refusal by policy as it is kept: with the spent nonce, so that it is said again as it was said first, and with the
// stored appraisal (FORMATS 3).
#pragma once
#include <string>
#include <string_view>

#include "base/json_writer.h"
#include "base/result.h"

namespace attestry::appraisal {

/// {"code","what","expected","found","remedy"}: Entry::refusal_json.
base::JsonOutObject error_json(const base::Error& error);

struct Refusal {
  base::Error error;      ///< `denied`
  std::string appraisal;  ///< hex id of the stored appraisal
};
/// error_json() and "appraisal".
std::string refusal_json(const base::Error& error, const std::string& appraisal);
/// What refusal_json() made. Error `malformed`.
base::Result<Refusal> read_refusal(std::string_view json);

}  // namespace attestry::appraisal
