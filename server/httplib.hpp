#pragma once
// cpp-httplib as this project uses it: with OpenSSL. Heavy; only for .cpp files.

#ifndef CPPHTTPLIB_OPENSSL_SUPPORT
#define CPPHTTPLIB_OPENSSL_SUPPORT
#endif
#include <httplib.h>
