#include "secrets/secret_store.h"

#include <gmock/gmock.h>

#include <fstream>
#include <iterator>

#include "governance/testing/support.h"
#include "state/keys.h"

namespace attestry::secrets {
namespace {

using base::Code;
using governance::Action;
using governance::testing::House;
using governance::testing::kOrigin;
using governance::testing::kTime;
using governance::testing::patient;
using ::testing::HasSubstr;

const base::AppRef kWeb = governance::testing::app_named("name:web");
const base::AppRef kOther = governance::testing::app_named("name:other");
const base::Tenant kDefault = base::Tenant::standard();

template <class T>
void refused(const base::Result<T>& result, Code code, std::string_view reason) {
  ASSERT_FALSE(result.ok()) << "expected: " << reason;
  EXPECT_EQ(result.error().code, code) << result.error().text();
  EXPECT_THAT(result.error().text(), HasSubstr(std::string{reason}));
}

class SecretStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    house.add_operator("alice");
    make_app(kWeb, kDefault);
  }

  void make_app(const base::AppRef& app, const base::Tenant& tenant) {
    house.approve(app, Action::app_create, app.text(), tenant);
    house.approve(app, Action::policy_approve, house.blob(attestation::Policy::standard().document(), tenant), tenant);
    house.approve(app, Action::identity_approve, house.blob(governance::testing::identity_document('a'), tenant),
                  tenant);
  }

  base::Result<SecretInfo> put(std::string_view name, std::string_view value, const base::AppRef& app = kWeb,
                               const base::Tenant& tenant = kDefault) {
    return secrets.put(tenant, app, name, crypto::Secret::copy_of(base::as_bytes(value)), kTime, patient());
  }
  void approve(const SecretInfo& secret, const base::AppRef& app = kWeb, const base::Tenant& tenant = kDefault) {
    house.approve(app, Action::secret_approve, base::hex(secret.id), tenant);
  }

  governance::Grant grant(const base::AppRef& app = kWeb, const base::Tenant& tenant = kDefault) {
    const auto issued = challenges.issue(base::Purpose::instance_release, kTime);
    const auto fresh = challenges.check(issued.nonce, base::Purpose::instance_release, {}, kTime);
    attestation::BindingStatement statement{.audience = kOrigin,
                                            .nonce = fresh->nonce(),
                                            .tenant = tenant,
                                            .app = app,
                                            .csr_spki = base::Bytes(91, 5),
                                            .recipient = base::Bytes(34, 6)};
    attestation::Verdict verdict;
    verdict.evidence = attestation::Genuineness::genuine;
    verdict.platform = attestation::Platform::tdx;
    verdict.simulated = true;
    verdict.report_data = base::to_bytes(base::ByteView{statement.binding()});
    verdict.tcb = attestation::TcbSummary{.status = "UpToDate"};
    verdict.claims = {{.name = "mrtd", .value = std::string(96, 'a')},
                      {.name = "td_attributes", .value = "0000001000000000"}};
    verdict.valid_until = kTime + 3600;
    auto bound = attestation::bind(verdict, std::move(statement));
    const auto policy = house.registry->policy_of(tenant, app, house.clock.now());
    attestation::Verdict judged;
    const auto verified = attestation::appraise(policy->policy(), std::move(*bound), judged);
    auto made = governance::authorize(verified.value(), *fresh, *policy, base::Realm::simulated, kTime);
    EXPECT_TRUE(made.ok()) << made.error().text();
    return std::move(*made);
  }

  std::string released(const governance::Grant& to) const {
    const auto all = secrets.release(to);
    if (!all) return all.error().text();
    std::string out;
    for (const auto& secret : *all)
      out += secret.info.name + "=" + std::string{base::as_text(secret.value.reveal())} + ";";
    return out;
  }

