// Patterns for account names. Owners wrote them for Rust's regex crate; RE2 reads nearly the same. What the two read
// differently is refused, so that no pattern means more here than its owner saw.
#include <re2/re2.h>

#include <algorithm>

#include "base/utf8.h"
#include "secrets/keystore_access.h"

namespace attestry::secrets::keystore {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::int64_t kMaxProgram = kMaxPatternProgram;
constexpr std::size_t kMaxAccount = 64;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Walks over the pattern and names the first thing that the two engines read differently.
class Scan {
 public:
  explicit Scan(std::string_view pattern) noexcept : rest_(pattern) {}

  std::string_view trouble() {
    while (!rest_.empty()) {
      const std::string_view found = in_class_ ? inside() : outside();
      if (!found.empty()) return found;
    }
    return {};
  }

 private:
  bool next(std::string_view text) const noexcept { return rest_.starts_with(text); }
  void skip(std::size_t count) noexcept { rest_.remove_prefix(std::min(count, rest_.size())); }

  std::string_view escape() {
    const char c = rest_.size() > 1 ? rest_[1] : '\0';
    skip(2);
    // \Q…\E and \C are RE2's alone; \1 is octal there; \x and \p have long forms that differ.
    if (is_digit(c)) return "a back-reference or octal escape";
    if (c == 'Q' || c == 'E' || c == 'C' || c == 'x' || c == 'u' || c == 'U' || c == 'p' || c == 'P' || c == '<' ||
        c == '>') {
      return "an escape of another kind than \\d \\w \\s \\b and punctuation";
    }
    return {};
  }

  std::string_view outside() {
    if (next("\\")) return escape();
    if (next("[")) {
      in_class_ = true;
      skip(next("[^") ? 2 : 1);
      if (next("]")) skip(1);  // the first one is a letter of the class
      return {};
    }
    if (next("(?")) {
      skip(2);
      if (next("P<") || next(":")) return {};
      const std::size_t end = rest_.find_first_of(":)");
      const std::string_view flags = rest_.substr(0, end);
      const bool plain = !flags.empty() && end != std::string_view::npos &&
                         std::ranges::all_of(flags, [](char c) { return c == 'i' || c == 's' || c == '-'; });
      return plain ? std::string_view{} : "a group of another kind than (…), (?:…), (?P<name>…), (?i) and (?s)";
    }
    if (next("{")) return repetition();
    skip(1);
    return {};
  }

  /// RE2 takes a '{' that counts nothing for a letter; Rust refuses it, or reads {,n} as {0,n}.
  std::string_view repetition() {
    constexpr std::string_view wrong = "a '{' that is no {n}, {n,} or {n,m}";
    skip(1);
    if (rest_.empty() || !is_digit(rest_.front())) return wrong;
    while (!rest_.empty() && is_digit(rest_.front())) skip(1);
    if (next(",")) skip(1);
    while (!rest_.empty() && is_digit(rest_.front())) skip(1);
    if (!next("}")) return wrong;
    skip(1);
    return {};
  }

  /// Rust has nested classes and operations on them, where RE2 sees letters.
  std::string_view inside() {
    if (next("\\")) return escape();
    if (next("[:")) {
      const std::size_t end = rest_.find(":]");
      if (end == std::string_view::npos) return "a class that does not end";
      skip(end + 2);
      return {};
    }
    if (next("[") || next("&&") || next("--") || next("~~")) return "a class within a class, or &&, -- and ~~ in one";
    if (next("]")) in_class_ = false;
    skip(1);
    return {};
  }

  std::string_view rest_;
  bool in_class_ = false;
};

}  // namespace

struct AccountPattern::Impl {
  explicit Impl(std::string_view pattern, const RE2::Options& options)
      : regex(re2::StringPiece(pattern.data(), pattern.size()), options) {}
  RE2 regex;
};

Result<AccountPattern> AccountPattern::compile(std::string_view pattern) {
  const auto wrong = [&](std::string_view why) {
    return Error{Code::malformed, "account pattern: " + std::string{why},
                 "a pattern that Rust's regex and RE2 read alike", std::string{base::utf8_prefix(pattern, 80)},
                 "docs/formats/keystore.md lists what a pattern may have."};
  };
  if (pattern.size() > kMaxPatternBytes) return wrong("longer than 4096 bytes");
  const bool ascii = std::ranges::all_of(pattern, [](char c) { return c >= 0x20 && c < 0x7f; });
  if (!ascii) return wrong("a character beyond printable ASCII");
  if (const std::string_view found = Scan{pattern}.trouble(); !found.empty()) return wrong(found);
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMaxProgram);
  options.set_never_capture(true);
  options.set_encoding(RE2::Options::EncodingLatin1);  // names are ASCII
  auto impl = std::make_shared<const Impl>(pattern, options);
  // Compiled alone, without a group around it: "a)|(b" is no pattern, and cannot break out of its anchors.
  if (!impl->regex.ok()) return wrong(impl->regex.error());
  return AccountPattern{std::move(impl)};
}

bool AccountPattern::matches(std::string_view account) const {
  if (account.size() > kMaxAccount) return false;
  return RE2::FullMatch(re2::StringPiece(account.data(), account.size()), impl_->regex);
}

}  // namespace attestry::secrets::keystore
