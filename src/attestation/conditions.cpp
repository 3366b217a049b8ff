#include "attestation/conditions.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "attestation/signed_list.h"
#include "base/json.h"
#include "base/suggest.h"
#include "base/utf8.h"

namespace attestry::attestation {
namespace {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::size_t kMaxValues = 4096;
constexpr std::size_t kMaxText = 4096;
constexpr std::size_t kMaxGroup = 256;
constexpr std::int64_t kMaxNumber = (std::int64_t{1} << 53) - 1;  // what every reader of JSON agrees on

Error malformed(std::string what, std::string expected, std::string found) {
  return {.code = Code::malformed, .what = std::move(what), .expected = std::move(expected), .found = std::move(found)};
}

std::size_t place_of(const ClaimInfo& claim) { return static_cast<std::size_t>(&claim - claim_dictionary().data()); }

bool is_hex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); });
}

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

std::string in_words(const ClaimInfo& claim) {
  switch (claim.type) {
    case ClaimType::bytes:
      return claim.size == 0 ? "hex digits, two for a byte" : std::to_string(2 * claim.size) + " hex digits";
    case ClaimType::number:
      return "a number from 0 on";
    case ClaimType::boolean:
      return "true or false";
    case ClaimType::text:
      return "a string";
  }
  return "a value";
}

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

std::string shortened(std::string text) {
  constexpr std::size_t kShown = 120;
  if (text.size() > kShown) text.replace(base::utf8_prefix(text, kShown).size(), std::string::npos, "…");
  return text;
}

int digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

/// The bits of the mask are compared from the first byte on, as the fields stand in the report (little-endian). Both
/// are lower-case hex, which is compared as it is: a policy may have many of these.
bool bits(std::string_view hex, std::string_view mask, bool set) {
  if (hex.size() < mask.size()) return false;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    const int wanted = digit(mask[i]);
    if ((digit(hex[i]) & wanted) != (set ? wanted : 0)) return false;
  }
  return true;
}

}  // namespace

ClaimIndex::ClaimIndex(const Verdict& verdict, std::span<const ListInForce> lists)
    : claims_(claim_dictionary().size(), nullptr), lists_(lists) {
  for (const Claim& claim : verdict.claims) {
    if (const ClaimInfo* known = find_claim(claim.name)) claims_[place_of(*known)] = &claim;
  }
  if (verdict.platform != Platform::tdx) return;
  const ClaimInfo* registers = find_claim("eventlog.registers");
  lacks_event_log_ = registers != nullptr && find(*registers) == nullptr;
}

const Claim* ClaimIndex::find(const ClaimInfo& claim) const noexcept { return claims_[place_of(claim)]; }

const SignedList* ClaimIndex::list(std::string_view name) const noexcept {
  const auto found = std::ranges::find(lists_, name, &ListInForce::name);
  return found == lists_.end() ? nullptr : found->list;
}

bool may_be_log_word(std::string_view claim) noexcept {
  return claim == "eventlog.kernel" || claim == "eventlog.initrd" || claim == "eventlog.command_line" ||
         claim == "eventlog.command_line_digest";
}

Result<const ClaimInfo*> parse_claim_name(std::string_view name) {
  if (const ClaimInfo* found = find_claim(name)) return found;
  std::vector<std::string_view> names;
  for (const ClaimInfo& claim : claim_dictionary()) names.push_back(claim.name);
  const std::string_view guess = base::nearest(name, names);
  Error error = malformed("unknown claim", guess.empty() ? "a claim of the dictionary" : std::string{guess},
                          shortened(std::string{name}));
  error.remedy = guess.empty() ? "`attestry claims` lists them." : "Did you mean " + std::string{guess} + "?";
  return error;
}

