// SPDX-License-Identifier: Apache-2.0

// batch, sequence and ifelse: requests made of requests.

#include <algorithm>
#include <array>

#include "control/service/internal/rpc_call.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::control::internal {
namespace json = boost::json;

namespace {

/// if { then: if { ... } } ends somewhere.
constexpr int kNestingMax = 8;

struct Part {
  std::string method;
  std::shared_ptr<const json::object> params;
  Run run;  ///< where the parameters were read
};

const json::object* object_in(const json::object& object, std::string_view name) noexcept {
  const json::value* value = object.if_contains(name);
  return value == nullptr ? nullptr : value->if_object();
}

/// `object` is somewhere in the parameters of the call, which it shares.
std::optional<Part> part_of(const RpcCall& call, const json::object& object) {
  const json::value* method = object.if_contains("method");
  const json::object* params = object_in(object, "params");
  if (method == nullptr || !method->is_string() || params == nullptr) {
    return std::nullopt;
  }
  const auto& name = method->get_string();
  return Part{std::string(name.data(), name.size()),
              std::shared_ptr<const json::object>(call.params, params),
              {}};
}

RpcCall with(const RpcCall& call, const Part& part, Reply reply) {
  // Each has a stamp of its own: they are obeyed in their order, late as well. And a time of its own: what comes before it in a sequence
  // may have waited for members.
  const std::uint64_t now_ms = call.around.now_ms();
  return {call.around,
          call.stamps,
          part.params,
          call.format,
          call.source,
          now_ms,
          call.stamps.next(now_ms),
          call.retrieve_bytes_left,
          std::move(reply)};
}

void read_params(const RpcCall& call, Part& part, RpcFields& fields) {
  const RpcCall part_call = with(call, part, {});
  RpcFields part_fields = part_call.fields();
  part.run = read_method(part.method, part_call, part_fields);
  if (part_fields.problem()) {
    fields.refuse(*part_fields.problem());
  }
}

/// All parameters are read before any part runs, as peers do it: one that cannot be read is the whole request's failure.
std::vector<Part> read_parts(const RpcCall& call, RpcFields& fields) {
  std::vector<Part> parts;
  const json::value* given = call.params->if_contains("requests");
  const auto* requests = given == nullptr ? nullptr : given->if_array();
  if (requests == nullptr || requests->empty()) {
    fields.refuse("Invalid batch request: no valid \"requests\" field");
    return parts;
  }
  if (requests->size() > kSubrequestsMax) {
    fields.refuse("Invalid batch request: subrequest limit exceeded");
    return parts;
  }
  for (const json::value& request : *requests) {
    if (!request.is_object()) {
      fields.refuse("Invalid batch request: requests must be objects");
      return parts;
    }
    std::optional<Part> part = part_of(call, request.get_object());
    if (!part) {
      fields.refuse("Invalid batch request: subrequests must have method/params keys");
    } else if (!is_method(part->method)) {
      fields.refuse("Invalid batch subrequest: invalid method \"" +
                    std::string(beginning_of(part->method, 64)) + "\"");
    } else if (is_composite(part->method)) {
      fields.refuse("Invalid batch subrequest: subrequests may not contain meta-requests");
    } else {
      read_params(call, *part, fields);
    }
    if (fields.problem()) {
      return parts;
    }
    if (part->method == "retrieve") {
      *call.retrieve_bytes_left -= std::min(*call.retrieve_bytes_left, kLongestPageBytes);
    }
    parts.push_back(*std::move(part));
  }
  return parts;
}

json::object result_of(Answer answer, Format format) {
  json::object result;
  result["code"] = static_cast<int>(answer.status);
  result["body"] = body_value(std::move(answer), format);
  return result;
}

Answer results_body(json::array results) {
  json::object body;
  body["results"] = std::move(results);
  return {Status::ok, std::move(body)};
}

struct BatchState {
  json::array results;
  std::size_t pending = 0;
};

/// Owns itself through the replies that are due; runs one part after the other.
class SequenceRun : public std::enable_shared_from_this<SequenceRun> {
 public:
  SequenceRun(RpcCall call, std::vector<Part> parts)
      : call_(std::move(call)), parts_(std::move(parts)) {}

  void next() {
    const Part& part = parts_[results_.size()];
    part.run(with(call_, part,
                  [self = shared_from_this()](Answer answer) { self->add(std::move(answer)); }));
  }

 private:
  void add(Answer answer) {
    const int status = static_cast<int>(answer.status);
    results_.emplace_back(result_of(std::move(answer), call_.format));
    if (status < 200 || status > 299 || results_.size() == parts_.size()) {
      call_.reply(results_body(std::move(results_)));
      return;
    }
    // Not from here: twenty quick parts must not lie on each other's stack.
    call_.around.post([self = shared_from_this()] { self->next(); });
  }

  RpcCall call_;
  std::vector<Part> parts_;
  json::array results_;
};

/// Versions are compared number by number; what is left out is 0.
template <std::size_t N>
std::optional<std::array<std::int64_t, N>> version_of(RpcFields& fields, std::string_view name) {
  const std::vector<std::int64_t> given = fields.integers(name);
  if (given.empty()) {
    return std::nullopt;
  }
  std::array<std::int64_t, N> version{};
  std::copy_n(given.begin(), std::min(given.size(), N), version.begin());
  return version;
}

class Condition {
 public:
  template <typename T>
  void at_least(const T& ours, const std::optional<T>& bound) {
    if (bound) {
      is_given_ = true;
      holds_ &= ours >= *bound;
    }
  }

