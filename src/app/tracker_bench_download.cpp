// A client that downloads pieces and signs a receipt for each (the original's benchmark_client_download). Pieces and
// receipts go over TCP between two ends of this process; the receipts then earn their credit at a real tracker.
//
// A download at 1 MB/s of 1,000 MB takes a quarter of an hour, and there are twenty of them. So each size of pieces is
// measured with a sample at full speed, once without and once with receipts; what receipts cost there is set against
// the time that the piece takes at each speed. Beside it each speed is really kept for a second or so.
#include <algorithm>
#include <cmath>
#include <optional>
#include <thread>

#include "app/tracker_bench.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "net/router.h"
#include "net/server.h"
#include "tracker/bencode.h"
#include "tracker/receipt_batch.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kKib = 1024;
constexpr double kMega = 1e6;
constexpr std::size_t kMostPiece = 16U << 20U;  ///< what trackers take
constexpr std::size_t kPlaces = 4096;
constexpr std::size_t kReported = 500;  ///< receipts in one report

/// The receipts of a handed-over list, as peers write them (PBTS section 10).
std::string batch_message(std::span<const tracker::Receipt> receipts) {
  const auto put = [](std::string& out, std::string_view key, base::ByteView bytes) {
    tracker::append_bencoded(out, key);
    tracker::append_bencoded(out, base::as_text(bytes));
  };
  std::string out = "d8:receiptsl";
  for (const tracker::Receipt& receipt : receipts) {
    out += "d";
    put(out, "infohash", receipt.infohash);
    put(out, "piece_hash", receipt.piece_hash.bytes());
    tracker::append_bencoded(out, "piece_index");
    tracker::append_bencoded(out, static_cast<std::int64_t>(receipt.piece_index));
    put(out, "receiver_pk", receipt.receiver);
    put(out, "sender_pk", receipt.sender);
    put(out, "signature", receipt.signature);
    tracker::append_bencoded(out, "timestamp");
    tracker::append_bencoded(out, static_cast<std::int64_t>(receipt.time));
    out += "e";
  }
  return out + "ee";
}

template <std::size_t N>
Status copy_field(const tracker::Bencode& item, std::string_view key, base::FixedBytes<N>& out) {
  TRY(const auto text, item.get_string(key));
  if (text.size() != N) return Error{Code::malformed, std::string{key}, std::to_string(N) + " bytes"};
  std::ranges::copy(base::as_bytes(text), out.begin());
  return base::done();
}

Result<tracker::Receipt> read_receipt_of_peer(const tracker::Bencode& item) {
  tracker::Receipt out;
  TRY_OK(copy_field(item, "infohash", out.infohash));
  TRY_OK(copy_field(item, "receiver_pk", out.receiver));
  TRY_OK(copy_field(item, "sender_pk", out.sender));
  TRY_OK(copy_field(item, "signature", out.signature));
  TRY(const auto hash, item.get_string("piece_hash"));
  TRY(out.piece_hash, tracker::PieceHash::create(base::as_bytes(hash)));
  TRY(const auto index, item.get_integer("piece_index", 0, UINT32_MAX));
  TRY(const auto time, item.get_integer("timestamp", 0, INT64_MAX));
  out.piece_index = static_cast<std::uint32_t>(index);
  out.time = static_cast<std::uint64_t>(time);
  return out;
}

/// Who has the file: hands out pieces, and verifies receipts before he goes on.
class Seeder {
 public:
  static Result<std::unique_ptr<Seeder>> start() {
    std::unique_ptr<Seeder> out{new Seeder()};
    auto router = std::make_shared<net::Router>();
    TRY_OK(router->add({.path = "/piece/{bytes}/{index}",
                        .auth = net::Auth::none,
                        .operation_id = "bench_piece",
                        .summary = "A piece of the file",
                        .handler = [self = out.get()](const net::Request& request, net::Responder responder) {
                          responder.send(self->piece(request));
                        }}));
    TRY_OK(router->add({.method = net::Method::post,
                        .path = "/receipts",
                        .auth = net::Auth::none,
                        .operation_id = "bench_receipts",
                        .summary = "Receipts for pieces",
                        .consumes = {},
                        .handler = [self = out.get()](const net::Request& request, net::Responder responder) {
                          responder.send(self->receipts(request.body));
                        }}));
    net::ServerOptions options{.listeners = {{"127.0.0.1:0", {net::Role::public_}}}, .limits = {}, .workers = 1};
    TRY(out->server_, net::Server::start(std::move(options), router));
    return out;
  }
  std::string url() const { return server_->url(); }

