#include "attestation/eventlog/log.h"

#include <algorithm>
#include <utility>

namespace attestry::attestation::eventlog {

std::string_view to_text(Hash hash) noexcept {
  switch (hash) {
    case Hash::sha1:
      return "sha1";
    case Hash::sha256:
      return "sha256";
    case Hash::sha384:
      return "sha384";
    case Hash::sha512:
      return "sha512";
    case Hash::sm3:
      return "sm3-256";
  }
  return "unknown";
}

std::string_view type_name(std::uint32_t type) noexcept {
  static constexpr std::pair<std::uint32_t, std::string_view> kNames[] = {
      {0x00, "EV_PREBOOT_CERT"},
      {0x01, "EV_POST_CODE"},
      {0x02, "EV_UNUSED"},
      {kNoAction, "EV_NO_ACTION"},
      {kSeparator, "EV_SEPARATOR"},
      {kAction, "EV_ACTION"},
      {kEventTag, "EV_EVENT_TAG"},
      {0x07, "EV_S_CRTM_CONTENTS"},
      {0x08, "EV_S_CRTM_VERSION"},
      {0x09, "EV_CPU_MICROCODE"},
      {kPlatformConfigFlags, "EV_PLATFORM_CONFIG_FLAGS"},
      {0x0b, "EV_TABLE_OF_DEVICES"},
      {0x0c, "EV_COMPACT_HASH"},
      {kIpl, "EV_IPL"},
      {0x0e, "EV_IPL_PARTITION_DATA"},
      {0x0f, "EV_NONHOST_CODE"},
      {0x10, "EV_NONHOST_CONFIG"},
      {0x11, "EV_NONHOST_INFO"},
      {0x12, "EV_OMIT_BOOT_DEVICE_EVENTS"},
      {0x13, "EV_POST_CODE2"},
      {kDstackRuntime, "DSTACK_RUNTIME_EVENT"},
      {0x80000000, "EV_EFI_EVENT_BASE"},
      {kEfiVariableDriverConfig, "EV_EFI_VARIABLE_DRIVER_CONFIG"},
      {kEfiVariableBoot, "EV_EFI_VARIABLE_BOOT"},
      {kEfiBootServicesApplication, "EV_EFI_BOOT_SERVICES_APPLICATION"},
      {0x80000004, "EV_EFI_BOOT_SERVICES_DRIVER"},
      {0x80000005, "EV_EFI_RUNTIME_SERVICES_DRIVER"},
      {kEfiGptEvent, "EV_EFI_GPT_EVENT"},
      {kEfiAction, "EV_EFI_ACTION"},
      {0x80000008, "EV_EFI_PLATFORM_FIRMWARE_BLOB"},
      {0x80000009, "EV_EFI_HANDOFF_TABLES"},
      {0x8000000a, "EV_EFI_PLATFORM_FIRMWARE_BLOB2"},
      {0x8000000b, "EV_EFI_HANDOFF_TABLES2"},
      {kEfiVariableBoot2, "EV_EFI_VARIABLE_BOOT2"},
      {0x8000000d, "EV_EFI_GPT_EVENT2"},
      {0x80000010, "EV_EFI_HCRTM_EVENT"},
      {kEfiVariableAuthority, "EV_EFI_VARIABLE_AUTHORITY"},
      {0x800000e1, "EV_EFI_SPDM_FIRMWARE_BLOB"},
      {0x800000e2, "EV_EFI_SPDM_FIRMWARE_CONFIG"},
      {0x800000e3, "EV_EFI_SPDM_DEVICE_POLICY"},
      {0x800000e4, "EV_EFI_SPDM_DEVICE_AUTHORITY"},
  };
  const auto* const found = std::ranges::find(kNames, type, [](const auto& entry) { return entry.first; });
  return found == std::end(kNames) ? std::string_view{} : found->second;
}

std::string register_name(Registers registers, std::uint32_t number) {
  if (registers == Registers::pcr) return "pcr" + std::to_string(number);
  return number == 0 ? "mrtd" : "rtmr" + std::to_string(number - 1);
}

std::size_t Log::bank(Hash hash) const noexcept {
  return static_cast<std::size_t>(std::ranges::find(banks, hash, &Bank::hash) - banks.begin());
}

bool looks_like_json(base::ByteView bytes) noexcept {
  const auto first =
      std::ranges::find_if(bytes, [](std::uint8_t b) { return b != ' ' && b != '\t' && b != '\n' && b != '\r'; });
  return first != bytes.end() && (*first == '[' || *first == '{');
}

}  // namespace attestry::attestation::eventlog
