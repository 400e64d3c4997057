#include "protocol/rpc/io_pool.hpp"

#include "protocol/rpc/io_pool_impl.hpp"

#include <algorithm>
#include <atomic>

#include <netinet/tcp.h>
#include <sys/socket.h>

namespace dmrp::rpc {

IoPool::IoPool(unsigned threads) : impl_(std::make_unique<Impl>()) {
  for (unsigned i = 0; i < std::max(threads, 1U); ++i) {
    impl_->threads.emplace_back([impl = impl_.get()] { impl->context.run(); });
  }
}

IoPool::~IoPool() {
  impl_->work.reset();
  impl_->context.stop();
  for (auto& thread : impl_->threads) {
    thread.join();
  }
}

Endpoint ToEndpoint(const asio::ip::tcp::endpoint& endpoint) {
  auto address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  return {address.to_string(), endpoint.port()};
}

void SetKeepAlive(asio::ip::tcp::socket& socket) {
  constexpr int kIdleSeconds = 60;
  constexpr int kIntervalSeconds = 10;
  constexpr int kProbes = 3;
  boost::system::error_code ignored;
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  const int handle = socket.native_handle();
  setsockopt(handle, IPPROTO_TCP, TCP_KEEPIDLE, &kIdleSeconds, sizeof kIdleSeconds);
  setsockopt(handle, IPPROTO_TCP, TCP_KEEPINTVL, &kIntervalSeconds, sizeof kIntervalSeconds);
  setsockopt(handle, IPPROTO_TCP, TCP_KEEPCNT, &kProbes, sizeof kProbes);
}

std::uint64_t NextConnectionId() {
  static std::atomic<std::uint64_t> next{1};
  return next.fetch_add(1);
}

}  // namespace dmrp::rpc
