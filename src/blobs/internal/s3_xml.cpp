#include "blobs/internal/s3_xml.h"

#include <array>
#include <charconv>
#include <optional>

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;

constexpr std::size_t kMaxText = 4096;

/// The raw text of the first element of that name at or after `from`; moves `from` behind it.
std::optional<std::string_view> element(std::string_view xml, std::string_view name, std::size_t& from) {
  const auto open = "<" + std::string{name} + ">";
  const auto begin = xml.find(open, from);
  if (begin == std::string_view::npos) return std::nullopt;
  const auto end = xml.find("</" + std::string{name} + ">", begin);
  if (end == std::string_view::npos) return std::nullopt;
  from = end;
  const auto text = xml.substr(begin + open.size(), end - begin - open.size());
  if (text.size() > kMaxText) return std::nullopt;
  return text;
}

/// &#10; and &#xA; of one byte: everything else in a key comes as UTF-8.
std::optional<char> numeric(std::string_view entity) {
  const bool is_hex = entity.starts_with("#x");
  entity.remove_prefix(is_hex ? 2 : 1);
  unsigned value = 0;
  const auto* end = entity.data() + entity.size();
  const auto [stop, error] = std::from_chars(entity.data(), end, value, is_hex ? 16 : 10);
  if (error != std::errc{} || stop != end || value == 0 || value > 0x7f) return std::nullopt;
  return static_cast<char>(value);
}

std::optional<std::string> decoded(std::string_view text) {
  struct Entity {
    std::string_view name;
    char value;
  };
  constexpr std::array kEntities{Entity{"amp", '&'}, Entity{"lt", '<'}, Entity{"gt", '>'}, Entity{"quot", '"'},
                                 Entity{"apos", '\''}};
  std::string out;
  while (!text.empty()) {
    if (text.front() != '&') {
      out.push_back(text.front());
      text.remove_prefix(1);
      continue;
    }
    const auto end = text.find(';');
    if (end == std::string_view::npos || end < 2) return std::nullopt;
    const auto entity = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    std::optional<char> value;
    for (const auto& known : kEntities) {
      if (known.name == entity) value = known.value;
    }
    if (entity.front() == '#') value = numeric(entity);
    if (!value) return std::nullopt;
    out.push_back(*value);
  }
  return out;
}

}  // namespace

std::string s3_error_code(std::string_view xml) {
  std::size_t from = 0;
  const auto text = element(xml, "Code", from);
  return text ? decoded(*text).value_or("") : std::string{};
}

base::Result<S3Listing> parse_s3_listing(std::string_view xml) {
  const Error bad{Code::unavailable, "the answer to a list of objects is not one", "ListBucketResult"};
  const auto begin = xml.find("<ListBucketResult");
  if (begin == std::string_view::npos || xml.find("</ListBucketResult>", begin) == std::string_view::npos) return bad;
  S3Listing out;
  std::size_t from = begin;
  while (const auto key = element(xml, "Key", from)) {
    auto text = decoded(*key);
    if (!text) return bad;
    out.keys.push_back(*std::move(text));
  }
  from = begin;
  const auto truncated = element(xml, "IsTruncated", from);
  if (!truncated || *truncated != "true") return out;
  from = begin;
  const auto next = element(xml, "NextContinuationToken", from);
  const auto token = next ? decoded(*next) : std::nullopt;
  if (!token || token->empty()) return bad;
  out.next = *token;
  return out;
}

}  // namespace attestry::blobs
