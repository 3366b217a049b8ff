#include "tracker/swarms.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "base/mutex.h"
#include "tracker/internal/tally.h"

namespace attestry::tracker {

using internal::keyed_hash;

namespace {

/// Up to here a peer is found by looking at all: cheaper, and nine of ten swarms need no table.
constexpr std::size_t kSmallSwarm = 24;
constexpr std::uint32_t kNone = UINT32_MAX;
/// Draws for each wanted peer, so that a swarm of stale ones does not cost more than a fresh one.
constexpr std::uint32_t kDraws = 4;

std::array<std::uint64_t, 2> key_of(crypto::Random& random) {
  const auto bytes = random.bytes<16>();
  std::array<std::uint64_t, 2> out{};
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

}  // namespace

struct Swarms::Peer {
  net::Ip ip{};
  std::uint32_t seen = 0;
  std::uint32_t member = 0;
  std::uint16_t port = 0;
  bool complete = false;
  PeerId id{};

  bool at(const net::SocketAddress& address) const noexcept { return port == address.port && ip == address.ip; }
  bool fresh(std::uint32_t now, std::uint32_t stale_seconds) const noexcept {
    return now < seen || now - seen <= stale_seconds;
  }
};

/// The peers of one torrent: an array, and for large ones a table of places in it by address.
class Swarms::Swarm {
 public:
  std::size_t size() const noexcept { return peers_.size(); }
  Peer& peer(std::size_t index) noexcept { return peers_[index]; }
  SwarmCounts counts() const noexcept {
    return {complete_, static_cast<std::uint32_t>(peers_.size()) - complete_, downloaded_};
  }
  void count_download() noexcept { ++downloaded_; }
  void set_complete(Peer& peer, bool complete) noexcept {
    if (peer.complete == complete) return;
    peer.complete = complete;
    complete ? ++complete_ : --complete_;
  }

  std::uint32_t find(const net::SocketAddress& address, const std::array<std::uint64_t, 2>& key) const noexcept {
    if (slots_.empty()) {
      for (std::size_t i = 0; i < peers_.size(); ++i) {
        if (peers_[i].at(address)) return static_cast<std::uint32_t>(i);
      }
      return kNone;
    }
    for (auto slot = home(address, key);; slot = next(slot)) {
      if (slots_[slot] == kNone || peers_[slots_[slot]].at(address)) return slots_[slot];
    }
  }

  void insert(const Peer& peer, const std::array<std::uint64_t, 2>& key) {
    // By half, not doubled: a million peers would otherwise have room for two.
    if (peers_.size() == peers_.capacity()) peers_.reserve(peers_.size() + std::max<std::size_t>(2, peers_.size() / 2));
    peers_.push_back(peer);
    if (peer.complete) ++complete_;
    if (slots_.empty() ? peers_.size() > kSmallSwarm : peers_.size() * 3 > slots_.size() * 2) return index_all(key);
    if (!slots_.empty()) enter(static_cast<std::uint32_t>(peers_.size() - 1), key);
  }

  /// The last one takes its place.
  void remove(std::size_t index, const std::array<std::uint64_t, 2>& key) {
    if (peers_[index].complete) --complete_;
    if (!slots_.empty()) {
      leave(static_cast<std::uint32_t>(index), key);
      if (index + 1 != peers_.size())
        slots_[slot_of(static_cast<std::uint32_t>(peers_.size() - 1), key)] = static_cast<std::uint32_t>(index);
    }
    peers_[index] = peers_.back();
    peers_.pop_back();
    if (peers_.size() * 4 < peers_.capacity()) peers_.shrink_to_fit();
    if (!slots_.empty() && peers_.size() * 8 < slots_.size()) index_all(key);
  }

