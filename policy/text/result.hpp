#pragma once
// Result<T>: a value or an Error, for failures that are expected in operation.
// Bugs are exceptions; they are caught once per request or per work item.

#include <string>
#include <utility>
#include <variant>

namespace gate {

/// What the caller should do next, not where the failure came from.
enum class ErrorCode {
  InvalidInput,      ///< Never retry: the input must change.
  NotFound,          ///< The named thing does not exist.
  AlreadyExists,     ///< A create met an object of that name.
  Conflict,          ///< Stale resourceVersion: read again, then retry the larger operation.
  PermissionDenied,  ///< Credentials or RBAC; retrying does not help until a person acts.
  Rejected,          ///< The peer understood and refused (an SQL error, HTTP 4xx). peer_code says which.
  Unavailable,       ///< The peer could not be reached, or is overloaded: retry with back-off.
  DeadlineExceeded,  ///< The caller's deadline passed. The peer may or may not have acted.
  Internal,          ///< A fault of ours.
  Misconfigured,     ///< What the call depends on (a Secret, a Service) is missing or unusable: a person corrects it.
};

struct Error {
  ErrorCode code = ErrorCode::Internal;
  std::string message;  ///< For people; never holds a credential.
  int peer_code = 0;    ///< MySQL error number or HTTP status, 0 if there is none.
};

/// Either a T or an Error. Reading the absent side is a bug (throws std::bad_variant_access).
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  [[nodiscard]] T& value() & { return std::get<0>(state_); }
  [[nodiscard]] const T& value() const& { return std::get<0>(state_); }
  /// By value: a reference into the answer of a call (`auto& x = f().value().member`) then lives as long as its name.
  [[nodiscard]] T value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  [[nodiscard]] const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

struct Ok {};
using Status = Result<Ok>;

}  // namespace gate
