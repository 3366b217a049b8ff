#include "base/time.h"

#include <algorithm>
#include <array>

namespace attestry::base {
namespace {

constexpr std::int64_t kDay = 86'400;
constexpr std::int64_t kDaysPerEra = 146'097;  // 400 Gregorian years

struct Civil {
  std::int64_t year;
  unsigned month, day;
};

// Counts in years that begin on 1 March, so that the leap day is the last day of its year.
constexpr std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) {
  year -= month <= 2 ? 1 : 0;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t year_of_era = year - era * 400;
  const std::int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const std::int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * kDaysPerEra + day_of_era - 719'468;
}

constexpr Civil civil_from_days(std::int64_t days) {
  days += 719'468;
  const std::int64_t era = (days >= 0 ? days : days - (kDaysPerEra - 1)) / kDaysPerEra;
  const std::int64_t day_of_era = days - era * kDaysPerEra;
  const std::int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted = (5 * day_of_year + 2) / 153;
  const auto day = static_cast<unsigned>(day_of_year - (153 * shifted + 2) / 5 + 1);
  const auto month = static_cast<unsigned>(shifted < 10 ? shifted + 3 : shifted - 9);
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

constexpr std::int64_t kFirst = days_from_civil(0, 1, 1) * kDay;
constexpr std::int64_t kLast = days_from_civil(10'000, 1, 1) * kDay - 1;

void put_digits(std::string& out, std::int64_t value, int digits) {
  std::array<char, 4> text{};
  for (int i = digits; i-- > 0; value /= 10) text[static_cast<std::size_t>(i)] = static_cast<char>('0' + value % 10);
  out.append(text.data(), static_cast<std::size_t>(digits));
}

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

unsigned number_at(std::string_view text, std::size_t at, std::size_t digits) {
  unsigned value = 0;
  for (const char c : text.substr(at, digits)) value = value * 10 + static_cast<unsigned>(c - '0');
  return value;
}

constexpr unsigned days_in_month(unsigned year, unsigned month) {
  constexpr std::array<std::uint8_t, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : kDays[month - 1];
}

// "dddd-dd-ddTdd:dd:dd" and then "Z" or "." digits "Z".
bool has_shape(std::string_view text) {
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
  if (text.size() <= kShape.size()) return false;
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    if (kShape[i] == 'd' ? !is_digit(text[i]) : text[i] != kShape[i]) return false;
  }
  const std::string_view rest = text.substr(kShape.size());
  if (rest == "Z") return true;
  return rest.size() >= 3 && rest.front() == '.' && rest.back() == 'Z' &&
         std::ranges::all_of(rest.substr(1, rest.size() - 2), is_digit);
}

}  // namespace

UtcTime from_civil(int year, unsigned month, unsigned day, unsigned hour, unsigned minute, unsigned second) {
  return {days_from_civil(year, month, day) * kDay + hour * 3600 + minute * 60 + second};
}

std::string to_rfc3339(UtcTime time) {
  // RFC 3339 has no other years; a time outside is shown as the nearest that it can say.
  const std::int64_t seconds = std::clamp(time.seconds, kFirst, kLast);
  std::int64_t days = seconds / kDay;
  std::int64_t rest = seconds % kDay;
  if (rest < 0) {
    rest += kDay;
    --days;
  }
  const Civil date = civil_from_days(days);
  std::string out;
  out.reserve(20);
  put_digits(out, date.year, 4);
  out.push_back('-');
  put_digits(out, date.month, 2);
  out.push_back('-');
  put_digits(out, date.day, 2);
  out.push_back('T');
  put_digits(out, rest / 3600, 2);
  out.push_back(':');
  put_digits(out, rest / 60 % 60, 2);
  out.push_back(':');
  put_digits(out, rest % 60, 2);
  out.push_back('Z');
  return out;
}

Result<UtcTime> parse_rfc3339(std::string_view text) {
  if (!has_shape(text)) {
    return Error{Code::malformed, "time: not RFC 3339 in UTC", "YYYY-MM-DDTHH:MM:SSZ", "another form"};
  }
  const unsigned year = number_at(text, 0, 4), month = number_at(text, 5, 2), day = number_at(text, 8, 2);
  const unsigned hour = number_at(text, 11, 2), minute = number_at(text, 14, 2), second = number_at(text, 17, 2);
  const bool date_exists = month >= 1 && month <= 12 && day >= 1 && day <= days_in_month(year, month);
  if (!date_exists || hour > 23 || minute > 59 || second > 59) {
    return Error{Code::malformed, "time: a field is out of range", "a date and time of day that exist",
                 std::string{text.substr(0, 19)}};
  }
  return from_civil(static_cast<int>(year), month, day, hour, minute, second);
}

}  // namespace attestry::base
