#include "channel/session.h"

#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "crypto/ec.h"
#include "crypto/key_pem.h"
#include "crypto/x509.h"

namespace attestry::channel {

using attestation::Evidence;
using attestation::VerifiedReport;
using base::Code;
using base::Error;
using base::Result;
using base::Status;
using net::PeerConnection;

namespace {

constexpr std::int64_t kCertificateSeconds = 3600;
constexpr std::chrono::seconds kRefusalPatience{2};

/// A key that this session alone has, in a certificate that says nothing else.
Result<net::PeerCredentials> make_credentials(const End& end) {
  const auto key = crypto::EcPrivateKey::generate(crypto::Curve::p256, *end.random);
  auto serial = base::to_bytes(end.random->bytes<16>());
  serial[0] = static_cast<std::uint8_t>((serial[0] & 0x7f) | 0x40);
  const std::vector<crypto::NameField> name{{"2.5.4.3", "attestry channel", false}};
  const auto now = end.clock->now();
  TRY(const auto der, crypto::issue_certificate({.serial = std::move(serial),
                                                 .subject = name,
                                                 .issuer = name,
                                                 .issuer_der = {},
                                                 .not_before = now - kCertificateSeconds,
                                                 .not_after = now + kCertificateSeconds,
                                                 .spki = key.public_key().spki(),
                                                 .extensions = {}},
                                                key));
  return net::PeerCredentials{.certificate_pem = base::pem_encode("CERTIFICATE", der),
                              .key_pem = crypto::secret_pem("PRIVATE KEY", key.pkcs8())};
}

Status write_message(PeerConnection& connection, Kind kind, base::ByteView body, base::Deadline deadline) {
  const auto head = header(kind, body.size());
  TRY_OK(connection.write(head, deadline));
  return connection.write(body, deadline);
}

/// Also when the other end says that it goes no further.
Result<crypto::Secret> read_message(PeerConnection& connection, Kind wanted, base::Deadline deadline) {
  base::FixedBytes<kHeaderBytes> head{};
  TRY_OK(connection.read(head, deadline));
  TRY(const auto found, parse_header(head));
  if (found.kind != wanted && found.kind != Kind::refused) {
    return Error{Code::malformed, "a message out of order", std::string{to_text(wanted)},
                 std::string{to_text(found.kind)}};
  }
  crypto::Secret body(found.size);
  TRY_OK(connection.read(body.writable(), deadline));
  if (found.kind == wanted) return body;
  TRY(const auto refused, parse_refused(body.reveal()));
  return Error{refused.denied ? Code::denied : Code::unavailable, "the other end refuses", {}, refused.reason};
}

void tell(PeerConnection& connection, const Error& error, base::Deadline deadline) {
  const auto soon = std::min(deadline, std::chrono::steady_clock::now() + kRefusalPatience);
  // Nobody waits for an answer, and the other end may have gone.
  [[maybe_unused]] const auto told = write_message(connection, Kind::refused, encode(refusal_of(error)), soon);
}

/// An opening under way. Both ends know the statements of both.
struct Opening {
  PeerConnection& connection;
  const End& end;
  Role role;
  base::FixedBytes<kNonceBytes> client_nonce{}, server_nonce{};

  base::FixedBytes<64> report_data(bool own) const {
    const bool client = (role == Role::client) == own;
    Statement statement{.role = client ? Role::client : Role::server,
                        .audience = end.audience,
                        .client_nonce = client_nonce,
                        .server_nonce = server_nonce,
                        .exporter = connection.exporter(),
                        .own_spki = connection.own_spki(),
                        .peer_spki = connection.peer_spki()};
    if (!own) std::swap(statement.own_spki, statement.peer_spki);
    return statement.report_data();
  }

  Status say_hello(Kind kind, const base::FixedBytes<kNonceBytes>& nonce, base::Deadline deadline) const {
    return write_message(connection, kind, encode(Hello{.audience = end.audience, .nonce = nonce}), deadline);
  }
  Result<base::FixedBytes<kNonceBytes>> hear_hello(Kind kind, base::Deadline deadline) const {
    TRY(const auto body, read_message(connection, kind, deadline));
    TRY(const auto hello, parse_hello(body.reveal()), to_text(kind));
    if (hello.audience == end.audience) return hello.nonce;
    return Error{Code::denied, "the other end serves another audience", end.audience, hello.audience};
  }

