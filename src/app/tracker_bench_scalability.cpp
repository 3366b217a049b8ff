// Many peers and members at once, and large swarms (the original's benchmark_scalability), over HTTP.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "app/tracker_bench.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/random.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr unsigned kConnections = 32;  ///< clients at once, whose peers and members take turns
constexpr unsigned kReporters = 16;    ///< fewer than the reports of one address that may wait
constexpr std::uint32_t kPieceBytes = 256U << 10U;

/// A torrent that nobody else announces.
std::string fresh_torrent() { return base::hex(crypto::system_random().bytes<10>()); }

std::string announce_url(const BenchTracker& tracker, const std::string& torrent, unsigned peer) {
  // A peer is an address and a port; the id is told apart for good measure.
  return tracker.url() + "/announce?info_hash=" + torrent + "&peer_id=-AT0001-" +
         std::to_string(100'000'000'000 + peer) + "&left=0&port=" + std::to_string(1 + peer % 65'535);
}

struct Load {
  BenchTimes times{};
  double rate = 0;    ///< a second
  double cpu_ms = 0;  ///< of the tracker for one
};

/// `one` for 0 … count - 1, by clients at once; it may not fail.
Result<Load> load(const BenchTracker& tracker, unsigned clients, std::size_t count,
                  const std::function<Status(std::size_t)>& one) {
  std::vector<double> ms(count);
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> failures{0};
  std::vector<Status> first(std::min<std::size_t>(clients, count), base::done());
  const double before = tracker.cpu_ms();
  BenchWatch whole;
  {
    std::vector<std::jthread> threads;
    threads.reserve(first.size());
    for (std::size_t t = 0; t < first.size(); ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t i = next++; i < count; i = next++) {
          BenchWatch watch;
          Status done = one(i);
          ms[i] = watch.ms();
          if (!done && failures++ == 0) first[t] = std::move(done);
        }
      });
    }
  }
  const double seconds = whole.ms() / 1000;
  for (const Status& status : first) {
    if (!status) return status.error();
  }
  const auto number = static_cast<double>(count);
  return Load{
      .times = BenchTimes::of(std::move(ms)), .rate = number / seconds, .cpu_ms = (tracker.cpu_ms() - before) / number};
}

base::JsonOutObject json_of(const Load& load) {
  auto out = load.times.json();
  out.emplace_back("per_second", load.rate);
  out.emplace_back("server_cpu_ms", load.cpu_ms);
  return out;
}

Result<Load> announces(BenchRun& run, const BenchTracker& tracker, unsigned peers, unsigned rounds) {
  const std::string torrent = fresh_torrent();
  return load(tracker, std::min(peers, kConnections), std::size_t{peers} * rounds, [&](std::size_t i) -> Status {
    TRY_OK(run.announce(announce_url(tracker, torrent, static_cast<unsigned>(i % peers))));
    return base::done();
  });
}

/// Registered, and each with a report that is signed already.
Result<std::vector<std::string>> reports(BenchRun& run, const BenchTracker& tracker, unsigned members,
                                         unsigned receipts) {
  const BenchMember receiver{"receiver-" + fresh_torrent()};
  TRY(const auto instance, run.instance(tracker));
  TRY_OK(run.post(tracker.url() + "/register", receiver.registration(instance)));
  const auto now = static_cast<std::uint64_t>(run.context().clock.now().seconds);
  std::vector<std::string> bodies(members);
  TRY_OK(load(tracker, kReporters, members, [&](std::size_t i) -> Status {
    const BenchMember sender{"sender-" + fresh_torrent()};
    TRY_OK(run.post(tracker.url() + "/register", sender.registration(instance)), "registration");
    base::JsonOutArray list;
    list.reserve(receipts);
    for (unsigned piece = 0; piece < receipts; ++piece) {
      const auto hash = crypto::sha256(base::as_bytes(std::to_string(piece)));
      list.push_back(app::json_of(receiver.receipt(sender, piece, kPieceBytes, hash, now)));
    }
    bodies[i] = base::JsonOut{base::JsonOutObject{{"user_id", sender.name()}, {"receipts", std::move(list)}}}.compact();
    return base::done();
  }));
  return bodies;
}

Result<Load> reported(BenchRun& run, const BenchTracker& tracker, unsigned members, unsigned receipts) {
  TRY(const auto bodies, reports(run, tracker, members, receipts), "members");
  const std::string credited = "\"verified_receipts\":" + std::to_string(receipts);
  return load(tracker, kReporters, members, [&](std::size_t i) -> Status {
    TRY(const auto reply, run.http().post(tracker.url() + "/report", bodies[i], "application/json", run.soon()));
    if (reply.status == 200 && reply.body.contains(credited)) return base::done();
    return Error{Code::unavailable, "a report was not credited", credited,
                 std::to_string(reply.status) + " " + reply.body.substr(0, 300)};
  });
}

struct SwarmFigures {
  Load load;
  std::uint64_t answer_bytes = 0;
  double memory_mib = 0;
};

