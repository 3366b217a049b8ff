// Forged event logs through the real parsers and the real verifier: a log that leads to the TD's registers is believed,
// and each fault is refused by the check that exists for it.
#include "forge/event_log.h"

#include <gtest/gtest.h>

#include "attestation/eventlog/facts.h"
#include "attestation/eventlog/judge.h"
#include "attestation/eventlog/replay.h"
#include "attestation/policy.h"
#include "attestation/verifier.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "forge/scenario.h"

namespace attestry::forge {
namespace {

using attestation::CheckStatus;
using attestation::SupplementKind;
using attestation::Verdict;
namespace eventlog = attestation::eventlog;

constexpr base::UtcTime kAt{1'795'261'432};

const ForgePki& pki() {
  static const ForgePki one = ForgePki::make(base::as_bytes("event log test")).value();
  return one;
}

/// A TD (or enclave) with these registers, judged with these logs beside it.
Verdict verdict_of(const ForgedLogs& logs, const std::vector<attestation::Supplement>& supplements,
                   QuoteKind kind = QuoteKind::tdx_v4) {
  QuoteSpec quote = default_quote(pki(), kind);
  quote.td.rtmr = logs.rtmr;
  const Case made = make_case(pki(), {.quote = quote, .at = kAt}).value();
  attestation::Evidence evidence = made.evidence();
  evidence.supplements = supplements;
  const attestation::Verifier verifier(attestation::TrustAnchors::simulated(
      {attestation::TestRoot::from_certificate(base::as_bytes(made.root_pem)).value()}));
  return verifier.verify(evidence, *made.collateral.collateral(), kAt).value();
}

attestation::Supplement ccel(const ForgedLogs& logs) { return {SupplementKind::tcg_event_log, logs.ccel}; }
attestation::Supplement dstack(std::string_view text) {
  return {SupplementKind::dstack_event_log, base::to_bytes(text)};
}

std::string root_cause(const Verdict& verdict) {
  const auto* cause = verdict.root_cause();
  return cause == nullptr ? "none" : std::string{attestation::info(cause->check).id};
}

std::string claim(const Verdict& verdict, std::string_view name) {
  const auto* found = verdict.claim(name);
  return found == nullptr ? "absent" : found->value;
}

std::string detail_of(const Verdict& verdict, std::string_view id) {
  for (const auto& result : verdict.checks) {
    if (attestation::info(result.check).id == id) return result.detail;
  }
  return "absent";
}

ForgedLogs logs_with(LogFault fault) { return make_event_logs({.fault = fault}); }

TEST(EventLogs, ALogThatLeadsToTheRegistersIsBelieved) {
  const ForgedLogs logs = make_event_logs({});
  const Verdict verdict = verdict_of(logs, {ccel(logs), dstack(logs.dstack)});
  EXPECT_EQ(verdict.evidence, attestation::Genuineness::genuine) << root_cause(verdict);
  EXPECT_EQ(claim(verdict, "eventlog.secure_boot"), "true");
  EXPECT_EQ(claim(verdict, "eventlog.kernel"), base::hex(logs.kernel));
  EXPECT_EQ(claim(verdict, "eventlog.initrd"), base::hex(logs.initrd));
  EXPECT_EQ(claim(verdict, "eventlog.command_line"), "/vmlinuz root=/dev/vda2 ro console=ttyS0");
  EXPECT_NE(claim(verdict, "eventlog.boot_loader"), "absent");
  EXPECT_NE(claim(verdict, "eventlog.compose_hash"), std::string(64, 'e')) << "the workload's own event counts";
  EXPECT_EQ(claim(verdict, "eventlog.compose_hash").substr(0, 40), claim(verdict, "eventlog.app_id"));
  EXPECT_EQ(claim(verdict, "eventlog.key_provider"), R"({"name":"local","id":""})");
}

TEST(EventLogs, EachFormatAloneAndEachOfItsFormsIsBelieved) {
  const ForgedLogs plain = make_event_logs({});
  const ForgedLogs empty = make_event_logs({.empty_digests = true});
  const ForgedLogs stripped = make_event_logs({.empty_digests = true, .strip_boot = true});
  const std::string reply =
      R"({"quote":"00","event_log":)" + base::JsonOut(plain.dstack).compact() + R"(,"vm_config":""})";
  const std::string info = R"({"app_id":"","tcb_info":)" + base::JsonOut(plain.tcb_info).compact() + "}";
  const std::vector<std::pair<ForgedLogs, attestation::Supplement>> all{
      {plain, ccel(plain)},  {plain, dstack(plain.dstack)}, {plain, dstack(plain.tcb_info)},    {plain, dstack(reply)},
      {plain, dstack(info)}, {empty, dstack(empty.dstack)}, {stripped, dstack(stripped.dstack)}};
  for (const auto& [logs, log] : all) {
    const Verdict verdict = verdict_of(logs, {log});
    EXPECT_EQ(root_cause(verdict), "none") << base::as_text(log.bytes).substr(0, 200);
  }
  EXPECT_EQ(claim(verdict_of(stripped, {dstack(stripped.dstack)}), "eventlog.secure_boot"), "absent");
  EXPECT_EQ(claim(verdict_of(make_event_logs({.secure_boot = false}), {ccel(make_event_logs({.secure_boot = false}))}),
                  "eventlog.secure_boot"),
            "false");
}

TEST(EventLogs, EachFaultIsRefusedByTheCheckThatExistsForIt) {
  const std::pair<LogFault, std::string_view> both[] = {{LogFault::other_boot, "eventlog.replay"},
                                                        {LogFault::changed_text, "eventlog.digests"},
                                                        {LogFault::second_separator, "eventlog.separators"},
                                                        {LogFault::missing_event, "eventlog.replay"},
                                                        {LogFault::cut, "eventlog.format"},
                                                        {LogFault::relabelled_boot, "eventlog.separators"}};
  for (const auto& [fault, check] : both) {
    const ForgedLogs logs = logs_with(fault);
    for (const auto& log : {ccel(logs), dstack(logs.dstack)}) {
      const Verdict verdict = verdict_of(logs, {log});
      EXPECT_EQ(root_cause(verdict), check) << to_text(fault);
      EXPECT_EQ(verdict.outcome, attestation::Outcome::refused) << to_text(fault);
      EXPECT_EQ(claim(verdict, "eventlog.kernel"), "absent") << "facts of a refused log became claims";
    }
  }
  const ForgedLogs payload = logs_with(LogFault::changed_payload);
  const Verdict verdict = verdict_of(payload, {dstack(payload.dstack)});
  EXPECT_EQ(root_cause(verdict), "eventlog.digests");
  EXPECT_NE(detail_of(verdict, "eventlog.digests").find("compose-hash"), std::string::npos);
}

TEST(EventLogs, ADigestThatIsLeftOutProtectsAChangedPayloadFromNothing) {
  const ForgedLogs logs = make_event_logs({.empty_digests = true, .fault = LogFault::changed_payload});
  EXPECT_EQ(root_cause(verdict_of(logs, {dstack(logs.dstack)})), "eventlog.replay");
}

TEST(EventLogs, EveryRegisterThatDiffersIsNamed) {
  const ForgedLogs mine = make_event_logs({});
  const ForgedLogs other = make_event_logs({.seed = "another boot", .secure_boot = false, .compose = "x"});
  const std::string detail = detail_of(verdict_of(mine, {dstack(other.dstack)}), "eventlog.replay");
  for (const char* name : {"rtmr0", "rtmr1", "rtmr2", "rtmr3"}) EXPECT_NE(detail.find(name), std::string::npos) << name;
}

TEST(EventLogs, AWrapperThatShowsOtherThingsThanItsEventsIsRefused) {
  const ForgedLogs logs = make_event_logs({});
  const auto replaced = [&](std::string_view from, std::string_view to) {
    std::string text = logs.tcb_info;
    text.replace(text.find(from), from.size(), to);
    return root_cause(verdict_of(logs, {dstack(text)}));
  };
  EXPECT_EQ(replaced("\"services: {}\"", "\"services: 1\""), "eventlog.digests");
  EXPECT_EQ(replaced("\"compose_hash\": \"", "\"compose_hash\": \"00"), "eventlog.digests");
  EXPECT_EQ(replaced("\"rtmr3\": \"", "\"rtmr3\": \"00"), "eventlog.replay");
}

TEST(EventLogs, ARegisterThatTheLogNeverExtendsIsADifference) {
  ForgedLogs logs = make_event_logs({});
  const std::string one = R"([{"imr":3,"event_type":134217729,"digest":"","event":"system-ready","event_payload":""}])";
  EXPECT_EQ(root_cause(verdict_of(logs, {dstack(one)})), "eventlog.replay");
  EXPECT_EQ(root_cause(verdict_of(logs, {dstack("[]")})), "eventlog.format");
}

TEST(EventLogs, EvidenceWithoutRunTimeRegistersVouchesForNoLog) {
  const ForgedLogs logs = make_event_logs({});
  const Verdict verdict = verdict_of(logs, {ccel(logs)}, QuoteKind::sgx_v3);
  EXPECT_EQ(root_cause(verdict), "eventlog.replay");
  EXPECT_EQ(verdict.outcome, attestation::Outcome::refused);
}

TEST(EventLogs, APolicyMayAskForWhatALogSays) {
  const ForgedLogs logs = make_event_logs({});
  const auto outcome = [&](std::string_view secure_boot, bool with_log) {
    Verdict verdict = verdict_of(logs, with_log ? std::vector{ccel(logs)} : std::vector<attestation::Supplement>{});
    const std::string mrtd = claim(verdict, "mrtd");
    const auto policy = attestation::Policy::parse(
        R"({"format":1,"identities":[{"name":"web","claims":{"mrtd":")" + mrtd + R"(","eventlog.secure_boot":)" +
        std::string{secure_boot} + R"(,"rtmr2":")" + base::hex(logs.rtmr[2]) +
        R"(","eventlog.command_line":"/vmlinuz root=/dev/vda2 ro console=ttyS0"}}]})");
    if (!policy.ok()) return policy.error().text();
    attestation::evaluate(*policy, verdict);
    return std::string{attestation::to_text(verdict.outcome)};
  };
  EXPECT_EQ(outcome("true", true), "accepted");
  EXPECT_EQ(outcome("false", true), "refused");
  EXPECT_EQ(outcome("true", false), "refused") << "a log that is not there proves nothing";
}

