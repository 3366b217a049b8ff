# Toolchain file: WebAssembly with WASI by Debian's clang 19. There are no threads, no exceptions and no assembly.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR wasm32)
set(CMAKE_C_COMPILER clang-19)
set(CMAKE_CXX_COMPILER clang++-19)
set(CMAKE_AR llvm-ar-19)
set(CMAKE_RANLIB llvm-ranlib-19)
# CMake would try to link a program for a system that it does not know.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
# Debian keeps the C library's headers outside the compiler's own search path. The emulated parts are functions that
# AWS-LC names but that WASI lacks.
set(attestry_wasm_flags "--target=wasm32-wasi -isystem /usr/include/wasm32-wasi -D_WASI_EMULATED_MMAN -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_GETPID -D_WASI_EMULATED_PROCESS_CLOCKS")
set(CMAKE_C_FLAGS_INIT "${attestry_wasm_flags}")
set(CMAKE_CXX_FLAGS_INIT
  "-nostdinc++ -isystem /usr/lib/llvm-19/include/wasm32-wasi/c++/v1 ${attestry_wasm_flags} -fno-exceptions")
