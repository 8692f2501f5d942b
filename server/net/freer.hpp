#pragma once
// Owning the objects of C libraries (OpenSSL, libc, the MySQL client).

namespace gate {

/// `std::unique_ptr<BIO, Freer<BIO_free_all>>`: no larger than the pointer.
template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

}  // namespace gate
