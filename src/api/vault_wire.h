// One request in Vault's shapes, taken apart, and what Vault's clients expect back. Private to api's vault files.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/vault.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/secret.h"
#include "net/http.h"

namespace attestry::api {

enum class VaultVerb : std::uint8_t { read, list, write, patch, delete_ };

/// A request on its way. Owned by whoever answers it: a handler, then the store's committer.
struct VaultCall {
  const VaultDeps& deps;
  net::Request request;
  net::Responder responder;
  VaultVerb verb = VaultVerb::read;
  std::shared_ptr<const secrets::Namespace> space{};
  std::string path{};  ///< below the namespace: "secret/data/x"; no slash at either end
  secrets::TokenPtr token{};
  std::shared_ptr<const base::JsonDocument> body{};  ///< null without one
  base::UtcTime now{};

  /// What the call was judged by, and may be judged by again in its transaction.
  struct Need {
    std::string path;
    secrets::Capabilities any_of;
  };
  std::optional<std::uint64_t> seen{};    ///< the state of the rules when it was judged (secrets::RuleChanges)
  mutable std::vector<Need> needs{};      ///< what it was found to have
  const state::ReadView* view = nullptr;  ///< set where the rules are those of the transaction
  std::shared_ptr<const secrets::Namespace> former{};  ///< that it was judged in
  /// Set by the work of a transaction in the place of an answer: runs on the lane when the transaction has ended.
  std::move_only_function<void()> again{};

  /// An object: the body, or none.
  std::optional<base::JsonValue> root() const;
  std::optional<base::JsonValue> member(std::string_view name) const;
  void send(net::Response response);
  void fail(const base::Error& error);
};
using CallPtr = std::shared_ptr<VaultCall>;
using Answer = base::Result<net::Response>;

/// A text that holds a secret: its bytes are overwritten at its end, and when it moves to a larger place.
class SecretText {
 public:
  SecretText() = default;
  explicit SecretText(std::string text) : text_(std::move(text)) {}
  SecretText(SecretText&& other) noexcept : text_(std::move(other.text_)) { other.wipe(); }
  SecretText& operator=(SecretText&& other) noexcept;
  SecretText(const SecretText&) = delete;
  SecretText& operator=(const SecretText&) = delete;
  ~SecretText() { wipe(); }

  SecretText& append(std::string_view more);
  /// As a JSON string, with quotes.
  SecretText& append_json(std::string_view more);
  std::string_view view() const noexcept { return text_; }
  base::ByteView bytes() const noexcept { return base::as_bytes(text_); }
  bool empty() const noexcept { return text_.empty(); }

