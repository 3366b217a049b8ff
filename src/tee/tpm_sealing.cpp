#include "tee/tpm_sealing.h"

#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tctildr.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "base/encoding.h"
#include "base/log.h"
#include "base/mutex.h"
#include "crypto/hash.h"

namespace attestry::tee {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMaxSecret = 128;  // MAX_SYM_DATA of every TPM 2.0
constexpr std::size_t kMaxContext = 1024;
constexpr std::string_view kMakesParent = "CreatePrimary";
constexpr std::uint32_t kDebugPcrs = 1U << 16 | 1U << 23;  ///< that any process may reset
constexpr std::uint32_t kLaunchPcrs = 0x3FU << 17;         ///< that a measured launch resets

std::string number(TSS2_RC rc) {
  return "0x" + base::hex(base::Bytes{static_cast<std::uint8_t>(rc >> 24U), static_cast<std::uint8_t>(rc >> 16U),
                                      static_cast<std::uint8_t>(rc >> 8U), static_cast<std::uint8_t>(rc)});
}

/// The TPM's own code without the number of the handle, session or parameter that it is about; 0 for the library's.
TSS2_RC base_code(TSS2_RC rc) {
  if ((rc & TSS2_RC_LAYER_MASK) != TSS2_TPM_RC_LAYER) return 0;
  return (rc & TPM2_RC_FMT1) != 0 ? (rc & (TPM2_RC_FMT1 | 0x3FU)) : rc;
}

Error failed(std::string_view step, TSS2_RC rc) {
  const auto code = base_code(rc);
  const bool auth = code == TPM2_RC_AUTH_FAIL || code == TPM2_RC_BAD_AUTH;
  if (auth && step == kMakesParent) {
    return {Code::configuration, "the TPM's owner hierarchy has a password", "none", number(rc),
            "Clear it: tpm2_changeauth -c owner -p PASSWORD"};
  }
  if (code == TPM2_RC_PCR_CHANGED) {
    return {
        Code::unavailable, "the TPM's PCRs changed while they were looked at", {}, number(rc), "It is tried again."};
  }
  if (code == TPM2_RC_INTEGRITY || code == TPM2_RC_SIZE || code == TPM2_RC_HASH) {
    return {Code::corrupt, "the TPM does not take what was sealed: it was altered", {}, number(rc)};
  }
  if (code == TPM2_RC_POLICY_FAIL) {
    return {Code::wrong_key,
            "the TPM's PCRs are not what it was sealed to",
            {},
            number(rc),
            "Boot what was measured then, or restore a backup on this state and seal anew."};
  }
  if (auth) {
    return {Code::wrong_key, "it was sealed for something else", {}, number(rc)};
  }
  return {Code::unavailable,
          "TPM: " + std::string{step},
          {},
          number(rc),
          "See whether the TPM and its resource manager run, and whether this process may use them."};
}

/// What the library allocated.
template <class T>
struct Freed {
  T* it = nullptr;
  Freed() = default;
  Freed(const Freed&) = delete;
  Freed& operator=(const Freed&) = delete;
  ~Freed() { Esys_Free(it); }
};

/// One connection; objects are flushed before it ends.
class Tpm {
 public:
  explicit Tpm(const std::string& tcti) {
    const auto rc = Tss2_TctiLdr_Initialize(tcti.c_str(), &tcti_);
    opened_ = rc != TSS2_RC_SUCCESS ? rc : Esys_Initialize(&esys_, tcti_, nullptr);
  }
  Tpm(const Tpm&) = delete;
  Tpm& operator=(const Tpm&) = delete;
  ~Tpm() {
    for (auto at = handles_.rbegin(); at != handles_.rend(); ++at) Esys_FlushContext(esys_, *at);
    if (esys_ != nullptr) Esys_Finalize(&esys_);
    if (tcti_ != nullptr) Tss2_TctiLdr_Finalize(&tcti_);
  }
  TSS2_RC opened() const noexcept { return opened_; }
  ESYS_CONTEXT* get() const noexcept { return esys_; }
  ESYS_TR flushed(ESYS_TR handle) {
    handles_.push_back(handle);
    return handle;
  }

