#include "base/result.h"

#include <iterator>

#include "base/reason.h"

namespace attestry::base {
namespace {

struct CodeInfo {
  std::string_view slug;
  int http;
  int exit;
  std::string_view remedy;
};

constexpr CodeInfo kCodes[] = {
#define ATTESTRY_CODE(name, slug, http, exit_code, remedy) {slug, http, exit_code, remedy},
#include "base/codes.def"
#undef ATTESTRY_CODE
};

const CodeInfo& info(Code code) noexcept { return kCodes[static_cast<std::size_t>(code)]; }

}  // namespace

std::string_view slug(Code code) noexcept { return info(code).slug; }
int http_status(Code code) noexcept { return info(code).http; }
int exit_code(Code code) noexcept { return info(code).exit; }
std::string_view default_remedy(Code code) noexcept { return info(code).remedy; }

Error& Error::at(std::string_view step) {
  if (!step.empty()) {
    std::string named{step};
    named += ": ";
    what.insert(0, named);
  }
  return *this;
}

std::optional<Code> code_from_slug(std::string_view slug) noexcept {
  for (std::size_t i = 0; i < std::size(kCodes); ++i) {
    if (kCodes[i].slug == slug) return static_cast<Code>(i);
  }
  return std::nullopt;
}

std::string reason(const Error& error) {
  std::string out = error.what;
  if (!error.expected.empty()) out += "; expected " + error.expected;
  if (!error.found.empty()) out += "; found " + error.found;
  return out;
}

std::string_view remedy_of_request(const Error& error) {
  if (!error.remedy.empty()) return error.remedy;
  return error.code == Code::usage ? "Correct what is named; nothing was done." : default_remedy(error.code);
}

std::string Error::text() const {
  std::string line{slug(code)};
  line += ": ";
  line += reason(*this);
  line += ". ";
  line += remedy_of_request(*this);
  return line;
}

}  // namespace attestry::base
