// Every function and event of the registry's contracts, typed (docs/formats/registry.md, contracts). Answers are
// accepted in the canonical spelling of the ABI only.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "chain/abi.h"
#include "chain/rpc.h"

namespace attestry::chain::registry {

// -- the contracts' structures

struct AppPki {
  base::Bytes ca{};           ///< PEM
  base::Bytes pubkey{};       ///< PEM
  base::Bytes attestation{};  ///< a quote over both
  friend bool operator==(const AppPki&, const AppPki&) = default;
};
struct DcapEvent {
  std::uint64_t index = 0;       ///< uint32
  std::uint64_t event_type = 0;  ///< uint32
  base::Bytes payload{};
  Word digest{};
  friend bool operator==(const DcapEvent&, const DcapEvent&) = default;
};
/// Each field 48 bytes, else the contract reverts.
struct DcapReport {
  base::Bytes mr_td{};
  std::array<base::Bytes, 4> rtmrs{};
  base::Bytes mr_owner{}, mr_config_id{}, mr_config_owner{};
  friend bool operator==(const DcapReport&, const DcapReport&) = default;
};
struct MaaReport {
  std::array<Word, 24> pcrs{};
  friend bool operator==(const MaaReport&, const MaaReport&) = default;
};
struct OnboardRequest {
  base::Bytes pubkey{};  ///< PEM
  Word nonce{};          ///< int256: to_word_signed
  Address operator_address{};
  base::Bytes attestation{};
  friend bool operator==(const OnboardRequest&, const OnboardRequest&) = default;
};

// -- how types are written and read

template <class T>
struct Abi;

template <>
struct Abi<Word> {
  static void put(AbiWriter& w, const Word& v) { w.word(v); }
  static base::Result<Word> get(AbiReader& r) { return r.word("word"); }
};
template <>
struct Abi<Address> {
  static void put(AbiWriter& w, const Address& v) { w.address(v); }
  static base::Result<Address> get(AbiReader& r) { return r.address("address"); }
};
/// bytes4 on the left of its word (ERC-165).
template <>
struct Abi<Selector> {
  static void put(AbiWriter& w, const Selector& v) { w.fixed_bytes(v); }
};
template <>
struct Abi<bool> {
  static void put(AbiWriter& w, const bool& v) { w.boolean(v); }
  static base::Result<bool> get(AbiReader& r) { return r.boolean("bool"); }
};
/// uint256 below 2^64: counts, indexes and sizes.
template <>
struct Abi<std::uint64_t> {
  static void put(AbiWriter& w, const std::uint64_t& v) { w.u64(v); }
  static base::Result<std::uint64_t> get(AbiReader& r) { return r.u64("number"); }
};
template <>
struct Abi<base::Bytes> {
  static void put(AbiWriter& w, const base::Bytes& v) { w.bytes(v); }
  static base::Result<base::Bytes> get(AbiReader& r) {
    TRY(const auto view, r.bytes("bytes"));
    return base::to_bytes(view);
  }
};
template <>
struct Abi<std::string> {
  static void put(AbiWriter& w, const std::string& v) { w.string(v); }
  static base::Result<std::string> get(AbiReader& r) { return r.string("string"); }
};
template <class T>
struct Abi<std::vector<T>> {
  static void put(AbiWriter& w, const std::vector<T>& values) {
    AbiWriter elements;
    for (const T& value : values) Abi<T>::put(elements, value);
    w.array(values.size(), elements);
  }
  static base::Result<std::vector<T>> get(AbiReader& r) {
    TRY(auto array, r.array("array"));
    std::vector<T> out;
    for (std::size_t i = 0; i < array.count; ++i) {
      TRY(auto value, Abi<T>::get(array.elements));
      out.push_back(std::move(value));
    }
    return out;
  }
};
/// Several return values, one after the other.
template <class... T>
struct Abi<std::tuple<T...>> {
  static void put(AbiWriter& w, const std::tuple<T...>& values) {
    std::apply([&w](const T&... value) { (Abi<T>::put(w, value), ...); }, values);
  }
  static base::Result<std::tuple<T...>> get(AbiReader& r) {
    std::tuple<T...> out;
    std::optional<base::Error> error;
    std::apply([&r, &error](T&... value) { ((error || keep(Abi<T>::get(r), value, error)), ...); }, out);
    if (error) return *std::move(error);
    return out;
  }

