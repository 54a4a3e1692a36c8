// SPDX-License-Identifier: Apache-2.0
#include "watched_turn.hpp"

#include <dlfcn.h>
#include <linux/prctl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <x86intrin.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>

// The way out of both handlers. It is a system call itself, so it lies in the range of addresses that the kernel
// lets through; the address that the kernel compares is that behind the instruction, hence one byte more.
asm(R"(
  .pushsection .text
  .globl allium_return_from_signal
  .globl allium_return_from_signal_end
allium_return_from_signal:
  mov $15, %eax
  syscall
  ud2
allium_return_from_signal_end:
  .popsection
)");

extern "C" {
extern const std::uint8_t allium_return_from_signal[];
extern const std::uint8_t allium_return_from_signal_end[];
}

namespace allium::dataplane {
namespace {

// What the kernel takes, which is not glibc's struct sigaction: glibc would put its own way out.
struct KernelSignalAction {
  void (*handler)(int, siginfo_t*, void*);
  std::uint64_t flags;
  const std::uint8_t* way_out;
  std::uint64_t mask;
};

constexpr std::uint64_t kHasWayOut = 0x04000000;  // SA_RESTORER
constexpr std::size_t kMaskBytes = 8;

thread_local volatile char selector = SYSCALL_DISPATCH_FILTER_ALLOW;
thread_local bool is_counter_trapped = false;
thread_local int bell_descriptor = -1;
thread_local Acts* watched = nullptr;
KernelSignalAction fault_action_before{};

long call_kernel(long number, const std::array<long, 6>& arguments) noexcept {
  long answer = number;
  register long fourth asm("r10") = arguments[3];
  register long fifth asm("r8") = arguments[4];
  register long sixth asm("r9") = arguments[5];
  asm volatile("syscall"
               : "+a"(answer)
               : "D"(arguments[0]), "S"(arguments[1]), "d"(arguments[2]), "r"(fourth), "r"(fifth),
                 "r"(sixth)
               : "rcx", "r11", "memory");
  return answer;
}

void on_system_call(int, siginfo_t* info, void* context) noexcept {
  selector = SYSCALL_DISPATCH_FILTER_ALLOW;
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const std::array<long, 6> arguments = {registers[REG_RDI], registers[REG_RSI], registers[REG_RDX],
                                         registers[REG_R10], registers[REG_R8],  registers[REG_R9]};
  if (watched != nullptr) {
    const bool is_bell = info->si_syscall == SYS_write && arguments[0] == bell_descriptor &&
                         arguments[2] == 8 && bell_descriptor >= 0;
    watched->bells += static_cast<std::uint64_t>(is_bell);
    watched->system_calls += static_cast<std::uint64_t>(!is_bell);
    if (!is_bell && watched->first_system_call < 0) {
      watched->first_system_call = info->si_syscall;
    }
  }
  registers[REG_RAX] = call_kernel(info->si_syscall, arguments);
  if (watched != nullptr) {
    selector = SYSCALL_DISPATCH_FILTER_BLOCK;
  }
}

void trap_counter(bool trap) noexcept {
  const int how = trap ? PR_TSC_SIGSEGV : PR_TSC_ENABLE;
  is_counter_trapped = call_kernel(SYS_prctl, {PR_SET_TSC, how, 0, 0, 0, 0}) == 0 && trap;
}

// The bytes of a read of the counter at `at`; 0 where there is none.
std::size_t counter_read_bytes(const std::uint8_t* at) noexcept {
  if (at[0] != 0x0f) {
    return 0;
  }
  if (at[1] == 0x31) {
    return 2;  // rdtsc
  }
  return at[1] == 0x01 && at[2] == 0xf9 ? 3 : 0;  // rdtscp
}

void on_fault(int, siginfo_t*, void* context) noexcept {
  const char old_selector = selector;
  selector = SYSCALL_DISPATCH_FILTER_ALLOW;
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const std::size_t read_bytes =
      is_counter_trapped
          ? counter_read_bytes(reinterpret_cast<const std::uint8_t*>(registers[REG_RIP]))
          : 0;
  if (read_bytes == 0) {
    // A fault of somebody's: it comes again at once, and whoever was there before tells of it.
    call_kernel(SYS_rt_sigaction,
                {SIGSEGV, reinterpret_cast<long>(&fault_action_before), 0, kMaskBytes, 0, 0});
    return;
  }
  if (watched != nullptr) {
    ++watched->counter_reads;
  }
  trap_counter(false);
  unsigned processor = 0;
  const std::uint64_t count = __rdtscp(&processor);
  trap_counter(true);
  registers[REG_RAX] = static_cast<greg_t>(count & 0xffffffff);
  registers[REG_RDX] = static_cast<greg_t>(count >> 32);
  if (read_bytes == 3) {
    registers[REG_RCX] = static_cast<greg_t>(processor);
  }
  registers[REG_RIP] += static_cast<greg_t>(read_bytes);
  selector = old_selector;
}

void handle(int signal, void (*handler)(int, siginfo_t*, void*), KernelSignalAction* before) {
  const KernelSignalAction action{handler, kHasWayOut | SA_SIGINFO, allium_return_from_signal, 0};
  call_kernel(SYS_rt_sigaction, {signal, reinterpret_cast<long>(&action),
                                 reinterpret_cast<long>(before), kMaskBytes, 0, 0});
}

// Once a thread: afterwards `selector` alone decides.
bool is_dispatch_on() noexcept {
  thread_local const bool is_on = [] {
    handle(SIGSYS, on_system_call, nullptr);
    const auto begin = reinterpret_cast<long>(allium_return_from_signal);
    const auto end = reinterpret_cast<long>(allium_return_from_signal_end);
    return call_kernel(SYS_prctl, {PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, begin,
                                   end - begin, reinterpret_cast<long>(&selector), 0}) == 0;
  }();
  return is_on;
}

void handle_faults() noexcept {
  static const bool done = [] {
    handle(SIGSEGV, on_fault, &fault_action_before);
    return true;
  }();
  static_cast<void>(done);
}

thread_local Acts acts_of_thread;

void begin_watch() noexcept {
  acts_of_thread = {};
  const bool sees_calls = is_dispatch_on();
  handle_faults();
  trap_counter(true);
  watched = &acts_of_thread;
  if (sees_calls) {
    selector = SYSCALL_DISPATCH_FILTER_BLOCK;
  }
}

void end_watch() noexcept {
  selector = SYSCALL_DISPATCH_FILTER_ALLOW;
  watched = nullptr;
  trap_counter(false);
}

#if !defined(__SANITIZE_THREAD__)
// Counts, and does what the C library's function of that name does.
template <typename Lock>
int take_lock(Lock* lock, const char* name, std::atomic<int (*)(Lock*)>& original) noexcept {
  if (watched != nullptr) {
    ++watched->locks;
  }
  auto* function = original.load(std::memory_order_relaxed);
  if (function == nullptr) {
    function = reinterpret_cast<int (*)(Lock*)>(dlsym(RTLD_NEXT, name));
    original.store(function, std::memory_order_relaxed);
  }
  return function(lock);
}
#endif

}  // namespace

WatchedTurn::WatchedTurn(int bell) noexcept {
  bell_descriptor = bell;
  begin_watch();
}

WatchedTurn::~WatchedTurn() {
  static_cast<void>(end());
}

Acts WatchedTurn::end() noexcept {
  if (is_watching_) {
    end_watch();
    is_watching_ = false;
  }
  return acts_of_thread;
}

void WatchedTurn::note_clock_read() noexcept {
  if (watched != nullptr) {
    ++watched->clock_reads;
  }
}

bool WatchedTurn::can_see_system_calls() noexcept {
  return is_dispatch_on();
}

bool WatchedTurn::can_see_counter_reads() noexcept {
  static const bool can = [] {
    WatchedTurn probe;
    static_cast<void>(__rdtsc());
    return probe.end().counter_reads == 1;
  }();
  return can;
}

bool WatchedTurn::can_see_locks() noexcept {
#if defined(__SANITIZE_THREAD__)
  return false;  // that sanitizer has put its own functions there
#else
  return true;
#endif
}

}  // namespace allium::dataplane

#if !defined(__SANITIZE_THREAD__)
extern "C" {
int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  static std::atomic<int (*)(pthread_mutex_t*)> original;
  return allium::dataplane::take_lock<pthread_mutex_t>(mutex, "pthread_mutex_lock", original);
}

int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  static std::atomic<int (*)(pthread_mutex_t*)> original;
  return allium::dataplane::take_lock<pthread_mutex_t>(mutex, "pthread_mutex_trylock", original);
}

int pthread_rwlock_rdlock(pthread_rwlock_t* lock) noexcept {
  static std::atomic<int (*)(pthread_rwlock_t*)> original;
  return allium::dataplane::take_lock<pthread_rwlock_t>(lock, "pthread_rwlock_rdlock", original);
}

int pthread_rwlock_wrlock(pthread_rwlock_t* lock) noexcept {
  static std::atomic<int (*)(pthread_rwlock_t*)> original;
  return allium::dataplane::take_lock<pthread_rwlock_t>(lock, "pthread_rwlock_wrlock", original);
}

int pthread_spin_lock(pthread_spinlock_t* lock) noexcept {
  static std::atomic<int (*)(volatile int*)> original;
  return allium::dataplane::take_lock<volatile int>(lock, "pthread_spin_lock", original);
}
}
#endif
