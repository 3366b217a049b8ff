// A PBTS receipt: whoever was given a piece of a torrent says by a BLS signature who gave it. PBTS sections 2 and 10;
// docs/formats/pbts.md
//
// Pure; everything here is thread-safe.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "curves/bls_signature.h"

namespace attestry::tracker {

using InfoHash = base::FixedBytes<20>;
/// As received; whether it is a key is seen where it is decoded.
using KeyBytes = curves::bls::PublicKey::Encoded;
using ReceiptId = base::Digest32;
using InstanceId = base::Digest32;

/// 20 bytes (SHA-1) or 32 bytes (SHA-256), and no others: the signed message has no lengths, so that only these two
/// keep a hash's end and the index apart.
class PieceHash {
 public:
  /// Error: `malformed`.
  static base::Result<PieceHash> create(base::ByteView bytes);
  /// Valid as long as this.
  base::ByteView bytes() const noexcept { return base::ByteView{bytes_}.first(size_); }
  friend bool operator==(const PieceHash&, const PieceHash&) = default;
  /// 20 zeros, for a receipt that is being filled in.
  PieceHash() = default;

 private:
  base::Digest32 bytes_{};
  std::size_t size_ = 20;
};

/// What a signature is over.
enum class ReceiptForm : std::uint8_t {
  timestamp,  ///< version 1: infohash ‖ sender ‖ piece hash ‖ index u32 ‖ time u64, in seconds
  epoch,      ///< the same with the number of the hour: what peers hand each other (section 10)
  /// Version 2: "PBTS receipt 2\n" ‖ the message of version 1 ‖ receiver ‖ piece size u32 ‖ instance id, so that
  /// neither size nor tracker can be chosen afterwards.
  bound,
};
inline constexpr std::string_view kBoundPrefix = "PBTS receipt 2\n";
inline constexpr std::uint64_t kEpochSeconds = 3600;
inline constexpr std::uint32_t kDefaultPieceSize = 16384;

struct Receipt {
  ReceiptForm form = ReceiptForm::timestamp;
  InfoHash infohash{};
  KeyBytes sender{};
  KeyBytes receiver{};
  PieceHash piece_hash;
  std::uint32_t piece_index = 0;
  std::uint64_t time = 0;                        ///< seconds since 1970, or with ReceiptForm::epoch hours
  std::uint32_t piece_size = kDefaultPieceSize;  ///< bytes
  curves::bls::Signature signature{};

  /// When it was made: the first and the last second that `time` can stand for.
  base::UtcTime first_second() const noexcept;
  base::UtcTime last_second() const noexcept;
  friend bool operator==(const Receipt&, const Receipt&) = default;
};

/// What the receiver signs. `instance` counts for ReceiptForm::bound only. A message of one form is none of another:
/// the bound ones are longer, and an hour's number as a time in seconds lies in January 1970.
base::Bytes signed_message(const Receipt& receipt, const InstanceId& instance);

/// SHA-256(infohash ‖ sender ‖ receiver ‖ piece hash ‖ index u32): the same for every form, time and size, so that a
/// piece between two members is paid for once.
ReceiptId receipt_id(const Receipt& receipt);

/// Why a receipt is not credited.
enum class Refusal : std::uint8_t {
  malformed,         ///< a field is missing, of another type or length
  unbound,           ///< it does not sign size and tracker, and only those that do count
  own_receipt,       ///< sender and receiver are one
  foreign_sender,    ///< the reporter is not the sender
  unknown_receiver,  ///< the receiver is no member
  stale,             ///< older than the window
  future,            ///< further ahead of the clock than is tolerated
  piece_too_large,   ///< or empty
  unknown_piece,     ///< the torrent is known and has no such piece
  unknown_torrent,   ///< the torrent is not known, and only known ones count
  spent,             ///< credited before, here or at another instance
  bad_signature,
};
/// "bad_signature".
std::string_view to_text(Refusal refusal) noexcept;

struct ReceiptRules {
  std::int64_t window = 3600;  ///< seconds for which a receipt can be reported
  std::int64_t skew = 60;      ///< seconds that it may be ahead of the tracker's clock
  std::uint32_t max_piece_size = 16U << 20U;
};
/// What can be said of a receipt alone, in the order of the list above; nullopt when nothing is wrong.
std::optional<Refusal> refused_alone(const Receipt& receipt, const ReceiptRules& rules, base::UtcTime now) noexcept;

/// A receipt of the body of /report (section 5), also under the names that peers use. Keys and signatures are base64,
/// hashes hexadecimal. `sender_pk` may be left out: it is `reporter` then. Members that it does not know are passed
/// over, `version` 2 chooses ReceiptForm::bound, `t_epoch` ReceiptForm::epoch. Error: `malformed`, naming the member.
base::Result<Receipt> read_receipt(const base::JsonValue& json, const KeyBytes& reporter);

}  // namespace attestry::tracker
