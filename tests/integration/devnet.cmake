# SPDX-License-Identifier: Apache-2.0
find_package(Python3 REQUIRED COMPONENTS Interpreter)
foreach(user IN ITEMS root unprivileged)
  add_test(NAME devnet_${user}
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/devnet_test.py $<TARGET_FILE_DIR:allium> ${user})
  # By itself: it measures what an idle devnet costs.
  set_tests_properties(devnet_${user} PROPERTIES
    LABELS "integration;net" SKIP_RETURN_CODE 77 TIMEOUT 300 RUN_SERIAL ON)
endforeach()