  void write(const std::function<base::Status(state::WriteTxn&)>& change) {
    const auto written = house.store->write_and_wait([&](state::WriteTxn& txn) { return change(txn); }, patient());
    ASSERT_TRUE(written.ok()) << written.error().text();
  }
  static state::Key record(const base::AppRef& app, const base::Digest32& id) {
    return state::Key(state::Space::secrets, kDefault).lp(app.bytes()).raw(id);
  }
  /// Has the id approved although `app` has no such value: the record is there for that moment only.
  void approve_lost(const base::Digest32& id, const base::AppRef& app, const base::Tenant& tenant) {
    write(
        [&](state::WriteTxn& txn) { return txn.put(state::secret_key(tenant, app).raw(id), state::value(1).bytes()); });
    house.approve(app, Action::secret_approve, base::hex(id), tenant);
    write([&](state::WriteTxn& txn) { return txn.erase(state::secret_key(tenant, app).raw(id)); });
  }
  governance::AppState governed(const base::AppRef& app = kWeb) const { return *house.registry->app(kDefault, app); }

  House house;
  crypto::SeededRandom random{base::as_bytes("secrets")};
  appraisal::Challenges challenges{crypto::Secret::copy_of(base::Bytes(32, 1)), random};
  SecretStore secrets{*house.store, crypto::Secret::copy_of(base::Bytes(32, 2)), random};
};

TEST_F(SecretStoreTest, OnlyApprovedSecretsAreReleased) {
  const auto password = put("password", "hunter2");
  const auto token = put("token", "abc");
  ASSERT_TRUE(password.ok() && token.ok());
  EXPECT_EQ(released(grant()), "");
  approve(*password);
  EXPECT_EQ(released(grant()), "password=hunter2;");
  approve(*token);
  EXPECT_EQ(released(grant()), "password=hunter2;token=abc;");
  house.approve(kWeb, Action::revoke, base::hex(password->id));
  EXPECT_EQ(released(grant()), "token=abc;");
}

TEST_F(SecretStoreTest, ANewValueLiesBesideTheApprovedOneUntilItIsApproved) {
  const auto first = put("password", "hunter2");
  approve(*first);
  const auto second = put("password", "hunter3");
  EXPECT_NE(first->id, second->id);
  EXPECT_EQ(released(grant()), "password=hunter2;");
  approve(*second);
  EXPECT_EQ(released(grant()), "password=hunter3;");
  // The same value stored again has another id too: ids tell nothing about values.
  EXPECT_NE(put("password", "hunter3")->id, second->id);
}

TEST_F(SecretStoreTest, OfSeveralApprovedValuesTheLastApprovedIsReleased) {
  const auto first = put("password", "one");
  const auto second = put("password", "two");
  const auto token = put("token", "abc");
  approve(*second);
  approve(*token);
  approve(*first);  // stored before, approved after: what operators signed last counts
  EXPECT_EQ(released(grant()), "password=one;token=abc;");
  approve(*second);
  EXPECT_EQ(released(grant()), "password=two;token=abc;");
  house.approve(kWeb, Action::revoke, base::hex(second->id));
  EXPECT_EQ(released(grant()), "password=one;token=abc;");
}

TEST_F(SecretStoreTest, AnApprovedIdThatIsNotStoredRefusesTheRelease) {
  approve(*put("password", "hunter2"));
  base::Digest32 lost{};
  lost.fill(0xee);
  approve_lost(lost, kWeb, kDefault);
  const auto all = secrets.release(grant());
  refused(all, Code::corrupt, std::string(64, 'e'));
  EXPECT_THAT(all.error().remedy, HasSubstr("approve revocation"));
  house.approve(kWeb, Action::revoke, std::string(64, 'e'));
  EXPECT_EQ(released(grant()), "password=hunter2;");
}

