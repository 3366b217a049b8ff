#include "secrets/tokens_acl.h"

#include <algorithm>
#include <optional>
#include <tuple>

#include "base/json.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::pair<Capability, std::string_view> kCapabilities[] = {
    {Capability::create, "create"}, {Capability::read, "read"},      {Capability::update, "update"},
    {Capability::patch, "patch"},   {Capability::delete_, "delete"}, {Capability::list, "list"},
    {Capability::sudo, "sudo"},     {Capability::deny, "deny"}};

Result<Capability> capability_from(std::string_view text) {
  for (const auto& [value, name] : kCapabilities) {
    if (name == text) return value;
  }
  return Error{Code::malformed, "unknown capability", "create, read, update, patch, delete, list, sudo or deny",
               std::string{text.substr(0, 32)}};
}

Result<PolicyRule> rule_of(std::string path, const std::vector<std::string>& capabilities) {
  PolicyRule out;
  while (path.starts_with('/')) path.erase(0, 1);
  if (path.size() > 1024) return Error{Code::malformed, "path of a policy", "at most 1024 bytes"};
  if (path.ends_with('*')) {
    out.prefix = true;
    path.pop_back();
  }
  if (path.find('*') != std::string::npos) {
    return Error{Code::malformed, "path of a policy", "`*` at the end only, `+` for any one part", path};
  }
  for (std::size_t at = path.find('+'); at != std::string::npos; at = path.find('+', at + 1)) {
    const bool alone = (at == 0 || path[at - 1] == '/') && (at + 1 == path.size() || path[at + 1] == '/');
    if (!alone) return Error{Code::malformed, "path of a policy", "`+` between slashes", path};
  }
  out.path = std::move(path);
  for (const auto& name : capabilities) {
    TRY(const auto capability, capability_from(name));
    out.capabilities.add(capability);
  }
  return out;
}

/// Reads `path "x" { capabilities = ["read"] }` blocks: the part of HCL that policies are written in.
class HclReader {
 public:
  explicit HclReader(std::string_view text) : text_(text) {}

  Result<std::vector<PolicyRule>> read() {
    std::vector<PolicyRule> out;
    for (;;) {
      TRY_OK(skip());
      if (at_ == text_.size()) return out;
      TRY(auto rule, block());
      if (out.size() == kMaxPolicyRules) return wrong("at most 512 paths");
      out.push_back(std::move(rule));
    }
  }

 private:
  Error wrong(std::string_view expected) const {
    const auto line = 1 + std::ranges::count(text_.substr(0, at_), '\n');
    const auto rest = text_.substr(at_, 24);
    return {Code::malformed, "policy, line " + std::to_string(line), std::string{expected},
            std::string{rest.substr(0, rest.find('\n'))}};
  }

  Status skip() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        ++at_;
      } else if (c == '#' || text_.substr(at_).starts_with("//")) {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (text_.substr(at_).starts_with("/*")) {
        const auto end = text_.find("*/", at_ + 2);
        if (end == std::string_view::npos) return wrong("the end of the comment");
        at_ = end + 2;
      } else {
        break;
      }
    }
    return base::done();
  }

  Result<bool> take(char wanted) {
    TRY_OK(skip());
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  Status expect(char wanted, std::string_view expected) {
    TRY(const bool there, take(wanted));
    return there ? base::done() : Status{wrong(expected)};
  }

  Result<std::string> word() {
    TRY_OK(skip());
    std::string out;
    while (at_ < text_.size() && ((text_[at_] >= 'a' && text_[at_] <= 'z') || text_[at_] == '_')) out += text_[at_++];
    return out;
  }

  Result<std::string> text() {
    TRY_OK(expect('"', "text in quotes"));
    std::string out;
    for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      // Escapes and templates would need rules of their own, which no path needs.
      if (text_[at_] == '\\' || text_[at_] == '\n' || text_.substr(at_).starts_with("{{")) {
        return wrong("text without escapes, line ends and templates");
      }
      out += text_[at_];
    }
    TRY_OK(expect('"', "the quote at the end"));
    return out;
  }

  Result<std::vector<std::string>> list() {
    TRY_OK(expect('[', "["));
    std::vector<std::string> out;
    for (;;) {
      TRY(const bool end, take(']'));
      if (end) return out;
      TRY(auto item, text());
      out.push_back(std::move(item));
      TRY(const bool more, take(','));
      if (more) continue;
      TRY_OK(expect(']', ", or ]"));
      return out;
    }
  }

  Result<PolicyRule> block() {
    TRY(const auto keyword, word());
    if (keyword != "path") return wrong("path \"…\" { … }");
    TRY(auto path, text());
    TRY_OK(expect('{', "{"));
    TRY(const auto attribute, word());
    if (attribute != "capabilities") return wrong("capabilities = [ … ], and nothing else");
    TRY_OK(expect('=', "="));
    TRY(const auto capabilities, list());
    TRY_OK(expect('}', "}: a path has capabilities and nothing else here"));
    return rule_of(std::move(path), capabilities);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

Result<std::vector<PolicyRule>> read_json(std::string_view document) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{document}, {.max_bytes = kMaxPolicyBytes}), "policy");
  TRY_OK(doc->root().only({"path"}), "policy");
  std::vector<PolicyRule> out;
  const auto paths = doc->root().find("path");
  if (!paths) return out;
  if (!paths->is_object()) return Error{Code::malformed, "policy: path", "an object with a member for each path"};
  for (auto path = paths->first(); path; path = path->next()) {
    TRY_OK(path->only({"capabilities"}), "policy");
    TRY(const auto list, path->get("capabilities"));
    if (!list.is_array()) return Error{Code::malformed, "capabilities", "an array"};
    std::vector<std::string> names;
    for (auto item = list.first(); item; item = item->next()) {
      TRY(auto name, item->string("capability"));
      names.push_back(std::move(name));
    }
    if (out.size() == kMaxPolicyRules) return Error{Code::malformed, "policy", "at most 512 paths"};
    TRY(auto rule, rule_of(path->key(), names));
    out.push_back(std::move(rule));
  }
  return out;
}

