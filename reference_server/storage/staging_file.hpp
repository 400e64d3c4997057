#pragma once

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/storage/storage_error.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>

namespace dmrp::server {

/// A sparse file in memory in which a program makes a file system. It costs what is written to it.
class StagingFile {
 public:
  /// A file of `length` zero octets.
  static StorageResult<StagingFile> Make(std::uint64_t length);

  [[nodiscard]] int Descriptor() const { return file_.Get(); }
  /// A path to the file for this process.
  [[nodiscard]] std::filesystem::path Path() const;
  /// How many octets were written, in whole pages.
  [[nodiscard]] StorageResult<std::uint64_t> WrittenOctets() const;

  /// Called with an offset and octets; an error ends the walk.
  using Visit = std::function<StorageResult<void>(std::uint64_t, std::span<const std::byte>)>;
  /// Gives what was written, in ascending order, in pieces of at most a mebibyte whose borders are multiples
  /// of 4096 or the end of the file.
  StorageResult<void> ForEachWritten(const Visit& visit) const;

 private:
  StagingFile(FileDescriptor file, std::uint64_t length) : file_(std::move(file)), length_(length) {}

  FileDescriptor file_;
  std::uint64_t length_;
};

}  // namespace dmrp::server
