#include "appraisal/refusal.h"

#include "base/json.h"

namespace attestry::appraisal {

using base::Code;
using base::Error;
using base::Result;

base::JsonOutObject error_json(const Error& error) {
  return {{"code", base::slug(error.code)},
          {"what", error.what},
          {"expected", error.expected},
          {"found", error.found},
          {"remedy", error.remedy}};
}

std::string refusal_json(const Error& error, const std::string& appraisal) {
  auto out = error_json(error);
  out.emplace_back("appraisal", appraisal);
  return base::JsonOut{std::move(out)}.compact();
}

Result<Refusal> read_refusal(std::string_view json) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{json}), "refusal");
  const auto text = [&](std::string_view key) -> Result<std::string> {
    TRY(const auto value, doc->root().get(key));
    return value.string(key);
  };
  Refusal out{.error = Error{Code::denied, {}}, .appraisal = {}};
  TRY(out.error.what, text("what"));
  TRY(out.error.expected, text("expected"));
  TRY(out.error.found, text("found"));
  TRY(out.error.remedy, text("remedy"));
  TRY(out.appraisal, text("appraisal"));
  return out;
}

}  // namespace attestry::appraisal
