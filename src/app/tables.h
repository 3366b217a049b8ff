// What the server says in lists, as columns for people; --format json has it as it is.
#pragma once
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "app/cli.h"
#include "app/operator.h"
#include "base/json.h"
#include "base/result.h"

namespace attestry::app {

/// What others wrote, for the operator's terminal: a question mark in place of each control character (C0 with newline
/// and tab, DEL, and C1, which some terminals obey as they obey ESC, and what turns the direction of a line) and of
/// each byte that is no UTF-8.
std::string printable(std::string_view text);

/// Rows of one width per column; whatever is in a cell is printed as printable() has it.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
  /// Prints "no <what>" when there is no row.
  void print(std::ostream& out, std::string_view what) const;
};

/// One row per object of the array; a member that is null or absent is "-".
base::Result<Table> table_of(const base::JsonValue& items, const std::vector<std::string>& columns);

/// Approvals of the app at `app_path` ("/apps/name:web"): number, what, who signed, until when it could be accepted,
/// subject.
base::Result<int> print_approvals(Context& context, const OperatorOptions& options, const std::string& app_path);

/// Says so on the error stream when `digest` is nothing that is approved now, with the nearest that is.
base::Status note_if_not_approved(Context& context, const OperatorOptions& options, const std::string& app_path,
                                  const std::string& digest);

}  // namespace attestry::app
