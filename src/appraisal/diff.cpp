#include "appraisal/diff.h"

#include <algorithm>
#include <array>
#include <span>

namespace attestry::appraisal {
namespace {

using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;

constexpr std::array kComponents{Component::verdict,    Component::platform, Component::workload, Component::request,
                                 Component::collateral, Component::policy,   Component::checks};

/// Claims of the machine below the workload, by the beginning of their names. Everything that is neither this nor of
/// the request is the workload's.
constexpr std::array<std::string_view, 45> kPlatformClaims{"cpusvn",
                                                           "tee_tcb_svn",
                                                           "mrseam",
                                                           "mrsignerseam",
                                                           "seam_attributes",
                                                           "init_cpusvn",
                                                           "init_tee_",
                                                           "quote_version",
                                                           "fmspc",
                                                           "pceid",
                                                           "ppid",
                                                           "pck_",
                                                           "sgx_type",
                                                           "platform_",
                                                           "dynamic_platform",
                                                           "cached_keys",
                                                           "smt_enabled",
                                                           "report_version",
                                                           "chip_id",
                                                           "current_tcb",
                                                           "reported_tcb",
                                                           "committed_tcb",
                                                           "launch_tcb",
                                                           "current_firmware",
                                                           "committed_firmware",
                                                           "launch_mitigation",
                                                           "current_mitigation",
                                                           "signing_key",
                                                           "vek_product_name",
                                                           "csp_id",
                                                           "product",
                                                           "tcb_",
                                                           "module_id",
                                                           "digest",
                                                           "tdx_mrseam",
                                                           "tdx_mrsignerseam",
                                                           "tdx_seam",
                                                           "tdx_tee_tcb_svn",
                                                           "attester_tcb",
                                                           "x-ms-sgx-collateral",
                                                           "x-ms-sgx-tcbidentifier",
                                                           "x-ms-sevsnpvm-bootloader-svn",
                                                           "x-ms-sevsnpvm-microcode-svn",
                                                           "x-ms-sevsnpvm-snpfw-svn",
                                                           "x-ms-sevsnpvm-tee-svn"};
constexpr std::array<std::string_view, 17> kRequestClaims{"report_data",
                                                          "user_data",
                                                          "nonce",
                                                          "public_key",
                                                          "timestamp_ms",
                                                          "report_id",
                                                          "iat",
                                                          "nbf",
                                                          "exp",
                                                          "jti",
                                                          "x-ms-runtime.client-payload",
                                                          "jwt.nonce",
                                                          "x-ms-sgx-report-data",
                                                          "x-ms-sevsnpvm-reportdata",
                                                          "x-ms-sevsnpvm-reportid",
                                                          "tdx_report_data",
                                                          "x-ms-sgx-ehd"};

bool begins_like(std::string_view name, std::span<const std::string_view> beginnings) {
  return std::ranges::any_of(beginnings, [name](std::string_view b) { return name.starts_with(b); });
}

Component component_of(std::string_view claim) {
  if (begins_like(claim, kRequestClaims)) return Component::request;
  return begins_like(claim, kPlatformClaims) ? Component::platform : Component::workload;
}

class Comparison {
 public:
  void compare(Component component, std::string_view what, const std::string& before, const std::string& after) {
    if (before != after) out_.push_back({component, std::string{what}, before, after});
  }

  using Pairs = std::vector<std::pair<std::string, std::string>>;
  /// By name: in the order of `before`, then what only `after` has.
  template <class ComponentOf>
  void compare(const Pairs& before, const Pairs& after, std::string_view prefix, ComponentOf component) {
    static const std::string none;
    const auto value = [](const Pairs& in, const std::string& name) -> const std::string& {
      const auto found = std::ranges::find(in, name, &Pairs::value_type::first);
      return found == in.end() ? none : found->second;
    };
    const auto one = [&](const std::string& name) {
      compare(component(name), std::string{prefix} + name, value(before, name), value(after, name));
    };
    for (const auto& [name, text] : before) one(name);
    for (const auto& [name, text] : after) {
      if (std::ranges::find(before, name, &Pairs::value_type::first) == before.end()) one(name);
    }
  }

  std::vector<Change> take() {
    // Stable, and without the buffer that libstdc++'s own takes from a deprecated function.
    for (auto next = out_.begin(); next != out_.end(); ++next) {
      const auto place = std::ranges::upper_bound(out_.begin(), next, next->component, {}, &Change::component);
      std::rotate(place, next, next + 1);
    }
    return std::move(out_);
  }