 private:
  Seeder() {
    crypto::SeededRandom random{base::as_bytes("attestry tracker bench")};
    base::Bytes bytes(kMostPiece + kPlaces * kKib);
    random.fill(bytes);
    file_ = std::string{base::as_text(bytes)};
  }
  /// The same random bytes from another place on for each index.
  net::Response piece(const net::Request& request) const {
    const std::size_t bytes = std::strtoull(std::string{request.parameter("bytes")}.c_str(), nullptr, 10);
    const std::size_t index = std::strtoull(std::string{request.parameter("index")}.c_str(), nullptr, 10);
    if (bytes > kMostPiece) return net::text_response(400, "too large");
    net::Response out{.status = 200, .content_type = "application/octet-stream", .body = {}, .headers = {}};
    out.body = file_.substr(index % kPlaces * kKib, bytes);
    return out;
  }
  net::Response receipts(const std::string& body) {
    const auto good = verified(body);
    return good ? net::empty_response() : net::text_response(400, good.error().text());
  }
  Status verified(const std::string& body) {
    TRY(const auto list, tracker::parse_bencode(base::as_bytes(body)));
    const auto* items = list.find("receipts");
    if (items == nullptr) return Error{Code::malformed, "no receipts"};
    std::vector<tracker::Receipt> receipts;
    receipts.reserve(items->list.size());
    for (const auto& item : items->list) {
      TRY(const auto receipt, read_receipt_of_peer(item));
      receipts.push_back(receipt);
    }
    std::vector<tracker::ReceiptCheck> checks;
    checks.reserve(receipts.size());
    for (const auto& receipt : receipts) {
      TRY(const auto key, keys_.decode(receipt.receiver));
      checks.push_back({.receipt = receipt, .receiver = key});
    }
    for (const bool good : tracker::verify_receipts(checks, {})) {
      if (!good) return Error{Code::evidence_false, "a receipt is wrong"};
    }
    return base::done();
  }

  std::string file_;
  tracker::KeyCache keys_;
  std::unique_ptr<net::Server> server_;  ///< the last: its threads use the others
};

class Downloader {
 public:
  Downloader(BenchRun& run, const Seeder& seeder) : run_(run), url_(seeder.url()) {}

  struct Transfer {
    std::size_t pieces = 0;
    std::size_t piece_bytes = 0;
    bool receipts = false;
    double bytes_per_second = 0;  ///< 0: as fast as it goes
  };
  /// Milliseconds until the last piece, and its receipt, are done.
  Result<double> take(const Transfer& how, unsigned batch_size) {
    using Clock = std::chrono::steady_clock;
    std::vector<tracker::Receipt> pending;
    const auto begin = Clock::now();
    for (std::size_t i = 0; i < how.pieces; ++i) {
      TRY(const auto reply,
          run_.http().send({.url = url_ + "/piece/" + std::to_string(how.piece_bytes) + "/" + std::to_string(i),
                            .deadline = run_.soon(),
                            .max_bytes = kMostPiece}));
      if (reply.status != 200) return Error{Code::unavailable, "no piece", "200", std::to_string(reply.status)};
      if (how.bytes_per_second > 0) {
        const double due = static_cast<double>((i + 1) * how.piece_bytes) / how.bytes_per_second;
        std::this_thread::sleep_until(begin +
                                      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(due)));
      }
      // Every client looks at a piece's hash.
      const auto hash = crypto::sha256(base::as_bytes(reply.body));
      if (!how.receipts) continue;
      pending.push_back(receiver.receipt(sender, static_cast<std::uint32_t>(i),
                                         static_cast<std::uint32_t>(how.piece_bytes), hash,
                                         static_cast<std::uint64_t>(run_.context().clock.now().seconds)));
      if (pending.size() == batch_size) TRY_OK(hand_over(pending));
    }
    if (!pending.empty()) TRY_OK(hand_over(pending));
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
  }
  /// The receipts of the last transfer that had some.
  const std::vector<tracker::Receipt>& given() const noexcept { return given_; }
  void forget() { given_.clear(); }

  const BenchMember sender{"bench-sender-" + base::hex(crypto::system_random().bytes<8>())};
  const BenchMember receiver{"bench-receiver-" + base::hex(crypto::system_random().bytes<8>())};

 private:
  Status hand_over(std::vector<tracker::Receipt>& pending) {
    TRY(const auto reply,
        run_.http().post(url_ + "/receipts", batch_message(pending), "application/octet-stream", run_.soon()));
    if (reply.status != 204) return Error{Code::internal, "receipts are not taken", "204", reply.body};
    given_.insert(given_.end(), pending.begin(), pending.end());
    pending.clear();
    return base::done();
  }

  BenchRun& run_;
  const std::string url_;
  std::vector<tracker::Receipt> given_;
};

