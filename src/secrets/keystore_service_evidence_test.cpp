#include "secrets/keystore_service_evidence.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/encoding.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

namespace attestry::secrets {
namespace {

constexpr base::UtcTime kNow{1'790'000'000};
constexpr std::uint64_t kStamp = 1'790'000'000;

std::string fresh(std::uint64_t timestamp) {
  const auto said = check_freshness(timestamp, kNow, {});
  return said ? "fresh" : said.error().what;
}

TEST(KeystoreEvidence, IsFreshBothWaysAndDoesNotOverflow) {
  EXPECT_EQ(fresh(kStamp), "fresh");
  EXPECT_EQ(fresh(kStamp - 300), "fresh");
  EXPECT_EQ(fresh(kStamp - 301), "Attestation expired (older than 5 minutes)");
  EXPECT_EQ(fresh(0), "Attestation expired (older than 5 minutes)");
  EXPECT_EQ(fresh(kStamp + 60), "fresh");
  EXPECT_EQ(fresh(kStamp + 61), "Attestation is from the future (more than 60 seconds ahead)");
  EXPECT_EQ(fresh(std::numeric_limits<std::uint64_t>::max()),
            "Attestation is from the future (more than 60 seconds ahead)");
}

std::string kind(std::string_view tee_type, TeeMode mode) {
  const auto said = check_tee_type(tee_type, mode);
  return said ? "taken" : said.error().what;
}

TEST(KeystoreEvidence, EachModeTakesItsOwnKind) {
  EXPECT_EQ(kind("sgx", TeeMode::sgx), "taken");
  EXPECT_EQ(kind("tdx", TeeMode::sgx), "Expected SGX attestation, got TDX");
  EXPECT_EQ(kind("sev", TeeMode::sev), "taken");
  EXPECT_EQ(kind("sgx", TeeMode::sev), "Expected SEV attestation, got SGX");
  EXPECT_EQ(kind("tdx", TeeMode::tdx), "taken");
  EXPECT_EQ(kind("none", TeeMode::tdx), "Expected TDX attestation, got NONE");
  EXPECT_EQ(kind("nitro", TeeMode::nitro), "taken");
  EXPECT_EQ(kind("simulated", TeeMode::nitro), "Expected NITRO attestation, got SIMULATED");
  EXPECT_EQ(kind("simulated", TeeMode::simulated), "taken");
  EXPECT_EQ(kind("SGX", TeeMode::simulated), "Expected simulated attestation, got SGX");
  EXPECT_EQ(kind("anything", TeeMode::none), "taken");
  for (const auto* one : {"sgx", "sev", "tdx", "nitro"}) EXPECT_EQ(kind(one, TeeMode::evidence), "taken");
  EXPECT_EQ(kind("TDX", TeeMode::evidence), "Expected SGX, SEV, TDX or NITRO attestation, got TDX");
}

TEST(KeystoreEvidence, AWorkerWithoutAKeyHasReportDataOfItsOwn) {
  const base::Digest32 body = crypto::sha256(base::as_bytes("body"));
  base::LpWriter none;
  none.lp("attestry/keystore/request/1").lp("").u64(7).lp(body).lp("here");
  EXPECT_EQ(request_report_data(std::nullopt, 7, body, "here"), crypto::sha512(none.bytes()));
  EXPECT_NE(request_report_data(std::nullopt, 7, body, "here"), request_report_data(WorkerKey{}, 7, body, "here"));
}

/// AES-256-GCM, whose AAD says which request is answered.
TEST(KeystoreEvidence, AReplyFitsItsOwnRequestAlone) {
  const auto key = crypto::Secret::copy_of(base::Bytes(32, 7));
  const base::FixedBytes<16> nonce{1, 2, 3};
  const SealedFor asked{.path = "/decrypt", .body = crypto::sha256({}), .nonce = nonce};
  const auto sealed = seal_to_session(key, asked, base::as_bytes("text"), crypto::system_random());
  ASSERT_TRUE(sealed.ok());
  const auto opens = [&](const std::optional<base::FixedBytes<16>>& said) {
    base::LpWriter aad;
    aad.lp("attestry/keystore/reply/1").lp(asked.path).lp(asked.body);
    if (said) aad.lp(*said);
    const base::ByteView all{*sealed};
    return crypto::aes256gcm_open(key.reveal(), all.first(12), all.subspan(12), aad.bytes()).ok();
  };
  EXPECT_TRUE(opens(nonce));
  EXPECT_FALSE(opens(base::FixedBytes<16>{1, 2, 4}));
  EXPECT_FALSE(opens(std::nullopt));
}

}  // namespace
}  // namespace attestry::secrets
