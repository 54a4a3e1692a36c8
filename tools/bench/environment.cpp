// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/environment.hpp"

#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <cstdio>
#include <fstream>
#include <sstream>

namespace allium::bench {
namespace {

// The first value of a key of /proc/cpuinfo.
std::string cpu_info(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind(key, 0) == 0) {
      const std::size_t colon = line.find(':');
      return colon == std::string::npos || colon + 2 > line.size() ? "" : line.substr(colon + 2);
    }
  }
  return "";
}

std::uint64_t free_huge_pages() {
  std::ifstream file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
  std::uint64_t count = 0;
  file >> count;
  return file ? count : 0;
}

double monotonic_s() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

MachineTime machine_time() {
  std::ifstream file("/proc/stat");
  std::string word;
  file >> word;
  MachineTime time;
  std::uint64_t ticks = 0;
  for (int field = 0; field < 8 && file >> ticks; ++field) {
    time.all += ticks;
    time.stolen = field == 7 ? ticks : 0;
  }
  return time;
}

double steal_percent(const MachineTime& begin, const MachineTime& end) {
  const std::uint64_t all = end.all - begin.all;
  return all == 0
             ? 0
             : 100.0 * static_cast<double>(end.stolen - begin.stolen) / static_cast<double>(all);
}

std::uint64_t measured_tsc_hz() {
  const double begin_s = monotonic_s();
  const std::uint64_t begin = __rdtsc();
  const timespec pause{0, 50'000'000};
  nanosleep(&pause, nullptr);
  const std::uint64_t ticks = __rdtsc() - begin;
  return static_cast<std::uint64_t>(static_cast<double>(ticks) / (monotonic_s() - begin_s));
}

boost::json::object environment() {
  utsname system{};
  uname(&system);
  const bool is_virtual = cpu_info("flags").find(" hypervisor") != std::string::npos;
  return {{"cpu", cpu_info("model name")},
          {"cpus", sysconf(_SC_NPROCESSORS_ONLN)},
          {"virtual", is_virtual},
          {"tsc_hz", measured_tsc_hz()},
          {"huge_pages_free", free_huge_pages()},
          {"kernel_release", system.release}};
}

std::string environment_text(const boost::json::object& environment) {
  std::ostringstream text;
  text << "machine   " << environment.at("cpu").as_string().c_str() << ", "
       << environment.at("cpus").to_number<int>() << " CPUs, TSC "
       << environment.at("tsc_hz").to_number<double>() / 1e9 << " GHz, Linux "
       << environment.at("kernel_release").as_string().c_str();
  if (environment.at("virtual").as_bool()) {
    text << "\n          a virtual machine: compare ratios of one run, not figures with other "
            "machines";
  }
  return text.str();
}

}  // namespace allium::bench
