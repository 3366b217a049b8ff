// Reads policy documents: every member by a function of its own, which keeps every mistake with its place.
#include <algorithm>
#include <array>

#include "attestation/policy.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/utf8.h"

namespace attestry::attestation {
namespace {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::size_t kMaxListEntries = 4096;
constexpr std::size_t kMaxNameBytes = 200;
constexpr std::int64_t kMaxStalenessSeconds = 366LL * 24 * 3600;
constexpr std::int64_t kMaxAgeSeconds = 366LL * 24 * 3600;
constexpr std::int64_t kMaxOperators = 64;
/// Keys times signatures are verified at every evaluation, and policies come from strangers too.
constexpr std::size_t kMaxListKeys = 16;

/// What a policy can accept, as Intel's library writes it. Revoked is not here: no policy can accept it.
constexpr std::array<std::string_view, 8> kTcbStatuses{"UpToDate",
                                                       "SWHardeningNeeded",
                                                       "ConfigurationNeeded",
                                                       "ConfigurationAndSWHardeningNeeded",
                                                       "OutOfDate",
                                                       "OutOfDateConfigurationNeeded",
                                                       "TDRelaunchAdvised",
                                                       "TDRelaunchAdvisedConfigurationNeeded"};
constexpr std::array<std::string_view, 4> kLogRegisters{"rtmr0", "rtmr1", "rtmr2", "rtmr3"};
constexpr std::array<std::string_view, 5> kPlatforms{"sgx", "tdx", "snp", "nitro", "maa"};

Error malformed(std::string what, std::string expected, std::string found) {
  return {.code = Code::malformed, .what = std::move(what), .expected = std::move(expected), .found = std::move(found)};
}

template <std::size_t N>
std::string joined(const std::array<std::string_view, N>& words) {
  std::string out;
  for (const std::string_view word : words) out.append(out.empty() ? "" : ", ").append(word);
  return out;
}

std::string identifying_claims() {
  std::string out;
  for (const ClaimInfo& claim : claim_dictionary()) {
    if (claim.identifies) out.append(out.empty() ? "" : ", ").append(claim.name);
  }
  return out;
}

Result<base::UtcTime> time_of(const JsonValue& value, std::string_view what) {
  TRY(const std::string text, value.string(what));
  return base::parse_rfc3339(text);
}

Result<std::string> some_text(const JsonValue& value, std::string_view what) {
  TRY(std::string text, value.string(what));
  if (text.empty() || text.size() > kMaxNameBytes) {
    return malformed(std::string{what} + " has a wrong length", "1 to 200 bytes", std::to_string(text.size()));
  }
  return text;
}

Result<base::FixedBytes<32>> public_key(const JsonValue& value) {
  TRY(const std::string text, value.string("key"));
  base::FixedBytes<32> key{};
  TRY_OK(base::hex_decode_into(text, key));
  return key;
}

Result<std::vector<std::string>> claim_values(const ClaimInfo& rule, const JsonValue& value) {
  std::vector<std::string> values;
  if (!value.is_array()) {
    TRY(std::string one, parse_claim_value(rule, value));
    values.push_back(std::move(one));
    return values;
  }
  if (value.size() == 0 || value.size() > kMaxListEntries) {
    return malformed(std::string{rule.name} + " has a list of a wrong size", "1 to 4096 values",
                     std::to_string(value.size()));
  }
  for (auto item = value.first(); item; item = item->next()) {
    TRY(std::string one, parse_claim_value(rule, *item));
    values.push_back(std::move(one));
  }
  return values;
}

class Reader {
 public:
  explicit Reader(PolicyFindings& findings) : findings_(findings) {}

