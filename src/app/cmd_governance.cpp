// What an operator does before a workload can register: operator, app, policy, secret, approve. Every command is
// a call or two of /v1; the rules are the server's.
#include <CLI/CLI.hpp>
#include <ostream>

#include "app/cli.h"
#include "app/cmd_policy.h"
#include "app/cmd_secret_keystore.h"
#include "app/cmd_secret_seal.h"
#include "app/holder_key.h"
#include "app/operator.h"
#include "app/outputs.h"
#include "app/tables.h"
#include "attestation/policy.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "net/http.h"
#include "state/file.h"

namespace attestry::app {
namespace {

constexpr std::size_t kMaxFile = 1u << 20;

struct GovernanceOptions {
  OperatorOptions connection;
  std::string file;
  std::string app;
  std::string name;
  std::string right = "approve";
  std::string subject;
  std::string public_key;
  std::string address;
  std::string confirm;
  std::vector<std::string> keys;
  std::string out;
  bool wallet = false;
  bool dry_run = false;
  bool yes = false;
};

using Options = std::shared_ptr<GovernanceOptions>;
using Command = base::Result<int> (*)(Context&, const GovernanceOptions&);

base::Result<std::string> member(std::string_view json, std::string_view key) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{json}, {.max_bytes = 64u << 20}));
  TRY(const auto value, doc->root().get(key));
  return value.string(key);
}

/// JSON of the server as it is, or indented lines for people.
void print_json(Context& context, const GovernanceOptions& options, const std::string& json) {
  if (options.connection.format == "json") {
    context.out << json << "\n";
    return;
  }
  const auto doc = base::JsonDocument::parse(json, {.max_bytes = 64u << 20});
  if (!doc) {
    context.out << json << "\n";
    return;
  }
  for (auto item = (*doc)->root().first(); item; item = item->next()) {
    context.out << "  " << item->key() << std::string(item->key().size() < 16 ? 16 - item->key().size() : 1, ' ');
    if (item->is_array()) {
      context.out << item->size() << "\n";
      for (auto element = item->first(); element; element = element->next())
        context.out << "    " << element->source() << "\n";
    } else {
      const auto text = item->plain_string();
      context.out << (text ? *text : item->source()) << "\n";
    }
  }
}

base::Result<std::string> file_text(Context& context, const std::string& path) {
  TRY(const auto bytes, read_input(context, path, kMaxFile));
  if (bytes.size() > kMaxFile) return base::Error{base::Code::too_large, path, "at most 1 MiB", {}};
  return std::string{base::as_text(bytes)};
}

base::Result<std::string> put_blob(const OperatorSession& session, std::string body) {
  TRY(const auto answer,
      session.api().call(net::Method::post, session.path("/blobs"), std::move(body), "application/octet-stream"));
  return member(answer, "id");
}

base::Result<int> get_and_print(Context& context, const GovernanceOptions& options, const std::string& path) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto answer, session->api().call(net::Method::get, session->path(path)));
  print_json(context, options, answer);
  return kExitOk;
}

base::Result<int> print_list(Context& context, const GovernanceOptions& options, const std::string& path,
                             std::string_view list, const std::vector<std::string>& columns) {
  if (options.connection.format == "json") return get_and_print(context, options, path);
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto doc, session->api().json(net::Method::get, session->path(path)));
  TRY(const auto items, doc->root().get(list));
  TRY(const Table table, table_of(items, columns));
  table.print(context.out, list);
  return kExitOk;
}

std::string app_path(const GovernanceOptions& options) { return "/apps/" + net::percent_encode(options.app); }

base::Result<int> operator_keygen(Context& context, const GovernanceOptions& options) {
  std::string who;
  if (options.wallet) {
    TRY(const auto key, create_wallet_key(options.file, crypto::system_random()));
    who = "0x" + base::hex(curves::ethereum_address(key.public_key_raw()));
  } else {
    TRY(const auto key, create_operator_key(options.file, crypto::system_random()));
    who = base::hex(key.public_key());
  }
  context.out << who << "\n";
  context.err << "The key is in " << options.file << "; have an administrator add its "
              << (options.wallet ? "address" : "public key") << ":\n"
              << "  attestry operator add " << (options.wallet ? "--address " : "") << who << " --name NAME\n";
  return kExitOk;
}

