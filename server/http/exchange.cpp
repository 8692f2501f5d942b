#include "server/http/exchange.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

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
  }
  return {500, "unknown"};
}

const char* phrase_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
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

/// What httplib reads from: the wire, with every limit in force. Once a limit is hit it yields nothing any more.
class LimitedStream final : public HttplibStream {
 public:
  LimitedStream(Wire& wire, const HttpLimits& limits, Deadline deadline)
      : wire_(wire), limits_(limits), deadline_(deadline), bytes_left_(limits.header_bytes_max) {}

  void refuse(Refusal refusal) {
    if (!refusal_) refusal_ = refusal;
  }
  [[nodiscard]] std::optional<Refusal> refusal() const { return refusal_; }
  [[nodiscard]] bool client_gone() const { return client_gone_; }

  /// From here on the body is read: this many bytes, framing included.
  void begin_body(std::size_t bytes_max) {
    in_headers_ = false;
    bytes_left_ = bytes_max;
  }
  [[nodiscard]] bool in_headers() const { return in_headers_; }

  ssize_t read(char* data, std::size_t size) override {
    if (refusal_ || client_gone_ || !send_interim() || !fill()) return -1;
    if (bytes_left_ == 0) {
      refuse(in_headers_ ? Refusal::HeadersTooLarge : Refusal::BodyTooLarge);
      return -1;
    }
    const auto available = wire_.buffered().substr(0, std::min(size, bytes_left_));
    if (in_headers_ && !count_header_bytes(available)) {
      refuse(Refusal::HeadersTooLarge);
      return -1;
    }
    std::copy(available.begin(), available.end(), data);
    bytes_left_ -= available.size();
    wire_.consume(available.size());
    begun_ = true;
    return static_cast<ssize_t>(available.size());
  }

  /// The answers that httplib writes are dropped, ours replace them; "100 Continue" is the exception.
  ssize_t write(const char* data, std::size_t size) override {
    written_.append(data, size);
    return static_cast<ssize_t>(size);
  }

 private:
  bool fill() {
    if (!wire_.buffered().empty()) return true;
    switch (wire_.fill(deadline_)) {
      case Io::Done:
        return true;
      case Io::TimedOut:
        // A client that has not begun a request is idle, not slow.
        if (begun_) {
          refuse(Refusal::TooSlow);
        } else {
          client_gone_ = true;
        }
        return false;
      case Io::Closed:
        client_gone_ = true;
        return false;
    }
    return false;
  }

  /// The client may wait for it before it sends the body.
  bool send_interim() {
    if (written_.empty()) return true;
    const std::string interim = std::exchange(written_, {});
    if (interim.rfind("HTTP/1.1 100 ", 0) != 0) return true;
    client_gone_ = wire_.write(interim, deadline_) != Io::Done;
    return !client_gone_;
  }

  bool count_header_bytes(std::string_view bytes) {
    for (const char byte : bytes) {
      ++line_bytes_;
      if (byte != '\n') continue;
      // The request line and the empty line at the end are no headers.
      if (++lines_ > limits_.header_count_max + 2) return false;
      line_bytes_ = 0;
    }
    return line_bytes_ <= limits_.header_line_bytes_max;
  }

  Wire& wire_;
  const HttpLimits& limits_;
  const Deadline deadline_;
  bool in_headers_ = true;
  bool begun_ = false;
  bool client_gone_ = false;
  std::optional<Refusal> refusal_;
  std::size_t bytes_left_;
  std::size_t line_bytes_ = 0;
  std::size_t lines_ = 0;
  std::string written_;
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
  const auto lower = [](char character) {
    return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a') : character;
  };
  return std::equal(content_type.begin(), content_type.end(), wanted.begin(), wanted.end(),
                    [&lower](char left, char right) { return lower(left) == lower(right); });
}

struct Framing {
  std::optional<std::size_t> length;  ///< From Content-Length.
  bool chunked = false;
};

/// Stricter than httplib, which guesses where two readers of the same bytes could differ: request smuggling.
std::optional<Framing> framing_of(const httplib::Request& request) {
  Framing framing;
  const auto lengths = request.get_header_value_count("Content-Length");
  const auto encodings = request.get_header_value_count("Transfer-Encoding");
  if (lengths + encodings > 1) return std::nullopt;
  if (encodings == 1) {
    if (!is_media_type(request.get_header_value("Transfer-Encoding"), "chunked")) return std::nullopt;
    framing.chunked = true;
  }
  if (lengths == 1) {
    const std::string text = request.get_header_value("Content-Length");
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    framing.length = length;
  }
  return framing;
}

}  // namespace

int status_of(Refusal refusal) { return answer_of(refusal).status; }

const char* name_of(Refusal refusal) { return answer_of(refusal).name; }

