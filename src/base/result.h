// Result<T>: a value or an Error, with no empty state to forget (ARCHITECTURE 3.3).
#pragma once
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace attestry::base {

/// What went wrong, as one closed list (codes.def). A Code decides HTTP status and exit code, never control flow by
/// text.
enum class Code : std::uint8_t {
#define ATTESTRY_CODE(name, slug, http, exit_code, remedy) name,
#include "base/codes.def"
#undef ATTESTRY_CODE
};

std::string_view slug(Code code) noexcept;
int http_status(Code code) noexcept;
int exit_code(Code code) noexcept;
std::string_view default_remedy(Code code) noexcept;

/// An error that helps: what happened, and where known what was expected, what was found and what to do.
/// Never put bytes of a secret into it.
struct Error {
  Code code = Code::internal;
  std::string what;
  std::string expected{};
  std::string found{};
  std::string remedy{};  ///< empty: default_remedy(code)

  /// Names the step that failed, outermost first: "policy: line 3: unknown key".
  Error& at(std::string_view step);
  /// One line for logs and terminals.
  std::string text() const;
};

template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
  Result() = delete;
  Result(Error error) : std::expected<T, Error>(std::unexpected(std::move(error))) {}
  bool ok() const noexcept { return this->has_value(); }
};

/// For functions that only succeed or fail: `return done();`
struct Done {};
using Status = Result<Done>;
inline Status done() { return Done{}; }

}  // namespace attestry::base

#define ATTESTRY_CONCAT_(a, b) a##b
#define ATTESTRY_CONCAT(a, b) ATTESTRY_CONCAT_(a, b)
#define ATTESTRY_TRY_(tmp, decl, expr, ...) \
  auto tmp = (expr);                        \
  if (!tmp.has_value()) {                   \
    auto error_ = std::move(tmp).error();   \
    __VA_OPT__(error_.at(__VA_ARGS__);)     \
    return error_;                          \
  }                                         \
  decl = *std::move(tmp)

#define ATTESTRY_TRY_OK_(tmp, expr, ...)    \
  do {                                      \
    auto tmp = (expr);                      \
    if (!tmp.has_value()) {                 \
      auto error_ = std::move(tmp).error(); \
      __VA_OPT__(error_.at(__VA_ARGS__);)   \
      return error_;                        \
    }                                       \
  } while (false)

/// TRY(auto quote, parse_quote(raw), "quote"); returns the error, with the step's name in front, or goes on with the
/// value.
#define TRY(decl, expr, ...) ATTESTRY_TRY_(ATTESTRY_CONCAT(try_, __COUNTER__), decl, expr __VA_OPT__(, ) __VA_ARGS__)
/// TRY_OK(check(x), "step"); the same where there is no value to keep.
#define TRY_OK(expr, ...) ATTESTRY_TRY_OK_(ATTESTRY_CONCAT(try_ok_, __COUNTER__), expr __VA_OPT__(, ) __VA_ARGS__)
