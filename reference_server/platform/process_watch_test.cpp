#include "reference_server/platform/process_watch.hpp"

#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

using std::chrono::steady_clock;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

class ProcessWatchTest : public testing::Test {
 protected:
  ~ProcessWatchTest() override {
    for (const pid_t pid : children_) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
  }
  pid_t Start() {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (;;) ::pause();
    }
    children_.push_back(pid);
    return pid;
  }
  static steady_clock::time_point Soon() { return steady_clock::now() + std::chrono::seconds(20); }

  std::vector<pid_t> children_;
};

TEST_F(ProcessWatchTest, SeesEachEndOnce) {
  const pid_t first = Start();
  const pid_t second = Start();
  EXPECT_THAT(OtherProcesses(), Contains(first));
  EXPECT_THAT(OtherProcesses(), Not(Contains(::getpid())));
  ProcessWatch watch({first, second});
  ::kill(second, SIGKILL);
  EXPECT_TRUE(watch.AwaitEnd(Soon()));
  EXPECT_THAT(watch.Left(), ElementsAre(first));
  EXPECT_FALSE(watch.AwaitEnd(steady_clock::now())) << "nobody else ended";
  watch.Signal(SIGTERM);
  EXPECT_TRUE(watch.AwaitEnd(Soon()));
  EXPECT_THAT(watch.Left(), IsEmpty());
  EXPECT_FALSE(watch.AwaitEnd(Soon())) << "nobody is left to wait for";
}

TEST_F(ProcessWatchTest, DoesNotWaitForWhoIsGone) {
  const pid_t gone = Start();
  ::kill(gone, SIGKILL);
  ::waitpid(gone, nullptr, 0);
  children_.clear();
  ProcessWatch watch({gone});
  EXPECT_THAT(watch.Left(), IsEmpty());
}

}  // namespace
}  // namespace dmrp::server
