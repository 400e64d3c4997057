// Images for the tests of this folder, made with partitioning programs.
#pragma once

#include "harness/layout/reader_internal.hpp"

#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>

namespace dmrp::harness {

/// A folder that goes away with the test.
class ImageTest : public ::testing::Test {
 protected:
  ImageTest() {
    std::string pattern = ::testing::TempDir() + "layout-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~ImageTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  /// A sparse raw file of zeros.
  std::filesystem::path Blank(std::uint64_t size, const std::string& name = "disk.img") const {
    const std::filesystem::path path = folder_ / name;
    std::ofstream(path).flush();
    std::filesystem::resize_file(path, size);
    return path;
  }
  /// Feeds a partitioning program; $DISK in the command is the image.
  void Shell(const std::filesystem::path& image, const std::string& command) const {
    const auto output = internal::RunProgram(
        {"sh", "-ec", "export DISK='" + image.string() + "' PATH=$PATH:/sbin:/usr/sbin; " + command});
    ASSERT_TRUE(output.has_value()) << output.error().ToString();
    ASSERT_EQ(output->exit_status, 0) << output->out << output->err;
  }
  /// Primary partitions 1 (active) and 2 (extended) with logical drives 5 and 6, gap between them.
  std::filesystem::path MbrDisk(const std::string& name = "mbr.img") const {
    std::filesystem::path image = Blank(64 << 20, name);
    Shell(image,
          R"(printf 'label: dos\nlabel-id: 0x12345678\nstart=63,size=20000,type=7,bootable\n)"
          R"(start=20480,size=60000,type=5\nstart=20543,size=8000,type=6\nstart=30000,size=8000,type=b\n')"
          R"( | sfdisk -q "$DISK")");
    return image;
  }
  /// Partition 1 "Däta" with attributes, and partition 3.
  std::filesystem::path GptDisk(const std::string& name = "gpt.img") const {
    std::filesystem::path image = Blank(64 << 20, name);
    Shell(
        image,
        R"(sgdisk -U 11111111-2222-3333-4444-555555555555 -n 1:2048:18431 -t 1:0700 -c 1:Däta )"
        R"(-A 1:set:0 -A 1:set:63 -u 1:aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee -n 3:18432:26623 -t 3:ef00 "$DISK")");
    return image;
  }
  /// Writes octets over a place of an image.
  void Poke(const std::filesystem::path& image, std::uint64_t offset,
            std::initializer_list<int> octets) const {
    std::fstream file(image, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    for (int octet : octets) file.put(static_cast<char>(octet));
    ASSERT_TRUE(file.good());
  }
  /// Zeros over records of the NTFS volume that lies at `volume` octets and has units of `unit`.
  void EraseMasterFileTable(const std::filesystem::path& image, std::uint64_t volume, unsigned unit,
                            unsigned first = 0, unsigned count = 16) const {
    // The table's first unit stands at octet 48 of the boot sector.
    const std::string table = "$(od -An -tu8 -N8 -j" + std::to_string(volume + 48) + " $DISK)";
    const std::string place =
        "$((" + std::to_string(volume + 1024 * first) + " + " + table + " * " + std::to_string(unit) + "))";
    Shell(image, "dd if=/dev/zero of=$DISK bs=1K oflag=seek_bytes conv=notrunc status=none seek=" + place +
                     " count=" + std::to_string(count));
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace dmrp::harness
