#include "attestation/dcap/tcb_status.h"

#include <gtest/gtest.h>

#include <vector>

namespace attestry::attestation::dcap {
namespace {

using enum TcbStatus;

constexpr TcbStatus kPlatform[] = {up_to_date,
                                   sw_hardening_needed,
                                   configuration_needed,
                                   configuration_and_sw_hardening_needed,
                                   out_of_date,
                                   out_of_date_configuration_needed,
                                   revoked};

TcbStatus with(TcbStatus platform, std::vector<TcbStatus> components) { return converge(platform, components); }

TEST(Converge, UpToDateComponentsChangeNothing) {
  for (const TcbStatus s : kPlatform) {
    EXPECT_EQ(with(s, {}), s);
    EXPECT_EQ(with(s, {up_to_date, up_to_date}), s);
    // Only OutOfDate and Revoked of a component count (Intel's table).
    EXPECT_EQ(with(s, {configuration_needed}), s);
  }
}

TEST(Converge, AnOutOfDateComponentKeepsThatConfigurationIsNeeded) {
  const TcbStatus expected[] = {out_of_date,
                                out_of_date,
                                out_of_date_configuration_needed,
                                out_of_date_configuration_needed,
                                out_of_date,
                                out_of_date_configuration_needed,
                                revoked};
  for (std::size_t i = 0; i < std::size(kPlatform); ++i) {
    EXPECT_EQ(with(kPlatform[i], {out_of_date}), expected[i]);
    EXPECT_EQ(with(kPlatform[i], {up_to_date, out_of_date}), expected[i]);
  }
}

TEST(Converge, ARevokedComponentOverridesEverything) {
  for (const TcbStatus s : kPlatform) EXPECT_EQ(with(s, {out_of_date, revoked}), revoked);
}

TEST(WithRelaunch, OnlyAStaleLaunchUnderAPatchedModule) {
  for (const TcbStatus launch : kPlatform) {
    for (const TcbStatus current : kPlatform) {
      const bool stale = launch == out_of_date || launch == out_of_date_configuration_needed;
      const bool patched = current < out_of_date;
      const TcbStatus out = with_relaunch(launch, current);
      if (!stale || !patched) {
        EXPECT_EQ(out, launch);
        continue;
      }
      const bool configuration = launch == out_of_date_configuration_needed || current == configuration_needed ||
                                 current == configuration_and_sw_hardening_needed;
      EXPECT_EQ(out, configuration ? td_relaunch_advised_configuration_needed : td_relaunch_advised);
    }
  }
}

TEST(TcbStatusText, RoundTripsAndEachDocumentKnowsItsOwn) {
  for (const TcbStatus s : kPlatform) EXPECT_EQ(tcb_status_from(to_text(s), StatusSource::platform), s);
  EXPECT_EQ(to_text(not_supported), "TCB_NOT_SUPPORTED");
  EXPECT_FALSE(tcb_status_from("TDRelaunchAdvised", StatusSource::platform)) << "never in a document";
  EXPECT_FALSE(tcb_status_from("uptodate", StatusSource::platform));
  EXPECT_FALSE(tcb_status_from("SWHardeningNeeded", StatusSource::qe));
  EXPECT_TRUE(tcb_status_from("ConfigurationNeeded", StatusSource::qe));
  EXPECT_FALSE(tcb_status_from("ConfigurationNeeded", StatusSource::module));
  EXPECT_TRUE(tcb_status_from("Revoked", StatusSource::module));
}

}  // namespace
}  // namespace attestry::attestation::dcap
