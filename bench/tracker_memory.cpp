// Resident memory of a million peers in 100,000 swarms, each peer at an address of its own, and what a reply costs
// then.
//   tracker_memory even|skewed|members [PEERS [SWARMS]]
// even: as many in each swarm; skewed: swarm n has its share by 1/n, as popularity goes; members: even, and each ten
// peers are a member's. Prints one JSON object.
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string_view>

#include "crypto/random.h"
#include "net/networks.h"
#include "tracker/swarms.h"

namespace {

using namespace attestry;

double resident_mib() {
  std::ifstream file("/proc/self/statm");
  double all = 0;
  double resident = 0;
  file >> all >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

tracker::Announcement peer(std::uint32_t number, std::uint32_t torrent) {
  tracker::Announcement out;
  for (int i = 0; i < 4; ++i) out.torrent[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(torrent >> (8 * i));
  out.address.ip = *net::parse_ip("10.0.0.0");
  for (int i = 0; i < 3; ++i)
    out.address.ip[static_cast<std::size_t>(15 - i)] = static_cast<std::uint8_t>(number >> (8 * i));
  out.address.port = static_cast<std::uint16_t>(1 + number % 65'535);
  out.id.size = 20;
  out.complete = number % 3 == 0;
  out.event = tracker::AnnounceEvent::started;
  out.wanted = 0;
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view shape = argc > 1 ? argv[1] : "";
  const auto number = [&](int at, std::uint32_t otherwise) {
    return argc > at ? static_cast<std::uint32_t>(std::strtoul(argv[at], nullptr, 10)) : otherwise;
  };
  const std::uint32_t peers = number(2, 1'000'000);
  const std::uint32_t torrents = number(3, 100'000);
  if (argc < 2 || peers == 0 || torrents == 0 || peers > (1U << 24U)) {
    std::fprintf(stderr, "usage: tracker_memory even|skewed|members [PEERS [SWARMS]]\n");
    return 2;
  }
  tracker::Swarms swarms{{.peers_per_torrent = peers}, crypto::system_random()};
  tracker::SwarmAnswer answer;
  const double before = resident_mib();
  // exp(u · ln(n)) for an even u has the density 1/n. Every peer a torrent, none of them at random: each run is the
  // same.
  const double power = std::log(static_cast<double>(torrents));
  const auto torrent_of = [&](std::uint32_t i) -> std::uint32_t {
    if (shape != "skewed" || i < torrents) return i % torrents;
    const auto u = static_cast<double>(i - torrents) / static_cast<double>(peers - torrents);
    return static_cast<std::uint32_t>(std::exp(u * power)) - 1;
  };
  const double begin = cpu_seconds();
  for (std::uint32_t i = 0; i < peers; ++i) {
    auto one = peer(i, torrent_of(i));
    if (shape == "members") one.member = 1 + i / 10;
    swarms.announce(one, 1000, answer);
    if (answer.kept != tracker::Kept::yes) {
      std::fprintf(stderr, "tracker_memory: a peer found no place\n");
      return 1;
    }
  }
  const double inserted = cpu_seconds() - begin;
  const double after = resident_mib();
  constexpr std::uint32_t kAsked = 200'000;
  const double ask = cpu_seconds();
  for (std::uint32_t i = 0; i < kAsked; ++i) {
    const std::uint32_t who = i * 7919U % peers;
    auto one = peer(who, torrent_of(who));
    if (shape == "members") one.member = 1 + who / 10;
    one.wanted = 50;
    swarms.announce(one, 1001, answer);
  }
  const double asked = cpu_seconds() - ask;
  std::printf("{\"shape\":\"%s\",\"peers\":%u,\"torrents\":%u,\"mib\":%.1f,\"insert_us\":%.2f,\"announce_us\":%.2f}\n",
              argv[1], swarms.peers(), swarms.torrents(), after - before, inserted * 1e6 / peers, asked * 1e6 / kAsked);
  return 0;
}
