#include "app/admin_client.h"

#include <sys/stat.h>

#include <chrono>

#include "app/loopback.h"
#include "app/outputs.h"
#include "app/paths.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/hash.h"
#include "crypto/key_pem.h"
#include "curves/ecies.h"
#include "curves/shamir.h"
#include "keys/bootstrap.h"
#include "net/http.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

constexpr std::chrono::seconds kPatience{30};
constexpr std::size_t kMaxFile = 1u << 20;

Result<std::string> text_of(const base::JsonValue& object, std::string_view key) {
  TRY(const auto value, object.get(key));
  return value.string(key);
}

}  // namespace

std::string host_of(std::string_view url) {
  const bool tls = url.starts_with("https:");
  if (const auto begin = url.find("://"); begin != std::string_view::npos) url.remove_prefix(begin + 3);
  url = url.substr(0, url.find('/'));
  const std::string_view usual = tls ? ":443" : ":80";
  if (url.ends_with(usual)) url.remove_suffix(usual.size());
  return std::string{url};
}

bool is_here(std::string_view url) {
  std::string host = host_of(url);
  const auto colon = host.rfind(':');
  if (colon == std::string::npos || host.find(']', colon) != std::string::npos) host += ":80";
  return is_loopback(host);
}

namespace {

Status not_for_others(const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) == 0 && (found.st_mode & 077) != 0)
    return Error{Code::configuration, "others can read the private key " + path, "mode 0600", {}, "chmod 600 " + path};
  return base::done();
}

std::string name_in(const base::JsonValue& share) {
  const auto name = share.find("admin_name");
  return std::string{name ? name->plain_string().value_or("") : ""};
}

std::string shown_admin(const std::string& id, const std::string& name) {
  return name.empty() ? id : name + " (" + id.substr(0, 8) + ")";
}

net::Headers headers_of(const keys::AdminHeaders& signed_by) {
  net::Headers out;
  const auto add = [&out](std::string_view name, const std::string& value) {
    if (!value.empty()) out.add(name, value);
  };
  add(keys::kAdminIdHeader, signed_by.id);
  add(keys::kAdminSignatureHeader, signed_by.signature);
  add(keys::kAdminTimeHeader, signed_by.time);
  add(keys::kAdminNonceHeader, signed_by.nonce);
  add(keys::kAdminSignatureV2Header, signed_by.signature_v2);
  return out;
}

Error refused(const net::Response& response, const std::string& url) {
  std::string line = response.body.substr(0, response.body.find('\n'));
  if (line.empty()) line = "HTTP " + std::to_string(response.status);
  const auto code = response.status == 404   ? Code::not_found
                    : response.status == 401 ? Code::unauthenticated
                    : response.status >= 500 ? Code::unavailable
                                             : Code::denied;
  std::string remedy = "`attestry admin status` shows the server's state and what is next.";
  if (response.body.starts_with('{')) {
    return {Code::not_found, "this is not the registry's listener for admins",
            "what registry.admin_listen says (127.0.0.1:8081 unless it was set)",
            url + " answers with HTTP " + std::to_string(response.status),
            "Name it: --server; the server prints it at its start as `registry admins`."};
  }
  if (line == "KMS not in recovery mode")
    remedy = "One admin says `attestry admin init-recovery` first; if the state is complete, nothing is needed.";
  if (response.status == 401) {
    remedy =
        "Is this admin in the server's file of admins, is the machine's clock right, and does registry.admin_hosts "
        "name "
        "the host of --provisioning-server-addr? `attestry admin status` shows whether it is the right server.";
  }
  return {code, url + " answers: " + line, {}, std::to_string(response.status), std::move(remedy)};
}

}  // namespace

Status write_once(const std::string& path, std::string_view text) {
  TRY_OK(check_output(path));
  TRY(const bool there, present(path));
  if (there) {
    TRY(const auto old, read_whole(path));
    if (old == text) return base::done();
    return Error{Code::conflict,
                 path + " is there already",
                 {},
                 {},
                 "Move it away or name another file; nothing was overwritten."};
  }
  return state::replace_file(state::system_files(), path, base::as_bytes(text));
}

