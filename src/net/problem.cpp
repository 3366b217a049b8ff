#include "net/problem.h"

#include <array>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/reason.h"

namespace attestry::net {
namespace {

/// "not-found" -> "Not found": one fixed title for each type, as RFC 9457, 3.1.3 wants it.
std::string title_of(base::Code code) {
  std::string title{base::slug(code)};
  for (auto& c : title) {
    if (c == '-') c = ' ';
  }
  if (!title.empty() && title[0] >= 'a' && title[0] <= 'z') title[0] = static_cast<char>(title[0] - 'a' + 'A');
  return title;
}

std::optional<base::Code> code_of(std::string_view slug) {
  static constexpr std::array kAll = {
#define ATTESTRY_CODE(name, slug, http, exit_code, remedy) base::Code::name,
#include "base/codes.def"
#undef ATTESTRY_CODE
  };
  for (const auto code : kAll) {
    if (base::slug(code) == slug) return code;
  }
  return std::nullopt;
}

}  // namespace

Response problem(const base::Error& error, const TraceContext& trace, const ProblemExtras& extras) {
  const auto code = base::slug(error.code);
  const int status = extras.status.value_or(base::http_status(error.code));
  base::JsonOutObject out{{"type", "urn:attestry:error:" + std::string{code}},
                          {"title", title_of(error.code)},
                          {"status", status},
                          {"detail", error.what},
                          {"code", code},
                          {"remedy", base::remedy_of_request(error)}};
  if (!trace.trace_id.empty()) out.emplace_back("trace_id", trace.trace_id);
  if (!error.expected.empty()) out.emplace_back("expected", error.expected);
  if (!error.found.empty()) out.emplace_back("found", error.found);
  if (!extras.checks_json.empty()) out.emplace_back("checks", base::JsonOut::Raw{extras.checks_json});
  if (!extras.appraisal.empty()) out.emplace_back("appraisal", extras.appraisal);
  if (!extras.instance.empty()) out.emplace_back("instance", extras.instance);
  Response response{status, "application/problem+json", base::JsonOut{std::move(out)}.compact(), {}};
  response.headers.add("Cache-Control", "no-store");
  // ARCHITECTURE 3.14: whoever is told to come back later is told when.
  if (status == 429 || status == 503)
    response.headers.add("Retry-After", std::to_string(extras.retry_after.value_or(1)));
  // RFC 9110, 11.6.1: a 401 names a scheme.
  if (status == 401) response.headers.add("WWW-Authenticate", "Bearer");
  return response;
}

std::optional<base::Error> error_from_problem(const Response& reply) {
  if (!reply.content_type.starts_with("application/problem+json")) return std::nullopt;
  auto document = base::JsonDocument::parse(reply.body);
  if (!document.ok()) return std::nullopt;
  const auto root = (*document)->root();
  auto text = [&root](std::string_view key) -> std::string {
    const auto member = root.find(key);
    if (!member) return {};
    auto value = member->string(key);
    return value.ok() ? *std::move(value) : std::string{};
  };
  const auto code = code_of(text("code"));
  if (!code) return std::nullopt;
  return base::Error{*code, text("detail"), text("expected"), text("found"), text("remedy")};
}

}  // namespace attestry::net
