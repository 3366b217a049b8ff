// Announces over UDP (BEP 15) from one thread: each socket has so many on their way and sends another one for each
// answer. What gets none within a quarter of a second counts as lost, and is sent anew. Prints one JSON object.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "load.h"
#include "net/networks.h"

namespace {

using Clock = std::chrono::steady_clock;
using attestry::bench::cpu_seconds;

constexpr std::size_t kMostWindow = 64;
constexpr std::size_t kAnnounce = 98;
constexpr std::size_t kAnswer = 2048;
constexpr std::chrono::milliseconds kLost{250};

struct Options {
  std::string address;
  unsigned sockets = 8;
  unsigned window = 32;
  unsigned torrents = 10'000;
  unsigned wanted = 50;
  double seconds = 5;
  double warmup = 1;
  int pid = 0;
};

[[noreturn]] void die(const std::string& why) {
  std::cerr << "udp_load: " << why << '\n';
  std::exit(2);
}

sockaddr_in address_of(const std::string& text) {
  const auto found = attestry::net::parse_socket_address(text);
  if (!found || !attestry::net::is_v4(found->ip)) die("expected 127.0.0.1:PORT: " + text);
  sockaddr_in out{};
  out.sin_family = AF_INET;
  std::memcpy(&out.sin_addr, found->ip.data() + 12, sizeof out.sin_addr);
  out.sin_port = htons(found->port);
  return out;
}

void put(std::uint8_t* at, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) at[i] = static_cast<std::uint8_t>(value >> (8 * (bytes - 1 - i)));
}
std::uint32_t read32(const std::uint8_t* at) {
  std::uint32_t out = 0;
  for (int i = 0; i < 4; ++i) out = out << 8U | at[i];
  return out;
}

