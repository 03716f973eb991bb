// What a build without MPI does when it is started as several processes: compiled here under another name.
#include <cstdlib>

#include "tests/support/errors.h"
#include "tests/support/testing.h"

#undef ENTK_HAS_MPI
#define ENTK_HAS_MPI 0
#define app app_without_mpi
#include "src/program/processes.cpp"
#undef app

namespace entk::without_mpi_test {
namespace {

TEST(WithoutMpi, SeveralProcessesAreRefusedAndOneIsNot) {
  EXPECT_NO_THROW(app_without_mpi::join_processes(1));
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    ::setenv(name, "2", 1);
    EXPECT_NE(testing::error_of([] { app_without_mpi::join_processes(1); }).find("this build has no MPI"),
              std::string::npos);
    ::unsetenv(name);
  }
}

}  // namespace
}  // namespace entk::without_mpi_test
