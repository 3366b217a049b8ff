// Who may read a secret: the conditions that owners store beside it, evaluated against what the chain says at one
// block. docs/formats/keystore.md
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "chain/near_rpc.h"
#include "chain/near_types.h"

namespace attestry::secrets::keystore {

/// What conditions ask the chain, all of it at one block. Errors: `unavailable` and `deadline_exceeded` when nothing
/// was learned; `denied` when the chain's answer is that there is no such account or that a contract refuses. A
/// condition that meets an error has no value: it is neither true nor false.
class ChainFacts {
 public:
  virtual ~ChainFacts() = default;
  /// yoctoNEAR, without what is staked.
  virtual base::Result<chain::near::U128> balance(const chain::near::AccountId& account) = 0;
  /// What a view method returns, as text of JSON.
  virtual base::Result<std::string> view(const chain::near::AccountId& contract, std::string method,
                                         std::string args) = 0;
  /// Of the block.
  virtual base::Result<base::UtcTime> time() = 0;
};

/// Over a reader, at the head that the first question finds. Not thread-safe; one per request. The reader must outlive
/// it and be one of final blocks.
class NearFacts final : public ChainFacts {
 public:
  NearFacts(chain::near::ChainReader& reader, base::Deadline deadline) : reader_(reader), deadline_(deadline) {}
  /// At a block that is known already: the one at which the secret was read.
  NearFacts(chain::near::ChainReader& reader, const chain::near::Block& at, base::Deadline deadline)
      : reader_(reader), deadline_(deadline), at_(at) {}
  base::Result<chain::near::U128> balance(const chain::near::AccountId& account) override;
  base::Result<std::string> view(const chain::near::AccountId& contract, std::string method, std::string args) override;
  base::Result<base::UtcTime> time() override;
  base::Result<chain::near::Block> block();

 private:
  chain::near::ChainReader& reader_;
  base::Deadline deadline_;
  std::optional<chain::near::Block> at_{};
};

/// Whom a condition is asked about.
struct Reader {
  const chain::near::AccountId& account;
  /// Who called the contract on the reader's behalf, when that is known.
  const chain::near::AccountId* predecessor = nullptr;
};

/// How a condition is read.
struct AccessRules {
  /// Takes {"AllowAll":{}}, as early scripts wrote it, for "AllowAll".
  bool empty_allow_all = false;
};

inline constexpr std::size_t kMaxConditionBytes = 64 * 1024;
inline constexpr std::size_t kMaxConditionDepth = 8;
inline constexpr std::size_t kMaxConditions = 256;
inline constexpr std::size_t kMaxPatterns = 16;
inline constexpr std::size_t kMaxPatternProgram = 256 * 1024;  ///< bytes of one, compiled
inline constexpr std::size_t kMaxPatternBytes = 4096;          ///< of all together
inline constexpr std::size_t kMaxChainReads = 5;

/// Immutable, cheap to copy, thread-safe.
class AccessCondition {
 public:
  /// Externally tagged: "AllowAll", {"Whitelist":{"accounts":[…]}}, {"AccountPattern":{"pattern":…}},
  /// {"NearBalance":{"operator","value"}}, {"FtBalance":{"contract","operator","value"}},
  /// {"NftOwned":{"contract","token_id":null|…}}, {"DaoMember":{"dao_contract","role"}},
  /// {"Logic":{"operator":"And"|"Or","conditions":[…]}}, {"Not":{"condition":…}}, {"ValidUntil":{"until_ns"}},
  /// {"Predecessor":{"condition":…}}. Strict: no other members, nothing beyond the bounds above, no Logic without
  /// conditions, every pattern compiled. Errors `malformed`.
  static base::Result<AccessCondition> parse(std::string_view json, const AccessRules& rules = {});

  /// Left to right, stopping where And or Or is decided. Errors are those of `facts`, and `denied` when Predecessor is
  /// asked of a request that does not know it; Not over an error is the error.
  base::Result<bool> allows(const Reader& reader, ChainFacts& facts) const;
  /// How many leaves read the chain.
  std::size_t chain_reads() const noexcept;
  /// Bytes that it takes in memory, at most.
  std::size_t memory() const noexcept { return memory_; }

  struct Node;

 private:
  AccessCondition(std::shared_ptr<const Node> root, std::size_t reads, std::size_t memory)
      : root_(std::move(root)), reads_(reads), memory_(memory) {}
  std::shared_ptr<const Node> root_;
  std::size_t reads_;
  std::size_t memory_;
};

/// A pattern for account names, matched against the whole name, in time linear in its size (RE2). Immutable,
/// thread-safe. The syntax is what Rust's regex crate and RE2 read alike; the rest is refused
/// (docs/formats/keystore.md).
class AccountPattern {
 public:
  static base::Result<AccountPattern> compile(std::string_view pattern);
  bool matches(std::string_view account) const;

  struct Impl;

 private:
  explicit AccountPattern(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace attestry::secrets::keystore
