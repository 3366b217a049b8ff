#include "cluster/recovery.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/encoding.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "crypto/hpke.h"
#include "state/keys.h"

namespace attestry::cluster {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using base::Status;
using curves::bls::Scalar;

namespace {

constexpr std::string_view kHoldersTag = "attestry/threshold-holders/1";
constexpr std::string_view kExportTag = "attestry/threshold-export/1";
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kMostHolders = 1024;
constexpr std::size_t kMostEpoch = 20u << 20;

state::Key holders_key() { return state::Key(state::Space::threshold).lp("holders"); }

Error malformed(std::string_view what, std::string expected, std::string found = {}) {
  return {Code::malformed, std::string{what}, std::move(expected), std::move(found)};
}

/// Any file may be given where one of ours is expected: what it holds says nothing to anybody, and may be secret.
Status expect_tag(base::Reader& reader, std::string_view tag, std::string_view what, std::string_view made_by) {
  const auto found = reader.lp("tag", tag.size());
  if (found && base::as_text(*found) == tag) return base::done();
  return Error{Code::malformed, std::string{what}, "what `" + std::string{made_by} + "` wrote", "another file",
               "Give the file that is named."};
}

std::string name_of(std::uint32_t node) { return "node " + std::to_string(node); }

base::Bytes approved(const Holders& list) {
  base::LpWriter out;
  out.lp(kHoldersTag).raw(list.cluster).u8(static_cast<std::uint8_t>(list.realm)).u32(list.number);
  out.u16(static_cast<std::uint16_t>(list.holders.size()));
  for (const Holders::Holder& one : list.holders) out.u32(one.node).raw(one.key);
  return std::move(out).take();
}

}  // namespace

Approval::Signature Holders::sign(const crypto::Ed25519PrivateKey& key) const {
  return {key.public_key(), key.sign(approved(*this))};
}

Status Holders::check(std::span<const base::FixedBytes<32>> operators, std::size_t needed) const {
  const base::Bytes message = approved(*this);
  std::set<base::FixedBytes<32>> signers;
  for (const Approval::Signature& one : signatures) {
    if (std::ranges::find(operators, one.key) == operators.end()) continue;
    if (crypto::ed25519_verify(one.key, message, one.signature)) signers.insert(one.key);
  }
  if (needed > 0 && signers.size() >= needed) return base::done();
  return Error{Code::denied, "list of holders " + std::to_string(number),
               std::to_string(needed) + " operators' signatures", std::to_string(signers.size()),
               "have it approved by the operators that the nodes' settings name"};
}

bool Holders::has(std::uint32_t node, const base::FixedBytes<32>& key) const noexcept {
  return std::ranges::find(holders, Holder{node, key}) != holders.end();
}

base::Bytes Holders::bytes() const {
  base::LpWriter out;
  out.raw(approved(*this)).raw(Approval{signatures}.bytes());
  return std::move(out).take();
}

Result<Holders> Holders::parse(ByteView bytes) {
  base::Reader reader{bytes};
  TRY_OK(expect_tag(reader, kHoldersTag, "list of holders", "attestry node holders --out FILE"));
  Holders out;
  TRY(out.cluster, reader.take_array<32>("cluster"));
  TRY(const std::uint8_t realm, reader.u8("realm"));
  if (realm != static_cast<std::uint8_t>(base::Realm::production) &&
      realm != static_cast<std::uint8_t>(base::Realm::simulated))
    return malformed("realm of a list of holders", "production or simulated", std::to_string(realm));
  out.realm = static_cast<base::Realm>(realm);
  TRY(out.number, reader.u32be("number"));
  TRY(const std::uint16_t count, reader.u16be("number of holders"));
  if (count > kMostHolders) return malformed("number of holders", "at most 1024", std::to_string(count));
  for (std::uint16_t i = 0; i < count; ++i) {
    Holder one;
    TRY(one.node, reader.u32be("node"));
    TRY(one.key, reader.take_array<32>("holder's key"));
    if (one.node >= kMostNodes || (!out.holders.empty() && one <= out.holders.back()))
      return malformed("list of holders", "nodes below 255 and their keys, ascending, each pair once");
    out.holders.push_back(one);
  }
  TRY(auto approval, Approval::read(reader));
  out.signatures = std::move(approval.signatures);
  TRY_OK(reader.finish("list of holders"));
  return out;
}

base::Bytes NodeExport::info() const {
  base::LpWriter out;
  out.lp(kExportTag).u32(node_).raw(holder_).raw(crypto::sha256(epoch_.bytes()));
  return std::move(out).take();
}

base::Bytes NodeExport::unsigned_bytes() const {
  base::LpWriter out;
  out.lp(kExportTag).u32(node_).raw(holder_).lp(epoch_.bytes()).raw(enc_).raw(sealed_);
  return std::move(out).take();
}

base::Bytes NodeExport::bytes() const {
  base::LpWriter out;
  out.raw(unsigned_bytes()).raw(signature_);
  return std::move(out).take();
}

Result<NodeExport> NodeExport::seal(const Epoch& epoch, std::uint32_t node, const base::FixedBytes<32>& holder,
                                    const Recovered& recovered, const crypto::Ed25519PrivateKey& key) {
  NodeExport out{epoch};
  out.node_ = node;
  out.holder_ = holder;
  crypto::Secret plain{2 * kSecretBytes};
  const crypto::Secret share = recovered.share.big_endian();
  std::ranges::copy(recovered.seed.reveal(), plain.writable().begin());
  std::ranges::copy(share.reveal(), plain.writable().begin() + kSecretBytes);
  TRY(const auto sealed, crypto::hpke_seal(holder, out.info(), {}, plain.reveal()), "holder's key");
  out.enc_ = sealed.enc;
  std::ranges::copy(sealed.ciphertext, out.sealed_.begin());
  out.signature_ = key.sign(out.unsigned_bytes());
  return out;
}

Result<NodeExport> NodeExport::parse(ByteView bytes) {
  base::Reader reader{bytes};
  TRY_OK(expect_tag(reader, kExportTag, "export of a node", "attestry node export --out FILE"));
  TRY(const std::uint32_t node, reader.u32be("node"));
  TRY(const auto holder, reader.take_array<32>("holder's key"));
  TRY(const ByteView epoch_bytes, reader.lp("epoch", kMostEpoch));
  TRY(Epoch epoch, Epoch::parse(epoch_bytes));
  NodeExport out{std::move(epoch)};
  out.node_ = node;
  out.holder_ = holder;
  TRY(out.enc_, reader.take_array<32>("encapsulated key"));
  TRY(out.sealed_, reader.take_array<80>("sealed seed and share"));
  TRY(out.signature_, reader.take_array<64>("node's signature"));
  TRY_OK(reader.finish("export of a node"));
  return out;
}

Status NodeExport::check(base::Realm realm, std::span<const base::FixedBytes<32>> operators, std::size_t needed) const {
  if (epoch_.plan.realm != realm) {
    return Error{Code::realm_mismatch, "export of " + name_of(node_), std::string{to_text(realm)},
                 std::string{to_text(epoch_.plan.realm)}};
  }
  const Member* self = epoch_.plan.find(node_);
  if (self == nullptr || !crypto::ed25519_verify(self->signing_key, unsigned_bytes(), signature_)) {
    return Error{Code::evidence_false, "export of " + name_of(node_),
                 "the signature of that member of epoch " + std::to_string(epoch_.plan.epoch), "another"};
  }
  TRY_OK(epoch_.approval.check(epoch_.plan, operators, needed));
  return epoch_.certificate.check(epoch_.plan, epoch_.outcome);
}

Result<Recovered> NodeExport::open(const crypto::Secret& holder_private) const {
  const auto plain = crypto::hpke_open(holder_private, enc_, info(), {}, sealed_);
  if (!plain || plain->size() != 2 * kSecretBytes) {
    return Error{Code::wrong_key, "export of " + name_of(node_), "the private key of its holder " + base::hex(holder_),
                 "another one, or an export that was changed", "take the key that this export was made for"};
  }
  TRY(Scalar share, Scalar::from_big_endian(plain->reveal().subspan(kSecretBytes)), "share in an export");
  Recovered out{crypto::Secret::copy_of(plain->reveal().first(kSecretBytes)), std::move(share)};
  TRY(const auto key, Node::signing_key_of(out.seed));
  const Member* self = epoch_.plan.find(node_);
  if (self == nullptr || self->signing_key != key.public_key()) {
    return Error{Code::evidence_false, name_of(node_) + ": the seed in its export", "this node's", "another's"};
  }
  if (!epoch_.outcome.commitments().holds(node_, out.share)) {
    return Error{Code::evidence_false, name_of(node_) + ": the share in its export",
                 "its share of epoch " + std::to_string(epoch_.plan.epoch), "another, or one of another epoch"};
  }
  return out;
}

namespace {

/// What a node keeps of the list under which it has exported last.
struct LastList {
  std::uint32_t number = 0;
  base::Digest32 digest{};
};

template <class Txn>
Result<std::optional<LastList>> last_list(Txn& txn) {
  TRY(const auto stored, txn.get(holders_key()));
  if (!stored) return std::optional<LastList>{};
  TRY(base::Reader reader, state::open_value(*stored, kVersion, "last list of holders"));
  LastList out;
  TRY(out.number, reader.u32be("number"));
  TRY(out.digest, reader.take_array<32>("digest"));
  TRY_OK(reader.finish("last list of holders"));
  return std::optional{out};
}

}  // namespace

Result<std::uint32_t> last_holders(const state::Store& store) {
  TRY(const auto view, store.read());
  TRY(const auto last, last_list(*view));
  return last ? last->number : 0U;
}

/// Node's friend: all that this file does to a node.
class Recovery {
 public:
  static Result<NodeExport> take(Node& node, const crypto::Secret& seed, const Holders& holders,
                                 const base::FixedBytes<32>& holder, audit::Log* log) {
    TRY_OK(may_take(node, seed, holders, holder));
    TRY(auto holding, node.holding());
    if (holding.epoch->plan.cluster != holders.cluster) {
      return Error{Code::denied, "list of holders", "the cluster of this node", "another's"};
    }
    const Epoch& epoch = *holding.epoch;
    TRY(NodeExport out,
        NodeExport::seal(epoch, node.id(), holder, {seed.clone(), std::move(holding.share)}, node.signing_));
    TRY_OK(node.write([&](state::WriteTxn& txn) -> Status {
      TRY_OK(note_list(txn, holders));
      return leaf(txn, log, "node.export", node.store_, out);
    }));
    return out;
  }

