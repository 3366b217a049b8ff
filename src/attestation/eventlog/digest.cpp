#include "attestation/eventlog/digest.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json_writer.h"
#include "base/reader.h"
#include "crypto/hash.h"

namespace attestry::attestation::eventlog {
namespace {

using base::ByteView;

template <std::size_t N>
base::Bytes bytes_of(const base::FixedBytes<N>& digest) {
  return {digest.begin(), digest.end()};
}

DigestMatch equal_or_not(bool equal) { return equal ? DigestMatch::matches : DigestMatch::differs; }

bool is_hash_of(const Log& log, const Event& event, std::size_t bank, ByteView data) {
  return base::equal(event.digests[bank], hash_of(log.banks[bank].hash, {data}));
}

/// Firmware measures the variable as a whole, or (EDK2) only its data.
bool boot_variable(const Log& log, const Event& event, std::size_t bank) {
  if (is_hash_of(log, event, bank, event.data)) return true;
  const auto variable = read_variable(event.data);
  return variable && is_hash_of(log, event, bank, variable->data);
}

/// Text with or without its terminating zero.
bool is_hash_of_text(const Log& log, const Event& event, std::size_t bank) {
  if (is_hash_of(log, event, bank, event.data)) return true;
  return !event.data.empty() && event.data.back() == 0 &&
         is_hash_of(log, event, bank, event.data.first(event.data.size() - 1));
}

base::Bytes runtime_digest(const Event& event) {
  if (event.canonical) {
    const std::string text =
        base::JsonOut(
            base::JsonOutObject{{"name", event.name}, {"payload", base::hex(event.data)}, {"type", event.type}})
            .canonical();
    return bytes_of(crypto::sha384(base::as_bytes(text)));
  }
  const base::FixedBytes<5> type{static_cast<std::uint8_t>(event.type), static_cast<std::uint8_t>(event.type >> 8),
                                 static_cast<std::uint8_t>(event.type >> 16),
                                 static_cast<std::uint8_t>(event.type >> 24), ':'};
  return bytes_of(crypto::sha384({type, base::as_bytes(event.name), base::as_bytes(":"), event.data}));
}

}  // namespace

base::Bytes hash_of(Hash hash, std::initializer_list<ByteView> parts) {
  switch (hash) {
    case Hash::sha256:
      return bytes_of(crypto::sha256(parts));
    case Hash::sha384:
      return bytes_of(crypto::sha384(parts));
    case Hash::sha512: {
      base::Bytes all;
      for (const ByteView part : parts) base::append(all, part);
      return bytes_of(crypto::sha512(all));
    }
    case Hash::sha1:
    case Hash::sm3:
      break;
  }
  return {};
}

KnownDigests::KnownDigests(Hash hash)
    : zeros_(hash_of(hash, {base::FixedBytes<4>{}})),
      ones_(hash_of(hash, {base::FixedBytes<4>{0xff, 0xff, 0xff, 0xff}})),
      error_(hash_of(hash, {base::FixedBytes<4>{1, 0, 0, 0}})),
      calling_(hash_of(hash, {base::as_bytes("Calling EFI Application from Boot Option")})),
      returning_(hash_of(hash, {base::as_bytes("Returning from EFI Application from Boot Option")})),
      exit_(hash_of(hash, {base::as_bytes("Exit Boot Services Invocation")})) {}

SeparatorDigest KnownDigests::separator(ByteView digest) const {
  if (is(digest, zeros_) || is(digest, ones_)) return SeparatorDigest::separator;
  return is(digest, error_) ? SeparatorDigest::error : SeparatorDigest::none;
}

std::optional<EfiVariable> read_variable(ByteView data) {
  constexpr std::size_t kMaxNameUnits = 1024;
  base::Reader in(data);
  EfiVariable out;
  const auto guid = in.take_array<16>("guid");
  const auto units = in.u64le("name length");
  const auto size = in.u64le("data length");
  if (!guid.ok() || !units.ok() || !size.ok() || *units > kMaxNameUnits || *size > in.remaining()) return std::nullopt;
  out.guid = *guid;
  const auto name = in.take(static_cast<std::size_t>(*units) * 2, "name");
  const auto value = in.take(static_cast<std::size_t>(*size), "data");
  if (!name.ok() || !value.ok()) return std::nullopt;
  for (std::size_t i = 0; i < name->size(); i += 2) {
    const std::uint8_t low = (*name)[i];
    out.name.push_back((*name)[i + 1] == 0 && low >= 0x20 && low < 0x7f ? static_cast<char>(low) : '?');
  }
  out.data = *value;
  if (in.remaining() != 0) return std::nullopt;
  return out;
}

std::optional<GrubText> grub_text(ByteView data) {
  std::string_view text = base::as_text(data);
  if (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  for (const std::string_view prefix : {"grub_cmd: ", "kernel_cmdline: ", "module_cmdline: "}) {
    if (text.starts_with(prefix)) return GrubText{prefix, text.substr(prefix.size())};
  }
  return std::nullopt;
}

DigestMatch match_digest(const Log& log, const Event& event, std::size_t bank) {
  if (event.digests[bank].empty()) return DigestMatch::undefined;
  if (log.banks[bank].hash == Hash::sha1 || hash_of(log.banks[bank].hash, {}).empty()) return DigestMatch::undefined;
  if (log.dstack && event.data.empty() && event.type != kDstackRuntime) {
    return event.type == kSeparator ? equal_or_not(KnownDigests(log.banks[bank].hash).separator(event.digests[bank]) ==
                                                   SeparatorDigest::separator)
                                    : DigestMatch::undefined;
  }
  switch (event.type) {
    case kSeparator:
    case kEfiVariableDriverConfig:
    case kEfiVariableAuthority:
    case kEfiVariableBoot2:
    case kEfiGptEvent:
      return equal_or_not(is_hash_of(log, event, bank, event.data));
    case kEfiVariableBoot:
      return equal_or_not(boot_variable(log, event, bank));
    case kAction:
    case kEfiAction:
      return equal_or_not(is_hash_of_text(log, event, bank));
    case kIpl:
      if (const auto grub = grub_text(event.data)) {
        return equal_or_not(is_hash_of(log, event, bank, base::as_bytes(grub->text)));
      }
      return DigestMatch::undefined;
    case kDstackRuntime:
      return equal_or_not(base::equal(event.digests[bank], runtime_digest(event)));
    default:
      return DigestMatch::undefined;
  }
}

base::Bytes extended_digest(const Log& log, const Event& event, std::size_t bank) {
  if (event.type == kDstackRuntime && log.dstack) return runtime_digest(event);
  return base::to_bytes(event.digests[bank]);
}

}  // namespace attestry::attestation::eventlog
