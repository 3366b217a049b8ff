#include "attestation/dcap/quote.h"

#include <algorithm>
#include <array>

#include "attestation/signature_fault.h"

namespace attestry::attestation::dcap {
namespace {

using base::ByteView;

constexpr std::array<std::uint8_t, 16> kIntelQeVendor = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                                         0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
constexpr std::uint16_t kOuterCertificationType = 6;

std::uint16_t u16_at(ByteView b, std::size_t at) noexcept {
  return static_cast<std::uint16_t>(b[at] | (b[at + 1] << 8));
}
std::uint32_t u32_at(ByteView b, std::size_t at) noexcept {
  return static_cast<std::uint32_t>(u16_at(b, at)) | (static_cast<std::uint32_t>(u16_at(b, at + 2)) << 16);
}

/// The sizes that a quote states, as they were read: when one is wrong, what fails is a part behind it.
class Sizes {
 public:
  void add(std::string_view field, std::size_t at, std::size_t width, std::uint32_t value) noexcept {
    if (count_ < all_.size()) all_[count_++] = {field, at, width, value};
  }
  /// "signature data size 4300 (bytes 632 to 635), …"
  std::string text() const {
    std::string out;
    for (std::size_t i = 0; i < count_; ++i) {
      const Size& size = all_[i];
      out.append(i == 0 ? "" : ", ").append(size.field).append(" ").append(std::to_string(size.value));
      out.append(" (").append(bytes_at(size.at, size.width)).append(")");
    }
    return out;
  }

 private:
  struct Size {
    std::string_view field;
    std::size_t at;
    std::size_t width;
    std::uint32_t value;
  };
  std::array<Size, 8> all_{};
  std::size_t count_ = 0;
};

/// A cursor that remembers the first fault and then gives empty views: a quote is parsed in nanoseconds, so no Result
/// per field. Offsets in faults are those of the quote: `begin` is where `bytes` stands in it.
class Cursor {
 public:
  Cursor(ByteView bytes, std::size_t at, std::size_t begin, Sizes& sizes) noexcept
      : bytes_(bytes), at_(at), begin_(begin), sizes_(sizes) {}

  ByteView take(std::size_t size, std::string_view field) {
    if (fault_) return {};
    if (size > bytes_.size() - at_) {
      fault_ = QuoteFault{std::to_string(size) + " bytes", std::to_string(bytes_.size() - at_) + " bytes",
                          std::string{field} + " from byte " + std::to_string(begin_ + at_) + said()};
      return {};
    }
    const ByteView out = bytes_.subspan(at_, size);
    at_ += size;
    return out;
  }
  std::uint16_t u16(std::string_view field) {
    const ByteView v = take(2, field);
    return v.empty() ? std::uint16_t{0} : u16_at(v, 0);
  }
  std::uint32_t u32(std::string_view field) {
    const ByteView v = take(4, field);
    return v.empty() ? 0 : u32_at(v, 0);
  }
  std::uint16_t size16(std::string_view field) {
    const std::uint16_t value = u16(field);
    if (!fault_) sizes_.add(field, begin_ + at_ - 2, 2, value);
    return value;
  }
  std::uint32_t size32(std::string_view field) {
    const std::uint32_t value = u32(field);
    if (!fault_) sizes_.add(field, begin_ + at_ - 4, 4, value);
    return value;
  }
  /// Everything must be used: what follows would be neither signed nor understood.
  void finish(std::string_view what) {
    if (!fault_ && at_ != bytes_.size()) {
      fault_ = QuoteFault{"end of " + std::string{what}, std::to_string(bytes_.size() - at_) + " bytes more",
                          "from byte " + std::to_string(begin_ + at_) + said()};
    }
  }
  void fail(QuoteFault fault) {
    if (!fault_) fault_ = std::move(fault);
  }
  std::size_t at() const noexcept { return at_; }
  std::size_t place() const noexcept { return begin_ + at_; }
  bool ok() const noexcept { return !fault_; }
  std::optional<QuoteFault>& fault() noexcept { return fault_; }

 private:
  std::string said() const {
    const std::string sizes = sizes_.text();
    return sizes.empty() ? sizes : "; the quote says: " + sizes;
  }