/// One client's socket; a transaction id is a place of its window.
class Client {
 public:
  Client(const sockaddr_in& server, const Options& options)
      : options_(options), fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)), requests_(options.window) {
    if (fd_ < 0 || ::connect(fd_, reinterpret_cast<const sockaddr*>(&server), sizeof server) != 0) die("no socket");
    connect();
  }

  int fd() const { return fd_; }

  /// So many announces; `number` counts all clients' and says whose and of which torrent each is.
  void send(const std::vector<std::uint32_t>& places, std::uint64_t& number) {
    const auto now = Clock::now();
    std::array<iovec, kMostWindow> parts{};
    std::array<mmsghdr, kMostWindow> messages{};
    for (std::size_t i = 0; i < places.size(); ++i) {
      auto& request = requests_[places[i]];
      write(request.bytes.data(), places[i], number++);
      request.sent = now;
      parts[i] = {request.bytes.data(), request.bytes.size()};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    for (std::size_t done = 0; done < places.size();) {
      const int sent = ::sendmmsg(fd_, messages.data() + done, static_cast<unsigned>(places.size() - done), 0);
      if (sent > 0) {
        done += static_cast<std::size_t>(sent);
      } else if (errno == EAGAIN) {
        pollfd wait{fd_, POLLOUT, 0};
        ::poll(&wait, 1, 10);
      } else {
        die(std::string{"cannot send: "} + std::strerror(errno));
      }
    }
  }

  /// The places whose answers have come.
  void take(std::vector<std::uint32_t>& places, std::vector<float>& latencies, std::uint64_t& errors) {
    places.clear();
    std::array<iovec, kMostWindow> parts{};
    std::array<mmsghdr, kMostWindow> messages{};
    for (std::size_t i = 0; i < kMostWindow; ++i) {
      parts[i] = {answers_[i].data(), answers_[i].size()};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int count = ::recvmmsg(fd_, messages.data(), kMostWindow, MSG_DONTWAIT, nullptr);
    const auto now = Clock::now();
    for (int i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const auto place = messages[at].msg_len >= 8 ? read32(answers_[at].data() + 4) : options_.window;
      if (place >= options_.window) continue;
      if (read32(answers_[at].data()) != 1 || messages[at].msg_len < 20) ++errors;
      latencies.push_back(std::chrono::duration<float, std::micro>(now - requests_[place].sent).count());
      places.push_back(place);
    }
  }

  void lost(std::vector<std::uint32_t>& places, Clock::time_point now) const {
    places.clear();
    for (std::uint32_t i = 0; i < options_.window; ++i) {
      if (now - requests_[i].sent > kLost) places.push_back(i);
    }
  }

  std::vector<std::uint32_t> all() const {
    std::vector<std::uint32_t> out(options_.window);
    for (std::uint32_t i = 0; i < options_.window; ++i) out[i] = i;
    return out;
  }

 private:
  struct Request {
    std::array<std::uint8_t, kAnnounce> bytes{};
    Clock::time_point sent;
  };

  void connect() {
    std::array<std::uint8_t, 16> ask{};
    put(ask.data(), 0x41727101980, 8);
    pollfd wait{fd_, POLLIN, 0};
    for (int i = 0; i < 20; ++i) {
      if (::send(fd_, ask.data(), ask.size(), 0) != 16 || ::poll(&wait, 1, 250) != 1) continue;
      if (::recv(fd_, answers_[0].data(), answers_[0].size(), 0) != 16) continue;
      std::memcpy(id_.data(), answers_[0].data() + 8, id_.size());
      return;
    }
    die("the tracker does not answer");
  }

  void write(std::uint8_t* out, std::uint32_t place, std::uint64_t number) const {
    std::memset(out, 0, kAnnounce);
    std::memcpy(out, id_.data(), id_.size());
    put(out + 8, 1, 4);
    put(out + 12, place, 4);
    put(out + 16, number % options_.torrents, 8);  // info_hash
    put(out + 36, number, 8);                      // peer_id
    put(out + 64, number % 3 == 0 ? 0 : 1000, 8);  // left
    put(out + 92, options_.wanted, 4);
    // Fifty peers in each torrent: again and again the same ones, as clients announce.
    put(out + 96, 1 + number / options_.torrents % 50, 2);
  }

  const Options& options_;
  int fd_;
  std::array<std::uint8_t, 8> id_{};
  std::vector<Request> requests_;
  std::array<std::array<std::uint8_t, kAnswer>, kMostWindow> answers_{};
};

double percentile(const std::vector<float>& sorted, double p) {
  return sorted.empty() ? 0 : sorted[static_cast<std::size_t>(p * static_cast<double>(sorted.size() - 1))];
}

int run(const Options& options) {
  const auto server = address_of(options.address);
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<pollfd> polled;
  for (unsigned i = 0; i < options.sockets; ++i) {
    clients.push_back(std::make_unique<Client>(server, options));
    polled.push_back({clients.back()->fd(), POLLIN, 0});
  }
  std::uint64_t number = 0;
  std::uint64_t errors = 0;
  std::uint64_t lost = 0;
  std::vector<float> latencies;
  std::vector<std::uint32_t> places;
  for (const auto& client : clients) client->send(client->all(), number);
  const auto seconds = [](double s) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>{s});
  };
  auto from = Clock::now() + seconds(options.warmup);
  const auto end = from + seconds(options.seconds);
  double cpu = 0;
  bool measuring = false;
  auto look = Clock::now() + kLost;
  while (Clock::now() < end) {
    if (!measuring && Clock::now() >= from) {
      measuring = true;
      latencies.clear();
      errors = lost = 0;
      cpu = cpu_seconds(options.pid);
      from = Clock::now();
    }
    ::poll(polled.data(), polled.size(), 50);
    for (std::size_t i = 0; i < clients.size(); ++i) {
      if (polled[i].revents == 0) continue;
      clients[i]->take(places, latencies, errors);
      clients[i]->send(places, number);
    }
    if (const auto now = Clock::now(); now > look) {
      look = now + kLost;
      for (const auto& client : clients) {
        client->lost(places, now);
        lost += places.size();
        client->send(places, number);
      }
    }
  }
  cpu = cpu_seconds(options.pid) - cpu;
  const double elapsed = std::chrono::duration<double>(Clock::now() - from).count();
  std::ranges::sort(latencies);
  const auto count = static_cast<double>(latencies.size());
  std::printf(
      "{\"requests\":%zu,\"errors\":%llu,\"lost\":%llu,\"rate_per_second\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
      "\"server_cpu_us_per_request\":%.2f}\n",
      latencies.size(), static_cast<unsigned long long>(errors), static_cast<unsigned long long>(lost), count / elapsed,
      percentile(latencies, 0.5), percentile(latencies, 0.99), count == 0 ? 0 : cpu * 1e6 / count);
  return errors == 0 && !latencies.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Announces over UDP, closed loop"};
  app.add_option("address", options.address, "127.0.0.1:PORT")->required();
  app.add_option("--sockets", options.sockets, "clients")->capture_default_str()->check(CLI::Range(1, 1000));
  app.add_option("--window", options.window, "announces of each on their way")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, kMostWindow));
  app.add_option("--torrents", options.torrents, "torrents")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--wanted", options.wanted, "peers in an answer")->capture_default_str();
  app.add_option("--seconds", options.seconds, "measured time")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--warmup", options.warmup, "seconds before measuring")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--pid", options.pid, "report this process's CPU time per announce");
  CLI11_PARSE(app, argc, argv);
  return run(options);
}
