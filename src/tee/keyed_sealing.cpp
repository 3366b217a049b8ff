#include "tee/keyed_sealing.h"

#include <fcntl.h>
#include <linux/sev-guest.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/encoding.h"
#include "base/json.h"
#include "base/reader.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

namespace attestry::tee {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::string_view kMagic = "ASK1";
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kMaxSecret = 128;
constexpr std::size_t kMaxContext = 1024;
constexpr std::size_t kFileKeyBytes = 32;
constexpr std::size_t kSgxKeyBytes = 16;

base::Digest32 labelled(std::string_view label, base::ByteView value) {
  base::LpWriter in;
  in.lp(label).lp(value);
  return crypto::sha256(in.bytes());
}

/// Form: "ASK1" ‖ id of the key (32) ‖ digest of the context (32) ‖ nonce (12) ‖ ciphertext and tag. The AAD is what
/// stands before the nonce.
class KeyedSealing final : public crypto::SealingDevice {
 public:
  KeyedSealing(std::string name, std::string bound_to, SealingKeySource source, crypto::Random& random)
      : name_(std::move(name)), bound_to_(std::move(bound_to)), source_(std::move(source)), random_(random) {}
  std::string name() const override { return name_; }
  std::string bound_to() const override { return bound_to_; }

  Result<base::Bytes> seal(const crypto::Secret& secret, base::ByteView context) override {
    if (secret.size() > kMaxSecret || context.size() > kMaxContext) {
      return Error{Code::too_large, "sealing device: at most 128 bytes of secret and 1 KiB of context"};
    }
    TRY(const auto key, this->key());
    base::Bytes out = base::to_bytes(kMagic);
    base::append(out, labelled("attestry/sealing-key-id/1", key.reveal()));
    base::append(out, labelled("attestry/sealing-context/1", context));
    const auto nonce = random_.bytes<kNonceBytes>();
    TRY(const auto sealed, crypto::aes256gcm_seal(key.reveal(), nonce, secret.reveal(), out));
    base::append(out, nonce);
    base::append(out, sealed);
    return out;
  }

  Result<crypto::Secret> unseal(base::ByteView sealed, base::ByteView context) override {
    base::Reader in{sealed};
    const auto parsed = parse(in);
    if (!parsed) return Error{Code::corrupt, "sealed value of " + name_ + ": " + parsed.error().what};
    TRY(const auto key, this->key());
    if (!base::equal(parsed->key_id, labelled("attestry/sealing-key-id/1", key.reveal()))) {
      return Error{Code::wrong_key, "another key sealed it", "that of " + bound_to_};
    }
    if (!base::equal(parsed->context, labelled("attestry/sealing-context/1", context))) {
      return Error{Code::wrong_key, "it was sealed for something else"};
    }
    const base::ByteView aad = sealed.first(sealed.size() - parsed->nonce.size() - parsed->body.size());
    auto out = crypto::aes256gcm_open(key.reveal(), parsed->nonce, parsed->body, aad);
    if (!out) return Error{Code::corrupt, "sealed value of " + name_ + ": it was altered"};
    return out;
  }

 private:
  struct Parts {
    base::ByteView key_id, context, nonce, body;
  };
  static Result<Parts> parse(base::Reader& in) {
    TRY(const auto magic, in.take(kMagic.size(), "magic"));
    if (base::as_text(magic) != kMagic) return Error{Code::corrupt, "magic"};
    Parts out;
    TRY(out.key_id, in.take(32, "key id"));
    TRY(out.context, in.take(32, "context"));
    TRY(out.nonce, in.take(kNonceBytes, "nonce"));
    out.body = in.rest();
    if (out.body.size() < kTagBytes || out.body.size() > kTagBytes + kMaxSecret) return Error{Code::corrupt, "length"};
    return out;
  }
  Result<crypto::Secret> key() const {
    TRY(const auto given, source_());
    base::LpWriter info;
    info.lp("attestry/sealing/1").lp(name_);
    return crypto::hkdf_sha256({}, given.reveal(), info.bytes(), 32);
  }

