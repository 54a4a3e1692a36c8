// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/spare_descriptor.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <initializer_list>

namespace allium::control {

SpareDescriptor::SpareDescriptor()
    : nothing_(::eventfd(0, EFD_CLOEXEC)), spare_(::fcntl(nothing_, F_DUPFD_CLOEXEC, 0)) {}

SpareDescriptor::~SpareDescriptor() {
  for (const int descriptor : {nothing_, spare_}) {
    if (descriptor >= 0) {
      ::close(descriptor);
    }
  }
}

void SpareDescriptor::clear() const noexcept {
  ::dup3(nothing_, spare_, O_CLOEXEC);
}

}  // namespace allium::control
