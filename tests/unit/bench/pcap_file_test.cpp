// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/pcap_file.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "tools/bench/memory_file.hpp"

namespace allium::bench {
namespace {

using Buffer = std::vector<std::uint8_t>;

MemoryFile file_of(const Buffer& bytes) {
  auto file = MemoryFile::create("test");
  EXPECT_TRUE(file);
  const Stream stream(std::fopen(file->path().c_str(), "wb"));
  EXPECT_EQ(std::fwrite(bytes.data(), 1, bytes.size(), stream.get()), bytes.size());
  return std::move(*file);
}

// A file with one frame of four bytes.
Buffer small_file() {
  Buffer bytes = {0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0};
  bytes.resize(24);
  bytes[20] = 1;
  bytes.resize(40);
  bytes[32] = 4;
  bytes[36] = 4;
  bytes.insert(bytes.end(), {9, 8, 7, 6});
  return bytes;
}

TEST(PcapFile, FramesComeBackInOrder) {
  const auto file = MemoryFile::create("test");
  ASSERT_TRUE(file);
  auto writer = PcapWriter::create(file->path());
  ASSERT_TRUE(writer);
  const Buffer frames[] = {{1, 2, 3}, Buffer(kFrameBytesMax, 7), {4}};
  for (const Buffer& frame : frames) {
    ASSERT_TRUE(writer->add(frame));
  }
  ASSERT_TRUE(writer->finish());

  auto reader = PcapReader::open(file->path());
  ASSERT_TRUE(reader);
  for (const Buffer& frame : frames) {
    EXPECT_EQ(reader->next().value(), frame);
  }
  EXPECT_TRUE(reader->next().value().empty());
}

TEST(PcapFile, ReadsBothResolutionsOfTime) {
  Buffer bytes = small_file();
  const Buffer magics[] = {{0xd4, 0xc3, 0xb2, 0xa1}, {0x4d, 0x3c, 0xb2, 0xa1}};
  for (const Buffer& magic : magics) {
    std::copy(magic.begin(), magic.end(), bytes.begin());
    const MemoryFile file = file_of(bytes);
    auto reader = PcapReader::open(file.path());
    ASSERT_TRUE(reader);
    EXPECT_EQ(reader->next().value(), (Buffer{9, 8, 7, 6}));
  }
}

TEST(PcapFile, RefusesWhatBreaksTheFormat) {
  const Buffer good = small_file();
  for (const std::size_t offset : {0U, 3U, 20U}) {
    Buffer bytes = good;
    bytes[offset] ^= 1;
    EXPECT_EQ(PcapReader::open(file_of(bytes).path()).error().code, Errc::malformed) << offset;
  }
  EXPECT_EQ(PcapReader::open(file_of({good.begin(), good.begin() + 23}).path()).error().code,
            Errc::malformed);
  for (const std::size_t offset : {33U, 35U}) {  // of the frame's length
    Buffer bytes = good;
    bytes[offset] = 0x80;
    const MemoryFile file = file_of(bytes);
    EXPECT_EQ(PcapReader::open(file.path())->next().error().code, Errc::malformed);
  }
  for (const std::ptrdiff_t byte_count : {25, 39, 40, 43}) {
    const MemoryFile file = file_of({good.begin(), good.begin() + byte_count});
    EXPECT_EQ(PcapReader::open(file.path())->next().error().code, Errc::malformed) << byte_count;
  }
}

TEST(PcapFile, WhatIsNotThereIsAnErrorOfTheSystem) {
  EXPECT_EQ(PcapReader::open("/nonexistent/file").error().code, Errc::io);
  EXPECT_EQ(PcapWriter::create("/nonexistent/file").error().code, Errc::io);
}

}  // namespace
}  // namespace allium::bench
