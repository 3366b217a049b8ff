#include "audit/verify.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "audit/internal/records.h"
#include "audit/leaf.h"

namespace attestry::audit {
namespace {

constexpr std::string_view kExportHeader = "attestry-log@v1";
constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

base::Error denied(std::string what, std::string expected = {}, std::string found = {}) {
  return base::Error{base::Code::denied, "log: " + std::move(what), std::move(expected), std::move(found),
                     "This is not the log that was signed: keep it as it is and find out who changed it."};
}

/// Grows the tree leaf by leaf and compares with every head that is known on the way.
class Walk {
 public:
  Walk(const LogTrust& trust, std::vector<TreeHead> known) : trust_(trust), known_(std::move(known)) {
    std::sort(known_.begin(), known_.end(), [](const TreeHead& a, const TreeHead& b) { return a.size < b.size; });
  }

  base::Status start() { return compare(); }

  base::Status add(base::ByteView bytes) {
    const std::string place = "leaf " + std::to_string(frontier_.size());
    TRY(const Leaf leaf, Leaf::parse(base::as_text(bytes)), place);
    if (leaf.audience != trust_.origin) return denied(place + " is for another audience", trust_.origin, leaf.audience);
    if (realm_ && *realm_ != leaf.realm) return denied(place + " is of another realm");
    realm_ = leaf.realm;
    frontier_.append(leaf_hash(bytes));
    return compare();
  }

  base::Status finish() const {
    if (next_ == known_.size()) return base::done();
    return denied("it is shorter than a signed head says", "at least " + std::to_string(known_.back().size) + " leaves",
                  std::to_string(frontier_.size()));
  }

  const Frontier& frontier() const noexcept { return frontier_; }

 private:
  base::Status compare() {
    while (next_ < known_.size() && known_[next_].size == frontier_.size()) {
      if (known_[next_].root != frontier_.root()) {
        return denied("a leaf from " + std::to_string(last_good_) + " on and before " +
                      std::to_string(frontier_.size()) + " is not the one that was signed");
      }
      last_good_ = frontier_.size();
      ++next_;
    }
    return base::done();
  }

  const LogTrust& trust_;
  std::vector<TreeHead> known_;
  std::size_t next_ = 0;
  std::uint64_t last_good_ = 0;
  Frontier frontier_;
  std::optional<base::Realm> realm_;
};

base::Result<Walk> begin(const VerifiedCheckpoint& checkpoint, const LogTrust& trust, std::vector<TreeHead> known) {
  known.push_back(checkpoint.checkpoint.head);
  Walk walk(trust, std::move(known));
  TRY_OK(walk.start());
  return walk;
}

LogReport report(const VerifiedCheckpoint& checkpoint, const Walk& walk) {
  const TreeHead& head = checkpoint.checkpoint.head;
  return {head, checkpoint.witnessed, walk.frontier().size(), walk.frontier().size() - head.size};
}

/// Calls `each` with every leaf in order; a gap in the indices is an error.
base::Status each_leaf(const state::ReadView& store, std::uint64_t limit,
                       const std::function<base::Status(base::ByteView)>& each) {
  base::Status status = base::done();
  std::uint64_t expected = 0;
  const auto visit = [&](base::ByteView key, base::ByteView value) {
    if (expected == limit) return false;
    if (!base::equal(key, leaf_key(expected))) {
      status = denied("leaf " + std::to_string(expected) + " is missing");
      return false;
    }
    const auto leaf = leaf_in(value);
    status = leaf ? each(*leaf) : base::Status(leaf.error());
    ++expected;
    return status.ok();
  };
  TRY_OK(store.scan(leaf_prefix(), {}, kNoLimit, visit));
  return status;
}

}  // namespace

base::Result<LogReport> verify_log(const state::ReadView& store, std::string_view signed_checkpoint,
                                   const LogTrust& trust, const std::vector<TreeHead>& known) {
  TRY(const VerifiedCheckpoint checkpoint, verify_checkpoint(signed_checkpoint, trust));
  TRY(Walk walk, begin(checkpoint, trust, known));
  TRY_OK(
      each_leaf(store, std::numeric_limits<std::uint64_t>::max(), [&](base::ByteView leaf) { return walk.add(leaf); }));
  TRY_OK(walk.finish());
  TRY(const Frontier head, read_head(store));
  if (head.size() != walk.frontier().size() || head.hashes() != walk.frontier().hashes()) {
    return denied("its head row does not fit its leaves", std::to_string(walk.frontier().size()) + " leaves",
                  std::to_string(head.size()));
  }
  return report(checkpoint, walk);
}

base::Result<LogReport> verify_export(std::string_view text, const LogTrust& trust,
                                      const std::vector<TreeHead>& known) {
  const base::Error cut{base::Code::malformed, "log: the export is cut short or of another format",
                        std::string(kExportHeader)};
  if (!text.starts_with(kExportHeader) || !text.substr(kExportHeader.size()).starts_with('\n')) return cut;
  text.remove_prefix(kExportHeader.size() + 1);
  // The checkpoint stands at the end but is needed first. A leaf is never an empty line.
  const auto blank = text.starts_with('\n') ? 0 : text.find("\n\n");
  if (blank == std::string_view::npos) return cut;
  const bool no_leaves = text.starts_with('\n');
  std::string_view leaves = no_leaves ? std::string_view{} : text.substr(0, blank + 1);
  TRY(const VerifiedCheckpoint checkpoint, verify_checkpoint(text.substr(blank + (no_leaves ? 1 : 2)), trust));
  TRY(Walk walk, begin(checkpoint, trust, known));
  while (!leaves.empty()) {
    const auto end = leaves.find('\n');
    TRY_OK(walk.add(base::as_bytes(leaves.substr(0, end))));
    leaves.remove_prefix(end + 1);
  }
  TRY_OK(walk.finish());
  return report(checkpoint, walk);
}

base::Status export_log(const state::ReadView& store, std::string_view signed_checkpoint,
                        const std::function<base::Status(std::string_view)>& write) {
  TRY(const SignedNote note, parse_note(signed_checkpoint));
  TRY(const Checkpoint checkpoint, Checkpoint::parse(note.text));
  TRY_OK(write(std::string(kExportHeader) + "\n"));
  TRY_OK(each_leaf(store, checkpoint.head.size, [&](base::ByteView leaf) -> base::Status {
    TRY_OK(write(base::as_text(leaf)));
    return write("\n");
  }));
  TRY_OK(write("\n"));
  return write(signed_checkpoint);
}

}  // namespace attestry::audit
