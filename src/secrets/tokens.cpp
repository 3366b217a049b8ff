#include "secrets/tokens.h"

#include <algorithm>
#include <deque>

#include "base/encoding.h"
#include "base/log.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "governance/instance_record.h"
#include "governance/measurement_record.h"
#include "governance/registry.h"
#include "state/keys.h"
#include "state/scan.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::uint8_t kTokenVersion = 2;  // 1 had no space_id
constexpr std::uint8_t kPolicyVersion = 1;
constexpr std::size_t kMaxText = 4096;
constexpr std::size_t kMaxItems = 256;
constexpr std::size_t kCollected = 4;
constexpr std::size_t kErasedWithSpace = 4096;
constexpr std::size_t kLookedAt = 256;
constexpr std::size_t kOneBatch = 1024;  // limits are looked at in memory, which a batch of writes may pass
constexpr std::size_t kAccessorLetters = 24;

Key token_record(const base::Digest32& digest) { return Key(Space::tokens).lp("token").raw(digest); }
Key policy_record(std::string_view space, std::string_view name) {
  return Key(Space::tokens).lp("policy").lp(space).lp(name);
}

Error gone() {
  return {Code::denied, "the token is not valid", {}, {}, "Log in again, or ask an operator for a new token."};
}

/// Short names for the many fields of a record.
class Fields {
 public:
  explicit Fields(base::Reader in) : in_(in) {}
  Result<std::string> text() {
    TRY(const auto bytes, in_.lp("text", kMaxText));
    return std::string{base::as_text(bytes)};
  }
  Result<std::int64_t> number() {
    TRY(const auto value, in_.u64be("number"));
    return static_cast<std::int64_t>(value);
  }
  Result<bool> flag() {
    TRY(const auto value, in_.u8("flag"));
    return value != 0;
  }
  Result<std::size_t> count() {
    TRY(const auto value, in_.u32be("count"));
    if (value > kMaxItems) return Error{Code::corrupt, "a record has too many items"};
    return std::size_t{value};
  }
  base::Reader& in() { return in_; }

 private:
  base::Reader in_;
};

void encode_attested(base::LpWriter& out, const Attested& attested) {
  out.lp(attested.tenant.text()).lp(attested.app.bytes()).lp(attested.source).u64(attested.version);
  out.u64(attested.leaf_index).lp(attested.spki).u64(static_cast<std::uint64_t>(attested.until.seconds));
}

Result<Attested> decode_attested(Fields& fields) {
  TRY(const auto tenant_text, fields.text());
  TRY(auto tenant, base::Tenant::parse(tenant_text));
  TRY(const auto app_bytes, fields.in().lp("app", kMaxText));
  TRY(auto app, base::AppRef::from_bytes(app_bytes));
  Attested out{.tenant = std::move(tenant), .app = std::move(app)};
  TRY(out.source, fields.text());
  TRY(out.version, fields.in().u64be("version"));
  TRY(out.leaf_index, fields.in().u64be("leaf"));
  TRY(const auto spki, fields.in().lp("key", kMaxText));
  out.spki = base::to_bytes(spki);
  TRY(out.until.seconds, fields.number());
  return out;
}

// Tokens that are counted together.
std::string of_space(std::string_view space) { return "n" + std::string{space}; }
std::string of_parent(const base::Digest32& parent) { return "p" + std::string{base::as_text(parent)}; }
std::string of_role(const Token& token) { return "r" + token.space + "/" + token.display_name; }
std::string of_key(const Token& token) {
  return "k" + token.space + "/" + base::hex(crypto::sha256(token.attested->spki));
}

bool is_login(const Token& token) { return token.attested && !token.parent && token.path != "auth/token/create"; }

std::vector<std::string> groups_of(const Token& token) {
  std::vector<std::string> out{of_space(token.space)};
  if (token.parent) out.push_back(of_parent(*token.parent));
  if (is_login(token)) {
    out.push_back(of_role(token));
    out.push_back(of_key(token));
  }
  return out;
}

