#include "protocol/rpc/server.hpp"

#include "protocol/rpc/pdu_stream.hpp"
#include "protocol/rpc/server_session.hpp"
#include "protocol/rpc/worker_pool.hpp"

#include <condition_variable>
#include <map>
#include <mutex>
#include <unordered_map>

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

}  // namespace

class Server::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(IoPool::Impl& pool, ServerOptions options)
      : pool_(pool),
        options_(std::move(options)),
        workers_(options_.limits.workers, options_.limits.queued_calls) {
    std::array<std::byte, 4> seed{};
    NtlmEnvironment::System().random(seed);
    next_group_ = OctetReader(seed).U32();
  }

  void Register(const SyntaxId& interface, Interface entry) {
    const std::lock_guard lock(mutex_);
    interfaces_.insert_or_assign(interface, std::move(entry));
  }
  void Unregister(const SyntaxId& interface) {
    const std::lock_guard lock(mutex_);
    interfaces_.erase(interface);
  }
  void SetResolver(InterfaceResolver resolver) {
    const std::lock_guard lock(mutex_);
    resolver_ = std::move(resolver);
  }

  Result<Endpoint> Listen(const Endpoint& endpoint);
  Result<void> Stop(milliseconds timeout);
  void Disconnect(std::uint64_t id);

  [[nodiscard]] std::size_t connection_count() const {
    const std::lock_guard lock(mutex_);
    return connections_.size();
  }
  [[nodiscard]] const ServerOptions& options() const { return options_; }
  WorkerPool& workers() { return workers_; }

  std::optional<Interface> FindInterface(const SyntaxId& id) {
    InterfaceResolver resolver;
    {
      const std::lock_guard lock(mutex_);
      if (auto found = interfaces_.find(id); found != interfaces_.end()) {
        return found->second;
      }
      resolver = resolver_;
    }
    return resolver ? resolver(id) : std::nullopt;
  }

  std::optional<std::uint32_t> JoinGroup(std::uint32_t requested, const std::string& host) {
    const std::lock_guard lock(mutex_);
    if (requested == 0) {
      while (next_group_ == 0 || groups_.contains(next_group_)) {
        ++next_group_;
      }
      requested = next_group_++;
      groups_[requested] = {host, 0};
    }
    auto found = groups_.find(requested);
    if (found == groups_.end() || found->second.host != host) {
      return std::nullopt;
    }
    ++found->second.connections;
    return requested;
  }

  void Remove(std::uint64_t id, std::uint32_t group);

 private:
  class Connection;
  struct Listener {
    explicit Listener(const Strand& strand) : strand(strand), acceptor(strand) {}
    Strand strand;
    Tcp::acceptor acceptor;
  };
  struct Group {
    std::string host;
    std::size_t connections = 0;
  };

  void Accept(const std::shared_ptr<Listener>& listener);
  void Admit(Tcp::socket socket, const Strand& strand);
  std::vector<std::shared_ptr<Connection>> Connections() const;

  IoPool::Impl& pool_;
  const ServerOptions options_;
  WorkerPool workers_;

  mutable std::mutex mutex_;
  std::condition_variable emptied_;  ///< of connections or listeners
  bool stopping_ = false;
  bool stopped_ = false;
  std::unordered_map<SyntaxId, Interface> interfaces_;
  InterfaceResolver resolver_;
  std::vector<std::shared_ptr<Listener>> listeners_;
  std::map<std::uint64_t, std::shared_ptr<Connection>> connections_;
  std::map<std::uint32_t, Group> groups_;
  std::uint32_t next_group_ = 1;
};

