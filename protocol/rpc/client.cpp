#include "protocol/rpc/client.hpp"

#include "protocol/rpc/client_session.hpp"
#include "protocol/rpc/pdu_stream.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <fmt/format.h>

namespace dmrp::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Tcp = asio::ip::tcp;
using Strand = asio::strand<asio::io_context::executor_type>;

/// How long the far side of the strand may lag behind a call's own deadline.
constexpr milliseconds kSchedulingSlack{30'000};

/// A value that another thread sets once.
template <typename T>
class Slot {
 public:
  void Set(T value) {
    const std::lock_guard lock(mutex_);
    value_ = std::move(value);
    set_.notify_all();
  }
  std::optional<T> Await(steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    set_.wait_until(lock, deadline, [this] { return value_.has_value(); });
    return std::move(value_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable set_;
  std::optional<T> value_;
};

/// One attempt to connect: resolves, tries every address, gives up at the deadline. Runs on its strand.
class Connector : public std::enable_shared_from_this<Connector> {
 public:
  using Outcome = Result<std::shared_ptr<Tcp::socket>>;

  Connector(Strand strand, Endpoint peer, std::string local_address, milliseconds timeout)
      : strand_(strand),
        peer_(std::move(peer)),
        local_address_(std::move(local_address)),
        timeout_(timeout),
        resolver_(strand),
        timer_(strand) {}

  void Start() {
    timer_.expires_after(timeout_);
    timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error) {
        self->Finish(Fail(ErrorKind::kTimeout, fmt::format("{} ms passed awaiting a TCP connection to {}",
                                                           self->timeout_.count(), self->peer_.ToString())));
      }
    });
    resolver_.async_resolve(
        peer_.host, std::to_string(peer_.port),
        [self = shared_from_this()](boost::system::error_code error, Tcp::resolver::results_type results) {
          if (error) {
            return self->Finish(
                Fail(ErrorKind::kUnavailable,
                     fmt::format("cannot resolve {}: {}", self->peer_.host, error.message())));
          }
          for (const auto& entry : results) {
            self->addresses_.push_back(entry.endpoint());
          }
          self->TryNext("it has no address");
        });
  }

  Slot<Outcome>& outcome() { return outcome_; }

 private:
  void TryNext(const std::string& why) {
    if (finished_) {
      return;
    }
    if (addresses_.empty()) {
      return Finish(
          Fail(ErrorKind::kUnavailable, fmt::format("cannot connect to {}: {}", peer_.ToString(), why)));
    }
    const Tcp::endpoint address = addresses_.front();
    addresses_.pop_front();
    socket_ = std::make_shared<Tcp::socket>(strand_);
    boost::system::error_code error;
    socket_->open(address.protocol(), error);
    if (!error && !local_address_.empty()) {
      const auto local = asio::ip::make_address(local_address_, error);
      if (!error) {
        socket_->bind({local, 0}, error);
      }
    }
    if (error) {
      return TryNext(error.message());
    }
    socket_->async_connect(address, [self = shared_from_this()](boost::system::error_code failure) {
      if (failure) {
        return self->TryNext(failure.message());
      }
      self->Finish(self->socket_);
    });
  }

  void Finish(Outcome outcome) {
    if (finished_) {
      return;
    }
    finished_ = true;
    timer_.cancel();
    resolver_.cancel();
    boost::system::error_code ignored;
    if (!outcome && socket_) {
      socket_->close(ignored);
    }
    socket_.reset();
    outcome_.Set(std::move(outcome));
  }

  Strand strand_;
  Endpoint peer_;
  std::string local_address_;
  milliseconds timeout_;
  Tcp::resolver resolver_;
  asio::steady_timer timer_;
  std::deque<Tcp::endpoint> addresses_;
  std::shared_ptr<Tcp::socket> socket_;
  bool finished_ = false;
  Slot<Outcome> outcome_;
};

}  // namespace

