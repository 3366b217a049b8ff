#include "ledger.h"

#include <sstream>

#include "audit/receipt.h"
#include "audit/verify.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "state/keys.h"

namespace attestry::crash {
namespace {

constexpr const char* kOrigin = "log.example/crash";

crypto::Ed25519PrivateKey ledger_key() {
  return std::move(*crypto::Ed25519PrivateKey::from_seed(crypto::sha256(base::as_bytes("crash test log"))));
}

base::Deadline patient() { return std::chrono::steady_clock::now() + std::chrono::minutes(5); }

state::Key nonce_key(const std::string& nonce) {
  return state::Key(state::Space::nonces, base::Tenant::standard()).lp(nonce);
}

audit::Leaf leaf_for(const std::string& nonce) {
  audit::Leaf out;
  out.type = "release";
  out.realm = base::Realm::simulated;
  out.audience = kOrigin;
  out.app = "name:crash";
  out.time = base::UtcTime{1'800'000'000};
  out.binding = base::hex(crypto::sha512(base::as_bytes(nonce)));
  out.reply = base::hex(crypto::sha256(base::as_bytes(nonce)));
  return out;
}

base::Status check_one(Ledger& ledger, const Acknowledged& ack, const audit::TreeHead& outside,
                       std::vector<audit::TreeHead>& heads) {
  const auto wrong = [&ack](const std::string& what) {
    return base::Error{base::Code::corrupt, "acknowledged release " + ack.nonce + ": " + what};
  };
  TRY(const auto receipt, audit::verify_receipt(ack.receipt, ledger_trust()));
  if (receipt.leaf != leaf_for(ack.nonce)) return wrong("the receipt is for another one");
  heads.push_back(receipt.head);
  if (ack.index >= outside.size) return wrong("the checkpoint outside does not cover its leaf");
  TRY(const std::string leaf, ledger.log().leaf(ack.index), "leaf of " + ack.nonce);
  TRY(const std::string expected, leaf_for(ack.nonce).encode());
  if (leaf != expected) return wrong("another leaf stands in its place");
  const auto again = ledger.release(ack.nonce);
  if (again.ok() || again.error().code != base::Code::conflict) return wrong("its nonce can be spent again");
  return base::done();
}

base::Status check(const std::string& folder, const std::vector<Acknowledged>& acknowledged) {
  TRY(const auto bytes, state::system_files().read(checkpoint_path(folder), 100'000));
  audit::TreeHead outside;
  if (bytes) {
    TRY(const auto verified, audit::verify_checkpoint(base::as_text(*bytes), ledger_trust()), "outside");
    outside = verified.checkpoint.head;
  } else if (!acknowledged.empty()) {
    return base::Error{base::Code::corrupt, "there is no checkpoint outside"};
  }
  TRY(const auto ledger, Ledger::open(folder, state::system_files()));
  std::vector<audit::TreeHead> heads = {outside};
  for (const Acknowledged& ack : acknowledged) TRY_OK(check_one(*ledger, ack, outside, heads));
  TRY(const auto view, ledger->store().read());
  TRY_OK(audit::verify_log(*view, ledger->log().checkpoint(), ledger_trust(), heads));
  // Every spent nonce has its leaf: as many of one as of the other, and the leaves of the acknowledged ones are theirs.
  std::uint64_t nonces = 0;
  TRY_OK(view->scan(state::Key(state::Space::nonces, base::Tenant::standard()), {}, SIZE_MAX,
                    [&](base::ByteView, base::ByteView) { return ++nonces, true; }));
  if (nonces != ledger->log().head().size)
    return base::Error{base::Code::corrupt, "nonces and leaves differ in number"};
  return base::done();
}

}  // namespace

std::string Acknowledged::line() const {
  return nonce + " " + std::to_string(index) + " " + base::base64url(base::as_bytes(receipt));
}

base::Result<Acknowledged> Acknowledged::parse(const std::string& line) {
  std::istringstream in(line);
  Acknowledged out;
  std::string receipt;
  if (!(in >> out.nonce >> out.index >> receipt))
    return base::Error{base::Code::malformed, "not an acknowledgement: " + line};
  TRY(const base::Bytes bytes, base::base64url_decode(receipt));
  out.receipt = base::as_text(bytes);
  return out;
}

base::Result<std::unique_ptr<Ledger>> Ledger::open(const std::string& folder, state::Files& files) {
  auto out = std::make_unique<Ledger>();
  state::StoreOptions options;
  options.path = folder + "/store.db";
  options.realm = base::Realm::simulated;
  TRY(out->store_, state::Store::open(options));
  audit::LogOptions log_options;
  log_options.origin = kOrigin;
  log_options.checkpoint_path = checkpoint_path(folder);
  log_options.files = &files;
  TRY(out->log_, audit::Log::open(*out->store_, ledger_key(), std::move(log_options)));
  return out;
}

base::Result<Acknowledged> Ledger::release(const std::string& nonce) {
  Acknowledged out{nonce, 0, {}};
  TRY_OK(store_->write_and_wait(
      [&](state::WriteTxn& txn) -> base::Status {
        TRY_OK(txn.insert(nonce_key(nonce), state::value(1).bytes()));
        TRY(out.index, log_->append(txn, leaf_for(nonce)));
        return base::done();
      },
      patient()));
  TRY(out.receipt, log_->receipt(out.index));
  return out;
}

audit::LogTrust ledger_trust() {
  return {kOrigin, {audit::NoteKey{kOrigin, audit::NoteKeyType::ed25519, ledger_key().public_key()}}};
}

std::string checkpoint_path(const std::string& folder) { return folder + "/outside/checkpoint"; }

std::string first_violation(const std::string& folder, const std::vector<Acknowledged>& acknowledged) {
  const auto status = check(folder, acknowledged);
  return status ? std::string{} : status.error().text();
}

}  // namespace attestry::crash
