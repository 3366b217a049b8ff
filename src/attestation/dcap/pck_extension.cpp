#include "attestation/dcap/pck_extension.h"

#include <algorithm>
#include <string>

namespace attestry::attestation::dcap {
namespace {

using base::ByteView;

constexpr std::uint8_t kBoolean = 0x01;
constexpr std::uint8_t kInteger = 0x02;
constexpr std::uint8_t kOctetString = 0x04;
constexpr std::uint8_t kObjectId = 0x06;
constexpr std::uint8_t kEnumerated = 0x0a;
constexpr std::uint8_t kSequence = 0x30;

/// 1.2.840.113741.1.13.1, DER contents; a member's OID has one or two arcs more.
constexpr std::array<std::uint8_t, 9> kArc = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};

struct Tlv {
  std::uint8_t tag = 0;
  ByteView content;
};

/// What is wrong with an extension; the innermost member that is named wins. Every reader below returns false after it
/// said why: the extension is read for every platform seen first, so there is no Result per member.
struct Fault {
  std::string_view what;
  std::string_view member;
  unsigned index = 0;

  bool set(std::string_view why) noexcept {
    what = why;
    return false;
  }
  bool in(std::string_view name, unsigned number = 0) noexcept {
    if (member.empty()) {
      member = name;
      index = number;
    }
    return false;
  }
  base::Error error() const {
    std::string text = "SGX extension: ";
    if (!member.empty()) text.append(member).append(index == 0 ? "" : " " + std::to_string(index)).append(": ");
    return {base::Code::malformed, text.append(what)};
  }
};

/// Strict DER: single-byte tags, definite lengths in their shortest form. Nothing recurses: the extension's depth is
/// fixed by its profile.
class Der {
 public:
  Der(ByteView bytes, Fault& fault) noexcept : rest_(bytes), fault_(fault) {}
  bool empty() const noexcept { return rest_.empty(); }

  bool next(Tlv& out) noexcept {
    if (rest_.size() < 2) return fault_.set("truncated DER");
    std::size_t length = rest_[1];
    std::size_t head = 2;
    if (length >= 0x80) {
      const std::size_t count = length & 0x7f;
      if (count < 1 || count > 2 || rest_.size() < 2 + count) return fault_.set("DER length out of range");
      length = 0;
      for (std::size_t i = 0; i < count; ++i) length = (length << 8) | rest_[2 + i];
      if (length < (count == 1 ? 0x80u : 0x100u)) return fault_.set("DER length is not the shortest");
      head += count;
    }
    if (length > rest_.size() - head) return fault_.set("DER length out of range");
    out = {rest_[0], rest_.subspan(head, length)};
    rest_ = rest_.subspan(head + length);
    return true;
  }

  bool expect(std::uint8_t tag, ByteView& out) noexcept {
    Tlv tlv;
    if (!next(tlv)) return false;
    if (tlv.tag != tag) return fault_.set("unexpected DER type");
    out = tlv.content;
    return true;
  }

