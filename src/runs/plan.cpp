#include "entk/runs/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "entk/io/atomic_file.h"
#include "entk/io/run_folder.h"

namespace entk {

namespace {

constexpr char plan_name[] = "plan.csv", plan_header[] = "index,name";

/// In quotes: a name has commas, and no quotes.
std::string plan_line(std::size_t index, const std::string& name) { return fmt::format("{},\"{}\"", index, name); }

/// A path between the quotes of a #SBATCH line, where % begins a pattern.
std::string in_directive(const std::string& path) {
  std::string text;
  for (const char c : path) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
    if (c == '%') text += '%';
  }
  return text;
}

}  // namespace

std::vector<std::string> read_plan(const std::filesystem::path& study) {
  const auto path = study / plan_name;
  if (!std::filesystem::exists(path)) {
    throw InputError(
        fmt::format("{}: there is no plan; make it with --resume {} --plan", path.string(), study.string()));
  }
  std::istringstream text(read_file(path, 1 << 28));
  std::vector<std::string> names;
  std::string line;
  std::getline(text, line);
  if (line != plan_header) throw InputError(fmt::format("{}:1: expected {}", path.string(), plan_header));
  while (std::getline(text, line)) {
    const auto quote = line.find('"');
    names.push_back(
        quote == std::string::npos || line.size() < quote + 2 ? "" : line.substr(quote + 1, line.size() - quote - 2));
    if (names.back().empty() || line != plan_line(names.size() - 1, names.back())) {
      throw InputError(
          fmt::format("{}:{}: expected {}", path.string(), names.size() + 1, plan_line(names.size() - 1, "NAME")));
    }
  }
  return names;
}

void write_plan(const RunFolder& study, const std::vector<Unit>& units) {
  std::vector<std::string> names;
  if (std::filesystem::exists(study.file(plan_name))) names = read_plan(study.path());
  const auto before = names.size();
  for (const auto& unit : units) {
    if (std::find(names.begin(), names.end(), unit.name) == names.end()) names.push_back(unit.name);
  }
  if (before == names.size()) return;
  auto text = fmt::format("{}\n", plan_header);
  for (std::size_t i = 0; i < names.size(); ++i) text += plan_line(i, checked_name(names[i])) + "\n";
  study.write_text(plan_name, text);
}

std::string array_expression(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    auto last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", numbers[i]);
    if (last > i) text += fmt::format("{}{}", last == i + 1 ? "," : "-", numbers[last]);
    i = last + 1;
  }
  return text;
}

std::string array_script(const ArrayScript& s) {
  // A fourth above the estimate, which is within a fifth of what is measured.
  const auto memory = s.bytes == 0 ? "" : fmt::format("#SBATCH --mem={}M\n", (s.bytes + s.bytes / 4) / 1000000 + 1);
  return fmt::format(R"(#!/bin/bash
# A study as a job array: sbatch --array=0-9 array.sbatch. With --array=0-999:20 a task takes twenty runs, as many side
# by side as it has processors. The #SBATCH lines are yours to edit: partition, time, memory, processors.
#SBATCH --job-name={0}
#SBATCH --output="{1}/log-%A_%a.txt"
#SBATCH --open-mode=append
#SBATCH --cpus-per-task=1
{2}#SBATCH --requeue
#SBATCH --signal=TERM@120

# In the background, so that this script is there to requeue the task.
srun --mpi=none --cpus-per-task="${{SLURM_CPUS_PER_TASK:-1}}" \
  {3} --run "$SLURM_ARRAY_TASK_ID" --runs "${{SLURM_ARRAY_TASK_STEP:-1}}" &
wait $!
code=$?
# Stopped in time, killed, or held by another process: it goes on where it was left.
case $code in
  143 | 137 | 75)
    if [ "${{SLURM_RESTART_COUNT:-0}}" -lt 20 ]; then
      for pause in 1 10 60; do # the controller may be busy
        scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}" && break
        sleep $pause
      done
    fi
    ;;
esac
exit $code
)",
                     s.name, in_directive(s.folder), memory, s.command);
}

}  // namespace entk
