#include "tracker/reputation_contract.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/encoding.h"

namespace attestry::chain::registry {

using tracker::ReputationUser;

void Abi<ReputationUser>::put(AbiWriter& w, const ReputationUser& v) {
  AbiWriter members;
  members.string(v.username).string(v.salt).word(v.password_hash).u64(v.download_size).u64(v.upload_size);
  w.tuple(members);
}

base::Result<ReputationUser> Abi<ReputationUser>::get(AbiReader& r) {
  TRY(AbiReader members, r.tuple("user"));
  ReputationUser out;
  TRY(out.username, members.string("username"));
  TRY(out.salt, members.string("salt"));
  TRY(out.password_hash, members.word("passwordHash"));
  TRY(out.download_size, members.u64("downloadSize"));
  TRY(out.upload_size, members.u64("uploadSize"));
  return out;
}

}  // namespace attestry::chain::registry

namespace attestry::tracker {

using base::Code;
using base::Error;
using base::Result;
using chain::Address;
using chain::CallOutcome;
using chain::Receipt;
using chain::Word;

namespace {

constexpr std::size_t kWordDigits = 2 * sizeof(Word);

Error no_contract(const Address& address, const CallOutcome& outcome) {
  return Error{Code::configuration, "no reputation at 0x" + base::hex(address), "a Reputation contract",
               outcome.reverted ? "a contract of another kind" : "no code",
               "Look at the address, and whether the endpoints are of the right chain."};
}

/// An address without code answers nothing, and another contract reverts without a word.
bool is_missing(const CallOutcome& outcome) { return outcome.data.empty(); }

}  // namespace

Result<Word> password_hash_word(std::string_view text) {
  std::string_view digits = text;
  if (digits.starts_with("0x") || digits.starts_with("0X")) digits.remove_prefix(2);
  const auto refused = [&](std::string found) {
    return Error{Code::usage, "password_hash", "1 to 64 hexadecimal digits, not all of them 0", std::move(found)};
  };
  if (digits.empty() || digits.size() > kWordDigits) return refused(std::to_string(digits.size()) + " characters");
  const std::string padded = std::string(kWordDigits - digits.size(), '0') + std::string{digits};
  Word out{};
  if (!base::hex_decode_into(padded, out).ok()) return refused("other characters");
  if (out == Word{}) return refused("zero, which the contract takes for no member");
  return out;
}

SendTransaction send_with(chain::Sender& sender) {
  return [&sender](const Address& to, base::ByteView data, base::Deadline deadline) {
    return sender.send(to, data, Word{}, deadline);
  };
}

Result<CreatedReputation> ReputationChain::create(const Address& factory, const Address& referrer,
                                                  base::ByteView evidence, base::Deadline deadline) const {
  const auto data = reputation::kCreateReputation(referrer, base::to_bytes(evidence));
  TRY(const Receipt receipt, send_(factory, data, deadline));
  const chain::LogFilter filter{.address = factory,
                                .from = receipt.block.number,
                                .to = receipt.block.number,
                                .events = {reputation::kReputationCreated.topic()}};
  TRY(const auto logs, logs_.logs(filter, deadline));
  const auto own = std::ranges::find(logs, receipt.transaction, &chain::LogRecord::transaction);
  if (own == logs.end()) {
    return Error{Code::configuration, "0x" + base::hex(factory) + " made no reputation",
                 "a log ReputationCreated of transaction 0x" + base::hex(receipt.transaction), "none",
                 "Look whether that is the address of a ReputationFactory."};
  }
  TRY(const auto made, reputation::kReputationCreated.decode({own->address, own->topics, own->data}));
  return CreatedReputation{
      .contract = std::get<0>(made), .owner = std::get<1>(made), .referrer = std::get<2>(made), .receipt = receipt};
}

Result<Receipt> ReputationChain::add(const Address& reputation, const ReputationUser& user,
                                     base::Deadline deadline) const {
  return send_(reputation,
               reputation::kAddUser(user.username, user.salt, user.password_hash, user.download_size, user.upload_size),
               deadline);
}

Result<Receipt> ReputationChain::update(const Address& reputation, const std::string& username,
                                        std::uint64_t download_size, std::uint64_t upload_size,
                                        base::Deadline deadline) const {
  return send_(reputation, reputation::kUpdateUser(username, download_size, upload_size), deadline);
}

Result<Receipt> ReputationChain::migrate(const Address& reputation, const std::string& username,
                                         base::Deadline deadline) const {
  return send_(reputation, reputation::kMigrateUserData(username), deadline);
}

Result<std::optional<ReputationUser>> ReputationChain::read(const Address& reputation, const std::string& username,
                                                            base::Deadline deadline,
                                                            const std::optional<chain::BlockRef>& at) const {
  TRY(const auto block, at ? Result<chain::BlockRef>{*at} : reader_.head(deadline));
  const chain::Call call = reputation::kGetUserData.at(reputation, username);
  TRY(const auto outcomes, reader_.call(block, {&call, 1}, deadline));
  if (is_missing(outcomes.front())) return no_contract(reputation, outcomes.front());
  TRY(auto user, reputation::kGetUserData.result(outcomes.front()));
  if (user.password_hash == Word{}) return std::optional<ReputationUser>{};
  if (user.username != username) {
    return Error{Code::malformed, "0x" + base::hex(reputation) + " answers for another member", username,
                 user.username};
  }
  return std::optional{std::move(user)};
}

Result<ReputationLookup> ReputationChain::look_up(const Address& reputation, const std::string& username,
                                                  base::Deadline deadline) const {
  TRY(const auto standing, this->standing(reputation, deadline));
  ReputationLookup out{.owner = standing.owner, .referrer = standing.referrer};
  TRY(out.own, read(reputation, username, deadline, standing.block));
  if (out.own || out.referrer == Address{}) return out;
  const chain::Call factory = reputation::kFactory.at(reputation);
  TRY(const auto made_by, reader_.call(standing.block, {&factory, 1}, deadline));
  TRY(const auto maker, reputation::kFactory.result(made_by.front()));
  const chain::Call listed = reputation::kMade.at(maker, out.referrer);
  TRY(const auto made_it, reader_.call(standing.block, {&listed, 1}, deadline));
  TRY(const auto genuine, reputation::kMade.result(made_it.front()));
  // As migrateUserData asks: a genuine referrer and those before it, any other one for what it has itself.
  const std::array calls{reputation::kMigrateUserData.at(reputation, username),
                         genuine ? reputation::kLookUp.at(out.referrer, username, reputation::kMaxHops - 1)
                                 : reputation::kGetUserData.at(out.referrer, username)};
  TRY(const auto outcomes, strangers_.call(standing.block, calls, deadline));
  if (outcomes[0].reverted) return out;
  ReputationUser found;
  if (genuine) {
    TRY(auto asked, reputation::kLookUp.result(outcomes[1]));
    found = std::get<0>(std::move(asked));
  } else {
    TRY(found, reputation::kGetUserData.result(outcomes[1]));
  }
  if (found.password_hash != Word{} && found.username == username) out.former = std::move(found);
  return out;
}

Result<Receipt> ReputationChain::take_over(const Address& reputation, const Address& account, base::ByteView evidence,
                                           base::Deadline deadline) const {
  TRY(const auto block, reader_.head(deadline));
  const std::array calls{reputation::kPendingOwner.at(reputation), reputation::kRecoveryOwner.at(reputation)};
  TRY(const auto outcomes, reader_.call(block, calls, deadline));
  if (is_missing(outcomes.front())) return no_contract(reputation, outcomes.front());
  TRY(const auto offered, reputation::kPendingOwner.result(outcomes[0]));
  TRY(const auto recovered, reputation::kRecoveryOwner.result(outcomes[1]));
  if (offered != account && recovered != account) {
    return Error{Code::denied, "0x" + base::hex(reputation) + " belongs to another account",
                 "an ownership that is offered to 0x" + base::hex(account) + ", or recovered for it", "neither",
                 "Have its owner call transferOwnership, or its guardian startRecovery."};
  }
  const auto data = offered == account ? reputation::kAcceptOwnership() : reputation::kFinishRecovery();
  TRY(const Receipt taken, send_(reputation, data, deadline));
  if (evidence.empty()) return taken;
  return send_(reputation, reputation::kAttest(base::to_bytes(evidence)), deadline);
}

base::Status ReputationChain::check_referrer(const Address& factory, const Address& referrer,
                                             base::Deadline deadline) const {
  TRY(const auto standing, this->standing(referrer, deadline), "referrer");
  const std::array calls{reputation::kMade.at(factory, referrer), reputation::kAttestedAs.at(factory, standing.owner)};
  TRY(const auto outcomes, reader_.call(standing.block, calls, deadline));
  TRY(const auto made, reputation::kMade.result(outcomes[0]));
  TRY(const auto attested, reputation::kAttestedAs.result(outcomes[1]));
  const auto refused = [&](std::string why) {
    return Error{Code::denied, "the referrer 0x" + base::hex(referrer) + " is not trusted",
                 "a reputation of this factory that is not frozen and whose owner governance has attested",
                 std::move(why)};
  };
  if (!made) return refused("one that this factory has not made");
  if (standing.frozen) return refused("a frozen one");
  if (standing.attestation == Word{}) return refused("an owner that has shown no evidence");
  if (attested != standing.attestation) return refused("an owner that governance has not attested for its evidence");
  return base::done();
}

Result<ReputationStanding> ReputationChain::standing(const Address& reputation, base::Deadline deadline,
                                                     const std::optional<chain::BlockRef>& at) const {
  TRY(const auto block, at ? Result<chain::BlockRef>{*at} : reader_.head(deadline));
  const std::array calls{reputation::kStanding.at(reputation), reputation::kReferrerReputation.at(reputation)};
  TRY(const auto outcomes, reader_.call(block, calls, deadline));
  if (is_missing(outcomes.front())) return no_contract(reputation, outcomes.front());
  ReputationStanding out{.block = block};
  TRY(std::tie(out.owner, out.attestation, out.frozen), reputation::kStanding.result(outcomes[0]));
  TRY(out.referrer, reputation::kReferrerReputation.result(outcomes[1]));
  return out;
}

}  // namespace attestry::tracker
