// Functions and events of the contract KeyManager, typed (contracts/KeyManager.sol, MasterKey.sol, Platforms.sol;
// docs/reference/contracts.md). What every contract of ours has (owner, roles, pause) is in registry_abi.h. Answers are
// accepted in the canonical spelling of the ABI only. Pure, thread-safe.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <variant>

#include "chain/logs.h"
#include "chain/registry_abi.h"

namespace attestry::chain::keymanager {

using registry::Function;
using registry::Nothing;

/// bytes16: FMSPC and ten zero bytes.
using FmspcWord = base::FixedBytes<16>;
/// In which the contract counts master keys; 0: before the bootstrap. uint32.
using Epoch = std::uint32_t;

/// How far a newcomer has come.
enum class Membership : std::uint8_t { not_yet, requested, onboarded, rejected };
/// "not yet", "requested", "onboarded", "rejected".
std::string_view name_of(Membership membership);

/// What a platform of a family must be patched to.
struct TcbRule {
  std::uint32_t min_evaluation = 0;  ///< least tcbEvaluationDataNumber
  std::uint16_t statuses = 0;        ///< kTcbStatusNames by bit; 0: no platform of the family
  friend bool operator==(const TcbRule&, const TcbRule&) = default;
};
/// By bit, in Intel's spelling.
inline constexpr std::array<std::string_view, 6> kTcbStatusNames{
    "UpToDate",  "SWHardeningNeeded",           "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded",
    "OutOfDate", "OutOfDateConfigurationNeeded"};
/// Whether the rule takes a platform of that status (Intel's spelling) judged by that TCB info. Revoked: never.
bool takes(const TcbRule& rule, std::string_view tcb_status, std::uint32_t evaluation);

}  // namespace attestry::chain::keymanager

namespace attestry::chain::registry {

/// bytes16, on the left of its word.
template <>
struct Abi<keymanager::FmspcWord> {
  static void put(AbiWriter& w, const keymanager::FmspcWord& v) { w.fixed_bytes(v); }
  static base::Result<keymanager::FmspcWord> get(AbiReader& r);
};
template <>
struct Abi<std::uint32_t> {
  static void put(AbiWriter& w, const std::uint32_t& v) { w.u64(v); }
  static base::Result<std::uint32_t> get(AbiReader& r);
};
template <>
struct Abi<std::uint16_t> {
  static void put(AbiWriter& w, const std::uint16_t& v) { w.u64(v); }
  static base::Result<std::uint16_t> get(AbiReader& r);
};
template <>
struct Abi<keymanager::Membership> {
  static void put(AbiWriter& w, const keymanager::Membership& v) { w.u64(static_cast<std::uint64_t>(v)); }
  static base::Result<keymanager::Membership> get(AbiReader& r);
};

}  // namespace attestry::chain::registry

