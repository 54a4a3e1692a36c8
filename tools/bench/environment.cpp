// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/environment.hpp"

#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <fstream>
#include <iomanip>
#include <sstream>
#include <utility>

#include <boost/json/array.hpp>

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

// Instruction sets that a kernel, today's or tomorrow's, would choose by.
constexpr const char* kIsaNames[] = {"aes",        "pclmulqdq", "avx2",     "bmi2",
                                     "adx",        "sha_ni",    "vaes",     "avx512f",
                                     "vpclmulqdq", "avx512vl",  "avx512bw", "avx512ifma"};

constexpr double kStealPercentMax = 1;
constexpr double kSpreadPercentMax = 10;

double number_or_zero(const boost::json::object& object, const char* key) {
  const auto* value = object.if_contains(key);
  return value == nullptr ? 0 : value->to_number<double>();
}

std::string one_digit(double value) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << value;
  return text.str();
}

std::string mebibytes(const boost::json::object& environment, const char* key) {
  return one_digit(environment.at(key).to_number<double>() / 1048576);
}

// The data cache of a level that CPU 0 sees, 0 where the kernel does not say. (sysconf asks the CPU itself, which in a
// virtual machine names the host's.)
std::uint64_t cache_bytes(int level) {
  const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index";
  for (int index = 0; index < 8; ++index) {
    std::ifstream level_file(folder + std::to_string(index) + "/level");
    std::ifstream size_file(folder + std::to_string(index) + "/size");
    int found = 0;
    std::uint64_t kib = 0;
    if (level_file >> found && found == level && size_file >> kib) {
      return kib * 1024;
    }
  }
  return 0;
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
  const std::string flags = " " + cpu_info("flags") + " ";
  const auto has = [&](const std::string& flag) {
    return flags.find(" " + flag + " ") != std::string::npos;
  };
  boost::json::array isa;
  for (const char* name : kIsaNames) {
    if (has(name)) {
      isa.emplace_back(name);
    }
  }
  return {{"cpu", cpu_info("model name")},
          {"cpus", sysconf(_SC_NPROCESSORS_ONLN)},
          {"isa", std::move(isa)},
          {"l2_bytes", cache_bytes(2)},
          {"l3_bytes", cache_bytes(3)},
          {"virtual", has("hypervisor")},
          {"tsc_hz", measured_tsc_hz()},
          {"tsc_is_constant", has("constant_tsc") && has("nonstop_tsc")},
          {"huge_pages_free", free_huge_pages()},
          {"kernel_release", system.release}};
}

std::vector<std::string> comparative_reasons(const boost::json::object& environment) {
  std::vector<std::string> reasons;
  if (environment.at("virtual").as_bool()) {
    reasons.emplace_back("a virtual machine");
  }
  if (!environment.at("tsc_is_constant").as_bool()) {
    reasons.emplace_back("the time stamp counter changes its pace");
  }
  const auto* pages = environment.if_contains("pages");
  if (pages != nullptr && pages->as_string() != kHugePages) {
    reasons.emplace_back("4-KiB pages");
  } else if (pages == nullptr && environment.at("huge_pages_free").to_number<double>() == 0) {
    reasons.emplace_back("no free huge pages");
  }
  if (number_or_zero(environment, "workers") > 1) {
    reasons.emplace_back("several workers: nobody knows whether they really ran at once");
  }
  const double steal = number_or_zero(environment, "steal_percent");
  if (steal > kStealPercentMax) {
    reasons.push_back("the host took " + one_digit(steal) + " % of the time");
  }
  const double spread = number_or_zero(environment, "spread_percent");
  if (spread > kSpreadPercentMax) {
    reasons.push_back("repeats differ by " + one_digit(spread) + " %");
  }
  return reasons;
}

void mark_comparative(boost::json::object& environment) {
  const std::vector<std::string> reasons = comparative_reasons(environment);
  boost::json::array list(reasons.begin(), reasons.end());
  environment["comparative_only"] = !reasons.empty();
  environment["comparative_reasons"] = std::move(list);
}

std::string environment_text(const boost::json::object& environment) {
  std::ostringstream text;
  text << "machine   " << environment.at("cpu").as_string().c_str() << ", "
       << environment.at("cpus").to_number<int>() << " CPUs, TSC " << std::fixed
       << std::setprecision(3) << environment.at("tsc_hz").to_number<double>() / 1e9 << " GHz, L2 "
       << mebibytes(environment, "l2_bytes") << " MiB, L3 " << mebibytes(environment, "l3_bytes")
       << " MiB, Linux " << environment.at("kernel_release").as_string().c_str()
       << "\n          isa";
  for (const boost::json::value& name : environment.at("isa").as_array()) {
    text << ' ' << name.as_string().c_str();
  }
  if (environment.at("comparative_only").as_bool()) {
    text << "\n          COMPARATIVE ONLY: compare ratios of one run, not figures with other "
            "machines:";
    const char* comma = " ";
    for (const boost::json::value& reason : environment.at("comparative_reasons").as_array()) {
      text << std::exchange(comma, ", ") << reason.as_string().c_str();
    }
  }
  return text.str();
}

std::size_t available_memory_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  while (file >> word) {
    if (word == "MemAvailable:") {
      std::size_t kib = 0;
      file >> kib;
      return kib * 1024;
    }
  }
  return 0;
}

}  // namespace allium::bench
