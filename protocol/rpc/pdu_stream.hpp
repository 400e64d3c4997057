// A TCP connection that carries PDUs: reading them whole, writing them in order, closing it in good order.
#pragma once

#include "protocol/rpc/io_pool_impl.hpp"
#include "protocol/rpc/pdu.hpp"

#include <array>
#include <deque>
#include <functional>
#include <memory>

#include <boost/asio/steady_timer.hpp>

namespace dmrp::rpc {

/// All members run on the strand that is the socket's executor, which is also where the events come.
class PduStream : public std::enable_shared_from_this<PduStream> {
 public:
  struct Events {
    std::function<void(Bytes)> pdu;
    std::function<void(Error)> closed;  ///< once, the last event
  };

  explicit PduStream(asio::ip::tcp::socket socket);

  void Start(Events events);
  void Send(Bytes octets);
  /// Sends what is queued, then closes. With `linger` the peer gets a moment to read it all and to close
  /// first.
  void CloseAfterFlush(Error reason, bool linger = true);
  void CloseNow(Error reason);
  [[nodiscard]] std::size_t unsent() const { return unsent_; }

 private:
  void Read();
  void Write();
  void Flushed();

  asio::ip::tcp::socket socket_;
  asio::steady_timer linger_timer_;
  Events events_;
  PduFramer framer_;
  std::array<std::byte, 16384> buffer_{};
  std::deque<Bytes> queue_;
  std::size_t unsent_ = 0;
  bool writing_ = false;
  bool closing_ = false;  // Nothing more is handed out or accepted for sending.
  bool linger_ = false;
  bool closed_ = false;
  Error reason_;
};

}  // namespace dmrp::rpc
