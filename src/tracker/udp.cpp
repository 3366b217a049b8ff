#include "tracker/udp.h"

#include <algorithm>

#include "base/reader.h"
#include "crypto/hash.h"

namespace attestry::tracker {

using base::Code;
using base::Error;
using base::Reader;
using base::Result;
using base::Status;

namespace {

constexpr std::uint64_t kProtocol = 0x41727101980;  ///< BEP 15, "connect request"
constexpr std::uint32_t kSlot = 60;                 ///< seconds
constexpr std::uint32_t kSlotsAgo = 2;   ///< BEP 15: for two minutes after it was sent, so in the slot before the last
constexpr std::size_t kMostHashes = 74;  ///< BEP 15, "scrape request"
constexpr std::uint32_t kUnsaid = UINT32_MAX;  ///< num_want -1
constexpr std::uint32_t kDefaultWanted = 50;
constexpr std::size_t kMostUrl = 1024;
constexpr std::size_t kErrorHead = 8;  ///< action and transaction id

enum Action : std::uint8_t { kConnect, kAnnounce, kScrape, kError };

void put(base::Bytes& out, std::uint64_t value, unsigned bytes) {
  for (unsigned i = bytes; i-- > 0;) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

Error refusal(std::string text) { return {Code::denied, std::move(text)}; }

/// BEP 41: what follows an announcement. Options that are not known have a length, too.
Result<std::string> url_of(Reader& reader) {
  std::string out;
  while (reader.remaining() > 0) {
    TRY(const auto option, reader.u8("option"));
    if (option == 0) break;     // EndOfOptions
    if (option == 1) continue;  // NOP
    TRY(const auto size, reader.u8("length of the option"));
    TRY(const auto data, reader.take(size, "option"));
    if (option == 2) out += base::as_text(data);  // URLData, in parts of 255
  }
  if (out.size() > kMostUrl) return Error{Code::too_large, "the tracker's URL is too long"};
  return out;
}

}  // namespace

UdpTracker::UdpTracker(UdpTrackerParts parts, crypto::Secret key) : parts_(std::move(parts)), key_(std::move(key)) {}

std::uint64_t UdpTracker::connection_id(const net::Ip& ip, std::uint32_t slot) const {
  const auto mac = crypto::hmac_sha256(key_.reveal(), base::LpWriter{}.raw(ip).u32(slot).bytes());
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < sizeof out; ++i) out = out << 8 | mac[i];
  return out;
}

bool UdpTracker::connected(std::uint64_t id, const net::Ip& ip, std::uint32_t now) const {
  const auto slot = now / kSlot;
  for (std::uint32_t ago = 0; ago <= std::min(slot, kSlotsAgo); ++ago) {
    if (id == connection_id(ip, slot - ago)) return true;
  }
  return false;
}

Status UdpTracker::announce(base::ByteView body, const net::SocketAddress& from, std::uint32_t now,
                            base::Bytes& out) const {
  Reader reader{body};
  Announcement said;
  TRY(said.torrent, reader.take_array<20>("info_hash"));
  TRY(said.id.bytes, reader.take_array<20>("peer_id"));
  said.id.size = 20;
  TRY([[maybe_unused]] const auto downloaded, reader.u64be("downloaded"));
  TRY(const auto left, reader.u64be("left"));
  TRY([[maybe_unused]] const auto uploaded, reader.u64be("uploaded"));
  TRY(const auto event, reader.u32be("event"));
  // Where a client says that it is proves nothing: the address is that of the socket.
  TRY([[maybe_unused]] const auto claimed, reader.u32be("IP address"));
  TRY([[maybe_unused]] const auto key, reader.u32be("key"));
  TRY(const auto wanted, reader.u32be("num_want"));
  TRY(const auto port, reader.u16be("port"));
  TRY(const auto url, url_of(reader));
  constexpr AnnounceEvent kEvents[] = {AnnounceEvent::none, AnnounceEvent::completed, AnnounceEvent::started,
                                       AnnounceEvent::stopped};
  if (event >= std::size(kEvents)) return refusal("Invalid event");
  if (port == 0) return refusal("Invalid port");
  said.event = kEvents[event];
  said.complete = left == 0;
  said.wanted = wanted == kUnsaid ? kDefaultWanted : std::min(wanted, std::uint32_t{INT32_MAX});
  said.address = {from.ip, port};
  // The size of an address in the answer is that of the family of the question (BEP 15, "IPv6").
  const bool v4 = net::is_v4(from.ip);
  said.family = v4 ? Family::v4 : Family::v6;
  auto admitted = parts_.admit(said, url);
  if (!admitted.refusal.empty()) return refusal(std::move(admitted.refusal));
  said.member = admitted.member;
  thread_local SwarmAnswer found;
  parts_.swarms.announce(said, now, found);
  put(out, parts_.interval, 4);
  put(out, found.counts.incomplete, 4);
  put(out, found.counts.complete, 4);
  for (const auto& peer : found.peers) {
    const base::ByteView ip{peer.address.ip};
    base::append(out, v4 ? ip.subspan(12) : ip);
    put(out, peer.address.port, 2);
  }
  return base::done();
}

Status UdpTracker::scrape(base::ByteView body, base::Bytes& out) const {
  if (!parts_.scrapes) return refusal("Members only: scrape over HTTP with your passkey");
  Reader reader{body};
  for (std::size_t i = 0; reader.remaining() > 0; ++i) {
    if (i == kMostHashes) return refusal("At most 74 torrents in one scrape");
    TRY(const auto torrent, reader.take_array<20>("info_hash"));
    const auto counts = parts_.swarms.counts(torrent);
    put(out, counts.complete, 4);
    put(out, counts.downloaded, 4);
    put(out, counts.incomplete, 4);
  }
  return base::done();
}

bool UdpTracker::proves(base::ByteView datagram, const net::SocketAddress& from, std::uint32_t now) const {
  Reader reader{datagram};
  const auto id = reader.u64be("connection id");
  const auto action = reader.u32be("action");
  return id && action && (*action == kAnnounce || *action == kScrape) && connected(*id, from.ip, now);
}

void UdpTracker::answer(base::ByteView datagram, const net::SocketAddress& from, std::uint32_t now,
                        base::Bytes& out) const {
  Reader reader{datagram};
  const auto id = reader.u64be("connection id");
  const auto action = reader.u32be("action");
  const auto transaction = reader.u32be("transaction id");
  if (!id || !action || !transaction) return;
  const auto begin = out.size();
  const auto head = [&](Action what) {
    out.resize(begin);
    put(out, what, 4);
    put(out, *transaction, 4);
  };
  if (*action == kConnect) {
    if (*id != kProtocol) return;
    head(kConnect);
    put(out, connection_id(from.ip, now / kSlot), 8);
    return;
  }
  if (*action != kAnnounce && *action != kScrape) return;
  Status done = refusal("Connection ID mismatch");
  if (connected(*id, from.ip, now)) {
    head(static_cast<Action>(*action));
    done = *action == kAnnounce ? announce(reader.rest(), from, now, out) : scrape(reader.rest(), out);
  } else if (datagram.size() < kErrorHead + done.error().what.size()) {
    return;  // the address may be somebody's who has sent nothing: he gets no more than was sent in his name
  }
  if (done) return;
  head(kError);
  base::append(out, base::as_bytes(done.error().what));
}

}  // namespace attestry::tracker
