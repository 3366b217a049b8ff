// Headers of a proxy: whatever they say, there are registers of the right size or an error in the wire's words.
#include <cstdlib>
#include <string_view>

#include "base/encoding.h"
#include "provision/registry_measurements.h"

using namespace attestry;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view json{reinterpret_cast<const char*>(data + 1), size - 1};
  constexpr std::string_view kTypes[] = {"qemu-tdx", "azure-tdx", "gcp-tdx", "dummy"};
  const std::string_view type = kTypes[data[0] % 4];
  const bool legacy = (data[0] & 0x80) != 0;
  const auto read = provision::measurements_from_headers(type, json, legacy);
  if (!read) {
    if (!read.error().what.starts_with("invalid measurements: ")) std::abort();
    return 0;
  }
  if (type == "dummy") std::abort();
  if (read->kind != provision::RegistryMeasurements::Kind::dcap) return 0;
  // What was read, written again, is read as the same.
  std::string again = "{\"0\":\"" + base::hex(read->mrtd) + "\"";
  for (std::size_t i = 0; i < read->rtmr.size(); ++i) {
    again += ",\"" + std::to_string(i + 1) + "\":\"" + base::hex(read->rtmr[i]) + "\"";
  }
  const auto same = provision::measurements_from_headers(type, again + "}", legacy);
  const curves::Address contract{1};
  if (!same || same->identity(contract) != read->identity(contract)) std::abort();
  return 0;
}
