#include "provision/registry_watch.h"

#include "base/encoding.h"
#include "base/log.h"

namespace attestry::provision {

using base::Code;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kPage = 64;

base::Deadline soon(std::chrono::seconds patience) { return std::chrono::steady_clock::now() + patience; }

}  // namespace

RegistryWatch::RegistryWatch(RegistryWatchDeps deps) : deps_(std::move(deps)) {
  thread_ = std::thread{[this] { work(); }};
}

RegistryWatch::~RegistryWatch() {
  {
    const base::MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void RegistryWatch::head_moved() {
  {
    const base::MutexLock lock(mutex_);
    moved_ = true;
  }
  changed_.notify_all();
}

std::uint64_t RegistryWatch::looked_at() const {
  const base::MutexLock lock(mutex_);
  return looked_at_;
}

bool RegistryWatch::stopping() const {
  const base::MutexLock lock(mutex_);
  return stopping_;
}

bool RegistryWatch::wait_for_head() {
  const base::MutexLock lock(mutex_);
  while (!moved_ && !stopping_) changed_.wait(mutex_);
  moved_ = false;
  return !stopping_;
}

void RegistryWatch::work() {
  // What an outage of the chain leaves undone is done with the next head, and there is none before it ends.
  while (wait_for_head()) look_at_all();
}

bool RegistryWatch::look_at_all() {
  base::Bytes after;
  for (;;) {
    Result<GrantPage> page = GrantPage{};
    {
      const auto view = deps_.store.read();
      if (!view) return false;
      page = grants_after(**view, deps_.tenant, after, kPage);
    }
    if (!page) {
      base::log(base::LogLevel::error, "registry.grants_unreadable", {{"error", page.error().text()}});
      return false;
    }
    for (const ContractGrant& grant : page->grants) {
      if (stopping() || !look_at(grant)) return false;
    }
    if (page->grants.size() < kPage) return true;
    after = std::move(page->last);
  }
}

Status RegistryWatch::look_at(const ContractGrant& grant) {
  // Asked about as the extended identity too: which of the two it is, only the evidence knew.
  const governance::ContractQuestion question{.tenant = deps_.tenant,
                                              .contract = grant.contract,
                                              .identity = grant.identity,
                                              .extended = grant.identity,
                                              .operator_address = grant.operator_address};
  const auto answer = deps_.authority.look(question, soon(deps_.patience));
  {
    const base::MutexLock lock(mutex_);
    ++looked_at_;
  }
  if (!answer) return answer.error();
  if (answer->allowed || answer->version < grant.block) return base::done();
  return revoke(grant, answer->version, answer->snapshot,
                answer->reason.empty() ? "identity not allowed" : answer->reason);
}

Status RegistryWatch::revoke(const ContractGrant& grant, std::uint64_t block, std::string snapshot,
                             std::string reason) {
  const RevocationInputs inputs{
      .log = deps_.log,
      .realm = deps_.store.realm(),
      .tenant = deps_.tenant,
      .chain_id = deps_.authority.chain_id(),
      .snapshot = std::move(snapshot),
      .revocation = {
          .leaf_key = deps_.random.secret(32), .block = block, .time = deps_.store.now(), .reason = std::move(reason)}};
  std::optional<std::uint64_t> leaf;
  const Status done = deps_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(leaf, revoke_grant(txn, grant, inputs));
        return base::done();
      },
      soon(deps_.patience));
  if (!done || !leaf) return done;
  base::log(base::LogLevel::warning, "registry.revoked",
            {{"app", governance::contract_app(inputs.chain_id, grant.contract).text()},
             {"identity", base::hex(grant.identity)},
             {"operator", "0x" + base::hex(grant.operator_address)},
             {"block", std::to_string(block)},
             {"reason", inputs.revocation.reason},
             {"leaf", std::to_string(*leaf)}});
  return done;
}

}  // namespace attestry::provision