Result<std::string> read_whole(const std::string& path) {
  TRY(const auto bytes, state::system_files().read(path, kMaxFile));
  if (!bytes) return Error{Code::not_found, "there is no file " + path};
  return std::string{base::as_text(*bytes)};
}

Result<std::string> make_admin_keys(const AdminFiles& files, crypto::Curve curve, crypto::Random& random) {
  for (const auto& path : {files.private_key, files.public_key}) {
    TRY_OK(check_output(path));
    TRY(const bool there, present(path));
    if (there)
      return Error{Code::conflict,
                   path + " is there already",
                   {},
                   {},
                   "A key that is in use is never overwritten; name other files."};
  }
  const auto key = crypto::EcPrivateKey::generate(curve, random);
  const auto secret = crypto::sec1_pem(key);
  TRY_OK(state::replace_file(state::system_files(), files.private_key, secret.reveal()));
  const std::string pem = crypto::spki_pem(key.public_key().spki());
  TRY_OK(write_once(files.public_key, pem));
  return base::hex(crypto::sha256(base::as_bytes(pem)));
}

Result<AdminIdentity> read_admin(const AdminFiles& files) {
  TRY_OK(not_for_others(files.private_key));
  TRY(auto secret, state::system_files().read(files.private_key, kMaxFile));
  if (!secret)
    return Error{Code::not_found,
                 "there is no private key " + files.private_key,
                 {},
                 {},
                 "Name it with --admin-privkey-file, or make one: attestry admin generate-admin"};
  const auto wiped = crypto::Secret::absorb(*secret);
  TRY(auto key, crypto::ec_private_key_from_pem(wiped.reveal()), files.private_key);
  TRY(const auto pem, read_whole(files.public_key));
  TRY(const auto spki, crypto::spki_from_pem(base::as_bytes(pem)), files.public_key);
  if (spki != key.public_key().spki())
    return Error{Code::configuration, files.private_key + " and " + files.public_key + " are no pair"};
  return AdminIdentity{base::hex(crypto::sha256(base::as_bytes(pem))), std::move(key)};
}

Result<std::string> admins_json(const std::vector<std::string>& public_key_files, std::vector<std::string> names) {
  std::vector<std::pair<std::string, std::string>> admins;
  for (const auto& path : public_key_files) {
    TRY(auto pem, read_whole(path));
    auto id = base::hex(crypto::sha256(base::as_bytes(pem)));
    admins.emplace_back(std::move(id), std::move(pem));
  }
  TRY(const auto set, keys::AdminSet::make(std::move(admins), std::move(names)));
  return set.json();
}

Result<std::unique_ptr<AdminServer>> AdminServer::open(Options options, const base::Clock& clock) {
  TRY(auto http, net::HttpClient::make({.ca_file = options.ca}), "--ca");
  while (options.url.ends_with('/')) options.url.pop_back();
  if (options.url.starts_with("http:") && !options.insecure && !is_here(options.url)) {
    return Error{Code::usage, "--server is another machine, without TLS", "https://, or http:// to this machine",
                 options.url,
                 "Whoever is on the way could take its place. For a test network: --insecure, better with --policy."};
  }
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(options), clock, std::move(http)));
}

Result<std::string> AdminServer::send(net::HttpRequest request) const {
  request.deadline = std::chrono::steady_clock::now() + kPatience;
  auto response = http_->send(request);
  net::wipe_text(request.body);
  if (!response) {
    Error error = response.error();
    error.remedy =
        "Is the server up, and is --server its listener for admins (registry.admin_listen, 127.0.0.1:8081 unless it "
        "was set)?";
    return error;
  }
  if (response->status / 100 != 2) return refused(*response, request.url);
  return std::move(response->body);
}

Result<AdminServer::State> AdminServer::status() const {
  TRY(const auto body, send({.url = options_.url + "/admin/status", .deadline = {}}));
  TRY(const auto document, base::JsonDocument::parse(body), "/admin/status");
  State out;
  TRY(out.state, text_of(document->root(), "state"));
  if (const auto value = document->root().find("threshold")) {
    TRY(out.threshold, value->integer("threshold", 0, 255));
  }
  if (const auto value = document->root().find("total_shares")) {
    TRY(out.total, value->integer("total_shares", 0, 255));
  }
  return out;
}

