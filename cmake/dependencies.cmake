# What each room may link from outside. Headers of these libraries are included only from the room that names them here.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL 3 REQUIRED)            # TLS, in src/net only
find_package(SQLite3 REQUIRED)
find_package(CURL REQUIRED)
find_package(Boost 1.81 REQUIRED)           # Asio and Beast: headers only
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(prometheus-cpp REQUIRED)
pkg_check_modules(SECP256K1 REQUIRED IMPORTED_TARGET libsecp256k1)
pkg_check_modules(ARGON2 REQUIRED IMPORTED_TARGET libargon2)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(TSS REQUIRED IMPORTED_TARGET tss2-esys tss2-tctildr tss2-mu)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)

# AWS-LC, static, its symbols prefixed so that it lives beside the system's OpenSSL (docs/dependencies.md).
add_library(attestry_awslc INTERFACE)
if(NOT EXISTS ${ATTESTRY_DEPS}/lib/libawslc.a)
  message(FATAL_ERROR "AWS-LC is not built yet: run tools/deps/build.sh (make build does it for you)")
endif()
target_include_directories(attestry_awslc SYSTEM INTERFACE ${ATTESTRY_DEPS}/include)
target_link_libraries(attestry_awslc INTERFACE ${ATTESTRY_DEPS}/lib/libawslc.a Threads::Threads)

# The curve BLS12-381 and the commitments of blobs, static.
add_library(attestry_kzg INTERFACE)
if(NOT EXISTS ${ATTESTRY_DEPS}/lib/libkzg.a)
  message(FATAL_ERROR "blst and c-kzg are not built yet: run tools/deps/build.sh (make build does it for you)")
endif()
# Its headers are for the two files that call it, not for every room above.
set_source_files_properties(src/chain/kzg.cpp src/curves/bls12_381.cpp PROPERTIES COMPILE_OPTIONS
  "-isystem;${ATTESTRY_DEPS}/include;-isystem;${ATTESTRY_DEPS}/include/ckzg")
target_link_libraries(attestry_kzg INTERFACE ${ATTESTRY_DEPS}/lib/libkzg.a)

set(ATTESTRY_EXTERNAL_base spdlog::spdlog Threads::Threads)
set(ATTESTRY_EXTERNAL_crypto attestry_awslc)
set(ATTESTRY_EXTERNAL_curves PkgConfig::SECP256K1 PkgConfig::SODIUM attestry_kzg)
set(ATTESTRY_EXTERNAL_chain attestry_kzg)
set(ATTESTRY_EXTERNAL_keys PkgConfig::ARGON2)
set(ATTESTRY_EXTERNAL_net Boost::headers OpenSSL::SSL OpenSSL::Crypto CURL::libcurl prometheus-cpp::core)
set(ATTESTRY_EXTERNAL_secrets PkgConfig::RE2)
set(ATTESTRY_EXTERNAL_state SQLite::SQLite3)
set(ATTESTRY_EXTERNAL_tee PkgConfig::TSS)
set(ATTESTRY_EXTERNAL_app CLI11::CLI11 tomlplusplus::tomlplusplus)
