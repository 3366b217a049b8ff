// A sealing device that lies in memory: what it holds back, and when it is away, is the test's choice.
#pragma once
#include <atomic>
#include <string>

#include "crypto/aead.h"
#include "crypto/random.h"
#include "crypto/sealing_device.h"

namespace attestry::secrets::testing {

/// Two of one name and number are one device.
class StandInDevice final : public crypto::SealingDevice {
 public:
  StandInDevice(std::string name, std::uint8_t number) : name_(std::move(name)), key_(base::Bytes(32, number)) {}
  std::atomic<bool> away{false};

  std::string name() const override { return name_; }
  std::string bound_to() const override { return "a test"; }
  base::Result<base::Bytes> seal(const crypto::Secret& secret, base::ByteView context) override {
    if (away) return gone();
    const auto nonce = crypto::system_random().bytes<12>();
    TRY(const auto sealed, crypto::aes256gcm_seal(key_, nonce, secret.reveal(), context));
    auto out = base::to_bytes(nonce);
    base::append(out, sealed);
    return out;
  }
  base::Result<crypto::Secret> unseal(base::ByteView sealed, base::ByteView context) override {
    if (away) return gone();
    if (sealed.size() < 28) return base::Error{base::Code::corrupt, "sealed value"};
    auto out = crypto::aes256gcm_open(key_, sealed.first(12), sealed.subspan(12), context);
    if (!out) return base::Error{base::Code::wrong_key, "this device did not seal it"};
    return out;
  }

 private:
  static base::Error gone() { return {base::Code::unavailable, "the device does not answer"}; }
  std::string name_;
  base::Bytes key_;
};

}  // namespace attestry::secrets::testing
