// What is read of a value that a TPM sealed is written and read the same. The sum at the end is put there, since no
// fuzzer finds one.
#include "crypto/hash.h"
#include "require.h"
#include "tee/tpm_sealing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  REQUIRE(size < 32 || !tee::parse_tpm_sealed({data, size}).ok());
  base::Bytes whole(data, data + size);
  base::append(whole, crypto::sha256(whole));
  const auto parsed = tee::parse_tpm_sealed(whole);
  if (!parsed.ok()) return 0;
  REQUIRE(parsed->pcrs != 0 && parsed->pcrs < (1U << 24));
  REQUIRE(tee::encode_tpm_sealed(*parsed) == whole);
  return 0;
}