  Status show(base::Deadline deadline) const {
    TRY(const auto evidence, end.attest(report_data(true)), "own evidence");
    TRY(const auto body, encode(evidence), "own evidence");
    return write_message(connection, Kind::evidence, body, deadline);
  }
  Result<Evidence> look(base::Deadline deadline) const {
    TRY(const auto body, read_message(connection, Kind::evidence, deadline));
    return parse_evidence(body.reveal());
  }
  Result<VerifiedReport> judge(const Evidence& evidence, base::Deadline deadline) const;
};

/// What end.verify() must have looked at is looked at here again, whoever wrote it.
Result<VerifiedReport> Opening::judge(const Evidence& evidence, base::Deadline deadline) const {
  const auto expected = report_data(false);
  TRY(auto report, end.verify(evidence, expected, deadline), "the other end's evidence");
  if (report.report_data() != expected) return Error{Code::evidence_false, "the evidence is of another session"};
  const auto& verdict = report.verdict();
  const base::Realm from = verdict.simulated ? base::Realm::simulated : base::Realm::production;
  if (from != end.realm) {
    return Error{Code::realm_mismatch, "the other end's evidence is of another realm",
                 std::string{base::to_text(end.realm)}, std::string{base::to_text(from)}};
  }
  if (!verdict.valid_until || *verdict.valid_until <= end.clock->now())
    return Error{Code::denied, "the other end's attestation is no longer valid"};
  return report;
}

Result<VerifiedReport> open_as_client(Opening& opening, base::Deadline deadline) {
  opening.client_nonce = opening.end.random->bytes<kNonceBytes>();
  TRY_OK(opening.say_hello(Kind::client_hello, opening.client_nonce, deadline));
  TRY(opening.server_nonce, opening.hear_hello(Kind::server_hello, deadline));
  TRY_OK(opening.show(deadline));
  TRY(const auto evidence, opening.look(deadline));
  return opening.judge(evidence, deadline);
}

/// The caller goes first: strangers can have no evidence made here.
Result<VerifiedReport> open_as_server(Opening& opening, base::Deadline patience, base::Deadline deadline) {
  opening.server_nonce = opening.end.random->bytes<kNonceBytes>();
  TRY(opening.client_nonce, opening.hear_hello(Kind::client_hello, patience));
  TRY_OK(opening.say_hello(Kind::server_hello, opening.server_nonce, patience));
  TRY(const auto evidence, opening.look(patience));
  TRY(auto report, opening.judge(evidence, patience));
  TRY_OK(opening.show(deadline));
  return report;
}

}  // namespace

Result<Session> Session::connect(const std::string& address, const End& end, base::Deadline deadline) {
  TRY(const auto credentials, make_credentials(end));
  TRY(auto connection, PeerConnection::connect(address, credentials, deadline, end.stop.get()));
  Opening opening{.connection = *connection, .end = end, .role = Role::client};
  auto peer = open_as_client(opening, deadline);
  if (!peer) {
    tell(*connection, peer.error(), deadline);
    return std::move(peer).error();
  }
  const auto own = opening.report_data(true);
  return Session(std::move(connection), *std::move(peer), own);
}

Result<Session> Session::accept(net::PeerSocket socket, const End& end, base::Deadline patience,
                                base::Deadline deadline) {
  TRY(const auto credentials, make_credentials(end));
  TRY(auto connection, PeerConnection::accept(std::move(socket), credentials, patience));
  Opening opening{.connection = *connection, .end = end, .role = Role::server};
  auto peer = open_as_server(opening, patience, deadline);
  if (!peer) {
    tell(*connection, peer.error(), deadline);
    return std::move(peer).error();
  }
  const auto own = opening.report_data(true);
  return Session(std::move(connection), *std::move(peer), own);
}

Status Session::send(base::ByteView data, base::Deadline deadline) {
  if (data.size() > kMaxData) return Error{Code::too_large, "data for a channel"};
  return write_message(*connection_, Kind::data, data, deadline);
}

Result<crypto::Secret> Session::receive(base::Deadline deadline) {
  return read_message(*connection_, Kind::data, deadline);
}

void Session::refuse(const Error& error, base::Deadline deadline) { tell(*connection_, error, deadline); }

}  // namespace attestry::channel
