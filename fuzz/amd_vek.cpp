// Bytes are no certificate, or one without AMD's extensions, or their values have known lengths and, for the product
// that the certificate names, a TCB that unpacks to the same components and packs to the same bytes.
#include "attestation/snp/vek.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  namespace snp = attestation::snp;
  const auto certificate = crypto::Certificate::parse({data, size});
  if (!certificate) return 0;
  const auto extensions = snp::parse_vek_extensions(*certificate);
  if (!extensions) return 0;
  REQUIRE(extensions->struct_version <= 1);
  REQUIRE(!extensions->hwid || extensions->hwid->size() == 8 || extensions->hwid->size() == 64);
  const auto product = extensions->product();
  if (!product) return 0;
  const auto tcb = snp::tcb_of(*extensions, *product);
  if (!tcb) return 0;
  const snp::Tcb parts = snp::unpack_tcb(*product, *tcb);
  REQUIRE(parts.boot_loader == extensions->boot_loader && parts.tee == extensions->tee);
  REQUIRE(parts.snp == extensions->snp && parts.microcode == extensions->microcode);
  REQUIRE(parts.fmc == extensions->fmc.value_or(0));
  if (extensions->reserved == base::FixedBytes<4>{}) REQUIRE(snp::pack_tcb(*product, parts) == *tcb);
  return 0;
}
