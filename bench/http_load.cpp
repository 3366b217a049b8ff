// HTTP load over keep-alive connections, from one thread: closed loop (every connection sends as soon as it has its
// answer) or open loop (requests begin at random times of a given mean rate, whether the server keeps up or not;
// latency counts from when a request should have begun, so that a stalled server cannot hide it). Bodies rotate over
// the given files, and a place in the URL over numbers, or whole paths over the lines of a file.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

struct Options {
  std::string url;
  std::vector<std::string> files;
  std::string method = "POST";
  std::string content_type = "application/json";
  std::vector<std::string> headers;
  unsigned places = 1;
  std::string paths;   ///< file
  std::string source;  ///< address
  unsigned connections = 8;
  bool once = false;
  double seconds = 5;
  double warmup = 1;
  double rate = 0;  ///< requests per second; 0: closed loop
  bool sleeps = false;
  int pid = 0;
  bool json = false;
};

struct Endpoint {
  sockaddr_in address{};
  std::string host;
  std::string path;
};

[[noreturn]] void die(const std::string& why) {
  std::cerr << "http_load: " << why << '\n';
  std::exit(2);
}

Endpoint parse_url(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) die("only http:// with a numeric IPv4 address: " + url);
  Endpoint out;
  const auto slash = url.find('/', kScheme.size());
  out.host = url.substr(kScheme.size(), slash - kScheme.size());
  out.path = slash == std::string::npos ? "/" : url.substr(slash);
  const auto colon = out.host.find(':');
  std::uint16_t port = 80;
  if (colon != std::string::npos) {
    const auto* end = out.host.data() + out.host.size();
    if (std::from_chars(out.host.data() + colon + 1, end, port).ptr != end) die("bad port in " + url);
  }
  out.address.sin_family = AF_INET;
  out.address.sin_port = htons(port);
  if (::inet_pton(AF_INET, out.host.substr(0, colon).c_str(), &out.address.sin_addr) != 1) die("bad address in " + url);
  return out;
}

