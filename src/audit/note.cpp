#include "audit/note.h"

#include <array>

#include "base/encoding.h"
#include "base/reader.h"
#include "crypto/hash.h"

namespace attestry::audit {
namespace {

constexpr std::size_t kMaxNote = 64 * 1024;
constexpr std::size_t kMaxSignatures = 32;
constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxSignature = 8 * 1024;  // post-quantum ones of others take up to 5 kB
constexpr std::size_t kEd25519Signature = 64;
constexpr std::string_view kDash = "\xE2\x80\x94 ";  // em dash, space

base::Error malformed(std::string what) {
  return base::Error{base::Code::malformed, "signed note: " + std::move(what)};
}

/// Bytes that follow a UTF-8 lead byte and the range of the first of them (RFC 3629 §4); 0 followers for ASCII.
struct Lead {
  std::size_t followers;
  std::uint8_t low, high;
};
bool lead_of(std::uint8_t byte, Lead& out) {
  if (byte < 0x80) return out = {0, 0, 0}, true;
  if (byte >= 0xC2 && byte <= 0xDF) return out = {1, 0x80, 0xBF}, true;
  if (byte == 0xE0) return out = {2, 0xA0, 0xBF}, true;
  if (byte == 0xED) return out = {2, 0x80, 0x9F}, true;
  if (byte >= 0xE1 && byte <= 0xEF) return out = {2, 0x80, 0xBF}, true;
  if (byte == 0xF0) return out = {3, 0x90, 0xBF}, true;
  if (byte >= 0xF1 && byte <= 0xF3) return out = {3, 0x80, 0xBF}, true;
  if (byte == 0xF4) return out = {3, 0x80, 0x8F}, true;
  return false;
}

bool is_utf8_without_controls(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    if (byte < 0x20 && byte != '\n') return false;
    Lead lead{};
    if (!lead_of(byte, lead) || lead.followers > text.size() - i - 1) return false;
    for (std::size_t n = 1; n <= lead.followers; ++n) {
      const auto next = static_cast<std::uint8_t>(text[i + n]);
      if (next < (n == 1 ? lead.low : 0x80) || next > (n == 1 ? lead.high : 0xBF)) return false;
    }
    i += lead.followers;
  }
  return true;
}

std::uint32_t key_id(std::string_view name, std::uint8_t type, base::ByteView key) {
  const std::array<std::uint8_t, 2> separator = {'\n', type};
  const auto digest = crypto::sha256({base::as_bytes(name), separator, key});
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < 4; ++i) out = (out << 8u) | digest[i];
  return out;
}

/// c2sp.org/tlog-cosignature, Ed25519: what a witness signs.
std::string cosigned_text(std::string_view text, std::uint64_t timestamp) {
  return "cosignature/v1\ntime " + std::to_string(timestamp) + "\n" + std::string(text);
}

base::Result<NoteSignature> parse_signature_line(std::string_view line) {
  if (!line.starts_with(kDash)) return malformed("a signature line does not begin with an em dash and a space");
  line.remove_prefix(kDash.size());
  const auto space = line.find(' ');
  if (space == std::string_view::npos) return malformed("a signature line without a key name");
  NoteSignature out;
  out.name = line.substr(0, space);
  if (!is_key_name(out.name)) return malformed("a key name that is not allowed");
  TRY(const base::Bytes raw, base::base64_decode(line.substr(space + 1)), "signed note");
  base::Reader reader(raw);
  TRY(out.key_id, reader.u32be("key id"), "signed note");
  if (reader.remaining() == 0 || reader.remaining() > kMaxSignature) return malformed("a signature of impossible size");
  out.signature = base::to_bytes(reader.rest());
  return out;
}

NoteKeyType cosignature_or_note(std::uint8_t type) {
  return type == static_cast<std::uint8_t>(NoteKeyType::cosignature) ? NoteKeyType::cosignature : NoteKeyType::ed25519;
}

}  // namespace

bool is_key_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxName || !is_utf8_without_controls(name)) return false;
  if (name.find_first_of(" \n+\x7f") != std::string_view::npos) return false;
  // Unicode's other spaces (White_Space): signed-note forbids them in names, where a reader could not see them.
  for (const std::string_view space :
       {"\u0085", "\u00A0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007",
        "\u2008", "\u2009", "\u200A", "\u2028", "\u2029", "\u202F", "\u205F", "\u3000"}) {
    if (name.find(space) != std::string_view::npos) return false;
  }
  return true;
}

std::uint32_t NoteKey::id() const { return key_id(name, static_cast<std::uint8_t>(type), key); }

