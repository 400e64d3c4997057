// Objects, accounts and runtimes for the tests of this folder.
#pragma once

#include "protocol/dcom/runtime.hpp"
#include "protocol/ndr/reader.hpp"
#include "protocol/ndr/writer.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace dmrp::dcom::testing {

inline constexpr Guid kEchoClass{0x0e0e0001, 1, 1, {1, 1, 1, 1, 1, 1, 1, 1}};
inline constexpr Guid IID_IEcho{0x0e0e0002, 1, 1, {1, 1, 1, 1, 1, 1, 1, 1}};
inline constexpr Guid IID_IOther{0x0e0e0003, 1, 1, {1, 1, 1, 1, 1, 1, 1, 1}};
inline constexpr Guid IID_ISink{0x0e0e0004, 1, 1, {1, 1, 1, 1, 1, 1, 1, 1}};
inline constexpr Guid IID_INowhere{0x0e0e00ff, 1, 1, {1, 1, 1, 1, 1, 1, 1, 1}};

inline constexpr std::chrono::seconds kDeadline{20};

/// A thing that happens once or more, to be waited for.
class Event {
 public:
  void Set() {
    const std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  /// True once Set was called `times` times; false when that did not happen in time.
  [[nodiscard]] bool Wait(int times = 1) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [&] { return count_ >= times; });
  }
  [[nodiscard]] int count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

/// An object whose interfaces are functions given by the test.
class TestObject : public Object {
 public:
  TestObject& With(const Guid& iid, Dispatch dispatch) {
    interfaces_.emplace_back(iid, std::move(dispatch));
    return *this;
  }
  Dispatch QueryInterface(const Guid& iid) override {
    for (const auto& [known, dispatch] : interfaces_) {
      if (known == iid) return dispatch;
    }
    return nullptr;
  }
  void OnUnreferenced(Unreferenced reason) override {
    {
      const std::lock_guard lock(mutex_);
      why_ = reason;
    }
    unreferenced.Set();
  }
  [[nodiscard]] std::optional<Unreferenced> why() {
    const std::lock_guard lock(mutex_);
    return why_;
  }

  Event unreferenced;

 private:
  std::vector<std::pair<Guid, Dispatch>> interfaces_;
  std::mutex mutex_;
  std::optional<Unreferenced> why_;
};

/// Answers the in-parameters as they came, and S_OK.
inline DispatchResult Echo(CallContext& /*call*/, std::uint16_t opnum, std::span<const std::byte> stub) {
  constexpr std::uint16_t kEchoOpnum = 3;
  if (opnum != kEchoOpnum) return tl::unexpected(nca_s_op_rng_error);
  Bytes reply(stub.begin(), stub.end());
  reply.resize((reply.size() + 3) & ~std::size_t{3});
  reply.resize(reply.size() + 4);
  return reply;
}

inline std::shared_ptr<TestObject> MakeEcho() {
  auto object = std::make_shared<TestObject>();
  object->With(IID_IEcho, Echo).With(IID_IOther, Echo);
  return object;
}

inline Bytes Octets(std::initializer_list<int> values) {
  Bytes octets;
  for (const int value : values) octets.push_back(static_cast<std::byte>(value));
  return octets;
}

inline const rpc::Credentials kAdmin{
    .user = "admin", .domain = "DMRP", .password = "Secret-1", .workstation = {}};
inline const rpc::Credentials kServerAccount{
    .user = "server", .domain = "DMRP", .password = "Secret-2", .workstation = {}};

inline std::shared_ptr<const rpc::AccountStore> Accounts() {
  std::vector<rpc::Account> accounts;
  for (const rpc::Credentials& who : {kAdmin, kServerAccount}) {
    accounts.push_back({.user = who.user,
                        .domain = who.domain,
                        .nt_hash = rpc::HashPassword(who.password).value(),
                        .groups = {"Administrators"}});
  }
  return rpc::MakeAccountStore(std::move(accounts));
}

/// A clock that stands still until the test moves it.
class ManualClock {
 public:
  [[nodiscard]] std::function<TimePoint()> function() {
    return [this] { return now_.load(); };
  }
  void Advance(std::chrono::seconds by) { now_ = now_.load() + by; }

 private:
  std::atomic<TimePoint> now_{TimePoint{} + std::chrono::hours(1)};
};

inline Options ServerOptions() {
  Options options;
  options.accounts = Accounts();
  options.credentials = kServerAccount;
  options.connect_timeout = std::chrono::seconds(5);
  options.call_timeout = std::chrono::seconds(20);
  return options;
}

inline Options ClientOptions() {
  Options options = ServerOptions();
  options.credentials = kAdmin;
  return options;
}

inline std::unique_ptr<Runtime> StartRuntime(Options options) {
  auto runtime = Runtime::Start(std::move(options));
  if (!runtime) {
    ADD_FAILURE() << runtime.error().ToString();
    return nullptr;
  }
  return std::move(*runtime);
}

/// The error of a result that must have failed.
template <typename T>
Error FailureOf(const Result<T>& result) {
  if (result) {
    ADD_FAILURE() << "succeeded, a failure was expected";
    return {};
  }
  return result.error();
}

}  // namespace dmrp::dcom::testing

/// `result` must hold a value, and `name` becomes it.
#define ASSERT_OK_AND_ASSIGN(name, expression)                                \
  auto name##_result = (expression);                                          \
  ASSERT_TRUE(name##_result.has_value()) << name##_result.error().ToString(); \
  auto& name = *name##_result
