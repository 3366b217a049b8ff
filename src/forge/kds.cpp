#include "forge/kds.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/encoding.h"
#include "forge/snp.h"

namespace attestry::forge {
namespace {

constexpr std::int64_t kDay = 86400;

PcsReply failed(int status) { return {status, {}, {}}; }

PcsReply given(std::string_view type, base::Bytes body) {
  return {200, {{"Content-Type", std::string{type}}}, std::move(body)};
}

base::Bytes name_of(const SnpPki& pki, base::ByteView hwid) {
  base::Bytes out = base::to_bytes(hwid);
  out.push_back(static_cast<std::uint8_t>(to_text(pki.product()).front()));
  return out;
}

std::optional<std::uint8_t> spl(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (!pair.starts_with(name) || pair.substr(name.size(), 4) != "SPL=") continue;
    const std::string_view digits = pair.substr(name.size() + 4);
    std::uint8_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

std::optional<attestation::snp::Tcb> tcb_in(std::string_view query, SnpProduct product) {
  const auto fmc = product == SnpProduct::turin ? spl(query, "fmc") : std::optional<std::uint8_t>{0};
  const auto boot_loader = spl(query, "bl");
  const auto tee = spl(query, "tee");
  const auto snp = spl(query, "snp");
  const auto microcode = spl(query, "ucode");
  if (!fmc || !boot_loader || !tee || !snp || !microcode) return std::nullopt;
  return attestation::snp::Tcb{*fmc, *boot_loader, *tee, *snp, *microcode};
}

}  // namespace

ForgeKds::ForgeKds(std::vector<const SnpPki*> pkis, std::uint32_t chips, std::optional<KdsLimit> limit)
    : pkis_(std::move(pkis)), limit_(limit) {
  for (const SnpPki* pki : pkis_) {
    for (std::uint32_t chip = 0; chip < chips; ++chip) chips_.emplace(name_of(*pki, *snp_vcek(*pki, chip).hwid), chip);
  }
}

KdsCounts ForgeKds::counts() const {
  const base::MutexLock lock(mutex_);
  return counts_;
}

PcsReply ForgeKds::vcek(const SnpPki& pki, std::string_view hwid, std::string_view query, base::UtcTime at) {
  const auto tcb = tcb_in(query, pki.product());
  const auto id = base::hex_decode(hwid);
  if (!tcb || !id.ok()) return failed(400);
  {
    const base::MutexLock lock(mutex_);
    if (limit_ && due_ - at.seconds > limit_->seconds * (limit_->burst - 1)) {
      const std::int64_t wait = due_ - limit_->seconds * (limit_->burst - 1) - at.seconds;
      return {429, {{"Retry-After", std::to_string(wait)}}, {}};
    }
    if (limit_) due_ = std::max(due_, at.seconds) + limit_->seconds;
  }
  const auto chip = chips_.find(name_of(pki, *id));
  if (chip == chips_.end()) return failed(404);
  const VekSpec spec = snp_vcek(pki, chip->second);
  if (spec.tcb != *tcb) return failed(404);
  auto made = pki.vek(spec, pki.ask());
  if (!made.ok()) return failed(500);
  return given("application/octet-stream", std::move(made->der));
}

PcsReply ForgeKds::answer(std::string_view target, base::UtcTime at) {
  const std::size_t mark = target.find('?');
  std::string_view path = target.substr(0, mark);
  const std::string_view query = mark == std::string_view::npos ? std::string_view{} : target.substr(mark + 1);
  const bool vlek = path.starts_with("/vlek/v1/");
  if (!vlek && !path.starts_with("/vcek/v1/")) return failed(404);
  path.remove_prefix(9);
  for (const SnpPki* pki : pkis_) {
    const std::string product{to_text(pki->product())};
    if (!path.starts_with(product + "/")) continue;
    const std::string_view what = path.substr(product.size() + 1);
    if (what == "cert_chain") {
      const std::string pem = base::pem_encode("CERTIFICATE", (vlek ? pki->asvk() : pki->ask()).der) +
                              base::pem_encode("CERTIFICATE", pki->ark().der);
      return given("application/x-pem-file", base::to_bytes(pem));
    }
    if (what == "crl") {
      auto crl = pki->crl(pki->ark(), pki->ark(), {at - kDay, at + 30 * kDay}, {});
      return crl.ok() ? given("application/octet-stream", *std::move(crl)) : failed(500);
    }
    return vlek ? failed(404) : vcek(*pki, what, query, at);
  }
  return failed(404);
}

PcsReply ForgeKds::get(std::string_view target, base::UtcTime at) {
  PcsReply reply = answer(target, at);
  const bool certificate = target.find('?') != std::string_view::npos;
  const base::MutexLock lock(mutex_);
  if (reply.status == 429) ++counts_.throttled;
  if (reply.status == 404 || reply.status == 400) ++counts_.unknown;
  if (reply.status == 200) ++(certificate ? counts_.vceks : counts_.others);
  return reply;
}

}  // namespace attestry::forge