TEST_F(SecretStoreTest, OtherAppsAndTenantsGetNothing) {
  const auto tenant = *base::Tenant::parse("acme");
  house.add_operator("alice", tenant);
  make_app(kOther, kDefault);
  make_app(kWeb, tenant);
  const auto password = put("password", "hunter2");
  approve(*password);
  EXPECT_EQ(released(grant(kOther)), "");
  EXPECT_EQ(released(grant(kWeb, tenant)), "");
  // The id cannot be approved for an app that does not own the secret, and were it, nothing would be released.
  refused(house.submit(house.next(kOther, Action::secret_approve, base::hex(password->id))), Code::not_found,
          "no stored secret");
  approve_lost(password->id, kOther, kDefault);
  approve_lost(password->id, kWeb, tenant);
  refused(secrets.release(grant(kOther)), Code::corrupt, "not stored");
  refused(secrets.release(grant(kWeb, tenant)), Code::corrupt, "not stored");
  EXPECT_EQ(released(grant()), "password=hunter2;");
}

TEST_F(SecretStoreTest, ASealedValueOpensInItsOwnRecordOnly) {
  make_app(kOther, kDefault);
  const auto password = put("password", "hunter2");
  // Somebody with write access to the database moves the record to his own app.
  write([&](state::WriteTxn& txn) -> base::Status {
    TRY(const auto stored, txn.get(record(kWeb, password->id)));
    return txn.put(record(kOther, password->id), *stored);
  });
  approve(*password, kOther);
  refused(secrets.release(grant(kOther)), Code::corrupt, "password");
}

TEST_F(SecretStoreTest, AnAlteredRecordIsNotReleased) {
  const auto password = put("password", "hunter2");
  const auto token = put("token", "abc");
  approve(*password);
  const auto alter = [&](auto change) {
    write([&](state::WriteTxn& txn) -> base::Status {
      TRY(const auto stored, txn.get(record(kWeb, password->id)));
      base::Bytes bytes = *stored;
      change(bytes);
      return txn.put(record(kWeb, password->id), bytes);
    });
  };
  alter([](base::Bytes& bytes) { bytes.back() ^= 1; });
  refused(secrets.release(grant()), Code::corrupt, "another content than its id");
  alter([](base::Bytes& bytes) { bytes.back() ^= 1; });
  EXPECT_EQ(released(grant()), "password=hunter2;");
  // Another value of the app in the place of the approved one.
  write([&](state::WriteTxn& txn) -> base::Status {
    TRY(const auto other, txn.get(record(kWeb, token->id)));
    return txn.put(record(kWeb, password->id), *other);
  });
  refused(secrets.release(grant()), Code::corrupt, "another content than its id");
  house.approve(kWeb, Action::revoke, base::hex(password->id));
  EXPECT_TRUE(secrets.remove(governed(), "password", password->id, patient()).ok());
}

TEST_F(SecretStoreTest, ARecordOfAnotherVersionIsRefusedAsSuch) {
  const auto password = put("password", "hunter2");
  approve(*password);
  write([&](state::WriteTxn& txn) -> base::Status {
    TRY(const auto stored, txn.get(record(kWeb, password->id)));
    base::Bytes bytes = *stored;
    bytes[0] = 1;  // what a name alone was the key of
    return txn.put(record(kWeb, password->id), bytes);
  });
  refused(secrets.release(grant()), Code::corrupt, "a record of another version");
  refused(secrets.list(kDefault, kWeb), Code::corrupt, "a record of another version");
}

TEST_F(SecretStoreTest, AnotherSealingKeyOpensNothing) {
  approve(*put("password", "hunter2"));
  const SecretStore other{*house.store, crypto::Secret::copy_of(base::Bytes(32, 3)), random};
  refused(other.release(grant()), Code::corrupt, "sealing key");
}

TEST_F(SecretStoreTest, NothingIsAtRestInClear) {
  const std::string value = "a value that is easy to find";
  approve(*put("password", value));
  for (const auto& entry : std::filesystem::directory_iterator{house.folder.path()}) {
    std::ifstream in{entry.path(), std::ios::binary};
    const std::string bytes{std::istreambuf_iterator<char>{in}, {}};
    EXPECT_EQ(bytes.find(value), std::string::npos) << entry.path();
    EXPECT_EQ(bytes.find(base::hex(base::as_bytes(value))), std::string::npos) << entry.path();
  }
  EXPECT_EQ(released(grant()), "password=" + value + ";");
}

