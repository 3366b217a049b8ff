#include "tracker/announce.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "tracker/bencode.h"

namespace attestry::tracker {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMaxParameters = 256;
constexpr std::int64_t kWantedByDefault = 50;
constexpr std::size_t kV4Prefix = 12;  ///< bytes before the IPv4 address in an IPv4-mapped one

Error refused(std::string_view reason) { return {Code::malformed, std::string{reason}}; }

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      const int high = i + 2 < text.size() ? digit_of(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? digit_of(text[i + 2]) : -1;
      if (high < 0 || low < 0) return refused("Invalid percent encoding");
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return out;
}

struct Parameter {
  std::string name, value;
};

/// In order, without those that have no value.
Result<std::vector<Parameter>> parameters(std::string_view query) {
  std::vector<Parameter> out;
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const auto equals = part.find('=');
    if (equals == std::string_view::npos || equals + 1 == part.size()) continue;
    if (out.size() == kMaxParameters) return refused("Too many parameters");
    TRY(auto name, decoded(part.substr(0, equals)));
    TRY(auto value, decoded(part.substr(equals + 1)));
    out.push_back({std::move(name), std::move(value)});
  }
  return out;
}

/// Of a query's parameters, by their names.
class Said {
 public:
  explicit Said(const std::vector<Parameter>& parameters) : parameters_(parameters) {}

  /// Empty when it is not there.
  std::string_view text(std::string_view name) const {
    const auto found = std::ranges::find(parameters_, name, &Parameter::name);
    return found == parameters_.end() ? std::string_view{} : std::string_view{found->value};
  }
  /// A number that is too large for 64 bits is the largest: clients count bytes as they like.
  Result<std::int64_t> integer(std::string_view name, std::int64_t otherwise) const {
    const auto text = this->text(name);
    if (text.empty()) return otherwise;
    std::int64_t out = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (end != text.data() + text.size() || (error != std::errc{} && error != std::errc::result_out_of_range))
      return refused("Invalid " + std::string{name});
    if (error == std::errc{}) return out;
    return text.front() == '-' ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
  }

 private:
  const std::vector<Parameter>& parameters_;
};

bool is_infohash(std::string_view bytes) { return bytes.size() == Infohash{}.size(); }

Infohash infohash_of(std::string_view bytes) {
  Infohash out{};
  std::ranges::copy(base::as_bytes(bytes), out.begin());
  return out;
}

/// What BEP 21 and others define besides changes nothing here.
AnnounceEvent event_of(std::string_view text) {
  if (text == "started") return AnnounceEvent::started;
  if (text == "stopped") return AnnounceEvent::stopped;
  if (text == "completed") return AnnounceEvent::completed;
  return AnnounceEvent::none;
}

std::string_view address_bytes(const net::Ip& ip) {
  const auto bytes = base::as_text(ip);
  return net::is_v4(ip) ? bytes.substr(kV4Prefix) : bytes;
}

void append_key(std::string& out, std::string_view key) { append_bencoded(out, key); }
void append_integer(std::string& out, std::string_view key, std::int64_t value) {
  append_key(out, key);
  append_bencoded(out, value);
}

/// BEP 23 and 7: address and port of those of one family, one after the other.
void append_compact(std::string& out, const std::vector<SwarmPeer>& peers, bool v4) {
  std::string packed;
  for (const auto& [address, id] : peers) {
    if (net::is_v4(address.ip) != v4) continue;
    packed += address_bytes(address.ip);
    packed.push_back(static_cast<char>(address.port >> 8U));
    packed.push_back(static_cast<char>(address.port & 0xffU));
  }
  append_bencoded(out, packed);
}

void append_list(std::string& out, const std::vector<SwarmPeer>& peers, bool no_peer_id) {
  out.push_back('l');
  for (const auto& [address, id] : peers) {
    out.push_back('d');
    append_key(out, "ip");
    append_bencoded(out, net::to_text(address.ip));
    if (!no_peer_id) {
      append_key(out, "peer id");
      append_bencoded(out, base::as_text(base::ByteView{id.bytes}.first(id.size)));
    }
    append_integer(out, "port", address.port);
    out.push_back('e');
  }
  out.push_back('e');
}