 private:
  std::size_t home(const net::SocketAddress& address, const std::array<std::uint64_t, 2>& key) const noexcept {
    std::array<std::uint8_t, 18> bytes{};
    std::memcpy(bytes.data(), address.ip.data(), address.ip.size());
    std::memcpy(bytes.data() + address.ip.size(), &address.port, sizeof address.port);
    return keyed_hash(bytes, key) & (slots_.size() - 1);
  }
  std::size_t home(std::uint32_t index, const std::array<std::uint64_t, 2>& key) const noexcept {
    return home({peers_[index].ip, peers_[index].port}, key);
  }
  std::size_t next(std::size_t slot) const noexcept { return (slot + 1) & (slots_.size() - 1); }
  std::size_t slot_of(std::uint32_t index, const std::array<std::uint64_t, 2>& key) const noexcept {
    auto slot = home(index, key);
    while (slots_[slot] != index) slot = next(slot);
    return slot;
  }
  void enter(std::uint32_t index, const std::array<std::uint64_t, 2>& key) noexcept {
    auto slot = home(index, key);
    while (slots_[slot] != kNone) slot = next(slot);
    slots_[slot] = index;
  }
  /// Linear probing without marks of what was erased: those behind move up (Knuth 6.4, algorithm R).
  void leave(std::uint32_t index, const std::array<std::uint64_t, 2>& key) noexcept {
    auto hole = slot_of(index, key);
    for (auto slot = next(hole); slots_[slot] != kNone; slot = next(slot)) {
      const auto mask = slots_.size() - 1;
      if (((slot - home(slots_[slot], key)) & mask) < ((slot - hole) & mask)) continue;
      slots_[hole] = slots_[slot];
      hole = slot;
    }
    slots_[hole] = kNone;
  }
  void index_all(const std::array<std::uint64_t, 2>& key) {
    slots_ = {};
    if (peers_.size() <= kSmallSwarm) return;
    std::size_t size = 64;
    while (size * 2 < peers_.size() * 4) size *= 2;
    slots_.assign(size, kNone);
    for (std::size_t i = 0; i < peers_.size(); ++i) enter(static_cast<std::uint32_t>(i), key);
  }

  std::vector<Peer> peers_;
  std::vector<std::uint32_t> slots_;  ///< a power of two of them, at most two thirds taken; empty for small swarms
  std::uint32_t complete_ = 0;
  std::uint32_t downloaded_ = 0;
};

struct Swarms::Shard {
  struct Hash {
    std::array<std::uint64_t, 2> key;
    std::size_t operator()(const Infohash& torrent) const noexcept { return keyed_hash(torrent, key); }
  };
  mutable base::Mutex mutex;
  std::unordered_map<Infohash, Swarm, Hash> swarms ATTESTRY_GUARDED_BY(mutex);
  std::uint64_t random ATTESTRY_GUARDED_BY(mutex) = 0;