TEST_F(SecretStoreTest, ListingShowsNoValues) {
  const auto password = put("password", "hunter2");
  const auto list = secrets.list(kDefault, kWeb);
  ASSERT_EQ(list->size(), 1u);
  EXPECT_EQ((*list)[0].id, password->id);
  EXPECT_EQ((*list)[0].name, "password");
  EXPECT_EQ((*list)[0].size, 7u);
  EXPECT_EQ((*list)[0].stored, kTime);
  EXPECT_TRUE(secrets.list(kDefault, kOther)->empty());
}

TEST_F(SecretStoreTest, NamesSizesAndNumbersAreBounded) {
  for (const std::string& name :
       {std::string{}, std::string{"A"}, std::string{"a b"}, std::string{"a/b"}, std::string(64, 'a')})
    refused(put(name, "x"), Code::malformed, "secret name");
  refused(put("large", std::string(64 * 1024 + 1, 'x')), Code::too_large, "secret value");
  ASSERT_TRUE(put("large", std::string(64 * 1024, 'x')).ok());
  for (int i = 1; i < 63; ++i) ASSERT_TRUE(put("n" + std::to_string(i), "x").ok());
  const auto last = put("large", "another value of the same name");
  ASSERT_TRUE(last.ok());
  for (const char* name : {"one-more", "large"}) {
    const auto full = put(name, "x");
    refused(full, Code::too_large, "too many");
    EXPECT_THAT(full.error().remedy, HasSubstr("attestry secret remove"));
  }
  EXPECT_TRUE(put("one-more", "x", kOther).ok());
  ASSERT_TRUE(secrets.remove(governed(), "large", last->id, patient()).ok());
  EXPECT_TRUE(put("one-more", "x").ok());
}

TEST_F(SecretStoreTest, AllThatAnAppMayHaveIsReleased) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < kMaxValues; ++i) approve(*put("n" + std::to_string(i), std::string(kMaxValueBytes, 'x')));
  const auto all = secrets.release(grant());
  ASSERT_TRUE(all.ok()) << all.error().text();
  EXPECT_EQ(all->size(), kMaxValues);
  for (const auto& secret : *all) size += secret.value.size();
  EXPECT_EQ(size, kMaxValues * kMaxValueBytes);
}

TEST_F(SecretStoreTest, AnApprovedValueIsNotRemoved) {
  const auto first = put("password", "one");
  const auto second = put("password", "two");
  const auto before = governed();
  approve(*first);
  refused(secrets.remove(governed(), "password", first->id, patient()), Code::conflict, "is approved");
  // The approval came while somebody was deciding on what had been approved before.
  refused(secrets.remove(before, "password", first->id, patient()), Code::conflict, "");
  EXPECT_EQ(released(grant()), "password=one;");
  ASSERT_TRUE(secrets.remove(governed(), "password", second->id, patient()).ok());
  house.approve(kWeb, Action::revoke, base::hex(first->id));
  ASSERT_TRUE(secrets.remove(governed(), "password", first->id, patient()).ok());
  EXPECT_TRUE(secrets.list(kDefault, kWeb)->empty());
}

TEST_F(SecretStoreTest, OnlyWhatIsThereIsRemoved) {
  make_app(kOther, kDefault);
  const auto password = put("password", "one");
  refused(secrets.remove(governed(), "token", password->id, patient()), Code::not_found, "password");
  refused(secrets.remove(governed(kOther), "password", password->id, patient()), Code::not_found, "secret");
  ASSERT_TRUE(secrets.remove(governed(), "password", password->id, patient()).ok());
  refused(secrets.remove(governed(), "password", password->id, patient()), Code::not_found, "secret");
}

}  // namespace
}  // namespace attestry::secrets