Result<std::string> parse_claim_value(const ClaimInfo& claim, const JsonValue& value) {
  switch (claim.type) {
    case ClaimType::number: {
      TRY(const std::int64_t number, value.integer(claim.name, 0, kMaxNumber));
      return std::to_string(number);
    }
    case ClaimType::boolean: {
      TRY(const bool flag, value.boolean(claim.name));
      return std::string{flag ? "true" : "false"};
    }
    case ClaimType::text: {
      TRY(std::string text, value.string(claim.name));
      if (text.size() > kMaxText) return malformed(std::string{claim.name} + " is too long", "at most 4096 bytes", "");
      return text;
    }
    case ClaimType::bytes:
      break;
  }
  TRY(std::string text, value.string(claim.name));
  const bool right_size =
      claim.size == 0 ? text.size() % 2 == 0 && text.size() <= kMaxText : text.size() == 2u * claim.size;
  if (!right_size || !is_hex(text)) {
    return malformed(std::string{claim.name} + " has a wrong value", in_words(claim), shortened(std::move(text)));
  }
  text = lower(std::move(text));
  if (claim.identifies && std::ranges::all_of(text, [](char c) { return c == '0'; })) {
    return malformed(std::string{claim.name} + " is all zero", "a real measurement", "zeros");
  }
  return text;
}

Result<Condition> Condition::parse(const JsonValue& value, int depth) {
  PolicyFindings findings;
  auto condition = read(value, "", findings, depth);
  if (!condition) return first_error(findings);
  return *std::move(condition);
}

std::optional<Condition> Condition::read(const JsonValue& value, const std::string& path, PolicyFindings& findings,
                                         int depth) {
  const auto refuse = [&](Error error) -> std::optional<Condition> {
    add_finding(findings, path, std::move(error));
    return std::nullopt;
  };
  if (!value.is_object())
    return refuse(malformed("a condition is no object", R"({"claim": NAME, OPERATOR: VALUE})", ""));
  Condition out;
  for (const auto& [key, op] : {std::pair{"any_of", Operator::any_of}, std::pair{"all_of", Operator::all_of}}) {
    const auto group = value.find(key);
    if (!group) continue;
    out.operator_ = op;
    const bool alone = only_members(value, path, {key}, findings);
    const bool good = out.read_group(*group, path_of(path, key), findings, depth);
    return alone && good ? std::optional{std::move(out)} : std::nullopt;
  }
  if (!only_members(value, path,
                    {"claim", "equals", "one_of", "at_least", "at_most", "bits_set", "bits_clear", "prefix", "in_list"},
                    findings)) {
    return std::nullopt;
  }
  const auto claim = value.find("claim");
  if (!claim) return refuse(malformed("claim is missing", "the name of a claim", ""));
  const auto name = claim->string("claim");
  if (!name.ok()) return refuse(name.error());
  const auto known = parse_claim_name(*name);
  if (!known.ok()) return refuse(known.error());
  out.claim_ = *known;
  if (value.size() != 2) {
    return refuse(malformed("condition on " + *name,
                            "exactly one of equals, one_of, at_least, at_most, bits_set, bits_clear, prefix, in_list",
                            std::to_string(value.size() - 1) + " of them"));
  }
  auto read = out.read_values(value);
  if (!read.ok()) return refuse(std::move(read.error().at(*name)));
  return out;
}

bool Condition::read_group(const JsonValue& list, const std::string& path, PolicyFindings& findings, int depth) {
  const auto refuse = [&](Error error) { return add_finding(findings, path, std::move(error)), false; };
  if (depth == 0) return refuse(malformed("too deep", "at most 4 levels of any_of and all_of", ""));
  // An empty list of alternatives could mean nothing or anything.
  if (!list.is_array() || list.size() == 0 || list.size() > kMaxGroup) {
    return refuse(
        malformed("no list of conditions", "1 to 256 conditions", list.is_array() ? std::to_string(list.size()) : ""));
  }
  bool good = true;
  std::size_t index = 0;
  text_ = operator_ == Operator::any_of ? "one of (" : "all of (";
  for (auto item = list.first(); item; item = item->next(), ++index) {
    auto member = Condition::read(*item, path_of(path, index), findings, depth - 1);
    good = good && member;
    if (!good) continue;
    text_.append(group_.empty() ? "" : "; ").append(member->text());
    group_.push_back(*std::move(member));
  }
  text_ = shortened(std::move(text_)) + ")";
  return good;
}

