// Logs of untrue guests: they lead to the registers of the TD, and yet nothing in them that the guest could have made
// up becomes a claim that a policy takes for proved.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestation/policy.h"
#include "attestation/verifier.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "crypto/hash.h"
#include "forge/event_log.h"
#include "forge/scenario.h"

namespace attestry::forge {
namespace {

using attestation::CheckStatus;
using attestation::Outcome;
using attestation::SupplementKind;
using attestation::Verdict;
using ::testing::HasSubstr;

constexpr base::UtcTime kAt{1'795'261'432};
const std::string kLine = "/vmlinuz root=/dev/vda2 ro console=ttyS0";

const ForgePki& pki() {
  static const ForgePki one = ForgePki::make(base::as_bytes("untrue logs")).value();
  return one;
}

Verdict verdict_of(const std::array<base::FixedBytes<48>, 4>& rtmr,
                   const std::vector<attestation::Supplement>& supplements) {
  QuoteSpec quote = default_quote(pki(), QuoteKind::tdx_v4);
  quote.td.rtmr = rtmr;
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
Verdict with_ccel(const ForgedLogs& logs) { return verdict_of(logs.rtmr, {ccel(logs)}); }
Verdict with_dstack(const ForgedLogs& logs) { return verdict_of(logs.rtmr, {dstack(logs.dstack)}); }

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
    if (attestation::info(result.check).id == id)
      return result.expected + " | " + result.actual + " | " + result.detail;
  }
  return "absent";
}

/// The outcome under `{"format":1, MEMBERS}`, or why the policy cannot be read.
std::string outcome(Verdict& verdict, const std::string& members) {
  const auto policy = attestation::Policy::parse(R"({"format":1,)" + members + "}");
  if (!policy.ok()) return policy.error().text();
  attestation::evaluate(*policy, verdict);
  return std::string{attestation::to_text(verdict.outcome)};
}

std::string equals(std::string_view name, std::string_view value) {
  return R"({"claim":")" + std::string{name} + R"(","equals":")" + std::string{value} + R"("})";
}

TEST(UntrueLogs, ASeparatorIsFoundByItsDigestWhateverItsLabel) {
  const ForgedLogs logs = make_event_logs({.fault = LogFault::relabelled_boot});
  for (Verdict verdict : {with_ccel(logs), with_dstack(logs)}) {
    EXPECT_EQ(root_cause(verdict), "eventlog.separators");
    EXPECT_THAT(detail_of(verdict, "eventlog.separators"), HasSubstr("EV_EFI_PLATFORM_FIRMWARE_BLOB"));
    EXPECT_EQ(claim(verdict, "eventlog.secure_boot"), "absent");
    EXPECT_EQ(outcome(verdict, R"("require":{"secure_boot":true})"), "refused");
  }
}

TEST(UntrueLogs, NoLoaderIsFirstAfterAnEventThatNobodyCanCompute) {
  const ForgedLogs logs = make_event_logs({.fault = LogFault::relabelled_loader});
  for (const Verdict& verdict : {with_ccel(logs), with_dstack(logs)}) {
    EXPECT_EQ(root_cause(verdict), "none");
    EXPECT_EQ(claim(verdict, "eventlog.boot_loader"), "absent");
    EXPECT_EQ(claim(verdict, "eventlog.secure_boot"), "true");
  }
}

struct Shown {
  std::uint8_t number;  ///< 1: RTMR0
  std::uint32_t type;
  base::FixedBytes<48> digest;
  base::Bytes data;
};
constexpr std::uint32_t kSeparator = 4;
constexpr std::uint32_t kVariableBoot = 0x80000002;
constexpr std::uint32_t kApplication = 0x80000003;
constexpr std::uint32_t kDriver = 0x80000004;
constexpr std::uint32_t kGpt = 0x80000006;
constexpr std::uint32_t kAction = 0x80000007;

Shown covered(std::uint8_t number, std::uint32_t type, const base::Bytes& data) {
  return {number, type, crypto::sha384(data), data};
}
Shown action(std::string_view text) { return covered(2, kAction, base::to_bytes(text)); }
Shown separator(std::uint8_t number) { return covered(number, kSeparator, base::Bytes(4, 0)); }
Shown file(std::uint32_t type, std::string_view content, std::string_view data = "") {
  return {2, type, crypto::sha384(base::as_bytes(content)), base::to_bytes(data)};
}
const Shown kCalling = action("Calling EFI Application from Boot Option");
const Shown kReturning = action("Returning from EFI Application from Boot Option");
const Shown kExit = action("Exit Boot Services Invocation");
const Shown kPartitions = covered(2, kGpt, base::to_bytes("EFI PART, and so on"));

/// These events as a CCEL, beside a quote with their registers.
Verdict of(const std::vector<Shown>& events) {
  constexpr std::size_t kHeader = 65;
  const base::Bytes any = make_event_logs({}).ccel;
  base::Bytes log(any.begin(), any.begin() + kHeader);
  std::array<base::FixedBytes<48>, 4> rtmr{};
  const auto put = [&log](std::size_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) log.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  };
  for (const Shown& event : events) {
    auto& reg = rtmr[event.number - 1u];
    reg = crypto::sha384({reg, event.digest});
    put(event.number, 4);
    put(event.type, 4);
    put(1, 4);
    put(0x0c, 2);
    base::append(log, event.digest);
    put(event.data.size(), 4);
    base::append(log, event.data);
  }
  return verdict_of(rtmr, {{SupplementKind::tcg_event_log, log}});
}

TEST(UntrueLogs, TheFirstProgramIsTheFirstDigestOfNoKnownText) {
  const std::string good = base::hex(crypto::sha384(base::as_bytes("good")));
  const auto loader = [&](const std::vector<Shown>& events) {
    const Verdict verdict = of(events);
    EXPECT_EQ(root_cause(verdict), "none");
    EXPECT_TRUE(claim(verdict, "eventlog.kernel") == "absent" || verdict.claim("eventlog.kernel")->log_word);
    return claim(verdict, "eventlog.boot_loader");
  };
  const Shown app = file(kApplication, "good");
  EXPECT_EQ(loader({kCalling, separator(2), kPartitions, app, kExit}), good);
  EXPECT_EQ(loader({kCalling, separator(2), app, file(kApplication, "next"), kExit}), good);
  EXPECT_EQ(loader({kCalling, separator(2), kReturning, kCalling, app, kExit}), good) << "an option without a program";
  EXPECT_EQ(loader({kCalling, app, kExit}), "absent") << "no separator";
  EXPECT_EQ(loader({kCalling, separator(2), kExit, app}), "absent") << "measured by the system";
  Shown exit = kExit;
  exit.type = kDriver;
  EXPECT_EQ(loader({kCalling, separator(2), exit, app, kExit}), "absent") << "whatever the label";
  EXPECT_EQ(loader({kCalling, separator(2), app, kReturning, kCalling, file(kApplication, "evil"), kExit}), "absent")
      << "it returned, and another one was started";
  Shown called = kCalling;
  called.type = kDriver;
  EXPECT_EQ(loader({kCalling, separator(2), app, called, file(kDriver, "evil"), kExit}), "absent");
  EXPECT_EQ(loader({file(kDriver, "of a device"), kCalling, separator(2), app, kExit}), "absent");
  // The hashed bytes of a program as the data of something that is hashed as it is.
  const std::string program("MZ\x90\0 evil\r\n\xff", 12);
  for (const std::uint32_t type : {kGpt, kAction, kVariableBoot}) {
    EXPECT_EQ(loader({kCalling, separator(2), file(type, program, program), app, kExit}), "absent") << type;
  }
}

TEST(UntrueLogs, AKernelBeforeTheSeparatorIsTheOnlyProgram) {
  const auto kernel = [](const std::vector<Shown>& events) {
    const Verdict verdict = of(events);
    const auto* found = verdict.claim("eventlog.kernel");
    return found == nullptr ? "absent" : found->log_word ? "word" : found->value;
  };
  // EV_EVENT_TAG LOAD_OPTIONS of Linux's EFI stub.
  const Shown options{3, 6, crypto::sha384(base::as_bytes("ro")), {0xed, 0x22, 0x3b, 0x8f, 0, 0, 0, 0}};
  const Shown app = file(kApplication, "good");
  EXPECT_EQ(kernel({app, kCalling, separator(2), options, kExit}), base::hex(app.digest));
  EXPECT_EQ(kernel({app, kCalling, separator(2), file(kDriver, "evil"), options, kExit}), "absent");
  EXPECT_EQ(kernel({app, kCalling, separator(2), file(kApplication, "evil"), options, kExit}), "absent");
  EXPECT_EQ(kernel({file(kDriver, "evil"), app, kCalling, separator(2), options, kExit}), "absent");
  EXPECT_EQ(kernel({app, kCalling, kCalling, separator(2), options, kExit}), "absent");
  EXPECT_EQ(kernel({kCalling, separator(2), app, file(kApplication, "linux"), options, kExit}), "word");
}

TEST(UntrueLogs, OnlyABootOrderMayLookLikeAnErrorAndOnlyBehindTheSeparator) {
  const Shown order{1, kVariableBoot, crypto::sha384(base::Bytes{1, 0, 0, 0}), {}};
  Shown named = order;
  named.data = base::Bytes(16, 0x61);
  const base::Bytes tail{1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 'B', 0, 1, 0, 0, 0};
  base::append(named.data, tail);
  EXPECT_EQ(root_cause(of({separator(1), named})), "none");
  EXPECT_EQ(root_cause(of({named, separator(1)})), "eventlog.separators");
  Shown driver = order;
  driver.type = kDriver;
  EXPECT_EQ(root_cause(of({separator(1), driver})), "eventlog.separators");
  for (const std::uint8_t byte : {std::uint8_t{0x00}, std::uint8_t{0xff}}) {
    named.digest = crypto::sha384(base::Bytes(4, byte));
    std::fill(named.data.end() - 4, named.data.end(), byte);
    EXPECT_EQ(root_cause(of({separator(1), named})), "eventlog.separators");
  }
}

TEST(UntrueLogs, WhatGrubMeasuredIsTheLogsWord) {
  const ForgedLogs logs = make_event_logs({.fault = LogFault::relabelled_kernel});
  Verdict verdict = with_ccel(logs);
  const std::string kernel = base::hex(logs.kernel);
  const std::string rtmr2 = base::hex(logs.rtmr[2]);
  const std::string mrtd = claim(verdict, "mrtd");
  ASSERT_EQ(claim(verdict, "eventlog.kernel"), kernel) << "what the log says is shown";
  EXPECT_THAT(detail_of(verdict, "eventlog.replay"), HasSubstr("the log's word"));

  const auto conditions = [&](const std::string& list) { return outcome(verdict, R"("conditions":[)" + list + "]"); };
  for (const auto& [name, value] : {std::pair{"eventlog.kernel", kernel}, {"eventlog.command_line", kLine}}) {
    const std::string one = equals(name, value);
    EXPECT_EQ(conditions(one), "refused") << name;
    EXPECT_THAT(detail_of(verdict, "policy.condition"), HasSubstr("only the log's word")) << name;
    EXPECT_EQ(conditions(R"({"any_of":[)" + one + "]}"), "refused");
    // Beside the register, in whatever order.
    EXPECT_EQ(conditions(one + "," + equals("rtmr2", rtmr2)), "accepted");
    EXPECT_EQ(conditions(R"({"all_of":[)" + one + "," + equals("rtmr2", rtmr2) + "]}"), "accepted");
    EXPECT_EQ(conditions(one + R"(,{"any_of":[)" + equals("rtmr2", rtmr2) + "]}"), "accepted");
    // Another alternative, a part of the register, another register: no.
    EXPECT_EQ(conditions(R"({"any_of":[)" + one + "," + equals("rtmr2", std::string(96, 'a')) + "]}"), "refused");
    EXPECT_EQ(conditions(one + R"(,{"any_of":[)" + equals("rtmr2", rtmr2) + "," + equals("mrtd", mrtd) + "]}"),
              "refused");
    EXPECT_EQ(conditions(one + R"(,{"claim":"rtmr2","prefix":")" + rtmr2.substr(0, 4) + R"("})"), "refused");
    EXPECT_EQ(conditions(one + "," + equals("mrtd", mrtd)), "refused");
    // The policy says that it believes labels.
    const std::string trusting = R"("require":{"event_log":{"trust_log_labels":true}},"conditions":[)" + one + "]";
    EXPECT_EQ(outcome(verdict, trusting), "accepted");
    EXPECT_EQ(outcome(verdict, R"("require":{"event_log":{"trust_log_labels":false}},"conditions":[)" + one + "]"),
              "refused");
  }
}

TEST(UntrueLogs, AnIdentityNeedsTheRegisterBesideTheLogsWord) {
  const ForgedLogs logs = make_event_logs({.fault = LogFault::relabelled_kernel});
  Verdict verdict = with_ccel(logs);
  const auto identity = [&](const std::string& more) {
    return R"("identities":[{"name":"web","claims":{"mrtd":")" + claim(verdict, "mrtd") +
           R"(","eventlog.command_line":")" + kLine + "\"" + more + "}}]";
  };
  const std::string rtmr2 = base::hex(logs.rtmr[2]);
  EXPECT_EQ(outcome(verdict, identity("")), "refused");
  EXPECT_THAT(detail_of(verdict, "policy.measurement.allowed"), HasSubstr("only the log's word"));
  EXPECT_EQ(outcome(verdict, identity(R"(,"rtmr2":")" + rtmr2 + "\"")), "accepted");
  EXPECT_EQ(outcome(verdict, identity("") + R"(,"conditions":[)" + equals("rtmr2", rtmr2) + "]"), "accepted");
  EXPECT_EQ(outcome(verdict, identity("") + R"(,"require":{"event_log":{"trust_log_labels":true}})"), "accepted");
  // Conditions rest on the register of the identities, when each of them has one.
  const std::string line = R"(,"conditions":[)" + equals("eventlog.kernel", base::hex(logs.kernel)) + "]";
  EXPECT_EQ(outcome(verdict, identity(R"(,"rtmr2":")" + rtmr2 + "\"") + line), "accepted");
}

