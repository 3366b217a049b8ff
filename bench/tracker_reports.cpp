// Reports with 1, 10 and 100 receipts against a running tracker, one after the other, each verified, credited and
// durable before its answer; and, for a flood, bodies of reports whose signatures are points and no signatures.
//   tracker_reports URL PID [ROUNDS [FOLDER FORGED RECEIPTS]]
// Registers a sender and 100 receivers, prints one JSON object, and then writes FORGED bodies into FOLDER, of so many
// RECEIPTS each.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "curves/bls_signature.h"
#include "load.h"
#include "tracker/ledger.h"

namespace {

using namespace attestry;
using bench::Clock;
using bench::kPatience;
using bench::must;
namespace bls = curves::bls;

constexpr std::size_t kReceivers = 100;

struct Member {
  std::string name;
  bls::SigningKey key;
};

class Load {
 public:
  Load(std::string url, int pid)
      : url_(std::move(url)),
        pid_(pid),
        http_(must(net::HttpClient::make({}), "client")),
        instance_(instance()),
        sender_(made("sender")) {
    for (std::size_t i = 0; i < kReceivers; ++i) receivers_.push_back(made("receiver-" + std::to_string(i)));
  }

  void report(std::size_t count, std::size_t rounds) {
    std::vector<std::string> bodies;
    for (std::size_t i = 0; i < rounds; ++i) bodies.push_back(body(count, true));
    std::vector<double> took;
    const double cpu = bench::cpu_seconds(pid_);
    for (const std::string& one : bodies) {
      const auto begin = Clock::now();
      const auto reply =
          must(http_->post(url_ + "/report", one, "application/json", Clock::now() + kPatience), "report");
      took.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
      check(reply.body, count);
    }
    std::ranges::sort(took);
    std::printf("%s\"%zu\":{\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"cpu_ms\":%.3f}", count == 1 ? "" : ",", count,
                took[took.size() / 2], took[took.size() * 9 / 10],
                (bench::cpu_seconds(pid_) - cpu) * 1000 / static_cast<double>(rounds));
  }

  /// What costs the tracker most: all but the signatures is right.
  void forge(const std::string& folder, std::size_t count, std::size_t receipts) {
    for (std::size_t i = 0; i < count; ++i) {
      std::ofstream{folder + "/" + std::to_string(i) + ".json"} << body(receipts, false);
    }
  }

 private:
  tracker::InstanceId instance() {
    auto reply = must(http_->get(url_ + "/health", Clock::now() + kPatience), "health");
    const auto health = must(base::JsonDocument::parse(std::move(reply.body)), "health");
    const auto id = must(must(health->root().get("instance_id"), "health").string("instance_id"), "health");
    tracker::InstanceId out{};
    if (!base::hex_decode_into(id, out)) std::exit(2);
    return out;
  }
  Member made(std::string name) {
    Member out{std::move(name), bls::SigningKey::random(crypto::system_random())};
    const auto message = tracker::registration_message(instance_, out.name);
    const auto body = base::JsonOut{base::JsonOutObject{{"user_id", out.name},
                                                        {"public_key", base::base64(out.key.public_key().encoded())},
                                                        {"signature", base::base64(out.key.sign(message))}}};
    const auto reply =
        must(http_->post(url_ + "/register", body.compact(), "application/json", Clock::now() + kPatience), "register");
    if (reply.status == 200) return out;
    std::fprintf(stderr, "load: register: %d %s\n", reply.status, reply.body.c_str());
    std::exit(1);
  }

  std::string body(std::size_t count, bool genuine) {
    base::JsonOutArray receipts;
    for (std::size_t i = 0; i < count; ++i) {
      const Member& receiver = receivers_[i % kReceivers];
      tracker::Receipt receipt;
      receipt.sender = sender_.key.public_key().encoded();
      receipt.receiver = receiver.key.public_key().encoded();
      receipt.piece_index = index_++;
      receipt.time = static_cast<std::uint64_t>(std::time(nullptr));
      const auto signature = (genuine ? receiver : sender_).key.sign(tracker::signed_message(receipt, {}));
      receipts.emplace_back(base::JsonOutObject{{"receiver_public_key", base::base64(receipt.receiver)},
                                                {"sender_pk", base::base64(receipt.sender)},
                                                {"piece_hash", base::hex(receipt.piece_hash.bytes())},
                                                {"piece_index", receipt.piece_index},
                                                {"infohash", base::hex(receipt.infohash)},
                                                {"timestamp", receipt.time},
                                                {"signature", base::base64(signature)}});
    }
    return base::JsonOut{base::JsonOutObject{{"user_id", sender_.name}, {"receipts", std::move(receipts)}}}.compact();
  }

  static void check(const std::string& reply, std::size_t count) {
    const auto doc = must(base::JsonDocument::parse(reply), "report");
    const auto verified =
        must(must(doc->root().get("verified_receipts"), reply.c_str()).integer("verified", 0, 1000), "");
    if (static_cast<std::size_t>(verified) == count) return;
    std::fprintf(stderr, "load: report: %s\n", reply.c_str());
    std::exit(1);
  }

  const std::string url_;
  const int pid_;
  std::unique_ptr<net::HttpTransport> http_;
  const tracker::InstanceId instance_;
  Member sender_;
  std::vector<Member> receivers_;
  std::uint32_t index_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: tracker_reports URL PID [ROUNDS [FOLDER FORGED RECEIPTS]]\n");
    return 2;
  }
  Load load{argv[1], std::atoi(argv[2])};
  const std::size_t rounds = argc > 3 ? static_cast<std::size_t>(std::atoll(argv[3])) : 100;
  std::printf("{");
  for (const std::size_t count : {std::size_t{1}, std::size_t{10}, std::size_t{100}}) load.report(count, rounds);
  std::printf("}\n");
  if (argc > 6) {
    load.forge(argv[4], static_cast<std::size_t>(std::atoll(argv[5])), static_cast<std::size_t>(std::atoll(argv[6])));
  }
  return 0;
}
