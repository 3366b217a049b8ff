#include "app/tables.h"

#include <algorithm>
#include <ostream>

#include "base/encoding.h"
#include "base/utf8.h"
#include "governance/approval.h"
#include "governance/operators.h"

namespace attestry::app {

using base::Result;
using base::Status;

namespace {

/// The first character of a text that is not empty; empty when it begins with what is no UTF-8.
std::string_view first_character(std::string_view text) {
  constexpr std::size_t kLongest = 4;
  for (std::size_t length = 1; length <= std::min(kLongest, text.size()); ++length) {
    if (base::is_utf8(text.substr(0, length))) return text.substr(0, length);
  }
  return {};
}

bool is_control(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7f;
  if (character.size() == 2) return byte(0) == 0xc2 && byte(1) < 0xa0;
  // What turns the direction of what follows: U+200E and F, U+202A to E, U+2066 to 9.
  if (character.size() != 3 || byte(0) != 0xe2) return false;
  const auto within = [last = byte(2)](unsigned char first, unsigned char end) { return first <= last && last <= end; };
  if (byte(1) == 0x80) return within(0x8e, 0x8f) || within(0xaa, 0xae);
  return byte(1) == 0x81 && within(0xa6, 0xa9);
}

std::string cell(const base::JsonValue& item, const std::string& column) {
  const auto value = item.find(column);
  if (!value || value->is_null()) return "-";
  const auto text = value->plain_string();
  return printable(text ? *text : value->source());
}

using governance::Operator;

Result<std::vector<Operator>> operators_of(const OperatorSession& session) {
  TRY(const auto doc, session.api().json(net::Method::get, session.path("/operators")));
  TRY(const auto items, doc->root().get("operators"));
  std::vector<Operator> out;
  for (auto item = items.first(); item; item = item->next()) {
    TRY(auto who, governance::operator_of(cell(*item, item->find("address") ? "address" : "public_key")), "operators");
    who.name = cell(*item, "name");
    out.push_back(std::move(who));
  }
  return out;
}

/// Names of those whose signature verifies; an operator who was removed since has no name any more.
std::string signers(const governance::Envelope& envelope, const std::vector<Operator>& operators) {
  const auto known = governance::signers_of(envelope, operators);
  std::string out;
  for (const auto& id : known) {
    const auto who = std::ranges::find_if(operators, [&](const Operator& o) { return std::ranges::equal(o.id(), id); });
    out += (out.empty() ? "" : ", ") + who->name;
  }
  if (known.size() < envelope.signatures.size())
    out +=
        (out.empty() ? "" : ", ") + std::to_string(envelope.signatures.size() - known.size()) + " of removed operators";
  return out;
}

/// Digests that are approved now, and what each one is.
struct Approved {
  std::string digest;
  std::string what;
};

Result<std::vector<Approved>> approved_of(const OperatorSession& session, const std::string& app_path) {
  TRY(const auto doc, session.api().json(net::Method::get, session.path(app_path)));
  std::vector<Approved> out;
  for (const auto& [name, what] : {std::pair{"policy", "policy"}, {"configuration", "configuration"}}) {
    if (const std::string digest = cell(doc->root(), name); digest != "-") out.push_back({digest, what});
  }
  for (const auto& [name, what] : {std::pair{"identities", "identity"}, {"secrets", "secret"}}) {
    TRY(const auto list, doc->root().get(name));
    for (auto item = list.first(); item; item = item->next()) {
      if (const auto digest = item->plain_string()) out.push_back({std::string{*digest}, what});
    }
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto character = first_character(text);
    if (character.empty() || is_control(character)) {
      out += '?';
    } else {
      out += character;
    }
    text.remove_prefix(std::max<std::size_t>(character.size(), 1));
  }
  return out;
}

void Table::print(std::ostream& out, std::string_view what) const {
  if (rows.empty()) {
    out << "no " << what << "\n";
    return;
  }
  auto shown = rows;
  for (auto& row : shown) std::ranges::transform(row, row.begin(), printable);
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::size_t width = columns[i].size();
    for (const auto& row : shown) width = std::max(width, row[i].size());
    widths.push_back(width);
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      out << cells[i];
      if (i + 1 < cells.size()) out << std::string(widths[i] - cells[i].size() + 2, ' ');
    }
    out << "\n";
  };
  line(columns);
  for (const auto& row : shown) line(row);
}

Result<Table> table_of(const base::JsonValue& items, const std::vector<std::string>& columns) {
  Table table{columns, {}};
  for (auto item = items.first(); item; item = item->next()) {
    std::vector<std::string> row;
    row.reserve(columns.size());
    for (const auto& column : columns) row.push_back(cell(*item, column));
    table.rows.push_back(std::move(row));
  }
  return table;
}

Result<int> print_approvals(Context& context, const OperatorOptions& options, const std::string& app_path) {
  TRY(const auto session, OperatorSession::open(options));
  TRY(const auto operators, operators_of(*session));
  TRY(const auto doc, session->api().json(net::Method::get, session->path(app_path + "/approvals")));
  TRY(const auto items, doc->root().get("approvals"));
  Table table{{"seq", "what", "signed by", "before", "subject"}, {}};
  for (auto item = items.first(); item; item = item->next()) {
    TRY(const auto envelope, governance::Envelope::parse(item->source()), "approvals");
    TRY(const auto approval, governance::Approval::parse(envelope.payload), "approvals");
    table.rows.push_back({std::to_string(approval.seq), std::string{governance::to_text(approval.action)},
                          signers(envelope, operators), base::to_rfc3339(approval.expires), approval.subject});
  }
  table.print(context.out, "approvals");
  return kExitOk;
}

Status note_if_not_approved(Context& context, const OperatorOptions& options, const std::string& app_path,
                            const std::string& digest) {
  TRY(const auto session, OperatorSession::open(options));
  TRY(const auto approved, approved_of(*session, app_path));
  if (std::ranges::find(approved, digest, &Approved::digest) != approved.end()) return base::done();
  context.err << "note: nothing approved now has this digest; it is barred for the future\n";
  const auto common = [&](const Approved& one) {
    return std::ranges::mismatch(one.digest, digest).in1 - one.digest.begin();
  };
  const auto nearest = std::ranges::max_element(approved, {}, common);
  if (nearest != approved.end() && common(*nearest) >= 4)
    context.err << "      the nearest that is approved: " << nearest->what << " " << nearest->digest << "\n";
  return base::done();
}

}  // namespace attestry::app