  ByteView bytes_;
  std::size_t at_;
  std::size_t begin_;
  Sizes& sizes_;
  std::optional<QuoteFault> fault_;
};

std::size_t body_size(BodyType type) noexcept {
  switch (type) {
    case BodyType::sgx:
      return kSgxReportSize;
    case BodyType::td10:
      return kTd10Size;
    case BodyType::td15:
      return kTd15Size;
    case BodyType::td15ex:
      return kTd15exSize;
  }
  return 0;
}

/// Version 5 names its body's type and size; both must agree with each other and with the TEE type.
void read_body_descriptor(Cursor& in, Quote& quote) {
  const std::uint16_t type = in.u16("body type");
  const std::uint32_t size = in.u32("body size");
  if (!in.ok()) return;
  const std::size_t at = in.place() - 6;
  const auto type_at = [at] { return "body type, " + bytes_at(at, 2); };
  if (type < 1 || type > 4) return in.fail({"body type 1 to 4", std::to_string(type), type_at()});
  quote.body_type = static_cast<BodyType>(type);
  if ((quote.body_type == BodyType::sgx) != (quote.tee == Tee::sgx)) {
    return in.fail({quote.tee == Tee::sgx ? "body type 1" : "body type 2 to 4", std::to_string(type),
                    "the body is of another TEE than the header says: " + type_at() + "; TEE type, bytes 4 to 7"});
  }
  if (size != body_size(quote.body_type)) {
    in.fail({std::to_string(body_size(quote.body_type)) + " bytes", std::to_string(size) + " bytes",
             "body size, " + bytes_at(at + 2, 4) + ", of body type " + std::to_string(type) + ", " + bytes_at(at, 2)});
  }
}

void read_body(ByteView bytes, Cursor& in, Quote& quote) {
  if (quote.version == 5) {
    read_body_descriptor(in, quote);
    if (!in.ok()) return;
  } else {
    quote.body_type = quote.tee == Tee::sgx ? BodyType::sgx : BodyType::td10;
  }
  const ByteView body = in.take(body_size(quote.body_type), "report body");
  if (!in.ok()) return;
  if (quote.tee == Tee::sgx) {
    quote.sgx = SgxReport{body};
  } else {
    quote.td = TdReport{body};
  }
  quote.signed_bytes = bytes.first(in.at());
}

/// QE report, its signature, authentication data, certification data: the same bytes in all versions.
void read_qe_part(Cursor& in, Quote& quote) {
  const ByteView report = in.take(kSgxReportSize, "QE report");
  quote.qe_report_signature = in.take(64, "QE report signature");
  quote.auth_data = in.take(in.size16("QE authentication data size"), "QE authentication data");
  quote.cert_data_type = in.u16("certification data type");
  quote.cert_data = in.take(in.size32("certification data size"), "certification data");
  if (in.ok()) quote.qe_report = SgxReport{report};
}

void read_signature_data(ByteView data, Cursor& outer, Sizes& sizes, Quote& quote) {
  Cursor in{data, 0, outer.place() - data.size(), sizes};
  quote.signature = in.take(64, "quote signature");
  quote.attestation_key = in.take(64, "attestation key");
  if (quote.version == 3) {
    read_qe_part(in, quote);
    in.finish("signature data");
  } else {
    const std::uint16_t type = in.u16("outer certification data type");
    if (in.ok() && type != kOuterCertificationType) {
      in.fail(
          {"certification data type 6", std::to_string(type), "around the QE report, " + bytes_at(in.place() - 2, 2)});
    }
    const ByteView nested = in.take(in.size32("outer certification data size"), "outer certification data");
    const std::size_t nested_at = in.place() - nested.size();
    in.finish("signature data");
    if (in.ok()) {
      Cursor inner{nested, 0, nested_at, sizes};
      read_qe_part(inner, quote);
      inner.finish("certification data");
      if (!inner.ok()) in.fail(std::move(*inner.fault()));
    }
  }
  if (!in.ok()) outer.fail(std::move(*in.fault()));
}

}  // namespace

ByteView intel_qe_vendor_id() noexcept { return kIntelQeVendor; }

std::optional<QuoteHeader> read_header(ByteView bytes) noexcept {
  if (bytes.size() < kHeaderSize) return std::nullopt;
  return QuoteHeader{u16_at(bytes, 0), u16_at(bytes, 2), u32_at(bytes, 4), bytes.subspan(12, 16)};
}

bool known_version(std::uint16_t version) noexcept { return version >= 3 && version <= 5; }

bool tee_fits_version(std::uint16_t version, std::uint32_t tee_type) noexcept {
  return tee_type == kTeeTypeSgx || (tee_type == kTeeTypeTdx && version >= 4);
}

std::expected<Quote, QuoteFault> parse_quote(ByteView bytes) {
  const auto header = read_header(bytes);
  if (!header) return std::unexpected(QuoteFault{"48 bytes", std::to_string(bytes.size()) + " bytes", "quote header"});
  if (!known_version(header->version) || header->key_type != kKeyTypeEcdsaP256 ||
      !tee_fits_version(header->version, header->tee_type)) {
    return std::unexpected(QuoteFault{"a known version, key type and TEE type", "another", "quote header"});
  }
  Quote quote;
  quote.version = header->version;
  quote.tee = header->tee_type == kTeeTypeTdx ? Tee::tdx : Tee::sgx;
  quote.qe_vendor_id = header->qe_vendor_id;
  quote.user_data = bytes.subspan(28, 20);

  Sizes sizes;
  Cursor in{bytes, kHeaderSize, 0, sizes};
  read_body(bytes, in, quote);
  const std::uint32_t size = in.size32("signature data size");
  const ByteView data = in.take(size, "signature data");
  in.finish("quote");
  if (in.ok()) read_signature_data(data, in, sizes, quote);
  if (!in.ok()) return std::unexpected(std::move(*in.fault()));
  return quote;
}

}  // namespace attestry::attestation::dcap
