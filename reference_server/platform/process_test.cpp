#include "reference_server/platform/process.hpp"

#include "protocol/base/file_descriptor.hpp"

#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

using std::chrono::steady_clock;
using testing::HasSubstr;

ProcessRequest Shell(const std::string& script) { return {"/bin/sh", {"-c", script}}; }

TEST(Process, GivesOutputAndExitCode) {
  const auto outcome = RunProcess(Shell("echo out; echo err >&2; exit 3"), {});
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(outcome->exitCode, 3);
  EXPECT_FALSE(outcome->Succeeded());
  EXPECT_FALSE(outcome->stopped);
  EXPECT_EQ(outcome->output, "out\nerr\n");
  EXPECT_EQ(outcome->ToString(), "exit code 3: out\nerr");
}

TEST(Process, KeepsTheEndOfALongOutput) {
  const auto outcome = RunProcess(Shell("i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done"), {});
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->Succeeded());
  EXPECT_EQ(outcome->output.size(), 65536U);
  EXPECT_TRUE(outcome->output.ends_with("19998\n19999\n"));
}

TEST(Process, ProgramsAreFoundWhateverPathSays) {
  EXPECT_THAT(FindProgram("mkfs.fat").value().string(), HasSubstr("/mkfs.fat"));
  const auto none = FindProgram("no-such-program");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::kUnavailable);
  const auto outcome = RunProcess({"/usr/sbin/no-such-program", {}}, {});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().status, static_cast<std::uint32_t>(ENOENT));
}

TEST(Process, TheChildHasNoDescriptorsAndNoEnvironmentOfOurs) {
  const FileDescriptor leaky(::open("/dev/zero", O_RDONLY));  // without O_CLOEXEC
  ASSERT_TRUE(leaky);
  const auto listed = RunProcess({"/bin/ls", {"/proc/self/fd"}}, {});
  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->output, "0\n1\n2\n3\n");  // 3 is the folder that ls reads
  const auto variables = RunProcess({"/usr/bin/env", {}}, {});
  ASSERT_TRUE(variables);
  EXPECT_EQ(variables->output, "LC_ALL=C\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n");
}

TEST(Process, ADescriptorIsHandedOn) {
  const FileDescriptor file(::memfd_create("process_test", MFD_CLOEXEC));
  ProcessRequest request = Shell("echo hello > /proc/self/fd/3");
  request.descriptor = file.Get();
  const auto outcome = RunProcess(request, {});
  ASSERT_TRUE(outcome && outcome->Succeeded()) << outcome->ToString();
  std::string text(6, ' ');
  EXPECT_EQ(::pread(file.Get(), text.data(), text.size(), 0), 6);
  EXPECT_EQ(text, "hello\n");
}

TEST(Process, AStopKillsTheWholeGroupAndLeavesNoZombie) {
  // The grandchild holds the other end of a pipe of ours; its end is that of the pipe.
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  ProcessRequest request = Shell("sh -c 'echo ready >&3; exec sleep 1000' & wait");
  request.descriptor = writer.Get();
  std::stop_source stop;
  Result<ProcessOutcome> outcome = Fail(ErrorKind::kUsage, "not run");
  std::thread runner([&] { outcome = RunProcess(request, stop.get_token()); });
  std::string word(6, ' ');
  ASSERT_EQ(::read(reader.Get(), word.data(), word.size()), 6);
  const auto start = steady_clock::now();
  stop.request_stop();
  runner.join();
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(5));
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->stopped);
  EXPECT_EQ(outcome->signal, SIGKILL);
  writer = {};
  pollfd end{reader.Get(), POLLIN, 0};
  ASSERT_EQ(::poll(&end, 1, 10'000), 1) << "a grandchild lives on";
  EXPECT_EQ(::read(reader.Get(), word.data(), word.size()), 0);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(Process, AStopAskedForBeforehandEndsAtOnce) {
  std::stop_source stop;
  stop.request_stop();
  const auto outcome = RunProcess({"/bin/sleep", {"1000"}}, stop.get_token());
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->stopped);
}

}  // namespace
}  // namespace dmrp::server
