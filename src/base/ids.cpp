#include "base/ids.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/encoding.h"
#include "base/reader.h"

namespace attestry::base {
namespace {

constexpr std::size_t kAddress = 20;

constexpr bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool is_tenant(std::string_view text) {
  return !text.empty() && text.size() <= 63 &&
         std::ranges::all_of(text, [](char c) { return is_lower_alnum(c) || c == '-'; });
}

bool is_app_name(std::string_view text) {
  return !text.empty() && text.size() <= 63 && is_lower_alnum(text.front()) &&
         std::ranges::all_of(text, [](char c) { return is_lower_alnum(c) || c == '.' || c == '_' || c == '-'; });
}

// 2 to 64 characters; letters and digits with single separators between them (NEAR's account id rules).
bool is_near_account(std::string_view text) {
  if (text.size() < 2 || text.size() > 64) return false;
  bool may_separate = false;
  for (const char c : text) {
    const bool separator = c == '.' || c == '-' || c == '_';
    if (separator ? !may_separate : !is_lower_alnum(c)) return false;
    may_separate = !separator;
  }
  return may_separate;
}

Error bad_app(std::string_view problem, std::string_view expected) {
  return {Code::malformed, "app: " + std::string{problem}, std::string{expected}};
}

Result<Bytes> name_bytes(std::string_view name) {
  if (!is_app_name(name)) return bad_app("not a name", "[a-z0-9][a-z0-9._-]{0,62}");
  return to_bytes(name);
}

Result<Bytes> evm_bytes(std::string_view text) {
  constexpr std::string_view kForm = "evm:CHAIN:0x and 40 hex digits";
  std::uint64_t chain = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), chain);
  if (failure != std::errc{} || chain == 0 || text.front() == '0') return bad_app("not a chain id", kForm);
  const std::string_view address{end, static_cast<std::size_t>(text.data() + text.size() - end)};
  if (!address.starts_with(":0x")) return bad_app("no address after the chain id", kForm);
  FixedBytes<kAddress> raw{};
  TRY_OK(hex_decode_into(address.substr(3), raw), "app: address");
  return LpWriter{}.u64(chain).raw(raw).bytes();
}

Result<Bytes> near_bytes(std::string_view account) {
  if (!is_near_account(account)) return bad_app("not a NEAR account", "2 to 64 of a-z, 0-9 and single . - _ between");
  return to_bytes(account);
}

Result<Bytes> dstack_bytes(std::string_view text) {
  Bytes raw(kAddress);
  TRY_OK(hex_decode_into(text, raw), "app: dstack app id");
  return raw;
}

struct Form {
  AppRef::Kind kind;
  std::string_view prefix;
  Result<Bytes> (*parse)(std::string_view);
};
constexpr std::array<Form, 4> kForms = {{{AppRef::Kind::name, "name:", name_bytes},
                                         {AppRef::Kind::evm, "evm:", evm_bytes},
                                         {AppRef::Kind::near, "near:", near_bytes},
                                         {AppRef::Kind::dstack, "dstack:", dstack_bytes}}};

Status check_payload(std::uint8_t kind, ByteView payload) {
  switch (static_cast<AppRef::Kind>(kind)) {
    case AppRef::Kind::name: {
      TRY_OK(name_bytes(as_text(payload)));
      return done();
    }
    case AppRef::Kind::evm: {
      Reader reader{payload};
      TRY(const std::uint64_t chain, reader.u64be("app: chain id"));
      if (chain == 0) return bad_app("not a chain id", "a chain id above 0");
      TRY_OK(reader.take(kAddress, "app: address"));
      return reader.finish("app");
    }
    case AppRef::Kind::near: {
      TRY_OK(near_bytes(as_text(payload)));
      return done();
    }
    case AppRef::Kind::dstack: {
      Reader reader{payload};
      TRY_OK(reader.take(kAddress, "app: dstack app id"));
      return reader.finish("app");
    }
  }
  return bad_app("unknown kind " + std::to_string(kind), "1 to 4");
}

}  // namespace

Result<Tenant> Tenant::parse(std::string_view text) {
  if (!is_tenant(text)) return Error{Code::malformed, "tenant: not a name", "[a-z0-9-]{1,63}"};
  return Tenant{std::string{text}};
}

Tenant Tenant::standard() { return Tenant{"default"}; }

Result<AppRef> AppRef::parse(std::string_view text) {
  auto form = std::ranges::find_if(kForms, [text](const Form& f) { return text.starts_with(f.prefix); });
  if (form == kForms.end()) {
    if (text.find(':') != std::string_view::npos) return bad_app("unknown kind", "name:, evm:, near: or dstack:");
    form = kForms.begin();
  } else {
    text.remove_prefix(form->prefix.size());
  }
  TRY(const Bytes payload, form->parse(text));
  return AppRef{LpWriter{}.u8(static_cast<std::uint8_t>(form->kind)).raw(payload).bytes()};
}

Result<AppRef> AppRef::from_bytes(ByteView bytes) {
  if (bytes.empty()) return bad_app("no bytes", "a kind byte");
  TRY_OK(check_payload(bytes.front(), bytes.subspan(1)));
  return AppRef{to_bytes(bytes)};
}

std::string AppRef::text() const {
  const ByteView payload = ByteView{bytes_}.subspan(1);
  switch (kind()) {
    case Kind::name:
      return "name:" + std::string{as_text(payload)};
    case Kind::near:
      return "near:" + std::string{as_text(payload)};
    case Kind::dstack:
      return "dstack:" + hex(payload);
    case Kind::evm:
      break;
  }
  std::uint64_t chain = 0;
  for (const std::uint8_t b : payload.first(8)) chain = chain << 8 | b;
  return "evm:" + std::to_string(chain) + ":0x" + hex(payload.subspan(8));
}

std::string_view to_text(Purpose purpose) noexcept {
  switch (purpose) {
    case Purpose::instance_release:
      return "instance-release";
    case Purpose::secret_read:
      return "secret-read";
    case Purpose::replica_onboarding:
      return "replica-onboarding";
    case Purpose::confidential_key_derivation:
      return "confidential-key-derivation";
    case Purpose::token:
      return "token";
    case Purpose::channel:
      return "channel";
  }
  return "unknown";
}

Result<Purpose> purpose_from(std::uint8_t value) {
  if (value < 1 || value > 6) {
    return Error{Code::malformed, "purpose: unknown", "1 to 6", std::to_string(value)};
  }
  return static_cast<Purpose>(value);
}

std::string_view to_text(Realm realm) noexcept { return realm == Realm::production ? "production" : "simulated"; }

Result<Realm> realm_from(std::string_view text) {
  if (text == "production") return Realm::production;
  if (text == "simulated") return Realm::simulated;
  return Error{Code::malformed, "realm: unknown", "production or simulated"};
}

}  // namespace attestry::base
