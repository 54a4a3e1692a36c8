// SPDX-License-Identifier: Apache-2.0
#include "control/change_log.hpp"

#include <string>
#include <utility>

namespace allium::control {

void ChangeLog::tell(const NodeReport& report) {
  const NodeServiceStatus& now = report.service;
  const storage::StoreDisk& disk = report.disk;
  if (std::exchange(members_dead_, now.members_dead) != now.members_dead) {
    log_.warn("swarm.members", {{"members", std::to_string(now.members)},
                                {"dead", std::to_string(now.members_dead)}});
  }
  if (std::exchange(is_store_broken_, disk.is_broken) != disk.is_broken) {
    if (disk.is_broken) {
      log_.error("store.broken", {{"advice", broken_advice(disk)}});
    } else {
      log_.info("store.good");
    }
  }
  if (std::exchange(is_disk_nearly_full_, disk.is_nearly_full) != disk.is_nearly_full) {
    log_.warn(disk.is_nearly_full ? "disk.nearly_full" : "disk.has_room",
              {{"free_bytes", std::to_string(disk.bytes_free.value_or(0))},
               {"wanted_bytes", std::to_string(disk.bytes_wanted)}});
  }
  if (std::exchange(is_store_nearly_full_, now.store.is_nearly_full) != now.store.is_nearly_full) {
    log_.warn(now.store.is_nearly_full ? "store.nearly_full" : "store.has_room",
              {{"used_bytes", std::to_string(now.store.bytes_used)},
               {"limit_bytes", std::to_string(now.store.bytes_limit)}});
  }
  if (std::exchange(records_refused_, now.records.refused) != now.records.refused) {
    log_.warn("record.refused", {{"refused", std::to_string(now.records.refused)},
                                 {"last", now.records.last_refusal}});
  }
  if (std::exchange(parts_open_, now.fetch.parts_open) != now.fetch.parts_open) {
    log_.info("swarm.fetching", {{"parts_open", std::to_string(now.fetch.parts_open)}});
  }
}

}  // namespace allium::control