bool matches(const PolicyRule& rule, std::string_view path) {
  std::string_view pattern = rule.path;
  for (;;) {
    if (pattern.empty()) return path.empty() || rule.prefix;
    if (pattern.front() == '+') {
      const auto end = std::min(path.find('/'), path.size());
      if (end == 0) return false;
      path.remove_prefix(end);
      pattern.remove_prefix(1);
      continue;
    }
    const auto literal = pattern.substr(0, pattern.find('+'));
    if (!path.starts_with(literal)) return false;
    path.remove_prefix(literal.size());
    pattern.remove_prefix(literal.size());
  }
}

bool is_exact(const PolicyRule& rule) { return !rule.prefix && rule.path.find('+') == std::string::npos; }

/// Greater is more specific.
auto rank(const PolicyRule& rule) {
  const auto first = std::min(rule.path.find('+'), rule.path.size());
  const auto pluses = std::ranges::count(rule.path, '+');
  return std::tuple(is_exact(rule), first, !rule.prefix, -pluses, rule.path.size(), std::string_view{rule.path});
}

}  // namespace

std::string_view to_text(Capability capability) noexcept {
  for (const auto& [value, name] : kCapabilities) {
    if (value == capability) return name;
  }
  return "";
}

std::vector<std::string> Capabilities::names() const {
  if (empty() || has(Capability::deny)) return {"deny"};
  std::vector<std::string> out;
  for (const auto& [value, name] : kCapabilities) {
    if (has(value)) out.emplace_back(name);
  }
  std::ranges::sort(out);
  return out;
}

Result<AccessPolicy> AccessPolicy::parse(std::string_view document) {
  if (document.size() > kMaxPolicyBytes) return Error{Code::too_large, "policy", "at most 64 KiB"};
  const auto first = document.find_first_not_of(" \t\r\n");
  const bool json = first != std::string_view::npos && document[first] == '{';
  TRY(auto rules, json ? read_json(document) : HclReader{document}.read());
  return AccessPolicy{std::move(rules)};
}

Capabilities capabilities_on(const std::vector<const AccessPolicy*>& policies, std::string_view path) {
  const PolicyRule* best = nullptr;
  Capabilities out;
  for (const AccessPolicy* policy : policies) {
    for (const PolicyRule& rule : policy->rules()) {
      if (!matches(rule, path)) continue;
      if (best == nullptr || rank(rule) > rank(*best)) {
        best = &rule;
        out = rule.capabilities;
      } else if (rank(rule) == rank(*best)) {
        out.add(rule.capabilities);
      }
    }
  }
  if (!out.has(Capability::deny)) return out;
  Capabilities nothing;
  nothing.add(Capability::deny);
  return nothing;
}

std::string_view default_policy_document() noexcept {
  return R"(# What every token may do unless it was made without it.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/internal/ui/mounts/+" { capabilities = ["read"] }
)";
}

}  // namespace attestry::secrets
