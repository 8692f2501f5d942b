#include "server/http/exchange.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "server/http/request_sizer.hpp"
#include "server/httplib.hpp"

namespace gate::http {
namespace {

struct Answer {
  int status;
  const char* name;
};

constexpr Answer answer_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::BadRequest:
      return {400, "bad_request"};
    case Refusal::UnknownPath:
      return {404, "unknown_path"};
    case Refusal::WrongMethod:
      return {405, "wrong_method"};
    case Refusal::WrongMediaType:
      return {415, "wrong_media_type"};
    case Refusal::LengthRequired:
      return {411, "length_required"};
    case Refusal::BodyTooLarge:
      return {413, "body_too_large"};
    case Refusal::HeadersTooLarge:
      return {431, "headers_too_large"};
    case Refusal::TooSlow:
      return {408, "too_slow"};
    case Refusal::Overloaded:
      return {503, "overloaded"};
    case Refusal::UnknownCaller:
      return {403, "unknown_caller"};
  }
  return {500, "unknown"};
}

const char* phrase_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Other";  // The phrase may be anything; clients read the number.
  }
}

/// Less than this is read through the stream's buffer, which takes more at once.
constexpr std::size_t kSmallRead = 4096;
/// A large body waits this long for room among the others; then its client is told to come again.
constexpr std::chrono::milliseconds kRoomWait{2000};

bool equal_but_case(std::string_view left, std::string_view right) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return left.size() == right.size() &&
         std::equal(left.begin(), left.end(), right.begin(), [&lower](char a, char b) { return lower(a) == lower(b); });
}

constexpr bool is_token(unsigned char byte) {
  if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9')) return true;
  return std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(byte)) != std::string_view::npos;
}

/// Judges each byte of a request's head before the parser has it. Stricter than httplib, which skips or keeps lines
/// that others read differently (RFC 9112, 11.2): bare line feeds, blanks before the colon, folded lines, NUL.
class HeadCheck {
 public:
  explicit HeadCheck(const HttpLimits& limits) : limits_(limits), bytes_left_(limits.header_bytes_max) {}

  /// False if this next byte is wrong; fault() tells why.
  bool accepts(char next) {
    const auto byte = static_cast<unsigned char>(next);
    if (bytes_left_-- == 0 || ++line_bytes_ > limits_.header_line_bytes_max) return fail(Refusal::HeadersTooLarge);
    if (after_cr_) return accepts_special(next);
    if (in_name_) {
      if (!kToken[byte]) return accepts_special(next);
      if (line_bytes_ <= name_.size()) name_.at(line_bytes_ - 1) = next;
      name_bytes_ = line_bytes_;
      return true;
    }
    if (byte < 0x20 || byte == 0x7F) return accepts_special(next);
    blank_value_ = blank_value_ && next == ' ';
    return true;
  }
  [[nodiscard]] Refusal fault() const { return fault_; }

 private:
  bool fail(Refusal fault) {
    fault_ = fault;
    return false;
  }

  bool accepts_special(char byte) {
    if (after_cr_ != (byte == '\n')) return fail(Refusal::BadRequest);
    after_cr_ = byte == '\r';
    const bool line_begins = line_bytes_ == 1;
    if (byte == '\n') {
      // httplib drops a header without a value, as if it were not there; others may not.
      if (blank_value_ && line_bytes_ > 2 && decides_the_length()) return fail(Refusal::BadRequest);
      line_bytes_ = 0;
      in_name_ = true;
      blank_value_ = true;
      // The request line is no header, nor is the empty line at the end.
      return ++lines_ <= limits_.header_count_max + 2 || fail(Refusal::HeadersTooLarge);
    }
    if (!in_name_) return after_cr_ || byte == '\t' || fail(Refusal::BadRequest);
    if (line_begins) return after_cr_ || fail(Refusal::BadRequest);
    in_name_ = false;
    return byte == ':' || fail(Refusal::BadRequest);
  }

  [[nodiscard]] bool decides_the_length() const {
    const std::string_view name(name_.data(), std::min(name_bytes_, name_.size()));
    return equal_but_case(name, "Content-Length") || equal_but_case(name, "Transfer-Encoding");
  }

  static constexpr auto kToken = [] {
    std::array<bool, 256> tokens{};
    for (unsigned int byte = 0; byte < tokens.size(); ++byte) tokens[byte] = is_token(static_cast<unsigned char>(byte));
    return tokens;
  }();