class ClientConnection::Impl final : public ClientSession::Host, public std::enable_shared_from_this<Impl> {
 public:
  Impl(IoPool::Impl& pool, Strand strand, Tcp::socket socket, ConnectOptions options)
      : pool_(pool),
        strand_(strand),
        options_(std::move(options)),
        id_(NextConnectionId()),
        session_(*this, options_, NtlmEnvironment::System()) {
    boost::system::error_code ignored;
    local_ = ToEndpoint(socket.local_endpoint(ignored));
    peer_ = ToEndpoint(socket.remote_endpoint(ignored));
    socket.set_option(Tcp::no_delay(true), ignored);
    if (options_.tcp_keep_alive) {
      SetKeepAlive(socket);
    }
    stream_ = std::make_shared<PduStream>(std::move(socket));
  }

  void Start() {
    asio::post(strand_, [self = shared_from_this()] {
      self->stream_->Start({.pdu = [self](Bytes pdu) { self->session_.OnPdu(std::move(pdu)); },
                            .closed = [self](Error error) { self->OnClosed(std::move(error)); }});
    });
  }

  // ClientSession::Host
  void Send(Bytes octets, std::span<const std::byte> clear_stub) override {
    Publish();  // Whoever sees the effect of a request must see what the bind before it settled.
    if (observing()) {
      Report(Frame::Direction::kSent, octets, clear_stub);
    }
    stream_->Send(std::move(octets));
  }
  void Unmatched(Bytes pdu) override {
    const std::lock_guard lock(mutex_);
    if (unmatched_.size() >= kMaxUnmatched) {
      unmatched_.pop_front();
    }
    unmatched_.push_back(std::move(pdu));
    changed_.notify_all();
  }
  void Close(const Error& reason) override {
    MarkClosed(reason);
    stream_->CloseAfterFlush(reason, false);
  }
  [[nodiscard]] bool observing() const override { return static_cast<bool>(options_.frame_observer); }
  void Observe(std::span<const std::byte> pdu, std::span<const std::byte> clear_stub) override {
    Report(Frame::Direction::kReceived, pdu, clear_stub);
  }

  void Submit(ClientSession::Request request, const CallOptions& options) {
    asio::post(strand_, [self = shared_from_this(), request = std::move(request), options]() mutable {
      self->SubmitOnStrand(std::move(request), options);
    });
  }

  void CloseFromOutside() {
    asio::post(strand_, [self = shared_from_this()] {
      self->stream_->CloseNow(Error{ErrorKind::kUnavailable, 0, "the connection was closed by this side"});
    });
  }

