#include "app/holder_key.h"

#include "app/operator.h"
#include "base/encoding.h"
#include "crypto/ec.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMostFile = 128;

}  // namespace

Result<crypto::HpkeKeyPair> create_holder_key(const std::string& path, crypto::Random& random) {
  auto pair = crypto::hpke_generate(random);
  TRY_OK(write_key_file(path, kHolderKeyHeader, base::hex(pair.private_key.reveal())));
  return pair;
}

Result<crypto::HpkeKeyPair> read_holder_key(const std::string& path) {
  const Error wrong{Code::configuration, path + " is no holder's private key",
                    "a file that `attestry node holder-key FILE` made", "another"};
  auto bytes = state::system_files().read(path, kMostFile);
  if (!bytes) return bytes.error().code == Code::too_large ? wrong : std::move(bytes).error();
  if (!*bytes) return Error{Code::not_found, "there is no file " + path};
  base::Bytes& file = **bytes;
  std::string_view line = base::as_text(file);
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  if (line.starts_with(kHolderKeyHeader)) line.remove_prefix(kHolderKeyHeader.size());
  base::FixedBytes<32> key{};
  const bool good = base::hex_decode_into(line, key).ok();
  crypto::wipe(file);
  if (!good) return wrong;
  crypto::HpkeKeyPair out{crypto::Secret::absorb(key), {}};
  out.public_key = crypto::x25519_public(out.private_key.reveal());
  return out;
}

std::string not_a_public_key(std::string_view text) {
  for (const std::string_view sign : {"key-1", "PRIVATE", "ed25519:"}) {
    if (text.find(sign) != std::string_view::npos) return "a private key: keep it away from here";
  }
  return std::to_string(text.size()) + " characters that are none";
}

}  // namespace attestry::app
