#include "reference_server/objects/error_store.hpp"

#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

constexpr std::int32_t kStale = -100;
constexpr std::int32_t kBusy = -200;
using Texts = std::vector<std::u16string>;

TEST(ErrorStore, GivesAClientItsOwnMessagesForTheCodeOnce) {
  ErrorStore store;
  store.Record(1, kStale, u"mine");
  store.Record(2, kStale, u"another client's");
  store.Record(1, kBusy, u"another code");
  EXPECT_EQ(store.Take({.hr = kStale, .client = 1}), Texts{u"mine"});
  EXPECT_EQ(store.Take({.hr = kStale, .client = 1}), Texts{});
  EXPECT_EQ(store.Take({.hr = kBusy, .client = 1}), Texts{u"another code"});
}

TEST(ErrorStore, GivesMessagesOfEveryClientWhenAsked) {
  ErrorStore store;
  store.Record(1, kStale, u"one");
  store.Record(2, kStale, u"two");
  EXPECT_EQ(store.Take({.hr = kStale, .client = 3, .every_client = true}), (Texts{u"one", u"two"}));
  EXPECT_EQ(store.Take({.hr = kStale, .client = 1}), Texts{});
}

TEST(ErrorStore, KeepsMessagesWhenAsked) {
  ErrorStore store;
  store.Record(1, kStale, u"text");
  EXPECT_EQ(store.Take({.hr = kStale, .client = 1, .keep = true}), Texts{u"text"});
  EXPECT_EQ(store.Take({.hr = kStale, .client = 1}), Texts{u"text"});
}

TEST(ErrorStore, ForgetsTheOldestBeyondItsCapacity) {
  ErrorStore store(2);
  store.Record(1, kStale, u"first");
  store.Record(1, kStale, u"second");
  store.Record(1, kStale, u"third");
  EXPECT_EQ(store.Take({.hr = kStale, .client = 1}), (Texts{u"second", u"third"}));
}

}  // namespace
}  // namespace dmrp::server
