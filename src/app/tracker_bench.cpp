#include "app/tracker_bench.h"

#include <algorithm>
#include <cmath>
#include <ostream>

#include "base/encoding.h"
#include "crypto/random.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kHandles = 64;  ///< connections kept for clients at once
constexpr std::size_t kShownAnswer = 300;

}  // namespace

BenchTimes BenchTimes::of(std::vector<double> ms) {
  BenchTimes out;
  if (ms.empty()) return out;
  std::ranges::sort(ms);
  const auto count = static_cast<double>(ms.size());
  double sum = 0;
  for (const double one : ms) sum += one;
  out.mean = sum / count;
  double squares = 0;
  for (const double one : ms) squares += (one - out.mean) * (one - out.mean);
  out.stdev = ms.size() < 2 ? 0 : std::sqrt(squares / (count - 1));
  const std::size_t middle = ms.size() / 2;
  out.median = ms.size() % 2 == 1 ? ms[middle] : (ms[middle - 1] + ms[middle]) / 2;
  constexpr std::size_t kPercent = 95;
  out.p95 = ms[std::min(ms.size() - 1, ms.size() * kPercent / 100)];
  out.min = ms.front();
  out.max = ms.back();
  return out;
}

base::JsonOutObject BenchTimes::json() const {
  return {{"mean_ms", mean}, {"median_ms", median}, {"stdev_ms", stdev},
          {"min_ms", min},   {"max_ms", max},       {"p95_ms", p95}};
}

Result<std::unique_ptr<BenchRun>> BenchRun::open(Context& context, const TrackerBenchOptions& options) {
  std::unique_ptr<BenchRun> out{new BenchRun(context, options)};
  TRY(out->http_, net::HttpClient::make({.max_idle_handles = kHandles, .clock = &context.clock}));
  return out;
}

void BenchRun::progress(std::string_view what) {
  context_.err << what << "\n";
  context_.err.flush();
}

Result<BenchTracker*> BenchRun::tracker(bool tee) {
  auto& slot = tee ? attested_ : plain_;
  if (slot) return slot.get();
  const std::string& running = tee ? options_.tee_tracker_url : options_.tracker_url;
  if (!running.empty()) {
    slot = BenchTracker::running(running);
  } else {
    progress(tee ? "  starting a tracker with a TEE" : "  starting a tracker without a TEE");
    TRY(slot, BenchTracker::start({.tee = tee, .dstack = tee ? options_.dstack : std::string{}}));
  }
  return slot.get();
}

Result<BenchTee*> BenchRun::tee() {
  if (tee_) return tee_.get();
  if (options_.dstack.empty()) {
    // That of the tracker with a TEE, if it is ours: then it believes what its members show.
    std::string seed = base::hex(crypto::system_random().bytes<16>());
    if (options_.tee_tracker_url.empty()) {
      TRY(BenchTracker * own, tracker(true));
      seed = own->seed();
    }
    TRY(tee_, BenchTee::forged(seed, context_.clock));
  } else {
    TRY(tee_, BenchTee::dstack(options_.dstack, options_.pcs, context_.clock));
  }
  return tee_.get();
}

Result<std::shared_ptr<const base::JsonDocument>> BenchRun::post(const std::string& url, const base::JsonOut& body) {
  TRY(auto reply, http_->post(url, body.compact(), "application/json", soon()));
  if (reply.status != 200) {
    return Error{Code::unavailable, "a tracker does not answer as expected: " + url, "status 200",
                 std::to_string(reply.status) + " " + reply.body.substr(0, kShownAnswer)};
  }
  return base::JsonDocument::parse(std::move(reply.body));
}

Result<net::Response> BenchRun::get(const std::string& url) {
  TRY(auto reply, http_->get(url, soon()));
  if (reply.status == 200) return reply;
  return Error{Code::unavailable, "a tracker does not answer as expected: " + url.substr(0, url.find('?')),
               "status 200", std::to_string(reply.status) + " " + reply.body.substr(0, kShownAnswer)};
}

Result<tracker::InstanceId> BenchRun::instance(const BenchTracker& at) {
  TRY(auto reply, get(at.url() + "/health"));
  TRY(const auto health, base::JsonDocument::parse(std::move(reply.body)));
  TRY(const auto member, health->root().get("instance_id"));
  TRY(const auto text, member.string("instance_id"));
  tracker::InstanceId out{};
  TRY_OK(base::hex_decode_into(text, out), "instance_id");
  return out;
}

Result<net::Response> BenchRun::announce(const std::string& url) {
  TRY(auto reply, get(url));
  if (!reply.body.contains("failure reason")) return reply;
  return Error{Code::unavailable, "a tracker refuses an announce", "peers", reply.body.substr(0, kShownAnswer)};
}

}  // namespace attestry::app
