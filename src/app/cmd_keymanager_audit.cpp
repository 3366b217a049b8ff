// `attestry keymanager audit`: did everybody who got the master key prove what runs there?
#include <CLI/CLI.hpp>
#include <ostream>

#include "app/keymanager_audit.h"
#include "attestation/verdict.h"

namespace attestry::app {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  attestry keymanager audit ADDRESS --network sepolia --rpc URL --rpc OTHER --save folder\n"
    "  attestry keymanager audit --offline folder --format json\n"
    "Exit codes: 0 every step that gave somebody the key rests on evidence that holds, 1 one does not, 2 wrong use,\n"
    "3 undecided (evidence or collateral is missing, or the chain cannot be reached).";

}  // namespace

void add_keymanager_audit(CLI::App& group, Context& context) {
  auto options = std::make_shared<AuditOptions>();
  auto* command = group.add_subcommand("audit", "Verify again how every member came to the master key");
  command->footer(kFooter);
  command->add_option("CONTRACT", options->chain.contract,
                      "address of the contract; with --offline it may be left out");
  add_keymanager_chain(*command, *options);
  command->add_option("--from", options->from, "block in which the contract was deployed, or one before")
      ->capture_default_str();
  command->add_option("--beacon", options->beacons, "consensus node, for evidence in blobs; again for each further one")
      ->type_name("URL")
      ->allow_extra_args(false);
  command->add_option("--save", options->save, "keep history, evidence and collateral in this folder")
      ->type_name("FOLDER");
  command->add_option("--offline", options->offline, "audit what was saved, without any network")->type_name("FOLDER");
  command
      ->add_option("--collateral", options->verify.collateral,
                   "file or folder as for attestry verify; may be given again")
      ->type_name("FILE|FOLDER")
      ->allow_extra_args(false);
  command->add_option("--at", options->verify.at, "judge evidence as of this time (default: now, or when it was saved)")
      ->type_name("TIME");
  command
      ->add_option("--trust", options->verify.trust,
                   "certificate of a test root that replaces the vendors' roots; the verdicts then are simulated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command->add_option("--policy", options->verify.policy, "genuine, default, strict or a policy file")
      ->type_name("NAME|FILE")
      ->capture_default_str();
  command->add_option("--pcs", options->verify.pcs, "Intel's service or a PCCS for collateral that is not given")
      ->type_name("URL");
  command->add_option("--pcs-ca", options->verify.pcs_ca, "CA certificate of that service")->type_name("FILE");
  command
      ->add_option("--code-sha256", options->codes,
                   "the contract's code may also be this one; again for each further one")
      ->type_name("HEX")
      ->allow_extra_args(false);
  command->add_flag("--mrtd-suffices", options->rules.mrtd_suffices,
                    "a listed firmware says enough, whatever it boots: as members with keymanager.mrtd_suffices");
  command->add_flag("--machine-suffices", options->rules.machine_suffices,
                    "a listed machine says enough, whatever kernel it boots: as with keymanager.machine_suffices");
  command->add_flag("--ignore-unanswered", options->ignore_unanswered,
                    "requests that nobody answered on the chain do not count: no member answered them off it either");
  command->callback([options, &context] {
    finish(context, [&]() -> base::Result<int> {
      if (options->offline.empty() && options->chain.contract.empty()) {
        return base::Error{base::Code::usage, "which contract?", "its address, or --offline FOLDER"};
      }
      TRY(const AuditResult result, audit_keymanager(context, *options));
      context.out << (options->chain.format == "json" ? audit_json(result) : audit_text(result));
      return exit_code_of(attestation::to_text(result.outcome));
    });
  });
}

}  // namespace attestry::app