 private:
  ByteView rest_;
  Fault& fault_;
};

/// One SEQUENCE { OID, value } below `kArc`: `arcs` are the OID's last parts.
struct Member {
  std::array<unsigned, 2> arcs{};
  std::size_t arc_count = 0;
  Tlv value;
};

bool read_member(Der& in, Fault& fault, Member& out) {
  ByteView pair;
  ByteView oid;
  if (!in.expect(kSequence, pair)) return false;
  Der parts{pair, fault};
  if (!parts.expect(kObjectId, oid) || !parts.next(out.value)) return false;
  if (!parts.empty()) return fault.set("a member has more than a name and a value");
  const bool ours =
      oid.size() > kArc.size() && oid.size() <= kArc.size() + 2 && std::equal(kArc.begin(), kArc.end(), oid.begin());
  if (!ours) return fault.set("a member's name is outside Intel's arc");
  out.arc_count = 0;
  for (const std::uint8_t arc : oid.subspan(kArc.size())) {
    if (arc >= 0x80) return fault.set("a member's name is outside Intel's arc");
    out.arcs[out.arc_count++] = arc;
  }
  return true;
}

template <std::size_t N>
bool octets(const Tlv& value, Fault& fault, base::FixedBytes<N>& out) {
  if (value.tag != kOctetString || value.content.size() != N) return fault.set("not an OCTET STRING of its size");
  std::copy(value.content.begin(), value.content.end(), out.begin());
  return true;
}

/// A non-negative INTEGER or ENUMERATED of at most 16 bits in its shortest form.
bool number(const Tlv& value, Fault& fault, std::uint8_t tag, unsigned max, unsigned& out) {
  const ByteView c = value.content;
  if (value.tag != tag || c.empty() || c.size() > 3 || (c[0] & 0x80) != 0) return fault.set("not a small number");
  if (c.size() > 1 && c[0] == 0 && (c[1] & 0x80) == 0) return fault.set("number is not in its shortest form");
  out = 0;
  for (const std::uint8_t byte : c) out = (out << 8) | byte;
  return out <= max || fault.set("number out of range");
}

/// Marks `bit` as seen; a second time is an error, because parsers differ in which one they take.
bool once(std::uint32_t& seen, unsigned bit, Fault& fault) {
  if ((seen & (1u << bit)) != 0) return fault.set("given twice");
  seen |= 1u << bit;
  return true;
}

bool read_tcb_member(const Member& member, unsigned index, Fault& fault, PckExtension& out) {
  if (index == 18) return octets(member.value, fault, out.cpusvn);
  unsigned svn = 0;
  if (!number(member.value, fault, kInteger, index == 17 ? 0xffff : 0xff, svn)) return false;
  if (index == 17) {
    out.pcesvn = static_cast<std::uint16_t>(svn);
  } else {
    out.components[index - 1] = static_cast<std::uint8_t>(svn);
  }
  return true;
}

bool read_tcb(const Tlv& value, Fault& fault, PckExtension& out) {
  if (value.tag != kSequence) return fault.set("not a SEQUENCE");
  std::uint32_t seen = 0;
  Member member;
  for (Der in{value.content, fault}; !in.empty();) {
    if (!read_member(in, fault, member)) return false;
    const unsigned index = member.arcs[1];
    if (member.arc_count != 2 || member.arcs[0] != 2 || index < 1 || index > 18) return fault.set("unknown member");
    if (!once(seen, index, fault) || !read_tcb_member(member, index, fault, out)) return fault.in("TCB member", index);
  }
  // TCB levels are compared component by component: one that is absent must not count as anything.
  return seen == 0x7fffeu || fault.set("not exactly 16 components, PCESVN and CPUSVN");
}

bool read_configuration(const Tlv& value, Fault& fault, PckExtension& out) {
  if (value.tag != kSequence) return fault.set("not a SEQUENCE");
  std::uint32_t seen = 0;
  Member member;
  for (Der in{value.content, fault}; !in.empty();) {
    if (!read_member(in, fault, member)) return false;
    const unsigned index = member.arcs[1];
    if (member.arc_count != 2 || member.arcs[0] != 7 || index < 1 || index > 31) return fault.set("unknown member");
    if (!once(seen, index, fault)) return false;
    if (index > 3) continue;  // later configuration flags say nothing that is judged here
    const ByteView c = member.value.content;
    if (member.value.tag != kBoolean || c.size() != 1 || (c[0] != 0 && c[0] != 0xff)) return fault.set("no BOOLEAN");
    (index == 1 ? out.dynamic_platform : index == 2 ? out.cached_keys : out.smt_enabled) = c[0] != 0;
  }
  return true;
}

bool read_top(const Member& member, Fault& fault, PckExtension& out) {
  unsigned type = 0;
  switch (member.arcs[0]) {
    case 1:
      return octets(member.value, fault, out.ppid) || fault.in("PPID");
    case 2:
      return read_tcb(member.value, fault, out) || fault.in("TCB");
    case 3:
      return octets(member.value, fault, out.pceid) || fault.in("PCE-ID");
    case 4:
      return octets(member.value, fault, out.fmspc) || fault.in("FMSPC");
    case 5:
      if (!number(member.value, fault, kEnumerated, 2, type)) return fault.in("SGX type");
      out.sgx_type = static_cast<SgxType>(type);
      return true;
    case 6:
      return octets(member.value, fault, out.platform_instance_id.emplace()) || fault.in("platform instance id");
    case 7:
      return read_configuration(member.value, fault, out) || fault.in("configuration");
    default:
      return true;  // Intel may add members; they name nothing that is judged here
  }
}

bool read_extension(ByteView content, Fault& fault, PckExtension& out) {
  Der outer{content, fault};
  ByteView members;
  if (!outer.expect(kSequence, members)) return false;
  if (!outer.empty()) return fault.set("bytes after the extension");
  std::uint32_t seen = 0;
  Member member;
  for (Der in{members, fault}; !in.empty();) {
    if (!read_member(in, fault, member)) return false;
    if (member.arc_count != 1 || member.arcs[0] > 31) return fault.set("unknown member");
    if (!once(seen, member.arcs[0], fault)) return fault.in("member", member.arcs[0]);
    if (!read_top(member, fault, out)) return false;
  }
  return (seen & 0x3eu) == 0x3eu || fault.set("PPID, TCB, PCE-ID, FMSPC or SGX type is missing");
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

base::Result<PckExtension> parse_pck_extension(ByteView content) {
  Fault fault;
  PckExtension out;
  if (!read_extension(content, fault, out)) return fault.error();
  return out;
}

}  // namespace attestry::attestation::dcap