  /// Less than `bound`. Which peers are shown is no secret, and the state is seeded from one (splitmix64).
  std::uint32_t draw(std::uint32_t bound) ATTESTRY_REQUIRES(mutex) {
    random += 0x9e3779b97f4a7c15U;
    auto z = random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return static_cast<std::uint32_t>(((z ^ (z >> 31)) >> 32) * bound >> 32);
  }
};

Swarms::Swarms(const SwarmLimits& limits, crypto::Random& random)
    : limits_(limits),
      key_(key_of(random)),
      addresses_(std::make_unique<internal::Tally>(key_of(random))),
      members_(std::make_unique<internal::Tally>(key_of(random))),
      shards_(std::make_unique<std::array<Shard, kShards>>()) {
  for (auto& shard : *shards_) {
    const base::MutexLock lock{shard.mutex};
    shard.swarms = decltype(shard.swarms){0, Shard::Hash{key_}};
    shard.random = key_of(random)[0];
  }
}

Swarms::~Swarms() = default;

Swarms::Shard& Swarms::shard_of(const Infohash& torrent) const {
  // The table inside uses the low bits.
  return (*shards_)[keyed_hash(torrent, key_) >> 58];
}

namespace {

std::uint64_t owner_of(const net::Ip& ip) {
  net::Ip network = ip;
  if (!net::is_v4(ip)) std::fill(network.begin() + 8, network.end(), std::uint8_t{0});
  std::uint64_t halves[2];
  std::memcpy(halves, network.data(), sizeof halves);
  // IPv4 addresses differ in the second half only, networks of IPv6 in the first.
  return halves[0] ^ (halves[1] * 0x9e3779b97f4a7c15U);
}

}  // namespace

Kept Swarms::admit(const Swarm& swarm, const Announcement& announcement) {
  if (swarm.size() >= limits_.peers_per_torrent) return Kept::torrent_full;
  if (peers_.fetch_add(1, std::memory_order_relaxed) >= limits_.peers) {
    peers_.fetch_sub(1, std::memory_order_relaxed);
    return Kept::tracker_full;
  }
  if (announcement.member != 0 && !members_->add(announcement.member, limits_.peers_per_member)) {
    peers_.fetch_sub(1, std::memory_order_relaxed);
    return Kept::member_full;
  }
  if (!addresses_->add(owner_of(announcement.address.ip), limits_.peers_per_address)) {
    if (announcement.member != 0) members_->remove(announcement.member);
    peers_.fetch_sub(1, std::memory_order_relaxed);
    return Kept::address_full;
  }
  return Kept::yes;
}

void Swarms::forget(Swarm& swarm, std::size_t index) {
  const auto& peer = swarm.peer(index);
  addresses_->remove(owner_of(peer.ip));
  if (peer.member != 0) members_->remove(peer.member);
  swarm.remove(index, key_);
  peers_.fetch_sub(1, std::memory_order_relaxed);
}

void Swarms::announce(const Announcement& announcement, std::uint32_t now, SwarmAnswer& answer) {
  answer.kept = Kept::yes;
  answer.counts = {};
  answer.peers.clear();
  const bool stops = announcement.event == AnnounceEvent::stopped;
  auto& shard = shard_of(announcement.torrent);
  const base::MutexLock lock{shard.mutex};
  auto found = shard.swarms.find(announcement.torrent);
  if (found == shard.swarms.end()) {
    if (stops) return;
    if (torrents_.load(std::memory_order_relaxed) >= limits_.torrents) {
      answer.kept = Kept::tracker_full;
      return;
    }
    found = shard.swarms.try_emplace(announcement.torrent).first;
    torrents_.fetch_add(1, std::memory_order_relaxed);
  }
  auto& swarm = found->second;
  auto own = swarm.find(announcement.address, key_);
  if (own != kNone && (stops || swarm.peer(own).member != announcement.member)) {
    // Another member at the same address: what was there is gone, and counts for nobody any more.
    forget(swarm, own);
    own = kNone;
  }
  if (!stops && own == kNone) {
    answer.kept = admit(swarm, announcement);
    if (answer.kept == Kept::yes) {
      swarm.insert({.ip = announcement.address.ip,
                    .seen = now,
                    .member = announcement.member,
                    .port = announcement.address.port,
                    .complete = announcement.complete,
                    .id = announcement.id},
                   key_);
      own = static_cast<std::uint32_t>(swarm.size() - 1);
    }
  } else if (own != kNone) {
    auto& peer = swarm.peer(own);
    if (announcement.event == AnnounceEvent::completed && announcement.complete && !peer.complete) {
      swarm.count_download();
    }
    swarm.set_complete(peer, announcement.complete);
    peer.seen = now;
    peer.id = announcement.id;
  }
  answer.counts = swarm.counts();
  if (swarm.size() == 0) {
    // At once, not by the next sweep: who may have no more peers, or comes and goes, could fill the tracker with empty
    // torrents until then.
    shard.swarms.erase(found);
    torrents_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }

  // Others, each at most once.
  const auto size = static_cast<std::uint32_t>(swarm.size());
  const auto wanted = std::min(announcement.wanted, limits_.most_wanted);
  const auto show = [&](std::uint32_t index) {
    const auto& peer = swarm.peer(index);
    if (index == own || !peer.fresh(now, limits_.stale_seconds)) return;
    if (announcement.family != Family::any && net::is_v4(peer.ip) != (announcement.family == Family::v4)) return;
    answer.peers.push_back({{peer.ip, peer.port}, peer.id});
  };
  if (wanted == 0) return;
  if (size <= wanted * 2) {
    // Nearly all: from a random place on, until there are enough.
    auto index = shard.draw(size);
    for (std::uint32_t i = 0; i < size && answer.peers.size() < wanted;
         ++i, index = index + 1 == size ? 0 : index + 1) {
      show(index);
    }
    return;
  }
  thread_local std::vector<std::uint32_t> drawn;
  drawn.clear();
  for (std::uint32_t i = 0; i < wanted * kDraws && answer.peers.size() < wanted; ++i) {
    const auto index = shard.draw(size);
    if (std::ranges::find(drawn, index) != drawn.end()) continue;
    drawn.push_back(index);
    show(index);
  }
}

SwarmCounts Swarms::counts(const Infohash& torrent) const {
  const auto& shard = shard_of(torrent);
  const base::MutexLock lock{shard.mutex};
  const auto found = shard.swarms.find(torrent);
  return found == shard.swarms.end() ? SwarmCounts{} : found->second.counts();
}

std::size_t Swarms::sweep(std::uint32_t now) {
  auto& shard = (*shards_)[next_sweep_.fetch_add(1, std::memory_order_relaxed) % kShards];
  const base::MutexLock lock{shard.mutex};
  std::size_t gone = 0;
  for (auto at = shard.swarms.begin(); at != shard.swarms.end();) {
    auto& swarm = at->second;
    for (std::size_t i = swarm.size(); i-- > 0;) {
      if (swarm.peer(i).fresh(now, limits_.stale_seconds)) continue;
      forget(swarm, i);
      ++gone;
    }
    if (swarm.size() != 0) {
      ++at;
      continue;
    }
    at = shard.swarms.erase(at);
    torrents_.fetch_sub(1, std::memory_order_relaxed);
  }
  return gone;
}

}  // namespace attestry::tracker
