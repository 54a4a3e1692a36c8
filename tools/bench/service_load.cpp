// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/service_load.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "crypto_accel/base/check.hpp"
#include "tools/bench/environment.hpp"
#include "tools/bench/process_cpu.hpp"

namespace allium::bench {
namespace {

using Clock = std::chrono::steady_clock;
using control::HttpResponse;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

/// What an answer says, cut to a line that a person reads.
std::string in_a_line(std::string_view text) {
  std::string line(text.substr(0, 200));
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < ' ' || c > '~'; }, ' ');
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

/// Everything that is counted over time.
struct Moment {
  Clock::time_point at;
  std::vector<double> cpu_us;
  double own_us = 0;
  MachineTime machine;
  std::uint64_t connections = 0;
};

class Load {
 public:
  Load(const LoadPlan& plan, boost::asio::io_context& service, control::HttpsClient client)
      : plan_(plan), service_(service), client_(std::move(client)) {
    const control::ServiceNode& entry = plan.nodes.front().node;
    url_ = {"https", entry.ip, entry.https_port, plan.target, control::Trust::anyone};
    answers_.resize(plan.bodies.size());
  }

  Result<LoadResult> run() {
    send_until(plan_.warm_up_count);
    const Result<Moment> begin = moment();
    const std::size_t first = next_;
    if (failures_ == 0) {
      send_until(plan_.bodies.size());
    }
    const Result<Moment> end = moment();
    if (!begin || !end) {
      return tl::unexpected(begin ? end.error() : begin.error());
    }
    return result(*begin, *end, next_ - first);
  }

 private:
  struct Answer {
    double latency_ms = 0;
    std::optional<std::string> body;  ///< none: no answer, or not status 200
  };

  void send_until(std::size_t end) {
    end_ = end;
    for (std::size_t i = 0; i < plan_.in_flight; ++i) {
      send_next();
    }
    // Kept connections are watched, so the service never runs out of work by itself.
    service_.restart();
    if (outstanding_ > 0) {
      service_.run();
    }
  }

  void send_next() {
    if (next_ == end_ || failures_ >= kFailuresMax) {
      return;
    }
    const std::size_t index = next_++;
    ++outstanding_;
    client_.post(url_, {}, plan_.bodies[index], kRequestTimeout,
                 [this, index, begin = Clock::now()](Result<HttpResponse> response) {
                   answers_[index].latency_ms = ms_since(begin);
                   take(index, std::move(response));
                   --outstanding_;
                   send_next();
                   if (outstanding_ == 0) {
                     service_.stop();
                   }
                 });
  }

  void take(std::size_t index, Result<HttpResponse> response) {
    const std::string& name = plan_.nodes.front().name;
    if (!response) {
      failed(name + ": " + response.error().text);
    } else if (response->status != 200) {
      const bool is_limited = response->status == 429;
      failed(name + " answered " + std::to_string(response->status) + ": " +
             in_a_line(response->body) +
             (is_limited ? "; raise [limits] in its configuration" : ""));
    } else {
      answers_[index].body = std::move(response->body);
    }
  }

  void failed(std::string what) {
    if (failures_++ == 0) {
      first_failure_ = std::move(what);
    }
  }

  Result<Moment> moment() const {
    Moment moment;
    for (const RunningNode& node : plan_.nodes) {
      const Result<double> used = process_cpu_us(node.pid);
      if (!used) {
        return fail(Errc::unavailable, "the service of " + node.name +
                                           " ended during the run; start it: allium devnet start " +
                                           node.name);
      }
      moment.cpu_us.push_back(*used);
    }
    moment.own_us = own_cpu_us();
    moment.machine = machine_time();
    moment.connections = client_.counters().connections;
    moment.at = Clock::now();
    return moment;
  }

  void check_answers() {
    for (std::size_t i = 0; i < next_; ++i) {
      const std::string wrong = answers_[i].body ? plan_.check(i, *answers_[i].body) : "";
      if (!wrong.empty()) {
        failed(plan_.nodes.front().name + " answered wrongly: " + wrong);
      }
    }
  }

  LoadResult result(const Moment& begin, const Moment& end, std::size_t request_count) {
    check_answers();
    LoadResult result;
    result.in_flight = plan_.in_flight;
    result.requests = request_count;
    result.failures = failures_;
    result.first_failure = first_failure_;
    result.connections = end.connections - begin.connections;
    result.window_s = std::chrono::duration<double>(end.at - begin.at).count();
    for (std::size_t i = next_ - request_count; i < next_; ++i) {
      result.latencies_ms.push_back(answers_[i].latency_ms);
    }
    const double count = static_cast<double>(std::max<std::size_t>(request_count, 1));
    for (std::size_t i = 0; i < plan_.nodes.size(); ++i) {
      result.cpu_us.push_back((end.cpu_us[i] - begin.cpu_us[i]) / count);
    }
    result.cpu_us_client = (end.own_us - begin.own_us) / count;
    result.steal_percent = steal_percent(begin.machine, end.machine);
    return result;
  }

  const LoadPlan& plan_;
  boost::asio::io_context& service_;
  control::HttpsClient client_;
  control::Url url_;
  std::vector<Answer> answers_;
  std::size_t next_ = 0;
  std::size_t end_ = 0;
  std::size_t outstanding_ = 0;
  std::size_t failures_ = 0;
  std::string first_failure_;
};

}  // namespace

std::size_t warm_up_count(std::size_t request_count, std::size_t in_flight) noexcept {
  return std::max(2 * in_flight, request_count / 10);
}

Result<LoadResult> run_load(const LoadPlan& plan) {
  ALLIUM_CHECK(!plan.nodes.empty() && plan.in_flight > 0 && plan.warm_up_count >= plan.in_flight &&
               plan.bodies.size() > plan.warm_up_count);
  boost::asio::io_context service(1);
  control::ClientOptions options;
  options.requests_max = plan.in_flight;
  options.requests_per_host_max = plan.in_flight;
  options.idle_per_host_max = plan.in_flight;
  options.idle_max = plan.in_flight;
  Result<control::HttpsClient> client = control::HttpsClient::create(service, std::move(options));
  if (!client) {
    return tl::unexpected(std::move(client.error()));
  }
  return Load(plan, service, *std::move(client)).run();
}

}  // namespace allium::bench