Result<ServerCommitments> AdminServer::commitments() const {
  ServerCommitments out;
  TRY(out.json, send({.url = options_.url + "/admin/commitments", .deadline = {}}));
  TRY(const auto document, base::JsonDocument::parse(out.json), "/admin/commitments");
  TRY(out.recovery_key, text_of(document->root(), "recovery_key"));
  if (document->root().find("set_id")) {
    TRY(out.set, keys::parse_commitments(out.json), "/admin/commitments");
    TRY(const auto shares, document->root().get("shares"));
    for (auto one = shares.first(); one; one = one->next()) {
      const auto submitted = one->find("submitted");
      out.names.push_back(name_in(*one));
      out.submitted.push_back(submitted && submitted->boolean("submitted").value_or(false));
    }
  }
  if (const auto next = document->root().find("next")) {
    TRY(out.next, keys::parse_commitments(next->source()), "/admin/commitments");
    TRY(const auto shares, next->get("shares"));
    for (auto one = shares.first(); one; one = one->next()) out.next_names.push_back(name_in(*one));
  }
  TRY_OK(check(out));
  return out;
}

std::string ServerCommitments::who(std::size_t index) const {
  return shown_admin(set->shares[index].admin, names[index]);
}

std::string ServerCommitments::next_who(std::size_t index) const {
  return shown_admin(next->shares[index].admin, next_names[index]);
}

Status AdminServer::check(const ServerCommitments& known) const {
  if (!options_.check_evidence) return base::done();
  TRY(const auto key, crypto::ec_public_key_from_pem(base::as_bytes(known.recovery_key)), "recovery_key");
  const auto report_data = keys::recovery_key_report_data(known.set ? known.set->id : base::FixedBytes<16>{}, key);
  if (checked_ == base::hex(report_data)) return base::done();
  const auto answer = send({.url = options_.url + "/admin/evidence", .deadline = {}});
  if (!answer) {
    Error error = answer.error();
    error.what = "the server shows no evidence over its key: " + error.what;
    if (error.code == Code::not_found)
      error.remedy = "It has no source of evidence (registry.attestation). Without --policy it is believed as it is.";
    return error;
  }
  TRY(const auto document, base::JsonDocument::parse(*answer), "/admin/evidence");
  TRY(const auto text, text_of(document->root(), "evidence"), "/admin/evidence");
  TRY(const auto evidence, base::base64_decode(text), "/admin/evidence");
  TRY_OK(options_.check_evidence(evidence, report_data), "the server is not believed");
  checked_ = base::hex(report_data);
  return base::done();
}

Result<std::string> AdminServer::call(const AdminIdentity& admin, net::Method method, std::string_view path,
                                      std::string body) const {
  const std::string host = host_of(options_.url);
  base::Digest32 server_id{};
  if (!options_.seed_dialect) {
    TRY(const auto known, commitments());
    TRY(const auto key, crypto::ec_public_key_from_pem(base::as_bytes(known.recovery_key)), "recovery_key");
    server_id = keys::server_id(key);
  }
  const keys::AdminRequestParts parts{
      .method = net::to_text(method), .host = host, .server = server_id, .path = path, .body = base::as_bytes(body)};
  const auto signed_by = options_.seed_dialect ? keys::sign_admin_request_v1(admin.id, admin.key, path, parts.body)
                                               : keys::sign_admin_request_v2(admin.id, &admin.key, parts, clock_.now(),
                                                                             crypto::system_random());
  auto headers = headers_of(signed_by);
  if (!body.empty()) headers.add("Content-Type", "application/json");
  return send({.method = method,
               .url = options_.url + std::string{path},
               .headers = std::move(headers),
               .body = std::move(body),
               .deadline = {}});
}

