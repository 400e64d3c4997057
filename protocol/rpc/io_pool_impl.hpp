// The inside of IoPool, for the runtime's own sources: everything that includes Asio.
#pragma once

#include "protocol/rpc/io_pool.hpp"
#include "protocol/rpc/types.hpp"

#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace dmrp::rpc {

namespace asio = boost::asio;

struct IoPool::Impl {
  asio::io_context context;
  asio::executor_work_guard<asio::io_context::executor_type> work = asio::make_work_guard(context);
  std::vector<std::thread> threads;

  /// Whether the caller is one of the threads: it must not wait for the others then.
  [[nodiscard]] bool OnPoolThread() { return context.get_executor().running_in_this_thread(); }
};

/// The text of an address; IPv4 addresses mapped into IPv6 are written as IPv4.
Endpoint ToEndpoint(const asio::ip::tcp::endpoint& endpoint);
/// Turns on keep-alive probes after a minute's silence, so that a vanished peer is noticed.
void SetKeepAlive(asio::ip::tcp::socket& socket);
/// A number for a connection, unique within the process.
std::uint64_t NextConnectionId();

}  // namespace dmrp::rpc