Error too_many(std::string_view what, std::size_t most) {
  return {Code::too_large,
          "there are too many tokens " + std::string{what},
          "at most " + std::to_string(most),
          {},
          "Revoke tokens that are no longer used, or give them shorter lives."};
}

/// `known`: what memory has of it, or null. Rules are taken apart only where they are others, which takes long.
Result<Tokens::PolicyPtr> decode_policy(base::ByteView stored, const Tokens::PolicyPtr& known) {
  TRY(auto in, state::open_value(stored, kPolicyVersion, "policy"));
  TRY(const auto bytes, in.lp("document", kMaxPolicyBytes));
  TRY_OK(in.finish("policy"));
  const auto document = base::as_text(bytes);
  if (known && known->document == document) return known;
  TRY(auto rules, AccessPolicy::parse(document));
  return std::make_shared<const Tokens::StoredPolicy>(
      Tokens::StoredPolicy{.document = std::string{document}, .rules = std::move(rules)});
}

Capabilities everything() {
  Capabilities out;
  for (const auto one : {Capability::create, Capability::read, Capability::update, Capability::patch,
                         Capability::delete_, Capability::list, Capability::sudo}) {
    out.add(one);
  }
  return out;
}

}  // namespace

bool Token::root() const noexcept { return std::ranges::find(policies, "root") != policies.end(); }

base::Bytes encode_token(const Token& token) {
  auto out = state::value(kTokenVersion);
  const auto number = [&](std::int64_t value) { out.u64(static_cast<std::uint64_t>(value)); };
  out.lp(token.accessor).lp(token.space).u32(static_cast<std::uint32_t>(token.policies.size()));
  for (const auto& name : token.policies) out.lp(name);
  out.lp(token.display_name).u32(static_cast<std::uint32_t>(token.metadata.size()));
  for (const auto& [name, value] : token.metadata) out.lp(name).lp(value);
  number(token.issued.seconds);
  number(token.expires.seconds);
  number(token.ttl);
  number(token.explicit_max);
  number(token.period);
  out.u8(token.renewable ? 1 : 0).u8(token.parent ? 1 : 0);
  if (token.parent) out.raw(*token.parent);
  out.lp(token.path).u8(token.attested ? 1 : 0);
  if (token.attested) encode_attested(out, *token.attested);
  out.u64(token.space_id);
  return std::move(out).take();
}

Status check_token(const Token& token) {
  const auto read = decode_token(encode_token(token), token.digest);
  if (read) return base::done();
  return Error{Code::malformed, "the token says too much",
               "texts of at most 4096 bytes, at most 256 policies and entries", read.error().text()};
}

Result<Token> decode_token(base::ByteView stored, const base::Digest32& digest) {
  const bool first = !stored.empty() && stored[0] == 1;
  TRY(auto in, state::open_value(stored, first ? 1 : kTokenVersion, "token"));
  Fields fields{in};
  Token out{.digest = digest};
  TRY(out.accessor, fields.text());
  TRY(out.space, fields.text());
  TRY(const auto policies, fields.count());
  for (std::size_t i = 0; i < policies; ++i) {
    TRY(auto name, fields.text());
    out.policies.push_back(std::move(name));
  }
  TRY(out.display_name, fields.text());
  TRY(const auto entries, fields.count());
  for (std::size_t i = 0; i < entries; ++i) {
    TRY(auto name, fields.text());
    TRY(out.metadata[name], fields.text());
  }
  TRY(out.issued.seconds, fields.number());
  TRY(out.expires.seconds, fields.number());
  TRY(out.ttl, fields.number());
  TRY(out.explicit_max, fields.number());
  TRY(out.period, fields.number());
  TRY(out.renewable, fields.flag());
  TRY(const bool child, fields.flag());
  if (child) {
    TRY(out.parent, fields.in().take_array<32>("parent"));
  }
  TRY(out.path, fields.text());
  TRY(const bool attested, fields.flag());
  if (attested) {
    TRY(out.attested, decode_attested(fields));
  }
  if (!first) {
    TRY(out.space_id, fields.in().u64be("namespace's id"));
  }
  TRY_OK(fields.in().finish("token"));
  return out;
}

