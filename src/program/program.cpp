// The program: parses, runs one subcommand, maps what went wrong to an exit code (base/error.h).
#include "entk/program/program.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <set>

#include "entk/program/commands.h"
#include "entk/program/completion.h"
#include "entk/program/console.h"
#include "entk/program/processes.h"
#include "entk/base/device.h"
#include "entk/base/failure.h"
#include "entk/base/threads.h"
#include "entk/io/json_reader.h"
#include "entk/kernels/cpu/tile_kernels.h"
#include "entk/report/process.h"
#include "entk/runs/memory.h"
#include "entk/program/signals.h"
#include "entk/studies/studies.h"

namespace entk::app {

namespace {

std::string version_text() {
  const auto b = build_info();
  return fmt::format(
      "entk {} ({}{})\nLibTorch {}, CUDA in LibTorch: {}, entk's CUDA kernels: {}, CUDA devices: {}\n{}: {}, {} "
      "threads",
      b.version, b.git_revision, b.git_dirty ? ", changed" : "", b.torch, b.cuda_torch ? "yes" : "no",
      b.cuda_kernels ? "compiled" : "not compiled", b.cuda_devices, b.cpu_model, kernels::isa_name(kernels::best_isa()),
      threads());
}

/// The nearest option or subcommand to a word that is none.
std::string hint(const CLI::App& app, const std::string& message) {
  const CLI::App* command = &app;
  if (!app.get_subcommands().empty()) command = app.get_subcommands()[0];
  std::vector<std::string> names;
  for (const auto* option : command->get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  for (const auto* sub : command->get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(sub->get_name());
  const auto colon = message.rfind(' ');
  const auto word = colon == std::string::npos ? message : message.substr(colon + 1);
  const auto near = nearest_name(word.substr(0, word.find('=')), names);
  return near ? fmt::format(" (did you mean {}?)", *near) : "";
}

/// What CLI11 says, with a hint; of a value that could not be read ("Could not convert: --seeds = a") what was
/// expected.
std::string said(const CLI::App& app, const CLI::ParseError& e) {
  const std::string message = e.what(), conversion = "Could not convert: ";
  const auto equals = message.find(" = ");
  if (!message.starts_with(conversion) || equals == std::string::npos) return message + hint(app, message);
  const auto name = message.substr(conversion.size(), equals - conversion.size());
  std::string wanted = "another value";
  for (const auto* command : app.get_subcommands()) {
    if (const auto* option = command->get_option_no_throw(name)) wanted = option->get_type_name();
  }
  return fmt::format("{}: expected {}, got '{}'", name, wanted, message.substr(equals + 3));
}

/// @throws InputError for an option that was given nothing, as by an empty shell variable: CLI11 takes that for 0.
void check_not_empty(const CLI::App& app) {
  for (const auto* command : app.get_subcommands()) {
    for (const auto* option : command->get_options()) {
      for (const auto& value : option->results()) {
        if (value.empty())
          throw InputError(fmt::format("{}: expected {}, got nothing", option->get_name(), option->get_type_name()));
      }
    }
  }
}

/// A descriptor 0, 1 or 2 that is closed would be given to the next file that is opened, and talk would go there.
/// Writing to what stands in for it fails, as it would have.
void occupy_standard_descriptors() {
  for (int descriptor = 0; descriptor <= 2; ++descriptor) {
    if (fcntl(descriptor, F_GETFD) == -1 && errno == EBADF) open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY);
  }
}

/// The exit status of a command that has ended: its own, where all it printed has been taken.
int after_output(int code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  say("standard output: it cannot be written; what was printed is not whole");
  return static_cast<int>(ExitCode::save_failed);
}

int run(int argc, char** argv, const Own& own) {
  occupy_standard_descriptors();
  Program program;
  if (argc > 0) program.name = std::filesystem::path(argv[0]).filename().string();
  try {
    program.catalogue = with_built_ins(own);
    program.studies = with_built_in_studies(own.studies);
  } catch (const Error& e) {
    say(e.what());
    return static_cast<int>(e.code());
  }
  program.command_line = program.name;
  std::string isa;
  double rank_timeout = 300;
  bool verbose = false;
  for (int i = 1; i < argc; ++i) {
    program.command_line += " " + shell_word(argv[i]);
    verbose = verbose || std::string(argv[i]) == "--verbose";
  }
  CLI::App app("Wide two-layer networks, their Taylor terms and their good directions", program.name);
  app.set_version_flag("--version", version_text);
  app.require_subcommand(1);
  CLI::App* completion = nullptr;
  try {
    for (const auto add : {add_studies, add_train, add_evaluate, add_kernel, add_compare_devices, add_bench, add_report,
                           add_export, add_watch, add_list, add_reproduce}) {
      add(app, program);
    }
    completion = app.add_subcommand("completion", "Print the bash completion script");
  } catch (const CLI::OptionAlreadyAdded& e) {
    say(fmt::format("a study has the name of a command: {}", e.what()));
    return static_cast<int>(ExitCode::bad_input);
  }
  completion->callback([&] {
    program.action = [&] {
      fmt::print("{}", bash_completion(app));
      return ExitCode::ok;
    };
  });
  for (auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    const auto name = command->get_name();
    if (name == "report" || name == "export" || name == "watch" || name == "list" || name == "completion") continue;
    command->add_option("--isa", isa, "entk's own CPU kernels: portable, avx2 or avx512 [the processor's best]")
        ->type_name("NAME");
  }
  std::set<std::string> shared_out{"train"};
  for (const auto& study : program.studies) {
    if (study.shared_out) shared_out.insert(study.name);
  }
  for (const auto& command : shared_out) {
    app.get_subcommand(command)
        ->add_option("--rank-timeout", rank_timeout,
                     "of one run over the processes of mpirun or srun: seconds to wait for one of them [300]")
        ->type_name("SECONDS")
        ->check(CLI::PositiveNumber);
  }
  const auto is_first_word = [&](const CLI::App* command) { return command->get_name() == argv[1]; };
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(is_first_word).empty()) {
    say(fmt::format("there is no command {}{}", argv[1], hint(app, argv[1])));
    return static_cast<int>(ExitCode::bad_input);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return after_output(app.exit(e));  // --help, --version
    say(said(app, e));
    return static_cast<int>(ExitCode::bad_input);
  }
  catch_signals();
  keep_freed_memory();
  try {
    check_not_empty(app);
    if (!isa.empty()) setenv("ENTK_ISA", isa.c_str(), 1);
    kernels::selected_isa();  // refused before work starts
    const auto command = app.get_subcommands()[0]->get_name();
    if (launched_processes() > 1 && !shared_out.count(command)) {
      throw InputError(fmt::format("{} processes were started, and {} is taken by one", launched_processes(), command));
    }
    join_processes(rank_timeout);
    return after_output(static_cast<int>(program.action()));
  } catch (...) {
    const auto failure = current_failure(verbose);
    if (failure.code == ExitCode::failed && std::ferror(stdout) != 0) return after_output(0);
    say(failure.message);
    return static_cast<int>(failure.code);
  }
}

}  // namespace

}  // namespace entk::app

namespace entk {

int run_program(int argc, char** argv, const Own& own) {
  const int code = app::part_processes(app::run(argc, argv, own));
  app::let_return();
  return code;
}

}  // namespace entk
