// `attestry registry disk-key`: the passphrase of a workload's disk, from its app key, for opening it elsewhere.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>

#include "app/cli.h"
#include "app/registry_commands.h"
#include "base/encoding.h"
#include "crypto/key_pem.h"
#include "keys/registry_kdf.h"

namespace attestry::app {
namespace {

using base::Bytes;
using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kMaxFile = 64u << 10;
constexpr std::size_t kLabel = 8;

struct DiskOptions {
  std::string key;
  std::string dialect = "g1";
  std::string label;
  std::string request;
  bool raw = false;
};

/// Byte for byte as it was delivered: the text itself is what keys are derived from.
Result<crypto::Secret> app_key_pem(Context& context, const std::string& path) {
  TRY(Bytes pem, read_input(context, path, kMaxFile), "--app-key");
  const auto key = crypto::ec_private_key_from_pem(pem);
  auto out = crypto::Secret::absorb(pem);
  if (key) return out;
  return Error{Code::usage, "--app-key: no private key of an app", "the PEM file that the registry gave", path};
}

Result<crypto::Secret> second_key(const DiskOptions& options, const crypto::Secret& pem) {
  TRY(const auto label, base::hex_decode(options.label), "--label");
  if (label.size() == kLabel) return keys::registry_disk_key(pem, label);
  return Error{Code::usage, "--label", "16 hex digits, which --dialect g1 needs", options.label};
}

Result<crypto::Secret> first_key(Context& context, const DiskOptions& options, const crypto::Secret& pem) {
  if (options.request.empty()) {
    return Error{Code::usage, "--dialect g0 derives from the request", "--csr FILE, as the instance sent it", ""};
  }
  TRY(const Bytes request, read_input(context, options.request, kMaxFile), "--csr");
  if (!base::as_text(request).starts_with("-----BEGIN ")) {
    return Error{Code::usage, "--csr: " + options.request, "the PEM text, byte for byte", "something else"};
  }
  return keys::registry_first_disk_key(pem, request);
}

Result<int> disk_key(Context& context, const DiskOptions& options) {
  TRY(const auto pem, app_key_pem(context, options.key));
  const bool first = options.dialect == "g0";
  TRY(const auto key, first ? first_key(context, options, pem) : second_key(options, pem));
  if (options.raw) {
    context.out << base::as_text(key.reveal());
    return kExitOk;
  }
  context.out << (first ? base::hex(key.reveal()) : std::string{base::as_text(key.reveal())}) << "\n";
  const auto counting = keys::first_passphrase_bytes(key);
  if (first && counting < key.size()) {
    context.err << "  passphrase      the first " << counting << " of " << key.size()
                << " bytes: a newline ended it when the disk was made.\n"
                   "  to open it      give all bytes on standard input: ... --raw | cryptsetup open DEVICE NAME,\n"
                   "                  without --key-file; then add another key: cryptsetup luksAddKey\n";
  }
  return kExitOk;
}

}  // namespace

void add_registry_disk_key(CLI::App& group, Context& context) {
  auto options = std::make_shared<DiskOptions>();
  auto* command = group.add_subcommand("disk-key", "The key of a workload's encrypted disk, from the app's key");
  command->add_option("--app-key", options->key, "PEM file as the registry gave it, or -")
      ->type_name("FILE")
      ->required();
  command->add_option("--dialect", options->dialect, "g1 (and g2), or g0: of the first instances")
      ->check(CLI::IsMember({"g0", "g1"}))
      ->capture_default_str();
  command->add_option("--label", options->label, "of g1: the disk's label, 16 hex digits")->type_name("HEX");
  command->add_option("--csr", options->request, "of g0: the instance's request as it was sent, PEM")
      ->type_name("FILE");
  command->add_flag("--raw", options->raw, "the bytes alone, for cryptsetup's standard input");
  command->callback([options, &context] { finish(context, [&] { return disk_key(context, *options); }); });
}

}  // namespace attestry::app