TEST(UntrueLogs, TwoLogsThatContradictEachOtherProveNeither) {
  const ForgedLogs logs = make_event_logs({.fault = LogFault::two_stories});
  EXPECT_EQ(claim(with_ccel(logs), "eventlog.kernel"), base::hex(logs.kernel));
  EXPECT_NE(claim(with_dstack(logs), "eventlog.kernel"), base::hex(logs.kernel));
  EXPECT_NE(claim(with_dstack(logs), "eventlog.kernel"), "absent");
  for (const auto& order : {std::vector{ccel(logs), dstack(logs.dstack)}, {dstack(logs.dstack), ccel(logs)}}) {
    const Verdict both = verdict_of(logs.rtmr, order);
    EXPECT_EQ(root_cause(both), "none");
    EXPECT_EQ(claim(both, "eventlog.kernel"), "absent");
    EXPECT_EQ(claim(both, "eventlog.secure_boot"), "true") << "what both say stays";
  }
}

TEST(UntrueLogs, ANameOfDstackEndsWhereItsDigestSaysSo) {
  const ForgedLogs logs = make_event_logs({.fault = LogFault::split_name});
  const Verdict verdict = with_dstack(logs);
  EXPECT_EQ(root_cause(verdict), "eventlog.format");
  EXPECT_EQ(claim(verdict, "eventlog.compose_hash"), "absent");
  for (const char* name : {"", ":", "a:b", "compose-hash:"}) {
    const std::string log =
        R"([{"imr":3,"event_type":134217729,"digest":"","event":")" + std::string{name} + R"(","event_payload":""}])";
    EXPECT_EQ(root_cause(verdict_of(logs.rtmr, {dstack(log)})), "eventlog.format") << name;
  }
}

