// The guided ceremony: makes the admins' keys and their file, has a server make and split its master key, gives every
// admin his share, proves that the shares are good, and brings the key back after a restart. It looks at what is there
// before each step, so running it again goes on where it stopped.
#pragma once
#include <string>

#include "app/admin_client.h"
#include "app/cli.h"
#include "base/result.h"
#include "crypto/ec.h"

namespace attestry::app {

struct CeremonyOptions {
  std::string folder = "ceremony";
  unsigned admins = 3;
  unsigned threshold = 2;
  crypto::Curve curve = crypto::Curve::p256;  ///< of keys that are made here
  bool yes = false;                           ///< take every default instead of asking
  bool dry_run = false;                       ///< only look at shares and commitments in the folder; no server
};

/// Exit code: 0 done, 3 somebody else has to do something first, which it prints.
base::Result<int> run_ceremony(Context& context, const CeremonyOptions& options, const AdminServer& server);

}  // namespace attestry::app