class Server::Impl::Connection final : public ServerSession::Host,
                                       public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Impl> server, const Strand& strand, Tcp::socket socket)
      : server_(std::move(server)),
        strand_(strand),
        timer_(strand),
        id_(NextConnectionId()),
        local_(LocalOf(socket)),
        peer_(PeerOf(socket)),
        session_(*this, server_->options(), NtlmOptions(server_->options()), NtlmEnvironment::System(),
                 local_, peer_, id_) {
    boost::system::error_code ignored;
    socket.set_option(Tcp::no_delay(true), ignored);
    if (server_->options().tcp_keep_alive) {
      SetKeepAlive(socket);
    }
    stream_ = std::make_shared<PduStream>(std::move(socket));
  }

  void Start() {
    asio::post(strand_, [self = shared_from_this()] {
      self->AwaitHandshake();
      self->stream_->Start({.pdu = [self](Bytes pdu) { self->OnPdu(std::move(pdu)); },
                            .closed = [self](const Error& error) { self->OnClosed(error); }});
    });
  }

  [[nodiscard]] std::uint64_t id() const { return id_; }

  // ServerSession::Host
  std::optional<Interface> FindInterface(const SyntaxId& id) override { return server_->FindInterface(id); }
  std::optional<std::uint32_t> JoinGroup(std::uint32_t requested) override {
    auto group = server_->JoinGroup(requested, peer_.host);
    group_ = group.value_or(0);
    return group;
  }
  void Send(Bytes pdu, std::span<const std::byte> clear_stub) override {
    if (observing()) {
      Report(Frame::Direction::kSent, pdu, clear_stub);
    }
    stream_->Send(std::move(pdu));
    if (stream_->unsent() > server_->options().limits.unsent_octets) {
      stream_->CloseNow(Error{ErrorKind::kLimit, 0, "the client does not read its replies"});
    }
  }
  void Dispatch(std::uint64_t ticket, Interface entry, CallContext call, Bytes stub) override {
    auto task = [self = shared_from_this(), ticket, entry = std::move(entry), call = std::move(call),
                 stub = std::move(stub)]() mutable {
      tl::expected<Bytes, std::uint32_t> result = tl::unexpected(nca_s_fault_unspec);
      const auto after = std::make_shared<AfterReply>();
      call.after_reply = after;
      try {
        result = entry.handler(call, std::move(stub));
      } catch (const std::exception&) {
        // A handler's defect ends its call, not the server.
      }
      asio::post(self->strand_, [self, ticket, after, result = std::move(result)]() mutable {
        self->session_.Reply(ticket, std::move(result));
        self->AwaitNext();
        self->RunAfterReply(*after);
      });
    };
    if (!server_->workers().Submit(std::move(task))) {
      // Not from inside the session's own dispatch.
      asio::post(strand_, [self = shared_from_this(), ticket] {
        self->session_.Reply(ticket, tl::unexpected(nca_s_server_too_busy));
      });
    }
  }
  void Close(std::string reason) override {
    stream_->CloseAfterFlush(Error{ErrorKind::kMalformed, 0, std::move(reason)});
  }
  void Refused(std::string reason) override { Tell(reason); }
  [[nodiscard]] bool observing() const override {
    return static_cast<bool>(server_->options().frame_observer);
  }
  void Observe(std::span<const std::byte> pdu, std::span<const std::byte> clear_stub) override {
    Report(Frame::Direction::kReceived, pdu, clear_stub);
  }

  void RefuseCalls() {
    asio::post(strand_, [self = shared_from_this()] { self->session_.RefuseCalls(); });
  }
  void End(bool at_once) {
    asio::post(strand_, [self = shared_from_this(), at_once] {
      const Error reason{ErrorKind::kUnavailable, 0, "the server closed the connection"};
      if (at_once) {
        self->stream_->CloseNow(reason);
      } else {
        self->stream_->CloseAfterFlush(reason, false);
      }
    });
  }

 private:
  static Endpoint LocalOf(const Tcp::socket& socket) {
    boost::system::error_code ignored;
    return ToEndpoint(socket.local_endpoint(ignored));
  }
  static Endpoint PeerOf(const Tcp::socket& socket) {
    boost::system::error_code ignored;
    return ToEndpoint(socket.remote_endpoint(ignored));
  }
  static NtlmAcceptorOptions NtlmOptions(const ServerOptions& options) {
    NtlmAcceptorOptions ntlm;
    ntlm.netbios_computer = options.netbios_computer;
    ntlm.netbios_domain = options.netbios_domain;
    ntlm.dns_computer = options.dns_computer;
    ntlm.dns_domain = options.dns_domain;
    ntlm.timestamp = options.challenge_timestamp;
    ntlm.allow_anonymous = options.allow_anonymous;
    return ntlm;
  }

  void RunAfterReply(AfterReply& after) {
    if (auto work = after.Take(); !work.empty()) {
      const auto run = [work = std::move(work)] {
        for (const auto& item : work) {
          item();
        }
      };
      // A pool that has ended belongs to a server that stops; its work must not vanish silently all the same.
      if (!server_->workers().Submit(run)) {
        run();
      }
    }
  }

  void OnPdu(Bytes pdu) {
    session_.OnPdu(std::move(pdu));
    AwaitNext();
  }

  void OnClosed(const Error& error) {
    closed_ = true;
    if (error.kind != ErrorKind::kUnavailable) {
      Tell(error.message);
    }
    timer_.cancel();
    session_.CancelAll();
    server_->Remove(id_, group_);
  }

  void Tell(const std::string& reason) const {
    if (server_->options().trouble_observer) {
      server_->options().trouble_observer(id_, peer_, reason);
    }
  }

  void AwaitHandshake() {
    handshaking_ = true;
    CloseAt(server_->options().handshake_timeout, "the handshake took too long");
  }

  void AwaitNext() {
    if (closed_) {
      return;
    }
    if (!session_.settled()) {
      if (!handshaking_) {
        AwaitHandshake();
      }
      return;
    }
    handshaking_ = false;
    const milliseconds idle = server_->options().idle_timeout;
    if (idle.count() > 0 && session_.calls() == 0) {
      CloseAt(idle, "idle");
    } else {
      timer_.cancel();
    }
  }

  void CloseAt(milliseconds delay, const char* reason) {
    timer_.expires_after(delay);
    timer_.async_wait([self = shared_from_this(), reason](boost::system::error_code error) {
      if (!error && !self->closed_) {
        self->stream_->CloseNow(Error{ErrorKind::kTimeout, 0, reason});
      }
    });
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
    server_->options().frame_observer(frame);
  }

  std::shared_ptr<Impl> server_;
  Strand strand_;
  asio::steady_timer timer_;
  std::uint64_t id_;
  Endpoint local_;
  Endpoint peer_;
  std::shared_ptr<PduStream> stream_;
  ServerSession session_;
  std::uint32_t group_ = 0;
  bool handshaking_ = false;
  bool closed_ = false;
};