  PolicyRules read(const JsonValue& root) {
    if (!root.is_object()) {
      add("", malformed("the document is no object", R"({"format":1, ...})", ""));
      return std::move(out_);
    }
    only_members(root, "",
                 {"format", "name", "platforms", "tcb", "debug", "migratable", "service_td", "reserved_attributes",
                  "vmpl", "require", "identities", "identities_from", "lists", "conditions", "max_age_seconds",
                  "max_collateral_staleness_seconds"},
                 findings_);
    read_head(root);
    if (const auto tcb = root.find("tcb")) read_tcb(*tcb);
    flag(root, "", "debug", out_.allow_debug);
    flag(root, "", "migratable", out_.allow_migratable);
    flag(root, "", "service_td", out_.allow_service_td);
    flag(root, "", "reserved_attributes", out_.allow_reserved_attributes);
    if (const auto vmpl = root.find("vmpl")) read_vmpl(*vmpl);
    if (const auto require = root.find("require")) read_require(*require);
    if (const auto lists = root.find("lists")) read_lists(*lists);
    if (const auto identities = root.find("identities")) read_identities(*identities);
    if (const auto sets = root.find("identities_from")) read_sets(*sets);
    if (const auto conditions = root.find("conditions")) read_conditions(*conditions);
    bound(root, "max_age_seconds", kMaxAgeSeconds, out_.max_age_seconds);
    bound(root, "max_collateral_staleness_seconds", kMaxStalenessSeconds, out_.max_staleness_seconds);
    return std::move(out_);
  }

 private:
  void add(std::string path, Error error) { add_finding(findings_, std::move(path), std::move(error)); }

  /// An array of 1 to `most` entries, else nullopt. An empty list never means "anything".
  bool filled_list(const JsonValue& value, const std::string& path, std::size_t most, std::string expected) {
    if (value.is_array() && value.size() > 0 && value.size() <= most) return true;
    add(path, malformed(value.is_array() ? "a list of a wrong size" : "no list", std::move(expected),
                        value.is_array() ? std::to_string(value.size()) : ""));
    return false;
  }

  template <std::size_t N>
  void choices(const JsonValue& value, const std::string& path, const std::array<std::string_view, N>& known,
               std::vector<std::string>& out) {
    if (!filled_list(value, path, kMaxListEntries, "at least one of " + joined(known))) return;
    out.clear();
    std::size_t index = 0;
    for (auto item = value.first(); item; item = item->next(), ++index) {
      const std::string here = path_of(path, index);
      std::string text;
      if (!take(findings_, here, item->string("value"), text)) continue;
      if (std::ranges::find(known, text) == known.end()) {
        add(here, malformed("an unknown value", "one of " + joined(known),
                            std::string{base::utf8_prefix(text, kMaxNameBytes)}));
      }
      out.push_back(std::move(text));
    }
  }

  void flag(const JsonValue& object, std::string_view parent, std::string_view key, bool& out) {
    if (const auto member = object.find(key)) take(findings_, path_of(parent, key), member->boolean(key), out);
  }

  void bound(const JsonValue& root, std::string_view key, std::int64_t most, std::optional<std::int64_t>& out) {
    if (const auto member = root.find(key)) take(findings_, std::string{key}, member->integer(key, 0, most), out);
  }

  void read_head(const JsonValue& root) {
    std::int64_t format = 1;
    if (const auto member = root.find("format")) {
      take(findings_, "format", member->integer("format (this program knows format 1)", 1, 1), format);
    } else {
      add("format", malformed("format is missing", "1", ""));
    }
    if (const auto name = root.find("name")) take(findings_, "name", some_text(*name, "name"), out_.name);
    if (const auto platforms = root.find("platforms")) choices(*platforms, "platforms", kPlatforms, out_.platforms);
  }

