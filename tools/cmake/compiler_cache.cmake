# SPDX-License-Identifier: Apache-2.0
# Compiles through ccache where there is one that works (it needs a cache directory that it may write). The
# presets read this file at the end of project(), as CMAKE_PROJECT_INCLUDE.
find_program(ALLIUM_CCACHE ccache)
mark_as_advanced(ALLIUM_CCACHE)
if(ALLIUM_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(probe ${CMAKE_BINARY_DIR}/CMakeFiles/ccache_probe)
  file(WRITE ${probe}.cpp "int ccache_probe;\n")
  execute_process(
    COMMAND ${ALLIUM_CCACHE} ${CMAKE_CXX_COMPILER} -c ${probe}.cpp -o ${probe}.o
    RESULT_VARIABLE probe_result OUTPUT_QUIET ERROR_QUIET)
  if(probe_result EQUAL 0)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${ALLIUM_CCACHE})
    set(CMAKE_C_COMPILER_LAUNCHER ${ALLIUM_CCACHE})
  else()
    message(STATUS "ccache is installed but cannot write its cache: compiling without it")
  endif()
endif()
