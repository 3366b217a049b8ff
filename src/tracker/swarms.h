// Who shares what with whom: the peers of every torrent, in memory. What they say of themselves is believed only as far
// as they could reach nobody with a lie; credit comes from receipts, never from here. BEP 3, 7, 23, 48
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "crypto/random.h"
#include "net/networks.h"

namespace attestry::tracker {

namespace internal {
class Tally;
}

using Infohash = base::FixedBytes<20>;

/// At most 20 bytes; a client's own choice.
struct PeerId {
  base::FixedBytes<20> bytes{};
  std::uint8_t size = 0;
};

enum class AnnounceEvent : std::uint8_t { none, started, stopped, completed };

/// Which addresses a client can take.
enum class Family : std::uint8_t { any, v4, v6 };

/// What a client says of itself.
struct Announcement {
  Infohash torrent{};
  PeerId id{};
  net::SocketAddress address{};  ///< where others reach it
  bool complete = false;         ///< nothing is left to download
  AnnounceEvent event = AnnounceEvent::none;
  std::uint32_t wanted = 50;  ///< peers
  Family family = Family::any;
  std::uint32_t member = 0;  ///< number of the member whose client it is; 0: of nobody known
};

struct SwarmLimits {
  std::uint32_t stale_seconds = 1800;        ///< a peer that was not heard of for longer is gone
  std::uint32_t most_wanted = 200;           ///< peers in one answer
  std::uint32_t peers_per_torrent = 50'000;  ///< at most 2^24
  std::uint16_t peers_per_member = 1000;     ///< of all torrents together; 0: no limit
  /// The same of one address (an IPv6 address: its /64 network), so that one machine cannot fill the swarms; 0: none.
  std::uint16_t peers_per_address = 1000;
  std::uint32_t torrents = 1'000'000;
  std::uint32_t peers = 4'000'000;
};

/// Why a client is not in the list that others get. It gets its own answer all the same.
enum class Kept : std::uint8_t { yes, torrent_full, member_full, address_full, tracker_full };

struct SwarmPeer {
  net::SocketAddress address;
  PeerId id;
};

struct SwarmCounts {
  std::uint32_t complete = 0;
  std::uint32_t incomplete = 0;
  std::uint32_t downloaded = 0;  ///< how often a peer that was here before said that it has everything now
};

struct SwarmAnswer {
  Kept kept = Kept::yes;
  SwarmCounts counts;            ///< of the whole swarm, with the one who asks
  std::vector<SwarmPeer> peers;  ///< chosen at random among the fresh ones, without the one who asks
};

/// Thread-safe: torrents are spread over 64 locks. `now` is in seconds of a steady clock and must not go backwards by
/// more than moments.
class Swarms {
 public:
  /// `random` is used here only, for the keys of the tables and the seeds of the choice of peers.
  Swarms(const SwarmLimits& limits, crypto::Random& random);
  ~Swarms();
  Swarms(const Swarms&) = delete;
  Swarms& operator=(const Swarms&) = delete;

  /// `answer` is filled anew, so that its memory can be used again and again.
  void announce(const Announcement& announcement, std::uint32_t now, SwarmAnswer& answer);
  /// Zeros for a torrent that nobody shares.
  SwarmCounts counts(const Infohash& torrent) const;
  /// Forgets stale peers, of a part of the torrents each time: 64 calls see all. Returns how many.
  std::size_t sweep(std::uint32_t now);

  std::uint32_t torrents() const noexcept { return torrents_.load(std::memory_order_relaxed); }
  std::uint32_t peers() const noexcept { return peers_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kShards = 64;
  struct Peer;
  class Swarm;
  struct Shard;

  Shard& shard_of(const Infohash& torrent) const;
  Kept admit(const Swarm& swarm, const Announcement& announcement);
  void forget(Swarm& swarm, std::size_t index);

  const SwarmLimits limits_;
  const std::array<std::uint64_t, 2> key_;
  std::unique_ptr<internal::Tally> addresses_;
  std::unique_ptr<internal::Tally> members_;
  std::atomic<std::uint32_t> torrents_{0};
  std::atomic<std::uint32_t> peers_{0};
  std::atomic<std::size_t> next_sweep_{0};
  std::unique_ptr<std::array<Shard, kShards>> shards_;
};

}  // namespace attestry::tracker
