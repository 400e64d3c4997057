#include "harness/guest/process.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace dmrp::harness {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string FileText(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Process, PassesItsStatusAndOutput) {
  const auto log = std::filesystem::temp_directory_path() / ("process-test-" + std::to_string(getpid()));
  Launcher launcher;
  auto process =
      launcher.Start({.argv = {"sh", "-c", "echo out; echo err >&2; exit 3"}, .inherit = {}, .log = log});
  ASSERT_TRUE(process.has_value()) << process.error().message;
  const auto status = process->Wait(seconds(10));
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(WEXITSTATUS(*status), 3);
  EXPECT_EQ(FileText(log), "out\nerr\n");
  std::filesystem::remove(log);
}

TEST(Process, AProgramThatDoesNotExistIsASystemError) {
  Launcher launcher;
  const auto process = launcher.Start({.argv = {"/no/such/program"}, .inherit = {}, .log = {}});
  ASSERT_FALSE(process.has_value());
  EXPECT_EQ(process.error().kind, ErrorKind::kSystem);
  EXPECT_EQ(process.error().status, static_cast<std::uint32_t>(ENOENT));
}

TEST(Process, WaitingTooLongIsATimeout) {
  Launcher launcher;
  auto process = launcher.Start({.argv = {"cat", "/dev/zero"}, .inherit = {}, .log = {}});
  ASSERT_TRUE(process.has_value());
  const auto status = process->Wait(milliseconds(20));
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().kind, ErrorKind::kTimeout);
  EXPECT_TRUE(process->running());
  process->Kill();
  EXPECT_FALSE(process->running());
}

TEST(Process, OutlivesTheThreadThatAskedForIt) {
  Launcher launcher;
  Process process;
  std::thread([&] {
    auto started = launcher.Start({.argv = {"cat", "/dev/zero"}, .inherit = {}, .log = {}});
    ASSERT_TRUE(started.has_value());
    process = std::move(*started);
  }).join();
  EXPECT_FALSE(process.Wait(milliseconds(100)).has_value()) << "it must still run";
}

TEST(Process, OnlyNamedDescriptorsAreInherited) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  Launcher launcher;
  auto process = launcher.Start({.argv = {"sh", "-c", "echo hello >&" + std::to_string(writer.Get())},
                                 .inherit = {writer.Get()},
                                 .log = {}});
  ASSERT_TRUE(process.has_value());
  ASSERT_TRUE(process->Wait(seconds(10)).has_value());
  writer.Reset();
  std::array<char, 16> text{};
  EXPECT_EQ(read(reader.Get(), text.data(), text.size()), 6);
}

// The point of it all: a harness that is killed takes its guests along.
TEST(Process, DiesWhenItsParentIsKilled) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  const pid_t harness = fork();
  if (harness == 0) {
    Launcher launcher;
    // The grandchild holds the pipe's write end for as long as it lives.
    auto process = launcher.Start({.argv = {"cat", "/dev/zero"}, .inherit = {ends[1]}, .log = {}});
    const char ready = process ? 'r' : 'x';
    if (write(ends[1], &ready, 1) != 1) {
      _exit(1);
    }
    for (;;) {
      pause();
    }
  }
  writer.Reset();
  char ready = 0;
  ASSERT_EQ(read(reader.Get(), &ready, 1), 1);
  ASSERT_EQ(ready, 'r');
  kill(harness, SIGKILL);
  waitpid(harness, nullptr, 0);
  pollfd polled{reader.Get(), POLLIN, 0};
  ASSERT_EQ(poll(&polled, 1, 10'000), 1) << "the grandchild lives on";
  EXPECT_EQ(read(reader.Get(), &ready, 1), 0) << "end of file: nobody holds the pipe any more";
}

}  // namespace
}  // namespace dmrp::harness