/// The public half of whatever key of ours a file holds, for who has lost the line that made it.
base::Result<int> operator_show(Context& context, const GovernanceOptions& options) {
  TRY(auto bytes, read_input(context, options.file, kMaxFile));
  const bool holder = base::as_text(bytes).starts_with(kHolderKeyHeader);
  crypto::wipe(bytes);
  if (holder) {
    TRY(const auto pair, read_holder_key(options.file));
    context.out << base::hex(pair.public_key) << "\n";
    context.err << "The public key of a holder: attestry node holders --holder ID:KEY\n";
    return kExitOk;
  }
  TRY(const auto key, read_any_operator_key(options.file));
  if (const auto* own = std::get_if<crypto::Ed25519PrivateKey>(&key)) {
    context.out << base::hex(own->public_key()) << "\n";
    context.err << "The public key of an operator\n";
    return kExitOk;
  }
  const auto address = curves::ethereum_address(std::get<curves::Secp256k1PrivateKey>(key).public_key_raw());
  context.out << "0x" << base::hex(address) << "\n";
  context.err << "The address of a wallet\n";
  return kExitOk;
}

/// The public key, or the address.
base::Result<std::string> operator_path(const OperatorSession& session, const GovernanceOptions& options) {
  if (options.public_key.empty() == options.address.empty()) {
    return base::Error{base::Code::usage, "whose right to sign", "a public key, or --address 0x…",
                       options.address.empty() ? "none" : "both"};
  }
  const std::string& who = options.address.empty() ? options.public_key : options.address;
  return session.path("/operators/" + net::percent_encode(who));
}

base::Result<int> operator_add(Context& context, const GovernanceOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  const std::string body =
      base::JsonOut{base::JsonOutObject{{"name", options.name}, {"right", options.right}}}.compact();
  TRY(const auto path, operator_path(*session, options));
  TRY(const auto answer, session->api().call(net::Method::put, path, body));
  print_json(context, options, answer);
  return kExitOk;
}

base::Result<int> operator_remove(Context& context, const GovernanceOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto path, operator_path(*session, options));
  TRY([[maybe_unused]] const auto answer, session->api().call(net::Method::delete_, path));
  context.out << "removed; its former approvals stay what they are\n";
  return kExitOk;
}

base::Result<int> operator_list(Context& context, const GovernanceOptions& options) {
  return print_list(context, options, "/operators", "operators", {"name", "right", "since", "public_key", "address"});
}
base::Result<int> app_list(Context& context, const GovernanceOptions& options) {
  return print_list(context, options, "/apps", "apps", {"app", "seq", "epoch", "threshold", "policy"});
}
base::Result<int> app_show(Context& context, const GovernanceOptions& options) {
  return get_and_print(context, options, app_path(options));
}
base::Result<int> app_instances(Context& context, const GovernanceOptions& options) {
  return print_list(context, options, app_path(options) + "/instances", "instances",
                    {"instance", "state", "expires", "source"});
}
base::Result<int> app_approvals(Context& context, const GovernanceOptions& options) {
  return options.connection.format == "json" ? get_and_print(context, options, app_path(options) + "/approvals")
                                             : print_approvals(context, options.connection, app_path(options));
}
base::Result<int> policy_show(Context& context, const GovernanceOptions& options) {
  return get_and_print(context, options, app_path(options) + "/policy");
}
base::Result<int> secret_list(Context& context, const GovernanceOptions& options) {
  return print_list(context, options, app_path(options) + "/secrets", "secrets", {"name", "size", "stored", "id"});
}

base::Result<int> policy_builtin(Context& context, const GovernanceOptions& options) {
  const auto* policy = attestation::Policy::builtin(options.name);
  if (policy == nullptr)
    return base::Error{base::Code::usage, "no built-in policy of that name", "genuine, default or strict",
                       options.name};
  context.out << policy->document() << "\n";
  return kExitOk;
}