std::string make_token(crypto::Random& random) {
  const auto bytes = random.secret(32);
  return "hvs." + base::base64url(bytes.reveal());
}

std::string make_accessor(crypto::Random& random) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  std::string out;
  for (const auto byte : random.bytes<kAccessorLetters>()) out += kLetters[byte % 64];
  return out;
}

Result<std::unique_ptr<Tokens>> Tokens::open(state::Store& store) {
  std::unique_ptr<Tokens> out{new Tokens(store)};
  TRY(auto rules, AccessPolicy::parse(default_policy_document()));
  out->default_ = std::make_shared<const StoredPolicy>(
      StoredPolicy{.document = std::string{default_policy_document()}, .rules = std::move(rules)});
  TRY(const auto view, store.read());
  const Key tokens = Key(Space::tokens).lp("token");
  TRY_OK(
      state::scan_each(*view, tokens, kMaxTokens + kOneBatch, [&](base::ByteView key, base::ByteView value) -> Status {
        base::Reader in{key.subspan(tokens.bytes().size())};
        TRY(const auto digest, in.take_array<32>("digest"));
        auto token = decode_token(value, digest);
        if (token) {
          out->settle_put(*std::move(token));
        } else {
          base::log(base::LogLevel::warning, "a stored token is damaged and is left out",
                    {{"error", token.error().text()}});
        }
        return base::done();
      }));
  std::vector<PolicyName> names;
  const Key policies = Key(Space::tokens).lp("policy");
  TRY_OK(state::scan_each(*view, policies, kMaxPolicies + kOneBatch, [&](base::ByteView key, base::ByteView) -> Status {
    base::Reader in{key.subspan(policies.bytes().size())};
    TRY(const auto space, in.lp("namespace", kMaxText));
    TRY(const auto name, in.lp("policy", kMaxText));
    names.emplace_back(base::as_text(space), base::as_text(name));
    return base::done();
  }));
  for (const auto& [space, name] : names) TRY_OK(out->settle_policy(space, name));
  return out;
}

TokenPtr Tokens::find(const base::Digest32& digest, base::UtcTime now) const {
  const base::MutexLock lock(mutex_);
  const auto found = tokens_.find(digest);
  return found == tokens_.end() || found->second->expired(now) ? nullptr : found->second;
}

TokenPtr Tokens::find(std::string_view token, base::UtcTime now) const {
  // By digest: how long the search takes says nothing about the token.
  return find(crypto::sha256(base::as_bytes(token)), now);
}

TokenPtr Tokens::find_accessor(std::string_view accessor, base::UtcTime now) const {
  std::optional<base::Digest32> digest;
  {
    const base::MutexLock lock(mutex_);
    const auto found = accessors_.find(accessor);
    if (found != accessors_.end()) digest = found->second;
  }
  return digest ? find(*digest, now) : nullptr;
}

std::vector<std::string> Tokens::accessors(std::string_view space, base::UtcTime now) const {
  std::vector<std::string> out;
  const base::MutexLock lock(mutex_);
  const auto found = groups_.find(of_space(space));
  if (found == groups_.end()) return out;
  for (const auto& [issued, digest] : found->second) {
    const auto& token = tokens_.at(digest);
    if (!token->expired(now)) out.push_back(token->accessor);
  }
  std::ranges::sort(out);
  return out;
}

std::vector<TokenPtr> Tokens::family(const base::Digest32& digest) const {
  std::vector<TokenPtr> out;
  const base::MutexLock lock(mutex_);
  std::deque<base::Digest32> todo{digest};
  while (!todo.empty()) {
    const auto one = todo.front();
    todo.pop_front();
    if (const auto found = tokens_.find(one); found != tokens_.end()) out.push_back(found->second);
    const auto children = groups_.find(of_parent(one));
    if (children == groups_.end()) continue;
    for (const auto& [issued, child] : children->second) todo.push_back(child);
  }
  return out;
}

