#include "attestation/verdict.h"

#include <algorithm>
#include <array>

namespace attestry::attestation {

std::string_view to_text(CheckStatus status) noexcept {
  switch (status) {
    case CheckStatus::pass:
      return "pass";
    case CheckStatus::fail:
      return "fail";
    case CheckStatus::skipped:
      return "skipped";
  }
  return "fail";
}

std::string_view to_text(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::accepted:
      return "accepted";
    case Outcome::refused:
      return "refused";
    case Outcome::undecided:
      return "undecided";
  }
  return "undecided";
}

std::string_view to_text(Genuineness genuineness) noexcept {
  switch (genuineness) {
    case Genuineness::genuine:
      return "genuine";
    case Genuineness::not_genuine:
      return "false";
    case Genuineness::undecided:
      return "undecided";
  }
  return "undecided";
}

const CheckResult* Verdict::root_cause() const noexcept {
  const auto needs_passed = [this](CheckId check) {
    return std::ranges::all_of(info(check).needs, [this](CheckId need) {
      return std::ranges::any_of(
          checks, [need](const CheckResult& r) { return r.check == need && r.status == CheckStatus::pass; });
    });
  };
  const CheckResult* first_undecided = nullptr;
  const CheckResult* first_failed = nullptr;
  for (const CheckResult& result : checks) {
    if (result.status != CheckStatus::fail) continue;
    if (first_failed == nullptr) first_failed = &result;
    if (!needs_passed(result.check)) continue;
    // A refusal rests on what is wrong; that something is missing besides explains it to nobody.
    if (!result.undecided) return &result;
    if (first_undecided == nullptr) first_undecided = &result;
  }
  return first_undecided != nullptr ? first_undecided : first_failed;
}

const Claim* Verdict::claim(std::string_view name) const noexcept {
  const auto found = std::ranges::find(claims, name, &Claim::name);
  return found == claims.end() ? nullptr : &*found;
}

namespace {

constexpr std::uint8_t state_of(CheckStatus status) { return static_cast<std::uint8_t>(1 + static_cast<int>(status)); }
constexpr std::size_t index_of(CheckId check) { return static_cast<std::size_t>(check); }

constexpr std::size_t kWordBits = 64;
constexpr std::size_t word_of(CheckId check) { return index_of(check) / kWordBits; }
constexpr std::uint64_t bit_of(CheckId check) { return std::uint64_t{1} << (index_of(check) % kWordBits); }

using CheckMask = CheckBits;
constexpr std::size_t kChecks = 0
#define ATTESTRY_CHECK(...) +1
#include "attestation/checks.def"
#undef ATTESTRY_CHECK
    ;
static_assert(kChecks <= std::tuple_size_v<CheckBits> * kWordBits, "CheckMask needs another word");

/// The needs of every check as a mask. A verdict asks twice per check, and its time is counted in microseconds.
const std::array<CheckMask, kChecks>& need_masks() {
  static const std::array<CheckMask, kChecks> masks = [] {
    std::array<CheckMask, kChecks> out{};
    for (const CheckInfo& check : catalogue()) {
      for (const CheckId need : check.needs) out[index_of(check.check)][word_of(need)] |= bit_of(need);
    }
    return out;
  }();
  return masks;
}

bool covers(const CheckMask& have, const CheckMask& wanted) {
  std::uint64_t missing = 0;
  for (std::size_t i = 0; i < have.size(); ++i) missing |= wanted[i] & ~have[i];
  return missing == 0;
}

}  // namespace

CheckRecorder::CheckRecorder() : state_(catalogue().size(), 0) { results_.reserve(catalogue().size()); }

bool CheckRecorder::passed(CheckId check) const noexcept {
  return state_[index_of(check)] == state_of(CheckStatus::pass);
}

std::optional<CheckId> CheckRecorder::unmet_need(CheckId check) const noexcept {
  if (covers(passed_, need_masks()[index_of(check)])) return std::nullopt;
  for (const CheckId need : info(check).needs) {
    if (!passed(need)) return need;
  }
  return std::nullopt;
}

bool CheckRecorder::may_run(CheckId check) {
  if (state_[index_of(check)] != 0) return false;
  const auto unmet = unmet_need(check);
  if (!unmet) return true;
  record({.check = check, .status = CheckStatus::skipped, .detail = "needs " + std::string{info(*unmet).id}});
  return false;
}

void CheckRecorder::record(CheckResult result) {
  std::uint8_t& state = state_[index_of(result.check)];
  if (state == 0) {
    state = state_of(result.status);
    if (result.status == CheckStatus::pass) passed_[word_of(result.check)] |= bit_of(result.check);
    results_.push_back(std::move(result));
    return;
  }
  // The first result stands, but a failure is never lost to an earlier pass, nor a definite one to an undecided one.
  const auto earlier = std::ranges::find(results_, result.check, &CheckResult::check);
  const bool worse = result.status == CheckStatus::fail &&
                     (earlier->status != CheckStatus::fail || (earlier->undecided && !result.undecided));
  if (!worse) return;
  state = state_of(CheckStatus::fail);
  passed_[word_of(result.check)] &= ~bit_of(result.check);
  *earlier = std::move(result);
}

void CheckRecorder::pass(CheckId check, std::string actual) {
  if (const auto unmet = unmet_need(check)) {
    record({.check = check, .status = CheckStatus::skipped, .detail = "needs " + std::string{info(*unmet).id}});
    return;
  }
  std::uint8_t& state = state_[index_of(check)];
  if (state != 0) return;  // an earlier result stands: a pass is never worse
  state = state_of(CheckStatus::pass);
  passed_[word_of(check)] |= bit_of(check);
  CheckResult& result = results_.emplace_back(check, CheckStatus::pass);
  if (!actual.empty()) result.actual = std::move(actual);
}

void CheckRecorder::fail(CheckId check, std::string expected, std::string actual, std::string detail) {
  record({.check = check,
          .status = CheckStatus::fail,
          .expected = std::move(expected),
          .actual = std::move(actual),
          .detail = std::move(detail)});
}

void CheckRecorder::fail_undecided(CheckId check, std::string expected, std::string actual, std::string detail) {
  record({.check = check,
          .status = CheckStatus::fail,
          .undecided = true,
          .expected = std::move(expected),
          .actual = std::move(actual),
          .detail = std::move(detail)});
}

void CheckRecorder::skip(CheckId check, std::string detail) {
  record({.check = check, .status = CheckStatus::skipped, .detail = std::move(detail)});
}

std::vector<CheckResult> CheckRecorder::take() {
  // A verifier runs its checks in catalogue order but for a few, as they depend on one another: little is to be moved.
  for (auto it = results_.begin(); it != results_.end(); ++it) {
    const auto place = std::ranges::upper_bound(results_.begin(), it, it->check, {}, &CheckResult::check);
    if (place == it) continue;
    CheckResult moved = std::move(*it);
    std::move_backward(place, it, it + 1);
    *place = std::move(moved);
  }
  std::ranges::fill(state_, std::uint8_t{0});
  passed_.fill(0);
  return std::move(results_);
}

}  // namespace attestry::attestation
