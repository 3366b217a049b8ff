// What key managers of the dstack family derive, hash and sign: the two known generations and the replicatoor, byte for
// byte (docs/formats/keymanager.md). Pure, thread-safe. Nothing here is domain-separated as it should be; ours is in
// keymanager_kdf.h and keymanager_digests.h.
#pragma once
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "curves/address.h"
#include "curves/nacl_box.h"

namespace attestry::keys {

/// 64 bytes of report data hold a hash of 32: alone before 32 zero bytes (second generation, replicatoor), or twice
/// (first).
enum class ReportDataForm : std::uint8_t { padded, doubled };
base::FixedBytes<64> report_data(const base::Digest32& head, ReportDataForm form);
/// Which form `found` is of that hash; nothing when of neither, whatever its beginning. The hash of zeros, which nobody
/// has, is `padded`.
std::optional<ReportDataForm> report_data_form(base::ByteView found, const base::Digest32& head);

/// The first generation: workloads are known by host name. `master` is 32 bytes, else error `internal`.
namespace keymanager_v1 {

/// SHA-256(master ‖ name ‖ master); the service writes it as hex.
base::Result<crypto::Secret> sealing_key(const crypto::Secret& master, std::string_view name);

/// What the contract checks: keccak256(name ‖ app_data). Names are host names: 1 to 253 letters, digits, dots, hyphens
/// and underscores, else `malformed`. Error `denied` for "attest" and "dstack-keymanager": with the first a signature
/// would also count as one of the second generation, with the second it would onboard a newcomer. Contract:
/// verify(string,…).
base::Result<base::Digest32> attest_digest(std::string_view name, const base::Digest32& app_data);

/// What the first service put under its signature instead: SHA-256(text ‖ name), where `app_data_hex` is hashed as the
/// letters that came. Error `malformed` unless they are 64 hex digits.
base::Result<base::Digest32> emitted_app_data(std::string_view app_data_hex, std::string_view name);
/// EIP-191 over the 64 bytes of that hash twice. No contract verifies this.
base::Digest32 emitted_digest(const base::Digest32& emitted_app_data);

/// The guest service beside it hashes in the other order: SHA-256(name ‖ text). Errors as emitted_app_data.
base::Result<base::Digest32> guest_app_data(std::string_view name, std::string_view app_data_hex);

/// SHA-256 of the EIP-55 text of the new master key's address.
base::Digest32 bootstrap_head(const curves::Address& master_address);

/// keccak256("dstack-keymanager" ‖ keccak256("onboard" ‖ box_key ‖ response)): what onboard(bytes32,…) of the first
/// contract took. It names neither platform nor measurement.
base::Digest32 onboard_digest(const curves::BoxPublicKey& box_key, base::ByteView response);

}  // namespace keymanager_v1

/// The second generation (dstack-vm): workloads have free tags, every byte string is one.
namespace keymanager_v2 {

/// BLAKE2b-256 under the master key, of the tag. Error `internal` unless `master` has 32 bytes.
base::Result<crypto::Secret> sealing_key(const crypto::Secret& master, std::string_view tag);

/// keccak256(tag ‖ data). Where the tag ends is not said: "ab" and "c" give what "a" and "bc" give.
base::Digest32 app_data(std::string_view tag, base::ByteView data);
/// keccak256("attest" ‖ app_data). Contract: verify(bytes32,bytes).
base::Digest32 attest_digest(const base::Digest32& app_data);

/// keccak256("register" ‖ payer): what the newcomer signs. Contract: register(address,bytes).
base::Digest32 register_digest(const curves::Address& payer);
/// SHA-256("register:" ‖ box_key ‖ ":" ‖ EIP-55 text): the newcomer's report data begins with it.
base::Digest32 register_head(const curves::BoxPublicKey& box_key, const curves::Address& newcomer);
/// SHA-256("boostrap:" ‖ EIP-55 text). So spelled.
base::Digest32 bootstrap_head(const curves::Address& master_address);

/// SHA-256 of MRTD, as the contract writes measurements down.
base::Digest32 measurement(const base::FixedBytes<48>& mrtd);
/// FMSPC and ten zero bytes.
base::FixedBytes<16> fmspc_word(const base::FixedBytes<6>& fmspc);
/// keccak256("onboard" ‖ newcomer ‖ fmspc ‖ measurement ‖ response), computed here: whoever lets a node compute it
/// signs what the node likes. Contract: onboard(address,…).
base::Digest32 onboard_digest(const curves::Address& newcomer, const base::FixedBytes<16>& fmspc,
                              const base::Digest32& measurement, base::ByteView response);

}  // namespace keymanager_v2

namespace replicatoor {

/// SHA-256("request:" ‖ box_key).
base::Digest32 request_head(const curves::BoxPublicKey& box_key);
/// SHA-512 of the padded form: what the guest agent of that time put into quotes.
base::FixedBytes<64> quoted_report_data(const base::Digest32& head);
/// SHA-384(register ‖ item, zero-padded to 48 bytes). Error `malformed` for a longer item. The register begins as
/// zeros; items are the hash of the root file system, the app id, which is all 32 bytes of the compose file's SHA-256,
/// and the SHA-256 of the CA certificate.
base::Result<base::FixedBytes<48>> extend(const base::FixedBytes<48>& rtmr3, base::ByteView item);
/// keccak256 of the four in a row: the key of the contract's list. Contract: set_mrtd, get_mrtd.
base::Digest32 machine_key(const base::Digest32& rootfs, const base::FixedBytes<48>& mrtd,
                           const base::FixedBytes<48>& rtmr0, const base::FixedBytes<48>& rtmr3);

}  // namespace replicatoor

}  // namespace attestry::keys