  void read_tcb(const JsonValue& tcb) {
    if (!tcb.is_object()) return add("tcb", malformed("it is no object", R"({"accept": [...]})", ""));
    only_members(tcb, "tcb",
                 {"accept", "allow_advisories", "waive_advisories", "min_evaluation_number", "min_date", "minimum"},
                 findings_);
    if (const auto accept = tcb.find("accept")) choices(*accept, "tcb.accept", kTcbStatuses, out_.accept_tcb);
    if (const auto allowed = tcb.find("allow_advisories")) read_advisories(*allowed);
    if (const auto waivers = tcb.find("waive_advisories")) read_waivers(*waivers);
    if (const auto date = tcb.find("min_date")) {
      take(findings_, "tcb.min_date", time_of(*date, "min_date"), out_.min_tcb_date);
    }
    if (const auto number = tcb.find("min_evaluation_number")) {
      constexpr std::int64_t kMaxNumber = 0xffffffff;
      std::int64_t least = 0;
      take(findings_, "tcb.min_evaluation_number", number->integer("min_evaluation_number", 0, kMaxNumber), least);
      out_.min_evaluation_number = static_cast<std::uint32_t>(least);
    }
    if (const auto minimum = tcb.find("minimum")) {
      out_.minimum = read_tcb_minimum(*minimum, "tcb.minimum", findings_);
    }
  }

  /// Here an empty list is a rule: no advisory at all.
  void read_advisories(const JsonValue& list) {
    const std::string path = "tcb.allow_advisories";
    out_.allow_advisories.emplace();
    if (!list.is_array() || list.size() > kMaxListEntries) {
      return add(path, malformed("no list", "an array of at most 4096 advisory ids", ""));
    }
    std::size_t index = 0;
    for (auto item = list.first(); item; item = item->next(), ++index) {
      std::string id;
      if (take(findings_, path_of(path, index), some_text(*item, "advisory"), id)) {
        out_.allow_advisories->push_back(std::move(id));
      }
    }
  }

  void read_waivers(const JsonValue& list) {
    const std::string path = "tcb.waive_advisories";
    if (!out_.allow_advisories) {
      add(path, malformed("without allow_advisories every advisory is allowed",
                          "allow_advisories beside it, else every one is allowed", ""));
    }
    if (!filled_list(list, path, kMaxListEntries, "1 to 4096 waivers")) return;
    std::size_t index = 0;
    for (auto item = list.first(); item; item = item->next(), ++index) read_waiver(*item, path_of(path, index));
  }

  /// {"id": "INTEL-SA-00837", "until": RFC 3339, "reason": "…"}: for a time, and with a reason that a person gave.
  void read_waiver(const JsonValue& value, const std::string& path) {
    if (!only_members(value, path, {"id", "until", "reason"}, findings_)) return;
    AdvisoryWaiver out;
    const auto text = [&](std::string_view key, std::string& target) {
      const auto member = value.find(key);
      if (!member) return add(path, malformed(std::string{key} + " is missing", "id, until and reason", ""));
      take(findings_, path_of(path, key), some_text(*member, key), target);
    };
    text("id", out.id);
    text("reason", out.reason);
    if (const auto until = value.find("until")) {
      take(findings_, path_of(path, "until"), time_of(*until, "until"), out.until);
    } else {
      add(path, malformed("until is missing", "id, until and reason", ""));
    }
    out_.waivers.push_back(std::move(out));
  }

  /// Levels of a guest; the host's own pseudo-level is in no list.
  void read_vmpl(const JsonValue& list) {
    constexpr std::int64_t kHighestLevel = 3;
    if (!filled_list(list, "vmpl", kHighestLevel + 1, "an array of 1 to 4 numbers from 0 to 3")) return;
    out_.vmpl.clear();
    std::size_t index = 0;
    for (auto item = list.first(); item; item = item->next(), ++index) {
      std::int64_t level = 0;
      take(findings_, path_of("vmpl", index), item->integer("vmpl", 0, kHighestLevel), level);
      out_.vmpl.push_back(static_cast<std::uint32_t>(level));
    }
  }

  void read_require(const JsonValue& require) {
    if (!require.is_object()) {
      return add("require", malformed("require is no object", R"({"sept_ve_disable": true})", ""));
    }
    only_members(require, "require",
                 {"sept_ve_disable", "revocation", "committed_firmware", "secure_boot", "event_log", "token_keys"},
                 findings_);
    flag(require, "require", "sept_ve_disable", out_.require_sept_ve_disable);
    flag(require, "require", "revocation", out_.require_revocation);
    flag(require, "require", "committed_firmware", out_.require_committed_firmware);
    flag(require, "require", "secure_boot", out_.require_secure_boot);
    if (const auto log = require.find("event_log")) read_event_log(*log);
    flag(require, "require", "token_keys", out_.require_token_keys);
  }

