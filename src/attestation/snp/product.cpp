#include "attestation/snp/product.h"

#include <array>
#include <utility>

namespace attestry::attestation::snp {
namespace {

constexpr std::array<std::pair<Product, std::string_view>, 3> kNames{
    {{Product::milan, "Milan"}, {Product::genoa, "Genoa"}, {Product::turin, "Turin"}}};

}  // namespace

std::string_view to_text(Product product) noexcept {
  for (const auto& [known, name] : kNames) {
    if (known == product) return name;
  }
  return "unknown";
}

std::optional<Product> product_of_cpuid(std::uint8_t family, std::uint8_t model) noexcept {
  if (family == 0x19 && model <= 0x0f) return Product::milan;
  // Genoa, and Bergamo and Siena, whose keys are issued under Genoa's names.
  if (family == 0x19 && ((model >= 0x10 && model <= 0x1f) || (model >= 0xa0 && model <= 0xaf))) return Product::genoa;
  if (family == 0x1a && model <= 0x11) return Product::turin;
  return std::nullopt;
}

std::optional<Product> product_of_name(std::string_view name) noexcept {
  for (const auto& [product, known] : kNames) {
    if (!name.starts_with(known)) continue;
    // A stepping may follow: "Milan-B0".
    if (name.size() == known.size() || (name[known.size()] == '-' && name.size() > known.size() + 1)) return product;
  }
  return std::nullopt;
}

Tcb unpack_tcb(Product product, const TcbBytes& raw) noexcept {
  if (product == Product::turin) {
    return {.fmc = raw[0], .boot_loader = raw[1], .tee = raw[2], .snp = raw[3], .microcode = raw[7]};
  }
  return {.fmc = 0, .boot_loader = raw[0], .tee = raw[1], .snp = raw[6], .microcode = raw[7]};
}

TcbBytes pack_tcb(Product product, const Tcb& tcb) noexcept {
  if (product == Product::turin) return {tcb.fmc, tcb.boot_loader, tcb.tee, tcb.snp, 0, 0, 0, tcb.microcode};
  return {tcb.boot_loader, tcb.tee, 0, 0, 0, 0, tcb.snp, tcb.microcode};
}

}  // namespace attestry::attestation::snp
