#include "provision/registry_operator.h"

#include "base/reader.h"
#include "crypto/hash.h"
#include "crypto/key_pem.h"
#include "curves/eip712.h"
#include "curves/keccak.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::string_view kMagic = "ATO2";
constexpr std::size_t kSignatureSize = 65;
constexpr std::size_t kMaxUse = 64;
constexpr std::int64_t kClockSeconds = 120;  // how far ahead a signer's clock may be

Error malformed(std::string what) { return Error{.code = Code::malformed, .what = std::move(what)}; }
Error denied(std::string what) { return Error{.code = Code::denied, .what = std::move(what)}; }

struct Statement {
  OperatorStatement statement;
  base::ByteView signature;
};

/// "ATO2" ‖ chain id u64 ‖ contract ‖ LP(use) ‖ not before u64 ‖ not after u64 ‖ r ‖ s ‖ v.
Result<Statement> read_v2(base::ByteView value) {
  base::Reader reader(value.subspan(kMagic.size()));
  Statement out;
  TRY(out.statement.chain_id, reader.u64be("chain id"));
  TRY(out.statement.contract, reader.take_array<20>("contract"));
  TRY(const base::ByteView use, reader.lp("use", kMaxUse));
  TRY(const std::uint64_t not_before, reader.u64be("not before"));
  TRY(const std::uint64_t not_after, reader.u64be("not after"));
  TRY(out.signature, reader.take(kSignatureSize, "signature"));
  TRY_OK(reader.finish("operator signature"));
  constexpr std::uint64_t kLatest = 253402300799;  // the year 9999
  if (not_before > kLatest || not_after > kLatest) return malformed("a time after the year 9999");
  out.statement.use = base::as_text(use);
  out.statement.not_before = {static_cast<std::int64_t>(not_before)};
  out.statement.not_after = {static_cast<std::int64_t>(not_after)};
  return out;
}

base::Bytes v2_head(const OperatorStatement& statement) {
  base::LpWriter out;
  out.raw(base::as_bytes(kMagic)).u64(statement.chain_id).raw(statement.contract).lp(statement.use);
  out.u64(static_cast<std::uint64_t>(statement.not_before.seconds));
  out.u64(static_cast<std::uint64_t>(statement.not_after.seconds));
  return std::move(out).take();
}

base::Status check(const OperatorStatement& said, const OperatorRules& rules) {
  if (said.chain_id != rules.chain_id || said.contract != rules.contract) {
    return denied("the operator's signature is for another contract or chain");
  }
  if (said.use != rules.use) return denied("the operator's signature is for another use");
  if (said.not_after <= said.not_before || said.not_after.seconds - said.not_before.seconds > rules.max_seconds) {
    return denied("the operator's signature is valid for too long");
  }
  if (rules.now + kClockSeconds < said.not_before || rules.now >= said.not_after) {
    return denied("the operator's signature is not valid now");
  }
  return base::done();
}

Result<Operator> recovered(base::ByteView digest, base::ByteView signature, int version) {
  TRY(const auto key, curves::secp256k1_recover(digest, signature));
  return Operator{curves::ethereum_address(key), version};
}

Result<Operator> recover(base::ByteView value, base::ByteView spki, const OperatorRules& rules) {
  const bool v2 = value.size() >= kMagic.size() && value.size() != kSignatureSize &&
                  base::equal(value.first(kMagic.size()), base::as_bytes(kMagic));
  if (v2) {
    TRY(const Statement said, read_v2(value));
    TRY(const Operator who, recovered(operator_statement_digest(said.statement, spki), said.signature, 2));
    TRY_OK(check(said.statement, rules));
    return who;
  }
  TRY(const Operator who, recovered(operator_digest(spki, rules.digest), value, 1));
  if (!rules.v1) return denied("the operator's signature says neither for what nor when it was made");
  return who;
}

}  // namespace

base::Digest32 operator_digest(base::ByteView spki, OperatorDigest kind) {
  const std::string pem = crypto::spki_pem(spki);
  return kind == OperatorDigest::sha256 ? crypto::sha256(base::as_bytes(pem)) : curves::keccak256(base::as_bytes(pem));
}

base::Digest32 operator_statement_digest(const OperatorStatement& statement, base::ByteView spki) {
  const base::Digest32 domain = curves::eip712_domain_separator(
      {.name = "attestry", .version = "1", .chain_id = statement.chain_id, .verifying_contract = statement.contract});
  curves::Eip712Struct said("InstanceKey(bytes32 keySha256,string use,uint64 notBefore,uint64 notAfter)");
  said.bytes32(crypto::sha256(spki)).string(statement.use);
  said.uint64(static_cast<std::uint64_t>(statement.not_before.seconds));
  said.uint64(static_cast<std::uint64_t>(statement.not_after.seconds));
  return curves::eip712_digest(domain, said.hash());
}

Result<base::Bytes> sign_operator_v1(const curves::Secp256k1PrivateKey& key, base::ByteView spki, OperatorDigest kind) {
  TRY(const auto signature, key.sign_recoverable(operator_digest(spki, kind)));
  return base::to_bytes(signature);
}

Result<base::Bytes> sign_operator_v2(const curves::Secp256k1PrivateKey& key, base::ByteView spki,
                                     const OperatorStatement& statement) {
  if (statement.use.size() > kMaxUse || statement.not_before.seconds < 0 ||
      statement.not_after <= statement.not_before) {
    return malformed("operator statement: a use of at most 64 bytes and a time that ends after it begins");
  }
  TRY(const auto signature, key.sign_recoverable(operator_statement_digest(statement, spki)));
  base::Bytes out = v2_head(statement);
  base::append(out, signature);
  return out;
}

Result<Operator> recover_operator(const crypto::CsrFull& csr, const OperatorRules& rules) {
  const base::Bytes* last = nullptr;
  for (const auto& [oid, value] : csr.extensions) {
    if (oid == kOperatorSignatureOid) last = &value;
  }
  if (last == nullptr) return Operator{};
  TRY(const Operator who, recover(*last, csr.spki, rules), "operator signature");
  return who;
}

}  // namespace attestry::provision