  const HttpLimits& limits_;
  std::size_t bytes_left_;
  std::size_t line_bytes_ = 0;
  std::size_t lines_ = 0;
  std::array<char, 18> name_{};  ///< Of this line's header, as far as it fits.
  std::size_t name_bytes_ = 0;
  bool in_name_ = false;  ///< The first line, the request line, has no name.
  bool blank_value_ = false;
  bool after_cr_ = false;
  Refusal fault_ = Refusal::BadRequest;
};

/// Takes one request from the stream, with every limit in force; its head through httplib, which reads from it. Once a
/// limit is hit it yields nothing any more.
class RequestStream final : public HttplibStream {
 public:
  RequestStream(ConnectionStream& stream, const HttpLimits& limits, Deadline deadline, MemoryReservation& share)
      : stream_(stream), limits_(limits), deadline_(deadline), share_(share), head_(limits) {}

  void refuse(Refusal refusal) {
    if (!refusal_) refusal_ = refusal;
  }
  [[nodiscard]] std::optional<Refusal> refusal() const { return refusal_; }
  [[nodiscard]] bool client_gone() const { return client_gone_; }

  /// Byte by byte while httplib reads the head.
  ssize_t read(char* data, std::size_t size) override {
    if (next_ == end_ && !look_at_more()) return -1;
    const auto count = static_cast<ssize_t>(std::min(size, static_cast<std::size_t>(end_ - next_)));
    for (const char* const stop = next_ + count; next_ != stop; ++next_) {
      if (!head_.accepts(*next_)) {
        refuse(head_.fault());
        next_ = end_;
        return -1;
      }
      *data++ = *next_;
    }
    return count;
  }
  /// The answers that httplib writes are dropped, ours replace them.
  ssize_t write(const char*, std::size_t size) override { return static_cast<ssize_t>(size); }

  /// What httplib has not read stays with the stream.
  void end_head() {
    if (next_ != nullptr) stream_.consume(static_cast<std::size_t>(next_ - stream_.buffered().data()));
    next_ = end_ = nullptr;
  }

  void send_continue() {
    std::string_view line = "HTTP/1.1 100 Continue\r\n\r\n";
    // The answers before it have all been taken, or there would be no reading: where it has no room the client is gone.
    if (stream_.send(line) != Io::Done) client_gone_ = true;
  }

  /// So many bytes of the body: what is large without a stay in the stream's buffer.
  bool read_exactly(char* data, std::size_t size) {
    for (;;) {
      const std::size_t buffered = stream_.buffered().copy(data, size);
      stream_.consume(buffered);
      data += buffered;
      size -= buffered;
      if (size == 0) return true;
      if (size < kSmallRead) {
        if (!note(stream_.fill(deadline_))) return false;
        continue;
      }
      std::size_t got = size;
      if (!note(stream_.read(data, got, deadline_))) return false;
      data += got;
      size -= got;
    }
  }

  /// A chunked body (RFC 9112, 7.1). Sizes are hexadecimal digits and nothing else; extensions and trailers, which
  /// nobody sends, are refused: where readers of the same bytes differ, requests are smuggled.
  bool read_chunks(std::string& body) {
    for (;;) {
      const auto size = read_chunk_size();
      if (!size) return false;
      const std::size_t before = body.size();
      if (*size > limits_.body_bytes_max - before) return fail(Refusal::BodyTooLarge);
      if (before + *size > kGatheredBytesMax && !share_.grow_to(before + *size, std::chrono::steady_clock::now())) {
        return fail(Refusal::Overloaded);
      }
      body.resize(before + *size);
      std::array<char, 2> end{};
      if (!read_exactly(body.data() + before, *size) || !read_exactly(end.data(), end.size())) return false;
      if (end != std::array{'\r', '\n'}) return fail(Refusal::BadRequest);
      if (*size == 0) return true;
    }
  }

