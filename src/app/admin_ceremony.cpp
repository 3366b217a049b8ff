#include "app/admin_ceremony.h"

#include <algorithm>
#include <filesystem>
#include <istream>
#include <ostream>
#include <vector>

#include "app/paths.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "crypto/random.h"
#include "curves/shamir.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMaxCombinations = 2000;
constexpr unsigned kSteps = 6;

/// One seat at the table: its files, and its key when the admin's private key is here.
struct Seat {
  std::string name;
  AdminFiles files;
  std::string id;
  std::optional<AdminIdentity> here;
};

class Ceremony {
 public:
  Ceremony(Context& context, const CeremonyOptions& options, const AdminServer& server)
      : context_(context), options_(options), server_(server) {}

  Result<int> run();

 private:
  Result<int> dry_run();
  Status make_folders();
  Status make_keys();
  Status write_admins();
  Status find_server();
  Status generate();
  Result<bool> distribute();
  Status take_share(Seat& seat, const keys::ShareSet& set);
  Status verify(const keys::ShareSet& set);
  Status recombine(const keys::ShareSet& set, const std::vector<crypto::Secret>& shares);
  Status keep_commitments(const keys::ShareSet& set);
  Result<int> recover();
  Result<int> bring_shares();

  void title(unsigned step, const char* text) {
    context_.out << "\nStep " << step << " of " << kSteps << ": " << text << "\n";
  }
  void say(const std::string& text) { context_.out << "  " << text << "\n"; }
  /// Enter and y are yes. The end of the input is an error, so that nothing goes on by itself.
  Result<bool> agree(const std::string& question);
  std::string command(const std::string& what, const Seat& seat) const;
  std::string admins_file() const { return options_.folder + "/shamir-admins.json"; }
  std::string commitments_file() const { return options_.folder + "/shamir-commitments.json"; }
  const Seat* present() const;

  Context& context_;
  const CeremonyOptions& options_;
  const AdminServer& server_;
  std::vector<Seat> seats_;
};

Result<bool> Ceremony::agree(const std::string& question) {
  context_.out << "  " << question << " [Y/n] ";
  if (options_.yes) {
    context_.out << "y\n";
    return true;
  }
  context_.out.flush();
  std::string line;
  if (!std::getline(context_.in, line)) {
    context_.out << "\n";
    return Error{Code::usage,
                 "the answers ended before the ceremony",
                 {},
                 {},
                 "Run the command again: it goes on where it stopped. --yes takes every default."};
  }
  return line.empty() || line[0] == 'y' || line[0] == 'Y';
}

std::string Ceremony::command(const std::string& what, const Seat& seat) const {
  return "attestry admin " + what + " --provisioning-server-addr " + server_.url() + " --admin-privkey-file " +
         seat.files.private_key + " --admin-pubkey-file " + seat.files.public_key + " --shamir-share-file " +
         seat.files.share;
}

const Seat* Ceremony::present() const {
  for (const auto& seat : seats_) {
    if (seat.here) return &seat;
  }
  return nullptr;
}

Status Ceremony::make_folders() {
  for (unsigned i = 1; i <= options_.admins; ++i) {
    Seat seat;
    seat.name = "admin-" + std::to_string(i);
    const std::string folder = options_.folder + "/" + seat.name;
    std::error_code failed;
    std::filesystem::create_directories(folder, failed);
    if (!failed) std::filesystem::permissions(folder, std::filesystem::perms::owner_all, failed);
    if (failed) return Error{Code::io, "cannot make the folder " + folder, {}, failed.message()};
    seat.files = {.private_key = folder + "/admin-private.pem",
                  .public_key = folder + "/admin-public.pem",
                  .admins = admins_file(),
                  .share = folder + "/shamir-share.json"};
    seats_.push_back(std::move(seat));
  }
  return base::done();
}

Status Ceremony::make_keys() {
  title(1, "the admins' keys");
  for (auto& seat : seats_) {
    TRY(const bool has_public, app::present(seat.files.public_key));
    TRY(const bool has_private, app::present(seat.files.private_key));
    if (!has_public) {
      TRY(const bool make,
          agree(seat.name + " has no key. Make one here? (No: put his public key at " + seat.files.public_key + ")"));
      if (!make) {
        return Error{Code::not_found,
                     "the public key of " + seat.name + " is not there",
                     seat.files.public_key,
                     {},
                     "Let him run `attestry admin generate-admin`, copy admin-public.pem there, and go on."};
      }
      TRY_OK(make_admin_keys(seat.files, options_.curve, crypto::system_random()), seat.name);
    }
    if (!has_public || has_private) {
      TRY(seat.here, read_admin(seat.files), seat.name);
      seat.id = seat.here->id;
    }
    say(seat.name + (seat.here ? "  key is here" : "  public key only: he keeps the private one"));
  }
  return base::done();
}

