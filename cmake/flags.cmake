# One interface target carries every flag, so that no target can forget one.
add_library(attestry_flags INTERFACE)
target_compile_options(attestry_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Werror
  -fstack-protector-strong -fno-plt -fcf-protection=full -ffunction-sections -fdata-sections)
target_compile_definitions(attestry_flags INTERFACE _GLIBCXX_ASSERTIONS)
target_link_options(attestry_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(attestry_flags INTERFACE -Wthread-safety)
else()
  # -fstack-clash-protection and _FORTIFY_SOURCE need optimisation and no sanitizer.
  target_compile_options(attestry_flags INTERFACE -fstack-clash-protection)
endif()
if(ATTESTRY_FUZZ)
  # The fuzz targets see the coverage of the rooms and their faults too.
  if(NOT ATTESTRY_SANITIZE)
    set(ATTESTRY_SANITIZE address,undefined)
  endif()
  target_compile_options(attestry_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(ATTESTRY_SANITIZE)
  target_compile_options(attestry_flags INTERFACE -fsanitize=${ATTESTRY_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(attestry_flags INTERFACE -fsanitize=${ATTESTRY_SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_options(attestry_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
find_program(MOLD mold)
if(MOLD AND NOT ATTESTRY_SANITIZE)
  target_link_options(attestry_flags INTERFACE -fuse-ld=mold)
endif()
