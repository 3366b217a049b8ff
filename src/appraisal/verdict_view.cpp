#include "appraisal/verdict_view.h"

#include <algorithm>

#include "base/json.h"

namespace attestry::appraisal {
namespace {

using base::JsonValue;
using base::Result;
using base::Status;

constexpr std::size_t kMaxVerdictBytes = 4u << 20;
constexpr std::size_t kMaxChecks = 1024;  // several times the catalogue's

/// A string's text, a list's texts joined, anything else as JSON spells it; null is nothing.
Result<std::string> shown(const JsonValue& value) {
  if (value.is_null()) return std::string{};
  if (value.is_string()) return value.string("value");
  if (!value.is_array()) return std::string{value.source()};
  std::string out;
  for (auto item = value.first(); item; item = item->next()) {
    TRY(const std::string one, shown(*item));
    out.append(out.empty() ? "" : ", ").append(one);
  }
  return out;
}

Result<std::string> member(const JsonValue& object, std::string_view key) {
  TRY(const auto value, object.get(key));
  return shown(value);
}

Result<CheckView> read_check(const JsonValue& value) {
  CheckView out;
  TRY(out.id, member(value, "id"));
  // Ids are printed as they are.
  constexpr std::string_view kIdLetters = "abcdefghijklmnopqrstuvwxyz0123456789._-";
  if (out.id.empty() || out.id.find_first_not_of(kIdLetters) != std::string::npos) {
    return base::Error{base::Code::malformed, "id of a check", "lower-case letters, digits, dots", out.id};
  }
  TRY(out.status, member(value, "status"));
  TRY(out.expected, member(value, "expected"));
  TRY(out.actual, member(value, "actual"));
  TRY(out.detail, member(value, "detail"));
  TRY(out.remedy, member(value, "remedy"));
  return out;
}

Status read_pairs(const JsonValue& object, std::vector<std::pair<std::string, std::string>>& out) {
  for (auto item = object.first(); item; item = item->next()) {
    TRY(std::string text, shown(*item));
    out.emplace_back(item->key(), std::move(text));
  }
  return base::done();
}

Status read_identity(const JsonValue& root, VerdictView& out) {
  TRY(out.catalogue, member(root, "catalogue"));
  TRY(out.verdict, member(root, "verdict"));
  TRY(out.evidence, member(root, "evidence"));
  TRY(out.platform, member(root, "platform"));
  TRY(const auto simulated, root.get("simulated"));
  TRY(out.simulated, simulated.boolean("simulated"));
  TRY(out.at, member(root, "at"));
  TRY(out.valid_until, member(root, "valid_until"));
  TRY(out.evidence_sha256, member(root, "evidence_sha256"));
  TRY(out.policy_sha256, member(root, "policy_sha256"));
  TRY(out.anchors_sha256, member(root, "anchors_sha256"));
  TRY(out.collateral_stale_seconds, member(root, "collateral_stale_seconds"));
  TRY(const auto cause, root.get("root_cause"));
  if (!cause.is_null()) {
    TRY(out.root_cause, member(cause, "id"));
  }
  return base::done();
}

}  // namespace

const CheckView* VerdictView::check(std::string_view id) const noexcept {
  const auto found = std::ranges::find(checks, id, &CheckView::id);
  return found == checks.end() ? nullptr : &*found;
}

Result<VerdictView> read_verdict(std::string_view json) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{json}, {.max_bytes = kMaxVerdictBytes}), "verdict");
  const auto root = doc->root();
  VerdictView out;
  TRY_OK(read_identity(root, out), "verdict");
  TRY(const auto checks, root.get("checks"), "verdict");
  if (checks.size() > kMaxChecks) {
    return base::Error{base::Code::malformed, "verdict: checks", "at most " + std::to_string(kMaxChecks),
                       std::to_string(checks.size())};
  }
  for (auto item = checks.first(); item; item = item->next()) {
    TRY(CheckView check, read_check(*item), "checks");
    out.checks.push_back(std::move(check));
  }
  TRY(const auto tcb, root.get("tcb"), "verdict");
  TRY_OK(read_pairs(tcb, out.tcb), "tcb");
  TRY(const auto claims, root.get("claims"), "verdict");
  TRY_OK(read_pairs(claims, out.claims), "claims");
  TRY(const auto collateral, root.get("collateral"), "verdict");
  for (auto item = collateral.first(); item; item = item->next()) {
    CollateralView one;
    TRY(one.kind, member(*item, "kind"), "collateral");
    TRY(one.sha256, member(*item, "sha256"), "collateral");
    TRY(one.issued, member(*item, "issued"), "collateral");
    TRY(one.expires, member(*item, "expires"), "collateral");
    out.collateral.push_back(std::move(one));
  }
  return out;
}

}  // namespace attestry::appraisal
