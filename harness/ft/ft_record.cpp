#include "harness/ft/ft_record.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <memory>
#include <string_view>

#include <fmt/format.h>
#include <hivex.h>

namespace dmrp::harness {

namespace {

constexpr std::array<std::string_view, 4> kTypes = {"mirror", "stripe", "parity", "volume"};
constexpr std::array<std::string_view, 5> kMemberStates = {"healthy", "orphaned", "regenerating",
                                                           "initializing", "sync"};
constexpr std::array<std::string_view, 7> kSetStates = {
    "ok", "orphan", "disabled", "regenerating", "initializing", "check-parity", "no-check-data"};

template <std::size_t N>
std::string NameIn(const std::array<std::string_view, N>& names, std::uint32_t number) {
  return number < N ? std::string(names[number]) : fmt::format("?{}", number);
}

// Reads numbers one after the other; behind the end it gives zeros and remembers.
class Reader {
 public:
  Reader(std::span<const std::byte> octets, std::uint64_t at) : octets_(octets), at_(at) {}
  std::uint64_t Next(unsigned size) {
    std::uint64_t number = 0;
    if (size > octets_.size() || at_ > octets_.size() - size) {
      short_ = true;
      return 0;
    }
    for (unsigned i = 0; i < size; ++i) {
      number |= std::to_integer<std::uint64_t>(octets_[static_cast<std::size_t>(at_) + i]) << (8 * i);
    }
    at_ += size;
    return number;
  }
  std::uint16_t U16() { return static_cast<std::uint16_t>(Next(2)); }
  std::uint32_t U32() { return static_cast<std::uint32_t>(Next(4)); }
  std::uint64_t U64() { return Next(8); }
  [[nodiscard]] std::uint64_t at() const { return at_; }
  [[nodiscard]] bool too_short() const { return short_; }

 private:
  std::span<const std::byte> octets_;
  std::uint64_t at_ = 0;
  bool short_ = false;
};

struct Part {
  std::string name;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

struct Closer {
  void operator()(hive_h* hive) const { hivex_close(hive); }
};
struct Freer {
  void operator()(void* memory) const { std::free(memory); }
};

}  // namespace

Result<FtRecord> FtRecord::Decode(std::span<const std::byte> value) {
  Reader header(value, 0);
  const std::uint32_t version = header.U32();
  header.Next(8);  // checksum, dirty shutdown
  std::array<Part, 3> parts{Part{"the disks"}, Part{"the sets"}, Part{"the names"}};
  for (std::size_t i = 0; i < 2; ++i) parts[i].offset = header.U32(), parts[i].size = header.U32();
  header.Next(8);  // stripe width, pool size
  parts[2].offset = header.U32();
  parts[2].size = header.U32();
  if (header.too_short()) {
    return Fail(ErrorKind::kMalformed, fmt::format("a record of {} octets has no header", value.size()));
  }
  FtRecord record;
  if (version != 3) record.problems.push_back(fmt::format("the version is {}", version));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    if (part.size == 0) continue;
    if (part.offset < 44 || part.offset + part.size > value.size()) {
      return Fail(ErrorKind::kMalformed, fmt::format("{}, {} octets at {}, leave the record of {}", part.name,
                                                     part.size, part.offset, value.size()));
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (parts[j].size != 0 && parts[j].offset < part.offset + part.size &&
          part.offset < parts[j].offset + parts[j].size) {
        record.problems.push_back(fmt::format("{} and {} overlap", parts[j].name, part.name));
      }
    }
  }

