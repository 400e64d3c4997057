#include "protocol/rpc/pdu_stream.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

namespace dmrp::rpc {

PduStream::PduStream(asio::ip::tcp::socket socket)
    : socket_(std::move(socket)), linger_timer_(socket_.get_executor()) {}

void PduStream::Start(Events events) {
  events_ = std::move(events);
  Read();
}

void PduStream::Read() {
  socket_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](boost::system::error_code error,
                                                                             std::size_t count) {
    if (self->closed_) {
      return;
    }
    if (error) {
      if (self->closing_) {
        return self->CloseNow(self->reason_);
      }
      const bool orderly = error == asio::error::eof;
      return self->CloseNow(Error{
          ErrorKind::kUnavailable, orderly ? 0U : static_cast<std::uint32_t>(error.value()),
          orderly ? "the peer closed the connection" : fmt::format("connection lost: {}", error.message())});
    }
    if (!self->closing_) {
      self->framer_.Feed(std::span<const std::byte>(self->buffer_).first(count));
      while (!self->closed_ && !self->closing_) {
        auto pdu = self->framer_.Next();
        if (!pdu) {
          self->CloseAfterFlush(pdu.error());
          break;
        }
        if (!*pdu) {
          break;
        }
        self->events_.pdu(std::move(**pdu));
      }
    }
    if (!self->closed_) {
      self->Read();
    }
  });
}

void PduStream::Send(Bytes octets) {
  if (closing_ || closed_ || octets.empty()) {
    return;
  }
  unsent_ += octets.size();
  queue_.push_back(std::move(octets));
  if (!writing_) {
    Write();
  }
}

void PduStream::Write() {
  writing_ = true;
  asio::async_write(
      socket_, asio::buffer(queue_.front()),
      [self = shared_from_this()](boost::system::error_code error, std::size_t /*count*/) {
        if (self->closed_) {
          return;
        }
        self->writing_ = false;
        self->unsent_ -= self->queue_.front().size();
        self->queue_.pop_front();
        if (error) {
          return self->CloseNow(Error{ErrorKind::kUnavailable, static_cast<std::uint32_t>(error.value()),
                                      fmt::format("sending failed: {}", error.message())});
        }
        if (!self->queue_.empty()) {
          self->Write();
        } else if (self->closing_) {
          self->Flushed();
        }
      });
}

void PduStream::CloseAfterFlush(Error reason, bool linger) {
  if (closed_ || closing_) {
    return;
  }
  closing_ = true;
  linger_ = linger;
  reason_ = std::move(reason);
  // A peer that does not read must not keep the connection.
  linger_timer_.expires_after(std::chrono::seconds(2));
  linger_timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
    if (!error) {
      self->CloseNow(self->reason_);
    }
  });
  if (!writing_) {
    Flushed();
  }
}

void PduStream::Flushed() {
  // Closing with unread input would reset the connection and could destroy what was just sent, so the peer's
  // end is awaited.
  boost::system::error_code ignored;
  socket_.shutdown(asio::socket_base::shutdown_send, ignored);
  if (!linger_) {
    CloseNow(reason_);
  }
}

void PduStream::CloseNow(Error reason) {
  if (closed_) {
    return;
  }
  closed_ = true;
  closing_ = true;
  linger_timer_.cancel();
  boost::system::error_code ignored;
  socket_.shutdown(asio::socket_base::shutdown_both, ignored);
  socket_.close(ignored);
  // The events hold their receiver; letting go of them ends that. Later, because one of them may be running.
  auto events = std::make_shared<Events>(std::move(events_));
  events_ = {};
  if (events->closed) {
    events->closed(std::move(reason));
  }
  asio::post(socket_.get_executor(), [events] {});
}

}  // namespace dmrp::rpc
