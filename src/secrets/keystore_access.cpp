#include "secrets/keystore_access.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "base/json_writer.h"
#include "base/utf8.h"

namespace attestry::secrets::keystore {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;
using chain::near::AccountId;
using chain::near::U128;

namespace {

constexpr std::size_t kMaxReply = 1u << 20;
constexpr std::uint64_t kNanoseconds = 1'000'000'000;

enum class Comparison : std::uint8_t { gte, lte, gt, lt, eq, ne };

bool compare(const U128& left, Comparison how, const U128& right) noexcept {
  switch (how) {
    case Comparison::gte:
      return left >= right;
    case Comparison::lte:
      return left <= right;
    case Comparison::gt:
      return left > right;
    case Comparison::lt:
      return left < right;
    case Comparison::eq:
      return left == right;
    case Comparison::ne:
      return left != right;
  }
  return false;
}

using Child = std::shared_ptr<const AccessCondition::Node>;

struct AllowAll {};
struct Whitelist {
  std::vector<std::string> accounts;  ///< sorted
};
struct NearBalance {
  Comparison how;
  U128 value;
};
struct FtBalance {
  AccountId contract;
  Comparison how;
  U128 value;
};
struct NftOwned {
  AccountId contract;
  std::optional<std::string> token;
};
struct DaoMember {
  AccountId dao;
  std::string role;
};
struct Logic {
  bool all;
  std::vector<Child> children;
};
struct Not {
  Child child;
};
struct ValidUntil {
  std::uint64_t until_ns;
};
struct Predecessor {
  Child child;
};

}  // namespace

struct AccessCondition::Node {
  std::variant<AllowAll, Whitelist, AccountPattern, NearBalance, FtBalance, NftOwned, DaoMember, Logic, Not, ValidUntil,
               Predecessor>
      what;
};

namespace {

using Node = AccessCondition::Node;

// -- reading

Error wrong(std::string_view field, std::string_view expected, std::string_view found) {
  return {Code::malformed, std::string{field}, std::string{expected}, std::string{base::utf8_prefix(found, 80)}};
}

Result<U128> amount(const JsonValue& body, std::string_view field) {
  TRY(const JsonValue value, body.get(field));
  TRY(const std::string text, value.string(field));
  auto number = U128::parse(text);
  if (!number) return wrong(field, "a decimal number below 2^128 as a string", text);
  return number;
}

Result<Comparison> comparison(const JsonValue& body) {
  constexpr std::array<std::string_view, 6> names = {"Gte", "Lte", "Gt", "Lt", "Eq", "Ne"};
  TRY(const JsonValue value, body.get("operator"));
  TRY(const std::string text, value.string("operator"));
  const auto at = std::ranges::find(names, text);
  if (at == names.end()) return wrong("operator", "Gte, Lte, Gt, Lt, Eq or Ne", text);
  return static_cast<Comparison>(at - names.begin());
}

Result<AccountId> account(const JsonValue& body, std::string_view field) {
  TRY(const JsonValue value, body.get(field));
  TRY(const std::string text, value.string(field));
  TRY(AccountId id, AccountId::parse(text), field);
  return id;
}

class Parser {
 public:
  explicit Parser(const AccessRules& rules) noexcept : rules_(rules) {}

  Result<Child> node(const JsonValue& value, std::size_t depth) {
    if (depth > kMaxConditionDepth) return wrong("access condition", "at most 8 conditions within each other", "more");
    if (++nodes_ > kMaxConditions) return wrong("access condition", "at most 256 conditions", "more");
    if (value.is_string()) return unit(value);
    if (!value.is_object() || value.size() != 1) {
      return wrong("access condition", "\"AllowAll\" or an object with one member", value.source());
    }
    const JsonValue body = *value.first();
    const std::string kind = body.key();
    auto out = kind == "AllowAll" ? empty_unit(body) : tagged(kind, body, depth);
    if (!out) {
      auto error = std::move(out).error();
      return error.at(kind);
    }
    return out;
  }
  std::size_t reads() const noexcept { return reads_; }
  std::size_t patterns() const noexcept { return patterns_; }

 private:
  template <class T>
  static Result<Child> made(T what) {
    return std::make_shared<const Node>(Node{std::move(what)});
  }

