// The lock of the pure rooms: annotated for clang's thread-safety analysis, and nothing at all in the single-threaded
// WebAssembly build, which has no std::mutex.
#pragma once
#ifndef __wasm__
#include <mutex>
#endif

#if defined(__clang__)
#define ATTESTRY_TSA(x) __attribute__((x))
#else
#define ATTESTRY_TSA(x)
#endif
#define ATTESTRY_GUARDED_BY(m) ATTESTRY_TSA(guarded_by(m))
#define ATTESTRY_REQUIRES(...) ATTESTRY_TSA(requires_capability(__VA_ARGS__))

namespace attestry::base {

class ATTESTRY_TSA(capability("mutex")) Mutex {
 public:
#ifdef __wasm__
  void lock() ATTESTRY_TSA(acquire_capability()) {}
  void unlock() ATTESTRY_TSA(release_capability()) {}
#else
  void lock() ATTESTRY_TSA(acquire_capability()) { m_.lock(); }
  void unlock() ATTESTRY_TSA(release_capability()) { m_.unlock(); }
  std::mutex& native() noexcept { return m_; }

 private:
  std::mutex m_;
#endif
};

class ATTESTRY_TSA(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& m) ATTESTRY_TSA(acquire_capability(m)) : m_(m) { m_.lock(); }
  ~MutexLock() ATTESTRY_TSA(release_capability()) { m_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& m_;
};

}  // namespace attestry::base
