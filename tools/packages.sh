# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034  # the lists are used by the scripts that source this file
# What a Debian 12 machine must have, and how it gets it. Sourced by run-demo and run-tests.

# To build and run the programs.
packages_build=(
  g++ cmake ninja-build ccache pkg-config
  libdpdk-dev libipsec-mb-dev libsodium-dev libexpected-dev
  libboost1.81-dev libboost-json1.81-dev libcli11-dev libfmt-dev
  libnl-3-dev libnl-route-3-dev libpcap-dev libbsd-dev libnuma-dev
  librocksdb-dev libzmq3-dev libssl-dev libtomlplusplus-dev libspdlog-dev libsystemd-dev
  iproute2 procps python3
)

# Besides, to test them.
packages_test=(
  git libgtest-dev libgmock-dev libssl-dev python3-cryptography python3-nacl python3-zmq
  libfaketime shellcheck clang-format util-linux valgrind qemu-user
)

# Besides, for --long: fuzzing with libFuzzer.
packages_fuzz=(clang libclang-rt-14-dev)

say() { printf '\n== %s\n' "$*" >&2; }

note() { printf '   %s\n' "$*" >&2; }

# Prints those of its arguments that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$'; then
      printf '%s\n' "$package"
    fi
  done
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

# Installs what is missing of its arguments. Where it cannot, it says what is missing, and returns 1.
install_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  if [ "${#missing[@]}" -eq 0 ]; then
    note "all packages are there"
    return 0
  fi
  note "missing: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
    note "not root, and sudo would ask: as root, please run"
    note "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    return 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  # --no-remove: Debian's default Boost 1.74 headers and ours of 1.81 exclude each other; nobody's package is
  # taken away without a word.
  local install=(apt-get install -y -q --no-install-recommends --no-remove "${missing[@]}")
  if as_root env DEBIAN_FRONTEND=noninteractive "${install[@]}" >&2 2>/dev/null; then
    return 0
  fi
  note "updating the package lists"
  as_root apt-get update -q >&2 || note "the package lists cannot be updated: no network?"
  if as_root env DEBIAN_FRONTEND=noninteractive "${install[@]}" >&2; then
    return 0
  fi
  note "not installed: ${missing[*]}"
  note "if apt names a conflict with libboost1.74-dev, remove that package first"
  return 1
}