TEST(EventLogs, WithoutALogNothingIsSaidAboutLogs) {
  const Verdict verdict = verdict_of(make_event_logs({}), {});
  for (const auto& result : verdict.checks) {
    EXPECT_FALSE(attestation::info(result.check).id.starts_with("eventlog.")) << attestation::info(result.check).id;
  }
}

// A changed byte in the log is refused wherever a digest, a register or a length rests on it; elsewhere (free text) it
// changes no claim.
TEST(EventLogs, NoChangedByteChangesAClaim) {
  const ForgedLogs logs = make_event_logs({.grub_commands = 1});
  const Verdict good = verdict_of(logs, {ccel(logs)});
  const auto end = eventlog::parse_tcg(logs.ccel, eventlog::Registers::ccel).value().consumed;
  constexpr std::size_t kStep = 29;
  std::size_t refused = 0;
  for (std::size_t at = 0; at < end; at += kStep) {
    ForgedLogs changed = logs;
    changed.ccel[at] ^= 0x20;
    const Verdict verdict = verdict_of(changed, {ccel(changed)});
    if (verdict.outcome == attestation::Outcome::refused) {
      ++refused;
      continue;
    }
    for (const auto& known : verdict.claims) EXPECT_EQ(known.value, claim(good, known.name)) << known.name << " " << at;
  }
  EXPECT_GT(refused, end / kStep / 2);
}