  static Result<Child> unit(const JsonValue& value) {
    if (value.plain_string() == "AllowAll") return made(AllowAll{});
    return wrong("access condition", "\"AllowAll\" or an object with one member", value.source());
  }
  Result<Child> empty_unit(const JsonValue& body) const {
    if (rules_.empty_allow_all && body.is_object() && body.size() == 0) return made(AllowAll{});
    Error error = wrong("access condition", "the string \"AllowAll\"", "{\"AllowAll\":…}");
    error.remedy =
        "Store the condition as the JSON string \"AllowAll\"; the setting for empty AllowAll objects takes {}.";
    return error;
  }

  Result<Child> tagged(std::string_view kind, const JsonValue& body, std::size_t depth) {
    if (!body.is_object()) return wrong("condition", "an object", body.source());
    if (kind == "Whitelist") return whitelist(body);
    if (kind == "AccountPattern") return pattern(body);
    if (kind == "NearBalance") return near_balance(body);
    if (kind == "FtBalance") return ft_balance(body);
    if (kind == "NftOwned") return nft(body);
    if (kind == "DaoMember") return dao(body);
    if (kind == "Logic") return logic(body, depth);
    if (kind == "Not") {
      TRY(Child child, only_child(body, depth));
      return made(Not{std::move(child)});
    }
    if (kind == "Predecessor") {
      TRY(Child child, only_child(body, depth));
      return made(Predecessor{std::move(child)});
    }
    if (kind == "ValidUntil") return valid_until(body);
    return wrong("access condition",
                 "AllowAll, Whitelist, AccountPattern, NearBalance, FtBalance, NftOwned, DaoMember, Logic, Not, "
                 "ValidUntil or Predecessor",
                 kind);
  }

  base::Status read() {
    if (++reads_ <= kMaxChainReads) return base::done();
    return wrong("access condition", "at most 5 conditions that read the chain", "more");
  }

  static Result<Child> whitelist(const JsonValue& body) {
    TRY_OK(body.only({"accounts"}));
    TRY(const JsonValue list, body.get("accounts"));
    if (!list.is_array()) return wrong("accounts", "an array of account names", list.source());
    Whitelist out;
    for (auto value = list.first(); value; value = value->next()) {
      TRY(const std::string text, value->string("accounts"));
      TRY(const AccountId id, AccountId::parse(text), "accounts");
      out.accounts.push_back(id.text());
    }
    std::ranges::sort(out.accounts);
    return made(std::move(out));
  }

  Result<Child> pattern(const JsonValue& body) {
    TRY_OK(body.only({"pattern"}));
    TRY(const JsonValue value, body.get("pattern"));
    TRY(const std::string text, value.string("pattern"));
    if (++patterns_ > kMaxPatterns) return wrong("access condition", "at most 16 patterns", "more");
    pattern_bytes_ += text.size();
    if (pattern_bytes_ > kMaxPatternBytes) return wrong("access condition", "at most 4096 bytes of patterns", "more");
    TRY(AccountPattern compiled, AccountPattern::compile(text));
    return made(std::move(compiled));
  }

  Result<Child> near_balance(const JsonValue& body) {
    TRY_OK(body.only({"operator", "value"}));
    TRY_OK(read());
    TRY(const Comparison how, comparison(body));
    TRY(const U128 value, amount(body, "value"));
    return made(NearBalance{how, value});
  }

  Result<Child> ft_balance(const JsonValue& body) {
    TRY_OK(body.only({"contract", "operator", "value"}));
    TRY_OK(read());
    TRY(AccountId contract, account(body, "contract"));
    TRY(const Comparison how, comparison(body));
    TRY(const U128 value, amount(body, "value"));
    return made(FtBalance{std::move(contract), how, value});
  }

  Result<Child> nft(const JsonValue& body) {
    TRY_OK(body.only({"contract", "token_id"}));
    TRY_OK(read());
    TRY(AccountId contract, account(body, "contract"));
    std::optional<std::string> token;
    if (const auto value = body.find("token_id"); value && !value->is_null()) {
      TRY(token, value->string("token_id"));
    }
    return made(NftOwned{std::move(contract), std::move(token)});
  }

  Result<Child> dao(const JsonValue& body) {
    TRY_OK(body.only({"dao_contract", "role"}));
    TRY_OK(read());
    TRY(AccountId contract, account(body, "dao_contract"));
    TRY(const JsonValue role, body.get("role"));
    TRY(std::string name, role.string("role"));
    return made(DaoMember{std::move(contract), std::move(name)});
  }

