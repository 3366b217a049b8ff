#include "provision/template.h"

#include <algorithm>

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMaxOutput = 1u << 20;
constexpr std::size_t kMaxReference = 1024;

/// Calls `literal` and `reference` for the pieces of a template in order.
template <class Literal, class Reference>
Status walk(std::string_view text, const Literal& literal, const Reference& reference) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t dollar = text.find('$', at);
    if (dollar == std::string_view::npos) return literal(text.substr(at));
    TRY_OK(literal(text.substr(at, dollar - at)));
    if (text.substr(dollar, 3) == "$${") {
      TRY_OK(literal("${"));
      at = dollar + 3;
      continue;
    }
    if (text.substr(dollar, 2) != "${") {
      TRY_OK(literal("$"));
      at = dollar + 1;
      continue;
    }
    const std::size_t end = text.find('}', dollar + 2);
    if (end == std::string_view::npos || end - dollar - 2 > kMaxReference) {
      return Error{Code::malformed, "template reference is not closed", "} within 1024 characters",
                   "offset " + std::to_string(dollar), "Write $${ for a literal ${"};
    }
    TRY_OK(reference(text.substr(dollar + 2, end - dollar - 2)));
    at = end + 1;
  }
  return base::done();
}

}  // namespace

Result<crypto::Secret> expand_template(std::string_view text, const Resolver& resolve) {
  // The output holds secrets: it grows in a Secret, and what is outgrown is wiped with it.
  crypto::Secret out{std::max<std::size_t>(text.size() * 2, 4096)};
  std::size_t used = 0;
  const auto add = [&](std::string_view piece) -> Status {
    if (used + piece.size() > kMaxOutput) {
      return Error{Code::too_large, "the expanded configuration is too large", "at most 1 MiB", {}};
    }
    if (used + piece.size() > out.size()) {
      crypto::Secret larger{std::max(out.size() * 2, used + piece.size())};
      std::ranges::copy(out.reveal().first(used), larger.writable().begin());
      out = std::move(larger);
    }
    std::ranges::copy(base::as_bytes(piece), out.writable().begin() + static_cast<std::ptrdiff_t>(used));
    used += piece.size();
    return base::done();
  };
  TRY_OK(walk(text, add, [&](std::string_view reference) -> Status {
    auto value = resolve(reference);
    if (!value) {
      auto error = std::move(value).error();
      error.at("${" + std::string{reference} + "}");
      return error;
    }
    const Status status = add(*value);
    crypto::wipe({reinterpret_cast<std::uint8_t*>(value->data()), value->size()});
    return status;
  }));
  return crypto::Secret::copy_of(out.reveal().first(used));
}

Result<std::vector<std::string>> template_references(std::string_view text) {
  std::vector<std::string> found;
  TRY_OK(walk(
      text, [](std::string_view) { return base::done(); },
      [&](std::string_view reference) -> Status {
        found.emplace_back(reference);
        return base::done();
      }));
  return found;
}

}  // namespace attestry::provision
