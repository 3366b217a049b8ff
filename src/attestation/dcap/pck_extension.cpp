#include "attestation/dcap/pck_extension.h"

#include <algorithm>
#include <string>

namespace attestry::attestation::dcap {
namespace {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using base::Status;

constexpr std::uint8_t kBoolean = 0x01;
constexpr std::uint8_t kInteger = 0x02;
constexpr std::uint8_t kOctetString = 0x04;
constexpr std::uint8_t kObjectId = 0x06;
constexpr std::uint8_t kEnumerated = 0x0a;
constexpr std::uint8_t kSequence = 0x30;

/// 1.2.840.113741.1.13.1, DER contents; a member's OID has one or two arcs more.
constexpr std::array<std::uint8_t, 9> kArc = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};

Error malformed(std::string what) { return Error{Code::malformed, std::move(what)}; }

struct Tlv {
  std::uint8_t tag = 0;
  ByteView content;
};

/// Strict DER: single-byte tags, definite lengths in their shortest form. Nothing recurses: the extension's depth is
/// fixed by its profile.
class Der {
 public:
  explicit Der(ByteView bytes) noexcept : rest_(bytes) {}
  bool empty() const noexcept { return rest_.empty(); }

  Result<Tlv> next() {
    if (rest_.size() < 2) return malformed("truncated DER");
    const std::uint8_t tag = rest_[0];
    std::size_t length = rest_[1];
    std::size_t head = 2;
    if (length >= 0x80) {
      const std::size_t count = length & 0x7f;
      if (count < 1 || count > 2 || rest_.size() < 2 + count) return malformed("DER length out of range");
      length = 0;
      for (std::size_t i = 0; i < count; ++i) length = (length << 8) | rest_[2 + i];
      if (length < (count == 1 ? 0x80u : 0x100u)) return malformed("DER length is not the shortest");
      head += count;
    }
    if (length > rest_.size() - head) return malformed("DER length out of range");
    const Tlv out{tag, rest_.subspan(head, length)};
    rest_ = rest_.subspan(head + length);
    return out;
  }

  Result<ByteView> expect(std::uint8_t tag) {
    TRY(const Tlv tlv, next());
    if (tlv.tag != tag) return malformed("unexpected DER type " + std::to_string(tlv.tag));
    return tlv.content;
  }

