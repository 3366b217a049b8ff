#include "provision/registry_grants.h"

#include <algorithm>

#include "base/encoding.h"
#include "governance/contract_authority.h"
#include "state/keys.h"
#include "state/scan.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kActive = 1;  // contract, identity, operator -> what was released
constexpr std::uint8_t kEnded = 2;   // appraisal -> how it ended
constexpr std::size_t kMaxReason = 512;

state::Key rows(const base::Tenant& tenant, std::uint8_t kind) {
  return state::Key(state::Space::contract_grants, tenant).u8(kind);
}
state::Key active_key(const base::Tenant& tenant, const ContractGrant& grant) {
  return rows(tenant, kActive).raw(grant.contract).raw(grant.identity).raw(grant.operator_address);
}
state::Key ended_key(const base::Tenant& tenant, const base::Digest32& appraisal) {
  return rows(tenant, kEnded).raw(appraisal);
}

Result<ContractGrant> read_grant(base::ByteView names, base::ByteView value) {
  ContractGrant out;
  base::Reader key{names};
  TRY(out.contract, key.take_array<20>("contract"));
  TRY(out.identity, key.take_array<32>("identity"));
  TRY(out.operator_address, key.take_array<20>("operator"));
  TRY_OK(key.finish("key of a grant"));
  TRY(auto reader, state::open_value(value, kVersion, "a contract's grant"));
  TRY(out.block, reader.u64be("block"));
  while (reader.remaining() > 0) {
    TRY(const auto appraisal, reader.take_array<32>("appraisal"));
    out.appraisals.push_back(appraisal);
  }
  return out;
}

Result<std::optional<ContractGrant>> stored(const state::ReadView& view, const base::Tenant& tenant,
                                            const ContractGrant& grant) {
  const auto key = active_key(tenant, grant);
  TRY(const auto value, view.get(key));
  if (!value) return std::optional<ContractGrant>{};
  const std::size_t prefix = rows(tenant, kActive).bytes().size();
  TRY(auto found, read_grant(base::ByteView{key}.subspan(prefix), *value));
  return std::optional{std::move(found)};
}

audit::Leaf leaf_of(const ContractGrant& grant, const RevocationInputs& inputs) {
  const ContractRevocation& revocation = inputs.revocation;
  audit::Leaf leaf;
  leaf.type = "revocation.registry";
  leaf.realm = inputs.realm;
  leaf.audience = inputs.log.origin();
  leaf.tenant = inputs.tenant;
  leaf.app = governance::contract_app(inputs.chain_id, grant.contract).text();
  leaf.time = revocation.time;
  if (!grant.appraisals.empty()) leaf.appraisal = base::hex(grant.appraisals.back());
  const auto commit = [&](std::string_view label, base::ByteView value) {
    return audit::commitment(revocation.leaf_key, label, value);
  };
  leaf.governance = commit("governance", base::as_bytes(inputs.snapshot));
  leaf.outputs["identity"] = commit("identity", grant.identity);
  leaf.outputs["operator"] = commit("operator", grant.operator_address);
  leaf.outputs["reason"] = commit("reason", base::as_bytes(revocation.reason));
  return leaf;
}

}  // namespace

Status remember_grant(state::WriteTxn& txn, const base::Tenant& tenant, const ContractGrant& grant,
                      const std::optional<base::Digest32>& appraisal) {
  TRY(const auto before, stored(txn, tenant, grant));
  std::vector<base::Digest32> appraisals = before ? before->appraisals : std::vector<base::Digest32>{};
  if (appraisal) appraisals.push_back(*appraisal);
  if (appraisals.size() > ContractGrant::kMostAppraisals) appraisals.erase(appraisals.begin());
  auto record = state::value(kVersion);
  record.u64(std::max(grant.block, before ? before->block : 0));
  for (const auto& one : appraisals) record.raw(one);
  return txn.put(active_key(tenant, grant), record.bytes());
}

Result<GrantPage> grants_after(const state::ReadView& view, const base::Tenant& tenant, base::ByteView after,
                               std::size_t limit) {
  const auto prefix = rows(tenant, kActive);
  const base::Bytes last = base::to_bytes(after);
  GrantPage out;
  std::optional<Error> failure;
  TRY_OK(view.scan(prefix, after, limit + 1, [&](base::ByteView key, base::ByteView value) {
    if (base::equal(key, last)) return true;
    if (out.grants.size() == limit) return false;
    auto grant = read_grant(key.subspan(prefix.bytes().size()), value);
    if (!grant) {
      failure = std::move(grant).error();
      return false;
    }
    out.grants.push_back(*std::move(grant));
    out.last = base::to_bytes(key);
    return true;
  }));
  if (failure) return *std::move(failure);
  return out;
}

Result<std::optional<std::uint64_t>> revoke_grant(state::WriteTxn& txn, const ContractGrant& grant,
                                                  const RevocationInputs& inputs) {
  using Index = std::optional<std::uint64_t>;
  const ContractRevocation& revocation = inputs.revocation;
  TRY(const auto now, stored(txn, inputs.tenant, grant));
  if (!now || now->block > revocation.block) return Index{};
  TRY(const std::uint64_t index, inputs.log.append(txn, leaf_of(*now, inputs)));
  TRY_OK(txn.erase(active_key(inputs.tenant, grant)));
  auto record = state::value(kVersion);
  record.u64(index).u64(revocation.block).u64(static_cast<std::uint64_t>(revocation.time.seconds));
  record.lp(revocation.leaf_key.reveal()).lp(std::string_view{revocation.reason}.substr(0, kMaxReason));
  for (const auto& appraisal : now->appraisals) {
    TRY_OK(txn.put(ended_key(inputs.tenant, appraisal), record.bytes()));
  }
  return Index{index};
}

Result<std::optional<ContractRevocation>> revocation_of(const state::ReadView& view, const base::Tenant& tenant,
                                                        const base::Digest32& appraisal) {
  TRY(const auto value, view.get(ended_key(tenant, appraisal)));
  if (!value) return std::optional<ContractRevocation>{};
  TRY(auto reader, state::open_value(*value, kVersion, "a grant's end"));
  ContractRevocation out;
  TRY(out.leaf_index, reader.u64be("leaf"));
  TRY(out.block, reader.u64be("block"));
  TRY(const std::uint64_t time, reader.u64be("time"));
  out.time.seconds = static_cast<std::int64_t>(time);
  TRY(const auto key, reader.lp("leaf key", 64));
  out.leaf_key = crypto::Secret::copy_of(key);
  TRY(const auto reason, reader.lp("reason", kMaxReason));
  out.reason = std::string{base::as_text(reason)};
  TRY_OK(reader.finish("a grant's end"));
  return std::optional{std::move(out)};
}

}  // namespace attestry::provision
