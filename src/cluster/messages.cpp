#include "cluster/messages.h"

#include <algorithm>
#include <array>

#include "base/reader.h"
#include "base/reason.h"
#include "net/peer.h"

namespace attestry::cluster {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMostPlan = 128 * 1024;
constexpr std::size_t kMostDeal = 64 * 1024;
constexpr std::size_t kMostText = 1024;
constexpr std::size_t kMostRequest = 16 * 1024;
constexpr std::size_t kMostAddress = 255;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

base::Bytes with_kind(std::uint8_t kind, ByteView body) {
  base::LpWriter out;
  out.u8(kind).raw(body);
  return std::move(out).take();
}

base::Bytes proposal(const Plan& plan, const Approval& approval, std::span<const Deal> deals) {
  base::LpWriter out;
  out.lp(plan.bytes()).raw(approval.bytes()).u16(static_cast<std::uint16_t>(deals.size()));
  for (const Deal& deal : deals) out.lp(deal.bytes());
  return std::move(out).take();
}

struct Proposal {
  Plan plan;
  Approval approval;
  std::vector<Deal> deals;
};
Result<Proposal> read_proposal(base::Reader& reader, bool with_deals, const PlanCheck& check) {
  TRY(const ByteView plan_bytes, reader.lp("plan", kMostPlan));
  TRY(Plan plan, Plan::parse(plan_bytes));
  TRY(Approval approval, Approval::read(reader));
  if (check) TRY_OK(check(plan, approval));
  TRY(const std::uint16_t count, reader.u16be("number of deals"));
  if (count > (with_deals ? kMostNodes : 0)) {
    return Error{Code::malformed, "number of deals", with_deals ? "at most 255" : "none", std::to_string(count)};
  }
  std::vector<Deal> deals;
  for (std::uint16_t i = 0; i < count; ++i) {
    TRY(const ByteView bytes, reader.lp("deal", kMostDeal));
    TRY(Deal deal, Deal::parse(bytes, plan.threshold));
    deals.push_back(std::move(deal));
  }
  TRY_OK(reader.finish("question"));
  return Proposal{std::move(plan), std::move(approval), std::move(deals)};
}

base::Bytes error_bytes(const Error& error) {
  const auto cut = [](std::string_view text) {
    std::string out{text.substr(0, kMostText)};
    for (char& c : out) {
      if (c < 0x20 || c > 0x7e) c = '?';
    }
    return out;
  };
  base::LpWriter out;
  out.lp(base::slug(error.code)).lp(cut(error.what)).lp(cut(error.expected)).lp(cut(error.found)).lp(cut(error.remedy));
  return std::move(out).take();
}

/// Into `out`: a Result<Error> could not tell one from the other.
base::Status read_error(base::Reader& reader, Error& out) {
  TRY(const ByteView slug, reader.lp("code", 64));
  const auto code = base::code_from_slug(base::as_text(slug));
  if (!code) return Error{Code::malformed, "answer: code", "a known one", std::string{base::as_text(slug)}};
  out.code = *code;
  for (std::string* text : {&out.what, &out.expected, &out.found, &out.remedy}) {
    TRY(const ByteView bytes, reader.lp("text", kMostText));
    // It goes to operators' terminals, and into logs.
    if (!std::ranges::all_of(bytes, [](std::uint8_t c) { return c >= 0x20 && c < 0x7f; })) {
      return Error{Code::malformed, "answer: text", "printable ASCII", "other bytes"};
    }
    *text = base::as_text(bytes);
  }
  return reader.finish("answer");
}

base::Bytes hello_statement(const Hello::Who& who, const base::FixedBytes<64>& report_data) {
  base::LpWriter out;
  out.lp("attestry/threshold-hello/1").u32(who.id).raw(who.signing_key).raw(report_data);
  return std::move(out).take();
}

base::Bytes derivation(std::uint8_t kind, const Node::Request& request, ByteView application) {
  base::LpWriter out;
  out.u8(kind).lp(request.bytes()).lp(application);
  return std::move(out).take();
}
template <class T>
Result<Question> read_derivation(base::Reader& reader) {
  TRY(const ByteView request, reader.lp("request", kMostRequest));
  T out;
  TRY(out.request, Node::Request::parse(request));
  TRY(const ByteView application, reader.lp("application", kMostApplication));
  out.application = base::to_bytes(application);
  TRY_OK(reader.finish("question"));
  return Question{std::move(out)};
}

}  // namespace

