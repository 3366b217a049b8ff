// What a release costs beside its own work: a server that answers every POST /leaf once one leaf is durable and a
// stored checkpoint covers it, through the same router, store and log as the product. Prints "URL PID" and serves until
// its standard input ends. The floor under every figure of the key services.
//   leaf_server FOLDER [--workers N]
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <string>

#include "audit/log.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "net/request_metrics.h"
#include "net/server.h"
#include "state/store.h"

namespace {

using namespace attestry;

constexpr const char* kOrigin = "log.example/bench";

template <class T>
T must(base::Result<T> result) {
  if (!result) {
    std::cerr << "leaf_server: " << result.error().text() << '\n';
    std::exit(2);
  }
  return std::move(*result);
}

/// The shape of a service's leaf: one committed output, and the hash of the reply.
audit::Leaf leaf_of(const net::Request& request) {
  crypto::Secret k(32);
  crypto::system_random().fill(k.writable());
  audit::Leaf out;
  out.type = "bench.release";
  out.realm = base::Realm::simulated;
  out.audience = kOrigin;
  out.app = "name:bench";
  out.time = base::system_clock().now();
  out.outputs.emplace("secret", audit::commitment(k, "secret", base::as_bytes(request.body)));
  out.reply = base::hex(crypto::sha256(base::as_bytes(request.body)));
  return out;
}

net::Route route_of(state::Store& store, audit::Log& log) {
  net::Route route;
  route.method = net::Method::post;
  route.path = "/leaf";
  route.auth = net::Auth::none;
  route.operation_id = "leaf";
  route.summary = "Appends a leaf and answers with its index";
  route.handler = [&store, &log](net::Request request, net::Responder responder) {
    const auto index = std::make_shared<std::uint64_t>(0);
    store.write(
        [&log, index, leaf = leaf_of(request)](state::WriteTxn& txn) -> base::Status {
          TRY(*index, log.append(txn, leaf));
          return base::done();
        },
        [index, responder = std::move(responder)](base::Status status) mutable {
          if (!status) return responder.send(status.error());
          responder.send(net::json_response(200, "{\"leaf\":" + std::to_string(*index) + "}"));
        });
  };
  return route;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"One leaf for every request"};
  std::string folder;
  unsigned workers = 0;
  app.add_option("folder", folder, "an empty folder")->required();
  app.add_option("--workers", workers, "threads that run handlers; 0: one for every core");
  CLI11_PARSE(app, argc, argv);

  const auto store = must(state::Store::open({.path = folder + "/store.db", .realm = base::Realm::simulated}));
  auto key = must(crypto::Ed25519PrivateKey::from_seed(crypto::sha256(base::as_bytes("bench"))));
  audit::LogOptions log_options;
  log_options.origin = kOrigin;
  log_options.checkpoint_path = folder + "/checkpoint";
  const auto log = must(audit::Log::open(*store, std::move(key), log_options));
  auto router = std::make_shared<net::Router>();
  if (const auto added = router->add(route_of(*store, *log)); !added.ok()) {
    std::cerr << added.error().text() << '\n';
    return 2;
  }
  net::ServerOptions options;
  options.listeners = {{"127.0.0.1:0", {net::Role::public_}}};
  options.workers = workers;
  net::Metrics metrics;
  net::RequestMetrics requests{metrics};
  options.on_finished = [&requests](const net::RequestRecord& record) { requests.count(record); };
  const auto server = must(net::Server::start(std::move(options), std::move(router)));
  std::cout << server->url() << "/leaf " << ::getpid() << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  server->stop(std::chrono::steady_clock::now() + std::chrono::seconds(5));
  const auto stats = store->stats();
  std::cerr << "batches " << stats.batches << ", leaves in each "
            << static_cast<double>(stats.writes) / static_cast<double>(std::max<std::uint64_t>(stats.batches, 1))
            << '\n';
  return 0;
}
