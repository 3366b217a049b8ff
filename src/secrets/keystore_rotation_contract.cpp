#include "secrets/keystore_rotation_contract.h"

#include "base/json.h"
#include "base/json_writer.h"
#include "base/reader.h"
#include "secrets/keystore_accessor.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;

namespace {

/// What is wrong with an answer is an outage: nothing was learned.
Error no_answer(const Error& why) {
  return {Code::unavailable, "the contract's answer is not what its interface says", {}, why.text()};
}

struct Named {
  keystore::Accessor accessor;
  std::string profile;
};
Result<Named> name_of(const base::JsonValue& entry) {
  Named out;
  TRY(const auto accessor, entry.get("accessor"));
  TRY(out.accessor, keystore::parse_chain_accessor(accessor));
  TRY(const auto profile, entry.get("profile"));
  TRY(out.profile, profile.string("profile"));
  return out;
}

Result<std::shared_ptr<const base::JsonDocument>> list_of(const base::Bytes& bytes) {
  TRY(auto document, base::JsonDocument::parse(std::string{base::as_text(bytes)}));
  if (!document->root().is_array()) return Error{Code::malformed, "list_user_secrets", "a list"};
  return document;
}

base::Bytes state_of(const chain::near::Block& at) {
  base::LpWriter out;
  out.u64(at.height).u64(static_cast<std::uint64_t>(at.time.seconds)).raw(at.hash);
  return std::move(out).take();
}

Result<chain::near::Block> block_of(base::ByteView state) {
  base::Reader in{state};
  chain::near::Block out;
  TRY(out.height, in.u64be("height"));
  TRY(const auto time, in.u64be("time"));
  out.time = {static_cast<std::int64_t>(time)};
  TRY(out.hash, in.take_array<32>("hash"));
  TRY_OK(in.finish("block at which secrets were listed"));
  return out;
}

}  // namespace

Result<ListedSecret> ContractLister::read(const chain::near::Block& at, const chain::near::AccountId& owner,
                                          const base::JsonValue& entry) const {
  const auto named = name_of(entry);
  if (!named) return no_answer(named.error());
  ListedSecret out;
  out.accessor = keystore::chain_json(named->accessor).compact();
  out.profile = named->profile;
  out.owner = owner.text();
  TRY(const auto bytes, reader_.call(at, contract_, "get_secret_with_vault",
                                     base::to_bytes(keystore::secret_query(named->accessor, named->profile, owner)),
                                     clock_.steady() + patience_));
  TRY(auto stored, keystore::parse_stored_secret(std::string{base::as_text(bytes)}));
  if (!stored) return no_answer({Code::not_found, "a listed secret is not there"});
  out.blob = std::move(stored->blob);
  if (stored->vault) out.vault = stored->vault->text();
  // A secret whose names make no seed here is counted as one that does not open: no keystore of these rules made it.
  if (auto seed = keystore::seed_of(named->accessor, *stored, owner, named->profile, seeds_)) {
    out.seed = *std::move(seed);
  }
  return out;
}

Result<std::vector<ListedSecret>> ContractLister::list_at(const chain::near::Block& at,
                                                          const chain::near::AccountId& account, std::uint64_t from,
                                                          std::size_t most) const {
  const std::string arguments =
      JsonOut{JsonOutObject{
                  {"account_id", account.text()}, {"from_index", from}, {"limit", static_cast<std::uint64_t>(most)}}}
          .compact();
  TRY(const auto bytes,
      reader_.call(at, contract_, "list_user_secrets", base::to_bytes(arguments), clock_.steady() + patience_));
  const auto listed = list_of(bytes);
  if (!listed) return no_answer(listed.error());
  std::vector<ListedSecret> out;
  for (auto entry = (*listed)->root().first(); entry; entry = entry->next()) {
    TRY(auto secret, read(at, account, *entry));
    out.push_back(std::move(secret));
  }
  // The next page would begin in the middle of this one.
  if (out.size() > most) return no_answer({Code::too_large, "list_user_secrets", std::to_string(most)});
  return out;
}

Result<SecretLister::Page> ContractLister::list(std::string_view owner, std::uint64_t from, std::size_t most,
                                                base::ByteView state) {
  TRY(const auto account, chain::near::AccountId::parse(owner), "owner of secrets");
  TRY(const auto head, reader_.head(clock_.steady() + patience_));
  auto at = head;
  if (!state.empty()) {
    TRY(at, block_of(state));
  }
  auto listed = list_at(at, account, from, most);
  if (listed) return Page{.secrets = *std::move(listed), .state = state_of(at)};
  const bool outage = listed.error().code == Code::unavailable || listed.error().code == Code::deadline_exceeded;
  // Nodes forget blocks. Which of them is away and which has forgotten cannot be told apart: its age decides.
  if (outage && head.height > at.height + kBlocksKept) {
    return Error{Code::not_found, "block at which secrets were listed", {}, std::to_string(at.height)};
  }
  return std::move(listed).error();
}

}  // namespace attestry::secrets
