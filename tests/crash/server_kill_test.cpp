// The whole program under a load of registrations, killed with SIGKILL again and again on the disk that forgets: no
// acknowledged release is lost, no reply is without its leaf, no nonce is used twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "app/simulated_tee.h"
#include "audit/verify.h"
#include "base/json.h"
#include "child.h"
#include "client/registration.h"
#include "state/file.h"
#include "state/keys.h"
#include "state/testing/support.h"

namespace attestry::crash {
namespace {

using ::testing::HasSubstr;

constexpr const char* kApp = "name:hello";
constexpr int kClients = 4;

/// What a workload has in its hands once it is registered, and what it sent for it.
struct Acknowledged {
  audit::VerifiedReceipt receipt;
  std::string request;
  std::string sealed;
};

base::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(60); }

std::string sealed_in(const std::string& reply) {
  const auto document = base::JsonDocument::parse(reply);
  if (!document) return {};
  const auto sealed = (*document)->root().get("sealed");
  return sealed ? sealed->string("sealed").value_or("") : "";
}

/// Remembers the last registration that went through it.
class RecordingTransport final : public net::HttpTransport {
 public:
  explicit RecordingTransport(net::HttpTransport& inner) : inner_(inner) {}
  base::Result<net::Response> send(const net::HttpRequest& request) override {
    auto response = inner_.send(request);
    if (response && request.url.ends_with("/v1/instances")) {
      last_request = request.body;
      last_reply = response->body;
    }
    return response;
  }
  std::string last_request, last_reply;

 private:
  net::HttpTransport& inner_;
};

class Scene {
 public:
  explicit Scene(std::vector<std::string> settings) : settings_(std::move(settings)) {}

  /// Runs the server, registers with several clients, kills it after `most` acknowledgements and looks at what is left.
  std::string round(std::size_t most) {
    Child server({ATTESTRY_CRASHTEST, "dev", "--any-port", "--data", folder_.path()}, settings_);
    const std::string url = url_of(server);
    if (url.empty()) return "the server did not start";
    if (auto wrong = repeat_registrations(url); !wrong.empty()) return wrong;
    if (auto wrong = load_and_kill(server, url, most); !wrong.empty()) return wrong;
    const auto status = check();
    return status ? "" : status.error().text();
  }

  std::size_t acknowledged() const { return all_.size(); }