  const std::string name_;
  const std::string bound_to_;
  const SealingKeySource source_;
  crypto::Random& random_;
};

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

Error trouble(Code code, std::string what) {
  const int error = errno;
  return {code, std::move(what), {}, std::strerror(error)};
}

/// Exactly `size` bytes of a file.
Result<crypto::Secret> read_key(int fd, const std::string& path, std::size_t size) {
  crypto::Secret out(size + 1);
  std::size_t at = 0;
  while (at <= size) {
    const auto got = ::read(fd, out.writable().data() + at, size + 1 - at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return trouble(Code::unavailable, "cannot read " + path);
    if (got == 0) break;
    at += static_cast<std::size_t>(got);
  }
  if (at != size) {
    return Error{Code::configuration, path, std::to_string(size) + " bytes", at > size ? "more" : std::to_string(at)};
  }
  return crypto::Secret::copy_of(out.reveal().first(size));
}

base::Status make_key_file(const std::string& path, crypto::Random& random) {
  // Whole or not at all: a link of a complete file, which fails when somebody else was first.
  const std::string fresh = path + "." + base::hex(random.bytes<8>()) + ".new";
  const Descriptor file{::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (file.get() < 0) return trouble(Code::io, "cannot create " + fresh);
  const auto key = random.secret(kFileKeyBytes);
  const auto wrote = ::write(file.get(), key.reveal().data(), kFileKeyBytes);
  const bool good = wrote == static_cast<ssize_t>(kFileKeyBytes) && ::fsync(file.get()) == 0 &&
                    (::link(fresh.c_str(), path.c_str()) == 0 || errno == EEXIST);
  const auto why = trouble(Code::io, "cannot write " + path);
  ::unlink(fresh.c_str());
  if (!good) return why;
  const auto slash = path.rfind('/');
  const Descriptor folder{
      ::open(slash == std::string::npos ? "." : path.substr(0, slash + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) return trouble(Code::io, "cannot sync the folder of " + path);
  return base::done();
}

Result<crypto::Secret> read_key_file(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
  if (file.get() < 0) return trouble(Code::unavailable, "cannot open " + path);
  struct stat info{};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return Error{Code::configuration, path + " is no plain file"};
  }
  if ((info.st_mode & 077) != 0) {
    return Error{Code::configuration, "others may read " + path, "mode 0600", {}, "chmod 600 " + path};
  }
  return read_key(file.get(), path, kFileKeyBytes);
}

}  // namespace

std::unique_ptr<crypto::SealingDevice> keyed_sealing(std::string name, std::string bound_to, SealingKeySource source,
                                                     crypto::Random& random) {
  return std::make_unique<KeyedSealing>(std::move(name), std::move(bound_to), std::move(source), random);
}

SealingKeySource key_file_source(std::string path, crypto::Random& random) {
  return [path = std::move(path), &random, made = false]() mutable -> Result<crypto::Secret> {
    // Only before the first use: a key file that vanishes later is an outage, not a new key.
    if (!made && ::access(path.c_str(), F_OK) != 0 && errno == ENOENT) TRY_OK(make_key_file(path, random));
    made = true;
    return read_key_file(path);
  };
}

SealingKeySource sgx_source(SgxSealing which, std::string folder) {
  std::string path = std::move(folder) + (which == SgxSealing::mrenclave ? "/_sgx_mrenclave" : "/_sgx_mrsigner");
  return [path = std::move(path)]() -> Result<crypto::Secret> {
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (file.get() < 0) {
      auto out = trouble(Code::unavailable, "no sealing key of SGX in " + path);
      out.remedy = "Run it in Gramine with sgx.remote_attestation set, or choose another keystore.sealing.";
      return out;
    }
    return read_key(file.get(), path, kSgxKeyBytes);
  };
}

SealingKeySource snp_source(std::string device) {
  return [device = std::move(device)]() -> Result<crypto::Secret> {
    const Descriptor guest{::open(device.c_str(), O_RDWR | O_CLOEXEC)};
    if (guest.get() < 0) return trouble(Code::unavailable, "no SNP guest device " + device);
    // SEV-SNP firmware ABI, MSG_KEY_REQ: root key VCEK; fields guest policy (bit 0) and measurement (bit 3).
    constexpr std::uint64_t kPolicyAndMeasurement = (1U << 0) | (1U << 3);
    snp_derived_key_req request{};
    request.guest_field_select = kPolicyAndMeasurement;
    crypto::Secret response(sizeof(snp_derived_key_resp));
    snp_guest_request_ioctl call{};
    call.msg_version = 1;
    call.req_data = reinterpret_cast<std::uint64_t>(&request);
    call.resp_data = reinterpret_cast<std::uint64_t>(response.writable().data());
    if (::ioctl(guest.get(), SNP_GET_DERIVED_KEY, &call) != 0) {
      return trouble(Code::unavailable, "the SNP firmware gives no derived key");
    }
    // MSG_KEY_RSP: status u32, 28 bytes reserved, key.
    const auto bytes = response.reveal();
    if ((bytes[0] | bytes[1] | bytes[2] | bytes[3]) != 0) {
      return Error{Code::unavailable, "the SNP firmware refuses a derived key", "status 0", std::to_string(bytes[0])};
    }
    return crypto::Secret::copy_of(bytes.subspan(32, 32));
  };
}

SealingKeySource dstack_source(std::shared_ptr<net::HttpTransport> http, std::string socket,
                               std::chrono::milliseconds patience, const base::Clock& clock) {
  return [http = std::move(http), socket = std::move(socket), patience, &clock]() -> Result<crypto::Secret> {
    net::HttpRequest request{.method = net::Method::post,
                             .url = "http://dstack/GetKey",
                             .headers = {{"Content-Type", "application/json"}},
                             .body = R"({"path":"attestry/keystore","purpose":"sealing","algorithm":"secp256k1"})",
                             .deadline = clock.steady() + patience,
                             .max_bytes = 64 * 1024,
                             .unix_socket = socket};
    auto answer = http->send(request);
    if (!answer) {
      return Error{Code::unavailable,
                   "dstack's guest agent does not answer",
                   {},
                   answer.error().what,
                   "See whether " + socket + " is mounted into this container."};
    }
    if (answer->status != 200) {
      return Error{Code::unavailable, "dstack's guest agent gives no key", "status 200",
                   std::to_string(answer->status)};
    }
    TRY(const auto document, base::JsonDocument::parse(std::move(answer->body), {.wipe = true}),
        "answer of dstack's guest agent");
    TRY(const auto member, document->root().get("key"), "answer of dstack's guest agent");
    TRY(auto digits, member.string("key"));
    const auto wiped = crypto::Secret::absorb({reinterpret_cast<std::uint8_t*>(digits.data()), digits.size()});
    TRY(auto bytes, base::hex_decode(base::as_text(wiped.reveal())), "key of dstack's guest agent");
    auto out = crypto::Secret::absorb(bytes);
    if (out.size() != 32) {
      return Error{Code::unavailable, "key of dstack's guest agent", "32 bytes", std::to_string(out.size())};
    }
    return out;
  };
}

}  // namespace attestry::tee
