// What a tracker writes of its members on an EVM chain, and reads there (contracts/Reputation.sol,
// ReputationFactory.sol; docs/reference/reputation-contract.md). The interface is that of PBTS's first generation (its
// contracts, wichtfx/pbts).
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "base/result.h"
#include "base/time.h"
#include "chain/logs.h"
#include "chain/registry_abi.h"
#include "chain/rpc.h"
#include "chain/transaction.h"

namespace attestry::tracker {

/// A member as the contract has it.
struct ReputationUser {
  std::string username{};
  std::string salt{};
  chain::Word password_hash{};      ///< zeros: there is no such member
  std::uint64_t download_size = 0;  ///< bytes; the contract takes more than 2^64, which is `malformed` here
  std::uint64_t upload_size = 0;    ///< bytes
  friend bool operator==(const ReputationUser&, const ReputationUser&) = default;
};

/// 1 to 64 hexadecimal digits, with or without one "0x" before them, as a number: zeros are put on the left, as the
/// first tracker does. `usage` when it is anything else, or zero, which the contract takes for no member.
base::Result<chain::Word> password_hash_word(std::string_view text);

}  // namespace attestry::tracker

namespace attestry::chain::registry {

template <>
struct Abi<tracker::ReputationUser> {
  static void put(AbiWriter& w, const tracker::ReputationUser& v);
  static base::Result<tracker::ReputationUser> get(AbiReader& r);
};

}  // namespace attestry::chain::registry

namespace attestry::tracker::reputation {

using chain::Address;
using chain::Word;
using chain::registry::Function;
using chain::registry::Nothing;

// -- of the first generation

/// Referrer (zeros: none), evidence.
inline constexpr Function<Address, Address, base::Bytes> kCreateReputation{"createReputation(address,bytes)",
                                                                           0x372e3ff5};
inline constexpr Function<ReputationUser, std::string> kGetUserData{"getUserData(string)", 0x54ab2403};
/// Name, salt, password hash, bytes down, bytes up.
inline constexpr Function<Nothing, std::string, std::string, Word, std::uint64_t, std::uint64_t> kAddUser{
    "addUser(string,string,bytes32,uint256,uint256)", 0x0923742b};
/// Name, bytes down, bytes up: the whole sums and not what is new.
inline constexpr Function<Nothing, std::string, std::uint64_t, std::uint64_t> kUpdateUser{
    "updateUser(string,uint256,uint256)", 0x293bf5b4};
inline constexpr Function<Nothing, std::string> kMigrateUserData{"migrateUserData(string)", 0x03260ecb};
inline constexpr Function<Address> kReferrerReputation{"referrerReputation()", 0x0fcf75e7};
/// New contract, its owner, the referrer that was accepted, evidence.
inline constexpr chain::registry::Event<Address, Address, Address, base::Bytes> kReputationCreated{
    "ReputationCreated(address,address,address,bytes)"};

// -- ours

/// Owner, SHA-256 of its evidence (zeros: none), whether frozen.
inline constexpr Function<std::tuple<Address, Word, bool>> kStanding{"standing()", 0xe3a47b00};
/// Of a factory: who attests owners, seconds of a recovery, the code that all its reputations run.
inline constexpr Function<Address> kGovernance{"governance()", 0x5aa6e675};
inline constexpr Function<std::uint64_t> kRecoveryDelay{"recoveryDelay()", 0x3758ca7a};
inline constexpr Function<Address> kImplementation{"implementation()", 0x5c60da1b};
/// Of a reputation: whom the owner offered it, who recovers it and from when (seconds).
inline constexpr Function<Address> kPendingOwner{"pendingOwner()", 0xe30c3978};
inline constexpr Function<Address> kRecoveryOwner{"recoveryOwner()", 0x8583c7c0};
/// Of a reputation: the factory whose list says which reputations are genuine.
inline constexpr Function<Address> kFactory{"factory()", 0xc45a0155};
/// Name, further referrers that may be asked: the member, the reputation that has him, the asked one's owner and
/// SHA-256 of its evidence.
inline constexpr Function<std::tuple<ReputationUser, Address, Address, Word>, std::string, std::uint64_t> kLookUp{
    "lookUp(string,uint256)", 0xd79ed01d};
/// How many referrers follow one another at most.
inline constexpr std::uint64_t kMaxHops = 8;
inline constexpr Function<Nothing> kAcceptOwnership{"acceptOwnership()", 0x79ba5097};
inline constexpr Function<Nothing> kFinishRecovery{"finishRecovery()", 0xc7423803};
/// Of a factory: whether it has made that reputation. A reputation's own code and word prove nothing: others can make a
/// proxy of the same code over storage that they have filled.
inline constexpr Function<bool, Address> kMade{"made(address)", 0x64909623};
/// SHA-256 of the evidence with which governance found that owner good (zeros: none).
inline constexpr Function<Word, Address> kAttestedAs{"attestedAs(address)", 0x3ef8959f};
/// Referrer, its owner, SHA-256 of that one's evidence.
inline constexpr Function<Nothing, Address, Address, Word> kSetReferrer{"setReferrer(address,address,bytes32)",
                                                                        0xb4105a2a};
/// Evidence of the present owner.
inline constexpr Function<Nothing, base::Bytes> kAttest{"attest(bytes)", 0x430768ab};

}  // namespace attestry::tracker::reputation