Result<ShareFile> read_share_file(const std::string& path) {
  TRY(const auto text, read_whole(path));
  TRY(const auto document, base::JsonDocument::parse(text), path);
  ShareFile out;
  TRY(const auto index, document->root().get("share_index"), path);
  TRY(const auto number, index.integer("share_index", 0, 254), path);
  out.index = static_cast<unsigned>(number);
  TRY(const auto blob, text_of(document->root(), "encrypted_share"), path);
  TRY(out.blob, base::base64_decode(blob), path);
  if (document->root().find("set_id")) {
    TRY(const auto id, text_of(document->root(), "set_id"), path);
    base::FixedBytes<16> bytes{};
    TRY_OK(base::hex_decode_into(id, bytes), path);
    out.set_id = bytes;
  }
  return out;
}

Result<crypto::Secret> open_share(const ShareFile& share, const AdminIdentity& admin, const keys::ShareSet* set) {
  if (set != nullptr && share.set_id && *share.set_id != set->id) {
    return Error{Code::conflict, "the share is of another set than the server's", base::hex(set->id),
                 base::hex(*share.set_id), "Look for the share that was fetched from this server."};
  }
  const auto open = [&]() -> Result<crypto::Secret> {
    if (!curves::is_ecies_v2(share.blob)) return curves::ecies_v1_open(admin.key, share.blob);
    if (!share.set_id && set == nullptr) return Error{Code::malformed, "the share does not say of which set it is"};
    const auto id = share.set_id ? *share.set_id : set->id;
    return curves::ecies_v2_open(admin.key, keys::share_context(id, share.index, admin.id), share.blob);
  };
  auto plain = open();
  if (!plain) {
    return Error{Code::wrong_key,
                 "the share does not open: " + plain.error().what,
                 {},
                 {},
                 "It was encrypted to another admin's key, or the file was changed."};
  }
  if (set == nullptr) return plain;
  if (share.index >= set->shares.size() || set->shares[share.index].admin != admin.id)
    return Error{Code::conflict, "share " + std::to_string(share.index) + " is not this admin's"};
  const auto& expected = set->shares[share.index].commitment;
  const auto found = curves::share_commitment(set->id, *plain);
  if (expected && found != *expected) {
    return Error{Code::corrupt, "share " + std::to_string(share.index) + " is not the one that was made",
                 base::hex(*expected), base::hex(found), "Do not submit it; fetch it again while the server has it."};
  }
  return plain;
}

Result<unsigned> fetch_share(const AdminServer& server, const AdminIdentity& admin, const std::string& path) {
  TRY(const bool there, present(path));
  if (there)
    return Error{Code::conflict,
                 path + " is there already",
                 {},
                 {},
                 "Name another file with --shamir-share-file; nothing was fetched."};
  TRY(const auto body, server.call(admin, net::Method::get, "/admin/share"));
  TRY(const auto document, base::JsonDocument::parse(body), "/admin/share");
  ShareFile share;
  TRY(const auto index, document->root().get("share_index"));
  TRY(const auto number, index.integer("share_index", 0, 254));
  share.index = static_cast<unsigned>(number);
  TRY(const auto blob, text_of(document->root(), "encrypted_share"));
  TRY(share.blob, base::base64_decode(blob));
  JsonOutObject out{{"share_index", share.index}, {"encrypted_share", blob}};
  std::string confirmation;
  if (!server.seed_dialect()) {
    TRY(const auto known, server.commitments());
    const auto& set = known.next && known.next->index_of(admin.id) ? known.next : known.set;
    if (!set) return Error{Code::conflict, "the server gave a share and knows of no set"};
    share.set_id = set->id;
    TRY(const auto plain, open_share(share, admin, &*set));
    const auto commitment = base::hex(curves::share_commitment(set->id, plain));
    confirmation = JsonOut{JsonOutObject{{"commitment", commitment}}}.compact();
    out.emplace_back("admin_id", admin.id);
    out.emplace_back("set_id", base::hex(set->id));
    out.emplace_back("threshold", set->threshold);
    out.emplace_back("commitment", commitment);
  } else {
    TRY(const auto plain, open_share(share, admin, nullptr));
  }
  TRY_OK(write_once(path, JsonOut{std::move(out)}.pretty() + "\n"));
  // Only what can be read again and opened is there.
  TRY(const auto again, read_share_file(path));
  TRY(const auto opened, open_share(again, admin, nullptr));
  if (!confirmation.empty()) {
    TRY_OK(server.call(admin, net::Method::post, "/admin/share/received", confirmation));
  }
  return share.index;
}

