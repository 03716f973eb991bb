// A study shared out over processes: its units by number, the numbers that are left, and a script for Slurm's arrays.
#pragma once

#include <string>
#include <vector>

#include "entk/runs/units.h"

namespace entk {

/// plan.csv: index,name, one line per unit. A unit keeps its number: units added later come after it.
/// @throws SaveError, InputError where the file is not whole
void write_plan(const RunFolder& study, const std::vector<Unit>& units);

/// Unit i of the plan. @throws InputError where there is no plan
std::vector<std::string> read_plan(const std::filesystem::path& study);

/// Numbers as Slurm's --array and seq's readers take them: "3,17,20-23". Ascending.
std::string array_expression(const std::vector<std::int64_t>& numbers);

/// What to put in array.sbatch: a job array in which each task takes `command`, followed by its number.
struct ArrayScript {
  std::string command;     ///< entk train --resume STUDY, quoted for a shell
  std::string name;        ///< of the job
  std::string folder;      ///< of the logs, absolute
  std::int64_t bytes = 0;  ///< of the largest unit's process; 0: not known
};
std::string array_script(const ArrayScript& script);

}  // namespace entk