namespace attestry::tracker {

/// What the factory made.
struct CreatedReputation {
  chain::Address contract{};
  chain::Address owner{};
  chain::Address referrer{};  ///< that was accepted; zeros: none
  chain::Receipt receipt{};
};

/// Who answers for a reputation, at one block.
struct ReputationStanding {
  chain::BlockRef block{};
  chain::Address owner{};
  chain::Address referrer{};     ///< zeros: none
  base::Digest32 attestation{};  ///< SHA-256 of the owner's evidence; zeros: none
  bool frozen = false;
};

/// A member as a reputation, and those before it, have him at one block.
struct ReputationLookup {
  chain::Address owner{};     ///< of the reputation
  chain::Address referrer{};  ///< zeros: none
  std::optional<ReputationUser> own{};
  /// Where it has none itself: what a migration would bring now. Whom no trusted referrer has is not there.
  std::optional<ReputationUser> former{};
};

/// Sends a transaction and waits for its receipt, as chain::Sender::send does, with its errors.
using SendTransaction =
    std::function<base::Result<chain::Receipt>(const chain::Address& to, base::ByteView data, base::Deadline deadline)>;
/// The sender must outlive what is returned.
SendTransaction send_with(chain::Sender& sender);

/// Thread-safe where `send` is; readers outlive it. `strangers`: the same chain, asked what a referrer's contract
/// answers (QuorumReader::for_strangers()): that may be anybody's, and answer everybody something else. What is sent
/// blocks until the receipt is there: not for workers that answer announces. Errors of everything that sends: those of
/// chain::Sender (`denied`: the contract refuses, with its reason). Errors of what reads: the reader's, `configuration`
/// when there is no such contract, `malformed` when it answers what no such contract answers.
class ReputationChain {
 public:
  ReputationChain(chain::ChainReader& reader, chain::ChainReader& strangers, chain::LogReader& logs,
                  SendTransaction send)
      : reader_(reader), strangers_(strangers), logs_(logs), send_(std::move(send)) {}

  /// `evidence`: bytes of the quote; empty: none, and then no successor trusts this reputation. Which contract was made
  /// is read from the logs of the receipt's block by a quorum.
  base::Result<CreatedReputation> create(const chain::Address& factory, const chain::Address& referrer,
                                         base::ByteView evidence, base::Deadline deadline) const;
  base::Result<chain::Receipt> add(const chain::Address& reputation, const ReputationUser& user,
                                   base::Deadline deadline) const;
  base::Result<chain::Receipt> update(const chain::Address& reputation, const std::string& username,
                                      std::uint64_t download_size, std::uint64_t upload_size,
                                      base::Deadline deadline) const;
  base::Result<chain::Receipt> migrate(const chain::Address& reputation, const std::string& username,
                                       base::Deadline deadline) const;
  /// What was offered to this account, or recovered for it, becomes its own; then it shows its evidence, unless that is
  /// empty. The receipt of the last transaction. Error `denied`: neither is so, and nothing was sent.
  base::Result<chain::Receipt> take_over(const chain::Address& reputation, const chain::Address& account,
                                         base::ByteView evidence, base::Deadline deadline) const;
  /// At this block, without one at the newest of the reader's finality; nothing when this contract has no such member.
  base::Result<std::optional<ReputationUser>> read(const chain::Address& reputation, const std::string& username,
                                                   base::Deadline deadline,
                                                   const std::optional<chain::BlockRef>& at = std::nullopt) const;
  /// At the newest block of the reader's finality. Nothing is sent: the contract itself is asked what it would do.
  base::Result<ReputationLookup> look_up(const chain::Address& reputation, const std::string& username,
                                         base::Deadline deadline) const;
  base::Result<ReputationStanding> standing(const chain::Address& reputation, base::Deadline deadline,
                                            const std::optional<chain::BlockRef>& at = std::nullopt) const;
  /// `denied` unless a successor would take members over from it now: made by this factory, its owner attested by the
  /// factory's governance for the evidence that it shows, not frozen.
  base::Status check_referrer(const chain::Address& factory, const chain::Address& referrer,
                              base::Deadline deadline) const;

 private:
  chain::ChainReader& reader_;
  chain::ChainReader& strangers_;
  chain::LogReader& logs_;
  const SendTransaction send_;
};

}  // namespace attestry::tracker
