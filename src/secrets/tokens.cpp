#include "secrets/tokens.h"

#include <algorithm>
#include <deque>

#include "base/encoding.h"
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

constexpr std::uint8_t kTokenVersion = 1;
constexpr std::uint8_t kPolicyVersion = 1;
constexpr std::size_t kMaxText = 4096;
constexpr std::size_t kMaxItems = 256;
constexpr std::size_t kCollected = 4;
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
  return std::move(out).take();
}

Result<Token> decode_token(base::ByteView stored, const base::Digest32& digest) {
  TRY(auto in, state::open_value(stored, kTokenVersion, "token"));
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
  TRY_OK(state::scan_each(*view, tokens, kMaxTokens + 1, [&](base::ByteView key, base::ByteView value) -> Status {
    base::Reader in{key.subspan(tokens.bytes().size())};
    TRY(const auto digest, in.take_array<32>("digest"));
    TRY(auto token, decode_token(value, digest));
    out->settle_put(std::move(token), {});
    return base::done();
  }));
  std::vector<PolicyName> names;
  const Key policies = Key(Space::tokens).lp("policy");
  TRY_OK(state::scan_each(*view, policies, kMaxPolicies + 1, [&](base::ByteView key, base::ByteView) -> Status {
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
  for (const auto& [digest, token] : tokens_) {
    if (token->space == space && !token->expired(now)) out.push_back(token->accessor);
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
    for (const auto& [child, token] : tokens_) {
      if (token->parent == one) todo.push_back(child);
    }
  }
  return out;
}

Status Tokens::require(const state::ReadView& view, const Token& token, base::UtcTime now) const {
  if (token.expired(now)) return gone();
  TRY(const auto stored, view.get(token_record(token.digest)));
  if (!stored) return gone();
  if (!token.attested) return base::done();
  const Attested& attested = *token.attested;
  TRY(const bool holds,
      governance::still_holds(
          view, attested.tenant, attested.app,
          {.appraisal = {}, .leaf_index = attested.leaf_index, .expires = token.expires, .source = attested.source}));
  if (!holds) return gone();
  return base::done();
}

Status Tokens::put(state::WriteTxn& txn, const Token& token, base::UtcTime now) const {
  std::vector<TokenPtr> expired;
  {
    const base::MutexLock lock(mutex_);
    for (auto at = ends_.begin(); at != ends_.end() && expired.size() < kCollected && at->first <= now.seconds; ++at) {
      expired.push_back(tokens_.at(at->second));
    }
    if (tokens_.size() >= kMaxTokens && !tokens_.contains(token.digest)) {
      return Error{Code::too_large,
                   "there are too many tokens",
                   "at most " + std::to_string(kMaxTokens),
                   {},
                   "Revoke tokens that are no longer used, or give them shorter lives."};
    }
  }
  TRY_OK(erase(txn, expired));
  return txn.put(token_record(token.digest), encode_token(token));
}

Status Tokens::erase(state::WriteTxn& txn, const std::vector<TokenPtr>& tokens) const {
  for (const auto& token : tokens) TRY_OK(txn.erase(token_record(token->digest)));
  return base::done();
}

void Tokens::forget(const base::Digest32& digest) {
  const auto found = tokens_.find(digest);
  if (found == tokens_.end()) return;
  ends_.erase({found->second->expires.seconds, digest});
  accessors_.erase(found->second->accessor);
  tokens_.erase(found);
}

void Tokens::settle_put(Token token, base::UtcTime now) {
  const auto shared = std::make_shared<const Token>(std::move(token));
  const base::MutexLock lock(mutex_);
  forget(shared->digest);
  for (std::size_t i = 0; i < kCollected && !ends_.empty() && ends_.begin()->first <= now.seconds; ++i) {
    forget(base::Digest32{ends_.begin()->second});
  }
  tokens_[shared->digest] = shared;
  accessors_[shared->accessor] = shared->digest;
  if (shared->expires.seconds != 0) ends_.emplace(shared->expires.seconds, shared->digest);
}

void Tokens::settle_erase(const std::vector<TokenPtr>& tokens) {
  const base::MutexLock lock(mutex_);
  for (const auto& token : tokens) forget(token->digest);
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

Status Tokens::put_policy(state::WriteTxn& txn, std::string_view space, std::string_view name,
                          std::string_view document) const {
  TRY_OK(check_policy_name(name));
  TRY_OK(AccessPolicy::parse(document));
  {
    const base::MutexLock lock(mutex_);
    if (policies_.size() >= kMaxPolicies) return Error{Code::too_large, "there are too many policies"};
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
    TRY(auto in, state::open_value(*stored, kPolicyVersion, "policy"));
    TRY(const auto document, in.lp("document", kMaxPolicyBytes));
    TRY_OK(in.finish("policy"));
    TRY(auto rules, AccessPolicy::parse(base::as_text(document)));
    now = std::make_shared<const StoredPolicy>(
        StoredPolicy{.document = std::string{base::as_text(document)}, .rules = std::move(rules)});
  }
  const base::MutexLock lock(mutex_);
  if (now) {
    policies_[{std::string{space}, std::string{name}}] = std::move(now);
  } else {
    policies_.erase({std::string{space}, std::string{name}});
  }
  return base::done();
}

Capabilities Tokens::capabilities(const Token& token, std::string_view path) const {
  Capabilities out;
  if (token.root()) {
    for (const auto one : {Capability::create, Capability::read, Capability::update, Capability::patch,
                           Capability::delete_, Capability::list, Capability::sudo}) {
      out.add(one);
    }
    return out;
  }
  std::vector<PolicyPtr> held;
  std::vector<const AccessPolicy*> rules;
  for (const auto& name : token.policies) {
    if (auto found = policy(token.space, name)) {
      rules.push_back(&found->rules);
      held.push_back(std::move(found));
    }
  }
  return capabilities_on(rules, path);
}

}  // namespace attestry::secrets