Result<ReshareState> ask_reshare(const AdminServer& server, const AdminIdentity& admin, const keys::AdminSet& next,
                                 unsigned threshold) {
  TRY(const auto list, base::JsonDocument::parse(next.json()));
  TRY(const auto admins, list->root().get("admins"));
  const JsonOut body{JsonOutObject{{"admins", JsonOut::Raw{std::string{admins.source()}}}, {"threshold", threshold}}};
  TRY(const auto answer, server.call(admin, net::Method::post, "/admin/reshare", body.compact()));
  TRY(const auto document, base::JsonDocument::parse(answer), "/admin/reshare");
  const auto root = document->root();
  ReshareState out;
  TRY(out.proposal, text_of(root, "proposal"));
  TRY(const auto agreed, root.get("agreed"));
  TRY(out.agreed, agreed.integer("agreed", 0, 255));
  TRY(const auto needed, root.get("needed"));
  TRY(out.needed, needed.integer("needed", 0, 255));
  TRY(const auto split, root.get("split"));
  TRY(out.split, split.boolean("split"));
  if (out.proposal != base::hex(keys::reshare_proposal(next, threshold)))
    return Error{Code::corrupt, "the server understood another change than was asked for"};
  return out;
}

std::string SubmitAnswer::text() const {
  if (!in || !needed) {
    if (message.starts_with("KMS unlocked")) return "The server is unlocked: it has its master key.";
    return message;
  }
  const auto more = *needed - *in;
  return (already ? "This share had been brought already: " : "The share is in: ") + std::to_string(*in) + " of " +
         std::to_string(*needed) + ", waiting for more shares from " + std::to_string(more) +
         (more == 1 ? " other admin." : " other admins.");
}

Result<SubmitAnswer> submit_share(const AdminServer& server, const AdminIdentity& admin, const std::string& path) {
  TRY(const auto share, read_share_file(path));
  std::string body;
  if (server.seed_dialect()) {
    TRY(const auto plain, open_share(share, admin, nullptr));
    std::string clear = base::base64(plain.reveal());
    body = JsonOut{JsonOutObject{{"share_index", share.index},
                                 {"share", clear},
                                 {"signature", base::base64(keys::sign_share(admin.key, plain.reveal()))}}}
               .compact();
    net::wipe_text(clear);
  } else {
    TRY(const auto known, server.commitments());
    TRY(const auto plain, open_share(share, admin, known.set ? &*known.set : nullptr));
    TRY(const auto key, crypto::ec_public_key_from_pem(base::as_bytes(known.recovery_key)), "recovery_key");
    const auto id = known.set ? known.set->id : base::FixedBytes<16>{};
    TRY(const auto sealed, curves::ecies_v2_seal(key, keys::submission_context(id, share.index, admin.id),
                                                 plain.reveal(), crypto::system_random()));
    body = JsonOut{JsonOutObject{{"share_index", share.index}, {"sealed_share", base::base64(sealed)}}}.compact();
  }
  TRY(const auto answer, server.call(admin, net::Method::post, "/admin/share", std::move(body)));
  TRY(const auto document, base::JsonDocument::parse(answer), "/admin/share");
  SubmitAnswer out;
  TRY(out.message, text_of(document->root(), "message"));
  if (const auto already = document->root().find("already")) {
    TRY(out.already, already->boolean("already"));
    TRY(const auto in, document->root().get("submitted"));
    TRY(const auto needed, document->root().get("threshold"));
    TRY(out.in, in.integer("submitted", 0, 255));
    TRY(out.needed, needed.integer("threshold", 0, 255));
  }
  return out;
}

}  // namespace attestry::app