base::Result<int> secret_put(Context& context, const GovernanceOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(auto value, read_input(context, options.file, 64 * 1024 + 1));
  if (value.empty()) return base::Error{base::Code::usage, options.file + " is empty", "a secret", "0 bytes"};
  if (value.back() == '\n') context.err << "The secret ends with a newline, which is kept.\n";
  std::string text = base::base64url(value);
  crypto::wipe(value);
  std::string body;
  body.reserve(text.size() + 16);  // no copy is left behind in a buffer that was outgrown
  body.append("{\"value\":\"").append(text).append("\"}");
  net::wipe_text(text);
  auto answer = session->api().call(net::Method::put,
                                    session->path(app_path(options) + "/secrets/" + net::percent_encode(options.name)),
                                    std::move(body));
  if (!answer) return answer.error();
  print_json(context, options, *answer);
  const auto app = session->api().call(net::Method::get, session->path(app_path(options)));
  if (!app && app.error().code == base::Code::not_found) {
    context.err << "attestry: warning: there is no app " << options.app
                << " yet: nobody gets this secret before there is (attestry app list)\n";
  }
  return kExitOk;
}

base::Result<int> secret_remove(Context& context, const GovernanceOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY([[maybe_unused]] const auto answer,
      session->api().call(net::Method::delete_,
                          session->path(app_path(options) + "/secrets/" + net::percent_encode(options.name) + "/" +
                                        net::percent_encode(options.subject))));
  context.out << "removed\n";
  return kExitOk;
}

/// Every key signs the one envelope. Two signatures of one key are one operator still: that is said here, before the
/// server counts them.
base::Status sign_with(governance::Envelope& envelope, const std::vector<std::string>& key_files) {
  for (const std::string& file : key_files) TRY_OK(sign_with_key(envelope, file));
  return base::done();
}

base::Result<int> write_envelope(Context& context, const GovernanceOptions& options,
                                 const governance::Envelope& envelope, base::UtcTime expires) {
  const std::string text = envelope.to_json() + "\n";
  TRY_OK(check_output(options.out), "--out");
  TRY_OK(state::replace_file(*context.files, options.out, base::as_bytes(text)), "--out");
  context.err << "Not submitted: " << envelope.signatures.size()
              << (envelope.signatures.size() == 1 ? " signature is" : " signatures are") << " in " << options.out
              << ", good until " << base::to_rfc3339(expires)
              << " and as long as the app has no newer approval. The next operator:\n"
              << "  attestry approve add " << options.out << " --key KEY\n";
  return kExitOk;
}

/// Other people's keys are elsewhere: what waits in a file for their signatures needs days, not an hour.
constexpr std::int64_t kFileSeconds = std::int64_t{7} * 24 * 3600;

base::Result<int> submit(Context& context, const GovernanceOptions& options, governance::Action action,
                         const std::string& subject) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto app, base::AppRef::parse(options.app));
  const base::UtcTime now = context.clock.now();
  const std::int64_t seconds = options.out.empty() ? kApprovalSeconds : kFileSeconds;
  TRY(auto envelope, session->approval(app, action, subject, now, seconds));
  TRY_OK(sign_with(envelope, options.keys));
  if (!options.out.empty()) return write_envelope(context, options, envelope, now + seconds);
  TRY(const auto answer, session->submit(envelope));
  print_json(context, options, answer);
  return kExitOk;
}

/// Signs what `--out` wrote, and submits it unless it is to go on to somebody else. What is signed is told: the file
/// came from another person.
base::Result<int> approve_file(Context& context, const GovernanceOptions& options) {
  TRY(const auto text, file_text(context, options.file));
  TRY(auto envelope, governance::Envelope::parse(text), options.file);
  if (envelope.payload_type != governance::kApprovalPayloadType) {
    return base::Error{base::Code::malformed, options.file + " is no approval",
                       std::string{governance::kApprovalPayloadType}, envelope.payload_type,
                       "Name a file that attestry approve … --out made."};
  }
  TRY(const auto approval, governance::Approval::parse(envelope.payload), options.file);
  TRY_OK(sign_with(envelope, options.keys));
  context.err << "approval " << approval.seq << " of " << approval.app.text() << ", tenant " << approval.tenant.text()
              << ": " << governance::to_text(approval.action) << " " << approval.subject << "\n";
  if (!options.out.empty()) return write_envelope(context, options, envelope, approval.expires);
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto answer, session->submit(envelope));
  print_json(context, options, answer);
  return kExitOk;
}

base::Result<int> app_create(Context& context, const GovernanceOptions& options) {
  TRY(const auto app, base::AppRef::parse(options.app));
  return submit(context, options, governance::Action::app_create, app.text());
}