  Result<Child> logic(const JsonValue& body, std::size_t depth) {
    TRY_OK(body.only({"operator", "conditions"}));
    TRY(const JsonValue name, body.get("operator"));
    TRY(const std::string text, name.string("operator"));
    if (text != "And" && text != "Or") return wrong("operator", "And or Or", text);
    TRY(const JsonValue list, body.get("conditions"));
    // And of nothing would be true for everybody.
    if (!list.is_array() || list.size() == 0) return wrong("conditions", "at least one condition", list.source());
    Logic out{.all = text == "And", .children = {}};
    for (auto value = list.first(); value; value = value->next()) {
      TRY(Child child, node(*value, depth + 1));
      out.children.push_back(std::move(child));
    }
    return made(std::move(out));
  }

  Result<Child> only_child(const JsonValue& body, std::size_t depth) {
    TRY_OK(body.only({"condition"}));
    TRY(const JsonValue value, body.get("condition"));
    return node(value, depth + 1);
  }

  static Result<Child> valid_until(const JsonValue& body) {
    TRY_OK(body.only({"until_ns"}));
    TRY(const JsonValue value, body.get("until_ns"));
    const auto text = value.is_string() ? value.string("until_ns") : Result<std::string>{std::string{value.source()}};
    const auto number = U128::parse(text.value_or(""));
    if (!number || number->high != 0) return wrong("until_ns", "nanoseconds since 1970, below 2^64", value.source());
    return made(ValidUntil{number->low});
  }

  const AccessRules& rules_;
  std::size_t nodes_ = 0, patterns_ = 0, pattern_bytes_ = 0, reads_ = 0;
};

// -- evaluating

Error unreadable(const AccountId& contract, std::string_view method, std::string_view expected) {
  return {Code::unavailable, contract.text() + " answers " + std::string{method} + " with something else",
          std::string{expected}};
}

class Evaluation {
 public:
  explicit Evaluation(ChainFacts& facts) noexcept : facts_(facts) {}

  Result<bool> of(const Node& node, const Reader& reader) {
    return std::visit([&](const auto& what) { return this->value(what, reader); }, node.what);
  }

 private:
  Result<bool> value(const AllowAll&, const Reader&) { return true; }
  Result<bool> value(const Whitelist& what, const Reader& reader) {
    return std::ranges::binary_search(what.accounts, reader.account.text());
  }
  Result<bool> value(const AccountPattern& what, const Reader& reader) { return what.matches(reader.account.text()); }
  Result<bool> value(const NearBalance& what, const Reader& reader) {
    TRY(const U128 balance, facts_.balance(reader.account));
    return compare(balance, what.how, what.value);
  }
  Result<bool> value(const FtBalance& what, const Reader& reader) {
    TRY(const auto reply, view(what.contract, "ft_balance_of", {{"account_id", reader.account.text()}}));
    const auto text = reply->root().string("balance");
    const auto balance = U128::parse(text.value_or(""));
    if (!balance) return unreadable(what.contract, "ft_balance_of", "a decimal number as a string");
    return compare(*balance, what.how, what.value);
  }
  Result<bool> value(const NftOwned& what, const Reader& reader) {
    if (!what.token) {
      TRY(const auto reply,
          view(what.contract, "nft_tokens_for_owner", {{"account_id", reader.account.text()}, {"limit", 1}}));
      if (!reply->root().is_array()) return unreadable(what.contract, "nft_tokens_for_owner", "an array of tokens");
      return reply->root().size() > 0;
    }
    TRY(const auto reply, view(what.contract, "nft_token", {{"token_id", *what.token}}));
    if (reply->root().is_null()) return false;
    const auto owner = reply->root().find("owner_id");
    if (!owner || !owner->is_string()) return unreadable(what.contract, "nft_token", "null or a token with owner_id");
    return owner->string("owner_id").value_or("") == reader.account.text();
  }
  Result<bool> value(const DaoMember& what, const Reader& reader) {
    TRY(const auto reply, view(what.dao, "get_policy", {}));
    const auto roles = reply->root().find("roles");
    if (!roles || !roles->is_array()) return unreadable(what.dao, "get_policy", "a policy with roles");
    for (auto role = roles->first(); role; role = role->next()) {
      const auto name = role->find("name");
      const auto kind = role->find("kind");
      if (!name || !name->is_string() || !kind) return unreadable(what.dao, "get_policy", "roles with name and kind");
      if (name->string("name").value_or("") != what.role) continue;
      TRY(const bool member, in_role(what, *kind, reader));
      if (member) return true;
    }
    return false;
  }
  static Result<bool> in_role(const DaoMember& what, const JsonValue& kind, const Reader& reader) {
    if (kind.plain_string() == "Everyone") return true;
    const auto group = kind.find("Group");
    // `Member` weighs tokens that the DAO holds for its members, which get_policy does not say.
    if (!group || !group->is_array()) return unreadable(what.dao, "get_policy", "a role of kind Everyone or Group");
    for (auto member = group->first(); member; member = member->next()) {
      if (member->plain_string() == reader.account.text()) return true;
    }
    return false;
  }
  Result<bool> value(const Logic& what, const Reader& reader) {
    for (const Child& child : what.children) {
      TRY(const bool one, of(*child, reader));
      if (one != what.all) return one;
    }
    return what.all;
  }
  Result<bool> value(const Not& what, const Reader& reader) {
    TRY(const bool inner, of(*what.child, reader));
    return !inner;
  }
  Result<bool> value(const ValidUntil& what, const Reader&) {
    TRY(const base::UtcTime now, facts_.time());
    return now.seconds >= 0 && static_cast<std::uint64_t>(now.seconds) <= what.until_ns / kNanoseconds;
  }
  Result<bool> value(const Predecessor& what, const Reader& reader) {
    if (reader.predecessor == nullptr) {
      return Error{Code::denied, "the access condition asks who called the contract",
                   "a request that names its predecessor"};
    }
    return of(*what.child, Reader{.account = *reader.predecessor, .predecessor = reader.predecessor});
  }