Result<Token> Tokens::stored(const state::ReadView& view, const base::Digest32& digest) {
  TRY(const auto found, view.get(token_record(digest)));
  if (!found) return gone();
  return decode_token(*found, digest);
}

Status Tokens::require(const state::ReadView& view, const Token& token, base::UtcTime now) const {
  if (token.expired(now)) return gone();
  TRY(const auto there, view.get(token_record(token.digest)));
  if (!there) return gone();
  // A child that was made, or renewed, while its parent was being revoked ends with it nevertheless.
  auto parent = token.parent;
  for (std::size_t depth = 0; parent; ++depth) {
    if (depth == kMaxTokenDepth) return gone();
    TRY(const auto above, stored(view, *parent));
    if (above.expired(now)) return gone();
    parent = above.parent;
  }
  if (!token.attested) return base::done();
  const Attested& attested = *token.attested;
  TRY(const bool holds,
      governance::still_holds(
          view, attested.tenant, attested.app,
          {.appraisal = {}, .leaf_index = attested.leaf_index, .expires = token.expires, .source = attested.source}));
  if (!holds) return gone();
  return base::done();
}

/// Whether one more belongs into the group. Where it is full, its oldest make room once they have expired.
bool Tokens::has_room(const std::string& group, std::size_t most, base::UtcTime now, Erased& old) const {
  const auto found = groups_.find(group);
  if (found == groups_.end() || found->second.size() < most) return true;
  bool room = false;
  std::size_t looked_at = 0;
  for (const auto& [issued, digest] : found->second) {
    if (++looked_at > kLookedAt) break;
    const auto& token = tokens_.at(digest);
    if (!token->expired(now)) continue;
    old.push_back(token);
    room = true;
  }
  return room;
}

Status Tokens::within_limits(const Token& token, base::UtcTime now, Erased& old) const {
  if (tokens_.contains(token.digest)) return base::done();
  if (tokens_.size() >= kMaxTokens && old.empty()) return too_many("", kMaxTokens);
  if (!has_room(of_space(token.space), kMaxTokensOfSpace, now, old)) {
    return too_many("of the namespace", kMaxTokensOfSpace);
  }
  if (token.parent && !has_room(of_parent(*token.parent), kMaxChildren, now, old)) {
    return too_many("of one parent", kMaxChildren);
  }
  if (!is_login(token)) return base::done();
  if (const auto key = groups_.find(of_key(token)); key != groups_.end() && key->second.size() >= kMaxKeyTokens) {
    // Whoever logs in anew with the same key has no use for the oldest of its tokens.
    auto more = key->second.size() - kMaxKeyTokens + 1;
    for (auto at = key->second.begin(); more != 0; ++at, --more) old.push_back(tokens_.at(at->second));
    return base::done();
  }
  return has_room(of_role(token), kMaxRoleTokens, now, old) ? base::done()
                                                            : Status{too_many("of the role's logins", kMaxRoleTokens)};
}

Result<Tokens::Erased> Tokens::put(state::WriteTxn& txn, const Token& token, base::UtcTime now) const {
  TRY_OK(check_token(token));
  std::size_t depth = 0;
  for (auto parent = token.parent; parent; ++depth) {
    if (depth == kMaxTokenDepth) {
      return Error{Code::malformed, "the token has too many ancestors", "at most " + std::to_string(kMaxTokenDepth)};
    }
    TRY(const auto above, stored(txn, *parent));
    parent = above.parent;
  }
  Erased old;
  {
    const base::MutexLock lock(mutex_);
    for (auto at = ends_.begin(); at != ends_.end() && old.size() < kCollected && at->first <= now.seconds; ++at) {
      old.push_back(tokens_.at(at->second));
    }
    TRY_OK(within_limits(token, now, old));
  }
  TRY_OK(erase(txn, old));
  TRY_OK(txn.put(token_record(token.digest), encode_token(token)));
  return old;
}

Status Tokens::erase(state::WriteTxn& txn, const Erased& tokens) const {
  for (const auto& token : tokens) TRY_OK(txn.erase(token_record(token->digest)));
  return base::done();
}

