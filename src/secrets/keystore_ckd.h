// What a keystore says to NEAR to have its masters from the MPC network, and what it reads of the answers
// (keystore_ckd.md 6.2, 7.2, 7.3, 8.5; docs/formats/keystore-registration.md). Pure, thread-safe.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "chain/near_reply.h"
#include "chain/near_types.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "keys/ckd.h"
#include "keys/mpc_shapes.h"

namespace attestry::secrets::keystore {

/// What is said of an answer of the network that is not what the network's key stands for, whatever is wrong with it.
inline constexpr std::string_view kWrongSignature = "MPC signature verification failed";

/// One question for a master: who asks (the account that the MPC contract sees), what for, and the blinding key of this
/// question alone. Movable.
class CkdQuestion {
 public:
  /// `path` is the derivation path: empty for a keystore's default master.
  CkdQuestion(const chain::near::AccountId& account, std::string path, std::uint64_t domain, crypto::Random& random);
  /// {"request":{"derivation_path","app_public_key","domain_id"}}, for request_key and request_master.
  std::string arguments() const;
  /// 32 bytes: HKDF-SHA-256 without salt and info of the opened signature. Errors: those of parse_mpc_answer();
  /// `crypto`, "MPC signature verification failed", for an answer with points off the curve or the subgroup, for the
  /// identity, and for the signature of another key.
  base::Result<crypto::Secret> open(std::string answer, const keys::ckd::MasterPublicKey& network) const;

 private:
  std::string path_;
  std::uint64_t domain_;
  base::Digest32 app_id_;
  keys::ckd::Blinding blinding_;
};

/// The five registers by which a DAO knows a TD, 96 hex digits each.
struct TdMeasurements {
  std::string mrtd, rtmr0, rtmr1, rtmr2, rtmr3;
  /// Of a TDX quote; nothing checks its signature here, since it is this machine's own. Error `malformed`.
  static base::Result<TdMeasurements> of_quote(base::ByteView quote);
  /// {"measurements":{"mrtd","rtmr0","rtmr1","rtmr2","rtmr3"}}
  std::string arguments() const;
  /// "TDX Measurements: MRTD=…, RTMR0=…, RTMR1=…, RTMR2=…, RTMR3=…": scripts look for this line.
  std::string line() const;
};

/// 32 bytes ‖ 32 zeros: what a quote says for a registration. The 32 bytes are the raw Ed25519 key, or SHA-256 of
/// the 1952 bytes of an ML-DSA-65 key (keystore_ckd.md 6.2).
base::FixedBytes<64> registration_report_data(const chain::near::PublicKey& key);
/// What stands in the quote's place where there is no TEE: "NO_ATTESTATION:pubkey=" and the hex of those 32 bytes.
base::Bytes no_attestation(const chain::near::PublicKey& key);
/// {"public_key","tdx_quote_hex"} of submit_keystore_registration.
std::string registration_arguments(const chain::near::PublicKey& key, base::ByteView evidence);

/// What submit_keystore_registration returns. Error `malformed`.
base::Result<std::uint64_t> parse_proposal_id(std::string value);
enum class ProposalStatus : std::uint8_t { pending, approved, rejected, executed };
/// The `status` of get_proposal's answer; nothing for null, which is no proposal (yet). Error `malformed`.
base::Result<std::optional<ProposalStatus>> parse_proposal(std::string answer);

/// Whether the access key of a keystore is the one that its DAO gives: for calls of the DAO alone, of request_key,
/// mark_vault_verified and ban_vault at least. Error `denied` names what is missing.
base::Status check_access_key(const chain::near::AccessKey& access, const chain::near::AccountId& dao);

}  // namespace attestry::secrets::keystore
