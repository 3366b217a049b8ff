// Reading members that TCB info and enclave identities have in common. Internal to the DCAP verifier.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "attestation/dcap/tcb_info.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::attestation::dcap {

base::Result<base::UtcTime> time_member(const base::JsonValue& object, std::string_view key);
base::Result<std::uint32_t> u32_member(const base::JsonValue& object, std::string_view key);
base::Result<std::uint16_t> u16_member(const base::JsonValue& object, std::string_view key);
base::Result<std::string> string_member(const base::JsonValue& object, std::string_view key);
/// Absent: empty.
base::Result<std::vector<std::string>> advisories(const base::JsonValue& level);
base::Result<TcbStatus> status_member(const base::JsonValue& level, StatusSource source);
base::Result<std::vector<IsvLevel>> isv_levels(const base::JsonValue& object, StatusSource source);
/// The member as an array with at least one element.
base::Result<base::JsonValue> array_member(const base::JsonValue& object, std::string_view key);
base::Result<base::JsonValue> object_member(const base::JsonValue& object, std::string_view key);

template <std::size_t N>
base::Result<base::FixedBytes<N>> hex_member(const base::JsonValue& object, std::string_view key) {
  TRY(const std::string text, string_member(object, key));
  base::FixedBytes<N> out{};
  TRY_OK(base::hex_decode_into(text, out), key);
  return out;
}

}  // namespace attestry::attestation::dcap
