#include "app/keystore_standby_settings.h"

#include "app/validate.h"
#include "base/ids.h"
#include "net/address.h"
#include "net/peer.h"

namespace attestry::app {

using base::Code;
using base::Error;

namespace {

class Check {
 public:
  Check(const Settings& settings, std::vector<Error>& mistakes) : settings_(settings), mistakes_(mistakes) {}

  static std::string full(std::string_view name) {
    return name.empty() ? "keystore.standby" : "keystore.standby_" + std::string{name};
  }
  const std::string& text(std::string_view name) const { return settings_.text(full(name)); }
  void wrong(std::string_view name, std::string_view what, std::string expected, std::string found,
             std::string remedy = {}) {
    mistakes_.push_back(Error{Code::configuration, named(settings_, full(name)) + std::string{what},
                              std::move(expected), std::move(found), std::move(remedy)});
  }
  std::chrono::seconds seconds(std::string_view name, std::int64_t least, std::int64_t most) {
    const auto value = settings_.integer(full(name), least, most);
    if (value) return std::chrono::seconds(*value);
    mistakes_.push_back(value.error());
    return std::chrono::seconds(least);
  }
  bool boolean(std::string_view name) {
    const auto value = settings_.boolean(full(name));
    if (value) return *value;
    mistakes_.push_back(value.error());
    return false;
  }

 private:
  const Settings& settings_;
  std::vector<Error>& mistakes_;
};

/// What both servers of a pair need.
void check_pair(Check& check, const KeystoreStandbySettings& out) {
  if (out.listen.empty()) {
    check.wrong("listen", " is where the other keystore calls", "an address, as 0.0.0.0:9444", "none");
  } else if (!net::is_socket_address(out.listen)) {
    check.wrong("listen", "", "127.0.0.1:9444 or [::1]:0", out.listen,
                "Give a numeric IP address and a port; names are not resolved.");
  }
  if (out.peer.empty()) {
    if (out.role == "standby") check.wrong("peer", " is the keystore that this one follows", "HOST:PORT", "none");
  } else if (!net::is_peer_address(out.peer)) {
    check.wrong("peer", "", "HOST:PORT or [::1]:PORT", out.peer);
  }
  if (out.attestation == "none") {
    check.wrong("attestation", " shows the other keystore what this one is", "the address of a quote provider", "none");
  }
  if (const auto app = base::AppRef::parse(out.app); !app) {
    check.wrong("app", ": " + app.error().what, app.error().expected, out.app);
  }
}

}  // namespace

KeystoreStandbySettings read_keystore_standby_settings(const Settings& settings, std::vector<Error>& mistakes) {
  Check check{settings, mistakes};
  KeystoreStandbySettings out;
  out.role = check.text("");
  out.listen = check.text("listen");
  out.peer = check.text("peer");
  out.app = check.text("app");
  out.attestation = check.text("attestation");
  out.poll = check.seconds("poll_seconds", 1, 60);
  out.takeover = check.seconds("takeover_seconds", 0, 86'400);
  out.sync = check.boolean("sync");
  out.sync_patience = check.seconds("sync_seconds", 1, 60);
  out.session = check.seconds("session_seconds", 1, 300);
  if (out.role.empty()) {
    for (const auto* name : {"listen", "peer"}) {
      if (!check.text(name).empty()) {
        check.wrong(name, " is for one of two keystores", "keystore.standby = primary or standby", "none");
      }
    }
    return out;
  }
  if (out.role != "primary" && out.role != "standby") check.wrong("", "", "primary, standby or nothing", out.role);
  // Three questions may be lost, or be slow, before another one serves.
  if (out.takeover.count() != 0 && out.takeover < 3 * out.poll + std::chrono::seconds(2)) {
    check.wrong("takeover_seconds", " is too short for keystore.standby_poll_seconds",
                "0, or at least " + std::to_string(3 * out.poll.count() + 2), std::to_string(out.takeover.count()));
  }
  check_pair(check, out);
  return out;
}

}  // namespace attestry::app
