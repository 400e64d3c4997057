#include "reference_server/methods/ft_test_disks.hpp"

#include "reference_server/storage/ft/ft_test_support.hpp"

namespace dmrp::server {

FtTestDisks MakeFtTestDisks(std::size_t disks, std::uint64_t size, std::uint64_t front,
                            const std::vector<FtTestSet>& sets,
                            const std::vector<std::pair<std::size_t, std::uint64_t>>& plain) {
  ft::FtSystem system(disks, size);
  for (const FtTestSet& set : sets) {
    const std::size_t index = system.AddSet(set.type, set.members, set.letter);
    if (set.orphan) {
      system.SetMemberState(index, *set.orphan, ft::FtMemberState::kOrphaned);
      system.record.sets[index].state = ft::FtSetState::kHasOrphan;
    }
  }
  for (const auto& [disk, length] : plain) {
    system.AddPartition(disk, length);
  }
  FtTestDisks made;
  for (MemoryDevice& disk : system.disks) {
    Bytes& octets = made.fronts.emplace_back(front);
    EXPECT_TRUE(disk.Read(0, octets));
  }
  const auto record = system.record.Serialize();
  EXPECT_TRUE(record);
  made.record = record.value_or(Bytes());
  return made;
}

}  // namespace dmrp::server
