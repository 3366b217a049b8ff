// onchain://[0x]address: artifacts of a registry contract, at most 20 KiB each, which the contract keeps for ever.
#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "blobs/internal/checked.h"
#include "chain/registry_abi.h"
#include "chain/rpc.h"
#include "crypto/hash.h"

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;
namespace registry = chain::registry;

class OnchainStore final : public BlobStore {
 public:
  OnchainStore(Uri uri, const StoreContext& context, const chain::Address& contract)
      : uri_(std::move(uri)),
        tenant_(context.tenant),
        app_(context.app),
        dialect_(context.dialect),
        max_bytes_(std::min(context.max_bytes, registry::kMaxArtifactBytes)),
        seals_(context.sealer != nullptr),
        contract_(contract),
        access_(context.chain) {}

  std::string name() const override { return "onchain-" + base::hex(contract_); }
  std::string uri() const override { return uri_.shown(); }

  base::Status check(base::Deadline deadline) override {
    const std::array calls{registry::kStorageBackends.at(contract_), registry::older::kStorageBackends.at(contract_)};
    TRY(const auto outcomes, ask(calls, deadline));
    const bool answered = std::any_of(outcomes.begin(), outcomes.end(), [](const chain::CallOutcome& outcome) {
      return registry::kStorageBackends.result(outcome).ok();
    });
    if (answered) return base::done();
    return Error{Code::unavailable, name() + ": no registry contract answers at this address"};
  }

  base::Result<base::Bytes> get(const Place& place, const base::Digest32& id, base::Deadline deadline) override {
    TRY_OK(check_place(place, tenant_, app_, name()));
    std::vector<chain::Call> calls{registry::kGetArtifact.at(contract_, id)};
    // Native: the contract must also hold the record that the blob belongs to this app and type.
    const auto marker = marker_of(place, id);
    if (dialect_ == Dialect::native) {
      calls.push_back(registry::kGetArtifact.at(contract_, crypto::sha256(marker)));
    }
    TRY(const auto outcomes, ask(calls, deadline));
    TRY(auto bytes, artifact(outcomes.front(), id));
    if (dialect_ == Dialect::native) {
      TRY(const auto stored, artifact(outcomes.back(), id));
      if (!base::equal(stored, marker)) return corrupted(name(), "the record of ownership", id, "altered");
    }
    if (!base::equal(crypto::sha256(bytes), id)) {
      return corrupted(name(), base::hex(id), id, "content hash mismatch");
    }
    return bytes;
  }

  base::Result<base::Digest32> put(const Place& place, base::ByteView bytes, base::Deadline deadline) override {
    TRY_OK(check_place(place, tenant_, app_, name()));
    if (seals_) {
      return Error{Code::usage,
                   name() + " cannot keep sealed bytes: everybody can read what is on a chain",
                   {},
                   uri(),
                   "Encrypt to the app's key first (attestry secret seal) and store without sealing."};
    }
    if (!access_.send) {
      return Error{Code::usage,
                   name() + " is read-only without an account that may send transactions",
                   {},
                   uri(),
                   "Give the account's key."};
    }
    if (bytes.size() > max_bytes_) {
      return Error{Code::too_large, name() + ": a contract keeps no larger artifact",
                   "at most " + std::to_string(max_bytes_) + " bytes", std::to_string(bytes.size()) + " bytes"};
    }
    if (bytes.empty()) return Error{Code::usage, name() + ": a contract keeps no empty artifact"};
    TRY_OK(check_blob(bytes, max_bytes_));
    const base::Digest32 id = crypto::sha256(bytes);
    const auto there = get(place, id, deadline);
    if (there) return id;  // a transaction costs money
    TRY_OK(add(bytes, id, deadline));
    if (dialect_ == Dialect::native) {
      const auto marker = marker_of(place, id);
      TRY_OK(add(marker, crypto::sha256(marker), deadline));
    }
    return id;
  }

 private:
  base::Result<std::vector<chain::CallOutcome>> ask(std::span<const chain::Call> calls, base::Deadline deadline) {
    TRY(const auto head, access_.reader->head(deadline), name());
    TRY(auto outcomes, access_.reader->call(head, calls, deadline), name());
    if (outcomes.size() != calls.size()) return Error{Code::unavailable, name() + ": the chain left out an answer"};
    return outcomes;
  }

  base::Result<base::Bytes> artifact(const chain::CallOutcome& outcome, const base::Digest32& id) const {
    if (outcome.reverted && (outcome.reason.empty() || outcome.reason.find("not exist") != std::string::npos)) {
      return absent(name(), id);
    }
    if (outcome.reverted) {
      return Error{Code::unavailable, name() + ": the contract refused the read", {}, excerpt(outcome.reason)};
    }
    auto bytes = registry::kGetArtifact.decode(outcome.data);
    if (!bytes) {
      return Error{Code::unavailable,
                   name() + ": no registry contract answers at this address",
                   {},
                   excerpt(bytes.error().what)};
    }
    if (bytes->empty()) return absent(name(), id);
    return bytes;
  }

  base::Status add(base::ByteView bytes, const base::Digest32& id, base::Deadline deadline) {
    const std::array calls{registry::kGetArtifact.at(contract_, id)};
    TRY(const auto outcomes, ask(calls, deadline));
    if (artifact(outcomes.front(), id)) return base::done();
    return access_.send(contract_, registry::kAddArtifact(base::to_bytes(bytes)), deadline);
  }

  const Uri uri_;
  const base::Tenant tenant_;
  const base::AppRef app_;
  const Dialect dialect_;
  const std::size_t max_bytes_;
  const bool seals_;
  const chain::Address contract_;
  const ChainAccess access_;
};

}  // namespace

Opened open_onchain(Uri uri, const StoreContext& context) {
  std::string_view text = uri.host;
  if (text.starts_with("0x")) text.remove_prefix(2);
  chain::Address contract{};
  if (text.size() != 2 * contract.size() || !base::hex_decode_into(text, contract) || !uri.port.empty() ||
      (!uri.path.empty() && uri.path != "/")) {
    return Error{Code::malformed, "invalid storage location URI: not a contract's address",
                 "onchain:// and 40 hex digits", uri.shown()};
  }
  if (!context.chain.reader) {
    return Error{Code::configuration,
                 "registry factory not configured: no chain endpoint is given",
                 {},
                 uri.shown(),
                 "Name the chain's JSON-RPC endpoints."};
  }
  const bool own = context.app.kind() == base::AppRef::Kind::evm &&
                   base::equal(base::ByteView{context.app.bytes()}.last(contract.size()), contract);
  if (context.dialect == Dialect::native && context.app.kind() == base::AppRef::Kind::evm && !own) {
    return Error{Code::denied, "another application's contract", context.app.text(), uri.shown()};
  }
  return std::unique_ptr<BlobStore>{std::make_unique<OnchainStore>(std::move(uri), context, contract)};
}

}  // namespace attestry::blobs
