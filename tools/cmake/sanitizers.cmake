# SPDX-License-Identifier: Apache-2.0
if(ALLIUM_SANITIZE)
  target_compile_options(allium_options INTERFACE
    -fsanitize=${ALLIUM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(allium_options INTERFACE -fsanitize=${ALLIUM_SANITIZE})
  if(ALLIUM_SANITIZE MATCHES "thread")
    # GCC has no instrumentation of stand-alone fences; the code that has them (packet tables) is not what this is for.
    target_compile_options(allium_options INTERFACE -Wno-tsan)
  endif()
endif()
if(ALLIUM_FUZZ)
  # Everything is instrumented for coverage; only the fuzzers themselves link the engine.
  target_compile_options(allium_options INTERFACE
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(allium_options INTERFACE -fsanitize=address,undefined)
endif()
