#include "provision/keymanager_tags.h"

#include <charconv>
#include <string>

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kBareTagBytes = 32;

bool is_below(std::string_view workload, std::string_view tag) {
  return tag.size() > workload.size() && tag.starts_with(workload) && tag[workload.size()] == '/';
}

std::string below(std::string_view workload) { return std::string{workload} + "/…"; }

}  // namespace

Status check_tag(std::string_view workload, std::string_view tag, const KeyManagerTagRules& rules) {
  if (tag == workload || is_below(workload, tag) || rules.any) return base::done();
  return Error{Code::denied, "the tag belongs to another workload", std::string{workload} + " or " + below(workload),
               std::string{tag}};
}

Status check_signed_tag(std::string_view workload, std::string_view tag, base::ByteView data,
                        const KeyManagerTagRules& rules) {
  if (rules.any || is_below(workload, tag)) return base::done();
  TRY_OK(check_tag(workload, tag, rules));
  if (!rules.bare) {
    return Error{Code::denied, "a signature for the name alone could be read as another workload's", below(workload),
                 std::string{tag}};
  }
  if (data.size() == kBareTagBytes) return base::done();
  return Error{Code::denied, "for the tag that is a workload's name 32 bytes are signed",
               std::to_string(kBareTagBytes) + " bytes, or a tag of the form " + below(workload),
               std::to_string(data.size()) + " bytes"};
}

Result<std::uint32_t> parse_keymanager_epoch(std::optional<std::string_view> text) {
  if (!text) return 0u;
  std::uint32_t out = 0;
  const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), out);
  if (failed == std::errc{} && end == text->data() + text->size() && out != 0) return out;
  return Error{Code::malformed, "epoch", "a number from 1", std::string{*text}};
}

}  // namespace attestry::provision
