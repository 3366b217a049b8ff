// AMD's processor families and how each packs its TCB version (AMD 56860: TCB_VERSION; 57230: VCEK extensions).
#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace attestry::attestation::snp {

enum class Product : std::uint8_t { milan, genoa, turin };

/// "Milan", as in the names of AMD's certificates ("ARK-Milan").
std::string_view to_text(Product product) noexcept;
/// From the CPUID fields of a report: combined family and model. nullopt for processors that this program does not
/// know: there is no default (go-sev-guest#185).
std::optional<Product> product_of_cpuid(std::uint8_t family, std::uint8_t model) noexcept;
/// From the product name of a VEK: "Milan-B0", "Genoa".
std::optional<Product> product_of_name(std::string_view name) noexcept;

/// SVN components. FMC exists on Turin only and is 0 elsewhere.
struct Tcb {
  std::uint8_t fmc = 0;
  std::uint8_t boot_loader = 0;
  std::uint8_t tee = 0;
  std::uint8_t snp = 0;
  std::uint8_t microcode = 0;
  friend auto operator<=>(const Tcb&, const Tcb&) = default;
};
using TcbBytes = base::FixedBytes<8>;
/// The layout is the product's and never guessed: under another's layout the values are plausible and wrong.
Tcb unpack_tcb(Product product, const TcbBytes& raw) noexcept;
/// The bytes of a report whose reserved bytes are zero.
TcbBytes pack_tcb(Product product, const Tcb& tcb) noexcept;

}  // namespace attestry::attestation::snp