Hello Hello::sign(std::uint32_t id, const base::FixedBytes<64>& own_report_data, const crypto::Ed25519PrivateKey& key) {
  Hello out{.node = Who{id, key.public_key()}};
  out.signature = key.sign(hello_statement(*out.node, own_report_data));
  return out;
}

base::Status Hello::check(const base::FixedBytes<64>& peer_report_data) const {
  if (!node || crypto::ed25519_verify(node->signing_key, hello_statement(*node, peer_report_data), signature)) {
    return base::done();
  }
  return Error{Code::evidence_false, "node " + std::to_string(node->id) + ": its key", "signed for this session",
               "not"};
}

base::Bytes Hello::bytes() const {
  base::LpWriter out;
  out.lp("attestry/threshold-hello/1").u8(node ? 1 : 0);
  if (node) out.u32(node->id).raw(node->signing_key).raw(signature);
  return std::move(out).take();
}

Result<Hello> Hello::parse(ByteView bytes) {
  base::Reader reader{bytes};
  TRY(const ByteView label, reader.lp("label", 64));
  if (base::as_text(label) != "attestry/threshold-hello/1") return Error{Code::malformed, "hello of a node: label"};
  TRY(const std::uint8_t is_node, reader.u8("node"));
  if (is_node > 1) return Error{Code::malformed, "hello of a node: node", "0 or 1", std::to_string(is_node)};
  Hello out;
  if (is_node == 1) {
    Who who;
    TRY(who.id, reader.u32be("id"));
    if (who.id >= kMostNodes) {
      return Error{Code::malformed, "hello of a node: id", "below " + std::to_string(kMostNodes),
                   std::to_string(who.id)};
    }
    TRY(who.signing_key, reader.take_array<32>("signing key"));
    TRY(out.signature, reader.take_array<64>("signature"));
    out.node = who;
  }
  TRY_OK(reader.finish("hello of a node"));
  return out;
}

base::Bytes encode(const Question& question) {
  return std::visit(
      Overloaded{[](const ask::Offer& q) {
                   base::LpWriter out;
                   out.u8('o').raw(q.cluster).raw(q.session);
                   return std::move(out).take();
                 },
                 [](const ask::Propose& q) { return with_kind('p', proposal(q.plan, q.approval, {})); },
                 [](const ask::Check& q) { return with_kind('c', proposal(q.plan, q.approval, q.deals)); },
                 [](const ask::Prepare& q) { return with_kind('s', proposal(q.plan, q.approval, q.deals)); },
                 [](const ask::Activate& q) { return with_kind('a', q.epoch.bytes()); },
                 [](const ask::Current& q) { return with_kind('e', q.known ? ByteView{*q.known} : ByteView{}); },
                 [](const ask::Join& q) { return with_kind('j', base::as_bytes(q.address)); },
                 [](const ask::Challenge&) { return with_kind('n', {}); },
                 [](const ask::Derive& q) { return derivation('d', q.request, q.application); },
                 [](const ask::Prove& q) { return derivation('v', q.request, q.application); }},
      question);
}

Result<Question> parse_question(ByteView bytes, const PlanCheck& check) {
  base::Reader reader{bytes};
  TRY(const std::uint8_t kind, reader.u8("kind"));
  switch (kind) {
    case 'o': {
      ask::Offer out;
      TRY(out.cluster, reader.take_array<32>("cluster"));
      TRY(out.session, reader.take_array<32>("session"));
      TRY_OK(reader.finish("question"));
      return Question{out};
    }
    case 'p': {
      TRY(Proposal out, read_proposal(reader, false, check));
      return Question{ask::Propose{std::move(out.plan), std::move(out.approval)}};
    }
    case 'c': {
      TRY(Proposal out, read_proposal(reader, true, check));
      return Question{ask::Check{std::move(out.plan), std::move(out.approval), std::move(out.deals)}};
    }
    case 's': {
      TRY(Proposal out, read_proposal(reader, true, check));
      return Question{ask::Prepare{std::move(out.plan), std::move(out.approval), std::move(out.deals)}};
    }
    case 'a': {
      TRY(Epoch epoch, Epoch::parse(reader.rest(), check));
      return Question{ask::Activate{std::move(epoch)}};
    }
    case 'e': {
      ask::Current out;
      if (reader.remaining() > 0) {
        TRY(out.known, reader.take_array<32>("outcome"));
      }
      TRY_OK(reader.finish("question"));
      return Question{out};
    }
    case 'j': {
      std::string address{base::as_text(reader.rest())};
      const bool clean = std::ranges::all_of(address, [](char c) { return c > 0x20 && c < 0x7f; });
      if (address.size() > kMostAddress || !clean || !net::is_peer_address(address)) {
        return Error{Code::malformed, "address of a node", "HOST:PORT or [::1]:PORT, at most 255 bytes", "another"};
      }
      return Question{ask::Join{std::move(address)}};
    }
    case 'n':
      TRY_OK(reader.finish("question"));
      return Question{ask::Challenge{}};
    case 'd':
      return read_derivation<ask::Derive>(reader);
    case 'v':
      return read_derivation<ask::Prove>(reader);
    default:
      return Error{Code::malformed, "question to a node: kind", "one of o p c s a e j n d v", std::to_string(kind)};
  }
}

