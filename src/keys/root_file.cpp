#include "keys/root_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/reader.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

namespace attestry::keys {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kSealedKeys = 5 * kKeyBytes;
// RFC 7914 section 2 calls 2^14 interactive; this file is opened once per start, so it takes 2^16 (64 MiB, about 0.2
// s).
constexpr std::uint64_t kScryptN = 1u << 16;
constexpr std::uint32_t kScryptR = 8;
constexpr std::size_t kMaxUnlockBytes = 64 * 1024;
constexpr std::size_t kMaxFileBytes = 64 * 1024;

Error system_error(Code code, std::string what) { return Error{code, std::move(what), {}, std::strerror(errno)}; }

class Fd {
 public:
  explicit Fd(int fd, bool owned = true) noexcept : fd_(fd), owned_(owned) {}
  ~Fd() {
    if (owned_ && fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const noexcept { return fd_; }

 private:
  int fd_;
  bool owned_;
};

Result<crypto::Secret> read_all(int fd, std::size_t limit, const std::string& name) {
  crypto::Secret buffer{limit + 1};
  std::size_t used = 0;
  while (used <= limit) {
    const ssize_t n = ::read(fd, buffer.writable().data() + used, limit + 1 - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(Code::io, "cannot read " + name);
    if (n == 0) break;
    used += static_cast<std::size_t>(n);
  }
  if (used > limit)
    return Error{Code::too_large, name + " is too large", "at most " + std::to_string(limit) + " bytes"};
  return crypto::Secret::copy_of(buffer.reveal().first(used));
}

/// Opens a file that must belong to its owner alone: a secret that others can read is no secret.
/// `allowed` are mode bits of others that are harmless here.
Result<int> open_private(const std::string& path, ::mode_t allowed = 0) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return system_error(errno == ENOENT ? Code::not_found : Code::io, "cannot open " + path);
  struct stat info{};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return Error{Code::io, path + " is not a regular file"};
  }
  if ((info.st_mode & 077 & ~allowed) != 0) {
    ::close(fd);
    std::array<char, 8> octal{};
    std::to_chars(octal.data(), octal.data() + octal.size(), static_cast<unsigned>(info.st_mode & 0777), 8);
    return Error{Code::configuration, path + " can be read or written by others", "mode 0600", octal.data(),
                 "Run chmod 600 " + path};
  }
  return fd;
}

/// The key that wraps the payload. The header (salt included) is the AEAD's associated data, so it cannot be exchanged.
Result<crypto::Secret> wrapping_key(const Unlock& unlock, base::ByteView salt) {
  if (unlock.kind == Unlock::Kind::passphrase) {
    return crypto::scrypt(unlock.secret.reveal(), salt, kScryptN, kScryptR, 1, kKeyBytes);
  }
  if (unlock.secret.size() < kKeyBytes) {
    return Error{Code::configuration, "the key file is too short", "at least 32 bytes of randomness",
                 std::to_string(unlock.secret.size()) + " bytes", "Make one: head -c 32 /dev/urandom > FILE"};
  }
  return crypto::hkdf_sha256(salt, unlock.secret.reveal(), base::as_bytes("attestry/root-file/1"), kKeyBytes);
}

std::string_view kind_text(Unlock::Kind kind) { return kind == Unlock::Kind::passphrase ? "scrypt" : "key-file"; }

/// RFC 8785 of everything but the sealed bytes.
std::string header_text(base::Realm realm, const std::string& origin, Unlock::Kind kind, base::ByteView salt,
                        base::ByteView nonce) {
  return base::JsonOut{base::JsonOutObject{{"format", 1},
                                           {"kind", kind_text(kind)},
                                           {"nonce", base::base64url(nonce)},
                                           {"origin", origin},
                                           {"realm", base::to_text(realm)},
                                           {"salt", base::base64url(salt)}}}
      .canonical();
}

Status sync_parent(const std::string& path) {
  auto folder = std::filesystem::path{path}.parent_path();
  if (folder.empty()) folder = ".";
  const Fd fd{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return system_error(Code::io, "cannot sync folder " + folder.string());
  return base::done();
}

Status write_all(int fd, std::string_view text, const std::string& path) {
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t n = ::write(fd, text.data() + written, text.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return system_error(Code::io, "cannot write " + path);
    written += static_cast<std::size_t>(n);
  }
  if (::fsync(fd) != 0) return system_error(Code::io, "cannot sync " + path);
  return base::done();
}

/// The name appears only when the whole file is on the disk: half a root file after a crash would look like a lost one.
/// link(2) refuses a name that is there, so nothing is ever overwritten.
Status write_new_file(const std::string& path, std::string_view text, const std::string& unique) {
  const std::string draft = path + ".new-" + unique;
  const Fd fd{::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (fd.get() < 0) return system_error(Code::io, "cannot create " + draft);
  Status status = write_all(fd.get(), text, draft);
  if (status && ::link(draft.c_str(), path.c_str()) != 0) {
    status = system_error(errno == EEXIST ? Code::conflict : Code::io, "cannot create " + path);
  }
  ::unlink(draft.c_str());
  TRY_OK(status);
  return sync_parent(path);
}

ServiceKeys split_keys(base::ByteView payload) {
  const auto part = [&](std::size_t i) { return crypto::Secret::copy_of(payload.subspan(i * kKeyBytes, kKeyBytes)); };
  return ServiceKeys{
      .root = part(0), .challenge_mac = part(1), .log_seed = part(2), .token_seed = part(3), .sealing = part(4)};
}

struct Header {
  base::Realm realm;
  std::string origin;
  Unlock::Kind kind;
  base::Bytes salt;
  base::Bytes nonce;
  base::Bytes sealed;
};

Result<Header> parse_file(std::string text) {
  TRY(const auto doc, base::JsonDocument::parse(std::move(text)));
  const auto root = doc->root();
  TRY_OK(root.only({"format", "kind", "nonce", "origin", "realm", "salt", "sealed"}));
  TRY(const auto format, root.get("format"));
  TRY([[maybe_unused]] const auto version, format.integer("format", 1, 1));
  const auto text_of = [&](std::string_view key) -> Result<std::string> {
    TRY(const auto value, root.get(key));
    return value.string(key);
  };
  TRY(const auto realm_name, text_of("realm"));
  TRY(const auto realm, base::realm_from(realm_name));
  TRY(auto origin, text_of("origin"));
  TRY(const auto kind_name, text_of("kind"));
  if (kind_name != "scrypt" && kind_name != "key-file")
    return Error{Code::malformed, "kind", "scrypt or key-file", kind_name};
  TRY(const auto salt_text, text_of("salt"));
  TRY(auto salt, base::base64url_decode(salt_text), "salt");
  TRY(const auto nonce_text, text_of("nonce"));
  TRY(auto nonce, base::base64url_decode(nonce_text), "nonce");
  TRY(const auto sealed_text, text_of("sealed"));
  TRY(auto sealed, base::base64url_decode(sealed_text), "sealed");
  return Header{
      realm,           std::move(origin), kind_name == "scrypt" ? Unlock::Kind::passphrase : Unlock::Kind::key_file,
      std::move(salt), std::move(nonce),  std::move(sealed)};
}

}  // namespace

Result<crypto::Secret> read_private_file(const std::string& path, std::size_t most) {
  TRY(const int file, open_private(path));
  const Fd fd(file);
  return read_all(fd.get(), most, path);
}

Result<Unlock> read_unlock(Unlock::Kind kind, std::string_view source) {
  const std::size_t colon = source.find(':');
  const std::string_view scheme = source.substr(0, colon);
  const std::string rest{colon == std::string_view::npos ? std::string_view{} : source.substr(colon + 1)};
  if (rest.empty() || (scheme != "file" && scheme != "fd" && scheme != "credential")) {
    return Error{Code::configuration, "where to read the unlock secret", "file:PATH, fd:N or credential:NAME",
                 std::string{source}};
  }
  int fd = -1;
  if (scheme == "fd") {
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), fd);
    if (error != std::errc{} || end != rest.data() + rest.size() || fd < 0) {
      return Error{Code::configuration, "descriptor", "a number such as fd:3", std::string{source}};
    }
  } else {
    std::string path = rest;
    if (scheme == "credential") {
      const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
      if (folder == nullptr || rest.find('/') != std::string::npos) {
        return Error{Code::configuration, "systemd credential", "$CREDENTIALS_DIRECTORY and a plain name",
                     std::string{source}, "Add LoadCredential= to the unit"};
      }
      path = std::string{folder} + "/" + rest;
    }
    // systemd gives credentials mode 0400 and lets the unit's user in by an access control list, whose mask shows as
    // the group's read bit.
    TRY(fd, open_private(path, scheme == "credential" ? S_IRGRP : 0));
  }
  const Fd owner{fd};
  TRY(crypto::Secret secret, read_all(fd, kMaxUnlockBytes, std::string{source}));
  if (kind == Unlock::Kind::passphrase) {
    // Editors and echo leave a newline that nobody means to be part of a passphrase.
    auto view = secret.reveal();
    while (!view.empty() && (view.back() == '\n' || view.back() == '\r')) view = view.first(view.size() - 1);
    secret = crypto::Secret::copy_of(view);
  }
  if (secret.empty()) return Error{Code::configuration, "the unlock secret is empty", {}, std::string{source}};
  return Unlock{kind, std::move(secret)};
}

Result<RootFile> create_root_file(const std::string& path, base::Realm realm, std::string origin, const Unlock& unlock,
                                  crypto::Random& random) {
  const auto salt = random.bytes<32>();
  const auto nonce = random.bytes<12>();
  crypto::Secret payload = random.secret(kSealedKeys);
  const std::string header = header_text(realm, origin, unlock.kind, salt, nonce);
  TRY(const auto key, wrapping_key(unlock, salt));
  TRY(const auto sealed, crypto::aes256gcm_seal(key.reveal(), nonce, payload.reveal(), base::as_bytes(header)));
  const std::string text = base::JsonOut{base::JsonOutObject{{"format", 1},
                                                             {"kind", kind_text(unlock.kind)},
                                                             {"nonce", base::base64url(nonce)},
                                                             {"origin", origin},
                                                             {"realm", base::to_text(realm)},
                                                             {"salt", base::base64url(salt)},
                                                             {"sealed", base::base64url(sealed)}}}
                               .pretty() +
                           "\n";
  TRY_OK(write_new_file(path, text, base::hex(random.bytes<8>())), "root file");
  return RootFile{realm, std::move(origin), split_keys(payload.reveal())};
}

Result<RootFile> open_root_file(const std::string& path, base::Realm realm, const Unlock& unlock) {
  TRY(const int fd, open_private(path), "root file");
  const Fd owner{fd};
  TRY(const auto bytes, read_all(fd, kMaxFileBytes, path), "root file");
  auto header = parse_file(std::string{base::as_text(bytes.reveal())});
  if (!header) {
    return Error{Code::corrupt, path + ": " + header.error().what, header.error().expected, header.error().found,
                 "Restore the root file from your backup; without it no app key can be derived again."};
  }
  if (header->realm != realm) {
    return Error{Code::realm_mismatch, path + " belongs to another realm", std::string{base::to_text(realm)},
                 std::string{base::to_text(header->realm)}};
  }
  if (header->kind != unlock.kind) {
    return Error{Code::wrong_key, path + " is wrapped another way", std::string{kind_text(header->kind)},
                 std::string{kind_text(unlock.kind)}};
  }
  TRY(const auto key, wrapping_key(unlock, header->salt));
  const std::string aad = header_text(header->realm, header->origin, header->kind, header->salt, header->nonce);
  auto payload = crypto::aes256gcm_open(key.reveal(), header->nonce, header->sealed, base::as_bytes(aad));
  if (!payload || payload->size() != kSealedKeys) {
    return Error{Code::wrong_key, path + " does not open with this " +
                                      (unlock.kind == Unlock::Kind::passphrase ? "passphrase" : "key file")};
  }
  return RootFile{header->realm, std::move(header->origin), split_keys(payload->reveal())};
}

}  // namespace attestry::keys