 private:
  std::optional<std::size_t> read_chunk_size() {
    std::array<char, 8> digits{};
    for (std::size_t count = 0;; ++count) {
      char byte = 0;
      if (!read_exactly(&byte, 1)) return std::nullopt;
      const bool is_digit =
          (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
      if (is_digit && count < digits.size()) {
        digits.at(count) = byte;
        continue;
      }
      char line_feed = 0;
      if (byte == '\r' && count > 0 && !read_exactly(&line_feed, 1)) return std::nullopt;
      std::size_t size = 0;
      if (line_feed == '\n' && std::from_chars(digits.data(), digits.data() + count, size, 16).ec == std::errc()) {
        return size;
      }
      refuse(Refusal::BadRequest);
      return std::nullopt;
    }
  }

  /// Takes more from the stream into [next_, end_).
  bool look_at_more() {
    if (refusal_ || client_gone_) return false;
    end_head();
    if (stream_.buffered().empty() && !note(stream_.fill(deadline_))) return false;
    begun_ = true;
    next_ = stream_.buffered().data();
    end_ = next_ + stream_.buffered().size();
    return true;
  }

  /// True if the stream did what it should; otherwise keeps why not.
  bool note(Io io) {
    if (io == Io::TimedOut && begun_) {
      refuse(Refusal::TooSlow);
    } else if (io == Io::NoThread) {
      refuse(Refusal::Overloaded);
    } else if (io != Io::Done) {
      client_gone_ = true;  // A client that has not begun a request is idle, not slow.
    }
    return io == Io::Done;
  }

  bool fail(Refusal refusal) {
    refuse(refusal);
    return false;
  }

  ConnectionStream& stream_;
  const HttpLimits& limits_;
  const Deadline deadline_;
  MemoryReservation& share_;
  HeadCheck head_;
  const char* next_ = nullptr;  ///< In the stream's buffer.
  const char* end_ = nullptr;
  bool begun_ = false;
  bool client_gone_ = false;
  std::optional<Refusal> refusal_;
};

std::string without_double_slashes(const std::string& path) {
  std::string single;
  for (const char character : path) {
    if (character != '/' || single.empty() || single.back() != '/') single += character;
  }
  return single;
}

/// "application/json; charset=utf-8" is application/json.
bool is_media_type(std::string_view content_type, std::string_view wanted) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (!content_type.empty() && (content_type.back() == ' ' || content_type.back() == '\t')) {
    content_type.remove_suffix(1);
  }
  return equal_but_case(content_type, wanted);
}

/// host[:port] (RFC 9112, 3.2); which one is none of our business, but what is none is a request of somebody else's.
bool is_host(std::string_view value) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t end = 0;
  if (value.starts_with('[')) {
    end = value.find(']');
    if (end == std::string_view::npos || end < 3) return false;
    const auto in_address = [&](char c) {
      return is_digit(c) || equal_but_case({&c, 1}, "v") || c == ':' || c == '.' || (c >= 'a' && c <= 'f') ||
             (c >= 'A' && c <= 'F');
    };
    if (!std::all_of(value.begin() + 1, value.begin() + static_cast<std::ptrdiff_t>(end), in_address)) return false;
    ++end;
  } else {
    const auto in_name = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             std::string_view("-._~%!$&'()*+,;=").find(c) != std::string_view::npos;
    };
    end = static_cast<std::size_t>(std::find_if_not(value.begin(), value.end(), in_name) - value.begin());
    if (end == 0) return false;
  }
  const auto port = value.substr(end);
  return port.empty() || (port.front() == ':' && std::all_of(port.begin() + 1, port.end(), is_digit));
}

/// Of the origin form, or of the absolute form that proxies send (RFC 9112, 3.2.2); nullopt: neither.
std::optional<std::string> path_of(const std::string& path) {
  if (path.starts_with('/') || path == "*") return path;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (path.size() < scheme.size() || !equal_but_case(std::string_view(path).substr(0, scheme.size()), scheme))
      continue;
    const auto slash = std::min(path.find('/', scheme.size()), path.size());
    if (!is_host(std::string_view(path).substr(scheme.size(), slash - scheme.size()))) return std::nullopt;
    return slash == path.size() ? "/" : path.substr(slash);
  }
  return std::nullopt;
}

/// What a request's headers say about its body.
struct Framing {
  bool valid = true;                  ///< False where two readers of the same bytes could differ: request smuggling.
  std::optional<std::size_t> length;  ///< From Content-Length.
  bool chunked = false;
  bool encoded = false;  ///< Has a Content-Encoding.
  bool expects_continue = false;
  int hosts = 0;
  std::string content_type;
  std::string traceparent;
};