  /// true, or {"registers": [...], "trust_log_labels": true}.
  void read_event_log(const JsonValue& value) {
    const std::string path = "require.event_log";
    if (!value.is_object()) {
      return static_cast<void>(take(findings_, path, value.boolean("event_log"), out_.require_event_log));
    }
    out_.require_event_log = true;
    only_members(value, path, {"registers", "trust_log_labels"}, findings_);
    flag(value, path, "trust_log_labels", out_.trust_log_labels);
    if (const auto list = value.find("registers")) {
      choices(*list, path_of(path, "registers"), kLogRegisters, out_.event_log_registers);
    }
  }

  void read_lists(const JsonValue& lists) {
    constexpr std::size_t kMaxLists = 64;
    if (!filled_list(lists, "lists", kMaxLists, "1 to 64 lists")) return;
    std::size_t index = 0;
    for (auto item = lists.first(); item; item = item->next(), ++index) read_list(*item, path_of("lists", index));
  }

  void read_list(const JsonValue& value, const std::string& path) {
    if (!only_members(value, path, {"name", "keys", "threshold"}, findings_)) return;
    ListRule out;
    const auto name = value.find("name");
    const auto keys = value.find("keys");
    if (!name || !keys) return add(path, malformed("a list without name or keys", "both", ""));
    std::string text;
    if (take(findings_, path_of(path, "name"), name->string("name"), text)) {
      take(findings_, path_of(path, "name"), parse_reference_name(text), out.name);
    }
    if (std::ranges::find(out_.lists, out.name, &ListRule::name) != out_.lists.end()) {
      add(path, malformed("this list is named twice", "each list once", out.name));
    }
    const std::string here = path_of(path, "keys");
    if (filled_list(*keys, here, kMaxListKeys, "1 to 16 public keys of Ed25519, 64 hex digits each")) {
      std::size_t index = 0;
      for (auto item = keys->first(); item; item = item->next(), ++index) {
        base::FixedBytes<32> key{};
        if (take(findings_, path_of(here, index), public_key(*item), key)) out.keys.push_back(key);
      }
    }
    if (const auto threshold = value.find("threshold")) {
      std::int64_t m = 1;
      const auto most = static_cast<std::int64_t>(std::max<std::size_t>(out.keys.size(), 1));
      take(findings_, path_of(path, "threshold"), threshold->integer("threshold", 1, most), m);
      out.threshold = static_cast<std::uint32_t>(m);
    }
    out_.lists.push_back(std::move(out));
  }

  void read_identities(const JsonValue& list) {
    out_.require_identity = true;
    // An empty list is no mistake here: it approves nothing, which is where every app begins.
    if (!list.is_array() || list.size() > kMaxListEntries) {
      return add("identities", malformed("identities is no list", "an array of at most 4096 identities", ""));
    }
    std::size_t index = 0;
    for (auto item = list.first(); item; item = item->next(), ++index) {
      read_identity(*item, path_of("identities", index), index);
    }
  }