std::string_view warning_of(Kept kept) {
  switch (kept) {
    case Kept::yes:
      break;
    case Kept::torrent_full:
      return "You are not listed: this torrent has as many peers as it may have";
    case Kept::member_full:
      return "You are not listed: this member has as many peers as he may have";
    case Kept::address_full:
      return "You are not listed: your address has as many peers as it may have";
    case Kept::tracker_full:
      return "You are not listed: the tracker is full";
  }
  return {};
}

}  // namespace

Result<AnnounceQuery> parse_announce(std::string_view query) {
  TRY(const auto list, parameters(query));
  const Said said{list};
  AnnounceQuery out;
  auto& announcement = out.announcement;
  const auto torrent = said.text("info_hash");
  if (!is_infohash(torrent)) return refused("Invalid info_hash");
  announcement.torrent = infohash_of(torrent);
  TRY(const auto port, said.integer("port", 0));
  if (port < 1 || port > 65535) return refused("Invalid port");
  announcement.address.port = static_cast<std::uint16_t>(port);
  const auto id = said.text("peer_id");
  if (id.size() > announcement.id.bytes.size()) return refused("Invalid peer_id");
  std::ranges::copy(base::as_bytes(id), announcement.id.bytes.begin());
  announcement.id.size = static_cast<std::uint8_t>(id.size());
  TRY_OK(said.integer("uploaded", 0));
  TRY_OK(said.integer("downloaded", 0));
  TRY(const auto left, said.integer("left", 0));
  announcement.complete = left == 0;
  announcement.event = event_of(said.text("event"));
  TRY(const auto wanted, said.integer("numwant", kWantedByDefault));
  // Many clients write -1 for "as you like".
  announcement.wanted = static_cast<std::uint32_t>(
      wanted < 0 ? kWantedByDefault : std::min<std::int64_t>(wanted, std::numeric_limits<std::uint32_t>::max()));
  TRY(const auto compact, said.integer("compact", 1));
  out.compact = compact == 1;
  TRY(const auto no_peer_id, said.integer("no_peer_id", 0));
  out.no_peer_id = no_peer_id != 0;
  out.user_id = said.text("user_id");
  return out;
}

Result<std::vector<Infohash>> parse_scrape(std::string_view query) {
  TRY(const auto list, parameters(query));
  std::vector<Infohash> out;
  for (const auto& [name, value] : list) {
    if (name == "info_hash" && is_infohash(value)) out.push_back(infohash_of(value));
  }
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

std::string announce_reply(const AnnounceQuery& query, const SwarmAnswer& answer, const AnnounceTimes& times,
                           std::string_view tracker_id) {
  std::string out{"d"};
  append_integer(out, "complete", answer.counts.complete);
  append_key(out, "external ip");
  append_bencoded(out, address_bytes(query.announcement.address.ip));
  append_integer(out, "incomplete", answer.counts.incomplete);
  append_integer(out, "interval", times.interval);
  append_integer(out, "min interval", times.min_interval);
  append_key(out, "peers");
  if (query.compact) {
    append_compact(out, answer.peers, true);
    append_key(out, "peers6");
    append_compact(out, answer.peers, false);
  } else {
    append_list(out, answer.peers, query.no_peer_id);
  }
  append_key(out, "tracker id");
  append_bencoded(out, tracker_id);
  if (const auto warning = warning_of(answer.kept); !warning.empty()) {
    append_key(out, "warning message");
    append_bencoded(out, warning);
  }
  out.push_back('e');
  return out;
}

std::string scrape_reply(const std::vector<std::pair<Infohash, SwarmCounts>>& counts) {
  std::string out{"d5:filesd"};
  for (const auto& [torrent, count] : counts) {
    append_key(out, base::as_text(torrent));
    out.push_back('d');
    append_integer(out, "complete", count.complete);
    append_integer(out, "downloaded", count.downloaded);
    append_integer(out, "incomplete", count.incomplete);
    out.push_back('e');
  }
  return out + "ee";
}

std::string failure_reply(std::string_view reason) {
  std::string out{"d"};
  append_key(out, "failure reason");
  append_bencoded(out, reason);
  out.push_back('e');
  return out;
}

}  // namespace attestry::tracker
