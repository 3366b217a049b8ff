// Errors in pieces, for places that say them in another form than Error::text().
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace attestry::base {

/// The code with this slug; null for none.
std::optional<Code> code_from_slug(std::string_view slug) noexcept;

/// Without code and remedy: "what; expected this; found that"
std::string reason(const Error& error);

/// What to do, for who asked over a network or reads a log: default_remedy() speaks of wrong use to who typed a
/// command.
std::string_view remedy_of_request(const Error& error);

}  // namespace attestry::base