 private:
  TSS2_TCTI_CONTEXT* tcti_ = nullptr;
  ESYS_CONTEXT* esys_ = nullptr;
  TSS2_RC opened_ = 0;
  std::vector<ESYS_TR> handles_;
};

constexpr TPMT_SYM_DEF kAes{.algorithm = TPM2_ALG_AES, .keyBits = {.aes = 128}, .mode = {.aes = TPM2_ALG_CFB}};

/// The ECC storage key of TCG's provisioning guidance (template "SRK, P-256"): the same on every boot.
TPM2B_PUBLIC storage_template() {
  TPM2B_PUBLIC out{};
  auto& area = out.publicArea;
  area.type = TPM2_ALG_ECC;
  area.nameAlg = TPM2_ALG_SHA256;
  area.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                          TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
  auto& ecc = area.parameters.eccDetail;
  ecc.symmetric = {.algorithm = TPM2_ALG_AES, .keyBits = {.aes = 128}, .mode = {.aes = TPM2_ALG_CFB}};
  ecc.scheme.scheme = TPM2_ALG_NULL;
  ecc.curveID = TPM2_ECC_NIST_P256;
  ecc.kdf.scheme = TPM2_ALG_NULL;
  area.unique.ecc.x.size = 32;
  area.unique.ecc.y.size = 32;
  return out;
}

TPML_PCR_SELECTION selection_of(std::uint32_t pcrs) {
  TPML_PCR_SELECTION out{};
  out.count = 1;
  out.pcrSelections[0].hash = TPM2_ALG_SHA256;
  out.pcrSelections[0].sizeofSelect = 3;
  for (unsigned i = 0; i < 3; ++i) {
    out.pcrSelections[0].pcrSelect[i] = static_cast<std::uint8_t>(pcrs >> (8 * i));
  }
  return out;
}

std::uint32_t pcrs_in(const TPML_PCR_SELECTION& found) {
  std::uint32_t out = 0;
  for (UINT32 i = 0; i < found.count; ++i) {
    const auto& bank = found.pcrSelections[i];
    if (bank.hash != TPM2_ALG_SHA256) continue;
    for (unsigned byte = 0; byte < std::min<unsigned>(bank.sizeofSelect, 3); ++byte) {
      out |= static_cast<std::uint32_t>(bank.pcrSelect[byte]) << (8 * byte);
    }
  }
  return out;
}

/// Wiped, whatever happens: both hold the secret in ordinary memory for the library.
struct Sensitive {
  TPM2B_SENSITIVE_CREATE it{};
  Sensitive() = default;
  Sensitive(const Sensitive&) = delete;
  Sensitive& operator=(const Sensitive&) = delete;
  ~Sensitive() { crypto::wipe({reinterpret_cast<std::uint8_t*>(&it), sizeof it}); }
};
struct Unsealed {
  TPM2B_SENSITIVE_DATA* it = nullptr;
  Unsealed() = default;
  Unsealed(const Unsealed&) = delete;
  Unsealed& operator=(const Unsealed&) = delete;
  ~Unsealed() {
    if (it != nullptr) crypto::wipe({reinterpret_cast<std::uint8_t*>(it), sizeof *it});
    Esys_Free(it);
  }
};

base::Digest32 digest_of(base::ByteView context) {
  base::LpWriter in;
  in.lp("attestry/sealing-context/1").lp(context);
  return crypto::sha256(in.bytes());
}

struct Parent {
  ESYS_TR handle = ESYS_TR_NONE;
  base::Bytes name;
};

Result<Parent> make_parent(Tpm& tpm) {
  const TPM2B_SENSITIVE_CREATE nothing{};
  const TPM2B_PUBLIC area = storage_template();
  const TPM2B_DATA outside{};
  const TPML_PCR_SELECTION no_pcrs{};
  Parent out;
  if (const auto rc =
          Esys_CreatePrimary(tpm.get(), ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &nothing, &area,
                             &outside, &no_pcrs, &out.handle, nullptr, nullptr, nullptr, nullptr);
      rc != TSS2_RC_SUCCESS) {
    return failed(kMakesParent, rc);
  }
  tpm.flushed(out.handle);
  Freed<TPM2B_NAME> name;
  if (const auto rc = Esys_TR_GetName(tpm.get(), out.handle, &name.it); rc != TSS2_RC_SUCCESS) {
    return failed("name of the storage key", rc);
  }
  out.name.assign(name.it->name, name.it->name + name.it->size);
  return out;
}

/// Salted with the storage key, so that who sees the bus does not know the session's key.
Result<ESYS_TR> session(Tpm& tpm, const Parent& parent, TPM2_SE type, TPMA_SESSION attributes) {
  ESYS_TR out = ESYS_TR_NONE;
  if (const auto rc = Esys_StartAuthSession(tpm.get(), parent.handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                            ESYS_TR_NONE, nullptr, type, &kAes, TPM2_ALG_SHA256, &out);
      rc != TSS2_RC_SUCCESS) {
    return failed("StartAuthSession", rc);
  }
  tpm.flushed(out);
  attributes |= TPMA_SESSION_CONTINUESESSION;
  if (const auto rc = Esys_TRSess_SetAttributes(tpm.get(), out, attributes, 0xFF); rc != TSS2_RC_SUCCESS) {
    return failed("attributes of a session", rc);
  }
  return out;
}

/// SHA-256 over the values of these PCRs, in order, as PolicyPCR takes it. A TPM leaves out of a selection what it has
/// not got, without a word, and a policy over nothing holds always: so each must be there. The session's HMAC vouches
/// for what comes over the bus.
Result<base::Digest32> read_pcrs(Tpm& tpm, const Parent& parent, std::uint32_t pcrs) {
  TRY(const auto audit, session(tpm, parent, TPM2_SE_HMAC, TPMA_SESSION_AUDIT));
  base::Bytes values;
  std::optional<UINT32> counter;
  for (auto left = pcrs; left != 0;) {
    const auto asked = selection_of(left);
    UINT32 updates = 0;
    Freed<TPML_PCR_SELECTION> found;
    Freed<TPML_DIGEST> read;
    if (const auto rc =
            Esys_PCR_Read(tpm.get(), audit, ESYS_TR_NONE, ESYS_TR_NONE, &asked, &updates, &found.it, &read.it);
        rc != TSS2_RC_SUCCESS) {
      return failed("PCR_Read", rc);
    }
    if (counter.value_or(updates) != updates) return failed("PCR_Read", TPM2_RC_PCR_CHANGED);
    counter = updates;
    const auto there = pcrs_in(*found.it);
    if (there == 0 || (there & ~left) != 0 || static_cast<UINT32>(std::popcount(there)) != read.it->count) {
      return Error{
          Code::configuration, "this TPM has no SHA-256 bank of the PCRs to seal to",
          "PCR " + std::to_string(std::countr_zero(left)), "none",
          "Turn the SHA-256 bank on in the firmware (tpm2_pcrallocate sha256:all), or seal to something else."};
    }
    for (UINT32 i = 0; i < read.it->count; ++i) {
      const auto& one = read.it->digests[i];
      if (one.size != sizeof(base::Digest32)) return failed("PCR_Read", TPM2_RC_SIZE);
      base::append(values, {one.buffer, one.size});
    }
    left &= ~there;
  }
  return crypto::sha256(values);
}

/// What state_policy() comes to for these values (TPM 2.0 Library, part 3, PolicyPCR and PolicyAuthValue). Reckoned
/// here: what a trial session says comes over the bus without anybody's word for it.
Result<base::Digest32> policy_digest(std::uint32_t pcrs, const base::Digest32& values) {
  const auto selection = selection_of(pcrs);
  base::Bytes marshalled(sizeof selection);
  std::size_t size = 0;
  if (const auto rc = Tss2_MU_TPML_PCR_SELECTION_Marshal(&selection, marshalled.data(), marshalled.size(), &size);
      rc != TSS2_RC_SUCCESS) {
    return failed("selection of PCRs", rc);
  }
  base::LpWriter pcr;
  pcr.raw(base::Digest32{}).u32(TPM2_CC_PolicyPCR).raw(base::ByteView{marshalled}.first(size)).raw(values);
  base::LpWriter auth;
  auth.raw(crypto::sha256(pcr.bytes())).u32(TPM2_CC_PolicyAuthValue);
  return crypto::sha256(auth.bytes());
}

/// PolicyPCR over the present values, and PolicyAuthValue: the object's auth is the context's digest.
Status state_policy(Tpm& tpm, ESYS_TR policy, std::uint32_t pcrs) {
  const auto selection = selection_of(pcrs);
  const TPM2B_DIGEST any{};
  auto rc = Esys_PolicyPCR(tpm.get(), policy, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &any, &selection);
  if (rc != TSS2_RC_SUCCESS) return failed("PolicyPCR", rc);
  rc = Esys_PolicyAuthValue(tpm.get(), policy, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE);
  if (rc != TSS2_RC_SUCCESS) return failed("PolicyAuthValue", rc);
  return base::done();
}

class TpmSealing final : public crypto::SealingDevice {
 public:
  explicit TpmSealing(TpmSealingOptions options) : options_(std::move(options)) {
    for (const unsigned pcr : options_.pcrs) pcrs_ |= 1U << pcr;
  }
  std::string name() const override { return "tpm2"; }
  std::string bound_to() const override {
    std::string out;
    for (const unsigned pcr : options_.pcrs) out += (out.empty() ? "" : ",") + std::to_string(pcr);
    return "PCRs " + out + " of this TPM";
  }
  Result<base::Bytes> seal(const crypto::Secret& secret, base::ByteView context) override;
  Result<crypto::Secret> unseal(base::ByteView sealed, base::ByteView context) override;