  std::map<std::uint64_t, std::size_t> by_offset;
  if (parts[0].size != 0) {
    const auto disks = value.first(static_cast<std::size_t>(parts[0].offset + parts[0].size));
    Reader in(disks, parts[0].offset);
    const unsigned count = in.U16();
    in.U16();
    for (unsigned disk = 0; disk < count && !in.too_short(); ++disk) {
      const unsigned partitions = in.U16();
      in.U16();
      const std::uint32_t signature = in.U32();
      record.disks.push_back(signature);
      for (unsigned i = 0; i < partitions && !in.too_short(); ++i) {
        by_offset[in.at()] = record.partitions.size();
        FtRecordPartition& partition = record.partitions.emplace_back();
        partition.signature = signature;
        partition.ft_type = in.U32();
        partition.ft_state = in.U32();
        partition.start = in.U64();
        partition.length = in.U64();
        partition.ft_length = in.U64();
        in.U64();
        partition.letter = static_cast<char>(in.Next(1));
        in.Next(1);
        partition.number = in.U16();
        partition.group = in.U16();
        partition.place = in.U16();
        in.U32();
      }
    }
    if (in.too_short()) return Fail(ErrorKind::kMalformed, "the disks of the record end too early");
  }
  if (parts[1].size != 0) {
    const auto sets = value.first(static_cast<std::size_t>(parts[1].offset + parts[1].size));
    Reader in(sets, parts[1].offset);
    const unsigned count = in.U16();
    in.U16();
    for (unsigned i = 0; i < count && !in.too_short(); ++i) {
      FtRecordSet& set = record.sets.emplace_back();
      const unsigned members = in.U16();
      set.type = in.U16();
      in.U32();
      set.state = in.U32();
      for (unsigned place = 0; place < members && !in.too_short(); ++place) {
        FtRecordMember& member = set.members.emplace_back();
        member.state = in.U16();
        in.U16();
        const std::uint32_t signature = in.U32();
        const auto target = by_offset.find(in.U32());
        const std::uint32_t number = in.U32();
        if (target == by_offset.end()) {
          record.problems.push_back(fmt::format("member {} of set {} leads to no partition", place, i));
          continue;
        }
        member.partition = record.partitions[target->second];
        const FtRecordPartition& entry = member.partition;
        if (entry.signature != signature || entry.ft_type != set.type || entry.place != place ||
            entry.group != set.group() || entry.number != number || entry.ft_state != member.state) {
          record.problems.push_back(
              fmt::format("member {} of set {} is not what its partition says", place, i));
        }
      }
    }
    if (in.too_short()) return Fail(ErrorKind::kMalformed, "the sets of the record end too early");
  }
  for (const FtRecordPartition& partition : record.partitions) {
    std::size_t uses = 0;
    for (const FtRecordSet& set : record.sets) {
      uses += static_cast<std::size_t>(std::ranges::count_if(set.members, [&](const FtRecordMember& member) {
        return member.partition.signature == partition.signature && member.partition.start == partition.start;
      }));
    }
    if (uses != (partition.ft_type < kTypes.size() ? 1U : 0U)) {
      record.problems.push_back(
          fmt::format("the partition at {} of {:08x} has type {} and is a member {} times", partition.start,
                      partition.signature, partition.ft_type, uses));
    }
  }
  return record;
}

Result<std::optional<FtRecord>> FtRecord::ReadFile(const std::filesystem::path& file) {
  const std::unique_ptr<hive_h, Closer> hive(hivex_open(file.c_str(), 0));
  if (!hive) return FailErrno("hivex opens " + file.string(), errno);
  const hive_node_h root = hivex_root(hive.get());
  if (root == 0) return FailErrno("hivex finds the root", errno);
  errno = 0;  // hivex leaves it alone when there is just no such child
  const hive_node_h key = hivex_node_get_child(hive.get(), root, "DISK");
  if (key == 0) {
    if (errno != 0) return FailErrno("hivex looks for DISK", errno);
    return std::nullopt;
  }
  errno = 0;
  const hive_value_h value = hivex_node_get_value(hive.get(), key, "Information");
  if (value == 0) {
    if (errno != 0) return FailErrno("hivex looks for Information", errno);
    return std::nullopt;
  }
  hive_type type = hive_t_none;
  std::size_t length = 0;
  const std::unique_ptr<char, Freer> data(hivex_value_value(hive.get(), value, &type, &length));
  if (!data) return FailErrno("hivex reads Information", errno);
  auto record = Decode(std::as_bytes(std::span(data.get(), length)));
  if (!record) return tl::unexpected(record.error());
  if (type != hive_t_REG_BINARY)
    record->problems.push_back(fmt::format("the value has type {}", static_cast<int>(type)));
  return std::optional(*std::move(record));
}

const FtRecordSet* FtRecord::Find(std::string_view type, std::uint16_t group) const& {
  const auto found = std::ranges::find_if(
      sets, [&](const FtRecordSet& set) { return NameIn(kTypes, set.type) == type && set.group() == group; });
  return found == sets.end() ? nullptr : &*found;
}

const FtRecordPartition* FtRecord::FindPartition(std::uint32_t signature, std::uint64_t start) const& {
  const auto found = std::ranges::find_if(partitions, [&](const FtRecordPartition& partition) {
    return partition.signature == signature && partition.start == start;
  });
  return found == partitions.end() ? nullptr : &*found;
}

std::string ToText(const FtRecordSet& set) {
  std::string letter;
  for (const FtRecordMember& member : set.members) {
    if (member.partition.letter != 0 && letter.empty()) letter = fmt::format(" {}:", member.partition.letter);
  }
  std::string text = fmt::format("{} {} {}{} [", NameIn(kTypes, set.type), set.group(),
                                 NameIn(kSetStates, set.state), letter);
  for (std::size_t i = 0; i < set.members.size(); ++i) {
    const FtRecordPartition& partition = set.members[i].partition;
    text += fmt::format("{}{:08x}+{}+{} {}", i == 0 ? "" : ", ", partition.signature, partition.start,
                        partition.length, NameIn(kMemberStates, set.members[i].state));
  }
  return text + "]";
}

std::string ToText(const FtRecord& record) {
  std::string text;
  for (const FtRecordSet& set : record.sets) text += ToText(set) + "\n";
  return text;
}

}  // namespace dmrp::harness