TEST(EventLogs, LimitsAndStrictness) {
  const auto bad = [](ForgedLogs logs, auto change) {
    change(logs.ccel);
    return !eventlog::parse_tcg(logs.ccel, eventlog::Registers::ccel).ok();
  };
  const ForgedLogs logs = make_event_logs({});
  const std::size_t end = eventlog::parse_tcg(logs.ccel, eventlog::Registers::ccel).value().consumed;
  EXPECT_TRUE(bad(logs, [](base::Bytes& b) { b.back() = 0; })) << "padding of two kinds";
  EXPECT_TRUE(bad(logs, [](base::Bytes& b) { b[4] = 4; })) << "first event is no EV_NO_ACTION";
  EXPECT_TRUE(bad(logs, [](base::Bytes& b) { b[32] ^= 1; })) << "signature";
  EXPECT_TRUE(bad(logs, [](base::Bytes& b) { b[56] = 6; })) << "six algorithms";
  EXPECT_TRUE(bad(logs, [](base::Bytes& b) { b[62] = 32; })) << "SHA-384 of 32 bytes";
  EXPECT_TRUE(bad(logs, [](base::Bytes& b) { b.resize(40); }));
  EXPECT_TRUE(bad(logs, [](base::Bytes& b) { b[65] = 9; })) << "register 9";
  EXPECT_TRUE(bad(logs, [](base::Bytes& b) { b[70] = 0x55; })) << "unknown type";
  ForgedLogs zeros = logs;
  std::fill(zeros.ccel.begin() + static_cast<std::ptrdiff_t>(end), zeros.ccel.end(), std::uint8_t{0});
  EXPECT_TRUE(eventlog::parse_tcg(zeros.ccel, eventlog::Registers::ccel).ok()) << "zero padding";
  for (const char* text : {"", "{}", "[1]", R"([{"imr":4,"event_type":4,"digest":""}])",
                           R"([{"imr":3,"event_type":4,"digest":"","event":"x","event_payload":""}])",
                           R"([{"imr":0,"event_type":4,"digest":"00","event":"","event_payload":""}])",
                           R"({"tcb_info":{"tcb_info":{"event_log":[]}}})"}) {
    EXPECT_FALSE(eventlog::parse_dstack(text).ok()) << text;
  }
}