Status Ceremony::write_admins() {
  title(2, "the file of admins");
  std::vector<std::string> files, names;
  for (const auto& seat : seats_) {
    files.push_back(seat.files.public_key);
    names.push_back(seat.name);
  }
  TRY(const auto json, admins_json(files, names));
  TRY_OK(write_once(admins_file(), json), "the admins have changed since the file was written");
  TRY(const auto set, keys::AdminSet::parse(base::as_bytes(json)));
  for (std::size_t i = 0; i < seats_.size(); ++i) seats_[i].id = set.admins()[i].id;
  say(admins_file() + " names " + std::to_string(seats_.size()) + " admins; any " + std::to_string(options_.threshold) +
      " of them will be enough.");
  return base::done();
}

Status Ceremony::find_server() {
  title(3, "the server");
  for (;;) {
    const auto status = server_.status();
    if (status) {
      say(server_.url() + " answers; its state is " + status->state + ".");
      return base::done();
    }
    say("No server answers at " + server_.url() + ": " + status.error().what);
    say("Start it with the settings");
    say("  registry.kms = shamir");
    say("  registry.admins = " + std::filesystem::absolute(admins_file()).string());
    say("  registry.threshold = " + std::to_string(options_.threshold));
    if (options_.yes) return status.error();
    TRY(const bool again, agree("Does it run now?"));
    if (!again) return status.error();
  }
}

Status Ceremony::generate() {
  title(4, "the master key");
  TRY(const auto known, server_.commitments());
  if (known.set) {
    say("The key was made and split before; nothing is made anew.");
    return base::done();
  }
  const Seat* seat = present();
  if (seat == nullptr)
    return Error{Code::not_found,
                 "no admin's private key is here",
                 {},
                 {},
                 "One of the admins runs: attestry admin init-generate; then go on here."};
  TRY(const bool make, agree("Make the master key and split it into " + std::to_string(seats_.size()) +
                             " shares, any " + std::to_string(options_.threshold) + " of which give it back?"));
  if (!make) return Error{Code::usage, "nothing was made"};
  const base::JsonOut body{base::JsonOutObject{{"threshold", options_.threshold},
                                               {"total_shares", static_cast<std::uint64_t>(seats_.size())}}};
  TRY_OK(server_.call(*seat->here, net::Method::post, "/admin/init/generate", body.compact()), seat->name);
  say("Made. The server holds the key in memory only.");
  return base::done();
}

Status Ceremony::take_share(Seat& seat, const keys::ShareSet& set) {
  const auto index = set.index_of(seat.id);
  TRY(const bool have, app::present(seat.files.share));
  if (!have && index && set.shares[*index].received) {
    // Whoever stands here at night needs the others' shares, not an error about this one.
    say(seat.name + "  HAS LOST his share: he had it, and " + seat.files.share + " is not there. Going on without it.");
    seat.here.reset();
    return base::done();
  }
  if (!have) {
    TRY(const auto fetched, fetch_share(server_, *seat.here, seat.files.share));
    say(seat.name + "  share " + std::to_string(fetched) + " fetched, opened, compared, stored in " + seat.files.share);
    return base::done();
  }
  TRY(const auto share, read_share_file(seat.files.share));
  TRY(const auto plain, open_share(share, *seat.here, &set));
  if (index && !set.shares[*index].received) {
    // A crash came between storing the share and saying so.
    const auto commitment = base::hex(curves::share_commitment(set.id, plain));
    const base::JsonOut body{base::JsonOutObject{{"commitment", commitment}}};
    TRY_OK(server_.call(*seat.here, net::Method::post, "/admin/share/received", body.compact()));
  }
  say(seat.name + "  share " + std::to_string(share.index) + " is here and good");
  return base::done();
}

Result<bool> Ceremony::distribute() {
  title(5, "the shares");
  for (;;) {
    TRY(const auto known, server_.commitments());
    if (!known.set) return Error{Code::conflict, "the server knows of no shares"};
    for (auto& seat : seats_) {
      if (seat.here) TRY_OK(take_share(seat, *known.set), seat.name);
    }
    TRY(const auto now, server_.commitments());
    std::vector<const Seat*> missing;
    for (const auto& seat : seats_) {
      const auto index = now.set->index_of(seat.id);
      if (index && !now.set->shares[*index].fetched) missing.push_back(&seat);
    }
    TRY_OK(verify(*now.set));
    if (missing.empty()) return true;
    for (const auto* seat : missing) {
      say(seat->name + " has not fetched his share. At his machine:");
      say("  " + command("fetch-share", *seat));
    }
    if (options_.yes) return false;
    TRY(const bool again, agree("Look again?"));
    if (!again) return false;
  }
}

Status Ceremony::verify(const keys::ShareSet& set) {
  std::vector<crypto::Secret> shares;
  for (const auto& seat : seats_) {
    if (!seat.here) continue;
    TRY(const auto share, read_share_file(seat.files.share), seat.name);
    TRY(auto plain, open_share(share, *seat.here, &set), seat.name);
    shares.push_back(std::move(plain));
  }
  say(std::to_string(shares.size()) + " of " + std::to_string(set.shares.size()) +
      " shares are here, and each matches its commitment.");
  if (shares.size() >= set.threshold) {
    TRY_OK(recombine(set, shares));
  } else {
    say("They are fewer than the " + std::to_string(set.threshold) +
        " that give the key, so they are not tried together.");
  }
  return keep_commitments(set);
}

