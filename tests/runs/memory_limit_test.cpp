#include <fstream>
#include <sstream>

#include "entk/runs/memory.h"
#include "tests/support/testing.h"

namespace entk::memory_limit_test {
namespace {

using testing::TemporaryFolder;

std::int64_t limit(const TemporaryFolder& mount, const std::string& groups) {
  std::istringstream text(groups);
  return control_group_limit(mount.path(), text);
}

TEST(MemoryLimit, IsTheLeastOfAJobsControlGroupAndOfThoseAroundIt) {
  const TemporaryFolder mount;
  const auto set = [&](const std::string& file, const std::string& value) {
    std::filesystem::create_directories((mount / file).parent_path());
    testing::write_text(mount / file, value + "\n");
  };
  constexpr auto none = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(limit(mount, ""), none);
  EXPECT_EQ(limit(mount, "0::/slurm/job_7/step_0\n"), none);
  set("slurm/job_7/step_0/memory.max", "max");
  set("slurm/job_7/memory.max", "4000000000");
  set("memory.max", "64000000000");
  EXPECT_EQ(limit(mount, "0::/slurm/job_7/step_0\n"), 4000000000);
  EXPECT_EQ(limit(mount, "0::/elsewhere\n"), 64000000000);
  set("slurm/job_7/step_0/memory.max", "1000000000");
  EXPECT_EQ(limit(mount, "0::/slurm/job_7/step_0\n"), 1000000000);
  // Version 1, where each controller has a tree of its own.
  set("memory/slurm/job_8/memory.limit_in_bytes", "500000000");
  EXPECT_EQ(limit(mount, "5:cpuset:/other\n4:memory:/slurm/job_8\n"), 500000000);
}

}  // namespace
}  // namespace entk::memory_limit_test
