// A tracker with a TEE beside one without (the original's benchmark_tracker_overhead), over HTTP.
#include <array>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <thread>

#include "app/tracker_bench.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "tracker/attested.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::uint32_t kPieceBytes = 256U << 10U;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr unsigned kCombinedReceipts = 10;

std::string fresh_name(const char* what) {
  return std::string{what} + "-" + base::hex(crypto::system_random().bytes<8>());
}

std::string announce_url(const BenchTracker& tracker, std::uint16_t port) {
  return tracker.url() +
         "/announce?info_hash=attestry-bench-00001&peer_id=-AT0001-bench0000001&left=0&port=" + std::to_string(port);
}

/// One of the two trackers, and what is done to it.
class Side {
 public:
  static Result<std::unique_ptr<Side>> open(BenchRun& run, bool tee) {
    std::unique_ptr<Side> out{new Side(run, tee)};
    TRY(out->tracker_, run.tracker(tee));
    TRY(out->instance_, run.instance(*out->tracker_));
    if (tee) {
      TRY(out->tee_, run.tee());
    }
    TRY_OK(out->enroll(out->sender_), "registration");
    TRY_OK(out->enroll(out->receiver_), "registration");
    return out;
  }
  const BenchTracker& tracker() const noexcept { return *tracker_; }
  bool with_evidence() const noexcept { return tee_ != nullptr && tee_->simulated() && tracker_->own(); }

  Status announce() { return checked(run_.announce(announce_url(*tracker_, kPort))); }
  Status key() {
    return checked(run_.post(tracker_->url() + (attested_ ? "/keygen-tee" : "/keygen"), base::JsonOutObject{}));
  }
  /// A member of his own; with a TEE he shows evidence that names his key.
  Status join() {
    const BenchMember member{fresh_name("member")};
    return with_evidence() ? enroll_attested(member) : enroll(member);
  }
  Status quote() {
    const base::JsonOutObject body{{"payload", "attestry tracker bench"}};
    TRY(const auto made, run_.post(tracker_->url() + "/generate-attestation", body));
    TRY(const auto quote, made->root().get("quote"));
    TRY(quote_, quote.string("quote"));
    return base::done();
  }
  Status verify() {
    TRY(const auto judged,
        run_.post(tracker_->url() + "/verify-attestation",
                  base::JsonOutObject{{"quote", quote_}, {"expected_payload", "attestry tracker bench"}}));
    return checked(judged->root().get("is_valid"));
  }
  /// Signed before the watch runs.
  base::JsonOut prepared_report(unsigned receipts) {
    const auto now = static_cast<std::uint64_t>(run_.context().clock.now().seconds);
    base::JsonOutArray list;
    for (unsigned i = 0; i < receipts; ++i) {
      const auto hash = crypto::sha256(base::as_bytes(std::to_string(next_)));
      list.push_back(json_of(receiver_.receipt(sender_, next_++, kPieceBytes, hash, now)));
    }
    return base::JsonOutObject{{"user_id", sender_.name()}, {"receipts", std::move(list)}};
  }
  Status report(const base::JsonOut& body, unsigned receipts) {
    TRY(const auto answer, run_.post(tracker_->url() + "/report", body));
    TRY(const auto value, answer->root().get("verified_receipts"));
    TRY(const auto verified, value.integer("verified_receipts", 0, INT64_MAX));
    if (verified == receipts) return base::done();
    return Error{Code::internal, "a tracker has not credited every receipt", std::to_string(receipts), answer->text()};
  }

 private:
  static constexpr std::uint16_t kPort = 6881;

  Side(BenchRun& run, bool tee)
      : run_(run), attested_(tee), sender_(fresh_name("sender")), receiver_(fresh_name("receiver")) {}
  template <class T>
  static Status checked(const Result<T>& result) {
    if (result) return base::done();
    return result.error();
  }
  Status enroll(const BenchMember& member) {
    return checked(run_.post(tracker_->url() + "/register", member.registration(instance_)));
  }
  Status enroll_attested(const BenchMember& member) {
    TRY(const auto reply, run_.get(tracker_->url() + "/attestation-nonce"));
    TRY(const auto given, base::JsonDocument::parse(reply.body));
    TRY(const auto nonce_value, given->root().get("nonce"));
    TRY(const auto nonce, nonce_value.string("nonce"));
    TRY(const auto nonce_bytes, base::hex_decode(nonce));
    TRY(const auto evidence, tee_->quote(tracker::registration_payload(member.name(), instance_,
                                                                       member.public_key().encoded(), nonce_bytes)));
    auto body = member.registration(instance_);
    body.emplace_back("attestation",
                      base::JsonOutObject{{"quote", base::hex(evidence)}, {"nonce", std::string{nonce}}});
    return checked(run_.post(tracker_->url() + "/register", std::move(body)));
  }