  void read_identity(const JsonValue& value, const std::string& path, std::size_t index) {
    if (!only_members(value, path, {"name", "source", "claims"}, findings_)) return;
    IdentityRule rule;
    rule.name = "identity " + std::to_string(index + 1);
    if (const auto name = value.find("name"))
      take(findings_, path_of(path, "name"), some_text(*name, "name"), rule.name);
    if (const auto source = value.find("source")) {
      take(findings_, path_of(path, "source"), some_text(*source, "source"), rule.source);
    }
    const auto claims = value.find("claims");
    if (!claims || !claims->is_object()) {
      return add(path_of(path, "claims"), malformed("claims is no object", "an object of claim names", ""));
    }
    bool identifies = false;
    const std::size_t before = findings_.size();
    for (auto member = claims->first(); member; member = member->next()) {
      const std::string name = member->key();
      const std::string here = path_of(path_of(path, "claims"), std::string{base::utf8_prefix(name, kMaxNameBytes)});
      const ClaimInfo* known = nullptr;
      if (!take(findings_, path_of(path, "claims"), parse_claim_name(name), known)) continue;
      std::vector<std::string> values;
      take(findings_, here, claim_values(*known, *member), values);
      identifies = identifies || known->identifies;
      rule.claims.emplace_back(name, std::move(values));
    }
    // Without one of these any code would match that leaves the others alone.
    if (!identifies && findings_.size() == before) {
      add(path, malformed("the identity measures no code", "at least one of " + identifying_claims(), ""));
    }
    out_.identities.push_back(std::move(rule));
  }

  void read_sets(const JsonValue& list) {
    constexpr std::size_t kMaxSets = 64;
    out_.require_identity = true;
    if (!filled_list(list, "identities_from", kMaxSets, R"(1 to 64 of "set:NAME")")) return;
    std::size_t index = 0;
    for (auto item = list.first(); item; item = item->next(), ++index) {
      read_set(*item, path_of("identities_from", index));
    }
  }

  /// "set:web", or {"set": "web", "approvals": 2}.
  void read_set(const JsonValue& value, const std::string& path) {
    constexpr std::string_view kScheme = "set:";
    SetReference out;
    if (value.is_object()) {
      if (!only_members(value, path, {"set", "approvals"}, findings_)) return;
      const auto name = value.find("set");
      if (!name) return add(path, malformed("set is missing", R"({"set": NAME})", ""));
      std::string text;
      if (take(findings_, path_of(path, "set"), name->string("set"), text)) {
        take(findings_, path_of(path, "set"), parse_reference_name(text), out.name);
      }
      if (const auto approvals = value.find("approvals")) {
        std::int64_t m = 1;
        take(findings_, path_of(path, "approvals"), approvals->integer("approvals", 1, kMaxOperators), m);
        out.approvals = static_cast<std::uint32_t>(m);
      }
    } else {
      std::string text;
      if (!take(findings_, path, value.string("set"), text)) return;
      if (!text.starts_with(kScheme)) {
        return add(path, malformed("no measurement set", R"("set:NAME")",
                                   std::string{base::utf8_prefix(text, kMaxNameBytes)}));
      }
      take(findings_, path, parse_reference_name(std::string_view{text}.substr(kScheme.size())), out.name);
    }
    out_.identities_from.push_back(std::move(out));
  }

  void read_conditions(const JsonValue& list) {
    // An empty list would be a rule that asks for nothing.
    constexpr std::size_t kMaxConditions = 1024;
    if (!filled_list(list, "conditions", kMaxConditions, "1 to 1024 conditions")) return;
    std::size_t index = 0;
    for (auto item = list.first(); item; item = item->next(), ++index) {
      const std::string path = path_of("conditions", index);
      auto condition = Condition::read(*item, path, findings_);
      if (!condition) continue;
      check_lists(*condition, path);
      out_.conditions.push_back(*std::move(condition));
    }
  }

  /// A list that nobody may sign would make a condition that nothing can meet.
  void check_lists(const Condition& condition, const std::string& path) {
    for (const Condition& member : condition.group()) check_lists(member, path);
    if (condition.op() != Condition::Operator::in_list) return;
    if (std::ranges::find(out_.lists, condition.list(), &ListRule::name) != out_.lists.end()) return;
    add(path, malformed("the policy names no such list", "a list of `lists`", condition.list()));
  }

  PolicyFindings& findings_;
  PolicyRules out_;
};

}  // namespace

PolicyRules read_policy_rules(const JsonValue& root, PolicyFindings& findings) { return Reader(findings).read(root); }

}  // namespace attestry::attestation