 private:
  ByteView rest_;
};

/// One SEQUENCE { OID, value } below `kArc`: `arcs` are the OID's last parts.
struct Member {
  std::array<unsigned, 2> arcs{};
  std::size_t arc_count = 0;
  Tlv value;
};

Result<Member> read_member(Der& in) {
  TRY(const ByteView pair, in.expect(kSequence));
  Der parts{pair};
  TRY(const ByteView oid, parts.expect(kObjectId));
  TRY(const Tlv value, parts.next());
  if (!parts.empty()) return malformed("a member has more than a name and a value");
  if (oid.size() <= kArc.size() || oid.size() > kArc.size() + 2 || !std::equal(kArc.begin(), kArc.end(), oid.begin())) {
    return malformed("a member's name is outside Intel's arc");
  }
  Member member;
  member.value = value;
  for (const std::uint8_t arc : oid.subspan(kArc.size())) {
    if (arc >= 0x80) return malformed("a member's name is outside Intel's arc");
    member.arcs[member.arc_count++] = arc;
  }
  return member;
}

template <std::size_t N>
Status octets(const Tlv& value, base::FixedBytes<N>& out) {
  if (value.tag != kOctetString || value.content.size() != N) {
    return malformed("not an OCTET STRING of " + std::to_string(N) + " bytes");
  }
  std::copy(value.content.begin(), value.content.end(), out.begin());
  return base::done();
}

/// A non-negative INTEGER or ENUMERATED of at most 16 bits in its shortest form.
Result<std::uint16_t> number(const Tlv& value, std::uint8_t tag, unsigned max) {
  const ByteView c = value.content;
  if (value.tag != tag || c.empty() || c.size() > 3 || (c[0] & 0x80) != 0) return malformed("not a small number");
  if (c.size() > 1 && c[0] == 0 && (c[1] & 0x80) == 0) return malformed("number is not in its shortest form");
  unsigned out = 0;
  for (const std::uint8_t byte : c) out = (out << 8) | byte;
  if (out > max) return malformed("number out of range");
  return static_cast<std::uint16_t>(out);
}

Result<bool> boolean(const Tlv& value) {
  if (value.tag != kBoolean || value.content.size() != 1 || (value.content[0] != 0 && value.content[0] != 0xff)) {
    return malformed("not a BOOLEAN");
  }
  return value.content[0] != 0;
}

/// Marks `bit` as seen; a second time is an error, because parsers differ in which one they take.
Status once(std::uint32_t& seen, unsigned bit) {
  if ((seen & (1u << bit)) != 0) return malformed("given twice");
  seen |= 1u << bit;
  return base::done();
}

Status read_tcb(const Tlv& value, PckExtension& out) {
  if (value.tag != kSequence) return malformed("not a SEQUENCE");
  std::uint32_t seen = 0;
  for (Der in{value.content}; !in.empty();) {
    TRY(const Member member, read_member(in));
    const unsigned index = member.arcs[1];
    if (member.arc_count != 2 || member.arcs[0] != 2 || index < 1 || index > 18) return malformed("unknown TCB member");
    TRY_OK(once(seen, index), "TCB member " + std::to_string(index));
    if (index <= 16) {
      TRY(const std::uint16_t svn, number(member.value, kInteger, 0xff), "component " + std::to_string(index));
      out.components[index - 1] = static_cast<std::uint8_t>(svn);
    } else if (index == 17) {
      TRY(out.pcesvn, number(member.value, kInteger, 0xffff), "PCESVN");
    } else {
      TRY_OK(octets(member.value, out.cpusvn), "CPUSVN");
    }
  }
  // TCB levels are compared component by component: one that is absent must not count as anything.
  if (seen != 0x7fffeu) return malformed("not exactly 16 components, PCESVN and CPUSVN");
  return base::done();
}

Status read_configuration(const Tlv& value, PckExtension& out) {
  if (value.tag != kSequence) return malformed("not a SEQUENCE");
  std::uint32_t seen = 0;
  for (Der in{value.content}; !in.empty();) {
    TRY(const Member member, read_member(in));
    const unsigned index = member.arcs[1];
    if (member.arc_count != 2 || member.arcs[0] != 7 || index < 1 || index > 31) return malformed("unknown member");
    TRY_OK(once(seen, index));
    if (index > 3) continue;  // later configuration flags say nothing that is judged here
    TRY(const bool flag, boolean(member.value));
    (index == 1 ? out.dynamic_platform : index == 2 ? out.cached_keys : out.smt_enabled) = flag;
  }
  return base::done();
}

Status read_top(const Member& member, PckExtension& out) {
  switch (member.arcs[0]) {
    case 1:
      TRY_OK(octets(member.value, out.ppid), "PPID");
      break;
    case 2:
      TRY_OK(read_tcb(member.value, out), "TCB");
      break;
    case 3:
      TRY_OK(octets(member.value, out.pceid), "PCE-ID");
      break;
    case 4:
      TRY_OK(octets(member.value, out.fmspc), "FMSPC");
      break;
    case 5: {
      TRY(const std::uint16_t type, number(member.value, kEnumerated, 2), "SGX type");
      out.sgx_type = static_cast<SgxType>(type);
      break;
    }
    case 6: {
      base::FixedBytes<16> id{};
      TRY_OK(octets(member.value, id), "platform instance id");
      out.platform_instance_id = id;
      break;
    }
    case 7:
      TRY_OK(read_configuration(member.value, out), "configuration");
      break;
    default:
      break;  // Intel may add members; they name nothing that is judged here
  }
  return base::done();
}

}  // namespace

std::string_view to_text(SgxType type) noexcept {
  switch (type) {
    case SgxType::standard:
      return "standard";
    case SgxType::scalable:
      return "scalable";
    case SgxType::scalable_with_integrity:
      return "scalable_with_integrity";
  }
  return "unknown";
}

Result<PckExtension> parse_pck_extension(ByteView content) {
  Der outer{content};
  TRY(const ByteView members, outer.expect(kSequence));
  if (!outer.empty()) return malformed("bytes after the extension");
  PckExtension out;
  std::uint32_t seen = 0;
  for (Der in{members}; !in.empty();) {
    TRY(const Member member, read_member(in));
    if (member.arc_count != 1 || member.arcs[0] > 31) return malformed("unknown member");
    TRY_OK(once(seen, member.arcs[0]), "member " + std::to_string(member.arcs[0]));
    TRY_OK(read_top(member, out));
  }
  if ((seen & 0x3eu) != 0x3eu) return malformed("PPID, TCB, PCE-ID, FMSPC or SGX type is missing");
  return out;
}

}  // namespace attestry::attestation::dcap
