// What the commands of `attestry collateral` share. Private to them.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "app/cli.h"
#include "app/operator.h"
#include "app/verify_inputs.h"
#include "collateral/shelf.h"

namespace attestry::app {

/// Flags of all of them; each command offers those that mean something to it.
struct CollateralOptions {
  OperatorOptions connection;
  std::vector<std::string> names;  ///< files, or beginnings of artefacts' names
  std::string folder;              ///< work on this one instead of a server
  std::string out;
  std::vector<std::string> trust;
  std::vector<std::string> issuers;
  std::vector<std::string> signers;
  std::string at;
  // fetch
  std::vector<std::string> artefacts;
  std::string fmspc;
  std::string tee = "tdx";
  std::string ca = "platform";
  std::string product;
  std::string hwid;
  std::string tcb;
  bool refresh = false;
  std::int64_t wait_seconds = 600;
  std::optional<std::string> pcs;
  std::optional<std::string> kds;
  std::string vendor_ca;
  // forecast
  std::int64_t days = 30;
  VerifyInputs evidence;  ///< as `attestry verify` takes them
};

/// What whoever runs the command names (--trust, --issuer) decides about the realm, never what a bundle names.
base::Realm realm_of(const CollateralOptions& options);

/// What became of one artefact.
struct Outcome {
  std::string artefact;
  std::string outcome;  ///< "added", "replaced", "same", "older", "refused", "fetched", "failed"
  std::string reason{};
};
/// One line each, or JSON under the name `list`; 1 when one of them was refused or failed.
int print_outcomes(Context& context, const CollateralOptions& options, std::string_view list,
                   const std::vector<Outcome>& outcomes);

/// Whether the artefact's name begins with one of these parts; none: every artefact.
bool is_chosen(const attestation::Artefact& artefact, const std::vector<std::string>& beginnings);

/// Judges `from` under the flags' roots and puts it into that folder.
base::Result<std::vector<Outcome>> put_in_folder(Context& context, const CollateralOptions& options,
                                                 const std::string& folder, const collateral::Shelf& from);

base::Result<int> collateral_fetch(Context& context, const CollateralOptions& options);
base::Result<int> collateral_forecast(Context& context, const CollateralOptions& options);

}  // namespace attestry::app