/// A file is stored as a blob first; 64 hex digits are a blob that is there already.
base::Result<std::string> stored_id(Context& context, const GovernanceOptions& options, governance::Action action) {
  const std::string& given = options.subject;
  if (given.size() == 64 && given.find_first_not_of("0123456789abcdef") == std::string::npos) return given;
  TRY(const auto session, OperatorSession::open(options.connection));
  const auto* builtin = action == governance::Action::policy_approve ? attestation::Policy::builtin(given) : nullptr;
  std::string text;
  if (builtin != nullptr) {
    text = builtin->document();
  } else {
    TRY(text, file_text(context, given));
  }
  return put_blob(*session, std::move(text));
}

base::Result<int> approve_blob(Context& context, const GovernanceOptions& options, governance::Action action) {
  TRY(const auto id, stored_id(context, options, action));
  return submit(context, options, action, id);
}

/// Digits of a preview's digest that confirm it.
constexpr std::size_t kShortestConfirm = 16;

std::string text_or_source(const base::JsonValue& object, std::string_view key) {
  const auto value = object.find(key);
  if (!value) return {};
  const auto text = value->plain_string();
  return std::string{text ? *text : value->source()};
}

void print_impact(std::ostream& out, const GovernanceOptions& options, std::string_view what, const std::string& sha256,
                  const base::JsonValue& instances, const std::string& more, const std::string& left) {
  out << what << " ends\n  instances  " << instances.size() << (more == "0" ? "" : " and " + more) << "\n";
  constexpr std::size_t kShown = 20;
  std::size_t shown = 0;
  for (auto one = instances.first(); one; one = one->next()) {
    if (++shown > kShown) continue;
    out << "    " << text_or_source(*one, "instance") << ", until " << text_or_source(*one, "expires") << "\n";
  }
  if (shown > kShown) out << "    and " << shown - kShown << " more\n";
  out << "and leaves " << options.app << " " << left << " identities"
      << (left == "0" ? ": nobody could register any more" : "") << "\npreview " << sha256.substr(0, kShortestConfirm)
      << "\n";
}

/// Tells whom the approval would hit, before it is signed. False when that is all that was asked for. What ends
/// somebody needs a word that it was read.
base::Result<bool> goes_ahead(Context& context, const GovernanceOptions& options, std::string_view what,
                              std::string_view action, const std::string& subject) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto doc, session->api().json(net::Method::get, session->path(app_path(options) + "/approvals/" +
                                                                          net::percent_encode(subject) +
                                                                          "/impact?action=" + std::string{action})));
  TRY(const auto value, doc->root().get("sha256"));
  TRY(const auto sha256, value.string("sha256"));
  TRY(const auto impact, doc->root().get("impact"));
  TRY(const auto instances, impact.get("instances"));
  if (options.dry_run && options.connection.format == "json") {
    context.out << doc->root().source() << "\n";
    return false;
  }
  if (options.dry_run || instances.size() > 0) {
    print_impact(options.dry_run ? context.out : context.err, options, what, sha256, instances,
                 text_or_source(impact, "more_instances"), text_or_source(impact, "identities_left"));
  }
  if (options.dry_run) return false;
  if (options.yes || (instances.size() == 0 && options.confirm.empty())) return true;
  if (options.confirm.empty()) {
    return base::Error{base::Code::usage,
                       "it would end instances, and was not confirmed",
                       "--confirm " + sha256.substr(0, kShortestConfirm) + ", or --yes",
                       {},
                       "Read whom it hits, above; then run it again with --confirm."};
  }
  if (options.confirm.size() >= kShortestConfirm && sha256.starts_with(options.confirm)) return true;
  return base::Error{base::Code::conflict, "--confirm: it would hit others than you saw",
                     sha256.substr(0, kShortestConfirm), options.confirm, "Read the preview again."};
}

