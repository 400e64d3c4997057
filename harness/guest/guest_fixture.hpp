// What tests that boot real guests stand on.
#pragma once

#include "harness/guest/guest.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::harness {

class GuestTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto factory = GuestFactory::Create(DefaultGuestSettings());
    ASSERT_TRUE(factory.has_value()) << factory.error().message;
    factory_ = std::move(*factory);
    auto made = factory_->PrepareTemplate("pc");
    ASSERT_TRUE(made.has_value()) << made.error().message;
    std::printf("acceleration %s (%s), network %s, template %s\n",
                factory_->acceleration().accelerator.c_str(), factory_->acceleration().reason.c_str(),
                std::string(Name(factory_->network().kind())).c_str(), *made ? "made" : "found");
  }
  static void TearDownTestSuite() { factory_.reset(); }

  static GuestOptions Bare() {
    GuestOptions options;
    options.start_server = false;
    return options;
  }
  static Guest Started(const GuestOptions& options) {
    auto guest = factory_->Start(options);
    if (!guest) {
      ADD_FAILURE() << guest.error().ToString();
      std::abort();
    }
    const auto ms = [](std::chrono::microseconds time) { return static_cast<double>(time.count()) / 1000; };
    std::printf("%s: running after %.0f ms, agent %.0f ms, ready %.0f ms\n", guest->name().c_str(),
                ms(guest->times().running), ms(guest->times().agent), ms(guest->times().ready));
    return std::move(*guest);
  }
  static DiskImage Disk(std::string_view text) {
    auto spec = ParseDiskSpec(text);
    EXPECT_TRUE(spec.has_value()) << spec.error().message;
    auto image = CreateDiskImage(*spec, factory_->directory());
    EXPECT_TRUE(image.has_value()) << image.error().message;
    return *image;
  }
  static std::string Shell(Guest& guest, const std::string& script) {
    auto output = guest.agent().Shell(script);
    EXPECT_TRUE(output.has_value()) << output.error().message;
    return output.value_or("");
  }
  static inline std::unique_ptr<GuestFactory> factory_;
};

}  // namespace dmrp::harness
