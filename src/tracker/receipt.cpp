#include "tracker/receipt.h"

#include <algorithm>
#include <limits>
#include <string>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::tracker {

using base::ByteView;
using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

namespace {

/// Later than any clock says, and small enough to be reckoned with.
constexpr std::uint64_t kEndOfTime = std::uint64_t{1} << 40U;
constexpr std::int64_t kMostInteger = (std::int64_t{1} << 53) - 1;

std::int64_t first_second_of(const Receipt& receipt) noexcept {
  const std::uint64_t time = std::min(receipt.time, kEndOfTime);
  return static_cast<std::int64_t>(receipt.form == ReceiptForm::epoch ? time * kEpochSeconds : time);
}

/// The first of `names` that is there and not null.
std::optional<JsonValue> member(const JsonValue& json, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (auto found = json.find(name); found && !found->is_null()) return found;
  }
  return std::nullopt;
}

Error missing(std::string_view name) {
  return Error{Code::malformed, std::string{name} + " is missing", "a receipt with this member"};
}

template <std::size_t N>
Result<base::FixedBytes<N>> fixed(const base::Bytes& bytes, std::string_view name) {
  if (bytes.size() != N) {
    return Error{Code::malformed, std::string{name}, std::to_string(N) + " bytes", std::to_string(bytes.size())};
  }
  base::FixedBytes<N> out{};
  std::ranges::copy(bytes, out.begin());
  return out;
}

template <std::size_t N>
Result<base::FixedBytes<N>> from_base64(const JsonValue& value, std::string_view name) {
  TRY(const std::string text, value.string(name));
  TRY(const base::Bytes bytes, base::base64_decode(text), name);
  return fixed<N>(bytes, name);
}

Result<base::Bytes> from_hex(const JsonValue& json, std::string_view name) {
  const auto value = member(json, {name});
  if (!value) return missing(name);
  TRY(const std::string text, value->string(name));
  TRY(base::Bytes out, base::hex_decode(text), name);
  return out;
}

/// Form and time.
base::Status read_time(const JsonValue& json, Receipt& out) {
  const auto version = member(json, {"version"});
  std::int64_t number = 1;
  if (version) {
    TRY(number, version->integer("version", 1, 2));
  }
  const auto epoch = member(json, {"t_epoch"});
  const auto timestamp = member(json, {"timestamp"});
  if (number == 2 || !epoch) {
    if (!timestamp) return missing("timestamp");
    out.form = number == 2 ? ReceiptForm::bound : ReceiptForm::timestamp;
    TRY(const std::int64_t time, timestamp->integer("timestamp", 0, kMostInteger));
    out.time = static_cast<std::uint64_t>(time);
    return base::done();
  }
  // Peers send both and sign the hour.
  out.form = ReceiptForm::epoch;
  TRY(const std::int64_t time, epoch->integer("t_epoch", 0, kMostInteger));
  out.time = static_cast<std::uint64_t>(time);
  return base::done();
}

}  // namespace

Result<PieceHash> PieceHash::create(ByteView bytes) {
  if (bytes.size() != 20 && bytes.size() != 32) {
    return Error{Code::malformed, "piece_hash", "20 bytes (SHA-1) or 32 bytes (SHA-256)", std::to_string(bytes.size())};
  }
  PieceHash out;
  std::ranges::copy(bytes, out.bytes_.begin());
  out.size_ = bytes.size();
  return out;
}

base::UtcTime Receipt::first_second() const noexcept { return {first_second_of(*this)}; }
base::UtcTime Receipt::last_second() const noexcept {
  const std::int64_t first = first_second_of(*this);
  return {form == ReceiptForm::epoch ? first + static_cast<std::int64_t>(kEpochSeconds) - 1 : first};
}

base::Bytes signed_message(const Receipt& receipt, const InstanceId& instance) {
  base::LpWriter out;
  if (receipt.form == ReceiptForm::bound) out.raw(base::as_bytes(kBoundPrefix));
  out.raw(receipt.infohash).raw(receipt.sender).raw(receipt.piece_hash.bytes());
  out.u32(receipt.piece_index).u64(receipt.time);
  if (receipt.form == ReceiptForm::bound) out.raw(receipt.receiver).u32(receipt.piece_size).raw(instance);
  return std::move(out).take();
}

ReceiptId receipt_id(const Receipt& receipt) {
  base::LpWriter index;
  index.u32(receipt.piece_index);
  return crypto::sha256(
      {receipt.infohash, receipt.sender, receipt.receiver, receipt.piece_hash.bytes(), index.bytes()});
}

std::string_view to_text(Refusal refusal) noexcept {
  switch (refusal) {
    case Refusal::malformed:
      return "malformed";
    case Refusal::unbound:
      return "unbound";
    case Refusal::own_receipt:
      return "own_receipt";
    case Refusal::foreign_sender:
      return "foreign_sender";
    case Refusal::unknown_receiver:
      return "unknown_receiver";
    case Refusal::stale:
      return "stale";
    case Refusal::future:
      return "future";
    case Refusal::piece_too_large:
      return "piece_too_large";
    case Refusal::unknown_piece:
      return "unknown_piece";
    case Refusal::unknown_torrent:
      return "unknown_torrent";
    case Refusal::spent:
      return "spent";
    case Refusal::bad_signature:
      return "bad_signature";
  }
  return "malformed";
}

std::optional<Refusal> refused_alone(const Receipt& receipt, const ReceiptRules& rules, base::UtcTime now) noexcept {
  if (receipt.sender == receipt.receiver) return Refusal::own_receipt;
  if (receipt.last_second() + rules.window < now) return Refusal::stale;
  if (receipt.first_second() > now + rules.skew) return Refusal::future;
  if (receipt.piece_size == 0 || receipt.piece_size > rules.max_piece_size) return Refusal::piece_too_large;
  return std::nullopt;
}

Result<Receipt> read_receipt(const JsonValue& json, const KeyBytes& reporter) {
  if (!json.is_object()) return Error{Code::malformed, "receipt", "a JSON object"};
  Receipt out;
  TRY(const base::Bytes infohash, from_hex(json, "infohash"));
  TRY(out.infohash, fixed<20>(infohash, "infohash"));
  TRY(const base::Bytes hash, from_hex(json, "piece_hash"));
  TRY(out.piece_hash, PieceHash::create(hash));
  const auto receiver = member(json, {"receiver_public_key", "receiver_pk"});
  if (!receiver) return missing("receiver_public_key");
  TRY(out.receiver, from_base64<48>(*receiver, "receiver_public_key"));
  out.sender = reporter;
  if (const auto sender = member(json, {"sender_pk", "sender_public_key"})) {
    TRY(out.sender, from_base64<48>(*sender, "sender_pk"));
  }
  const auto index = member(json, {"piece_index"});
  if (!index) return missing("piece_index");
  constexpr std::int64_t kMostU32 = std::numeric_limits<std::uint32_t>::max();
  TRY(const std::int64_t piece, index->integer("piece_index", 0, kMostU32));
  out.piece_index = static_cast<std::uint32_t>(piece);
  if (const auto size = member(json, {"piece_size"})) {
    TRY(const std::int64_t bytes, size->integer("piece_size", 0, kMostU32));
    out.piece_size = static_cast<std::uint32_t>(bytes);
  }
  TRY_OK(read_time(json, out));
  const auto signature = member(json, {"signature"});
  if (!signature) return missing("signature");
  TRY(out.signature, from_base64<96>(*signature, "signature"));
  return out;
}

}  // namespace attestry::tracker
