#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "appendix_g.h"

namespace entk::app {

void add_appendix_g(CLI::App& app, Program& program) {
  const std::vector<AppendixStudy> studies = {taylor_appendix_study(), r1_appendix_study()};
  auto* command = app.add_subcommand("appendix-g", "The paper's Appendix G: expansions of a convolutional network; R1 beside R3");
  struct Options : AppendixOptions {
    std::string study;
  };
  const auto options = std::make_shared<Options>();
  options->study = studies[0].name;
  std::vector<KeyInfo> keys;
  std::vector<std::string> names, meanings;
  for (const auto& study : studies) {
    names.push_back(study.name);
    meanings.push_back(fmt::format("{} ({})", study.name, study.meaning));
    for (auto key : study.keys) {
      key.meaning += fmt::format(" [--study {}]", study.name);
      keys.push_back(std::move(key));
    }
  }
  command->add_option("--study", options->study, fmt::format("{} [{}]", fmt::join(meanings, ", "), names[0]))
      ->type_name("NAME")->check(CLI::IsMember(names));
  add_study_options(*command, options->common, {{"quick", ""}, {"published", ""}}, keys, program);
  add_force(*command, options->common);
  command->add_option("--digits", options->digits, "digits.csv or digits.csv.gz as scikit-learn ships it [where setup.sh put it]")
      ->type_name("FILE");
  command->add_option("--mnist", options->mnist, "folder with MNIST's four idx files, instead of the digits")->type_name("DIR");
  command->add_option("--cifar10", options->cifar10, "folder with CIFAR-10's binary files, instead of the digits")->type_name("DIR");
  command->callback([options, studies, &program] {
    program.action = [options, studies, &program] {
      for (const auto& study : studies) {
        if (study.name == options->study) return study.run(*options, program.command_line);
      }
      throw InputError("--study: no study named " + options->study);  // IsMember has refused it already
    };
  });
}

}  // namespace entk::app