Result<std::vector<Token>> Tokens::release_children(state::WriteTxn& txn, const base::Digest32& parent) const {
  std::vector<base::Digest32> digests;
  {
    const base::MutexLock lock(mutex_);
    if (const auto found = groups_.find(of_parent(parent)); found != groups_.end()) {
      for (const auto& [issued, digest] : found->second) digests.push_back(digest);
    }
  }
  std::vector<Token> out;
  for (const auto& digest : digests) {
    auto child = stored(txn, digest);
    if (!child && child.error().code == Code::denied) continue;  // revoked meanwhile
    TRY(auto token, std::move(child));
    token.parent.reset();
    TRY_OK(txn.put(token_record(digest), encode_token(token)));
    out.push_back(std::move(token));
  }
  return out;
}

Result<Tokens::Erased> Tokens::erase_space(state::WriteTxn& txn, std::string_view space) const {
  for (const char* kind : {"policy", "role"}) {
    std::vector<base::Bytes> keys;
    TRY_OK(txn.scan(Key(Space::tokens).lp(kind).lp(space), {}, SIZE_MAX, [&](base::ByteView key, base::ByteView) {
      keys.push_back(base::to_bytes(key));
      return true;
    }));
    for (const auto& key : keys) TRY_OK(txn.erase(key));
  }
  Erased out;
  {
    const base::MutexLock lock(mutex_);
    if (const auto found = groups_.find(of_space(space)); found != groups_.end()) {
      for (auto at = found->second.begin(); at != found->second.end() && out.size() < kErasedWithSpace; ++at) {
        out.push_back(tokens_.at(at->second));
      }
    }
  }
  TRY_OK(erase(txn, out));
  return out;
}

void Tokens::settle_space(std::string_view space, const Erased& tokens) {
  settle_erase(tokens);
  const base::MutexLock lock(mutex_);
  std::erase_if(policies_, [&](const auto& entry) { return entry.first.first == space; });
}

void Tokens::forget(const base::Digest32& digest) {
  const auto found = tokens_.find(digest);
  if (found == tokens_.end()) return;
  const Token& token = *found->second;
  for (const auto& name : groups_of(token)) {
    const auto group = groups_.find(name);
    if (group == groups_.end()) continue;
    group->second.erase({token.issued.seconds, digest});
    if (group->second.empty()) groups_.erase(group);
  }
  ends_.erase({token.expires.seconds, digest});
  accessors_.erase(token.accessor);
  tokens_.erase(found);
}

void Tokens::settle_put(Token token) {
  const auto shared = std::make_shared<const Token>(std::move(token));
  const base::MutexLock lock(mutex_);
  forget(shared->digest);
  tokens_[shared->digest] = shared;
  accessors_[shared->accessor] = shared->digest;
  for (const auto& name : groups_of(*shared)) groups_[name].emplace(shared->issued.seconds, shared->digest);
  if (shared->expires.seconds != 0) ends_.emplace(shared->expires.seconds, shared->digest);
}

void Tokens::settle_erase(const Erased& tokens) {
  const base::MutexLock lock(mutex_);
  for (const auto& token : tokens) forget(base::Digest32{token->digest});
}

Tokens::PolicyPtr Tokens::policy(std::string_view space, std::string_view name) const {
  const base::MutexLock lock(mutex_);
  const auto found = policies_.find({std::string{space}, std::string{name}});
  if (found != policies_.end()) return found->second;
  return name == "default" ? default_ : nullptr;
}

std::vector<std::string> Tokens::policy_names(std::string_view space) const {
  std::vector<std::string> out{"default"};
  {
    const base::MutexLock lock(mutex_);
    for (const auto& [name, policy] : policies_) {
      if (name.first == space && name.second != "default") out.push_back(name.second);
    }
  }
  if (space.empty()) out.emplace_back("root");
  std::ranges::sort(out);
  return out;
}