  /// Waits until no callback can come any more. Not from a pool thread, which would wait for itself.
  void AwaitQuiet() {
    if (pool_.OnPoolThread()) {
      return;
    }
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kSchedulingSlack, [this] { return quiet_; });
  }

  void SendOctets(Bytes octets) {
    asio::post(strand_, [self = shared_from_this(), octets = std::move(octets)]() mutable {
      self->Send(std::move(octets), {});
    });
  }

  Result<Bytes> ReceivePdu(milliseconds timeout) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [this] { return closed_ || !unmatched_.empty(); });
    if (!unmatched_.empty()) {
      Bytes pdu = std::move(unmatched_.front());
      unmatched_.pop_front();
      return pdu;
    }
    if (closed_) {
      return tl::unexpected(end_);
    }
    return Fail(ErrorKind::kTimeout,
                fmt::format("{} ms passed awaiting a PDU from {}", timeout.count(), peer_.ToString()));
  }

  Result<void> AwaitClose(milliseconds timeout) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, timeout, [this] { return quiet_; })) {
      return {};
    }
    return Fail(ErrorKind::kTimeout, fmt::format("{} ms passed awaiting that {} closes the connection",
                                                 timeout.count(), peer_.ToString()));
  }

  [[nodiscard]] bool closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
  }
  [[nodiscard]] Negotiated negotiated() const {
    const std::lock_guard lock(mutex_);
    return negotiated_;
  }
  [[nodiscard]] const ConnectOptions& options() const { return options_; }
  [[nodiscard]] const Endpoint& local() const { return local_; }
  [[nodiscard]] const Endpoint& peer() const { return peer_; }
  [[nodiscard]] std::uint64_t id() const { return id_; }

 private:
  static constexpr std::size_t kMaxUnmatched = 1024;

  /// A call from Submit to its end.
  struct Pending {
    explicit Pending(const Strand& strand) : timer(strand) {}

    std::uint64_t ticket = 0;
    bool ended = false;
    bool cancelled = false;
    asio::steady_timer timer;
    steady_clock::time_point deadline;
    std::optional<std::stop_callback<std::function<void()>>> on_stop;
  };

  void SubmitOnStrand(ClientSession::Request request, const CallOptions& options) {
    auto pending = std::make_shared<Pending>(strand_);
    const milliseconds timeout = options.timeout.value_or(options_.call_timeout);
    pending->deadline = steady_clock::now() + timeout;
    request.done = [this, pending, done = std::move(request.done)](Result<Bytes> result) {
      Publish();
      pending->ended = true;
      pending->timer.cancel();
      pending->on_stop.reset();
      done(std::move(result));
    };
    pending->ticket = session_.Submit(std::move(request));
    if (pending->ended) {
      return;
    }
    Arm(pending, pending->deadline, [timeout](const std::string& what) {
      return Error{ErrorKind::kTimeout, 0, fmt::format("{} ms passed awaiting {}", timeout.count(), what)};
    });
    if (options.cancel.stop_possible()) {
      // The stop may come from any thread, and at once.
      pending->on_stop.emplace(options.cancel, [self = shared_from_this(), pending = std::weak_ptr(pending),
                                                grace = options.cancel_grace] {
        asio::post(self->strand_, [self, pending, grace] {
          if (auto call = pending.lock()) {
            self->CancelOnStrand(call, grace);
          }
        });
      });
    }
  }

  void CancelOnStrand(const std::shared_ptr<Pending>& pending, milliseconds grace) {
    if (pending->ended || pending->cancelled) {
      return;
    }
    pending->cancelled = true;
    session_.Cancel(pending->ticket);
    if (pending->ended) {
      return;
    }
    Arm(pending, std::min(pending->deadline, steady_clock::now() + grace), [grace](const std::string& what) {
      return Error{ErrorKind::kFault, nca_s_fault_cancel,
                   fmt::format("cancelled, and {} ms passed awaiting {}", grace.count(), what)};
    });
  }

  void Arm(const std::shared_ptr<Pending>& pending, steady_clock::time_point deadline,
           std::function<Error(const std::string&)> error) {
    pending->timer.expires_at(deadline);
    pending->timer.async_wait([self = shared_from_this(), pending, error](boost::system::error_code failure) {
      if (failure || pending->ended) {
        return;
      }
      self->session_.Abandon(pending->ticket, error(self->session_.Awaiting(pending->ticket)));
    });
  }

  void OnClosed(Error error) {
    MarkClosed(error);
    session_.OnClosed(std::move(error));
    const std::lock_guard lock(mutex_);
    quiet_ = true;
    changed_.notify_all();
  }

  void MarkClosed(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      closed_ = true;
      end_ = error;
      changed_.notify_all();
    }
  }

  void Publish() {
    const std::lock_guard lock(mutex_);
    negotiated_ = session_.negotiated();
  }

  void Report(Frame::Direction direction, std::span<const std::byte> octets,
              std::span<const std::byte> clear_stub) {
    Frame frame;
    frame.direction = direction;
    frame.time = steady_clock::now();
    frame.local = &local_;
    frame.peer = &peer_;
    frame.connection_id = id_;
    if (auto header = ParseHeader(octets)) {
      frame.packet_type = header->type;
      frame.call_id = header->call_id;
    }
    frame.octets = octets;
    frame.clear_stub = clear_stub;
    options_.frame_observer(frame);
  }

  IoPool::Impl& pool_;
  Strand strand_;
  ConnectOptions options_;
  Endpoint local_;
  Endpoint peer_;
  std::uint64_t id_;
  std::shared_ptr<PduStream> stream_;
  ClientSession session_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool closed_ = false;  // Before the calls learn it, so that whoever sees a call fail sees this as well.
  bool quiet_ = false;   // After they did: no callback can come any more.
  Error end_;
  Negotiated negotiated_;
  std::deque<Bytes> unmatched_;
};