struct Runtime {
  std::string name;
  std::string payload;  ///< hex
};

/// A stripped log of dstack with these events in RTMR3, and the registers for it.
Verdict runtime_verdict(const std::vector<Runtime>& events) {
  std::array<base::FixedBytes<48>, 4> rtmr{};
  base::JsonOutArray list;
  for (const auto& [name, payload] : events) {
    const base::Bytes type{1, 0, 0, 8, ':'};
    rtmr[3] = crypto::sha384({rtmr[3], crypto::sha384({type, base::as_bytes(name), base::as_bytes(":"),
                                                       base::hex_decode(payload).value()})});
    list.emplace_back(base::JsonOutObject{
        {"imr", 3}, {"event_type", 134217729}, {"digest", ""}, {"event", name}, {"event_payload", payload}});
  }
  return verdict_of(rtmr, {dstack(base::JsonOut(std::move(list)).compact())});
}

TEST(UntrueLogs, OnlyTheAgentsPartNamesTheApp) {
  const ForgedLogs logs = make_event_logs({.fault = LogFault::late_identity});
  const Verdict late = with_dstack(logs);
  EXPECT_EQ(root_cause(late), "none");
  EXPECT_NE(claim(late, "eventlog.compose_hash"), "absent") << "before boot-mr-done";
  EXPECT_NE(claim(late, "eventlog.compose_hash"), std::string(64, 'e'));
  EXPECT_EQ(claim(late, "eventlog.key_provider"), "absent") << "no system-ready: perhaps the workload's";

  const Runtime compose{"compose-hash", std::string(64, 'a')};
  const Runtime provider{"key-provider", "7b7d"};
  const auto compose_of = [](const Verdict& v) { return claim(v, "eventlog.compose_hash"); };
  EXPECT_EQ(compose_of(runtime_verdict({compose, {"app-id", "01"}})), "absent") << "no border";
  EXPECT_EQ(claim(runtime_verdict({compose, {"app-id", "01"}}), "eventlog.app_id"), "absent");
  EXPECT_EQ(compose_of(runtime_verdict({compose, {"boot-mr-done", ""}})), compose.payload);
  EXPECT_EQ(compose_of(runtime_verdict({compose, {"system-ready", ""}})), compose.payload);
  EXPECT_EQ(compose_of(runtime_verdict({{"boot-mr-done", ""}, compose, {"system-ready", ""}})), "absent");
  EXPECT_EQ(compose_of(runtime_verdict({{"system-ready", ""}, compose, {"boot-mr-done", ""}})), "absent");
  EXPECT_EQ(compose_of(runtime_verdict({compose, compose, {"boot-mr-done", ""}})), "absent") << "twice";
  const Verdict whole = runtime_verdict({compose, {"boot-mr-done", ""}, provider, {"system-ready", ""}, compose});
  EXPECT_EQ(compose_of(whole), compose.payload);
  EXPECT_EQ(claim(whole, "eventlog.key_provider"), "{}");
}