base::Status Condition::read_values(const JsonValue& value) {
  if (const auto equals = value.find("equals")) {
    TRY(std::string text, parse_claim_value(*claim_, *equals));
    text_ = std::string{claim_->name} + " " + shortened(text);
    values_.push_back(std::move(text));
    return base::done();
  }
  if (const auto list = value.find("one_of")) return read_list_of_values(*list);
  for (const char* key : {"at_least", "at_most"}) {
    if (const auto bound = value.find(key)) return read_bound(key, *bound);
  }
  for (const char* key : {"bits_set", "bits_clear"}) {
    if (const auto mask = value.find(key)) return read_mask(key, *mask);
  }
  if (const auto list = value.find("in_list")) return read_in_list(*list);
  TRY(const JsonValue prefix, value.get("prefix"));
  return read_prefix(prefix);
}

base::Status Condition::read_list_of_values(const JsonValue& list) {
  // An empty list approves nothing; whoever writes one meant something else.
  if (!list.is_array() || list.size() == 0 || list.size() > kMaxValues) {
    return malformed("one_of", "a list of 1 to 4096 values", list.is_array() ? std::to_string(list.size()) : "");
  }
  for (auto item = list.first(); item; item = item->next()) {
    TRY(std::string text, parse_claim_value(*claim_, *item));
    values_.push_back(std::move(text));
  }
  text_ = std::string{claim_->name} + " one of " + std::to_string(values_.size()) + " values";
  std::ranges::sort(values_);
  return base::done();
}

base::Status Condition::read_bound(std::string_view key, const JsonValue& bound) {
  if (claim_->type != ClaimType::number)
    return malformed(std::string{key}, "a claim that is a number", "it is " + in_words(*claim_));
  TRY(const std::int64_t number, bound.integer(key, 0, kMaxNumber));
  operator_ = key == "at_least" ? Operator::at_least : Operator::at_most;
  number_ = static_cast<std::uint64_t>(number);
  text_ = std::string{claim_->name} + (operator_ == Operator::at_least ? " at least " : " at most ") +
          std::to_string(number);
  return base::done();
}

base::Status Condition::read_mask(std::string_view key, const JsonValue& mask) {
  if (claim_->type != ClaimType::bytes) {
    return malformed(std::string{key}, "a claim of bytes", "it is " + in_words(*claim_));
  }
  TRY(std::string text, mask.string(key));
  if (text.empty() || text.size() > kMaxText || text.size() % 2 != 0 || !is_hex(text) ||
      (claim_->size != 0 && text.size() != 2u * claim_->size)) {
    return malformed(std::string{key}, in_words(*claim_), shortened(std::move(text)));
  }
  mask_ = lower(std::move(text));
  // A mask without any bit would be a condition that every value meets.
  if (std::ranges::all_of(mask_, [](char c) { return c == '0'; })) {
    return malformed(std::string{key}, "at least one bit", "zeros");
  }
  operator_ = key == "bits_set" ? Operator::bits_set : Operator::bits_clear;
  text_ = std::string{claim_->name} + (operator_ == Operator::bits_set ? " with bits " : " without bits ") + mask_;
  return base::done();
}

base::Status Condition::read_prefix(const JsonValue& prefix) {
  if (claim_->type != ClaimType::bytes && claim_->type != ClaimType::text) {
    return malformed("prefix", "a claim of bytes or text", "it is " + in_words(*claim_));
  }
  TRY(std::string text, prefix.string("prefix"));
  if (claim_->type == ClaimType::bytes) text = lower(std::move(text));
  const bool fits =
      claim_->type == ClaimType::text || (is_hex(text) && (claim_->size == 0 || text.size() <= 2u * claim_->size));
  // An empty prefix would be a condition that every value meets.
  if (text.empty() || text.size() > kMaxText || !fits)
    return malformed("prefix", "the beginning of " + in_words(*claim_), "");
  operator_ = Operator::prefix;
  text_ = std::string{claim_->name} + " beginning with " + shortened(text);
  values_.push_back(std::move(text));
  return base::done();
}

base::Status Condition::read_in_list(const JsonValue& list) {
  TRY(const std::string name, list.string("in_list"));
  TRY(list_, parse_reference_name(name), "in_list");
  operator_ = Operator::in_list;
  text_ = std::string{claim_->name} + " in the list " + list_;
  return base::done();
}