ClientConnection::ClientConnection(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

ClientConnection::~ClientConnection() {
  impl_->CloseFromOutside();
  impl_->AwaitQuiet();
}

Result<std::shared_ptr<ClientConnection>> ClientConnection::Connect(IoPool& pool, const Endpoint& peer,
                                                                    ConnectOptions options) {
  if (options.max_fragment < kMinFragment) {
    return Fail(ErrorKind::kUsage, fmt::format("max_fragment {} is below 2048", options.max_fragment));
  }
  const Strand strand = asio::make_strand(pool.impl().context);
  auto connector = std::make_shared<Connector>(strand, peer, options.local_address, options.connect_timeout);
  asio::post(strand, [connector] { connector->Start(); });
  auto outcome = connector->outcome().Await(steady_clock::now() + options.connect_timeout + kSchedulingSlack);
  if (!outcome) {
    return Fail(ErrorKind::kUnavailable, "the I/O pool has stopped");
  }
  if (!*outcome) {
    return tl::unexpected(outcome->error());
  }
  auto impl = std::make_shared<Impl>(pool.impl(), strand, std::move(***outcome), std::move(options));
  impl->Start();
  return std::shared_ptr<ClientConnection>(new ClientConnection(std::move(impl)));
}

Result<void> ClientConnection::Bind(const SyntaxId& interface, const CallOptions& options) {
  auto slot = std::make_shared<Slot<Result<Bytes>>>();
  ClientSession::Request request;
  request.interface = interface;
  request.bind_only = true;
  request.done = [slot](Result<Bytes> result) { slot->Set(std::move(result)); };
  impl_->Submit(std::move(request), options);
  const milliseconds timeout = options.timeout.value_or(impl_->options().call_timeout);
  auto result = slot->Await(steady_clock::now() + timeout + options.cancel_grace + kSchedulingSlack);
  if (!result) {
    return Fail(ErrorKind::kUnavailable, "the I/O pool has stopped");
  }
  if (!*result) {
    return tl::unexpected(result->error());
  }
  return {};
}

Result<Bytes> ClientConnection::Call(const SyntaxId& interface, std::uint16_t opnum, Bytes stub,
                                     std::optional<Guid> object, const CallOptions& options) {
  auto slot = std::make_shared<Slot<Result<Bytes>>>();
  CallAsync(interface, opnum, std::move(stub), object, options,
            [slot](Result<Bytes> result) { slot->Set(std::move(result)); });
  const milliseconds timeout = options.timeout.value_or(impl_->options().call_timeout);
  auto result = slot->Await(steady_clock::now() + timeout + options.cancel_grace + kSchedulingSlack);
  if (!result) {
    return Fail(ErrorKind::kUnavailable, "the I/O pool has stopped");
  }
  return std::move(*result);
}

void ClientConnection::CallAsync(const SyntaxId& interface, std::uint16_t opnum, Bytes stub,
                                 std::optional<Guid> object, const CallOptions& options, Done done) {
  ClientSession::Request request;
  request.interface = interface;
  request.opnum = opnum;
  request.object = object;
  request.stub = std::move(stub);
  request.misbehaviour = options.misbehaviour;
  request.done = std::move(done);
  impl_->Submit(std::move(request), options);
}

void ClientConnection::Close() { impl_->CloseFromOutside(); }
bool ClientConnection::IsOpen() const { return !impl_->closed(); }
const Endpoint& ClientConnection::local() const { return impl_->local(); }
const Endpoint& ClientConnection::peer() const { return impl_->peer(); }
std::uint64_t ClientConnection::id() const { return impl_->id(); }
const Security& ClientConnection::security() const { return impl_->options().security; }
ClientConnection::Negotiated ClientConnection::negotiated() const { return impl_->negotiated(); }

Result<void> ClientConnection::SendOctets(Bytes octets) {
  if (impl_->closed()) {
    return Fail(ErrorKind::kUnavailable, "the connection is closed");
  }
  impl_->SendOctets(std::move(octets));
  return {};
}
Result<Bytes> ClientConnection::ReceivePdu(milliseconds timeout) { return impl_->ReceivePdu(timeout); }
Result<void> ClientConnection::AwaitClose(milliseconds timeout) { return impl_->AwaitClose(timeout); }

}  // namespace dmrp::rpc
