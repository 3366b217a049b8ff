// `attestry audit`: proves the log and single receipts, offline, and exports the log.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <ostream>

#include "app/cli.h"
#include "app/paths.h"
#include "audit/receipt.h"
#include "audit/verify.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "client/trust.h"

namespace attestry::app {
namespace {

constexpr std::size_t kMaxText = std::size_t{4} << 30;

struct AuditOptions {
  std::string store;
  std::string checkpoint;
  std::string exported;
  std::vector<std::string> receipts;
  std::string trust;
  std::string format = "text";
};

base::Result<client::Trust> read_trust(Context& context, const AuditOptions& options) {
  TRY(const auto bytes, read_input(context, options.trust, 1u << 20), "--trust");
  return client::Trust::parse(base::as_text(bytes));
}

base::Result<std::string> read_text(Context& context, const std::string& path, std::string_view flag) {
  TRY(const auto bytes, read_input(context, path, kMaxText), flag);
  return std::string{base::as_text(bytes)};
}

base::Result<std::unique_ptr<state::Store>> open_store(const AuditOptions& options) {
  TRY(const bool have, present(options.store));
  if (have && ::access(options.store.c_str(), R_OK) != 0) {
    return base::Error{base::Code::io,
                       "cannot read the store " + options.store,
                       {},
                       std::generic_category().message(errno),
                       "Run this as the user of the server, or as root."};
  }
  // Realm is a property of the store; a reader takes whichever it is.
  auto store =
      state::Store::open({.path = options.store, .realm = base::Realm::production, .create = false, .read_only = true});
  if (!store && store.error().code == base::Code::realm_mismatch) {
    store = state::Store::open(
        {.path = options.store, .realm = base::Realm::simulated, .create = false, .read_only = true});
  }
  return store;
}

void print_report(Context& context, const AuditOptions& options, const audit::LogReport& report, std::size_t receipts) {
  if (options.format == "json") {
    context.out << base::JsonOut{base::JsonOutObject{{"verified", true},
                                                     {"leaves", report.leaves},
                                                     {"unpublished", report.unpublished},
                                                     {"size", report.head.size},
                                                     {"root", base::hex(report.head.root)},
                                                     {"witnessed", report.witnessed},
                                                     {"receipts", receipts}}}
                       .compact()
                << "\n";
    return;
  }
  context.out << "the log is whole: " << report.head.size << " leaves under a checkpoint of the trusted key\n"
              << "  root            " << base::hex(report.head.root) << "\n"
              << "  witnessed       " << (report.witnessed ? "yes" : "no") << "\n";
  if (report.unpublished != 0)
    context.out << "  not yet signed  " << report.unpublished << " leaves (no reply rests on them)\n";
  if (receipts != 0) context.out << "  receipts        " << receipts << " verified, all in this log\n";
}

base::Result<int> verify(Context& context, const AuditOptions& options) {
  TRY(const auto trust, read_trust(context, options));
  std::vector<audit::TreeHead> known;
  for (const auto& path : options.receipts) {
    TRY(const auto text, read_text(context, path, "--receipt"));
    TRY(const auto receipt, audit::verify_receipt(text, trust.log), path);
    known.push_back(receipt.head);
    if (options.store.empty() && options.exported.empty()) {
      context.out << path << ": leaf " << receipt.index << " of " << receipt.head.size << ", " << receipt.leaf.type
                  << " for " << receipt.leaf.tenant.text() << "/" << receipt.leaf.app << " at "
                  << base::to_rfc3339(receipt.leaf.time) << (receipt.witnessed ? ", witnessed" : ", not witnessed")
                  << "\n";
    }
  }
  if (options.store.empty() && options.exported.empty()) {
    if (options.receipts.empty())
      return base::Error{
          base::Code::usage, "nothing to verify", "--store and --checkpoint, --export, or --receipt", {}};
    return kExitOk;
  }
  if (!options.exported.empty()) {
    TRY(const auto text, read_text(context, options.exported, "--export"));
    TRY(const auto report, audit::verify_export(text, trust.log, known));
    print_report(context, options, report, options.receipts.size());
    return kExitOk;
  }
  TRY(const auto store, open_store(options), "--store");
  TRY(const auto checkpoint, read_text(context, options.checkpoint, "--checkpoint"));
  TRY(const auto view, store->read());
  TRY(const auto report, audit::verify_log(*view, checkpoint, trust.log, known));
  print_report(context, options, report, options.receipts.size());
  return kExitOk;
}

base::Result<int> export_command(Context& context, const AuditOptions& options) {
  TRY(const auto store, open_store(options), "--store");
  TRY(const auto checkpoint, read_text(context, options.checkpoint, "--checkpoint"));
  TRY(const auto view, store->read());
  TRY_OK(audit::export_log(*view, checkpoint, [&](std::string_view text) -> base::Status {
    context.out << text;
    if (!context.out) return base::Error{base::Code::io, "cannot write the export"};
    return base::done();
  }));
  return kExitOk;
}

}  // namespace

void add_audit(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("audit", "Prove the log of releases, offline");
  group->require_subcommand(1);
  auto options = std::make_shared<AuditOptions>();
  auto* verify_command =
      group->add_subcommand("verify", "Hash every leaf again and compare with the signed checkpoint; check receipts");
  verify_command->add_option("--store", options->store, "store.db (may be in use)");
  verify_command->add_option("--checkpoint", options->checkpoint, "signed checkpoint file")->needs("--store");
  verify_command->add_option("--export", options->exported, "an export instead of a store");
  verify_command->add_option("--receipt", options->receipts, "receipt files that must be in this log");
  verify_command->add_option("--trust", options->trust, "trust settings: origin and log keys")->required();
  verify_command->add_option("--format", options->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  verify_command->callback([options, &context] { finish(context, [&] { return verify(context, *options); }); });
  auto* export_it = group->add_subcommand("export", "Write all leaves and the checkpoint to standard output");
  export_it->add_option("--store", options->store, "store.db")->required();
  export_it->add_option("--checkpoint", options->checkpoint, "signed checkpoint file")->required();
  export_it->callback([options, &context] { finish(context, [&] { return export_command(context, *options); }); });
}

}  // namespace attestry::app