/// Whole requests, ready to send: building them costs no time during the run.
std::vector<std::string> build_requests(const Options& options, const Endpoint& endpoint) {
  std::vector<std::filesystem::path> paths;
  for (const auto& file : options.files) {
    if (!std::filesystem::is_directory(file)) {
      paths.emplace_back(file);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator{file}) {
      if (entry.is_regular_file()) paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> bodies;
  for (const auto& path : paths) {
    std::ifstream in{path, std::ios::binary};
    if (!in) die("cannot read " + path.string());
    bodies.emplace_back(std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{});
  }
  if (bodies.empty()) bodies.emplace_back();
  std::vector<std::string> targets;
  if (!options.paths.empty()) {
    std::ifstream in{options.paths};
    for (std::string line; std::getline(in, line);) targets.push_back(line);
    if (targets.empty()) die("no paths in " + options.paths);
  }
  std::vector<std::string> out;
  for (std::size_t i = 0; i < std::max({bodies.size(), std::size_t{options.places}, targets.size()}); ++i) {
    auto path = targets.empty() ? endpoint.path : targets[i % targets.size()];
    if (const auto mark = path.find("{}"); mark != std::string::npos) {
      path.replace(mark, 2, std::to_string(i % options.places));
    }
    std::string request = options.method + " " + path + " HTTP/1.1\r\nHost: " + endpoint.host + "\r\n";
    for (const auto& field : options.headers) request += field + "\r\n";
    const auto& body = bodies[i % bodies.size()];
    if (!body.empty()) {
      request +=
          "Content-Type: " + options.content_type + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    }
    out.push_back(request + "\r\n" + body);
  }
  return out;
}

/// User and system time of a process with all its threads (proc(5), fields 14 and 15), in microseconds.
std::optional<double> cpu_us(int pid) {
  if (pid == 0) return std::nullopt;
  std::ifstream in{"/proc/" + std::to_string(pid) + "/stat"};
  std::string text{std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream rest{text.substr(name_end + 2)};
  std::string skipped;
  for (int field = 3; field < 14; ++field) rest >> skipped;
  double user = 0;
  double system = 0;
  rest >> user >> system;
  return (user + system) * 1e6 / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

struct Connection {
  int fd = -1;
  const std::string* request = nullptr;
  std::size_t sent = 0;
  std::string answer;
  std::size_t expected = 0;  ///< bytes of the whole answer, once its header is there
  Time began;
  bool busy = false;
};

class Load {
 public:
  Load(const Options& options, Endpoint endpoint, std::vector<std::string> requests)
      : options_(options), endpoint_(std::move(endpoint)), requests_(std::move(requests)), epoll_(::epoll_create1(0)) {}

  int run() {
    connections_.resize(options_.connections);
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      open(i);
      free_.push_back(i);
    }
    const auto start = Clock::now();
    measure_from_ = start + seconds(options_.warmup);
    const auto end = measure_from_ + seconds(options_.seconds);
    next_arrival_ = start;
    bool measuring = false;
    std::optional<double> cpu_before;
    while (Clock::now() < end && !done()) {
      if (!measuring && Clock::now() >= measure_from_) {
        measuring = true;
        cpu_before = cpu_us(options_.pid);
      }
      begin_due();
      wait();
    }
    const auto cpu_after = cpu_us(options_.pid);
    const double elapsed = std::chrono::duration<double>(Clock::now() - measure_from_).count();
    report(elapsed, cpu_before && cpu_after ? std::optional{*cpu_after - *cpu_before} : std::nullopt);
    return errors_ == 0 && !latencies_.empty() ? 0 : 1;
  }

 private:
  static Clock::duration seconds(double s) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>{s});
  }

  void open(std::size_t index) {
    auto& c = connections_[index];
    c = Connection{};
    c.fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    ::setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!options_.source.empty()) {
      sockaddr_in source{};
      source.sin_family = AF_INET;
      if (::inet_pton(AF_INET, options_.source.c_str(), &source.sin_addr) != 1 ||
          ::bind(c.fd, reinterpret_cast<const sockaddr*>(&source), sizeof(source)) != 0) {
        die("cannot send from " + options_.source);
      }
    }
    if (::connect(c.fd, reinterpret_cast<const sockaddr*>(&endpoint_.address), sizeof(endpoint_.address)) != 0) {
      die("cannot connect to " + endpoint_.host);
    }
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = index;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &event);
  }

  bool over() const { return options_.once && next_request_ >= requests_.size(); }
  bool done() const { return over() && free_.size() == connections_.size(); }

  /// Starts what is due: everything that is free (closed loop), or what has arrived (open loop).
  void begin_due() {
    const auto now = Clock::now();
    if (options_.rate <= 0) {
      while (!free_.empty() && !over()) begin(now);
      return;
    }
    while (next_arrival_ <= now) {
      arrivals_.push_back(next_arrival_);
      next_arrival_ += seconds(gap_(random_) / options_.rate);
    }
    while (!arrivals_.empty() && !free_.empty() && !over()) {
      begin(arrivals_.front());
      arrivals_.pop_front();
    }
  }

  void begin(Time since) {
    const auto index = free_.back();
    free_.pop_back();
    auto& c = connections_[index];
    c.busy = true;
    c.began = since;
    c.request = &requests_[next_request_++ % requests_.size()];
    c.sent = c.expected = 0;
    c.answer.clear();
    push(index);
  }

  void push(std::size_t index) {
    auto& c = connections_[index];
    while (c.sent < c.request->size()) {
      const auto n = ::send(c.fd, c.request->data() + c.sent, c.request->size() - c.sent, MSG_NOSIGNAL);
      if (n <= 0) return fail(index, "connection lost");
      c.sent += static_cast<std::size_t>(n);
    }
  }

  void wait() {
    int timeout = 100;
    if (options_.rate > 0) {
      const auto left = std::chrono::duration_cast<std::chrono::microseconds>(next_arrival_ - Clock::now()).count();
      // Below a millisecond it polls: sleeping would make the arrivals late.
      timeout = left < 1'000 ? (options_.sleeps && left > 0 ? 1 : 0)
                             : static_cast<int>(std::min<long long>(left / 1'000, 100));
    }
    epoll_event events[64];
    const int n = ::epoll_wait(epoll_, events, 64, timeout);
    for (int i = 0; i < n; ++i) take(events[i].data.u64);
  }

  void take(std::size_t index) {
    auto& c = connections_[index];
    char block[65536];
    const auto n = ::recv(c.fd, block, sizeof(block), 0);
    if (n <= 0) return fail(index, "connection closed");
    if (!c.busy) return fail(index, "answer without a question");
    c.answer.append(block, static_cast<std::size_t>(n));
    if (c.expected == 0) {
      const auto end = c.answer.find("\r\n\r\n");
      if (end == std::string::npos) return;
      std::size_t length = 0;
      constexpr std::string_view kLength = "\r\nContent-Length: ";
      if (const auto at = c.answer.find(kLength); at < end) {
        std::from_chars(c.answer.data() + at + kLength.size(), c.answer.data() + end, length);
      }
      c.expected = end + 4 + length;
    }
    if (c.answer.size() >= c.expected) finish(index);
  }

  void finish(std::size_t index) {
    auto& c = connections_[index];
    const auto now = Clock::now();
    int status = 0;
    std::from_chars(c.answer.data() + 9, c.answer.data() + 12, status);
    if (now >= measure_from_) {
      ++statuses_[status];
      latencies_.push_back(std::chrono::duration<double, std::micro>(now - std::max(c.began, measure_from_)).count());
      if (status < 200 || status > 299) ++errors_;
    }
    const bool close = c.answer.find("\r\nConnection: close\r\n") < c.expected;
    c.busy = false;
    if (close) {
      ::close(c.fd);
      open(index);
    }
    free_.push_back(index);
  }

  void fail(std::size_t index, const char* why) {
    auto& c = connections_[index];
    const bool was_busy = c.busy;
    if (was_busy) {
      ++errors_;
      if (errors_ < 10) std::cerr << "http_load: " << why << '\n';
    }
    ::close(c.fd);
    open(index);
    if (was_busy) free_.push_back(index);
  }

  double percentile(double p) const {
    if (latencies_.empty()) return 0;
    const auto at = static_cast<std::size_t>(p * static_cast<double>(latencies_.size() - 1));
    return latencies_[at];
  }

  void report(double elapsed, std::optional<double> cpu) {
    std::sort(latencies_.begin(), latencies_.end());
    const auto count = static_cast<double>(latencies_.size());
    std::ostringstream out;
    out << std::fixed;
    out.precision(1);
    const bool json = options_.json;
    auto item = [&, first = true](const char* name, double value, const char* unit) mutable {
      if (json) {
        out << (first ? "{" : ",") << '"' << name << "\":" << value;
      } else {
        out << name << ": " << value << unit << '\n';
      }
      first = false;
    };
    item("requests", count, "");
    item("errors", static_cast<double>(errors_), "");
    item("rate_per_second", count / elapsed, "");
    item("p50_us", percentile(0.5), "");
    item("p90_us", percentile(0.9), "");
    item("p99_us", percentile(0.99), "");
    item("max_us", latencies_.empty() ? 0 : latencies_.back(), "");
    if (options_.rate > 0) item("waiting_at_end", static_cast<double>(arrivals_.size()), "");
    if (cpu && count > 0) item("server_cpu_us_per_request", *cpu / count, "");
    for (const auto& [status, n] : statuses_)
      item(("status_" + std::to_string(status)).c_str(), static_cast<double>(n), "");
    if (json) out << "}\n";
    std::cout << out.str();
  }

  const Options& options_;
  Endpoint endpoint_;
  std::vector<std::string> requests_;
  int epoll_;
  std::vector<Connection> connections_;
  std::vector<std::size_t> free_;
  std::deque<Time> arrivals_;
  std::size_t next_request_ = 0;
  Time measure_from_;
  Time next_arrival_;
  std::vector<double> latencies_;
  std::map<int, std::uint64_t> statuses_;
  std::uint64_t errors_ = 0;
  std::mt19937_64 random_{42};  // the same arrivals in every run
  std::exponential_distribution<double> gap_{1.0};
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"HTTP load over keep-alive connections, closed or open loop"};
  app.add_option("url", options.url, "http://127.0.0.1:PORT/path")->required();
  app.add_option("files", options.files, "bodies, sent in rotation; a folder stands for its files");
  app.add_option("--method", options.method, "request method")->capture_default_str();
  app.add_option("--content-type", options.content_type, "of the bodies")->capture_default_str();
  app.add_option("--header", options.headers, "\"Name: value\"; may be repeated")->allow_extra_args(false);
  app.add_option("--places", options.places, "{} in the URL stands for the numbers below this, in turn")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--paths", options.paths, "file with a path in each line, instead of the URL's, in turn");
  app.add_option("--source", options.source, "IPv4 address to connect from, such as 127.0.0.2");
  app.add_flag("--once", options.once, "end when every request was sent once: for those that no server takes twice");
  app.add_option("--connections", options.connections, "connections")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  app.add_option("--seconds", options.seconds, "measured time")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--warmup", options.warmup, "seconds before measuring")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--rate", options.rate, "open loop with this many requests per second; 0: closed loop")
      ->capture_default_str();
  app.add_flag("--sleeps", options.sleeps,
               "with --rate, begin up to a millisecond late and leave the processor to others meanwhile");
  app.add_option("--pid", options.pid, "report this process's CPU time per request");
  app.add_flag("--json", options.json, "print one JSON object");
  CLI11_PARSE(app, argc, argv);
  auto endpoint = parse_url(options.url);
  auto requests = build_requests(options, endpoint);
  return Load{options, std::move(endpoint), std::move(requests)}.run();
}