struct Cost {
  BenchTimes plain, with;
  std::size_t pieces = 0;
  double extra_ms_per_piece = 0;
};

Result<Cost> cost_of_receipts(BenchRun& run, Downloader& client, unsigned kib) {
  const auto& said = run.options().download;
  const std::size_t bytes = kib * kKib;
  const std::size_t sample = std::min(said.sample_mb, said.file_mb) * static_cast<std::size_t>(kMega);
  Cost out;
  out.pieces = std::max<std::size_t>(1, sample / bytes);
  std::vector<double> plain;
  std::vector<double> with;
  for (unsigned i = 0; i < said.warmup; ++i)
    TRY_OK(client.take({.pieces = 1, .piece_bytes = bytes, .receipts = true}, said.batch_size));
  for (unsigned i = 0; i < said.iterations; ++i) {
    TRY(const double without_ms, client.take({.pieces = out.pieces, .piece_bytes = bytes}, said.batch_size));
    client.forget();
    TRY(const double with_ms,
        client.take({.pieces = out.pieces, .piece_bytes = bytes, .receipts = true}, said.batch_size));
    plain.push_back(without_ms);
    with.push_back(with_ms);
  }
  out.plain = BenchTimes::of(std::move(plain));
  out.with = BenchTimes::of(std::move(with));
  out.extra_ms_per_piece = (out.with.median - out.plain.median) / static_cast<double>(out.pieces);
  return out;
}

/// Percent that receipts add to a transfer which keeps to the speed; the median of some turns, since each is short.
Result<double> kept_speed(BenchRun& run, Downloader& client, unsigned kib, unsigned speed) {
  const auto& said = run.options().download;
  const double rate = speed * kMega;
  Downloader::Transfer how{.pieces = 0, .piece_bytes = kib * kKib, .receipts = false, .bytes_per_second = rate};
  how.pieces = std::max<std::size_t>(
      2, static_cast<std::size_t>(said.paced_seconds * rate / static_cast<double>(how.piece_bytes)));
  std::vector<double> percent;
  for (unsigned turn = 0; turn < std::min(3U, said.iterations); ++turn) {
    how.receipts = false;
    TRY(const double plain, client.take(how, said.batch_size));
    how.receipts = true;
    TRY(const double with, client.take(how, said.batch_size));
    percent.push_back((with / plain - 1) * 100);
  }
  return BenchTimes::of(std::move(percent)).median;
}

/// The sender earns what he was given receipts for.
Result<base::JsonOutObject> settle(BenchRun& run, const Downloader& client) {
  TRY(BenchTracker * at, run.tracker(false));
  TRY(const auto instance, run.instance(*at));
  for (const BenchMember* member : {&client.sender, &client.receiver}) {
    TRY_OK(run.post(at->url() + "/register", member->registration(instance)), "registration");
  }
  std::uint64_t bytes = 0;
  std::int64_t credited = 0;
  BenchWatch watch;
  const auto& receipts = client.given();
  for (std::size_t first = 0; first < receipts.size(); first += kReported) {
    base::JsonOutArray some;
    for (std::size_t i = first; i < std::min(first + kReported, receipts.size()); ++i) {
      some.push_back(json_of(receipts[i]));
      bytes += receipts[i].piece_size;
    }
    TRY(const auto answer, run.post(at->url() + "/report", base::JsonOutObject{{"user_id", client.sender.name()},
                                                                               {"receipts", std::move(some)}}));
    TRY(const auto value, answer->root().get("total_uploaded"));
    TRY(credited, value.integer("total_uploaded", 0, INT64_MAX));
  }
  const double ms = watch.ms();
  if (static_cast<std::uint64_t>(credited) != bytes) {
    return Error{Code::internal, "the tracker has not credited what was received", std::to_string(bytes) + " bytes",
                 std::to_string(credited)};
  }
  return base::JsonOutObject{
      {"receipts", std::uint64_t{receipts.size()}}, {"credited_bytes", bytes}, {"report_ms", ms}};
}

}  // namespace