bool Condition::admits(std::string_view value) const {
  switch (operator_) {
    case Operator::one_of:
      return values_.size() == 1 ? values_.front() == value : std::ranges::binary_search(values_, value, std::less<>{});
    case Operator::at_least: {
      const auto number = number_of(value);
      return number && *number >= number_;
    }
    case Operator::at_most: {
      const auto number = number_of(value);
      return number && *number <= number_;
    }
    case Operator::bits_set:
      return bits(value, mask_, true);
    case Operator::bits_clear:
      return bits(value, mask_, false);
    case Operator::prefix:
      return value.starts_with(values_.front());
    case Operator::in_list:
    case Operator::any_of:
    case Operator::all_of:
      break;
  }
  return false;
}

bool Condition::fixes_boot() const {
  switch (operator_) {
    case Operator::one_of:
    case Operator::in_list:
      return claim_->name == "rtmr2";
    case Operator::any_of:
      return std::ranges::all_of(group_, &Condition::fixes_boot);
    case Operator::all_of:
      return std::ranges::any_of(group_, &Condition::fixes_boot);
    case Operator::at_least:
    case Operator::at_most:
    case Operator::bits_set:
    case Operator::bits_clear:
    case Operator::prefix:
      break;
  }
  return false;
}

bool Condition::holds(const ClaimIndex& claims, bool believe_log) const {
  const bool believe = believe_log || (operator_ == Operator::all_of && fixes_boot());
  const auto member_holds = [&](const Condition& member) { return member.holds(claims, believe); };
  if (operator_ == Operator::any_of) return std::ranges::any_of(group_, member_holds);
  if (operator_ == Operator::all_of) return std::ranges::all_of(group_, member_holds);
  const Claim* claim = claims.find(*claim_);
  if (claim == nullptr || (claim->log_word && !believe)) return false;
  if (operator_ != Operator::in_list) return admits(claim->value);
  const SignedList* list = claims.list(list_);
  return list != nullptr && list->contains(*claim_, claim->value);
}

bool Condition::lacks_input(const ClaimIndex& claims, bool believe_log) const {
  const bool believe = believe_log || (operator_ == Operator::all_of && fixes_boot());
  const auto lacks = [&](const Condition& member) { return member.lacks_input(claims, believe); };
  const auto holds_or_lacks = [&](const Condition& member) { return member.holds(claims, believe) || lacks(member); };
  if (operator_ == Operator::any_of) return std::ranges::any_of(group_, lacks);
  if (operator_ == Operator::all_of) return !holds(claims, believe_log) && std::ranges::all_of(group_, holds_or_lacks);
  const Claim* claim = claims.find(*claim_);
  if (claim == nullptr) return claims.lacks_event_log() && claim_->name.starts_with("eventlog.");
  return operator_ == Operator::in_list && claims.list(list_) == nullptr;
}

std::string Condition::found(const ClaimIndex& claims, bool believe_log) const {
  if (claim_ != nullptr) {
    const Claim* claim = claims.find(*claim_);
    std::string out = std::string{claim_->name} + " " + (claim == nullptr ? "absent" : shortened(claim->value));
    if (claim != nullptr && claim->log_word && !believe_log) out.append(", ").append(kLogWordText);
    return out;
  }
  const bool believe = believe_log || (operator_ == Operator::all_of && fixes_boot());
  std::string out;
  for (const Condition& member : group_) {
    if (!member.holds(claims, believe)) out.append(out.empty() ? "" : "; ").append(member.found(claims, believe));
  }
  return shortened(std::move(out));
}

std::string Condition::explain(const ClaimIndex& claims, bool believe_log) const {
  const bool believe = believe_log || (operator_ == Operator::all_of && fixes_boot());
  constexpr std::size_t kExplained = 1024;
  std::string out;
  std::size_t number = 0;
  for (const Condition& member : group_) {
    ++number;
    if (member.holds(claims, believe)) continue;
    if (out.size() > kExplained) return out + "; and more";
    if (operator_ == Operator::any_of) {
      out.append(out.empty() ? "" : "; ").append("alternative " + std::to_string(number) + ": ");
    } else {
      out.append(out.empty() ? "" : ", ");
    }
    // Of several that must all hold only those are named that do not.
    if (member.operator_ == Operator::all_of || member.operator_ == Operator::any_of) {
      out.append("(").append(member.explain(claims, believe)).append(")");
    } else {
      out.append(member.text()).append(", found ").append(member.found(claims, believe));
    }
  }
  return out;
}

}  // namespace attestry::attestation