Result<SwarmFigures> in_a_swarm(BenchRun& run, const BenchTracker& tracker, unsigned size, unsigned asked) {
  const std::string torrent = fresh_torrent();
  TRY_OK(load(tracker, kConnections, size, [&](std::size_t i) -> Status {
    TRY_OK(run.announce(announce_url(tracker, torrent, static_cast<unsigned>(i)) + "&numwant=0"));
    return base::done();
  }));
  SwarmFigures out;
  const std::string url = announce_url(tracker, torrent, 0) + "&numwant=50";
  TRY(const auto answer, run.announce(url));
  out.answer_bytes = answer.body.size();
  TRY(out.load, load(tracker, 1, asked, [&](std::size_t) -> Status {
        TRY_OK(run.announce(url));
        return base::done();
      }));
  out.memory_mib = tracker.memory_mib();
  return out;
}

}  // namespace

Result<BenchOutcome> bench_scalability(BenchRun& run) {
  const auto& said = run.options().scalability;
  TRY(BenchTracker * tracker, run.tracker(false));
  BenchOutcome out;
  Plot peers_plot{
      .kind = Plot::Kind::lines,
      .title = "Peers and members at once",
      .note = "At most " + std::to_string(kConnections) + " connections; the clients share the machine",
      .x_label = "peers, members",
      .y_label = "milliseconds, median (decades)",
      .log_y = true,
      .places = {},
      .series = {{"announce", {}}, {"report of " + std::to_string(said.receipts_per_report) + " receipts", {}}}};
  Table peers_table{.columns = {"peers", "announce", "p95", "a second", "tracker's CPU", "report", "p95", "a second"},
                    .rows = {}};
  base::JsonOutArray by_peers;
  const unsigned rounds = std::max(1U, said.announces / 10);
  for (const unsigned peers : said.peers) {
    run.progress("  " + std::to_string(peers) + " peers announce, as many members report");
    TRY(const Load announced, announces(run, *tracker, peers, rounds));
    TRY(const Load credited, reported(run, *tracker, peers, said.receipts_per_report));
    by_peers.emplace_back(base::JsonOutObject{{"peers", peers},
                                              {"announces", std::uint64_t{peers} * rounds},
                                              {"announce", json_of(announced)},
                                              {"receipts_per_report", said.receipts_per_report},
                                              {"report", json_of(credited)}});
    peers_table.rows.push_back({std::to_string(peers), short_number(announced.times.median) + " ms",
                                short_number(announced.times.p95) + " ms", short_number(announced.rate),
                                std::isfinite(announced.cpu_ms) ? short_number(announced.cpu_ms) + " ms" : "-",
                                short_number(credited.times.median) + " ms", short_number(credited.times.p95) + " ms",
                                short_number(credited.rate)});
    peers_plot.places.push_back(std::to_string(peers));
    peers_plot.series[0].values.push_back(announced.times.median);
    peers_plot.series[1].values.push_back(credited.times.median);
  }
  out.claims.push_back({"announces of " + std::to_string(said.peers.back()) + " peers",
                        "1.07 ms of CPU, 974 a second (the original, measured)",
                        peers_table.rows.back()[4] + " of CPU, " + peers_table.rows.back()[3] + " a second"});
  Plot swarm_plot{.kind = Plot::Kind::lines,
                  .title = "Announces in swarms of many peers",
                  .note = "One client, who wants 50 peers",
                  .x_label = "peers in the swarm",
                  .y_label = "milliseconds",
                  .places = {},
                  .series = {{"median", {}}, {"95 of 100", {}}}};
  Table swarm_table{.columns = {"swarm", "announce", "p95", "answer", "tracker's memory"}, .rows = {}};
  base::JsonOutArray by_swarm;
  for (const unsigned size : said.swarms) {
    run.progress("  a swarm of " + std::to_string(size) + " peers");
    TRY(const SwarmFigures figures, in_a_swarm(run, *tracker, size, said.announces));
    auto json = json_of(figures.load);
    json.emplace_back("answer_bytes", figures.answer_bytes);
    json.emplace_back("memory_mib", figures.memory_mib);
    by_swarm.emplace_back(base::JsonOutObject{{"swarm_size", size}, {"announce", std::move(json)}});
    swarm_table.rows.push_back({std::to_string(size), short_number(figures.load.times.median) + " ms",
                                short_number(figures.load.times.p95) + " ms",
                                std::to_string(figures.answer_bytes) + " bytes",
                                std::isfinite(figures.memory_mib) ? short_number(figures.memory_mib) + " MiB" : "-"});
    swarm_plot.places.push_back(std::to_string(size));
    swarm_plot.series[0].values.push_back(figures.load.times.median);
    swarm_plot.series[1].values.push_back(figures.load.times.p95);
  }
  out.json = {{"peer_scaling", std::move(by_peers)}, {"swarm_scaling", std::move(by_swarm)}};
  out.notes.emplace_back("latencies are a client's, with its own work and that of the others beside it");
  out.tables.emplace_back("Peers and members at once", std::move(peers_table));
  out.tables.emplace_back("Swarms", std::move(swarm_table));
  out.plots.emplace_back("scalability_peers", std::move(peers_plot));
  out.plots.emplace_back("scalability_swarms", std::move(swarm_plot));
  return out;
}

}  // namespace attestry::app