TEST(EventLogs, PcrsBeginAsThePlatformSays) {
  ForgedLogs logs = make_event_logs({});
  base::Bytes log(logs.ccel.begin(), logs.ccel.begin() + 65);
  const auto event = [&log](std::uint8_t pcr, std::uint8_t type, std::string_view data) {
    base::append(log, base::Bytes{pcr, 0, 0, 0, type});
    base::append(log, base::Bytes{0, 0, 0, 1, 0, 0, 0, 0x0c, 0});
    log.resize(log.size() + 48, 0);
    log.push_back(static_cast<std::uint8_t>(data.size()));
    log.resize(log.size() + 3, 0);
    base::append(log, base::as_bytes(data));
  };
  event(0, 3, std::string_view{"StartupLocality\0\x03", 17});
  event(0, 8, "firmware");
  event(17, 8, "launch");
  const auto parsed = eventlog::parse_tcg(log, eventlog::Registers::pcr);
  ASSERT_TRUE(parsed.ok()) << parsed.error().text();
  const auto values = eventlog::replay(*parsed, 0);
  ASSERT_TRUE(values.ok());
  base::Bytes start(48, 0);
  start.back() = 3;
  const base::Bytes zeros(48, 0);
  EXPECT_EQ(values->at(0), eventlog::hash_of(eventlog::Hash::sha384, {start, zeros}));
  EXPECT_EQ(values->at(17), eventlog::hash_of(eventlog::Hash::sha384, {base::Bytes(48, 0xff), zeros}));
  event(0, 3, std::string_view{"StartupLocality\0\x00", 17});
  EXPECT_FALSE(eventlog::replay(eventlog::parse_tcg(log, eventlog::Registers::pcr).value(), 0).ok()) << "twice";
}

TEST(EventLogs, DigestsOfTheSecondVersionAreOfCanonicalJson) {
  const std::string canonical = R"({"name":"app-id","payload":"0a0b","type":134217729})";
  const auto log_of = [&](std::string_view preimage) {
    return R"([{"imr":3,"event_type":134217729,"digest":")" +
           base::hex(eventlog::hash_of(eventlog::Hash::sha384, {base::as_bytes(canonical)})) +
           R"(","event":"app-id","event_payload":"0a0b","version":2,"preimage":")" +
           base::hex(base::as_bytes(preimage)) + R"("}])";
  };
  const auto log = eventlog::parse_dstack(log_of(canonical));
  ASSERT_TRUE(log.ok()) << log.error().text();
  EXPECT_EQ(eventlog::match_digest(*log, log->events[0], 0), eventlog::DigestMatch::matches);
  EXPECT_FALSE(eventlog::parse_dstack(log_of("{}")).ok()) << "a preimage of something else";
}

}  // namespace
}  // namespace attestry::forge
