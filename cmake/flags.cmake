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
  # Unit tests are compiled without optimisation (cmake/rooms.cmake), where glibc warns about fortification.
  set(unit_test $<BOOL:$<TARGET_PROPERTY:ATTESTRY_UNIT_TEST>>)
  target_compile_options(attestry_flags INTERFACE
    $<$<NOT:${unit_test}>:-U_FORTIFY_SOURCE> $<$<NOT:${unit_test}>:-D_FORTIFY_SOURCE=2>)
endif()
if(ATTESTRY_FUZZ)
  target_compile_options(attestry_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(ATTESTRY_COVERAGE)
  target_compile_options(attestry_flags INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(attestry_flags INTERFACE --coverage)
endif()
find_program(MOLD mold)
find_program(LLD NAMES ld.lld-19)
if(MOLD AND NOT ATTESTRY_SANITIZE)
  target_link_options(attestry_flags INTERFACE -fuse-ld=mold)
elseif(LLD AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # A test program with sanitizers has hundreds of megabytes: ld takes half a minute for what lld does in three seconds.
  target_link_options(attestry_flags INTERFACE -fuse-ld=lld-19)
endif()