Result<BenchOutcome> bench_client_download(BenchRun& run) {
  const auto& said = run.options().download;
  TRY(const auto seeder, Seeder::start());
  Downloader client{run, *seeder};
  BenchOutcome out;
  base::JsonOutArray results;
  Table table{.columns = {"pieces", "extra per piece"}, .rows = {}};
  Plot plot{.kind = Plot::Kind::lines,
            .title = "What receipts add to a download",
            .note = "Nothing overlaps: signing, handing over and verifying wait for each other, on one machine",
            .x_label = "KiB of a piece",
            .y_label = "percent of the time (decades)",
            .log_y = true,
            .places = {},
            .series = {},
            .claim = std::pair{5.0, std::string{"claimed by the paper: less than 5 %"}}};
  for (const unsigned speed : said.speeds) {
    table.columns.push_back(std::to_string(speed) + " MB/s");
    plot.series.push_back({.name = std::to_string(speed) + " MB/s", .values = {}});
  }
  double worst = 0;
  double worst_kept = 0;
  for (const unsigned kib : said.piece_sizes) {
    run.progress("  pieces of " + std::to_string(kib) + " KiB");
    TRY(const Cost cost, cost_of_receipts(run, client, kib));
    std::vector<std::string> row{std::to_string(kib) + " KiB", short_number(cost.extra_ms_per_piece) + " ms"};
    for (std::size_t i = 0; i < said.speeds.size(); ++i) {
      const unsigned speed = said.speeds[i];
      const double piece_ms = kib * kKib / (speed * kMega) * 1000;
      const double percent = cost.extra_ms_per_piece / piece_ms * 100;
      TRY(const double kept, kept_speed(run, client, kib, speed));
      const double file_s = said.file_mb / static_cast<double>(speed);
      results.emplace_back(base::JsonOutObject{{"piece_size_kb", kib},
                                               {"speed_mbps", speed},
                                               {"file_size_mb", said.file_mb},
                                               {"batch_size", said.batch_size},
                                               {"sample_pieces", std::uint64_t{cost.pieces}},
                                               {"sample_without_receipts", cost.plain.json()},
                                               {"sample_with_receipts", cost.with.json()},
                                               {"extra_ms_per_piece", cost.extra_ms_per_piece},
                                               {"download_s", file_s},
                                               {"download_with_receipts_s", file_s * (1 + percent / 100)},
                                               {"overhead_percent", percent},
                                               {"overhead_percent_at_speed", kept}});
      row.push_back(short_number(percent) + " % (" + short_number(std::round(kept * 100) / 100) + " %)");
      plot.series[i].values.push_back(percent);
      worst = std::max(worst, percent);
      worst_kept = std::max(worst_kept, kept);
    }
    table.rows.push_back(std::move(row));
    plot.places.push_back(std::to_string(kib));
  }
  out.claims = {
      {"receipts in a download, nothing overlaps, worst", "less than 5 to 6 % (paper)", short_number(worst) + " %"},
      {"receipts in a download at its speed, worst", "less than 5 to 6 % (paper)", short_number(worst_kept) + " %"}};
  // Of one transfer, so that no piece is there twice.
  client.forget();
  const std::size_t bytes = said.piece_sizes.front() * kKib;
  const std::size_t pieces =
      std::max<std::size_t>(1, std::min(said.sample_mb, said.file_mb) * static_cast<std::size_t>(kMega) / bytes);
  TRY_OK(client.take({.pieces = pieces, .piece_bytes = bytes, .receipts = true}, said.batch_size));
  run.progress("  reporting the receipts");
  TRY(auto settled, settle(run, client), "receipts at the tracker");
  out.json = {{"iterations", said.iterations},
              {"warmup", said.warmup},
              {"results", std::move(results)},
              {"settled", std::move(settled)}};
  out.notes.push_back("every piece has a receipt of its own, " + std::to_string(said.batch_size) +
                      " are handed over together; in brackets what was measured at that speed, where signing overlaps "
                      "with the next piece");
  out.tables.emplace_back("What receipts add to a download", std::move(table));
  out.plots.emplace_back("client_download", std::move(plot));
  return out;
}

}  // namespace attestry::app
