#include "app/resting.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace attestry::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A private mapping of a file, as a loader makes one: four pages of 'a', all of them present.
class Mapped {
 public:
  explicit Mapped(int protection) : size_{4 * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))} {
    std::string name = testing::TempDir() + "mapped-XXXXXX";
    const int file = ::mkstemp(name.data());
    ::unlink(name.c_str());
    const std::string content(size_, 'a');
    EXPECT_EQ(::write(file, content.data(), size_), static_cast<ssize_t>(size_));
    at_ = static_cast<char*>(::mmap(nullptr, size_, protection, MAP_PRIVATE | MAP_POPULATE, file, 0));
    ::close(file);
  }
  ~Mapped() { ::munmap(at_, size_); }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;

  void protect(int protection) { ASSERT_EQ(::mprotect(at_, size_, protection), 0); }
  char* at() { return at_; }
  /// KiB that are mapped into this process now.
  int resident() const {
    std::ifstream file{"/proc/self/smaps"};
    char heading[32];
    std::snprintf(heading, sizeof heading, "%lx-", reinterpret_cast<unsigned long>(at_));
    bool here = false;
    for (std::string line; std::getline(file, line);) {
      here = here || line.starts_with(heading);
      if (here && line.starts_with("Rss:")) return std::atoi(line.c_str() + 4);
    }
    return -1;
  }

 private:
  std::size_t size_;
  char* at_;
};

TEST(GiveBackCode, PagesOfFilesGoAndComeBackAsTheyWere) {
  Mapped code{PROT_READ | PROT_EXEC};
  Mapped constants{PROT_READ};
  ASSERT_EQ(code.resident(), 16);
  ASSERT_EQ(constants.resident(), 16);
  EXPECT_GE(give_back_code(), 2u * 16 * 1024);
  EXPECT_EQ(code.resident(), 0);
  EXPECT_EQ(constants.resident(), 0);
  EXPECT_EQ(*code.at(), 'a');
  EXPECT_EQ(*constants.at(), 'a');
}

// A debugger's breakpoint, a relocation in code: the page is no longer the file's, and would be lost.
TEST(GiveBackCode, WhatWasChangedStays) {
  Mapped code{PROT_READ | PROT_EXEC};
  code.protect(PROT_READ | PROT_WRITE);
  *code.at() = 'b';
  code.protect(PROT_READ | PROT_EXEC);
  give_back_code();
  EXPECT_EQ(*code.at(), 'b');
}

TEST(GiveBackCode, WhatMayBeWrittenIsLeftAlone) {
  Mapped data{PROT_READ | PROT_WRITE};
  give_back_code();
  EXPECT_EQ(data.resident(), 16);
}

/// What the kernel says of one mapping, as far as it matters.
std::string said_of(const std::string& heading, const std::string& fields) {
  return heading + " 00001000 fe:01 123                        /usr/lib/libssl.so.3\nRss:                  16 kB\n" +
         fields + "VmFlags: rd mr mw me\n";
}

std::vector<CodeMapping> unchanged(const std::string& text) {
  std::istringstream smaps{text};
  return unchanged_code(smaps);
}

// A page of relocations that the kernel has put into swap is no present one, and just as much lost.
TEST(UnchangedCode, HasNoChangedPageInMemoryAndNoneInSwap) {
  const std::string clean = "Anonymous:             0 kB\nSwap:                  0 kB\nSwapPss:               0 kB\n";
  const std::vector<CodeMapping> code{{0x5000, 0x7000}};
  EXPECT_EQ(unchanged(said_of("5000-7000 r-xp", clean)), code);
  EXPECT_EQ(unchanged(said_of("5000-7000 r--p", clean)), code);
  EXPECT_TRUE(unchanged(said_of("5000-7000 rw-p", clean)).empty());
  EXPECT_TRUE(unchanged(said_of("5000-7000 r--s", clean)).empty());
  EXPECT_TRUE(unchanged(said_of("5000-7000 r--p", "Anonymous:             4 kB\nSwap: 0 kB\n")).empty());
  EXPECT_TRUE(unchanged(said_of("5000-7000 r--p", "Anonymous: 0 kB\nSwap:                 16 kB\n")).empty());
  EXPECT_TRUE(unchanged(said_of("5000-7000 r--p", "Anonymous: 0 kB\nSwap:                 10 kB\n")).empty());
}

TEST(UnchangedCode, IsNothingOfWhichTheKernelDoesNotSayBoth) {
  EXPECT_TRUE(unchanged(said_of("5000-7000 r--p", "Swap: 0 kB\n")).empty());
  EXPECT_TRUE(unchanged(said_of("5000-7000 r--p", "Anonymous: 0 kB\nSwapPss: 0 kB\n")).empty());
  EXPECT_TRUE(unchanged(said_of("5000-7000 r--p", "Anonymous: 0 kB\nSwap:\n")).empty());
  // The next mapping's words are not of this one.
  EXPECT_EQ(unchanged(said_of("5000-7000 r--p", "Anonymous: 0 kB\n") +
                      said_of("8000-9000 r--p", "Anonymous: 0 kB\nSwap: 0 kB\n")),
            (std::vector<CodeMapping>{{0x8000, 0x9000}}));
}

TEST(Resting, BeginsOnceAfterStartAndOnceAfterEachWork) {
  Resting resting;
  EXPECT_FALSE(resting.begins(milliseconds{40}, seconds{5}));
  EXPECT_TRUE(resting.begins(milliseconds{44}, seconds{5}));
  EXPECT_FALSE(resting.begins(milliseconds{48}, seconds{5}));
  EXPECT_FALSE(resting.begins(milliseconds{148}, seconds{5}));
  EXPECT_FALSE(resting.begins(milliseconds{248}, seconds{5}));
  EXPECT_TRUE(resting.begins(milliseconds{252}, seconds{5}));
  EXPECT_FALSE(resting.begins(milliseconds{256}, seconds{5}));
}

}  // namespace
}  // namespace attestry::app
