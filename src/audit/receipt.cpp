#include "audit/receipt.h"

#include <charconv>

#include "base/encoding.h"

namespace attestry::audit {
namespace {

constexpr std::size_t kMaxReceipt = 256 * 1024;
constexpr std::size_t kMaxProof = 64;
constexpr std::string_view kHeader = "c2sp.org/tlog-proof@v1";
constexpr std::string_view kExtra = "extra ";
constexpr std::string_view kIndex = "index ";

base::Error malformed(std::string what) { return base::Error{base::Code::malformed, "receipt: " + std::move(what)}; }

base::Error denied(std::string what, std::string expected = {}, std::string found = {}) {
  return base::Error{base::Code::denied, "receipt: " + std::move(what), std::move(expected), std::move(found),
                     "Do not open the reply: what it says is not in the log that you trust."};
}

/// Cuts the next line off `rest`.
base::Result<std::string_view> next_line(std::string_view& rest) {
  const auto end = rest.find('\n');
  if (end == std::string_view::npos) return malformed("cut short");
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return line;
}

base::Result<std::uint64_t> parse_index(std::string_view line) {
  if (!line.starts_with(kIndex)) return malformed("no index");
  line.remove_prefix(kIndex.size());
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), out);
  const bool leading_zero = line.size() > 1 && line.front() == '0';
  if (error != std::errc{} || end != line.data() + line.size() || leading_zero) return malformed("not an index");
  return out;
}

}  // namespace

std::string Receipt::encode() const {
  std::string out = std::string(kHeader) + "\n" + std::string(kExtra) + base::base64(base::as_bytes(leaf)) + "\n" +
                    std::string(kIndex) + std::to_string(index) + "\n";
  for (const Hash& hash : proof) out += base::base64(hash) + "\n";
  return out + "\n" + checkpoint;
}

base::Result<Receipt> Receipt::parse(std::string_view text) {
  if (text.size() > kMaxReceipt) return malformed("larger than 256 KiB");
  TRY(const std::string_view header, next_line(text));
  if (header != kHeader) return malformed("not a " + std::string(kHeader));
  Receipt out;
  TRY(const std::string_view extra, next_line(text));
  if (!extra.starts_with(kExtra)) return malformed("no leaf in it (extra)");
  TRY(const base::Bytes leaf, base::base64_decode(extra.substr(kExtra.size())), "receipt: leaf");
  if (leaf.empty()) return malformed("an empty leaf");
  out.leaf = base::as_text(leaf);
  TRY(const std::string_view index, next_line(text));
  TRY(out.index, parse_index(index));
  for (;;) {
    TRY(const std::string_view line, next_line(text));
    if (line.empty()) break;
    if (out.proof.size() == kMaxProof) return malformed("more hashes than a log can need");
    TRY(const base::Bytes hash, base::base64_decode(line), "receipt: inclusion proof");
    if (hash.size() != Hash{}.size()) return malformed("a hash of another size than 32 bytes");
    std::copy(hash.begin(), hash.end(), out.proof.emplace_back().begin());
  }
  out.checkpoint = text;
  TRY_OK(parse_note(text), "receipt");
  return out;
}

base::Result<VerifiedReceipt> verify_receipt(std::string_view receipt, const LogTrust& trust) {
  TRY(const Receipt parsed, Receipt::parse(receipt));
  TRY(const VerifiedCheckpoint verified, verify_checkpoint(parsed.checkpoint, trust), "receipt");
  const TreeHead& head = verified.checkpoint.head;
  if (!verify_inclusion(leaf_hash(base::as_bytes(parsed.leaf)), parsed.index, head, parsed.proof)) {
    return denied("the leaf is not in the log at index " + std::to_string(parsed.index));
  }
  TRY(Leaf leaf, Leaf::parse(parsed.leaf), "receipt");
  if (leaf.audience != trust.origin) return denied("the leaf is for another audience", trust.origin, leaf.audience);
  return VerifiedReceipt{std::move(leaf), parsed.index, head, verified.witnessed};
}

}  // namespace attestry::audit