 private:
  std::vector<Change> out_;
};

std::string shown(const CollateralView& item) {
  std::string out = "sha256 " + item.sha256;
  if (!item.issued.empty()) out.append(", issued ").append(item.issued);
  if (!item.expires.empty()) out.append(", expires ").append(item.expires);
  return out;
}

Comparison::Pairs collateral_of(const VerdictView& verdict) {
  Comparison::Pairs out;
  for (const CollateralView& item : verdict.collateral) out.emplace_back(item.kind, shown(item));
  return out;
}

std::string shown(const CheckView& check) {
  std::string out = check.status;
  if (check.failed()) {
    if (!check.expected.empty()) out.append(", expected ").append(check.expected);
    if (!check.actual.empty()) out.append(", actual ").append(check.actual);
  }
  if (!check.passed() && !check.detail.empty()) out.append(" (").append(check.detail).append(")");
  return out;
}

/// Checks of one id are told together: a policy's conditions fail one by one.
Comparison::Pairs checks_of(const VerdictView& verdict) {
  Comparison::Pairs out;
  for (const CheckView& check : verdict.checks) {
    if (!out.empty() && out.back().first == check.id) {
      out.back().second.append("; ").append(shown(check));
    } else {
      out.emplace_back(check.id, shown(check));
    }
  }
  return out;
}

constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kReset = "\x1b[0m";

void append_printable(std::string& out, std::string_view text) {
  if (text.empty()) text = "(none)";
  for (const char c : text) out.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
}

}  // namespace

std::string_view to_text(Component component) noexcept {
  switch (component) {
    case Component::verdict:
      return "verdict";
    case Component::platform:
      return "platform";
    case Component::workload:
      return "workload";
    case Component::request:
      return "request";
    case Component::collateral:
      return "collateral";
    case Component::policy:
      return "policy";
    case Component::checks:
      return "checks";
  }
  return "checks";
}

std::vector<Change> diff(const VerdictView& a, const VerdictView& b) {
  Comparison c;
  c.compare(Component::verdict, "verdict", a.verdict, b.verdict);
  c.compare(Component::verdict, "evidence", a.evidence, b.evidence);
  c.compare(Component::verdict, "root_cause", a.root_cause, b.root_cause);
  c.compare(Component::verdict, "catalogue", a.catalogue, b.catalogue);
  c.compare(Component::platform, "platform", a.platform, b.platform);
  c.compare(a.tcb, b.tcb, "tcb.", [](const std::string&) { return Component::platform; });
  c.compare(a.claims, b.claims, "", [](const std::string& name) { return component_of(name); });
  c.compare(Component::request, "at", a.at, b.at);
  c.compare(Component::request, "evidence_sha256", a.evidence_sha256, b.evidence_sha256);
  c.compare(collateral_of(a), collateral_of(b), "", [](const std::string&) { return Component::collateral; });
  c.compare(Component::collateral, "stale_seconds", a.collateral_stale_seconds, b.collateral_stale_seconds);
  c.compare(Component::collateral, "valid_until", a.valid_until, b.valid_until);
  c.compare(Component::policy, "policy_sha256", a.policy_sha256, b.policy_sha256);
  c.compare(Component::policy, "anchors_sha256", a.anchors_sha256, b.anchors_sha256);
  c.compare(checks_of(a), checks_of(b), "", [](const std::string&) { return Component::checks; });
  return c.take();
}

std::string diff_text(const std::vector<Change>& changes, bool colour) {
  if (changes.empty()) return "no difference\n";
  std::string out;
  for (const Component component : kComponents) {
    if (std::ranges::count(changes, component, &Change::component) == 0) continue;
    out.append(out.empty() ? "" : "\n").append(colour ? kBold : "").append(to_text(component));
    out.append(colour ? kReset : "").append("\n");
    for (const Change& change : changes) {
      if (change.component != component) continue;
      out.append("  ");
      append_printable(out, change.what);
      out.append("\n    - ");
      append_printable(out, change.before);
      out.append("\n    + ");
      append_printable(out, change.after);
      out.append("\n");
    }
  }
  return out;
}

JsonOut diff_json(const std::vector<Change>& changes) {
  JsonOutObject groups;
  for (const Component component : kComponents) {
    JsonOutArray list;
    for (const Change& change : changes) {
      if (change.component != component) continue;
      list.emplace_back(JsonOutObject{{"what", change.what},
                                      {"before", change.before.empty() ? JsonOut{nullptr} : JsonOut{change.before}},
                                      {"after", change.after.empty() ? JsonOut{nullptr} : JsonOut{change.after}}});
    }
    if (!list.empty()) groups.emplace_back(to_text(component), std::move(list));
  }
  return JsonOutObject{{"same", changes.empty()}, {"changes", std::move(groups)}};
}

}  // namespace attestry::appraisal