/// Stricter than httplib, which guesses.
Framing framing_of(const httplib::Request& request, bool traced) {
  Framing framing;
  int lengths = 0;
  int traceparents = 0;
  int encodings = 0;
  for (const auto& [name, value] : request.headers) {
    if (equal_but_case(name, "Content-Length")) {
      ++lengths;
      std::size_t length = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
      framing.valid = framing.valid && error == std::errc() && end == value.data() + value.size();
      framing.length = length;
    } else if (equal_but_case(name, "Transfer-Encoding")) {
      ++encodings;
      framing.valid = framing.valid && equal_but_case(value, "chunked");
      framing.chunked = true;
    } else if (equal_but_case(name, "Host")) {
      ++framing.hosts;
      framing.valid = framing.valid && is_host(value);
    } else if (equal_but_case(name, "Content-Type")) {
      framing.content_type = value;
    } else if (equal_but_case(name, "Content-Encoding")) {
      framing.encoded = true;
    } else if (equal_but_case(name, "Expect")) {
      framing.expects_continue = equal_but_case(value, "100-continue");
    } else if (traced && equal_but_case(name, "traceparent")) {
      // Of several none is to be believed (W3C Trace Context, 3.2.1).
      framing.traceparent = ++traceparents == 1 ? value : std::string();
    }
  }
  framing.valid = framing.valid && lengths + encodings <= 1;
  return framing;
}

}  // namespace

const char* name_of(Refusal refusal) { return answer_of(refusal).name; }

Outcome refused(Refusal refusal) {
  const int status = answer_of(refusal).status;
  Outcome outcome;
  outcome.refusal = refusal;
  outcome.reply = {status, "text/plain", std::string(phrase_of(status)) + "\n"};
  return outcome;
}

/// httplib reads the head of each request. What a head says about its body is judged here, and the body taken here, so
/// that there is one reader of message boundaries, and a refused request's body is never read.
class RequestReader::Parser : public HttplibRequestReader {
 public:
  explicit Parser(const Service& service) : service_(service) {
    // Before httplib would route, or read a body.
    set_pre_routing_handler([](const httplib::Request&, httplib::Response&) { return HandlerResponse::Handled; });
  }

  Outcome serve(ConnectionStream& stream, Deadline deadline, const std::function<bool()>& may_wait) {
    MemoryReservation share(service_.body_memory);
    RequestStream request_stream(stream, service_.limits, deadline, share);
    outcome_ = {};
    route_ = nullptr;
    received_ = std::min(std::chrono::steady_clock::now(), deadline - service_.limits.request_max);
    may_wait_ = &may_wait;
    handled_ = false;
    read_request(request_stream, outcome_.peer_closes, [&](httplib::Request& request) {
      framing_ = framing_of(request, service_.handlers.traceparent);
      if (const auto refusal = find_refusal(request)) request_stream.refuse(*refusal);
    });
    request_stream.end_head();
    if (route_ != nullptr && !request_stream.refusal()) take_body(stream, deadline, share, request_stream);
    if (!handled_ && !request_stream.client_gone()) request_stream.refuse(Refusal::BadRequest);
    outcome_.answerable = handled_ || !request_stream.client_gone();
    outcome_.refusal = handled_ ? std::nullopt : request_stream.refusal();
    if (outcome_.refusal && outcome_.refusal != Refusal::UnknownCaller) {
      outcome_.reply = refused(*outcome_.refusal).reply;
    }
    return std::move(outcome_);
  }

 private:
  /// What `path` has behind that of the route; nullopt: it is another path.
  std::optional<std::string_view> rest_behind(const HttpRoute& route, std::string_view path) const {
    if (path == route.path) return std::string_view();
    const std::size_t length = route.path.size();
    if (!service_.handlers.guard || !path.starts_with(route.path) || path[length] != '/') return std::nullopt;
    return path.substr(length + 1);
  }