Status check_policy_name(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789._-";
  const bool good = !name.empty() && name.size() <= 128 && name.find_first_not_of(kAllowed) == std::string_view::npos &&
                    name != "root" && name != "response-wrapping";
  if (good) return base::done();
  return Error{Code::malformed, "name of a policy", "1 to 128 of a-z 0-9 . _ -, and not root",
               std::string{name.substr(0, 64)}};
}

Result<bool> Tokens::has_policy(const state::ReadView& view, std::string_view space, std::string_view name) {
  TRY(const auto found, view.get(policy_record(space, name)));
  return found.has_value();
}

Status Tokens::put_policy(state::WriteTxn& txn, std::string_view space, std::string_view name,
                          std::string_view document) const {
  TRY_OK(check_policy_name(name));
  TRY_OK(AccessPolicy::parse(document));
  TRY(const bool there, has_policy(txn, space, name));
  if (!there) {
    const base::MutexLock lock(mutex_);
    const auto of_this =
        std::ranges::count_if(policies_, [&](const auto& entry) { return entry.first.first == space; });
    if (policies_.size() >= kMaxPolicies || static_cast<std::size_t>(of_this) >= kMaxPoliciesOfSpace) {
      return Error{Code::too_large, "there are too many policies",
                   "at most " + std::to_string(kMaxPoliciesOfSpace) + " in a namespace"};
    }
  }
  return txn.put(policy_record(space, name), state::value(kPolicyVersion).lp(document).bytes());
}

Status Tokens::erase_policy(state::WriteTxn& txn, std::string_view space, std::string_view name) const {
  return txn.erase(policy_record(space, name));
}

Status Tokens::settle_policy(std::string_view space, std::string_view name) {
  TRY(const auto view, store_.read());
  TRY(const auto stored, view->get(policy_record(space, name)));
  PolicyPtr now;
  if (stored) {
    TRY(now, decode_policy(*stored, nullptr));
  }
  const base::MutexLock lock(mutex_);
  if (now) {
    policies_[{std::string{space}, std::string{name}}] = std::move(now);
  } else {
    policies_.erase({std::string{space}, std::string{name}});
  }
  return base::done();
}

std::vector<Tokens::PolicyPtr> Tokens::held(const Token& token) const {
  std::vector<PolicyPtr> out;
  for (const auto& name : token.policies) {
    if (auto found = policy(token.space, name)) out.push_back(std::move(found));
  }
  return out;
}

Capabilities Tokens::capabilities(const Token& token, std::string_view path) const {
  if (token.root()) return everything();
  const auto policies = held(token);
  std::vector<const AccessPolicy*> rules;
  rules.reserve(policies.size());
  for (const auto& one : policies) rules.push_back(&one->rules);
  return capabilities_on(rules, path);
}

Result<Capabilities> Tokens::capabilities(const state::ReadView& view, const Token& token,
                                          std::string_view path) const {
  if (token.root()) return everything();
  std::vector<PolicyPtr> policies;
  std::vector<const AccessPolicy*> rules;
  for (const auto& name : token.policies) {
    TRY(const auto document, view.get(policy_record(token.space, name)));
    if (document) {
      TRY(auto one, decode_policy(*document, policy(token.space, name)));
      policies.push_back(std::move(one));
    } else if (name == "default") {
      policies.push_back(default_);
    }
  }
  rules.reserve(policies.size());
  for (const auto& one : policies) rules.push_back(&one->rules);
  return capabilities_on(rules, path);
}

bool Tokens::reaches_below(const Token& token, std::string_view prefix) const {
  if (token.root()) return true;
  for (const auto& policy : held(token)) {
    for (const PolicyRule& rule : policy->rules.rules()) {
      if (rule.capabilities.empty() || rule.capabilities.has(Capability::deny)) continue;
      const auto literal = std::string_view{rule.path}.substr(0, rule.path.find('+'));
      const bool open = rule.prefix || literal.size() != rule.path.size();
      if (literal.starts_with(prefix) || (open && prefix.starts_with(literal))) return true;
    }
  }
  return false;
}

}  // namespace attestry::secrets
