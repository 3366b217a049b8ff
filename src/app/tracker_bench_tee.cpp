// Keys and quotes of a TEE (the original's benchmark_tee), through the parts that the tracker has of it.
#include <limits>

#include "app/tracker_bench.h"
#include "base/encoding.h"
#include "crypto/random.h"
#include "curves/bls_signature.h"
#include "tracker/attested.h"

namespace attestry::app {

using base::Result;
using base::Status;

namespace {

struct Verifications {
  std::vector<double> first, cached;
  unsigned attempts = 0;
  unsigned successful = 0;
  std::string trouble;
};

/// The first with its collateral over HTTP and all signatures, the second with what is in memory then.
void verify_once(BenchTee& tee, const base::Bytes& quote, const std::string& payload, Verifications& out) {
  ++out.attempts;
  BenchWatch first;
  const auto warm = tee.fetch(quote);
  const Status good = warm ? tee.verify(*warm, quote, payload) : Status{warm.error()};
  out.first.push_back(first.ms());
  if (!good) {
    out.trouble = good.error().text();
    return;
  }
  BenchWatch cached;
  const Status again = tee.verify(*warm, quote, payload);
  out.cached.push_back(cached.ms());
  if (again) ++out.successful;
}

base::JsonOutObject with(base::JsonOutObject object, base::JsonOutObject more) {
  for (auto& one : more) object.push_back(std::move(one));
  return object;
}

}  // namespace

Result<BenchOutcome> bench_tee(BenchRun& run) {
  const auto& said = run.options().tee;
  TRY(BenchTee * tee, run.tee());
  run.progress("  TEE: " + tee->says());
  auto& random = crypto::system_random();
  std::vector<double> regular;
  std::vector<double> derived;
  std::vector<double> quoting;
  base::Bytes quote;
  std::string payload;
  run.progress("  keys and quotes, " + std::to_string(said.iterations) + " of each");
  for (unsigned i = 0; i < said.iterations; ++i) {
    BenchWatch drawing;
    const auto drawn = curves::bls::SigningKey::random(random).public_key();
    regular.push_back(drawing.ms());
    const std::string salt = base::hex(random.bytes<16>());
    BenchWatch deriving;
    TRY(const auto made, tracker::derive_member_key(tee->keys(), salt), "key of the TEE");
    const auto derived_key = made.key.public_key();
    derived.push_back(deriving.ms());
    if (derived_key == drawn) return base::Error{base::Code::internal, "a key came twice"};
    payload = "attestry tracker bench " + std::to_string(i);
    BenchWatch watch;
    TRY(quote, tee->quote(payload), "quote of the TEE");
    quoting.push_back(watch.ms());
  }
  run.progress("  verifying, " + std::to_string(said.verifications) + " times");
  Verifications checks;
  for (unsigned i = 0; i < said.verifications; ++i) verify_once(*tee, quote, payload, checks);

  const auto plain = BenchTimes::of(regular);
  const auto teed = BenchTimes::of(derived);
  const auto generation = BenchTimes::of(quoting);
  const auto first = BenchTimes::of(checks.first);
  const auto cached = BenchTimes::of(checks.cached);
  const double percent = (teed.mean / plain.mean - 1) * 100;
  double total = 0;
  for (const double ms : quoting) total += ms;
  BenchOutcome out;
  out.json = {
      {"tee_available", true},
      {"tee", tee->says()},
      {"simulated", tee->simulated()},
      {"key_generation", base::JsonOutObject{{"regular", plain.json()},
                                             {"tee", with(teed.json(), {{"overhead_vs_regular", teed.mean - plain.mean},
                                                                        {"overhead_percent", percent}})}}},
      {"attestation_generation",
       with(generation.json(), {{"total_ms", total}, {"quote_size_bytes", std::uint64_t{quote.size()}}})},
      {"attestation_verification",
       with(first.json(), {{"success_rate", static_cast<double>(checks.successful) / checks.attempts},
                           {"num_attempts", checks.attempts},
                           {"num_successful", checks.successful},
                           {"cached", cached.json()}})}};
  if (!checks.trouble.empty()) {
    out.json.emplace_back("verification_trouble", checks.trouble);
    out.notes.push_back("no quote was verified: " + checks.trouble);
  }
  out.notes.push_back("the TEE is " + tee->says());
  const bool verified = !checks.cached.empty();
  out.claims = {
      {"key of the TEE against one drawn here", "+50 to +200 %", short_number(percent) + " %"},
      {"quote", "10 to 50 ms", short_number(generation.median) + " ms"},
      {"verification, first", "150 to 300 ms", verified ? short_number(first.median) + " ms" : "-"},
      {"verification, collateral in memory", "50 to 100 ms", verified ? short_number(cached.median) + " ms" : "-"}};
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  Table table{.columns = {"what", "median", "least", "most"}, .rows = {}};
  const auto row = [&](const char* what, const BenchTimes& times, bool have) {
    table.rows.push_back({what, have ? short_number(times.median) + " ms" : "-",
                          have ? short_number(times.min) + " ms" : "-", have ? short_number(times.max) + " ms" : "-"});
  };
  row("key, drawn here", plain, true);
  row("key, derived by the TEE, with its proof", teed, true);
  row("quote", generation, true);
  row("verification, collateral fetched", first, verified);
  row("verification, collateral in memory", cached, verified);
  out.tables.emplace_back("Keys and quotes", std::move(table));
  out.plots.emplace_back(
      "tee", Plot{.kind = Plot::Kind::bars,
                  .title = "Keys and quotes",
                  .note = tee->simulated() ? "Simulated TEE (the forge)" : "dstack's guest agent",
                  .y_label = "milliseconds (decades)",
                  .log_y = true,
                  .places = {"key, drawn", "key, derived", "quote", "verified, first", "verified, again"},
                  .series = {{"median",
                              {plain.median, teed.median, generation.median, verified ? first.median : kNone,
                               verified ? cached.median : kNone}}}});
  return out;
}

}  // namespace attestry::app
