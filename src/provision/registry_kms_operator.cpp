#include "provision/registry_kms_operator.h"

#include <algorithm>

#include "crypto/hash.h"
#include "curves/eip712.h"
#include "curves/secp256k1.h"
#include "state/keys.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using curves::Address;

namespace {

constexpr std::uint8_t kRecordVersion = 1;

state::Key record_key() { return state::Key(state::Space::keys, base::Tenant::standard()).lp("registry kms operator"); }

Result<Address> parse_record(base::ByteView stored) {
  TRY(auto in, state::open_value(stored, kRecordVersion, "operator of the key server"));
  Address out{};
  TRY(const auto bytes, in.lp("address", out.size()));
  if (bytes.size() != out.size()) return Error{Code::corrupt, "operator of the key server"};
  std::ranges::copy(bytes, out.begin());
  return out;
}

Result<Address> recovered(base::ByteView digest, base::ByteView signature) {
  TRY(const auto key, curves::secp256k1_recover(digest, signature));
  return curves::ethereum_address(key);
}

Error not_his(std::string what) {
  return {Code::unauthenticated,
          std::move(what),
          "a request that the operator of this server has signed",
          {},
          "attestry kms signs its requests: give it the operator's key."};
}

Error elsewhere() {
  return {Code::denied,
          "the request was sent to another server's address",
          "one of registry.admin_hosts, or a loopback name with this listener's port",
          {},
          "Call the server by such a name, or list the name there."};
}

}  // namespace

base::Digest32 kms_operator_digest(const KmsServerName& server, std::string_view path, std::string_view body) {
  const auto domain = curves::eip712_domain_separator(
      {.name = "attestry", .version = "1", .chain_id = server.chain_id, .verifying_contract = server.contract});
  std::string host = server.host;
  for (char& c : host) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  curves::Eip712Struct request("OperatorRequest(bytes32 nonce,string host,string path,bytes32 bodySha256)");
  request.bytes32(server.nonce).string(host).string(path).bytes32(crypto::sha256(base::as_bytes(body)));
  return curves::eip712_digest(domain, request.hash());
}

Result<std::unique_ptr<RegistryKmsOperator>> RegistryKmsOperator::open(state::Store& store,
                                                                       governance::KmsContract& contract,
                                                                       KmsOperatorRules rules, crypto::Random& random) {
  std::unique_ptr<RegistryKmsOperator> out{new RegistryKmsOperator(store, contract, std::move(rules), random)};
  TRY(const auto view, store.read());
  TRY(const auto stored, view->get(record_key()));
  if (!stored) return out;
  TRY(const auto address, parse_record(*stored));
  const base::MutexLock lock(out->mutex_);
  out->address_ = address;
  return out;
}

Address RegistryKmsOperator::address() const {
  const base::MutexLock lock(mutex_);
  return address_;
}

Status RegistryKmsOperator::may_run(const Address& account, base::Deadline deadline) const {
  if (std::ranges::find(rules_.listed, account) != rules_.listed.end()) return base::done();
  TRY(const bool has_role, contract_.is_operator(account, deadline));
  if (has_role) return base::done();
  return Error{Code::denied, "operator not allowed", "an account with the contract's ROLE_OPERATOR",
               curves::address_checksum_text(account), "Let the contract's admin grant it: attestry registry grant."};
}

base::Digest32 RegistryKmsOperator::digest(const KmsRequest& request) const {
  return kms_operator_digest({.chain_id = contract_.chain_id(),
                              .contract = contract_.address(),
                              .nonce = nonce_,
                              .host = std::string{request.host}},
                             request.path, request.body);
}

/// Any 65 bytes are somebody's signature, so which form it has is known only by who it is.
Result<Address> RegistryKmsOperator::signer(base::ByteView signature, std::string_view host,
                                            base::Deadline deadline) const {
  TRY(const auto bound, recovered(digest({.host = host, .path = kKmsAuthPath, .body = {}}), signature));
  auto allowed = host.empty() ? Status{elsewhere()} : may_run(bound, deadline);
  if (allowed) return bound;
  if (allowed.error().code != Code::denied || !rules_.v1) return std::move(allowed).error();
  TRY(const auto bare, recovered(nonce_, signature));
  TRY_OK(may_run(bare, deadline));
  return bare;
}

Status RegistryKmsOperator::authorize(base::ByteView signature, std::string_view host, base::Deadline deadline) {
  TRY(const auto account, signer(signature, host, deadline));
  const auto before = address();
  if (before == account) return base::done();
  if (before != Address{}) {
    const auto still = may_run(before, deadline);
    if (still) {
      return Error{Code::conflict,
                   "this server has another operator",
                   {},
                   curves::address_checksum_text(before),
                   "Take the role from that account first."};
    }
    if (still.error().code != Code::denied) return still.error();
  }
  return set(before, account, deadline);
}

Status RegistryKmsOperator::set(const Address& before, const Address& account, base::Deadline deadline) {
  TRY_OK(store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(const auto stored, txn.get(record_key()));
        Address now{};
        if (stored) {
          TRY(now, parse_record(*stored));
        }
        if (now != before) return Error{Code::conflict, "somebody else was faster"};
        auto record = state::value(kRecordVersion);
        record.lp(base::ByteView{account});
        return txn.put(record_key(), record.bytes());
      },
      deadline));
  const base::MutexLock lock(mutex_);
  address_ = account;
  return base::done();
}

Status RegistryKmsOperator::check(const KmsRequest& request, const std::optional<base::Bytes>& signature,
                                  base::Deadline deadline) const {
  const auto mine = address();
  if (mine == Address{}) return not_his("this server has no operator yet");
  if (signature) {
    if (request.host.empty()) return elsewhere();
    const auto signer = recovered(digest(request), *signature);
    if (!signer || *signer != mine) return not_his("the request is signed by somebody else, or for another");
  } else if (!rules_.v1) {
    return not_his("the request is not signed");
  }
  // Whom the contract has taken the role from commands nothing any more.
  return may_run(mine, deadline);
}

}  // namespace attestry::provision
