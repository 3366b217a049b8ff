// What HTTP alone costs: a server that answers every POST /echo with a small document. Prints "URL PID" and serves
// until its standard input ends. The floor under every figure that http_load measures.
#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>

#include "net/server.h"

int main() {
  using namespace attestry;
  auto router = std::make_shared<net::Router>();
  net::Route route;
  route.method = net::Method::post;
  route.path = "/echo";
  route.auth = net::Auth::none;
  route.operation_id = "echo";
  route.summary = "Answers with a small document";
  route.handler = [](net::Request request, net::Responder responder) {
    responder.send(net::json_response(200, "{\"bytes\":" + std::to_string(request.body.size()) + "}"));
  };
  if (const auto added = router->add(std::move(route)); !added.ok()) {
    std::cerr << added.error().text() << '\n';
    return 2;
  }
  net::ServerOptions options;
  options.listeners = {{"127.0.0.1:0", {net::Role::public_}}};
  auto server = net::Server::start(std::move(options), std::move(router));
  if (!server.ok()) {
    std::cerr << server.error().text() << '\n';
    return 2;
  }
  std::cout << (*server)->url() << "/echo " << ::getpid() << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  return 0;
}