base::Result<int> approve_policy(Context& context, const GovernanceOptions& options) {
  TRY(const auto id, stored_id(context, options, governance::Action::policy_approve));
  TRY(const bool ahead, goes_ahead(context, options, "This policy", "policy.approve", id));
  return ahead ? submit(context, options, governance::Action::policy_approve, id) : base::Result<int>{kExitOk};
}
base::Result<int> approve_identity(Context& context, const GovernanceOptions& options) {
  return approve_blob(context, options, governance::Action::identity_approve);
}
base::Result<int> approve_configuration(Context& context, const GovernanceOptions& options) {
  return approve_blob(context, options, governance::Action::configuration_approve);
}
base::Result<int> approve_secret(Context& context, const GovernanceOptions& options) {
  return submit(context, options, governance::Action::secret_approve, options.subject);
}
base::Result<int> approve_threshold(Context& context, const GovernanceOptions& options) {
  return submit(context, options, governance::Action::threshold_set, options.subject);
}
base::Result<int> approve_epoch(Context& context, const GovernanceOptions& options) {
  return submit(context, options, governance::Action::epoch_advance, options.subject);
}
base::Result<int> approve_retirement(Context& context, const GovernanceOptions& options) {
  return submit(context, options, governance::Action::epoch_retire, options.subject);
}
base::Result<int> revoke(Context& context, const GovernanceOptions& options) {
  TRY_OK(note_if_not_approved(context, options.connection, app_path(options), options.subject));
  TRY(const bool ahead, goes_ahead(context, options, "This revocation", "revoke", options.subject));
  if (!ahead) return kExitOk;
  TRY(const int code, submit(context, options, governance::Action::revoke, options.subject));
  if (!options.out.empty()) return code;
  context.err
      << "Keys that an ended instance holds it keeps. If a revoked identity had received keys, move the app to new "
         "ones:\n"
      << "  attestry approve epoch " << options.app << " NEXT\n";
  return code;
}

/// A command and what its own flags fill in. CLI11 reads the environment for every command of the group, called or not:
/// options shared by two would let a variable of the one win over a flag of the other.
struct Sub {
  CLI::App* command;
  Options options;
};

Sub plain(CLI::App& parent, Context& context, const char* name, const char* help, Command command) {
  Sub sub{parent.add_subcommand(name, help), std::make_shared<GovernanceOptions>()};
  sub.command->callback(
      [options = sub.options, command, &context] { finish(context, [&] { return command(context, *options); }); });
  return sub;
}

Sub add(CLI::App& parent, Context& context, const char* name, const char* help, Command command, bool signs = false) {
  auto sub = plain(parent, context, name, help, command);
  add_operator_options(*sub.command, sub.options->connection, false);
  if (!signs) return sub;
  sub.command
      ->add_option(
          "--key", sub.options->keys,
          "operator's key file (attestry operator keygen), or an EVM account's (64 hex digits); again for each further "
          "operator who signs")
      ->envname("ATTESTRY_OPERATOR_KEY")
      ->allow_extra_args(false)
      ->required();
  sub.command->add_option("--out", sub.options->out,
                          "do not submit: write the signed approval here, for others to sign (attestry approve add)");
  return sub;
}

Sub with_app(Sub sub) {
  sub.command->add_option("APP", sub.options->app, "app: name:hello, or hello for short")->required();
  return sub;
}

void positional(const Sub& sub, const char* name, std::string& value, const char* help) {
  sub.command->add_option(name, value, help)->required();
}

void whose(const Sub& sub) {
  sub.command->add_option("PUBLIC_KEY", sub.options->public_key, "64 hex digits");
  sub.command->add_option("--address", sub.options->address, "account of an EVM wallet: 0x and 40 hex digits");
}

}  // namespace

void add_operator(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("operator", "Keys that may sign approvals");
  group->require_subcommand(1);
  const auto keygen =
      plain(*group, context, "keygen", "Make an operator's key in a new file; prints the public key", operator_keygen);
  positional(keygen, "FILE", keygen.options->file, "where to put it (never overwritten)");
  keygen.command->add_flag("--wallet", keygen.options->wallet,
                           "the key of an EVM account (secp256k1), to sign as a wallet does");
  const auto show =
      plain(*group, context, "show",
            "Print the public key of a key file again: an operator's, a wallet's or a holder's", operator_show);
  positional(show, "FILE", show.options->file, "what `operator keygen` or `node holder-key` made");
  const auto put = add(*group, context, "add",
                       "Let a key sign approvals of the tenant, or start its workloads (administrator)", operator_add);
  whose(put);
  put.command->add_option("--name", put.options->name, "whose key it is")->required();
  put.command
      ->add_option("--right", put.options->right,
                   "approve: sign approvals; start: only start workloads of the registry's dialect (an --address)")
      ->check(CLI::IsMember({"approve", "start"}))
      ->capture_default_str();
  const auto remove = add(*group, context, "remove", "Take that right away (administrator)", operator_remove);
  whose(remove);
  add(*group, context, "list", "Keys and accounts that may sign now", operator_list);
}

