// The real logs of the shared vectors: registers as their cases state, every digest that can be computed fits, and what
// must be refused is. Without them forge/event_log_test.cpp has the forged ones.
#include <gtest/gtest.h>

#include "attestation/eventlog/facts.h"
#include "attestation/eventlog/judge.h"
#include "attestation/eventlog/replay.h"
#include "attestation/testing/support.h"

namespace attestry::attestation::eventlog {
namespace {

struct RealLog {
  std::string_view file;
  Registers registers;
  std::string_view separators;  ///< "ok" or the fault
};
constexpr RealLog kLogs[] = {
    {"nvidia-or-other/tpm-eventlog-ubuntu-2104-no-secure-boot/eventlog.bin", Registers::pcr, "ok"},
    {"nvidia-or-other/tpm-eventlog-ubuntu-2404-amd-sevsnp/eventlog.bin", Registers::pcr, "ok"},
    {"nvidia-or-other/ccel-duplicate-separator/eventlog.bin", Registers::ccel, "one separator in a register"},
    {"tdx/v4-gcp-ccel-eventlog/ccel_data.bin", Registers::ccel, "ok"},
    {"tdx/v4-baremetal-ccel-good-and-bad/ccel_good.bin", Registers::ccel, "ok"},
    {"tdx/v4-baremetal-ccel-good-and-bad/ccel_wrong_boot.bin", Registers::ccel, "ok"},
};

TEST(RealLogs, AreReadReplayedAndJudged) {
  const auto set = testing::case_set();
  ASSERT_TRUE(set.has_value());
  std::size_t judged = 0;
  for (const RealLog& real : kLogs) {
    const auto path = set->root / real.file;
    if (!testing::fs::exists(path)) continue;  // only in the shared vectors
    ++judged;
    const base::Bytes bytes = testing::read_bytes(path);
    const auto log = parse_tcg(bytes, real.registers);
    ASSERT_TRUE(log.ok()) << real.file << ": " << log.error().text();
    const auto meta = base::JsonDocument::parse(testing::read_text(path.parent_path() / "case.json"));
    ASSERT_TRUE(meta.has_value());
    const auto stated = (*meta)->root().find("expect")->find("replay");
    for (std::size_t bank = 0; bank < log->banks.size(); ++bank) {
      EXPECT_FALSE(find_digest_fault(*log, bank, match_digests(*log, bank)).has_value()) << real.file;
      if (log->banks[bank].hash == Hash::sha1) continue;
      const auto separators = find_separator_fault(*log, bank);
      EXPECT_EQ(separators ? separators->expected : "ok", real.separators) << real.file;
      const auto values = replay(*log, bank);
      ASSERT_TRUE(values.ok());
      const auto wanted = stated ? stated->find(to_text(log->banks[bank].hash)) : std::nullopt;
      if (!wanted) continue;
      for (auto value = wanted->first(); value; value = value->next()) {
        const auto number = static_cast<std::uint32_t>(std::stoul(value->key()));
        ASSERT_TRUE(values->contains(number)) << real.file;
        EXPECT_EQ(base::hex(values->at(number)), testing::text_of(value)) << real.file << " " << number;
      }
    }
  }
  EXPECT_EQ(judged, set->shared ? std::size(kLogs) : 0u);
}

TEST(RealLogs, ATruncatedEventIsAnError) {
  const auto set = testing::case_set();
  ASSERT_TRUE(set.has_value());
  const auto path = set->root / "nvidia-or-other/tpm-eventlog-truncated-no-action/eventlog.bin";
  EXPECT_EQ(testing::fs::exists(path), set->shared);
  EXPECT_FALSE(parse_tcg(testing::read_bytes(path), Registers::pcr).ok());
}

struct WithQuote {
  std::string_view folder;
  std::string_view file;
  SupplementKind kind;
  std::string_view cause;  ///< empty: believed
  /// The claims, their values shortened to 12 characters; only the log's word: *.
  std::string_view says;
};
constexpr WithQuote kWithQuote[] = {
    {"tdx/v4-gcp-ccel-eventlog", "ccel_data.bin", SupplementKind::tcg_event_log, "",
     "boot_loader 5a10026c9ad4, command_line* /syslinux/vm, command_line_digest* 129cc599796a, kernel* b1012372f421, "
     "secure_boot false, registers rtmr0 rtmr1 "},
    {"tdx/v4-baremetal-ccel-good-and-bad", "ccel_good.bin", SupplementKind::tcg_event_log, "",
     "command_line_digest* 9ef512aa411d, initrd* b88ab0900ba0, kernel ffbcfc53f1c1, secure_boot false, "
     "registers rtmr0 rtmr1 "},
    {"tdx/v4-baremetal-ccel-good-and-bad", "ccel_wrong_boot.bin", SupplementKind::tcg_event_log, "eventlog.replay", ""},
    {"tdx/v4-dstack-eventlog-rtmr3", "eventlog.json", SupplementKind::dstack_event_log, "",
     "app_id 3763bc34552c, command_line_digest* 4027cb4ec64d, compose_hash 3763bc34552c, initrd* 63e06e29cf98, "
     "instance_id c3714eb66990, kernel 0761fbfa317a, key_provider {\"name\":\"loc, secure_boot false, "
     "registers rtmr0 rtmr1 "},
    {"tdx/v4-near-mpc-dstack", "dstack_tcb_info.json", SupplementKind::dstack_event_log, "",
     "app_id 2911e1f73346, command_line_digest* 67f31a018714, compose_hash 2911e1f73346, initrd* dbfb59810302, "
     "kernel 69e0bbb3861d, key_provider {\"name\":\"loc, secure_boot false, registers rtmr0 rtmr1 "},
};

std::string said(const Verdict& verdict) {
  constexpr std::string_view kRoom = "eventlog.";
  constexpr std::size_t kShown = 12;
  std::string out;
  for (const Claim& claim : verdict.claims) {
    if (!claim.name.starts_with(kRoom)) continue;
    out.append(out.empty() ? "" : ", ").append(claim.name.substr(kRoom.size()));
    out.append(claim.log_word ? "* " : " ").append(claim.value.substr(0, kShown));
  }
  return out;
}

TEST(RealLogs, LeadToTheRegistersOfTheirQuotes) {
  const auto set = testing::case_set();
  ASSERT_TRUE(set.has_value());
  for (const WithQuote& real : kWithQuote) {
    const auto folder = set->root / real.folder;
    if (!testing::fs::exists(folder)) continue;  // only in the shared vectors
    const auto made = testing::read_case(set->root, folder);
    ASSERT_TRUE(made.has_value()) << real.folder;
    Evidence evidence = testing::evidence_of(made->quote);
    evidence.supplements.push_back({real.kind, testing::read_bytes(folder / real.file)});
    const auto verdict =
        Verifier{testing::anchors_of(*made)}.verify(evidence, *testing::collateral_of(made->collateral), made->at);
    ASSERT_TRUE(verdict.has_value());
    const CheckResult* cause = verdict->root_cause();
    EXPECT_EQ(cause == nullptr ? "" : info(cause->check).id, real.cause) << real.file;
    EXPECT_EQ(said(*verdict), real.says) << real.file;
  }
}

}  // namespace
}  // namespace attestry::attestation::eventlog