 private:
  base::Result<client::Trust> trust() const {
    TRY(const auto bytes, state::system_files().read(folder_.file("trust.json"), 100'000));
    if (!bytes) return base::Error{base::Code::not_found, "no trust.json"};
    return client::Trust::parse(base::as_text(*bytes));
  }

  static std::string url_of(Child& server) {
    while (const auto line = server.line()) {
      const auto at = line->find("http://");
      if (at != std::string::npos && line->find("  server ") == 0) return line->substr(at, line->find(',') - at);
    }
    return {};
  }

  /// A client that did not hear the answer asks again: it gets the same bytes; another body under the nonce is refused.
  std::string repeat_registrations(const std::string& url) {
    const auto http = net::HttpClient::make();
    if (!http) return http.error().text();
    for (std::size_t i = all_.size() - std::min<std::size_t>(all_.size(), 5); i < all_.size(); ++i) {
      const auto again = (*http)->post(url + "/v1/instances", all_[i].request, "application/json", soon());
      if (!again) return again.error().text();
      if (sealed_in(again->body) != all_[i].sealed) return "another answer to a spent nonce: " + again->body;
      const auto other = (*http)->post(url + "/v1/instances", all_[i].request + " ", "application/json", soon());
      if (!other) return other.error().text();
      if (other->status != 409) return "a spent nonce was taken with another body: " + other->body;
    }
    return {};
  }

  std::string load_and_kill(Child& server, const std::string& url, std::size_t most) {
    const auto trusted = trust();
    if (!trusted) return trusted.error().text();
    std::mutex mutex;
    std::string wrong;
    std::size_t count = 0;
    std::atomic<bool> killed{false};
    const auto client = [&] {
      const auto tee = app::SimulatedTee::open(folder_.file("forge.seed"), "tdx-v4");
      const auto http = net::HttpClient::make();
      if (!tee || !http) return;
      RecordingTransport recording(**http);
      while (!killed) {
        const client::RegistrationRequest request{.url = url, .app = *base::AppRef::parse(kApp), .deadline = soon()};
        auto done =
            client::register_instance(recording, (*tee)->attester(), *trusted, request, crypto::system_random());
        const std::lock_guard lock(mutex);
        if (!done) {
          if (!killed && wrong.empty()) wrong = "refused before the kill: " + done.error().text();
          return;
        }
        all_.push_back({std::move(done->receipt), recording.last_request, sealed_in(recording.last_reply)});
        if (++count == most) {
          killed = true;
          server.kill();
        }
      }
    };
    {
      std::vector<std::jthread> clients;
      for (int i = 0; i < kClients; ++i) clients.emplace_back(client);
    }
    return wrong;
  }

  base::Status check() const {
    TRY(const auto trusted, trust());
    TRY(const auto outside, state::system_files().read(folder_.file("checkpoint"), 100'000));
    if (!outside) return base::Error{base::Code::corrupt, "there is no checkpoint outside"};
    TRY(const auto checkpoint, audit::verify_checkpoint(base::as_text(*outside), trusted.log), "outside");
    TRY(const auto store,
        state::Store::open(
            {.path = folder_.file("store.db"), .realm = base::Realm::simulated, .create = false, .read_only = true}));
    TRY(const auto view, store->read());
    std::vector<audit::TreeHead> heads;
    for (const auto& ack : all_) {
      heads.push_back(ack.receipt.head);
      TRY_OK(check_leaf(*view, ack.receipt, checkpoint.checkpoint.head));
    }
    TRY_OK(audit::verify_log(*view, base::as_text(*outside), trusted.log, heads));
    return check_nonces(*view);
  }

  static base::Status check_leaf(const state::ReadView& view, const audit::VerifiedReceipt& receipt,
                                 const audit::TreeHead& outside) {
    const std::string place = "acknowledged leaf " + std::to_string(receipt.index);
    if (receipt.index >= outside.size) {
      return base::Error{base::Code::corrupt, place + " is not covered by the checkpoint outside"};
    }
    TRY(const auto stored, view.get(state::Key(state::Space::audit_leaves).u64(receipt.index)));
    if (!stored) return base::Error{base::Code::corrupt, place + " is lost"};
    TRY(const auto reader, state::open_value(*stored, 1, place));
    TRY(const std::string expected, receipt.leaf.encode());
    if (base::as_text(reader.rest()) != expected) return base::Error{base::Code::corrupt, place + " is another one"};
    return base::done();
  }

  /// A binding is made of the nonce: two leaves with the same one would be two releases for one nonce.
  static base::Status check_nonces(const state::ReadView& view) {
    std::set<std::string> bindings;
    base::Status status = base::done();
    TRY_OK(view.scan(state::Key(state::Space::audit_leaves), {}, SIZE_MAX, [&](base::ByteView, base::ByteView value) {
      const auto leaf = audit::Leaf::parse(base::as_text(value.subspan(1)));
      if (!leaf) {
        status = leaf.error();
      } else if (!leaf->binding.empty() && !bindings.insert(leaf->binding).second) {
        status = base::Error{base::Code::corrupt, "two leaves for one nonce"};
      }
      return status.ok();
    }));
    return status;
  }

  const state::testing::TempFolder folder_;
  const std::vector<std::string> settings_;
  std::vector<Acknowledged> all_;
};

std::string kill_repeatedly(int rounds, std::uint64_t seed, std::vector<std::string> settings) {
  Scene scene(std::move(settings));
  std::mt19937_64 generator(seed);
  for (int round = 0; round < rounds; ++round) {
    if (auto wrong = scene.round(1 + generator() % 30); !wrong.empty()) return wrong;
  }
  EXPECT_GE(scene.acknowledged(), static_cast<std::size_t>(rounds));
  return {};
}

TEST(ServerKill, LosesNothingThatWasAcknowledged) { EXPECT_EQ(kill_repeatedly(8, 11, {}), ""); }

TEST(ServerKill, LosesNothingWhenUnsyncedWritesReachTheDiskOutOfOrder) {
  EXPECT_EQ(kill_repeatedly(4, 12, {"ATTESTRY_CRASH_LEAK_PERCENT=50"}), "");
}

TEST(ServerKill, TheMissingSyncOfTheDatabaseIsNoticed) {
  EXPECT_THAT(kill_repeatedly(3, 13, {"ATTESTRY_CRASH_OMIT=database"}), HasSubstr("not a store of attestry"));
}

TEST(ServerKill, TheMissingSyncOfTheCheckpointIsNoticed) {
  EXPECT_THAT(kill_repeatedly(3, 14, {"ATTESTRY_CRASH_OMIT=file"}), HasSubstr("malformed: outside"));
  EXPECT_THAT(kill_repeatedly(3, 15, {"ATTESTRY_CRASH_OMIT=folder"}), HasSubstr("no checkpoint outside"));
}

}  // namespace
}  // namespace attestry::crash