 private:
  template <class U>
  static bool keep(base::Result<U> got, U& out, std::optional<base::Error>& error) {
    if (!got.ok()) {
      error = std::move(got).error();
      return false;
    }
    out = *std::move(got);
    return true;
  }
};
template <>
struct Abi<AppPki> {
  static void put(AbiWriter& w, const AppPki& v);
  static base::Result<AppPki> get(AbiReader& r);
};
template <>
struct Abi<DcapEvent> {
  static void put(AbiWriter& w, const DcapEvent& v);
  static base::Result<DcapEvent> get(AbiReader& r);
};
template <>
struct Abi<DcapReport> {
  static void put(AbiWriter& w, const DcapReport& v);
  static base::Result<DcapReport> get(AbiReader& r);
};
template <>
struct Abi<MaaReport> {
  static void put(AbiWriter& w, const MaaReport& v);
  static base::Result<MaaReport> get(AbiReader& r);
};
template <>
struct Abi<OnboardRequest> {
  static void put(AbiWriter& w, const OnboardRequest& v);
  static base::Result<OnboardRequest> get(AbiReader& r);
};

/// "PKI() reverted: Operator not authorized" as an error of code `denied`.
base::Error revert_error(std::string_view signature, const CallOutcome& outcome);
/// `malformed`: `data` is not the canonical answer of that function; says so when it is empty, as it is where no
/// contract stands.
base::Error answer_error(std::string_view signature, base::ByteView data, const base::Error* why);

/// What a function without an answer returns.
using Nothing = std::tuple<>;

/// One function of a contract: kIdentityAllowed(identity, operator) is the data of a call, decode() reads the answer.
template <class R, class... A>
struct Function {
  std::string_view signature;
  std::uint32_t selector_value;  ///< 0x1619e345; a test compares it with the signature's hash

  constexpr Selector selector() const noexcept {
    return {static_cast<std::uint8_t>(selector_value >> 24), static_cast<std::uint8_t>(selector_value >> 16 & 0xff),
            static_cast<std::uint8_t>(selector_value >> 8 & 0xff), static_cast<std::uint8_t>(selector_value & 0xff)};
  }
  base::Bytes operator()(const A&... arguments) const {
    AbiWriter writer;
    (Abi<A>::put(writer, arguments), ...);
    return writer.encode_call(selector());
  }
  Call at(const Address& contract, const A&... arguments) const { return {contract, (*this)(arguments...)}; }