TEST(UntrueLogs, APolicyThatAsksForALogAsksForTheRegistersOfTheBoot) {
  const ForgedLogs logs = make_event_logs({.fault = LogFault::stripped});
  Verdict stripped = with_dstack(logs);
  Verdict whole = with_ccel(logs);
  Verdict both = verdict_of(logs.rtmr, {ccel(logs), dstack(logs.dstack)});
  EXPECT_EQ(claim(stripped, "eventlog.registers"), "rtmr3");
  EXPECT_EQ(claim(whole, "eventlog.registers"), "rtmr0 rtmr1 rtmr2");
  EXPECT_EQ(claim(both, "eventlog.registers"), "rtmr0 rtmr1 rtmr2 rtmr3");
  EXPECT_THAT(detail_of(both, "eventlog.replay"), HasSubstr("rtmr0, rtmr1, rtmr2, rtmr3"));
  const std::string any = R"("require":{"event_log":true})";
  EXPECT_EQ(outcome(stripped, any), "undecided");
  EXPECT_THAT(detail_of(stripped, "policy.event_log"), HasSubstr("rtmr0"));
  EXPECT_EQ(outcome(whole, any), "accepted");
  EXPECT_EQ(outcome(both, any), "accepted");
  const auto of = [](const std::string& list) { return R"("require":{"event_log":{"registers":[)" + list + "]}}"; };
  EXPECT_EQ(outcome(stripped, of(R"("rtmr3")")), "accepted");
  EXPECT_EQ(outcome(whole, of(R"("rtmr3")")), "undecided");
  EXPECT_EQ(outcome(whole, of(R"("rtmr0","rtmr1")")), "accepted");
  EXPECT_EQ(outcome(both, of(R"("rtmr0","rtmr1","rtmr2","rtmr3")")), "accepted");
  for (const char* wrong : {"", R"("rtmr4")", R"("mrtd")", "1"}) {
    EXPECT_THAT(outcome(whole, of(wrong)), HasSubstr("require.event_log")) << wrong;
  }
  EXPECT_THAT(outcome(whole, R"("require":{"event_log":{"register":[]}})"), HasSubstr("registers"));
  EXPECT_THAT(outcome(whole, R"("require":{"event_log":1})"), HasSubstr("require.event_log"));
}

}  // namespace
}  // namespace attestry::forge
