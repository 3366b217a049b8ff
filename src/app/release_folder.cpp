#include "app/release_folder.h"

#include <filesystem>
#include <map>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Status;

namespace {

constexpr std::size_t kDigestBytes = 16;

using Files = std::map<std::string, base::ByteView>;

Status add(Files& files, std::string name, base::ByteView bytes) {
  const auto [at, fresh] = files.emplace(std::move(name), bytes);
  if (fresh) return base::done();
  return Error{Code::malformed,
               "two things of the release would be the same file",
               {},
               at->first,
               "Give the secret another name, or ask the server for each key once."};
}

Status make_folder(const std::string& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return Error{Code::io, "cannot create " + folder, {}, failed.message()};
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, failed);
  if (failed) return Error{Code::io, "cannot close " + folder + " to others", {}, failed.message()};
  return base::done();
}

}  // namespace

std::string key_file_name(std::string_view purpose, std::string_view algorithm, std::string_view path) {
  std::string name{purpose};
  name.append(".").append(algorithm);
  const bool plain = path.empty() && purpose.find('.') == std::string_view::npos &&
                     algorithm.find('.') == std::string_view::npos && purpose != "secret";
  if (!plain) {
    base::LpWriter whole;
    whole.lp(purpose).lp(algorithm).lp(path);
    const auto digest = crypto::sha256(whole.bytes());
    name.append(".").append(base::hex(base::ByteView{digest}.first(kDigestBytes)));
  }
  return name + ".key";
}

std::string former_key_file_name(const client::FormerKey& former) {
  const auto& key = former.key;
  return "epoch-" + std::to_string(former.epoch) + "." + key_file_name(key.purpose, key.algorithm, key.path);
}

Status write_release(const std::string& folder, const client::Registered& registered) {
  const auto& release = registered.release;
  auto pem = base::pem_encode("PRIVATE KEY", registered.signing_key_pkcs8.reveal());
  const auto key_pem = crypto::Secret::absorb({reinterpret_cast<std::uint8_t*>(pem.data()), pem.size()});
  Files files;
  TRY_OK(add(files, "certificate.pem", base::as_bytes(release.certificate_chain_pem)));
  TRY_OK(add(files, "key.pem", key_pem.reveal()));
  TRY_OK(add(files, "configuration", release.configuration.reveal()));
  TRY_OK(add(files, "receipt", base::as_bytes(registered.receipt_text)));
  for (const auto& key : release.keys)
    TRY_OK(add(files, key_file_name(key.purpose, key.algorithm, key.path), key.private_key.reveal()));
  for (const auto& former : release.former_keys)
    TRY_OK(add(files, former_key_file_name(former), former.key.private_key.reveal()));
  for (const auto& [name, value] : release.secrets) TRY_OK(add(files, "secret." + name, value.reveal()));
  TRY_OK(make_folder(folder));
  for (const auto& [name, bytes] : files)
    TRY_OK(state::replace_file(state::system_files(), folder + "/" + name, bytes));
  return base::done();
}

}  // namespace attestry::app