Result<Endpoint> Server::Impl::Listen(const Endpoint& endpoint) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(endpoint.host, error);
  if (error) {
    return Fail(ErrorKind::kUsage, fmt::format("{} is no numeric address", endpoint.host));
  }
  const Tcp::endpoint wanted(address, endpoint.port);
  auto listener = std::make_shared<Listener>(asio::make_strand(pool_.context));
  Tcp::acceptor& acceptor = listener->acceptor;
  acceptor.open(wanted.protocol(), error);
  if (!error) {
    acceptor.set_option(asio::socket_base::reuse_address(true), error);
  }
  if (!error) {
    acceptor.bind(wanted, error);
  }
  if (!error) {
    acceptor.listen(asio::socket_base::max_listen_connections, error);
  }
  if (error) {
    return FailErrno(fmt::format("listening on {}", endpoint.ToString()), error.value());
  }
  const Endpoint bound = ToEndpoint(acceptor.local_endpoint());
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      return Fail(ErrorKind::kUsage, "the server has been stopped");
    }
    listeners_.push_back(listener);
  }
  asio::post(listener->strand, [self = shared_from_this(), listener] { self->Accept(listener); });
  return bound;
}

void Server::Impl::Accept(const std::shared_ptr<Listener>& listener) {
  const Strand strand = asio::make_strand(pool_.context);
  listener->acceptor.async_accept(
      strand, asio::bind_executor(listener->strand, [self = shared_from_this(), listener, strand](
                                                        boost::system::error_code error, Tcp::socket socket) {
        if (!listener->acceptor.is_open()) {
          return;
        }
        if (!error) {
          self->Admit(std::move(socket), strand);
        }
        if (error == asio::error::no_descriptors) {
          // Trying again at once would spin until a descriptor is free.
          auto pause = std::make_shared<asio::steady_timer>(listener->strand, std::chrono::milliseconds(100));
          return pause->async_wait([self, listener, pause](boost::system::error_code) {
            if (listener->acceptor.is_open()) {
              self->Accept(listener);
            }
          });
        }
        self->Accept(listener);
      }));
}