 private:
  void wipe() noexcept;
  std::string text_{};
};

/// {"errors":[…]}
net::Response vault_errors(int status, const std::vector<std::string>& messages);
/// Vault's status and text of an error: 400, 403, 404, 413, 429, 503 or 500. An outage is never a denial.
net::Response vault_error(const base::Error& error);
/// 403, as Vault says it.
base::Error permission_denied();
base::Error unsupported_path(const VaultCall& call);

/// 200 with the envelope around `data_json`.
net::Response vault_data(const VaultCall& call, std::string_view data_json, std::string_view mount_type = "system");
/// The same where the data hold a secret: the body is overwritten once it is written.
net::Response vault_secret(const VaultCall& call, const SecretText& data_json, std::string_view mount_type);
/// The same with `auth` in the place of data: a token and its text.
net::Response vault_auth(const VaultCall& call, const secrets::Token& token, std::string_view secret);

/// Whether the token may do what `verb` does on the call's path. As in Vault, a write is an update, except where the
/// path is looked at before: then allowed_to_try() comes first and a may_…() in the transaction.
base::Status allowed(const VaultCall& call);
base::Status allowed(const VaultCall& call, secrets::Capability capability);
/// A write may create or update.
base::Status allowed_to_try(const VaultCall& call);
/// What exists needs update, what does not exist needs create.
base::Status may_write(const VaultCall& call, bool exists);
/// What exists needs update; what does not needs create or, as Vault knows no creation there, update.
base::Status may_change(const VaultCall& call, bool exists);
secrets::Capabilities capabilities_of(const VaultCall& call, std::string_view path);
/// Whether the token may do something at `prefix` ("secret/") or below it.
bool reaches_below(const VaultCall& call, std::string_view prefix);

/// Runs `work` in a transaction that sees that the token is still valid and that policies and namespace are what the
/// call was judged by (or judges it by them anew), and answers when everything is on the disk and the log's checkpoint
/// outside covers it. `settle` brings what is held in memory up to it before.
using Work = std::move_only_function<Answer(state::WriteTxn&)>;
using Settle = std::move_only_function<base::Status()>;
void commit(const CallPtr& call, Work work, Settle settle = {});
/// The same for work that changes policies or namespaces. `settle` reads them from the store, whatever became of it.
void commit_rules(const CallPtr& call, Work work, Settle settle);
/// Runs `task` on the lane; 429 when too many wait, of this token or of all.
void later(const CallPtr& call, FairLane::Task task);
/// Answers now, from what is committed.
void answer(const CallPtr& call, const std::function<Answer(const state::ReadView&)>& work);

/// A leaf of the log. Who, where and what are commitments under a key of this leaf, which goes back to the client in
/// X-Attestry-Leaf-Key (docs/formats/log.md).
struct VaultLeaf {
  std::string_view type;
  std::string_view subject;  ///< "namespace/mount/path#version"
  base::ByteView value{};    ///< what was released; empty: nothing to commit to
  const secrets::Token* token = nullptr;
};
base::Result<std::uint64_t> add_leaf(const VaultCall& call, state::WriteTxn& txn, const VaultLeaf& leaf,
                                     net::Response& response);

// Readers of members: absent is not an error, another kind is.
base::Result<std::optional<std::string>> text_of(const VaultCall& call, std::string_view name);
base::Result<std::optional<bool>> flag_of(const VaultCall& call, std::string_view name);
base::Result<std::optional<std::int64_t>> number_of(const base::JsonValue& value, std::string_view name);
base::Result<std::optional<std::int64_t>> number_of(const VaultCall& call, std::string_view name);
/// Digits only.
base::Result<std::int64_t> whole_number(std::string_view text, std::string_view name);
/// Seconds, from 3600, "3600" or "1h30m".
base::Result<std::int64_t> seconds_from(std::string_view text);
base::Result<std::optional<std::int64_t>> seconds_of(const VaultCall& call, std::string_view name);
/// An array of texts, or one text with commas.
base::Result<std::optional<std::vector<std::string>>> texts_of(const VaultCall& call, std::string_view name);
/// An object of texts.
base::Result<std::optional<std::map<std::string, std::string>>> map_of(const base::JsonValue& object,
                                                                       std::string_view name);
std::string json_text(std::string_view text);
std::string duration_text(std::int64_t seconds);
base::JsonOutArray json_texts(const std::vector<std::string>& texts);

// One for each part of the tree; each has asked for a token already where it needs one.
void vault_sys(const CallPtr& call, std::string_view rest);
void vault_auth_token(const CallPtr& call, std::string_view rest);
/// True when it was a challenge or a login, and was answered or is on its way.
bool vault_login(const CallPtr& call);
void vault_roles(const CallPtr& call, std::string_view rest);
/// Everything that renews, revokes or looks at another token needs one that the caller may know of: of his namespace or
/// below. `malformed` for any other, and for null.
base::Result<secrets::TokenPtr> known_token(const VaultCall& call, secrets::TokenPtr token);
void vault_transit(const CallPtr& call, const secrets::Mount& mount, std::string_view rest);
void vault_kv(const CallPtr& call, const secrets::Mount& mount, std::string_view rest);
/// POST /v1/vault/tokens on the operators' listener.
base::Status add_vault_operator_routes(net::Router& router, const VaultDeps& deps);
/// True when the path is one that Vault answers without a token, and was answered.
bool vault_open(const CallPtr& call);

}  // namespace attestry::api