base::Bytes encode(const Answer& answer) {
  return std::visit(
      Overloaded{[](const Error& a) { return with_kind('x', error_bytes(a)); },
                 [](const answer::Nothing&) { return with_kind('n', {}); },
                 [](const answer::Known&) { return with_kind('k', {}); },
                 [](const Offer& a) {
                   base::LpWriter out;
                   out.u8('o').raw(a.cluster).raw(a.session).u32(a.member).raw(a.box_key).raw(a.signature);
                   return std::move(out).take();
                 },
                 [](const Deal& a) { return with_kind('d', a.bytes()); },
                 [](const Complaint& a) { return with_kind('c', a.bytes()); },
                 [](const Stored& a) {
                   base::LpWriter out;
                   out.u8('s').u32(a.member).raw(a.signature);
                   return std::move(out).take();
                 },
                 [](const Epoch& a) { return with_kind('e', a.bytes()); },
                 [](const answer::Nonce& a) { return with_kind('t', a); },
                 [](const keys::ckd::Ciphertext& a) {
                   base::LpWriter out;
                   out.u8('y').raw(a.big_y).raw(a.big_c);
                   return std::move(out).take();
                 },
                 [](const keys::ckd::ShareProof& a) {
                   base::LpWriter out;
                   out.u8('v').raw(a.challenge).raw(a.first).raw(a.second);
                   return std::move(out).take();
                 }},
      answer);
}

Result<Answer> parse_answer(ByteView bytes) {
  base::Reader reader{bytes};
  TRY(const std::uint8_t kind, reader.u8("kind"));
  switch (kind) {
    case 'x': {
      Error error;
      TRY_OK(read_error(reader, error));
      return Answer{std::in_place_type<Error>, std::move(error)};
    }
    case 'n':
      TRY_OK(reader.finish("answer"));
      return Answer{answer::Nothing{}};
    case 'k':
      TRY_OK(reader.finish("answer"));
      return Answer{answer::Known{}};
    case 'o': {
      Offer out;
      TRY(out.cluster, reader.take_array<32>("cluster"));
      TRY(out.session, reader.take_array<32>("session"));
      TRY(out.member, reader.u32be("member"));
      TRY(out.box_key, reader.take_array<48>("box key"));
      TRY(out.signature, reader.take_array<64>("signature"));
      TRY_OK(reader.finish("answer"));
      return Answer{out};
    }
    case 'd': {
      TRY(Deal out, Deal::parse(reader.rest()));
      return Answer{std::move(out)};
    }
    case 'c': {
      TRY(Complaint out, Complaint::parse(reader.rest()));
      return Answer{std::move(out)};
    }
    case 's': {
      Stored out;
      TRY(out.member, reader.u32be("member"));
      TRY(out.signature, reader.take_array<64>("signature"));
      TRY_OK(reader.finish("answer"));
      return Answer{out};
    }
    case 'e': {
      TRY(Epoch out, Epoch::parse(reader.rest()));
      return Answer{std::move(out)};
    }
    case 't': {
      TRY(answer::Nonce out, reader.take_array<42>("nonce"));
      TRY_OK(reader.finish("answer"));
      return Answer{out};
    }
    case 'y': {
      keys::ckd::Ciphertext out;
      TRY(out.big_y, reader.take_array<48>("big_y"));
      TRY(out.big_c, reader.take_array<48>("big_c"));
      TRY_OK(reader.finish("answer"));
      return Answer{out};
    }
    case 'v': {
      keys::ckd::ShareProof out;
      TRY(out.challenge, reader.take_array<32>("challenge"));
      TRY(out.first, reader.take_array<32>("first"));
      TRY(out.second, reader.take_array<32>("second"));
      TRY_OK(reader.finish("answer"));
      return Answer{out};
    }
    default:
      return Error{Code::malformed, "answer of a node: kind", "one of x n k o d c s e t y v", std::to_string(kind)};
  }
}

}  // namespace attestry::cluster