  static Status put(const NodeExport& from, const Recovered& recovered, const NodeOptions& options, state::Store& store,
                    const state::SealedValues& sealed, audit::Log* log) {
    if (options.id != from.node()) {
      return Error{Code::usage, "export of a node", name_of(options.id), name_of(from.node()),
                   "Take the export of this folder's node, or init a folder with --id " + std::to_string(from.node())};
    }
    TRY_OK(from.check(options.realm, options.operators, options.operators_needed));
    return Node::restore(options, recovered.seed, from.epoch(), recovered.share, store, sealed,
                         [&](state::WriteTxn& txn) { return leaf(txn, log, "node.import", store, from); });
  }

 private:
  static Status may_take(const Node& node, const crypto::Secret& seed, const Holders& holders,
                         const base::FixedBytes<32>& holder) {
    TRY(const auto key, Node::signing_key_of(seed));
    if (key.public_key() != node.signing_key()) return Error{Code::usage, "seed of " + name_of(node.id())};
    if (holders.realm != node.options_.realm) {
      return Error{Code::realm_mismatch, "list of holders", std::string{to_text(node.options_.realm)},
                   std::string{to_text(holders.realm)}};
    }
    TRY_OK(holders.check(node.options_.operators, node.options_.operators_needed));
    if (holders.has(node.id(), holder)) return base::done();
    return Error{Code::denied, "export of " + name_of(node.id()), "a holder that operators have approved for it",
                 base::hex(holder), "let the operators sign a list of holders with this node and key"};
  }