void add_app(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("app", "Applications: what their approvals add up to");
  group->require_subcommand(1);
  with_app(add(*group, context, "create", "Make an app known", app_create, true));
  add(*group, context, "list", "Apps of the tenant", app_list);
  with_app(add(*group, context, "show", "One app", app_show));
  with_app(add(*group, context, "instances", "Registered instances, and whether what let them in still holds",
               app_instances));
  with_app(add(*group, context, "approvals", "Who allowed what, oldest first", app_approvals));
}

void add_policy(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("policy", "Policies: what is accepted of genuine evidence");
  group->require_subcommand(1);
  add_policy_documents(*group, context);
  const auto builtin = plain(*group, context, "builtin", "Print a built-in policy, to start from", policy_builtin);
  positional(builtin, "NAME", builtin.options->name, "genuine, default or strict");
  with_app(add(*group, context, "show", "The effective policy of an app, with its approved identities", policy_show));
}

void add_secret(CLI::App& app, Context& context) {
  auto* group =
      app.add_subcommand("secret", "Secrets for apps: deposited here, released only after an approval names them");
  group->require_subcommand(1);
  const auto put =
      with_app(add(*group, context, "put",
                   "Deposit a secret; the value is read from a file or standard input, never from a flag", secret_put));
  positional(put, "NAME", put.options->name, "name in templates: ${secret:NAME}");
  positional(put, "FILE", put.options->file, "file with the value, or - for standard input");
  with_app(add(*group, context, "list", "Names, ids and sizes; no values", secret_list));
  const auto remove =
      with_app(add(*group, context, "remove", "Remove a value that is not approved (any more)", secret_remove));
  positional(remove, "NAME", remove.options->name, "name of the secret");
  positional(remove, "ID", remove.options->subject, "id of the value: 64 hex digits");
  add_secret_seal(*group, context);
  add_secret_keystore(*group, context);
  add_secret_profile(*group, context);
}

void add_approve(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("approve", "Sign and submit an approval");
  group->require_subcommand(1);
  struct Item {
    const char* name;
    const char* help;
    const char* subject;
    Command command;
  };
  static constexpr Item kItems[] = {
      {"policy", "Make a policy the app's policy", "file, 64 hex digits of a blob, or a built-in policy's name",
       approve_policy},
      {"identity", "Allow an identity (measurements)", "file with {\"name\",\"claims\"}, or 64 hex digits of a blob",
       approve_identity},
      {"configuration", "Make a template the app's configuration", "file, or 64 hex digits of a blob",
       approve_configuration},
      {"secret", "Let a deposited secret be released to the app", "id that attestry secret put printed",
       approve_secret},
      {"threshold", "From now on m operators must sign", "m", approve_threshold},
      {"epoch", "Give new keys to all instances from now on", "next epoch", approve_epoch},
      {"retirement", "Give keys of earlier epochs to nobody any more", "oldest epoch whose keys are still given out",
       approve_retirement},
      {"revocation", "Take an approval of a policy, identity, configuration or secret back", "64 hex digits", revoke}};
  for (const auto& item : kItems) {
    const auto sub = with_app(add(*group, context, item.name, item.help, item.command, true));
    positional(sub, "SUBJECT", sub.options->subject, item.subject);
    if (item.command != approve_policy && item.command != revoke) continue;
    sub.command->add_flag("--dry-run", sub.options->dry_run, "say whom it would end, and sign nothing");
    sub.command->add_option("--confirm", sub.options->confirm, "digest of the preview that you have read");
    sub.command->add_flag("--yes", sub.options->yes, "sign it whomever it ends");
  }
  const auto sign =
      add(*group, context, "add", "Add signatures to an approval in a file (--out), and submit it", approve_file, true);
  positional(sign, "FILE", sign.options->file, "approval that approve … --out wrote");
  sign.command->footer(
      "Example, when two operators must sign:\n"
      "  attestry approve policy web default --key alice.key --out policy.approval.json\n"
      "  attestry approve add policy.approval.json --key bob.key");
  const auto send = add(*group, context, "submit", "Submit an approval in a file (--out) as it is", approve_file);
  positional(send, "FILE", send.options->file, "approval that approve … --out wrote");
}

}  // namespace attestry::app