  template <typename T>
  void before(const T& ours, const std::optional<T>& bound) {
    if (bound) {
      is_given_ = true;
      holds_ &= ours < *bound;
    }
  }

  [[nodiscard]] bool is_given() const noexcept { return is_given_; }

  [[nodiscard]] bool holds() const noexcept { return holds_; }

 private:
  bool is_given_ = false;
  bool holds_ = true;
};

bool read_condition(const RpcCall& call, RpcFields& fields) {
  const json::object* given = object_in(*call.params, "if");
  if (given == nullptr) {
    fields.refuse("Invalid ifelse request: no valid \"if\" field");
    return false;
  }
  RpcFields bounds(*given, call.format);
  Condition condition;
  const std::array<std::int64_t, 2> hardfork = {kHardfork[0], kHardfork[1]};
  const std::array<std::int64_t, 3> version = {kStorageVersion[0], kStorageVersion[1],
                                               kStorageVersion[2]};
  const auto height = static_cast<std::int64_t>(call.around.membership.height());
  condition.at_least(hardfork, version_of<2>(bounds, "hf_at_least"));
  condition.before(hardfork, version_of<2>(bounds, "hf_before"));
  condition.at_least(version, version_of<3>(bounds, "v_at_least"));
  condition.before(version, version_of<3>(bounds, "v_before"));
  condition.at_least(height, bounds.integer("height_at_least"));
  condition.before(height, bounds.integer("height_before"));
  if (bounds.problem()) {
    fields.refuse(*bounds.problem());
  } else if (!condition.is_given()) {
    fields.refuse("Invalid ifelse request: must specify at least one \"if\" condition");
  }
  return condition.holds();
}

std::optional<Part> read_branch(const RpcCall& call, RpcFields& fields, const std::string& name) {
  const json::value* given = call.params->if_contains(name);
  if (given == nullptr) {
    return std::nullopt;
  }
  if (!given->is_object()) {
    fields.refuse("Invalid ifelse request: " + name + " must be an object");
    return std::nullopt;
  }
  std::optional<Part> part = part_of(call, given->get_object());
  if (!part) {
    fields.refuse("Invalid ifelse request: " + name + " must have method/params keys");
  } else if (!is_method(part->method)) {
    fields.refuse("Invalid ifelse request method \"" + name + "\"");
  }
  return part;
}

/// How many ifelse lie in each other; what else is in a branch is no level.
int nesting_of(const json::object& params, int depth = 1) {
  int deepest = depth;
  for (const std::string_view name : {"then", "else"}) {
    const json::object* branch = object_in(params, name);
    const json::value* method = branch == nullptr ? nullptr : branch->if_contains("method");
    const bool is_level =
        method != nullptr && method->is_string() && method->get_string() == "ifelse";
    const json::object* inner = is_level ? object_in(*branch, "params") : nullptr;
    if (inner != nullptr && depth <= kNestingMax) {
      deepest = std::max(deepest, nesting_of(*inner, depth + 1));
    }
  }
  return deepest;
}

void run_batch(const RpcCall& call, const std::vector<Part>& parts) {
  auto state = std::make_shared<BatchState>();
  state->results.resize(parts.size());
  state->pending = parts.size();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i].run(
        with(call, parts[i], [state, i, format = call.format, reply = call.reply](Answer answer) {
          state->results[i] = result_of(std::move(answer), format);
          if (--state->pending == 0) {
            reply(results_body(std::move(state->results)));
          }
        }));
  }
}

void run_sequence(const RpcCall& call, std::vector<Part> parts) {
  std::make_shared<SequenceRun>(call, std::move(parts))->next();
}

struct Chosen {
  bool holds = false;
  std::optional<Part> part;
};

/// The branch that is not taken was not looked into, and may be for nodes that know more.
void run_chosen(const RpcCall& call, const Chosen& chosen) {
  const auto& [holds, part] = chosen;
  json::object body;
  body["hf"] = json::array{kHardfork[0], kHardfork[1]};
  body["v"] = json::array(kStorageVersion.begin(), kStorageVersion.end());
  body["height"] = call.around.membership.height();
  body["condition"] = holds;
  if (!part) {
    call.reply({Status::ok, std::move(body)});
    return;
  }
  const bool is_known = run_method(
      part->method,
      with(call, *part, [body, format = call.format, reply = call.reply](Answer answer) mutable {
        body["result"] = result_of(std::move(answer), format);
        reply({Status::ok, std::move(body)});
      }));
  ALLIUM_CHECK(is_known);
}

}  // namespace

Run batch(const RpcCall& call, RpcFields& fields) {
  return run_with(read_parts(call, fields), run_batch);
}

Run sequence(const RpcCall& call, RpcFields& fields) {
  return run_with(read_parts(call, fields), run_sequence);
}

Run if_else(const RpcCall& call, RpcFields& fields) {
  const bool holds = read_condition(call, fields);
  std::optional<Part> then_part = read_branch(call, fields, "then");
  std::optional<Part> else_part = read_branch(call, fields, "else");
  if (!fields.problem() && !then_part && !else_part) {
    fields.refuse("Invalid ifelse request: at least one of \"then\"/\"else\" required");
  }
  if (nesting_of(*call.params) > kNestingMax) {
    fields.refuse("Invalid ifelse request: nested too deep");
  }
  return run_with(Chosen{holds, std::move(holds ? then_part : else_part)}, run_chosen);
}

}  // namespace allium::control::internal
