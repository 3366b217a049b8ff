#include "appraisal/explain.h"

#include <algorithm>
#include <map>

#include "attestation/catalogue.h"

namespace attestry::appraisal {
namespace {

using attestation::CheckInfo;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;

const CheckInfo* known(std::string_view id) {
  const auto check = attestation::find_check(id);
  return check ? &attestation::info(*check) : nullptr;
}

/// What a skipped check waited for: as its detail says it, so that verdicts of other catalogues explain themselves, or
/// else the first need that did not pass. Empty when it was skipped for a reason of its own.
std::string_view waits_for(const VerdictView& verdict, const CheckView& check) {
  constexpr std::string_view kNeeds = "needs ";
  if (check.detail.starts_with(kNeeds)) return std::string_view{check.detail}.substr(kNeeds.size());
  const CheckInfo* info = check.detail.empty() ? known(check.id) : nullptr;
  if (info == nullptr) return {};
  for (const auto need : info->needs) {
    const CheckView* other = verdict.check(attestation::info(need).id);
    if (other == nullptr || !other->passed()) return attestation::info(need).id;
  }
  return {};
}

class Builder {
 public:
  explicit Builder(const VerdictView& verdict) : verdict_(verdict) {
    for (const CheckView& check : verdict.checks) {
      if (!check.skipped()) continue;
      const auto parent = waits_for(verdict, check);
      // A parent that stands behind its child is none: catalogue order keeps the tree a tree.
      const CheckView* above = parent.empty() ? nullptr : verdict.check(parent);
      if (above != nullptr && above < &check && (above->failed() || above->skipped())) {
        children_[above].push_back(&check);
      } else {
        alone_.push_back(&check);
      }
    }
  }

  Explanation build() const {
    Explanation out;
    for (const CheckView& check : verdict_.checks) {
      if (check.failed()) out.causes.push_back(decision(check));
      if (check.passed()) out.passed.push_back(&check);
    }
    for (const CheckView* check : alone_) out.not_done.push_back(decision(*check));
    const auto is_root = [this](const Decision& d) { return d.check->id == verdict_.root_cause; };
    const auto first = std::ranges::find_if(out.causes, is_root);
    if (first != out.causes.end()) std::rotate(out.causes.begin(), first, first + 1);
    return out;
  }

 private:
  Decision decision(const CheckView& check) const {
    Decision out{.check = &check, .source = source_of(check.id)};
    if (const CheckInfo* info = known(check.id)) {
      for (const auto need : info->needs) {
        const CheckView* other = verdict_.check(attestation::info(need).id);
        if (other != nullptr && other->passed()) out.stands_on.push_back(other);
      }
    }
    const auto below = children_.find(&check);
    if (below == children_.end()) return out;
    for (const CheckView* child : below->second) out.skipped.push_back(decision(*child));
    return out;
  }

  const VerdictView& verdict_;
  std::map<const CheckView*, std::vector<const CheckView*>> children_;
  std::vector<const CheckView*> alone_;
};

// ---- text

constexpr std::string_view kRed = "\x1b[1;31m";
constexpr std::string_view kGreen = "\x1b[1;32m";
constexpr std::string_view kYellow = "\x1b[1;33m";
constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kReset = "\x1b[0m";

class Page {
 public:
  explicit Page(bool colour) : colour_(colour) {}
  Page& text(std::string_view s) {
    out_.append(s);
    return *this;
  }
  /// What comes out of evidence: no control sequence reaches the terminal.
  Page& value(std::string_view s) {
    for (const char c : s) out_.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
    return *this;
  }
  Page& paint(std::string_view colour, std::string_view s) {
    if (!colour_) return text(s);
    return text(colour).text(s).text(kReset);
  }
  void field(std::string_view indent, std::string_view name, std::string_view shown) {
    if (shown.empty()) return;
    constexpr std::size_t kWidth = 11;
    text(indent).text(name).text(std::string(name.size() < kWidth ? kWidth - name.size() : 1, ' ')).value(shown);
    text("\n");
  }
  std::string take() { return std::move(out_); }

