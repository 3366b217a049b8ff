#include "provision/registry_pki_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "state/testing/support.h"

namespace attestry::provision {
namespace {

using base::Code;
using ::testing::HasSubstr;

curves::Address contract(std::uint8_t byte) {
  curves::Address out;
  out.fill(byte);
  return out;
}

/// Makes evidence when the test lets it.
class Patient final : public attestation::Attester {
 public:
  base::Result<attestation::Evidence> attest(const base::FixedBytes<64>&) override {
    ++made;
    begun.set_value();
    const bool good = go.get_future().get();
    if (!good) return base::Error{Code::unavailable, "the quote provider is away"};
    return attestation::Evidence{.format = {}, .bytes = base::to_bytes(base::as_bytes("quote"))};
  }
  int made = 0;
  std::promise<void> begun;
  std::promise<bool> go;
};

class PkiServiceTest : public ::testing::Test {
 protected:
  using Found = base::Result<std::shared_ptr<const RegistryPki>>;
  std::future<Found> asks(std::uint8_t whose) {
    return std::async(std::launch::async, [this, whose] { return service->get(contract(whose)); });
  }
  void start(std::chrono::milliseconds patience) {
    service = std::make_unique<RegistryPkiService>(keys, &attester, clock, PkiServiceOptions{.patience = patience});
  }

  keys::FixedRegistryMaster master{crypto::Secret::copy_of(base::Bytes(32, 7))};
  keys::RegistryKeys keys{master};
  Patient attester;
  state::testing::ManualClock clock{base::UtcTime{1'800'000'000}};
  std::unique_ptr<RegistryPkiService> service;
};

TEST_F(PkiServiceTest, WhoeverAsksForTheSameMeanwhileGetsWhatIsMade) {
  start(std::chrono::minutes(1));
  auto first = asks(1);
  attester.begun.get_future().wait();
  auto second = asks(1);
  attester.go.set_value(true);
  const auto one = first.get(), two = second.get();
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ((*one)->attestation, (*two)->attestation);
  EXPECT_EQ(attester.made, 1);
}

TEST_F(PkiServiceTest, NobodyWaitsForEverForAnothersEvidence) {
  start(std::chrono::milliseconds(0));
  auto first = asks(1);
  attester.begun.get_future().wait();
  const auto other = service->get(contract(2));
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, Code::unavailable);
  EXPECT_THAT(other.error().text(), HasSubstr("for somebody else"));
  attester.go.set_value(true);
  EXPECT_TRUE(first.get().ok());
}

TEST_F(PkiServiceTest, AFailureIsEverybodysForAWhile) {
  start(std::chrono::minutes(1));
  auto first = asks(1);
  attester.begun.get_future().wait();
  auto second = asks(2);
  attester.go.set_value(false);
  EXPECT_THAT(first.get().error().text(), HasSubstr("away"));
  EXPECT_THAT(second.get().error().text(), HasSubstr("away"));
  EXPECT_EQ(attester.made, 1);
}

}  // namespace
}  // namespace attestry::provision
