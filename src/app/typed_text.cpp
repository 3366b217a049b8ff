#include "app/typed_text.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;

namespace {

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_label(std::string_view label) {
  constexpr std::size_t kMost = 63;
  const auto fits = [](char c) { return is_lower(c) || is_upper(c) || is_digit(c) || c == '-'; };
  return !label.empty() && label.size() <= kMost && label.front() != '-' && label.back() != '-' &&
         std::ranges::all_of(label, fits);
}

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

}  // namespace

Result<curves::Address> typed_address(std::string_view text) {
  TRY(const auto address, curves::parse_address(text));
  std::string_view digits = text;
  if (digits.starts_with("0x")) digits.remove_prefix(2);
  const bool mixed = std::ranges::any_of(digits, is_lower) && std::ranges::any_of(digits, is_upper);
  if (mixed && curves::address_checksum_text(address).substr(2) != digits) {
    return Error{Code::usage, "the checksum of this address is wrong",
                 "capital letters where EIP-55 puts them, or all digits in one case", std::string{text},
                 "Some digit is mistyped: copy the address anew."};
  }
  return address;
}

base::Status check_domain_name(std::string_view text) {
  constexpr std::size_t kMost = 253;
  const auto refused = [&] {
    return Error{Code::usage, "this is no domain name",
                 "labels of letters, digits and hyphens with dots between them, and a port or none",
                 std::string{text.substr(0, 80)}};
  };
  std::string_view name = text;
  if (const auto colon = name.find(':'); colon != std::string_view::npos) {
    if (!is_port(name.substr(colon + 1))) return refused();
    name = name.substr(0, colon);
  }
  if (name.empty() || name.size() > kMost) return refused();
  bool last_is_number = false;
  while (true) {
    const auto dot = std::min(name.find('.'), name.size());
    const auto label = name.substr(0, dot);
    if (!is_label(label)) return refused();
    last_is_number = std::ranges::all_of(label, is_digit);
    if (dot == name.size()) break;
    name.remove_prefix(dot + 1);
  }
  if (last_is_number) return refused();  // an address of IPv4
  return base::done();
}

}  // namespace attestry::app