 private:
  bool colour_;
  std::string out_;
};

std::string_view title_of(std::string_view id) {
  const CheckInfo* info = known(id);
  return info == nullptr ? std::string_view{"a check of another catalogue"} : info->title;
}

std::string place(const CheckSource& source) {
  std::string out{source.document};
  if (!source.field.empty()) out.append(": ").append(source.field);
  return out;
}

std::string joined(const std::vector<const CheckView*>& checks) {
  std::string out;
  for (const CheckView* check : checks) out.append(out.empty() ? "" : ", ").append(check->id);
  return out;
}

void write_tree(Page& page, const std::vector<Decision>& decisions, const std::string& indent) {
  for (std::size_t i = 0; i < decisions.size(); ++i) {
    const bool last = i + 1 == decisions.size();
    page.text(indent).text(last ? "`-- " : "|-- ").paint(kYellow, "skip").text(" ").text(decisions[i].check->id);
    page.text("  ").text(title_of(decisions[i].check->id)).text("\n");
    write_tree(page, decisions[i].skipped, indent + (last ? "    " : "|   "));
  }
}

std::size_t size_of(const std::vector<Decision>& decisions) {
  std::size_t out = decisions.size();
  for (const Decision& decision : decisions) out += size_of(decision.skipped);
  return out;
}

void write_cause(Page& page, const Decision& decision, bool root) {
  const CheckView& check = *decision.check;
  page.text("  ").paint(kRed, "FAIL").text(" ").paint(kBold, check.id).text("  ").text(title_of(check.id)).text("\n");
  constexpr std::string_view kIndent = "       ";
  page.field(kIndent, "expected", check.expected);
  page.field(kIndent, "actual", check.actual);
  page.field(kIndent, "detail", check.detail);
  page.field(kIndent, "source", place(decision.source));
  if (root) {
    const CheckInfo* info = known(check.id);
    page.field(kIndent, "cause", info == nullptr ? std::string_view{} : info->meaning);
    page.field(kIndent, "what to do", check.remedy);
    page.field(kIndent, "stands on", joined(decision.stands_on));
  }
  if (decision.skipped.empty()) return;
  page.text(kIndent).text("so ").text(std::to_string(size_of(decision.skipped))).text(" could not be done:\n");
  write_tree(page, decision.skipped, std::string{kIndent});
}

void write_headline(Page& page, const VerdictView& verdict, const WhyOptions& options) {
  if (verdict.verdict == "accepted") {
    page.paint(kGreen, "ACCEPTED");
  } else if (verdict.verdict == "refused") {
    page.paint(kRed, "REFUSED");
  } else {
    page.paint(kYellow, "UNDECIDED");
  }
  page.text("  ").value(verdict.platform).text(": the evidence is ");
  page.text(verdict.evidence == "genuine" ? "genuine" : verdict.evidence == "false" ? "not genuine" : "undecided");
  page.text(", judged at ").value(verdict.at).text("\n");
  if (verdict.simulated) page.paint(kYellow, "SIMULATED").text(" Made under a test root.\n");
  if (!options.appraisal.empty()) page.text("appraisal ").value(options.appraisal).text("\n");
  if (!options.note.empty()) page.value(options.note).text("\n");
  if (verdict.catalogue != attestation::kCatalogueVersion) {
    page.text("judged by catalogue ").value(verdict.catalogue).text(", explained by ");
    page.text(attestation::kCatalogueVersion).text("\n");
  }
}

/// "dcap.pck" of "dcap.pck.chain.format".
std::string family(std::string_view id) {
  const auto first = id.find('.');
  const auto second = first == std::string_view::npos ? first : id.find('.', first + 1);
  return std::string{id.substr(0, second == std::string_view::npos ? first : second)};
}

void write_passed(Page& page, const std::vector<const CheckView*>& passed, bool all) {
  if (passed.empty()) return;
  page.text("\n").paint(kBold, "Passed (" + std::to_string(passed.size()) + ")").text("\n");
  if (all) {
    for (const CheckView* check : passed) {
      page.text("  ").paint(kGreen, "pass").text(" ").text(check->id).text("  ").text(title_of(check->id));
      if (!check->actual.empty()) page.text(": ").value(check->actual);
      page.text("\n");
    }
    return;
  }
  std::vector<std::pair<std::string, std::size_t>> families;
  for (const CheckView* check : passed) {
    const std::string name = family(check->id);
    auto found = std::ranges::find(families, name, &std::pair<std::string, std::size_t>::first);
    if (found == families.end()) found = families.insert(families.end(), {name, 0});
    ++found->second;
  }
  std::string line;
  for (const auto& [name, number] : families) {
    line.append(line.empty() ? "" : ", ").append(name);
    if (number > 1) line.append(" (").append(std::to_string(number)).append(")");
  }
  page.text("  ").value(line).text("\n");
}

// ---- JSON

JsonOut decision_json(const Decision& decision) {
  const CheckView& check = *decision.check;
  const CheckInfo* info = known(check.id);
  JsonOutArray stands_on;
  for (const CheckView* other : decision.stands_on) stands_on.emplace_back(other->id);
  JsonOutArray skipped;
  for (const Decision& below : decision.skipped) skipped.push_back(decision_json(below));
  return JsonOutObject{
      {"id", check.id},
      {"title", title_of(check.id)},
      {"status", check.status},
      {"expected", check.expected},
      {"actual", check.actual},
      {"detail", check.detail},
      {"source", JsonOutObject{{"document", decision.source.document}, {"field", decision.source.field}}},
      {"cause", info == nullptr ? std::string_view{} : info->meaning},
      {"remedy", check.failed() ? std::string_view{check.remedy} : std::string_view{}},
      {"stands_on", std::move(stands_on)},
      {"skipped", std::move(skipped)}};
}

}  // namespace

Explanation explain(const VerdictView& verdict) { return Builder{verdict}.build(); }

std::string why_text(const VerdictView& verdict, const WhyOptions& options) {
  const Explanation why = explain(verdict);
  Page page(options.colour);
  write_headline(page, verdict, options);
  if (!why.causes.empty()) {
    page.text("\n").paint(kBold, "Root cause").text("\n");
    write_cause(page, why.causes.front(), true);
  }
  if (why.causes.size() > 1) {
    page.text("\n").paint(kBold, "Also failed, each by itself (" + std::to_string(why.causes.size() - 1) + ")");
    page.text("\n");
    for (std::size_t i = 1; i < why.causes.size(); ++i) write_cause(page, why.causes[i], false);
  }
  if (!why.not_done.empty()) {
    page.text("\n").paint(kBold, "Not done, for a reason of its own (" + std::to_string(why.not_done.size()) + ")");
    page.text("\n");
    for (const Decision& decision : why.not_done) {
      page.text("  ").paint(kYellow, "skip").text(" ").text(decision.check->id).text("  ");
      page.value(decision.check->detail.empty() ? std::string{title_of(decision.check->id)} : decision.check->detail);
      page.text("\n");
      write_tree(page, decision.skipped, "       ");
    }
  }
  write_passed(page, why.passed, options.all);
  return page.take();
}

JsonOut why_json(const VerdictView& verdict, const std::string& appraisal) {
  const Explanation why = explain(verdict);
  JsonOutArray causes;
  for (const Decision& decision : why.causes) causes.push_back(decision_json(decision));
  JsonOutArray not_done;
  for (const Decision& decision : why.not_done) not_done.push_back(decision_json(decision));
  JsonOutArray passed;
  for (const CheckView* check : why.passed) passed.emplace_back(check->id);
  const bool has_root = !why.causes.empty() && why.causes.front().check->id == verdict.root_cause;
  return JsonOutObject{{"appraisal", appraisal.empty() ? JsonOut{nullptr} : JsonOut{appraisal}},
                       {"verdict", verdict.verdict},
                       {"evidence", verdict.evidence},
                       {"platform", verdict.platform},
                       {"simulated", verdict.simulated},
                       {"at", verdict.at},
                       {"catalogue", verdict.catalogue},
                       {"root_cause", has_root ? decision_json(why.causes.front()) : JsonOut{nullptr}},
                       {"causes", std::move(causes)},
                       {"not_done", std::move(not_done)},
                       {"passed", std::move(passed)}};
}

}  // namespace attestry::appraisal