std::string NoteKey::vkey() const {
  base::LpWriter id_bytes, body;
  id_bytes.u32(id());
  body.u8(static_cast<std::uint8_t>(type)).raw(key);
  return name + "+" + base::hex(id_bytes.bytes()) + "+" + base::base64(body.bytes());
}

base::Result<NoteKey> NoteKey::parse(std::string_view vkey) {
  const auto refuse = [](const char* found) {
    return base::Error{base::Code::malformed, "not a note verifier key", "name+hash+base64 of type and Ed25519 key",
                       found};
  };
  const auto plus = vkey.find('+');
  const auto second = plus == std::string_view::npos ? plus : vkey.find('+', plus + 1);
  if (second == std::string_view::npos) return refuse("fewer than three parts");
  NoteKey out;
  out.name = vkey.substr(0, plus);
  if (!is_key_name(out.name)) return refuse("a name that is not allowed");
  TRY(const base::Bytes body, base::base64_decode(vkey.substr(second + 1)), "note verifier key");
  if (body.size() != 1 + out.key.size()) return refuse("a key of another size");
  out.type = cosignature_or_note(body[0]);
  if (body[0] != static_cast<std::uint8_t>(out.type)) return refuse("a signature type that is not supported");
  std::copy(body.begin() + 1, body.end(), out.key.begin());
  // The hash protects against slips of the pen, and its exact form keeps one key from having two spellings.
  if (out.vkey() != vkey) return refuse("a hash that is not the key's");
  return out;
}

std::string SignedNote::encode() const {
  std::string out = text + "\n";
  for (const NoteSignature& s : signatures) {
    base::LpWriter raw;
    raw.u32(s.key_id).raw(s.signature);
    out += std::string(kDash) + s.name + " " + base::base64(raw.bytes()) + "\n";
  }
  return out;
}

base::Result<SignedNote> parse_note(std::string_view note) {
  if (note.size() > kMaxNote) return malformed("larger than 64 KiB");
  if (!is_utf8_without_controls(note)) return malformed("not UTF-8, or with control characters");
  if (!note.ends_with('\n')) return malformed("the last line has no end");
  // The last empty line separates text and signatures; a line is never empty inside the signatures.
  const auto blank = note.rfind("\n\n");
  if (blank == std::string_view::npos) return malformed("no empty line before the signatures");
  SignedNote out;
  out.text = note.substr(0, blank + 1);
  std::string_view rest = note.substr(blank + 2);
  if (rest.empty()) return malformed("no signature");
  while (!rest.empty()) {
    if (out.signatures.size() == kMaxSignatures) return malformed("more than 32 signatures");
    const auto end = rest.find('\n');
    TRY(auto signature, parse_signature_line(rest.substr(0, end)));
    out.signatures.push_back(std::move(signature));
    rest.remove_prefix(end + 1);
  }
  return out;
}

NoteSignature sign_note(std::string_view text, const std::string& name, const crypto::Ed25519PrivateKey& key) {
  const NoteKey identity{name, NoteKeyType::ed25519, key.public_key()};
  return {name, identity.id(), base::to_bytes(key.sign(base::as_bytes(text)))};
}

NoteSignature cosign_note(std::string_view text, const std::string& name, const crypto::Ed25519PrivateKey& key,
                          base::UtcTime at) {
  const NoteKey identity{name, NoteKeyType::cosignature, key.public_key()};
  const auto timestamp = static_cast<std::uint64_t>(at.seconds);
  base::LpWriter out;
  out.u64(timestamp).raw(key.sign(base::as_bytes(cosigned_text(text, timestamp))));
  return {name, identity.id(), out.bytes()};
}

NoteCheck check_signature(const SignedNote& note, const NoteKey& key) {
  NoteCheck out = NoteCheck::absent;
  const std::uint32_t id = key.id();
  for (const NoteSignature& s : note.signatures) {
    if (s.name != key.name || s.key_id != id) continue;
    base::ByteView signature = s.signature;
    std::string message = note.text;
    if (key.type == NoteKeyType::cosignature) {
      base::Reader reader(s.signature);
      const auto timestamp = reader.u64be("timestamp");
      if (!timestamp || *timestamp > static_cast<std::uint64_t>(INT64_MAX)) return NoteCheck::bad;
      message = cosigned_text(note.text, *timestamp);
      signature = reader.rest();
    }
    if (signature.size() != kEd25519Signature) return NoteCheck::bad;
    if (!crypto::ed25519_verify(key.key, base::as_bytes(message), signature)) return NoteCheck::bad;
    out = NoteCheck::good;
  }
  return out;
}

}  // namespace attestry::audit
