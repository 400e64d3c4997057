#include "reference_server/storage/access_path.hpp"

#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

using Folders = std::vector<std::u16string>;

AccessPath Parsed(std::u16string_view path) {
  auto parsed = ParseAccessPath(path);
  EXPECT_TRUE(parsed) << parsed.error().ToString();
  return parsed.value_or(AccessPath{});
}

TEST(AccessPath, NamesItsHostByLetter) {
  for (const std::u16string_view path : {u"d:\\Data\\old", u"D:\\Data\\old\\", u"D:/Data/old/"}) {
    const AccessPath parsed = Parsed(path);
    EXPECT_EQ(parsed.letter, u'D');
    EXPECT_EQ(parsed.volume, std::nullopt);
    EXPECT_EQ(parsed.folders, (Folders{u"Data", u"old"}));
    EXPECT_EQ(parsed.Relative(), u"Data\\old");
  }
  EXPECT_EQ(Parsed(std::u16string_view(u"D:\\x\0", 5)).folders, Folders{u"x"});
}

TEST(AccessPath, NamesItsHostByVolumeName) {
  for (const std::u16string_view path : {u"\\\\?\\Volume{d2d79df5-3400-11d0-b40b-00aa005ff586}\\mnt",
                                         u"\\??\\Volume{D2D79DF5-3400-11d0-b40b-00aa005ff586}\\mnt\\"}) {
    const AccessPath parsed = Parsed(path);
    EXPECT_EQ(parsed.letter, std::nullopt);
    EXPECT_EQ(parsed.volume, Guid::Parse("d2d79df5-3400-11d0-b40b-00aa005ff586").value());
    EXPECT_EQ(parsed.folders, Folders{u"mnt"});
  }
}

TEST(AccessPath, MayNameNoHost) {
  for (const std::u16string_view path : {u"\\dir\\sub", u"dir\\sub", u"dir\\sub\\"}) {
    const AccessPath parsed = Parsed(path);
    EXPECT_EQ(parsed.letter, std::nullopt);
    EXPECT_EQ(parsed.volume, std::nullopt);
    EXPECT_EQ(parsed.folders, (Folders{u"dir", u"sub"}));
  }
  EXPECT_EQ(Parsed(u"ä ö.日本").folders, Folders{u"ä ö.日本"});
}

TEST(AccessPath, WhatCannotBeAFolderIsRefused) {
  const std::u16string long_name(256, u'x');
  std::u16string long_path;
  while (long_path.size() < 32'768) long_path += u"\\folder";
  for (const std::u16string_view path :
       {std::u16string_view(u""),
        std::u16string_view(u"\0", 1),
        std::u16string_view(u"\\"),
        std::u16string_view(u"D:"),
        std::u16string_view(u"D:\\"),
        std::u16string_view(u"D:dir"),
        std::u16string_view(u"1:\\dir"),
        std::u16string_view(u"\\\\server\\share\\x"),
        std::u16string_view(u"D:\\a\\..\\b"),
        std::u16string_view(u".."),
        std::u16string_view(u"D:\\."),
        std::u16string_view(u"D:\\a\\\\b"),
        std::u16string_view(u"D:\\a\\\\"),
        std::u16string_view(u"D:\\a."),
        std::u16string_view(u"D:\\a "),
        std::u16string_view(u"D:\\a*"),
        std::u16string_view(u"D:\\a:stream"),
        std::u16string_view(u"\\\\?\\D:\\a"),
        std::u16string_view(u"D:\\a\0b", 6),
        std::u16string_view(u"D:\\a\0\0", 6),
        std::u16string_view(u"D:\\a\nb"),
        std::u16string_view(long_name),
        std::u16string_view(long_path),
        std::u16string_view(u"\\\\?\\Volume{d2d79df5-3400-11d0-b40b-00aa005ff586}"),
        std::u16string_view(u"\\\\?\\Volume{d2d79df5-3400-11d0-b40b-00aa005ff586}\\"),
        std::u16string_view(u"\\\\?\\Volume{d2d79df5-3400-11d0-b40b-00aa005ff586}x")}) {
    const auto parsed = ParseAccessPath(path);
    ASSERT_FALSE(parsed) << parsed->folders.size();
    EXPECT_EQ(parsed.error().code, MountErrorCode::kBadPath) << parsed.error().ToString();
  }
}

}  // namespace
}  // namespace dmrp::server