 private:
  const TpmSealingOptions options_;
  std::uint32_t pcrs_ = 0;
  base::Mutex mutex_;  ///< one command at a time: a TPM without a resource manager has room for three objects
};

Result<base::Bytes> TpmSealing::seal(const crypto::Secret& secret, base::ByteView context) {
  if (secret.empty() || secret.size() > kMaxSecret || context.size() > kMaxContext) {
    return Error{Code::too_large, "sealing device: 1 to 128 bytes of secret and at most 1 KiB of context"};
  }
  const base::MutexLock lock(mutex_);
  Tpm tpm(options_.tcti);
  if (tpm.opened() != TSS2_RC_SUCCESS) return failed("no TPM at " + options_.tcti, tpm.opened());
  TRY(const auto parent, make_parent(tpm));
  TRY(const auto values, read_pcrs(tpm, parent, pcrs_));
  TRY(const auto policy, policy_digest(pcrs_, values));
  TRY(const auto salted, session(tpm, parent, TPM2_SE_HMAC, TPMA_SESSION_DECRYPT));
  const auto auth = digest_of(context);
  Sensitive sensitive;
  auto& inner = sensitive.it.sensitive;
  inner.userAuth.size = auth.size();
  std::copy(auth.begin(), auth.end(), inner.userAuth.buffer);
  inner.data.size = static_cast<UINT16>(secret.size());
  std::copy(secret.reveal().begin(), secret.reveal().end(), inner.data.buffer);
  TPM2B_PUBLIC area{};
  area.publicArea.type = TPM2_ALG_KEYEDHASH;
  area.publicArea.nameAlg = TPM2_ALG_SHA256;
  // No USERWITHAUTH: only the policy opens it. NODA: a wrong context is a mistake, not an attack on a password.
  area.publicArea.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA;
  area.publicArea.authPolicy.size = policy.size();
  std::copy(policy.begin(), policy.end(), area.publicArea.authPolicy.buffer);
  area.publicArea.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
  const TPM2B_DATA outside{};
  const TPML_PCR_SELECTION no_pcrs{};
  Freed<TPM2B_PRIVATE> made_private;
  Freed<TPM2B_PUBLIC> made_public;
  if (const auto rc = Esys_Create(tpm.get(), parent.handle, salted, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive.it, &area,
                                  &outside, &no_pcrs, &made_private.it, &made_public.it, nullptr, nullptr, nullptr);
      rc != TSS2_RC_SUCCESS) {
    return failed("Create", rc);
  }
  base::Bytes marshalled(sizeof(TPM2B_PUBLIC));
  std::size_t size = 0;
  if (const auto rc = Tss2_MU_TPM2B_PUBLIC_Marshal(made_public.it, marshalled.data(), marshalled.size(), &size);
      rc != TSS2_RC_SUCCESS) {
    return failed("public area", rc);
  }
  return encode_tpm_sealed({.pcrs = pcrs_,
                            .parent = parent.name,
                            .context = auth,
                            .public_area = base::ByteView{marshalled}.first(size),
                            .private_area = {made_private.it->buffer, made_private.it->size}});
}

Result<ESYS_TR> load(Tpm& tpm, const Parent& parent, const TpmSealed& parts) {
  TPM2B_PUBLIC area{};
  std::size_t read = 0;
  TPM2B_PRIVATE secret_area{};
  if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(parts.public_area.data(), parts.public_area.size(), &read, &area) !=
          TSS2_RC_SUCCESS ||
      read != parts.public_area.size() || parts.private_area.size() > sizeof secret_area.buffer) {
    return Error{Code::corrupt, "value sealed by a TPM: its areas"};
  }
  secret_area.size = static_cast<UINT16>(parts.private_area.size());
  std::copy(parts.private_area.begin(), parts.private_area.end(), secret_area.buffer);
  ESYS_TR out = ESYS_TR_NONE;
  if (const auto rc =
          Esys_Load(tpm.get(), parent.handle, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &secret_area, &area, &out);
      rc != TSS2_RC_SUCCESS) {
    return failed("Load", rc);
  }
  return tpm.flushed(out);
}