/// Routing is done before httplib's own, on the parsed headers, so that a refused request's body is never read. What
/// passes is sent to the one handler that httplib knows, at "/".
class RequestReader::Parser : public HttplibRequestReader {
 public:
  Parser(const std::vector<HttpRoute>& routes, const HttpLimits& limits, const HttpHandler& handler)
      : routes_(routes), limits_(limits), handler_(handler) {
    const auto call = [this](const httplib::Request& request, httplib::Response&) { handle(request); };
    Get("/", call);
    Post("/", call);
  }

  Outcome serve(Wire& wire, Deadline deadline) {
    LimitedStream stream(wire, limits_, deadline);
    outcome_ = {};
    route_ = nullptr;
    handled_ = false;
    read_request(stream, outcome_.peer_closes, [&](httplib::Request& request) { admit(request, stream); });
    if (!handled_ && !stream.client_gone()) stream.refuse(Refusal::BadRequest);
    outcome_.answerable = handled_ || !stream.client_gone();
    outcome_.refusal = handled_ ? std::nullopt : stream.refusal();
    if (outcome_.refusal) {
      const int status = status_of(*outcome_.refusal);
      outcome_.reply = {status, "text/plain", std::string(phrase_of(status)) + "\n"};
    }
    return std::move(outcome_);
  }

 private:
  void admit(httplib::Request& request, LimitedStream& stream) {
    const auto refusal = find_refusal(request, stream);
    if (refusal) {
      stream.refuse(*refusal);
      request.method = "OPTIONS";  // Reads no body and has no handler.
      request.headers.erase("Expect");
      return;
    }
    request.path = "/";
    request.ranges.clear();
    request.headers.erase("Accept-Encoding");  // Debian's httplib would gzip its own answer, which nobody sees.
  }

  std::optional<Refusal> find_refusal(httplib::Request& request, LimitedStream& stream) {
    const auto framing = framing_of(request);
    if (!framing) return Refusal::BadRequest;
    const std::string path = without_double_slashes(request.path);
    for (const auto& route : routes_) {
      if (route.path != path) continue;
      if (route.method == request.method) {
        route_ = &route;
        break;
      }
      outcome_.allow += (outcome_.allow.empty() ? "" : ", ") + route.method;
    }
    if (route_ == nullptr) return outcome_.allow.empty() ? Refusal::UnknownPath : Refusal::WrongMethod;
    if (route_->method != "POST") {
      if (framing->chunked || framing->length.value_or(0) > 0) return Refusal::BadRequest;
      stream.begin_body(0);
      return std::nullopt;
    }
    if (!is_media_type(request.get_header_value("Content-Type"), route_->content_type)) return Refusal::WrongMediaType;
    // httplib would unpack a few KB into gigabytes.
    if (request.has_header("Content-Encoding")) return Refusal::WrongMediaType;
    if (framing->length.value_or(0) > limits_.body_bytes_max) return Refusal::BodyTooLarge;
    if (!framing->length && !framing->chunked) return Refusal::LengthRequired;
    if (framing->length) request.body.reserve(*framing->length);
    // Chunks carry their lengths: an eighth is room for chunks of 64 bytes.
    stream.begin_body(framing->length ? *framing->length : limits_.body_bytes_max + limits_.body_bytes_max / 8 + 4096);
    body_stream_ = &stream;
    return std::nullopt;
  }

  void handle(const httplib::Request& request) {
    if (request.body.size() > limits_.body_bytes_max) {
      body_stream_->refuse(Refusal::BodyTooLarge);
      return;
    }
    handled_ = true;
    const std::string content_type = request.get_header_value("Content-Type");
    try {
      outcome_.reply = handler_({route_->method, route_->path, content_type, request.body});
    } catch (...) {
      outcome_.reply = {500, "text/plain", "Internal Server Error\n"};
    }
  }

  const std::vector<HttpRoute>& routes_;
  const HttpLimits& limits_;
  const HttpHandler& handler_;

  // Of the request that is being served.
  Outcome outcome_;
  const HttpRoute* route_ = nullptr;
  LimitedStream* body_stream_ = nullptr;
  bool handled_ = false;
};

RequestReader::RequestReader(const std::vector<HttpRoute>& routes, const HttpLimits& limits, const HttpHandler& handler)
    : parser_(std::make_unique<Parser>(routes, limits, handler)) {}

RequestReader::~RequestReader() = default;

Outcome RequestReader::serve(Wire& wire, Deadline deadline) { return parser_->serve(wire, deadline); }

std::string render(const Outcome& outcome, bool close) {
  const HttpReply& reply = outcome.reply;
  std::string text;
  text.reserve(200 + reply.body.size());
  text += "HTTP/1.1 " + std::to_string(reply.status) + " " + phrase_of(reply.status);
  text += "\r\nContent-Type: " + reply.content_type;
  text += "\r\nContent-Length: " + std::to_string(reply.body.size());
  if (outcome.refusal == Refusal::WrongMethod) text += "\r\nAllow: " + outcome.allow;
  if (close) text += "\r\nConnection: close";
  text += "\r\n\r\n";
  text += reply.body;
  return text;
}

}  // namespace gate::http