  BenchRun& run_;
  const bool attested_;
  const BenchMember sender_, receiver_;
  BenchTracker* tracker_ = nullptr;
  tracker::InstanceId instance_{};
  BenchTee* tee_ = nullptr;
  std::uint32_t next_ = 0;
  std::string quote_;
};

/// One thing that is measured; `prepare` is not.
struct Step {
  std::string name;
  std::function<Status(Side& side)> act;
  std::function<void(Side& side)> prepare{};
  bool only_with_tee = false;
};

struct Measured {
  BenchTimes times{};
  double cpu_ms = kNone;  ///< of the tracker's process for one
  bool have = false;
};

/// Both sides in turns, so that whatever else the machine does falls on both. `sides` without a null.
Result<std::vector<Measured>> measure(const std::vector<Side*>& sides, const Step& step,
                                      const TrackerBenchOptions::Overhead& said) {
  std::vector<std::vector<double>> ms(sides.size());
  std::vector<double> cpu_ms(sides.size());
  for (unsigned i = 0; i < said.warmup + said.iterations; ++i) {
    for (std::size_t s = 0; s < sides.size(); ++s) {
      Side& side = *sides[s];
      if (step.prepare) step.prepare(side);
      const double before = side.tracker().cpu_ms();
      BenchWatch watch;
      TRY_OK(step.act(side), step.name);
      const double took = watch.ms();
      if (i < said.warmup) continue;
      ms[s].push_back(took);
      cpu_ms[s] += side.tracker().cpu_ms() - before;
    }
  }
  std::vector<Measured> out;
  out.reserve(sides.size());
  for (std::size_t s = 0; s < sides.size(); ++s) {
    out.push_back({.times = BenchTimes::of(std::move(ms[s])), .cpu_ms = cpu_ms[s] / said.iterations, .have = true});
  }
  return out;
}

std::vector<Step> steps_of(const TrackerBenchOptions::Overhead& said) {
  std::vector<Step> out;
  out.push_back({.name = "announce", .act = [](Side& side) { return side.announce(); }});
  out.push_back({.name = "key (/keygen, /keygen-tee)", .act = [](Side& side) { return side.key(); }});
  out.push_back({.name = "registration", .act = [](Side& side) { return side.join(); }});
  out.push_back({.name = "quote", .act = [](Side& side) { return side.quote(); }, .only_with_tee = true});
  out.push_back(
      {.name = "verification of a quote", .act = [](Side& side) { return side.verify(); }, .only_with_tee = true});
  for (const unsigned count : said.reports) {
    auto body = std::make_shared<base::JsonOut>();
    out.push_back({.name = "report of " + std::to_string(count) + (count == 1 ? " receipt" : " receipts"),
                   .act = [body, count](Side& side) { return side.report(*body, count); },
                   .prepare = [body, count](Side& side) { *body = side.prepared_report(count); }});
  }
  auto body = std::make_shared<base::JsonOut>();
  out.push_back({.name = "all: join, announce, report of " + std::to_string(kCombinedReceipts),
                 .act = [body](Side& side) -> Status {
                   TRY_OK(side.join());
                   TRY_OK(side.announce());
                   return side.report(*body, kCombinedReceipts);
                 },
                 .prepare = [body](Side& side) { *body = side.prepared_report(kCombinedReceipts); }});
  return out;
}