  /// Sets route_ and query_.
  std::optional<Refusal> find_refusal(const httplib::Request& request) {
    if (!framing_.valid) return Refusal::BadRequest;
    // Before RFC 9112 (3.2) asked for it a request could do without.
    if (framing_.hosts != 1 && (framing_.hosts > 1 || request.version != "HTTP/1.0")) return Refusal::BadRequest;
    const auto of_origin = path_of(request.path);
    if (!of_origin) return Refusal::BadRequest;
    const std::string path = without_double_slashes(*of_origin);
    const auto query = request.target.find('?');
    query_ = query == std::string::npos ? std::string() : request.target.substr(query + 1);
    outcome_.is_head = request.method == "HEAD";
    for (const auto& candidate : service_.routes) {
      const auto rest = rest_behind(candidate, path);
      if (!rest) continue;
      // Who has a GET has a HEAD.
      if (candidate.method == request.method || (outcome_.is_head && candidate.method == "GET")) {
        if (const auto& guard = service_.handlers.guard) {
          if (auto refusal = guard(*rest)) {
            outcome_.reply = std::move(*refusal);
            return Refusal::UnknownCaller;
          }
        }
        route_ = &candidate;
        break;
      }
      outcome_.allow += (outcome_.allow.empty() ? "" : ", ") + candidate.method;
    }
    if (route_ == nullptr) return outcome_.allow.empty() ? Refusal::UnknownPath : Refusal::WrongMethod;
    if (route_->method != "POST") {
      const bool has_body = framing_.chunked || framing_.length.value_or(0) > 0;
      return has_body ? std::optional(Refusal::BadRequest) : std::nullopt;
    }
    if (!is_media_type(framing_.content_type, route_->content_type)) return Refusal::WrongMediaType;
    // A few KB would unpack into gigabytes.
    if (framing_.encoded) return Refusal::WrongMediaType;
    if (framing_.length.value_or(0) > service_.limits.body_bytes_max) return Refusal::BodyTooLarge;
    if (!framing_.length && !framing_.chunked) return Refusal::LengthRequired;
    return std::nullopt;
  }

  /// In the stream's buffer if it has come whole, else in memory of its own.
  void take_body(ConnectionStream& stream, Deadline deadline, MemoryReservation& share, RequestStream& request_stream) {
    if (framing_.expects_continue && stream.buffered().empty()) request_stream.send_continue();
    if (framing_.chunked) {
      std::string body;
      if (request_stream.read_chunks(body)) handle(body, request_stream);
      return;
    }
    const std::size_t length = framing_.length.value_or(0);
    if (stream.buffered().size() >= length) {
      handle(stream.buffered().substr(0, length), request_stream);
      stream.consume(length);
      return;
    }
    if (length > kGatheredBytesMax && !share.grow_to(length, std::chrono::steady_clock::now())) {
      if (!(*may_wait_)() || !share.grow_to(length, std::min(deadline, std::chrono::steady_clock::now() + kRoomWait))) {
        request_stream.refuse(Refusal::Overloaded);
        return;
      }
    }
    // Memory that is not written to yet costs nothing: what is only announced takes none.
    const auto body = std::make_unique_for_overwrite<char[]>(length);
    if (request_stream.read_exactly(body.get(), length)) handle({body.get(), length}, request_stream);
  }

  void handle(std::string_view body, RequestStream& request_stream) {
    const HttpCall call{route_->method, route_->path,        query_, framing_.content_type, body,
                        received_,      framing_.traceparent};
    try {
      if (service_.handlers.quick) {
        if (auto reply = service_.handlers.quick(call)) {
          handled_ = true;
          outcome_.reply = std::move(*reply);
          return;
        }
      }
      if (!(*may_wait_)()) {
        request_stream.refuse(Refusal::Overloaded);
        return;
      }
      handled_ = true;
      outcome_.reply = service_.handlers.full(call);
    } catch (...) {
      handled_ = true;
      outcome_.reply = {500, "text/plain", "Internal Server Error\n"};
    }
  }

  const Service service_;

  // Of the request that is being served.
  Outcome outcome_;
  Framing framing_;
  SteadyTime received_;
  std::string query_;
  const HttpRoute* route_ = nullptr;
  const std::function<bool()>* may_wait_ = nullptr;
  bool handled_ = false;
};

RequestReader::RequestReader(const Service& service) : parser_(std::make_unique<Parser>(service)) {}

RequestReader::~RequestReader() = default;

Outcome RequestReader::serve(ConnectionStream& stream, Deadline deadline, const std::function<bool()>& may_wait) {
  return parser_->serve(stream, deadline, may_wait);
}

std::string render(const Outcome& outcome, bool close) {
  const HttpReply& reply = outcome.reply;
  std::string text;
  text.reserve(200 + reply.body.size());
  text += "HTTP/1.1 " + std::to_string(reply.status) + " " + phrase_of(reply.status);
  text += "\r\nContent-Type: " + reply.content_type;
  text += "\r\nContent-Length: " + std::to_string(reply.body.size());
  if (outcome.refusal == Refusal::Overloaded) text += "\r\nRetry-After: 1";
  if (outcome.refusal == Refusal::WrongMethod) text += "\r\nAllow: " + outcome.allow;
  if (close) text += "\r\nConnection: close";
  text += "\r\n\r\n";
  if (!outcome.is_head) text += reply.body;
  return text;
}

}  // namespace gate::http
