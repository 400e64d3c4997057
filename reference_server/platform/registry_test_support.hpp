// Hives for tests, what other people's readers find in them, and processes that die at a chosen moment.
#pragma once

#include "reference_server/platform/registry_hive.hpp"
#include "reference_server/platform/sysfs.hpp"

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

namespace dmrp::server {

/// A folder that goes with the object.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "registry_test.XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  [[nodiscard]] const std::filesystem::path& Path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline Bytes Content(const std::filesystem::path& path) {
  EXPECT_TRUE(std::filesystem::exists(path)) << path;
  const std::string text = ReadWholeFile(path);
  const auto octets = std::as_bytes(std::span(text));
  return {octets.begin(), octets.end()};
}

/// Rewrites a file in place, as hivex's own commit does.
inline void WriteInPlace(const std::filesystem::path& path, std::span<const std::byte> octets) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(octets.data()), static_cast<std::streamsize>(octets.size()));
  ASSERT_TRUE(out.flush());
}

/// Runs a Python program with the hive's path as its argument; its output. The test fails when it fails.
inline std::string RunPython(const std::string& program, const std::filesystem::path& argument) {
  const ScratchFolder folder;
  std::ofstream(folder / "program.py") << program;
  const std::string command = fmt::format("PYTHONIOENCODING=utf-8 /usr/bin/python3 {} {} 2>&1",
                                          (folder / "program.py").string(), argument.string());
  std::string output;
  std::FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> part{};
  while (const std::size_t count = std::fread(part.data(), 1, part.size(), pipe))
    output.append(part.data(), count);
  EXPECT_EQ(::pclose(pipe), 0) << output;
  return output;
}

/// "KEY\PATH|VALUE|TYPE|HEX" for every value, sorted, by libhivex through its Python binding.
inline std::string DumpWithHivex(const std::filesystem::path& hive) {
  return RunPython(R"(import hivex, sys
h = hivex.Hivex(sys.argv[1])
lines = []
def walk(node, path):
    for v in h.node_values(node):
        t, data = h.value_value(v)
        lines.append(f'{path}|{h.value_key(v)}|{t}|{data.hex()}')
    for child in h.node_children(node):
        walk(child, path + '\\' + h.node_name(child))
walk(h.root(), '')
print('\n'.join(sorted(lines))))",
                   hive);
}

/// The same by impacket, which shares no code with libhivex.
inline std::string DumpWithImpacket(const std::filesystem::path& hive) {
  return RunPython(R"(import sys
from impacket import winregistry
r = winregistry.Registry(sys.argv[1], False)
lines = []
def walk(key, path):
    if key['NumValues'] > 0:
        for v in r._Registry__getValueBlocks(key['OffsetValueList'], key['NumValues'] + 1):
            name = v['Name'].decode('latin-1') if v['Flag'] > 0 else ''
            data = r._Registry__getValueData(v) or b''
            if isinstance(data, int):
                data = data.to_bytes(4, 'little')
            lines.append(f"{path}|{name}|{v['ValueType']}|{data.hex()}")
    for name in r.enumKey(key):
        below = path + '\\' + name
        walk(r.findKey(below), below)
walk(r.rootKey, '')
print('\n'.join(sorted(lines))))",
                   hive);
}

/// What a process did that ran `work` and was killed at its nth system call: on entry, before the kernel
/// acts, or on return. `calls` are the numbers of the system calls that it completed.
struct Traced {
  bool finished = false;
  std::vector<std::uint64_t> calls;
};

inline Traced RunAndKill(const std::function<void()>& work, std::size_t stops_to_live) {
  Traced traced;
  const pid_t child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    work();
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSTOPPED(status));
  EXPECT_EQ(::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
  std::uint64_t number = 0;
  for (std::size_t stop = 0;; ++stop) {
    if (stop == stops_to_live) ::kill(child, SIGKILL);
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    if (::waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) break;
    __ptrace_syscall_info info{};
    ::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) number = info.entry.nr;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) traced.calls.push_back(number);
  }
  traced.finished = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return traced;
}

}  // namespace dmrp::server
