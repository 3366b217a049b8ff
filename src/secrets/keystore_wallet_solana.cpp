// Messages of Solana's transactions, as far as one must know them to tell them from texts, and to know who signs.
#include "base/reader.h"
#include "secrets/keystore_wallet.h"

namespace attestry::secrets::keystore {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::uint8_t kVersioned = 0x80;
constexpr std::size_t kMaxKeys = 256;

/// Compact-u16: seven bits in a byte, least first, at most three bytes.
Result<std::size_t> compact(base::Reader& reader, std::string_view field) {
  std::size_t out = 0;
  for (unsigned shift = 0; shift < 21; shift += 7) {
    TRY(const std::uint8_t byte, reader.u8(field));
    out |= static_cast<std::size_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) {
      if (out > 0xffff) break;
      return out;
    }
  }
  return Error{Code::malformed, std::string{field}, "a compact number below 2^16"};
}

base::Status skip_compact(base::Reader& reader, std::string_view field) {
  TRY(const std::size_t size, compact(reader, field));
  TRY_OK(reader.take(size, field));
  return base::done();
}

base::Status instructions(base::Reader& reader) {
  TRY(const std::size_t count, compact(reader, "instructions"));
  for (std::size_t i = 0; i < count; ++i) {
    TRY_OK(reader.u8("program"));
    TRY_OK(skip_compact(reader, "accounts"));
    TRY_OK(skip_compact(reader, "data"));
  }
  return base::done();
}

base::Status lookups(base::Reader& reader) {
  TRY(const std::size_t count, compact(reader, "lookups"));
  for (std::size_t i = 0; i < count; ++i) {
    TRY_OK(reader.take(32, "table"));
    TRY_OK(skip_compact(reader, "writable"));
    TRY_OK(skip_compact(reader, "readonly"));
  }
  return base::done();
}

}  // namespace

Result<std::vector<base::FixedBytes<32>>> solana_signers(ByteView bytes) {
  base::Reader reader{bytes};
  TRY(std::uint8_t required, reader.u8("version or signers"));
  const bool versioned = (required & kVersioned) != 0;
  if (versioned) {
    if (required != kVersioned) return Error{Code::malformed, "Solana message", "legacy or version 0"};
    TRY(required, reader.u8("signers"));
  }
  TRY_OK(reader.take(2, "readonly"));
  TRY(const std::size_t count, compact(reader, "keys"));
  if (required == 0 || required > count || count > kMaxKeys) {
    return Error{Code::malformed, "Solana message", "1 to 256 keys, of which at least one signs"};
  }
  std::vector<base::FixedBytes<32>> out;
  for (std::size_t i = 0; i < count; ++i) {
    TRY(const auto key, reader.take_array<32>("key"));
    if (i < required) out.push_back(key);
  }
  TRY_OK(reader.take(32, "blockhash"));
  TRY_OK(instructions(reader));
  if (versioned) TRY_OK(lookups(reader));
  TRY_OK(reader.finish("Solana message"));
  return out;
}

bool is_solana_message(ByteView bytes) noexcept { return solana_signers(bytes).has_value(); }

}  // namespace attestry::secrets::keystore