  Result<std::shared_ptr<const base::JsonDocument>> view(const AccountId& contract, std::string_view method,
                                                         JsonOutObject args) {
    TRY(std::string reply, facts_.view(contract, std::string{method}, JsonOut{std::move(args)}.compact()));
    auto document = base::JsonDocument::parse(std::move(reply), {.max_bytes = kMaxReply});
    if (!document) return unreadable(contract, method, "JSON");
    return document;
  }

  ChainFacts& facts_;
};

/// The chain's no is an answer, but none that a condition could compare.
Error no_value(const Error& error, std::string_view question) {
  if (error.code != Code::not_found && error.code != Code::denied) return error;
  return {Code::denied, std::string{question} + ": " + error.what, {}, error.found};
}

}  // namespace

Result<chain::near::Block> NearFacts::block() {
  if (!at_) {
    TRY(at_, reader_.head(deadline_));
  }
  return *at_;
}

Result<U128> NearFacts::balance(const AccountId& account) {
  TRY(const auto at, block());
  const auto found = reader_.account(at, account, deadline_);
  if (!found) return no_value(found.error(), "balance of " + account.text());
  return found->amount;
}

Result<std::string> NearFacts::view(const AccountId& contract, std::string method, std::string args) {
  TRY(const auto at, block());
  const std::string question = contract.text() + "." + method;
  const auto found = reader_.call(at, contract, std::move(method), base::to_bytes(args), deadline_);
  if (!found) return no_value(found.error(), question);
  return std::string{base::as_text(*found)};
}

Result<base::UtcTime> NearFacts::time() {
  TRY(const auto at, block());
  return at.time;
}

Result<AccessCondition> AccessCondition::parse(std::string_view json, const AccessRules& rules) {
  TRY(const auto document, base::JsonDocument::parse(std::string{json}, {.max_bytes = kMaxConditionBytes}),
      "access condition");
  Parser parser{rules};
  TRY(Child root, parser.node(document->root(), 1));
  // Names and texts of nodes are as long as in the JSON, and each has a frame around it.
  return AccessCondition{std::move(root), parser.reads(), 4 * json.size() + parser.patterns() * kMaxPatternProgram};
}

Result<bool> AccessCondition::allows(const Reader& reader, ChainFacts& facts) const {
  return Evaluation{facts}.of(*root_, reader);
}

std::size_t AccessCondition::chain_reads() const noexcept { return reads_; }

}  // namespace attestry::secrets::keystore
