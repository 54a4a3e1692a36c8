# SPDX-License-Identifier: Apache-2.0
allium_test(engine_networks_tests
  SOURCES
    engine_namespaces.cpp
    engine_networks_test.cpp
  LIBRARIES allium_engine_world allium::control_port
  LABELS integration net)
target_compile_definitions(engine_networks_tests PRIVATE
  ALLIUM_DP_PROGRAM="$<TARGET_FILE:allium-dp>")
add_dependencies(engine_networks_tests allium-dp)

allium_test(engine_command_line_tests
  SOURCES engine_command_line_test.cpp
  LIBRARIES
  LABELS integration)
target_compile_definitions(engine_command_line_tests PRIVATE
  ALLIUM_DP_PROGRAM="$<TARGET_FILE:allium-dp>")
add_dependencies(engine_command_line_tests allium-dp)