  /// An older list may have a holder that operators have taken out since, and so may another one of the same number.
  static Status note_list(state::WriteTxn& txn, const Holders& list) {
    TRY(const auto last, last_list(txn));
    if (last && list.number < last->number) {
      return Error{Code::conflict, "list of holders", "number " + std::to_string(last->number) + " or later",
                   std::to_string(list.number), "take the newest list that the operators have signed"};
    }
    const base::Digest32 digest = crypto::sha256(approved(list));
    if (last && list.number == last->number && digest != last->digest) {
      return Error{Code::conflict, "list of holders " + std::to_string(list.number),
                   "the list under which this node has exported", "another one of the same number",
                   "Sign the list anew with a greater --number: which of the two is the newer one nobody can tell."};
    }
    return txn.put(holders_key(), state::value(kVersion).u32(list.number).raw(digest).bytes());
  }

  static Status leaf(state::WriteTxn& txn, audit::Log* log, std::string_view type, const state::Store& store,
                     const NodeExport& what) {
    if (log == nullptr) return base::done();
    audit::Leaf out;
    out.type = type;
    out.realm = what.epoch().plan.realm;
    out.audience = log->origin();
    out.time = store.now();
    out.epoch = what.epoch().plan.epoch;
    out.reply = base::hex(crypto::sha256(what.bytes()));
    TRY([[maybe_unused]] const auto index, log->append(txn, out));
    return base::done();
  }
};

Result<NodeExport> export_node(Node& node, const crypto::Secret& seed, const Holders& holders,
                               const base::FixedBytes<32>& holder, audit::Log* log) {
  return Recovery::take(node, seed, holders, holder, log);
}

Status import_node(const NodeExport& from, const Recovered& recovered, const NodeOptions& options, state::Store& store,
                   const state::SealedValues& sealed, audit::Log* log) {
  return Recovery::put(from, recovered, options, store, sealed, log);
}

}  // namespace attestry::cluster
