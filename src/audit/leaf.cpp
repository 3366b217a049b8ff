#include "audit/leaf.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/hash.h"

namespace attestry::audit {
namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::int64_t kMaxInteger = (std::int64_t{1} << 53) - 1;
constexpr std::size_t kMaxLeaf = 32 * 1024;
constexpr std::size_t kMaxOutputs = 64;
constexpr std::size_t kMaxText = 512;
constexpr std::size_t kSha256Hex = 64;
constexpr std::size_t kSha512Hex = 128;

bool one_of(char c, std::string_view more) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || more.find(c) != std::string_view::npos;
}

bool is_word(std::string_view text, std::string_view more, std::size_t most) {
  if (text.empty() || text.size() > most) return false;
  return one_of(text.front(), {}) && std::all_of(text.begin(), text.end(), [more](char c) { return one_of(c, more); });
}

/// Without a branch for each character: every leaf has hundreds of them.
bool is_hex(std::string_view text, std::size_t size) {
  unsigned others = 0;
  for (const char c : text) {
    const auto from_0 = static_cast<unsigned char>(c - '0'), from_a = static_cast<unsigned char>(c - 'a');
    others |= static_cast<unsigned>(from_0 > 9) & static_cast<unsigned>(from_a > 5);
  }
  return text.size() == size && others == 0;
}

bool is_hex_or_empty(std::string_view text, std::size_t size) { return text.empty() || is_hex(text, size); }

/// Printable ASCII: names that a reader of the log sees as they are.
bool is_plain(std::string_view text) {
  return text.size() <= kMaxText && std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

/// The rules of leaf.h; the name of the member that breaks one, or nothing.
std::string_view broken_member(const Leaf& leaf) {
  if (!is_word(leaf.type, ".-", 64) || (leaf.type[0] >= '0' && leaf.type[0] <= '9')) return "type";
  if (leaf.audience.empty() || !is_plain(leaf.audience)) return "audience";
  if (!is_plain(leaf.app)) return "app";
  if (!is_hex_or_empty(leaf.binding, kSha512Hex)) return "binding";
  if (!is_hex_or_empty(leaf.appraisal, kSha256Hex)) return "appraisal";
  if (!is_hex_or_empty(leaf.policy, kSha256Hex)) return "policy";
  if (!is_hex_or_empty(leaf.governance, kSha256Hex)) return "governance";
  if (leaf.epoch > static_cast<std::uint64_t>(kMaxInteger)) return "epoch";
  if (leaf.outputs.size() > kMaxOutputs) return "outputs";
  for (const auto& [label, hash] : leaf.outputs) {
    if (!is_word(label, "._:/-", 128) || !is_hex(hash, kSha256Hex)) return "outputs";
  }
  if (!is_hex_or_empty(leaf.reply, kSha256Hex)) return "reply";
  return {};
}

base::Result<std::map<std::string, std::string>> parse_outputs(const base::JsonValue& root) {
  TRY(const base::JsonValue outputs, root.get("outputs"));
  if (!outputs.is_object()) return base::Error{base::Code::malformed, "outputs: not an object"};
  std::map<std::string, std::string> out;
  for (auto v = outputs.first(); v; v = v->next()) {
    TRY(out[v->key()], v->string("outputs"));
  }
  return out;
}

base::Status parse_members(const base::JsonValue& root, Leaf& out) {
  const auto text = [&root](std::string_view name) -> base::Result<std::string> {
    TRY(const base::JsonValue value, root.get(name));
    return value.string(name);
  };
  TRY(const base::JsonValue version, root.get("v"));
  TRY_OK(version.integer("v", kVersion, kVersion));
  TRY(out.type, text("type"));
  TRY(const std::string realm, text("realm"));
  TRY(out.realm, base::realm_from(realm));
  TRY(out.audience, text("audience"));
  TRY(const std::string tenant, text("tenant"));
  TRY(out.tenant, base::Tenant::parse(tenant));
  TRY(out.app, text("app"));
  TRY(const std::string time, text("time"));
  TRY(out.time, base::parse_rfc3339(time));
  TRY(out.binding, text("binding"));
  TRY(out.appraisal, text("appraisal"));
  TRY(out.policy, text("policy"));
  TRY(out.governance, text("governance"));
  TRY(const base::JsonValue epoch, root.get("epoch"));
  TRY(const std::int64_t epoch_number, epoch.integer("epoch", 0, kMaxInteger));
  out.epoch = static_cast<std::uint64_t>(epoch_number);
  TRY(out.outputs, parse_outputs(root));
  TRY(out.reply, text("reply"));
  return base::done();
}

}  // namespace

base::Result<std::string> Leaf::encode() const {
  if (const auto broken = broken_member(*this); !broken.empty()) {
    return base::Error{base::Code::internal, "a leaf with a wrong member: " + std::string(broken)};
  }
  base::JsonOutObject labels;
  for (const auto& [label, hash] : outputs) labels.emplace_back(label, hash);
  return base::JsonOut(base::JsonOutObject{{"v", kVersion},
                                           {"type", type},
                                           {"realm", base::to_text(realm)},
                                           {"audience", audience},
                                           {"tenant", tenant.text()},
                                           {"app", app},
                                           {"time", base::to_rfc3339(time)},
                                           {"binding", binding},
                                           {"appraisal", appraisal},
                                           {"policy", policy},
                                           {"governance", governance},
                                           {"epoch", epoch},
                                           {"outputs", std::move(labels)},
                                           {"reply", reply}})
      .canonical();
}

base::Result<Leaf> Leaf::parse(std::string_view bytes) {
  base::JsonLimits limits;
  limits.max_bytes = kMaxLeaf;
  TRY(const auto document, base::JsonDocument::parse(std::string(bytes), limits), "leaf");
  Leaf out;
  TRY_OK(parse_members(document->root(), out), "leaf");
  // Encoding again and comparing refuses unknown members, other spellings and everything else that is not RFC 8785.
  auto again = out.encode();
  if (!again || *again != bytes) {
    return base::Error{base::Code::malformed, "leaf: not in its canonical form (RFC 8785)"};
  }
  return out;
}

std::string commitment(const crypto::Secret& k, std::string_view label, base::ByteView value) {
  base::LpWriter message;
  message.lp(label).raw(value);
  return base::hex(crypto::hmac_sha256(k.reveal(), message.bytes()));
}

}  // namespace attestry::audit
