#include "cluster/channel_peers.h"

#include <algorithm>

#include "base/encoding.h"
#include "channel/pieces.h"

namespace attestry::cluster {

using base::ByteView;
using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;
using keys::ckd::Ciphertext;
using keys::ckd::ShareProof;

namespace {

std::chrono::steady_clock::time_point steady() { return std::chrono::steady_clock::now(); }

bool is_known(const Member& member) {
  return std::ranges::any_of(member.signing_key, [](std::uint8_t byte) { return byte != 0; });
}

}  // namespace

Status ChannelPeer::open(base::Deadline until) {
  const auto deadline = std::min(until, steady() + options_.opening);
  auto made = options_.end();
  if (!made) {
    own_fault_ = true;
    return std::move(made).error();
  }
  channel::End end = *std::move(made);
  end.stop = stop_;
  auto connected = channel::Session::connect(member_.address, end, deadline);
  if (!connected) {
    Error error = std::move(connected).error();
    if (error.code == Code::unavailable && error.remedy.empty()) {
      error.remedy = "if it runs, its log says why it hangs up: without approvals of its own it lets nobody in";
    }
    return error;
  }
  channel::Session session = *std::move(connected);
  const Hello own = options_.hello(session.own_report_data());
  TRY_OK(session.send(own.bytes(), deadline));
  TRY(const auto bytes, session.receive(deadline));
  TRY(const Hello other, Hello::parse(bytes.reveal()));
  TRY_OK(other.check(session.peer_report_data()));
  if (!other.node) return Error{Code::denied, member_.address, "a node", "a server that is none"};
  if (is_known(member_) && *other.node != Hello::Who{member_.id, member_.signing_key}) {
    return Error{Code::denied, "node at " + member_.address, "node " + std::to_string(member_.id) + " with its key",
                 "node " + std::to_string(other.node->id), "correct the address, or plan the node that is there"};
  }
  TRY(auto approved, options_.judge(session));
  approved_.emplace(std::move(approved));
  {
    const MutexLock lock{seen_mutex_};
    who_ = other.node;
  }
  session_.emplace(std::move(session));
  until_ = steady() + options_.longest;
  return base::done();
}

Result<Answer> ChannelPeer::exchange(const base::Bytes& question, base::Deadline deadline) {
  TRY_OK(channel::send_pieces(*session_, question, deadline));
  TRY(const auto answer, channel::receive_pieces(*session_, kMostMessage, deadline));
  return parse_answer(answer.reveal());
}

/// Every question may be asked twice: a session that the other end has ended meanwhile is opened again.
Result<Answer> ChannelPeer::ask_now(const Question& question, base::Deadline until) {
  const base::Bytes bytes = encode(question);
  // Software that was revoked is hung up on; whatever the new session says of it is what is said.
  if (session_ && (steady() >= until_ || !approved_->still_approved())) session_.reset();
  const bool used = session_.has_value();
  if (!used) TRY_OK(open(until));
  auto out = exchange(bytes, until);
  if (!out && used && out.error().code == Code::unavailable) {
    session_.reset();
    TRY_OK(open(until));
    out = exchange(bytes, until);
  }
  if (!out) session_.reset();
  return out;
}

bool ChannelPeer::take_turn(base::Deadline until) {
  std::unique_lock lock(turns_mutex_);
  if (!turn_free_.wait_until(lock, until, [this] { return !turn_taken_; })) return false;
  turn_taken_ = true;
  return true;
}

void ChannelPeer::give_turn() {
  {
    const std::scoped_lock lock(turns_mutex_);
    turn_taken_ = false;
  }
  turn_free_.notify_one();
}

Result<Answer> ChannelPeer::ask_either(const Question& question, base::Deadline until) {
  std::string name = this->name();
  if (!take_turn(until)) return Error{Code::deadline_exceeded, name + ": it is still at what it was asked before"};
  auto out = [&] {
    const MutexLock lock{mutex_};
    own_fault_ = false;
    auto said = ask_now(question, until);
    // The other end was not even called.
    if (own_fault_) name = "here, before " + name + " is called";
    return said;
  }();
  {
    const bool silent = !out && out.error().code == Code::deadline_exceeded;
    const MutexLock lock{seen_mutex_};
    silent_until_ = silent ? steady() + options_.silence : std::chrono::steady_clock::time_point{};
  }
  give_turn();
  if (!out) return std::move(out.error().at(name));
  return out;
}

Result<Answer> ChannelPeer::ask(const Question& question, std::chrono::milliseconds patience) {
  TRY(Answer out, ask_either(question, steady() + patience));
  if (auto* error = std::get_if<Error>(&out)) return std::move(*error);
  return out;
}

/// By its address, where all that is known of it is that.
std::string ChannelPeer::name() const {
  if (!is_known(member_)) return "the node at " + member_.address;
  return "node " + std::to_string(member_.id);
}

bool ChannelPeer::is_silent() const {
  const MutexLock lock{seen_mutex_};
  return steady() < silent_until_;
}

/// Evidence that is refused, or a session that ends, is no refusal of what a workload asks for.
template <class T>
Result<T> ChannelPeer::expect_quickly(const Question& question, const Patience& patience) {
  const std::string name = this->name();
  if (!patience.insist && is_silent()) {
    return Error{Code::deadline_exceeded, name + ": silent when it was asked last"};
  }
  const auto until = std::min(patience.until, steady() + options_.patience);
  if (until <= steady()) return Error{Code::deadline_exceeded, name + ": no time is left to ask it"};
  auto out = ask_either(question, until);
  if (!out) {
    if (out.error().code != Code::deadline_exceeded) out.error().code = Code::unavailable;
    return std::move(out).error();
  }
  if (auto* wanted = std::get_if<T>(&*out)) return std::move(*wanted);
  if (auto* error = std::get_if<Error>(&*out)) return std::move(*error);
  return Error{Code::unavailable, name + ": its answer", "one to what was asked", "another"};
}

template <class T>
Result<T> ChannelPeer::expect(Result<Answer> answer) const {
  TRY(Answer said, std::move(answer));
  if (auto* wanted = std::get_if<T>(&said)) return std::move(*wanted);
  return Error{Code::malformed, name() + ": its answer", "one to what was asked", "another"};
}

Result<Offer> ChannelPeer::offer(const base::FixedBytes<32>& cluster, const base::FixedBytes<32>& session) {
  return expect<Offer>(ask(ask::Offer{cluster, session}, options_.patience));
}

Result<Deal> ChannelPeer::propose(const Plan& plan, const Approval& approval) {
  return expect<Deal>(ask(ask::Propose{plan, approval}, options_.patience));
}

Result<std::optional<Complaint>> ChannelPeer::check(const Plan& plan, const Approval& approval,
                                                    std::span<const Deal> deals) {
  TRY(Answer answer, ask(ask::Check{plan, approval, {deals.begin(), deals.end()}}, options_.patience));
  if (std::holds_alternative<answer::Nothing>(answer)) return std::optional<Complaint>{};
  if (auto* complaint = std::get_if<Complaint>(&answer)) return std::optional<Complaint>{std::move(*complaint)};
  return Error{Code::malformed, name() + ": its answer", "a complaint, or none"};
}

Result<std::variant<Stored, Complaint>> ChannelPeer::prepare(const Plan& plan, const Approval& approval,
                                                             std::span<const Deal> deals) {
  using Out = std::variant<Stored, Complaint>;
  TRY(Answer answer, ask(ask::Prepare{plan, approval, {deals.begin(), deals.end()}}, options_.patience));
  if (auto* stored = std::get_if<Stored>(&answer)) return Out{*stored};
  if (auto* complaint = std::get_if<Complaint>(&answer)) return Out{std::move(*complaint)};
  return Error{Code::malformed, name() + ": its answer", "its word, or a complaint"};
}

Status ChannelPeer::activate(const Epoch& epoch) {
  TRY([[maybe_unused]] const auto done, expect<answer::Nothing>(ask(ask::Activate{epoch}, options_.patience)));
  return base::done();
}

Result<Ciphertext> ChannelPeer::derive(const Node::Request& request, ByteView application, const Patience& patience) {
  return expect_quickly<Ciphertext>(ask::Derive{request, base::to_bytes(application)}, patience);
}

Result<ShareProof> ChannelPeer::prove(const Node::Request& request, ByteView application, const Patience& patience) {
  return expect_quickly<ShareProof>(ask::Prove{request, base::to_bytes(application)}, patience);
}

Result<answer::Nonce> ChannelPeer::challenge(base::Deadline deadline) {
  return expect_quickly<answer::Nonce>(ask::Challenge{}, {.until = deadline});
}

namespace {

Result<std::optional<Epoch>> epoch_of(Answer answer) {
  if (std::holds_alternative<answer::Nothing>(answer)) return std::optional<Epoch>{};
  if (auto* epoch = std::get_if<Epoch>(&answer)) return std::optional<Epoch>{std::move(*epoch)};
  return Error{Code::malformed, "answer of a node", "its epoch, or none"};
}

}  // namespace

Result<std::shared_ptr<const Epoch>> ChannelPeer::current(const std::shared_ptr<const Epoch>& known) {
  ask::Current question;
  if (known) question.known = known->outcome.digest();
  TRY(Answer answer, ask(question, options_.quick_patience));
  if (known && std::holds_alternative<answer::Known>(answer)) return known;
  TRY(auto there, epoch_of(std::move(answer)));
  return there ? std::make_shared<const Epoch>(*std::move(there)) : nullptr;
}

Result<std::optional<Epoch>> ChannelPeer::join(const std::string& address) {
  TRY(Answer answer, ask(ask::Join{address}, options_.patience));
  return epoch_of(std::move(answer));
}

std::optional<Hello::Who> ChannelPeer::who() const {
  const MutexLock lock{seen_mutex_};
  return who_;
}

Result<std::unique_ptr<ChannelPeers>> ChannelPeers::make(ChannelOptions options, std::uint32_t self_id, Peer* self) {
  TRY(auto stop, net::PeerStop::make());
  return std::unique_ptr<ChannelPeers>{new ChannelPeers(std::move(options), self_id, self, std::move(stop))};
}

Peer* ChannelPeers::find(const Member& member) {
  if (self_ != nullptr && member.id == self_id_) return self_;
  return peer("change", member);
}

ChannelPeer* ChannelPeers::channel(const Member& member) {
  if (self_ != nullptr && member.id == self_id_) return nullptr;
  return peer("", member);
}

ChannelPeer* ChannelPeers::peer(const std::string& use, const Member& member) {
  const std::string name =
      use + " " + std::to_string(member.id) + " " + base::hex(member.signing_key) + " " + member.address;
  const MutexLock lock{mutex_};
  auto& peer = all_[name];
  if (!peer) peer = std::make_unique<ChannelPeer>(options_, stop_, member);
  return peer.get();
}

}  // namespace attestry::cluster
