#include "net/networks.h"

#include <algorithm>
#include <charconv>

#include "net/internal/asio.h"

namespace attestry::net {
namespace {

constexpr unsigned kV4MappedBits = 96;
constexpr Ip kV4Mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};

bool inside(const Ip& address, const Ip& prefix, unsigned bits) noexcept {
  const std::size_t whole = bits / 8;
  if (!std::equal(prefix.begin(), prefix.begin() + static_cast<std::ptrdiff_t>(whole), address.begin())) return false;
  if (bits % 8 == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - bits % 8));
  return (prefix[whole] & mask) == (address[whole] & mask);
}

/// All of it, as a number of at most `most`.
template <class T>
std::optional<T> number(std::string_view digits, T most) {
  T out{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  if (error != std::errc{} || end != digits.data() + digits.size() || out > most) return std::nullopt;
  return out;
}

}  // namespace

std::optional<Ip> parse_ip(std::string_view text) {
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(text, ec);
  if (ec || (address.is_v6() && address.to_v6().scope_id() != 0)) return std::nullopt;
  return (address.is_v4() ? asio::ip::make_address_v6(asio::ip::v4_mapped, address.to_v4()) : address.to_v6())
      .to_bytes();
}

bool is_v4(const Ip& ip) noexcept { return inside(ip, kV4Mapped, kV4MappedBits); }

std::string to_text(const Ip& ip) {
  const asio::ip::address_v6 address{ip};
  return is_v4(ip) ? asio::ip::make_address_v4(asio::ip::v4_mapped, address).to_string() : address.to_string();
}

std::optional<SocketAddress> parse_socket_address(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  auto host = text.substr(0, colon);
  const bool brackets = host.starts_with('[') && host.ends_with(']');
  if (brackets) host = host.substr(1, host.size() - 2);
  if (brackets != (host.find(':') != std::string_view::npos)) return std::nullopt;  // RFC 3986, 3.2.2
  const auto ip = parse_ip(host);
  const auto port = number<std::uint16_t>(text.substr(colon + 1), UINT16_MAX);
  if (!ip || !port) return std::nullopt;
  return SocketAddress{*ip, *port};
}

base::Result<Networks> Networks::parse(const std::vector<std::string>& texts) {
  Networks out;
  for (const auto& text : texts) {
    const auto slash = text.find('/');
    const auto ip = parse_ip(std::string_view{text}.substr(0, slash));
    std::optional<unsigned> bits;
    if (ip) {
      const unsigned most = is_v4(*ip) && text.find(':') == std::string::npos ? 32 : 128;
      bits = slash == std::string::npos ? most : number<unsigned>(std::string_view{text}.substr(slash + 1), most);
      if (bits && most == 32) *bits += kV4MappedBits;
    }
    if (!bits)
      return base::Error{base::Code::configuration, "no network", "an address or 192.0.2.0/24, 2001:db8::/32", text};
    out.networks_.push_back({*ip, *bits});
  }
  return out;
}

bool Networks::contain(const Ip& ip) const noexcept {
  return std::ranges::any_of(networks_, [&](const auto& one) { return inside(ip, one.prefix, one.bits); });
}

}  // namespace attestry::net