namespace attestry::chain::keymanager {

// -- the master key

inline constexpr Function<Address> kXPub{"xPub()", 0xd5956cea};
inline constexpr Function<Epoch> kEpoch{"epoch()", 0x900cf0cf};
inline constexpr Function<Address, Epoch> kXPubOfEpoch{"xPubOfEpoch(uint32)", 0x39c5a2e4};
inline constexpr Function<Nothing, Address> kBootstrap{"bootstrap(address)", 0x0784dd59};
/// Key, SHA-256 of the evidence, evidence (empty: it is the transaction's first blob).
inline constexpr Function<Nothing, Address, Word, base::Bytes> kBootstrapWithEvidence{
    "bootstrapWithEvidence(address,bytes32,bytes)", 0xc3b86e24};
/// Key, its signature over the rotation (vrs), SHA-256 of the evidence, evidence.
inline constexpr Function<Nothing, Address, base::Bytes, Word, base::Bytes> kRotate{
    "rotate(address,bytes,bytes32,bytes)", 0xed690f0f};
inline constexpr Function<Nothing, Address, Word, base::Bytes> kPostEvidence{"postEvidence(address,bytes32,bytes)",
                                                                             0x91521a92};
inline constexpr Function<bool, std::string, Word, base::Bytes> kVerifyNamed{"verify(string,bytes32,bytes)",
                                                                             0xaebb4e2a};
inline constexpr Function<bool, std::string, Word, base::Bytes> kVerifyAttestation{
    "verifyAttestation(string,bytes32,bytes)", 0x2943fb83};
inline constexpr Function<bool, Word, base::Bytes> kVerify{"verify(bytes32,bytes)", 0x258ae582};
inline constexpr Function<bool, std::string, std::string, Word, std::uint64_t, base::Bytes> kVerifyBound{
    "verifyBound(string,string,bytes32,uint64,bytes)", 0x8b5f40c4};
inline constexpr Function<Word> kDomainSeparator{"domainSeparator()", 0xf698da25};

// -- members

/// The newcomer, its signature over who pays (vrs).
inline constexpr Function<Nothing, Address, base::Bytes> kRegister{"register(address,bytes)", 0x24b8fbf6};
/// First generation: X25519 key.
inline constexpr Function<Nothing, Word> kRegisterKey{"register(bytes32)", 0xe1fa8e84};
/// Newcomer, X25519 key, signature (vrs), SHA-256 of the evidence, evidence.
inline constexpr Function<Nothing, Address, Word, base::Bytes, Word, base::Bytes> kJoin{
    "join(address,bytes32,bytes,bytes32,bytes)", 0xcf3c99eb};
/// Newcomer, FMSPC, measurement, sealed box, signature of xPub (vrs).
inline constexpr Function<Nothing, Address, FmspcWord, Word, base::Bytes, base::Bytes> kOnboard{
    "onboard(address,bytes16,bytes32,bytes,bytes)", 0x50f6efbd};
inline constexpr Function<Nothing, Word, FmspcWord, Word, base::Bytes, base::Bytes> kOnboardKey{
    "onboard(bytes32,bytes16,bytes32,bytes,bytes)", 0xfcca5344};
inline constexpr Function<Nothing, Address> kDeregister{"deregister(address)", 0x84ac33ec};
inline constexpr Function<Nothing, Word> kDeregisterKey{"deregisterKey(bytes32)", 0x10882a2c};
inline constexpr Function<Nothing, Address, base::Bytes> kResign{"resign(address,bytes)", 0x3df21fbf};
inline constexpr Function<Membership, Address> kRequested{"requested(address)", 0xeecf0b4f};
inline constexpr Function<Membership, Word> kRequestedKey{"requestedKey(bytes32)", 0xd8d61ea5};
/// FMSPC and measurement with which it was onboarded; zeros when it never was.
inline constexpr Function<std::tuple<FmspcWord, Word>, Address> kRegistry{"registry(address)", 0x038defd7};
inline constexpr Function<std::tuple<FmspcWord, Word>, Word> kRegistryOfKey{"registryOfKey(bytes32)", 0xa539f7d2};
inline constexpr Function<bool, Address> kMemberAllowed{"memberAllowed(address)", 0x471dc28d};
inline constexpr Function<bool, Word> kKeyAllowed{"keyAllowed(bytes32)", 0xc0d39280};
inline constexpr Function<std::string> kContainer{"container()", 0x90e534a7};
inline constexpr Function<Nothing, std::string> kSetContainer{"set_container(string)", 0x192845e8};
inline constexpr Function<bool> kUnboundOnboarding{"unboundOnboarding()", 0xece38ed4};
inline constexpr Function<Nothing, bool> kSetUnboundOnboarding{"setUnboundOnboarding(bool)", 0xe7467476};

// -- what may run

/// SHA-256 of MRTD's 48 bytes.
inline constexpr Function<bool, Word> kAllowedMrtds{"allowed_mrtds(bytes32)", 0xdacb1405};
inline constexpr Function<bool, Word> kAllowedMrenclaves{"allowed_mrenclaves(bytes32)", 0x077f40f5};
/// keys::replicatoor::machine_key.
inline constexpr Function<bool, Word> kRtmrs{"rtmrs(bytes32)", 0x5a986bc8};
/// Evaluation number, bits of statuses: TcbRule{get<0>, get<1>}.
inline constexpr Function<std::tuple<std::uint32_t, std::uint16_t>, FmspcWord> kAllowedTcbs{"allowed_tcbs(bytes16)",
                                                                                            0x97d5b6cc};
inline constexpr Function<Nothing, Word, bool> kAllowMrtd{"allowMrtd(bytes32,bool)", 0x8a66fe92};
inline constexpr Function<Nothing, Word, bool> kAllowMrenclave{"allowMrenclave(bytes32,bool)", 0xbc032d58};
inline constexpr Function<Nothing, FmspcWord, std::uint32_t, std::uint16_t> kAllowTcb{"allowTcb(bytes16,uint32,uint16)",
                                                                                      0xba36c3c6};
/// Root file system, MRTD, RTMR0, RTMR3, whether allowed.
inline constexpr Function<Nothing, Word, base::Bytes, base::Bytes, base::Bytes, bool> kSetMrtd{
    "set_mrtd(bytes32,bytes,bytes,bytes,bool)", 0x991ad4d1};
inline constexpr Function<bool, Word, base::Bytes, base::Bytes, base::Bytes> kGetMrtd{
    "get_mrtd(bytes32,bytes,bytes,bytes)", 0x438c24e1};

// -- events

struct BootstrapComplete {
  static constexpr std::string_view kSignature = "BootstrapComplete(address)";
  Address key{};
  friend bool operator==(const BootstrapComplete&, const BootstrapComplete&) = default;
};
struct XPubRotated {
  static constexpr std::string_view kSignature = "XPubRotated(uint32,address,address,address)";
  Epoch epoch = 0;  ///< that begins
  Address former{}, key{}, by{};
  friend bool operator==(const XPubRotated&, const XPubRotated&) = default;
};
struct EvidencePosted {
  static constexpr std::string_view kSignature = "EvidencePosted(address,bytes32,bytes32,address)";
  Address subject{};
  Word evidence_hash{};  ///< SHA-256
  Word blob_hash{};      ///< versioned hash of the transaction's first blob; zeros: none, it is in the call data
  Address by{};
  friend bool operator==(const EvidencePosted&, const EvidencePosted&) = default;
};
struct Requested {
  static constexpr std::string_view kSignature = "Requested(address)";  // indexed
  Address member{};
  friend bool operator==(const Requested&, const Requested&) = default;
};
struct KeyRequested {
  static constexpr std::string_view kSignature = "KeyRequested(bytes32,address)";
  Word box_key{};
  Address by{};
  friend bool operator==(const KeyRequested&, const KeyRequested&) = default;
};
struct JoinRequested {
  static constexpr std::string_view kSignature = "JoinRequested(address,bytes32,bytes32,bytes32,address)";
  Address member{};
  Word box_key{};  ///< X25519
  Word evidence_hash{}, blob_hash{};
  Address by{};
  friend bool operator==(const JoinRequested&, const JoinRequested&) = default;
};
struct Onboarded {
  static constexpr std::string_view kSignature = "Onboarded(address,bytes16,bytes32,bytes)";  // the first is indexed
  Address member{};
  FmspcWord fmspc{};
  Word measurement{};
  base::Bytes response{};  ///< the sealed box
  friend bool operator==(const Onboarded&, const Onboarded&) = default;
};
/// First generation.
struct OnboardedKey {
  static constexpr std::string_view kSignature = "Onboard(bytes32,bytes)";
  Word box_key{};
  base::Bytes response{};
  friend bool operator==(const OnboardedKey&, const OnboardedKey&) = default;
};
struct Deregistered {
  static constexpr std::string_view kSignature = "Deregistered(address,address)";
  Address member{}, by{};
  friend bool operator==(const Deregistered&, const Deregistered&) = default;
};
struct KeyDeregistered {
  static constexpr std::string_view kSignature = "KeyDeregistered(bytes32,address)";
  Word box_key{};
  Address by{};
  friend bool operator==(const KeyDeregistered&, const KeyDeregistered&) = default;
};
struct MrtdAllowed {
  static constexpr std::string_view kSignature = "MrtdAllowed(bytes32,bool,address)";
  Word measurement{};
  bool allowed = false;
  Address by{};
  friend bool operator==(const MrtdAllowed&, const MrtdAllowed&) = default;
};
struct MrenclaveAllowed {
  static constexpr std::string_view kSignature = "MrenclaveAllowed(bytes32,bool,address)";
  Word measurement{};
  bool allowed = false;
  Address by{};
  friend bool operator==(const MrenclaveAllowed&, const MrenclaveAllowed&) = default;
};
struct MachineAllowed {
  static constexpr std::string_view kSignature = "SetMRTD(bytes32,bytes,bytes,bytes,bool)";
  Word rootfs{};
  base::Bytes mrtd{}, rtmr0{}, rtmr3{};  ///< 48 bytes each
  bool allowed = false;
  friend bool operator==(const MachineAllowed&, const MachineAllowed&) = default;
};
struct TcbAllowed {
  static constexpr std::string_view kSignature = "TcbAllowed(bytes16,uint32,uint16,address)";
  FmspcWord fmspc{};
  TcbRule rule{};
  Address by{};
  friend bool operator==(const TcbAllowed&, const TcbAllowed&) = default;
};
struct ContainerChanged {
  static constexpr std::string_view kSignature = "ContainerChanged(string)";
  std::string container{};
  friend bool operator==(const ContainerChanged&, const ContainerChanged&) = default;
};
struct UnboundOnboardingSet {
  static constexpr std::string_view kSignature = "UnboundOnboardingSet(bool,address)";
  bool accepted = false;
  Address by{};
  friend bool operator==(const UnboundOnboardingSet&, const UnboundOnboardingSet&) = default;
};

using Event = std::variant<BootstrapComplete, XPubRotated, EvidencePosted, Requested, KeyRequested, JoinRequested,
                           Onboarded, OnboardedKey, Deregistered, KeyDeregistered, MrtdAllowed, MrenclaveAllowed,
                           MachineAllowed, TcbAllowed, ContainerChanged, UnboundOnboardingSet>;
/// The first topic of logs of that event.
template <class T>
base::Digest32 topic() {
  return event_topic(T::kSignature);
}
/// The event that a log is; nothing when it is one of those in registry_abi.h or unknown. `malformed` when it has the
/// topic of one of these and not its canonical bytes.
base::Result<std::optional<Event>> read(const LogRecord& log);
/// The log that the contract writes for it, with neither place nor address: for stand-ins and tests.
LogRecord write(const Event& event);

}  // namespace attestry::chain::keymanager
