// An administrator's request passes as it was signed and in no other form; nobody's request passes. The first byte
// chooses: 'F' reads the rest as a file of administrators; 'H' as headers, a line each; anything else signs the rest.
#include <array>

#include "base/encoding.h"
#include "crypto/key_pem.h"
#include "keys/admin_auth.h"
#include "require.h"

using namespace attestry;

namespace {

constexpr base::UtcTime kNow{1'800'000'000};

struct House {
  crypto::SeededRandom random{base::as_bytes("admins")};
  crypto::EcPrivateKey key = crypto::EcPrivateKey::generate(crypto::Curve::p256, random);
  keys::AdminSet admins = keys::AdminSet::make({{"alice", crypto::spki_pem(key.public_key().spki())}}).value();

  bool passes(const keys::AdminHeaders& headers, const keys::AdminRequestParts& request) const {
    return keys::verify_admin_request(admins, headers, request, kNow, keys::AdminVersions::v1_and_v2).ok();
  }
};

House& house() {
  static House made;
  return made;
}

void file(base::ByteView text) {
  const auto set = keys::AdminSet::parse(text);
  if (!set) return;
  const auto again = keys::AdminSet::parse(base::as_bytes(set->json()));
  REQUIRE(again.ok() && again->admins().size() == set->admins().size());
  for (const keys::Admin& admin : set->admins()) {
    REQUIRE(set->find(admin.id) == &admin && again->find(admin.id)->fingerprint() == admin.fingerprint());
  }
}

void headers(std::string_view text) {
  std::array<std::string, 4> lines;
  for (std::string& line : lines) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  const keys::AdminHeaders made{
      .id = "alice", .signature = lines[0], .time = lines[1], .nonce = lines[2], .signature_v2 = lines[3]};
  REQUIRE(!house().passes(made, {.method = "GET", .host = "h", .path = "/admin/share", .body = {}}));
}

void signs(base::ByteView body) {
  keys::AdminRequestParts request{.method = "POST", .host = "h", .path = "/admin/share", .body = body};
  const auto v1 = keys::sign_admin_request_v1("alice", house().key, request.path, body);
  const auto v2 = keys::sign_admin_request_v2("alice", &house().key, request, kNow, house().random);
  REQUIRE(house().passes(v1, request) && house().passes(v2, request));
  base::Bytes longer = base::to_bytes(body);
  longer.push_back(0);
  request.body = longer;
  REQUIRE(!house().passes(v1, request) && !house().passes(v2, request));
  request.body = body;
  request.method = "GET";
  REQUIRE(!house().passes(v2, request));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const base::ByteView rest(data + 1, size - 1);
  if (data[0] == 'F') {
    file(rest);
  } else if (data[0] == 'H') {
    headers(base::as_text(rest));
  } else {
    signs(rest);
  }
  return 0;
}