void Server::Impl::Admit(Tcp::socket socket, const Strand& strand) {
  std::shared_ptr<Connection> connection;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || connections_.size() >= options_.limits.connections) {
      return;
    }
  }
  connection = std::make_shared<Connection>(shared_from_this(), strand, std::move(socket));
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      return;
    }
    connections_.emplace(connection->id(), connection);
  }
  connection->Start();
}

void Server::Impl::Remove(std::uint64_t id, std::uint32_t group) {
  std::shared_ptr<Connection> keep;  // Let go of outside the lock.
  const std::lock_guard lock(mutex_);
  if (auto found = connections_.find(id); found != connections_.end()) {
    keep = std::move(found->second);
    connections_.erase(found);
  }
  if (auto found = groups_.find(group); found != groups_.end() && --found->second.connections == 0) {
    groups_.erase(found);
  }
  if (connections_.empty()) {
    emptied_.notify_all();
  }
}

std::vector<std::shared_ptr<Server::Impl::Connection>> Server::Impl::Connections() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Connection>> all;
  all.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) {
    all.push_back(connection);
  }
  return all;
}

void Server::Impl::Disconnect(std::uint64_t id) {
  for (const auto& connection : Connections()) {
    if (connection->id() == id) {
      connection->End(true);
    }
  }
}

Result<void> Server::Impl::Stop(milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  std::vector<std::shared_ptr<Listener>> listeners;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) {
      return {};
    }
    stopping_ = true;
    listeners = listeners_;
  }
  for (const auto& listener : listeners) {
    asio::post(listener->strand, [self = shared_from_this(), listener] {
      boost::system::error_code ignored;
      listener->acceptor.close(ignored);
      const std::lock_guard lock(self->mutex_);
      std::erase(self->listeners_, listener);
      self->emptied_.notify_all();
    });
  }
  for (const auto& connection : Connections()) {
    connection->RefuseCalls();
  }
  const bool idle = workers_.AwaitIdle(deadline);
  for (const auto& connection : Connections()) {
    connection->End(!idle);
  }
  {
    std::unique_lock lock(mutex_);
    emptied_.wait(lock, [this] { return connections_.empty() && listeners_.empty(); });
    stopped_ = true;
    interfaces_.clear();
    resolver_ = nullptr;
  }
  workers_.Join();
  if (idle) {
    return {};
  }
  return Fail(
      ErrorKind::kTimeout,
      fmt::format("{} ms passed awaiting the end of running calls; they were cut off", timeout.count()));
}

Server::Server(IoPool& pool, ServerOptions options)
    : impl_(std::make_shared<Impl>(pool.impl(), std::move(options))) {}
Server::~Server() { (void)Stop(impl_->options().stop_timeout); }

void Server::Register(const SyntaxId& interface, Interface entry) {
  impl_->Register(interface, std::move(entry));
}
void Server::Unregister(const SyntaxId& interface) { impl_->Unregister(interface); }
void Server::SetResolver(InterfaceResolver resolver) { impl_->SetResolver(std::move(resolver)); }
Result<Endpoint> Server::Listen(const Endpoint& endpoint) { return impl_->Listen(endpoint); }
Result<void> Server::Stop(std::chrono::milliseconds timeout) { return impl_->Stop(timeout); }
void Server::Disconnect(std::uint64_t connection_id) { impl_->Disconnect(connection_id); }
std::size_t Server::connection_count() const { return impl_->connection_count(); }

}  // namespace dmrp::rpc