/// The dry run of a recovery: every choice of as many shares as are needed, in locked memory, compared with the
/// commitment of the key, and wiped.
Status Ceremony::recombine(const keys::ShareSet& set, const std::vector<crypto::Secret>& shares) {
  std::vector<bool> chosen(shares.size(), false);
  std::fill(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(set.threshold), true);
  std::size_t tried = 0;
  do {
    std::vector<crypto::Secret> some;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      if (chosen[i]) some.push_back(shares[i].clone());
    }
    TRY(const auto master, curves::shamir_combine(some));
    if (curves::secret_commitment(set.id, master) != set.secret_commitment)
      return Error{Code::corrupt,
                   "shares that match their commitments do not give the committed key",
                   {},
                   {},
                   "Do not rely on this set: begin again with a new data folder, and report this."};
    ++tried;
  } while (tried < kMaxCombinations && std::prev_permutation(chosen.begin(), chosen.end()));
  say("Dry run of the recovery: " + std::to_string(tried) + " choices of " + std::to_string(set.threshold) +
      " shares tried, each gives the key.");
  return base::done();
}

Status Ceremony::keep_commitments(const keys::ShareSet& set) {
  keys::ShareSet fixed = set;
  for (auto& share : fixed.shares) share.fetched = share.received = true;
  TRY_OK(write_once(commitments_file(), keys::commitments_json(fixed, "") + "\n"));
  say("Commitments, which are not secret, are in " + commitments_file() + ".");
  return base::done();
}

Result<int> Ceremony::recover() {
  title(6, "the server has its key");
  TRY(const auto status, server_.status());
  if (status.state == "complete") {
    say("The server is unlocked. To rehearse a recovery: restart it and run this command again.");
    return kExitOk;
  }
  if (status.state == "generating_shares") {
    say("Not yet: it waits until every admin has fetched his share (step 5).");
    return kExitUndecided;
  }
  say("The server was restarted and needs " + std::to_string(options_.threshold) + " admins to bring their shares.");
  TRY(const bool bring, agree("Bring the shares that are here?"));
  if (!bring) return kExitUndecided;
  if (const Seat* seat = present(); status.state == "initial" && seat != nullptr)
    TRY_OK(server_.call(*seat->here, net::Method::post, "/admin/init/recover"), seat->name);
  return bring_shares();
}

Result<int> Ceremony::bring_shares() {
  for (const auto& seat : seats_) {
    if (!seat.here) continue;
    TRY(const auto answer, submit_share(server_, *seat.here, seat.files.share), seat.name);
    say(seat.name + "  " + answer.text());
    TRY(const auto now, server_.status());
    if (now.state == "complete") {
      say("The server is unlocked with the same key as before.");
      return kExitOk;
    }
  }
  for (const auto& seat : seats_) {
    if (!seat.here) say("At the machine of " + seat.name + ":  " + command("submit-share", seat));
  }
  return kExitUndecided;
}

Result<int> Ceremony::dry_run() {
  TRY(const auto json, read_whole(commitments_file()));
  TRY(const auto set, keys::parse_commitments(json), commitments_file());
  for (auto& seat : seats_) {
    TRY(const bool have_key, app::present(seat.files.private_key));
    TRY(const bool have_share, app::present(seat.files.share));
    if (!have_key || !have_share) continue;
    TRY(seat.here, read_admin(seat.files), seat.name);
    seat.id = seat.here->id;
  }
  TRY_OK(verify(set));
  return kExitOk;
}

Result<int> Ceremony::run() {
  if (options_.threshold < 2 || options_.threshold > options_.admins || options_.admins > 255) {
    return Error{Code::usage, "--shamir-threshold and --shamir-total-shares", "2 <= threshold <= admins <= 255",
                 std::to_string(options_.threshold) + " of " + std::to_string(options_.admins)};
  }
  context_.out << "The ceremony of the registry's master key, " << options_.threshold << " of " << options_.admins
               << " admins, in the folder " << options_.folder
               << ".\nIt may be stopped at any time; run again, it goes on where it stopped.\n";
  TRY_OK(make_folders());
  if (options_.dry_run) return dry_run();
  TRY_OK(make_keys());
  TRY_OK(write_admins());
  TRY_OK(find_server());
  TRY_OK(generate());
  TRY(const bool all, distribute());
  TRY(const int code, recover());
  context_.out << "\nWhat to do next\n";
  if (!all || code != kExitOk) {
    say("Do what the lines above ask for, then run this command again.");
    return kExitUndecided;
  }
  say("Give each admin his folder (key and share), on a medium of his own, and delete it here.");
  say("Keep " + commitments_file() + " with the backup of the server: a new machine needs it to name wrong shares.");
  say("After a restart: two commands, `attestry admin init-recovery` once, then `attestry admin submit-share` by " +
      std::to_string(options_.threshold) + " admins.");
  return kExitOk;
}

}  // namespace

Result<int> run_ceremony(Context& context, const CeremonyOptions& options, const AdminServer& server) {
  return Ceremony{context, options, server}.run();
}

}  // namespace attestry::app
