// Requests for keys and signatures under tags: no bytes that one workload may have signed are another's to have signed,
// wherever these end their tag; no tag is two workloads'; an epoch is read as it is written anew. Three lines: a
// workload, another, the request's target. '!' before the first: tags may be bare, with names of which none begins with
// another.
#include <algorithm>
#include <string>

#include "base/encoding.h"
#include "net/http.h"
#include "provision/keymanager_identity.h"
#include "provision/keymanager_tags.h"
#include "require.h"

using namespace attestry;

namespace {

struct Names {
  std::string one, other;
};

/// As a server has them that starts: names that are none, or not apart where they must be, are refused.
bool are_workloads(const Names& names, bool bare) {
  if (names.one == names.other) return false;
  provision::KeyManagerIdentityOptions known;
  if (!known.sources.add("10.0.0.1=" + names.one) || !known.sources.add("10.0.0.2=" + names.other)) return false;
  return !bare || provision::check_names_apart(known).ok();
}

void check_tags(const Names& names, const std::string& tag, const provision::KeyManagerTagRules& rules) {
  const bool mine = provision::check_tag(names.one, tag, rules).ok();
  REQUIRE(!mine || !provision::check_tag(names.other, tag, rules).ok());
  REQUIRE(!mine || tag.starts_with(names.one));
}

void check_signed(const Names& names, const std::string& tag, base::ByteView data,
                  const provision::KeyManagerTagRules& rules) {
  if (!provision::check_signed_tag(names.one, tag, data, rules)) return;
  REQUIRE(provision::check_tag(names.one, tag, rules).ok());
  const std::string bytes = tag + std::string{base::as_text(data)};
  for (std::size_t end = 0; end <= bytes.size(); ++end) {
    const auto rest = base::as_bytes(std::string_view{bytes}.substr(end));
    REQUIRE(!provision::check_signed_tag(names.other, std::string_view{bytes}.substr(0, end), rest, rules));
  }
}

void check_epoch(const net::Target& target) {
  net::Request request;
  request.query = target.query;
  const auto text = request.query_value("epoch");
  const auto epoch = provision::parse_keymanager_epoch(text);
  REQUIRE(text.has_value() || (epoch.ok() && *epoch == 0));
  if (!epoch.ok() || !text) return;
  REQUIRE(*epoch != 0);
  REQUIRE(text->find_first_not_of("0123456789") == std::string_view::npos);
  const std::string again = std::to_string(*epoch);
  REQUIRE(text->ends_with(again) && *provision::parse_keymanager_epoch(again) == *epoch);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = base::as_text({data, std::min<std::size_t>(size, 4096)});
  const bool bare = text.starts_with('!');
  if (bare) text.remove_prefix(1);
  const auto first = text.find('\n');
  const auto second = first == std::string_view::npos ? first : text.find('\n', first + 1);
  if (second == std::string_view::npos) return 0;
  const Names names{std::string{text.substr(0, first)}, std::string{text.substr(first + 1, second - first - 1)}};
  const auto target = net::parse_target(text.substr(second + 1));
  if (!target.ok()) return 0;
  check_epoch(*target);
  if (target->segments.size() < 2 || !are_workloads(names, bare)) return 0;
  const provision::KeyManagerTagRules rules{.bare = bare};
  const std::string& tag = target->segments[1];
  check_tags(names, tag, rules);
  check_tags({names.other, names.one}, tag, rules);
  const auto bytes = base::hex_decode(target->segments.size() > 2 ? target->segments[2] : std::string{});
  if (!bytes) return 0;
  check_signed(names, tag, *bytes, rules);
  check_signed({names.other, names.one}, tag, *bytes, rules);
  return 0;
}
