#include "secrets/keystore_bundle.h"

#include <algorithm>

#include "base/reader.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kWithWallets = 2;
constexpr std::size_t kMaxName = 256;
constexpr std::size_t kMaxReason = 1024;
constexpr std::uint32_t kMaxEntries = 1'000'000;

/// Writes into a secret; the first pass, without one, counts. Buffers that grow would leave copies behind.
class Out {
 public:
  explicit Out(std::span<std::uint8_t> into = {}) : into_(into) {}
  std::size_t size() const noexcept { return at_; }
  void raw(base::ByteView bytes) {
    if (!into_.empty()) std::copy(bytes.begin(), bytes.end(), into_.begin() + static_cast<std::ptrdiff_t>(at_));
    at_ += bytes.size();
  }
  void number(std::uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) {
      const auto byte = static_cast<std::uint8_t>(value >> (8 * i));
      raw({&byte, 1});
    }
  }
  void lp(base::ByteView bytes) {
    number(bytes.size(), 4);
    raw(bytes);
  }
  void lp(std::string_view text) { lp(base::as_bytes(text)); }

 private:
  std::span<std::uint8_t> into_;
  std::size_t at_ = 0;
};

void write(Out& out, const KeystoreBundle& bundle) {
  out.number(bundle.wallets_epoch != 0 ? kWithWallets : kVersion, 1);
  out.number(bundle.current, 4);
  out.number(bundle.oldest, 4);
  if (bundle.wallets_epoch != 0) {
    out.number(bundle.wallets_epoch, 4);
    out.raw(bundle.wallets.reveal());
  }
  out.lp(bundle.source);
  out.lp(bundle.v0_seed.reveal());
  out.number(bundle.masters.size(), 4);
  for (const auto& entry : bundle.masters) {
    out.lp(entry.vault);
    out.number(entry.epoch, 4);
    out.number(static_cast<std::uint64_t>(entry.since.seconds), 8);
    out.raw(entry.master.reveal());
  }
  out.number(bundle.bans.size(), 4);
  for (const auto& ban : bundle.bans) {
    out.lp(ban.vault);
    out.lp(ban.reason);
    out.number(static_cast<std::uint64_t>(ban.since.seconds), 8);
  }
}

Result<std::string> text(base::Reader& in, std::string_view what, std::size_t limit) {
  TRY(const auto bytes, in.lp(what, limit));
  return std::string{base::as_text(bytes)};
}
Result<base::UtcTime> time(base::Reader& in) {
  TRY(const auto seconds, in.u64be("since"));
  return base::UtcTime{static_cast<std::int64_t>(seconds)};
}
Result<std::uint32_t> count(base::Reader& in) {
  TRY(const auto out, in.u32be("count"));
  if (out > kMaxEntries)
    return Error{Code::malformed, "keystore bundle: count", "1000000 at most", std::to_string(out)};
  return out;
}

}  // namespace

crypto::Secret encode_bundle(const KeystoreBundle& bundle) {
  Out counted;
  write(counted, bundle);
  crypto::Secret out(counted.size());
  Out into(out.writable());
  write(into, bundle);
  return out;
}

Result<KeystoreBundle> decode_bundle(base::ByteView bytes) {
  base::Reader in{bytes};
  KeystoreBundle out;
  TRY(const auto version, in.u8("version"));
  if (version != kVersion && version != kWithWallets) {
    return Error{Code::malformed, "keystore bundle: version", "1 or 2", std::to_string(version)};
  }
  TRY(out.current, in.u32be("current"));
  TRY(out.oldest, in.u32be("oldest"));
  if (version == kWithWallets) {
    TRY(out.wallets_epoch, in.u32be("epoch of wallets"));
    if (out.wallets_epoch == 0) return Error{Code::malformed, "keystore bundle: epoch of wallets", "1 or later", "0"};
    TRY(const auto wallets, in.take(kKeystoreMasterBytes, "master of wallets"));
    out.wallets = crypto::Secret::copy_of(wallets);
  }
  TRY(out.source, text(in, "source", kMaxName));
  TRY(const auto v0, in.lp("v0 seed", kKeystoreMasterBytes));
  if (!v0.empty() && v0.size() != kKeystoreMasterBytes) return Error{Code::malformed, "keystore bundle: v0 seed"};
  if (!v0.empty()) out.v0_seed = crypto::Secret::copy_of(v0);
  TRY(const auto masters, count(in));
  for (std::uint32_t i = 0; i < masters; ++i) {
    KeystoreBundle::Master entry;
    TRY(entry.vault, text(in, "vault", kMaxName));
    TRY(entry.epoch, in.u32be("epoch"));
    TRY(entry.since, time(in));
    TRY(const auto master, in.take(kKeystoreMasterBytes, "master"));
    entry.master = crypto::Secret::copy_of(master);
    out.masters.push_back(std::move(entry));
  }
  TRY(const auto bans, count(in));
  for (std::uint32_t i = 0; i < bans; ++i) {
    VaultBan ban;
    TRY(ban.vault, text(in, "vault", kMaxName));
    TRY(ban.reason, text(in, "reason", kMaxReason));
    TRY(ban.since, time(in));
    out.bans.push_back(std::move(ban));
  }
  TRY_OK(in.finish("keystore bundle"));
  return out;
}

}  // namespace attestry::secrets
