#include "crash_disk.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>

#include "crash_vfs.h"

namespace attestry::crash {
namespace {

/// A file as this process sees it and what of it is on the disk.
struct Node {
  base::Bytes bytes;
  base::Bytes durable;
};

/// Into the system's cache: that outlives the kill.
base::Status write_through(const std::string& path, base::ByteView bytes) {
  const std::string fresh = path + ".new";
  TRY(const auto file, state::system_files().create(fresh));
  TRY_OK(file->write(bytes));
  return state::system_files().rename(fresh, path);
}

/// Names and contents change in memory; sync() makes contents durable, sync_folder() makes names durable.
class ForgetfulFiles final : public state::Files {
 public:
  base::Result<std::optional<base::Bytes>> read(const std::string& path, std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    const auto found = names_.find(path);
    if (found == names_.end()) return state::system_files().read(path, limit);
    if (!found->second) return std::optional<base::Bytes>{};
    if (found->second->bytes.size() > limit) return base::Error{base::Code::too_large, path};
    return std::optional<base::Bytes>(found->second->bytes);
  }

  base::Result<std::unique_ptr<state::OutputFile>> create(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    auto node = std::make_shared<Node>();
    names_[path] = node;
    return std::unique_ptr<state::OutputFile>(std::make_unique<File>(*this, std::move(node)));
  }

  base::Status rename(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(mutex_);
    const auto found = names_.find(from);
    if (found == names_.end() || !found->second) return base::Error{base::Code::io, "no such file: " + from};
    names_[to] = found->second;
    names_[from] = nullptr;
    return base::done();
  }

  base::Status sync_folder(const std::string& folder) override {
    ++counters().folder_syncs;
    slow_down();
    if (current_options().omit_folder_sync) return base::done();
    const std::lock_guard lock(mutex_);
    for (auto it = names_.begin(); it != names_.end();) {
      const auto slash = it->first.rfind('/');
      if (it->first.substr(0, slash) != folder) {
        ++it;
        continue;
      }
      if (it->second) TRY_OK(write_through(it->first, it->second->durable));
      if (!it->second) std::remove(it->first.c_str());
      // A name whose content is on the disk needs no memory any more.
      if (!it->second || it->second->durable == it->second->bytes) {
        it = names_.erase(it);
      } else {
        ++it;
      }
    }
    return base::done();
  }

 private:
  class File final : public state::OutputFile {
   public:
    File(ForgetfulFiles& owner, std::shared_ptr<Node> node) : owner_(owner), node_(std::move(node)) {}
    base::Status write(base::ByteView bytes) override {
      const std::lock_guard lock(owner_.mutex_);
      base::append(node_->bytes, bytes);
      return base::done();
    }
    base::Status sync() override {
      ++counters().file_syncs;
      slow_down();
      const std::lock_guard lock(owner_.mutex_);
      if (!current_options().omit_file_sync) node_->durable = node_->bytes;
      return base::done();
    }

   private:
    ForgetfulFiles& owner_;
    std::shared_ptr<Node> node_;
  };

  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Node>> names_;  ///< null: removed
};

[[noreturn]] void bad_environment(const char* name) {
  std::fprintf(stderr, "crash disk: %s makes no sense\n", name);
  std::exit(2);
}

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  if (text == nullptr) return otherwise;
  char* end = nullptr;
  const std::uint64_t out = std::strtoull(text, &end, 10);
  if (end == text || *end != '\0') bad_environment(name);
  return out;
}

}  // namespace

Options& current_options() {
  static Options options;
  return options;
}

Counters& counters() {
  static Counters out;
  return out;
}

void slow_down() {
  if (current_options().sync_delay.count() > 0) std::this_thread::sleep_for(current_options().sync_delay);
}

bool leaks() {
  if (current_options().leak_percent == 0) return false;
  static std::mutex mutex;
  static std::mt19937_64 generator(current_options().leak_seed);
  const std::lock_guard lock(mutex);
  return generator() % 100 < current_options().leak_percent;
}

Options options_from_environment() {
  Options out;
  std::string_view omit = std::getenv("ATTESTRY_CRASH_OMIT") == nullptr ? "" : std::getenv("ATTESTRY_CRASH_OMIT");
  while (!omit.empty()) {
    const std::string_view word = omit.substr(0, omit.find(','));
    omit.remove_prefix(std::min(omit.size(), word.size() + 1));
    bool& flag = word == "database" ? out.omit_database_sync
                 : word == "file"   ? out.omit_file_sync
                 : word == "folder" ? out.omit_folder_sync
                                    : (bad_environment("ATTESTRY_CRASH_OMIT"), out.omit_file_sync);
    flag = true;
  }
  out.sync_delay = std::chrono::milliseconds(number_from("ATTESTRY_CRASH_SYNC_MS", 0));
  out.leak_percent = static_cast<unsigned>(number_from("ATTESTRY_CRASH_LEAK_PERCENT", 0));
  out.leak_seed = number_from("ATTESTRY_CRASH_LEAK_SEED", 1);
  return out;
}

state::Files& install(const Options& options) {
  static ForgetfulFiles files;
  current_options() = options;
  register_vfs();
  return files;
}

}  // namespace attestry::crash