Result<crypto::Secret> TpmSealing::unseal(base::ByteView sealed, base::ByteView context) {
  TRY(const auto parts, parse_tpm_sealed(sealed));
  const auto auth = digest_of(context);
  if (auth != parts.context) return Error{Code::wrong_key, "it was sealed for something else"};
  if (parts.pcrs != pcrs_) {
    return Error{Code::wrong_key, "it was sealed to other PCRs than the setting names", {}, bound_to()};
  }
  const base::MutexLock lock(mutex_);
  Tpm tpm(options_.tcti);
  if (tpm.opened() != TSS2_RC_SUCCESS) return failed("no TPM at " + options_.tcti, tpm.opened());
  TRY(const auto parent, make_parent(tpm));
  // Also what makes the salt safe: it is encrypted to the key that was there at sealing, not to one on the way.
  if (!base::equal(parent.name, parts.parent)) {
    return Error{Code::wrong_key, "another TPM sealed it, or this one was cleared since", base::hex(parts.parent),
                 base::hex(parent.name), "Start on the machine that sealed it, or restore a backup here."};
  }
  TRY_OK(read_pcrs(tpm, parent, pcrs_));  // all of them are there: what was sealed to nothing is not opened
  TRY(const auto object, load(tpm, parent, parts));
  TPM2B_AUTH value{};
  value.size = auth.size();
  std::copy(auth.begin(), auth.end(), value.buffer);
  if (const auto rc = Esys_TR_SetAuth(tpm.get(), object, &value); rc != TSS2_RC_SUCCESS) return failed("auth", rc);
  TRY(const auto policy, session(tpm, parent, TPM2_SE_POLICY, TPMA_SESSION_ENCRYPT));
  TRY_OK(state_policy(tpm, policy, parts.pcrs));
  Unsealed out;
  if (const auto rc = Esys_Unseal(tpm.get(), object, policy, ESYS_TR_NONE, ESYS_TR_NONE, &out.it);
      rc != TSS2_RC_SUCCESS) {
    return failed("Unseal", rc);
  }
  return crypto::Secret::copy_of({out.it->buffer, out.it->size});
}

}  // namespace

Result<std::unique_ptr<crypto::SealingDevice>> tpm_sealing(TpmSealingOptions options) {
  if (options.pcrs.empty() ||
      std::any_of(options.pcrs.begin(), options.pcrs.end(), [](unsigned p) { return p > 23; })) {
    return Error{Code::configuration, "PCRs to seal to", "at least one of 0 to 23"};
  }
  std::uint32_t pcrs = 0;
  for (const unsigned pcr : options.pcrs) pcrs |= 1U << pcr;
  if ((pcrs & ~kDebugPcrs) == 0) {
    return Error{Code::configuration, "PCRs to seal to", "at least one that not every process may reset",
                 "16 and 23 alone"};
  }
  if ((pcrs & ~(kDebugPcrs | kLaunchPcrs)) == 0) {
    base::log(base::LogLevel::warning,
              "PCRs 17 to 22 hold nothing before a measured launch: seal to firmware and boot chain as well");
  }
  ::setenv("TSS2_LOG", "all+NONE", 0);
  return std::unique_ptr<crypto::SealingDevice>{std::make_unique<TpmSealing>(std::move(options))};
}

}  // namespace attestry::tee