  /// The bytes that a contract returns for `value`: for stand-ins and tests.
  base::Bytes encode_result(const R& value) const {
    AbiWriter writer;
    Abi<R>::put(writer, value);
    return writer.encode();
  }
  base::Result<R> decode(base::ByteView data) const {
    AbiReader reader{data};
    auto value = Abi<R>::get(reader);
    if (!value.ok()) return answer_error(signature, data, &value.error());
    if (!base::equal(encode_result(*value), data)) return answer_error(signature, data, nullptr);
    return value;
  }
  /// A revert is an error of code `denied` here; callers that tell reverts apart look at the outcome themselves.
  base::Result<R> result(const CallOutcome& outcome) const {
    if (outcome.reverted) return revert_error(signature, outcome);
    return decode(outcome.data);
  }
  /// The arguments out of the data of a call: for stand-ins, tests and the explanation of a proposal.
  base::Result<std::tuple<A...>> arguments(base::ByteView data) const {
    if (data.size() < 4 || !base::equal(data.first(4), selector())) return answer_error(signature, data, nullptr);
    AbiReader reader{data.subspan(4)};
    auto value = Abi<std::tuple<A...>>::get(reader);
    if (!value.ok()) return answer_error(signature, data, &value.error());
    return value;
  }
};

// -- discovery and certificates (registry and KMS contract)

inline constexpr Function<AppPki> kPki{"PKI()", 0xa9ac54e9};
inline constexpr Function<Nothing, AppPki> kSetPki{"setPKI((bytes,bytes,bytes))", 0x6c3e695d};
inline constexpr Function<std::tuple<base::Bytes, base::Bytes, base::Bytes>> kAppPki{"app_pki()", 0xc2f38479};
inline constexpr Function<std::vector<std::string>> kInstanceDomainNames{"InstanceDomainNames()", 0x70c608d6};
inline constexpr Function<std::string, std::uint64_t> kInstanceDomainNameAt{"m_instanceDomainNames(uint256)",
                                                                            0x6511dbe2};
inline constexpr Function<Nothing, std::string> kRegisterInstanceDomainName{"registerInstanceDomainName(string)",
                                                                            0x73fe8cc4};

// -- identities

inline constexpr Function<Word, DcapReport, std::vector<DcapEvent>> kDcapIdentity{
    "DCAPIdentity((bytes,bytes[4],bytes,bytes,bytes),(uint32,uint32,bytes,bytes32)[])", 0x5a69887d};
inline constexpr Function<Word, MaaReport> kMaaIdentity{"MAAIdentity((bytes32[24]))", 0x863c43d4};
inline constexpr Function<bool, Word, Address> kIdentityAllowed{"IdentityAllowed(bytes32,address)", 0x1619e345};
inline constexpr Function<Word, Word, Address> kConfigForIdentity{"ConfigForIdentity(bytes32,address)", 0x4c01253d};
inline constexpr Function<Word, Word> kIdentityConfigMap{"identityConfigMap(bytes32)", 0xd4f72ac1};
inline constexpr Function<Nothing, Word, Word> kSetConfigForIdentity{"setConfigForIdentity(bytes32,bytes32)",
                                                                     0x1b0ce1c1};
inline constexpr Function<Nothing, DcapReport, std::vector<DcapEvent>, Word> kSetConfigForDcap{
    "setConfigForDCAP((bytes,bytes[4],bytes,bytes,bytes),(uint32,uint32,bytes,bytes32)[],bytes32)", 0x80be6875};
inline constexpr Function<Nothing, MaaReport, Word> kSetConfigForMaa{"setConfigForMAA((bytes32[24]),bytes32)",
                                                                     0xed1fce63};
inline constexpr Function<Nothing, Word> kRemoveConfigMapForIdentity{"removeConfigMapForIdentity(bytes32)", 0x8533d8b7};

/// Of attestry's own contracts: digest of the policy that the app wants its workloads appraised by; zero for none.

// -- storage and artifacts (registry)

inline constexpr Function<std::vector<std::string>> kStorageBackends{"StorageBackends()", 0xd0ab83ac};
inline constexpr Function<std::string, std::uint64_t> kStorageBackendAt{"m_storageBackends(uint256)", 0x3f3cc1c6};
inline constexpr Function<Nothing, std::string> kSetStorageBackend{"setStorageBackend(string)", 0x27ae3ad9};
inline constexpr Function<Nothing, std::string> kRemoveStorageBackend{"removeStorageBackend(string)", 0x9fe18d65};
inline constexpr Function<Word, base::Bytes> kAddArtifact{"addArtifact(bytes)", 0x73c3f136};
inline constexpr Function<base::Bytes, Word> kGetArtifact{"getArtifact(bytes32)", 0x37668af5};
inline constexpr Function<base::Bytes, Word> kArtifacts{"artifacts(bytes32)", 0xa63e3a37};
inline constexpr Function<std::uint64_t> kMaxBytesSize{"MAX_BYTES_SIZE()", 0xaaae748e};
inline constexpr std::size_t kMaxArtifactBytes = 20480;

inline constexpr Function<Nothing, Word> kRemoveArtifact{"removeArtifact(bytes32)", 0x22f6e1bf};
inline constexpr Function<Nothing, std::string> kRemoveInstanceDomainName{"removeInstanceDomainName(string)",
                                                                          0x2e7d34e4};
inline constexpr Function<std::uint64_t> kMaxListLength{"MAX_LIST_LENGTH()", 0xff583736};
inline constexpr Function<std::uint64_t> kMaxDomainSize{"MAX_DOMAIN_SIZE()", 0x668c4cbc};

// -- freezing and the policy (attestry's own contracts only)

inline constexpr Function<Word> kPolicy{"policy()", 0x0505c8c9};
inline constexpr Function<Nothing, Word> kSetPolicy{"setPolicy(bytes32)", 0xdc27151e};
inline constexpr Function<bool> kPaused{"paused()", 0x5c975abb};
inline constexpr Function<Nothing> kFreeze{"freeze()", 0x62a5af3b};
inline constexpr Function<Nothing> kUnfreeze{"unfreeze()", 0x6a28f000};

// -- the older names (a contract has one set of them; a client asks for both)

namespace older {
inline constexpr Function<AppPki> kPki{"getPKI()", 0x14b94434};
inline constexpr Function<Word, Word, Address> kConfigForIdentity{"getConfigForIdentity(bytes32,address)", 0xdef011b4};
inline constexpr Function<std::vector<std::string>> kInstanceDomainNames{"allInstanceDomainNames()", 0xd12847a6};
inline constexpr Function<std::vector<std::string>> kStorageBackends{"allStorageBackends()", 0xc7d77a9d};
inline constexpr Function<std::string, std::uint64_t> kInstanceDomainNameAt{"instanceDomainNames(uint256)", 0x9936b92b};
inline constexpr Function<std::string, std::uint64_t> kStorageBackendAt{"storageBackends(uint256)", 0xaa539d26};
inline constexpr Function<Nothing, DcapReport> kAllowlistDcap{"whitelistDCAP((bytes,bytes[4],bytes,bytes,bytes))",
                                                              0x11291806};
inline constexpr Function<Nothing, MaaReport> kAllowlistMaa{"whitelistMAA((bytes32[24]))", 0xee9f85fa};
inline constexpr Function<Nothing, Word> kAllowlistIdentity{"whitelistIdentity(bytes32)", 0x51c3e812};
inline constexpr Function<Nothing, Word> kRemoveAllowlistedIdentity{"removeWhitelistedIdentity(bytes32)", 0xa507ed5e};
}  // namespace older

// -- KMS contract

inline constexpr Function<Nothing, DcapReport> kAllowlistDcap{"allowlistDCAP((bytes,bytes[4],bytes,bytes,bytes))",
                                                              0xc0f1340b};
inline constexpr Function<Nothing, MaaReport> kAllowlistMaa{"allowlistMAA((bytes32[24]))", 0x7182ee20};
inline constexpr Function<Nothing, Word> kAllowlistIdentity{"allowlistIdentity(bytes32)", 0xda4fddef};
inline constexpr Function<Nothing, Word> kRemoveAllowlistedIdentity{"removeAllowlistedIdentity(bytes32)", 0x322febce};
inline constexpr Function<bool, Word> kAllowlistedIdentities{"allowlistedIdentities(bytes32)", 0xe712f5b2};
inline constexpr Function<Word, OnboardRequest> kHashOnboardRequest{"HashOnboardRequest((bytes,int256,address,bytes))",
                                                                    0xb5e3be7a};
inline constexpr Function<Nothing, OnboardRequest> kRequestOnboard{"requestOnboard((bytes,int256,address,bytes))",
                                                                   0x1301b9ff};
inline constexpr Function<OnboardRequest, Word> kFetchOnboardRequest{"fetchOnboardRequest(bytes32)", 0xf588d2fc};
inline constexpr Function<std::tuple<base::Bytes, Word, Address, base::Bytes>, Word> kOnboardRequests{
    "onboardRequests(bytes32)", 0x9087f2b0};
inline constexpr Function<bool, Address> kApplicationAllowed{"ApplicationAllowed(address)", 0x36a70c78};
inline constexpr Function<Nothing, Address> kAllowApplication{"AllowApplication(address)", 0xfb2e19ec};
inline constexpr Function<Nothing, Address> kRemoveAllowlistedApplication{"RemoveAllowlistedApplication(address)",
                                                                          0x0adb7b5b};

/// Attestry's own contract only.
inline constexpr Function<std::vector<Address>> kAllowlistedApplications{"AllowlistedApplications()", 0x0dba7071};
inline constexpr Function<Word, Address> kApplicationPolicy{"applicationPolicy(address)", 0x8de0b7b3};
inline constexpr Function<Nothing, Address, Word> kSetApplicationPolicy{"setApplicationPolicy(address,bytes32)",
                                                                        0x1fef95f1};
inline constexpr Function<Nothing, Word> kRemoveOnboardRequest{"removeOnboardRequest(bytes32)", 0xf69d4f37};

// -- roles and ownership (OpenZeppelin AccessControl and Ownable)

inline constexpr Function<Word> kRoleOperator{"ROLE_OPERATOR()", 0x98a1b397};
inline constexpr Function<Word> kRoleMetadata{"ROLE_METADATA()", 0x8404c1a3};
inline constexpr Function<Word> kRoleInstance{"ROLE_INSTANCE()", 0x53f24b6d};
inline constexpr Function<Word> kRoleGuardian{"ROLE_GUARDIAN()", 0x77e223b0};
inline constexpr Function<Word> kDefaultAdminRole{"DEFAULT_ADMIN_ROLE()", 0xa217fddf};
inline constexpr Function<bool, Word, Address> kHasRole{"hasRole(bytes32,address)", 0x91d14854};
inline constexpr Function<Nothing, Word, Address> kGrantRole{"grantRole(bytes32,address)", 0x2f2ff15d};
inline constexpr Function<Nothing, Word, Address> kRevokeRole{"revokeRole(bytes32,address)", 0xd547741f};
inline constexpr Function<Nothing, Word, Address> kRenounceRole{"renounceRole(bytes32,address)", 0x36568abe};
inline constexpr Function<Word, Word> kGetRoleAdmin{"getRoleAdmin(bytes32)", 0x248a9ca3};
inline constexpr Function<Address> kOwner{"owner()", 0x8da5cb5b};
inline constexpr Function<Nothing, Address> kTransferOwnership{"transferOwnership(address)", 0xf2fde38b};
inline constexpr Function<Address> kPendingOwner{"pendingOwner()", 0xe30c3978};
inline constexpr Function<Nothing> kAcceptOwnership{"acceptOwnership()", 0x79ba5097};
inline constexpr Function<Nothing> kRenounceOwnership{"renounceOwnership()", 0x715018a6};
inline constexpr Function<bool, Selector> kSupportsInterface{"supportsInterface(bytes4)", 0x01ffc9a7};

/// Keccak-256 of "ROLE_OPERATOR" and so on, as the contracts' constants are made.
Word role(std::string_view name);

// -- events (none of the registry's own has indexed arguments)

struct Log {
  Address address{};
  std::vector<base::Digest32> topics{};
  base::Bytes data{};
};

template <class... F>
struct Event {
  std::string_view signature;
  base::Digest32 topic() const { return event_topic(signature); }
  bool is(const Log& log) const { return !log.topics.empty() && log.topics.front() == topic(); }
  base::Result<std::tuple<F...>> decode(const Log& log) const {
    if (!is(log)) return answer_error(signature, log.data, nullptr);
    AbiReader reader{log.data};
    auto value = Abi<std::tuple<F...>>::get(reader);
    if (!value.ok()) return answer_error(signature, log.data, &value.error());
    return value;
  }
};

inline constexpr Event<Word, Address> kArtifactAdded{"ArtifactAdded(bytes32,address)"};
inline constexpr Event<Word, Word, Address> kIdentityConfigSet{"IdentityConfigSet(bytes32,bytes32,address)"};
inline constexpr Event<std::string, Address> kInstanceDomainRegistered{"InstanceDomainRegistered(string,address)"};
inline constexpr Event<Address, AppPki> kPkiUpdated{"PKIUpdated(address,(bytes,bytes,bytes))"};
inline constexpr Event<std::string, Address> kStorageBackendSet{"StorageBackendSet(string,address)"};
inline constexpr Event<std::string, Address> kStorageBackendRemoved{"StorageBackendRemoved(string,address)"};
inline constexpr Event<Word, Address> kIdentityAllowlisted{"IdentityAllowlisted(bytes32,address)"};
/// Attestry's own contracts only.
inline constexpr Event<Word, Address> kIdentityConfigRemoved{"IdentityConfigRemoved(bytes32,address)"};
inline constexpr Event<Word, Address> kArtifactRemoved{"ArtifactRemoved(bytes32,address)"};
inline constexpr Event<std::string, Address> kInstanceDomainRemoved{"InstanceDomainRemoved(string,address)"};
inline constexpr Event<Word, Address> kAllowlistedIdentityRemoved{"AllowlistedIdentityRemoved(bytes32,address)"};
inline constexpr Event<Word, Address> kPolicySet{"PolicySet(bytes32,address)"};
inline constexpr Event<Address> kPausedEvent{"Paused(address)"};
inline constexpr Event<Address> kUnpausedEvent{"Unpaused(address)"};
/// OpenZeppelin's: their arguments are the topics after the first.
inline constexpr Event<> kRoleGranted{"RoleGranted(bytes32,address,address)"};
inline constexpr Event<> kRoleRevoked{"RoleRevoked(bytes32,address,address)"};
inline constexpr Event<> kOwnershipTransferred{"OwnershipTransferred(address,address)"};

}  // namespace attestry::chain::registry
