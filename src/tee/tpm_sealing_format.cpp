#include <algorithm>
#include <charconv>

#include "base/reader.h"
#include "crypto/hash.h"
#include "tee/tpm_sealing.h"

namespace attestry::tee {

using base::Code;
using base::Error;
using base::Result;

namespace {
constexpr std::string_view kMagic = "ATP1";
constexpr std::uint32_t kAllPcrs = (1U << 24) - 1;
constexpr std::size_t kMaxName = 66;  // algorithm and digest
constexpr std::size_t kMaxArea = 1024;
constexpr std::size_t kDigest = 32;

Result<TpmSealed> parse(base::Reader& in) {
  TpmSealed out;
  TRY(const auto magic, in.take(kMagic.size(), "magic"));
  if (base::as_text(magic) != kMagic) return Error{Code::corrupt, "magic"};
  TRY(out.pcrs, in.u32be("PCRs"));
  if (out.pcrs == 0 || (out.pcrs & ~kAllPcrs) != 0) return Error{Code::corrupt, "PCRs"};
  TRY(out.parent, in.lp("name of the storage key", kMaxName));
  TRY(out.context, in.take_array<kDigest>("context"));
  TRY(out.public_area, in.lp("public area", kMaxArea));
  TRY(out.private_area, in.lp("private area", kMaxArea));
  return out;
}
}  // namespace

base::Bytes encode_tpm_sealed(const TpmSealed& parts) {
  base::LpWriter out;
  out.raw(base::as_bytes(kMagic)).u32(parts.pcrs).lp(parts.parent).raw(parts.context);
  out.lp(parts.public_area).lp(parts.private_area);
  const auto sum = crypto::sha256(out.bytes());
  out.raw(sum);
  return std::move(out).take();
}

Result<TpmSealed> parse_tpm_sealed(base::ByteView sealed) {
  const auto broken = [](std::string_view why) {
    return Error{Code::corrupt, "value sealed by a TPM: " + std::string{why}};
  };
  if (sealed.size() < kDigest) return broken("too short");
  // Tells a damaged file from another TPM, which the TPM itself does not. Not what protects it: the TPM does that.
  const auto body = sealed.first(sealed.size() - kDigest);
  if (!base::equal(crypto::sha256(body), sealed.last(kDigest))) return broken("it was altered");
  base::Reader in{body};
  auto out = parse(in);
  if (!out) return broken(out.error().what);
  if (const auto end = in.finish("value sealed by a TPM"); !end) return broken(end.error().what);
  return out;
}

Result<std::vector<unsigned>> parse_pcrs(std::string_view text) {
  const auto wrong = [&] {
    return Error{Code::configuration, "PCRs to seal to",
                 "numbers from 0 to 23 with commas between them, such as 0,2,4,7", std::string{text}};
  };
  std::vector<unsigned> out;
  for (;;) {
    const auto comma = text.find(',');
    const auto item = text.substr(0, comma);
    unsigned number = 0;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), number);
    if (error != std::errc{} || end != item.data() + item.size() || number > 23) return wrong();
    if (std::find(out.begin(), out.end(), number) != out.end()) return wrong();
    out.push_back(number);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace attestry::tee