/// Announces of clients at once.
Result<Measured> at_once(BenchRun& run, const Side& side) {
  const auto& said = run.options().overhead;
  const unsigned each = said.iterations * 10;
  std::vector<std::vector<double>> ms(said.clients);
  std::atomic<unsigned> failures{0};
  const double before = side.tracker().cpu_ms();
  {
    std::vector<std::jthread> threads;
    threads.reserve(said.clients);
    for (unsigned client = 0; client < said.clients; ++client) {
      threads.emplace_back([&, client] {
        const std::string url = announce_url(side.tracker(), static_cast<std::uint16_t>(10'000 + client));
        for (unsigned i = 0; i < each; ++i) {
          BenchWatch watch;
          if (!run.announce(url)) ++failures;
          ms[client].push_back(watch.ms());
        }
      });
    }
  }
  if (failures != 0) return Error{Code::unavailable, std::to_string(failures) + " announces failed"};
  std::vector<double> all;
  all.reserve(std::size_t{each} * said.clients);
  for (const auto& one : ms) all.insert(all.end(), one.begin(), one.end());
  const auto count = static_cast<double>(all.size());
  return Measured{
      .times = BenchTimes::of(std::move(all)), .cpu_ms = (side.tracker().cpu_ms() - before) / count, .have = true};
}

base::JsonOut json_of(const Measured& measured) {
  if (!measured.have) return nullptr;
  auto out = measured.times.json();
  out.emplace_back("server_cpu_ms", measured.cpu_ms);
  return out;
}

std::string cell(const Measured& measured) { return measured.have ? short_number(measured.times.median) + " ms" : "-"; }

}  // namespace

Result<BenchOutcome> bench_tracker_overhead(BenchRun& run) {
  const auto& said = run.options().overhead;
  TRY(const auto plain, Side::open(run, false), "tracker without a TEE");
  TRY(const auto attested, Side::open(run, true), "tracker with a TEE");
  BenchOutcome out;
  base::JsonOutArray rows;
  Table table{.columns = {"what", "without TEE", "with TEE", "overhead"}, .rows = {}};
  Plot plot{.kind = Plot::Kind::bars,
            .title = "Tracker with TEE against without",
            .note = "Medians over HTTP on this machine; of what a TEE alone does there is one bar",
            .y_label = "milliseconds (decades)",
            .log_y = true,
            .places = {},
            .series = {{"without TEE", {}}, {"with TEE", {}}}};
  const auto add = [&](const std::string& name, const Measured& without, const Measured& with) {
    const double percent = without.have && with.have ? (with.times.median / without.times.median - 1) * 100 : kNone;
    rows.emplace_back(base::JsonOutObject{{"operation", name},
                                          {"without_tee", json_of(without)},
                                          {"with_tee", json_of(with)},
                                          {"overhead_percent", percent}});
    table.rows.push_back({name, cell(without), cell(with),
                          std::isfinite(percent) ? short_number(std::round(percent * 10) / 10) + " %" : "-"});
    plot.series[0].values.push_back(without.have ? without.times.median : kNone);
    plot.series[1].values.push_back(with.have ? with.times.median : kNone);
  };
  for (const Step& step : steps_of(said)) {
    run.progress("  " + step.name);
    std::vector<Side*> sides{attested.get()};
    if (!step.only_with_tee) sides.insert(sides.begin(), plain.get());
    TRY(const auto measured, measure(sides, step, said));
    add(step.name, step.only_with_tee ? Measured{} : measured.front(), measured.back());
  }
  for (const auto& [name, claimed] : {std::pair{"report of 1 receipt", "410 ms (the original, measured)"},
                                      std::pair{"report of 10 receipts", "2,280 ms (the original, measured)"},
                                      std::pair{"registration", "+50 to +150 % with a TEE"}}) {
    for (const auto& row : table.rows) {
      if (row[0] == name) out.claims.push_back({name, claimed, row[1] + ", with TEE " + row[2]});
    }
  }
  const std::string name = "announce, " + std::to_string(said.clients) + " clients at once";
  run.progress("  " + name);
  TRY(const Measured without, at_once(run, *plain));
  TRY(const Measured with, at_once(run, *attested));
  add(name, without, with);
  plot.places = {"announce", "key", "join", "quote", "verify"};
  for (const unsigned count : said.reports) plot.places.push_back("report " + std::to_string(count));
  plot.places.emplace_back("all");
  plot.places.emplace_back("at once");
  out.json = {{"iterations", said.iterations},
              {"warmup", said.warmup},
              {"clients", said.clients},
              {"tee", run.options().dstack.empty() ? "simulated" : "dstack"},
              {"attested_registration", attested->with_evidence()},
              {"operations", std::move(rows)}};
  if (!attested->with_evidence()) {
    out.notes.emplace_back(
        "members registered without evidence on both: the tracker of this bench takes no real quotes");
  }
  out.tables.emplace_back("Overhead with TEE against without, medians", std::move(table));
  out.plots.emplace_back("tracker_overhead", std::move(plot));
  return out;
}

}  // namespace attestry::app
